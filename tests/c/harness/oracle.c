/* oracle.c -- see oracle.h. */
#include "oracle.h"
#include <math.h>
#include <string.h>

/* ---- exact pieces */

static double nearest(double x) { return (float)x; }

static double half_to_even(double y)
{
    if (!(fabs(y) < 0x1p52)) return y;
    const double below = floor(y), rest = y - below; /* exact */
    return rest < 0.5 || (rest == 0.5 && fmod(below, 2) == 0) ? below : below + 1;
}

static double half_away(double y)
{
    if (!(fabs(y) < 0x1p52)) return y;
    const double below = floor(fabs(y)), whole = fabs(y) - below < 0.5 ? below : below + 1;
    return y < 0 ? -whole : whole;
}

/* float(x * r + z) in one rounding: the product is exact in double; the sum is rounded to odd, so that its
 * rounding to float sees whether anything was lost (Boldo & Melquiond, "Emulation of FMA", 2008). */
static double fused(double x, double r, double z)
{
    const double product = x * r;
    double sum = product + z;
    if (!isfinite(sum)) return nearest(sum);
    const double back = sum - product;
    const double lost = (product - (sum - back)) + (z - back);
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (lost != 0 && bits % 2 == 0) sum = nextafter(sum, lost > 0 ? INFINITY : -INFINITY);
    return nearest(sum);
}

/* ---- conventions (pyquantk.h) */

static double reciprocal(const struct oracle_params *p)
{
    const float inverse = p->inverse ? *p->inverse : (float)nearest(1.0 / (double)p->scale);
    const bool bitsandbytes = p->convention == PQK_BITSANDBYTES;
    const double r = bitsandbytes && !p->inverse ? nearest(127.0 * (double)inverse) : inverse;
    return isinf(r) && (bitsandbytes || p->convention == PQK_GGML) ? 0 : r;
}

/* The integer with its zero point and without limits, or NaN. */
static double unlimited(double x, const struct oracle_params *p)
{
    const double s = p->scale, r = reciprocal(p), z = p->zero_point;
    switch (p->convention) {
    case PQK_ONNX:
        return half_to_even(nearest(x / s)) + z;
    case PQK_TFLITE:
        return half_away(nearest(x / s)) + z;
    case PQK_TORCH:
        return half_to_even(p->per_tensor ? fused(x, r, z) : nearest(nearest(x * r) + z));
    case PQK_TORCH_DECOMPOSED_GROUP:
        return half_to_even(nearest(nearest(x * r) + z));
    case PQK_TORCH_DECOMPOSED:
    case PQK_TORCH_FAKE_QUANTIZE:
    case PQK_BITSANDBYTES:
        return half_to_even(nearest(x * r)) + z;
    case PQK_GGML:
        return half_away(nearest(x * r)) + z;
    }
    return NAN;
}

static int32_t limit(double q, const struct oracle_params *p)
{
    return q >= p->quant_max ? p->quant_max : q > p->quant_min ? (int32_t)q : p->quant_min; /* NaN: quant_min */
}

int32_t oracle_quantize(double x, const struct oracle_params *p) { return limit(unlimited(x, p), p); }

double oracle_dequantize(int32_t q, const struct oracle_params *p)
{
    const uint32_t wrapped = (uint32_t)q - (uint32_t)p->zero_point;
    const double difference = wrapped < 0x80000000u ? (double)wrapped : (double)wrapped - 0x1p32;
    return nearest(nearest(difference) * (double)p->scale);
}

double oracle_fake_quantize(double x, const struct oracle_params *p, bool *mask)
{
    const double q = unlimited(x, p);
    *mask = q >= p->quant_min && q <= p->quant_max;
    return nearest((double)((int64_t)limit(q, p) - p->zero_point) * (double)p->scale);
}

/* ---- formats */

static const struct {
    pqk_type type;
    int bits;
    int32_t lowest, highest;
} integers[] = {
    {PQK_S8,   8,  -128,      127      },
    {PQK_U8,   8,  0,         255      },
    {PQK_S16,  16, -32768,    32767    },
    {PQK_U16,  16, 0,         65535    },
    {PQK_S4,   8,  -8,        7        },
    {PQK_U4,   8,  0,         15       },
    {PQK_S2,   8,  -2,        1        },
    {PQK_U2,   8,  0,         3        },
    {PQK_S4X2, 4,  -8,        7        },
    {PQK_U4X2, 4,  0,         15       },
    {PQK_S2X4, 2,  -2,        1        },
    {PQK_U2X4, 2,  0,         3        },
    {PQK_S32,  32, INT32_MIN, INT32_MAX},
};
enum { INTEGERS = sizeof integers / sizeof integers[0] };

void oracle_range(pqk_type type, int32_t *lowest, int32_t *highest)
{
    for (int i = 0; i < INTEGERS; ++i)
        if (integers[i].type == type) *lowest = integers[i].lowest, *highest = integers[i].highest;
}

int oracle_type_bits(pqk_type type)
{
    for (int i = 0; i < INTEGERS; ++i)
        if (integers[i].type == type) return integers[i].bits;
    return type == PQK_F32 ? 32 : type == PQK_F16 || type == PQK_BF16 ? 16 : 0;
}

/* Bits of an element that carry its value. */
static int value_bits(pqk_type type)
{
    int32_t lo = 0, hi = 0;
    oracle_range(type, &lo, &hi);
    const int64_t codes = (int64_t)hi - lo + 1;
    int bits = 0;
    while ((int64_t)1 << bits < codes) ++bits;
    return bits;
}

int32_t oracle_load_integer(const char *row, size_t i, pqk_type type)
{
    const int bits = oracle_type_bits(type), used = value_bits(type);
    const unsigned char *bytes = (const unsigned char *)row;
    uint64_t code = 0;
    if (bits < 8)
        code = bytes[i * (size_t)bits / 8] >> i * (size_t)bits % 8;
    else
        for (int b = 0; b < bits / 8; ++b) code |= (uint64_t)bytes[i * (size_t)(bits / 8) + (size_t)b] << 8 * b;
    code &= ((uint64_t)1 << used) - 1;
    int32_t lo = 0, hi = 0;
    oracle_range(type, &lo, &hi);
    return (int32_t)((int64_t)code > hi ? (int64_t)code - ((int64_t)1 << used) : (int64_t)code);
}

void oracle_store_integer(char *row, size_t i, int32_t q, pqk_type type)
{
    const int bits = oracle_type_bits(type);
    const uint32_t code = (uint32_t)((uint64_t)(int64_t)q & (((uint64_t)1 << value_bits(type)) - 1));
    unsigned char *bytes = (unsigned char *)row;
    if (bits >= 8) {
        for (int b = 0; b < bits / 8; ++b) bytes[i * (size_t)(bits / 8) + (size_t)b] = (unsigned char)(code >> 8 * b);
        return;
    }
    const unsigned shift = (unsigned)(i * (size_t)bits % 8), mask = ((1u << bits) - 1) << shift;
    unsigned char *at = &bytes[i * (size_t)bits / 8];
    *at = (unsigned char)((*at & ~mask) | code << shift);
}

/* fraction bits and exponent bias of an IEEE-like format */
struct ieee {
    int fraction, bias, exponent;
};
static struct ieee format_of(pqk_type type)
{
    return type == PQK_F32   ? (struct ieee){23, 127, 8}
           : type == PQK_F16 ? (struct ieee){10, 15, 5}
                             : (struct ieee){7, 127, 8};
}

double oracle_load_float(const char *row, size_t i, pqk_type type)
{
    const struct ieee f = format_of(type);
    const int size = oracle_type_bits(type) / 8;
    uint32_t bits = 0;
    for (int b = 0; b < size; ++b) bits |= (uint32_t)(unsigned char)row[i * (size_t)size + (size_t)b] << 8 * b;
    const uint32_t fraction = bits & ((1u << f.fraction) - 1), exponent = bits >> f.fraction & ((1u << f.exponent) - 1);
    const double sign = bits >> (8 * size - 1) ? -1 : 1;
    if (exponent == (1u << f.exponent) - 1) return fraction ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(fraction, 1 - f.bias - f.fraction);
    return sign * ldexp(fraction + (double)(1u << f.fraction), (int)exponent - f.bias - f.fraction);
}

void oracle_store_float(char *row, size_t i, double x, pqk_type type)
{
    const struct ieee f = format_of(type);
    const int size = oracle_type_bits(type) / 8;
    const uint32_t infinity = ((1u << f.exponent) - 1) << f.fraction;
    uint32_t bits;
    if (x != x) {
        bits = infinity | 1u << (f.fraction - 1);
    } else {
        int exponent = 0;
        frexp(x, &exponent); /* |x| in [2^(exponent-1), 2^exponent) */
        const int lowest = 1 - f.bias;
        const int unit = x == 0 || exponent - 1 < lowest ? lowest : exponent - 1;
        const double units = isinf(x) ? INFINITY : half_to_even(ldexp(fabs(x), f.fraction - unit));
        /* units counts from 2^unit's zero, so the exponent field begins at what the leading bit adds */
        const double code = units + (double)(unit - lowest) * (double)(1u << f.fraction);
        bits = code >= infinity ? infinity : (uint32_t)code;
        if (signbit(x)) bits |= 1u << (8 * size - 1);
    }
    for (int b = 0; b < size; ++b) row[i * (size_t)size + (size_t)b] = (char)(bits >> 8 * b);
}
