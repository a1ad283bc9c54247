/* requantize_tpl.h -- the loops of every requantize kernel, written once.
 *
 * Include after defining PQK_ISA and including simd/vec_<isa>.h.  requantize.h says what is computed.  A block is 4 VL
 * elements: four registers of accumulators narrow to one of int8.
 *
 *   parameters by row      a row is a run of blocks with its constants in registers; rows of exactly 2 VL elements
 *                          (blocks of 32 on AVX-512) are done two at a time
 *   parameters by column   a block of columns down 16 rows, its constants in registers
 *
 * The loops are compiled for the ways below.  What is left of a run, and large fixed-point multipliers into types of 4
 * bits and fewer, go block by block to one function per kernel that asks at run time which way it is.
 *
 * 8-bit results need no limits in 32 bits: vs16_pack2 saturates the rounded product, vs16_adds the sum with the zero
 * point, vs8_pack2 that.  Narrower and 16-bit ones are limited to [quant_min - zero_point, quant_max - zero_point]
 * first.
 */
#include "requantize/requantize.h"
#include "requantize/fixed_point_tpl.h"
#include "simd/elements.h"
#include "simd/stream.h"

enum { REQUANTIZE_COLUMNS = 512, REQUANTIZE_ROWS = 16 }; /* that share constants in registers */

enum requantize_way {
    REQUANTIZE_REAL,
    REQUANTIZE_REAL_SMALL,
    REQUANTIZE_SINGLE,
    REQUANTIZE_SINGLE_SMALL,
    REQUANTIZE_DOUBLE,
    REQUANTIZE_DOUBLE_SMALL
};

/* Parameters of columns, one after the other; m is real or m0, shift and z may be NULL. */
struct requantize_columns {
    const void *m;
    const int32_t *shift, *z;
};

/* What is known at run time only. */
struct requantize_context {
    enum requantize_way way;
    int8_t mask; /* the bits of an element that KIND_N8 keeps */
    const struct pqk_requantizer *r;
};

/* 1 <= m <= 4 VL elements with the parameters of one row, at `at`, or of as many columns: step apart from `at` on. */
typedef void requantize_any_fn(const char *acc, char *q, int m, ptrdiff_t at, ptrdiff_t step,
                               const struct requantize_context *c);

/* What a loop is compiled for.  Its address never leaves the inlined functions, so that all of it stays constant; the
 * numbers are copies, which no store to q can be thought to change. */
struct requantize_job {
    enum integer_kind kind;
    enum requantize_way way;
    int8_t mask;
    int32_t quant_min, quant_max;
    requantize_any_fn *any;
    const struct requantize_context *c;
};

struct requantize_consts {
    vf32 real;
    vs32 m0, shift, z;
};

static PQK_INLINE struct requantize_consts requantize_of_row(const struct pqk_requantizer *r, ptrdiff_t at)
{
    const struct requantize_consts k = {vf32_set1(r->real ? r->real[at] : 0), vs32_set1(r->real ? 0 : r->m0[at]),
                                        vs32_set1(r->real ? 0 : r->shift[at]),
                                        vs32_set1(r->zero_point ? r->zero_point[at] : 0)};
    return k;
}

/* Of columns i ... i + VL - 1. */
static PQK_INLINE struct requantize_consts requantize_of_columns(const struct requantize_columns *p, size_t i)
{
    const vf32 m = vf32_load_f32((const char *)p->m + 4 * i);
    const struct requantize_consts k = {m, vs32_bits(m), p->shift ? vs32_load(p->shift + i) : vs32_set1(0),
                                        p->z ? vs32_load(p->z + i) : vs32_set1(0)};
    return k;
}

static PQK_INLINE vs32 requantize_vec(vs32 acc, const struct requantize_consts *k, const struct requantize_job *job)
{
    const bool natural = job->kind == KIND_S8 || job->kind == KIND_U8;
    const vs32 lo = vs32_sub(vs32_set1(job->quant_min), k->z), hi = vs32_sub(vs32_set1(job->quant_max), k->z);
    if (job->way == REQUANTIZE_REAL || job->way == REQUANTIZE_REAL_SMALL) {
        const vf32 y = vf32_mul(vf32_from_s32(acc), k->real);
        const vf32 flo = vf32_from_s32(lo), fhi = vf32_from_s32(hi);
        if (natural && job->way == REQUANTIZE_REAL_SMALL) return vs32_round(y); /* |y| <= 2^31 - 128 */
        return vs32_round(natural ? vf32_guard(y, flo, fhi) : vf32_clamp(y, flo, fhi));
    }
    const bool twice = job->way == REQUANTIZE_DOUBLE || job->way == REQUANTIZE_DOUBLE_SMALL;
    const bool small = job->way == REQUANTIZE_SINGLE_SMALL || job->way == REQUANTIZE_DOUBLE_SMALL;
    const pqk_fixed_rounding rounding = twice ? PQK_DOUBLE : PQK_SINGLE;
    const vs32 q = small ? fixed_point_round_far(acc, k->m0, k->shift, rounding)
                         : fixed_point_round(acc, k->m0, k->shift, rounding);
    return natural ? q : vs32_min(vs32_max(q, lo), hi);
}

/* One whole block. */
static PQK_INLINE void requantize_block(const char *acc, char *q, const struct requantize_consts *const k[4],
                                        const struct requantize_job *job)
{
    vs32 in[4], out[4], z[4];
    load_integers(in, acc, KIND_S32, 0, 0);
    unrolled_for (int v = 0; v < 4; ++v) {
        out[v] = requantize_vec(in[v], k[v], job);
        z[v] = k[v]->z;
    }
    store_integers(q, out, z, job->kind, job->mask);
}

/* count <= 4 VL parameters, `step` apart, and zeros up to 4 VL. */
static PQK_INLINE void requantize_fetch(int32_t to[4 * VL], const void *from, ptrdiff_t at, ptrdiff_t step, int count)
{
    memset(to, 0, 4 * VL * sizeof *to);
    for (int i = 0; from && i < count; ++i)
        memcpy(&to[i], (const char *)from + 4 * (at + (ptrdiff_t)i * step), sizeof *to);
}

static PQK_INLINE void requantize_any(const char *acc, char *q, int m, ptrdiff_t at, ptrdiff_t step,
                                      const struct requantize_context *c, enum integer_kind kind)
{
    const struct pqk_requantizer *r = c->r;
    const struct requantize_job job = {kind, c->way, c->mask, r->quant_min, r->quant_max, NULL, c};
    vs32 in[4], out[4], z[4];
    struct requantize_consts k = requantize_of_row(r, at);
    int32_t lanes[3][4 * VL];
    if (step) {
        requantize_fetch(lanes[0], r->real ? (const void *)r->real : r->m0, at, step, m);
        requantize_fetch(lanes[1], r->shift, at, step, m);
        requantize_fetch(lanes[2], r->zero_point, at, step, m);
    }
    const struct requantize_columns p = {lanes[0], lanes[1], lanes[2]};
    load_integers_part(in, acc, m, KIND_S32, 0, 0);
    for (int v = 0; v < 4; ++v) {
        if (step) k = requantize_of_columns(&p, (size_t)v * VL);
        out[v] = requantize_vec(in[v], &k, &job);
        z[v] = k.z;
    }
    store_integers_part(q, m, out, z, kind, c->mask);
}

/* n elements with the parameters k of one row, which are those at index `at`. */
static PQK_INLINE void requantize_run(const char *acc, char *q, size_t n, const struct requantize_consts *k,
                                      ptrdiff_t at, const struct requantize_job *job)
{
    const struct requantize_consts *const ks[4] = {k, k, k, k};
    const int q_step = VL * kind_bits(job->kind) / 2;
    for (; n >= 4 * VL; n -= 4 * VL, acc += 16 * VL, q += q_step) requantize_block(acc, q, ks, job);
    if (n) job->any(acc, q, (int)n, at, 0, job->c);
}

static PQK_INLINE void requantize_by_row(const struct pqk_tile *t, const struct requantize_job *job)
{
    const struct pqk_requantizer *r = job->c->r;
    const size_t bits = (size_t)kind_bits(job->kind);
    const bool stream = PQK_CAN_STREAM && t->stream;
    const char *acc = t->data[0];
    char *q = t->data[1];
    ptrdiff_t at = t->param;
    PQK_ALIGNED(64) char buffer[PQK_STREAM_CHUNK];
    size_t row = 0;

    /* Short rows, one behind the other. */
    if (VL > 1 && t->n == 2 * VL && bits == 8 && t->row_stride[0] == 8 * VL && t->row_stride[1] == 2 * VL) {
        for (; row + 2 <= t->rows; row += 2, acc += 16 * VL, q += 4 * VL, at += 2 * t->param_row) {
            const struct requantize_consts k0 = requantize_of_row(r, at), k1 = requantize_of_row(r, at + t->param_row);
            const struct requantize_consts *const ks[4] = {&k0, &k0, &k1, &k1};
            requantize_block(acc, q, ks, job);
        }
    }
    for (; row < t->rows; ++row, acc += t->row_stride[0], q += t->row_stride[1], at += t->param_row) {
        const struct requantize_consts k = requantize_of_row(r, at);
        for (size_t i = 0, m; i < t->n; i += m) {
            char *home = q + i * bits / 8;
            m = stream ? pqk_stream_elements(home, t->n - i, (int)bits) : t->n;
            requantize_run(acc + 4 * i, stream ? buffer : home, m, &k, at, job);
            if (stream) pqk_stream_copy(home, buffer, (m * bits + 7) / 8);
        }
    }
}

/* All rows of n columns, whose parameters are p; n is a multiple of 4 VL. */
static PQK_INLINE void requantize_strip(const struct pqk_tile *t, const char *acc, char *q, size_t n,
                                        const struct requantize_columns *p, const struct requantize_job *job)
{
    const size_t bits = (size_t)kind_bits(job->kind);
    const bool stream = PQK_CAN_STREAM && t->stream;
    PQK_ALIGNED(64) char buffer[REQUANTIZE_ROWS][REQUANTIZE_COLUMNS * 2];

    for (size_t row = 0, rows; row < t->rows; row += rows) {
        rows = t->rows - row < REQUANTIZE_ROWS ? t->rows - row : REQUANTIZE_ROWS;
        for (size_t i = 0; i < n; i += 4 * VL) {
            const struct requantize_consts k[4] = {requantize_of_columns(p, i), requantize_of_columns(p, i + VL),
                                                   requantize_of_columns(p, i + 2 * VL),
                                                   requantize_of_columns(p, i + 3 * VL)};
            const struct requantize_consts *const ks[4] = {&k[0], &k[1], &k[2], &k[3]};
            const char *from = acc + 4 * i;
            char *to = (stream ? buffer[0] : q) + i * bits / 8;
            const ptrdiff_t to_stride = stream ? (ptrdiff_t)sizeof buffer[0] : t->row_stride[1];
            for (size_t j = 0; j < rows; ++j, from += t->row_stride[0], to += to_stride)
                requantize_block(from, to, ks, job);
        }
        for (size_t j = 0; stream && j < rows; ++j)
            pqk_stream_copy(q + (ptrdiff_t)j * t->row_stride[1], buffer[j], n * bits / 8);
        acc += (ptrdiff_t)rows * t->row_stride[0];
        q += (ptrdiff_t)rows * t->row_stride[1];
    }
}

/* Whole blocks of columns in strips, whose parameters are read where they are if they lie side by side; then what is
 * left of each row. */
static PQK_INLINE void requantize_by_column(const struct pqk_tile *t, const struct requantize_job *job)
{
    const struct pqk_requantizer *r = job->c->r;
    const size_t bits = (size_t)kind_bits(job->kind), whole = t->n / (4 * VL) * (4 * VL);
    const void *m = r->real ? (const void *)r->real : r->m0;
    int32_t lanes[3][REQUANTIZE_COLUMNS];

    for (size_t i = 0, n; i < whole; i += n) {
        const ptrdiff_t at = t->param + (ptrdiff_t)i * t->param_col;
        n = whole - i < REQUANTIZE_COLUMNS ? whole - i : REQUANTIZE_COLUMNS;
        struct requantize_columns p = {(const char *)m + 4 * at, r->real ? NULL : r->shift + at,
                                       r->zero_point ? r->zero_point + at : NULL};
        if (t->param_col != 1) {
            for (size_t j = 0; j < n; j += 4 * VL) {
                const ptrdiff_t first = at + (ptrdiff_t)j * t->param_col;
                requantize_fetch(lanes[0] + j, m, first, t->param_col, 4 * VL);
                requantize_fetch(lanes[1] + j, r->real ? NULL : r->shift, first, t->param_col, 4 * VL);
                requantize_fetch(lanes[2] + j, r->zero_point, first, t->param_col, 4 * VL);
            }
            p = (struct requantize_columns){lanes[0], lanes[1], lanes[2]};
        }
        requantize_strip(t, t->data[0] + 4 * i, t->data[1] + i * bits / 8, n, &p, job);
    }
    for (size_t row = 0; whole < t->n && row < t->rows; ++row)
        job->any(t->data[0] + (ptrdiff_t)row * t->row_stride[0] + 4 * whole,
                 t->data[1] + (ptrdiff_t)row * t->row_stride[1] + whole * bits / 8, (int)(t->n - whole),
                 t->param + (ptrdiff_t)whole * t->param_col, t->param_col, job->c);
}

/* Any tile, block by block. */
static PQK_INLINE void requantize_rest(const struct pqk_tile *t, const struct requantize_job *job)
{
    for (size_t row = 0; row < t->rows; ++row) {
        const char *acc = t->data[0] + (ptrdiff_t)row * t->row_stride[0];
        char *q = t->data[1] + (ptrdiff_t)row * t->row_stride[1];
        for (size_t i = 0; i < t->n; i += 4 * VL) {
            const int m = t->n - i < 4 * VL ? (int)(t->n - i) : 4 * VL;
            job->any(acc + 4 * i, q + i * (size_t)kind_bits(job->kind) / 8, m,
                     t->param + (ptrdiff_t)row * t->param_row + (ptrdiff_t)i * t->param_col, t->param_col, job->c);
        }
    }
}

static PQK_INLINE void requantize_loops(const struct pqk_tile *t, const struct requantize_job job)
{
    if (t->param_col)
        requantize_by_column(t, &job);
    else
        requantize_by_row(t, &job);
}

static PQK_INLINE enum requantize_way requantize_way_of(const struct pqk_requantizer *r)
{
    if (r->real) return r->small ? REQUANTIZE_REAL_SMALL : REQUANTIZE_REAL;
    if (r->rounding == PQK_DOUBLE) return r->small ? REQUANTIZE_DOUBLE_SMALL : REQUANTIZE_DOUBLE;
    return r->small ? REQUANTIZE_SINGLE_SMALL : REQUANTIZE_SINGLE;
}

static PQK_INLINE void requantize_tile(const struct pqk_tile *t, const struct pqk_requantizer *r,
                                       enum integer_kind kind, requantize_any_fn *any)
{
    const bool plain = kind_is_plain(kind), byte = kind == KIND_S8 || kind == KIND_U8;
    const int8_t mask = r->quant_max - r->quant_min > 3 ? 15 : 3;
    const int32_t lo = r->quant_min, hi = r->quant_max;
    const struct requantize_context c = {requantize_way_of(r), mask, r};
    const struct requantize_job job = {kind, c.way, mask, lo, hi, any, &c};

    if (byte && c.way == REQUANTIZE_REAL_SMALL)
        requantize_loops(t, (struct requantize_job){kind, REQUANTIZE_REAL_SMALL, mask, lo, hi, any, &c});
    else if (r->real)
        requantize_loops(t, (struct requantize_job){kind, REQUANTIZE_REAL, mask, lo, hi, any, &c});
    else if (c.way == REQUANTIZE_SINGLE_SMALL)
        requantize_loops(t, (struct requantize_job){kind, REQUANTIZE_SINGLE_SMALL, mask, lo, hi, any, &c});
    else if (c.way == REQUANTIZE_DOUBLE_SMALL)
        requantize_loops(t, (struct requantize_job){kind, REQUANTIZE_DOUBLE_SMALL, mask, lo, hi, any, &c});
    else if (plain && c.way == REQUANTIZE_SINGLE)
        requantize_loops(t, (struct requantize_job){kind, REQUANTIZE_SINGLE, mask, lo, hi, any, &c});
    else if (plain && c.way == REQUANTIZE_DOUBLE)
        requantize_loops(t, (struct requantize_job){kind, REQUANTIZE_DOUBLE, mask, lo, hi, any, &c});
    else
        requantize_rest(t, &job);
    if (PQK_CAN_STREAM && t->stream) pqk_stream_end();
}

#define KIND_s8  KIND_S8
#define KIND_u8  KIND_U8
#define KIND_n8  KIND_N8
#define KIND_s16 KIND_S16
#define KIND_u16 KIND_U16
#define KIND_n4  KIND_N4
#define KIND_n2  KIND_N2
#define PQK_REQUANTIZE_KERNEL(out)                                                                    \
    static PQK_NOINLINE void any_##out(const char *acc, char *q, int m, ptrdiff_t at, ptrdiff_t step, \
                                       const struct requantize_context *c)                            \
    {                                                                                                 \
        requantize_any(acc, q, m, at, step, c, KIND_##out);                                           \
    }                                                                                                 \
    pqk_requantize_fn PQK_NAME(requantize_s32_##out);                                                 \
    void PQK_NAME(requantize_s32_##out)(const struct pqk_tile *tile, const struct pqk_requantizer *r) \
    {                                                                                                 \
        requantize_tile(tile, r, KIND_##out, any_##out);                                              \
    }
PQK_REQUANTIZE_ALL(PQK_REQUANTIZE_KERNEL)
