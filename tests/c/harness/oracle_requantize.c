/* oracle_requantize.c -- multipliers and accumulators that look for trouble, and what must become of them. */
#include <math.h>
#include "requantize.h"

static int64_t power(int n) { return (int64_t)1 << n; }

/* floor(x / y), y > 0 */
static int64_t floor_divided(int64_t x, int64_t y) { return x / y - (x % y < 0); }

/* acc m0 / 2^(31 - shift), half up: the product has 62 bits and the divisor at most 62. */
static int64_t rounded_once(int32_t acc, int32_t m0, int shift)
{
    return floor_divided((int64_t)acc * m0 + power(30 - shift), power(31 - shift));
}

/* gemmlowp's two functions by their published definitions, division for division. */
static int64_t rounded_twice(int32_t acc, int32_t m0, int shift)
{
    const int64_t x = acc * power(shift > 0 ? shift : 0);
    if (m0 == 0) return 0;
    if (x > INT32_MAX || x < INT32_MIN) return x; /* |acc M| >= 2^30: any integer of that sign and size saturates */
    const int64_t ab = x * m0, high = (ab + (ab >= 0 ? power(30) : 1 - power(30))) / power(31);
    if (shift >= 0) return high;
    const int64_t unit = power(-shift), rest = high - floor_divided(high, unit) * unit;
    const int64_t threshold = floor_divided(unit - 1, 2) + (high < 0);
    return floor_divided(high, unit) + (rest > threshold);
}

static double half_to_even(double y) { return fabs(y) < 0x1p52 ? y - remainder(y, 1) : y; }

int32_t oracle_requantize(int32_t acc, const struct pqk_requantizer *r, ptrdiff_t at)
{
    const int32_t z = r->zero_point ? r->zero_point[at] : 0;
    if (r->real) {
        const double y = (float)((double)(float)acc * (double)r->real[at]);
        const double q = half_to_even(y) + z;
        return q >= r->quant_max ? r->quant_max : q > r->quant_min ? (int32_t)q : r->quant_min; /* NaN: quant_min */
    }
    const int64_t q = (r->rounding == PQK_DOUBLE ? rounded_twice : rounded_once)(acc, r->m0[at], r->shift[at]) + z;
    return q > r->quant_max ? r->quant_max : q < r->quant_min ? r->quant_min : (int32_t)q;
}

/* ---- parameters and inputs */

struct requantize_space requantize_space_make(size_t count)
{
    return (struct requantize_space){guard_make(count * 4), guard_make(count * 4), guard_make(count * 4),
                                     guard_make(count * 4)};
}

static void *ending_at_guard(const struct guard *g, size_t count) { return g->high - count * 4; }

static float choose_real(struct rng *rng)
{
    static const uint32_t bits[] = {0x00000000, 0x80000000, 0x00000001, 0x007fffff, 0x7f7fffff, 0x7f800000,
                                    0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0xbf800000, 0x3f800000};
    const uint32_t percent = rng_below(rng, 100);
    if (percent < 80) return rng_float(rng, rng_between(rng, -26, 0));
    if (percent < 86) return ldexpf(1.0f, rng_between(rng, -31, 7));
    if (percent < 92) return -rng_float(rng, rng_between(rng, -40, 20));
    return percent < 95 ? rng_bits(rng) : float_of(bits[rng_below(rng, sizeof bits / sizeof bits[0])]);
}

static int32_t choose_m0(struct rng *rng)
{
    static const int32_t special[] = {0, 1 << 30, (1 << 30) + 1, 3 << 29, INT32_MAX - 1, INT32_MAX};
    return rng_chance(rng, 70) ? (int32_t)(rng_next(rng) >> 34 | power(30)) : special[rng_below(rng, 6)];
}

void choose_multipliers(struct rng *rng, struct pqk_requantizer *r, const struct requantize_space *space, size_t count,
                        size_t stride, size_t base)
{
    const size_t length = count ? base + (count - 1) * stride + 1 : base;
    float *real = ending_at_guard(&space->real, length);
    int32_t *m0 = ending_at_guard(&space->m0, length), *shift = ending_at_guard(&space->shift, length);
    int32_t *zero_point = ending_at_guard(&space->zero_point, length);
    const bool is_real = rng_chance(rng, 35), small = rng_chance(rng, 60);

    r->real = is_real ? real : NULL;
    r->m0 = is_real ? NULL : m0;
    r->shift = is_real ? NULL : shift;
    r->zero_point = r->quant_min <= 0 && r->quant_max >= 0 && rng_chance(rng, 20) ? NULL : zero_point;
    r->rounding = (pqk_fixed_rounding)rng_below(rng, 3);
    r->small = true;
    for (size_t i = 0; i < length; ++i) { /* between those in use: what must not be taken */
        real[i] = float_of(0x7fc00000);
        m0[i] = INT32_MIN, shift[i] = 77, zero_point[i] = r->quant_max;
    }
    for (size_t i = 0; i < count; ++i) {
        const size_t at = base + i * stride;
        do real[at] = choose_real(rng);
        while (small && !(fabsf(real[at]) < 1));
        m0[at] = choose_m0(rng);
        shift[at] = small && m0[at] ? rng_between(rng, -31, -2) : rng_between(rng, -31, 30);
        zero_point[at] = rng_chance(rng, 25)   ? r->quant_min
                         : rng_chance(rng, 25) ? r->quant_max
                                               : rng_between(rng, r->quant_min, r->quant_max);
        r->small &= is_real ? fabsf(real[at]) < 1 : m0[at] == 0 || shift[at] <= -2;
    }
}

int32_t choose_accumulator(struct rng *rng, const struct pqk_requantizer *r, ptrdiff_t at)
{
    static const int32_t special[] = {0,         1,         -1,         1 << 24,       (1 << 24) + 1, INT32_MAX,
                                      INT32_MIN, 1 << 30,   -(1 << 30), INT32_MAX - 1, INT32_MIN + 1, 2147483520,
                                      16777219,  -16777217, 65536,      -32768};
    const uint32_t percent = rng_below(rng, 100);
    const int32_t z = r->zero_point ? r->zero_point[at] : 0;
    const double m = r->real ? (double)r->real[at] : ldexp(r->m0[at], r->shift[at] - 31);
    if (percent < 70 && isfinite(m) && m != 0) {
        const int32_t step = rng_between(rng, r->quant_min - z - 2, r->quant_max - z + 2);
        const double acc = floor((step + (percent < 55 ? 0.5 : 0.0)) / m) + rng_between(rng, -1, 2);
        if (fabs(acc) < 0x1p31) return (int32_t)acc;
    }
    if (percent < 80) return special[rng_below(rng, sizeof special / sizeof special[0])];
    return (int32_t)((int64_t)(rng_next(rng) << 32) >> (32 + rng_below(rng, 32)));
}
