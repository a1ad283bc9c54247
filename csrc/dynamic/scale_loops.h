/* scale_loops.h -- the rules of scale_rule.h, inline, so that each kernel compiles them for its instruction set. */
#ifndef PQK_SCALE_LOOPS_H
#define PQK_SCALE_LOOPS_H
#include <float.h>
#include <math.h>
#include <string.h>
#include "dynamic/scale_rule.h"
#include "formats/e8m0.h"
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

static PQK_INLINE void by_exponent(const struct pqk_scale_rule *rule, pqk_scale_mode mode, size_t n,
                                   const float *absmax, const bool *nan, uint8_t *scale, float *divisor)
{
    for (size_t i = 0; i < n; ++i) {
        const int32_t code = exponent_code(rule, mode, absmax[i]);
        const uint32_t kept = nan[i] || code >= E8M0_NAN ? E8M0_NAN : code > 0 ? (uint32_t)code : 0;
        scale[i] = (uint8_t)kept;
        divisor[i] = kept == E8M0_NAN ? INFINITY : pqk_f32_from_bits(pqk_widen_float(kept, &pqk_e8m0fnu)) * rule->step;
    }
}

static PQK_INLINE void by_two_levels(const struct pqk_scale_rule *rule, size_t n, const float *absmax, const bool *nan,
                                     uint8_t *scale, float *divisor)
{
    const float least = 1.0f / 64.0f; /* the least normal number of e4m3fn */
    for (size_t i = 0; i < n; ++i) {
        const float wanted = absmax[i] / rule->max / rule->global_scale;
        const float s = wanted > least ? wanted : least; /* also where global_scale makes a NaN */
        const uint32_t code = pqk_round_float(pqk_f32_bits(s), &pqk_e4m3fn, PQK_NEAREST_EVEN, true, 0);
        scale[i] = (uint8_t)(nan[i] ? pqk_e4m3fn.nan : code);
        divisor[i] = nan[i] ? INFINITY : pqk_f32_from_bits(pqk_widen_float(code, &pqk_e4m3fn)) * rule->global_scale;
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
