/* roofline_fma_avx512.c -- see roofline_dot.h for the contract.  VFMADD on 16 floats. */
#define PQK_ISA avx512
#include "simd/vec_avx512.h"
#include "roofline/roofline_fma_tpl.h"
