/* layers_other.c -- the kernels of a build for any other CPU: the reference. */
#include "core/macros.h"
#include "dispatch/dispatch.h"

#if !defined(PQK_X86) && !defined(PQK_ARM64)
#define PQK_SLOT(op, type) extern type pqk_##op##_scalar;
PQK_ALL_OPS
#undef PQK_SLOT

static const struct pqk_kernels scalar = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_scalar,
    PQK_ALL_OPS
#undef PQK_SLOT
};

const struct pqk_layer pqk_layers[] = {
    {"scalar", 0, &scalar},
};
const int pqk_layer_count = 1;
#endif
