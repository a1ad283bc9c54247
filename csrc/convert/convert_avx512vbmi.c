/* convert_avx512vbmi.c -- convert_avx512.c with tables and one permutation for the narrowing: lanes_avx512vbmi.h. */
#define PQK_ISA      avx512vbmi
#define PQK_HAS_VBMI 1
#include "simd/vec_avx512.h"
#include "convert/lanes_avx512.h"
#include "convert/convert_tpl.h"
