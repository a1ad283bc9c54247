/* quantize_scalar.c -- see quantize.h for the contract, quantize_tpl.h for the loops. */
#define PQK_ISA scalar
#include "simd/vec_scalar.h"
#include "quantize/quantize_tpl.h"
