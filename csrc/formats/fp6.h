/* fp6.h -- the 6-bit formats of OCP Microscaling (MX 1.0, section 5.3.2): s ee mmm and s eee mm, all codes finite.
 *
 *     e2m3fn  bias 1, greatest 7.5, least normal 1      e3m2fn  bias 3, greatest 28, least normal 2^-2
 *
 * One a byte, in its low bits; or packed, element i of a row in bits 6 i ... 6 i + 5 of a little-endian bit string.
 */
#ifndef PQK_FP6_H
#define PQK_FP6_H
#include "formats/small_float.h"

static const struct pqk_float_format pqk_e2m3fn = {PQK_KIND_FINITE, 2, 3, 1, 0x1f, 0x1f, 0};
static const struct pqk_float_format pqk_e3m2fn = {PQK_KIND_FINITE, 3, 2, 3, 0x1f, 0x1f, 0};

#endif
