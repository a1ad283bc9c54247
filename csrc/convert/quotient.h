/* quotient.h -- x / d for an x that is then rounded to few bits, by two multiplications.
 *
 * 1 / d is h + l, h the float next to it towards zero, and fma(x, h, x * l) takes the place of x / d: for d within
 * 2^+-80 it lies on the same side of each halfway point of a narrow type and of int8, but for d within 5 units of a
 * multiple of 2^-6 of its power of two.  All significands of d were tried with the numbers next to each
 * (tests/c/test_two_term_quotient.c).  That h and l have one sign keeps the sign of zeros.  A quotient of 2^100 or more
 * is one too large for every such type, or infinite; so is what stands for it.
 *
 * Of a power of two h is 1 / d and l is 0, which an infinite x must not meet: see pqk_quotient_of_any().
 */
#ifndef PQK_CONVERT_QUOTIENT_H
#define PQK_CONVERT_QUOTIENT_H
#include <math.h>
#include <stdbool.h>
#include "formats/small_float.h"

/* h and l; 0 where d is not one of those that are good for it.  In loops that compilers turn into vectors. */
static inline int pqk_quotient_terms(float d, float *high, float *low)
{
    enum { PERIOD = 1 << 17, NEAR = 8 }; /* of significands that may go wrong, and more than they are off */
    const float nearest = 1.0f / d;
    const bool above = fmaf(-nearest, d, 1.0f) < 0.0f;
    const uint32_t place = (pqk_f32_bits(d) + NEAR) % PERIOD;
    *high = pqk_f32_from_bits(pqk_f32_bits(nearest) - above);
    *low = fabsf(fmaf(-*high, d, 1.0f)) * *high;
    return (d >= 0x1p-80f) & (d <= 0x1p80f) & ((place > 2 * NEAR) | (place == NEAR));
}

/* For x that may be infinite: of a power of two, two halves of 1 / d, as infinity times 0 is NaN. */
static inline bool pqk_quotient_of_any(float d, float *high, float *low)
{
    if (!pqk_quotient_terms(d, high, low)) return false;
    if (*low == 0.0f) *high = *low = *high * 0.5f;
    return true;
}

#endif
