/* dequantize_tpl.h -- the loops of every dequantize kernel, written once.
 *
 * Include after defining PQK_ISA and including simd/vec_<isa>.h.  dequantize.h says what is computed.  A block is
 * 4 VL elements, a register of the narrowest plain type.
 *
 *   parameters by row      a row is a run of blocks with its scale and zero point in registers; rows of exactly 2 VL
 *                          elements (blocks of 32 on AVX-512) are done two at a time
 *   parameters by column   VL columns of four rows at a time, so that constants are loaded once for four; narrow
 *                          types row by row in blocks
 *
 * These know that no result is NaN, because every scale of the tile is finite.  Where one is not, and for what is
 * left of a run (less than a vector, or than a block of a narrow type), there is one function for all types.
 * The limiting resource is the store: 64 bytes written for 16 read.
 */
#include "dequantize/dequantize.h"
#include "formats/canonical_nan.h"
#include "simd/elements.h"
#include "simd/stream.h"

enum {
    DEQUANTIZE_ROWS = 4,     /* that share the loads of constants */
    DEQUANTIZE_COLUMNS = 512 /* columns of them in the stream buffer; and parameters fetched at a time */
};

struct dequantize_job {
    enum integer_kind kind; /* a compile-time constant, as is type, except in dequantize_any */
    pqk_type type;
    int8_t mask, flip; /* of load_integers() */
    const struct pqk_affine *a;
};

struct dequantize_consts {
    vf32 s;
    vs32 z; /* zero point + flip */
};

/* Parameters of columns, one after the other. */
struct dequantize_columns {
    const float *s;
    const int32_t *z;
    size_t count;
};

static PQK_INLINE struct dequantize_consts dequantize_of_row(const struct dequantize_job *job, ptrdiff_t at)
{
    const int32_t z = job->a->zero_point ? job->a->zero_point[at] : 0;
    const struct dequantize_consts k = {vf32_set1(job->a->scale[at]), vs32_add(vs32_set1(z), vs32_set1(job->flip))};
    return k;
}

/* Of columns i ... i + VL - 1. */
static PQK_INLINE struct dequantize_consts dequantize_of_columns(const struct dequantize_columns *p, size_t i,
                                                                 const struct dequantize_job *job)
{
    const struct dequantize_consts k = {vf32_load_f32(p->s + i), vs32_add(vs32_load(p->z + i), vs32_set1(job->flip))};
    return k;
}

/* As far as there are any. */
static PQK_INLINE struct dequantize_consts dequantize_of_last_columns(const struct dequantize_columns *p, size_t i,
                                                                      const struct dequantize_job *job)
{
    if (i + VL <= p->count) return dequantize_of_columns(p, i, job);
    const int part = i < p->count ? (int)(p->count - i) : 0;
    const vs32 z = part ? vs32_bits(vf32_load_f32_part(p->z + i, part)) : vs32_set1(0);
    const struct dequantize_consts k = {part ? vf32_load_f32_part(p->s + i, part) : vf32_set1(0.0f),
                                        vs32_add(z, vs32_set1(job->flip))};
    return k;
}

static PQK_INLINE vf32 dequantize_vec(vs32 q, const struct dequantize_consts *k)
{
    return vf32_mul(vf32_from_s32(vs32_sub(q, k->z)), k->s);
}

static PQK_INLINE void dequantize_block(const char *q, char *y, const struct dequantize_consts *const k[4],
                                        const struct dequantize_job *job)
{
    const int half = 2 * VL * float_size(job->type);
    vs32 in[4];
    load_integers(in, q, job->kind, job->mask, job->flip);
    store_two_floats(y, dequantize_vec(in[0], k[0]), dequantize_vec(in[1], k[1]), job->type);
    store_two_floats(y + half, dequantize_vec(in[2], k[2]), dequantize_vec(in[3], k[3]), job->type);
}

/* n elements of any type with the parameters of one row, at `at`; or of the columns of p from `first` on. */
static PQK_NOINLINE void dequantize_any(const char *q, char *y, size_t n, ptrdiff_t at,
                                        const struct dequantize_columns *p, size_t first,
                                        const struct dequantize_job *job)
{
    for (size_t i = 0; i < n; i += 4 * VL) {
        const int m = n - i < 4 * VL ? (int)(n - i) : 4 * VL;
        vs32 in[4];
        vf32 out[4];
        load_integers_part(in, q + i * (size_t)kind_bits(job->kind) / 8, m, job->kind, job->mask, job->flip);
        for (int v = 0; v < 4; ++v) {
            const struct dequantize_consts k =
                p ? dequantize_of_last_columns(p, first + i + (size_t)(v * VL), job) : dequantize_of_row(job, at);
            out[v] = dequantize_vec(in[v], &k);
        }
        store_float_block(y + i * (size_t)float_size(job->type), out, m, job->type);
    }
}

/* n elements with the parameters of one row. */
static PQK_INLINE void dequantize_run(const char *q, char *y, size_t n, ptrdiff_t at, const struct dequantize_job *job)
{
    const struct dequantize_consts k = dequantize_of_row(job, at);
    const struct dequantize_consts *const ks[4] = {&k, &k, &k, &k};
    const int q_step = VL * kind_bits(job->kind) / 2, y_step = 4 * VL * float_size(job->type);
    for (; n >= 4 * VL; n -= 4 * VL, q += q_step, y += y_step) dequantize_block(q, y, ks, job);
    if (kind_is_plain(job->kind))
        for (; n >= VL; n -= VL, q += q_step / 4, y += y_step / 4)
            store_float(y, dequantize_vec(load_integer(q, job->kind), &k), job->type);
    if (n) dequantize_any(q, y, n, at, NULL, 0, job);
}

/* One rows x n piece of a tile; its strides in bytes are q_stride and y_stride, those of its parameters `step`. */
static PQK_INLINE void dequantize_rows(const char *q, ptrdiff_t q_stride, char *y, ptrdiff_t y_stride, size_t rows,
                                       size_t n, ptrdiff_t at, ptrdiff_t step, const struct dequantize_job *job)
{
    size_t r = 0;
    if (VL > 1 && n == 2 * VL && q_stride == VL * kind_bits(job->kind) / 4 &&
        y_stride == 2 * VL * float_size(job->type)) {
        for (; r + 2 <= rows; r += 2, q += 2 * q_stride, y += 2 * y_stride, at += 2 * step) {
            const struct dequantize_consts k0 = dequantize_of_row(job, at), k1 = dequantize_of_row(job, at + step);
            const struct dequantize_consts *const ks[4] = {&k0, &k0, &k1, &k1};
            dequantize_block(q, y, ks, job);
        }
    }
    for (; r < rows; ++r, q += q_stride, y += y_stride, at += step) dequantize_run(q, y, n, at, job);
}

static PQK_NOINLINE void dequantize_copy_out(char *to, const char *from, size_t bytes)
{
    pqk_stream_copy(to, from, bytes);
}

/* How much to make in the buffer of simd/stream.h: several rows where they are short and follow each other, else a
 * part of a row, which must leave q at a whole byte. */
static PQK_INLINE void dequantize_chunk(const struct pqk_tile *t, const char *y, size_t rows_left, size_t left,
                                        size_t *rows, size_t *n, const struct dequantize_job *job)
{
    const size_t row = t->n * (size_t)float_size(job->type);
    *rows = 1;
    if (t->row_stride[1] == (ptrdiff_t)row && row <= PQK_STREAM_CHUNK / 2) {
        *n = left;
        *rows = PQK_STREAM_CHUNK / row < rows_left ? PQK_STREAM_CHUNK / row : rows_left;
        return;
    }
    *n = pqk_stream_elements(y, left, 8 * float_size(job->type));
    if (*n < left && kind_bits(job->kind) < 8) *n -= *n % 4;
}

static PQK_INLINE void dequantize_by_row(const struct pqk_tile *t, const struct dequantize_job *job)
{
    const size_t size = (size_t)float_size(job->type);
    const bool stream = PQK_CAN_STREAM && t->stream;
    PQK_ALIGNED(64) char buffer[PQK_STREAM_CHUNK];

    for (size_t r = 0, rows = t->rows, n = t->n; r < t->rows; r += rows) {
        const char *q = t->data[0] + (ptrdiff_t)r * t->row_stride[0];
        char *y = t->data[1] + (ptrdiff_t)r * t->row_stride[1];
        for (size_t i = 0; i < t->n; i += n) {
            char *home = y + i * size;
            if (stream) dequantize_chunk(t, home, t->rows - r, t->n - i, &rows, &n, job);
            dequantize_rows(q + i * (size_t)kind_bits(job->kind) / 8, t->row_stride[0], stream ? buffer : home,
                            t->row_stride[1], rows, n, t->param + (ptrdiff_t)r * t->param_row, t->param_row, job);
            if (stream) dequantize_copy_out(home, buffer, rows * n * size);
        }
    }
}

/* n elements of one row whose columns are `first` and later ones. */
static PQK_INLINE void dequantize_one_row(const char *q, char *y, size_t n, size_t first,
                                          const struct dequantize_columns *p, const struct dequantize_job *job)
{
    const int q_step = VL * kind_bits(job->kind) / 2, y_step = 4 * VL * float_size(job->type);
    for (; n >= 4 * VL; n -= 4 * VL, first += 4 * VL, q += q_step, y += y_step) {
        const struct dequantize_consts k[4] = {
            dequantize_of_columns(p, first, job), dequantize_of_columns(p, first + VL, job),
            dequantize_of_columns(p, first + 2 * VL, job), dequantize_of_columns(p, first + 3 * VL, job)};
        const struct dequantize_consts *const ks[4] = {&k[0], &k[1], &k[2], &k[3]};
        dequantize_block(q, y, ks, job);
    }
    if (n) dequantize_any(q, y, n, 0, p, first, job);
}

/* The same for four rows of a plain type, as long as there are two vectors; returns how many elements that is. */
static PQK_INLINE size_t dequantize_four_rows(const char *const *q, char *const *y, size_t n, size_t first,
                                              const struct dequantize_columns *p, const struct dequantize_job *job)
{
    size_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL) {
        const struct dequantize_consts k = dequantize_of_columns(p, first + i, job);
        const struct dequantize_consts l = dequantize_of_columns(p, first + i + VL, job);
        unrolled_for (int r = 0; r < DEQUANTIZE_ROWS; ++r) {
            const char *from = q[r] + i * (size_t)kind_bits(job->kind) / 8;
            const vf32 a = dequantize_vec(load_integer(from, job->kind), &k);
            const vf32 b = dequantize_vec(load_integer(from + VL * kind_bits(job->kind) / 8, job->kind), &l);
            store_two_floats(y[r] + i * (size_t)float_size(job->type), a, b, job->type);
        }
    }
    return i;
}

/* All rows of the columns of p, q and y being those of the first. */
static PQK_INLINE void dequantize_strip(const struct pqk_tile *t, const char *q, char *y,
                                        const struct dequantize_columns *p, const struct dequantize_job *job)
{
    const size_t size = (size_t)float_size(job->type), bits = (size_t)kind_bits(job->kind);
    const bool stream = PQK_CAN_STREAM && t->stream;
    const size_t step = stream ? DEQUANTIZE_COLUMNS : p->count;
    const bool alone = stream && t->n <= 1024; /* constants are in the L1 cache, and memory is read in order */
    PQK_ALIGNED(64) char buffer[DEQUANTIZE_ROWS][DEQUANTIZE_COLUMNS * 4];

    for (size_t r = 0, group; r < t->rows; r += group) {
        group = alone || t->rows - r < DEQUANTIZE_ROWS ? 1 : DEQUANTIZE_ROWS;
        for (size_t i = 0; i < p->count; i += step) {
            const size_t n = p->count - i < step ? p->count - i : step;
            const char *qs[DEQUANTIZE_ROWS];
            char *home[DEQUANTIZE_ROWS], *ys[DEQUANTIZE_ROWS];
            size_t done = 0;
            for (size_t j = 0; j < group; ++j) {
                qs[j] = q + (ptrdiff_t)j * t->row_stride[0] + i * bits / 8;
                home[j] = y + (ptrdiff_t)j * t->row_stride[1] + i * size;
                ys[j] = stream ? buffer[j] : home[j];
            }
            if (VL > 1 && group == DEQUANTIZE_ROWS && kind_is_plain(job->kind))
                done = dequantize_four_rows(qs, ys, n, i, p, job);
            for (size_t j = 0; j < group; ++j) {
                if (done < n)
                    dequantize_one_row(qs[j] + done * bits / 8, ys[j] + done * size, n - done, i + done, p, job);
                if (stream) dequantize_copy_out(home[j], buffer[j], n * size);
            }
        }
        q += (ptrdiff_t)group * t->row_stride[0];
        y += (ptrdiff_t)group * t->row_stride[1];
    }
}

/* Parameters [first, first + count) of the columns: where they are, or else in lanes of DEQUANTIZE_COLUMNS. */
static PQK_NOINLINE struct dequantize_columns dequantize_fetch(float *s, int32_t *z, const struct pqk_tile *t,
                                                               size_t first, size_t count, const struct pqk_affine *a)
{
    const ptrdiff_t at = t->param + (ptrdiff_t)first * t->param_col;
    if (t->param_col == 1 && a->zero_point)
        return (struct dequantize_columns){a->scale + at, a->zero_point + at, count};
    for (size_t i = 0; i < count; ++i) {
        s[i] = a->scale[at + (ptrdiff_t)i * t->param_col];
        z[i] = a->zero_point ? a->zero_point[at + (ptrdiff_t)i * t->param_col] : 0;
    }
    return (struct dequantize_columns){s, z, count};
}

static PQK_INLINE void dequantize_by_column(const struct pqk_tile *t, const struct dequantize_job *job)
{
    const size_t step = t->param_col == 1 && job->a->zero_point ? t->n : DEQUANTIZE_COLUMNS;
    float s[DEQUANTIZE_COLUMNS];
    int32_t z[DEQUANTIZE_COLUMNS];
    for (size_t i = 0; i < t->n; i += step) {
        const struct dequantize_columns p = dequantize_fetch(s, z, t, i, t->n - i < step ? t->n - i : step, job->a);
        dequantize_strip(t, t->data[0] + i * (size_t)kind_bits(job->kind) / 8,
                         t->data[1] + i * (size_t)float_size(job->type), &p, job);
    }
}

/* Any tile, slowly, with the NaN of dequantize.h. */
static PQK_NOINLINE void dequantize_odd(const struct pqk_tile *t, const struct dequantize_job *job)
{
    float s[DEQUANTIZE_COLUMNS];
    int32_t z[DEQUANTIZE_COLUMNS];
    for (size_t r = 0; r < t->rows; ++r) {
        const char *q = t->data[0] + (ptrdiff_t)r * t->row_stride[0];
        char *y = t->data[1] + (ptrdiff_t)r * t->row_stride[1];
        const ptrdiff_t at = t->param + (ptrdiff_t)r * t->param_row;
        for (size_t i = 0; i < t->n; i += DEQUANTIZE_COLUMNS) {
            const size_t n = t->n - i < DEQUANTIZE_COLUMNS ? t->n - i : DEQUANTIZE_COLUMNS;
            const struct dequantize_columns p = dequantize_fetch(s, z, t, i, n, job->a);
            dequantize_any(q + i * (size_t)kind_bits(job->kind) / 8, y + i * (size_t)float_size(job->type), n, at,
                           t->param_col ? &p : NULL, 0, job);
        }
        pqk_canonical_nans(y, t->n, job->type);
    }
}

static PQK_INLINE void dequantize_tile(const struct pqk_tile *t, const struct pqk_affine *a, pqk_type type,
                                       enum integer_kind kind)
{
    const int range = kind_is_plain(kind) ? 0 : a->quant_max - a->quant_min;
    const int8_t flip = (int8_t)(kind_is_plain(kind) || a->quant_min == 0 ? 0 : (range + 1) / 2);
    const struct dequantize_job job = {kind, type, (int8_t)range, flip, a};
    const bool by_column = t->param_col != 0;
    const size_t count = by_column ? t->n : t->param_row ? t->rows : 1;

    if (!pqk_all_finite(a->scale + t->param, by_column ? t->param_col : t->param_row, count))
        dequantize_odd(t, &job);
    else if (!by_column)
        dequantize_by_row(t, &job);
    else
        dequantize_by_column(t, &job);
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
#define KIND_s32  KIND_S32
#define KIND_n4   KIND_N4
#define KIND_n2   KIND_N2
#define PQK_DEQUANTIZE_KERNEL(in, out)                                                                   \
    pqk_dequantize_fn PQK_NAME(dequantize_##in##_##out);                                                 \
    void PQK_NAME(dequantize_##in##_##out)(const struct pqk_tile *tile, const struct pqk_affine *affine) \
    {                                                                                                    \
        dequantize_tile(tile, affine, TYPE_##out, KIND_##in);                                            \
    }
PQK_DEQUANTIZE_ALL(PQK_DEQUANTIZE_KERNEL)
