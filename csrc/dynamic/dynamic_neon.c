/* dynamic_neon.c -- see dynamic.h for the contract, dynamic_tpl.h for the loops. */
#define PQK_ISA neon
#include "simd/vec_neon.h"
#include "convert/lanes_neon.h"
#include "dynamic/reduce_neon.h"
#include "dynamic/dynamic_tpl.h"
