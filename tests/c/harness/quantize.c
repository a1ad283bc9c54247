/* quantize.c -- kernels of quantize/quantize.h. */
#include "affine/integers.h"
#include "harness.h"
#include <stdlib.h>

static void choose_types(struct affine_case *c, const struct word *const words[2])
{
    enum pqk_integer_slot slot;
    c->type[0] = type_of_word(&c->rng, words[0]);
    c->type[1] = type_of_word(&c->rng, words[1]);
    if (!pqk_integer_type(c->type[1], &slot, &c->affine.quant_min, &c->affine.quant_max)) exit(2);
}

static const struct affine_operation quantize = {
    .operands = 2, .choose_types = choose_types, .fill_input = fill_floats};

void test_pqk_quantize_fn(struct harness *h, pqk_quantize_fn *kernel, pqk_quantize_fn *reference)
{
    const struct word *words[2];
    words_of_kernel(h->kernel, "quantize", words, 2);
    check_affine_kernel(h, &quantize, words, kernel, reference);
}
