/* ukr_avx512.c -- 12 x 32 tile; floats of 8 bits decoded by arithmetic. */
#define PQK_ISA avx512
#include "simd/vec_avx512.h"
#include "convert/lanes_avx512.h"
#include "gemm_float/ukr_tiles_512.h"
