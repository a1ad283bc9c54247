/* pack_a_x86.h -- A into row panels, for every x86 layer: a transposition of dwords.
 *
 * A step of a row is 4 bytes in packed A, either 4 elements of 8 bits (kr = 4) or 2 of 16 (kr = 2, WIDE).  A
 * register has 4 steps of a row; four rows are transposed together:
 *
 *     row 0   s0 s1 s2 s3              step 0  r0 r1 r2 r3
 *     row 1   s0 s1 s2 s3     ->       step 1  r0 r1 r2 r3
 *     row 2   ...                      ...
 *
 * About 6 shuffles for 64 bytes: a fraction of a per cent of the product that reads them.
 */
#ifndef PQK_GEMM_PACK_A_X86_H
#define PQK_GEMM_PACK_A_X86_H
#include <immintrin.h>
#include <string.h>
#include "core/macros.h"
#include "gemm/gemm.h"

/* 16 bytes of a row (8 where wide) become 4 packed steps. */
static PQK_INLINE __m128i pack_a_steps(__m128i bytes, __m128i flip, bool wide)
{
    const __m128i x = _mm_xor_si128(bytes, flip);
    return wide ? _mm_cvtepi8_epi16(x) : x;
}

static PQK_INLINE __m128i pack_a_add(__m128i sums, __m128i steps, bool wide)
{
    if (wide) return _mm_add_epi32(sums, _mm_madd_epi16(steps, _mm_set1_epi16(1)));
    return _mm_add_epi32(sums, _mm_sad_epu8(steps, _mm_setzero_si128()));
}

static PQK_INLINE int32_t pack_a_total(__m128i sums)
{
    const __m128i pairs = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(pairs, _mm_shuffle_epi32(pairs, 0xb1)));
}

/* The last, short piece of a row, 0 < n < 16, zeros behind it.  Not by way of memory: a load of what was stored in two
 * pieces waits until they have reached the cache. */
static PQK_INLINE __m128i pack_a_load_part(const uint8_t *from, size_t n)
{
    uint64_t low = 0, high = 0;
    if (n >= 8) {
        memcpy(&low, from, 8);
        memcpy(&high, from + n - 8, 8); /* some of it again */
        high = n == 8 ? 0 : high >> 8 * (16 - n);
    } else if (n >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + n - 4, 4);
        low = first | (uint64_t)last << 8 * (n - 4);
    } else {
        for (size_t i = n; i-- > 0;) low = low << 8 | from[i];
    }
    return _mm_set_epi64x((long long)high, (long long)low);
}

/* `flip` in the first n bytes. */
static PQK_INLINE __m128i pack_a_flips_part(__m128i flips, size_t n)
{
    const __m128i index = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm_and_si128(flips, _mm_cmpgt_epi8(_mm_set1_epi8((char)n), index));
}

static PQK_INLINE __m128i pack_a_load(const uint8_t *from, bool wide)
{
    return wide ? _mm_loadl_epi64((const __m128i *)from) : _mm_loadu_si128((const __m128i *)from);
}

/* Rows [i, i + width) of the panel, width 4, 2 or 1; `steps` 1 to 4 of them are stored. */
static PQK_INLINE void pack_a_store(uint8_t *to, size_t step, const __m128i x[4], int width, int steps)
{
    if (width == 4) {
        const __m128i ab0 = _mm_unpacklo_epi32(x[0], x[1]), ab1 = _mm_unpackhi_epi32(x[0], x[1]);
        const __m128i cd0 = _mm_unpacklo_epi32(x[2], x[3]), cd1 = _mm_unpackhi_epi32(x[2], x[3]);
        const __m128i out[4] = {_mm_unpacklo_epi64(ab0, cd0), _mm_unpackhi_epi64(ab0, cd0),
                                _mm_unpacklo_epi64(ab1, cd1), _mm_unpackhi_epi64(ab1, cd1)};
        unrolled_for (int s = 0; s < 4; ++s)
            if (s < steps) _mm_storeu_si128((__m128i *)(to + (size_t)s * step), out[s]);
    } else if (width == 2) {
        const __m128i ab0 = _mm_unpacklo_epi32(x[0], x[1]), ab1 = _mm_unpackhi_epi32(x[0], x[1]);
        const __m128i out[4] = {ab0, _mm_unpackhi_epi64(ab0, ab0), ab1, _mm_unpackhi_epi64(ab1, ab1)};
        unrolled_for (int s = 0; s < 4; ++s)
            if (s < steps) _mm_storel_epi64((__m128i *)(to + (size_t)s * step), out[s]);
    } else if (step == 4 && steps == 4) {
        _mm_storeu_si128((__m128i *)to, x[0]);
    } else {
        PQK_ALIGNED(16) uint32_t out[4];
        _mm_store_si128((__m128i *)out, x[0]);
        unrolled_for (int s = 0; s < 4; ++s)
            if (s < steps) memcpy(to + (size_t)s * step, &out[s], 4);
    }
}

/* `width` rows of the panel, of which m exist; summed: are there sums? */
static PQK_INLINE void pack_a_rows(const uint8_t *a, ptrdiff_t row_stride, int m, int width, size_t step, size_t k,
                                   uint8_t flip, uint8_t *to, int32_t *sums, bool wide, bool summed)
{
    const size_t block = wide ? 8 : 16; /* of k in a register */
    const __m128i flips = _mm_set1_epi8((char)flip);
    __m128i total[4], x[4];
    unrolled_for (int i = 0; i < 4; ++i) total[i] = x[i] = _mm_setzero_si128();

    size_t p = 0;
    for (; p + block <= k; p += block, to += 4 * step) {
        /* The next rows: each line of each of four rows once.  Rows are too short for the hardware to see it coming. */
        const ptrdiff_t ahead = width + (ptrdiff_t)(p / block % 4);
        _mm_prefetch((const char *)a + ahead * row_stride + (ptrdiff_t)(p & ~(size_t)63), _MM_HINT_T0);
        unrolled_for (int i = 0; i < width; ++i) {
            if (i >= m) continue;
            x[i] = pack_a_steps(pack_a_load(a + i * row_stride + (ptrdiff_t)p, wide), flips, wide);
            if (summed) total[i] = pack_a_add(total[i], x[i], wide);
        }
        pack_a_store(to, step, x, width, 4);
    }
    if (p < k) {
        const __m128i some = pack_a_flips_part(flips, k - p);
        unrolled_for (int i = 0; i < width; ++i) {
            if (i >= m) continue;
            x[i] = pack_a_steps(pack_a_load_part(a + i * row_stride + (ptrdiff_t)p, k - p), some, wide);
            if (summed) total[i] = pack_a_add(total[i], x[i], wide);
        }
        pack_a_store(to, step, x, width, (int)((k - p + block / 4 - 1) / (block / 4)));
    }
    for (int i = 0; summed && i < m; ++i) sums[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)pack_a_total(total[i]));
}

/* pqk_gemm.pack_a.  Where all rows exist the loops have constant bounds. */
static PQK_INLINE void pack_a_x86(const void *a, ptrdiff_t row_stride, int m, int mr, size_t k, uint8_t flip,
                                  void *packed, int32_t *sums, bool wide)
{
    const uint8_t *from = a;
    uint8_t *to = packed;
    const size_t step = 4 * (size_t)mr;
    for (int i = 0, width; i < mr; i += width) {
        const int left = m - i > 0 ? m - i : 0;
        const uint8_t *rows = left ? from + i * row_stride : from;
        int32_t *row_sums = sums && left ? sums + i : NULL;
        width = mr - i >= 4 ? 4 : mr - i >= 2 ? 2 : 1;
        if (width == 4 && left >= 4 && !row_sums)
            pack_a_rows(rows, row_stride, 4, 4, step, k, flip, to + 4 * i, NULL, wide, false);
        else if (width == 4 && left >= 4)
            pack_a_rows(rows, row_stride, 4, 4, step, k, flip, to + 4 * i, row_sums, wide, true);
        else if (width == 4)
            pack_a_rows(rows, row_stride, left, 4, step, k, flip, to + 4 * i, row_sums, wide, row_sums != NULL);
        else if (width == 2)
            pack_a_rows(rows, row_stride, left < 2 ? left : 2, 2, step, k, flip, to + 4 * i, row_sums, wide,
                        row_sums != NULL);
        else
            pack_a_rows(rows, row_stride, left ? 1 : 0, 1, step, k, flip, to + 4 * i, row_sums, wide, row_sums != NULL);
    }
}

#endif
