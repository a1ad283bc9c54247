/* harness.h -- what the parts of the harness share.
 *
 *     main.c           options; every kernel of every layer, by expanding PQK_ALL_OPS
 *     plan.c           which tiles are tried: all short lengths, both guards, all offsets, then random ones
 *     guard.c          memory that faults one byte past its end
 *     place.c          arrays in guarded memory, with poison around and canaries between their rows
 *     inputs.c         parameters and inputs that look for trouble
 *     affine_kernel.c  one case of a kernel(tile, affine): run, compare, report
 *     <op>.c           what is special to one operation
 *     oracle.c         the formulas again, in exact arithmetic; test_oracle.c holds the scalar layer to it
 *     entry_*.c        the public functions against a naive loop over N dimensions
 *     machine.c        control words, upper halves of registers, faults, clock
 *
 * A case is known by (seed, kernel, number): `--seed S --kernel K --case N` runs it again alone.
 */
#ifndef HARNESS_H
#define HARNESS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dispatch/dispatch.h"
#include "guard.h"
#include "random.h"

struct options {
    const char *layer;  /* this one and no other; NULL: all that run here */
    const char *limit;  /* no layer above this one; NULL: none */
    const char *kernel; /* only kernels whose name contains this */
    uint64_t seed;
    int64_t only;    /* this case alone, or -1 */
    uint64_t random; /* random cases a kernel, after the systematic ones */
    uint32_t stride; /* take every stride-th systematic case; 1 is all */
    bool bench;
};

struct harness {
    struct options options;
    const char *layer, *kernel; /* under test now */
    uint64_t cases, elements;   /* done in this layer */
    uint64_t failures;          /* in all */
};

/* The largest tile is one row of 2^16 + 1 elements; in rows, that many elements in all. */
enum { MOST_ELEMENTS = (1 << 16) + 64, MOST_ROWS = 200 };

/* Element types that a word in a kernel's name stands for: n4 is S4X2 or U4X2. */
struct word {
    const char *text;
    int types;
    pqk_type type[14];
};
/* The words of `kernel` after `operation` and '_'; ends the program where the name does not have that many. */
void words_of_kernel(const char *kernel, const char *operation, const struct word *words[2], int count);
pqk_type type_of_word(struct rng *rng, const struct word *word);
size_t bytes_of_elements(pqk_type type, size_t n);

/* ---- plan.c: the tiles to try */
struct shape {
    size_t rows, n;
    bool at_end; /* arrays end (or begin) `offset` bytes from the forbidden page */
    unsigned offset;
    bool systematic; /* one of the complete list of lengths */
};
uint64_t shape_count(const struct options *options);
struct shape shape_of_case(uint64_t index, struct rng *rng);

/* ---- place.c: one array of a tile */
struct place {
    struct guard guard;
    char *base; /* lowest byte of the rows */
    size_t rows, row_bytes, extent;
    ptrdiff_t stride;   /* of rows, may be negative */
    char *data;         /* row 0 */
    unsigned char fill; /* what lies around and between */
};
void place_make(struct place *p, size_t most_bytes);
/* Where the rows go; gap: bytes between them; backwards: row 0 is the highest. */
void place_rows(struct place *p, const struct shape *shape, size_t row_bytes, size_t gap, bool backwards);
void place_fill(struct place *p, unsigned char fill); /* the rows too */
void place_write(struct place *p, const char *rows);  /* rows one after the other */
/* NULL, or what is wrong; *at is the row and the byte in it. */
const char *place_compare(const struct place *p, const char *rows, size_t *row, size_t *byte);

/* ---- machine.c */
void machine_init(void);
void machine_before_kernel(void);
const char *machine_after_kernel(size_t n); /* NULL, or what the kernel left changed */
const char *machine_notes(void);
/* False under valgrind, whose VFNMADD is the negative of a VFMSUB and so gives zeros the wrong sign: there the curves
 * of epilogues, whose oracle is the scalar kernel, are not compared. */
bool machine_keeps_zeros(void);
extern const char *machine_running; /* printed when a fault ends the program */
extern char machine_case[256];
double machine_clock(void); /* of machine_clock_unit */
extern const char *const machine_clock_unit;

/* ---- inputs.c */
struct parameters_space { /* guarded */
    struct guard scale, inverse, zero_point;
};
void choose_parameters(struct rng *rng, struct pqk_affine *affine, const struct parameters_space *space, size_t count,
                       size_t stride, size_t base);
/* The size in x of one step of q. */
double step_of(const struct pqk_affine *affine, ptrdiff_t param);
/* Element i of a row of floats; lo, hi: the integers that x / step may become. */
void put_input(struct rng *rng, char *row, size_t i, double step, int32_t lo, int32_t hi, pqk_type type);

/* ---- affine_kernel.c */
typedef void affine_kernel(const struct pqk_tile *tile, const struct pqk_affine *affine);

struct affine_case {
    struct rng rng;
    struct shape shape;
    struct pqk_tile tile;
    struct pqk_affine affine;
    pqk_convention convention;
    int operands;
    pqk_type type[PQK_MAX_OPERANDS];
    bool in_place; /* operand 1 is operand 0 */
    char *input;   /* rows of operand 0, one after the other: the operation fills them */
};
struct affine_operation {
    int operands;
    bool may_be_in_place;
    bool any_zero_point; /* zero points need not be in [quant_min, quant_max] */
    void (*choose_types)(struct affine_case *c, const struct word *const words[2]);
    void (*fill_input)(struct affine_case *c);
};
void check_affine_kernel(struct harness *h, const struct affine_operation *operation, const struct word *const words[2],
                         affine_kernel *kernel, affine_kernel *reference);
ptrdiff_t param_of(const struct pqk_tile *tile, size_t row, size_t i);
/* Rows of floats whose quotients are around [quant_min, quant_max]. */
void fill_floats(struct affine_case *c);

/* ---- fake_quantize.c */
void choose_fake_quantize_range(struct rng *rng, struct pqk_affine *affine);

/* ---- convert.c */
void choose_cast(struct rng *rng, pqk_type from, pqk_type to, struct pqk_convert *c);
/* Element i of a row of a wide type: numbers of the target's range, its ends and ties. */
void put_cast_input(struct rng *rng, char *row, size_t i, pqk_type type, const struct pqk_float_format *target);

/* ---- a tester for each kind of kernel in kernels.h, named after the type of its function */
void test_pqk_quantize_fn(struct harness *h, pqk_quantize_fn *kernel, pqk_quantize_fn *reference);
void test_pqk_dequantize_fn(struct harness *h, pqk_dequantize_fn *kernel, pqk_dequantize_fn *reference);
void test_pqk_fake_quantize_fn(struct harness *h, pqk_fake_quantize_fn *kernel, pqk_fake_quantize_fn *reference);
void test_pqk_convert_fn(struct harness *h, pqk_convert_fn *kernel, pqk_convert_fn *reference);
void test_pqk_dynamic_fn(struct harness *h, pqk_dynamic_fn *kernel, pqk_dynamic_fn *reference);
void test_pqk_observe_fn(struct harness *h, pqk_observe_fn *kernel, pqk_observe_fn *reference);
void test_pqk_requantize_fn(struct harness *h, pqk_requantize_fn *kernel, pqk_requantize_fn *reference);

/* ---- test_oracle.c and entry_*.c; each adds to h->cases, h->elements, h->failures */
void test_oracle(struct harness *h);
void oracle_pqk_convert_fn(struct harness *h, pqk_convert_fn *kernel);       /* oracle_convert.c */
void oracle_pqk_dynamic_fn(struct harness *h, pqk_dynamic_fn *kernel);       /* dynamic.c */
void oracle_pqk_requantize_fn(struct harness *h, pqk_requantize_fn *kernel); /* requantize.c */
void test_entries(struct harness *h);

/* Counts a failure and says whether it should be printed: the first few of a kernel are enough. */
bool report(struct harness *h);

#endif
