/* epilogue.h -- from a tile of int32 accumulators, still in the first-level cache, to what the caller asked for:
 * zero points, scales, bias, activation, rounding to the type of c.  pyquantk.h (pqk_epilogue) has the formulas; the
 * order of the operations is part of them, so that every layer returns the same bits.
 *
 * The driver calls `finish` once for each tile; with groups along k it calls `accumulate` after each group first, and
 * `finish` then finds the float sum instead of the integers.
 *
 * Floats: no bias is +0, no scale is 1.  A clamp lets NaN pass, and every NaN that is stored is the canonical one
 * (formats/canonical_nan.h).  Integers: NaN gives the lowest, all else saturates.  Scales may be anything; out_scale is
 * finite and positive, low <= high.
 */
#ifndef PQK_GEMM_EPILOGUE_H
#define PQK_GEMM_EPILOGUE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "include/pyquantk.h"

/* What is the same for all tiles of a call. */
struct pqk_epilogue_call {
    const pqk_epilogue *e; /* checked; never NULL */
    pqk_type type;         /* of c */
    int nr;                /* row length of acc and sum: a multiple of 16 */
    /* Moved zero points of gemm.h: u[i] is a_zero_point[i] + a_flip, v[j] is b_zero_point[j] + b_flip. */
    int32_t a_flip, b_flip;
    /* The rest is made once for the call by pqk_epilogue_prepare. */
    bool has_u, has_v;        /* false where all u (all v) are 0: the sums are not needed then */
    int32_t out_min, out_max; /* of an integer type */
    bool below_quarter;       /* fixed_point_round_far of requantize/fixed_point_tpl.h will do */
    int64_t n;                /* columns of C: from group to group of b_scale */
};

struct pqk_epilogue_tile {
    const int32_t *acc;    /* [rows][nr], 64-byte aligned: what the micro-kernel left */
    float *sum;            /* the same shape, with groups; NULL without */
    int rows, columns;     /* of the tile that exist: rows <= PQK_GEMM_MAX_MR, columns <= nr */
    int64_t i, j;          /* row and column of C where it begins: a_scale[i], bias[j], ... */
    const int32_t *rowsum; /* of the tile's rows, of this group (accumulate) or of all k (finish); NULL unless has_v */
    const int32_t *colsum; /* of the tile's nr columns likewise, 64-byte aligned; NULL unless has_u */
    int32_t k;             /* the number of p in those sums, modulo 2^32; read only where has_v */
    int64_t group;         /* accumulate: which */
    char *c;               /* finish: element (0, 0), columns contiguous; nothing past rows and columns is written */
    ptrdiff_t c_row;       /* bytes from row to row */
};

struct pqk_gemm_epilogue {
    /* sum[r][j] = fma((float)exact acc of this group, b_scale[group][j], first ? 0 : sum[r][j]) */
    void (*accumulate)(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *tile, bool first);
    void (*finish)(const struct pqk_epilogue_call *call, const struct pqk_epilogue_tile *tile);
};

/* Checks everything in e that does not need the arrays' shapes, for c of `type`, and completes *call (e, type, nr and
 * the flips are set by the caller).  m and n: how many rows and columns the vectors of e have.  No kernel may be called
 * with what this has refused. */
pqk_status pqk_epilogue_prepare(struct pqk_epilogue_call *call, pqk_type a_type, pqk_type b_type, int64_t m, int64_t n);

/* The type of a slot, epilogue_gemm: pqk_epilogue_gemm_<isa>. */
typedef const struct pqk_gemm_epilogue pqk_gemm_epilogue_kernels;

#define PQK_GEMM_EPILOGUE_ALL(X) X(gemm)

#endif
