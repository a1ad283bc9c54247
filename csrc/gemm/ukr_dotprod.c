/* ukr_dotprod.c -- int8 micro-kernels on SDOT (Armv8.2): four products of four neighbours along k, added to an int32
 * lane.
 *
 *   packed b[step][16][4]            packed a[step][6][4]
 *   v0: j 0-3, v1: j 4-7, ...        one register: rows 0-3, half of one: rows 4, 5
 *
 *              j 0-3    4-7    8-11   12-15
 *   row 0     acc0.0  acc0.1  acc0.2  acc0.3     acc[i][v] += sdot(b[v], a.4b[i]): the row is a lane of the
 *   row 1     acc1.0   ...                       instruction, so no element of A is ever broadcast
 *     :
 *   row 5     acc5.0   ...            acc5.3     24 accumulators + 4 of B + 2 of A = 30 of 32 registers
 *
 * Limit: SDOT.  24 of them a step against 6 loads; Neoverse N1 issues two of each a cycle (12 cycles and 3), Neoverse
 * V1 and Apple's cores four SDOT and three loads (6 and 2).  A row of 8 x 16 would need all 32 registers for sums.
 * SDOT adds to its own result after 1 to 4 cycles, so the low tiles take several steps at once: at least 16
 * independent sums.  With one row the limit is the stream of B.
 */
#include <arm_neon.h>
#include <string.h>
#include "core/macros.h"
#include "gemm/gemm.h"
#include "gemm/pack_neon.h"

enum { NR = 16, KR = 4, NV = NR / 4 };

/* One step of one row: lane LANE of A against the NV registers of B. */
#define DOT_ROW(sums, b, a, LANE) \
    unrolled_for (int v = 0; v < NV; ++v) (sums)[v] = vdotq_laneq_s32((sums)[v], (b)[v], a, LANE)

static PQK_INLINE void clear(int32x4_t *sums, int count)
{
    unrolled_for (int i = 0; i < count; ++i) sums[i] = vdupq_n_s32(0);
}
static PQK_INLINE void load_b(int8x16_t b[NV], const int8_t *from)
{
    unrolled_for (int v = 0; v < NV; ++v) b[v] = vld1q_s8(from + 16 * v);
}
static PQK_INLINE int8x16_t load_low(const int8_t *from) { return vcombine_s8(vld1_s8(from), vdup_n_s8(0)); }

static PQK_INLINE void store_rows(uint8_t *c, ptrdiff_t c_row, const int32_t *start, int32x4_t sums[][NV], int rows)
{
    unrolled_for (int i = 0; i < rows; ++i, c += c_row)
        unrolled_for (int v = 0; v < NV; ++v)
            vst1q_u8(c + 16 * v, vreinterpretq_u8_s32(vaddq_s32(sums[i][v], vld1q_s32(start + 4 * v))));
}

static void run_6(size_t kb, const void *packed_a, const void *packed_b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    const int8_t *a = packed_a, *from_b = packed_b;
    int32x4_t sums[6][NV];
    clear(sums[0], 6 * NV);
    for (; kb; --kb, a += 6 * KR, from_b += NR * KR) {
        const int8x16_t rows_0_3 = vld1q_s8(a), rows_4_5 = load_low(a + 16);
        int8x16_t b[NV];
        load_b(b, from_b);
        DOT_ROW(sums[0], b, rows_0_3, 0);
        DOT_ROW(sums[1], b, rows_0_3, 1);
        DOT_ROW(sums[2], b, rows_0_3, 2);
        DOT_ROW(sums[3], b, rows_0_3, 3);
        DOT_ROW(sums[4], b, rows_4_5, 0);
        DOT_ROW(sums[5], b, rows_4_5, 1);
    }
    store_rows(c, c_row, start, sums, 6);
}

static void run_4(size_t kb, const void *packed_a, const void *packed_b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    const int8_t *a = packed_a, *from_b = packed_b;
    int32x4_t sums[4][NV];
    clear(sums[0], 4 * NV);
    for (; kb; --kb, a += 4 * KR, from_b += NR * KR) {
        const int8x16_t rows = vld1q_s8(a);
        int8x16_t b[NV];
        load_b(b, from_b);
        DOT_ROW(sums[0], b, rows, 0);
        DOT_ROW(sums[1], b, rows, 1);
        DOT_ROW(sums[2], b, rows, 2);
        DOT_ROW(sums[3], b, rows, 3);
    }
    store_rows(c, c_row, start, sums, 4);
}

/* Two steps at once: sums of even steps, sums of odd steps. */
static void run_2(size_t kb, const void *packed_a, const void *packed_b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    const int8_t *a = packed_a, *from_b = packed_b;
    int32x4_t even[2][NV], odd[2][NV];
    int8x16_t b[NV];
    clear(even[0], 2 * NV);
    clear(odd[0], 2 * NV);
    for (; kb >= 2; kb -= 2, a += 4 * KR, from_b += 2 * NR * KR) {
        const int8x16_t steps = vld1q_s8(a); /* rows 0, 1 of this step, rows 0, 1 of the next */
        load_b(b, from_b);
        DOT_ROW(even[0], b, steps, 0);
        DOT_ROW(even[1], b, steps, 1);
        load_b(b, from_b + NR * KR);
        DOT_ROW(odd[0], b, steps, 2);
        DOT_ROW(odd[1], b, steps, 3);
    }
    if (kb) {
        const int8x16_t rows = load_low(a);
        load_b(b, from_b);
        DOT_ROW(even[0], b, rows, 0);
        DOT_ROW(even[1], b, rows, 1);
    }
    unrolled_for (int i = 0; i < 2; ++i)
        unrolled_for (int v = 0; v < NV; ++v) even[i][v] = vaddq_s32(even[i][v], odd[i][v]);
    store_rows(c, c_row, start, even, 2);
}

/* Four steps at once: one register of A is four steps of the row. */
static void run_1(size_t kb, const void *packed_a, const void *packed_b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    const int8_t *a = packed_a, *from_b = packed_b;
    int32x4_t sums[4][NV];
    int8x16_t b[NV];
    clear(sums[0], 4 * NV);
    for (; kb >= 4; kb -= 4, a += 4 * KR, from_b += 4 * NR * KR) {
        const int8x16_t steps = vld1q_s8(a);
        load_b(b, from_b);
        DOT_ROW(sums[0], b, steps, 0);
        load_b(b, from_b + NR * KR);
        DOT_ROW(sums[1], b, steps, 1);
        load_b(b, from_b + 2 * NR * KR);
        DOT_ROW(sums[2], b, steps, 2);
        load_b(b, from_b + 3 * NR * KR);
        DOT_ROW(sums[3], b, steps, 3);
    }
    for (; kb; --kb, a += KR, from_b += NR * KR) {
        int32_t step;
        memcpy(&step, a, sizeof step);
        const int8x16_t row = vreinterpretq_s8_s32(vdupq_n_s32(step));
        load_b(b, from_b);
        DOT_ROW(sums[0], b, row, 0);
    }
    unrolled_for (int v = 0; v < NV; ++v)
        sums[0][v] = vaddq_s32(vaddq_s32(sums[0][v], sums[1][v]), vaddq_s32(sums[2][v], sums[3][v]));
    store_rows(c, c_row, start, sums, 1);
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

extern pqk_gemm_kernels pqk_gemm_s8_dotprod;
pqk_gemm_kernels pqk_gemm_s8_dotprod = {
    .nr = NR,
    .kr = KR,
    .shape = {{6, run_6}, {4, run_4}, {2, run_2}, {1, run_1}},
    .pack_a = pack_a,
    .pack_b = pack_b,
};
