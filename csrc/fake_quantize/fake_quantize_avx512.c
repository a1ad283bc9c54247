/* fake_quantize_avx512.c -- see fake_quantize.h for the contract, fake_quantize_tpl.h for the loops. */
#define PQK_ISA avx512
#include "simd/vec_avx512.h"
#include "fake_quantize/fake_quantize_tpl.h"
