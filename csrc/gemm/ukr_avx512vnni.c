/* ukr_avx512vnni.c -- 12 x 32 tile of C, VPDPBUSD.
 *
 * VPDPBUSD adds to each of 16 int32 lanes four products u8 * s8, so kr = 4 and A is packed unsigned.
 *
 *                     b: 2 registers            registers
 *                    +---------+---------+        c   24
 *                    | j 0..15 | j 16..31|        b    2
 *                    +---------+---------+        a    1 (broadcast by the load)
 *      a[i] (4 k) -> | acc i,0 | acc i,1 |       ---------
 *        i 0..11     +---------+---------+            27 of 32
 *
 * 24 VPDPBUSD for 2 loads and 12 broadcasts a step: bound by the multiplier, one 512-bit VPDPBUSD a cycle on Zen 4, two
 * on Zen 5 and on Intel's server cores.  From mr = 4 down the tile is bound by the bytes of B, 128 a step.  Two or
 * four accumulators a lane hide the latency of VPDPBUSD (4 to 5 cycles) there.
 */
#include <immintrin.h>
#include <string.h>
#include "core/macros.h"
#include "gemm/gemm.h"
#include "gemm/pack_a_x86.h"
#include "gemm/pack_b_x86.h"

enum { NR = 32, KR = 4, NV = NR / 16, STEP = NR * KR };

static PQK_INLINE __m512i broadcast4(const uint8_t *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
}

/* One step of k into one set of accumulators. */
static PQK_INLINE void step(__m512i *acc_s32x16, const uint8_t *a, const int8_t *b, int mr)
{
    const __m512i b0_s8x64 = _mm512_load_si512(b);
    const __m512i b1_s8x64 = _mm512_load_si512(b + 64);
    unrolled_for (int i = 0; i < mr; ++i) {
        const __m512i ai_u8x64 = broadcast4(a + i * KR);
        acc_s32x16[i * NV] = _mm512_dpbusd_epi32(acc_s32x16[i * NV], ai_u8x64, b0_s8x64);
        acc_s32x16[i * NV + 1] = _mm512_dpbusd_epi32(acc_s32x16[i * NV + 1], ai_u8x64, b1_s8x64);
    }
}

/* `sets` steps at once, each into accumulators of its own: mr * NV * sets of them. */
static PQK_INLINE void tile(int mr, int sets, size_t kb, const uint8_t *a, const int8_t *b, const int32_t *start,
                            char *c, ptrdiff_t c_row)
{
    __m512i acc_s32x16[12 * NV];
    unrolled_for (int r = 0; r < mr * NV; ++r) acc_s32x16[r] = _mm512_load_si512(start + r % NV * 16);
    unrolled_for (int r = mr * NV; r < mr * NV * sets; ++r) acc_s32x16[r] = _mm512_setzero_si512();

    if (sets == 1) {
        for (; kb; --kb, a += mr * KR, b += STEP) {
            step(acc_s32x16, a, b, mr);
        }
    } else {
        for (; kb >= (size_t)sets; kb -= (size_t)sets, a += sets * mr * KR, b += sets * STEP) {
            unrolled_for (int s = 0; s < sets; ++s) {
                step(acc_s32x16 + s * mr * NV, a + s * mr * KR, b + s * STEP, mr);
            }
        }
        for (; kb; --kb, a += mr * KR, b += STEP) step(acc_s32x16, a, b, mr);
        unrolled_for (int r = mr * NV; r < mr * NV * sets; ++r)
            acc_s32x16[r % (mr * NV)] = _mm512_add_epi32(acc_s32x16[r % (mr * NV)], acc_s32x16[r]);
    }
    unrolled_for (int i = 0; i < mr; ++i, c += c_row)
        unrolled_for (int v = 0; v < NV; ++v) _mm512_storeu_si512((__m512i *)c + v, acc_s32x16[i * NV + v]);
}

/* Twelve rows as they lie: three of them from each of four addresses. */
static PQK_INLINE void tile_of_rows(size_t kb, const uint8_t *a, ptrdiff_t a_row, __m512i flips, bool flip,
                                    const uint8_t *tail, const int8_t *b, const int32_t *start, char *c,
                                    ptrdiff_t c_row)
{
    __m512i acc_s32x16[12 * NV];
    unrolled_for (int r = 0; r < 12 * NV; ++r) acc_s32x16[r] = _mm512_load_si512(start + r % NV * 16);
    const uint8_t *a0 = a, *a3 = a + 3 * a_row, *a6 = a + 6 * a_row, *a9 = a + 9 * a_row;
    for (; kb; --kb, a0 += KR, a3 += KR, a6 += KR, a9 += KR, b += STEP) {
        const __m512i b0_s8x64 = _mm512_load_si512(b);
        const __m512i b1_s8x64 = _mm512_load_si512(b + 64);
        unrolled_for (int i = 0; i < 12; ++i) {
            const uint8_t *three = i < 3 ? a0 : i < 6 ? a3 : i < 9 ? a6 : a9;
            __m512i ai_u8x64 = broadcast4(three + i % 3 * a_row);
            if (flip) ai_u8x64 = _mm512_xor_si512(ai_u8x64, flips);
            acc_s32x16[i * NV] = _mm512_dpbusd_epi32(acc_s32x16[i * NV], ai_u8x64, b0_s8x64);
            acc_s32x16[i * NV + 1] = _mm512_dpbusd_epi32(acc_s32x16[i * NV + 1], ai_u8x64, b1_s8x64);
        }
    }
    if (tail) step(acc_s32x16, tail, b, 12);
    unrolled_for (int i = 0; i < 12; ++i, c += c_row)
        unrolled_for (int v = 0; v < NV; ++v) _mm512_storeu_si512((__m512i *)c + v, acc_s32x16[i * NV + v]);
}

static void run_rows(size_t kb, const void *a, ptrdiff_t a_row, uint8_t flip, const void *tail, const void *b,
                     const int32_t *start, void *c, ptrdiff_t c_row)
{
    const __m512i flips = _mm512_set1_epi8((char)flip);
    if (flip)
        tile_of_rows(kb, a, a_row, flips, true, tail, b, start, c, c_row);
    else
        tile_of_rows(kb, a, a_row, flips, false, tail, b, start, c, c_row);
}

static void run_12(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(12, 1, kb, a, b, start, c, c_row);
}
static void run_8(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(8, 1, kb, a, b, start, c, c_row);
}
static void run_4(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(4, 2, kb, a, b, start, c, c_row);
}
static void run_2(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    tile(2, 4, kb, a, b, start, c, c_row);
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

extern pqk_gemm_kernels pqk_gemm_s8_avx512vnni;
pqk_gemm_kernels pqk_gemm_s8_avx512vnni = {
    .nr = NR,
    .kr = KR,
    .a_unsigned = true,
    .shape = {{12, run_12}, {8, run_8}, {4, run_4}, {2, run_2}, {1, run_1}},
    .run_rows = run_rows,
    .pack_a = pack_a,
    .pack_b = pack_b,
};
