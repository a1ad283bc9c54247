/* ukr_avx512vbmi.c -- 12 x 32 tile; floats of 8 bits decoded by table, 64 of them in nine instructions. */
#define PQK_ISA      avx512vbmi
#define PQK_HAS_VBMI 1
#include "simd/vec_avx512.h"
#include "convert/lanes_avx512.h"
#include "gemm_float/ukr_tiles_512.h"
