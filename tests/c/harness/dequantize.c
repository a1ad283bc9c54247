/* dequantize.c -- kernels of dequantize/dequantize.h. */
#include "affine/integers.h"
#include "harness.h"
#include <stdlib.h>
#include <string.h>

static void choose_types(struct affine_case *c, const struct word *const words[2])
{
    enum pqk_integer_slot slot;
    c->type[0] = type_of_word(&c->rng, words[0]);
    c->type[1] = type_of_word(&c->rng, words[1]);
    if (!pqk_integer_type(c->type[0], &slot, &c->affine.quant_min, &c->affine.quant_max)) exit(2);
}

/* Any bits: those above a narrow element, and those that pad a packed row, must not matter.  S32 also near the
 * numbers where it wraps and where float stops being exact. */
static void fill_input(struct affine_case *c)
{
    const size_t bytes = c->shape.rows * bytes_of_elements(c->type[0], c->shape.n);
    for (size_t i = 0; i < bytes; ++i) c->input[i] = (char)rng_next(&c->rng);
    if (c->type[0] != PQK_S32) return;
    static const int32_t centres[] = {0, 1 << 24, -(1 << 24), INT32_MAX - 2, INT32_MIN + 2, 1 << 25};
    for (size_t i = 0; i + 4 <= bytes; i += 4) {
        if (rng_chance(&c->rng, 50)) continue;
        const int32_t q = centres[rng_below(&c->rng, 6)] + rng_between(&c->rng, -2, 2);
        memcpy(c->input + i, &q, 4);
    }
}

static const struct affine_operation dequantize = {
    .operands = 2, .choose_types = choose_types, .fill_input = fill_input};

void test_pqk_dequantize_fn(struct harness *h, pqk_dequantize_fn *kernel, pqk_dequantize_fn *reference)
{
    const struct word *words[2];
    words_of_kernel(h->kernel, "dequantize", words, 2);
    check_affine_kernel(h, &dequantize, words, kernel, reference);
}
