/* ukr_tiles_512.h -- 12 x 32 tile, for the layers of 512 bits: they differ in how they decode. */
#include "gemm_float/decode_tpl.h"
#include "gemm_float/ukr_tpl.h"

GEMM_FLOAT_SHAPE(12, 2)
GEMM_FLOAT_SHAPE(8, 2)
GEMM_FLOAT_SHAPE(4, 2)
GEMM_FLOAT_SHAPE(2, 2)
GEMM_FLOAT_SHAPE(1, 2)
GEMM_FLOAT_DECODED(8)
GEMM_FLOAT_DECODED(4)
GEMM_FLOAT_DECODED(2)
GEMM_FLOAT_DECODED(1)

extern const struct pqk_gemm_float PQK_NAME(gemm_float);
const struct pqk_gemm_float PQK_NAME(gemm_float) = {
    32,
    12,
    {{12, run_12, NULL}, {8, run_8, decoded_8}, {4, run_4, decoded_4}, {2, run_2, decoded_2}, {1, run_1, decoded_1}},
    decode_begin,
    decode_panel
};
