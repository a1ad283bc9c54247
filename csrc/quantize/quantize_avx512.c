/* quantize_avx512.c -- see quantize.h for the contract, quantize_tpl.h for the loops. */
#define PQK_ISA avx512
#include "simd/vec_avx512.h"
#include "quantize/quantize_tpl.h"
