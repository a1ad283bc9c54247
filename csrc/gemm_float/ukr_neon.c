/* ukr_neon.c -- 6 x 16 tile: 24 accumulators of 4 columns. */
#define PQK_ISA neon
#include "simd/vec_neon.h"
#include "convert/lanes_neon.h"
#include "gemm_float/decode_tpl.h"
#include "gemm_float/ukr_tpl.h"

GEMM_FLOAT_SHAPE(6, 4)
GEMM_FLOAT_SHAPE(4, 4)
GEMM_FLOAT_SHAPE(2, 4)
GEMM_FLOAT_SHAPE(1, 4)
GEMM_FLOAT_DECODED(1)

extern const struct pqk_gemm_float PQK_NAME(gemm_float);
const struct pqk_gemm_float PQK_NAME(gemm_float) = {
    16, 1, {{6, run_6, NULL}, {4, run_4, NULL}, {2, run_2, NULL}, {1, run_1, decoded_1}},
      decode_begin, decode_panel
};
