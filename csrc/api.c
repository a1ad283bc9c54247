/* api.c -- the parts of pyquantk.h that belong to no operation. */
#include "include/pyquantk.h"
#include <string.h>
#include "core/fpenv.h"

int pqk_abi_version(void) { return PQK_ABI_VERSION; }

const char *pqk_status_message(pqk_status status)
{
    switch (status) {
    case PQK_OK:
        return "ok";
    case PQK_ERROR_TYPE:
        return "an array has an element type that this function does not take";
    case PQK_ERROR_SHAPE:
        return "shapes differ, there are more than 64 axes, or a size overflows";
    case PQK_ERROR_BLOCK:
        return "a block is smaller than 1 or cuts a byte of a packed type";
    case PQK_ERROR_ZERO_POINT:
        return "a zero point is outside the range of the quantized type";
    case PQK_ERROR_RANGE:
        return "quant_min and quant_max must be in order, within 2^23 and at most 65535 apart";
    case PQK_ERROR_CONVENTION:
        return "unknown convention";
    case PQK_ERROR_PART:
        return "part must be in [0, parts)";
    case PQK_ERROR_MEMORY:
        return "out of memory";
    case PQK_ERROR_LAYER:
        return "this CPU cannot run that layer, there is none of that name, or the matrix was packed for another";
    case PQK_ERROR_MULTIPLIER:
        return "a fixed-point multiplier must have m0 = 0 or in [2^30, 2^31) and shift in [-31, 30]";
    case PQK_ERROR_OPTION:
        return "an option is unknown or not for these types";
    case PQK_ERROR_OVERLAP:
        return "the output shares memory with an input";
    }
    return "unknown status";
}

_Static_assert(sizeof(pqk_fpenv) <= sizeof(pqk_float_environment), "the public structure has room for any state");

void pqk_float_environment_enter(pqk_float_environment *found)
{
    const pqk_fpenv state = pqk_fpenv_enter();
    memcpy(found, &state, sizeof state);
}

void pqk_float_environment_leave(const pqk_float_environment *found)
{
    pqk_fpenv state;
    memcpy(&state, found, sizeof state);
    pqk_fpenv_leave(state);
}
