/* packed.h -- how k is cut, and what is inside a pqk_packed.
 *
 * Without groups all of k is one group.  Each group is filled up with zeros to a multiple of kr, so that a micro-kernel
 * runs over whole steps:
 *
 *     panel 0                                   panel 1 ...          each panel: nr columns
 *     | group 0      | group 1      | last    | ...
 *     [step][nr][kr]
 *
 * Sums lie panel by panel too: group_sums[panel][group][nr], and sums[panel][nr] of all k.
 */
#ifndef PQK_GEMM_PACKED_H
#define PQK_GEMM_PACKED_H
#include "gemm/gemm.h"

struct pqk_gemm_cut {
    int64_t k;
    int64_t group;  /* length of all groups but the last, >= 1 */
    int64_t groups; /* 0 only where k = 0 and there are groups */
    size_t steps;   /* of a group but the last, */
    size_t all;     /* and of all of them */
};

/* False, and nothing set, where the sizes overflow. */
bool pqk_gemm_cut_make(struct pqk_gemm_cut *cut, const struct pqk_gemm *kernels, int64_t k, int64_t group_size);

static inline int64_t pqk_gemm_group_length(const struct pqk_gemm_cut *cut, int64_t g)
{
    return g < cut->groups - 1 ? cut->group : cut->k - g * cut->group;
}

struct pqk_packed {
    const struct pqk_gemm *kernels; /* that read it */
    struct pqk_gemm_cut cut;
    int64_t n, panels, group_size;
    pqk_type type;
    int layer;
    uint8_t flip; /* what was xored to each byte */
    size_t bytes;
    size_t panel_bytes;
    uint8_t *data;       /* 64-byte aligned, like the sums */
    int32_t *group_sums; /* the same array as sums where there is one group */
    int32_t *sums;
};

/* A matrix B of any strides, or a packed one that is to be read with other groups. */
struct pqk_gemm_b_source {
    const char *data;
    ptrdiff_t p_stride, j_stride;
    uint8_t flip;
    const struct pqk_packed *packed; /* NULL, or instead of the three above */
};

/* Where packed columns go; sums may be NULL. */
struct pqk_gemm_b_panels {
    uint8_t *data;
    size_t panel_bytes;
    int32_t *group_sums; /* [panel][groups][nr] */
    int32_t *sums;       /* [panel][nr], group_sums itself where groups = 1 */
};

/* Is the array's shape sane, and does it lie within the address space? */
pqk_status pqk_gemm_check_array(const pqk_array *array);

/* Bytes of an element of the types that a product reads or writes; 0 for any other. */
int pqk_gemm_type_size(pqk_type type);

/* Is there a byte between the first and the last of both? */
bool pqk_gemm_overlap(const pqk_array *a, const pqk_array *b);
/* Of a (of any type with a size), b or packed, and c: equal batches, matching inner sizes, no overlap with c. */
pqk_status pqk_gemm_check_shapes(const pqk_array *a, const pqk_array *b, const pqk_packed *packed, const pqk_array *c);
pqk_status pqk_gemm_check_range(const pqk_range *range, int64_t m, int64_t n);

/* Strides of its last two axes. */
void pqk_gemm_strides(const pqk_array *array, ptrdiff_t *row, ptrdiff_t *column);

/* Packs columns [j, j + n) of the source, j and n any numbers, into panels that begin with column j. */
void pqk_gemm_pack_columns(const struct pqk_gemm *kernels, const struct pqk_gemm_cut *cut,
                           const struct pqk_gemm_b_source *source, int64_t j, int64_t n,
                           const struct pqk_gemm_b_panels *to);

#endif
