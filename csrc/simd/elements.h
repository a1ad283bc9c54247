/* elements.h -- element types as compile-time constants: the words of simd/README.md chosen by a `type` that every
 * caller passes as a literal, so that the switch is gone after inlining.  Include after simd/vec_<isa>.h. */
#ifndef PQK_ELEMENTS_H
#define PQK_ELEMENTS_H
#include <stdbool.h>
#include <string.h>
#include "include/pyquantk.h"

/* How many of a run's last m < 4 VL elements are in vector v. */
static PQK_INLINE int part_of(int m, int v)
{
    const int left = m - v * VL;
    return left < 0 ? 0 : left < VL ? left : VL;
}

static PQK_INLINE vf32 load_float(const char *p, pqk_type type)
{
    return type == PQK_F32 ? vf32_load_f32(p) : type == PQK_F16 ? vf32_load_f16(p) : vf32_load_bf16(p);
}
static PQK_INLINE vf32 load_float_part(const char *p, int m, pqk_type type)
{
    return type == PQK_F32   ? vf32_load_f32_part(p, m)
           : type == PQK_F16 ? vf32_load_f16_part(p, m)
                             : vf32_load_bf16_part(p, m);
}
static PQK_INLINE void store_float(char *p, vf32 x, pqk_type type)
{
    if (type == PQK_F32)
        vf32_store_f32(p, x);
    else if (type == PQK_F16)
        vf32_store_f16(p, x);
    else
        vf32_store_bf16(p, x);
}
static PQK_INLINE void store_float_part(char *p, int m, vf32 x, pqk_type type)
{
    if (type == PQK_F32)
        vf32_store_f32_part(p, m, x);
    else if (type == PQK_F16)
        vf32_store_f16_part(p, m, x);
    else
        vf32_store_bf16_part(p, m, x);
}
/* 2 VL elements, none of them NaN. */
static PQK_INLINE void store_two_floats(char *p, vf32 a, vf32 b, pqk_type type)
{
    if (type == PQK_BF16) {
        vf32_store2_bf16(p, a, b);
        return;
    }
    store_float(p, a, type);
    store_float(p + VL * (type == PQK_F32 ? 4 : 2), b, type);
}
static PQK_INLINE int float_size(pqk_type type) { return type == PQK_F32 ? 4 : 2; }

/* 4 VL floats, or the first m of them and zeros. */
static PQK_INLINE void load_float_block(vf32 x[4], const char *p, int m, pqk_type type)
{
    unrolled_for (int v = 0; v < 4; ++v) {
        const char *at = p + v * VL * float_size(type);
        x[v] = m == 4 * VL     ? load_float(at, type)
               : part_of(m, v) ? load_float_part(at, part_of(m, v), type)
                               : vf32_set1(0.0f);
    }
}

/* Integers in memory, S32 only to be read.  N8 is S4, U4, S2, U2 one a byte, N4 and N2
 * are their packed forms; sign does not matter to the last three, which keep the low bits. */
enum integer_kind { KIND_S8, KIND_U8, KIND_N8, KIND_S16, KIND_U16, KIND_N4, KIND_N2, KIND_S32 };

static PQK_INLINE int kind_bits(enum integer_kind kind)
{
    switch (kind) {
    case KIND_S32:
        return 32;
    case KIND_S16:
    case KIND_U16:
        return 16;
    case KIND_N4:
        return 4;
    case KIND_N2:
        return 2;
    default:
        return 8;
    }
}

/* Vectors a and b = a + 1 of a block to 16 bits, with their zero points added where there are any: z may be NULL.
 * For the types of 8 bits and fewer the sum is made in saturating 16-bit lanes, because a vector may hold INT32_MIN
 * (vs32_round). */
static PQK_INLINE vs16 narrow_pair(const vs32 q[4], const vs32 *z, int a, enum integer_kind kind)
{
    const int b = a + 1;
    if (kind == KIND_S16) return z ? vs16_pack2(vs32_add(q[a], z[a]), vs32_add(q[b], z[b])) : vs16_pack2(q[a], q[b]);
    if (kind == KIND_U16) return z ? vu16_pack2(vs32_add(q[a], z[a]), vs32_add(q[b], z[b])) : vu16_pack2(q[a], q[b]);
    const vs16 ab = vs16_pack2(q[a], q[b]);
    return z ? vs16_adds(ab, vs16_pack2(z[a], z[b])) : ab;
}
/* zip: x and y hold pairs from vf32_load_zip_bf16(), whose zero points were the same in all lanes of a pair. */
static PQK_INLINE v8 narrow_to_8(vs16 ab, vs16 cd, bool zip, enum integer_kind kind, int8_t mask)
{
    const v8 bytes = kind == KIND_U8 ? zip ? vu8_pack2_zip(ab, cd) : vu8_pack2(ab, cd)
                     : zip           ? vs8_pack2_zip(ab, cd)
                                     : vs8_pack2(ab, cd);
    return kind == KIND_N8 ? v8_and(bytes, mask) : bytes;
}

static PQK_INLINE void store_narrowed(char *p, vs16 ab, vs16 cd, bool zip, enum integer_kind kind, int8_t mask)
{
    if (kind == KIND_S16 || kind == KIND_U16) {
        v16_store(p, ab);
        v16_store(p + 4 * VL, cd);
        return;
    }
    const v8 bytes = narrow_to_8(ab, cd, zip, kind, mask);
    if (kind == KIND_N4)
        v4_store(p, bytes);
    else if (kind == KIND_N2)
        v2_store(p, bytes);
    else
        v8_store(p, bytes);
}

static PQK_INLINE void store_integers(char *p, const vs32 q[4], const vs32 *z, enum integer_kind kind, int8_t mask)
{
    store_narrowed(p, narrow_pair(q, z, 0, kind), narrow_pair(q, z, 2, kind), false, kind, mask);
}

/* The first m elements only; the bits that pad the last byte of a packed type are 0. */
static PQK_INLINE void store_integers_part(char *p, int m, const vs32 q[4], const vs32 *z, enum integer_kind kind,
                                           int8_t mask)
{
    if (kind_bits(kind) == 8) {
        v8_store_part(p, m, narrow_to_8(narrow_pair(q, z, 0, kind), narrow_pair(q, z, 2, kind), false, kind, mask));
        return;
    }
    PQK_ALIGNED(64) char block[8 * VL];
    const int bits = m * kind_bits(kind), bytes = (bits + 7) / 8;
    store_integers(block, q, z, kind, mask);
    if (bits % 8) block[bytes - 1] = (char)(block[bytes - 1] & ((1 << bits % 8) - 1));
    memcpy(p, block, (size_t)bytes);
}

/* Kinds whose vectors can be loaded one by one; the narrow ones come in blocks of 4 VL. */
static PQK_INLINE bool kind_is_plain(enum integer_kind kind)
{
    return kind != KIND_N8 && kind != KIND_N4 && kind != KIND_N2;
}

/* VL integers of a plain kind. */
static PQK_INLINE vs32 load_integer(const char *p, enum integer_kind kind)
{
    switch (kind) {
    case KIND_S8:
        return vs32_load_s8(p);
    case KIND_U8:
        return vs32_load_u8(p);
    case KIND_S16:
        return vs32_load_s16(p);
    case KIND_U16:
        return vs32_load_u16(p);
    default:
        return vs32_bits(vf32_load_f32(p)); /* S32 at any alignment */
    }
}

/* 4 VL integers.  Those of a narrow kind come without their sign: `mask` keeps the bits of an element, and `flip`,
 * its sign bit or 0, makes x ^ flip from x, which is x + flip modulo the mask; the caller's zero point is to have
 * the same flip added. */
static PQK_INLINE void load_integers(vs32 q[4], const char *p, enum integer_kind kind, int8_t mask, int8_t flip)
{
    if (kind_is_plain(kind)) {
        unrolled_for (int v = 0; v < 4; ++v) q[v] = load_integer(p + v * VL * kind_bits(kind) / 8, kind);
        return;
    }
    const v8 raw = kind == KIND_N8   ? v8_and(v8_load(p), mask)
                   : kind == KIND_N4 ? v8_load_nibbles(p)
                                     : v8_load_crumbs(p);
    const v8 bytes = v8_xor(raw, flip);
    unrolled_for (int v = 0; v < 4; ++v) q[v] = vs32_from_u8(bytes, v);
}

/* The first m of them, and integers without meaning. */
static PQK_INLINE void load_integers_part(vs32 q[4], const char *p, int m, enum integer_kind kind, int8_t mask,
                                          int8_t flip)
{
    PQK_ALIGNED(64) char block[16 * VL] = {0};
    memcpy(block, p, (size_t)(m * kind_bits(kind) + 7) / 8);
    load_integers(q, block, kind, mask, flip);
}

static PQK_INLINE void store_float_block(char *p, const vf32 x[4], int m, pqk_type type)
{
    unrolled_for (int v = 0; v < 4; ++v) {
        char *at = p + v * VL * float_size(type);
        if (part_of(m, v) == VL)
            store_float(at, x[v], type);
        else if (part_of(m, v))
            store_float_part(at, part_of(m, v), x[v], type);
    }
}

#endif
