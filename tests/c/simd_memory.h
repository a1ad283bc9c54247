/* simd_memory.h -- the words of simd/README.md that read, write, narrow and widen: lane order, saturation, and no
 * byte beside those they are given. */
#ifndef SIMD_MEMORY_H
#define SIMD_MEMORY_H
#include "simd_checks.h"

typedef vf32 load_word(const void *p);
typedef vf32 load_part_word(const void *p, int m);
typedef void store_word(void *p, vf32 x);
typedef void store_part_word(void *p, int m, vf32 x);
static const struct {
    const char *name;
    size_t size;
    load_word *load;
    load_part_word *load_part;
    store_word *store;
    store_part_word *store_part;
} formats[] = {
    {"f32",  4, vf32_load_f32,  vf32_load_f32_part,  vf32_store_f32,  vf32_store_f32_part },
    {"f16",  2, vf32_load_f16,  vf32_load_f16_part,  vf32_store_f16,  vf32_store_f16_part },
    {"bf16", 2, vf32_load_bf16, vf32_load_bf16_part, vf32_store_bf16, vf32_store_bf16_part},
};

static float decoded(const unsigned char *p, int format)
{
    uint32_t bits = 0;
    memcpy(&bits, p, formats[format].size);
    return format == 0   ? pqk_f32_from_bits(bits)
           : format == 1 ? pqk_f16_to_f32((uint16_t)bits)
                         : pqk_bf16_to_f32((uint16_t)bits);
}
static void encode(unsigned char *p, float x, int format)
{
    const uint32_t bits = format == 0 ? pqk_f32_bits(x) : format == 1 ? pqk_f32_to_f16(x) : pqk_f32_to_bf16(x);
    memcpy(p, &bits, formats[format].size);
}

static void test_float_memory(void)
{
    for (int f = 0; f < 3; ++f)
        for (int round = 0; round < 4000; ++round) {
            const int m = round % (VL + 1);
            const size_t size = formats[f].size, gap = (size_t)round % 7, whole = VL * size, part = (size_t)m * size;
            unsigned char *p = take(whole, gap), want[4 * VL];
            for (size_t i = 0; i < whole; ++i) p[i] = (unsigned char)random_bits();
            float got[VL], x[VL];
            vf32_store_f32(got, formats[f].load(p));
            for (int i = 0; i < VL; ++i) {
                const float lane = decoded(p + (size_t)i * size, f);
                check(pqk_f32_bits(got[i]) == pqk_f32_bits(lane), formats[f].name, i);
            }
            p = take(part, gap);
            for (size_t i = 0; i < part; ++i) p[i] = (unsigned char)random_bits();
            vf32_store_f32(got, formats[f].load_part(p, m));
            for (int i = 0; i < VL; ++i) {
                const float lane = i < m ? decoded(p + (size_t)i * size, f) : 0.0f;
                check(pqk_f32_bits(got[i]) == pqk_f32_bits(lane), formats[f].name, i);
            }
            for (int i = 0; i < VL; ++i) x[i] = any_float(), encode(want + (size_t)i * size, x[i], f);
            formats[f].store(p = take(whole, gap), vf32_load_f32(x));
            check_bytes(p, want, whole, formats[f].name);
            formats[f].store_part(p = take(part, gap), m, vf32_load_f32(x));
            check_bytes(p, want, part, formats[f].name);
            if (f != 2) continue;
            unsigned char twice[4 * VL];
            for (int i = 0; i < VL; ++i) x[i] = x[i] != x[i] ? 1.0f : x[i], encode(twice + 2 * i, x[i], f);
            memcpy(twice + whole, twice, whole);
            vf32_store2_bf16((char *)(p = take(2 * whole, gap)), vf32_load_f32(x), vf32_load_f32(x));
            check_bytes(p, twice, 2 * whole, "vf32_store2_bf16");
            for (int i = 0; i < 4 * VL; ++i) twice[i] = (unsigned char)(i % 2 ? i % 64 : 7 * i); /* numbers, in order */
            unsigned char copy[4 * VL];
            vf32 zip[2];
            memcpy(copy, twice, sizeof copy);
            memcpy(p = take(2 * whole, gap), copy, 2 * whole);
            vf32_load_zip_bf16(zip, p);
            vf32_store2_zip_bf16((char *)p, zip[0], zip[1]);
            check_bytes(p, copy, 2 * whole, "vf32_store2_zip_bf16");
        }
}

static int32_t limited(int32_t x, int32_t lo, int32_t hi) { return x < lo ? lo : x > hi ? hi : x; }

/* Four vectors through both narrowings to each store. */
static void check_narrowing(int32_t q[4][VL], size_t gap)
{
    const vs32 a = vs32_load(q[0]), b = vs32_load(q[1]), c = vs32_load(q[2]), d = vs32_load(q[3]);
    const vs16 ab = vs16_pack2(a, b), cd = vs16_pack2(c, d);
    int16_t s16[4 * VL];
    uint16_t u16[2 * VL], sum[2 * VL];
    uint8_t s8[4 * VL], u8[4 * VL], masked[4 * VL], nibbles[2 * VL], crumbs[VL];
    for (int i = 0; i < 4 * VL; ++i) {
        s16[i] = (int16_t)limited(q[i / VL][i % VL], INT16_MIN, INT16_MAX);
        s8[i] = (uint8_t)limited(s16[i], INT8_MIN, INT8_MAX);
        u8[i] = (uint8_t)limited(s16[i], 0, UINT8_MAX);
        masked[i] = s8[i] & 0x9d;
        if (i % 2) nibbles[i / 2] = (uint8_t)((s8[i] & 15) << 4 | (s8[i - 1] & 15));
        if (i % 4 == 0) crumbs[i / 4] = 0;
        crumbs[i / 4] = (uint8_t)(crumbs[i / 4] | (s8[i] & 3) << 2 * (i % 4));
    }
    for (int i = 0; i < 2 * VL; ++i) {
        u16[i] = (uint16_t)limited(q[i / VL][i % VL], 0, UINT16_MAX);
        sum[i] = (uint16_t)limited(s16[i] + s16[2 * VL + i], INT16_MIN, INT16_MAX);
    }
    unsigned char *p;
    v16_store(p = take(sizeof u16, gap), ab), check_bytes(p, s16, sizeof u16, "vs16_pack2");
    v16_store(p = take(sizeof u16, gap), vu16_pack2(a, b)), check_bytes(p, u16, sizeof u16, "vu16_pack2");
    v16_store(p = take(sizeof sum, gap), vs16_adds(ab, cd)), check_bytes(p, sum, sizeof sum, "vs16_adds");
    const v8 bytes = vs8_pack2(ab, cd);
    v8_store(p = take(sizeof s8, gap), bytes), check_bytes(p, s8, sizeof s8, "vs8_pack2");
    v8_store(p = take(sizeof u8, gap), vu8_pack2(ab, cd)), check_bytes(p, u8, sizeof u8, "vu8_pack2");
    v8_store(p = take(sizeof s8, gap), v8_and(bytes, (int8_t)0x9d)), check_bytes(p, masked, sizeof s8, "v8_and");
    v4_store(p = take(sizeof nibbles, gap), bytes), check_bytes(p, nibbles, sizeof nibbles, "v4_store");
    v2_store(p = take(sizeof crumbs, gap), bytes), check_bytes(p, crumbs, sizeof crumbs, "v2_store");
    for (int m = 0; m <= 4 * VL; ++m)
        v8_store_part(p = take((size_t)m, gap), m, bytes), check_bytes(p, s8, (size_t)m, "v8_store_part");

    /* Rows in falling order, with their bytes next to each other, so that check_bytes sees all. */
    p = take(sizeof s8, gap);
    char *const four[4] = {(char *)p + 3 * VL, (char *)p + 2 * VL, (char *)p + VL, (char *)p};
    uint8_t turned[4 * VL];
    for (int i = 0; i < 4 * VL; ++i) turned[(3 - i / VL) * VL + i % VL] = s8[i];
    v8_store_rows(four, bytes), check_bytes(p, turned, sizeof turned, "v8_store_rows");
    p = take(sizeof u16, gap);
    char *const two[2] = {(char *)p + 2 * VL, (char *)p};
    uint16_t swapped[2 * VL];
    for (int i = 0; i < 2 * VL; ++i) swapped[(1 - i / VL) * VL + i % VL] = u16[i];
    v16_store_rows(two, vu16_pack2(a, b)), check_bytes(p, swapped, sizeof swapped, "v16_store_rows");
}

/* What is widened and narrowed again comes back in order. */
static void check_zip(size_t gap)
{
    unsigned char from[8 * VL], want_s8[4 * VL], want_u8[4 * VL], *p;
    for (int i = 0; i < 4 * VL; ++i) {
        const int value = (37 * i + (int)gap) % 255 - 127; /* 8 bits: a bfloat16 */
        const uint16_t code = pqk_f32_to_bf16((float)(value * 2));
        memcpy(from + 2 * i, &code, sizeof code);
        want_s8[i] = (uint8_t)limited(value * 2, INT8_MIN, INT8_MAX);
        want_u8[i] = (uint8_t)limited(value * 2, 0, UINT8_MAX);
    }
    vf32 x[4];
    memcpy(p = take(4 * VL, gap), from, 4 * VL);
    vf32_load_zip_bf16(x, p);
    memcpy(p = take(4 * VL, gap), from + 4 * VL, 4 * VL);
    vf32_load_zip_bf16(x + 2, p);
    const vs16 ab = vs16_pack2(vs32_round(x[0]), vs32_round(x[1]));
    const vs16 cd = vs16_pack2(vs32_round(x[2]), vs32_round(x[3]));
    v8_store(p = take(4 * VL, gap), vs8_pack2_zip(ab, cd)), check_bytes(p, want_s8, 4 * VL, "vs8_pack2_zip");
    v8_store(p = take(4 * VL, gap), vu8_pack2_zip(ab, cd)), check_bytes(p, want_u8, 4 * VL, "vu8_pack2_zip");
}

static void check_equal4(int32_t q[4][VL], size_t gap)
{
    vs32 a[4], b[4];
    uint8_t want[4 * VL];
    for (int v = 0; v < 4; ++v) {
        int32_t other[VL];
        for (int i = 0; i < VL; ++i) {
            other[i] = (v * VL + i) % 3 ? q[v][i] : q[v][i] ^ 1 << (i + v) % 32;
            want[v * VL + i] = q[v][i] == other[i];
        }
        a[v] = vs32_load(q[v]);
        b[v] = vs32_load(other);
    }
    unsigned char *p = take(sizeof want, gap);
    v8_store(p, v8_equal4(a, b)), check_bytes(p, want, sizeof want, "v8_equal4");
}

/* Lanes of vs16_load() have an order of their own, which v16_store() shows on indices. */
static void check_halves(size_t gap)
{
    int16_t a[2 * VL], b[2 * VL], order[2 * VL], got[4][2 * VL];
    for (int i = 0; i < 2 * VL; ++i) {
        a[i] = (int16_t)random_bits(), b[i] = (int16_t)random_bits();
        order[i] = (int16_t)i;
    }
    unsigned char *p = take(sizeof a, gap);
    memcpy(p, a, sizeof a);
    const vs16 x = vs16_load(p), y = vs16_load(b);
    v16_store(got[0], vs16_min(x, y)), v16_store(got[1], vs16_max(x, y));
    v16_store(got[2], vs16_sortable(x)), v16_store(got[3], vs16_sortable(vs16_sortable(x)));
    v16_store(order, vs16_load(order));
    bool any = false;
    for (int i = 0; i < 2 * VL; ++i) {
        const int16_t s = a[order[i]], t = b[order[i]];
        check(got[0][i] == (s < t ? s : t), "vs16_min", s);
        check(got[1][i] == (s > t ? s : t), "vs16_max", s);
        any |= s > t;
        check(got[2][i] == (s < 0 ? -1 - (s & INT16_MAX) : s), "vs16_sortable", s);
        check(got[3][i] == s, "vs16_sortable twice", s);
    }
    check(!!vs16_any_above(x, y) == any, "vs16_any_above", any);
    const vs16 limit = vs16_load(a);
    for (int i = 0; i < 2 * VL; ++i) { /* one lane alone, and equal */
        const int16_t was = a[i];
        check(!vs16_any_above(vs16_load(a), limit), "vs16_any_above of equals", was);
        a[i] = (int16_t)(was < INT16_MAX ? was + 1 : was);
        check(!!vs16_any_above(vs16_load(a), limit) == (was < INT16_MAX), "vs16_any_above in one lane", was);
        a[i] = was;
    }
}

/* Reads at the wall. */
static void check_widening(size_t gap)
{
    unsigned char from[4 * VL], want[4 * VL], *p;
    int32_t got[4][VL];
    for (int i = 0; i < 4 * VL; ++i) from[i] = (unsigned char)random_bits();
    memcpy(p = take(VL, gap), from, VL);
    vs32_store(got[0], vs32_load_s8(p)), vs32_store(got[1], vs32_load_u8(p));
    memcpy(p = take(2 * VL, gap), from, 2 * VL);
    vs32_store(got[2], vs32_load_s16(p)), vs32_store(got[3], vs32_load_u16(p));
    for (int i = 0; i < VL; ++i) {
        const uint16_t word = (uint16_t)(from[2 * i] | from[2 * i + 1] << 8);
        check(got[0][i] == (int8_t)from[i], "vs32_load_s8", i);
        check(got[1][i] == from[i], "vs32_load_u8", i);
        check(got[2][i] == (int16_t)word, "vs32_load_s16", i);
        check(got[3][i] == word, "vs32_load_u16", i);
    }
    for (int bits = 2; bits <= 8; bits *= 2) {
        const size_t packed = (size_t)(VL * bits / 2);
        memcpy(p = take(packed, gap), from, packed);
        const v8 x = bits == 8 ? v8_load(p) : bits == 4 ? v8_load_nibbles(p) : v8_load_crumbs(p);
        for (int i = 0; i < 4 * VL; ++i)
            want[i] = (unsigned char)(from[i * bits / 8] >> i * bits % 8 & ((1 << bits) - 1));
        v8_store(p = take(sizeof want, gap), x), check_bytes(p, want, sizeof want, "v8_load");
        vs32_store(got[0], vs32_from_u8(x, 0)), vs32_store(got[1], vs32_from_u8(x, 1));
        vs32_store(got[2], vs32_from_u8(x, 2)), vs32_store(got[3], vs32_from_u8(x, 3));
        for (int i = 0; i < 4 * VL; ++i) check(got[i / VL][i % VL] == want[i], "vs32_from_u8", i);
        for (int i = 0; i < 4 * VL; ++i) want[i] ^= 0xa6;
        v8_store(p = take(sizeof want, gap), v8_xor(x, (int8_t)0xa6)), check_bytes(p, want, sizeof want, "v8_xor");
    }
}

static void test_integer_memory(void)
{
    for (int round = 0; round < 3000; ++round) {
        int32_t q[4][VL];
        for (int i = 0; i < 4 * VL; ++i)
            q[i / VL][i % VL] =
                round < 1000 ? special_integers[(round * 5 + i * (round % 11 + 1)) % INTEGERS] : any_integer();
        check_narrowing(q, (size_t)round % 7);
        check_widening((size_t)round % 7);
        check_zip((size_t)round % 7);
        check_equal4(q, (size_t)round % 7);
        check_halves((size_t)round % 7);
    }
}

#endif
