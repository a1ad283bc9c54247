/* fixed_point_tpl.h -- an int32 accumulator times a fixed-point multiplier, for requantize and for the epilogue of the
 * matrix product.
 *
 * The multiplier is M = m0 * 2^(shift - 31), m0 = 0 or in [2^30, 2^31), shift in [-31, 30]: M is 0 or in [2^-32, 2^30).
 * With left = max(shift, 0), right = max(-shift, 0) and x = acc * 2^left, saturated to int32:
 *
 *     SINGLE, RNDNU   floor((x m0 + 2^(30 + right)) / 2^(31 + right)): x M rounded once, half up
 *     DOUBLE          h = floor((x m0 + 2^30) / 2^31), then h / 2^right, half away from zero
 *
 * SINGLE is what ruy and TFLite (TFLITE_SINGLE_ROUNDING) compute, RNDNU what XNNPACK does.  They are one formula:
 * XNNPACK's 24-bit multiplier is m0 / 128, and its NEON kernels round x m0 / 2^31 down first, which loses nothing while
 * at least one bit is still cut off.  DOUBLE is gemmlowp's RoundingDivideByPOT(SaturatingRoundingDoublingHighMul(x,
 * m0), right); the nudge there, 2^30 or 1 - 2^30 before a division that truncates, is rounding half up, and its one
 * overflow, INT_MIN * INT_MIN, needs a negative m0.
 *
 * acc * 2^left overflows only where |acc M| >= 2^30 (or M = 0), and the saturated x still gives a result of the same
 * sign and of at least 2^30: after saturation to 16 bits or fewer it is that of the exact acc M.  The named systems
 * leave this case undefined (a signed overflow in gemmlowp and TFLite's C++, a wrap or a saturation in their NEON
 * kernels).  Everything else is exact for every acc, INT32_MIN included.
 *
 * Source: gemmlowp, fixedpoint/fixedpoint.h; TFLite, kernels/internal/common.cc; ruy, apply_multiplier.cc; XNNPACK,
 * microparams-init.c.  Include after simd/vec_<isa>.h.
 */
#ifndef PQK_FIXED_POINT_TPL_H
#define PQK_FIXED_POINT_TPL_H
#include "include/pyquantk.h"

/* acc M, each lane with its own.  Where m0 and shift do not change, compilers move what depends on them alone out of
 * the loop. */
static PQK_INLINE vs32 fixed_point_round(vs32 acc, vs32 m0, vs32 shift, pqk_fixed_rounding rounding)
{
    const vs32 left = vs32_max(shift, vs32_set1(0)), right = vs32_sub(left, shift);
    const vs32 x = vs32_shl_sat(acc, left);
    return rounding == PQK_DOUBLE ? vs32_shr_away(vs32_mul_high(x, m0), right) : vs32_mul_shift(x, m0, right);
}

/* The same in fewer instructions where every shift is FIXED_POINT_FAR or less, that is M < 1/4, or its m0 is 0: the
 * multipliers of a usual network. */
enum { FIXED_POINT_FAR = -2 };
static PQK_INLINE vs32 fixed_point_round_far(vs32 acc, vs32 m0, vs32 shift, pqk_fixed_rounding rounding)
{
    const vs32 right = vs32_max(vs32_sub(vs32_set1(0), shift), vs32_set1(-FIXED_POINT_FAR));
    return rounding == PQK_DOUBLE ? vs32_shr_away(vs32_mul_high(acc, m0), right) : vs32_mul_shift_far(acc, m0, right);
}
#endif
