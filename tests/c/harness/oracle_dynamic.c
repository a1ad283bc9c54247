/* oracle_dynamic.c -- see oracle_dynamic.h. */
#include "oracle_dynamic.h"
#include <math.h>
#include <string.h>
#include "oracle.h"
#include "oracle_convert.h"
#include "random.h"

static double nearest(double x) { return (float)x; }

/* The element type as a scale sees it. */
struct element {
    double greatest;
    int exponent, mantissa_bits;
};
static struct element element_of(const struct oracle_dynamic *how)
{
    const struct oracle_format *f = oracle_format_of(how->to);
    if (!f) return how->mode == PQK_SCALE_ABSMAX ? (struct element){127, 0, 0} : (struct element){127 / 64.0, 0, 6};
    int above;
    frexp(f->greatest, &above);
    return (struct element){f->greatest, above - 1, f->mantissa_bits};
}

static int floor_log2(double x)
{
    int above;
    if (isinf(x)) return 128;
    frexp(x, &above);
    return above - 1;
}
static int ceil_log2(double x)
{
    const int floor = floor_log2(x);
    return !isinf(x) && x > ldexp(1, floor) ? floor + 1 : floor;
}
static double half_up(double x, int mantissa_bits)
{
    const int unit = floor_log2(x) - mantissa_bits;
    return isinf(x) ? x : ldexp(floor(ldexp(x, -unit) + 0.5), unit);
}

/* log2 of a scale; 128 stands for NaN, and is what is above 2^127. */
static int exponent_of(const struct oracle_dynamic *how, const struct element *e, double absmax)
{
    int n = -127;
    if (absmax > 0) {
        const double wanted = nearest(absmax / e->greatest);
        if (how->mode == PQK_SCALE_FLOOR) n = floor_log2(absmax) - e->exponent;
        if (how->mode == PQK_SCALE_CEIL) n = ceil_log2(absmax) - e->exponent;
        if (how->mode == PQK_SCALE_EVEN) n = floor_log2(half_up(absmax, e->mantissa_bits)) - e->exponent;
        if (how->mode == PQK_SCALE_RCEIL && wanted > 0) n = ceil_log2(wanted) < 127 ? ceil_log2(wanted) : 127;
    }
    return n < -127 ? -127 : n < 128 ? n : 128;
}

/* What elements are divided by. */
static double find_divisor(const struct oracle_dynamic *how, double absmax, bool nan, unsigned char *scale)
{
    const struct element e = element_of(how);
    if (how->mode == PQK_SCALE_ABSMAX) {
        const double least = 0x1p-126, wanted = nearest(absmax / e.greatest);
        const float given = (float)(absmax > 0 ? wanted > least ? wanted : least : 1);
        memcpy(scale, &given, sizeof given);
        return given;
    }
    if (how->mode == PQK_SCALE_NVFP4) {
        const double wanted = nearest(nearest(absmax / 6) / (double)how->global_scale);
        const double limited = wanted > 448 ? 448 : wanted > 0x1p-6 ? wanted : 0x1p-6;
        const uint32_t code = oracle_cast(bits_of((float)limited), PQK_E4M3FN, PQK_NEAREST_EVEN, true, 0);
        bool ignored;
        *scale = (unsigned char)(nan ? 0x7f : code);
        return nan ? INFINITY : nearest(oracle_float_value(code, PQK_E4M3FN, &ignored) * (double)how->global_scale);
    }
    const int exponent = nan ? 128 : exponent_of(how, &e, absmax);
    *scale = (unsigned char)(exponent + 127);
    return exponent == 128 ? INFINITY : ldexp(1, how->to == PQK_S8 ? exponent - 6 : exponent);
}

static uint32_t code_of(const struct oracle_dynamic *how, double quotient)
{
    static const struct oracle_params as_it_is = {PQK_ONNX, true, 1.0f, NULL, 0, -128, 127};
    if (how->to == PQK_S8) return (uint32_t)oracle_quantize(quotient, &as_it_is) & 255;
    const uint32_t bits = quotient != quotient ? 0x7fc00000 : bits_of((float)quotient); /* no sign: convert.h */
    return oracle_cast(bits, how->to, PQK_NEAREST_EVEN, true, 0);
}

static int bits_in_memory(pqk_type type)
{
    return type == PQK_E2M1FNX2 ? 4 : type == PQK_E2M3FNX4 || type == PQK_E3M2FNX4 ? 6 : 8;
}

void oracle_dynamic_row(const struct oracle_dynamic *how, const char *x, size_t n, unsigned char *scale,
                        unsigned char *q)
{
    const size_t bits = (size_t)bits_in_memory(how->to);
    double absmax = 0;
    bool nan = false;
    for (size_t i = 0; i < n; ++i) {
        const double magnitude = fabs(oracle_load_float(x, i, how->from));
        if (magnitude > absmax) absmax = magnitude;
        nan |= magnitude != magnitude;
    }
    const double divisor = find_divisor(how, absmax, nan, scale);
    memset(q, 0, (n * bits + 7) / 8);
    for (size_t i = 0; i < n; ++i) {
        const double element = oracle_load_float(x, i, how->from);
        const uint32_t code = code_of(how, nearest(element / divisor));
        for (size_t b = 0; b < bits; ++b)
            q[(i * bits + b) / 8] |= (unsigned char)((code >> b & 1) << (i * bits + b) % 8);
    }
}
