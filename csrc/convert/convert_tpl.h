/* convert_tpl.h -- the loops of every cast kernel, written once.
 *
 * Include after defining PQK_ISA and including simd/vec_<isa>.h and convert/lanes_<isa>.h.  convert.h says what is
 * computed, lanes.h how.  A block is 4 VL elements: four registers of float32, one of codes.
 *
 *   to nearest even        vectors, whatever the format: formats differ in the constants that a tile prepares
 *   any other rounding,    float32 bits in a buffer, then formats/small_float.h element by element, which compilers
 *   and e8m0               turn into vectors of their own
 *
 * A tile is done row by row, short rows together, in chunks where its elements are packed, its results go around the
 * caches, or its scales must be gathered.  With 512 bits a row with a scale that is good for it is multiplied instead
 * of divided (quotient.h).  With a scale of its own a row reads it from a block of equal numbers: one loop for both.
 */
#include "convert/convert.h"
#include "convert/pack.h"
#include "convert/quotient.h"
#include "formats/philox.h"
#include "formats/wide.h"
#include "simd/elements.h"
#include "simd/stream.h"

enum { CONVERT_CHUNK = 2048, CONVERT_BLOCK = 4 * VL };

struct convert_context;

/* n elements.  scale: NULL, or that of element i at scale[i * scale_step]; scale_step is 0 or 1, and there are always
 * CONVERT_BLOCK of them.  index, index_step: of the elements in C order, for random numbers. */
typedef void convert_run_fn(const char *x, char *y, size_t n, const float *scale, uint64_t index,
                            const struct convert_context *k);

struct convert_context {
    const struct pqk_convert *c;
    convert_run_fn *run;
    convert_run_fn *product; /* instead of run, scale being the two terms of quotient.h; or NULL */
    int x_bits, y_bits;      /* of an element as run sees it, codes one a byte */
    bool pack, unpack;
    size_t scale_step;
    uint64_t index_step;
    struct narrow_lanes narrow;
    struct widen_lanes widen;
};

/* ---- pieces */

static PQK_NOINLINE void patch_nans(float *x, uint8_t *codes, const struct pqk_convert *c)
{
    for (int i = 0; i < CONVERT_BLOCK; ++i) {
        const uint32_t bits = pqk_f32_bits(x[i]) & (c->scale ? 0x7fffffff : 0xffffffff);
        if (x[i] != x[i]) codes[i] = (uint8_t)pqk_round_float(bits, c->format, PQK_NEAREST_EVEN, c->saturate, 0);
    }
}
static PQK_INLINE v8 with_nans(v8 codes, const vf32 x[4], const struct pqk_convert *c)
{
    PQK_ALIGNED(64) float in[CONVERT_BLOCK];
    PQK_ALIGNED(64) uint8_t out[CONVERT_BLOCK];
    unrolled_for (int v = 0; v < 4; ++v) vf32_store_f32(in + v * VL, x[v]);
    v8_store(out, codes);
    patch_nans(in, out, c);
    return v8_load(out);
}

/* NaNs without payload; unsigned where arithmetic made them. */
static PQK_NOINLINE void canonical_nans(uint32_t *bits, size_t n, bool scaled)
{
    for (size_t i = 0; i < n; ++i)
        if ((bits[i] & 0x7fffffff) > 0x7f800000) bits[i] = 0x7fc00000 | (scaled ? 0 : bits[i] & 0x80000000);
}
static PQK_INLINE void canonical_block(vf32 x[4], bool scaled)
{
    PQK_ALIGNED(64) uint32_t bits[CONVERT_BLOCK];
    unrolled_for (int v = 0; v < 4; ++v) vf32_store_f32(bits + v * VL, x[v]);
    canonical_nans(bits, CONVERT_BLOCK, scaled);
    unrolled_for (int v = 0; v < 4; ++v) x[v] = vf32_load_f32(bits + v * VL);
}

/* A block of scales; of a last part of a row, m of them and ones. */
static PQK_INLINE void load_scales(vf32 s[4], const float *scale, int m)
{
    if (m == CONVERT_BLOCK) {
        unrolled_for (int v = 0; v < 4; ++v) s[v] = vf32_load_f32(scale + v * VL);
        return;
    }
    PQK_ALIGNED(64) float some[CONVERT_BLOCK];
    for (int i = 0; i < CONVERT_BLOCK; ++i) some[i] = i < m ? scale[i] : 1.0f;
    unrolled_for (int v = 0; v < 4; ++v) s[v] = vf32_load_f32(some + v * VL);
}

/* ---- to a narrow type, to nearest even */

static PQK_INLINE v8 narrow_some(const char *x, int m, const float *scale, const struct convert_context *k,
                                 pqk_type type, bool fnuz)
{
    vf32 in[4], s[4];
    load_float_block(in, x, m, type);
    if (scale) {
        load_scales(s, scale, m);
        unrolled_for (int v = 0; v < 4; ++v) in[v] = vf32_div(in[v], s[v]);
    }
    const v8 codes = narrow_block(in, &k->narrow, fnuz);
    return any_nan(in) ? with_nans(codes, in, k->c) : codes;
}

static PQK_INLINE void narrow_run(const char *x, char *y, size_t n, const float *scale, const struct convert_context *k,
                                  pqk_type type, bool fnuz)
{
    const struct convert_context here = *k; /* constants in registers: nothing that is stored may change them */
    const int step = CONVERT_BLOCK * float_size(type);
    for (; n >= CONVERT_BLOCK; n -= CONVERT_BLOCK, x += step, y += CONVERT_BLOCK) {
#if defined(NARROW_HALVES)
        if (type == PQK_BF16 && !scale && narrow_halves(y, x, &here.narrow, fnuz)) continue;
#endif
        v8_store(y, narrow_some(x, CONVERT_BLOCK, scale, &here, type, fnuz));
        if (scale) scale += CONVERT_BLOCK * here.scale_step;
    }
    if (n) v8_store_part(y, (int)n, narrow_some(x, (int)n, scale, &here, type, fnuz));
}

enum { PRODUCT_PAYS = VL == 16 }; /* the divider of 256 bits keeps up with the rest of the loop */

/* A run of one scale, by a product: by[0] and by[1] are the terms of quotient.h. */
static PQK_INLINE void product_run(const char *x, char *y, size_t n, const float *by, const struct convert_context *k,
                                   pqk_type type, bool fnuz)
{
    const struct convert_context here = *k;
    const vf32 high = vf32_set1(by[0]), low = vf32_set1(by[1]);
    for (size_t i = 0, m; i < n; i += m) {
        vf32 in[4];
        m = n - i < CONVERT_BLOCK ? n - i : CONVERT_BLOCK;
        load_float_block(in, x + i * (size_t)float_size(type), (int)m, type);
        unrolled_for (int v = 0; v < 4; ++v) in[v] = vf32_fma(in[v], high, vf32_mul(in[v], low));
        v8 codes = narrow_block(in, &here.narrow, fnuz);
        if (any_nan(in)) codes = with_nans(codes, in, here.c);
        if (m == CONVERT_BLOCK)
            v8_store(y + i, codes);
        else
            v8_store_part(y + i, (int)m, codes);
    }
}

/* ---- from a narrow type */

static PQK_INLINE void widen_some(vf32 y[4], v8 codes, int m, const float *scale, const struct convert_context *k,
                                  enum widen_top top)
{
    vf32 s[4];
    widen_block(y, codes, &k->widen, top);
    if (scale) {
        load_scales(s, scale, m);
        unrolled_for (int v = 0; v < 4; ++v) y[v] = vf32_mul(y[v], s[v]);
        if (any_nan(y)) canonical_block(y, true);
    }
}

static PQK_INLINE void widen_run(const char *x, char *y, size_t n, const float *scale, const struct convert_context *k,
                                 pqk_type type, enum widen_top top)
{
    const struct convert_context here = *k;
    const int size = float_size(type);
    vf32 out[4];
    for (; n >= CONVERT_BLOCK; n -= CONVERT_BLOCK, x += CONVERT_BLOCK, y += CONVERT_BLOCK * size) {
#if defined(WIDEN_HALVES)
        if (WIDEN_HALVES(type) && !scale) {
            widen_halves(y, v8_load(x), &here.widen, top);
            continue;
        }
#endif
        widen_some(out, v8_load(x), CONVERT_BLOCK, scale, &here, top);
        store_two_floats(y, out[0], out[1], type);
        store_two_floats(y + 2 * VL * size, out[2], out[3], type);
        if (scale) scale += CONVERT_BLOCK * here.scale_step;
    }
    if (!n) return;
    PQK_ALIGNED(64) char codes[CONVERT_BLOCK] = {0};
    memcpy(codes, x, n);
#if defined(WIDEN_HALVES)
    if (WIDEN_HALVES(type) && !scale) {
        PQK_ALIGNED(64) char results[2 * CONVERT_BLOCK];
        widen_halves(results, v8_load(codes), &here.widen, top);
        memcpy(y, results, 2 * n);
        return;
    }
#endif
    widen_some(out, v8_load(codes), (int)n, scale, &here, top);
    store_float_block(y, out, (int)n, type);
}

/* ---- between wide types, to nearest even */

static PQK_INLINE void wide_run(const char *x, char *y, size_t n, pqk_type from, pqk_type to)
{
    vf32 v[4];
    for (; n >= CONVERT_BLOCK; n -= CONVERT_BLOCK) {
        load_float_block(v, x, CONVERT_BLOCK, from);
        if (any_nan(v)) canonical_block(v, false);
        store_two_floats(y, v[0], v[1], to);
        store_two_floats(y + 2 * VL * float_size(to), v[2], v[3], to);
        x += CONVERT_BLOCK * float_size(from);
        y += CONVERT_BLOCK * float_size(to);
    }
    if (!n) return;
    load_float_block(v, x, (int)n, from);
    if (any_nan(v)) canonical_block(v, false);
    store_float_block(y, v, (int)n, to);
}

/* ---- any rounding, element by element */

enum { ROUND_CHUNK = 256 };

static PQK_INLINE void round_by(uint32_t *x, size_t n, const struct pqk_float_format *format, pqk_rounding mode,
                                const struct pqk_convert *c, uint64_t index, uint64_t step)
{
    const struct pqk_float_format f = *format;
    const uint64_t seed = c->seed;
    const bool saturate = c->saturate;
    for (size_t i = 0; i < n; ++i) {
        const uint32_t random = mode == PQK_STOCHASTIC ? pqk_philox(seed, index + i * step) : 0;
        x[i] = pqk_round_float(x[i], &f, mode, saturate, random);
    }
}
static PQK_NOINLINE void round_all(uint32_t *x, size_t n, const struct pqk_float_format *f, const struct pqk_convert *c,
                                   uint64_t index, uint64_t step)
{
    switch (c->rounding) {
    case PQK_NEAREST_EVEN:
        round_by(x, n, f, PQK_NEAREST_EVEN, c, index, step);
        break;
    case PQK_NEAREST_AWAY:
        round_by(x, n, f, PQK_NEAREST_AWAY, c, index, step);
        break;
    case PQK_TOWARD_ZERO:
        round_by(x, n, f, PQK_TOWARD_ZERO, c, index, step);
        break;
    case PQK_UP:
        round_by(x, n, f, PQK_UP, c, index, step);
        break;
    case PQK_DOWN:
        round_by(x, n, f, PQK_DOWN, c, index, step);
        break;
    case PQK_STOCHASTIC:
        round_by(x, n, f, PQK_STOCHASTIC, c, index, step);
        break;
    }
}

/* n codes to memory, in the low bytes of words: 1, 2 or 4 of them. */
static PQK_NOINLINE void store_codes(char *y, const uint32_t *codes, size_t n, int bits)
{
    if (bits == 32) {
        memcpy(y, codes, n * 4);
    } else if (bits == 16) {
        for (size_t i = 0; i < n; ++i) {
            const uint16_t code = (uint16_t)codes[i];
            memcpy(y + 2 * i, &code, 2);
        }
    } else {
        for (size_t i = 0; i < n; ++i) y[i] = (char)codes[i];
    }
}

/* n <= ROUND_CHUNK float32 numbers as bits, divided by their scales. */
static PQK_INLINE void load_bits(uint32_t *bits, const char *x, size_t n, const float *scale, pqk_type type)
{
    for (size_t i = 0; i < n; i += VL) {
        const int m = n - i < VL ? (int)(n - i) : VL;
        const char *at = x + i * (size_t)float_size(type);
        vf32_store_f32_part(bits + i, m, m == VL ? load_float(at, type) : load_float_part(at, m, type));
    }
    if (!scale) return;
    for (size_t i = 0; i < n; ++i) bits[i] = pqk_f32_bits(pqk_f32_from_bits(bits[i]) / scale[i]);
    canonical_nans(bits, n, true);
}

static PQK_INLINE void round_run(const char *x, char *y, size_t n, const float *scale, uint64_t index,
                                 const struct convert_context *k, const struct pqk_float_format *f, pqk_type type)
{
    uint32_t bits[ROUND_CHUNK];
    float same[ROUND_CHUNK];
    if (scale && !k->scale_step)
        for (size_t i = 0; i < ROUND_CHUNK; ++i) same[i] = *scale;
    for (size_t i = 0, m; i < n; i += m) {
        m = n - i < ROUND_CHUNK ? n - i : ROUND_CHUNK;
        const float *s = !scale ? NULL : k->scale_step ? scale + i : same;
        load_bits(bits, x + i * (size_t)float_size(type), m, s, type);
        round_all(bits, m, f, k->c, index + i * k->index_step, k->index_step);
        store_codes(y + i * (size_t)k->y_bits / 8, bits, m, k->y_bits);
    }
}

/* From e8m0, whose numbers a float16 may have to round. */
static PQK_INLINE void exponent_run(const char *x, char *y, size_t n, const float *scale, uint64_t index,
                                    const struct convert_context *k, pqk_type type)
{
    uint32_t bits[ROUND_CHUNK];
    for (size_t i = 0, m; i < n; i += m) {
        m = n - i < ROUND_CHUNK ? n - i : ROUND_CHUNK;
        for (size_t j = 0; j < m; ++j) {
            const uint32_t code = (uint8_t)x[i + j]; /* pqk_widen_float of e8m0 */
            bits[j] = code == 0xff ? 0x7fc00000 : code ? code << 23 : 0x00400000;
        }
        if (scale) {
            for (size_t j = 0; j < m; ++j)
                bits[j] = pqk_f32_bits(pqk_f32_from_bits(bits[j]) * scale[(i + j) * k->scale_step]);
            canonical_nans(bits, m, true);
        }
        if (type != PQK_F32)
            round_all(bits, m, type == PQK_F16 ? &pqk_f16 : &pqk_bf16, k->c, index + i * k->index_step, k->index_step);
        store_codes(y + i * (size_t)k->y_bits / 8, bits, m, k->y_bits);
    }
}

/* ---- tiles */

/* Elements of the next chunk, `left` of them being left; a chunk that is not the last ends at a whole byte. */
static PQK_INLINE size_t chunk_of(const char *home, size_t left, bool stream, int bits)
{
    size_t n = left < CONVERT_CHUNK ? left : CONVERT_CHUNK;
    if (stream) n = pqk_stream_elements(home, n, bits);
    return n < left ? n - n % 4 : n;
}

/* How many rows are one run, with a scale for each of its elements: short ones with one scale each, which lie one after
 * the other. */
static PQK_INLINE size_t rows_together(const struct pqk_tile *t, const struct pqk_convert *c, size_t x_bits,
                                       size_t y_bits)
{
    enum { SHORT = CONVERT_CHUNK / 8 };
    if (!c->scale || t->param_col || !t->n || t->n > SHORT || t->n * x_bits % 8 || t->n * y_bits % 8) return 1;
    const bool dense =
        t->row_stride[0] == (ptrdiff_t)(t->n * x_bits / 8) && t->row_stride[1] == (ptrdiff_t)(t->n * y_bits / 8);
    return dense ? CONVERT_CHUNK / t->n : 1;
}

static PQK_INLINE void spread_scales(float *to, const float *scale, ptrdiff_t step, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; ++r, scale += step) {
        const vf32 s = vf32_set1(*scale);
        size_t i = 0;
        for (; i + VL <= n; i += VL) vf32_store_f32(to + i, s);
        for (; i < n; ++i) to[i] = *scale;
        to += n;
    }
}

static PQK_NOINLINE void convert_rows(const struct pqk_tile *t, struct convert_context *k)
{
    const struct pqk_convert *c = k->c;
    const bool stream = PQK_CAN_STREAM && t->stream, by_column = c->scale && t->param_col;
    const size_t x_bits = (size_t)(k->unpack ? c->bits : k->x_bits), y_bits = (size_t)(k->pack ? c->bits : k->y_bits);
    const size_t together = rows_together(t, c, x_bits, y_bits);
    PQK_ALIGNED(64) char codes[CONVERT_CHUNK];
    PQK_ALIGNED(64) char results[PQK_STREAM_CHUNK];
    PQK_ALIGNED(64) float scales[CONVERT_CHUNK];

    if (together > 1) k->scale_step = 1;
    for (size_t r = 0, rows; r < t->rows; r += rows) {
        const char *x = t->data[0] + (ptrdiff_t)r * t->row_stride[0];
        char *y = t->data[1] + (ptrdiff_t)r * t->row_stride[1];
        const ptrdiff_t param = t->param + (ptrdiff_t)r * t->param_row;
        convert_run_fn *run = k->run;
        rows = t->rows - r < together ? t->rows - r : together;
        const size_t length = rows * t->n;
        if (together > 1)
            spread_scales(scales, c->scale + param, t->param_row, rows, t->n);
        else if (c->scale && !by_column && k->product && pqk_quotient_of_any(c->scale[param], &scales[0], &scales[1]))
            run = k->product;
        else if (c->scale && !by_column)
            for (int i = 0; i < CONVERT_BLOCK; ++i) scales[i] = c->scale[param];
        for (size_t i = 0, n; i < length; i += n) {
            char *home = y + i * y_bits / 8, *to = k->pack ? codes : stream ? results : home;
            const char *from = x + i * x_bits / 8;
            const bool whole = !k->pack && !k->unpack && !stream && !by_column;
            const ptrdiff_t at = param + (ptrdiff_t)i * t->param_col;
            n = whole ? length : chunk_of(home, length - i, stream, (int)y_bits);
            if (k->unpack) {
                unpack_codes((uint8_t *)codes, from, n, (int)x_bits);
                from = codes;
            }
            for (size_t j = 0; by_column && j < n; ++j) scales[j] = c->scale[at + (ptrdiff_t)j * t->param_col];
            run(from, to, n, !c->scale ? NULL : together > 1 ? scales + i : scales, (uint64_t)at, k);
            if (k->pack) {
                to = stream ? results : home;
                pack_codes(to, (const uint8_t *)codes, n, (int)y_bits);
            }
            if (stream) pqk_stream_copy(home, results, (n * y_bits + 7) / 8);
        }
    }
    if (stream) pqk_stream_end();
}

static PQK_INLINE void start(struct convert_context *k, const struct pqk_tile *t, const struct pqk_convert *c,
                             convert_run_fn *run, int x_bits, int y_bits)
{
    k->c = c;
    k->run = run;
    k->product = NULL;
    k->x_bits = x_bits;
    k->y_bits = y_bits;
    k->pack = k->unpack = false;
    k->scale_step = t->param_col ? 1 : 0;
    k->index_step = (uint64_t)t->param_col;
}

#define CONVERT_ARGUMENTS \
    const char *x, char *y, size_t n, const float *scale, uint64_t index, const struct convert_context *k
#define TYPE_f32  PQK_F32
#define TYPE_f16  PQK_F16
#define TYPE_bf16 PQK_BF16

/* Each loop is compiled without and with scales. */
#define NARROW_RUN(name, type, fnuz)                          \
    static PQK_NOINLINE void name(CONVERT_ARGUMENTS)          \
    {                                                         \
        (void)index;                                          \
        if (scale)                                            \
            narrow_run(x, y, n, scale, k, TYPE_##type, fnuz); \
        else                                                  \
            narrow_run(x, y, n, NULL, k, TYPE_##type, fnuz);  \
    }
#define PRODUCT_RUN(name, type, fnuz)                      \
    static PQK_NOINLINE void name(CONVERT_ARGUMENTS)       \
    {                                                      \
        (void)index;                                       \
        product_run(x, y, n, scale, k, TYPE_##type, fnuz); \
    }
#define NARROW_KERNEL(type, unused)                                                                                \
    NARROW_RUN(narrow_##type, type, false)                                                                         \
    NARROW_RUN(narrow_##type##_fnuz, type, true)                                                                   \
    PRODUCT_RUN(product_##type, type, false)                                                                       \
    PRODUCT_RUN(product_##type##_fnuz, type, true)                                                                 \
    static PQK_NOINLINE void round_##type(CONVERT_ARGUMENTS)                                                       \
    {                                                                                                              \
        round_run(x, y, n, scale, index, k, k->c->format, TYPE_##type);                                            \
    }                                                                                                              \
    pqk_convert_fn PQK_NAME(cast_##type##_narrow);                                                                 \
    void PQK_NAME(cast_##type##_narrow)(const struct pqk_tile *t, const struct pqk_convert *c)                     \
    {                                                                                                              \
        struct convert_context k;                                                                                  \
        const enum pqk_format_kind kind = c->format->kind;                                                         \
        const bool fast = c->rounding == PQK_NEAREST_EVEN && kind != PQK_KIND_EXPONENT;                            \
        convert_run_fn *run = !fast ? round_##type : kind == PQK_KIND_FNUZ ? narrow_##type##_fnuz : narrow_##type; \
        start(&k, t, c, run, 8 * float_size(TYPE_##type), 8);                                                      \
        k.pack = c->bits < 8;                                                                                      \
        if (fast) k.narrow = narrow_lanes_of(c->format, c->saturate);                                              \
        if (fast && PRODUCT_PAYS) k.product = kind == PQK_KIND_FNUZ ? product_##type##_fnuz : product_##type;      \
        convert_rows(t, &k);                                                                                       \
    }

#define WIDEN_RUN(name, type, top)                          \
    static PQK_NOINLINE void name(CONVERT_ARGUMENTS)        \
    {                                                       \
        (void)index;                                        \
        if (scale)                                          \
            widen_run(x, y, n, scale, k, TYPE_##type, top); \
        else                                                \
            widen_run(x, y, n, NULL, k, TYPE_##type, top);  \
    }
#define WIDEN_KERNEL(unused, type)                                                                       \
    WIDEN_RUN(widen_finite_##type, type, TOP_FINITE)                                                     \
    WIDEN_RUN(widen_special_##type, type, TOP_SPECIAL)                                                   \
    WIDEN_RUN(widen_fnuz_##type, type, TOP_FNUZ)                                                         \
    static PQK_NOINLINE void widen_exponent_##type(CONVERT_ARGUMENTS)                                    \
    {                                                                                                    \
        exponent_run(x, y, n, scale, index, k, TYPE_##type);                                             \
    }                                                                                                    \
    pqk_convert_fn PQK_NAME(cast_narrow_##type);                                                         \
    void PQK_NAME(cast_narrow_##type)(const struct pqk_tile *t, const struct pqk_convert *c)             \
    {                                                                                                    \
        convert_run_fn *const by_top[] = {widen_finite_##type, widen_special_##type, widen_fnuz_##type}; \
        struct convert_context k;                                                                        \
        const bool exponent = c->format->kind == PQK_KIND_EXPONENT;                                      \
        const enum widen_top top = widen_numbers_of(c->format).top;                                      \
        start(&k, t, c, exponent ? widen_exponent_##type : by_top[top], 8, 8 * float_size(TYPE_##type)); \
        k.unpack = c->bits < 8;                                                                          \
        if (!exponent) k.widen = widen_lanes_of(c->format, c->scale ? PQK_F32 : TYPE_##type);            \
        convert_rows(t, &k);                                                                             \
    }

#define WIDE_KERNEL(from, to)                                                                         \
    static PQK_NOINLINE void wide_##from##_##to(CONVERT_ARGUMENTS)                                    \
    {                                                                                                 \
        (void)index, (void)k, (void)scale;                                                            \
        wide_run(x, y, n, TYPE_##from, TYPE_##to);                                                    \
    }                                                                                                 \
    static PQK_NOINLINE void round_##from##_##to(CONVERT_ARGUMENTS)                                   \
    {                                                                                                 \
        round_run(x, y, n, scale, index, k, k->c->format, TYPE_##from);                               \
    }                                                                                                 \
    pqk_convert_fn PQK_NAME(cast_##from##_##to);                                                      \
    void PQK_NAME(cast_##from##_##to)(const struct pqk_tile *t, const struct pqk_convert *c)          \
    {                                                                                                 \
        struct convert_context k;                                                                     \
        const bool even = c->rounding == PQK_NEAREST_EVEN;                                            \
        start(&k, t, c, even ? wide_##from##_##to : round_##from##_##to, 8 * float_size(TYPE_##from), \
              8 * float_size(TYPE_##to));                                                             \
        convert_rows(t, &k);                                                                          \
    }

PQK_CONVERT_NARROW(NARROW_KERNEL)
PQK_CONVERT_WIDEN(WIDEN_KERNEL)
#if !defined(PQK_HAS_VBMI) /* which has nothing better for these */
PQK_CONVERT_WIDE(WIDE_KERNEL)
#endif
