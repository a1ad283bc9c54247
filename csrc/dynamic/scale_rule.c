/* scale_rule.c -- scale_rule.h says what is computed. */
#include "dynamic/scale_rule.h"
#include <float.h>
#include <math.h>
#include <string.h>
#include "convert/convert.h"
#include "formats/e8m0.h"
#include "formats/fp8.h"

enum { E8M0_BIAS = 127, E8M0_NAN = 255 };

pqk_status pqk_scale_rule_make(struct pqk_scale_rule *rule, pqk_scale_mode mode, pqk_type type, float global_scale)
{
    int bits;
    const struct pqk_float_format *format = pqk_format_of(type, &bits);
    if (mode < PQK_SCALE_ABSMAX || mode > PQK_SCALE_NVFP4) return PQK_ERROR_OPTION;
    *rule = (struct pqk_scale_rule){.mode = mode, .step = 1.0f, .global_scale = global_scale};
    if (format) {
        if (pqk_is_wide(type) || format->kind == PQK_KIND_EXPONENT) return PQK_ERROR_TYPE;
        rule->max = pqk_f32_from_bits(pqk_widen_float(format->max, format));
        rule->exponent = (int)(format->max >> format->mantissa_bits) - format->bias;
        rule->mantissa_bits = format->mantissa_bits;
    } else if (type == PQK_S8) {
        const bool absmax = mode == PQK_SCALE_ABSMAX; /* MX counts an int8 in units of 2^-6 */
        rule->max = absmax ? 127.0f : 127.0f / 64.0f;
        rule->step = absmax ? 1.0f : 1.0f / 64.0f;
        rule->mantissa_bits = 6;
    } else if ((type == PQK_S4 || type == PQK_S4X2) && mode == PQK_SCALE_ABSMAX) {
        rule->max = 7.0f;
    } else {
        return PQK_ERROR_TYPE;
    }
    if (mode == PQK_SCALE_NVFP4 && type != PQK_E2M1FN && type != PQK_E2M1FNX2) return PQK_ERROR_TYPE;
    return PQK_OK;
}

static void by_absmax(const struct pqk_scale_rule *rule, size_t n, const float *absmax, char *scale, float *divisor)
{
    for (size_t i = 0; i < n; ++i) {
        const float s = absmax[i] / rule->max;
        divisor[i] = absmax[i] > 0.0f ? s > FLT_MIN ? s : FLT_MIN : 1.0f;
    }
    memcpy(scale, divisor, n * sizeof *divisor);
}

/* The least power of two at or above a magnitude, at most 2^127. */
static inline int32_t code_above(uint32_t bits)
{
    const uint32_t field = bits >> 23, rest = bits & 0x7fffff;
    const int32_t code = field ? (int32_t)(field + (rest != 0)) : rest > 0x400000; /* 0x400000 is 2^-127 */
    return code < E8M0_NAN ? code : E8M0_NAN - 1;
}

/* The code before limits and NaNs. */
static inline int32_t exponent_code(const struct pqk_scale_rule *rule, float absmax)
{
    const bool subnormal = absmax < FLT_MIN; /* whose exponent field says nothing */
    const uint32_t bits = pqk_f32_bits(subnormal ? absmax * 0x1p24f : absmax);
    const int32_t down = rule->exponent + (subnormal ? 24 : 0);
    switch (rule->mode) {
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

static void by_exponent(const struct pqk_scale_rule *rule, size_t n, const float *absmax, const bool *nan,
                        uint8_t *scale, float *divisor)
{
    for (size_t i = 0; i < n; ++i) {
        const int32_t code = exponent_code(rule, absmax[i]);
        const uint32_t kept = nan[i] || code >= E8M0_NAN ? E8M0_NAN : code > 0 ? (uint32_t)code : 0;
        scale[i] = (uint8_t)kept;
        divisor[i] = kept == E8M0_NAN ? INFINITY : pqk_f32_from_bits(pqk_widen_float(kept, &pqk_e8m0fnu)) * rule->step;
    }
}

static void by_two_levels(const struct pqk_scale_rule *rule, size_t n, const float *absmax, const bool *nan,
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

void pqk_scale_rule_apply(const struct pqk_scale_rule *rule, size_t n, const float *absmax, const bool *nan,
                          void *scale, float *divisor)
{
    if (rule->mode == PQK_SCALE_ABSMAX)
        by_absmax(rule, n, absmax, scale, divisor);
    else if (rule->mode == PQK_SCALE_NVFP4)
        by_two_levels(rule, n, absmax, nan, scale, divisor);
    else
        by_exponent(rule, n, absmax, nan, scale, divisor);
}
