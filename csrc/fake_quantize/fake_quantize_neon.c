/* fake_quantize_neon.c -- see fake_quantize.h for the contract, fake_quantize_tpl.h for the loops. */
#define PQK_ISA neon
#include "simd/vec_neon.h"
#include "fake_quantize/fake_quantize_tpl.h"
