/* quantize_tpl.h -- the loops of every quantize kernel, written once.
 *
 * Include after defining PQK_ISA and including simd/vec_<isa>.h.  quantize.h says what is computed,
 * affine/affine_tpl.h how.  A block is 4 VL elements: four registers of float narrow to one of int8.
 *
 *   parameters by row      a row is a run of blocks with constants in registers; rows of exactly 2 VL elements
 *                          (blocks of 32 on AVX-512) are done two at a time
 *   parameters by column   VL columns of four rows at a time: the constants are loaded once for four rows, and each
 *                          row is still read and written front to back
 *
 * The general way of affine_tpl.h is rare and has the plain loops only.
 */
#include "affine/affine_tpl.h"
#include "quantize/quantize.h"
#include "simd/elements.h"
#include "simd/stream.h"

/* What a loop needs to know; all but a, p and mask are compile-time constants. */
struct quantize_job {
    pqk_type type;
    enum integer_kind kind;
    bool fast;
    int8_t mask; /* the bits of an element that KIND_N8 keeps */
    const struct pqk_affine *a;
    const struct affine_prepared *p;
};

static PQK_INLINE vs32 quantize_vec(vf32 x, const struct affine_consts *k, const struct quantize_job *job)
{
    const bool natural = job->kind == KIND_S8 || job->kind == KIND_U8;
    return affine_integer(x, k, job->a, job->fast, natural);
}

static PQK_INLINE void quantize_block(const char *x, char *q, int m, const struct affine_consts *const k[4],
                                      const struct quantize_job *job)
{
    vf32 in[4];
    vs32 out[4], z[4];
    load_float_block(in, x, m, job->type);
    unrolled_for (int v = 0; v < 4; ++v) {
        out[v] = quantize_vec(in[v], k[v], job);
        z[v] = k[v]->z;
    }
    if (m == 4 * VL) store_integers(q, out, z, job->kind, job->mask);
    else store_integers_part(q, m, out, z, job->kind, job->mask);
}

/* n elements with the constants of one row. */
static PQK_INLINE void quantize_run(const char *x, char *q, size_t n, const struct affine_consts *k,
                                    const struct quantize_job *job)
{
    const struct affine_consts *const ks[4] = {k, k, k, k};
    const int step = 4 * VL * float_size(job->type), q_step = 4 * VL * kind_bits(job->kind) / 8;
    for (; n >= 4 * VL; n -= 4 * VL, x += step, q += q_step) quantize_block(x, q, 4 * VL, ks, job);
    if (n) quantize_block(x, q, (int)n, ks, job);
}

/* n columns from `column` of the prepared constants on, of one row. */
static PQK_INLINE void quantize_run_columns(const char *x, char *q, size_t n, size_t column,
                                            const struct quantize_job *job)
{
    const int step = 4 * VL * float_size(job->type), q_step = 4 * VL * kind_bits(job->kind) / 8;
    for (size_t i = 0; i < n; i += 4 * VL, x += step, q += q_step) {
        struct affine_consts k[4];
        const struct affine_consts *const ks[4] = {&k[0], &k[1], &k[2], &k[3]};
        const int m = n - i < 4 * VL ? (int)(n - i) : 4 * VL;
        unrolled_for (int v = 0; v < 4; ++v)
            k[v] = affine_of_columns(job->p, part_of(m, v) ? column + i + (size_t)v * VL : 0);
        if (m == 4 * VL) quantize_block(x, q, 4 * VL, ks, job);
        else quantize_block(x, q, m, ks, job);
    }
}

/* The first n - n % VL columns of four rows; returns how many that is. */
static PQK_INLINE size_t quantize_four_rows(const char *const x[4], char *const q[4], size_t n,
                                            const struct quantize_job *job)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        const struct affine_consts k = affine_of_columns(job->p, i);
        vs32 out[4];
        char *to[4];
        unrolled_for (int r = 0; r < 4; ++r) {
            out[r] = quantize_vec(load_float(x[r] + i * (size_t)float_size(job->type), job->type), &k, job);
            to[r] = q[r] + i * (size_t)kind_bits(job->kind) / 8;
        }
        store_integer_rows(to, out, k.z, job->kind, job->mask);
    }
    return i;
}

static PQK_INLINE void quantize_rows(const struct pqk_tile *t, size_t first, size_t rows, const struct quantize_job *job)
{
    const char *x = t->data[0] + (ptrdiff_t)first * t->row_stride[0];
    char *q = t->data[1] + (ptrdiff_t)first * t->row_stride[1];
    const bool one = t->param_row == 0;
    size_t r = 0;

    if (job->fast && t->n == 2 * VL && kind_bits(job->kind) == 8 && t->row_stride[1] == 2 * VL &&
        t->row_stride[0] == 2 * VL * float_size(job->type)) {
        for (; r + 2 <= rows; r += 2, x += 2 * t->row_stride[0], q += 2 * t->row_stride[1]) {
            const struct affine_consts k0 = affine_of_row(job->p, one ? 0 : r), k1 = affine_of_row(job->p, one ? 0 : r + 1);
            const struct affine_consts *const ks[4] = {&k0, &k0, &k1, &k1};
            quantize_block(x, q, 4 * VL, ks, job);
        }
    }
    for (; r < rows; ++r, x += t->row_stride[0], q += t->row_stride[1]) {
        const struct affine_consts k = affine_of_row(job->p, one ? 0 : r);
        if (!job->fast || !PQK_CAN_STREAM || !t->stream) {
            quantize_run(x, q, t->n, &k, job);
            continue;
        }
        PQK_ALIGNED(64) char buffer[PQK_STREAM_CHUNK];
        for (size_t i = 0, m; i < t->n; i += m) {
            char *to = q + i * (size_t)kind_bits(job->kind) / 8;
            m = pqk_stream_elements(to, t->n - i, kind_bits(job->kind));
            quantize_run(x + i * (size_t)float_size(job->type), buffer, m, &k, job);
            pqk_stream_copy(to, buffer, (m * (size_t)kind_bits(job->kind) + 7) / 8);
        }
    }
}

static PQK_INLINE void quantize_columns(const struct pqk_tile *t, size_t first, size_t columns,
                                        const struct quantize_job *job)
{
    const char *x = t->data[0] + first * (size_t)float_size(job->type);
    char *q = t->data[1] + first * (size_t)kind_bits(job->kind) / 8;
    const size_t bytes = (columns * (size_t)kind_bits(job->kind) + 7) / 8;
    const bool stream = PQK_CAN_STREAM && t->stream;
    PQK_ALIGNED(64) char buffer[4][AFFINE_COLUMNS * 2];
    size_t r = 0;

    for (; job->fast && r + 4 <= t->rows; r += 4) {
        const char *xs[4];
        char *home[4], *qs[4];
        for (int i = 0; i < 4; ++i) {
            xs[i] = x + (ptrdiff_t)(r + (size_t)i) * t->row_stride[0];
            home[i] = q + (ptrdiff_t)(r + (size_t)i) * t->row_stride[1];
            qs[i] = stream ? buffer[i] : home[i];
        }
        const size_t done = quantize_four_rows(xs, qs, columns, job);
        for (int i = 0; i < 4; ++i) {
            if (done < columns)
                quantize_run_columns(xs[i] + done * (size_t)float_size(job->type),
                                     qs[i] + done * (size_t)kind_bits(job->kind) / 8, columns - done, done, job);
            if (stream) pqk_stream_copy(home[i], buffer[i], bytes);
        }
    }
    for (; r < t->rows; ++r)
        quantize_run_columns(x + (ptrdiff_t)r * t->row_stride[0], q + (ptrdiff_t)r * t->row_stride[1], columns, 0, job);
}

/* The bits of S4 and U4, or of S2 and U2. */
static PQK_INLINE int8_t quantize_mask(const struct pqk_affine *a) { return a->quant_max - a->quant_min > 3 ? 15 : 3; }

static PQK_INLINE void quantize_tile(const struct pqk_tile *t, const struct pqk_affine *a, pqk_type type,
                                     enum integer_kind kind)
{
    struct affine_prepared p;
    const struct quantize_job fast = {type, kind, true, quantize_mask(a), a, &p};
    const struct quantize_job general = {type, kind, false, quantize_mask(a), a, &p};
    const bool by_column = t->param_col != 0;
    const size_t total = by_column ? t->n : t->rows, step = by_column ? AFFINE_COLUMNS : AFFINE_ROWS;

    for (size_t i = 0; i < total; i += step) {
        const size_t left = total - i, count = !by_column && t->param_row == 0 ? left : left < step ? left : step;
        if (by_column) {
            affine_prepare(&p, a, t->param + (ptrdiff_t)i * t->param_col, t->param_col, count, 0);
            if (VL > 1 && p.fast) quantize_columns(t, i, count, &fast);
            else quantize_columns(t, i, count, &general);
        } else {
            const bool one = t->param_row == 0;
            affine_prepare(&p, a, t->param + (ptrdiff_t)i * t->param_row, t->param_row, one ? 1 : count, 0);
            if (VL > 1 && p.fast) quantize_rows(t, i, count, &fast);
            else quantize_rows(t, i, count, &general);
            if (one) break;
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
#define KIND_n4 KIND_N4
#define KIND_n2 KIND_N2
#define PQK_QUANTIZE_KERNEL(in, out)                                                                          \
    pqk_quantize_fn PQK_NAME(quantize_##in##_##out);                                                          \
    void PQK_NAME(quantize_##in##_##out)(const struct pqk_tile *tile, const struct pqk_affine *affine)        \
    {                                                                                                         \
        quantize_tile(tile, affine, TYPE_##in, KIND_##out);                                                   \
    }
PQK_QUANTIZE_ALL(PQK_QUANTIZE_KERNEL)
