/* observe_avx2.c -- see observe.h for the contract, observe_tpl.h for the loops. */
#define PQK_ISA avx2
#include "simd/vec_avx2.h"
#include "observe/observe_tpl.h"
