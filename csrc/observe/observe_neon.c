/* observe_neon.c -- see observe.h for the contract, observe_tpl.h for the loops. */
#define PQK_ISA neon
#include "simd/vec_neon.h"
#include "observe/observe_tpl.h"
