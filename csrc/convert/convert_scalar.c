/* convert_scalar.c -- see convert.h for the contract, convert_tpl.h for the loops. */
#define PQK_ISA scalar
#include "simd/vec_scalar.h"
#include "convert/lanes_scalar.h"
#include "convert/convert_tpl.h"
