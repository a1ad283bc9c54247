/* weights.c -- pqk_weights: packing, decoding. */
#include "gemm_float/weights.h"
#include <string.h>
#include "convert/convert.h"
#include "core/memory.h"
#include "dequantize/dequantize.h"

/* Elements are bytes: an integer type of 8 bits or less, one a byte, or a float type of 8 bits or less. */
static bool type_is_float(pqk_type type)
{
    int bits;
    return !pqk_is_wide(type) && pqk_format_of(type, &bits) && bits == 8;
}

static bool type_is_integer(pqk_type type)
{
    enum pqk_integer_slot slot;
    int32_t lowest, highest;
    return pqk_type_bits(type) == 8 && pqk_integer_type(type, &slot, &lowest, &highest);
}

/* Where in the caller's arrays the parameters of group g, column j are. */
struct params_of {
    const pqk_params *params;
    int64_t columns, blocks; /* columns that share, and how many times */
};

static int64_t params_at(const struct params_of *p, int64_t g, int64_t j) { return g * p->blocks + j / p->columns; }

static bool zero_points_fit(const struct pqk_weights *w, const struct params_of *p)
{
    enum pqk_integer_slot slot;
    int32_t lowest = 0, highest = 0; /* a float type has none */
    (void)pqk_integer_type(w->type, &slot, &lowest, &highest);
    for (int64_t i = 0; p->params->zero_point && i < w->groups * p->blocks; ++i)
        if (p->params->zero_point[i] < lowest || p->params->zero_point[i] > highest) return false;
    return true;
}

static void copy_params(struct pqk_weights *w, const struct params_of *p)
{
    const int64_t all = w->panels * PQK_FLOAT_PANEL;
    for (int64_t g = 0; g < w->groups; ++g)
        for (int64_t j = 0; j < all; ++j) {
            const int64_t at = params_at(p, g, j < w->n ? j : 0);
            const bool given = p->params && j < w->n;
            if (w->scale) w->scale[g * all + j] = given ? p->params->scale[at] : 1.0f;
            if (w->zero_point) w->zero_point[g * all + j] = given ? p->params->zero_point[at] : 0;
        }
}

/* One panel: 32 columns of b, or the n < 32 that are left. */
static void copy_panel(char *to, const char *b, ptrdiff_t p_stride, ptrdiff_t j_stride, int64_t k, int64_t n)
{
    enum { ROWS = 64 }; /* at a time: 64 bytes of each column, one line of the cache where columns are contiguous */
    if (n < PQK_FLOAT_PANEL) memset(to, 0, (size_t)k * PQK_FLOAT_PANEL);
    if (j_stride == 1) {
        for (int64_t p = 0; p < k; ++p) memcpy(to + p * PQK_FLOAT_PANEL, b + p * p_stride, (size_t)n);
        return;
    }
    for (int64_t first = 0; first < k; first += ROWS) {
        const int64_t end = k - first < ROWS ? k : first + ROWS;
        for (int64_t j = 0; j < n; ++j)
            for (int64_t p = first; p < end; ++p) to[p * PQK_FLOAT_PANEL + j] = b[p * p_stride + j * j_stride];
    }
}

/* Sizes of *w from its type, k, n and groups; false where they overflow. */
static bool measure(struct pqk_weights *w, bool scales, bool zero_points, size_t *data_bytes, size_t *param_bytes)
{
    const size_t panels = (size_t)w->panels;
    size_t columns, count;
    w->row_bytes = PQK_FLOAT_PANEL;
    if (!pqk_mul_size((size_t)w->k, w->row_bytes, &w->panel_bytes)) return false;
    if (!pqk_mul_size(w->panel_bytes, panels, data_bytes)) return false;
    if (!pqk_mul_size(panels, PQK_FLOAT_PANEL * sizeof(float), &columns)) return false;
    if (!pqk_mul_size(columns, (size_t)w->groups, param_bytes)) return false;
    if (!pqk_mul_size(*param_bytes, (size_t)scales + (size_t)zero_points, &count)) return false;
    return pqk_add_size(count, *data_bytes, &w->bytes) && w->bytes <= PTRDIFF_MAX;
}

pqk_status pqk_weights_pack(const pqk_array *b, const pqk_params *params, pqk_weights **weights)
{
    const int64_t *block = params ? params->block : NULL;
    const struct pqk_operands operands = {{b}, 1, 0, block};
    if (!type_is_integer(b->type) && !type_is_float(b->type)) return PQK_ERROR_TYPE;
    if (b->ndim != 2) return PQK_ERROR_SHAPE;
    const pqk_status status = pqk_tiles_check(&operands, NULL);
    if (status) return status;

    struct pqk_weights w = {.type = b->type, .k = b->shape[0], .n = b->shape[1]};
    w.panels = w.n / PQK_FLOAT_PANEL + (w.n % PQK_FLOAT_PANEL != 0);
    w.group = block && block[0] < w.k ? block[0] : w.k;
    w.groups = w.k ? w.k / w.group + (w.k % w.group != 0) : 1;
    const int64_t columns = block && block[1] < w.n ? block[1] : w.n ? w.n : 1;
    const struct params_of p = {params, columns, w.n / columns + (w.n % columns != 0)};
    if (params && !zero_points_fit(&w, &p)) return PQK_ERROR_ZERO_POINT;

    const bool scales = params || type_is_integer(b->type), zero_points = params && params->zero_point;
    size_t data_bytes, param_bytes;
    if (!measure(&w, scales, zero_points, &data_bytes, &param_bytes)) return PQK_ERROR_SHAPE;
    struct pqk_weights *made = pqk_aligned_alloc(sizeof *made);
    w.data = made ? pqk_aligned_alloc(w.bytes) : NULL;
    if (!w.data) {
        pqk_aligned_free(made);
        return PQK_ERROR_MEMORY;
    }
    if (scales) w.scale = (float *)(w.data + data_bytes);
    if (zero_points) w.zero_point = (int32_t *)(w.data + data_bytes + param_bytes);
    copy_params(&w, &p);
    const ptrdiff_t p_stride = b->strides ? (ptrdiff_t)b->strides[0] : (ptrdiff_t)w.n;
    const ptrdiff_t j_stride = b->strides ? (ptrdiff_t)b->strides[1] : 1;
    for (int64_t i = 0; i < w.panels; ++i) {
        const int64_t j = i * PQK_FLOAT_PANEL, n = w.n - j < PQK_FLOAT_PANEL ? w.n - j : PQK_FLOAT_PANEL;
        copy_panel(w.data + (size_t)i * w.panel_bytes, (const char *)b->data + j * j_stride, p_stride, j_stride, w.k,
                   n);
    }
    *made = w;
    *weights = made;
    return PQK_OK;
}

void pqk_weights_free(pqk_weights *weights)
{
    if (weights) pqk_aligned_free(weights->data);
    pqk_aligned_free(weights);
}

void pqk_weights_describe(const pqk_weights *weights, pqk_weights_info *info)
{
    *info = (pqk_weights_info){weights->k, weights->n, weights->group, weights->type, weights->bytes};
}

void pqk_weights_decode(const struct pqk_weights *w, int64_t panel, int64_t p, size_t rows, float *b)
{
    const ptrdiff_t param = (ptrdiff_t)(w->group ? p / w->group : 0) * (w->panels * PQK_FLOAT_PANEL);
    const struct pqk_tile tile = {
        .rows = rows,
        .n = PQK_FLOAT_PANEL,
        .data = {w->data + (size_t)panel * w->panel_bytes + (size_t)p * w->row_bytes, (char *)b                                 },
        .row_stride = {(ptrdiff_t)w->row_bytes,                                             PQK_FLOAT_PANEL * (ptrdiff_t)sizeof(float)},
        .param = param + (ptrdiff_t)panel * PQK_FLOAT_PANEL,
        .param_col = 1,
    };
    if (type_is_integer(w->type)) {
        struct pqk_affine affine = {.scale = w->scale, .zero_point = w->zero_point};
        enum pqk_integer_slot slot;
        (void)pqk_integer_type(w->type, &slot, &affine.quant_min, &affine.quant_max);
        pqk_dequantize_kernel(slot, PQK_F32)(&tile, &affine);
    } else {
        struct pqk_convert convert = {.rounding = PQK_NEAREST_EVEN, .scale = w->scale};
        convert.format = pqk_format_of(w->type, &convert.bits);
        pqk_convert_kernel(w->type, PQK_F32)(&tile, &convert);
    }
}
