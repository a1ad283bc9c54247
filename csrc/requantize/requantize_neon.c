/* requantize_neon.c -- see requantize.h for the contract, requantize_tpl.h for the loops. */
#define PQK_ISA neon
#include "simd/vec_neon.h"
#include "requantize/requantize_tpl.h"
