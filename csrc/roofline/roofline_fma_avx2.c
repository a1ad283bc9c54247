/* roofline_fma_avx2.c -- see roofline_dot.h for the contract.  VFMADD on 8 floats. */
#define PQK_ISA avx2
#include "simd/vec_avx2.h"
#include "roofline/roofline_fma_tpl.h"
