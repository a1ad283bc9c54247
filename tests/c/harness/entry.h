/* entry.h -- arrays of any shape and layout for the public functions, and what they should hold afterwards. */
#ifndef HARNESS_ENTRY_H
#define HARNESS_ENTRY_H
#include "harness.h"
#include "oracle.h"

enum { ENTRY_NDIM = 5, ENTRY_BYTES = 8 << 20, ENTRY_ELEMENTS = 120000 };

/* The memory of an array between guards, and its image: the same bytes as they should be. */
struct entry_array {
    struct guard guard;
    char *image;
    pqk_array array;
    int64_t shape[ENTRY_NDIM], strides[ENTRY_NDIM];
    char *from;   /* lowest byte in use */
    size_t bytes; /* from there to the highest */
    char *window; /* what is watched: these bytes and some on either side */
    size_t window_bytes;
};

struct entry_shape {
    int ndim;
    int64_t shape[ENTRY_NDIM];
    bool blocks; /* else one parameter for all */
    int64_t block[ENTRY_NDIM], params[ENTRY_NDIM];
    int64_t elements, param_count;
};

void entry_make(struct entry_array *a);

/* Shape and granularity; packed: blocks must not cut a byte. */
struct entry_shape entry_shape_choose(struct rng *rng, bool packed, bool large);

/* Lays the array out: contiguous, Fortran, permuted, padded, negative or misaligned strides; shared: zero strides
 * too, which only an input may have.  The memory is filled with noise, and so is the image. */
void entry_layout(struct entry_array *a, struct rng *rng, const struct entry_shape *shape, pqk_type type, bool shared);

/* The next index in C order; false past the last.  Begin with zeros. */
bool entry_next(const struct entry_shape *shape, int64_t index[ENTRY_NDIM]);
size_t entry_param(const struct entry_shape *shape, const int64_t index[ENTRY_NDIM]);

/* Where the row (all but the last index) of an element begins, in the memory or in the image; *i is its place in
 * the row for types that pack elements, else 0. */
char *entry_at(const struct entry_array *a, bool image, const int64_t index[ENTRY_NDIM], size_t *i);

/* Takes the image for the memory, or asks whether they agree. */
void entry_restore(const struct entry_array *a);
bool entry_agrees(const struct entry_array *a);

/* entry_affine.c, entry_observe.c, entry_errors.c, entry_sizes.c */
void entry_affine_case(struct harness *h, uint64_t number);
void entry_observe_case(struct harness *h, uint64_t number);
void test_entry_errors(struct harness *h);
void test_entry_sizes(struct harness *h);
/* entry_environment.c: puts the CPU in an unusual floating-point environment. */
struct environment {
    uint64_t found, set;
};
struct environment environment_odd(struct rng *rng);
bool environment_restore(struct environment e); /* was it still as it was set? */

#endif
