/* lanes_neon.h -- lanes.h in 128 bits.  UZP1 and UZP2 pick the low and the high halves of two registers in order. */
#include "convert/lanes.h"

struct narrow_lanes {
    vf32 limit, least, factor;
    int16x8_t exponent_shift;
    int8x16_t sign_shift;
};
static PQK_INLINE struct narrow_lanes narrow_lanes_of(const struct pqk_float_format *f, bool saturate)
{
    const struct narrow_numbers k = narrow_numbers_of(f, saturate);
    struct narrow_lanes lanes;
    lanes.limit = vdupq_n_f32(k.limit);
    lanes.least = vdupq_n_f32(k.least);
    lanes.factor = vdupq_n_f32(k.factor);
    lanes.exponent_shift = vdupq_n_s16((int16_t)-k.exponent_shift); /* USHL: negative is to the right */
    lanes.sign_shift = vdupq_n_s8((int8_t)-k.sign_shift);
    return lanes;
}

static PQK_INLINE uint16x8_t low_halves(vf32 a, vf32 b)
{
    return vuzp1q_u16(vreinterpretq_u16_f32(a), vreinterpretq_u16_f32(b));
}
static PQK_INLINE uint16x8_t high_halves(vf32 a, vf32 b)
{
    return vuzp2q_u16(vreinterpretq_u16_f32(a), vreinterpretq_u16_f32(b));
}

/* 8 magnitude codes in 16-bit lanes. */
static PQK_INLINE uint16x8_t narrow_two(vf32 a, vf32 b, const struct narrow_lanes *k)
{
    const uint32x4_t exponent = vdupq_n_u32(0x7f800000);
    const vf32 ca = vminq_f32(vabsq_f32(a), k->limit), cb = vminq_f32(vabsq_f32(b), k->limit);
    const vf32 pa = vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(ca), exponent));
    const vf32 pb = vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(cb), exponent));
    const vf32 ea = vmaxq_f32(pa, k->least), eb = vmaxq_f32(pb, k->least);
    const uint16x8_t y = low_halves(vfmaq_f32(ca, ea, k->factor), vfmaq_f32(cb, eb, k->factor));
    return vaddq_u16(y, vshlq_u16(high_halves(ea, eb), k->exponent_shift));
}

static PQK_INLINE v8 narrow_block(const vf32 x[4], const struct narrow_lanes *k, bool fnuz)
{
    const uint8x16_t codes =
        vuzp1q_u8(vreinterpretq_u8_u16(narrow_two(x[0], x[1], k)), vreinterpretq_u8_u16(narrow_two(x[2], x[3], k)));
    const uint8x16_t top =
        vuzp2q_u8(vreinterpretq_u8_u16(high_halves(x[0], x[1])), vreinterpretq_u8_u16(high_halves(x[2], x[3])));
    uint8x16_t sign = vandq_u8(top, vdupq_n_u8(0x80));
    if (fnuz)
        sign = vandq_u8(sign, vtstq_u8(codes, codes));
    else
        sign = vshlq_u8(sign, k->sign_shift);
    return vorrq_u8(codes, sign);
}

static PQK_INLINE bool any_nan(const vf32 x[4])
{
    const uint32x4_t ab = vandq_u32(vceqq_f32(x[0], x[0]), vceqq_f32(x[1], x[1]));
    const uint32x4_t cd = vandq_u32(vceqq_f32(x[2], x[2]), vceqq_f32(x[3], x[3]));
    return vminvq_u32(vandq_u32(ab, cd)) == 0;
}

struct widen_lanes {
    int32x4_t shift, sign_shift, mask, rebias, max, last;
    vf32 least;
};
static PQK_INLINE struct widen_lanes widen_lanes_of(const struct pqk_float_format *f, pqk_type type)
{
    (void)type;
    const struct widen_numbers k = widen_numbers_of(f);
    struct widen_lanes lanes;
    lanes.shift = vdupq_n_s32(k.shift);
    lanes.sign_shift = vdupq_n_s32(k.sign_shift);
    lanes.mask = vdupq_n_s32(k.mask);
    lanes.rebias = vdupq_n_s32(k.rebias);
    lanes.max = vdupq_n_s32(k.max);
    lanes.last = vdupq_n_s32(k.last);
    lanes.least = vdupq_n_f32(k.least);
    return lanes;
}
static PQK_INLINE void widen_block(vf32 y[4], v8 codes, const struct widen_lanes *k, enum widen_top top)
{
    const int32x4_t doubled = vdupq_n_s32(1 << 23), nan = vdupq_n_s32(0x7fc00000);
    unrolled_for (int v = 0; v < 4; ++v) {
        const int32x4_t code = vs32_from_u8(codes, v), m = vandq_s32(code, k->mask);
        const int32x4_t p = vaddq_s32(vshlq_s32(m, k->shift), k->rebias);
        const vf32 q = vsubq_f32(vreinterpretq_f32_s32(vaddq_s32(p, doubled)), k->least);
        int32x4_t value = vreinterpretq_s32_f32(vminq_f32(vreinterpretq_f32_s32(p), q));
        if (top == TOP_SPECIAL) {
            value = vbslq_s32(vcgtq_s32(m, k->max), vdupq_n_s32(0x7f800000), value);
            value = vbslq_s32(vcgtq_s32(m, k->last), nan, value);
        }
        if (top == TOP_FNUZ) value = vbslq_s32(vceqq_s32(code, vdupq_n_s32(0x80)), nan, value);
        const int32x4_t sign = vandq_s32(vshlq_s32(code, k->sign_shift), vdupq_n_s32(INT32_MIN));
        y[v] = vreinterpretq_f32_s32(vorrq_s32(value, sign));
    }
}
