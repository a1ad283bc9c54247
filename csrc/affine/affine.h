/* affine.h -- how a real number becomes an integer: what quantize and fake_quantize share.
 *
 * A convention (pyquantk.h) is three factors, so that kernels need not know its name:
 *
 *     quotient    y = x / s           PQK_DIVIDE
 *                 y = x * r           PQK_MULTIPLY      r = inverse, or fl(numerator * fl(1 / s))
 *                 y = fma(x, r, zp)   PQK_FUSED         one rounding
 *                 y = fl(x * r) + zp  PQK_MULTIPLY_ADD  two roundings
 *     rounding    half to even, or half away from zero
 *     zero point  outside the rounding (PQK_DIVIDE, PQK_MULTIPLY) or inside it (the other two)
 *
 * The integer is round(clamp(y, lo, hi)) + z, where a NaN y counts as lo; outside: lo, hi = quant_min - zp,
 * quant_max - zp and z = zp; inside: lo, hi = quant_min, quant_max and z = 0.
 */
#ifndef PQK_AFFINE_H
#define PQK_AFFINE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "include/pyquantk.h"

enum pqk_quotient { PQK_DIVIDE, PQK_MULTIPLY, PQK_FUSED, PQK_MULTIPLY_ADD };

struct pqk_affine {
    const float *scale;
    const float *inverse;      /* NULL: numerator * (1 / scale) */
    const int32_t *zero_point; /* NULL: 0 */
    enum pqk_quotient quotient;
    bool away;             /* half away from zero instead of half to even */
    bool infinite_is_zero; /* r = 0 where it would be infinite: all-zero blocks give zeros */
    float numerator;       /* of r */
    int32_t quant_min, quant_max;
};

/* Sets the factors of a convention; per_tensor: one parameter for all, which PQK_TORCH treats differently. */
pqk_status pqk_affine_convention(struct pqk_affine *affine, pqk_convention convention, bool per_tensor);

/* Every zero point in [quant_min, quant_max]? */
bool pqk_affine_zero_points_valid(const struct pqk_affine *affine, size_t count);

#endif
