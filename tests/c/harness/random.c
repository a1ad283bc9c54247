/* random.c -- SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014). */
#include "random.h"
#include <math.h>
#include <string.h>

uint64_t rng_next(struct rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct rng rng_make(uint64_t seed, const char *name, uint64_t index)
{
    struct rng r = {seed};
    r.state = rng_next(&r) ^ index;
    for (; *name; ++name) r.state = rng_next(&r) ^ (unsigned char)*name;
    rng_next(&r);
    return r;
}

uint32_t rng_below(struct rng *r, uint32_t n) { return (uint32_t)((rng_next(r) >> 32) * n >> 32); }
int32_t rng_between(struct rng *r, int32_t lo, int32_t hi)
{
    const uint64_t count = (uint64_t)((int64_t)hi - lo) + 1;
    return (int32_t)(lo + (int64_t)(rng_next(r) % count));
}
bool rng_chance(struct rng *r, uint32_t percent) { return rng_below(r, 100) < percent; }
double rng_unit(struct rng *r) { return (double)(rng_next(r) >> 11) * 0x1p-53; }
float rng_bits(struct rng *r) { return float_of((uint32_t)rng_next(r)); }

float rng_float(struct rng *r, int exponent)
{
    const float significand = float_of(0x3f800000u | (rng_below(r, 1u << 23)));
    return ldexpf(significand, exponent);
}

float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
