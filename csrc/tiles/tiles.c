/* tiles.c -- runs a plan: checks, pieces, threads, and the buffers for runs that are not contiguous. */
#include "tiles/tiles.h"
#include "core/macros.h"
#include "core/fpenv.h"
#include "core/pool.h"
#include "tiles/gather.h"
#include "tiles/plan.h"

int pqk_type_bits(pqk_type type)
{
    switch (type) {
    case PQK_F32:
    case PQK_S32:
        return 32;
    case PQK_F16:
    case PQK_BF16:
    case PQK_S16:
    case PQK_U16:
        return 16;
    case PQK_S8:
    case PQK_U8:
    case PQK_S4:
    case PQK_U4:
    case PQK_S2:
    case PQK_U2:
    case PQK_E4M3FN:
    case PQK_E5M2:
    case PQK_E4M3FNUZ:
    case PQK_E5M2FNUZ:
    case PQK_E4M3B11FNUZ:
    case PQK_E4M3:
    case PQK_E3M4:
    case PQK_E2M3FN:
    case PQK_E3M2FN:
    case PQK_E2M1FN:
    case PQK_E8M0FNU:
        return 8;
    case PQK_E2M3FNX4:
    case PQK_E3M2FNX4:
        return 6;
    case PQK_S4X2:
    case PQK_U4X2:
    case PQK_E2M1FNX2:
        return 4;
    case PQK_S2X4:
    case PQK_U2X4:
        return 2;
    }
    return 0;
}

static pqk_status check_array(const pqk_array *a, const pqk_array *like)
{
    if (!pqk_type_bits(a->type)) return PQK_ERROR_TYPE;
    if (a->ndim < 0 || a->ndim > PQK_MAX_NDIM || a->ndim != like->ndim) return PQK_ERROR_SHAPE;
    int64_t room = INT64_MAX / 64; /* elements, such that their bits and one more axis cannot overflow */
    for (int d = 0; d < a->ndim; ++d) {
        if (a->shape[d] < 0 || a->shape[d] != like->shape[d]) return PQK_ERROR_SHAPE;
        if (a->shape[d] > room) return PQK_ERROR_SHAPE;
        if (a->shape[d]) room /= a->shape[d];
        if (a->strides && (a->strides[d] > INT64_MAX / 64 || a->strides[d] < -(INT64_MAX / 64))) return PQK_ERROR_SHAPE;
    }
    return PQK_OK;
}

static pqk_status check_block(const struct pqk_operands *operands)
{
    const pqk_array *first = operands->array[0];
    if (!operands->block) return PQK_OK;
    for (int d = 0; d < first->ndim; ++d) {
        const int64_t b = operands->block[d];
        if (b < 1) return PQK_ERROR_BLOCK;
        if (d < first->ndim - 1 || b >= first->shape[d] || b == 1) continue;
        for (int o = 0; o < operands->count; ++o)
            if (b % 4 * pqk_type_bits(operands->array[o]->type) % 8) return PQK_ERROR_BLOCK;
    }
    return pqk_plan_short_axes(first, operands->block) < 0 ? PQK_ERROR_BLOCK : PQK_OK;
}

pqk_status pqk_tiles_check(const struct pqk_operands *operands, const pqk_exec *exec)
{
    if (exec && exec->parts > 0 && (exec->part < 0 || exec->part >= exec->parts)) return PQK_ERROR_PART;
    for (int o = 0; o < operands->count; ++o) {
        const pqk_status status = check_array(operands->array[o], operands->array[0]);
        if (status) return status;
    }
    return check_block(operands);
}

size_t pqk_tiles_param_count(const pqk_array *array, const int64_t *block)
{
    size_t count = 1;
    for (int d = 0; block && d < array->ndim; ++d) {
        const int64_t n = array->shape[d];
        count *= (size_t)(n == 0 ? 0 : block[d] >= n ? 1 : (n + block[d] - 1) / block[d]);
    }
    return count;
}

struct call {
    const struct pqk_plan *plan;
    pqk_tile_fn *fn;
    const void *context;
};

/* One run of one row, 512 elements at a time, through buffers wherever an operand is not contiguous. */
static void run_gathered(const struct call *call, const struct pqk_tile *tile, size_t row)
{
    enum { CHUNK = 512 };
    PQK_ALIGNED(64) char buffer[PQK_MAX_OPERANDS][CHUNK * 4];
    const struct pqk_plan *plan = call->plan;
    const struct pqk_plan_axis *run = &plan->axis[plan->axes - 1];
    const int first_output = plan->operands - plan->outputs;

    for (size_t i = 0; i < tile->n; i += CHUNK) {
        struct pqk_tile part = {.rows = 1, .n = tile->n - i < CHUNK ? tile->n - i : CHUNK};
        char *home[PQK_MAX_OPERANDS];
        part.param = tile->param + (ptrdiff_t)row * tile->param_row + (ptrdiff_t)i * tile->param_col;
        part.param_col = tile->param_col;
        for (int o = 0; o < plan->operands; ++o) {
            const bool direct = run->bits[o] == plan->element_bits[o];
            home[o] = tile->data[o] + (ptrdiff_t)row * tile->row_stride[o] + (ptrdiff_t)i * run->bits[o] / 8;
            part.data[o] = direct ? home[o] : buffer[o];
            if (!direct && o < first_output)
                pqk_gather(buffer[o], home[o], run->bits[o] / 8, part.n, plan->element_bits[o] / 8);
        }
        call->fn(&part, call->context);
        for (int o = first_output; o < plan->operands; ++o)
            if (part.data[o] != home[o])
                pqk_scatter(home[o], buffer[o], run->bits[o] / 8, part.n, plan->element_bits[o] / 8);
    }
}

static void run_task(void *context, size_t index)
{
    const struct call *call = context;
    struct pqk_tile tile;
    pqk_plan_tile(call->plan, (int64_t)index, &tile);
    if (call->plan->contiguous) {
        call->fn(&tile, call->context);
        return;
    }
    for (size_t row = 0; row < tile.rows; ++row) run_gathered(call, &tile, row);
}

static void run_piece(const struct call *call, const pqk_exec *exec)
{
    const int64_t tasks = call->plan->tasks;
    if (!exec || exec->parts <= 0) {
        pqk_pool_run((size_t)tasks, run_task, (void *)call, 0);
        return;
    }
    /* tasks * part cannot overflow: fewer than 2^57 / 2^14 tasks have more than one element each */
    const int64_t share = tasks / exec->parts, extra = tasks % exec->parts, part = exec->part;
    const int64_t begin = share * part + (part < extra ? part : extra);
    const int64_t end = begin + share + (part < extra);
    const pqk_fpenv found = pqk_fpenv_enter();
    for (int64_t i = begin; i < end; ++i) run_task((void *)call, (size_t)i);
    pqk_fpenv_leave(found);
}

void pqk_tiles_run(const struct pqk_operands *operands, pqk_tile_fn *fn, const void *context, const pqk_exec *exec)
{
    const pqk_array *first = operands->array[0];
    for (int d = 0; d < first->ndim; ++d)
        if (first->shape[d] == 0) return;

    const int threads = exec && exec->parts > 0 ? exec->parts : pqk_get_num_threads();
    const unsigned pieces = 1u << pqk_plan_short_axes(first, operands->block);
    for (unsigned piece = 0; piece < pieces; ++piece) {
        struct pqk_plan plan;
        pqk_plan_make(&plan, operands, piece, threads);
        run_piece(&(struct call){&plan, fn, context}, exec);
    }
}
