/* quantize.c -- pqk_quantize(): checks, the choice of the kernel, tiles.  Narrow floats are the business of convert/.
 */
#include "quantize/quantize.h"
#include "affine/integers.h"
#include "convert/convert.h"
#include "dispatch/dispatch.h"

static pqk_quantize_fn *kernel_for(pqk_type in, enum pqk_integer_slot out)
{
    const struct pqk_kernels *kernels = pqk_active_kernels();
#define PQK_ROW(input)                                                                                 \
    {kernels->quantize_##input##_s8,  kernels->quantize_##input##_u8,  kernels->quantize_##input##_n8, \
     kernels->quantize_##input##_s16, kernels->quantize_##input##_u16, kernels->quantize_##input##_n4, \
     kernels->quantize_##input##_n2}
    pqk_quantize_fn *const table[3][7] = {PQK_ROW(f32), PQK_ROW(f16), PQK_ROW(bf16)};
#undef PQK_ROW
    return table[in - PQK_F32][out];
}

struct job {
    pqk_quantize_fn *kernel;
    struct pqk_affine affine;
};

static void run_tile(const struct pqk_tile *tile, const void *context)
{
    const struct job *job = context;
    job->kernel(tile, &job->affine);
}

/* To a narrow float type: the cast divides on its way. */
struct float_job {
    pqk_convert_fn *kernel;
    struct pqk_convert convert;
};

static void run_float_tile(const struct pqk_tile *tile, const void *context)
{
    const struct float_job *job = context;
    job->kernel(tile, &job->convert);
}

static pqk_status quantize_to_float(const struct pqk_operands *operands, const pqk_params *params,
                                    pqk_convention convention, const pqk_exec *exec)
{
    const pqk_array *x = operands->array[0], *q = operands->array[1];
    struct float_job job = {
        .convert = {.rounding = PQK_NEAREST_EVEN, .saturate = true, .scale = params->scale}
    };
    job.convert.format = pqk_format_of(q->type, &job.convert.bits);
    if (pqk_is_wide(q->type) || q->type == PQK_E8M0FNU) return PQK_ERROR_TYPE;
    const pqk_status status = pqk_tiles_check(operands, exec);
    if (status) return status;
    if (convention != PQK_ONNX) return PQK_ERROR_CONVENTION;
    if (params->zero_point) return PQK_ERROR_ZERO_POINT;
    job.kernel = pqk_convert_kernel(x->type, q->type);
    pqk_tiles_run(operands, run_float_tile, &job, exec);
    return PQK_OK;
}

pqk_status pqk_quantize(const pqk_array *x, const pqk_params *params, pqk_convention convention, const pqk_array *q,
                        const pqk_exec *exec)
{
    const struct pqk_operands operands = {
        {x, q},
        2, 1, params->block
    };
    struct job job = {
        .affine = {.scale = params->scale, .inverse = params->inverse, .zero_point = params->zero_point}
    };
    enum pqk_integer_slot slot;
    int bits;

    if (x->type < PQK_F32 || x->type > PQK_BF16) return PQK_ERROR_TYPE;
    if (pqk_format_of(q->type, &bits)) return quantize_to_float(&operands, params, convention, exec);
    if (!pqk_integer_type(q->type, &slot, &job.affine.quant_min, &job.affine.quant_max)) return PQK_ERROR_TYPE;
    if (slot == PQK_SLOT_S32) return PQK_ERROR_TYPE;
    pqk_status status = pqk_tiles_check(&operands, exec);
    if (status) return status;

    const size_t count = pqk_tiles_param_count(x, params->block);
    status = pqk_affine_convention(&job.affine, convention, !params->block);
    if (status) return status;
    if (!pqk_affine_zero_points_valid(&job.affine, count)) return PQK_ERROR_ZERO_POINT;

    job.kernel = kernel_for(x->type, slot);
    pqk_tiles_run(&operands, run_tile, &job, exec);
    return PQK_OK;
}
