/* observe_scalar.c -- see observe.h for the contract, observe_tpl.h for the loops. */
#define PQK_ISA scalar
#include "simd/vec_scalar.h"
#include "observe/observe_tpl.h"
