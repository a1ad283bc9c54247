/* ukr_avx2.c -- 6 x 16 tile of C, VPMADDWD on int16: exact for every input.
 *
 * VPMADDUBSW takes bytes but saturates its pairs at int16.  VPMADDWD adds two products of int16 without loss, so kr =
 * 2, packed A is int16, and B, which is read more often than it is packed, stays int8 and is widened on the way in.
 *
 *                     b: 2 registers            registers
 *                    +---------+---------+        c   12
 *                    | j 0..7  | j 8..15 |        b    2 (VPMOVSXBW from memory)
 *                    +---------+---------+        a    1 (broadcast by the load)
 *      a[i] (2 k) -> | acc i,0 | acc i,1 |        product 1
 *        i 0..5      +---------+---------+       ---------
 *                                                     16 of 16
 *
 * 12 VPMADDWD, 12 VPADDD, 2 VPMOVSXBW a step: 6 cycles of the two multipliers, 6.5 of Zen 4's four vector pipes.
 */
#include <immintrin.h>
#include <string.h>
#include "core/macros.h"
#include "gemm/gemm.h"
#include "gemm/pack_a_x86.h"
#include "gemm/pack_b_x86.h"

enum { NR = 16, KR = 2, NV = NR / 8, STEP = NR * KR };

static PQK_INLINE __m256i broadcast2(const int16_t *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
}

static PQK_INLINE __m256i widen(const int8_t *p) { return _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)p)); }

static PQK_INLINE void step(__m256i *acc_s32x8, const int16_t *a, const int8_t *b, int mr)
{
    const __m256i b0_s16x16 = widen(b), b1_s16x16 = widen(b + 16);
    unrolled_for (int i = 0; i < mr; ++i) {
        const __m256i ai_s16x16 = broadcast2(a + i * KR);
        acc_s32x8[i * NV] = _mm256_add_epi32(acc_s32x8[i * NV], _mm256_madd_epi16(ai_s16x16, b0_s16x16));
        acc_s32x8[i * NV + 1] = _mm256_add_epi32(acc_s32x8[i * NV + 1], _mm256_madd_epi16(ai_s16x16, b1_s16x16));
    }
}

static PQK_INLINE void tile(int mr, size_t kb, const int16_t *a, const int8_t *b, const int32_t *start, char *c,
                            ptrdiff_t c_row)
{
    __m256i acc_s32x8[6 * NV];
    unrolled_for (int r = 0; r < mr * NV; ++r) acc_s32x8[r] = _mm256_load_si256((const __m256i *)start + r % NV);
    /* The sums wait for a VPADDD alone, one cycle: no second set of accumulators is needed for any mr. */
    for (; mr <= 2 && kb >= 4; kb -= 4, a += 4 * mr * KR, b += 4 * STEP) {
        unrolled_for (int s = 0; s < 4; ++s) step(acc_s32x8, a + s * mr * KR, b + s * STEP, mr);
    }
    for (; kb; --kb, a += mr * KR, b += STEP) step(acc_s32x8, a, b, mr);
    unrolled_for (int i = 0; i < mr; ++i, c += c_row)
        unrolled_for (int v = 0; v < NV; ++v) _mm256_storeu_si256((__m256i *)c + v, acc_s32x8[i * NV + v]);
}

static void run_6(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(6, kb, a, b, start, c, c_row);
}
static void run_4(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(4, kb, a, b, start, c, c_row);
}
static void run_2(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(2, kb, a, b, start, c, c_row);
}
static void run_1(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(1, kb, a, b, start, c, c_row);
}

static void pack_a(const void *a, ptrdiff_t row_stride, int m, int mr, size_t k, uint8_t flip, void *packed,
                   int32_t *sums)
{
    pack_a_x86(a, row_stride, m, mr, k, flip, packed, sums, true);
}

static void pack_b(const void *b, ptrdiff_t p_stride, ptrdiff_t j_stride, size_t k, int n, uint8_t flip, void *packed,
                   int32_t *sums)
{
    pack_b_x86(b, p_stride, j_stride, k, n, flip, packed, sums, NR, KR);
}

extern pqk_gemm_kernels pqk_gemm_s8_avx2;
pqk_gemm_kernels pqk_gemm_s8_avx2 = {
    .nr = NR,
    .kr = KR,
    .a_wide = true,
    .shape = {{6, run_6}, {4, run_4}, {2, run_2}, {1, run_1}},
    .pack_a = pack_a,
    .pack_b = pack_b,
};
