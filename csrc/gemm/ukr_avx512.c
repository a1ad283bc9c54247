/* ukr_avx512.c -- 12 x 32 tile of C, VPMADDWD on int16, for CPUs that have AVX-512 without VNNI.
 *
 * The product of ukr_avx2.c in wider registers: packed A is int16, B is widened on the way in.
 *
 *                     b: 2 registers            registers
 *                    +---------+---------+        c   24
 *                    | j 0..15 | j 16..31|        b    2 (VPMOVSXBW from memory)
 *                    +---------+---------+        a    1 (broadcast by the load)
 *      a[i] (2 k) -> | acc i,0 | acc i,1 |        product 1
 *        i 0..11     +---------+---------+       ---------
 *                                                     28 of 32
 *
 * 24 VPMADDWD and 24 VPADDD a step share two 512-bit ports on Skylake-X: 24 cycles.  On Zen 4 VPMADDWD is the limit,
 * 24 cycles too.
 */
#include <immintrin.h>
#include <string.h>
#include "core/macros.h"
#include "gemm/gemm.h"
#include "gemm/pack_a_x86.h"
#include "gemm/pack_b_x86.h"

enum { NR = 32, KR = 2, NV = NR / 16, STEP = NR * KR };

static PQK_INLINE __m512i broadcast2(const int16_t *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
}

static PQK_INLINE __m512i widen(const int8_t *p) { return _mm512_cvtepi8_epi16(_mm256_load_si256((const __m256i *)p)); }

static PQK_INLINE void step(__m512i *acc_s32x16, const int16_t *a, const int8_t *b, int mr)
{
    const __m512i b0_s16x32 = widen(b), b1_s16x32 = widen(b + 32);
    unrolled_for (int i = 0; i < mr; ++i) {
        const __m512i ai_s16x32 = broadcast2(a + i * KR);
        acc_s32x16[i * NV] = _mm512_add_epi32(acc_s32x16[i * NV], _mm512_madd_epi16(ai_s16x32, b0_s16x32));
        acc_s32x16[i * NV + 1] = _mm512_add_epi32(acc_s32x16[i * NV + 1], _mm512_madd_epi16(ai_s16x32, b1_s16x32));
    }
}

static PQK_INLINE void tile(int mr, size_t kb, const int16_t *a, const int8_t *b, const int32_t *start, char *c,
                            ptrdiff_t c_row)
{
    __m512i acc_s32x16[12 * NV];
    unrolled_for (int r = 0; r < mr * NV; ++r) acc_s32x16[r] = _mm512_load_si512(start + r % NV * 16);
    for (; mr <= 2 && kb >= 4; kb -= 4, a += 4 * mr * KR, b += 4 * STEP) {
        unrolled_for (int s = 0; s < 4; ++s) {
            step(acc_s32x16, a + s * mr * KR, b + s * STEP, mr);
        }
    }
    for (; kb; --kb, a += mr * KR, b += STEP) step(acc_s32x16, a, b, mr);
    unrolled_for (int i = 0; i < mr; ++i, c += c_row)
        unrolled_for (int v = 0; v < NV; ++v) _mm512_storeu_si512((__m512i *)c + v, acc_s32x16[i * NV + v]);
}

static void run_12(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(12, kb, a, b, start, c, c_row);
}
static void run_8(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(8, kb, a, b, start, c, c_row);
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

extern pqk_gemm_kernels pqk_gemm_s8_avx512;
pqk_gemm_kernels pqk_gemm_s8_avx512 = {
    .nr = NR,
    .kr = KR,
    .a_wide = true,
    .shape = {{12, run_12}, {8, run_8}, {4, run_4}, {2, run_2}, {1, run_1}},
    .pack_a = pack_a,
    .pack_b = pack_b,
};
