/* oracle_convert.c -- see oracle_convert.h; and the scalar cast kernels held to it. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "convert/convert.h"
#include "harness.h"
#include "oracle_convert.h"

/* Greatest values and special codes as the specifications print them. */
static const struct oracle_format formats[] = {
    {PQK_F16,         5, 10, 15,  65504.0,    0x7c00, 0x7e00, true },
    {PQK_BF16,        8, 7,  127, 0x1.fep127, 0x7f80, 0x7fc0, true },
    {PQK_E4M3FN,      4, 3,  7,   448.0,      0x7f,   0x7f,   true },
    {PQK_E5M2,        5, 2,  15,  57344.0,    0x7c,   0x7e,   true },
    {PQK_E4M3FNUZ,    4, 3,  8,   240.0,      0x80,   0x80,   false},
    {PQK_E5M2FNUZ,    5, 2,  16,  57344.0,    0x80,   0x80,   false},
    {PQK_E4M3B11FNUZ, 4, 3,  11,  30.0,       0x80,   0x80,   false},
    {PQK_E4M3,        4, 3,  7,   240.0,      0x78,   0x7c,   true },
    {PQK_E3M4,        3, 4,  3,   15.5,       0x70,   0x78,   true },
    {PQK_E2M3FN,      2, 3,  1,   7.5,        0,      0,      true },
    {PQK_E3M2FN,      3, 2,  3,   28.0,       0,      0,      true },
    {PQK_E2M1FN,      2, 1,  1,   6.0,        0,      0,      true },
};

const struct oracle_format *oracle_format_of(pqk_type type)
{
    if (type == PQK_E2M3FNX4) type = PQK_E2M3FN;
    if (type == PQK_E3M2FNX4) type = PQK_E3M2FN;
    if (type == PQK_E2M1FNX2) type = PQK_E2M1FN;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; ++i)
        if (formats[i].type == type) return &formats[i];
    return NULL;
}

double oracle_magnitude(uint32_t code, const struct oracle_format *f)
{
    const uint32_t e = code >> f->mantissa_bits, m = code & ((1u << f->mantissa_bits) - 1);
    if (e == 0) return ldexp(m, 1 - f->bias - f->mantissa_bits);
    return ldexp((double)((1u << f->mantissa_bits) + m), (int)e - f->bias - f->mantissa_bits);
}

uint32_t oracle_greatest_code(const struct oracle_format *f)
{
    uint32_t low = 0, high = 1u << (f->exponent_bits + f->mantissa_bits);
    while (high - low > 1) { /* the last code not above it, which is its own */
        const uint32_t middle = (low + high) / 2;
        if (oracle_magnitude(middle, f) <= f->greatest)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool is_nan(uint32_t magnitude, const struct oracle_format *f)
{
    return f->nan_signed && f->overflow && oracle_magnitude(magnitude, f) > f->greatest &&
           (magnitude != f->overflow || f->overflow == f->nan);
}

double oracle_float_value(uint32_t code, pqk_type type, bool *nan)
{
    *nan = false;
    if (type == PQK_F32) {
        const float x = float_of(code);
        *nan = x != x;
        return x;
    }
    if (type == PQK_E8M0FNU) {
        *nan = code == 255;
        return ldexp(1, (int)code - 127);
    }
    const struct oracle_format *f = oracle_format_of(type);
    const uint32_t sign_bit = 1u << (f->exponent_bits + f->mantissa_bits), magnitude = code & (sign_bit - 1);
    *nan = is_nan(magnitude, f) || (!f->nan_signed && (code & (2 * sign_bit - 1)) == sign_bit);
    const double value =
        f->nan_signed && magnitude == f->overflow && f->overflow && !*nan ? INFINITY : oracle_magnitude(magnitude, f);
    return code & sign_bit ? -value : value;
}

static bool rounds_up(pqk_rounding rounding, double part, bool odd, bool negative, uint32_t random)
{
    switch (rounding) {
    case PQK_NEAREST_EVEN:
        return part > 0.5 || (part == 0.5 && odd);
    case PQK_NEAREST_AWAY:
        return part >= 0.5;
    case PQK_TOWARD_ZERO:
        return false;
    case PQK_UP:
        return part > 0 && !negative;
    case PQK_DOWN:
        return part > 0 && negative;
    default:
        return (double)random < floor(part * 0x1p32);
    }
}

/* Powers of two, of the float32 field's reading: 2^(field - 127) (1 + m), and field 0 as m 2^-126 from zero. */
static uint32_t cast_e8m0(uint32_t x, pqk_rounding rounding, bool saturate, uint32_t random)
{
    const uint32_t field = x >> 23 & 255;
    const double part = (x & 0x7fffff) * 0x1p-23;
    if (field == 255 || (!saturate && (x >> 31 || x == 0))) return 255;
    const uint32_t code = field + rounds_up(rounding, part, field != 0, false, random);
    const bool inward = rounding == PQK_TOWARD_ZERO || rounding == PQK_DOWN;
    return code == 255 && (saturate || inward) ? 254 : code;
}

uint32_t oracle_cast(uint32_t x, pqk_type to, pqk_rounding rounding, bool saturate, uint32_t random)
{
    if (to == PQK_E8M0FNU) return cast_e8m0(x, rounding, saturate, random);
    const struct oracle_format *f = oracle_format_of(to);
    const uint32_t sign_bit = 1u << (f->exponent_bits + f->mantissa_bits);
    const bool negative = x >> 31, has_nan = f->overflow != 0;
    const double value = fabs((double)float_of(x));
    const uint32_t greatest = oracle_greatest_code(f);
    uint32_t low = 0, high = greatest + 1;
    if (value != value) {
        if (!has_nan) return negative ? 0 : sign_bit;
        return f->nan_signed && negative ? f->nan | sign_bit : f->nan;
    }
    while (high - low > 1) { /* the last code not above the value */
        const uint32_t middle = (low + high) / 2;
        if (oracle_magnitude(middle, f) <= value)
            low = middle;
        else
            high = middle;
    }
    const double at = oracle_magnitude(low, f), next = oracle_magnitude(low + 1, f);
    const bool beyond = value >= next;
    const double part = beyond ? 0 : (value - at) / (next - at);
    uint32_t code = low + (beyond || rounds_up(rounding, part, low & 1, negative, random));
    const bool inward = rounding == PQK_TOWARD_ZERO || rounding == (negative ? PQK_UP : PQK_DOWN);
    if (code > greatest) code = saturate || !has_nan || (inward && !isinf(value)) ? greatest : f->overflow;
    if (!f->nan_signed) return code == 0 || code == sign_bit ? code : code | (negative ? sign_bit : 0);
    return code | (negative ? sign_bit : 0);
}

double oracle_first_of_code(uint32_t code, pqk_type to)
{
    const struct oracle_format *f = oracle_format_of(to);
    if (code == 0) return 0;
    const double middle = (oracle_magnitude(code - 1, f) + oracle_magnitude(code, f)) / 2;
    return code & 1 ? (double)nextafterf((float)middle, INFINITY) : middle; /* a tie goes to the even one */
}

uint32_t oracle_philox(uint64_t seed, uint64_t counter)
{
    uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0},
             k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int round = 0; round < 10; ++round) {
        const uint64_t p = c[0] * UINT64_C(0xD2511F53), q = c[2] * UINT64_C(0xCD9E8D57);
        const uint32_t next[4] = {(uint32_t)(q >> 32) ^ c[1] ^ k[0], (uint32_t)q, (uint32_t)(p >> 32) ^ c[3] ^ k[1],
                                  (uint32_t)p};
        memcpy(c, next, sizeof c);
        k[0] += 0x9E3779B9;
        k[1] += 0xBB67AE85;
    }
    return c[0];
}

/* ---- the scalar kernels */

enum { ELEMENTS = 512, WIDTH = 4 };

static uint32_t code_at(const char *row, size_t i, int bits)
{
    uint64_t word = 0;
    memcpy(&word, row + i * (size_t)bits / 8, bits == 6 && i % 4 ? 2 : (size_t)(bits + 7) / 8);
    return (uint32_t)(word >> i * (size_t)bits % 8 & ((UINT64_C(1) << bits) - 1));
}

/* float32 bits of an element; NaN as the positive or negative canonical one. */
static uint32_t source_bits(const char *row, size_t i, pqk_type type, int bits)
{
    bool nan;
    const uint32_t code = code_at(row, i, bits);
    const double value = oracle_float_value(code, type, &nan);
    const struct oracle_format *f = oracle_format_of(type);
    const int sign_bit = type == PQK_F32 ? 31 : f ? f->exponent_bits + f->mantissa_bits : 31;
    return nan ? 0x7fc00000 | (code >> sign_bit & 1) << 31 : bits_of((float)value);
}

static uint32_t wanted(uint32_t x, pqk_type to, const struct pqk_convert *c, uint64_t index)
{
    if (to == PQK_F32) return x;
    return oracle_cast(x, to, c->rounding, c->saturate, oracle_philox(c->seed, index));
}

void oracle_pqk_convert_fn(struct harness *h, pqk_convert_fn *kernel)
{
    const struct word *words[2];
    const uint64_t batches = h->options.stride > 1 ? 60 : 1000;
    words_of_kernel(h->kernel, "cast", words, 2);
    for (uint64_t b = 0; b < batches; ++b) {
        struct rng rng = rng_make(h->options.seed, h->kernel, b);
        const pqk_type from = type_of_word(&rng, words[0]), to = type_of_word(&rng, words[1]);
        char x[ELEMENTS * WIDTH], y[ELEMENTS * WIDTH];
        int from_bits, to_bits;
        struct pqk_convert c;
        choose_cast(&rng, from, to, &c);
        pqk_format_of(from, &from_bits);
        pqk_format_of(to, &to_bits);
        for (size_t i = 0; i < sizeof x; ++i) x[i] = (char)rng_next(&rng);
        if (pqk_is_wide(from))
            for (size_t i = 0; i < ELEMENTS; ++i) put_cast_input(&rng, x, i, from, c.format);
        struct pqk_tile tile = {
            .rows = 1, .n = ELEMENTS, .data = {x, y}
        };
        tile.param = (ptrdiff_t)(rng_next(&rng) >> 8);
        tile.param_col = 1;
        kernel(&tile, &c);
        for (size_t i = 0; i < ELEMENTS; ++i) {
            const uint32_t bits = source_bits(x, i, from, from_bits), got = code_at(y, i, to_bits);
            const uint32_t want = wanted(bits, to, &c, (uint64_t)tile.param + i);
            if (got == want || !report(h)) continue;
            printf("FAILED oracle %s: batch %" PRIu64 ", types %d to %d, rounding %d, saturate %d: 0x%08" PRIx32
                   " gives 0x%" PRIx32 ", expected 0x%" PRIx32 "\n",
                   h->kernel, b, from, to, c.rounding, c.saturate, bits, got, want);
        }
        ++h->cases;
        h->elements += ELEMENTS;
    }
}
