/* epilogue.c -- what is checked and found out about an epilogue once for a call. */
#include "gemm/epilogue.h"
#include "affine/integers.h"
#include "formats/f16.h"

/* Rows or columns whose entries must be looked at: one stands for all where the step is 0. */
static int64_t count_of(const pqk_integers *x, int64_t n) { return !x->data || n <= 0 ? 0 : x->step ? n : 1; }

/* All of x in [lo, hi]?  Without branches, so that a compiler can use vectors. */
static bool all_between(const pqk_integers *x, int64_t n, int32_t lo, int32_t hi)
{
    const int64_t count = count_of(x, n);
    int outside = 0;
    if (x->step == 1)
        for (int64_t i = 0; i < count; ++i) outside |= (x->data[i] < lo) | (x->data[i] > hi);
    else
        for (int64_t i = 0; i < count; ++i) outside |= (x->data[i * x->step] < lo) | (x->data[i * x->step] > hi);
    return !outside;
}

static bool fits(const pqk_integers *zero_point, int64_t n, pqk_type type)
{
    return type == PQK_S8 ? all_between(zero_point, n, INT8_MIN, INT8_MAX) : all_between(zero_point, n, 0, UINT8_MAX);
}

/* Is a moved zero point not 0? */
static bool moved(const pqk_integers *zero_point, int64_t n, int32_t flip)
{
    return zero_point->data ? !all_between(zero_point, n, -flip, -flip) : flip != 0;
}

/* m0 is 0 or in [2^30, 2^31), shift in [-31, 30].  *below_quarter: no shift of an m0 that is not 0 is above
 * FIXED_POINT_FAR. */
static bool multipliers_valid(const pqk_epilogue *e, int64_t n, bool *below_quarter)
{
    const int64_t count = n > 0 && !e->m0.step && !e->shift.step ? 1 : n;
    int bad = 0, larger = 0;
    for (int64_t j = 0; j < count; ++j) {
        const int32_t m0 = e->m0.data[j * e->m0.step], shift = e->shift.data[j * e->shift.step];
        bad |= ((m0 != 0) & (m0 < 1 << 30)) | (shift < -31) | (shift > 30);
        larger |= (m0 != 0) & (shift > -2);
    }
    *below_quarter = !larger;
    return !bad;
}

static pqk_status prepare_fixed(struct pqk_epilogue_call *call, int64_t n)
{
    const pqk_epilogue *e = call->e;
    if (!e->m0.data || !e->shift.data) return PQK_ERROR_MULTIPLIER;
    if (e->a_scale.data || e->b_scale.data || e->bias.data || e->activation || e->group_size) return PQK_ERROR_OPTION;
    if (e->rounding != PQK_SINGLE && e->rounding != PQK_DOUBLE && e->rounding != PQK_RNDNU) return PQK_ERROR_OPTION;
    return multipliers_valid(e, n, &call->below_quarter) ? PQK_OK : PQK_ERROR_MULTIPLIER;
}

/* By their bits: the caller may have told its CPU to take subnormals for zeros. */
static bool positive_and_finite(float x)
{
    const uint32_t bits = pqk_f32_bits(x);
    return bits > 0 && bits < 0x7f800000;
}
/* False where one is NaN. */
static bool at_most(float x, float y)
{
    const uint32_t a = pqk_f32_bits(x), b = pqk_f32_bits(y), sign = 0x80000000, infinity = 0x7f800000;
    if ((a & ~sign) > infinity || (b & ~sign) > infinity) return false;
    const int64_t i = a & sign ? -(int64_t)(a & ~sign) : (int64_t)a, j = b & sign ? -(int64_t)(b & ~sign) : (int64_t)b;
    return i <= j;
}

static pqk_status check_floats(const pqk_epilogue *e)
{
    if (e->activation < PQK_NO_ACTIVATION || e->activation > PQK_SILU) return PQK_ERROR_OPTION;
    if (e->activation == PQK_CLAMP && !at_most(e->low, e->high)) return PQK_ERROR_OPTION;
    if (e->group_size < 0) return PQK_ERROR_BLOCK;
    if (e->group_size && (!e->b_scale.data || e->b_scale.step != 1)) return PQK_ERROR_OPTION;
    return PQK_OK;
}

/* Integers, by a float multiplier or by a fixed-point one. */
static pqk_status prepare_integers(struct pqk_epilogue_call *call, int64_t n)
{
    const pqk_epilogue *e = call->e;
    if (e->out_zero_point < call->out_min || e->out_zero_point > call->out_max) return PQK_ERROR_ZERO_POINT;
    if (e->m0.data || e->shift.data) return prepare_fixed(call, n);
    if (!positive_and_finite(e->out_scale)) return PQK_ERROR_OPTION;
    return check_floats(e);
}

pqk_status pqk_epilogue_prepare(struct pqk_epilogue_call *call, pqk_type a_type, pqk_type b_type, int64_t m, int64_t n)
{
    const pqk_epilogue *e = call->e;
    if (!fits(&e->a_zero_point, m, a_type) || !fits(&e->b_zero_point, n, b_type)) return PQK_ERROR_ZERO_POINT;
    call->has_u = moved(&e->a_zero_point, m, call->a_flip);
    call->has_v = moved(&e->b_zero_point, n, call->b_flip);
    call->out_min = call->out_max = 0;
    call->below_quarter = false;
    call->n = n;

    switch (call->type) {
    case PQK_S32:
        /* exact integers: nothing else has a meaning */
        if (e->a_scale.data || e->b_scale.data || e->bias.data || e->activation || e->group_size || e->m0.data ||
            e->shift.data)
            return PQK_ERROR_OPTION;
        return PQK_OK;
    case PQK_F32:
    case PQK_F16:
    case PQK_BF16:
        return e->m0.data || e->shift.data ? PQK_ERROR_OPTION : check_floats(e);
    case PQK_S8:
    case PQK_U8:
    case PQK_S16: {
        enum pqk_integer_slot slot;
        if (!pqk_integer_type(call->type, &slot, &call->out_min, &call->out_max)) return PQK_ERROR_TYPE;
        return prepare_integers(call, n);
    }
    default:
        return PQK_ERROR_TYPE;
    }
}
