/* dequantize.c -- pqk_dequantize(): checks, the choice of the kernel, tiles. */
#include "dequantize/dequantize.h"
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
