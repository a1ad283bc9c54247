/* epilogue_tpl.h -- from int32 to the type of C, written once for every ISA.
 *
 * Include after defining PQK_ISA and including simd/vec_<isa>.h.  epilogue.h and pyquantk.h say what is computed.
 *
 * A tile is taken VL columns at a time, down all of its rows: what belongs to the columns (scale, bias, column sum,
 * zero point) is in registers, what belongs to the rows is broadcast from memory.  Integers narrower than 32 bits are
 * made four rows at a time, because four registers narrow to one; where fewer rows are left the last one is made again.
 *
 * Loops are compiled for each type and for three cases of zero points.  What has an activation that is a curve, or
 * groups, goes through a buffer of float32 in the first-level cache.
 *
 * The limiting resource on Zen 4 is the multiplier ports, which the next tile's products want too: float32 costs a
 * multiplication and a fused one per VL elements, and two more where zero points differ from row to row or belong to B.
 */
#include <math.h>
#include "activations/activations_tpl.h"
#include "gemm/epilogue.h"
#include "gemm/gemm.h"
#include "requantize/fixed_point_tpl.h"
#include "simd/elements.h"

/* None; one of A for all rows (that is also how B meets an A whose signs were flipped), so that u c[j] belongs to the
 * columns; or any. */
enum epilogue_zero { ZERO_NONE, ZERO_ONE, ZERO_ANY };

/* ---- constants */

struct epilogue_rows {
    int32_t u[PQK_GEMM_MAX_MR], rest[PQK_GEMM_MAX_MR]; /* rest: rowsum - k u */
    float scale[PQK_GEMM_MAX_MR];
};
struct epilogue_columns {
    vs32 sum, v; /* sum: times u where there is one */
    vf32 scale, bias;
};

/* VL numbers from index `at` on, or the first m of them. */
static PQK_INLINE vf32 epilogue_floats(const pqk_floats *x, int64_t at, int m, float neutral)
{
    if (!x->data) return vf32_set1(neutral);
    if (x->step == 0) return vf32_set1(x->data[0]);
    if (x->step == 1) return m == VL ? vf32_load_f32(x->data + at) : vf32_load_f32_part(x->data + at, m);
    float lanes[VL] = {0};
    for (int i = 0; i < m; ++i) lanes[i] = x->data[(at + i) * x->step];
    return vf32_load_f32(lanes);
}
static PQK_INLINE vs32 epilogue_integers(const pqk_integers *x, int64_t at, int m)
{
    if (!x->data) return vs32_set1(0);
    if (x->step == 0) return vs32_set1(x->data[0]);
    if (x->step == 1) return m == VL ? vs32_load(x->data + at) : vs32_bits(vf32_load_f32_part(x->data + at, m));
    int32_t lanes[VL] = {0};
    for (int i = 0; i < m; ++i) lanes[i] = x->data[(at + i) * x->step];
    return vs32_load(lanes);
}

static PQK_INLINE enum epilogue_zero epilogue_zero_of(const struct pqk_epilogue_call *call)
{
    const pqk_integers *u = &call->e->a_zero_point;
    return call->has_v ? ZERO_ANY : !call->has_u ? ZERO_NONE : u->data && u->step ? ZERO_ANY : ZERO_ONE;
}

static PQK_INLINE int32_t epilogue_u(const struct pqk_epilogue_call *call, int64_t i)
{
    const pqk_integers *u = &call->e->a_zero_point;
    return call->a_flip + (u->data ? u->data[i * u->step] : 0);
}

static PQK_INLINE void epilogue_row_zeros(struct epilogue_rows *rows, const struct pqk_epilogue_call *call,
                                          const struct pqk_epilogue_tile *t, enum epilogue_zero zero)
{
    if (zero != ZERO_ANY) return;
    for (int r = 0; r < t->rows; ++r) {
        rows->u[r] = epilogue_u(call, t->i + r);
        /* without row sums v is 0 and this is not used */
        rows->rest[r] = t->rowsum ? (int32_t)((uint32_t)t->rowsum[r] - (uint32_t)t->k * (uint32_t)rows->u[r]) : 0;
    }
}
static PQK_INLINE void epilogue_row_scales(struct epilogue_rows *rows, const struct pqk_epilogue_call *call,
                                           const struct pqk_epilogue_tile *t)
{
    const pqk_floats *scale = &call->e->a_scale;
    for (int r = 0; r < t->rows; ++r) rows->scale[r] = scale->data ? scale->data[(t->i + r) * scale->step] : 1.0f;
}

/* The m columns from column j of the tile on; `scale` is b_scale, or a group of it. */
static PQK_INLINE struct epilogue_columns epilogue_columns_of(const struct pqk_epilogue_call *call,
                                                              const struct pqk_epilogue_tile *t, int j, int m,
                                                              const pqk_floats *scale, enum epilogue_zero zero)
{
    struct epilogue_columns k;
    k.sum = zero != ZERO_NONE && t->colsum ? vs32_load(t->colsum + j) : vs32_set1(0);
    if (zero == ZERO_ONE) k.sum = vs32_mul(vs32_set1(epilogue_u(call, 0)), k.sum);
    k.v = zero == ZERO_ANY ? vs32_add(epilogue_integers(&call->e->b_zero_point, t->j + j, m), vs32_set1(call->b_flip))
                           : vs32_set1(0);
    k.scale = epilogue_floats(scale, t->j + j, m, 1.0f);
    k.bias = epilogue_floats(&call->e->bias, t->j + j, m, 0.0f);
    return k;
}

/* ---- values */

/* VL columns of row r, zero points taken out; acc is at them. */
static PQK_INLINE vs32 epilogue_exact(const int32_t *acc, const struct epilogue_rows *rows, int r,
                                      const struct epilogue_columns *k, enum epilogue_zero zero)
{
    const vs32 x = vs32_load(acc);
    if (zero == ZERO_NONE) return x;
    if (zero == ZERO_ONE) return vs32_sub(x, k->sum);
    const vs32 u = vs32_mul(vs32_set1(rows->u[r]), k->sum), v = vs32_mul(vs32_set1(rows->rest[r]), k->v);
    return vs32_sub(vs32_sub(x, u), v);
}

/* NaN passes: both words return their second operand then. */
static PQK_INLINE vf32 epilogue_limit(vf32 y, vf32 low, vf32 high) { return vf32_min(high, vf32_max(low, y)); }

static PQK_INLINE vf32 epilogue_load_part(const float *y, int m)
{
    return m == VL ? vf32_load_f32(y) : vf32_load_f32_part(y, m);
}

static PQK_INLINE int epilogue_lanes(const struct pqk_epilogue_tile *t, int j)
{
    return t->columns - j < VL ? t->columns - j : VL;
}

/* ---- int32 */

static PQK_INLINE void epilogue_s32(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t,
                                    enum epilogue_zero zero)
{
    struct epilogue_rows rows;
    epilogue_row_zeros(&rows, call, t, zero);
    for (int j = 0; j < t->columns; j += VL) {
        const int m = epilogue_lanes(t, j);
        const struct epilogue_columns k = epilogue_columns_of(call, t, j, m, &call->e->b_scale, zero);
        char *c = t->c + (ptrdiff_t)j * 4;
        for (int r = 0; r < t->rows; ++r, c += t->c_row) {
            const vf32 bits = vf32_from_bits(epilogue_exact(t->acc + r * call->nr + j, &rows, r, &k, zero));
            if (m == VL)
                vf32_store_f32(c, bits); /* at any alignment */
            else
                vf32_store_f32_part(c, m, bits);
        }
    }
}

/* ---- floats: without groups, and no activation or a clamp */

static PQK_INLINE void epilogue_float(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t,
                                      pqk_type type, enum epilogue_zero zero)
{
    const pqk_epilogue *e = call->e;
    const bool clamp = e->activation == PQK_CLAMP;
    const vf32 low = vf32_set1(e->low), high = vf32_set1(e->high);
    struct epilogue_rows rows;
    epilogue_row_zeros(&rows, call, t, zero);
    epilogue_row_scales(&rows, call, t);
    for (int j = 0; j < t->columns; j += VL) {
        const int m = epilogue_lanes(t, j);
        const struct epilogue_columns k = epilogue_columns_of(call, t, j, m, &e->b_scale, zero);
        char *c = t->c + (ptrdiff_t)j * float_size(type);
        for (int r = 0; r < t->rows; ++r, c += t->c_row) {
            const vf32 x = vf32_from_s32(epilogue_exact(t->acc + r * call->nr + j, &rows, r, &k, zero));
            vf32 y = vf32_fma(x, vf32_mul(vf32_set1(rows.scale[r]), k.scale), k.bias);
            if (clamp) y = epilogue_limit(y, low, high);
            y = vf32_canonical(y);
            if (m == VL)
                store_float(c, y, type);
            else
                store_float_part(c, m, y, type);
        }
    }
}

/* ---- integers */

/* VL columns of four rows.  For 8 bits the zero point is added here, in saturating 16-bit lanes, so that q may be
 * anything; for 16 bits q has it, and is in range. */
static PQK_INLINE void epilogue_narrow(char *const to[4], const vs32 q[4], vs32 zero_point, enum integer_kind kind)
{
    const vs16 ab = vs16_pack2(q[0], q[1]), cd = vs16_pack2(q[2], q[3]);
    if (kind == KIND_S16) {
        v16_store_rows(to, ab);
        v16_store_rows(to + 2, cd);
        return;
    }
    const vs16 zero = vs16_pack2(zero_point, zero_point), x = vs16_adds(ab, zero), y = vs16_adds(cd, zero);
    v8_store_rows(to, kind == KIND_S8 ? vs8_pack2(x, y) : vu8_pack2(x, y));
}

/* Where the multiplier fl(fl(a_scale b_scale) / out_scale) comes from: most calls need no division in the loop. */
enum epilogue_multiplier { BY_COLUMN, BY_ROW, BY_BOTH };

struct epilogue_requantize {
    enum epilogue_multiplier by;
    bool clamp;                  /* an activation limits y from below; the limit from above is in hi */
    vf32 out_scale, low, lo, hi; /* low: of the activation; lo, hi: of everything */
    vs32 zero_point, least, most;
};

static PQK_INLINE struct epilogue_requantize epilogue_requantize_of(const struct pqk_epilogue_call *call,
                                                                    struct epilogue_rows *rows, int count)
{
    const pqk_epilogue *e = call->e;
    const bool clamp = e->activation == PQK_CLAMP;
    const int32_t least = call->out_min - e->out_zero_point, most = call->out_max - e->out_zero_point;
    const vf32 out_scale = vf32_set1(e->out_scale), lo = vf32_from_s32(vs32_set1(least));
    const vf32 hi = vf32_from_s32(vs32_set1(most));
    const vf32 low = vf32_div(vf32_set1(e->low), out_scale), high = vf32_div(vf32_set1(e->high), out_scale);
    const bool same_row = !e->a_scale.data || e->a_scale.step == 0;
    const bool same_column = !e->b_scale.data || e->b_scale.step == 0;
    const float b_scale = e->b_scale.data ? e->b_scale.data[0] : 1.0f;
    struct epilogue_requantize q;
    q.by = same_row ? BY_COLUMN : same_column ? BY_ROW : BY_BOTH;
    q.out_scale = out_scale;
    q.clamp = clamp;
    q.low = low;
    q.lo = lo;
    q.hi = clamp ? vf32_clamp(high, lo, hi) : hi;
    q.zero_point = vs32_set1(e->out_zero_point);
    q.least = vs32_set1(least);
    q.most = vs32_set1(most);
    if (q.by == BY_ROW)
        for (int r = 0; r < count; ++r) {
            const float scale = rows->scale[r] * b_scale;
            rows->scale[r] = scale / e->out_scale;
        }
    return q;
}

/* Of y in units of the output; what epilogue_narrow takes.  NaN passes the first limit and ends as the lowest. */
static PQK_INLINE vs32 epilogue_round(vf32 y, const struct epilogue_requantize *q, enum integer_kind kind)
{
    if (q->clamp) y = vf32_max(q->low, y);
    if (kind != KIND_S16) return vs32_round(vf32_guard(y, q->lo, q->hi));
    return vs32_add(vs32_round(vf32_clamp(y, q->lo, q->hi)), q->zero_point);
}
static PQK_INLINE vs32 epilogue_round_fixed(vs32 x, vs32 m0, vs32 shift, bool below_quarter,
                                            pqk_fixed_rounding rounding, const struct epilogue_requantize *q,
                                            enum integer_kind kind)
{
    const vs32 y =
        below_quarter ? fixed_point_round_far(x, m0, shift, rounding) : fixed_point_round(x, m0, shift, rounding);
    if (kind != KIND_S16) return y;
    return vs32_add(vs32_min(vs32_max(y, q->least), q->most), q->zero_point);
}

/* What the four rows from r on come from: acc with float multipliers (no groups, and no curve), acc with fixed-point
 * ones, or the float results in y. */
enum epilogue_source { FROM_ACC, FROM_FIXED, FROM_FLOAT };

static PQK_INLINE void epilogue_integer(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t,
                                        enum integer_kind kind, enum epilogue_zero zero, enum epilogue_source source,
                                        const float *y)
{
    const pqk_epilogue *e = call->e;
    const int size = kind_bits(kind) / 8;
    PQK_ALIGNED(64) char edge[4][VL * 2];
    struct epilogue_rows rows;
    epilogue_row_zeros(&rows, call, t, zero);
    epilogue_row_scales(&rows, call, t);
    const struct epilogue_requantize q = epilogue_requantize_of(call, &rows, t->rows);

    for (int j = 0; j < t->columns; j += VL) {
        const int m = epilogue_lanes(t, j);
        struct epilogue_columns k = epilogue_columns_of(call, t, j, m, &e->b_scale, zero);
        const vs32 m0 = epilogue_integers(&e->m0, t->j + j, m), shift = epilogue_integers(&e->shift, t->j + j, m);
        k.bias = vf32_div(k.bias, q.out_scale);
        if (q.by == BY_COLUMN) k.scale = vf32_div(vf32_mul(vf32_set1(rows.scale[0]), k.scale), q.out_scale);

        for (int first = 0; first < t->rows; first += 4) {
            vs32 out[4];
            char *to[4];
            unrolled_for (int i = 0; i < 4; ++i) {
                const int r = first + i < t->rows ? first + i : t->rows - 1;
                to[i] = m == VL ? t->c + r * t->c_row + (ptrdiff_t)j * size : edge[i];
                if (source == FROM_FLOAT) {
                    out[i] =
                        epilogue_round(vf32_div(epilogue_load_part(y + r * call->nr + j, m), q.out_scale), &q, kind);
                    continue;
                }
                const vs32 x = epilogue_exact(t->acc + r * call->nr + j, &rows, r, &k, zero);
                if (source == FROM_FIXED) {
                    out[i] = epilogue_round_fixed(x, m0, shift, call->below_quarter, e->rounding, &q, kind);
                    continue;
                }
                const vf32 row = vf32_set1(rows.scale[r]);
                const vf32 scale = q.by == BY_COLUMN ? k.scale
                                   : q.by == BY_ROW  ? row
                                                     : vf32_div(vf32_mul(row, k.scale), q.out_scale);
                out[i] = epilogue_round(vf32_fma(vf32_from_s32(x), scale, k.bias), &q, kind);
            }
            epilogue_narrow(to, out, q.zero_point, kind);
            for (int i = 0; m < VL && i < 4 && first + i < t->rows; ++i)
                memcpy(t->c + (first + i) * t->c_row + (ptrdiff_t)j * size, edge[i], (size_t)(m * size));
        }
    }
}

/* ---- groups and curves, by way of float32 */

/* y = fma(sum, a_scale, bias), b_scale being in the sum; without groups it is a float product's sum, and is not. */
static PQK_INLINE void epilogue_grouped(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t,
                                        float *y)
{
    const pqk_floats none = {NULL, 0};
    struct epilogue_rows rows;
    epilogue_row_scales(&rows, call, t);
    for (int j = 0; j < t->columns; j += VL) {
        const int m = epilogue_lanes(t, j);
        const vf32 bias = epilogue_floats(&call->e->bias, t->j + j, m, 0.0f);
        const vf32 column = epilogue_floats(call->e->group_size ? &none : &call->e->b_scale, t->j + j, m, 1.0f);
        for (int r = 0; r < t->rows; ++r) {
            const int at = r * call->nr + j; /* nr is a multiple of VL: sum and y have these elements */
            const vf32 scale = vf32_mul(vf32_set1(rows.scale[r]), column);
            vf32_store_f32(y + at, vf32_fma(vf32_load_f32(t->sum + at), scale, bias));
        }
    }
}

static PQK_INLINE void epilogue_activate(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t,
                                         float *y, pqk_activation activation)
{
    const vf32 low = vf32_set1(call->e->low), high = vf32_set1(call->e->high);
    for (int j = 0; j < t->columns; j += VL) {
        const int m = epilogue_lanes(t, j);
        for (int r = 0; r < t->rows; ++r) {
            float *at = y + r * call->nr + j;
            const vf32 x = epilogue_load_part(at, m);
            vf32_store_f32(at, activation == PQK_CLAMP ? epilogue_limit(x, low, high) : activate(x, activation));
        }
    }
}

static PQK_INLINE void epilogue_store(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t,
                                      const float *y, pqk_type type)
{
    for (int j = 0; j < t->columns; j += VL) {
        const int m = epilogue_lanes(t, j);
        char *c = t->c + (ptrdiff_t)j * float_size(type);
        for (int r = 0; r < t->rows; ++r, c += t->c_row) {
            const vf32 x = vf32_canonical(epilogue_load_part(y + r * call->nr + j, m));
            if (m == VL)
                store_float(c, x, type);
            else
                store_float_part(c, m, x, type);
        }
    }
}

static PQK_NOINLINE void epilogue_f32(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t);

static PQK_NOINLINE void epilogue_general(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t)
{
    PQK_ALIGNED(64) float y[PQK_GEMM_MAX_MR * PQK_GEMM_MAX_NR];
    if (t->sum) {
        epilogue_grouped(call, t, y);
    } else { /* a curve, so epilogue_f32 sees no activation */
        struct pqk_epilogue_tile to_y = *t;
        to_y.c = (char *)y;
        to_y.c_row = (ptrdiff_t)call->nr * 4;
        epilogue_f32(call, &to_y);
    }
    switch (call->e->activation) {
    case PQK_CLAMP:
        epilogue_activate(call, t, y, PQK_CLAMP);
        break;
    case PQK_GELU:
        epilogue_activate(call, t, y, PQK_GELU);
        break;
    case PQK_GELU_TANH:
        epilogue_activate(call, t, y, PQK_GELU_TANH);
        break;
    case PQK_SILU:
        epilogue_activate(call, t, y, PQK_SILU);
        break;
    default:
        break;
    }
    switch (call->type) {
    case PQK_F32:
        epilogue_store(call, t, y, PQK_F32);
        break;
    case PQK_F16:
        epilogue_store(call, t, y, PQK_F16);
        break;
    case PQK_BF16:
        epilogue_store(call, t, y, PQK_BF16);
        break;
    case PQK_S8:
        epilogue_integer(call, t, KIND_S8, ZERO_NONE, FROM_FLOAT, y);
        break;
    case PQK_U8:
        epilogue_integer(call, t, KIND_U8, ZERO_NONE, FROM_FLOAT, y);
        break;
    default:
        epilogue_integer(call, t, KIND_S16, ZERO_NONE, FROM_FLOAT, y);
        break;
    }
}

/* ---- one function for each type */

static PQK_NOINLINE void epilogue_int32(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t)
{
    switch (epilogue_zero_of(call)) {
    case ZERO_NONE:
        epilogue_s32(call, t, ZERO_NONE);
        break;
    case ZERO_ONE:
        epilogue_s32(call, t, ZERO_ONE);
        break;
    default:
        epilogue_s32(call, t, ZERO_ANY);
        break;
    }
}

static PQK_INLINE void epilogue_float_any(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t,
                                          pqk_type type)
{
    switch (epilogue_zero_of(call)) {
    case ZERO_NONE:
        epilogue_float(call, t, type, ZERO_NONE);
        break;
    case ZERO_ONE:
        epilogue_float(call, t, type, ZERO_ONE);
        break;
    default:
        epilogue_float(call, t, type, ZERO_ANY);
        break;
    }
}
static PQK_NOINLINE void epilogue_f32(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t)
{
    epilogue_float_any(call, t, PQK_F32);
}
static PQK_NOINLINE void epilogue_f16(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t)
{
    epilogue_float_any(call, t, PQK_F16);
}
static PQK_NOINLINE void epilogue_bf16(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t)
{
    epilogue_float_any(call, t, PQK_BF16);
}

static PQK_INLINE void epilogue_integer_any(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t,
                                            enum integer_kind kind)
{
    const enum epilogue_zero zero = epilogue_zero_of(call);
    if (call->e->m0.data)
        epilogue_integer(call, t, kind, ZERO_ANY, FROM_FIXED, NULL);
    else if (zero == ZERO_NONE)
        epilogue_integer(call, t, kind, ZERO_NONE, FROM_ACC, NULL);
    else if (zero == ZERO_ONE)
        epilogue_integer(call, t, kind, ZERO_ONE, FROM_ACC, NULL);
    else
        epilogue_integer(call, t, kind, ZERO_ANY, FROM_ACC, NULL);
}
static PQK_NOINLINE void epilogue_s8(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t)
{
    epilogue_integer_any(call, t, KIND_S8);
}
static PQK_NOINLINE void epilogue_u8(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t)
{
    epilogue_integer_any(call, t, KIND_U8);
}
static PQK_NOINLINE void epilogue_s16(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t)
{
    epilogue_integer_any(call, t, KIND_S16);
}

static void epilogue_finish(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t)
{
    if (call->e->activation > PQK_CLAMP || t->sum) {
        epilogue_general(call, t);
        return;
    }
    switch (call->type) {
    case PQK_S32:
        epilogue_int32(call, t);
        break;
    case PQK_F32:
        epilogue_f32(call, t);
        break;
    case PQK_F16:
        epilogue_f16(call, t);
        break;
    case PQK_BF16:
        epilogue_bf16(call, t);
        break;
    case PQK_S8:
        epilogue_s8(call, t);
        break;
    case PQK_U8:
        epilogue_u8(call, t);
        break;
    default:
        epilogue_s16(call, t);
        break;
    }
}

/* ---- a group */

static PQK_INLINE void epilogue_add_group(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t,
                                          bool first, enum epilogue_zero zero)
{
    const pqk_floats scale = {call->e->b_scale.data + t->group * call->n, 1};
    struct epilogue_rows rows;
    epilogue_row_zeros(&rows, call, t, zero);
    for (int j = 0; j < t->columns; j += VL) {
        const struct epilogue_columns k = epilogue_columns_of(call, t, j, epilogue_lanes(t, j), &scale, zero);
        const int32_t *acc = t->acc + j;
        float *sum = t->sum + j;
        for (int r = 0; r < t->rows; ++r, acc += call->nr, sum += call->nr) {
            const vf32 x = vf32_from_s32(epilogue_exact(acc, &rows, r, &k, zero));
            vf32_store_f32(sum, vf32_fma(x, k.scale, first ? vf32_set1(0.0f) : vf32_load_f32(sum)));
        }
    }
}

static void epilogue_accumulate(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *t, bool first)
{
    switch (epilogue_zero_of(call)) {
    case ZERO_NONE:
        epilogue_add_group(call, t, first, ZERO_NONE);
        break;
    case ZERO_ONE:
        epilogue_add_group(call, t, first, ZERO_ONE);
        break;
    default:
        epilogue_add_group(call, t, first, ZERO_ANY);
        break;
    }
}

extern const struct pqk_gemm_epilogue PQK_NAME(epilogue_gemm);
const struct pqk_gemm_epilogue PQK_NAME(epilogue_gemm) = {epilogue_accumulate, epilogue_finish};
