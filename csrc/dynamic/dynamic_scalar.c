/* dynamic_scalar.c -- see dynamic.h for the contract, dynamic_tpl.h for the loops. */
#define PQK_ISA scalar
#include "simd/vec_scalar.h"
#include "convert/lanes_scalar.h"
#include "dynamic/reduce_scalar.h"
#include "dynamic/dynamic_tpl.h"
