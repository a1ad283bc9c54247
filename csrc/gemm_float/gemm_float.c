/* gemm_float.c -- pqk_float_matmul(): checks, scratch, the driver. */
#include "convert/convert.h"
#include "core/arena.h"
#include "core/fpenv.h"
#include "core/memory.h"
#include "core/pool.h"
#include "dispatch/dispatch.h"
#include "gemm/packed.h"
#include "gemm_float/driver.h"

/* A float type of whole bytes. */
static bool type_of_a(pqk_type type)
{
    int bits;
    return pqk_format_of(type, &bits) && bits >= 8;
}

/* How many threads so many multiply-adds are worth: one for each 2^18, some 5 us of one core.  In integers, because
 * floating point would leave its flags in the caller's environment. */
static int threads_for(int64_t m, int64_t n, int64_t k)
{
    size_t work;
    if (!pqk_mul_size((size_t)m, (size_t)n, &work) || !pqk_mul_size(work, (size_t)k, &work)) work = SIZE_MAX;
    const size_t worth = work >> 18;
    const int most = pqk_get_num_threads();
    return worth < 2 ? 1 : worth < (size_t)most ? (int)worth : most;
}

static pqk_status check(const pqk_array *a, const pqk_weights *w, const pqk_array *c, const pqk_range *range)
{
    if (!type_of_a(a->type) || !pqk_gemm_type_size(c->type) || c->type == PQK_S32) return PQK_ERROR_TYPE;
    if (a->ndim != 2 || c->ndim != 2) return PQK_ERROR_SHAPE;
    pqk_status status = pqk_gemm_check_array(a);
    if (!status) status = pqk_gemm_check_array(c);
    if (status) return status;
    if (a->shape[0] != c->shape[0] || a->shape[1] != w->k || c->shape[1] != w->n) return PQK_ERROR_SHAPE;
    return pqk_gemm_overlap(a, c) ? PQK_ERROR_OVERLAP : pqk_gemm_check_range(range, c->shape[0], c->shape[1]);
}

pqk_status pqk_float_matmul(const pqk_array *a, const pqk_weights *w, const pqk_epilogue *epilogue, const pqk_array *c,
                            const pqk_range *range)
{
    static const pqk_epilogue plain = {.group_size = 0};
    struct pqk_epilogue_call call = {.e = epilogue ? epilogue : &plain, .type = c->type, .nr = PQK_FLOAT_PANEL};
    const pqk_epilogue *e = call.e;
    pqk_status status = check(a, w, c, range);
    if (status) return status;
    if (e->a_zero_point.data || e->b_zero_point.data || e->m0.data || e->group_size) return PQK_ERROR_OPTION;
    status = pqk_epilogue_prepare(&call, PQK_S8, PQK_S8, c->shape[0], c->shape[1]);
    if (status) return status;

    const pqk_range all = {0, c->shape[0], 0, c->shape[1]}, part = range ? *range : all;
    if (part.row == part.row_end || part.column == part.column_end) return PQK_OK;
    const struct pqk_kernels *kernels = pqk_active_kernels();
    struct pqk_gemm_float_job job = {
        .kernels = kernels->gemm_float,
        .epilogue = kernels->epilogue_gemm,
        .call = &call,
        .w = w,
        .row = part.row,
        .row_end = part.row_end,
        .column = part.column,
        .column_end = part.column_end,
        .a = a->data,
        .a_type = a->type,
        .c = c->data,
        .c_size = pqk_type_bits(c->type) / 8,
        .threads = range ? 1 : threads_for(part.row_end - part.row, part.column_end - part.column, w->k),
    };
    pqk_gemm_strides(a, &job.a_row, &job.a_col);
    pqk_gemm_strides(c, &job.c_row, &job.c_col);
    size_t bytes;
    if (!pqk_gemm_float_scratch(&job, &bytes)) return PQK_ERROR_SHAPE;
    void *scratch = pqk_arena_take(bytes);
    if (!scratch) return PQK_ERROR_MEMORY;
    const pqk_fpenv found = pqk_fpenv_enter();
    pqk_gemm_float_drive(&job, scratch);
    pqk_fpenv_leave(found);
    pqk_arena_give(scratch);
    return PQK_OK;
}
