/* observe.h -- range and counts in one pass: the contract of every observe kernel.
 *
 *     min, max     over the elements that are not NaN, infinities included; of a zero the sign is dropped (+0);
 *                  +inf and -inf where there is none
 *     nan_count, inf_count
 *
 * per row (param_col == 0) or per column (param_row == 0) of the tile, whose only operand is x.  The kernel merges
 * what it finds into out[index], index = param + r * param_row + i * param_col: min by minimum, counts by addition,
 * so neither the order of tiles nor their number can change a bit.  Any of the four arrays may be NULL.
 * When several tiles may meet in one index (observe.c knows), `lock` is held while merging; NULL otherwise.
 *
 * Every kernel returns the bits that the scalar one returns.
 */
#ifndef PQK_OBSERVE_H
#define PQK_OBSERVE_H
#include "core/atomics.h"
#include "include/pyquantk.h"
#include "tiles/tiles.h"

struct pqk_observe_out {
    pqk_statistics to;
    pqk_atomic_u32 *lock; /* 0 is free */
};

typedef void pqk_observe_fn(const struct pqk_tile *tile, const struct pqk_observe_out *out);

/* Kernels: observe_<type>. */
#define PQK_OBSERVE_ALL(X) X(f32) X(f16) X(bf16)

#endif
