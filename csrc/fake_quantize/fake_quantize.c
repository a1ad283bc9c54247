/* fake_quantize.c -- pqk_fake_quantize(): checks, the choice of the kernel, tiles. */
#include "fake_quantize/fake_quantize.h"
#include "dispatch/dispatch.h"

/* Where float32 counts in steps of at most 1/2, so that every limit and zero point is exact in it. */
static const int32_t LARGEST = 1 << 23;

static pqk_fake_quantize_fn *kernel_for(pqk_type type, bool masked)
{
    const struct pqk_kernels *kernels = pqk_active_kernels();
    pqk_fake_quantize_fn *const table[3][2] = {
        {kernels->fake_quantize_f32_y,  kernels->fake_quantize_f32_ym },
        {kernels->fake_quantize_f16_y,  kernels->fake_quantize_f16_ym },
        {kernels->fake_quantize_bf16_y, kernels->fake_quantize_bf16_ym},
    };
    return table[type - PQK_F32][masked];
}

struct job {
    pqk_fake_quantize_fn *kernel;
    struct pqk_affine affine;
};

static void run_tile(const struct pqk_tile *tile, const void *context)
{
    const struct job *job = context;
    job->kernel(tile, &job->affine);
}

pqk_status pqk_fake_quantize(const pqk_array *x, const pqk_params *params, pqk_convention convention, int32_t quant_min,
                             int32_t quant_max, const pqk_array *y, const pqk_array *mask, const pqk_exec *exec)
{
    const struct pqk_operands operands = {
        {x, y, mask},
        mask ? 3 : 2, mask ? 2 : 1, params->block
    };
    struct job job = {
        .affine = {.scale = params->scale, .inverse = params->inverse, .zero_point = params->zero_point}
    };
    job.affine.quant_min = quant_min;
    job.affine.quant_max = quant_max;

    if (x->type < PQK_F32 || x->type > PQK_BF16 || y->type != x->type) return PQK_ERROR_TYPE;
    if (mask && mask->type != PQK_U8) return PQK_ERROR_TYPE;
    pqk_status status = pqk_tiles_check(&operands, exec);
    if (status) return status;
    if (quant_min < -LARGEST || quant_max > LARGEST || quant_min > quant_max || quant_max - quant_min > UINT16_MAX)
        return PQK_ERROR_RANGE;
    status = pqk_affine_convention(&job.affine, convention, !params->block);
    if (status) return status;
    if (!pqk_affine_zero_points_valid(&job.affine, pqk_tiles_param_count(x, params->block)))
        return PQK_ERROR_ZERO_POINT;

    job.kernel = kernel_for(x->type, mask != NULL);
    pqk_tiles_run(&operands, run_tile, &job, exec);
    return PQK_OK;
}
