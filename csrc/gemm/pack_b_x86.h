/* pack_b_x86.h -- B into column panels, for every x86 layer.
 *
 * The unit is a quad: 4 columns x 4 consecutive p in one xmm register, the p of a column side by side.
 *
 *     rows contiguous (B as it is multiplied)    16 columns of 4 rows, bytes and then words interleaved: 4 quads
 *     p contiguous (weights as torch has them)   4 columns of 16 p, dwords transposed: 4 quads, one for each step
 *
 * A quad is what a step of kr = 4 stores; for kr = 2 two of them are split into the halves for two steps.  Its sums
 * along p are those of 4 columns.  Every byte of B is loaded once, in whole cache lines where p is contiguous.
 */
#ifndef PQK_GEMM_PACK_B_X86_H
#define PQK_GEMM_PACK_B_X86_H
#include <immintrin.h>
#include <string.h>
#include "core/macros.h"
#include "gemm/gemm.h"

static PQK_INLINE __m128i pack_b_add(__m128i sums, __m128i quad)
{
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    return _mm_dpbusd_epi32(sums, _mm_set1_epi8(1), quad);
#else
    /* Two int8 fit an int16: nothing saturates. */
    const __m128i pairs = _mm_maddubs_epi16(_mm_set1_epi8(1), quad);
    return _mm_add_epi32(sums, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
#endif
}

/* 8 columns of 4 p, as two quads; `to` is where column 0 of the (first) step is, `left` the number of p that exist. */
static PQK_INLINE void pack_b_store(uint8_t *to, size_t step, int kr, size_t left, __m128i q0, __m128i q1)
{
    if (kr == 4) {
        _mm_store_si128((__m128i *)to, q0);
        _mm_store_si128((__m128i *)(to + 16), q1);
    } else {
        const __m128i halves = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
        const __m128i h0 = _mm_shuffle_epi8(q0, halves), h1 = _mm_shuffle_epi8(q1, halves);
        _mm_store_si128((__m128i *)to, _mm_unpacklo_epi64(h0, h1));
        if (left > 2) _mm_store_si128((__m128i *)(to + step), _mm_unpackhi_epi64(h0, h1));
    }
}

/* 4 rows of nr columns. */
static PQK_INLINE void pack_b_rows(const uint8_t *b, ptrdiff_t p_stride, size_t left, __m128i flips, uint8_t *to,
                                   __m128i *sums, int nr, int kr)
{
    unrolled_for (int j = 0; j < nr; j += 16) {
        __m128i r[4];
        unrolled_for (int p = 0; p < 4; ++p)
            r[p] = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(b + p * p_stride + j)), flips);
        const __m128i ab0 = _mm_unpacklo_epi8(r[0], r[1]), ab1 = _mm_unpackhi_epi8(r[0], r[1]);
        const __m128i cd0 = _mm_unpacklo_epi8(r[2], r[3]), cd1 = _mm_unpackhi_epi8(r[2], r[3]);
        const __m128i quad[4] = {_mm_unpacklo_epi16(ab0, cd0), _mm_unpackhi_epi16(ab0, cd0),
                                 _mm_unpacklo_epi16(ab1, cd1), _mm_unpackhi_epi16(ab1, cd1)};
        unrolled_for (int q = 0; q < 4; ++q) sums[j / 4 + q] = pack_b_add(sums[j / 4 + q], quad[q]);
        pack_b_store(to + j * kr, (size_t)(nr * kr), kr, left, quad[0], quad[1]);
        pack_b_store(to + (j + 8) * kr, (size_t)(nr * kr), kr, left, quad[2], quad[3]);
    }
}

/* 8 columns (j_stride bytes apart) of 16 p, of which `left` exist. */
static PQK_INLINE void pack_b_columns(const uint8_t *b, ptrdiff_t j_stride, size_t left, __m128i flips, uint8_t *to,
                                      __m128i *sums, int nr, int kr)
{
    __m128i quad[2][4];
    unrolled_for (int h = 0; h < 2; ++h) {
        __m128i c[4];
        unrolled_for (int j = 0; j < 4; ++j)
            c[j] = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(b + (4 * h + j) * j_stride)), flips);
        const __m128i ab0 = _mm_unpacklo_epi32(c[0], c[1]), ab1 = _mm_unpackhi_epi32(c[0], c[1]);
        const __m128i cd0 = _mm_unpacklo_epi32(c[2], c[3]), cd1 = _mm_unpackhi_epi32(c[2], c[3]);
        quad[h][0] = _mm_unpacklo_epi64(ab0, cd0);
        quad[h][1] = _mm_unpackhi_epi64(ab0, cd0);
        quad[h][2] = _mm_unpacklo_epi64(ab1, cd1);
        quad[h][3] = _mm_unpackhi_epi64(ab1, cd1);
        unrolled_for (int s = 0; s < 4; ++s) sums[h] = pack_b_add(sums[h], quad[h][s]);
    }
    unrolled_for (int s = 0; s < 4; ++s)
        if ((size_t)(4 * s) < left)
            pack_b_store(to + 4 * s * nr, (size_t)(nr * kr), kr, left - (size_t)(4 * s), quad[0][s], quad[1][s]);
}

static PQK_INLINE void pack_b_row_major(const uint8_t *b, ptrdiff_t p_stride, size_t k, int n, uint8_t flip,
                                        uint8_t *to, __m128i *sums, int nr, int kr)
{
    const __m128i flips = _mm_set1_epi8((char)flip);
    for (; k >= 4 && n == nr; k -= 4, b += 4 * p_stride, to += 4 * nr)
        pack_b_rows(b, p_stride, 4, flips, to, sums, nr, kr);
    for (; k; b += 4 * p_stride, to += 4 * nr) { /* the edges: what does not exist is 0 after the flip */
        PQK_ALIGNED(16) uint8_t rows[4 * PQK_GEMM_MAX_NR];
        const size_t left = k < 4 ? k : 4;
        memset(rows, flip, sizeof rows);
        for (size_t p = 0; p < left; ++p) memcpy(rows + p * (size_t)nr, b + (ptrdiff_t)p * p_stride, (size_t)n);
        pack_b_rows(rows, nr, left, flips, to, sums, nr, kr);
        k -= left;
    }
}

/* In blocks of 64 p, a cache line of each column: more columns than the first-level cache has ways may lie a power of
 * two apart, and a line would be gone before its second piece is asked for. */
static PQK_INLINE void pack_b_column_major(const uint8_t *b, ptrdiff_t j_stride, size_t k, int n, uint8_t flip,
                                           uint8_t *to, __m128i *sums, int nr, int kr)
{
    enum { BLOCK = 64, AHEAD = 4 * BLOCK };
    const __m128i flips = _mm_set1_epi8((char)flip);
    for (size_t p0 = 0; p0 < k; p0 += BLOCK, b += BLOCK, to += BLOCK * nr) {
        const size_t left = k - p0 < BLOCK ? k - p0 : BLOCK;
        for (int j = 0; j < nr; j += 8) {
            const uint8_t *from = b + j * j_stride;
            ptrdiff_t stride = j_stride;
            PQK_ALIGNED(64) uint8_t columns[8 * BLOCK];
            if (left < BLOCK || n < j + 8) {
                memset(columns, flip, sizeof columns);
                for (int i = 0; i < 8 && j + i < n; ++i) memcpy(columns + i * BLOCK, b + (j + i) * j_stride, left);
                from = columns;
                stride = BLOCK;
            } else if (left == BLOCK && k - p0 > AHEAD) {
                for (int i = 0; i < 8; ++i) _mm_prefetch((const char *)from + i * stride + AHEAD, _MM_HINT_T0);
            }
            for (size_t p = 0; p < left; p += 16)
                pack_b_columns(from + p, stride, left - p, flips, to + p * (size_t)nr + j * kr, sums + j / 4, nr, kr);
        }
    }
}

/* pqk_gemm.pack_b for nr 16 or 32, kr 2 or 4. */
static PQK_INLINE void pack_b_x86(const void *b, ptrdiff_t p_stride, ptrdiff_t j_stride, size_t k, int n, uint8_t flip,
                                  void *packed, int32_t *sums, int nr, int kr)
{
    __m128i total[PQK_GEMM_MAX_NR / 4];
    unrolled_for (int q = 0; q < nr / 4; ++q) total[q] = _mm_setzero_si128();
    if (j_stride == 1)
        pack_b_row_major(b, p_stride, k, n, flip, packed, total, nr, kr);
    else
        pack_b_column_major(b, j_stride, k, n, flip, packed, total, nr, kr);
    if (!sums) return;
    PQK_ALIGNED(16) int32_t found[PQK_GEMM_MAX_NR];
    unrolled_for (int q = 0; q < nr / 4; ++q) _mm_store_si128((__m128i *)found + q, total[q]);
    for (int j = 0; j < n; ++j) sums[j] = (int32_t)((uint32_t)sums[j] + (uint32_t)found[j]);
}

#endif
