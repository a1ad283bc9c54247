/* observe_avx512.c -- see observe.h for the contract, observe_tpl.h for the loops. */
#define PQK_ISA avx512
#include "simd/vec_avx512.h"
#include "observe/observe_tpl.h"
