/* fp4.h -- the 4-bit format of OCP Microscaling (MX 1.0, section 5.3.3): s ee m, bias 1, all codes finite.
 *
 *     0  0.5  1  1.5  2  3  4  6  and their negatives
 *
 * One a byte, in its low bits; or packed two to a byte, the first in the low bits.
 */
#ifndef PQK_FP4_H
#define PQK_FP4_H
#include "formats/small_float.h"

static const struct pqk_float_format pqk_e2m1fn = {PQK_KIND_FINITE, 2, 1, 1, 0x7, 0x7, 0};

#endif
