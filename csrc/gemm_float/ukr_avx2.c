/* ukr_avx2.c -- 6 x 16 tile. */
#define PQK_ISA avx2
#include "simd/vec_avx2.h"
#include "convert/lanes_avx2.h"
#include "gemm_float/decode_tpl.h"
#include "gemm_float/ukr_tpl.h"

GEMM_FLOAT_SHAPE(6, 2)
GEMM_FLOAT_SHAPE(4, 2)
GEMM_FLOAT_SHAPE(2, 2)
GEMM_FLOAT_SHAPE(1, 2)
GEMM_FLOAT_DECODED(1)

extern const struct pqk_gemm_float PQK_NAME(gemm_float);
const struct pqk_gemm_float PQK_NAME(gemm_float) = {
    16, 1, {{6, run_6, NULL}, {4, run_4, NULL}, {2, run_2, NULL}, {1, run_1, decoded_1}},
      decode_begin, decode_panel
};
