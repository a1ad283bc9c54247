/* gemm_float.h -- the float product: C (m x n) = A (m x k) B (k x n) in float32, B stored in few bits.
 *
 *     c[i][j] = the float32 result of  sum = fma(a[i][p], b[p][j], sum)  for p = 0, 1, ... k - 1, from sum = 0
 *
 * Products of a float activation with int8, 4-bit or float8 weights, and of float8 with float8, are all this: A and B
 * become float32 on the way (exactly, or by the one rounding of pqk_dequantize where B has scales along k), and the sum
 * is taken in the order of p with one rounding each, so that its bits are the same on every ISA, for any blocking and
 * any number of threads.  Lanes hold different columns j, never parts of one sum.
 *
 *   weights   weights.c                B as it is kept: panels of 32 columns, a byte an element, scales beside them
 *   kernels   ukr_tpl.h, ukr_<isa>.c   an mr x nr tile of C for a stretch of k, in registers
 *             decode_tpl.h             B to float32; for few rows of A, B to float32 and times A
 *   driver    driver.c                 decodes B a panel and KC rows at a time into the first-level cache; threads
 */
#ifndef PQK_GEMM_FLOAT_H
#define PQK_GEMM_FLOAT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pqk_float_format;

/* c[mr][nr] = (first ? 0 : c) + sum over k of a[k][mr] * b[k][nr], as above; rows of b and c are PQK_FLOAT_PANEL
 * elements apart, so that every layer reads the same packed B, and 64-byte aligned where nr allows. */
typedef void pqk_gemm_float_run(size_t k, const float *a, const float *b, float *c, bool first);

enum { PQK_FLOAT_PANEL = 32, PQK_GEMM_FLOAT_SHAPES = 6, PQK_GEMM_FLOAT_MAX_MR = 16, PQK_FLOAT_LANES = 1024 };

/* Rows of a panel as they are kept: [rows][32] bytes, any address, that mean
 *     format NULL     (float)(q - zero_point[j]) * scale[j], one rounding; q int8, or uint8 where is_unsigned
 *     otherwise       the number of that format, times scale[j] unless scale = NULL
 * scale and zero_point: of the 32 columns; zero_point may be NULL. */
struct pqk_panel_codes {
    const char *data;
    bool is_unsigned;
    const struct pqk_float_format *format;
    const float *scale;
    const int32_t *zero_point;
};

/* c[mr][32] = (first ? 0 : c) + sum over the rows p of a[p][mr] * b[p][32] likewise, b decoded on the way; c is 64-byte
 * aligned. */
typedef void pqk_gemm_float_decoded(size_t rows, const struct pqk_panel_codes *codes, const void *lanes, const float *a,
                                    float *c, bool first);

struct pqk_gemm_float {
    int nr;  /* divides PQK_FLOAT_PANEL */
    int few; /* blocks of so many rows of A and fewer are multiplied by `decoded` */
    struct pqk_gemm_float_shape {
        int mr;
        pqk_gemm_float_run *run;
        pqk_gemm_float_decoded *decoded; /* NULL: not for few rows */
    } shape[PQK_GEMM_FLOAT_SHAPES];      /* by falling mr; the last is mr = 1, with both; run = NULL past the end */
    /* What decoding this format wants to know beforehand, in PQK_FLOAT_LANES bytes at a multiple of 64. */
    void (*begin)(const struct pqk_float_format *format, void *lanes);
    /* b[rows][32] = what the codes mean; which NaN a NaN becomes is not defined.  lanes: of begin; not read where
     * format = NULL.  b is 64-byte aligned. */
    void (*decode)(size_t rows, const struct pqk_panel_codes *codes, const void *lanes, float *b);
};

typedef const struct pqk_gemm_float pqk_gemm_float_kernels;

#define PQK_GEMM_FLOAT_ALL(X) X(gemm_float)

#endif
