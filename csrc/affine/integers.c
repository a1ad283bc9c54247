/* integers.c -- the table of integers.h. */
#include "affine/integers.h"
#include <stddef.h>

static const struct {
    pqk_type type;
    enum pqk_integer_slot slot;
    int32_t lowest, highest;
} types[] = {
    {PQK_S8,   PQK_SLOT_S8,  -128,      127      },
    {PQK_U8,   PQK_SLOT_U8,  0,         255      },
    {PQK_S16,  PQK_SLOT_S16, -32768,    32767    },
    {PQK_U16,  PQK_SLOT_U16, 0,         65535    },
    {PQK_S32,  PQK_SLOT_S32, INT32_MIN, INT32_MAX},
    {PQK_S4,   PQK_SLOT_N8,  -8,        7        },
    {PQK_U4,   PQK_SLOT_N8,  0,         15       },
    {PQK_S2,   PQK_SLOT_N8,  -2,        1        },
    {PQK_U2,   PQK_SLOT_N8,  0,         3        },
    {PQK_S4X2, PQK_SLOT_N4,  -8,        7        },
    {PQK_U4X2, PQK_SLOT_N4,  0,         15       },
    {PQK_S2X4, PQK_SLOT_N2,  -2,        1        },
    {PQK_U2X4, PQK_SLOT_N2,  0,         3        },
};

bool pqk_integer_type(pqk_type type, enum pqk_integer_slot *slot, int32_t *lowest, int32_t *highest)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; ++i) {
        if (types[i].type != type) continue;
        *slot = types[i].slot;
        *lowest = types[i].lowest;
        *highest = types[i].highest;
        return true;
    }
    return false;
}
