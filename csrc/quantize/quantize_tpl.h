/* quantize_tpl.h -- the loops of every quantize kernel, written once.
 *
 * Include after defining PQK_ISA and including simd/vec_<isa>.h.  quantize.h says what is computed,
 * affine/affine_tpl.h how.  A block is 4 VL elements: four registers of float narrow to one of int8.
 *
 *   parameters by row      a row is a run of blocks with constants in registers; rows of exactly 2 VL elements
 *                          (blocks of 32 on AVX-512) are done two at a time
 *   parameters by column   4 VL columns of four rows at a time (AVX2: two), each row still front to back
 *
 * The general way of affine_tpl.h is rare and has the plain loops only; so have, in types other than int8 and uint8,
 * the two fast ways of rarer conventions.
 */
#include "affine/affine_tpl.h"
#include "quantize/quantize.h"
#include "simd/elements.h"
#include "simd/stream.h"

/* What a loop needs to know; all but a, p and mask are compile-time constants. */
struct quantize_job {
    pqk_type type;
    enum integer_kind kind;
    enum affine_way way;
    int8_t mask; /* the bits of an element that KIND_N8 keeps */
    const struct pqk_affine *a;
    const struct affine_prepared *p;
};

static PQK_INLINE vs32 quantize_vec(vf32 x, const struct affine_consts *k, const struct quantize_job *job)
{
    const bool natural = job->kind == KIND_S8 || job->kind == KIND_U8;
    return affine_integer(x, k, job->a, job->way, natural);
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

/* n columns of COLUMN_ROWS rows, n a multiple of 4 VL: the constants of VL columns are loaded once for all rows, and
 * the integers of all wait in registers until each row has a whole block to narrow and store. */
enum { COLUMN_ROWS = VL == 8 ? 2 : 4 }; /* AVX2 has 16 registers */

static PQK_INLINE void quantize_rows_by_column(const char *const x[COLUMN_ROWS], char *const q[COLUMN_ROWS], size_t n,
                                               const struct quantize_job *job)
{
    for (size_t i = 0; i < n; i += 4 * VL) {
        vs32 out[COLUMN_ROWS][4], z[4];
        unrolled_for (int v = 0; v < 4; ++v) {
            const size_t column = i + (size_t)v * VL;
            const struct affine_consts k = affine_of_columns(job->p, column);
            z[v] = k.z;
            unrolled_for (int r = 0; r < COLUMN_ROWS; ++r)
                out[r][v] = quantize_vec(load_float(x[r] + column * (size_t)float_size(job->type), job->type), &k, job);
        }
        unrolled_for (int r = 0; r < COLUMN_ROWS; ++r)
            store_integers(q[r] + i * (size_t)kind_bits(job->kind) / 8, out[r], z, job->kind, job->mask);
    }
}

static PQK_INLINE void quantize_rows(const struct pqk_tile *t, size_t first, size_t rows, const struct quantize_job *job)
{
    const char *x = t->data[0] + (ptrdiff_t)first * t->row_stride[0];
    char *q = t->data[1] + (ptrdiff_t)first * t->row_stride[1];
    const bool one = t->param_row == 0, fast = job->way != AFFINE_GENERAL, stream = PQK_CAN_STREAM && fast && t->stream;
    const size_t x_size = (size_t)float_size(job->type), q_bits = (size_t)kind_bits(job->kind);
    PQK_ALIGNED(64) char buffer[PQK_STREAM_CHUNK];
    size_t r = 0;

    if (fast && q_bits == 8 && t->n == 2 * VL && t->row_stride[1] == 2 * VL &&
        t->row_stride[0] == 2 * VL * (ptrdiff_t)x_size) {
        for (; r + 2 <= rows; r += 2, x += 2 * t->row_stride[0], q += 2 * t->row_stride[1]) {
            const struct affine_consts k0 = affine_of_row(job->p, one ? 0 : r);
            const struct affine_consts k1 = affine_of_row(job->p, one ? 0 : r + 1);
            const struct affine_consts *const ks[4] = {&k0, &k0, &k1, &k1};
            quantize_block(x, q, 4 * VL, ks, job);
        }
    }
    for (; r < rows; ++r, x += t->row_stride[0], q += t->row_stride[1]) {
        const struct affine_consts k = affine_of_row(job->p, one ? 0 : r);
        for (size_t i = 0, m; i < t->n; i += m) {
            char *home = q + i * q_bits / 8;
            m = stream ? pqk_stream_elements(home, t->n - i, (int)q_bits) : t->n;
            quantize_run(x + i * x_size, stream ? buffer : home, m, &k, job);
            if (stream) pqk_stream_copy(home, buffer, (m * q_bits + 7) / 8);
        }
    }
}

static PQK_INLINE void quantize_columns(const struct pqk_tile *t, size_t first, size_t columns,
                                        const struct quantize_job *job)
{
    const size_t x_size = (size_t)float_size(job->type), q_bits = (size_t)kind_bits(job->kind);
    const char *x = t->data[0] + first * x_size;
    char *q = t->data[1] + first * q_bits / 8;
    const bool fast = job->way != AFFINE_GENERAL, stream = PQK_CAN_STREAM && fast && t->stream;
    const size_t together = fast ? t->rows / COLUMN_ROWS * COLUMN_ROWS : 0, whole = columns / (4 * VL) * (4 * VL);
    PQK_ALIGNED(64) char buffer[COLUMN_ROWS][AFFINE_COLUMNS * 2];

    for (size_t r = 0; r < together; r += COLUMN_ROWS) {
        const char *xs[COLUMN_ROWS];
        char *home[COLUMN_ROWS], *qs[COLUMN_ROWS];
        for (int i = 0; i < COLUMN_ROWS; ++i) {
            xs[i] = x + (ptrdiff_t)(r + (size_t)i) * t->row_stride[0];
            home[i] = q + (ptrdiff_t)(r + (size_t)i) * t->row_stride[1];
            qs[i] = stream ? buffer[i] : home[i];
        }
        quantize_rows_by_column(xs, qs, whole, job);
        for (int i = 0; stream && i < COLUMN_ROWS; ++i) pqk_stream_copy(home[i], buffer[i], whole * q_bits / 8);
    }
    for (size_t r = whole < columns ? 0 : together; r < t->rows; ++r) { /* the columns, or the rows, left over */
        const size_t from = r < together ? whole : 0;
        quantize_run_columns(x + (ptrdiff_t)r * t->row_stride[0] + from * x_size,
                             q + (ptrdiff_t)r * t->row_stride[1] + from * q_bits / 8, columns - from, from, job);
    }
}

/* The bits of S4 and U4, or of S2 and U2. */
static PQK_INLINE int8_t quantize_mask(const struct pqk_affine *a) { return a->quant_max - a->quant_min > 3 ? 15 : 3; }

static PQK_INLINE void quantize_part(const struct pqk_tile *t, size_t first, size_t count, const struct quantize_job *job)
{
    if (t->param_col != 0) quantize_columns(t, first, count, job);
    else quantize_rows(t, first, count, job);
}

static PQK_INLINE void quantize_tile(const struct pqk_tile *t, const struct pqk_affine *a, pqk_type type,
                                     enum integer_kind kind)
{
    struct affine_prepared p;
    const struct quantize_job even = {type, kind, AFFINE_EVEN, quantize_mask(a), a, &p};
    const struct quantize_job away = {type, kind, AFFINE_AWAY, quantize_mask(a), a, &p};
    const struct quantize_job added = {type, kind, AFFINE_ADDED, quantize_mask(a), a, &p};
    const struct quantize_job general = {type, kind, AFFINE_GENERAL, quantize_mask(a), a, &p};
    const bool byte = kind == KIND_S8 || kind == KIND_U8;
    const bool by_column = t->param_col != 0, one = !by_column && t->param_row == 0;
    const ptrdiff_t stride = by_column ? t->param_col : t->param_row;
    const size_t total = by_column ? t->n : t->rows, step = one ? total : by_column ? AFFINE_COLUMNS : AFFINE_ROWS;

    for (size_t i = 0; i < total; i += step) {
        const size_t count = total - i < step ? total - i : step;
        affine_prepare(&p, a, t->param + (ptrdiff_t)i * stride, stride, one ? 1 : count, 0);
        if (!byte && p.fast && affine_way_of(&p, a) != AFFINE_EVEN) affine_prepare_general(&p, a, one ? 1 : count);
        const enum affine_way way = VL > 1 ? affine_way_of(&p, a) : AFFINE_GENERAL;
        if (way == AFFINE_EVEN) quantize_part(t, i, count, &even);
        else if (byte && way == AFFINE_AWAY) quantize_part(t, i, count, &away);
        else if (byte && way == AFFINE_ADDED) quantize_part(t, i, count, &added);
        else quantize_part(t, i, count, &general);
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
