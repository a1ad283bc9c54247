/* observe_tpl.h -- the loops of every observe kernel, written once.
 *
 * Include after defining PQK_ISA and including simd/vec_<isa>.h.  observe.h says what is computed.
 *
 * NaN and infinities are rare, so a product watches for both: 0 x is 0 unless x is one of them, and then NaN, for
 * good.  Only where it turned NaN are the elements looked at again, to be counted, while they are still in the L1
 * cache.  The product runs on the multipliers, beside minimum and maximum on the adders (Zen 4).
 *
 *   by row      four vectors each of minimum, maximum and product, or one of each where rows are short, with one
 *               product for many rows; the last vector of a row may overlap the one before
 *   by column   strips of columns whose results are on the stack, four rows at a time
 *
 * Minima and maxima take x first: vf32_min(x, m) is m where x is NaN.
 * The limiting resource is the load, and for F32 in the L1 cache minimum and maximum: two ports.
 */
#include <math.h>
#include "observe/observe.h"
#include "simd/elements.h"

enum {
    OBSERVE_CHUNK = 4096,  /* elements between two looks at the product */
    OBSERVE_ROWS = 64,     /* results that are merged at a time */
    OBSERVE_COLUMNS = 1024 /* 4 KiB of a float32 row: the results fit the L1 cache, and memory is read in order */
};

struct observe_acc {
    vf32 min, max, watch;
};

static PQK_INLINE void observe_vec(struct observe_acc *acc, vf32 x)
{
    acc->min = vf32_min(x, acc->min);
    acc->max = vf32_max(x, acc->max);
    acc->watch = vf32_mul(x, acc->watch);
}

static PQK_INLINE vs32 observe_is(vs32 magnitude, int32_t bits) { return vs32_equal(magnitude, vs32_set1(bits)); }

/* Is a lane NaN?  The others are 0 or -0. */
static PQK_INLINE bool observe_alarmed(vf32 watch)
{
    return vs32_any(vs32_and(vs32_bits(watch), vs32_set1(INT32_MAX)));
}

/* -1 where x is NaN, and where it is infinite. */
static PQK_INLINE void observe_classify(vf32 x, vs32 *nan, vs32 *inf)
{
    const vs32 magnitude = vs32_and(vs32_bits(x), vs32_set1(INT32_MAX));
    *inf = observe_is(magnitude, 0x7f800000);
    *nan = observe_is(vs32_min(magnitude, vs32_set1(0x7f800001)), 0x7f800001);
}

/* Up to VL elements from i on, and zeros, which are neither NaN nor infinite. */
static PQK_INLINE vf32 observe_load(const char *x, size_t i, size_t n, pqk_type type)
{
    const char *at = x + i * (size_t)float_size(type);
    return n - i >= VL ? load_float(at, type) : load_float_part(at, (int)(n - i), type);
}

/* Adds the counts of a run of n <= OBSERVE_CHUNK elements. */
static PQK_NOINLINE void observe_count(const char *x, size_t n, pqk_type type, int64_t *nans, int64_t *infs)
{
    vs32 nan_lanes = vs32_set1(0), inf_lanes = vs32_set1(0);
    int32_t lanes[2][VL];
    for (size_t i = 0; i < n; i += VL) {
        vs32 nan, inf;
        observe_classify(observe_load(x, i, n, type), &nan, &inf);
        nan_lanes = vs32_sub(nan_lanes, nan);
        inf_lanes = vs32_sub(inf_lanes, inf);
    }
    vs32_store(lanes[0], nan_lanes);
    vs32_store(lanes[1], inf_lanes);
    for (int i = 0; i < VL; ++i) {
        *nans += lanes[0][i];
        *infs += lanes[1][i];
    }
}

/* Adds the counts of each of n columns of one row. */
static PQK_NOINLINE void observe_count_columns(const char *x, size_t n, pqk_type type, int64_t *nans, int64_t *infs)
{
    int32_t lanes[2][VL];
    for (size_t i = 0; i < n; i += VL) {
        vs32 nan, inf;
        observe_classify(observe_load(x, i, n, type), &nan, &inf);
        if (!vs32_any(vs32_or(nan, inf))) continue;
        vs32_store(lanes[0], nan);
        vs32_store(lanes[1], inf);
        for (size_t j = 0; j < VL && i + j < n; ++j) {
            nans[i + j] -= lanes[0][j];
            infs[i + j] -= lanes[1][j];
        }
    }
}

/* The extremes of m elements of 16 bits, in integer lanes: `acc` takes the largest and the smallest of each lane, to
 * which the product of a NaN or infinity belongs.  Returns how many elements of m that were: none where one of them
 * is NaN or infinite, which are for the loop that can skip them. */
static PQK_INLINE size_t observe_halves(const char *x, size_t m, pqk_type type, struct observe_acc acc[4])
{
    enum { STEP = 8 * VL };
    PQK_ALIGNED(64) char extremes[2][4 * VL];
    vs16 min[4], max[4];
    size_t i = STEP;
    if (m < STEP) return 0;
    unrolled_for (int v = 0; v < 4; ++v) min[v] = max[v] = vs16_sortable(vs16_load(x + v * 4 * VL));
    for (; i + STEP <= m; i += STEP)
        unrolled_for (int v = 0; v < 4; ++v) {
            const vs16 key = vs16_sortable(vs16_load(x + 2 * i + v * 4 * VL));
            min[v] = vs16_min(min[v], key);
            max[v] = vs16_max(max[v], key);
        }
    v16_store(extremes[0], vs16_sortable(vs16_min(vs16_min(min[0], min[1]), vs16_min(min[2], min[3]))));
    v16_store(extremes[1], vs16_sortable(vs16_max(vs16_max(max[0], max[1]), vs16_max(max[2], max[3]))));
    struct observe_acc next[2] = {acc[0], acc[1]};
    unrolled_for (int v = 0; v < 4; ++v) observe_vec(&next[v % 2], load_float(extremes[v / 2] + v % 2 * 2 * VL, type));
    if (observe_alarmed(vf32_add(next[0].watch, next[1].watch))) return 0;
    acc[0] = next[0];
    acc[1] = next[1];
    return i;
}

/* A row of n < VL elements. */
static PQK_NOINLINE void observe_short_row(const char *x, size_t n, pqk_type type, float *min, float *max,
                                           int64_t *nans, int64_t *infs)
{
    float lanes[VL];
    vf32_store_f32(lanes, load_float_part(x, (int)n, type));
    for (size_t i = 0; i < n; ++i) {
        if (lanes[i] < *min) *min = lanes[i];
        if (lanes[i] > *max) *max = lanes[i];
    }
    observe_count(x, n, type, nans, infs);
}

/* A row of n >= VL elements. */
static PQK_INLINE void observe_row(const char *x, size_t n, pqk_type type, float *min, float *max, int64_t *nans,
                                   int64_t *infs)
{
    const size_t size = (size_t)float_size(type);
    struct observe_acc acc[4];
    unrolled_for (int v = 0; v < 4; ++v) {
        acc[v].min = vf32_set1(INFINITY);
        acc[v].max = vf32_set1(-INFINITY);
    }
    for (size_t done = 0, m; done < n; done += m) {
        const char *chunk = x + done * size;
        size_t i = 0;
        m = n - done < OBSERVE_CHUNK ? n - done : OBSERVE_CHUNK;
        unrolled_for (int v = 0; v < 4; ++v) acc[v].watch = vf32_set1(0.0f);
        if (VL > 1 && type != PQK_F32) i = observe_halves(chunk, m, type, acc);
        for (; i + 4 * VL <= m; i += 4 * VL)
            unrolled_for (int v = 0; v < 4; ++v)
                observe_vec(&acc[v], load_float(chunk + (i + (size_t)v * VL) * size, type));
        for (; i + VL <= m; i += VL) observe_vec(&acc[0], load_float(chunk + i * size, type));
        if (i < m) observe_vec(&acc[0], load_float(x + (n - VL) * size, type));
        const vf32 watch = vf32_add(vf32_add(acc[0].watch, acc[1].watch), vf32_add(acc[2].watch, acc[3].watch));
        if (observe_alarmed(watch)) observe_count(chunk, m, type, nans, infs);
    }
    *min = vf32_reduce_min(vf32_min(vf32_min(acc[0].min, acc[1].min), vf32_min(acc[2].min, acc[3].min)));
    *max = vf32_reduce_max(vf32_max(vf32_max(acc[0].max, acc[1].max), vf32_max(acc[2].max, acc[3].max)));
}

/* `rows` rows of n elements, VL <= n <= 8 VL: too short for four accumulators and a look at each product. */
static PQK_INLINE void observe_block_rows(const char *x, ptrdiff_t stride, size_t rows, size_t n, pqk_type type,
                                          float *min, float *max, int64_t *nans, int64_t *infs)
{
    const size_t size = (size_t)float_size(type);
    struct observe_acc acc = {.watch = vf32_set1(0.0f)};
    for (size_t r = 0; r < rows; ++r) {
        const char *row = x + (ptrdiff_t)r * stride;
        acc.min = vf32_set1(INFINITY);
        acc.max = vf32_set1(-INFINITY);
        for (size_t i = 0; i + VL <= n; i += VL) observe_vec(&acc, load_float(row + i * size, type));
        if (n % VL) observe_vec(&acc, load_float(row + (n - VL) * size, type));
        min[r] = vf32_reduce_min(acc.min);
        max[r] = vf32_reduce_max(acc.max);
    }
    if (!observe_alarmed(acc.watch)) return;
    for (size_t r = 0; r < rows; ++r) observe_count(x + (ptrdiff_t)r * stride, n, type, &nans[r], &infs[r]);
}

static PQK_INLINE void observe_rows(const struct pqk_tile *t, const struct pqk_observe_out *out, pqk_type type)
{
    for (size_t first = 0; first < t->rows; first += OBSERVE_ROWS) {
        const size_t rows = t->rows - first < OBSERVE_ROWS ? t->rows - first : OBSERVE_ROWS;
        const ptrdiff_t stride = t->row_stride[0];
        const char *x = t->data[0] + (ptrdiff_t)first * stride;
        float min[OBSERVE_ROWS], max[OBSERVE_ROWS];
        int64_t nans[OBSERVE_ROWS], infs[OBSERVE_ROWS];
        for (size_t r = 0; r < rows; ++r) {
            min[r] = INFINITY;
            max[r] = -INFINITY;
            nans[r] = infs[r] = 0;
        }
        if (t->n >= VL && t->n <= 8 * VL) {
            observe_block_rows(x, stride, rows, t->n, type, min, max, nans, infs);
        } else {
            for (size_t r = 0; r < rows; ++r, x += stride) {
                if (t->n < VL)
                    observe_short_row(x, t->n, type, &min[r], &max[r], &nans[r], &infs[r]);
                else
                    observe_row(x, t->n, type, &min[r], &max[r], &nans[r], &infs[r]);
            }
        }
        const struct pqk_observe_found found = {min, max, nans, infs};
        pqk_observe_merge(out, t->param + (ptrdiff_t)first * t->param_row, t->param_row, rows, &found);
    }
}

/* Merges `rows` rows, 4 or 1 and a compile-time constant, into min and max; is a NaN or an infinity among them? */
static PQK_INLINE bool observe_columns(const char *const x[4], int rows, size_t n, pqk_type type, float *min,
                                       float *max)
{
    vf32 watch = vf32_set1(0.0f);
    for (size_t i = 0; i < n; i += VL) {
        struct observe_acc acc = {vf32_load_f32(min + i), vf32_load_f32(max + i), vf32_set1(0.0f)};
        unrolled_for (int r = 0; r < 4; ++r)
            if (r < rows) observe_vec(&acc, observe_load(x[r], i, n, type));
        vf32_store_f32(min + i, acc.min);
        vf32_store_f32(max + i, acc.max);
        watch = vf32_add(watch, acc.watch);
    }
    return observe_alarmed(watch);
}

static PQK_INLINE void observe_strips(const struct pqk_tile *t, const struct pqk_observe_out *out, pqk_type type)
{
    float min[OBSERVE_COLUMNS], max[OBSERVE_COLUMNS];
    int64_t nans[OBSERVE_COLUMNS], infs[OBSERVE_COLUMNS];
    const bool alone = t->stream && t->n <= 1024; /* memory is read in order then, and that limits */

    for (size_t first = 0; first < t->n; first += OBSERVE_COLUMNS) {
        const size_t n = t->n - first < OBSERVE_COLUMNS ? t->n - first : OBSERVE_COLUMNS;
        const char *x = t->data[0] + first * (size_t)float_size(type);
        bool counted = false;
        for (size_t i = 0; i < OBSERVE_COLUMNS && i < n + VL; ++i) {
            min[i] = INFINITY;
            max[i] = -INFINITY;
        }
        for (size_t r = 0, group; r < t->rows; r += group) {
            const char *rows[4] = {x, x, x, x};
            group = alone || t->rows - r < 4 ? 1 : 4;
            for (size_t i = 0; i < group; ++i, x += t->row_stride[0]) rows[i] = x;
            if (group == 4 ? !observe_columns(rows, 4, n, type, min, max)
                           : !observe_columns(rows, 1, n, type, min, max))
                continue;
            for (size_t i = 0; i < n && !counted; ++i) nans[i] = infs[i] = 0;
            counted = true;
            for (size_t i = 0; i < group; ++i) observe_count_columns(rows[i], n, type, nans, infs);
        }
        const struct pqk_observe_found found = {min, max, counted ? nans : NULL, counted ? infs : NULL};
        pqk_observe_merge(out, t->param + (ptrdiff_t)first * t->param_col, t->param_col, n, &found);
    }
}

static PQK_INLINE void observe_tile(const struct pqk_tile *t, const struct pqk_observe_out *out, pqk_type type)
{
    if (t->param_col == 0)
        observe_rows(t, out, type);
    else
        observe_strips(t, out, type);
}

#define TYPE_f32  PQK_F32
#define TYPE_f16  PQK_F16
#define TYPE_bf16 PQK_BF16
#define PQK_OBSERVE_KERNEL(type)                                                                  \
    pqk_observe_fn PQK_NAME(observe_##type);                                                      \
    void PQK_NAME(observe_##type)(const struct pqk_tile *tile, const struct pqk_observe_out *out) \
    {                                                                                             \
        observe_tile(tile, out, TYPE_##type);                                                     \
    }
PQK_OBSERVE_ALL(PQK_OBSERVE_KERNEL)
