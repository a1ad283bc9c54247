/* requantize.h -- int32 accumulators to small integers: the contract of every requantize kernel.
 *
 *     q[r, i] = saturate(round(acc[r, i] * M) + zero_point)
 *
 *     real given   y = (float)acc * real, both rounded to nearest even; round(clamp(y, quant_min - zero_point,
 *                  quant_max - zero_point)) to nearest even, + zero_point.  A NaN y counts as the lower limit.
 *     m0 given     fixed_point_round() of fixed_point_tpl.h, then + zero_point and saturation, both exact
 *
 * Operand 0 of the tile is acc (S32), operand 1 is q; they do not overlap, no alignment is required, and nothing
 * outside the tile's rows is read or written, except that a packed row writes its last byte whole, padded with zero
 * bits.  The zero points are within [quant_min, quant_max], and that range is the element type's own: the caller has
 * checked, also m0 and shift.
 *
 * Every kernel returns the bits that the scalar one returns.  Source: ONNX Runtime's MlasRequantizeOutput and XNNPACK's
 * fp32 requantization for `real`; those of fixed_point_tpl.h for m0.
 */
#ifndef PQK_REQUANTIZE_H
#define PQK_REQUANTIZE_H
#include <stdbool.h>
#include "include/pyquantk.h"
#include "tiles/tiles.h"

struct pqk_requantizer {
    const float *real;         /* or NULL */
    const int32_t *m0, *shift; /* where real is NULL */
    const int32_t *zero_point; /* NULL: 0 */
    pqk_fixed_rounding rounding;
    /* Fewer instructions where every multiplier is so small that its product needs no limits: |real| < 1; or M < 1/4,
     * that is shift <= FIXED_POINT_FAR, or m0 = 0. */
    bool small;
    int32_t quant_min, quant_max;
};

typedef void pqk_requantize_fn(const struct pqk_tile *tile, const struct pqk_requantizer *requantizer);

/* Kernels: requantize_s32_<output>; n8, n4, n2 as in quantize/quantize.h. */
#define PQK_REQUANTIZE_ALL(X) X(s8) X(u8) X(n8) X(s16) X(u16) X(n4) X(n2)

#endif
