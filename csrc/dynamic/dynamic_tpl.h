/* dynamic_tpl.h -- the loops of every dynamic kernel, written once.
 *
 * Include after defining PQK_ISA and including simd/vec_<isa>.h and convert/lanes_<isa>.h.  dynamic.h says what is
 * computed.  Rows are done in groups of 2,048 elements: magnitudes, scales, then codes, from the first-level cache; of
 * blocks of many layers, all layers are read before the first is written.
 *
 *   magnitudes   maxima of the bits without their sign, as integers: one number tells of NaN and infinity too
 *   codes        of a group whose rows lie one after the other in one run, with a scale for each vector; else by row
 *
 * The quotient is x * (1 / d), exact where d is a power of two, otherwise that of convert/quotient.h.  Rows with
 * another d, or with numbers that are not finite, are divided.
 */
#include "convert/pack.h"
#include "convert/quotient.h"
#include "dynamic/dynamic.h"
#include "dynamic/scale_loops.h"
#include "simd/elements.h"
#include "simd/stream.h"

enum { DYNAMIC_GROUP = 2048, DYNAMIC_ROWS = 128, DYNAMIC_BLOCK = 4 * VL };

enum dynamic_kind { TO_FLOAT, TO_FNUZ, TO_S8 };

/* Reciprocals of the divisors of a group's rows; three more follow, which are multiplied with nothing. */
struct reciprocals {
    float high[DYNAMIC_ROWS + 3], low[DYNAMIC_ROWS + 3];
};

/* Rows of n elements, one after the other, by at->high[r] + at->low[r], r from `first`. */
typedef void dynamic_run_fn(const char *x, char *q, size_t rows, size_t n, const struct reciprocals *by, size_t first,
                            const struct narrow_lanes *lanes);

/* ---- magnitudes */

static PQK_INLINE vs32 magnitude_of(vf32 x) { return vs32_and(vs32_bits(x), vs32_set1(INT32_MAX)); }

/* The greatest magnitude of a block, unless it has a NaN; *all: of blocks before, lane by lane. */
static PQK_INLINE float block_absmax(const char *x, size_t depth, ptrdiff_t stride, size_t n, vs32 *all, pqk_type type)
{
    const int step = VL * float_size(type);
    vs32 a = vs32_set1(0), b = a, c = a, d = a;
    for (size_t layer = 0; layer < depth; ++layer, x += stride) {
        const char *at = x;
        size_t left = n;
        for (; left >= DYNAMIC_BLOCK; left -= DYNAMIC_BLOCK, at += 4 * step) {
            a = vs32_max(a, magnitude_of(load_float(at, type)));
            b = vs32_max(b, magnitude_of(load_float(at + step, type)));
            c = vs32_max(c, magnitude_of(load_float(at + 2 * step, type)));
            d = vs32_max(d, magnitude_of(load_float(at + 3 * step, type)));
        }
        for (; left >= VL; left -= VL, at += step) b = vs32_max(b, magnitude_of(load_float(at, type)));
        if (left) c = vs32_max(c, magnitude_of(load_float_part(at, (int)left, type)));
    }
    a = vs32_max(vs32_max(a, b), vs32_max(c, d));
    *all = vs32_max(*all, a);
    return vf32_reduce_max(vf32_from_bits(a));
}

/* The same of a row without its NaNs, and of `most`. */
static PQK_NOINLINE float careful_absmax(const char *x, size_t n, float most, bool *nan, pqk_type type)
{
    float lanes[VL];
    for (size_t i = 0; i < n; i += VL) {
        const char *at = x + i * (size_t)float_size(type);
        const int m = n - i < VL ? (int)(n - i) : VL;
        vf32_store_f32(lanes, load_float_part(at, m, type));
        for (int j = 0; j < m; ++j) {
            const float magnitude = pqk_f32_from_bits(pqk_f32_bits(lanes[j]) & 0x7fffffff);
            *nan = *nan || magnitude != magnitude;
            most = magnitude > most ? magnitude : most;
        }
    }
    return most;
}

/* VL rows of n = vectors * VL elements. */
static PQK_INLINE vs32 absmax_of_short(const char *x, ptrdiff_t stride, int vectors, pqk_type type)
{
    vs32 m[VL];
    unrolled_for (int r = 0; r < VL; ++r) {
        const char *row = x + r * stride;
        m[r] = magnitude_of(load_float(row, type));
        unrolled_for (int v = 1; v < vectors; ++v)
            m[r] = vs32_max(m[r], magnitude_of(load_float(row + v * VL * float_size(type), type)));
    }
    return max_of_rows(m);
}

/* All whole groups of VL rows; returns how many rows that is. */
static PQK_INLINE size_t short_rows(const struct pqk_tile *t, float *absmax, vs32 *all, int vectors, pqk_type type)
{
    size_t r = 0;
    for (; r + VL <= t->rows; r += VL) {
        const char *x = t->data[0] + (ptrdiff_t)r * t->row_stride[0];
        const vs32 m = absmax_of_short(x, t->row_stride[0], vectors, type);
        *all = vs32_max(*all, m);
        vf32_store_f32(absmax + r, vf32_from_bits(m));
    }
    return r;
}

/* True where all numbers are finite. */
static PQK_INLINE bool find_absmax(const struct pqk_tile *t, const struct pqk_dynamic_rows *how, float *absmax,
                                   bool *nan, pqk_type type)
{
    const size_t depth = how->depth;
    const ptrdiff_t stride = how->depth_stride[0];
    const vs32 finite = vs32_set1(0x7f7fffff);
    vs32 all = vs32_set1(0);
    size_t r = depth > 1        ? 0
               : t->n == VL     ? short_rows(t, absmax, &all, 1, type)
               : t->n == 2 * VL ? short_rows(t, absmax, &all, 2, type)
               : t->n == 4 * VL ? short_rows(t, absmax, &all, 4, type)
                                : 0;
    for (; r < t->rows; ++r) {
        const char *x = t->data[0] + (ptrdiff_t)r * t->row_stride[0];
        absmax[r] =
            depth > 1 ? block_absmax(x, depth, stride, t->n, &all, type) : block_absmax(x, 1, 0, t->n, &all, type);
    }
    if (!vs32_any(vs32_sub(vs32_max(all, finite), finite))) return true;
    for (r = 0; r < t->rows; ++r) {
        const char *x = t->data[0] + (ptrdiff_t)r * t->row_stride[0];
        absmax[r] = 0.0f;
        nan[r] = false;
        for (size_t d = 0; d < depth; ++d, x += stride) absmax[r] = careful_absmax(x, t->n, absmax[r], nan + r, type);
    }
    return false;
}

/* ---- codes */

static PQK_INLINE v8 codes_of(const vf32 x[4], const vf32 high[4], const vf32 low[4], const struct narrow_lanes *lanes,
                              enum dynamic_kind kind, bool exact)
{
    vf32 y[4];
    vs32 q[4];
    unrolled_for (int v = 0; v < 4; ++v)
        y[v] = exact ? vf32_mul(x[v], high[v]) : vf32_fma(x[v], high[v], vf32_mul(x[v], low[v]));
    if (kind != TO_S8) return narrow_block(y, lanes, kind == TO_FNUZ);
    unrolled_for (int v = 0; v < 4; ++v) q[v] = vs32_round(vf32_guard(y[v], vf32_set1(-128.0f), vf32_set1(127.0f)));
    return vs8_pack2(vs16_pack2(q[0], q[1]), vs16_pack2(q[2], q[3]));
}

/* One row at a time. */
static PQK_INLINE void codes_of_rows(const char *x, char *q, size_t rows, size_t n, const struct reciprocals *by,
                                     size_t first, const struct narrow_lanes *lanes, pqk_type type,
                                     enum dynamic_kind kind, bool exact)
{
    vf32 in[4];
    for (size_t r = first; r < first + rows; ++r) {
        const vf32 h = vf32_set1(by->high[r]), l = vf32_set1(by->low[r]);
        const vf32 high[4] = {h, h, h, h}, low[4] = {l, l, l, l};
        size_t left = n;
        for (; left >= DYNAMIC_BLOCK; left -= DYNAMIC_BLOCK, q += DYNAMIC_BLOCK) {
            load_float_block(in, x, DYNAMIC_BLOCK, type);
            v8_store(q, codes_of(in, high, low, lanes, kind, exact));
            x += DYNAMIC_BLOCK * float_size(type);
        }
        if (!left) continue;
        load_float_block(in, x, (int)left, type);
        v8_store_part(q, (int)left, codes_of(in, high, low, lanes, kind, exact));
        x += left * (size_t)float_size(type);
        q += left;
    }
}

/* Rows of one vector or of two, so that a block has four rows or two. */
static PQK_INLINE void codes_of_short(const char *x, char *q, size_t rows, int vectors, const struct reciprocals *by,
                                      size_t first, const struct narrow_lanes *lanes, pqk_type type,
                                      enum dynamic_kind kind, bool exact)
{
    const int each = 4 / vectors;
    vf32 in[4], high[4], low[4];
    for (size_t r = first, end = first + rows; r < end; r += (size_t)each) {
        const int m = end - r < (size_t)each ? (int)(end - r) * vectors * VL : DYNAMIC_BLOCK;
        unrolled_for (int v = 0; v < 4; ++v) {
            high[v] = vf32_set1(by->high[r + (size_t)(v / vectors)]);
            low[v] = vf32_set1(by->low[r + (size_t)(v / vectors)]);
        }
        load_float_block(in, x, m, type);
        const v8 codes = codes_of(in, high, low, lanes, kind, exact);
        if (m == DYNAMIC_BLOCK)
            v8_store(q, codes);
        else
            v8_store_part(q, m, codes);
        x += m * float_size(type);
        q += m;
    }
}

static PQK_INLINE void codes_run(const char *x, char *q, size_t rows, size_t n, const struct reciprocals *by,
                                 size_t first, const struct narrow_lanes *lanes, pqk_type type, enum dynamic_kind kind,
                                 bool exact)
{
    const struct narrow_lanes here = *lanes; /* constants in registers: nothing that is stored may change them */
    if (n == VL)
        codes_of_short(x, q, rows, 1, by, first, &here, type, kind, exact);
    else if (n == 2 * VL)
        codes_of_short(x, q, rows, 2, by, first, &here, type, kind, exact);
    else
        codes_of_rows(x, q, rows, n, by, first, &here, type, kind, exact);
}

/* ---- groups */

struct dynamic_context {
    const struct pqk_dynamic_rows *how;
    dynamic_run_fn *run;
    bool exact, pack;
    int size; /* of an element of x */
    struct narrow_lanes lanes;
};

/* False where a product is not enough. */
static PQK_INLINE bool invert(size_t n, const float *absmax, const float *d, struct reciprocals *by, bool exact)
{
    int good = 1;
    for (size_t i = 0; i < n; ++i) {
        const float inverse = 1.0f / d[i];
        good &= (inverse <= FLT_MAX) & (absmax[i] * inverse <= 0x1p100f); /* false for a NaN */
        by->high[i] = inverse;
        by->low[i] = 0.0f;
        if (!exact) good &= pqk_quotient_terms(d[i], &by->high[i], &by->low[i]);
    }
    for (size_t i = n; i < n + 3; ++i) by->high[i] = by->low[i] = 0.0f;
    return good != 0;
}

/* Rows of n elements from x to `home`, by way of a buffer where they are packed or go around the caches. */
static PQK_INLINE void emit(const struct dynamic_context *k, bool stream, const char *x, char *home, size_t rows,
                            size_t n, const struct reciprocals *by, size_t first)
{
    PQK_ALIGNED(64) char codes[DYNAMIC_GROUP];
    PQK_ALIGNED(64) char packed[DYNAMIC_GROUP];
    const int bits = k->how->bits;
    k->run(x, k->pack || stream ? codes : home, rows, n, by, first, &k->lanes);
    if (k->pack) pack_codes(stream ? packed : home, (const uint8_t *)codes, rows * n, bits);
    if (stream) pqk_stream_copy(home, k->pack ? packed : codes, (rows * n * (size_t)bits + 7) / 8);
}

static PQK_INLINE void rows_by_row(const struct pqk_tile *t, const struct dynamic_context *k,
                                   const struct reciprocals *by, bool stream)
{
    for (size_t r = 0; r < t->rows; ++r) {
        const char *x = t->data[0] + (ptrdiff_t)r * t->row_stride[0];
        char *q = t->data[1] + (ptrdiff_t)r * t->row_stride[1];
        for (size_t i = 0; i < t->n; i += DYNAMIC_GROUP) {
            const size_t n = t->n - i < DYNAMIC_GROUP ? t->n - i : DYNAMIC_GROUP;
            emit(k, stream, x + i * (size_t)k->size, q + i * (size_t)k->how->bits / 8, 1, n, by, r);
        }
    }
}

static PQK_INLINE void dynamic_group(const struct pqk_tile *t, const struct dynamic_context *k, bool stream,
                                     pqk_type type)
{
    float absmax[DYNAMIC_ROWS], divisor[DYNAMIC_ROWS], scale[DYNAMIC_ROWS];
    struct reciprocals by;
    bool nan[DYNAMIC_ROWS];
    const size_t size = pqk_scale_size(k->how->rule.mode), bits = (size_t)k->how->bits;
    const bool finite = find_absmax(t, k->how, absmax, nan, type);

    if (finite)
        apply_scale_rule(&k->how->rule, t->rows, absmax, NULL, scale, divisor);
    else
        pqk_scale_rule_apply(&k->how->rule, t->rows, absmax, nan, scale, divisor);
    char *to = k->how->scale + t->param * (ptrdiff_t)size;
    if (t->param_row == 1)
        memcpy(to, scale, t->rows * size);
    else
        for (size_t r = 0; r < t->rows; ++r)
            memcpy(to + (ptrdiff_t)(r * size) * t->param_row, (char *)scale + r * size, size);
    const bool by_product = invert(t->rows, absmax, divisor, &by, k->exact) && finite;
    const bool one_run = t->row_stride[0] == (ptrdiff_t)(t->n * (size_t)k->size) && t->n * bits % 8 == 0 &&
                         t->row_stride[1] == (ptrdiff_t)(t->n * bits / 8);
    struct pqk_tile layer = *t;
    layer.param = 0;
    layer.param_row = 1;
    layer.stream = stream;
    for (size_t d = 0; d < k->how->depth; ++d) {
        if (!by_product)
            k->how->divide(&layer, divisor, k->how->context);
        else if (one_run && t->n <= DYNAMIC_GROUP)
            emit(k, stream, layer.data[0], layer.data[1], t->rows, t->n, &by, 0);
        else
            rows_by_row(&layer, k, &by, stream);
        for (int o = 0; o < 2; ++o) layer.data[o] += k->how->depth_stride[o];
    }
}

static PQK_INLINE void dynamic_tile(const struct pqk_tile *t, const struct pqk_dynamic_rows *how,
                                    dynamic_run_fn *const run[3][2], pqk_type type)
{
    const pqk_scale_mode mode = how->rule.mode;
    const bool exact = mode != PQK_SCALE_ABSMAX && mode != PQK_SCALE_NVFP4, stream = PQK_CAN_STREAM && t->stream;
    const enum dynamic_kind kind = !how->format ? TO_S8 : how->format->kind == PQK_KIND_FNUZ ? TO_FNUZ : TO_FLOAT;
    struct dynamic_context k = {.how = how, .run = run[kind][exact], .exact = exact, .size = float_size(type)};
    k.pack = how->bits < 8;
    k.lanes = narrow_lanes_of(how->format ? how->format : &pqk_e4m3fn, true); /* not read for S8 */
    (void)unpack_codes;                                                       /* pack.h has it for others */
    size_t most = t->n ? DYNAMIC_GROUP / t->n : 1;
    most = most < 1 ? 1 : most < DYNAMIC_ROWS ? most : DYNAMIC_ROWS;
    for (size_t r = 0; r < t->rows; r += most) {
        struct pqk_tile group = *t;
        group.rows = t->rows - r < most ? t->rows - r : most;
        for (int o = 0; o < 2; ++o) group.data[o] += (ptrdiff_t)r * t->row_stride[o];
        group.param += (ptrdiff_t)r * t->param_row;
        dynamic_group(&group, &k, stream, type);
    }
    if (stream) pqk_stream_end();
}

#define DYNAMIC_RUN(name, type, kind, exact)                                                                   \
    static PQK_NOINLINE void name(const char *x, char *q, size_t rows, size_t n, const struct reciprocals *by, \
                                  size_t first, const struct narrow_lanes *lanes)                              \
    {                                                                                                          \
        codes_run(x, q, rows, n, by, first, lanes, type, kind, exact);                                         \
    }
#define DYNAMIC_RUNS(type, TYPE)                               \
    DYNAMIC_RUN(float_exact_##type, TYPE, TO_FLOAT, true)      \
    DYNAMIC_RUN(float_corrected_##type, TYPE, TO_FLOAT, false) \
    DYNAMIC_RUN(fnuz_exact_##type, TYPE, TO_FNUZ, true)        \
    DYNAMIC_RUN(fnuz_corrected_##type, TYPE, TO_FNUZ, false)   \
    DYNAMIC_RUN(s8_exact_##type, TYPE, TO_S8, true)            \
    DYNAMIC_RUN(s8_corrected_##type, TYPE, TO_S8, false)
DYNAMIC_RUNS(f32, PQK_F32)
DYNAMIC_RUNS(f16, PQK_F16)
DYNAMIC_RUNS(bf16, PQK_BF16)

#define TYPE_f32  PQK_F32
#define TYPE_f16  PQK_F16
#define TYPE_bf16 PQK_BF16
#define DYNAMIC_KERNEL(type)                                                                       \
    pqk_dynamic_fn PQK_NAME(dynamic_##type);                                                       \
    void PQK_NAME(dynamic_##type)(const struct pqk_tile *tile, const struct pqk_dynamic_rows *how) \
    {                                                                                              \
        static dynamic_run_fn *const run[3][2] = {                                                 \
            {float_corrected_##type, float_exact_##type},                                          \
            {fnuz_corrected_##type,  fnuz_exact_##type },                                          \
            {s8_corrected_##type,    s8_exact_##type   },                                          \
        };                                                                                         \
        dynamic_tile(tile, how, run, TYPE_##type);                                                 \
    }
PQK_DYNAMIC_ALL(DYNAMIC_KERNEL)
