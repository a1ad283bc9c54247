/* fake_quantize_avx2.c -- see fake_quantize.h for the contract, fake_quantize_tpl.h for the loops. */
#define PQK_ISA avx2
#include "simd/vec_avx2.h"
#include "fake_quantize/fake_quantize_tpl.h"
