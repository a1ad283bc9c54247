/* ukr_i8mm.c -- int8 micro-kernels on SMMLA (Armv8.6): a 2 x 2 tile of int32 += 2 x 8 bytes times 8 x 2 bytes.
 *
 *   packed b[step][16][8]            one register: 8 neighbours along k of two columns
 *   packed a[step][6][8]             one register: the same of two rows
 *
 *                j 0,1   2,3   4,5  ...  14,15
 *   rows 0,1     s0.0   s0.1  s0.2       s0.7      s[i][v] += smmla(a[i], b[v])
 *   rows 2,3     s1.0    ...                       lanes of a sum: (row, j) (row, j+1) (row+1, j) (row+1, j+1)
 *   rows 4,5     s2.0    ...             s2.7      24 sums + 3 of A + up to 5 of B = 32 registers
 *
 * Limit: SMMLA.  24 of them a step against 11 loads; Neoverse V1 issues four and three a cycle (6 cycles and 3.7),
 * Neoverse N2 two and three (12 and 3.7).  Rows leave a sum by TRN1 and TRN2 of its 64-bit halves.
 *
 * One row would waste half of each SMMLA, so that tile uses SDOT on the same packed B: with A's 8 bytes twice in a
 * register, the lanes of a sum are (j, k 0-3) (j, k 4-7) (j+1, k 0-3) (j+1, k 4-7), and ADDP joins the halves.
 */
#include <arm_neon.h>
#include "core/macros.h"
#include "gemm/gemm.h"
#include "gemm/pack_neon.h"

enum { NR = 16, KR = 8, NV = NR / 2 };

/* GCC 12 loads all eight registers of B before the first SMMLA and has no room left for four of the sums. */
#if defined(__GNUC__) && !defined(__clang__)
#define LOADS_STAY_BELOW __asm__ volatile("" ::: "memory")
#else
#define LOADS_STAY_BELOW (void)0
#endif

static PQK_INLINE void clear(int32x4_t *sums, int count)
{
    unrolled_for (int i = 0; i < count; ++i) sums[i] = vdupq_n_s32(0);
}

/* One step of 2 * pairs rows. */
static PQK_INLINE void multiply_add(int32x4_t sums[][NV], int pairs, const int8_t *from_a, const int8_t *from_b)
{
    int8x16_t a[3];
    unrolled_for (int i = 0; i < pairs; ++i) a[i] = vld1q_s8(from_a + 16 * i);
    unrolled_for (int v = 0; v < NV; ++v) {
        const int8x16_t b = vld1q_s8(from_b + 16 * v);
        unrolled_for (int i = 0; i < pairs; ++i) sums[i][v] = vmmlaq_s32(sums[i][v], a[i], b);
        if (v % 4 == 3) LOADS_STAY_BELOW;
    }
}

static PQK_INLINE int32x4_t low_halves(int32x4_t x, int32x4_t y)
{
    return vreinterpretq_s32_s64(vtrn1q_s64(vreinterpretq_s64_s32(x), vreinterpretq_s64_s32(y)));
}
static PQK_INLINE int32x4_t high_halves(int32x4_t x, int32x4_t y)
{
    return vreinterpretq_s32_s64(vtrn2q_s64(vreinterpretq_s64_s32(x), vreinterpretq_s64_s32(y)));
}
/* Four columns of C from the sum that `start` begins. */
static PQK_INLINE void store(uint8_t *c, const int32_t *start, int32x4_t sums)
{
    vst1q_u8(c, vreinterpretq_u8_s32(vaddq_s32(sums, vld1q_s32(start))));
}
static PQK_INLINE void store_rows(uint8_t *c, ptrdiff_t c_row, const int32_t *start, int32x4_t sums[][NV], int pairs)
{
    unrolled_for (int i = 0; i < pairs; ++i, c += 2 * c_row) {
        unrolled_for (int v = 0; v < NV; v += 2) {
            store(c + 8 * v, start + 2 * v, low_halves(sums[i][v], sums[i][v + 1]));
            store(c + c_row + 8 * v, start + 2 * v, high_halves(sums[i][v], sums[i][v + 1]));
        }
    }
}

static PQK_INLINE void run(int pairs, size_t kb, const int8_t *a, const int8_t *b, const int32_t *start, uint8_t *c,
                           ptrdiff_t c_row)
{
    int32x4_t sums[3][NV];
    clear(sums[0], pairs * NV);
    for (; kb; --kb, a += 2 * pairs * KR, b += NR * KR) multiply_add(sums, pairs, a, b);
    store_rows(c, c_row, start, sums, pairs);
}
static void run_6(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    run(3, kb, a, b, start, c, c_row);
}
static void run_4(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    run(2, kb, a, b, start, c, c_row);
}

/* Eight sums are too few for a latency of three cycles and four pipes: even and odd steps have their own. */
static void run_2(size_t kb, const void *packed_a, const void *packed_b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    const int8_t *a = packed_a, *b = packed_b;
    int32x4_t even[1][NV], odd[1][NV];
    clear(even[0], NV);
    clear(odd[0], NV);
    for (; kb >= 2; kb -= 2, a += 4 * KR, b += 2 * NR * KR) {
        multiply_add(even, 1, a, b);
        multiply_add(odd, 1, a + 2 * KR, b + NR * KR);
    }
    if (kb) multiply_add(even, 1, a, b);
    unrolled_for (int v = 0; v < NV; ++v) even[0][v] = vaddq_s32(even[0][v], odd[0][v]);
    store_rows(c, c_row, start, even, 1);
}

static PQK_INLINE void dot_step(int32x4_t sums[NV], int8x8_t row, const int8_t *from_b)
{
    const int8x16_t a = vcombine_s8(row, row);
    unrolled_for (int v = 0; v < NV; ++v) sums[v] = vdotq_s32(sums[v], vld1q_s8(from_b + 16 * v), a);
}
static void run_1(size_t kb, const void *packed_a, const void *packed_b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    const int8_t *a = packed_a, *b = packed_b;
    int32x4_t even[NV], odd[NV];
    clear(even, NV);
    clear(odd, NV);
    for (; kb >= 2; kb -= 2, a += 2 * KR, b += 2 * NR * KR) {
        dot_step(even, vld1_s8(a), b);
        dot_step(odd, vld1_s8(a + KR), b + NR * KR);
    }
    if (kb) dot_step(even, vld1_s8(a), b);
    (void)c_row;
    unrolled_for (int v = 0; v < NV; v += 2)
        store((uint8_t *)c + 8 * v, start + 2 * v,
              vpaddq_s32(vaddq_s32(even[v], odd[v]), vaddq_s32(even[v + 1], odd[v + 1])));
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

extern pqk_gemm_kernels pqk_gemm_s8_i8mm;
pqk_gemm_kernels pqk_gemm_s8_i8mm = {
    .nr = NR,
    .kr = KR,
    .shape = {{6, run_6}, {4, run_4}, {2, run_2}, {1, run_1}},
    .pack_a = pack_a,
    .pack_b = pack_b,
};
