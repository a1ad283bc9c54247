/* dynamic.c -- pqk_quantize_dynamic(): checks, and four ways.
 *
 *   blocks that are runs of memory   the kernels of dynamic.h
 *   rectangles of such runs          the same, a chunk of them at a time, which is still in the second-level cache
 *   other blocks                     chunks of them are observed, given their scales and quantized while they are in
 *                                    the cache, by the kernels of those operations
 *   blocks larger than a chunk       read twice, by all threads
 *
 * The bits are those of pqk_observe, the rule, and pqk_quantize one after the other.
 */
#include <math.h>
#include "affine/affine.h"
#include "convert/convert.h"
#include "core/arena.h"
#include "core/memory.h"
#include "core/pool.h"
#include "dispatch/dispatch.h"
#include "dynamic/chunks.h"
#include "dynamic/dynamic.h"

/* How elements become codes once there are scales: a cast, or for integer types an affine kernel. */
struct elements {
    pqk_convert_fn *cast;
    struct pqk_convert convert;
    pqk_quantize_fn *quantize;
    struct pqk_affine affine;
};

struct job {
    struct pqk_scale_rule rule;
    struct elements elements;
    struct pqk_chunks chunks;
    char *scale;
    int deep; /* of blocks that are rectangles: the axis along which their rows lie */
};

static void run_tile(const struct pqk_tile *tile, const void *context)
{
    const struct elements *e = context;
    if (e->cast)
        e->cast(tile, &e->convert);
    else
        e->quantize(tile, &e->affine);
}

/* Divides by `divisor`, by all threads or as exec says. */
static void quantize(struct elements e, const pqk_array *x, const pqk_array *q, const int64_t *block,
                     const float *divisor, const pqk_exec *exec)
{
    const struct pqk_operands operands = {
        {x, q},
        2, 1, block
    };
    e.convert.scale = divisor;
    e.affine.scale = divisor;
    pqk_tiles_run(&operands, run_tile, &e, exec);
}

struct observe_job {
    pqk_observe_fn *kernel;
    struct pqk_observe_out out;
};
static void observe_tile(const struct pqk_tile *tile, const void *context)
{
    const struct observe_job *job = context;
    job->kernel(tile, &job->out);
}

static void observe_here(const pqk_array *x, const int64_t *block, const pqk_statistics *to, size_t count)
{
    static const pqk_exec here = {0, 1};
    const struct pqk_kernels *k = pqk_active_kernels();
    const struct pqk_operands operands = {{x}, 1, 0, block};
    const struct observe_job job = {
        x->type == PQK_F32   ? k->observe_f32
        : x->type == PQK_F16 ? k->observe_f16
                             : k->observe_bf16,
        {*to, NULL}
    };
    for (size_t i = 0; i < count; ++i) {
        to->min[i] = INFINITY;
        to->max[i] = -INFINITY;
        to->nan_count[i] = 0;
    }
    pqk_tiles_run(&operands, observe_tile, &job, &here);
}

/* Greatest magnitudes into high; 0 where there is no number. */
static void find_absmax(size_t n, const float *low, float *high, const int64_t *nan_count, bool *nan)
{
    for (size_t i = 0; i < n; ++i) {
        const float absmax = high[i] > -low[i] ? high[i] : -low[i];
        high[i] = absmax > 0.0f ? absmax : 0.0f;
        nan[i] = nan_count[i] != 0;
    }
}

static void run_chunk(void *context, size_t index)
{
    static const pqk_exec here = {0, 1};
    const struct job *job = context;
    struct pqk_chunk chunk;
    float low[PQK_CHUNK_BLOCKS], high[PQK_CHUNK_BLOCKS], divisor[PQK_CHUNK_BLOCKS], scale[PQK_CHUNK_BLOCKS];
    int64_t nan_count[PQK_CHUNK_BLOCKS];
    bool nan[PQK_CHUNK_BLOCKS];

    pqk_chunks_take(&job->chunks, (int64_t)index, &chunk);
    const pqk_statistics found = {low, high, nan_count, NULL};
    observe_here(&chunk.x, job->chunks.block, &found, chunk.count);
    find_absmax(chunk.count, low, high, nan_count, nan);
    pqk_scale_rule_apply(&job->rule, chunk.count, high, nan, scale, divisor);
    pqk_chunks_give(&job->chunks, &chunk, (const char *)scale, job->scale, pqk_scale_size(job->rule.mode));
    quantize(job->elements, &chunk.x, &chunk.q, job->chunks.block, divisor, &here);
}

/* ---- blocks that are runs of memory */

static void divide_rows(const struct pqk_tile *tile, const float *divisor, const void *context)
{
    struct elements e = *(const struct elements *)context;
    e.convert.scale = divisor;
    e.affine.scale = divisor;
    run_tile(tile, &e);
}

struct rows_job {
    pqk_dynamic_fn *kernel;
    struct pqk_dynamic_rows how;
};
static void run_rows(const struct pqk_tile *tile, const void *context)
{
    const struct rows_job *job = context;
    job->kernel(tile, &job->how);
}

static bool contiguous_along(const pqk_array *a, int axis)
{
    const int bits = pqk_type_bits(a->type);
    if (bits < 8) return axis == a->ndim - 1;
    if (a->strides) return a->strides[axis] == bits / 8;
    for (int d = axis + 1; d < a->ndim; ++d)
        if (a->shape[d] != 1) return false;
    return true;
}

/* Does each block lie along one axis, contiguous in x and q?  Such a block is a row of a tile: it is at most a chunk,
 * which the plan of tiles does not cut.  But the plan walks along the axis of the least stride, which is another one
 * where x repeats its elements, or where the last block has but one. */
static bool blocks_are_runs(const pqk_array *x, const pqk_array *q, const int64_t *block)
{
    int axes = 0, along = -1;
    for (int d = 0; d < x->ndim; ++d) {
        const bool many = x->shape[d] > 1 && (!block || block[d] > 1);
        axes += many;
        if (many) along = d;
        if (x->strides && x->shape[d] > 1 && x->strides[d] == 0) return false;
    }
    if (axes == 1 && block && x->shape[along] > block[along] && x->shape[along] % block[along] == 1) return false;
    return axes == 1 && contiguous_along(x, along) && contiguous_along(q, along);
}

static struct pqk_dynamic_rows rows_of(const struct job *job)
{
    const struct elements *e = &job->elements;
    return (struct pqk_dynamic_rows){.rule = job->rule,
                                     .format = e->cast ? e->convert.format : NULL,
                                     .bits = e->cast ? e->convert.bits : 8,
                                     .scale = job->scale,
                                     .depth = 1,
                                     .divide = divide_rows,
                                     .context = e};
}

static pqk_dynamic_fn *dynamic_kernel(pqk_type from)
{
    const struct pqk_kernels *k = pqk_active_kernels();
    return from == PQK_F32 ? k->dynamic_f32 : from == PQK_F16 ? k->dynamic_f16 : k->dynamic_bf16;
}

static void run_as_rows(const struct job *job, const pqk_array *x, const pqk_array *q, const int64_t *block)
{
    const struct pqk_operands operands = {
        {x, q},
        2, 1, block
    };
    const struct rows_job rows = {.kernel = dynamic_kernel(x->type), .how = rows_of(job)};
    pqk_tiles_run(&operands, run_rows, &rows, NULL);
}

/* ---- rectangles of runs */

enum { SHORTEST_RUN = 16 }; /* for which a row of a block is worth a loop */

/* The axis along which the rows of blocks lie, where blocks are rectangles of them and runs of the last axis; else -1.
 */
static int deep_axis(const pqk_array *x, const pqk_array *q, const int64_t *block)
{
    const int last = x->ndim - 1;
    int deep = -1;
    if (x->ndim < 2 || !contiguous_along(x, last) || !contiguous_along(q, last)) return -1;
    if (x->shape[last] < SHORTEST_RUN || (block && block[last] < SHORTEST_RUN)) return -1;
    for (int d = 0; d < last; ++d) {
        if (x->shape[d] == 1 || (block && block[d] == 1)) continue;
        if (deep >= 0) return -1;
        deep = d;
    }
    return deep;
}

/* `rows` blocks, neighbours along the last axis, of n elements along it. */
static void run_rectangles(const struct job *job, pqk_dynamic_fn *kernel, struct pqk_dynamic_rows *how, char *x,
                           char *q, int64_t rows, int64_t n, int64_t param)
{
    const struct pqk_chunks *c = &job->chunks;
    const int64_t x_row = n * pqk_type_bits(c->x->type) / 8, q_row = n * how->bits / 8; /* whole bytes, if many */
    const struct pqk_tile tile = {
        .rows = (size_t)rows,
        .n = (size_t)n,
        .data = {x,                q               },
        .row_stride = {(ptrdiff_t)x_row, (ptrdiff_t)q_row},
        .param = (ptrdiff_t)param,
        .param_row = 1,
        .stream = c->stream
    };
    if (rows && n) kernel(&tile, how);
}

static void run_deep_chunk(void *context, size_t index)
{
    const struct job *job = context;
    const struct pqk_chunks *c = &job->chunks;
    const int last = c->x->ndim - 1, deep = job->deep;
    pqk_dynamic_fn *const kernel = dynamic_kernel(c->x->type);
    struct pqk_dynamic_rows how = rows_of(job);
    struct pqk_chunk chunk;
    int64_t at[PQK_MAX_NDIM] = {0};

    pqk_chunks_take(c, (int64_t)index, &chunk);
    const int64_t whole = chunk.shape[last] / c->block[last], rest = chunk.shape[last] % c->block[last];
    how.depth_stride[0] = (ptrdiff_t)c->x_stride[deep];
    how.depth_stride[1] = (ptrdiff_t)c->q_stride[deep];
    for (size_t done = 0; done < chunk.count; done += (size_t)chunk.blocks[last]) {
        const int64_t n = c->block[last], left = chunk.shape[deep] - at[deep] * c->block[deep];
        char *x = chunk.x.data, *q = chunk.q.data;
        int64_t param = 0;
        for (int d = 0; d < last; ++d) {
            x += at[d] * c->block[d] * c->x_stride[d];
            q += at[d] * c->block[d] * c->q_stride[d];
            param = param * c->blocks[d] + chunk.first[d] + at[d];
        }
        param = param * c->blocks[last] + chunk.first[last];
        how.depth = (size_t)(left < c->block[deep] ? left : c->block[deep]);
        run_rectangles(job, kernel, &how, x, q, whole, n, param);
        run_rectangles(job, kernel, &how, x + whole * n * pqk_type_bits(c->x->type) / 8, q + whole * n * how.bits / 8,
                       1, rest, param + whole);
        for (int d = last - 1; d >= 0 && ++at[d] == chunk.blocks[d]; --d) at[d] = 0;
    }
}

/* ---- blocks too large for a chunk */

struct large {
    const struct pqk_scale_rule *rule;
    size_t count;
    const float *low;
    float *high, *divisor;
    const int64_t *nan_count;
    bool *nan;
    void *scale;
};
static void scales_of_large(void *context, size_t index)
{
    const struct large *l = context;
    (void)index;
    find_absmax(l->count, l->low, l->high, l->nan_count, l->nan);
    pqk_scale_rule_apply(l->rule, l->count, l->high, l->nan, l->scale, l->divisor);
}

static pqk_status run_large(const struct job *job, const pqk_array *x, const pqk_array *q, const int64_t *block)
{
    const size_t count = pqk_tiles_param_count(x, block);
    size_t bytes;
    if (!pqk_mul_size(count, sizeof(int64_t) + 3 * sizeof(float) + sizeof(bool), &bytes)) return PQK_ERROR_MEMORY;
    int64_t *nan_count = pqk_arena_take(bytes);
    if (!nan_count) return PQK_ERROR_MEMORY;
    float *low = (float *)(nan_count + count), *high = low + count, *divisor = high + count;
    struct large large = {&job->rule, count, low, high, divisor, nan_count, (bool *)(divisor + count), job->scale};
    const pqk_statistics found = {low, high, nan_count, NULL};
    const pqk_status status = pqk_observe(x, block, &found);
    if (!status) {
        pqk_pool_run(1, scales_of_large, &large, 1); /* inside the guard of core/fpenv.h */
        quantize(job->elements, x, q, block, divisor, NULL);
    }
    pqk_arena_give(nan_count);
    return status;
}

/* ---- entry */

static pqk_status describe(struct elements *e, pqk_type from, pqk_type to)
{
    const struct pqk_kernels *k = pqk_active_kernels();
    pqk_quantize_fn *const table[3][3] = {
        {k->quantize_f32_s8,  k->quantize_f32_n8,  k->quantize_f32_n4 },
        {k->quantize_f16_s8,  k->quantize_f16_n8,  k->quantize_f16_n4 },
        {k->quantize_bf16_s8, k->quantize_bf16_n8, k->quantize_bf16_n4},
    };
    int bits;
    const struct pqk_float_format *format = pqk_format_of(to, &bits);
    if (format) {
        e->cast = pqk_convert_kernel(from, to);
        e->convert = (struct pqk_convert){.format = format, .bits = bits, .saturate = true};
        return PQK_OK;
    }
    e->quantize = table[from - PQK_F32][to == PQK_S8 ? 0 : to == PQK_S4 ? 1 : 2];
    e->affine.quant_min = to == PQK_S8 ? -128 : -8;
    e->affine.quant_max = to == PQK_S8 ? 127 : 7;
    return pqk_affine_convention(&e->affine, PQK_ONNX, false);
}

pqk_status pqk_quantize_dynamic(const pqk_array *x, const pqk_dynamic *how, const pqk_array *q, void *scale)
{
    const struct pqk_operands operands = {
        {x, q},
        2, 1, how->block
    };
    struct job job = {.scale = scale};
    if (!pqk_is_wide(x->type)) return PQK_ERROR_TYPE;
    pqk_status status = pqk_scale_rule_make(&job.rule, how->mode, q->type, how->global_scale);
    if (!status) status = describe(&job.elements, x->type, q->type);
    if (!status) status = pqk_tiles_check(&operands, NULL);
    if (status) return status;

    const size_t count = pqk_tiles_param_count(x, how->block);
    int64_t elements = 1, in_block = 1;
    for (int d = 0; d < x->ndim; ++d) {
        const int64_t n = x->shape[d];
        elements *= n;
        in_block *= how->block && how->block[d] < n ? how->block[d] : n;
    }
    if (count == 0) return PQK_OK;
    if (elements == 0 || in_block > pqk_chunks_limit(x)) return run_large(&job, x, q, how->block);
    const bool by_kernel = job.elements.cast || q->type == PQK_S8; /* one that knows the type */
    if (by_kernel && blocks_are_runs(x, q, how->block)) {
        run_as_rows(&job, x, q, how->block);
        return PQK_OK;
    }
    pqk_chunks_make(&job.chunks, x, q, how->block, pqk_get_num_threads());
    job.deep = by_kernel ? deep_axis(x, q, how->block) : -1;
    pqk_pool_run((size_t)job.chunks.count, job.deep >= 0 ? run_deep_chunk : run_chunk, &job, 0);
    return PQK_OK;
}
