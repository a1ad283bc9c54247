/* decode_tpl.h -- stored elements to float32 in registers, written once over the vocabulary and convert/lanes_<isa>.h.
 *
 * Two rows of a panel at a time: 64 bytes are a whole number of registers of codes on every ISA.  Scales and zero
 * points of the 32 columns stay in registers for all rows.  A loop is compiled for each way to decode, and again for
 * each use:
 *
 *   decode      stores the rows, for a block of many rows of A
 *   decoded_mr  multiplies them by mr rows of A without a detour through memory, which costs as much as the decoding:
 *               some 17 instructions for 64 elements on AVX-512
 *
 * NaNs need not be canonical here as they must be in a dequantized array: the epilogue makes all of C's so.
 */
#ifndef PQK_GEMM_FLOAT_DECODE_TPL_H
#define PQK_GEMM_FLOAT_DECODE_TPL_H
#include <string.h>
#include "convert/lanes.h"
#include "gemm_float/gemm_float.h"

enum { PANEL_VECTORS = PQK_FLOAT_PANEL / VL, TWO_ROWS = 2 * PQK_FLOAT_PANEL, DECODED_MOST = VL == 16 ? 8 : 1 };

/* How to decode: DECODE_FINITE ... are the tops of convert/lanes.h. */
enum decode_way { DECODE_FINITE, DECODE_SPECIAL, DECODE_FNUZ, DECODE_EXPONENT, DECODE_S8, DECODE_U8 };

struct decode_params {
    vf32 scale[PANEL_VECTORS];
    vs32 zero_point[PANEL_VECTORS];
};

static PQK_INLINE void load_params(struct decode_params *k, const struct pqk_panel_codes *codes)
{
    unrolled_for (int v = 0; v < PANEL_VECTORS; ++v) {
        k->scale[v] = codes->scale ? vf32_load_f32(codes->scale + v * VL) : vf32_set1(1.0f);
        k->zero_point[v] = codes->zero_point ? vs32_load(codes->zero_point + v * VL) : vs32_set1(0);
    }
}

static PQK_INLINE void decode_two(vf32 y[2 * PANEL_VECTORS], const char *data, const struct pqk_panel_codes *codes,
                                  const struct decode_params *k, const struct widen_lanes *lanes,
                                  const enum decode_way way, const bool scaled, const bool moved)
{
    if (way == DECODE_EXPONENT) {
        for (int v = 0; v < 2 * PANEL_VECTORS; ++v) {
            float some[VL];
            for (int i = 0; i < VL; ++i)
                some[i] = pqk_f32_from_bits(pqk_widen_float((uint8_t)data[v * VL + i], codes->format));
            y[v] = vf32_load_f32(some);
        }
    } else if (way >= DECODE_S8) {
        unrolled_for (int v = 0; v < 2 * PANEL_VECTORS; ++v) {
            vs32 q = way == DECODE_S8 ? vs32_load_s8(data + v * VL) : vs32_load_u8(data + v * VL);
            if (moved) q = vs32_sub(q, k->zero_point[v % PANEL_VECTORS]);
            y[v] = vf32_from_s32(q);
        }
    } else {
        unrolled_for (int v = 0; v < 2 * PANEL_VECTORS; v += 4)
            widen_block(y + v, v8_load(data + v * VL), lanes, (enum widen_top)way);
    }
    if (scaled)
        unrolled_for (int v = 0; v < 2 * PANEL_VECTORS; ++v) y[v] = vf32_mul(y[v], k->scale[v % PANEL_VECTORS]);
}

/* Where rows go: into b where mr = 0, or, times mr elements of a each, into acc. */
struct decode_target {
    float *b;
    const float *a;
    vf32 acc[DECODED_MOST * PANEL_VECTORS];
};

static PQK_INLINE void put_row(struct decode_target *to, const vf32 row[PANEL_VECTORS], const int mr)
{
    if (mr) {
        unrolled_for (int i = 0; i < mr; ++i) {
            const vf32 a = vf32_set1(to->a[i]);
            unrolled_for (int v = 0; v < PANEL_VECTORS; ++v)
                to->acc[i * PANEL_VECTORS + v] = vf32_fma(a, row[v], to->acc[i * PANEL_VECTORS + v]);
        }
        to->a += mr;
    } else {
        unrolled_for (int v = 0; v < PANEL_VECTORS; ++v) vf32_store_f32(to->b + v * VL, row[v]);
        to->b += PQK_FLOAT_PANEL;
    }
}

/* One lane is slow anyway: a loop for all ways, because compiling 24 of them takes GCC a minute. */
#if VL > 1
#define DECODE_LOOP static PQK_INLINE
#else
#define DECODE_LOOP static PQK_NOINLINE
#endif
DECODE_LOOP void decode_rows(size_t rows, const struct pqk_panel_codes *codes, const struct widen_lanes *lanes,
                             struct decode_target *to, const int mr, const enum decode_way way, const bool scaled,
                             const bool moved)
{
    const struct widen_lanes here = *lanes; /* in registers: nothing that is stored may change it */
    const char *data = codes->data;
    struct decode_params k;
    vf32 y[2 * PANEL_VECTORS];
    load_params(&k, codes);
    for (; rows > 1; rows -= 2, data += TWO_ROWS) {
        decode_two(y, data, codes, &k, &here, way, scaled, moved);
        put_row(to, y, mr);
        put_row(to, y + PANEL_VECTORS, mr);
    }
    if (rows) {
        PQK_ALIGNED(64) char last[TWO_ROWS] = {0};
        memcpy(last, data, PQK_FLOAT_PANEL);
        decode_two(y, last, codes, &k, &here, way, scaled, moved);
        put_row(to, y, mr);
    }
}

static PQK_INLINE void decode(size_t rows, const struct pqk_panel_codes *codes, const void *lanes,
                              struct decode_target *to, const int mr)
{
#define DECODE(way, scaled, moved) decode_rows(rows, codes, lanes, to, mr, way, scaled, moved)
    const bool scaled = codes->scale != NULL, moved = codes->zero_point != NULL;
    const bool exponent = codes->format && codes->format->kind == PQK_KIND_EXPONENT;
    if (codes->is_unsigned)
        moved ? DECODE(DECODE_U8, true, true) : DECODE(DECODE_U8, true, false);
    else if (!codes->format)
        moved ? DECODE(DECODE_S8, true, true) : DECODE(DECODE_S8, true, false);
    else if (exponent)
        scaled ? DECODE(DECODE_EXPONENT, true, false) : DECODE(DECODE_EXPONENT, false, false);
    else if (widen_numbers_of(codes->format).top == TOP_FINITE)
        scaled ? DECODE(DECODE_FINITE, true, false) : DECODE(DECODE_FINITE, false, false);
    else if (widen_numbers_of(codes->format).top == TOP_SPECIAL)
        scaled ? DECODE(DECODE_SPECIAL, true, false) : DECODE(DECODE_SPECIAL, false, false);
    else
        scaled ? DECODE(DECODE_FNUZ, true, false) : DECODE(DECODE_FNUZ, false, false);
#undef DECODE
}

static void decode_begin(const struct pqk_float_format *format, void *lanes)
{
    const struct widen_lanes made = widen_lanes_of(format, PQK_F32);
    memcpy(lanes, &made, sizeof made);
}

static void decode_panel(size_t rows, const struct pqk_panel_codes *codes, const void *lanes, float *b)
{
    struct decode_target to;
    to.b = b;
    decode(rows, codes, lanes, &to, 0);
}

static PQK_INLINE void decoded_tile(size_t rows, const struct pqk_panel_codes *codes, const void *lanes, const float *a,
                                    float *c, bool first, const int mr)
{
    struct decode_target to;
    to.a = a;
    unrolled_for (int v = 0; v < mr * PANEL_VECTORS; ++v)
        to.acc[v] = first ? vf32_set1(0.0f) : vf32_load_f32(c + v * VL);
    decode(rows, codes, lanes, &to, mr);
    unrolled_for (int v = 0; v < mr * PANEL_VECTORS; ++v) vf32_store_f32(c + v * VL, to.acc[v]);
}

#define GEMM_FLOAT_DECODED(mr)                                                                                    \
    static void decoded_##mr(size_t rows, const struct pqk_panel_codes *codes, const void *lanes, const float *a, \
                             float *c, bool first)                                                                \
    {                                                                                                             \
        decoded_tile(rows, codes, lanes, a, c, first, mr);                                                        \
    }

typedef char lanes_fit[sizeof(struct widen_lanes) <= PQK_FLOAT_LANES ? 1 : -1];
#endif
