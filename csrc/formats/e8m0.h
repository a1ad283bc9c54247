/* e8m0.h -- the scales of OCP Microscaling (MX 1.0, section 5.4.1): code c is 2^(c - 127), 0xff is NaN; no sign, no
 * zero.
 *
 * Every code is a float32; code 0 is a subnormal one, 2^-127.
 */
#ifndef PQK_E8M0_H
#define PQK_E8M0_H
#include "formats/small_float.h"

static const struct pqk_float_format pqk_e8m0fnu = {PQK_KIND_EXPONENT, 8, 0, 127, 0xfe, 0xff, 0xff};

#endif
