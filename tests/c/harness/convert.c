/* convert.c -- kernels of convert/convert.h: every narrow type, rounding and saturation, with scales and without.
 *
 * The cases are those of affine_kernel.c; what a cast needs beside the tile is chosen with the types and kept here, as
 * an affine kernel is given none of it. */
#include <string.h>
#include "convert/convert.h"
#include "harness.h"

static struct {
    pqk_convert_fn *kernel, *reference;
    struct pqk_convert convert;
    bool scaled;
} now;

void choose_cast(struct rng *rng, pqk_type from, pqk_type to, struct pqk_convert *c)
{
    const bool narrow_x = !pqk_is_wide(from);
    const bool exact = to == PQK_F32 || from == to || (narrow_x && from != PQK_E8M0FNU);
    *c = (struct pqk_convert){.rounding = PQK_NEAREST_EVEN, .seed = rng_next(rng)};
    c->format = pqk_format_of(narrow_x ? from : to, &c->bits);
    c->saturate = !pqk_is_wide(to) && rng_chance(rng, 50);
    if (!exact && rng_chance(rng, 35)) c->rounding = (pqk_rounding)rng_below(rng, PQK_STOCHASTIC + 1);
}

static void choose_types(struct affine_case *c, const struct word *const words[2])
{
    struct rng *rng = &c->rng;
    const pqk_type from = c->type[0] = type_of_word(rng, words[0]), to = c->type[1] = type_of_word(rng, words[1]);
    c->affine.quant_min = -128; /* for the parameters, of which only the scale is used */
    c->affine.quant_max = 127;
    choose_cast(rng, from, to, &now.convert);
    now.scaled = pqk_is_wide(from) != pqk_is_wide(to) && now.convert.rounding != PQK_STOCHASTIC && rng_chance(rng, 35);
}

/* Numbers of the target's whole range and around its ends: any bits, codes of the target and halfway between two. */
static float interesting(struct rng *rng, const struct pqk_float_format *f)
{
    const uint32_t percent = rng_below(rng, 100), codes = 2u << pqk_sign_shift(f);
    if (percent < 15) return rng_bits(rng);
    const bool wide = f->mantissa_bits > 4;
    const uint32_t code = wide ? (uint32_t)rng_next(rng) % f->max : rng_below(rng, codes);
    uint32_t bits = !wide                   ? pqk_widen_float(code, f)
                    : f->exponent_bits == 8 ? code << (23 - f->mantissa_bits)
                                            : bits_of(pqk_f16_to_f32((uint16_t)code));
    if (percent < 70 && f->mantissa_bits < 23) bits += (1u << (22 - f->mantissa_bits)) * (1 + rng_below(rng, 2)) / 2;
    if (percent < 50) bits += rng_below(rng, 3) - 1;
    return float_of(rng_chance(rng, 50) ? bits : bits ^ 0x80000000);
}

void put_cast_input(struct rng *rng, char *row, size_t i, pqk_type type, const struct pqk_float_format *target)
{
    const float x = interesting(rng, target);
    const uint16_t half = type == PQK_F16 ? pqk_f32_to_f16(x) : (uint16_t)(bits_of(x) >> 16);
    if (type == PQK_F32)
        memcpy(row + 4 * i, &x, 4);
    else
        memcpy(row + 2 * i, &half, 2);
}

static void fill_input(struct affine_case *c)
{
    const size_t row_bytes = bytes_of_elements(c->type[0], c->shape.n);
    for (size_t r = 0; r < c->shape.rows; ++r) {
        char *row = c->input + r * row_bytes;
        for (size_t i = 0; i < row_bytes; ++i) row[i] = (char)rng_next(&c->rng);
        for (size_t i = 0; pqk_is_wide(c->type[0]) && i < c->shape.n; ++i)
            put_cast_input(&c->rng, row, i, c->type[0], now.convert.format);
    }
}

static void run(pqk_convert_fn *kernel, const struct pqk_tile *tile, const struct pqk_affine *affine)
{
    struct pqk_convert convert = now.convert;
    convert.scale = now.scaled ? affine->scale : NULL;
    kernel(tile, &convert);
}
static void run_kernel(const struct pqk_tile *tile, const struct pqk_affine *affine) { run(now.kernel, tile, affine); }
static void run_reference(const struct pqk_tile *tile, const struct pqk_affine *affine)
{
    run(now.reference, tile, affine);
}

static const struct affine_operation cast = {.operands = 2, .choose_types = choose_types, .fill_input = fill_input};

void test_pqk_convert_fn(struct harness *h, pqk_convert_fn *kernel, pqk_convert_fn *reference)
{
    const struct word *words[2];
    words_of_kernel(h->kernel, "cast", words, 2);
    now.kernel = kernel;
    now.reference = reference;
    check_affine_kernel(h, &cast, words, run_kernel, run_reference);
}
