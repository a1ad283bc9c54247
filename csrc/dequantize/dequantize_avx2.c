/* dequantize_avx2.c -- see dequantize.h for the contract, dequantize_tpl.h for the loops. */
#define PQK_ISA avx2
#include "simd/vec_avx2.h"
#include "dequantize/dequantize_tpl.h"
