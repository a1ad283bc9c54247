/* fp8.h -- the 8-bit formats: s eeee mmm, s eeeee mm, s eee mmmm.
 *
 *     name         bias  greatest  least normal  top codes                            specification
 *     e4m3fn        7      448       2^-6        0x7f NaN                             OCP OFP8 1.0, section 5
 *     e5m2         15    57344       2^-14       0x7c infinity, 0x7d-0x7f NaN         OCP OFP8 1.0, section 5
 *     e4m3fnuz      8      240       2^-7        0x80 NaN, no -0                      Noune et al., arXiv 2206.02915
 *     e5m2fnuz     16    57344       2^-15       0x80 NaN, no -0                      Noune et al., arXiv 2206.02915
 *     e4m3b11fnuz  11       30       2^-10       0x80 NaN, no -0                      HFP8, Sun et al., NeurIPS 2019
 *     e4m3          7      240       2^-6        0x78 infinity, 0x79-0x7f NaN         as IEEE 754 would have it
 *     e3m4          3     15.5       2^-2        0x70 infinity, 0x71-0x7f NaN         as IEEE 754 would have it
 */
#ifndef PQK_FP8_H
#define PQK_FP8_H
#include "formats/small_float.h"

static const struct pqk_float_format pqk_e4m3fn = {PQK_KIND_FN, 4, 3, 7, 0x7e, 0x7f, 0x7f};
static const struct pqk_float_format pqk_e5m2 = {PQK_KIND_IEEE, 5, 2, 15, 0x7b, 0x7c, 0x7e};
static const struct pqk_float_format pqk_e4m3fnuz = {PQK_KIND_FNUZ, 4, 3, 8, 0x7f, 0x80, 0x80};
static const struct pqk_float_format pqk_e5m2fnuz = {PQK_KIND_FNUZ, 5, 2, 16, 0x7f, 0x80, 0x80};
static const struct pqk_float_format pqk_e4m3b11fnuz = {PQK_KIND_FNUZ, 4, 3, 11, 0x7f, 0x80, 0x80};
static const struct pqk_float_format pqk_e4m3 = {PQK_KIND_IEEE, 4, 3, 7, 0x77, 0x78, 0x7c};
static const struct pqk_float_format pqk_e3m4 = {PQK_KIND_IEEE, 3, 4, 3, 0x6f, 0x70, 0x78};

#endif
