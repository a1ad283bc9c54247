/* observe.c -- pqk_observe(): checks, identities, tiles, and the merging of what they find. */
#if !defined(_WIN32) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* core/thread_os.h wants it under -std=c11 */
#endif
#include "observe/observe.h"
#include <math.h>
#include "core/pool.h"
#include "core/thread_os.h"
#include "dispatch/dispatch.h"

/* Held for less than a microsecond, so a wait is a spin; but its holder may have lost its core. */
static void take(pqk_atomic_u32 *lock)
{
    for (unsigned spins = 1; lock && pqk_exchange_u32(lock, 1); ++spins) {
        if (spins % 256)
            pqk_cpu_relax();
        else
            pqk_thread_yield();
    }
}
static void give(pqk_atomic_u32 *lock)
{
    if (lock) pqk_store_u32(lock, 0);
}

static inline void merge_limits(float *to, ptrdiff_t step, size_t count, const float *found, bool max)
{
    for (size_t i = 0; i < count; ++i, to += step) {
        const float x = found[i] + 0.0f; /* -0 + 0 is +0 */
        *to = (max ? x > *to : x < *to) ? x : *to;
    }
}

static void merge_counts(int64_t *to, ptrdiff_t step, size_t count, const int64_t *found)
{
    for (size_t i = 0; i < count; ++i, to += step) *to += found[i];
}

void pqk_observe_merge(const struct pqk_observe_out *out, ptrdiff_t index, ptrdiff_t step, size_t count,
                       const struct pqk_observe_found *found)
{
    const pqk_statistics *to = &out->to;
    take(out->lock);
    if (to->min) merge_limits(to->min + index, step, count, found->min, false);
    if (to->max) merge_limits(to->max + index, step, count, found->max, true);
    if (to->nan_count && found->nans) merge_counts(to->nan_count + index, step, count, found->nans);
    if (to->inf_count && found->infs) merge_counts(to->inf_count + index, step, count, found->infs);
    give(out->lock);
}

struct job {
    pqk_observe_fn *kernel;
    struct pqk_observe_out out;
};

static void run_tile(const struct pqk_tile *tile, const void *context)
{
    const struct job *job = context;
    job->kernel(tile, &job->out);
}

static pqk_observe_fn *kernel_for(pqk_type type)
{
    const struct pqk_kernels *kernels = pqk_active_kernels();
    return type == PQK_F32 ? kernels->observe_f32 : type == PQK_F16 ? kernels->observe_f16 : kernels->observe_bf16;
}

pqk_status pqk_observe(const pqk_array *x, const int64_t *block, const pqk_statistics *out)
{
    const struct pqk_operands operands = {{x}, 1, 0, block};
    pqk_atomic_u32 lock = 0;
    struct job job = {
        .out = {*out, pqk_get_num_threads() > 1 ? &lock : NULL}
    };

    if (x->type < PQK_F32 || x->type > PQK_BF16) return PQK_ERROR_TYPE;
    const pqk_status status = pqk_tiles_check(&operands, NULL);
    if (status) return status;

    const size_t count = pqk_tiles_param_count(x, block);
    for (size_t i = 0; i < count; ++i) {
        if (out->min) out->min[i] = INFINITY;
        if (out->max) out->max[i] = -INFINITY;
        if (out->nan_count) out->nan_count[i] = 0;
        if (out->inf_count) out->inf_count[i] = 0;
    }
    job.kernel = kernel_for(x->type);
    pqk_tiles_run(&operands, run_tile, &job, NULL);
    return PQK_OK;
}
