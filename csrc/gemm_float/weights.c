/* weights.c -- pqk_weights: packing, and where a piece of it is. */
#include "gemm_float/weights.h"
#include <string.h>
#include "affine/integers.h"
#include "convert/convert.h"
#include "core/memory.h"
#include "tiles/tiles.h"

/* What a type's bytes mean; false for what is not one element a byte.  highest - lowest is 2^bits - 1 of an integer. */
static bool type_known(struct pqk_weights *w, int32_t *lowest, int32_t *highest)
{
    enum pqk_integer_slot slot;
    int bits;
    if (pqk_is_wide(w->type) || pqk_type_bits(w->type) != 8) return false;
    *lowest = *highest = 0; /* of zero points, which a float type does not have */
    w->format = pqk_format_of(w->type, &bits);
    if (w->format) return true;
    if (!pqk_integer_type(w->type, &slot, lowest, highest)) return false;
    w->is_unsigned = *lowest == 0;
    return true;
}

/* Where in the caller's arrays the parameters of group g, column j are. */
struct params_of {
    const pqk_params *params;
    int64_t columns, blocks; /* columns that share, and how many times */
};

static int64_t params_at(const struct params_of *p, int64_t g, int64_t j) { return g * p->blocks + j / p->columns; }

static bool zero_points_fit(const struct pqk_weights *w, const struct params_of *p, int32_t lowest, int32_t highest)
{
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

/* Integers of 4 and 2 bits to bytes of their value: of a byte only the low bits count.  mask: highest - lowest. */
static void widen_codes(char *codes, size_t count, uint8_t mask, bool is_unsigned)
{
    const uint8_t top = is_unsigned ? 0 : (uint8_t)(mask / 2 + 1);
    for (size_t i = 0; i < count; ++i) codes[i] = (char)(uint8_t)((((uint8_t)codes[i] & mask) ^ top) - top);
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
    struct pqk_weights w = {.type = b->type};
    int32_t lowest, highest;
    if (!type_known(&w, &lowest, &highest)) return PQK_ERROR_TYPE;
    if (b->ndim != 2) return PQK_ERROR_SHAPE;
    const pqk_status status = pqk_tiles_check(&operands, NULL);
    if (status) return status;

    w.k = b->shape[0];
    w.n = b->shape[1];
    w.panels = w.n / PQK_FLOAT_PANEL + (w.n % PQK_FLOAT_PANEL != 0);
    w.group = block && block[0] < w.k ? block[0] : w.k;
    w.groups = w.k ? w.k / w.group + (w.k % w.group != 0) : 0;
    const int64_t columns = block && block[1] < w.n ? block[1] : w.n ? w.n : 1;
    const struct params_of p = {params, columns, w.n / columns + (w.n % columns != 0)};
    if (params && !zero_points_fit(&w, &p, lowest, highest)) return PQK_ERROR_ZERO_POINT;

    const bool scales = params || !w.format, zero_points = params && params->zero_point;
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
    if (highest - lowest < 255 && !w.format)
        widen_codes(w.data, (size_t)w.panels * w.panel_bytes, (uint8_t)(highest - lowest), w.is_unsigned);
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

void pqk_weights_unpack(const struct pqk_weights *w, char *b)
{
    for (int64_t i = 0; i < w->panels; ++i) {
        const int64_t j = i * PQK_FLOAT_PANEL, n = w->n - j < PQK_FLOAT_PANEL ? w->n - j : PQK_FLOAT_PANEL;
        for (int64_t p = 0; p < w->k; ++p)
            memcpy(b + p * w->n + j, w->data + (size_t)i * w->panel_bytes + (size_t)p * w->row_bytes, (size_t)n);
    }
}

void pqk_weights_codes(const struct pqk_weights *w, int64_t panel, int64_t p, struct pqk_panel_codes *codes)
{
    const int64_t param = (w->group ? p / w->group : 0) * (w->panels * PQK_FLOAT_PANEL) + panel * PQK_FLOAT_PANEL;
    *codes = (struct pqk_panel_codes){
        .data = w->data + (size_t)panel * w->panel_bytes + (size_t)p * w->row_bytes,
        .is_unsigned = w->is_unsigned,
        .format = w->format,
        .scale = w->scale ? w->scale + param : NULL,
        .zero_point = w->zero_point ? w->zero_point + param : NULL,
    };
}
