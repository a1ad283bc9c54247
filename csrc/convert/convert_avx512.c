/* convert_avx512.c -- see convert.h for the contract, convert_tpl.h for the loops. */
#define PQK_ISA avx512
#include "simd/vec_avx512.h"
#include "convert/lanes_avx512.h"
#include "convert/convert_tpl.h"
