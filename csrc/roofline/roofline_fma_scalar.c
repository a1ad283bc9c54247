/* roofline_fma_scalar.c -- see roofline_dot.h for the contract.  fmaf(). */
#define PQK_ISA scalar
#include "simd/vec_scalar.h"
#include "roofline/roofline_fma_tpl.h"
