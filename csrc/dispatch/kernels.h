/* kernels.h -- the list of operations: every kernel slot of the library, once.
 *
 * PQK_ALL_OPS expands PQK_SLOT(operation, type of its kernel) for each.  Everything that must know the whole list --
 * the table below, the overlay in dispatch.c, the names that `pyquantk info`, the harness and the benchmarks read --
 * expands it, so an operation cannot be half-registered.  Each operation lists its own slots in its contract header.
 */
#ifndef PQK_KERNELS_H
#define PQK_KERNELS_H
#include "convert/convert.h"
#include "dequantize/dequantize.h"
#include "dynamic/dynamic.h"
#include "fake_quantize/fake_quantize.h"
#include "gemm/epilogue.h"
#include "gemm/gemm.h"
#include "gemm_float/gemm_float.h"
#include "observe/observe.h"
#include "quantize/quantize.h"
#include "requantize/requantize.h"

#define PQK_SLOT_QUANTIZE(in, out)        PQK_SLOT(quantize_##in##_##out, pqk_quantize_fn)
#define PQK_SLOT_DEQUANTIZE(in, out)      PQK_SLOT(dequantize_##in##_##out, pqk_dequantize_fn)
#define PQK_SLOT_FAKE_QUANTIZE(type, out) PQK_SLOT(fake_quantize_##type##_##out, pqk_fake_quantize_fn)
#define PQK_SLOT_CONVERT(from, to)        PQK_SLOT(cast_##from##_##to, pqk_convert_fn)
#define PQK_SLOT_DYNAMIC(type)            PQK_SLOT(dynamic_##type, pqk_dynamic_fn)
#define PQK_SLOT_OBSERVE(type)            PQK_SLOT(observe_##type, pqk_observe_fn)
#define PQK_SLOT_REQUANTIZE(out)          PQK_SLOT(requantize_s32_##out, pqk_requantize_fn)
#define PQK_SLOT_EPILOGUE(product)        PQK_SLOT(epilogue_##product, pqk_gemm_epilogue_kernels)
#define PQK_SLOT_GEMM_FLOAT(product)      PQK_SLOT(product, pqk_gemm_float_kernels)
#define PQK_SLOT_GEMM(type)               PQK_SLOT(gemm_##type, pqk_gemm_kernels)

/* What is one loop over the vocabulary, so that every layer with a vocabulary has it.  Define PQK_SLOT(op, type) first.
 */
#define PQK_STREAMING_OPS                         \
    PQK_QUANTIZE_ALL(PQK_SLOT_QUANTIZE)           \
    PQK_DEQUANTIZE_ALL(PQK_SLOT_DEQUANTIZE)       \
    PQK_FAKE_QUANTIZE_ALL(PQK_SLOT_FAKE_QUANTIZE) \
    PQK_OBSERVE_ALL(PQK_SLOT_OBSERVE)             \
    PQK_CONVERT_ALL(PQK_SLOT_CONVERT)             \
    PQK_DYNAMIC_ALL(PQK_SLOT_DYNAMIC)             \
    PQK_REQUANTIZE_ALL(PQK_SLOT_REQUANTIZE)       \
    PQK_GEMM_EPILOGUE_ALL(PQK_SLOT_EPILOGUE)      \
    PQK_GEMM_FLOAT_ALL(PQK_SLOT_GEMM_FLOAT)

/* Casts of narrow floats, which a layer with byte permutations does by table. */
#define PQK_NARROW_CAST_OPS              \
    PQK_CONVERT_NARROW(PQK_SLOT_CONVERT) \
    PQK_CONVERT_WIDEN(PQK_SLOT_CONVERT)

/* Micro-kernels, by hand for each layer that multiplies differently. */
#define PQK_PRODUCT_OPS PQK_GEMM_ALL(PQK_SLOT_GEMM)

#define PQK_ALL_OPS   \
    PQK_STREAMING_OPS \
    PQK_PRODUCT_OPS

/* One slot per operation.  A NULL slot means "keep what the previous layer chose". */
struct pqk_kernels {
#define PQK_SLOT(op, type) type *op;
    PQK_ALL_OPS
#undef PQK_SLOT
};

#endif
