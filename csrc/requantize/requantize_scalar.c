/* requantize_scalar.c -- see requantize.h for the contract, requantize_tpl.h for the loops. */
#define PQK_ISA scalar
#include "simd/vec_scalar.h"
#include "requantize/requantize_tpl.h"
