/* fake_quantize.h -- quantize and dequantize in one pass: the contract of every fake_quantize kernel.
 *
 *     n[r, i] = the integer of affine/affine.h less its zero point, in [quant_min - zp, quant_max - zp]
 *     y[r, i] = (float)n * scale                       then once more rounded to F16 or BF16
 *     mask[r, i] = 1 where the unlimited integer is within [quant_min, quant_max], else 0; NaN gives 0
 *
 * Operand 0 of the tile is x, operand 1 is y of the same type, and operand 2, in the kernels that have one, is the
 * mask, a byte an element.  y may be x itself (each block is read before it is written) but overlaps nothing
 * otherwise.  A NaN y (scale NaN or infinite) is the positive quiet NaN with no payload.
 *
 * Every kernel returns the bits that the scalar one returns.
 */
#ifndef PQK_FAKE_QUANTIZE_H
#define PQK_FAKE_QUANTIZE_H
#include "affine/affine.h"
#include "tiles/tiles.h"

typedef void pqk_fake_quantize_fn(const struct pqk_tile *tile, const struct pqk_affine *affine);

/* Kernels: fake_quantize_<type>_y (no mask) and fake_quantize_<type>_ym (with mask). */
#define PQK_FAKE_QUANTIZE_ALL(X) X(f32, y) X(f32, ym) X(f16, y) X(f16, ym) X(bf16, y) X(bf16, ym)

#endif
