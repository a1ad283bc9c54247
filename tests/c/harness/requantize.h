/* requantize.h -- what the tester of requantize kernels and that of pqk_requantize share. */
#ifndef HARNESS_REQUANTIZE_H
#define HARNESS_REQUANTIZE_H
#include "harness.h"

struct requantize_space { /* guarded */
    struct guard real, m0, shift, zero_point;
};
struct requantize_space requantize_space_make(size_t count);

/* Multipliers of one kind, with r->quant_min and quant_max set: `count` of them from index `base` on, `stride` apart;
 * each array ends at its guard. */
void choose_multipliers(struct rng *rng, struct pqk_requantizer *r, const struct requantize_space *space, size_t count,
                        size_t stride, size_t base);

/* An accumulator whose product with multiplier `at` is near a tie or an end of the range, or anything. */
int32_t choose_accumulator(struct rng *rng, const struct pqk_requantizer *r, ptrdiff_t at);

/* What q must be: requantize.h's formulas once more, in exact arithmetic without a shift. */
int32_t oracle_requantize(int32_t acc, const struct pqk_requantizer *r, ptrdiff_t at);

/* entry_requantize.c */
void entry_requantize_case(struct harness *h, uint64_t number);
void test_entry_requantize(struct harness *h);

#endif
