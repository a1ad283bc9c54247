/* roofline_fma_neon.c -- see roofline_dot.h for the contract.  FMLA on 4 floats. */
#define PQK_ISA neon
#include "simd/vec_neon.h"
#include "roofline/roofline_fma_tpl.h"
