/* integers.h -- the integer types of pyquantk.h: their range, and which kernel slot serves them. */
#ifndef PQK_AFFINE_INTEGERS_H
#define PQK_AFFINE_INTEGERS_H
#include <stdbool.h>
#include <stdint.h>
#include "include/pyquantk.h"

/* Narrow types share their kernels: N8 is one element a byte, N4 and N2 are packed. */
enum pqk_integer_slot {
    PQK_SLOT_S8,
    PQK_SLOT_U8,
    PQK_SLOT_N8,
    PQK_SLOT_S16,
    PQK_SLOT_U16,
    PQK_SLOT_N4,
    PQK_SLOT_N2,
    PQK_SLOT_S32
};

/* False, and nothing set, for a type that is no integer. */
bool pqk_integer_type(pqk_type type, enum pqk_integer_slot *slot, int32_t *lowest, int32_t *highest);

#endif
