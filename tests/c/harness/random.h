/* random.h -- reproducible random numbers: the same on every machine, so that a case is its seed. */
#ifndef HARNESS_RANDOM_H
#define HARNESS_RANDOM_H
#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

/* A stream that depends on all three. */
struct rng rng_make(uint64_t seed, const char *name, uint64_t index);

uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n);              /* [0, n) */
int32_t rng_between(struct rng *r, int32_t lo, int32_t hi); /* [lo, hi] */
bool rng_chance(struct rng *r, uint32_t percent);
double rng_unit(struct rng *r); /* [0, 1) */
float rng_bits(struct rng *r);  /* any float at all */

/* A positive, finite, normal or subnormal float of this binary exponent (of its leading bit). */
float rng_float(struct rng *r, int exponent);

float float_of(uint32_t bits);
uint32_t bits_of(float x);

#endif
