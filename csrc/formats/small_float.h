/* small_float.h -- binary floating-point formats as data, and the exact portable conversion to and from float32.
 *
 * A code is [sign][exponent][mantissa]; with exponent field e and mantissa field m of M bits it stands for
 *
 *     e > 0   (-1)^sign  2^(e - bias)  (1 + m / 2^M)
 *     e = 0   (-1)^sign  2^(1 - bias)  (m / 2^M)          subnormals and zero
 *
 * and a few codes mean something else: `kind` says which.  The members of each family are in fp8.h, fp6.h, fp4.h,
 * e8m0.h and wide.h.  Magnitudes grow with their codes, so rounding is integer arithmetic on codes: pqk_round_float
 * rounds once, from float32, subnormals included, and is the reference of every cast.
 *
 * NaN: the result is the quiet NaN without payload, with the sign of x where the format has signed NaNs.  A format
 * without NaN gets zero of the opposite sign, as ml_dtypes and ONNX have it.
 */
#ifndef PQK_SMALL_FLOAT_H
#define PQK_SMALL_FLOAT_H
#include <stdbool.h>
#include <stdint.h>
#include "core/macros.h"
#include "formats/f16.h"
#include "include/pyquantk.h"

enum pqk_format_kind {
    PQK_KIND_IEEE,    /* highest exponent: infinity where m = 0, else NaN */
    PQK_KIND_FN,      /* no infinity; NaN is the code of all ones */
    PQK_KIND_FNUZ,    /* no infinity, no negative zero; its code is the only NaN */
    PQK_KIND_FINITE,  /* neither infinity nor NaN */
    PQK_KIND_EXPONENT /* e8m0: no sign, no mantissa */
};

struct pqk_float_format {
    enum pqk_format_kind kind;
    int exponent_bits, mantissa_bits, bias;
    uint32_t max;      /* magnitude code of the greatest finite number */
    uint32_t overflow; /* what lies beyond: infinity, or else NaN, or else max again */
    uint32_t nan;      /* magnitude code of the canonical NaN */
};

static PQK_INLINE int pqk_sign_shift(const struct pqk_float_format *f) { return f->exponent_bits + f->mantissa_bits; }

/* float32 bits of 2^n, -126 <= n <= 127. */
static PQK_INLINE uint32_t pqk_power_of_two(int n) { return (uint32_t)(127 + n) << 23; }

/* Does a magnitude whose cut part is `cut` / 2^32 units round up?  odd: of the kept part; random: uniform bits.
 * `inexact` is cut != 0, where what lies below the 32 bits of `cut` counts too. */
static PQK_INLINE uint32_t pqk_rounds_up(pqk_rounding mode, uint32_t cut, bool inexact, uint32_t odd, uint32_t negative,
                                         uint32_t random)
{
    const uint32_t half = 0x80000000u;
    switch (mode) {
    case PQK_NEAREST_EVEN:
        return cut > half || (cut == half && odd);
    case PQK_NEAREST_AWAY:
        return cut >= half;
    case PQK_UP:
        return inexact && !negative;
    case PQK_DOWN:
        return inexact && negative;
    case PQK_STOCHASTIC: /* with probability cut / 2^32 */
        return random < cut;
    default:
        return 0;
    }
}

/* The code of the float32 with bits x, rounded once.
 *
 * Beyond the greatest finite number: max where `saturate`, or where the mode rounds this sign toward zero and x is
 * finite (IEEE 754, 7.4); otherwise `overflow`.  Infinities saturate too.
 *
 * e8m0 follows ONNX where it saturates (the sign is dropped, 0 gives code 0, infinity NaN) and ml_dtypes where not
 * (zero and negative numbers give NaN).  Below 2^-126 both round as if code 0 were zero, and so does this. */
static PQK_INLINE uint32_t pqk_round_float(uint32_t x, const struct pqk_float_format *f, pqk_rounding mode,
                                           bool saturate, uint32_t random)
{
    const bool exponent_only = f->kind == PQK_KIND_EXPONENT;
    const uint32_t sign = x >> 31, magnitude = x & 0x7fffffff, negative = exponent_only ? 0 : sign;
    const uint32_t least = (uint32_t)(128 - f->bias); /* float32 exponent field of the least normal number */
    const uint32_t field = magnitude >> 23, own = field ? field : 1, exponent = own > least ? own : least;
    const uint32_t significand = (magnitude & 0x7fffff) | (field ? 0x800000u : 0);
    uint32_t cut_bits = (uint32_t)(23 - f->mantissa_bits) + (exponent - own);
    cut_bits = cut_bits > 56 ? 56 : cut_bits; /* of 24 bits, 0 and a sticky bit are left by then */

    const uint64_t wide = (uint64_t)significand << 32, shifted = wide >> cut_bits;
    const uint32_t kept = (uint32_t)(shifted >> 32), cut = (uint32_t)shifted;
    const bool inexact = wide != (uint64_t)kept << 32 << cut_bits;
    const uint32_t up = pqk_rounds_up(mode, cut, inexact, kept & 1, negative, random);
    uint32_t code = ((exponent - least) << f->mantissa_bits) + kept + up;

    const bool inward = mode == PQK_TOWARD_ZERO || (mode == PQK_UP && negative) || (mode == PQK_DOWN && !negative);
    const uint32_t beyond = saturate || (inward && magnitude < 0x7f800000) ? f->max : f->overflow;
    code = code > f->max ? beyond : code;
    if (exponent_only) {
        const bool none = saturate ? magnitude >= 0x7f800000 : x == 0 || x >= 0x7f800000;
        return none ? f->nan : code;
    }
    const bool nan = magnitude > 0x7f800000;
    code = nan ? f->nan : code;
    const uint32_t shown = f->kind == PQK_KIND_FNUZ ? sign & (code != 0) : sign ^ (f->kind == PQK_KIND_FINITE && nan);
    return code | shown << pqk_sign_shift(f);
}

/* The float32 bits of a code, exactly; what lies above the format's bits is not looked at. */
static PQK_INLINE uint32_t pqk_widen_float(uint32_t code, const struct pqk_float_format *f)
{
    if (f->kind == PQK_KIND_EXPONENT) {
        const uint32_t scale = code & 0xff;
        return scale == 0xff ? 0x7fc00000 : scale ? scale << 23 : 0x00400000;
    }
    const int shift = pqk_sign_shift(f);
    const uint32_t magnitude = code & ((1u << shift) - 1), sign = (code >> shift & 1) << 31;
    const float unit = pqk_f32_from_bits(pqk_power_of_two(1 - f->bias - f->mantissa_bits));
    const uint32_t normal = (magnitude << (23 - f->mantissa_bits)) + ((uint32_t)(127 - f->bias) << 23);
    const uint32_t subnormal = pqk_f32_bits((float)(int32_t)magnitude * unit);
    uint32_t bits = magnitude >> f->mantissa_bits ? normal : subnormal;
    if (f->kind == PQK_KIND_FNUZ)
        bits = !magnitude && sign ? 0x7fc00000 : bits;
    else
        bits = magnitude <= f->max                                    ? bits
               : magnitude == f->overflow && f->kind == PQK_KIND_IEEE ? 0x7f800000
                                                                      : 0x7fc00000;
    return bits | sign;
}

#endif
