/* pack_neon.h -- A and B into [step][rows or columns][kr], for the Arm micro-kernels (kr = 2, 4, 8).
 *
 *   k contiguous     (A, and B transposed)  16 bytes of a row are 16 / kr pieces of kr; each goes to its step.  512
 * bytes of every row at a time, so that the lines which rows share are still in the first-level cache. columns
 * contiguous (B)                  kr rows of 16 columns, interleaved by ST2 or ST4: kr = 2, 4             store of 2
 * (4) registers of bytes: j k0 k1 (k2 k3), j + 1 ... kr = 8                ZIP rows 0 1, 2 3, 4 5, 6 7, then a store of
 * 4 registers of pairs
 *
 * What is past k, and rows or columns that do not exist, goes through a small buffer of zeros, so nothing is read
 * there.
 */
#ifndef PQK_GEMM_PACK_NEON_H
#define PQK_GEMM_PACK_NEON_H
#include <arm_neon.h>
#include <string.h>
#include "core/macros.h"
#include "gemm/gemm.h"

enum { PQK_PACK_BLOCK = 512 };

static PQK_INLINE void pack_add(int32_t *sum, int32_t x) { *sum = (int32_t)((uint32_t)*sum + (uint32_t)x); }

/* The 16 / kr pieces of x, `step` bytes apart. */
static PQK_INLINE void pack_scatter(uint8_t *to, size_t step, uint8x16_t x, int kr)
{
    uint8_t bytes[16];
    vst1q_u8(bytes, x);
    for (int i = 0; i < 16 / kr; ++i) memcpy(to + (size_t)i * step, bytes + i * kr, (size_t)kr);
}

/* k <= PQK_PACK_BLOCK bytes of one row; the last piece is filled up with zeros.  Returns their sum as packed. */
static PQK_INLINE int32_t pack_row(const uint8_t *from, size_t k, uint8_t flip, uint8_t *to, size_t step, int kr)
{
    int32x4_t sum = vdupq_n_s32(0);
    size_t p = 0;
    for (; p + 16 <= k; p += 16) {
        const uint8x16_t x = veorq_u8(vld1q_u8(from + p), vdupq_n_u8(flip));
        sum = vpadalq_s16(sum, vpaddlq_s8(vreinterpretq_s8_u8(x)));
        pack_scatter(to + p / (size_t)kr * step, step, x, kr);
    }
    if (p < k) {
        uint8_t rest[16] = {0};
        for (size_t i = 0; i < k - p; ++i) rest[i] = from[p + i] ^ flip;
        sum = vpadalq_s16(sum, vpaddlq_s8(vreinterpretq_s8_u8(vld1q_u8(rest))));
        for (size_t i = 0; i < k - p; i += (size_t)kr) memcpy(to + (p + i) / (size_t)kr * step, rest + i, (size_t)kr);
    }
    return vaddvq_s32(sum);
}

/* count <= width rows of k bytes. */
static PQK_INLINE void pack_rows(const uint8_t *from, ptrdiff_t row_stride, int count, int width, size_t k,
                                 uint8_t flip, uint8_t *to, int32_t *sums, int kr)
{
    const size_t step = (size_t)(width * kr);
    for (size_t p = 0; p < k; p += PQK_PACK_BLOCK) {
        const size_t block = k - p < PQK_PACK_BLOCK ? k - p : PQK_PACK_BLOCK, steps = (block + kr - 1) / (size_t)kr;
        uint8_t *block_to = to + p / (size_t)kr * step;
        for (int i = 0; i < count; ++i) {
            const int32_t sum =
                pack_row(from + i * row_stride + (ptrdiff_t)p, block, flip, block_to + i * kr, step, kr);
            if (sums) pack_add(sums + i, sum);
        }
        for (size_t s = 0; s < steps && count < width; ++s)
            memset(block_to + s * step + (size_t)(count * kr), 0, (size_t)((width - count) * kr));
    }
}

/* One step of 16 columns from kr rows: 16 kr bytes, and their sums. */
static PQK_INLINE void pack_interleave(const uint8_t *from, ptrdiff_t p_stride, uint8_t flip, uint8_t *to,
                                       int32x4_t sums[4], int kr)
{
    uint8x16_t row[8];
    int16x8_t low = vdupq_n_s16(0), high = low;
    for (int p = 0; p < kr; ++p) {
        row[p] = veorq_u8(vld1q_u8(from + p * p_stride), vdupq_n_u8(flip));
        low = vaddw_s8(low, vget_low_s8(vreinterpretq_s8_u8(row[p])));
        high = vaddw_high_s8(high, vreinterpretq_s8_u8(row[p]));
    }
    sums[0] = vaddw_s16(sums[0], vget_low_s16(low));
    sums[1] = vaddw_high_s16(sums[1], low);
    sums[2] = vaddw_s16(sums[2], vget_low_s16(high));
    sums[3] = vaddw_high_s16(sums[3], high);
    if (kr == 2) {
        const uint8x16x2_t rows = {
            {row[0], row[1]}
        };
        vst2q_u8(to, rows);
    } else if (kr == 4) {
        const uint8x16x4_t rows = {
            {row[0], row[1], row[2], row[3]}
        };
        vst4q_u8(to, rows);
    } else {
        uint16x8x4_t pairs[2];
        for (int i = 0; i < 4; ++i) {
            pairs[0].val[i] = vreinterpretq_u16_u8(vzip1q_u8(row[2 * i], row[2 * i + 1]));
            pairs[1].val[i] = vreinterpretq_u16_u8(vzip2q_u8(row[2 * i], row[2 * i + 1]));
        }
        vst4q_u16((uint16_t *)(void *)to, pairs[0]);
        vst4q_u16((uint16_t *)(void *)(to + 64), pairs[1]);
    }
}

/* k rows of n <= nr contiguous columns, 16 columns at a time. */
static PQK_INLINE void pack_columns(const uint8_t *from, ptrdiff_t p_stride, size_t k, int n, int nr, uint8_t flip,
                                    uint8_t *to, int32_t *sums, int kr)
{
    for (int j = 0; j < nr; j += 16) {
        const int count = n - j >= 16 ? 16 : n > j ? n - j : 0;
        int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
        size_t p = 0;
        uint8_t *step = to + j * kr;
        for (; count == 16 && p + (size_t)kr <= k; p += (size_t)kr, step += nr * kr)
            pack_interleave(from + (ptrdiff_t)p * p_stride + j, p_stride, flip, step, sum, kr);
        for (; p < k; p += (size_t)kr, step += nr * kr) {
            uint8_t part[8 * 16] = {0};
            for (size_t q = 0; q < (size_t)kr && p + q < k; ++q)
                for (int i = 0; i < count; ++i)
                    part[16 * q + (size_t)i] = from[(ptrdiff_t)(p + q) * p_stride + j + i] ^ flip;
            pack_interleave(part, 16, 0, step, sum, kr);
        }
        int32_t total[16];
        for (int v = 0; v < 4; ++v) vst1q_s32(total + 4 * v, sum[v]);
        for (int i = 0; sums && i < count; ++i) pack_add(sums + j + i, total[i]);
    }
}

#endif
