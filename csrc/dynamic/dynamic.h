/* dynamic.h -- blocks quantized by their own range: the contract of every dynamic kernel.
 *
 *     scale[r] = rule(max over d, i of |x[r, d, i]|)
 *     q[r, d, i] = x[r, d, i] / (scale[r] * step), rounded half to even, saturating
 *
 * Each row of the tile is the first layer of a block (param_col == 0), which has `depth` of them.  Operand 0 is x (F32,
 * F16, BF16), operand 1 is q: a narrow float type, or S8.  The scale of row r goes to index param + r * param_row.  No
 * alignment is required, and nothing outside the blocks' rows is read or written, except that a packed row writes its
 * last byte whole, padded with zero bits.  scale_rule.h says what NaN and infinities do.
 *
 * A block whose numbers need more care than a product gets it from `divide`: NaN, infinities, far scales.
 *
 * Every kernel returns the bits that the scalar one returns, and those are IEEE 754 quotients.
 */
#ifndef PQK_DYNAMIC_H
#define PQK_DYNAMIC_H
#include "dynamic/scale_rule.h"
#include "formats/small_float.h"
#include "tiles/tiles.h"

struct pqk_dynamic_rows {
    struct pqk_scale_rule rule;
    const struct pqk_float_format *format; /* NULL: S8 */
    int bits;                              /* of an element in memory */
    char *scale;                           /* floats or codes, as the rule has them */
    size_t depth;                          /* layers, at least 1 */
    ptrdiff_t depth_stride[2];             /* bytes from one to the next, of x and q */
    /* Quantizes a tile, whose row r is to be divided by divisor[r], in any way. */
    void (*divide)(const struct pqk_tile *tile, const float *divisor, const void *context);
    const void *context;
};

typedef void pqk_dynamic_fn(const struct pqk_tile *tile, const struct pqk_dynamic_rows *how);

/* Kernels: dynamic_<type>. */
#define PQK_DYNAMIC_ALL(X) X(f32) X(f16) X(bf16)

#endif
