/* convert_neon.c -- see convert.h for the contract, convert_tpl.h for the loops. */
#define PQK_ISA neon
#include "simd/vec_neon.h"
#include "convert/lanes_neon.h"
#include "convert/convert_tpl.h"
