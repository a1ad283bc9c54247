/* lanes_scalar.h -- lanes.h with one lane: the conversion of formats/small_float.h itself. */
#include "convert/lanes.h"

struct narrow_lanes {
    const struct pqk_float_format *format;
    bool saturate;
};
static PQK_INLINE struct narrow_lanes narrow_lanes_of(const struct pqk_float_format *f, bool saturate)
{
    return (struct narrow_lanes){f, saturate};
}
static PQK_INLINE v8 narrow_block(const vf32 x[4], const struct narrow_lanes *k, bool fnuz)
{
    v8 codes;
    (void)fnuz;
    for (int v = 0; v < 4; ++v)
        codes.e[v] = (uint8_t)pqk_round_float(pqk_f32_bits(x[v]), k->format, PQK_NEAREST_EVEN, k->saturate, 0);
    return codes;
}

struct widen_lanes {
    const struct pqk_float_format *format;
};
static PQK_INLINE struct widen_lanes widen_lanes_of(const struct pqk_float_format *f, pqk_type type)
{
    (void)type;
    return (struct widen_lanes){f};
}
static PQK_INLINE void widen_block(vf32 y[4], v8 codes, const struct widen_lanes *k, enum widen_top top)
{
    (void)top;
    for (int v = 0; v < 4; ++v) y[v] = pqk_f32_from_bits(pqk_widen_float(codes.e[v], k->format));
}

static PQK_INLINE bool any_nan(const vf32 x[4]) { return x[0] != x[0] || x[1] != x[1] || x[2] != x[2] || x[3] != x[3]; }
