/* quantize_neon.c -- see quantize.h for the contract, quantize_tpl.h for the loops. */
#define PQK_ISA neon
#include "simd/vec_neon.h"
#include "quantize/quantize_tpl.h"
