/* lanes.h -- the arithmetic ideas of the cast kernels, and their constants; lanes_<isa>.h spell them.
 *
 * NARROW, to nearest even, in float32 lanes and without a branch for subnormals.  With c = x limited to the greatest
 * magnitude, E its power of two or that of the least normal number if that is greater, and M mantissa bits,
 *
 *     y = fma(E, 2^(23 - M) (1 + b 2^-23), c)
 *
 * lies in the binade whose unit is 2^-M E: the one rounding of the FMA is the rounding that is asked for, and y's low
 * 16 bits are b + r, r the rounded significand, 2^M ... 2^(M+1), or 0 ... 2^M for subnormals.  Hence
 *
 *     code = r + ((field(E) - least) << M) = low16(y) + (high16(E) >> (7 - M))      with b = -(least << M) mod 2^16
 *
 * as field(E) begins at bit 7 of high16(E).  A carry out of the mantissa moves to the next exponent by itself.  b is
 * even, so that ties see the parity of r.  The limit is the greatest number, or where nothing saturates the next one
 * there would be, whose code is that of infinity or NaN in every format that has one.  NaNs are patched afterwards.
 *
 * WIDEN.  With p the magnitude's bits moved to float32's place and the exponent's bias added, p is right for normal
 * numbers and too large for subnormals; 2 p - least normal is right for subnormals and too large for others.  The
 * lesser of the two is the value.
 *
 * WIDEN IN BYTES, where lanes of them are cheaper.  Every number of the narrow formats is a bfloat16, the upper half of
 * a float32, whose two bytes are, of a normal number with M mantissa bits,
 *
 *     low = m << (7 - M), high = (m >> (M + 1)) + rebias    with m the magnitude, plus 2^M where the bias is even
 *
 * as 127 - bias ends in the low byte.  Subnormals, which are fewer than 16, are looked up; so is what the last codes
 * mean, by the low four bits that tell them apart.
 */
#ifndef PQK_CONVERT_LANES_H
#define PQK_CONVERT_LANES_H
#include "formats/small_float.h"

struct narrow_numbers {
    float limit, least, factor;
    int exponent_shift; /* 7 - M */
    int sign_shift;     /* of the sign below bit 7 of the code */
    int sign_from;      /* 8 + M, where high16(E) >> (7 - M) has the sign */
};

static inline struct narrow_numbers narrow_numbers_of(const struct pqk_float_format *f, bool saturate)
{
    const int m = f->mantissa_bits, least = 128 - f->bias;
    const uint32_t limit = saturate ? f->max : f->overflow;
    struct narrow_numbers k;
    /* overflow read as an ordinary code */
    k.limit = pqk_f32_from_bits((limit << (23 - m)) + ((uint32_t)(127 - f->bias) << 23));
    k.least = pqk_f32_from_bits((uint32_t)least << 23);
    k.factor = pqk_f32_from_bits(pqk_power_of_two(23 - m) | ((0u - ((uint32_t)least << m)) & 0xffff));
    k.exponent_shift = 7 - m;
    k.sign_shift = 7 - pqk_sign_shift(f);
    k.sign_from = 8 + m;
    return k;
}

/* What the codes above the greatest number mean; loops are compiled for each. */
enum widen_top { TOP_FINITE, TOP_SPECIAL, TOP_FNUZ };

struct widen_numbers {
    enum widen_top top;
    int shift;         /* 23 - M */
    int sign_shift;    /* from the code to bit 31 */
    int32_t rebias;    /* added to the moved bits */
    float least;       /* normal number */
    int32_t max, last; /* greatest finite code, greatest code that is no NaN */
    int32_t mask;      /* magnitude bits */
};

static inline struct widen_numbers widen_numbers_of(const struct pqk_float_format *f)
{
    const bool ieee = f->kind == PQK_KIND_IEEE;
    return (struct widen_numbers){.top = ieee || f->kind == PQK_KIND_FN ? TOP_SPECIAL
                                         : f->kind == PQK_KIND_FNUZ     ? TOP_FNUZ
                                                                        : TOP_FINITE,
                                  .shift = 23 - f->mantissa_bits,
                                  .sign_shift = 31 - pqk_sign_shift(f),
                                  .rebias = (127 - f->bias) * (1 << 23),
                                  .least = pqk_f32_from_bits((uint32_t)(128 - f->bias) << 23),
                                  .max = (int32_t)f->max,
                                  .last = (int32_t)(ieee ? f->overflow : f->max),
                                  .mask = (1 << pqk_sign_shift(f)) - 1};
}

struct widen_byte_numbers {
    int left, right;                        /* shifts for the low and the high byte, */
    int8_t left_mask, right_mask;           /* which do not take bits of the neighbouring code */
    int8_t mask, bump, rebias, normal, max; /* normal: the least normal magnitude; max: the greatest finite one */
    int sign_shift;                         /* from the code's sign to bit 7 */
    float unit;                             /* subnormal m is m * unit */
    uint8_t special[16];                    /* low bytes of codes 0x70 + i above max; their high one is 0x7f */
};

static inline struct widen_byte_numbers widen_byte_numbers_of(const struct pqk_float_format *f)
{
    const struct widen_numbers n = widen_numbers_of(f);
    const int m = f->mantissa_bits, rebias = (127 - f->bias) << 7;
    struct widen_byte_numbers k = {.left = 7 - m,
                                   .right = m + 1,
                                   .left_mask = (int8_t)(0xff << (7 - m)),
                                   .right_mask = (int8_t)(0xff >> (m + 1)),
                                   .mask = (int8_t)n.mask,
                                   .bump = (int8_t)((rebias & 0x80) >> (7 - m)),
                                   .rebias = (int8_t)(rebias >> 8),
                                   .normal = (int8_t)(1 << m),
                                   .max = (int8_t)n.max,
                                   .sign_shift = n.sign_shift - 24,
                                   .unit = pqk_f32_from_bits((uint32_t)(128 - f->bias - m) << 23)};
    for (int i = 0; i < 16; ++i) k.special[i] = 0x70 + i > n.last ? 0xc0 : 0x80;
    return k;
}

#endif
