/* dynamic_avx512.c -- see dynamic.h for the contract, dynamic_tpl.h for the loops. */
#define PQK_ISA avx512
#include "simd/vec_avx512.h"
#include "convert/lanes_avx512.h"
#include "dynamic/reduce_avx512.h"
#include "dynamic/dynamic_tpl.h"
