/* dynamic_avx2.c -- see dynamic.h for the contract, dynamic_tpl.h for the loops. */
#define PQK_ISA avx2
#include "simd/vec_avx2.h"
#include "convert/lanes_avx2.h"
#include "dynamic/reduce_avx2.h"
#include "dynamic/dynamic_tpl.h"
