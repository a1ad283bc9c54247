/* tiles.h -- from N-dimensional arrays with any strides and granularity to 2-D tiles, the one shape that an
 * elementwise kernel knows.
 *
 * A tile is `rows` runs of n elements; each run is contiguous in every operand.  Element (r, i) of it has the
 * parameters at index param + r * param_row + i * param_col, of which at least one is 0: parameters belong to
 * the rows, to the columns, or to the whole tile.  Granularity disappears here: an axis of length L with blocks of b is
 * split into the axes (L / b, b), of which only the first moves the parameter index; a short last block becomes a piece
 * of its own. Axes that are contiguous in all operands are merged again, so per tensor on a contiguous array is one
 * run.
 *
 * Runs that are not contiguous in some operand are gathered, 512 elements at a time, into a buffer on the stack
 * and scattered back: no array is ever copied whole.
 */
#ifndef PQK_TILES_H
#define PQK_TILES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "include/pyquantk.h"

enum { PQK_MAX_OPERANDS = 3 };

struct pqk_tile {
    size_t rows, n;
    char *data[PQK_MAX_OPERANDS];
    ptrdiff_t row_stride[PQK_MAX_OPERANDS]; /* bytes */
    ptrdiff_t param, param_row, param_col;  /* in elements of the parameter arrays */
    bool stream;                            /* the results do not fit the caches: write around them where the CPU can */
};

typedef void pqk_tile_fn(const struct pqk_tile *tile, const void *context);

/* One operand of the call.  An operand is an input, or an output (the last `outputs` of them). */
struct pqk_operands {
    const pqk_array *array[PQK_MAX_OPERANDS];
    int count, outputs;
    const int64_t *block; /* NULL: one parameter for all */
};

/* Bits of one element in memory, 0 where type is unknown: 8 for S4, 4 for S4X2. */
int pqk_type_bits(pqk_type type);

/* Checks that ndim, shapes and strides are sane and equal, that no size overflows, and the blocks and the part. */
pqk_status pqk_tiles_check(const struct pqk_operands *operands, const pqk_exec *exec);

/* The number of parameters.  After pqk_tiles_check. */
size_t pqk_tiles_param_count(const pqk_array *array, const int64_t *block);

/* Whether results of so many elements, each of `bits` bits with what it is made from, are better written around the
 * caches: they are gone from the last-level cache before anyone reads them. */
bool pqk_tiles_stream(int64_t elements, int64_t bits);

/* Calls fn for tiles that cover every element once, in any order and from several threads. */
void pqk_tiles_run(const struct pqk_operands *operands, pqk_tile_fn *fn, const void *context, const pqk_exec *exec);

#endif
