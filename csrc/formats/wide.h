/* wide.h -- float32, float16 and bfloat16 as formats, for the ways of rounding that hardware does not know. */
#ifndef PQK_WIDE_H
#define PQK_WIDE_H
#include "formats/small_float.h"

static const struct pqk_float_format pqk_f32 = {PQK_KIND_IEEE, 8, 23, 127, 0x7f7fffff, 0x7f800000, 0x7fc00000};
static const struct pqk_float_format pqk_f16 = {PQK_KIND_IEEE, 5, 10, 15, 0x7bff, 0x7c00, 0x7e00};
static const struct pqk_float_format pqk_bf16 = {PQK_KIND_IEEE, 8, 7, 127, 0x7f7f, 0x7f80, 0x7fc0};

#endif
