/* gemm.h -- the int8 product: C (m x n, int32) = A (m x k) B (k x n), exact for every input.
 *
 *   pack      pack_*.h, packed.c      A and B into the order in which a micro-kernel reads them, with their sums
 *   kernel    ukr_<isa>.c             one mr x nr tile of C, a whole group of k, in registers
 *   epilogue  epilogue_tpl.h          a tile of int32 to what the caller asked for
 *   driver    driver.c                blocks, edges and threads; no intrinsics
 *   entry     gemm.c                  checks; batches
 *
 * Signs.  A micro-kernel knows one mix: packed B is s8, packed A is u8 or s8 as `a_unsigned` says.  Packing adds 128
 * modulo 256 (flips the top bit) where the caller's type is the other one, and moves the zero point by as much, so that
 * (a - a_zero_point) stays what it was and all four mixes run the same loop.
 *
 * Zero points.  With packed a', b' and moved zero points u, v, rowsum r[i] = sum a'[i][p], colsum c[j] = sum b'[p][j]:
 *     sum (a' - u)(b' - v) = sum a' b' - u[i] c[j] - v[j] (r[i] - k u[i])          all modulo 2^32
 */
#ifndef PQK_GEMM_H
#define PQK_GEMM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "include/pyquantk.h"

/* c[i][j] = start[j] + sum over kb steps of a[step][i][kr] * b[step][j][kr], for i < mr, j < nr.  c is overwritten:
 * int32 at any address, rows c_row bytes apart, so that it can be the caller's C or the driver's tile; start: nr
 * numbers, and like b 64-byte aligned; a: any address.  Nothing else is read or written. */
typedef void pqk_gemm_run(size_t kb, const void *a, const void *b, const int32_t *start, void *c, ptrdiff_t c_row);

/* The same with A as the caller has it, rows of k contiguous bytes a_row apart, each byte xored with `flip` (0 or
 * 0x80): kb steps of kr bytes from it, and then, unless tail is NULL, one step of tail, packed.  Not a byte of a row
 * more is read. */
typedef void pqk_gemm_run_rows(size_t kb, const void *a, ptrdiff_t a_row, uint8_t flip, const void *tail, const void *b,
                               const int32_t *start, void *c, ptrdiff_t c_row);

enum { PQK_GEMM_SHAPES = 6, PQK_GEMM_MAX_MR = 16, PQK_GEMM_MAX_NR = 64, PQK_GEMM_MAX_KR = 16 };

/* The kernels of a layer.  They differ in mr only, so that one packed B serves every M: the driver cuts M into row
 * panels of these heights, and the last panel has unused rows of zeros. */
struct pqk_gemm {
    int nr, kr; /* nr a multiple of 16, and nr kr one of 32 */
    bool a_unsigned;
    bool a_wide; /* packed A is int16, two bytes an element */
    struct pqk_gemm_shape {
        int mr;
        pqk_gemm_run *run;
    } shape[PQK_GEMM_SHAPES];    /* by falling mr; the last is mr = 1; run = NULL past the end */
    pqk_gemm_run_rows *run_rows; /* of shape[0].mr rows; NULL where this layer must pack A */
    /* One row panel of A: m <= mr rows (row_stride bytes apart, k contiguous) of a group, k bytes each, into
     * a'[step][mr][kr], xor `flip` (0 or 0x80), zeros past m and k; sums[i] += the sum of row i as packed, i < m.
     * sums = NULL: nobody needs them. */
    void (*pack_a)(const void *a, ptrdiff_t row_stride, int m, int mr, size_t k, uint8_t flip, void *packed,
                   int32_t *sums);
    /* One column panel of B of a group, k rows, n <= nr columns, into b'[step][nr][kr] likewise, 64-byte aligned, and
     * sums[j], j < n; either the columns are contiguous (p_stride bytes from row to row, j_stride 1), or the rows
     * (p_stride 1). */
    void (*pack_b)(const void *b, ptrdiff_t p_stride, ptrdiff_t j_stride, size_t k, int n, uint8_t flip, void *packed,
                   int32_t *sums);
};

/* Steps of the micro-kernel for k: the last is filled up with zeros. */
static inline size_t pqk_gemm_steps(const struct pqk_gemm *g, int64_t k)
{
    return (size_t)(k / g->kr + (k % g->kr != 0));
}
/* Bytes of a step in a packed panel. */
static inline size_t pqk_gemm_a_step(const struct pqk_gemm *g, int mr) { return (size_t)(mr * g->kr) << g->a_wide; }
static inline size_t pqk_gemm_b_step(const struct pqk_gemm *g) { return (size_t)(g->nr * g->kr); }

/* The type of a slot, and the name of its tester in tests/c/harness/. */
typedef const struct pqk_gemm pqk_gemm_kernels;

#define PQK_GEMM_ALL(X) X(s8)

#endif
