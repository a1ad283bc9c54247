/* layers_arm64.c -- every kernel of an arm64 build, and the CPU it needs.  x86: layers_x86.c, where the rules are. */
#include "core/macros.h"
#include "dispatch/dispatch.h"

#define PQK_SLOT(op, type) extern type pqk_##op##_scalar, pqk_##op##_neon;
PQK_STREAMING_OPS
#undef PQK_SLOT

static const struct pqk_kernels scalar = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_scalar,
    PQK_STREAMING_OPS
#undef PQK_SLOT
};
static const struct pqk_kernels neon = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_neon,
    PQK_STREAMING_OPS
#undef PQK_SLOT
};

const struct pqk_layer pqk_layers[] = {
    {"scalar", 0,        &scalar},
    {"neon",   PQK_NEON, &neon  },
};
const int pqk_layer_count = sizeof pqk_layers / sizeof pqk_layers[0];
