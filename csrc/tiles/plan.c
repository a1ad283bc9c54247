/* plan.c -- splits, sorts and merges axes, and cuts the result into tasks (plan.h, tiles.h). */
#include "tiles/plan.h"
#include "core/macros.h"

/* Tasks of this many elements: small enough to balance two unequal cores, large enough to hide a hand-out. */
enum { GRAIN_MIN = 16 << 10, GRAIN_MAX = 256 << 10, RUN_MULTIPLE = 512 };

/* Beyond this many bytes read and written the results are gone from the last-level cache before anyone reads
 * them, and writing around it saves reading each line of the output first (csrc/README.md has the numbers). */
static const int64_t STREAM_BYTES = 32 << 20;

bool pqk_tiles_stream(int64_t elements, int64_t bits) { return elements / 8 > STREAM_BYTES / bits; }

static int64_t block_of(const pqk_array *array, const int64_t *block, int d)
{
    const int64_t n = array->shape[d];
    return !block || block[d] > n ? n : block[d];
}

int pqk_plan_short_axes(const pqk_array *array, const int64_t *block)
{
    int count = 0;
    for (int d = 0; d < array->ndim; ++d)
        if (array->shape[d] > 0 && array->shape[d] % block_of(array, block, d)) ++count;
    return count <= PQK_MAX_SHORT ? count : -1;
}

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

/* The strides in bits of every axis of one operand. */
static void strides_in_bits(const pqk_array *a, int64_t *bits)
{
    const int element = pqk_type_bits(a->type);
    int64_t next = element;
    for (int d = a->ndim - 1; d >= 0; --d) {
        bits[d] = a->strides && !(element < 8 && d == a->ndim - 1) ? a->strides[d] * 8 : next;
        next = bits[d] * a->shape[d];
        next = (next + 7) / 8 * 8; /* rows of packed types end at a byte */
    }
}

static void push_axis(struct pqk_plan *p, int64_t n, const int64_t *bits, int64_t times, int64_t param, bool keep)
{
    if (n == 1 && !keep) return;
    struct pqk_plan_axis *axis = &p->axis[p->axes++];
    axis->n = n;
    axis->param = param;
    for (int o = 0; o < p->operands; ++o) axis->bits[o] = bits[o] * times;
}

/* Outer to inner by the stride of the last operand, the output: whatever order the caller's axes have, memory
 * is then walked in order.  Axes from `fixed` on stay last: packed runs cannot be walked across. */
static void sort_axes(struct pqk_plan *p, int fixed)
{
    const int key = p->operands - 1;
    for (int i = 1; i < fixed; ++i) {
        const struct pqk_plan_axis moving = p->axis[i];
        int j = i;
        for (; j > 0 && magnitude(p->axis[j - 1].bits[key]) < magnitude(moving.bits[key]); --j)
            p->axis[j] = p->axis[j - 1];
        p->axis[j] = moving;
    }
}

static bool mergeable(const struct pqk_plan *p, const struct pqk_plan_axis *outer, const struct pqk_plan_axis *inner)
{
    bool same = outer->param == inner->param * inner->n;
    for (int o = 0; o < p->operands; ++o) same = same && outer->bits[o] == inner->bits[o] * inner->n;
    return same;
}

static void merge_axes(struct pqk_plan *p)
{
    int kept = 0;
    for (int i = 1; i < p->axes; ++i) {
        struct pqk_plan_axis *outer = &p->axis[kept];
        const struct pqk_plan_axis inner = p->axis[i];
        if (mergeable(p, outer, &inner)) {
            const int64_t n = outer->n * inner.n;
            *outer = inner;
            outer->n = n;
        } else {
            p->axis[++kept] = inner;
        }
    }
    if (p->axes) p->axes = kept + 1;
}

/* A tile needs rows and a run; where both move the parameter index, each row becomes a tile of its own. */
static void add_missing_axes(struct pqk_plan *p)
{
    struct pqk_plan_axis one = {.n = 1};
    for (int o = 0; o < p->operands; ++o) one.bits[o] = p->element_bits[o];
    if (p->axes == 0) p->axis[p->axes++] = one;
    const struct pqk_plan_axis *run = &p->axis[p->axes - 1];
    const bool lonely = p->axes == 1;
    if (lonely || (run->param != 0 && p->axis[p->axes - 2].param != 0)) {
        p->axis[p->axes] = p->axis[p->axes - 1];
        p->axis[p->axes - 1] = one;
        ++p->axes;
    }
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t clamp(int64_t x, int64_t lo, int64_t hi) { return x < lo ? lo : x > hi ? hi : x; }

static void cut_into_tasks(struct pqk_plan *p, int threads)
{
    int64_t outer = 1, elements = 1, bits = 0;
    for (int i = 0; i < p->axes - 2; ++i) outer *= p->axis[i].n;
    const int64_t rows = p->axis[p->axes - 2].n, n = p->axis[p->axes - 1].n;
    elements = outer * rows * n;
    for (int o = 0; o < p->operands; ++o) bits += p->element_bits[o];
    p->stream = pqk_tiles_stream(elements, bits);
    p->tile_rows = rows;
    p->tile_n = n;
    if (threads > 1 && elements >= 2 * GRAIN_MIN) {
        const int64_t grain = clamp(elements / (8 * (int64_t)threads), GRAIN_MIN, GRAIN_MAX);
        if (n > 2 * grain) {
            p->tile_rows = 1;
            p->tile_n = ceil_div(grain, RUN_MULTIPLE) * RUN_MULTIPLE;
        } else {
            p->tile_rows = clamp(grain / n, 1, rows);
        }
    }
    p->row_tiles = ceil_div(rows, p->tile_rows);
    p->run_tiles = ceil_div(n, p->tile_n);
    p->tasks = outer * p->row_tiles * p->run_tiles;
}

void pqk_plan_make(struct pqk_plan *p, const struct pqk_operands *operands, unsigned piece, int threads)
{
    const pqk_array *first = operands->array[0];
    int64_t bits[PQK_MAX_OPERANDS][PQK_MAX_NDIM], params[PQK_MAX_NDIM + 1];
    bool packed = false;

    p->axes = 0;
    p->param = 0;
    p->operands = operands->count;
    p->outputs = operands->outputs;
    for (int o = 0; o < p->operands; ++o) {
        p->element_bits[o] = pqk_type_bits(operands->array[o]->type);
        p->data[o] = operands->array[o]->data;
        packed = packed || p->element_bits[o] < 8;
        strides_in_bits(operands->array[o], bits[o]);
    }
    params[first->ndim] = 1; /* params[d]: parameters along axes d and later */
    for (int d = first->ndim - 1; d >= 0; --d)
        params[d] = params[d + 1] * ceil_div(first->shape[d], block_of(first, operands->block, d));

    int fixed = 0; /* where the axes made from a packed last axis begin */
    for (int d = 0; d < first->ndim; ++d) {
        const int64_t n = first->shape[d], b = block_of(first, operands->block, d), rest = n % b;
        int64_t here[PQK_MAX_OPERANDS];
        for (int o = 0; o < p->operands; ++o) here[o] = bits[o][d];
        const bool keep = packed && d == first->ndim - 1; /* a packed run stays a run, even of one element */
        if (d == first->ndim - 1) fixed = p->axes;
        if (rest) { /* two pieces: the whole blocks, and the short one */
            const bool last = piece & 1;
            piece >>= 1;
            if (last) {
                for (int o = 0; o < p->operands; ++o) p->data[o] += (n - rest) * here[o] / 8;
                p->param += n / b * params[d + 1];
                push_axis(p, rest, here, 1, 0, keep);
                continue;
            }
        }
        push_axis(p, n / b, here, b, params[d + 1], keep && b == 1);
        push_axis(p, b, here, 1, 0, keep && b > 1);
    }
    sort_axes(p, packed ? fixed : p->axes);
    merge_axes(p);
    add_missing_axes(p);

    p->contiguous = true;
    const struct pqk_plan_axis *run = &p->axis[p->axes - 1];
    for (int o = 0; o < p->operands; ++o)
        p->contiguous = p->contiguous && (run->n == 1 || run->bits[o] == p->element_bits[o]);
    cut_into_tasks(p, threads);
}

void pqk_plan_tile(const struct pqk_plan *p, int64_t index, struct pqk_tile *tile)
{
    int64_t offset[PQK_MAX_OPERANDS] = {0}, at[PQK_MAX_AXES];
    int64_t param = p->param;
    const struct pqk_plan_axis *rows = &p->axis[p->axes - 2], *run = &p->axis[p->axes - 1];

    at[p->axes - 1] = index % p->run_tiles * p->tile_n;
    index /= p->run_tiles;
    at[p->axes - 2] = index % p->row_tiles * p->tile_rows;
    index /= p->row_tiles;
    for (int i = p->axes - 3; i >= 0; --i) {
        at[i] = index % p->axis[i].n;
        index /= p->axis[i].n;
    }
    for (int i = 0; i < p->axes; ++i) {
        param += at[i] * p->axis[i].param;
        for (int o = 0; o < p->operands; ++o) offset[o] += at[i] * p->axis[i].bits[o];
    }
    const int64_t rows_left = rows->n - at[p->axes - 2], n_left = run->n - at[p->axes - 1];
    tile->rows = (size_t)(rows_left < p->tile_rows ? rows_left : p->tile_rows);
    tile->n = (size_t)(n_left < p->tile_n ? n_left : p->tile_n);
    for (int o = 0; o < p->operands; ++o) {
        tile->data[o] = p->data[o] + offset[o] / 8;
        tile->row_stride[o] = (ptrdiff_t)(rows->bits[o] / 8);
    }
    tile->param = (ptrdiff_t)param;
    tile->param_row = (ptrdiff_t)rows->param;
    tile->param_col = (ptrdiff_t)run->param;
    tile->stream = p->stream;
}
