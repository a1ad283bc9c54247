/* layers_x86.c -- every kernel of an x86-64 build, and the CPU it needs.  ARM: layers_arm64.c.
 *
 * Later layers win.  A kernel that is missing here is inherited from the layer before, so a layer lists only what
 * it does better.  Measured and rejected, so that nobody tries twice (numbers in the operation's README):
 *   quantize, 512-bit: four VPMOVDB per block instead of VPACKS* and one permute; a third FMA instead of the check
 *   of the scale; VPMINSD on the float's bits instead of VMINPS
 */
#include "core/macros.h"
#include "dispatch/dispatch.h"

/* What byte permutations do by table: everything that reads or writes narrow floats. */
#define PQK_TABLE_OPS   \
    PQK_NARROW_CAST_OPS \
    PQK_GEMM_FLOAT_ALL(PQK_SLOT_GEMM_FLOAT)

#define PQK_SLOT(op, type) extern type pqk_##op##_scalar, pqk_##op##_avx2, pqk_##op##_avx512;
PQK_ALL_OPS
#undef PQK_SLOT
#define PQK_SLOT(op, type) extern type pqk_##op##_avxvnni, pqk_##op##_avx512vnni;
PQK_PRODUCT_OPS
#undef PQK_SLOT
#define PQK_SLOT(op, type) extern type pqk_##op##_avx512vbmi;
PQK_TABLE_OPS
#undef PQK_SLOT

static const struct pqk_kernels scalar = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_scalar,
    PQK_ALL_OPS
#undef PQK_SLOT
};
static const struct pqk_kernels avx2 = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_avx2,
    PQK_ALL_OPS
#undef PQK_SLOT
};
static const struct pqk_kernels avxvnni = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_avxvnni,
    PQK_PRODUCT_OPS
#undef PQK_SLOT
};
static const struct pqk_kernels avx512 = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_avx512,
    PQK_ALL_OPS
#undef PQK_SLOT
};

static const struct pqk_kernels avx512vnni = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_avx512vnni,
    PQK_PRODUCT_OPS
#undef PQK_SLOT
};
static const struct pqk_kernels avx512vbmi = {
#define PQK_SLOT(op, type) .op = &pqk_##op##_avx512vbmi,
    PQK_TABLE_OPS
#undef PQK_SLOT
};

const struct pqk_layer pqk_layers[] = {
    {"scalar",     0,                                                       &scalar    },
    {"avx2",       PQK_AVX2,                                                &avx2      },
    {"avxvnni",    PQK_AVX2 | PQK_AVXVNNI,                                  &avxvnni   },
    {"avx512",     PQK_AVX2 | PQK_AVX512,                                   &avx512    },
    {"avx512vnni", PQK_AVX2 | PQK_AVX512 | PQK_AVX512VNNI,                  &avx512vnni},
    {"avx512vbmi", PQK_AVX2 | PQK_AVX512 | PQK_AVX512VNNI | PQK_AVX512VBMI, &avx512vbmi},
};
const int pqk_layer_count = sizeof pqk_layers / sizeof pqk_layers[0];
