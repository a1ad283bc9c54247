/* ukr_tpl.h -- the float micro-kernel, written once over the vocabulary: here one common word, the fused
 * multiply-add, fits every ISA.
 *
 *                      b: NV registers of VL columns
 *                     +---------+----
 *                     | j 0..VL | ...
 *                     +---------+----
 *      a[p][i]     -> | acc i,0 | ...        MR x NV accumulators stay in registers for all of k; one more for the
 *      broadcast      +---------+----        broadcast, NV for b: 27 of 32 on AVX-512, 15 of 16 on AVX2
 *
 * MR * NV multiply-adds for MR broadcasts and NV loads: bound by the multiplier ports once MR * NV covers their
 * latency; the short shapes for few rows are bound by the decoding of B, which the driver does.
 */
#ifndef PQK_GEMM_FLOAT_UKR_TPL_H
#define PQK_GEMM_FLOAT_UKR_TPL_H
#include "gemm_float/gemm_float.h"

static PQK_INLINE void gemm_float_tile(size_t k, const float *a, const float *b, float *c, bool first, const int mr,
                                       const int nv)
{
    vf32 acc_f32[32];
    unrolled_for (int i = 0; i < mr; ++i)
        unrolled_for (int v = 0; v < nv; ++v)
            acc_f32[i * nv + v] = first ? vf32_set1(0.0f) : vf32_load_f32(c + i * PQK_FLOAT_PANEL + v * VL);
    for (; k; --k, a += mr, b += PQK_FLOAT_PANEL) {
        vf32 b_f32[16]; /* nv <= 16 */
        unrolled_for (int v = 0; v < nv; ++v) b_f32[v] = vf32_load_f32(b + v * VL);
        unrolled_for (int i = 0; i < mr; ++i) {
            const vf32 ai = vf32_set1(a[i]);
            unrolled_for (int v = 0; v < nv; ++v) acc_f32[i * nv + v] = vf32_fma(ai, b_f32[v], acc_f32[i * nv + v]);
        }
    }
    unrolled_for (int i = 0; i < mr; ++i)
        unrolled_for (int v = 0; v < nv; ++v) vf32_store_f32(c + i * PQK_FLOAT_PANEL + v * VL, acc_f32[i * nv + v]);
}

#define GEMM_FLOAT_SHAPE(mr, nv)                                                         \
    static void run_##mr(size_t k, const float *a, const float *b, float *c, bool first) \
    {                                                                                    \
        gemm_float_tile(k, a, b, c, first, mr, nv);                                      \
    }
#endif
