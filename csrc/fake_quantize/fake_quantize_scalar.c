/* fake_quantize_scalar.c -- see fake_quantize.h for the contract, fake_quantize_tpl.h for the loops. */
#define PQK_ISA scalar
#include "simd/vec_scalar.h"
#include "fake_quantize/fake_quantize_tpl.h"
