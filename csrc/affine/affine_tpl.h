/* affine_tpl.h -- from parameters to the constants of the inner loops, and the rounding quotient itself; written
 * once, for every ISA.  Include after simd/vec_<isa>.h.
 *
 * Two ways to the same integer (affine.h has the formula):
 *
 *   general  the formula as it stands: quotient, clamp, round.  Right for every scale.
 *   fast     x is limited first, to where the quotient is just beyond the range, so that no infinity and no
 *            overflow can follow, and then y = fma(x, h, x * l).
 *
 * For PQK_MULTIPLY h = r and l = 0; the quotients that take in the zero point do so as they say.  For PQK_DIVIDE h + l
 * is 1 / s to twice the precision: h = fl(1 / s), l = fl(1 - h s) h, an exact residual by FMA.  Then y is within 1.625
 * * 2^-47 of x / s before its rounding (Brisebarre, Muller & Raina, "Accelerating correctly rounded floating-point
 * division when the divisor is known in advance", IEEE Trans. Comput. 2004), and round(y) is round(fl(x / s)) unless
 * the two sums lie on different sides of a midpoint between floats that touches a half-integer N / 2, N odd.  Let X and
 * S be the 24-bit significands and m = 2^(a+1) N +- 1 that midpoint, of 25 bits, so a + 1 >= 16 where |y| < 256 (>= 8
 * where |y| < 65536).  X 2^t = m S + d with t >= 23 and an integer d, not 0 because no quotient is a midpoint, and the
 * error allows |d| <= 6 only (12 for the midpoint below 1/2, whose m has one more bit).  For each N, sign and d that
 * leaves one S modulo 2^t, few enough to try them all: tests/c/test_division.c does, with twice the |d|, and two
 * operations are exact for every other pair.  Where |y| < 262 they fail for one S, 2^24 - 1; where |y| < 65536 for
 * some S within 3 of a multiple of 2^8.  Scales with these significands go the general way.
 *
 * The limiting resource on Zen 4 is the multiplier ports: limit, multiply, fused multiply-add.
 */
#ifndef PQK_AFFINE_TPL_H
#define PQK_AFFINE_TPL_H
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "affine/affine.h"

/* Rows (or columns) whose constants are made at a time; they live on the stack and in the first-level cache. */
enum { AFFINE_ROWS = 256, AFFINE_COLUMNS = 1024, AFFINE_MAX = AFFINE_COLUMNS };

/* The constants of VL rows or columns in memory: side by side, because arrays of 4 KiB one behind the other would
 * fall into the same cache sets, where the rows of a matrix with 1,024 columns meet too.  Those that the commonest
 * loops read are dense, so that they use all sets. */
struct affine_lanes {
    float h[VL], l[VL]; /* h is r where the convention multiplies */
    float hi[VL];       /* of x (fast), or of y (general) */
    int32_t z[VL];      /* the zero point outside the rounding */
};
struct affine_more_lanes {
    float s[VL];                /* the scale */
    float lo[VL];               /* as hi */
    float fused[VL], added[VL]; /* the zero point inside the rounding: one of the two, or none */
};

struct affine_prepared {
    bool fast;
    PQK_ALIGNED(64) struct affine_lanes at[AFFINE_MAX / VL];
    struct affine_more_lanes more[AFFINE_MAX / VL];
};

/* The same in registers. */
struct affine_consts {
    vf32 s, h, l, lo, hi, fused, added;
    vs32 z;
};

/* VL numbers of which `left` exist, the others `pad`. */
static PQK_INLINE vf32 affine_fetch(const float *from, ptrdiff_t stride, size_t left, float pad)
{
    if (stride == 1 && left >= VL) return vf32_load_f32(from);
    float lanes[VL];
    for (size_t i = 0; i < VL; ++i) lanes[i] = i < left ? from[(ptrdiff_t)i * stride] : pad;
    return vf32_load_f32(lanes);
}

static PQK_INLINE vs32 affine_fetch_zero_points(const int32_t *from, ptrdiff_t stride, size_t left)
{
    if (stride == 1 && left >= VL) return vs32_load(from);
    int32_t lanes[VL];
    for (size_t i = 0; i < VL; ++i) lanes[i] = i < left ? from[(ptrdiff_t)i * stride] : 0;
    return vs32_load(lanes);
}

/* l of PQK_DIVIDE, and -1 in *bad where two operations do not suffice. */
static PQK_INLINE vf32 affine_low_part(vf32 s, vf32 h, bool wide, vs32 *bad)
{
    const int32_t low_bits = wide ? 0xff : 0x7fffff; /* of the significand */
    const int32_t window = wide ? 3 : 1;
    const vs32 low = vs32_and(vs32_bits(s), vs32_set1(low_bits));
    const vs32 near = vs32_and(vs32_add(low, vs32_set1(window)), vs32_set1(low_bits)); /* d + window */
    const vs32 within = vs32_equal(vs32_min(near, vs32_set1(2 * window)), near);
    const vs32 not_zero = vs32_equal(vs32_min(low, vs32_set1(1)), vs32_set1(1));
    *bad = vs32_or(*bad, vs32_and(within, not_zero));
    return vf32_mul(vf32_fnma(h, s, vf32_set1(1.0f)), h);
}

/* From fast to general: limits of y instead of x, and 0 for an infinite r where the convention says so. */
static PQK_NOINLINE void affine_prepare_general(struct affine_prepared *p, const struct pqk_affine *a, size_t count)
{
    const bool inside = a->quotient == PQK_FUSED || a->quotient == PQK_MULTIPLY_ADD;
    p->fast = false;
    for (size_t i = 0; i < count; ++i) {
        struct affine_lanes *to = &p->at[i / VL];
        struct affine_more_lanes *more = &p->more[i / VL];
        const size_t lane = i % VL;
        const int32_t z = inside ? 0 : to->z[lane];
        more->lo[lane] = (float)(a->quant_min - z);
        to->hi[lane] = (float)(a->quant_max - z);
        if (a->infinite_is_zero && isinf(to->h[lane])) to->h[lane] = 0.0f;
    }
}

/* Fills p for `count` parameters from index `at` on; extra widens the limits of x by so many steps. */
static PQK_NOINLINE void affine_prepare(struct affine_prepared *p, const struct pqk_affine *a, ptrdiff_t at,
                                        ptrdiff_t stride, size_t count, int extra)
{
    const bool inside = a->quotient == PQK_FUSED || a->quotient == PQK_MULTIPLY_ADD;
    const bool wide = a->quant_max - a->quant_min > 255;
    const vf32 zero = vf32_set1(0.0f), one = vf32_set1(1.0f), small = vf32_set1(0x1p-100f), large = vf32_set1(0x1p100f);
    vs32 bad = vs32_set1(0);

    for (size_t i = 0; i < count; i += VL) {
        struct affine_lanes *to = &p->at[i / VL];
        struct affine_more_lanes *more = &p->more[i / VL];
        const ptrdiff_t from = at + (ptrdiff_t)i * stride;
        const vf32 s = affine_fetch(a->scale + from, stride, count - i, 1.0f);
        const vs32 z = a->zero_point ? affine_fetch_zero_points(a->zero_point + from, stride, count - i) : vs32_set1(0);
        vf32 h, l = zero, step = s;
        if (a->quotient == PQK_DIVIDE) {
            h = vf32_div(one, s);
            l = affine_low_part(s, h, wide, &bad);
        } else {
            h = a->inverse ? affine_fetch(a->inverse + from, stride, count - i, 1.0f)
                           : vf32_mul(vf32_set1(a->numerator), vf32_div(one, s));
            step = vf32_div(one, h);
        }
        bad = vs32_or(bad, vs32_not_between(h, small, large));
        const vf32 lo = vf32_from_s32(vs32_sub(vs32_set1(a->quant_min - extra), z));
        const vf32 hi = vf32_from_s32(vs32_sub(vs32_set1(a->quant_max + extra), z));
        const vf32 zf = inside ? vf32_from_s32(z) : zero;
        vf32_store_f32(more->s, s);
        vf32_store_f32(to->h, h);
        vf32_store_f32(to->l, l);
        vf32_store_f32(more->lo, vf32_mul(lo, step));
        vf32_store_f32(to->hi, vf32_mul(hi, step));
        vf32_store_f32(more->fused, a->quotient == PQK_FUSED ? zf : zero);
        vf32_store_f32(more->added, a->quotient == PQK_MULTIPLY_ADD ? zf : zero);
        vs32_store(to->z, inside ? vs32_set1(0) : z);
    }
    p->fast = VL > 1 && !vs32_any(bad) && !(inside && a->away);
    if (!p->fast) affine_prepare_general(p, a, count);
}

static PQK_INLINE struct affine_consts affine_of_row(const struct affine_prepared *p, size_t i)
{
    const struct affine_lanes *from = &p->at[i / VL];
    const struct affine_more_lanes *more = &p->more[i / VL];
    const size_t lane = i % VL;
    const struct affine_consts k = {vf32_set1(more->s[lane]),     vf32_set1(from->h[lane]),
                                    vf32_set1(from->l[lane]),     vf32_set1(more->lo[lane]),
                                    vf32_set1(from->hi[lane]),    vf32_set1(more->fused[lane]),
                                    vf32_set1(more->added[lane]), vs32_set1(from->z[lane])};
    return k;
}

/* i is a multiple of VL. */
static PQK_INLINE struct affine_consts affine_of_columns(const struct affine_prepared *p, size_t i)
{
    const struct affine_lanes *from = &p->at[i / VL];
    const struct affine_more_lanes *more = &p->more[i / VL];
    const struct affine_consts k = {vf32_load_f32(more->s),     vf32_load_f32(from->h),  vf32_load_f32(from->l),
                                    vf32_load_f32(more->lo),    vf32_load_f32(from->hi), vf32_load_f32(more->fused),
                                    vf32_load_f32(more->added), vs32_load(from->z)};
    return k;
}

/* The predecessor of 1/2 instead of 1/2, so that 0.49999997 + 0.5 does not round up to 1. */
static PQK_INLINE vs32 affine_round(vf32 y, bool away)
{
    return away ? vs32_truncate(vf32_add(y, vf32_copysign(vf32_set1(0x1.fffffep-2f), y))) : vs32_round(y);
}

/* The loops are compiled for each of these; the general one asks for the factors at run time. */
enum affine_way {
    AFFINE_EVEN,    /* PQK_DIVIDE and PQK_MULTIPLY, half to even */
    AFFINE_AWAY,    /* the same, half away from zero */
    AFFINE_FUSED,   /* PQK_FUSED */
    AFFINE_ADDED,   /* PQK_MULTIPLY_ADD */
    AFFINE_PRODUCT, /* PQK_MULTIPLY, half to even: x h and no more */
    AFFINE_GENERAL
};

static PQK_INLINE enum affine_way affine_way_of(const struct affine_prepared *p, const struct pqk_affine *a)
{
    if (!p->fast) return AFFINE_GENERAL;
    if (a->quotient == PQK_MULTIPLY_ADD) return AFFINE_ADDED;
    return a->quotient == PQK_FUSED ? AFFINE_FUSED : a->away ? AFFINE_AWAY : AFFINE_EVEN;
}

/* Limits of x that are left to others. */
enum affine_limits {
    AFFINE_BOTH,     /* none */
    AFFINE_NATURAL,  /* the caller's narrowing saturates at quant_min - z, so that the lower limit is not needed where
                      * vs32_round maps all that is too low, NaN included, to a large negative number */
    AFFINE_UNLIMITED /* both: the caller finds out whether x was too large */
};

/* The integer, still without z. */
static PQK_INLINE vs32 affine_integer(vf32 x, const struct affine_consts *k, const struct pqk_affine *a,
                                      enum affine_way way, enum affine_limits limits)
{
    if (way == AFFINE_GENERAL) {
        const vf32 y = a->quotient == PQK_DIVIDE ? vf32_div(x, k->s) : vf32_add(vf32_fma(x, k->h, k->fused), k->added);
        return affine_round(vf32_clamp(y, k->lo, k->hi), a->away);
    }
    const vf32 c = limits == AFFINE_UNLIMITED ? x
                   : limits == AFFINE_NATURAL ? vf32_guard(x, k->lo, k->hi)
                                              : vf32_clamp(x, k->lo, k->hi);
    if (way == AFFINE_ADDED) return vs32_round(vf32_add(vf32_mul(c, k->h), k->added));
    if (way == AFFINE_PRODUCT) return vs32_round(vf32_mul(c, k->h));
    if (way == AFFINE_FUSED) return vs32_round(vf32_fma(c, k->h, k->fused));
    return affine_round(vf32_fma(c, k->h, vf32_mul(c, k->l)), way == AFFINE_AWAY);
}
#endif
