/* oracle_gemm.c -- what becomes of an int32 accumulator, by the formulas of pyquantk.h in double: every product of two
 * floats is exact there, and a fused sum is rounded to odd first, so that rounding it to float32 afterwards is the one
 * rounding that fma has (Boldo & Melquiond, "Emulation of FMA and correctly rounded sums", 2008). */
#include <math.h>
#include <string.h>
#include "gemm.h"
#include "oracle.h"
#include "requantize.h"

static float fused(float a, float b, float c)
{
    const double p = (double)a * b, s = p + c;
    if (!isfinite(s)) return (float)s;
    const double t = s - p, rest = (p - (s - t)) + ((double)c - t); /* p + c = s + rest, exactly */
    int64_t bits;
    memcpy(&bits, &s, 8);
    if (rest != 0 && !(bits & 1)) bits += (rest > 0) == (s > 0) ? 1 : -1;
    double odd;
    memcpy(&odd, &bits, 8);
    return (float)odd;
}

static float float_at(const pqk_floats *x, int64_t i, float neutral)
{
    return x->data ? x->data[i * x->step] : neutral;
}
static int32_t integer_at(const pqk_integers *x, int64_t i) { return x->data ? x->data[i * x->step] : 0; }

/* A NaN stays one. */
static float limited(float y, float low, float high) { return y < low ? low : y > high ? high : y; }

bool gemm_is_curve(const pqk_epilogue *e) { return e->activation > PQK_CLAMP; }

int32_t oracle_zero_points(int64_t ab, int64_t row_sum, int64_t column_sum, int64_t k, int32_t u, int32_t v)
{
    /* sum (a - u)(b - v) = ab - u sum b - v sum a + k u v; in 64 bits modulo 2^64 */
    const uint64_t x = (uint64_t)ab - (uint64_t)u * (uint64_t)column_sum - (uint64_t)v * (uint64_t)row_sum +
                       (uint64_t)k * (uint64_t)u * (uint64_t)v;
    return (int32_t)(uint32_t)x;
}

static int32_t saturated(double q, int32_t zero_point, pqk_type type)
{
    int32_t lowest, highest;
    oracle_range(type, &lowest, &highest);
    q = (fabs(q) < 0x1p52 ? q - remainder(q, 1) : q) + zero_point;    /* half to even; zero_point is exact below 2^52 */
    return q >= highest ? highest : q > lowest ? (int32_t)q : lowest; /* NaN: lowest */
}

void oracle_epilogue(const pqk_epilogue *e, const struct gemm_problem *p, const int32_t *acc, int64_t groups, int64_t i,
                     int64_t j, char *row, size_t at)
{
    const bool is_integer = p->c == PQK_S8 || p->c == PQK_U8 || p->c == PQK_S16;
    if (p->c == PQK_S32) {
        memcpy(row + 4 * at, acc, 4);
        return;
    }
    if (e->m0.data) {
        const int32_t m0 = integer_at(&e->m0, j), shift = integer_at(&e->shift, j);
        struct pqk_requantizer r = {
            .m0 = &m0, .shift = &shift, .zero_point = &e->out_zero_point, .rounding = e->rounding};
        oracle_range(p->c, &r.quant_min, &r.quant_max);
        oracle_store_integer(row, at, oracle_requantize(*acc, &r, 0), p->c);
        return;
    }
    const float a_scale = float_at(&e->a_scale, i, 1), bias = float_at(&e->bias, j, 0);
    const bool clamp = e->activation == PQK_CLAMP;
    if (is_integer && !e->group_size && !gemm_is_curve(e)) {
        const float scale = a_scale * float_at(&e->b_scale, j, 1), m = scale / e->out_scale;
        float q = fused((float)*acc, m, bias / e->out_scale);
        if (clamp) q = limited(q, e->low / e->out_scale, e->high / e->out_scale);
        oracle_store_integer(row, at, saturated(q, e->out_zero_point, p->c), p->c);
        return;
    }
    float y;
    if (e->group_size) {
        float sum = 0;
        for (int64_t g = 0; g < groups; ++g) sum = fused((float)acc[g], e->b_scale.data[g * p->n + j], sum);
        y = fused(sum, a_scale, bias);
    } else {
        const float scale = a_scale * float_at(&e->b_scale, j, 1);
        y = fused((float)*acc, scale, bias);
    }
    if (clamp) y = limited(y, e->low, e->high);
    if (is_integer)
        oracle_store_integer(row, at, saturated(y / e->out_scale, e->out_zero_point, p->c), p->c);
    else
        oracle_store_float(row, at, y, p->c);
}

/* ---- parameters */

struct gemm_space gemm_space_make(size_t vectors, size_t group_scales)
{
    return (struct gemm_space){
        guard_make(vectors * 4), guard_make(vectors * 4),
        guard_make(vectors * 4), guard_make((vectors > group_scales ? vectors : group_scales) * 4),
        guard_make(vectors * 4), guard_make(vectors * 4),
        guard_make(vectors * 4)};
}

/* A vector of n elements, or one for all, or every second of an array; it ends at the guard. */
static void *choose_vector(struct rng *rng, const struct guard *g, int64_t n, int64_t *step, size_t *count)
{
    const uint32_t how = rng_below(rng, 10);
    *step = how < 4 ? 0 : how < 9 || n < 2 ? 1 : 2;
    *count = *step == 0 ? 1 : n > 0 ? (size_t)((n - 1) * *step + 1) : 0;
    if (*count * 4 > (size_t)(g->high - g->low)) {
        *step = 1;
        *count = (size_t)n;
    }
    return g->high - *count * 4;
}

static float choose_float(struct rng *rng, double around, bool wild)
{
    static const uint32_t special[] = {0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x7f7fffff,
                                       0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001};
    if (wild && rng_chance(rng, 4)) return float_of(special[rng_below(rng, sizeof special / sizeof special[0])]);
    if (wild && rng_chance(rng, 4)) return rng_bits(rng);
    const int exponent = around > 0 ? ilogb(around) : -10;
    const float x = rng_chance(rng, 10) ? ldexpf(1, exponent) : rng_float(rng, exponent - (int)rng_below(rng, 3));
    return rng_chance(rng, 5) ? -x : x;
}

static pqk_floats choose_floats(struct rng *rng, const struct guard *g, int64_t n, double around, bool wild)
{
    int64_t step;
    size_t count;
    float *x = choose_vector(rng, g, n, &step, &count);
    for (size_t i = 0; i < count; ++i) x[i] = choose_float(rng, around, wild);
    return (pqk_floats){x, step};
}

static pqk_integers choose_zero_points(struct rng *rng, const struct guard *g, int64_t n, pqk_type type)
{
    int32_t lo, hi;
    int64_t step;
    size_t count;
    oracle_range(type, &lo, &hi);
    int32_t *x = choose_vector(rng, g, n, &step, &count);
    const uint32_t style = rng_below(rng, 5);
    for (size_t i = 0; i < count; ++i)
        x[i] = style == 0 ? lo : style == 1 ? hi : style == 2 ? (type == PQK_U8 ? 128 : 0) : rng_between(rng, lo, hi);
    return (pqk_integers){x, step};
}

static void choose_fixed_point(struct rng *rng, const struct gemm_space *space, pqk_epilogue *e,
                               const struct gemm_problem *p, int32_t highest)
{
    size_t count;
    const int usual = ilogb(highest / (p->typical + 1)) + 1;
    const bool small = rng_chance(rng, 50);
    int32_t *m0 = choose_vector(rng, &space->m0, p->n, &e->m0.step, &count);
    for (size_t i = 0; i < count; ++i) m0[i] = rng_chance(rng, 5) ? 0 : rng_between(rng, 1 << 30, INT32_MAX);
    e->m0.data = m0;
    int32_t *shift = choose_vector(rng, &space->shift, p->n, &e->shift.step, &count);
    for (size_t i = 0; i < count; ++i) {
        shift[i] = rng_chance(rng, 80) ? usual + rng_between(rng, -2, 1) : rng_between(rng, -31, 30);
        if (small && shift[i] > -2) shift[i] = -2 - (int32_t)rng_below(rng, 10);
        if (shift[i] < -31) shift[i] = -31;
        if (shift[i] > 30) shift[i] = 30;
    }
    e->shift.data = shift;
    e->rounding = (pqk_fixed_rounding)rng_below(rng, 3);
}

static void choose_clamp(struct rng *rng, pqk_epilogue *e, double around)
{
    const uint32_t how = rng_below(rng, 4);
    e->low = how < 2 ? 0.0f : choose_float(rng, around, false);
    e->high = how == 0 ? float_of(0x7f800000) : choose_float(rng, around, false);
    if (e->high < e->low) {
        const float swapped = e->low;
        e->low = e->high;
        e->high = swapped;
    }
}

pqk_epilogue gemm_choose_epilogue(struct rng *rng, const struct gemm_space *space, const struct gemm_problem *p,
                                  bool groups)
{
    pqk_epilogue e = {0};
    if (rng_chance(rng, 50)) e.a_zero_point = choose_zero_points(rng, &space->a_zero_point, p->m, p->a);
    if (rng_chance(rng, 50)) e.b_zero_point = choose_zero_points(rng, &space->b_zero_point, p->n, p->b);
    if (p->c == PQK_S32) return e;
    const bool is_integer = p->c == PQK_S8 || p->c == PQK_U8 || p->c == PQK_S16, wild = rng_chance(rng, 10);
    int32_t lowest = 0, highest = 1;
    if (is_integer) {
        oracle_range(p->c, &lowest, &highest);
        e.out_zero_point = rng_chance(rng, 30) ? lowest : rng_chance(rng, 30) ? highest : rng_between(rng, -3, 3);
        if (e.out_zero_point < lowest) e.out_zero_point = lowest;
        if (rng_chance(rng, 35)) {
            choose_fixed_point(rng, space, &e, p, highest);
            return e;
        }
    }
    const double unit = ldexp(1, -(int)rng_below(rng, 20));
    if (rng_chance(rng, 80)) e.a_scale = choose_floats(rng, &space->a_scale, p->m, unit, wild);
    if (rng_chance(rng, 80)) e.b_scale = choose_floats(rng, &space->b_scale, p->n, 1, wild);
    const double typical = (p->typical + 1) * (e.a_scale.data ? unit : 1);
    if (rng_chance(rng, 60)) e.bias = choose_floats(rng, &space->bias, p->n, typical, wild);
    if (groups && p->k > 0 && rng_chance(rng, 50)) {
        e.group_size = rng_chance(rng, 20) ? p->k + rng_below(rng, 3) : 1 + rng_below(rng, (uint32_t)p->k);
        if ((p->k + e.group_size - 1) / e.group_size > 16) e.group_size = (p->k + 15) / 16;
        const size_t count = (size_t)((p->k + e.group_size - 1) / e.group_size * p->n);
        float *x = (float *)(void *)(space->b_scale.high - count * 4);
        for (size_t i = 0; i < count; ++i) x[i] = choose_float(rng, 1, wild);
        e.b_scale = (pqk_floats){x, 1};
    }
    const uint32_t activation = rng_below(rng, 8);
    e.activation = activation < 3 ? PQK_NO_ACTIVATION : activation < 5 ? PQK_CLAMP : (pqk_activation)(activation - 3);
    if (e.activation == PQK_CLAMP) choose_clamp(rng, &e, typical);
    if (is_integer) {
        const double out = typical / highest;
        e.out_scale = rng_chance(rng, 20) ? ldexpf(1, ilogb(out)) : rng_float(rng, ilogb(out));
        if (wild && rng_chance(rng, 20)) e.out_scale = rng_float(rng, rng_between(rng, -140, 100));
    }
    return e;
}
