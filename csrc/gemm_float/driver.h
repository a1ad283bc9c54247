/* driver.h -- one float product: blocks, edges, threads; see driver.c. */
#ifndef PQK_GEMM_FLOAT_DRIVER_H
#define PQK_GEMM_FLOAT_DRIVER_H
#include <stdint.h>
#include "gemm/epilogue.h"
#include "gemm_float/weights.h"

struct pqk_gemm_float_job {
    const struct pqk_gemm_float *kernels;
    const struct pqk_gemm_epilogue *epilogue;
    const struct pqk_epilogue_call *call; /* nr = PQK_FLOAT_PANEL */
    const struct pqk_weights *w;
    int64_t row, row_end, column, column_end; /* what of C to compute; not empty */

    const char *a; /* element (0, 0) of A, of any float type, 8-bit ones included */
    pqk_type a_type;
    ptrdiff_t a_row, a_col;

    char *c;
    ptrdiff_t c_row, c_col;
    int c_size; /* bytes of an element */
    int threads;
};

/* Bytes of scratch that pqk_gemm_float_drive wants, 64-byte aligned; false where that overflows. */
bool pqk_gemm_float_scratch(const struct pqk_gemm_float_job *job, size_t *bytes);

void pqk_gemm_float_drive(const struct pqk_gemm_float_job *job, void *scratch);

#endif
