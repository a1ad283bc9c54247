/* scale_rule.c -- scale_rule.h says what is computed. */
#include "dynamic/scale_rule.h"
#include "convert/convert.h"
#include "dynamic/scale_loops.h"

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

void pqk_scale_rule_apply(const struct pqk_scale_rule *rule, size_t n, const float *absmax, const bool *nan,
                          void *scale, float *divisor)
{
    apply_scale_rule(rule, n, absmax, nan, scale, divisor);
}
