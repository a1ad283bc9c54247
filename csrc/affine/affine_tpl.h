/* affine_tpl.h -- from parameters to the constants of the inner loops, and the rounding quotient itself; written
 * once, for every ISA.  Include after simd/vec_<isa>.h.
 *
 * Two ways to the same integer (affine.h has the formula):
 *
 *   general  the formula as it stands: quotient, clamp, round.  Right for every scale.
 *   fast     x is limited first, to where the quotient is just beyond the range, so that no infinity and no
 *            overflow can follow, and then y = fma(x, h, fma(x, l, zf)).
 *
 * For PQK_MULTIPLY h = r, l = 0 and zf = 0; for PQK_FUSED zf = zp.  For PQK_DIVIDE h + l is 1 / s to twice the
 * precision: h = fl(1 / s), l = fl(1 - h s) h, an exact residual by FMA.  Then y is within 1.5 * 2^-47 of x / s
 * before its rounding (Brisebarre, Muller & Raina, "Accelerating correctly rounded floating-point division when the
 * divisor is known in advance", IEEE Trans. Comput. 2004), and round(y) is round(fl(x / s)) unless the two sums lie
 * on different sides of a midpoint between floats that touches a half-integer N / 2, N odd.  Let X and S be the
 * 24-bit significands and m = 2^(a+1) N +- 1 that midpoint, of 25 bits, so a + 1 >= 16 where |y| < 256 (>= 8 where
 * |y| < 65536).  X 2^t = m S + d with t >= 23 and an integer d, not 0 because no quotient is a midpoint, and the
 * error allows |d| <= 6 only (12 for the midpoint below 1/2, whose m has one more bit).  Modulo 2^(a+1) this
 * leaves S = -+d: a scale whose significand is not within 12 of a multiple of 2^16 (2^8) is divided by exactly
 * with two operations, and any other goes the general way.  (S a multiple of 2^(a+1), as powers of two are, would
 * need d = 0.)  Tests hold all of this against VDIVPS on the inputs next to every half-integer.
 *
 * The limiting resource on Zen 4 is the multiplier ports: limit, multiply, fused multiply-add.
 */
#ifndef PQK_AFFINE_TPL_H
#define PQK_AFFINE_TPL_H
#include <stdbool.h>
#include <string.h>
#include "affine/affine.h"

/* Rows (or columns) whose constants are made at a time; they live on the stack. */
enum { AFFINE_ROWS = 64, AFFINE_COLUMNS = 256, AFFINE_MAX = 256 };

struct affine_prepared {
    bool fast;
    float s[AFFINE_MAX];                 /* the scale */
    float h[AFFINE_MAX], l[AFFINE_MAX];  /* h is r where the convention multiplies */
    float lo[AFFINE_MAX], hi[AFFINE_MAX];   /* of x (fast), or of y (general) */
    float fused[AFFINE_MAX], added[AFFINE_MAX]; /* the zero point inside the rounding, one of the two or none */
    int32_t z[AFFINE_MAX];               /* the zero point outside the rounding */
};

/* The constants of VL rows or columns. */
struct affine_consts {
    vf32 s, h, l, lo, hi, fused, added;
    vs32 z;
};

static PQK_INLINE void affine_fetch(float *to, const float *from, ptrdiff_t stride, size_t count, float pad)
{
    size_t i = 0;
    for (; i < count; ++i) to[i] = from[(ptrdiff_t)i * stride];
    for (; i % VL; ++i) to[i] = pad;
}

static PQK_INLINE void affine_fetch_zero_points(int32_t *to, const struct pqk_affine *a, ptrdiff_t at,
                                                ptrdiff_t stride, size_t count)
{
    size_t i = 0;
    for (; i < count; ++i) to[i] = a->zero_point ? a->zero_point[at + (ptrdiff_t)i * stride] : 0;
    for (; i % VL; ++i) to[i] = 0;
}

/* l of PQK_DIVIDE, and -1 in *bad where two operations do not suffice. */
static PQK_INLINE vf32 affine_low_part(vf32 s, vf32 h, bool wide, vs32 *bad)
{
    const int32_t low_bits = wide ? 0xff : 0xffff; /* of the significand: modulo 2^8 or 2^16 */
    const vs32 low = vs32_and(vs32_bits(s), vs32_set1(low_bits));
    const vs32 near = vs32_and(vs32_add(low, vs32_set1(12)), vs32_set1(low_bits)); /* d + 12 for |d| <= 12 */
    const vs32 within = vs32_equal(vs32_min(near, vs32_set1(24)), near);
    const vs32 not_zero = vs32_equal(vs32_min(low, vs32_set1(1)), vs32_set1(1));
    *bad = vs32_or(*bad, vs32_and(within, not_zero));
    return vf32_mul(vf32_fnma(h, s, vf32_set1(1.0f)), h);
}

/* Fills p for `count` parameters from index `at` on; extra widens the limits of x by so many steps. */
static PQK_NOINLINE void affine_prepare(struct affine_prepared *p, const struct pqk_affine *a, ptrdiff_t at,
                                      ptrdiff_t stride, size_t count, int extra)
{
    const bool inside = a->quotient == PQK_FUSED || a->quotient == PQK_MULTIPLY_ADD;
    const bool wide = a->quant_max - a->quant_min > 255;
    const vf32 zero = vf32_set1(0.0f), small = vf32_set1(0x1p-100f), large = vf32_set1(0x1p100f);
    vs32 bad = vs32_set1(0);

    affine_fetch(p->s, a->scale + at, stride, count, 1.0f);
    affine_fetch_zero_points(p->z, a, at, stride, count);
    if (a->inverse && a->quotient != PQK_DIVIDE) affine_fetch(p->h, a->inverse + at, stride, count, 1.0f);
    for (size_t i = 0; i < count; i += VL) {
        const vf32 s = vf32_load_f32(p->s + i);
        vf32 h, l = zero, step = s;
        if (a->quotient == PQK_DIVIDE) {
            h = vf32_div(vf32_set1(1.0f), s);
            l = affine_low_part(s, h, wide, &bad);
        } else {
            h = a->inverse ? vf32_load_f32(p->h + i) : vf32_div(vf32_set1(a->numerator), s);
            step = vf32_div(vf32_set1(1.0f), h);
        }
        bad = vs32_or(bad, vs32_not_between(h, small, large));
        const vs32 z = vs32_load(p->z + i);
        const vf32 lo = vf32_from_s32(vs32_sub(vs32_set1(a->quant_min - extra), z));
        const vf32 hi = vf32_from_s32(vs32_sub(vs32_set1(a->quant_max + extra), z));
        vf32_store_f32(p->h + i, h);
        vf32_store_f32(p->l + i, l);
        vf32_store_f32(p->lo + i, vf32_mul(lo, step));
        vf32_store_f32(p->hi + i, vf32_mul(hi, step));
        const vf32 zf = inside ? vf32_from_s32(z) : zero;
        vf32_store_f32(p->fused + i, a->quotient == PQK_FUSED ? zf : zero);
        vf32_store_f32(p->added + i, a->quotient == PQK_MULTIPLY_ADD ? zf : zero);
        if (inside) vs32_store(p->z + i, vs32_set1(0));
    }
    p->fast = !vs32_any(bad) && !a->away && a->quotient != PQK_MULTIPLY_ADD && VL > 1;
    if (p->fast) return;
    for (size_t i = 0; i < count; ++i) { /* limits of y instead of x, and 1/0 where the convention says 0 */
        p->lo[i] = (float)(a->quant_min - p->z[i]);
        p->hi[i] = (float)(a->quant_max - p->z[i]);
        if (a->zero_is_zero && p->s[i] == 0.0f) p->h[i] = 0.0f;
    }
}

static PQK_INLINE struct affine_consts affine_of_row(const struct affine_prepared *p, size_t i)
{
    const struct affine_consts k = {vf32_set1(p->s[i]),     vf32_set1(p->h[i]),     vf32_set1(p->l[i]),
                                    vf32_set1(p->lo[i]),    vf32_set1(p->hi[i]),    vf32_set1(p->fused[i]),
                                    vf32_set1(p->added[i]), vs32_set1(p->z[i])};
    return k;
}

static PQK_INLINE struct affine_consts affine_of_columns(const struct affine_prepared *p, size_t i)
{
    const struct affine_consts k = {vf32_load_f32(p->s + i),     vf32_load_f32(p->h + i),
                                    vf32_load_f32(p->l + i),     vf32_load_f32(p->lo + i),
                                    vf32_load_f32(p->hi + i),    vf32_load_f32(p->fused + i),
                                    vf32_load_f32(p->added + i), vs32_load(p->z + i)};
    return k;
}

/* The predecessor of 1/2 instead of 1/2, so that 0.49999997 + 0.5 does not round up to 1. */
static PQK_INLINE vs32 affine_round(vf32 y, bool away)
{
    if (!away) return vs32_round(y);
    return vs32_round(vf32_trunc(vf32_add(y, vf32_copysign(vf32_set1(0x1.fffffep-2f), y))));
}

static PQK_INLINE vf32 affine_quotient(vf32 x, const struct affine_consts *k, const struct pqk_affine *a)
{
    if (a->quotient == PQK_DIVIDE) return vf32_div(x, k->s);
    return vf32_add(vf32_fma(x, k->h, k->fused), k->added);
}

/* The integer, still without z.  natural: the caller's narrowing saturates at quant_min - z, so that the lower
 * limit is not needed where vs32_round maps all that is too low, NaN included, to a large negative number. */
static PQK_INLINE vs32 affine_integer(vf32 x, const struct affine_consts *k, const struct pqk_affine *a, bool fast,
                                      bool natural)
{
    if (fast) {
        const vf32 c = natural ? vf32_guard(x, k->lo, k->hi) : vf32_clamp(x, k->lo, k->hi);
        return vs32_round(vf32_fma(c, k->h, vf32_fma(c, k->l, k->fused)));
    }
    return affine_round(vf32_clamp(affine_quotient(x, k, a), k->lo, k->hi), a->away);
}
#endif
