/* scale_loops.h -- the rules of scale_rule.h, inline, so that each kernel compiles them for its instruction set. */
#ifndef PQK_SCALE_LOOPS_H
#define PQK_SCALE_LOOPS_H
#include <float.h>
#include <math.h>
#include <string.h>
#include "dynamic/scale_rule.h"
#include "formats/fp8.h"

enum { E8M0_NAN = 255 };

static PQK_INLINE void by_absmax(const struct pqk_scale_rule *rule, size_t n, const float *absmax, char *scale,
                                 float *divisor)
{
    for (size_t i = 0; i < n; ++i) {
        const float s = absmax[i] / rule->max;
        divisor[i] = absmax[i] > 0.0f ? s > FLT_MIN ? s : FLT_MIN : 1.0f;
    }
    memcpy(scale, divisor, n * sizeof *divisor);
}

/* The least power of two at or above a magnitude, at most 2^127. */
static PQK_INLINE int32_t code_above(uint32_t bits)
{
    const uint32_t field = bits >> 23, rest = bits & 0x7fffff;
    const int32_t code = field ? (int32_t)(field + (rest != 0)) : rest > 0x400000; /* 0x400000 is 2^-127 */
    return code < E8M0_NAN ? code : E8M0_NAN - 1;
}

/* The code before limits and NaNs. */
static PQK_INLINE int32_t exponent_code(const struct pqk_scale_rule *rule, pqk_scale_mode mode, float absmax)
{
    const bool subnormal = absmax < FLT_MIN; /* whose exponent field says nothing */
    const uint32_t bits = pqk_f32_bits(subnormal ? absmax * 0x1p24f : absmax);
    const int32_t down = rule->exponent + (subnormal ? 24 : 0);
    switch (mode) {
    case PQK_SCALE_FLOOR:
        return (int32_t)(bits >> 23) - down;
    case PQK_SCALE_CEIL:
        return (int32_t)(bits >> 23) + ((bits & 0x7fffff) != 0) - down;
    case PQK_SCALE_EVEN:
        return (int32_t)((bits + (0x400000u >> rule->mantissa_bits)) >> 23) - down;
    default:
        return code_above(pqk_f32_bits(absmax / rule->max));
    }
}

/* nan: NULL where no block has one. */
static PQK_INLINE void by_exponent(const struct pqk_scale_rule *rule, pqk_scale_mode mode, size_t n,
                                   const float *absmax, const bool *nan, uint8_t *scale, float *divisor)
{
    for (size_t i = 0; i < n; ++i) {
        const int32_t code = exponent_code(rule, mode, absmax[i]);
        const int32_t most = nan && nan[i] ? E8M0_NAN : code < E8M0_NAN ? code : E8M0_NAN;
        const int32_t kept = most > 0 ? most : 0;
        /* code 0 is 2^-127, a subnormal float; 255 gives the bits of infinity */
        const float power = pqk_f32_from_bits(kept ? (uint32_t)kept << 23 : 0x00400000);
        scale[i] = (uint8_t)kept;
        divisor[i] = power * rule->step;
    }
}

static PQK_INLINE void by_two_levels(const struct pqk_scale_rule *rule, size_t n, const float *absmax, const bool *nan,
                                     uint8_t *scale, float *divisor)
{
    enum {
        CUT = 20,
        LOWEST = (127 - 7) << 3
    }; /* of a float32's mantissa, e4m3fn keeps 3 bits; its exponent's bias is 7 */
    const float least = 1.0f / 64.0f, most = 448.0f; /* normal numbers of e4m3fn, so that the exponent only moves */
    for (size_t i = 0; i < n; ++i) {
        const float wanted = absmax[i] / rule->max / rule->global_scale;
        const float above = wanted > least ? wanted : least; /* also where global_scale makes a NaN */
        const uint32_t bits = pqk_f32_bits(above < most ? above : most);
        const uint32_t kept = (bits + 0x7ffff + (bits >> CUT & 1)) >> CUT; /* half to even */
        const bool broken = nan && nan[i];
        scale[i] = (uint8_t)(broken ? pqk_e4m3fn.nan : kept - LOWEST);
        divisor[i] = broken ? INFINITY : pqk_f32_from_bits(kept << CUT) * rule->global_scale;
    }
}

static PQK_INLINE void apply_scale_rule(const struct pqk_scale_rule *rule, size_t n, const float *absmax,
                                        const bool *nan, void *scale, float *divisor)
{
    switch (rule->mode) {
    case PQK_SCALE_ABSMAX:
        by_absmax(rule, n, absmax, scale, divisor);
        break;
    case PQK_SCALE_FLOOR:
        by_exponent(rule, PQK_SCALE_FLOOR, n, absmax, nan, scale, divisor);
        break;
    case PQK_SCALE_RCEIL:
        by_exponent(rule, PQK_SCALE_RCEIL, n, absmax, nan, scale, divisor);
        break;
    case PQK_SCALE_CEIL:
        by_exponent(rule, PQK_SCALE_CEIL, n, absmax, nan, scale, divisor);
        break;
    case PQK_SCALE_EVEN:
        by_exponent(rule, PQK_SCALE_EVEN, n, absmax, nan, scale, divisor);
        break;
    case PQK_SCALE_NVFP4:
        by_two_levels(rule, n, absmax, nan, scale, divisor);
        break;
    }
}

#endif
