/* dequantize_neon.c -- see dequantize.h for the contract, dequantize_tpl.h for the loops. */
#define PQK_ISA neon
#include "simd/vec_neon.h"
#include "dequantize/dequantize_tpl.h"
