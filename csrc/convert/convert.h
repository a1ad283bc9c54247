/* convert.h -- casts between float types: the contract of every cast kernel.
 *
 *     y[r, i] = x[r, i] rounded once to the type of y              (no scale)
 *     y[r, i] = (x[r, i] / scale) rounded once more                to a narrow type, with scale
 *     y[r, i] = (x[r, i] * scale) rounded once more                from a narrow type, with scale
 *
 * The wide types are F32, F16 and BF16, the narrow ones E4M3FN ... E2M1FNX2 (formats/fp8.h, fp6.h, fp4.h, e8m0.h); a
 * cast has a wide type on at least one side.  Operand 0 of the tile is x, operand 1 is y; they do not overlap, no
 * alignment is required, nothing outside the tile's rows is read or written, except that a packed row writes its last
 * byte whole, padded with zero bits.
 *
 * Rounding and overflow are those of formats/small_float.h; a wide y never saturates.  Every NaN becomes the canonical
 * one of y's type with its sign; with a scale, the positive one, because arithmetic makes NaNs whose sign depends on
 * the machine.  Quotient and product are one IEEE operation in float32.
 *
 * With a scale the tile's parameters index it.  PQK_STOCHASTIC takes no scale: there they count elements in C order,
 * which is what the random numbers depend on.  The caller has checked all of it.
 *
 * Every kernel returns the bits that the scalar one returns.
 */
#ifndef PQK_CONVERT_H
#define PQK_CONVERT_H
#include <stdbool.h>
#include "formats/small_float.h"
#include "tiles/tiles.h"

struct pqk_convert {
    const struct pqk_float_format *format; /* of the narrow type, or of a wide y */
    int bits;                              /* of an element of the narrow type in memory: 8, or 6 and 4 packed */
    pqk_rounding rounding;
    bool saturate;
    uint64_t seed;
    const float *scale; /* NULL: none */
};

typedef void pqk_convert_fn(const struct pqk_tile *tile, const struct pqk_convert *convert);

/* The format of a float type; bits: of an element in memory.  NULL where type is not one. */
const struct pqk_float_format *pqk_format_of(pqk_type type, int *bits);
static inline bool pqk_is_wide(pqk_type type) { return type >= PQK_F32 && type <= PQK_BF16; }

/* The kernel of the active layer for these types, which must be float types and not both narrow. */
pqk_convert_fn *pqk_convert_kernel(pqk_type from, pqk_type to);

/* Kernels: cast_<from>_<to>; `narrow` stands for all narrow types, told apart by pqk_convert. */
#define PQK_CONVERT_NARROW(X) X(f32, narrow) X(f16, narrow) X(bf16, narrow)
#define PQK_CONVERT_WIDEN(X)  X(narrow, f32) X(narrow, f16) X(narrow, bf16)
#define PQK_CONVERT_WIDE(X) \
    X(f32, f32) X(f32, f16) X(f32, bf16) X(f16, f32) X(f16, f16) X(f16, bf16) X(bf16, f32) X(bf16, f16) X(bf16, bf16)
#define PQK_CONVERT_ALL(X) PQK_CONVERT_NARROW(X) PQK_CONVERT_WIDEN(X) PQK_CONVERT_WIDE(X)

#endif
