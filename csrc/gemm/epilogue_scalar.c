/* epilogue_scalar.c -- see epilogue.h for the contract, epilogue_tpl.h for the loops. */
#define PQK_ISA scalar
#include "simd/vec_scalar.h"
#include "gemm/epilogue_tpl.h"
