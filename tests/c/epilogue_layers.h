/* epilogue_layers.h -- the epilogue of each layer of this build, for the programs that test it without a product. */
#ifndef EPILOGUE_LAYERS_H
#define EPILOGUE_LAYERS_H
#include <stdbool.h>
#include "core/isa.h"
#include "core/macros.h"
#include "gemm/epilogue.h"

extern pqk_gemm_epilogue_kernels pqk_epilogue_gemm_scalar;
#if defined(PQK_X86)
extern pqk_gemm_epilogue_kernels pqk_epilogue_gemm_avx2, pqk_epilogue_gemm_avx512;
#elif defined(PQK_ARM64)
extern pqk_gemm_epilogue_kernels pqk_epilogue_gemm_neon;
#endif
static const struct layer {
    const char *name;
    uint32_t needs;
    pqk_gemm_epilogue_kernels *kernels;
} layers[] = {
    {"scalar", 0,                     &pqk_epilogue_gemm_scalar},
#if defined(PQK_X86)
    {"avx2",   PQK_AVX2,              &pqk_epilogue_gemm_avx2  },
    {"avx512", PQK_AVX2 | PQK_AVX512, &pqk_epilogue_gemm_avx512},
#elif defined(PQK_ARM64)
    {"neon", PQK_NEON, &pqk_epilogue_gemm_neon},
#endif
};
enum { LAYERS = sizeof layers / sizeof *layers };

static bool layer_runs(int layer) { return (layers[layer].needs & pqk_cpu_features()) == layers[layer].needs; }

#endif
