/* quantize_avx2.c -- see quantize.h for the contract, quantize_tpl.h for the loops. */
#define PQK_ISA avx2
#include "simd/vec_avx2.h"
#include "quantize/quantize_tpl.h"
