/* f16.h -- IEEE 754 binary16: sign, 5 bits of exponent (bias 15), 10 of fraction.
 *
 * Exact to float32; from float32 one rounding to nearest even, subnormals included, overflow to infinity.  A NaN
 * keeps its sign and the top 9 bits of its payload and turns quiet, as VCVTPS2PH and FCVTN do.
 */
#ifndef PQK_F16_H
#define PQK_F16_H
#include <stdint.h>
#include <string.h>

static inline uint32_t pqk_f32_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline float pqk_f32_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float pqk_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
    if (rest >= 0x7c00) /* infinity, or a NaN, which turns quiet */
        return pqk_f32_from_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13 | (rest > 0x7c00 ? 0x400000u : 0));
    if (rest >= 0x0400) return pqk_f32_from_bits(sign | (rest + ((127 - 15) << 10)) << 13);
    const float magnitude = (float)rest * 0x1p-24f; /* subnormal: exact */
    return pqk_f32_from_bits(sign | pqk_f32_bits(magnitude));
}

static inline uint16_t pqk_f32_to_f16(float x)
{
    const uint32_t bits = pqk_f32_bits(x), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    if (rest > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (rest >> 13 & 0x1ff));
    if (rest >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and more round to infinity */
    if (rest < 0x38800000) {                                  /* below 2^-14: in units of 2^-24 */
        const float units = pqk_f32_from_bits(rest) + 0.5f;   /* 0.5 has an ulp of 2^-24: the sum rounds */
        return (uint16_t)(sign | (pqk_f32_bits(units) - 0x3f000000));
    }
    const uint32_t rounded = rest + 0xfff + (rest >> 13 & 1);
    return (uint16_t)(sign | ((rounded >> 13) - ((127 - 15) << 10)));
}

#endif
