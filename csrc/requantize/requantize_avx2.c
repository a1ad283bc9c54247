/* requantize_avx2.c -- see requantize.h for the contract, requantize_tpl.h for the loops. */
#define PQK_ISA avx2
#include "simd/vec_avx2.h"
#include "requantize/requantize_tpl.h"
