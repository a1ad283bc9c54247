/* scale_rule.h -- from the greatest magnitude of a block to its scale.
 *
 *     PQK_SCALE_ABSMAX   scale = absmax / max, at least the least normal float32; 1 where absmax is 0
 *
 * The others are powers of two as e8m0 codes (OCP Microscaling Formats 1.0, sections 5.4.1 and 6.3), e the exponent of
 * the greatest power of two of the element type, M its mantissa bits, max its greatest number:
 *
 *     PQK_SCALE_FLOOR    2^(floor(log2(absmax)) - e)
 *     PQK_SCALE_CEIL     2^(ceil(log2(absmax)) - e)
 *     PQK_SCALE_EVEN     FLOOR of absmax rounded, half up, to M mantissa bits
 *     PQK_SCALE_RCEIL    the least power of two >= fl(absmax / max), as CVT.RP.UE8M0 gives it
 *
 * in [2^-127, 2^127], where infinity counts as 2^128; above that (RCEIL stops there), or with a NaN in the block, the
 * code is NaN.
 *
 *     PQK_SCALE_NVFP4    an e4m3fn code: clamp(fl(fl(absmax / 6) / global), 2^-6, 448) rounded to nearest even
 *
 * which counts times `global`, one float32 product.
 */
#ifndef PQK_SCALE_RULE_H
#define PQK_SCALE_RULE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "include/pyquantk.h"

struct pqk_scale_rule {
    pqk_scale_mode mode;
    float max;          /* of the element type, as the scale counts it */
    int exponent;       /* e */
    int mantissa_bits;  /* M */
    float step;         /* what the kernel divides by is scale * step: 2^-6 for int8 elements of MX, otherwise 1 */
    float global_scale; /* of PQK_SCALE_NVFP4 */
};

/* What the rule needs to know of q's type; PQK_ERROR_TYPE where the two do not go together. */
pqk_status pqk_scale_rule_make(struct pqk_scale_rule *rule, pqk_scale_mode mode, pqk_type type, float global_scale);

/* Bytes of one scale: 4 for a float32, 1 for a code. */
static inline size_t pqk_scale_size(pqk_scale_mode mode) { return mode == PQK_SCALE_ABSMAX ? 4 : 1; }

/* The scales of n blocks, as they are returned, and what the kernel divides by: infinity in a block of scale NaN, so
 * that its elements are zeros and NaNs, whatever their type. */
void pqk_scale_rule_apply(const struct pqk_scale_rule *rule, size_t n, const float *absmax, const bool *nan,
                          void *scale, float *divisor);

#endif
