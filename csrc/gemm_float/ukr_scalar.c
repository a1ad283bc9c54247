/* ukr_scalar.c -- 2 x 16 tile; fmaf is exact where the CPU has no fused multiply-add, and slow. */
#define PQK_ISA scalar
#include "simd/vec_scalar.h"
#include "convert/lanes_scalar.h"
#include "gemm_float/decode_tpl.h"
#include "gemm_float/ukr_tpl.h"

GEMM_FLOAT_SHAPE(2, 16)
GEMM_FLOAT_SHAPE(1, 16)
GEMM_FLOAT_DECODED(1)

extern const struct pqk_gemm_float PQK_NAME(gemm_float);
const struct pqk_gemm_float PQK_NAME(gemm_float) = {
    16, 1, {{2, run_2, NULL}, {1, run_1, decoded_1}},
      decode_begin, decode_panel
};
