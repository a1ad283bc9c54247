/* weights.h -- what is inside a pqk_weights, and how a piece of it becomes float32.
 *
 *     panel 0             panel 1 ...      each panel: 32 columns, row after row, elements as they were;
 *     [k][32 elements]                     columns past n are zeros
 *
 * Scales and zero points lie likewise, [group][panels * 32]: a group is what shares them along k.  The layout is the
 * same on every layer.
 */
#ifndef PQK_GEMM_FLOAT_WEIGHTS_H
#define PQK_GEMM_FLOAT_WEIGHTS_H
#include "gemm_float/gemm_float.h"
#include "include/pyquantk.h"

struct pqk_weights {
    pqk_type type;
    const struct pqk_float_format *format; /* NULL: integers, kept as int8 or uint8 whatever their width */
    bool is_unsigned;
    int64_t k, n, panels;
    int64_t group, groups; /* rows that share a scale: k and 1 without groups */
    size_t row_bytes, panel_bytes, bytes;
    char *data;          /* 64-byte aligned */
    float *scale;        /* [groups][panels * 32]; NULL: a float type without scales */
    int32_t *zero_point; /* likewise; NULL: all 0 */
};

/* Writes the plain (K, N) matrix to b, C-contiguous, a byte an element; of types with fewer bits the value. */
void pqk_weights_unpack(const struct pqk_weights *w, char *b);

/* Rows of a panel from row p on, up to the end of its group. */
void pqk_weights_codes(const struct pqk_weights *w, int64_t panel, int64_t p, struct pqk_panel_codes *codes);

#endif
