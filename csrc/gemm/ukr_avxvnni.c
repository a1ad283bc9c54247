/* ukr_avxvnni.c -- 6 x 16 tile of C, VPDPBUSD in the VEX encoding: Alder Lake and its successors.
 *
 * As ukr_avx512vnni.c in registers of half the width, of which there are half as many:
 *
 *                     b: 2 registers            registers
 *                    +---------+---------+        c   12
 *                    | j 0..7  | j 8..15 |        b    2
 *                    +---------+---------+        a    1 (broadcast by the load)
 *      a[i] (4 k) -> | acc i,0 | acc i,1 |       ---------
 *        i 0..5      +---------+---------+            15 of 16
 *
 * 12 VPDPBUSD for 2 loads and 6 broadcasts a step: 6 cycles of the two multipliers, and as many accumulators as hide
 * the latency of 5 cycles.  Smaller tiles have several sets of them.
 *
 * A CPU with AVX512VNNI and AVX512VL has the same instruction in another encoding, so there the whole file can be
 * tested: compile it with -mavx512vnni -mavx512vl instead of -mavxvnni.
 */
#include <immintrin.h>
#include <string.h>
#include "core/macros.h"
#include "gemm/gemm.h"
#include "gemm/pack_a_x86.h"
#include "gemm/pack_b_x86.h"

#if defined(__AVX512VNNI__) && defined(__AVX512VL__) && !defined(__AVXVNNI__)
#define DPBUSD _mm256_dpbusd_epi32
#else
#define DPBUSD _mm256_dpbusd_avx_epi32
#endif

enum { NR = 16, KR = 4, NV = NR / 8, STEP = NR * KR };

static PQK_INLINE __m256i broadcast4(const uint8_t *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
}

static PQK_INLINE void step(__m256i *acc_s32x8, const uint8_t *a, const int8_t *b, int mr)
{
    const __m256i b0_s8x32 = _mm256_load_si256((const __m256i *)b);
    const __m256i b1_s8x32 = _mm256_load_si256((const __m256i *)(b + 32));
    unrolled_for (int i = 0; i < mr; ++i) {
        const __m256i ai_u8x32 = broadcast4(a + i * KR);
        acc_s32x8[i * NV] = DPBUSD(acc_s32x8[i * NV], ai_u8x32, b0_s8x32);
        acc_s32x8[i * NV + 1] = DPBUSD(acc_s32x8[i * NV + 1], ai_u8x32, b1_s8x32);
    }
}

/* `sets` steps at once, each into accumulators of its own: mr * NV * sets of them. */
static PQK_INLINE void tile(int mr, int sets, size_t kb, const uint8_t *a, const int8_t *b, const int32_t *start,
                            char *c, ptrdiff_t c_row)
{
    __m256i acc_s32x8[6 * NV];
    unrolled_for (int r = 0; r < mr * NV; ++r) acc_s32x8[r] = _mm256_load_si256((const __m256i *)start + r % NV);
    unrolled_for (int r = mr * NV; r < mr * NV * sets; ++r) acc_s32x8[r] = _mm256_setzero_si256();

    for (; sets > 1 && kb >= (size_t)sets; kb -= (size_t)sets, a += sets * mr * KR, b += sets * STEP) {
        unrolled_for (int s = 0; s < sets; ++s) {
            step(acc_s32x8 + s * mr * NV, a + s * mr * KR, b + s * STEP, mr);
        }
    }
    for (; kb; --kb, a += mr * KR, b += STEP) step(acc_s32x8, a, b, mr);
    unrolled_for (int r = mr * NV; r < mr * NV * sets; ++r)
        acc_s32x8[r % (mr * NV)] = _mm256_add_epi32(acc_s32x8[r % (mr * NV)], acc_s32x8[r]);
    unrolled_for (int i = 0; i < mr; ++i, c += c_row)
        unrolled_for (int v = 0; v < NV; ++v) _mm256_storeu_si256((__m256i *)c + v, acc_s32x8[i * NV + v]);
}

/* Six rows as they lie: three of them from each of two addresses. */
static PQK_INLINE void tile_of_rows(size_t kb, const uint8_t *a, ptrdiff_t a_row, __m256i flips, bool flip,
                                    const uint8_t *tail, const int8_t *b, const int32_t *start, char *c,
                                    ptrdiff_t c_row)
{
    __m256i acc_s32x8[6 * NV];
    unrolled_for (int r = 0; r < 6 * NV; ++r) acc_s32x8[r] = _mm256_load_si256((const __m256i *)start + r % NV);
    const uint8_t *a0 = a, *a3 = a + 3 * a_row;
    for (; kb; --kb, a0 += KR, a3 += KR, b += STEP) {
        const __m256i b0_s8x32 = _mm256_load_si256((const __m256i *)b);
        const __m256i b1_s8x32 = _mm256_load_si256((const __m256i *)(b + 32));
        unrolled_for (int i = 0; i < 6; ++i) {
            __m256i ai_u8x32 = broadcast4((i < 3 ? a0 : a3) + i % 3 * a_row);
            if (flip) ai_u8x32 = _mm256_xor_si256(ai_u8x32, flips);
            acc_s32x8[i * NV] = DPBUSD(acc_s32x8[i * NV], ai_u8x32, b0_s8x32);
            acc_s32x8[i * NV + 1] = DPBUSD(acc_s32x8[i * NV + 1], ai_u8x32, b1_s8x32);
        }
    }
    if (tail) step(acc_s32x8, tail, b, 6);
    unrolled_for (int i = 0; i < 6; ++i, c += c_row)
        unrolled_for (int v = 0; v < NV; ++v) _mm256_storeu_si256((__m256i *)c + v, acc_s32x8[i * NV + v]);
}

static void run_rows(size_t kb, const void *a, ptrdiff_t a_row, uint8_t flip, const void *tail, const void *b,
                     const int32_t *start, void *c, ptrdiff_t c_row)
{
    const __m256i flips = _mm256_set1_epi8((char)flip);
    if (flip)
        tile_of_rows(kb, a, a_row, flips, true, tail, b, start, c, c_row);
    else
        tile_of_rows(kb, a, a_row, flips, false, tail, b, start, c, c_row);
}

static void run_6(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(6, 1, kb, a, b, start, c, c_row);
}
static void run_4(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(4, 1, kb, a, b, start, c, c_row);
}
static void run_2(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(2, 2, kb, a, b, start, c, c_row);
}
static void run_1(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(1, 4, kb, a, b, start, c, c_row);
}

static void pack_a(const void *a, ptrdiff_t row_stride, int m, int mr, size_t k, uint8_t flip, void *packed,
                   int32_t *sums)
{
    pack_a_x86(a, row_stride, m, mr, k, flip, packed, sums, false);
}

static void pack_b(const void *b, ptrdiff_t p_stride, ptrdiff_t j_stride, size_t k, int n, uint8_t flip, void *packed,
                   int32_t *sums)
{
    pack_b_x86(b, p_stride, j_stride, k, n, flip, packed, sums, NR, KR);
}

extern pqk_gemm_kernels pqk_gemm_s8_avxvnni;
pqk_gemm_kernels pqk_gemm_s8_avxvnni = {
    .nr = NR,
    .kr = KR,
    .a_unsigned = true,
    .shape = {{6, run_6}, {4, run_4}, {2, run_2}, {1, run_1}},
    .run_rows = run_rows,
    .pack_a = pack_a,
    .pack_b = pack_b,
};
