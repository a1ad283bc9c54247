/* plan.h -- the loop nest of one call, inside tiles/: axes from outer to inner, then cut into tasks. */
#ifndef PQK_TILES_PLAN_H
#define PQK_TILES_PLAN_H
#include "tiles/tiles.h"

enum {
    PQK_MAX_AXES = 2 * PQK_MAX_NDIM + 2, /* every axis may be split in two; rows and run always exist */
    PQK_MAX_SHORT = 8                    /* axes whose last block is short: 2^8 pieces at most */
};

struct pqk_plan_axis {
    int64_t n;
    int64_t bits[PQK_MAX_OPERANDS]; /* stride in bits, so that packed types are nothing special */
    int64_t param;                  /* stride of the parameter index */
};

struct pqk_plan {
    int axes; /* >= 2: the last is the run of a tile, the one before it the rows */
    struct pqk_plan_axis axis[PQK_MAX_AXES];
    char *data[PQK_MAX_OPERANDS];
    int64_t param;
    int operands, outputs;
    int element_bits[PQK_MAX_OPERANDS];
    int64_t tile_rows, tile_n;    /* how the last two axes are cut */
    int64_t row_tiles, run_tiles; /* into how many */
    int64_t tasks;                /* times the outer axes */
    bool contiguous;              /* every run is, in every operand */
    bool stream;
};

/* The number of axes with a short last block, or -1 where there are more than PQK_MAX_SHORT. */
int pqk_plan_short_axes(const pqk_array *array, const int64_t *block);

/* The plan of one piece: bit i of `piece` says whether the i-th short axis gives its last block or the rest. */
void pqk_plan_make(struct pqk_plan *plan, const struct pqk_operands *operands, unsigned piece, int threads);

/* Task `index` of the plan as a tile. */
void pqk_plan_tile(const struct pqk_plan *plan, int64_t index, struct pqk_tile *tile);

#endif
