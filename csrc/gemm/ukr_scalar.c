/* ukr_scalar.c -- the reference: plain C, in the shapes that compilers vectorize a little. */
#include <string.h>
#include "core/macros.h"
#include "gemm/gemm.h"

enum { NR = 16, KR = 4 };

static PQK_INLINE void run(int mr, size_t kb, const int8_t *a, const int8_t *b, const int32_t *start, char *c,
                           ptrdiff_t c_row)
{
    /* Unsigned: sums are modulo 2^32. */
    uint32_t acc[4 * NR];
    for (int i = 0; i < mr * NR; ++i) acc[i] = (uint32_t)start[i % NR];
    for (; kb; --kb, a += mr * KR, b += NR * KR)
        for (int i = 0; i < mr; ++i)
            for (int j = 0; j < NR; ++j)
                for (int p = 0; p < KR; ++p) acc[i * NR + j] += (uint32_t)(a[i * KR + p] * b[j * KR + p]);
    for (int i = 0; i < mr; ++i) memcpy(c + i * c_row, acc + i * NR, NR * sizeof *acc);
}

static void run_4(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    run(4, kb, a, b, start, c, c_row);
}
static void run_1(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row)
{
    run(1, kb, a, b, start, c, c_row);
}

static void pack_a(const void *a, ptrdiff_t row_stride, int m, int mr, size_t k, uint8_t flip, void *packed,
                   int32_t *sums)
{
    const uint8_t *from = a;
    int8_t *to = packed;
    for (size_t p0 = 0; p0 < k; p0 += KR)
        for (int i = 0; i < mr; ++i)
            for (size_t p = p0; p < p0 + KR; ++p) {
                const int8_t x = i < m && p < k ? (int8_t)(from[i * row_stride + (ptrdiff_t)p] ^ flip) : 0;
                *to++ = x;
                if (sums && i < m) sums[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)x);
            }
}

static void pack_b(const void *b, ptrdiff_t p_stride, ptrdiff_t j_stride, size_t k, int n, uint8_t flip, void *packed,
                   int32_t *sums)
{
    const uint8_t *from = b;
    int8_t *to = packed;
    for (size_t p0 = 0; p0 < k; p0 += KR)
        for (int j = 0; j < NR; ++j)
            for (size_t p = p0; p < p0 + KR; ++p) {
                const int8_t x = j < n && p < k ? (int8_t)(from[(ptrdiff_t)p * p_stride + j * j_stride] ^ flip) : 0;
                *to++ = x;
                if (sums && j < n) sums[j] = (int32_t)((uint32_t)sums[j] + (uint32_t)x);
            }
}

extern pqk_gemm_kernels pqk_gemm_s8_scalar;
pqk_gemm_kernels pqk_gemm_s8_scalar = {
    .nr = NR,
    .kr = KR,
    .shape = {{4, run_4}, {1, run_1}},
    .pack_a = pack_a,
    .pack_b = pack_b,
};
