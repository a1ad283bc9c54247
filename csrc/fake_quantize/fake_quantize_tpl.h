/* fake_quantize_tpl.h -- the loops of every fake_quantize kernel, written once.
 *
 * Include after defining PQK_ISA and including simd/vec_<isa>.h.  fake_quantize.h says what is computed,
 * affine/affine_tpl.h how a real becomes an integer.  Here the limits of the integer are applied to the integer,
 * where they cost no multiplier port, and where the mask can see whether they changed it: for the mask x is limited
 * two steps outside the range, so that what is out of range stays so.
 *
 *   parameters by row      a row is a run of blocks of 4 VL with constants in registers
 *   parameters by column   VL columns of four rows at a time
 *
 * What is common (half to even, zero point outside the rounding, a scale for the fast way of affine_tpl.h) has loops
 * of its own; the rest, and runs too short for a vector, go to one function for all types.  Every vector of x is read
 * before y is written there: y may be x.
 */
#include "affine/affine_tpl.h"
#include "fake_quantize/fake_quantize.h"
#include "formats/canonical_nan.h"
#include "simd/elements.h"
#include "simd/stream.h"

/* What a loop needs to know; the first four are compile-time constants except in fake_quantize_any. */
struct fake_quantize_job {
    pqk_type type;
    bool masked;
    enum affine_way way;
    bool inside; /* a zero point is inside the rounding */
    const struct pqk_affine *a;
    const struct affine_prepared *p;
};

struct fake_quantize_consts {
    struct affine_consts k;
    vs32 lo, hi; /* of the integer as affine_integer() returns it */
    vs32 inside; /* the zero point that it still contains */
};

static PQK_INLINE struct fake_quantize_consts fake_quantize_consts_of(struct affine_consts k,
                                                                      const struct fake_quantize_job *job)
{
    const struct fake_quantize_consts c = {k, vs32_sub(vs32_set1(job->a->quant_min), k.z),
                                           vs32_sub(vs32_set1(job->a->quant_max), k.z),
                                           vs32_round(vf32_add(k.fused, k.added))};
    return c;
}

/* An integer before and after the limits, which are equal where the mask is 1. */
struct fake_quantize_seen {
    vs32 free[4], limited[4];
};

/* Lane group v of what was seen counts only where the job is masked. */
static PQK_INLINE vf32 fake_quantize_vec(vf32 x, struct fake_quantize_seen *seen, int v,
                                         const struct fake_quantize_consts *c, const struct fake_quantize_job *job)
{
    const vs32 free = affine_integer(x, &c->k, job->a, job->way, AFFINE_NATURAL);
    vs32 n = vs32_max(free, c->lo);
    if (job->masked) n = vs32_min(n, c->hi);
    seen->free[v] = free;
    seen->limited[v] = n;
    if (job->inside) n = vs32_sub(n, c->inside);
    return vf32_mul(vf32_from_s32(n), c->k.s);
}

/* The same in the general way, which limits the quotient: for the mask one step outside the range. */
static PQK_INLINE struct fake_quantize_consts fake_quantize_free(struct affine_consts k,
                                                                 const struct fake_quantize_job *job)
{
    if (job->masked && job->way == AFFINE_GENERAL) {
        k.lo = vf32_add(k.lo, vf32_set1(-1.0f));
        k.hi = vf32_add(k.hi, vf32_set1(1.0f));
    }
    return fake_quantize_consts_of(k, job);
}

/* n elements any way, of one row whose constants are at `first`, or of columns from `first` on. */
static PQK_NOINLINE void fake_quantize_any(const char *x, char *y, char *mask, size_t n, size_t first, bool by_column,
                                           const struct fake_quantize_job *job)
{
    const int step = 4 * VL * float_size(job->type);
    for (size_t i = 0; i < n; i += 4 * VL, x += step, y += step) {
        const int m = n - i < 4 * VL ? (int)(n - i) : 4 * VL;
        vf32 v[4];
        struct fake_quantize_seen seen;
        load_float_block(v, x, m, job->type);
        for (int j = 0; j < 4; ++j) {
            const size_t at = first + i + (size_t)(j * VL);
            const struct affine_consts k = !by_column      ? affine_of_row(job->p, first)
                                           : part_of(m, j) ? affine_of_columns(job->p, at)
                                                           : affine_of_columns(job->p, 0);
            const struct fake_quantize_consts c = fake_quantize_free(k, job);
            v[j] = fake_quantize_vec(v[j], &seen, j, &c, job);
        }
        store_float_block(y, v, m, job->type);
        if (job->masked) v8_store_part(mask + i, m, v8_equal4(seen.free, seen.limited));
    }
}

/* Two vectors of x to y: lane groups v and v + 1.  same: c is d, and the same in all lanes, which may change places
 * then, where no mask is to be in order. */
static PQK_INLINE void fake_quantize_two(const char *x, char *y, struct fake_quantize_seen *seen, int v, bool same,
                                         const struct fake_quantize_consts *c, const struct fake_quantize_consts *d,
                                         const struct fake_quantize_job *job)
{
    const bool zip = same && job->type == PQK_BF16 && !job->masked;
    vf32 in[2];
    if (zip) {
        vf32_load_zip_bf16(in, x);
    } else {
        in[0] = load_float(x, job->type);
        in[1] = load_float(x + VL * float_size(job->type), job->type);
    }
    const vf32 a = fake_quantize_vec(in[0], seen, v, c, job), b = fake_quantize_vec(in[1], seen, v + 1, d, job);
    if (zip)
        vf32_store2_zip_bf16(y, a, b);
    else
        store_two_floats(y, a, b, job->type);
}

/* The first n - n % 2 VL elements of a row, fast; returns how many that is. */
static PQK_INLINE size_t fake_quantize_run(const char *x, char *y, char *mask, size_t n,
                                           const struct fake_quantize_consts *c, const struct fake_quantize_job *job)
{
    const int step = 2 * VL * float_size(job->type);
    size_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL, x += 2 * step, y += 2 * step) {
        struct fake_quantize_seen seen;
        fake_quantize_two(x, y, &seen, 0, true, c, c, job);
        fake_quantize_two(x + step, y + step, &seen, 2, true, c, c, job);
        if (job->masked) v8_store(mask + i, v8_equal4(seen.free, seen.limited));
    }
    if (i + 2 * VL <= n) {
        struct fake_quantize_seen seen;
        for (int v = 2; v < 4; ++v) seen.free[v] = seen.limited[v] = vs32_set1(0);
        fake_quantize_two(x, y, &seen, 0, true, c, c, job);
        /* 2 VL, but no constant: of one the compiler makes lanes that are undefined, and MSan cannot tell that they
         * are not stored. */
        if (job->masked) v8_store_part(mask + i, (int)(n - i) & 2 * VL, v8_equal4(seen.free, seen.limited));
        i += 2 * VL;
    }
    return i;
}

/* The first n - n % 2 VL columns of four rows, fast; returns how many that is. */
static PQK_INLINE size_t fake_quantize_four_rows(const char *const x[4], char *const y[4], char *const mask[4],
                                                 size_t n, const struct fake_quantize_job *job)
{
    size_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL) {
        const struct fake_quantize_consts c = fake_quantize_consts_of(affine_of_columns(job->p, i), job);
        const struct fake_quantize_consts d = fake_quantize_consts_of(affine_of_columns(job->p, i + VL), job);
        const size_t at = i * (size_t)float_size(job->type);
        unrolled_for (int r = 0; r < 4; r += 2) {
            struct fake_quantize_seen seen;
            fake_quantize_two(x[r] + at, y[r] + at, &seen, 0, false, &c, &d, job);
            fake_quantize_two(x[r + 1] + at, y[r + 1] + at, &seen, 2, false, &c, &d, job);
            if (job->masked) {
                char *const to[4] = {mask[r] + i, mask[r] + i + VL, mask[r + 1] + i, mask[r + 1] + i + VL};
                v8_store_rows(to, v8_equal4(seen.free, seen.limited));
            }
        }
    }
    return i;
}

/* The first n - n % 4 VL columns of one row, fast; returns how many that is. */
static PQK_INLINE size_t fake_quantize_one_row(const char *x, char *y, char *mask, size_t n,
                                               const struct fake_quantize_job *job)
{
    const int step = 2 * VL * float_size(job->type);
    size_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL, x += 2 * step, y += 2 * step) {
        struct fake_quantize_seen seen;
        unrolled_for (int v = 0; v < 4; v += 2) {
            const struct fake_quantize_consts c =
                fake_quantize_consts_of(affine_of_columns(job->p, i + (size_t)v * VL), job);
            const struct fake_quantize_consts d =
                fake_quantize_consts_of(affine_of_columns(job->p, i + (size_t)(v + 1) * VL), job);
            fake_quantize_two(x + v / 2 * step, y + v / 2 * step, &seen, v, false, &c, &d, job);
        }
        if (job->masked) v8_store(mask + i, v8_equal4(seen.free, seen.limited));
    }
    return i;
}

static PQK_NOINLINE void fake_quantize_copy_out(char *to, const char *from, size_t bytes)
{
    pqk_stream_copy(to, from, bytes);
}

/* A tile's operand o at row r. */
static PQK_INLINE char *fake_quantize_row(const struct pqk_tile *t, int o, size_t r)
{
    return t->data[o] + (ptrdiff_t)r * t->row_stride[o];
}

/* Parameters of rows, `rows` of them from `first` on. */
static PQK_INLINE void fake_quantize_rows(const struct pqk_tile *t, size_t first, size_t rows,
                                          const struct fake_quantize_job *job)
{
    const size_t size = (size_t)float_size(job->type), row = t->n * size;
    const bool stream = PQK_CAN_STREAM && t->stream;
    const bool many = row <= PQK_STREAM_CHUNK / 2 && t->row_stride[1] == (ptrdiff_t)row; /* rows in the buffer */
    PQK_ALIGNED(64) char buffer[PQK_STREAM_CHUNK];
    size_t filled = 0;
    char *home = NULL; /* of the buffer */

    for (size_t r = 0; r < rows; ++r) {
        const size_t param = t->param_row ? r : 0;
        const struct fake_quantize_consts c = fake_quantize_consts_of(affine_of_row(job->p, param), job);
        const char *x = fake_quantize_row(t, 0, first + r);
        char *y = fake_quantize_row(t, 1, first + r), *mask = job->masked ? fake_quantize_row(t, 2, first + r) : NULL;
        for (size_t i = 0, m; i < t->n; i += m) {
            char *to = y + i * size, *mask_to = job->masked ? mask + i : NULL;
            m = t->n;
            if (stream) {
                if (!many) m = pqk_stream_elements(to, t->n - i, 8 * (int)size);
                if (!filled) home = to;
                to = buffer + filled;
                filled += m * size;
            }
            const size_t done = fake_quantize_run(x + i * size, to, mask_to, m, &c, job);
            if (done < m)
                fake_quantize_any(x + (i + done) * size, to + done * size, job->masked ? mask_to + done : NULL,
                                  m - done, param, false, job);
            if (filled && (!many || filled + row > PQK_STREAM_CHUNK || r + 1 == rows)) {
                fake_quantize_copy_out(home, buffer, filled);
                filled = 0;
            }
        }
    }
}

/* Parameters of columns, `columns` of them from `first` on. */
static PQK_INLINE void fake_quantize_columns(const struct pqk_tile *t, size_t first, size_t columns,
                                             const struct fake_quantize_job *job)
{
    const size_t size = (size_t)float_size(job->type);
    const bool stream = PQK_CAN_STREAM && t->stream;
    const bool alone = stream && t->n <= AFFINE_COLUMNS; /* memory is read in order then, and that limits */
    PQK_ALIGNED(64) char buffer[4][AFFINE_COLUMNS * 4];

    for (size_t r = 0, group; r < t->rows; r += group) {
        const char *xs[4];
        char *home[4], *ys[4], *masks[4];
        size_t done = 0;
        group = alone || t->rows - r < 4 ? 1 : 4;
        for (size_t i = 0; i < group; ++i) {
            xs[i] = fake_quantize_row(t, 0, r + i) + first * size;
            home[i] = fake_quantize_row(t, 1, r + i) + first * size;
            masks[i] = job->masked ? fake_quantize_row(t, 2, r + i) + first : NULL;
            ys[i] = stream ? buffer[i] : home[i];
        }
        if (group == 4)
            done = fake_quantize_four_rows(xs, ys, masks, columns, job);
        else
            done = fake_quantize_one_row(xs[0], ys[0], masks[0], columns, job);
        for (size_t i = 0; i < group; ++i) {
            if (done < columns)
                fake_quantize_any(xs[i] + done * size, ys[i] + done * size, job->masked ? masks[i] + done : NULL,
                                  columns - done, done, true, job);
            if (stream) fake_quantize_copy_out(home[i], buffer[i], columns * size);
        }
    }
}

/* Are the scales of `count` rows or columns? */
static PQK_INLINE bool fake_quantize_finite(const struct pqk_tile *t, size_t first, size_t count,
                                            const struct pqk_affine *a)
{
    const ptrdiff_t step = t->param_col ? t->param_col : t->param_row;
    return pqk_all_finite(a->scale + t->param + (ptrdiff_t)first * step, step, step ? count : 1);
}

/* `count` rows or columns from `first` on in the general way, and then whatever NaN an odd scale has made. */
static PQK_NOINLINE void fake_quantize_general(const struct pqk_tile *t, size_t first, size_t count,
                                               const struct fake_quantize_job *job)
{
    const bool by_column = t->param_col != 0;
    const size_t rows = by_column ? t->rows : count, n = by_column ? count : t->n;
    const size_t from_row = by_column ? 0 : first, from_column = by_column ? first : 0;
    const size_t at = from_column * (size_t)float_size(job->type);
    const ptrdiff_t stride = by_column ? t->param_col : t->param_row;
    const bool finite = fake_quantize_finite(t, first, count, job->a);

    for (size_t r = 0; r < rows; ++r) {
        char *y = fake_quantize_row(t, 1, from_row + r) + at;
        char *mask = job->masked ? fake_quantize_row(t, 2, from_row + r) + from_column : NULL;
        fake_quantize_any(fake_quantize_row(t, 0, from_row + r) + at, y, mask, n, stride && !by_column ? r : 0,
                          by_column, job);
        if (!finite) pqk_canonical_nans(y, n, job->type);
    }
}

static PQK_INLINE void fake_quantize_band(const struct pqk_tile *t, const struct pqk_affine *a, pqk_type type,
                                          bool masked)
{
    struct affine_prepared p;
    const bool inside = a->quotient == PQK_FUSED || a->quotient == PQK_MULTIPLY_ADD;
    const struct fake_quantize_job fast = {type, masked, AFFINE_EVEN, false, a, &p};
    const struct fake_quantize_job product = {type, masked, AFFINE_PRODUCT, false, a, &p};
    const bool by_column = t->param_col != 0, one = !by_column && t->param_row == 0;
    const size_t total = by_column ? t->n : t->rows;
    const size_t step = one ? total : by_column ? AFFINE_COLUMNS : AFFINE_ROWS;
    const ptrdiff_t stride = by_column ? t->param_col : t->param_row;

    for (size_t i = 0; i < total; i += step) {
        const size_t count = total - i < step ? total - i : step;
        affine_prepare(&p, a, t->param + (ptrdiff_t)i * stride, stride, one ? 1 : count, masked ? 2 : 0);
        const struct fake_quantize_job general = {type, masked, affine_way_of(&p, a), inside, a, &p};
        const bool odd = a->inverse && !fake_quantize_finite(t, i, count, a); /* else the way tells */
        if (VL == 1 || general.way != AFFINE_EVEN || inside || odd)
            fake_quantize_general(t, i, count, &general);
        else if (by_column && a->quotient == PQK_MULTIPLY)
            fake_quantize_columns(t, i, count, &product);
        else if (by_column)
            fake_quantize_columns(t, i, count, &fast);
        else if (a->quotient == PQK_MULTIPLY)
            fake_quantize_rows(t, i, count, &product);
        else
            fake_quantize_rows(t, i, count, &fast);
    }
}

/* Where memory limits and strips of columns are narrower than rows, some rows at a time: what the CPU fetches ahead
 * of one strip is then still in a cache when the next one wants it. */
enum { FAKE_QUANTIZE_BAND = 64 };

static PQK_INLINE void fake_quantize_tile(const struct pqk_tile *t, const struct pqk_affine *a, pqk_type type,
                                          bool masked)
{
    const bool bands = t->stream && t->param_col != 0 && t->n > AFFINE_COLUMNS;
    struct pqk_tile band = *t;
    for (size_t r = 0; r < t->rows; r += band.rows) {
        if (bands) band.rows = t->rows - r < FAKE_QUANTIZE_BAND ? t->rows - r : FAKE_QUANTIZE_BAND;
        for (int o = 0; o < (masked ? 3 : 2); ++o) band.data[o] = t->data[o] + (ptrdiff_t)r * t->row_stride[o];
        fake_quantize_band(&band, a, type, masked);
    }
    if (PQK_CAN_STREAM && t->stream) pqk_stream_end();
}

#define TYPE_f32  PQK_F32
#define TYPE_f16  PQK_F16
#define TYPE_bf16 PQK_BF16
#define MASKED_y  false
#define MASKED_ym true
#define PQK_FAKE_QUANTIZE_KERNEL(type, out)                                                                   \
    pqk_fake_quantize_fn PQK_NAME(fake_quantize_##type##_##out);                                              \
    void PQK_NAME(fake_quantize_##type##_##out)(const struct pqk_tile *tile, const struct pqk_affine *affine) \
    {                                                                                                         \
        fake_quantize_tile(tile, affine, TYPE_##type, MASKED_##out);                                          \
    }
PQK_FAKE_QUANTIZE_ALL(PQK_FAKE_QUANTIZE_KERNEL)
