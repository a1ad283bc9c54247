/* gemm_kernel.c -- the packing functions and micro-kernels of gemm/gemm.h, each layer by itself.
 *
 * A case packs an m x k and a k x n matrix, which lie against forbidden pages in any layout that the contract allows,
 * into panels that end at forbidden pages too, and multiplies them.  Every byte is compared with the drawing in gemm.h
 * and every sum with a plain loop in 64 bits.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/macros.h"
#include "gemm.h"

enum { SHORT_K = 69, LONG_K = 140000, MAX_MR = PQK_GEMM_MAX_MR, MAX_NR = PQK_GEMM_MAX_NR, ROW_GAP = 80 };

void gemm_fill(struct rng *rng, uint8_t *bytes, size_t count)
{
    static const uint8_t extremes[] = {0x80, 0x7f, 0xff, 0x00, 0x01};
    const uint32_t style = rng_below(rng, 12);
    for (size_t i = 0; i < count; ++i) {
        const uint8_t noise = (uint8_t)rng_next(rng);
        if (style < 5)
            bytes[i] = extremes[style];
        else if (style == 5)
            bytes[i] = i % 2 ? 0x7f : 0x80;
        else if (style == 6)
            bytes[i] = i % 2 ? 0xff : 0x00;
        else if (style == 7)
            bytes[i] = extremes[noise % 5];
        else
            bytes[i] = noise;
    }
}

/* ---- memory, made once */

static struct place a_source, b_source;
static struct guard a_packed, b_packed, a_sums, b_sums, c_tile;
static uint8_t *a_bytes, *b_bytes, *b_transposed;

static void make_memory(void)
{
    if (a_bytes) return;
    place_make(&a_source, (size_t)MAX_MR * (LONG_K + 64));
    place_make(&b_source, (size_t)MAX_NR * (LONG_K + 64));
    a_packed = guard_make((size_t)MAX_MR * (LONG_K + 64) * 2);
    b_packed = guard_make((size_t)MAX_NR * (LONG_K + 64));
    a_sums = guard_make(MAX_MR * 4);
    b_sums = guard_make(MAX_NR * 4);
    c_tile = guard_make((size_t)MAX_MR * (MAX_NR * 4 + ROW_GAP));
    a_bytes = malloc((size_t)MAX_MR * LONG_K);
    b_bytes = malloc((size_t)MAX_NR * LONG_K);
    b_transposed = malloc((size_t)MAX_NR * LONG_K);
    if (!a_bytes || !b_bytes || !b_transposed) exit(2);
}

/* ---- one case */

struct gemm_case {
    struct rng rng;
    const struct pqk_gemm *g;
    const struct pqk_gemm_shape *shape;
    int m, n;
    size_t k, steps;
    uint8_t a_flip, b_flip;
    bool by_columns;                          /* of B: consecutive k beside each other */
    int32_t a_start[MAX_MR], b_start[MAX_NR]; /* what the sums are before */
    bool a_wants_sums, b_wants_sums;
};

static int32_t a_value(const struct gemm_case *c, int i, size_t p)
{
    if (i >= c->m || p >= c->k) return 0;
    return gemm_value(a_bytes[(size_t)i * c->k + p] ^ c->a_flip, c->g->a_unsigned);
}
static int32_t b_value(const struct gemm_case *c, size_t p, int j)
{
    if (j >= c->n || p >= c->k) return 0;
    return gemm_value(b_bytes[p * (size_t)c->n + (size_t)j] ^ c->b_flip, false);
}

/* Fills and lays out a matrix of rows x row_bytes. */
static void put(struct rng *rng, struct place *p, const uint8_t *bytes, size_t rows, size_t row_bytes)
{
    const struct shape where = {.rows = rows && row_bytes ? rows : 1,
                                .at_end = rng_chance(rng, 75),
                                .offset = rng_chance(rng, 70) ? 0 : rng_below(rng, 64)};
    place_rows(p, &where, rows ? row_bytes : 0, rng_chance(rng, 60) ? 0 : rng_below(rng, 30), rng_chance(rng, 15));
    place_fill(p, (unsigned char)rng_next(rng));
    place_write(p, (const char *)bytes);
}

/* The bytes before `to`, which ends at a forbidden page. */
enum { BEFORE = 64, POISON = 0xa5 };
static void poison(const struct guard *g, char *to)
{
    char *from = to - g->low < BEFORE ? g->low : to - BEFORE;
    memset(from, POISON, (size_t)(g->high - from));
}
static bool before_is_poison(const struct guard *g, const char *to)
{
    for (const char *p = to - g->low < BEFORE ? g->low : to - BEFORE; p < to; ++p)
        if ((unsigned char)*p != POISON) return false;
    return true;
}

static const char *wrong_sums(const int32_t *sums, const int32_t *start, const struct gemm_case *c, bool of_a)
{
    for (int i = 0; i < (of_a ? c->m : c->n); ++i) {
        int64_t sum = 0;
        for (size_t p = 0; p < c->k; ++p) sum += of_a ? a_value(c, i, p) : b_value(c, p, i);
        if ((uint32_t)sums[i] != (uint32_t)start[i] + (uint32_t)sum) return of_a ? "sum of a row" : "sum of a column";
    }
    return NULL;
}

static const char *pack_a(struct gemm_case *c, char **packed)
{
    const struct pqk_gemm *g = c->g;
    const int mr = c->shape->mr, size = g->a_wide ? 2 : 1;
    *packed = a_packed.high - c->steps * (size_t)(mr * g->kr * size);
    poison(&a_packed, *packed);
    int32_t *sums = (int32_t *)(void *)(a_sums.high - 4 * (size_t)c->m);
    memcpy(sums, c->a_start, 4 * (size_t)c->m);
    put(&c->rng, &a_source, a_bytes, (size_t)c->m, c->k);
    machine_before_kernel();
    g->pack_a(a_source.data, a_source.stride, c->m, mr, c->k, c->a_flip, *packed, c->a_wants_sums ? sums : NULL);
    const char *wrong = machine_after_kernel(c->k);
    if (wrong) return wrong;
    size_t row, byte;
    if (place_compare(&a_source, (const char *)a_bytes, &row, &byte)) return "pack_a: the source changed";
    if (!before_is_poison(&a_packed, *packed)) return "pack_a: written before the panel";
    const char *at = *packed;
    for (size_t s = 0; s < c->steps; ++s)
        for (int i = 0; i < mr; ++i)
            for (int q = 0; q < g->kr; ++q, at += size) {
                int16_t wide = 0;
                if (g->a_wide) memcpy(&wide, at, 2);
                const int32_t have = g->a_wide ? wide : gemm_value((uint8_t)*at, g->a_unsigned);
                if (have != a_value(c, i, s * (size_t)g->kr + (size_t)q)) return "pack_a: wrong element";
            }
    return c->a_wants_sums ? wrong_sums(sums, c->a_start, c, true) : NULL;
}

static const char *pack_b(struct gemm_case *c, char **packed)
{
    const struct pqk_gemm *g = c->g;
    *packed = b_packed.high - c->steps * (size_t)(g->nr * g->kr);
    poison(&b_packed, *packed);
    int32_t *sums = (int32_t *)(void *)(b_sums.high - 4 * (size_t)c->n);
    memcpy(sums, c->b_start, 4 * (size_t)c->n);
    const size_t n = (size_t)c->n;
    for (size_t p = 0; c->by_columns && p < c->k; ++p)
        for (size_t j = 0; j < n; ++j) b_transposed[j * c->k + p] = b_bytes[p * n + j];
    const uint8_t *bytes = c->by_columns ? b_transposed : b_bytes;
    put(&c->rng, &b_source, bytes, c->by_columns ? n : c->k, c->by_columns ? c->k : n);
    machine_before_kernel();
    g->pack_b(b_source.data, c->by_columns ? 1 : b_source.stride, c->by_columns ? b_source.stride : 1, c->k, c->n,
              c->b_flip, *packed, c->b_wants_sums ? sums : NULL);
    const char *wrong = machine_after_kernel(c->k);
    if (wrong) return wrong;
    size_t row, byte;
    if (place_compare(&b_source, (const char *)bytes, &row, &byte)) return "pack_b: the source changed";
    if (!before_is_poison(&b_packed, *packed)) return "pack_b: written before the panel";
    const int8_t *at = (const int8_t *)*packed;
    for (size_t s = 0; s < c->steps; ++s)
        for (int j = 0; j < g->nr; ++j)
            for (int q = 0; q < g->kr; ++q)
                if (*at++ != b_value(c, s * (size_t)g->kr + (size_t)q, j)) return "pack_b: wrong element";
    return c->b_wants_sums ? wrong_sums(sums, c->b_start, c, false) : NULL;
}

/* a: packed; or, with as_it_lies, nothing but the end of k is taken from it, and A is what pack_a read. */
static const char *multiply(struct gemm_case *c, const char *a, const char *b, bool as_it_lies)
{
    const int mr = c->shape->mr, nr = c->g->nr;
    /* Any address, and rows with something between them. */
    const int gap = rng_chance(&c->rng, 50) ? 0 : (int)rng_below(&c->rng, ROW_GAP + 1);
    const ptrdiff_t row = 4 * nr + gap;
    char *tile = c_tile.high - ((mr - 1) * row + 4 * nr);
    PQK_ALIGNED(64) int32_t start[MAX_NR];
    for (int j = 0; j < nr; ++j) start[j] = (int32_t)rng_next(&c->rng);
    poison(&c_tile, tile);
    machine_before_kernel();
    if (as_it_lies)
        c->g->run_rows(c->k / (size_t)c->g->kr, a_source.data, a_source.stride, c->a_flip,
                       c->k % (size_t)c->g->kr ? a + (c->steps - 1) * pqk_gemm_a_step(c->g, mr) : NULL, b, start, tile,
                       row);
    else
        c->shape->run(c->steps, a, b, start, tile, row);
    const char *wrong = machine_after_kernel(1);
    if (wrong) return wrong;
    if (!before_is_poison(&c_tile, tile)) return "kernel: written before the tile";
    static int64_t sums[MAX_NR];
    for (int i = 0; i < mr; ++i, tile += row) {
        for (int x = 0; i < mr - 1 && x < gap; ++x)
            if ((unsigned char)tile[4 * nr + x] != POISON) return "kernel: written between two rows";
        for (int j = 0; j < nr; ++j) sums[j] = start[j];
        for (size_t p = 0; i < c->m && p < c->k; ++p) {
            const int64_t x = a_value(c, i, p);
            for (int j = 0; j < c->n; ++j) sums[j] += x * b_value(c, p, j);
        }
        for (int j = 0; j < nr; ++j) {
            uint32_t have;
            memcpy(&have, tile + 4 * j, 4);
            if (have != (uint32_t)sums[j]) return "kernel: wrong sum";
        }
    }
    return NULL;
}

static void run_case(struct harness *h, uint64_t number, struct gemm_case *c)
{
    struct rng *rng = &c->rng;
    snprintf(machine_case, sizeof machine_case, "--layer %s --kernel %s --seed %" PRIu64 " --case %" PRIu64, h->layer,
             h->kernel, h->options.seed, number);
    c->steps = pqk_gemm_steps(c->g, (int64_t)c->k);
    c->a_flip = rng_chance(rng, 50) ? 0x80 : 0;
    c->b_flip = rng_chance(rng, 50) ? 0x80 : 0;
    c->by_columns = rng_chance(rng, 50);
    c->a_wants_sums = rng_chance(rng, 70);
    c->b_wants_sums = rng_chance(rng, 70);
    for (int i = 0; i < MAX_MR; ++i) c->a_start[i] = (int32_t)rng_next(rng);
    for (int j = 0; j < MAX_NR; ++j) c->b_start[j] = (int32_t)rng_next(rng);
    gemm_fill(rng, a_bytes, (size_t)c->m * c->k);
    gemm_fill(rng, b_bytes, (size_t)c->n * c->k);
    char *a, *b;
    const char *wrong = pack_a(c, &a);
    if (!wrong) wrong = pack_b(c, &b);
    if (!wrong) wrong = multiply(c, a, b, false);
    if (!wrong && c->g->run_rows && c->shape == c->g->shape && c->m == c->shape->mr) wrong = multiply(c, a, b, true);
    ++h->cases;
    h->elements += (uint64_t)c->m * (uint64_t)c->n * c->k;
    if (!wrong || !report(h)) return;
    printf("FAILED %s %s: %s\n  %s\n  mr %d, m %d, n %d, k %zu, flips %d %d, B by %s\n", h->layer, h->kernel, wrong,
           machine_case, c->shape->mr, c->m, c->n, c->k, c->a_flip, c->b_flip, c->by_columns ? "columns" : "rows");
}

/* ---- the plan: every m, n and short k of every shape; k in the thousands; k at the limit of exact int32 and beyond */

static const uint32_t long_k[] = {255, 256, 257, 1023, 4096, 65793, 65794, 131071, 131072, 131073, 139999};
enum { LONG = sizeof long_k / sizeof long_k[0] };

static uint64_t crossed(const struct pqk_gemm *g, int mr) { return (uint64_t)(mr * g->nr) * SHORT_K; }

/* False past the last case of the shape. */
static bool plan_case(struct gemm_case *c, uint64_t i)
{
    const uint64_t nr = (uint64_t)c->g->nr, all = crossed(c->g, c->shape->mr);
    if (i < all) {
        c->k = (size_t)(i % SHORT_K);
        c->n = 1 + (int)(i / SHORT_K % nr);
        c->m = 1 + (int)(i / SHORT_K / nr);
        return true;
    }
    i -= all;
    c->m = c->shape->mr;
    c->n = c->g->nr;
    c->k = i < LONG ? long_k[i] : 70 + rng_below(&c->rng, 3000);
    return i < LONG + 200;
}

static void bench(const struct pqk_gemm *g)
{
    enum { K = 512, RUNS = 2000 };
    const int mr = g->shape[0].mr;
    const size_t steps = pqk_gemm_steps(g, K);
    char *a = a_packed.high - steps * pqk_gemm_a_step(g, mr), *b = b_packed.high - steps * pqk_gemm_b_step(g);
    char *c = c_tile.high - (size_t)(mr * g->nr) * 4; /* nr is a multiple of 16: 64-byte aligned */
    PQK_ALIGNED(64) static const int32_t zeros[MAX_NR];
    double best = 1e30;
    for (int i = 0; i < RUNS; ++i) {
        const double from = machine_clock();
        g->shape[0].run(steps, a, b, zeros, c, g->nr * 4);
        const double ticks = machine_clock() - from;
        best = ticks < best ? ticks : best;
    }
    printf(" %9.4f", best / ((double)mr * g->nr * K)); /* an element is a product */
}

static const char *wrong_layer(const struct pqk_gemm *g)
{
    if (g->run_rows && g->a_wide) return "rows as they lie are bytes";
    if (g->nr % 16 || g->nr > MAX_NR || g->kr > PQK_GEMM_MAX_KR || g->nr * g->kr % 32) return "nr and kr";
    for (int s = 0; s < PQK_GEMM_SHAPES && g->shape[s].run; ++s) {
        if (g->shape[s].mr > MAX_MR || (s && g->shape[s].mr >= g->shape[s - 1].mr)) return "mr does not fall";
        if (s + 1 == PQK_GEMM_SHAPES || !g->shape[s + 1].run) return g->shape[s].mr == 1 ? NULL : "no mr = 1";
    }
    return "no shape";
}

void test_pqk_gemm_kernels(struct harness *h, pqk_gemm_kernels *kernels, pqk_gemm_kernels *reference)
{
    (void)reference; /* another layout: the plain loop above is what all layers are compared with */
    make_memory();
    if (h->options.bench) {
        bench(kernels);
        return;
    }
    const char *wrong = wrong_layer(kernels);
    ++h->cases;
    if (wrong) {
        if (report(h)) printf("FAILED %s %s: %s\n", h->layer, h->kernel, wrong);
        return;
    }
    const bool quick = h->options.stride > 1;
    for (int s = 0; s < PQK_GEMM_SHAPES && kernels->shape[s].run; ++s) {
        const uint64_t all = crossed(kernels, kernels->shape[s].mr);
        for (uint64_t i = 0;; i += !quick ? 1 : i < all ? 97 : 7) {
            const uint64_t number = i * PQK_GEMM_SHAPES + (uint64_t)s;
            struct gemm_case c = {
                .rng = rng_make(h->options.seed, h->kernel, number), .g = kernels, .shape = &kernels->shape[s]};
            if (!plan_case(&c, i)) break;
            if (h->options.only < 0 || (uint64_t)h->options.only == number) run_case(h, number, &c);
        }
    }
}

#if defined(PQK_X86)
extern pqk_gemm_kernels gemm_avxvnni_evex;

void test_gemm_avxvnni_evex(struct harness *h)
{
    const uint32_t needs = PQK_AVX2 | PQK_AVX512 | PQK_AVX512VNNI;
    if ((pqk_cpu_features() & needs) != needs) {
        printf("kernels avxvnni as avx512vnni encodes it: not run: not on this CPU\n");
        return;
    }
    const uint64_t failures = h->failures;
    h->cases = h->elements = 0;
    h->layer = "avxvnni, as avx512vnni encodes it";
    h->kernel = "gemm_s8";
    test_pqk_gemm_kernels(h, &gemm_avxvnni_evex, NULL);
    printf("kernels avxvnni, as avx512vnni encodes it: %" PRIu64 " cases %" PRIu64 " elements  %s\n", h->cases,
           h->elements, h->failures == failures ? "ok" : "FAILED");
}
#else
void test_gemm_avxvnni_evex(struct harness *h) { (void)h; }
#endif
