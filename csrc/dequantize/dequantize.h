/* dequantize.h -- integer to float: the contract of every dequantize kernel.
 *
 *     y[r, i] = (float)(q[r, i] - zero_point) * scale
 *
 * The subtraction is exact (for S32 it wraps modulo 2^32, and making it a float rounds), the product rounds once to
 * float32, and a F16 or BF16 result once more, to nearest even.  Operand 0 of the tile is q, operand 1 is y; they
 * do not overlap, no alignment is required, nothing outside the tile's rows is read or written.  Of the affine only
 * scale, zero_point, quant_min and quant_max are used; the last two tell which narrow type n8, n4 and n2 hold, and
 * of an n8 byte only the low bits count.
 *
 * A NaN result (scale NaN, or infinite with q = zero_point) is the positive quiet NaN with no payload on every
 * layer: x86 and ARM would differ in its sign.
 *
 * Every kernel returns the bits that the scalar one returns.
 */
#ifndef PQK_DEQUANTIZE_H
#define PQK_DEQUANTIZE_H
#include "affine/affine.h"
#include "affine/integers.h"
#include "tiles/tiles.h"

typedef void pqk_dequantize_fn(const struct pqk_tile *tile, const struct pqk_affine *affine);

/* The kernel of the active layer; out is F32, F16 or BF16. */
pqk_dequantize_fn *pqk_dequantize_kernel(enum pqk_integer_slot in, pqk_type out);

/* Kernels: dequantize_<input>_<output>; n8, n4, n2 as in quantize.h. */
#define PQK_DEQUANTIZE_INPUTS(X, out) \
    X(s8, out) X(u8, out) X(n8, out) X(s16, out) X(u16, out) X(s32, out) X(n4, out) X(n2, out)
#define PQK_DEQUANTIZE_ALL(X) PQK_DEQUANTIZE_INPUTS(X, f32) PQK_DEQUANTIZE_INPUTS(X, f16) PQK_DEQUANTIZE_INPUTS(X, bf16)

#endif
