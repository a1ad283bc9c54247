/* convert.c -- pqk_cast(): checks, the choice of the kernel, tiles. */
#include "convert/convert.h"
#include "dispatch/dispatch.h"
#include "formats/e8m0.h"
#include "formats/fp4.h"
#include "formats/fp6.h"
#include "formats/fp8.h"
#include "formats/wide.h"

const struct pqk_float_format *pqk_format_of(pqk_type type, int *bits)
{
    *bits = pqk_type_bits(type);
    switch (type) {
    case PQK_F32:
        return &pqk_f32;
    case PQK_F16:
        return &pqk_f16;
    case PQK_BF16:
        return &pqk_bf16;
    case PQK_E4M3FN:
        return &pqk_e4m3fn;
    case PQK_E5M2:
        return &pqk_e5m2;
    case PQK_E4M3FNUZ:
        return &pqk_e4m3fnuz;
    case PQK_E5M2FNUZ:
        return &pqk_e5m2fnuz;
    case PQK_E4M3B11FNUZ:
        return &pqk_e4m3b11fnuz;
    case PQK_E4M3:
        return &pqk_e4m3;
    case PQK_E3M4:
        return &pqk_e3m4;
    case PQK_E2M3FN:
    case PQK_E2M3FNX4:
        return &pqk_e2m3fn;
    case PQK_E3M2FN:
    case PQK_E3M2FNX4:
        return &pqk_e3m2fn;
    case PQK_E2M1FN:
    case PQK_E2M1FNX2:
        return &pqk_e2m1fn;
    case PQK_E8M0FNU:
        return &pqk_e8m0fnu;
    default:
        return NULL;
    }
}

/* Rows and columns of the table below: F32, F16, BF16, narrow. */
static int place_of(pqk_type type) { return pqk_is_wide(type) ? (int)(type - PQK_F32) : 3; }

pqk_convert_fn *pqk_convert_kernel(pqk_type from, pqk_type to)
{
    const struct pqk_kernels *k = pqk_active_kernels();
    pqk_convert_fn *const table[4][4] = {
        {k->cast_f32_f32,    k->cast_f32_f16,    k->cast_f32_bf16,    k->cast_f32_narrow },
        {k->cast_f16_f32,    k->cast_f16_f16,    k->cast_f16_bf16,    k->cast_f16_narrow },
        {k->cast_bf16_f32,   k->cast_bf16_f16,   k->cast_bf16_bf16,   k->cast_bf16_narrow},
        {k->cast_narrow_f32, k->cast_narrow_f16, k->cast_narrow_bf16, NULL               },
    };
    return table[place_of(from)][place_of(to)];
}

struct job {
    pqk_convert_fn *kernel;
    struct pqk_convert convert;
};

static void run_tile(const struct pqk_tile *tile, const void *context)
{
    const struct job *job = context;
    job->kernel(tile, &job->convert);
}

pqk_status pqk_cast(const pqk_array *x, const pqk_cast_options *options, const pqk_array *y, const pqk_exec *exec)
{
    static const pqk_cast_options usual = {PQK_NEAREST_EVEN, 1, 0};
    const pqk_cast_options *o = options ? options : &usual;
    int64_t each[PQK_MAX_NDIM]; /* blocks of one element: the parameter index counts elements in C order */
    struct pqk_operands operands = {
        {x, y},
        2, 1, NULL
    };
    int from_bits, to_bits;
    const struct pqk_float_format *from = pqk_format_of(x->type, &from_bits), *to = pqk_format_of(y->type, &to_bits);

    if (!from || !to || (!pqk_is_wide(x->type) && !pqk_is_wide(y->type))) return PQK_ERROR_TYPE;
    if (o->rounding < PQK_NEAREST_EVEN || o->rounding > PQK_STOCHASTIC) return PQK_ERROR_OPTION;
    if (o->rounding == PQK_STOCHASTIC && x->ndim >= 0 && x->ndim <= PQK_MAX_NDIM) {
        for (int d = 0; d < x->ndim; ++d) each[d] = 1;
        operands.block = each;
    }
    const pqk_status status = pqk_tiles_check(&operands, exec);
    if (status) return status;

    const bool wide = pqk_is_wide(y->type), narrow_x = !pqk_is_wide(x->type);
    /* What is exact needs no rounding: every narrow type but e8m0 is part of every wide one. */
    const bool exact = y->type == PQK_F32 || x->type == y->type || (narrow_x && x->type != PQK_E8M0FNU);
    const struct job job = {
        .kernel = pqk_convert_kernel(x->type, y->type),
        .convert = {.format = narrow_x ? from : to,
                    .bits = narrow_x ? from_bits : to_bits,
                    .rounding = exact ? PQK_NEAREST_EVEN : o->rounding,
                    .saturate = o->saturate && !wide,
                    .seed = o->seed}
    };
    pqk_tiles_run(&operands, run_tile, &job, exec);
    return PQK_OK;
}
