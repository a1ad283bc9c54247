/* gemm.c -- pqk_matmul(): checks, batches. */
#include "gemm/gemm.h"
#include "core/arena.h"
#include "core/fpenv.h"
#include "core/macros.h"
#include "core/memory.h"
#include "core/pool.h"
#include "dispatch/dispatch.h"
#include "gemm/driver.h"
#include "tiles/tiles.h"

/* Axes before the last two.  The innermost is last. */
struct batch {
    int axes;
    int64_t count; /* of matrices */
    int64_t shape[PQK_MAX_NDIM];
    ptrdiff_t a[PQK_MAX_NDIM], b[PQK_MAX_NDIM], c[PQK_MAX_NDIM]; /* strides */
};

int pqk_gemm_type_size(pqk_type type)
{
    switch (type) {
    case PQK_S32:
    case PQK_F32:
        return 4;
    case PQK_F16:
    case PQK_BF16:
    case PQK_S16:
        return 2;
    case PQK_S8:
    case PQK_U8:
        return 1;
    default:
        return 0;
    }
}

static ptrdiff_t stride_of(const pqk_array *array, int axis)
{
    if (array->strides) return (ptrdiff_t)array->strides[axis];
    ptrdiff_t stride = pqk_type_bits(array->type) / 8;
    for (int d = array->ndim - 1; d > axis; --d) stride *= (ptrdiff_t)array->shape[d];
    return stride;
}

void pqk_gemm_strides(const pqk_array *array, ptrdiff_t *row, ptrdiff_t *column)
{
    *row = stride_of(array, array->ndim - 2);
    *column = stride_of(array, array->ndim - 1);
}

pqk_status pqk_gemm_check_array(const pqk_array *a)
{
    if (a->ndim < 2 || a->ndim > PQK_MAX_NDIM) return PQK_ERROR_SHAPE;
    int64_t room = PTRDIFF_MAX / 64; /* elements; also bytes between the first and the last */
    bool empty = false;
    for (int d = 0; d < a->ndim; ++d) {
        if (a->shape[d] < 0 || a->shape[d] > PTRDIFF_MAX / 64) return PQK_ERROR_SHAPE;
        empty = empty || a->shape[d] == 0;
    }
    for (int d = 0; d < a->ndim && !empty; ++d) {
        if (a->shape[d] > room) return PQK_ERROR_SHAPE;
        room /= a->shape[d];
    }
    room = PTRDIFF_MAX / 64;
    for (int d = 0; d < a->ndim && !empty && a->strides; ++d) {
        const int64_t stride = a->strides[d], steps = a->shape[d] - 1;
        if (stride > PTRDIFF_MAX / 64 || stride < -(PTRDIFF_MAX / 64)) return PQK_ERROR_SHAPE;
        const int64_t bytes = stride < 0 ? -stride : stride;
        if (steps && bytes > room / steps) return PQK_ERROR_SHAPE;
        room -= bytes * steps;
    }
    return PQK_OK;
}

/* The addresses that an array spans. */
static void span(const pqk_array *a, uintptr_t *first, uintptr_t *end)
{
    *first = *end = (uintptr_t)a->data;
    for (int d = 0; d < a->ndim; ++d) {
        if (a->shape[d] == 0) {
            *end = *first;
            return;
        }
        const ptrdiff_t far = stride_of(a, d) * (ptrdiff_t)(a->shape[d] - 1);
        if (far < 0)
            *first -= (uintptr_t)-far;
        else
            *end += (uintptr_t)far;
    }
    *end += (uintptr_t)(pqk_type_bits(a->type) / 8);
}

bool pqk_gemm_overlap(const pqk_array *a, const pqk_array *b)
{
    uintptr_t a_first, a_end, b_first, b_end;
    span(a, &a_first, &a_end);
    span(b, &b_first, &b_end);
    return a_first < b_end && b_first < a_end && a_first != a_end && b_first != b_end;
}

static bool is_empty(const pqk_array *a)
{
    for (int d = 0; d < a->ndim; ++d)
        if (a->shape[d] == 0) return true;
    return false;
}

pqk_status pqk_gemm_check_shapes(const pqk_array *a, const pqk_array *b, const pqk_packed *packed, const pqk_array *c)
{
    pqk_status status = pqk_gemm_check_array(c);
    if (!status) status = pqk_gemm_check_array(a);
    if (!status && b) status = pqk_gemm_check_array(b);
    if (status) return status;
    if (a->ndim != c->ndim || (b && b->ndim != c->ndim)) return PQK_ERROR_SHAPE;
    const int row = c->ndim - 2, column = c->ndim - 1;
    for (int d = 0; d < row; ++d)
        if (a->shape[d] != c->shape[d] || (b && b->shape[d] != c->shape[d])) return PQK_ERROR_SHAPE;
    const int64_t k = b ? b->shape[row] : packed->cut.k, n = b ? b->shape[column] : packed->n;
    if (a->shape[row] != c->shape[row] || a->shape[column] != k || c->shape[column] != n) return PQK_ERROR_SHAPE;

    for (int d = 0; d < c->ndim; ++d) /* several elements of c in one place */
        if (c->shape[d] > 1 && stride_of(c, d) == 0 && !is_empty(c)) return PQK_ERROR_OVERLAP;
    return pqk_gemm_overlap(a, c) || (b && pqk_gemm_overlap(b, c)) ? PQK_ERROR_OVERLAP : PQK_OK;
}

pqk_status pqk_gemm_check_range(const pqk_range *range, int64_t m, int64_t n)
{
    if (!range) return PQK_OK;
    const bool rows = 0 <= range->row && range->row <= range->row_end && range->row_end <= m;
    const bool columns = 0 <= range->column && range->column <= range->column_end && range->column_end <= n;
    return rows && columns ? PQK_OK : PQK_ERROR_PART;
}

/* Matrices that lie one below the other in a and in c, times one b, are one tall matrix. */
static void stack_rows(struct batch *batch, struct pqk_gemm_job *job)
{
    while (batch->axes) {
        const int d = batch->axes - 1;
        const int64_t rows = job->row_end;
        if (batch->shape[d] > 1 &&
            (batch->b[d] || batch->a[d] != rows * job->a_row || batch->c[d] != rows * job->c_row))
            return;
        job->row_end *= batch->shape[d];
        batch->count /= batch->shape[d];
        --batch->axes;
    }
}

struct batch_run {
    const struct pqk_gemm_job *job;
    const struct batch *batch;
    uint8_t *scratch;
    size_t scratch_bytes; /* a part */
    int64_t parts;
};

static void multiply_one(const struct batch_run *run, int64_t index, void *scratch)
{
    struct pqk_gemm_job job = *run->job;
    for (int d = run->batch->axes - 1; d >= 0; --d) {
        const ptrdiff_t i = (ptrdiff_t)(index % run->batch->shape[d]);
        index /= run->batch->shape[d];
        job.a += i * run->batch->a[d];
        if (job.b.data) job.b.data += i * run->batch->b[d];
        job.c += i * run->batch->c[d];
    }
    pqk_gemm_drive(&job, scratch);
}

/* A contiguous part of the batch, in scratch of its own. */
static void multiply_part(void *context, size_t part)
{
    const struct batch_run *run = context;
    const int64_t count = run->batch->count, size = count / run->parts, longer = count % run->parts;
    const int64_t p = (int64_t)part, begin = p * size + (p < longer ? p : longer), end = begin + size + (p < longer);
    for (int64_t i = begin; i < end; ++i) multiply_one(run, i, run->scratch + part * run->scratch_bytes);
}

static pqk_status multiply_batch(struct pqk_gemm_job *job, const struct batch *batch, bool alone)
{
    const int64_t m = job->row_end - job->row, n = job->column_end - job->column;
    struct batch_run run = {.job = job, .batch = batch, .parts = 1};
    if (batch->count > 1 && !alone) {
        /* As many threads as all of the batch is worth; they share matrices only where there are few. */
        const double rows = (double)m * (double)batch->count;
        const int threads = pqk_gemm_threads(rows < 1e15 ? (int64_t)rows : (int64_t)1e15, n, job->cut.k);
        if (batch->count >= 4 * (int64_t)threads && threads > 1) run.parts = 4 * (int64_t)threads;
    }
    job->threads = alone || run.parts > 1 ? 1 : pqk_gemm_threads(m, n, job->cut.k);

    size_t all;
    if (!pqk_gemm_scratch(job, &run.scratch_bytes)) return PQK_ERROR_MEMORY;
    if (!pqk_mul_size(run.scratch_bytes, (size_t)run.parts, &all)) return PQK_ERROR_MEMORY;
    run.scratch = pqk_arena_take(all);
    if (!run.scratch) return PQK_ERROR_MEMORY;
    if (run.parts > 1) {
        pqk_pool_run((size_t)run.parts, multiply_part, &run, 0);
    } else {
        const pqk_fpenv found = pqk_fpenv_enter();
        for (int64_t i = 0; i < batch->count; ++i) multiply_one(&run, i, run.scratch);
        pqk_fpenv_leave(found);
    }
    pqk_arena_give(run.scratch);
    return PQK_OK;
}

/* Is a row of the epilogue's vectors the same for every row of C? */
static bool same_for_all_rows(const pqk_epilogue *e)
{
    return (!e->a_zero_point.data || !e->a_zero_point.step) && (!e->a_scale.data || !e->a_scale.step);
}

pqk_status pqk_matmul(const pqk_array *a, const pqk_array *b, const pqk_packed *packed, const pqk_epilogue *epilogue,
                      const pqk_array *c, const pqk_range *range)
{
    static const pqk_epilogue plain = {0};
    if (!b == !packed) return PQK_ERROR_OPTION;
    const pqk_type b_type = b ? b->type : packed->type;
    if (a->type != PQK_S8 && a->type != PQK_U8) return PQK_ERROR_TYPE;
    if ((b_type != PQK_S8 && b_type != PQK_U8) || !pqk_gemm_type_size(c->type)) return PQK_ERROR_TYPE;
    pqk_status status = pqk_gemm_check_shapes(a, b, packed, c);
    if (status) return status;
    const int row = c->ndim - 2, column = c->ndim - 1;
    status = pqk_gemm_check_range(range, c->shape[row], c->shape[column]);
    if (status) return status;

    const struct pqk_kernels *kernels = pqk_active_kernels();
    const struct pqk_gemm *gemm = kernels->gemm_s8;
    if (packed && packed->kernels != gemm) return PQK_ERROR_LAYER;
    const pqk_epilogue *e = epilogue ? epilogue : &plain;
    if (e->group_size < 0) return PQK_ERROR_BLOCK;
    struct pqk_epilogue_call call = {
        .e = e,
        .type = c->type,
        .nr = gemm->nr,
        .a_flip = gemm->a_unsigned == (a->type == PQK_U8) ? 0
                  : gemm->a_unsigned                      ? 128
                                                          : -128,
        .b_flip = b_type == PQK_U8 ? -128 : 0,
    };
    status = pqk_epilogue_prepare(&call, a->type, b_type, c->shape[row], c->shape[column]);
    if (status) return status;

    struct pqk_gemm_job job = {
        .kernels = gemm,
        .epilogue = kernels->epilogue_gemm,
        .call = &call,
        .grouped = e->group_size > 0,
        .row = range ? range->row : 0,
        .row_end = range ? range->row_end : c->shape[row],
        .column = range ? range->column : 0,
        .column_end = range ? range->column_end : c->shape[column],
        .a = a->data,
        .a_flip = call.a_flip ? 0x80 : 0,
        .n = c->shape[column],
        .packed = packed,
        .c = c->data,
        .c_size = pqk_gemm_type_size(c->type),
    };
    if (!pqk_gemm_cut_make(&job.cut, gemm, a->shape[column], e->group_size)) return PQK_ERROR_SHAPE;
    pqk_gemm_strides(a, &job.a_row, &job.a_col);
    pqk_gemm_strides(c, &job.c_row, &job.c_col);
    if (b) {
        job.b = (struct pqk_gemm_b_source){.data = b->data, .flip = call.b_flip ? 0x80 : 0};
        pqk_gemm_strides(b, &job.b.p_stride, &job.b.j_stride);
    } else if (!pqk_gemm_packed_fits(packed, &job.cut, call.has_u)) {
        job.b = (struct pqk_gemm_b_source){.packed = packed};
        job.packed = NULL;
    }
    if (is_empty(c) || job.row == job.row_end || job.column == job.column_end) return PQK_OK;

    struct batch batch = {.axes = row, .count = 1};
    for (int d = 0; d < row; ++d) {
        batch.shape[d] = c->shape[d];
        batch.count *= c->shape[d];
        batch.a[d] = stride_of(a, d);
        batch.b[d] = b ? stride_of(b, d) : 0;
        batch.c[d] = stride_of(c, d);
    }
    if (!range && same_for_all_rows(e)) stack_rows(&batch, &job);
    return multiply_batch(&job, &batch, range != NULL);
}
