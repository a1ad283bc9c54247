/* dequantize.c -- pqk_dequantize(): checks, the choice of the kernel, tiles. */
#include "dequantize/dequantize.h"
#include "convert/convert.h"
#include "dispatch/dispatch.h"

pqk_dequantize_fn *pqk_dequantize_kernel(enum pqk_integer_slot in, pqk_type out)
{
    const struct pqk_kernels *kernels = pqk_active_kernels();
#define PQK_ROW(output)                                                                                    \
    {[PQK_SLOT_S8] = kernels->dequantize_s8_##output,   [PQK_SLOT_U8] = kernels->dequantize_u8_##output,   \
     [PQK_SLOT_N8] = kernels->dequantize_n8_##output,   [PQK_SLOT_S16] = kernels->dequantize_s16_##output, \
     [PQK_SLOT_U16] = kernels->dequantize_u16_##output, [PQK_SLOT_N4] = kernels->dequantize_n4_##output,   \
     [PQK_SLOT_N2] = kernels->dequantize_n2_##output,   [PQK_SLOT_S32] = kernels->dequantize_s32_##output}
    pqk_dequantize_fn *const table[3][8] = {PQK_ROW(f32), PQK_ROW(f16), PQK_ROW(bf16)};
#undef PQK_ROW
    return table[out - PQK_F32][in];
}

struct job {
    pqk_dequantize_fn *kernel;
    struct pqk_affine affine;
};

static void run_tile(const struct pqk_tile *tile, const void *context)
{
    const struct job *job = context;
    job->kernel(tile, &job->affine);
}

/* From a narrow float type: the cast multiplies on its way. */
struct float_job {
    pqk_convert_fn *kernel;
    struct pqk_convert convert;
};

static void run_float_tile(const struct pqk_tile *tile, const void *context)
{
    const struct float_job *job = context;
    job->kernel(tile, &job->convert);
}

static pqk_status dequantize_from_float(const struct pqk_operands *operands, const pqk_params *params,
                                        const pqk_exec *exec)
{
    const pqk_array *q = operands->array[0], *y = operands->array[1];
    struct float_job job = {
        .convert = {.rounding = PQK_NEAREST_EVEN, .scale = params->scale}
    };
    job.convert.format = pqk_format_of(q->type, &job.convert.bits);
    if (pqk_is_wide(q->type) || q->type == PQK_E8M0FNU || !pqk_is_wide(y->type)) return PQK_ERROR_TYPE;
    const pqk_status status = pqk_tiles_check(operands, exec);
    if (status) return status;
    if (params->zero_point) return PQK_ERROR_ZERO_POINT;
    job.kernel = pqk_convert_kernel(q->type, y->type);
    pqk_tiles_run(operands, run_float_tile, &job, exec);
    return PQK_OK;
}

pqk_status pqk_dequantize(const pqk_array *q, const pqk_params *params, const pqk_array *y, const pqk_exec *exec)
{
    const struct pqk_operands operands = {
        {q, y},
        2, 1, params->block
    };
    struct job job = {
        .affine = {.scale = params->scale, .zero_point = params->zero_point}
    };
    enum pqk_integer_slot slot;
    int bits;

    if (pqk_format_of(q->type, &bits)) return dequantize_from_float(&operands, params, exec);
    if (!pqk_integer_type(q->type, &slot, &job.affine.quant_min, &job.affine.quant_max)) return PQK_ERROR_TYPE;
    if (y->type < PQK_F32 || y->type > PQK_BF16) return PQK_ERROR_TYPE;
    const pqk_status status = pqk_tiles_check(&operands, exec);
    if (status) return status;
    if (!pqk_affine_zero_points_valid(&job.affine, pqk_tiles_param_count(q, params->block)))
        return PQK_ERROR_ZERO_POINT;

    job.kernel = pqk_dequantize_kernel(slot, y->type);
    pqk_tiles_run(&operands, run_tile, &job, exec);
    return PQK_OK;
}
