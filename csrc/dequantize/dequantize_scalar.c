/* dequantize_scalar.c -- see dequantize.h for the contract, dequantize_tpl.h for the loops. */
#define PQK_ISA scalar
#include "simd/vec_scalar.h"
#include "dequantize/dequantize_tpl.h"
