/* chunks.h -- an array cut into boxes of whole blocks, small enough that what is read once is still in the
 * second-level cache when it is read again.
 *
 * A chunk is a view: its data, its shape, and the strides of the whole array.  Chunks lie along the axes with the
 * smallest strides, so that memory is walked in order.
 */
#ifndef PQK_CHUNKS_H
#define PQK_CHUNKS_H
#include "tiles/tiles.h"

enum { PQK_CHUNK_BLOCKS = 1024 }; /* at most, so that what belongs to them fits a stack */

struct pqk_chunks {
    const pqk_array *x, *q;
    int64_t block[PQK_MAX_NDIM]; /* at most the axis */
    int64_t blocks[PQK_MAX_NDIM];
    int64_t step[PQK_MAX_NDIM]; /* blocks of a chunk along each axis */
    int64_t x_stride[PQK_MAX_NDIM], q_stride[PQK_MAX_NDIM];
    int64_t count;
    bool stream; /* q is better written around the caches */
};

/* x and q of one shape, checked, not empty, with blocks of at most `limit` elements. */
void pqk_chunks_make(struct pqk_chunks *chunks, const pqk_array *x, const pqk_array *q, const int64_t *block,
                     int threads);

/* Blocks of more elements than this are not for a chunk. */
int64_t pqk_chunks_limit(const pqk_array *x);

struct pqk_chunk {
    pqk_array x, q;
    int64_t shape[PQK_MAX_NDIM];
    int64_t first[PQK_MAX_NDIM], blocks[PQK_MAX_NDIM]; /* by axis, of the array's blocks */
    size_t count;                                      /* of its blocks */
};
/* The views point into `chunks` and into `chunk`. */
void pqk_chunks_take(const struct pqk_chunks *chunks, int64_t index, struct pqk_chunk *chunk);

/* Copies the chunk's numbers, `size` bytes for each of its blocks in C order, to where the array's blocks have them. */
void pqk_chunks_give(const struct pqk_chunks *chunks, const struct pqk_chunk *chunk, const char *numbers, char *to,
                     size_t size);

#endif
