/* dequantize_avx512.c -- see dequantize.h for the contract, dequantize_tpl.h for the loops. */
#define PQK_ISA avx512
#include "simd/vec_avx512.h"
#include "dequantize/dequantize_tpl.h"
