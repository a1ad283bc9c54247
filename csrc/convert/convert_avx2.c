/* convert_avx2.c -- see convert.h for the contract, convert_tpl.h for the loops. */
#define PQK_ISA avx2
#include "simd/vec_avx2.h"
#include "convert/lanes_avx2.h"
#include "convert/convert_tpl.h"
