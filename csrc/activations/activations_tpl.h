/* activations_tpl.h -- gelu, gelu_tanh and silu in float32, written once for every ISA: the same words in the same
 * order everywhere, so the same bits.  Include after simd/vec_<isa>.h.
 *
 *     GELU       y Phi(y), Phi(y) = (1 + erf(y / sqrt 2)) / 2
 *     GELU_TANH  y / (1 + e^-w), w = 2 sqrt(2/pi) (y + 0.044715 y^3): (1 + tanh(w / 2)) / 2 = 1 / (1 + e^-w)
 *     SILU       y / (1 + e^-y)
 *
 * All are accurate to a few units in the last place where they are tiny too (README.md has the table): the exponent of
 * a large e^x is taken with more than 24 bits, and 2^k is multiplied in last, in two halves, so that a subnormal
 * result is rounded once.  +inf gives +inf, -inf gives -0, a zero keeps its sign, a NaN stays a NaN (not which one).
 *
 * e^x: k = round(x log2 e), r = x - k ln 2 with a ln 2 of 48 bits (Cody & Waite 1980), and 1 + r + r^2 q(r), q of
 * degree 4 with relative error below 1.3e-7, which is 8e-9 of e^r.  Phi(-x) = e^(-x^2 / 2) R(x) for 0 <= x <= 14.5,
 * R(x) = e^(x^2 / 2) erfc(x / sqrt 2) / 2 as a quotient of polynomials with positive coefficients only, so nothing
 * cancels; its relative error is below 1e-8.  Coefficients: Remez exchange in 40 digits (README.md).
 */
#ifndef PQK_ACTIVATIONS_TPL_H
#define PQK_ACTIVATIONS_TPL_H
#include "include/pyquantk.h"

/* e^(high + low) = p 2^k, 1/2 < p < 2; low is a correction, |high| < 2^20. */
static PQK_INLINE vf32 activation_exp(vf32 high, vf32 low, vs32 *k)
{
    *k = vs32_round(vf32_mul(high, vf32_set1(0x1.715476p+0f)));
    const vf32 kf = vf32_from_s32(*k);
    vf32 r = vf32_fnma(kf, vf32_set1(0x1.62e43p-1f), high);
    r = vf32_add(vf32_fnma(kf, vf32_set1(-0x1.05c61p-29f), r), low);
    vf32 q = vf32_set1(0x1.6c695cp-10f);
    q = vf32_fma(q, r, vf32_set1(0x1.120b6cp-7f));
    q = vf32_fma(q, r, vf32_set1(0x1.5555bap-5f));
    q = vf32_fma(q, r, vf32_set1(0x1.5554dep-3f));
    q = vf32_fma(q, r, vf32_set1(0.5f));
    return vf32_add(vf32_fma(vf32_mul(r, r), q, r), vf32_set1(1.0f));
}

/* 2^k = a b for |k| <= 250, neither of them subnormal. */
static PQK_INLINE void activation_powers(vs32 k, vf32 *a, vf32 *b)
{
    const vs32 half = vs32_round(vf32_mul(vf32_from_s32(k), vf32_set1(0.5f)));
    *a = vf32_exp2i(half);
    *b = vf32_exp2i(vs32_sub(k, half));
}

/* y / (1 + e^(high + low)) = (y / (2^-k + p)) 2^-k */
static PQK_INLINE vf32 activation_logistic(vf32 y, vf32 high, vf32 low)
{
    vs32 k;
    vf32 a, b;
    const vf32 p = activation_exp(high, low, &k);
    activation_powers(vs32_sub(vs32_set1(0), k), &a, &b);
    return vf32_mul(vf32_mul(vf32_div(y, vf32_fma(a, b, p)), a), b);
}

/* Beyond the limits the result is y, or rounds to zero. */
static PQK_INLINE vf32 activation_silu(vf32 y)
{
    const vf32 low = vf32_set1(-110.0f), zero = vf32_set1(0.0f);
    const vf32 x = vf32_clamp(y, low, vf32_set1(21.0f));
    return activation_logistic(vf32_max(low, y), vf32_sub(zero, x), zero);
}

static PQK_INLINE vf32 activation_gelu_tanh(vf32 y)
{
    const vf32 low = vf32_set1(-11.0f), zero = vf32_set1(0.0f);
    const vf32 c1 = vf32_set1(0x1.988454p+0f), c2 = vf32_set1(0x1.2444f2p-4f);
    const vf32 x = vf32_clamp(y, low, vf32_set1(5.75f)), minus = vf32_sub(zero, x);
    /* w = x (c1 + c2 x^2), each step with what its rounding left; the sum as Knuth's TwoSum, either part may be larger
     */
    const vf32 s = vf32_mul(x, x), s_low = vf32_fma(x, x, vf32_sub(zero, s));
    const vf32 m = vf32_mul(c2, s), t = vf32_add(m, c1), c1_part = vf32_sub(t, m);
    const vf32 t_low = vf32_add(vf32_sub(m, vf32_sub(t, c1_part)), vf32_sub(c1, c1_part));
    const vf32 m_low = vf32_fma(c2, s_low, vf32_fma(c2, s, vf32_sub(zero, m)));
    const vf32 c_low = vf32_fma(vf32_set1(0x1.49b16ap-29f), s, vf32_set1(-0x1.857936p-25f));
    const vf32 low_part = vf32_add(vf32_add(t_low, m_low), c_low);
    const vf32 high = vf32_mul(minus, t);
    const vf32 rest = vf32_fma(minus, low_part, vf32_fma(minus, t, vf32_sub(zero, high)));
    return activation_logistic(vf32_max(low, y), high, rest);
}

/* max(y, 0) - |y| Phi(-|y|) */
static PQK_INLINE vf32 activation_gelu(vf32 y)
{
    const vf32 zero = vf32_set1(0.0f), half = vf32_set1(-0.5f);
    const vf32 magnitude = vf32_from_bits(vs32_and(vs32_bits(y), vs32_set1(INT32_MAX)));
    const vf32 x = vf32_clamp(magnitude, zero, vf32_set1(14.5f));
    const vf32 s = vf32_mul(x, x), s_low = vf32_fma(x, x, vf32_sub(zero, s));
    vs32 k;
    vf32 a, b;
    const vf32 p = activation_exp(vf32_mul(s, half), vf32_mul(s_low, half), &k);
    activation_powers(k, &a, &b);
    vf32 above = vf32_set1(0x1.0dc376p-8f), below = vf32_set1(0x1.521832p-7f);
    above = vf32_fma(above, x, vf32_set1(0x1.4cdd66p-5f));
    above = vf32_fma(above, x, vf32_set1(0x1.77437ep-3f));
    above = vf32_fma(above, x, vf32_set1(0x1.c0d01p-2f));
    above = vf32_fma(above, x, vf32_set1(0.5f));
    below = vf32_fma(below, x, vf32_set1(0x1.a135eap-4f));
    below = vf32_fma(below, x, vf32_set1(0x1.e0bc44p-2f));
    below = vf32_fma(below, x, vf32_set1(0x1.33d6fep+0f));
    below = vf32_fma(below, x, vf32_set1(0x1.acaa38p+0f));
    below = vf32_fma(below, x, vf32_set1(1.0f));
    const vf32 tail = vf32_mul(vf32_div(vf32_mul(x, above), below), p);
    return vf32_fnma(vf32_mul(tail, a), b, vf32_max(zero, y));
}

/* activation is one of the three, and a compile-time constant */
static PQK_INLINE vf32 activate(vf32 y, pqk_activation activation)
{
    return activation == PQK_GELU   ? activation_gelu(y)
           : activation == PQK_SILU ? activation_silu(y)
                                    : activation_gelu_tanh(y);
}
#endif
