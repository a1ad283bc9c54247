/* requantize_avx512.c -- see requantize.h for the contract, requantize_tpl.h for the loops. */
#define PQK_ISA avx512
#include "simd/vec_avx512.h"
#include "requantize/requantize_tpl.h"
