/* observe.h -- range and counts in one pass: the contract of every observe kernel.
 *
 *     min, max     over the elements that are not NaN, infinities included; of a zero the sign is dropped (+0);
 *                  +inf and -inf where there is none
 *     nan_count, inf_count
 *
 * per row (param_col == 0) or per column (param_row == 0) of the tile, whose only operand is x (F32, F16, BF16).  The
 * kernel gives what it finds to pqk_observe_merge(), for index = param + r * param_row + i * param_col: minima merge
 * by minimum, counts by addition, so neither the order of tiles nor their number can change a bit.  No alignment is
 * required, and nothing outside the tile's rows is read.
 *
 * Every kernel returns the bits that the scalar one returns.
 */
#ifndef PQK_OBSERVE_H
#define PQK_OBSERVE_H
#include "core/atomics.h"
#include "include/pyquantk.h"
#include "tiles/tiles.h"

struct pqk_observe_out {
    pqk_statistics to;    /* any of its arrays may be NULL */
    pqk_atomic_u32 *lock; /* held while merging, 0 is free; NULL where only one thread works */
};

/* Merges `count` results into index, index + step ...; step may be 0.  The sign of a zero is dropped here. */
struct pqk_observe_found {
    const float *min, *max;
    const int64_t *nans, *infs; /* both NULL where all are 0 */
};
void pqk_observe_merge(const struct pqk_observe_out *out, ptrdiff_t index, ptrdiff_t step, size_t count,
                       const struct pqk_observe_found *found);

typedef void pqk_observe_fn(const struct pqk_tile *tile, const struct pqk_observe_out *out);

/* Kernels: observe_<type>. */
#define PQK_OBSERVE_ALL(X) X(f32) X(f16) X(bf16)

#endif
