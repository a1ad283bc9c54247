/* inputs.c -- parameters and inputs on which implementations differ: ties and their neighbours, the ends of the
 * range, scales whose reciprocal is barely good enough, and all that is not a normal number. */
#include <math.h>
#include "formats/bf16.h"
#include "harness.h"
#include <string.h>

/* How the scales of one tile are drawn.  Mostly all from one drawer, or the fast way of affine_tpl.h, which one bad
 * scale among its neighbours rules out, would hardly be tried. */
enum drawer { ORDINARY, POWERS_OF_TWO, NEAR_MULTIPLE, EXTREME, SPECIAL, DRAWERS };

/* Significands within 14 of a multiple of 2^16, or of 2^8 for wide types: the proof in affine_tpl.h excludes 12. */
static float near_multiple(struct rng *rng)
{
    const uint32_t modulus = rng_chance(rng, 50) ? 1u << 16 : 1u << 8;
    const uint32_t significand = (1u << 23) + rng_below(rng, (1u << 23) / modulus) * modulus;
    return ldexpf((float)(significand + (uint32_t)rng_between(rng, 0, 28)) - 14, rng_between(rng, -40, 0));
}

static float special_scale(struct rng *rng)
{
    static const uint32_t bits[] = {0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff,
                                    0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0xbf800000};
    return float_of(bits[rng_below(rng, sizeof bits / sizeof bits[0])]);
}

static float scale_from(struct rng *rng, enum drawer drawer)
{
    switch (drawer) {
    case POWERS_OF_TWO:
        return ldexpf(1.0f, rng_between(rng, -30, 30));
    case NEAR_MULTIPLE:
        return near_multiple(rng);
    case EXTREME:
        return rng_chance(rng, 50) ? rng_float(rng, rng_between(rng, -149, -95))
                                   : rng_float(rng, rng_between(rng, 95, 127));
    case SPECIAL:
        return special_scale(rng);
    case ORDINARY:
    case DRAWERS:
        break;
    }
    return rng_float(rng, rng_between(rng, -24, 8));
}

static enum drawer choose_drawer(struct rng *rng)
{
    const uint32_t percent = rng_below(rng, 100);
    return percent < 50   ? ORDINARY
           : percent < 60 ? POWERS_OF_TWO
           : percent < 75 ? NEAR_MULTIPLE
           : percent < 88 ? EXTREME
                          : SPECIAL;
}

/* What a caller may pass as inverse: the reciprocal in float, in double and then float, or anything. */
static float choose_inverse(struct rng *rng, float scale)
{
    const uint32_t percent = rng_below(rng, 100);
    if (percent < 50) return (float)(1.0 / ((double)scale * (1 + (rng_unit(rng) - 0.5) * 0x1p-24)));
    if (percent < 80) return 1.0f / scale;
    if (percent < 90) return rng_float(rng, rng_between(rng, -24, 24));
    return special_scale(rng);
}

static int32_t choose_zero_point(struct rng *rng, int32_t lo, int32_t hi)
{
    const uint32_t percent = rng_below(rng, 100);
    if (percent < 20) return lo;
    if (percent < 40) return hi;
    if (percent < 55 && lo <= 0 && hi >= 0) return 0;
    return rng_between(rng, lo, hi);
}

/* An array of 4-byte elements whose end is the guard's. */
static void *ending_at_guard(const struct guard *g, size_t count) { return g->high - count * 4; }

void choose_parameters(struct rng *rng, struct pqk_affine *affine, const struct parameters_space *space, size_t count,
                       size_t stride, size_t base)
{
    const size_t length = count ? base + (count - 1) * stride + 1 : base;
    float *scale = ending_at_guard(&space->scale, length), *inverse = ending_at_guard(&space->inverse, length);
    int32_t *zero_point = ending_at_guard(&space->zero_point, length);
    const enum drawer drawer = choose_drawer(rng);
    const bool mixed = rng_chance(rng, 15); /* one odd scale here and there */

    affine->scale = scale;
    affine->inverse = rng_chance(rng, 60) ? NULL : inverse;
    affine->zero_point = affine->quant_min <= 0 && affine->quant_max >= 0 && rng_chance(rng, 20) ? NULL : zero_point;
    for (size_t i = 0; i < length; ++i) { /* between those in use: what must not be taken */
        scale[i] = inverse[i] = float_of(0x7fc00000);
        zero_point[i] = affine->quant_max;
    }
    for (size_t i = 0; i < count; ++i) {
        const size_t at = base + i * stride;
        scale[at] = scale_from(rng, mixed && rng_chance(rng, 10) ? (enum drawer)rng_below(rng, DRAWERS) : drawer);
        inverse[at] = choose_inverse(rng, scale[at]);
        zero_point[at] = choose_zero_point(rng, affine->quant_min, affine->quant_max);
    }
}

double step_of(const struct pqk_affine *a, ptrdiff_t param)
{
    const double scale = a->scale[param];
    const double step = a->quotient == PQK_DIVIDE ? scale
                        : a->inverse              ? 1 / (double)a->inverse[param]
                                                  : scale / (double)a->numerator;
    return isfinite(step) && step != 0 ? step : 1;
}

static float special_input(struct rng *rng)
{
    static const uint32_t bits[] = {0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x80800000,
                                    0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000,
                                    0x7f800001, 0xff812345, 0x3effffff, 0x3f000000, 0x4f000000, 0xcf000000};
    return float_of(bits[rng_below(rng, sizeof bits / sizeof bits[0])]);
}

/* k floats up or down; a step across zero or into a NaN is as good as any other input. */
static float neighbour(float x, int k) { return float_of(bits_of(x) + (uint32_t)k); }

static float choose_input(struct rng *rng, double step, int32_t lo, int32_t hi)
{
    const uint32_t percent = rng_below(rng, 100);
    if (percent < 25) return (float)((lo + (hi - lo) * rng_unit(rng)) * 1.1 * step); /* past both ends */
    if (percent < 80) {
        const float tie = (float)((rng_between(rng, lo - 1, hi) + 0.5) * step);
        return percent < 45 ? tie : neighbour(tie, rng_between(rng, -3, 3));
    }
    if (percent < 86) return neighbour((float)(rng_between(rng, lo - 1, hi + 1) * step), rng_between(rng, -1, 1));
    if (percent < 93) return rng_bits(rng);
    return special_input(rng);
}

void put_input(struct rng *rng, char *row, size_t i, double step, int32_t lo, int32_t hi, pqk_type type)
{
    const float x = choose_input(rng, step, lo, hi);
    uint16_t half = type == PQK_F16 ? pqk_f32_to_f16(x) : pqk_f32_to_bf16(x);
    if (type != PQK_F32 && rng_chance(rng, 5)) half = (uint16_t)rng_next(rng);
    if (type == PQK_F32)
        memcpy(row + 4 * i, &x, 4);
    else
        memcpy(row + 2 * i, &half, 2);
}
