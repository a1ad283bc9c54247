/* requantize.c -- pqk_requantize(): checks, the choice of the kernel, tiles. */
#include "requantize/requantize.h"
#include <string.h>
#include "affine/affine.h"
#include "affine/integers.h"
#include "dispatch/dispatch.h"

enum { FAR_SHIFT = -2 }; /* FIXED_POINT_FAR, whose header only kernels can include */

static pqk_requantize_fn *kernel_for(enum pqk_integer_slot out)
{
    const struct pqk_kernels *kernels = pqk_active_kernels();
    pqk_requantize_fn *const table[] = {
        [PQK_SLOT_S8] = kernels->requantize_s32_s8,   [PQK_SLOT_U8] = kernels->requantize_s32_u8,
        [PQK_SLOT_N8] = kernels->requantize_s32_n8,   [PQK_SLOT_S16] = kernels->requantize_s32_s16,
        [PQK_SLOT_U16] = kernels->requantize_s32_u16, [PQK_SLOT_N4] = kernels->requantize_s32_n4,
        [PQK_SLOT_N2] = kernels->requantize_s32_n2};
    return table[out];
}

struct job {
    pqk_requantize_fn *kernel;
    struct pqk_requantizer requantizer;
};

static void run_tile(const struct pqk_tile *tile, const void *context)
{
    const struct job *job = context;
    job->kernel(tile, &job->requantizer);
}

/* Checks count multipliers and says whether all of them are small. */
static pqk_status check_multipliers(struct pqk_requantizer *r, size_t count)
{
    r->small = true;
    for (size_t i = 0; r->real && i < count; ++i) {
        uint32_t bits; /* in integers: a comparison of floats would leave its traces in the caller's environment */
        memcpy(&bits, &r->real[i], sizeof bits);
        r->small &= (bits & 0x7fffffff) < 0x3f800000;
    }
    if (r->real) return PQK_OK;
    if (r->rounding != PQK_SINGLE && r->rounding != PQK_DOUBLE && r->rounding != PQK_RNDNU) return PQK_ERROR_OPTION;
    for (size_t i = 0; i < count; ++i) {
        const int32_t m0 = r->m0[i], shift = r->shift[i];
        if ((m0 != 0 && m0 < 1 << 30) || shift < -31 || shift > 30) return PQK_ERROR_MULTIPLIER;
        r->small &= m0 == 0 || shift <= FAR_SHIFT;
    }
    return PQK_OK;
}

pqk_status pqk_requantize(const pqk_array *acc, const pqk_multiplier *multiplier, const pqk_array *q,
                          const pqk_exec *exec)
{
    const struct pqk_operands operands = {
        {acc, q},
        2, 1, multiplier->block
    };
    struct pqk_affine range = {.zero_point = multiplier->zero_point};
    enum pqk_integer_slot slot;

    if (acc->type != PQK_S32) return PQK_ERROR_TYPE;
    if (!pqk_integer_type(q->type, &slot, &range.quant_min, &range.quant_max)) return PQK_ERROR_TYPE;
    if (slot == PQK_SLOT_S32) return PQK_ERROR_TYPE;
    pqk_status status = pqk_tiles_check(&operands, exec);
    if (status) return status;
    if (!multiplier->real == !multiplier->m0) return PQK_ERROR_MULTIPLIER;
    if (multiplier->m0 && !multiplier->shift) return PQK_ERROR_MULTIPLIER;

    const size_t count = pqk_tiles_param_count(acc, multiplier->block);
    struct job job = {
        kernel_for(slot),
        {multiplier->real, multiplier->m0, multiplier->m0 ? multiplier->shift : NULL, multiplier->zero_point,
                multiplier->rounding, false, range.quant_min, range.quant_max}
    };
    status = check_multipliers(&job.requantizer, count);
    if (status) return status;
    if (!pqk_affine_zero_points_valid(&range, count)) return PQK_ERROR_ZERO_POINT;

    pqk_tiles_run(&operands, run_tile, &job, exec);
    return PQK_OK;
}
