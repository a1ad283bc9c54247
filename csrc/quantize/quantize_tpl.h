/* quantize_tpl.h -- the loops of every quantize kernel, written once.
 *
 * Include after defining PQK_ISA and including simd/vec_<isa>.h.  quantize.h says what is computed,
 * affine/affine_tpl.h how.  A block is 4 VL elements: four registers of float narrow to one of int8.
 *
 *   parameters by row      a row is a run of blocks with constants in registers; rows of exactly 2 VL elements
 *                          (blocks of 32 on AVX-512) are done two at a time
 *   parameters by column   one block of columns, or two, down 16 rows, with constants in registers (AVX2 reads them
 *                          from memory)
 *
 * These are compiled for the ways of affine_tpl.h that a type meets often.  What is left over -- the end of a run, the
 * general way, rarer conventions into rarer types -- goes to one function per kernel that asks at run time which way it
 * is: a kernel for each case would cost minutes of compilation for nothing that can be measured.
 */
#include "affine/affine_tpl.h"
#include "quantize/quantize.h"
#include "simd/elements.h"
#include "simd/stream.h"

/* What is known at run time only. */
struct quantize_context {
    enum affine_way way;
    bool by_column;
    int8_t mask; /* the bits of an element that KIND_N8 keeps */
    const struct pqk_affine *a;
    const struct affine_prepared *p;
};

/* 1 <= m <= 4 VL elements any way, with the constants from index `at` on: of one row, or of as many columns. */
typedef void quantize_any_fn(const char *x, char *q, int m, size_t at, const struct quantize_context *c);

/* What a loop is compiled for.  Its address never leaves the inlined functions, so that all of it stays constant. */
struct quantize_job {
    pqk_type type;
    enum integer_kind kind;
    enum affine_way way;
    enum affine_limits limits;
    vs16 lowest, highest; /* of KIND_N8, N4 and N2, to which 16-bit lanes do not saturate */
    bool centered;        /* no zero points: nothing to add */
    int8_t mask;
    quantize_any_fn *any;
    const struct quantize_context *c;
};

static PQK_INLINE bool quantize_eight(enum integer_kind kind) { return kind == KIND_S8 || kind == KIND_U8; }
static PQK_INLINE bool quantize_few(enum integer_kind kind)
{
    return kind == KIND_N8 || kind == KIND_N4 || kind == KIND_N2;
}

static PQK_INLINE vs16 quantize_all(int32_t integer)
{
    const vs32 all = vs32_set1(integer);
    return vs16_pack2(all, all);
}

static PQK_INLINE vs32 quantize_vec(vf32 x, const struct affine_consts *k, const struct quantize_job *job)
{
    return affine_integer(x, k, job->c->a, job->way, job->limits);
}

/* One whole block.  pairs: k[0] is k[1] and k[2] is k[3], and each the same in all lanes, so that lanes may change
 * places between being widened and being narrowed.  Without limits *seen takes the lowest integers. */
static PQK_INLINE void quantize_block(const char *x, char *q, const struct affine_consts *const k[4], bool pairs,
                                      vs16 *seen, const struct quantize_job *job)
{
    const bool zip = pairs && job->type == PQK_BF16 && kind_bits(job->kind) <= 8;
    vf32 in[4];
    vs32 out[4], z[4];
    if (zip) {
        vf32_load_zip_bf16(in, x);
        vf32_load_zip_bf16(in + 2, x + 4 * VL);
    } else {
        load_float_block(in, x, 4 * VL, job->type);
    }
    unrolled_for (int v = 0; v < 4; ++v) {
        out[v] = quantize_vec(in[v], k[v], job);
        z[v] = k[v]->z;
    }
    if (job->limits == AFFINE_UNLIMITED)
        *seen = vs16_min(*seen, vs16_min(vs16_pack2(out[0], out[1]), vs16_pack2(out[2], out[3])));
    vs16 ab = narrow_pair(out, job->centered ? NULL : z, 0, job->kind);
    vs16 cd = narrow_pair(out, job->centered ? NULL : z, 2, job->kind);
    if (quantize_few(job->kind)) {
        ab = vs16_max(vs16_min(ab, job->highest), job->lowest);
        cd = vs16_max(vs16_min(cd, job->highest), job->lowest);
    }
    store_narrowed(q, ab, cd, zip, job->kind, job->mask);
}

static PQK_INLINE void quantize_any(const char *x, char *q, int m, size_t at, const struct quantize_context *c,
                                    pqk_type type, enum integer_kind kind)
{
    const struct quantize_job job = {.type = type,
                                     .kind = kind,
                                     .way = c->way,
                                     .limits = quantize_eight(kind) ? AFFINE_NATURAL : AFFINE_BOTH,
                                     .c = c};
    vf32 in[4];
    vs32 out[4], z[4];
    load_float_block(in, x, m, type);
    unrolled_for (int v = 0; v < 4; ++v) {
        const size_t column = part_of(m, v) ? at + (size_t)v * VL : at;
        const struct affine_consts k = c->by_column ? affine_of_columns(c->p, column) : affine_of_row(c->p, at);
        out[v] = quantize_vec(in[v], &k, &job);
        z[v] = k.z;
    }
    store_integers_part(q, m, out, z, kind, c->mask);
}

/* Where vs32_round() falls to INT32_MIN for all that is too large, blocks can be tried without limits of x.  The 16-bit
 * lanes on the way to 8 bits, of which one minimum serves two registers, show afterwards whether anything was so large,
 * or as low, or NaN; then the same is done once more with limits.  That saves an operation in six, and the constants of
 * the limits: registers and loads. */
static PQK_INLINE struct quantize_job quantize_unlimited(struct quantize_job job)
{
    job.limits = AFFINE_UNLIMITED;
    return job;
}

static PQK_INLINE bool quantize_may_try(const struct quantize_job *job)
{
    return PQK_ROUND_FALLS && job->limits == AFFINE_NATURAL && job->way != AFFINE_GENERAL;
}

static PQK_INLINE bool quantize_failed(vs16 seen) { return vs16_any_above(quantize_all(INT16_MIN + 1), seen); }

/* Whole blocks with the constants of one row. */
static PQK_INLINE vs16 quantize_blocks(const char *x, char *q, size_t n, const struct affine_consts *k,
                                       const struct quantize_job *job)
{
    const struct affine_consts *const ks[4] = {k, k, k, k};
    const int step = 4 * VL * float_size(job->type), q_step = 4 * VL * kind_bits(job->kind) / 8;
    vs16 seen = quantize_all(0);
    for (; n >= 4 * VL; n -= 4 * VL, x += step, q += q_step) quantize_block(x, q, ks, true, &seen, job);
    return seen;
}

/* n elements with the constants k of one row, which are those at index `at`. */
static PQK_INLINE void quantize_run(const char *x, char *q, size_t n, const struct affine_consts *k, size_t at,
                                    const struct quantize_job *job)
{
    enum { CHUNK = 2048 }; /* 4 KiB of x: still in the L1 cache if it must be read again */
    const struct quantize_job unlimited = quantize_unlimited(*job);
    const size_t size = (size_t)float_size(job->type), bits = (size_t)kind_bits(job->kind);
    const size_t whole = n / (4 * VL) * (4 * VL);
    const bool may_try =
        quantize_may_try(job) && job->type != PQK_F32; /* of which the ports of Zen 4 take either way */
    for (size_t i = 0, m; i < whole; i += m, x += m * size, q += m * bits / 8) {
        m = may_try && whole - i > CHUNK ? CHUNK : whole - i;
        if (may_try && !quantize_failed(quantize_blocks(x, q, m, k, &unlimited))) continue;
        quantize_blocks(x, q, m, k, job);
    }
    if (whole < n) job->any(x, q, (int)(n - whole), at, job->c);
}

/* Some rows of n elements, 2 VL or 4 VL, one behind the other in memory: blocks of 32 and 64 on AVX-512. */
static PQK_INLINE vs16 quantize_short_rows(const char *x, char *q, size_t first, size_t rows, size_t n, bool one,
                                           const struct quantize_job *job)
{
    const size_t each = 4 * VL / n, step = 4 * VL * (size_t)float_size(job->type);
    const size_t q_step = 4 * VL * (size_t)kind_bits(job->kind) / 8;
    vs16 seen = quantize_all(0);
    for (size_t r = first; r < first + rows; r += each, x += step, q += q_step) {
        const struct affine_consts k0 = affine_of_row(job->c->p, one ? 0 : r);
        const struct affine_consts k1 = affine_of_row(job->c->p, one ? 0 : r + each - 1);
        const struct affine_consts *const ks[4] = {&k0, &k0, &k1, &k1};
        quantize_block(x, q, ks, true, &seen, job);
    }
    return seen;
}

/* `count` (4 or 8) registers of columns down some rows, their constants in registers.  `ahead` bytes further is what to
 * fetch from memory meanwhile, or it is 0. */
static PQK_INLINE vs16 quantize_strip(const char *x, ptrdiff_t x_stride, char *q, ptrdiff_t q_stride, size_t rows,
                                      size_t column, int count, ptrdiff_t ahead, const struct quantize_job *job)
{
    const int step = 4 * VL * float_size(job->type), q_step = 4 * VL * kind_bits(job->kind) / 8;
    struct affine_consts k[8];
    vs16 seen = quantize_all(0);
    unrolled_for (int v = 0; v < count; ++v) k[v] = affine_of_columns(job->c->p, column + (size_t)v * VL);
    for (size_t r = 0; r < rows; ++r, x += x_stride, q += q_stride) {
        for (int line = 0; ahead && line < count / 4 * step; line += 64) pqk_fetch_ahead(x + ahead + line);
        unrolled_for (int v = 0; v < count; v += 4) {
            const struct affine_consts *const ks[4] = {&k[v], &k[v + 1], &k[v + 2], &k[v + 3]};
            quantize_block(x + v / 4 * step, q + v / 4 * q_step, ks, false, &seen, job);
        }
    }
    return seen;
}

/* n columns of some rows, n a multiple of 4 VL. */
static PQK_INLINE void quantize_blocks_of_columns(const char *x, ptrdiff_t x_stride, char *q, ptrdiff_t q_stride,
                                                  size_t rows, size_t n, ptrdiff_t ahead,
                                                  const struct quantize_job *job)
{
    enum { WIDE = VL == 16 ? 8 : 4 }; /* registers; 32 of them hold the constants of 8 */
    const struct quantize_job unlimited = quantize_unlimited(*job);
    const size_t size = (size_t)float_size(job->type), bits = (size_t)kind_bits(job->kind);
    for (size_t i = 0, m; i < n; i += m, x += m * size, q += m * bits / 8) {
        const bool wide = quantize_may_try(job) && n - i >= WIDE * VL;
        m = wide ? WIDE * VL : 4 * VL;
        if (wide && !quantize_failed(quantize_strip(x, x_stride, q, q_stride, rows, i, WIDE, ahead, &unlimited)))
            continue;
        for (size_t j = 0; j < m; j += 4 * VL)
            quantize_strip(x + j * size, x_stride, q + j * bits / 8, q_stride, rows, i + j, 4, ahead, job);
    }
}

static PQK_INLINE void quantize_rows(const struct pqk_tile *t, size_t first, size_t rows,
                                     const struct quantize_job *job)
{
    const char *x = t->data[0] + (ptrdiff_t)first * t->row_stride[0];
    char *q = t->data[1] + (ptrdiff_t)first * t->row_stride[1];
    const bool one = t->param_row == 0, stream = PQK_CAN_STREAM && t->stream;
    const size_t x_size = (size_t)float_size(job->type), q_bits = (size_t)kind_bits(job->kind);
    enum { SHORT_ROWS = 64 }; /* tried before it is seen whether that went well: 16 KiB of x at most */
    PQK_ALIGNED(64) char buffer[PQK_STREAM_CHUNK];
    size_t r = 0;

    /* Short rows, one behind the other: blocks of 32 elements on AVX-512 and on AVX2. */
    const bool dense =
        t->row_stride[1] == (ptrdiff_t)(t->n * q_bits / 8) && t->row_stride[0] == (ptrdiff_t)(t->n * x_size);
    if (dense && (t->n == 2 * VL || t->n == 4 * VL)) {
        const struct quantize_job unlimited = quantize_unlimited(*job);
        const size_t whole = t->n == 4 * VL ? rows : rows / 2 * 2;
        for (size_t m; r < whole; r += m, x += m * t->n * x_size, q += m * t->n * q_bits / 8) {
            m = whole - r < SHORT_ROWS ? whole - r : SHORT_ROWS;
            if (quantize_may_try(job) && !quantize_failed(quantize_short_rows(x, q, r, m, t->n, one, &unlimited)))
                continue;
            quantize_short_rows(x, q, r, m, t->n, one, job);
        }
    }
    for (; r < rows; ++r, x += t->row_stride[0], q += t->row_stride[1]) {
        const struct affine_consts k = affine_of_row(job->c->p, one ? 0 : r);
        for (size_t i = 0, m; i < t->n; i += m) {
            char *home = q + i * q_bits / 8;
            m = stream ? pqk_stream_elements(home, t->n - i, (int)q_bits) : t->n;
            quantize_run(x + i * x_size, stream ? buffer : home, m, &k, one ? 0 : r, job);
            if (stream) pqk_stream_copy(home, buffer, (m * q_bits + 7) / 8);
        }
    }
}

/* Rows are taken COLUMN_ROWS at a time, so that their parts of a page are read soon after one another.  Where DRAM
 * limits: one at a time if a row is no wider than the constants, because memory is read in order then; else
 * STREAM_ROWS, while the same columns of the rows after them are fetched, which no CPU foresees. */
static PQK_INLINE void quantize_columns(const struct pqk_tile *t, size_t first, size_t columns,
                                        const struct quantize_job *job)
{
    enum { COLUMN_ROWS = 16, STREAM_ROWS = 8 };
    const size_t x_size = (size_t)float_size(job->type), q_bits = (size_t)kind_bits(job->kind);
    const bool stream = PQK_CAN_STREAM && t->stream, in_order = stream && columns == t->n;
    const size_t whole = columns / (4 * VL) * (4 * VL), group = in_order ? 1 : stream ? STREAM_ROWS : COLUMN_ROWS;
    PQK_ALIGNED(64) char buffer[STREAM_ROWS][AFFINE_COLUMNS * 2];

    for (size_t r = 0; r < t->rows; r += group) {
        const size_t rows = t->rows - r < group ? t->rows - r : group;
        const bool more = stream && !in_order && t->rows - r >= 2 * group;
        const char *x = t->data[0] + (ptrdiff_t)r * t->row_stride[0] + first * x_size;
        char *q = t->data[1] + (ptrdiff_t)r * t->row_stride[1] + first * q_bits / 8;
        quantize_blocks_of_columns(x, t->row_stride[0], stream ? buffer[0] : q,
                                   stream ? (ptrdiff_t)sizeof buffer[0] : t->row_stride[1], rows, whole,
                                   more ? (ptrdiff_t)group * t->row_stride[0] : 0, job);
        for (size_t i = 0; stream && i < rows; ++i)
            pqk_stream_copy(q + (ptrdiff_t)i * t->row_stride[1], buffer[i], whole * q_bits / 8);
        for (size_t i = 0; whole < columns && i < rows; ++i)
            job->any(x + (ptrdiff_t)i * t->row_stride[0] + whole * x_size,
                     q + (ptrdiff_t)i * t->row_stride[1] + whole * q_bits / 8, (int)(columns - whole), whole, job->c);
    }
}

/* `count` rows or columns any way, block by block. */
static PQK_INLINE void quantize_rest(const struct pqk_tile *t, size_t first, size_t count,
                                     const struct quantize_job *job)
{
    const size_t x_size = (size_t)float_size(job->type), q_bits = (size_t)kind_bits(job->kind);
    const bool by_column = job->c->by_column;
    const size_t rows = by_column ? t->rows : count, n = by_column ? count : t->n;
    const size_t row = by_column ? 0 : first, column = by_column ? first : 0;
    for (size_t r = 0; r < rows; ++r) {
        const char *x = t->data[0] + (ptrdiff_t)(row + r) * t->row_stride[0] + column * x_size;
        char *q = t->data[1] + (ptrdiff_t)(row + r) * t->row_stride[1] + column * q_bits / 8;
        for (size_t i = 0; i < n; i += 4 * VL) {
            const int m = n - i < 4 * VL ? (int)(n - i) : 4 * VL;
            job->any(x + i * x_size, q + i * q_bits / 8, m, by_column ? i : t->param_row ? r : 0, job->c);
        }
    }
}

/* The bits of S4 and U4, or of S2 and U2. */
static PQK_INLINE int8_t quantize_mask(const struct pqk_affine *a) { return a->quant_max - a->quant_min > 3 ? 15 : 3; }

static PQK_INLINE void quantize_part(const struct pqk_tile *t, size_t first, size_t count, enum affine_way way,
                                     struct quantize_job job)
{
    job.way = way;
    /* The scalar layer knows no other way, and has its loops. */
    if (VL > 1 && job.way == AFFINE_GENERAL)
        quantize_rest(t, first, count, &job);
    else if (job.c->by_column)
        quantize_columns(t, first, count, &job);
    else
        quantize_rows(t, first, count, &job);
}

static PQK_INLINE void quantize_tile(const struct pqk_tile *t, const struct pqk_affine *a, pqk_type type,
                                     enum integer_kind kind, quantize_any_fn *any)
{
    struct affine_prepared p;
    const bool by_column = t->param_col != 0, one = !by_column && t->param_row == 0;
    const bool eight = VL > 1 && quantize_eight(kind), common = eight && type == PQK_F32;
    const int8_t mask = quantize_mask(a);
    const ptrdiff_t stride = by_column ? t->param_col : t->param_row;
    const size_t total = by_column ? t->n : t->rows, step = one ? total : by_column ? AFFINE_COLUMNS : AFFINE_ROWS;

    for (size_t i = 0; i < total; i += step) {
        const size_t count = total - i < step ? total - i : step;
        affine_prepare(&p, a, t->param + (ptrdiff_t)i * stride, stride, one ? 1 : count, 0);
        const enum affine_way found = affine_way_of(&p, a);
        const enum affine_way way =
            eight && found == AFFINE_EVEN && a->quotient == PQK_MULTIPLY ? AFFINE_PRODUCT : found;
        const struct quantize_context c = {way, by_column, mask, a, &p};
        struct quantize_job job = {.type = type,
                                   .kind = kind,
                                   .limits = eight || quantize_few(kind) ? AFFINE_NATURAL : AFFINE_BOTH,
                                   .lowest = quantize_all(a->quant_min),
                                   .highest = quantize_all(a->quant_max),
                                   .mask = mask,
                                   .any = any,
                                   .c = &c};
        /* Each branch compiles its own loops. */
        if (eight && way == AFFINE_EVEN && !a->zero_point)
            job.centered = true, quantize_part(t, i, count, AFFINE_EVEN, job);
        else if (VL > 1 && way == AFFINE_EVEN)
            quantize_part(t, i, count, AFFINE_EVEN, job);
        else if (eight && way == AFFINE_PRODUCT)
            quantize_part(t, i, count, AFFINE_PRODUCT, job);
        else if (common && way == AFFINE_AWAY)
            quantize_part(t, i, count, AFFINE_AWAY, job);
        else if (common && way == AFFINE_ADDED)
            quantize_part(t, i, count, AFFINE_ADDED, job);
        else if (common && way == AFFINE_FUSED)
            quantize_part(t, i, count, AFFINE_FUSED, job);
        else
            quantize_part(t, i, count, AFFINE_GENERAL, job);
    }
    if (PQK_CAN_STREAM && t->stream) pqk_stream_end();
}

#define TYPE_f32  PQK_F32
#define TYPE_f16  PQK_F16
#define TYPE_bf16 PQK_BF16
#define KIND_s8   KIND_S8
#define KIND_u8   KIND_U8
#define KIND_n8   KIND_N8
#define KIND_s16  KIND_S16
#define KIND_u16  KIND_U16
#define KIND_n4   KIND_N4
#define KIND_n2   KIND_N2
#define PQK_QUANTIZE_KERNEL(in, out)                                                                   \
    static PQK_NOINLINE void any_##in##_##out(const char *x, char *q, int m, size_t at,                \
                                              const struct quantize_context *c)                        \
    {                                                                                                  \
        quantize_any(x, q, m, at, c, TYPE_##in, KIND_##out);                                           \
    }                                                                                                  \
    pqk_quantize_fn PQK_NAME(quantize_##in##_##out);                                                   \
    void PQK_NAME(quantize_##in##_##out)(const struct pqk_tile *tile, const struct pqk_affine *affine) \
    {                                                                                                  \
        quantize_tile(tile, affine, TYPE_##in, KIND_##out, any_##in##_##out);                          \
    }
PQK_QUANTIZE_ALL(PQK_QUANTIZE_KERNEL)
