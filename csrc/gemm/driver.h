/* driver.h -- one product of two matrices: blocks, edges, threads.
 *
 * The entry fills a job, asks how much scratch it takes, and runs it; nothing can fail any more then.  A comes from an
 * array, or row panel by row panel from a function (pqk_linear quantizes there); B is packed, or is packed on the way.
 */
#ifndef PQK_GEMM_DRIVER_H
#define PQK_GEMM_DRIVER_H
#include "gemm/epilogue.h"
#include "gemm/packed.h"

struct pqk_gemm_job;

/* One row panel of packed A: rows [row, row + m) of the job's A, m <= mr, in `packed` with step s of group g at
 * (g * cut.steps + s) * pqk_gemm_a_step(kernels, mr).  sums[g * sums_group + r] is the sum of row r, group g, and is 0
 * before; NULL where nobody needs it. */
struct pqk_gemm_a_panel {
    int64_t row;
    int m, mr;
    uint8_t *packed;
    int32_t *sums;
    ptrdiff_t sums_group;
};

/* Fills a panel; each row once or more a call, from any thread. */
typedef void pqk_gemm_fill(const struct pqk_gemm_job *job, const struct pqk_gemm_a_panel *panel, void *context);

struct pqk_gemm_job {
    const struct pqk_gemm *kernels;
    const struct pqk_gemm_epilogue *epilogue;
    const struct pqk_epilogue_call *call;
    struct pqk_gemm_cut cut;
    bool grouped;                             /* accumulate after each group */
    int64_t row, row_end, column, column_end; /* what of C to compute; not empty */

    const char *a; /* element (0, 0); or, with fill, nothing */
    ptrdiff_t a_row, a_col;
    uint8_t a_flip;
    pqk_gemm_fill *fill; /* NULL: A is the array */
    void *fill_context;

    int64_t n;                       /* columns of B */
    const struct pqk_packed *packed; /* of the same cut, or with groups of whole steps; or NULL, and */
    struct pqk_gemm_b_source b;

    char *c; /* element (0, 0) */
    ptrdiff_t c_row, c_col;
    int c_size; /* bytes of an element */

    int threads; /* that may work on it, >= 1 */
};

/* Packs columns [p, p + k) of the panel's rows: p from the start of the group a multiple of kr, k not past its end.
 * a: element (first row, p), k contiguous.  For a pqk_gemm_fill that makes A piece by piece. */
void pqk_gemm_pack_rows(const struct pqk_gemm_job *job, const struct pqk_gemm_a_panel *panel, int64_t p, size_t k,
                        const void *a, ptrdiff_t row_stride, uint8_t flip);

/* Can `packed` be read with this cut as it lies?  Otherwise it is a b source. */
bool pqk_gemm_packed_fits(const struct pqk_packed *packed, const struct pqk_gemm_cut *cut, bool needs_group_sums);

/* Bytes that pqk_gemm_drive wants, 64-byte aligned; false where that overflows. */
bool pqk_gemm_scratch(const struct pqk_gemm_job *job, size_t *bytes);

void pqk_gemm_drive(const struct pqk_gemm_job *job, void *scratch);

/* How many threads so many rows, columns and k are worth, at most pqk_get_num_threads(). */
int pqk_gemm_threads(int64_t m, int64_t n, int64_t k);

#endif
