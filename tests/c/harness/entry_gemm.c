/* entry_gemm.c -- pqk_matmul, pqk_pack and pqk_unpack: every small shape with all mixes of signs; then arrays of any
 * layout, batches, groups, epilogues, ranges, threads and odd floating-point environments; k where int32 ends. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "entry.h"
#include "gemm.h"

enum { BATCH_AXES = ENTRY_NDIM - 2, MOST_GROUPS = 16, MOST_OPERAND = 1 << 20, MOST_RESULT = 1 << 18 };

static struct entry_array a, b, c, plain;
static struct gemm_space space;
static uint8_t *a_bytes, *b_bytes;           /* of one matrix of the batch: (m, k), (k, n) */
static int64_t *ab, *row_sums, *column_sums; /* of one group */
static int32_t *acc;                         /* (m, n, groups) */

static void make_memory(void)
{
    if (acc) return;
    entry_make(&a), entry_make(&b), entry_make(&c), entry_make(&plain);
    space = gemm_space_make(1 << 14, 1 << 18);
    a_bytes = malloc(MOST_OPERAND);
    b_bytes = malloc(MOST_OPERAND);
    ab = malloc(MOST_RESULT * sizeof *ab);
    row_sums = malloc(MOST_RESULT * sizeof *row_sums);
    column_sums = malloc(MOST_RESULT * sizeof *column_sums);
    acc = malloc((size_t)MOST_RESULT * MOST_GROUPS * sizeof *acc);
    if (!a_bytes || !b_bytes || !ab || !row_sums || !column_sums || !acc) exit(2);
}

/* The naive product of columns [p, p_end) of a_bytes and those rows of b_bytes, and the sums beside it. */
static void multiply(const struct gemm_problem *q, int64_t p, int64_t p_end)
{
    const bool a_unsigned = q->a == PQK_U8, b_unsigned = q->b == PQK_U8;
    memset(ab, 0, (size_t)(q->m * q->n) * sizeof *ab);
    memset(row_sums, 0, (size_t)q->m * sizeof *row_sums);
    memset(column_sums, 0, (size_t)q->n * sizeof *column_sums);
    for (; p < p_end; ++p) {
        const uint8_t *y = b_bytes + p * q->n;
        for (int64_t j = 0; j < q->n; ++j) column_sums[j] += gemm_value(y[j], b_unsigned);
        for (int64_t i = 0; i < q->m; ++i) {
            const int64_t x = gemm_value(a_bytes[i * q->k + p], a_unsigned);
            row_sums[i] += x;
            for (int64_t j = 0; j < q->n; ++j) ab[i * q->n + j] += x * gemm_value(y[j], b_unsigned);
        }
    }
}

static int32_t zero_point(const pqk_integers *x, int64_t i) { return x->data ? x->data[i * x->step] : 0; }

/* ---- every m, n and k, int32 */

static bool same(const struct guard *g, const char *have, const struct gemm_problem *q, const pqk_epilogue *e)
{
    for (const char *p = have - g->low < 64 ? g->low : have - 64; p < have; ++p)
        if ((unsigned char)*p != 0xa5) return false;
    for (int64_t i = 0; i < q->m; ++i)
        for (int64_t j = 0; j < q->n; ++j, have += 4) {
            const int32_t want = oracle_zero_points(ab[i * q->n + j], row_sums[i], column_sums[j], q->k,
                                                    zero_point(&e->a_zero_point, i), zero_point(&e->b_zero_point, j));
            if (memcmp(have, &want, 4)) return false;
        }
    return true;
}

static void cross_case(struct harness *h, uint64_t number, struct gemm_problem *q)
{
    struct rng rng = rng_make(h->options.seed, "cross", number);
    static const pqk_type types[] = {PQK_S8, PQK_U8};
    const bool transposed = rng_chance(&rng, 30), is_packed = rng_chance(&rng, 50);
    q->a = types[number & 1];
    q->b = types[number >> 1 & 1];
    q->c = PQK_S32;
    const size_t a_size = (size_t)(q->m * q->k), b_size = (size_t)(q->k * q->n), c_size = (size_t)(q->m * q->n) * 4;
    gemm_fill(&rng, a_bytes, a_size);
    gemm_fill(&rng, b_bytes, b_size);
    char *const a_at = memcpy(a.guard.high - a_size, a_bytes, a_size);
    char *const b_at = memcpy(b.guard.high - b_size, b_bytes, b_size);
    for (int64_t p = 0; transposed && p < q->k; ++p)
        for (int64_t j = 0; j < q->n; ++j) b_at[j * q->k + p] = (char)b_bytes[p * q->n + j];
    char *const c_at = c.guard.high - c_size;
    memset(c_at - 64, 0xa5, c_size + 64);
    const pqk_epilogue e = gemm_choose_epilogue(&rng, &space, q, false);
    const int64_t a_shape[] = {q->m, q->k}, b_shape[] = {q->k, q->n}, c_shape[] = {q->m, q->n};
    const int64_t across[] = {1, q->k};
    const pqk_array x = {a_at, q->a, 2, a_shape, NULL}, y = {b_at, q->b, 2, b_shape, transposed ? across : NULL};
    const pqk_array z = {c_at, PQK_S32, 2, c_shape, NULL};
    snprintf(machine_case, sizeof machine_case, "--only entries --seed %" PRIu64 " cross %" PRIu64, h->options.seed,
             number);
    pqk_packed *packed = NULL;
    pqk_status status = is_packed ? pqk_pack(&y, 0, &packed) : PQK_OK;
    machine_before_kernel();
    if (!status) status = pqk_matmul(&x, is_packed ? NULL : &y, packed, number & 4 ? &e : NULL, &z, NULL);
    const char *wrong = machine_after_kernel(1);
    pqk_packed_free(packed);
    multiply(q, 0, q->k);
    static const pqk_epilogue none = {0};
    if (status)
        wrong = pqk_status_message(status);
    else if (!wrong && !same(&c.guard, c_at, q, number & 4 ? &e : &none))
        wrong = "wrong sums, or bytes before c";
    ++h->cases;
    h->elements += c_size / 4;
    if (!wrong || !report(h)) return;
    printf("FAILED pqk_matmul on %s: %s\n  %s: m %" PRId64 ", n %" PRId64 ", k %" PRId64
           ", types %d %d, transposed %d, packed %d, zero points %d\n",
           h->layer, wrong, machine_case, q->m, q->n, q->k, q->a, q->b, transposed, is_packed, (number & 4) != 0);
}

static void test_cross(struct harness *h)
{
    enum { M = 14, N = 97, K = 69 };
    const uint64_t count = (uint64_t)M * N * K * 4;
    pqk_set_num_threads(1);
    for (uint64_t i = 0; i < count; i += h->options.stride > 1 ? 211 : 1) {
        const uint64_t shape = i / 4;
        struct gemm_problem q = {
            .m = (int64_t)(shape / (N * K)), .n = (int64_t)(shape / K % N), .k = (int64_t)(shape % K)};
        /* the mix of signs, and whether there are zero points: all eight take turns */
        cross_case(h, i * 2 + shape % 2, &q);
    }
}

/* Sums that reach the end of int32, and pass it. */
static void test_long_k(struct harness *h)
{
    static const int64_t lengths[] = {65793, 65794, 131071, 131072, 131073, 200000};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; ++l)
        for (uint64_t mix = 0; mix < 8; ++mix) {
            struct gemm_problem q = {
                .m = 1 + (int64_t)(mix + l) % 5, .n = 1 + (int64_t)(3 * mix + l) % 5, .k = lengths[l]};
            cross_case(h, ((uint64_t)lengths[l] << 24) + mix, &q);
        }
}

/* ---- any layout */

struct product {
    struct rng rng;
    struct gemm_problem q;
    int axes;
    struct entry_shape a, b, c;
    pqk_epilogue e;
    bool is_packed;
    int64_t pack_group;
    pqk_range pieces[4];
    int piece_count; /* 0: all of c, with threads */
};

static struct entry_shape shape_of(const struct product *p, int64_t rows, int64_t columns, bool batched)
{
    struct entry_shape s = {.ndim = (batched ? p->axes : 0) + 2};
    memcpy(s.shape, p->c.shape, sizeof s.shape);
    s.shape[s.ndim - 2] = rows;
    s.shape[s.ndim - 1] = columns;
    s.elements = 1;
    for (int d = 0; d < s.ndim; ++d) s.elements *= s.shape[d];
    return s;
}

static void choose_pieces(struct product *p)
{
    struct rng *rng = &p->rng;
    const int64_t row = rng_below(rng, (uint32_t)p->q.m + 1), column = rng_below(rng, (uint32_t)p->q.n + 1);
    p->piece_count = rng_chance(rng, 40) ? 4 : 0;
    p->pieces[0] = (pqk_range){row, p->q.m, column, p->q.n};
    p->pieces[1] = (pqk_range){row, p->q.m, 0, column};
    p->pieces[2] = (pqk_range){0, row, 0, column};
    p->pieces[3] = (pqk_range){0, row, column, p->q.n};
}

static struct product choose_product(struct rng rng, bool large)
{
    static const pqk_type outputs[] = {PQK_S32, PQK_F32, PQK_F16, PQK_BF16, PQK_S8, PQK_U8, PQK_S16};
    struct product p = {.rng = rng};
    p.q = (struct gemm_problem){.m = rng_below(&p.rng, 40),
                                .n = rng_below(&p.rng, 110),
                                .k = rng_below(&p.rng, 150),
                                .a = rng_chance(&p.rng, 50) ? PQK_S8 : PQK_U8,
                                .b = rng_chance(&p.rng, 50) ? PQK_S8 : PQK_U8,
                                .c = outputs[rng_below(&p.rng, sizeof outputs / sizeof outputs[0])]};
    if (rng_chance(&p.rng, 20)) p.q.m = rng_below(&p.rng, 3);
    if (rng_chance(&p.rng, 10)) p.q.n = rng_below(&p.rng, 3);
    if (rng_chance(&p.rng, 10)) p.q.k = rng_below(&p.rng, 3);
    if (large) {
        p.q.m = 1 + rng_below(&p.rng, rng_chance(&p.rng, 30) ? 8 : 300);
        p.q.n = 1 + rng_below(&p.rng, 500);
        p.q.k = 1 + rng_below(&p.rng, 1000);
    }
    p.q.typical = 4000.0 * (double)(p.q.k + 1);
    p.is_packed = rng_chance(&p.rng, 40);
    p.axes = large || rng_chance(&p.rng, 50) ? 0 : 1 + (int)rng_below(&p.rng, BATCH_AXES);
    for (int d = 0; d < p.axes; ++d) p.c.shape[d] = rng_chance(&p.rng, 5) ? 0 : 1 + rng_below(&p.rng, 3);
    p.a = shape_of(&p, p.q.m, p.q.k, true);
    p.b = shape_of(&p, p.q.k, p.q.n, !p.is_packed);
    p.c = shape_of(&p, p.q.m, p.q.n, true);
    p.e = gemm_choose_epilogue(&p.rng, &space, &p.q, true);
    p.pack_group = rng_chance(&p.rng, 70) ? p.e.group_size : rng_below(&p.rng, 40);
    choose_pieces(&p);
    return p;
}

/* Fills an operand, in the memory and in the image; elements may share a place. */
static void fill(struct product *p, struct entry_array *x, const struct entry_shape *s)
{
    int64_t index[ENTRY_NDIM] = {0};
    uint8_t bytes[64];
    size_t i, n = 0;
    if (!s->elements) return;
    do {
        if (n % sizeof bytes == 0) gemm_fill(&p->rng, bytes, sizeof bytes);
        *entry_at(x, true, index, &i) = (char)bytes[n++ % sizeof bytes];
    } while (entry_next(s, index));
    entry_restore(x);
}

static void gather(const struct entry_array *x, const struct entry_shape *s, int axes, const int64_t *matrix,
                   uint8_t *to)
{
    int64_t index[ENTRY_NDIM] = {0};
    memcpy(index, matrix, (size_t)axes * sizeof *index);
    size_t i;
    for (int64_t row = 0; row < s->shape[axes]; ++row)
        for (int64_t column = 0; column < s->shape[axes + 1]; ++column) {
            index[axes] = row;
            index[axes + 1] = column;
            *to++ = (uint8_t)*entry_at(x, true, index, &i);
        }
}

/* Puts what c must be into its image. */
static void expect(const struct product *p)
{
    const struct gemm_problem *q = &p->q;
    const int64_t group = p->e.group_size ? p->e.group_size : q->k ? q->k : 1;
    const int64_t groups = p->e.group_size ? (q->k + group - 1) / group : 1;
    int64_t index[ENTRY_NDIM] = {0};
    size_t at;
    if (!p->c.elements) return;
    do { /* over matrices; the last two axes go round below */
        gather(&a, &p->a, p->axes, index, a_bytes);
        gather(&b, &p->b, p->is_packed ? 0 : p->axes, index, b_bytes);
        for (int64_t g = 0; g < groups; ++g) {
            const int64_t from = g * group, to = from + group < q->k ? from + group : q->k;
            multiply(q, from, to);
            for (int64_t i = 0; i < q->m; ++i)
                for (int64_t j = 0; j < q->n; ++j)
                    acc[(i * q->n + j) * groups + g] =
                        oracle_zero_points(ab[i * q->n + j], row_sums[i], column_sums[j], to - from,
                                           zero_point(&p->e.a_zero_point, i), zero_point(&p->e.b_zero_point, j));
        }
        for (index[p->axes] = 0; index[p->axes] < q->m; ++index[p->axes])
            for (index[p->axes + 1] = 0; index[p->axes + 1] < q->n; ++index[p->axes + 1]) {
                const int64_t i = index[p->axes], j = index[p->axes + 1];
                char *to = entry_at(&c, true, index, &at);
                oracle_epilogue(&p->e, q, acc + (i * q->n + j) * groups, groups, i, j, to, 0);
            }
        index[p->axes] = q->m - 1;
        index[p->axes + 1] = q->n - 1;
    } while (entry_next(&p->c, index));
}

static pqk_status call(const struct product *p, const pqk_packed *packed)
{
    const pqk_array *operand = packed ? NULL : &b.array;
    if (!p->piece_count) return pqk_matmul(&a.array, operand, packed, &p->e, &c.array, NULL);
    pqk_status status = PQK_OK;
    for (int i = 0; i < p->piece_count && !status; ++i)
        status = pqk_matmul(&a.array, operand, packed, &p->e, &c.array, &p->pieces[i]);
    return status;
}

/* With a curve: c's image is what the scalar layer makes, and c is noise again. */
static pqk_status expect_scalar(const struct product *p)
{
    const int layer = pqk_active_layer();
    (void)pqk_use_layer(0);
    char *noise = malloc(c.window_bytes);
    if (!noise) exit(2);
    memcpy(noise, c.window, c.window_bytes);
    const pqk_status status = pqk_matmul(&a.array, &b.array, NULL, &p->e, &c.array, NULL);
    memcpy(c.image + (c.window - c.guard.low), c.window, c.window_bytes);
    memcpy(c.window, noise, c.window_bytes);
    free(noise);
    (void)pqk_use_layer(layer);
    return status;
}

/* Packs, describes, unpacks; then b's memory is overwritten: the packed matrix must not need it. */
static const char *pack(struct product *p, pqk_packed **packed)
{
    pqk_status status = pqk_pack(&b.array, p->pack_group, packed);
    if (status) return pqk_status_message(status);
    pqk_packed_info info;
    pqk_packed_describe(*packed, &info);
    if (info.k != p->q.k || info.n != p->q.n || info.type != p->q.b || info.bytes < (size_t)(p->q.k * p->q.n))
        return "pqk_packed_describe";
    entry_layout(&plain, &p->rng, &p->b, p->q.b, false);
    status = pqk_unpack(*packed, &plain.array);
    if (status) return pqk_status_message(status);
    int64_t index[ENTRY_NDIM] = {0};
    size_t i;
    if (p->b.elements) do
            *entry_at(&plain, true, index, &i) = *entry_at(&b, true, index, &i);
        while (entry_next(&p->b, index));
    if (!entry_agrees(&plain)) return "pqk_unpack: wrong bytes";
    if (!entry_agrees(&b)) return "pqk_pack: the matrix changed";
    memset(b.from, 0x99, b.bytes);
    return NULL;
}

static void layout_case(struct harness *h, uint64_t number)
{
    static const int thread_counts[] = {1, 2, 3, 4, 8, 64};
    make_memory();
    const bool large = number % 256 == 255;
    struct product p = choose_product(rng_make(h->options.seed, "matmul", number), large);
    entry_layout(&a, &p.rng, &p.a, p.q.a, true);
    entry_layout(&b, &p.rng, &p.b, p.q.b, true);
    entry_layout(&c, &p.rng, &p.c, p.q.c, false);
    fill(&p, &a, &p.a);
    fill(&p, &b, &p.b);
    snprintf(machine_case, sizeof machine_case, "--only entries --seed %" PRIu64 " --case %" PRIu64, h->options.seed,
             number);
    pqk_set_num_threads(thread_counts[rng_below(&p.rng, 6)]);
    const bool odd = rng_chance(&p.rng, 50), curve = gemm_is_curve(&p.e);
    pqk_status status = PQK_OK;
    if (curve && !(p.is_packed && p.axes))
        status = expect_scalar(&p);
    else if (curve)
        p.e.activation = PQK_NO_ACTIVATION, expect(&p); /* plain b has no batch axes */
    else
        expect(&p);
    pqk_packed *packed = NULL;
    const char *wrong = status ? pqk_status_message(status) : p.is_packed ? pack(&p, &packed) : NULL;
    if (!wrong) {
        const struct environment e = odd ? environment_odd(&p.rng) : (struct environment){0, 0};
        status = call(&p, packed);
        wrong = odd && !environment_restore(e) ? "the caller's floating-point environment changed" : NULL;
    }
    pqk_packed_free(packed);
    if (p.is_packed) entry_restore(&b);
    if (status)
        wrong = pqk_status_message(status);
    else if (!wrong && !(entry_agrees(&a) && entry_agrees(&b)))
        wrong = "an input changed";
    else if (!wrong && !entry_agrees(&c))
        wrong = "wrong bytes";
    ++h->cases;
    h->elements += (uint64_t)p.c.elements;
    if (!wrong || !report(h)) return;
    printf("FAILED pqk_matmul on %s: %s\n  %s, threads %d, %d batch axes, m %" PRId64 ", n %" PRId64 ", k %" PRId64
           ", types %d %d %d, packed %d, group %" PRId64 ", pieces %d, activation %d, fixed point %d\n",
           h->layer, wrong, machine_case, pqk_get_num_threads(), p.axes, p.q.m, p.q.n, p.q.k, p.q.a, p.q.b, p.q.c,
           p.is_packed, p.e.group_size, p.piece_count, p.e.activation, p.e.m0.data != NULL);
}

void entry_gemm_case(struct harness *h, uint64_t number) { layout_case(h, number); }

void test_entry_gemm(struct harness *h)
{
    make_memory();
    test_cross(h);
    test_long_k(h);
    test_entry_gemm_errors(h);
}
