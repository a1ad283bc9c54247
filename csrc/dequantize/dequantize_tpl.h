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
 * What is left of a run, less than a vector (a block of a narrow type), goes to one function for all types.
 * The limiting resource is the store: 64 bytes written for 16 read.
 */
#include "dequantize/dequantize.h"
#include "formats/canonical_nan.h"
#include "simd/elements.h"
#include "simd/stream.h"

/* Columns whose constants are on the stack at a time: 2 KiB of a float32 row. */
enum { DEQUANTIZE_COLUMNS = 512 };

struct dequantize_job {
    enum integer_kind kind; /* a compile-time constant, as is type, except in dequantize_part */
    pqk_type type;
    int8_t mask, flip; /* of load_integers() */
};

struct dequantize_consts {
    vf32 s;
    vs32 z; /* zero point + flip */
};

struct dequantize_columns {
    float s[DEQUANTIZE_COLUMNS + 4 * VL];
    int32_t z[DEQUANTIZE_COLUMNS + 4 * VL];
};

static PQK_INLINE vf32 dequantize_vec(vs32 q, const struct dequantize_consts *k)
{
    return vf32_mul(vf32_from_s32(vs32_sub(q, k->z)), k->s);
}

static PQK_INLINE void dequantize_block(const char *q, char *y, const struct dequantize_consts *const k[4],
                                        const struct dequantize_job *job)
{
    vs32 in[4];
    load_integers(in, q, job->kind, job->mask, job->flip);
    unrolled_for (int v = 0; v < 4; ++v)
        store_float(y + v * VL * float_size(job->type), dequantize_vec(in[v], k[v]), job->type);
}

/* The last m < 4 VL elements of a run, of any type. */
static PQK_NOINLINE void dequantize_part(const char *q, char *y, int m, const struct dequantize_consts k[4],
                                         const struct dequantize_job *job)
{
    vs32 in[4];
    vf32 out[4];
    load_integers_part(in, q, m, job->kind, job->mask, job->flip);
    unrolled_for (int v = 0; v < 4; ++v) out[v] = dequantize_vec(in[v], &k[v]);
    store_float_block(y, out, m, job->type);
}

/* n elements with the constants of one row. */
static PQK_INLINE void dequantize_run(const char *q, char *y, size_t n, const struct dequantize_consts *k,
                                      const struct dequantize_job *job)
{
    const struct dequantize_consts *const ks[4] = {k, k, k, k};
    const int q_step = VL * kind_bits(job->kind) / 2, y_step = 4 * VL * float_size(job->type);
    for (; n >= 4 * VL; n -= 4 * VL, q += q_step, y += y_step) dequantize_block(q, y, ks, job);
    if (kind_is_plain(job->kind))
        for (; n >= VL; n -= VL, q += q_step / 4, y += y_step / 4)
            store_float(y, dequantize_vec(load_integer(q, job->kind), k), job->type);
    if (n) {
        const struct dequantize_consts copies[4] = {*k, *k, *k, *k};
        dequantize_part(q, y, (int)n, copies, job);
    }
}

static PQK_INLINE struct dequantize_consts dequantize_of_columns(const struct dequantize_columns *p, size_t i)
{
    const struct dequantize_consts k = {vf32_load_f32(p->s + i), vs32_load(p->z + i)};
    return k;
}

/* Columns [i, n) of one row. */
static PQK_INLINE void dequantize_run_columns(const char *q, char *y, size_t i, size_t n,
                                              const struct dequantize_columns *p, const struct dequantize_job *job)
{
    for (; i < n; i += 4 * VL) {
        const char *from = q + i * (size_t)kind_bits(job->kind) / 8;
        char *to = y + i * (size_t)float_size(job->type);
        const struct dequantize_consts k[4] = {dequantize_of_columns(p, i), dequantize_of_columns(p, i + VL),
                                               dequantize_of_columns(p, i + 2 * VL),
                                               dequantize_of_columns(p, i + 3 * VL)};
        if (n - i >= 4 * VL) {
            const struct dequantize_consts *const ks[4] = {&k[0], &k[1], &k[2], &k[3]};
            dequantize_block(from, to, ks, job);
        } else {
            const struct dequantize_consts copies[4] = {k[0], k[1], k[2], k[3]}; /* leaves k in registers above */
            dequantize_part(from, to, (int)(n - i), copies, job);
        }
    }
}

/* The first n - n % VL columns of four rows of a plain kind; returns how many that is. */
static PQK_INLINE size_t dequantize_four_rows(const char *const q[4], char *const y[4], size_t n,
                                              const struct dequantize_columns *p, const struct dequantize_job *job)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        const struct dequantize_consts k = dequantize_of_columns(p, i);
        unrolled_for (int r = 0; r < 4; ++r) {
            const vs32 in = load_integer(q[r] + i * (size_t)kind_bits(job->kind) / 8, job->kind);
            store_float(y[r] + i * (size_t)float_size(job->type), dequantize_vec(in, &k), job->type);
        }
    }
    return i;
}

static PQK_NOINLINE void dequantize_copy_out(char *to, const char *from, size_t bytes)
{
    pqk_stream_copy(to, from, bytes);
}

/* How many of a row's next elements to make in the buffer of simd/stream.h; q must be left at a whole byte. */
static PQK_INLINE size_t dequantize_chunk(const char *y, size_t left, const struct dequantize_job *job)
{
    const size_t m = pqk_stream_elements(y, left, 8 * float_size(job->type));
    return m < left && kind_bits(job->kind) < 8 ? m - m % 4 : m;
}

static PQK_INLINE void dequantize_rows(const struct pqk_tile *t, const struct pqk_affine *a,
                                       const struct dequantize_job *job)
{
    const int size = float_size(job->type), bits = kind_bits(job->kind);
    const bool dense = t->row_stride[0] == VL * bits / 4 && t->row_stride[1] == 2 * VL * size;
    const bool stream = PQK_CAN_STREAM && t->stream;
    const char *q = t->data[0];
    char *y = t->data[1];

    for (size_t r = 0; r < t->rows;) {
        struct dequantize_consts k[2];
        bool finite = true;
        const size_t pair = VL > 1 && t->n == 2 * VL && dense && r + 2 <= t->rows ? 2 : 1;
        for (size_t i = 0; i < pair; ++i) {
            const ptrdiff_t at = t->param + (ptrdiff_t)(r + i) * t->param_row;
            const float s = a->scale[at];
            const uint32_t z = (uint32_t)(a->zero_point ? a->zero_point[at] : 0) + (uint32_t)job->flip;
            k[i].s = vf32_set1(s);
            k[i].z = vs32_set1((int32_t)z);
            finite = finite && pqk_is_finite(s);
        }
        if (pair == 2) {
            const struct dequantize_consts *const ks[4] = {&k[0], &k[0], &k[1], &k[1]};
            dequantize_block(q, y, ks, job);
        } else {
            PQK_ALIGNED(64) char buffer[PQK_STREAM_CHUNK];
            for (size_t i = 0, m; i < t->n; i += m) {
                char *to = y + i * (size_t)size;
                m = stream ? dequantize_chunk(to, t->n - i, job) : t->n;
                dequantize_run(q + i * (size_t)bits / 8, stream ? buffer : to, m, &k[0], job);
                if (stream) dequantize_copy_out(to, buffer, m * (size_t)size);
            }
        }
        if (!finite) pqk_canonical_nans(y, pair * t->n, job->type); /* pairs are dense */
        r += pair;
        q += (ptrdiff_t)pair * t->row_stride[0];
        y += (ptrdiff_t)pair * t->row_stride[1];
    }
}

/* Constants of `count` columns, and harmless ones up to the next block; are all scales finite? */
static PQK_NOINLINE bool dequantize_fetch(struct dequantize_columns *p, const struct pqk_affine *a, ptrdiff_t at,
                                          ptrdiff_t stride, size_t count, int8_t flip)
{
    bool finite = true;
    size_t i = 0;
    for (; i < count; ++i, at += stride) {
        p->s[i] = a->scale[at];
        p->z[i] = (int32_t)((uint32_t)(a->zero_point ? a->zero_point[at] : 0) + (uint32_t)flip);
        finite = finite && pqk_is_finite(p->s[i]);
    }
    for (; i < count + 4 * VL; ++i) {
        p->s[i] = 1.0f;
        p->z[i] = 0;
    }
    return finite;
}

static PQK_INLINE void dequantize_strip(const struct pqk_tile *t, size_t first, size_t columns,
                                        const struct dequantize_columns *p, const struct dequantize_job *job)
{
    const size_t size = (size_t)float_size(job->type);
    const char *q = t->data[0] + first * (size_t)kind_bits(job->kind) / 8;
    char *y = t->data[1] + first * size;
    const bool stream = PQK_CAN_STREAM && t->stream;
    PQK_ALIGNED(64) char buffer[4][DEQUANTIZE_COLUMNS * 4];

    for (size_t r = 0, group; r < t->rows; r += group) {
        const char *qs[4];
        char *home[4], *ys[4];
        size_t done = 0;
        group = t->rows - r < 4 ? t->rows - r : 4;
        for (size_t i = 0; i < group; ++i, q += t->row_stride[0], y += t->row_stride[1]) {
            qs[i] = q;
            home[i] = y;
            ys[i] = stream ? buffer[i] : y;
        }
        if (VL > 1 && group == 4 && kind_is_plain(job->kind)) done = dequantize_four_rows(qs, ys, columns, p, job);
        for (size_t i = 0; i < group; ++i) {
            if (done < columns) dequantize_run_columns(qs[i], ys[i], done, columns, p, job);
            if (stream) dequantize_copy_out(home[i], buffer[i], columns * size);
        }
    }
}

static PQK_INLINE void dequantize_tile(const struct pqk_tile *t, const struct pqk_affine *a, pqk_type type,
                                       enum integer_kind kind)
{
    const int range = kind_is_plain(kind) ? 0 : a->quant_max - a->quant_min;
    const struct dequantize_job job = {kind, type, (int8_t)range, (int8_t)(a->quant_min < 0 ? (range + 1) / 2 : 0)};

    if (t->param_col == 0) {
        dequantize_rows(t, a, &job);
    } else {
        struct dequantize_columns p;
        for (size_t i = 0; i < t->n; i += DEQUANTIZE_COLUMNS) {
            const size_t count = t->n - i < DEQUANTIZE_COLUMNS ? t->n - i : DEQUANTIZE_COLUMNS;
            const ptrdiff_t at = t->param + (ptrdiff_t)i * t->param_col;
            const bool finite = dequantize_fetch(&p, a, at, t->param_col, count, job.flip);
            dequantize_strip(t, i, count, &p, &job);
            if (finite) continue;
            for (size_t r = 0; r < t->rows; ++r)
                pqk_canonical_nans(t->data[1] + (ptrdiff_t)r * t->row_stride[1] + i * (size_t)float_size(type), count,
                                   type);
        }
    }
    if (PQK_CAN_STREAM && t->stream) pqk_stream_end();
}

#define TYPE_f32 PQK_F32
#define TYPE_f16 PQK_F16
#define TYPE_bf16 PQK_BF16
#define KIND_s8 KIND_S8
#define KIND_u8 KIND_U8
#define KIND_n8 KIND_N8
#define KIND_s16 KIND_S16
#define KIND_u16 KIND_U16
#define KIND_s32 KIND_S32
#define KIND_n4 KIND_N4
#define KIND_n2 KIND_N2
#define PQK_DEQUANTIZE_KERNEL(in, out)                                                                        \
    pqk_dequantize_fn PQK_NAME(dequantize_##in##_##out);                                                      \
    void PQK_NAME(dequantize_##in##_##out)(const struct pqk_tile *tile, const struct pqk_affine *affine)      \
    {                                                                                                         \
        dequantize_tile(tile, affine, TYPE_##out, KIND_##in);                                                 \
    }
PQK_DEQUANTIZE_ALL(PQK_DEQUANTIZE_KERNEL)
