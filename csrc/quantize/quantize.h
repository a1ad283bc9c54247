/* quantize.h -- float to integer, affine: the contract of every quantize kernel.
 *
 *     q[r, i] = round(clamp(y, lo, hi)) + z, y the quotient of x[r, i] and its scale: see affine/affine.h
 *
 * Operand 0 of the tile is x (F32, F16 or BF16), operand 1 is q; neither overlaps the other, no alignment is
 * required, and nothing outside the tile's rows is read or written, except that a packed row writes its last byte
 * whole, padded with zero bits.  F16 and BF16 are first made float32, exactly.
 *
 * NaN gives quant_min, infinities and whatever is out of range saturate.  Any scale is allowed.  The zero points are
 * within [quant_min, quant_max], and that range is the element type's own: the caller has checked.
 *
 * Every kernel returns the bits that the scalar one returns.
 */
#ifndef PQK_QUANTIZE_H
#define PQK_QUANTIZE_H
#include "affine/affine.h"
#include "tiles/tiles.h"

typedef void pqk_quantize_fn(const struct pqk_tile *tile, const struct pqk_affine *affine);

/* Kernels: quantize_<input>_<output>, where n8 stands for s4, u4, s2 and u2 one a byte and n4, n2 for their packed
 * forms: which of them is said by quant_min and quant_max. */
#define PQK_QUANTIZE_OUTPUTS(X, in) X(in, s8) X(in, u8) X(in, n8) X(in, s16) X(in, u16) X(in, n4) X(in, n2)
#define PQK_QUANTIZE_ALL(X) PQK_QUANTIZE_OUTPUTS(X, f32) PQK_QUANTIZE_OUTPUTS(X, f16) PQK_QUANTIZE_OUTPUTS(X, bf16)

#endif
