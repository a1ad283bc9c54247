/* linear.c -- pqk_linear(): float rows are quantized into the packed panels that the micro-kernel reads, so they are
 * written once, as bytes, and a panel is still in the second-level cache when its range is known.
 *
 * It is what pqk_observe, pqk_quantize and pqk_matmul give one after the other, bit for bit, because it runs their
 * kernels.  Each row is quantized by itself, so it does not matter which rows it comes with.  A row's NaNs do not count
 * for its range and become -128; an infinity makes its scale infinite.
 */
#include <float.h>
#include "affine/integers.h"
#include "core/arena.h"
#include "core/fpenv.h"
#include "core/macros.h"
#include "core/memory.h"
#include "dispatch/dispatch.h"
#include "gemm/driver.h"
#include "tiles/gather.h"

enum {
    PIECE = 1024,  /* elements of a row at a time: a multiple of every kr; x and the bytes of a panel stay near */
    GATHERED = 256 /* of rows that are not contiguous */
};

struct input {
    const char *x; /* element (0, 0) of what is asked for */
    ptrdiff_t row, column;
    int size; /* bytes of an element */
    pqk_observe_fn *observe;
    pqk_quantize_fn *quantize;
    struct pqk_affine affine;
    float *scales; /* by row, to be filled; NULL where the scale is given */
};

/* k elements of the panel's rows from column p on, made contiguous if they are not. */
struct piece {
    PQK_ALIGNED(64) char gathered[PQK_GEMM_MAX_MR * GATHERED * 4];
    struct pqk_tile tile;
};

static int64_t piece_of(const struct input *in, int64_t left)
{
    const int64_t most = in->column == in->size ? PIECE : GATHERED;
    return left < most ? left : most;
}

static void fetch(const struct input *in, const struct pqk_gemm_a_panel *panel, int64_t p, int64_t k,
                  struct piece *piece)
{
    const char *x = in->x + panel->row * in->row + p * in->column;
    piece->tile = (struct pqk_tile){.rows = (size_t)panel->m, .n = (size_t)k, .param_row = in->scales ? 1 : 0};
    if (in->column == in->size) {
        piece->tile.data[0] = (char *)(uintptr_t)x; /* an operand that is only read */
        piece->tile.row_stride[0] = in->row;
        return;
    }
    const ptrdiff_t row = (ptrdiff_t)GATHERED * in->size;
    for (int r = 0; r < panel->m; ++r)
        pqk_gather(piece->gathered + r * row, x + r * in->row, in->column, (size_t)k, in->size);
    piece->tile.data[0] = piece->gathered;
    piece->tile.row_stride[0] = row;
}

/* absmax / 127 of each row of the panel, at least the least normal number; 1 for a row of zeros. */
static void find_scales(const struct input *in, const struct pqk_gemm_a_panel *panel, int64_t k)
{
    struct piece piece;
    float low[PQK_GEMM_MAX_MR], high[PQK_GEMM_MAX_MR];
    const struct pqk_observe_out out = {
        {.min = low, .max = high},
        NULL
    };
    for (int r = 0; r < panel->m; ++r) low[r] = high[r] = 0.0f;
    for (int64_t p = 0, n; p < k; p += n) {
        n = in->column == in->size ? k : piece_of(in, k - p);
        fetch(in, panel, p, n, &piece);
        piece.tile.param_row = 1;
        in->observe(&piece.tile, &out);
    }
    for (int r = 0; r < panel->m; ++r) {
        const float absmax = high[r] > -low[r] ? high[r] : -low[r], scale = absmax / 127.0f;
        in->scales[panel->row + r] = absmax > 0.0f ? scale > FLT_MIN ? scale : FLT_MIN : 1.0f;
    }
}

static void quantize_panel(const struct pqk_gemm_job *job, const struct pqk_gemm_a_panel *panel, void *context)
{
    const struct input *in = context;
    struct pqk_affine affine = in->affine;
    struct piece piece;
    PQK_ALIGNED(64) char bytes[PQK_GEMM_MAX_MR * PIECE];

    if (in->scales) {
        find_scales(in, panel, job->cut.k);
        affine.scale = in->scales + panel->row;
    }
    for (int64_t g = 0; g < job->cut.groups; ++g) {
        const int64_t begin = g * job->cut.group, length = pqk_gemm_group_length(&job->cut, g);
        for (int64_t p = 0, k; p < length; p += k) {
            k = piece_of(in, length - p);
            fetch(in, panel, begin + p, k, &piece);
            piece.tile.data[1] = bytes;
            piece.tile.row_stride[1] = PIECE;
            in->quantize(&piece.tile, &affine);
            pqk_gemm_pack_rows(job, panel, begin + p, (size_t)k, bytes, PIECE, job->a_flip);
        }
    }
}

/* Chooses the kernels and sets what does not depend on the rows. */
static pqk_status describe(struct input *in, const pqk_array *x, const pqk_linear_input *input, pqk_type type)
{
    const struct pqk_kernels *kernels = pqk_active_kernels();
    pqk_observe_fn *const observe[3] = {kernels->observe_f32, kernels->observe_f16, kernels->observe_bf16};
    pqk_quantize_fn *const quantize[3][2] = {
        {kernels->quantize_f32_s8,  kernels->quantize_f32_u8 },
        {kernels->quantize_f16_s8,  kernels->quantize_f16_u8 },
        {kernels->quantize_bf16_s8, kernels->quantize_bf16_u8},
    };
    enum pqk_integer_slot slot;
    if (x->type < PQK_F32 || x->type > PQK_BF16) return PQK_ERROR_TYPE;
    if ((type != PQK_S8 && type != PQK_U8) ||
        !pqk_integer_type(type, &slot, &in->affine.quant_min, &in->affine.quant_max))
        return PQK_ERROR_TYPE;
    in->observe = observe[x->type - PQK_F32];
    in->quantize = quantize[x->type - PQK_F32][type == PQK_U8];
    in->size = pqk_gemm_type_size(x->type);
    pqk_gemm_strides(x, &in->row, &in->column);
    in->affine.scale = &input->scale;
    in->affine.zero_point = input->mode == PQK_LINEAR_STATIC ? &input->zero_point : NULL;
    return pqk_affine_convention(&in->affine, PQK_ONNX, true);
}

/* The rows' scales behind the driver's scratch. */
static pqk_status run(struct pqk_gemm_job *job, struct input *in, pqk_epilogue *e, bool dynamic)
{
    const size_t rows = (size_t)job->row_end;
    size_t bytes, scales = 0, all;
    if (!pqk_gemm_scratch(job, &bytes)) return PQK_ERROR_MEMORY;
    if (dynamic && !pqk_mul_size(rows, sizeof(float), &scales)) return PQK_ERROR_MEMORY;
    if (!pqk_add_size(bytes, scales, &all)) return PQK_ERROR_MEMORY;
    uint8_t *scratch = pqk_arena_take(all);
    if (!scratch) return PQK_ERROR_MEMORY;
    if (dynamic) {
        in->scales = (float *)(scratch + bytes); /* bytes is a multiple of 64 */
        e->a_scale.data = in->scales;
    }
    const pqk_fpenv found = pqk_fpenv_enter();
    pqk_gemm_drive(job, scratch);
    pqk_fpenv_leave(found);
    pqk_arena_give(scratch);
    return PQK_OK;
}

pqk_status pqk_linear(const pqk_array *x, const pqk_linear_input *input, const pqk_packed *w,
                      const pqk_epilogue *epilogue, const pqk_array *y, const pqk_range *range)
{
    const bool dynamic = input->mode == PQK_LINEAR_DYNAMIC;
    const pqk_type type = dynamic ? PQK_S8 : input->type;
    if (!dynamic && input->mode != PQK_LINEAR_STATIC) return PQK_ERROR_OPTION;
    struct input in = {0};
    if (!pqk_gemm_type_size(y->type)) return PQK_ERROR_TYPE;
    pqk_status status = describe(&in, x, input, type);
    if (!status && y->ndim != 2) status = PQK_ERROR_SHAPE;
    if (!status) status = pqk_gemm_check_shapes(x, NULL, w, y);
    if (!status) status = pqk_gemm_check_range(range, y->shape[0], y->shape[1]);
    if (status) return status;

    const struct pqk_kernels *kernels = pqk_active_kernels();
    const struct pqk_gemm *gemm = kernels->gemm_s8;
    if (w->kernels != gemm) return PQK_ERROR_LAYER;
    static const pqk_epilogue plain = {0};
    pqk_epilogue e = epilogue ? *epilogue : plain;
    /* An exact int32, or fixed-point multipliers, take no scale; then a scale for each row has no meaning. */
    const bool unscaled = y->type == PQK_S32 || e.m0.data;
    if (dynamic && unscaled) return PQK_ERROR_OPTION;
    e.a_zero_point = dynamic ? (pqk_integers){NULL, 0} : (pqk_integers){&input->zero_point, 0};
    e.a_scale = (pqk_floats){unscaled ? NULL : &input->scale, dynamic ? 1 : 0};
    if (e.group_size < 0) return PQK_ERROR_BLOCK;

    const int64_t row = range ? range->row : 0, m = (range ? range->row_end : y->shape[0]) - row, n = y->shape[1];
    struct pqk_epilogue_call call = {
        .e = &e,
        .type = y->type,
        .nr = gemm->nr,
        .a_flip = gemm->a_unsigned == (type == PQK_U8) ? 0
                  : gemm->a_unsigned                   ? 128
                                                       : -128,
        .b_flip = w->type == PQK_U8 ? -128 : 0,
    };
    status = pqk_epilogue_prepare(&call, type, w->type, m, n);
    if (status) return status;

    /* Row 0 of the job is the first row asked for; no vector of the epilogue goes by row but its scale. */
    struct pqk_gemm_job job = {
        .kernels = gemm,
        .epilogue = kernels->epilogue_gemm,
        .call = &call,
        .grouped = e.group_size > 0,
        .row_end = m,
        .column = range ? range->column : 0,
        .column_end = range ? range->column_end : n,
        .a_flip = call.a_flip ? 0x80 : 0,
        .fill = quantize_panel,
        .fill_context = &in,
        .n = n,
        .packed = w,
        .c_size = pqk_gemm_type_size(y->type),
    };
    if (m == 0 || job.column == job.column_end) return PQK_OK;
    if (!pqk_gemm_cut_make(&job.cut, gemm, x->shape[1], e.group_size)) return PQK_ERROR_SHAPE;
    if (!pqk_gemm_packed_fits(w, &job.cut, call.has_u)) {
        job.b = (struct pqk_gemm_b_source){.packed = w};
        job.packed = NULL;
    }
    pqk_gemm_strides(y, &job.c_row, &job.c_col);
    in.x = (const char *)x->data + row * in.row;
    job.c = (char *)y->data + row * job.c_row;
    job.threads = pqk_gemm_threads(m, job.column_end - job.column, job.cut.k);
    return run(&job, &in, &e, dynamic);
}
