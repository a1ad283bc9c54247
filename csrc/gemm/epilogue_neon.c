/* epilogue_neon.c -- see epilogue.h for the contract, epilogue_tpl.h for the loops. */
#define PQK_ISA neon
#include "simd/vec_neon.h"
#include "gemm/epilogue_tpl.h"
