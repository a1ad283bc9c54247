/* epilogue_avx512.c -- see epilogue.h for the contract, epilogue_tpl.h for the loops. */
#define PQK_ISA avx512
#include "simd/vec_avx512.h"
#include "gemm/epilogue_tpl.h"
