/* epilogue_avx2.c -- see epilogue.h for the contract, epilogue_tpl.h for the loops. */
#define PQK_ISA avx2
#include "simd/vec_avx2.h"
#include "gemm/epilogue_tpl.h"
