/* layers_arm64.c -- every kernel of an arm64 build, and the CPU it needs.  x86: layers_x86.c, where the rules are. */
#include "core/macros.h"
#include "dispatch/dispatch.h"

#define PQK_SLOT(op, type) extern type pqk_##op##_scalar, pqk_##op##_neon;
PQK_STREAMING_OPS
#undef PQK_SLOT
#define PQK_SLOT(op, type) extern type pqk_##op##_scalar, pqk_##op##_neon, pqk_##op##_dotprod, pqk_##op##_i8mm;
PQK_PRODUCT_OPS
#undef PQK_SLOT

static const struct pqk_kernels scalar = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_scalar,
    PQK_ALL_OPS
#undef PQK_SLOT
};
static const struct pqk_kernels neon = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_neon,
    PQK_ALL_OPS
#undef PQK_SLOT
};
static const struct pqk_kernels dotprod = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_dotprod,
    PQK_PRODUCT_OPS
#undef PQK_SLOT
};
static const struct pqk_kernels i8mm = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_i8mm,
    PQK_PRODUCT_OPS
#undef PQK_SLOT
};

const struct pqk_layer pqk_layers[] = {
    {"scalar",  0,                                 &scalar },
    {"neon",    PQK_NEON,                          &neon   },
    {"dotprod", PQK_NEON | PQK_DOTPROD,            &dotprod},
    {"i8mm",    PQK_NEON | PQK_DOTPROD | PQK_I8MM, &i8mm   },
};
const int pqk_layer_count = sizeof pqk_layers / sizeof pqk_layers[0];
