/* plan.c -- the systematic cases, then the random ones. */
#include "harness.h"

/* Every length from 0 to 257 with either guard and each offset: a block of the widest layer is 64 elements, so
 * this is every remainder of four blocks at every alignment of a cache line.  Then the powers of two. */
enum { LENGTHS = 258, OFFSETS = 64, SHORT = LENGTHS * 2 * OFFSETS };
enum { FIRST_POWER = 8, LAST_POWER = 16, POWERS = (LAST_POWER - FIRST_POWER + 1) * 3 * 2 };

static uint64_t systematic_count(const struct options *o) { return (SHORT + POWERS + o->stride - 1) / o->stride; }

uint64_t shape_count(const struct options *o) { return systematic_count(o) * o->stride + o->random; }

/* Lengths around the blocks of all layers, around the number of columns whose constants are made at a time, and
 * two registers of float, for which quantize has a loop of its own. */
static size_t random_length(struct rng *rng)
{
    static const uint16_t favourites[] = {1, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
    if (rng_chance(rng, 50)) return 1 + rng_below(rng, 300);
    const size_t n = favourites[rng_below(rng, sizeof favourites / sizeof favourites[0])];
    return rng_chance(rng, 50) ? n : n + rng_below(rng, 5) - (n > 2 ? 2 : 0);
}

static struct shape random_shape(struct rng *rng)
{
    struct shape s = {.n = random_length(rng), .at_end = rng_chance(rng, 70)};
    s.rows = 1 + rng_below(rng, 9);
    if (rng_chance(rng, 4) && s.n < 300)
        s.rows = 60 + rng_below(rng, MOST_ROWS - 60); /* constants: 64 rows at a time */
    s.offset = rng_chance(rng, 60) ? 0 : rng_below(rng, OFFSETS);
    return s;
}

struct shape shape_of_case(uint64_t index, struct rng *rng)
{
    if (index < SHORT) {
        const struct shape s = {.rows = 1 + rng_below(rng, 3),
                                .n = (size_t)(index / (2 * OFFSETS)),
                                .at_end = index / OFFSETS % 2 == 0,
                                .offset = (unsigned)(index % OFFSETS),
                                .systematic = true};
        return s;
    }
    index -= SHORT;
    if (index < POWERS) {
        const size_t power = (size_t)1 << (FIRST_POWER + index / 6);
        const struct shape s = {.rows = 1,
                                .n = power - 1 + index / 2 % 3,
                                .at_end = index % 2 == 0,
                                .offset = rng_chance(rng, 50) ? 0 : rng_below(rng, OFFSETS),
                                .systematic = true};
        return s;
    }
    return random_shape(rng);
}
