/* ukr_neon.c -- int8 micro-kernels for every 64-bit Arm CPU, without dot products (Cortex-A53, A57, A72).
 *
 * SMULL makes eight exact int16 products, SADALP adds neighbours of them to int32 lanes: with two neighbours along k
 * beside each other, a lane is a column.  (SMLAL2 onto the products before SADALP saves no time: it waits for the
 * multiplier, which is the limit already, and (-128)(-128) twice does not fit int16.)
 *
 *   packed b[step][32][2]            one register: two neighbours along k of 8 columns
 *   packed a[step][3][2]             two bytes of a row, repeated over a register
 *
 *             j 0-3   4-7  ...  28-31
 *   row 0     s0.0   s0.1       s0.7       s[i][2 v]     += pairs of smull (a[i], b[v])     low 8 bytes: j 8 v ... + 3
 *   row 1     s1.0    ...                  s[i][2 v + 1] += pairs of smull2(a[i], b[v])     high: j 8 v + 4 ... + 7
 *   row 2     s2.0    ...       s2.7       24 sums + 3 of A + 1 of B + 4 products = 32 registers
 *
 * Limit: the one multiplier of a Cortex-A57 or A72: one SMULL a cycle, and SADALP in the other pipe beside it: 8
 * products a cycle.  24 of each a step against 7 loads.
 */
#include <arm_neon.h>
#include <string.h>
#include "core/macros.h"
#include "gemm/gemm.h"
#include "gemm/pack_neon.h"

enum { NR = 32, KR = 2, NV = NR / 4 };

/* GCC 12 loads all of B first and has no room left for some of the sums. */
#if defined(__GNUC__) && !defined(__clang__)
#define LOADS_STAY_BELOW __asm__ volatile("" ::: "memory")
#else
#define LOADS_STAY_BELOW (void)0
#endif

static PQK_INLINE int8x16_t repeat_pair(const int8_t *from)
{
    int16_t pair;
    memcpy(&pair, from, sizeof pair); /* at any address */
    return vreinterpretq_s8_s16(vdupq_n_s16(pair));
}

static PQK_INLINE void multiply_add(int32x4_t sums[][NV], int rows, const int8_t *from_a, const int8_t *from_b)
{
    int8x16_t a[3];
    unrolled_for (int i = 0; i < rows; ++i) a[i] = repeat_pair(from_a + KR * i);
    unrolled_for (int v = 0; v < NV; v += 2) {
        const int8x16_t b = vld1q_s8(from_b + 8 * v);
        unrolled_for (int i = 0; i < rows; ++i) {
            sums[i][v] = vpadalq_s16(sums[i][v], vmull_s8(vget_low_s8(a[i]), vget_low_s8(b)));
            sums[i][v + 1] = vpadalq_s16(sums[i][v + 1], vmull_high_s8(a[i], b));
        }
        LOADS_STAY_BELOW;
    }
}

static PQK_INLINE void run(int rows, size_t kb, const int8_t *a, const int8_t *b, const int32_t *start, uint8_t *c,
                           ptrdiff_t c_row)
{
    int32x4_t sums[3][NV];
    unrolled_for (int i = 0; i < rows; ++i)
        unrolled_for (int v = 0; v < NV; ++v) sums[i][v] = vld1q_s32(start + 4 * v);
    for (; kb; --kb, a += rows * KR, b += NR * KR) multiply_add(sums, rows, a, b);
    unrolled_for (int i = 0; i < rows; ++i, c += c_row)
        unrolled_for (int v = 0; v < NV; ++v) vst1q_u8(c + 16 * v, vreinterpretq_u8_s32(sums[i][v]));
}
static void run_3(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    run(3, kb, a, b, start, c, c_row);
}
static void run_2(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    run(2, kb, a, b, start, c, c_row);
}
static void run_1(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    run(1, kb, a, b, start, c, c_row);
}

static void pack_a(const void *a, ptrdiff_t row_stride, int m, int mr, size_t k, uint8_t flip, void *packed,
                   int32_t *sums)
{
    pack_rows(a, row_stride, m, mr, k, flip, packed, sums, KR);
}

static void pack_b(const void *b, ptrdiff_t p_stride, ptrdiff_t j_stride, size_t k, int n, uint8_t flip, void *packed,
                   int32_t *sums)
{
    if (j_stride == 1)
        pack_columns(b, p_stride, k, n, NR, flip, packed, sums, KR);
    else
        pack_rows(b, j_stride, n, NR, k, flip, packed, sums, KR);
}

extern pqk_gemm_kernels pqk_gemm_s8_neon;
pqk_gemm_kernels pqk_gemm_s8_neon = {
    .nr = NR,
    .kr = KR,
    .shape = {{3, run_3}, {2, run_2}, {1, run_1}},
    .pack_a = pack_a,
    .pack_b = pack_b,
};
