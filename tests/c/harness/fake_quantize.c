/* fake_quantize.c -- kernels of fake_quantize/fake_quantize.h. */
#include "harness.h"
#include <string.h>

/* Ranges that callers choose: those of the types, without the lowest, a few bits, or any of at most 16 bits. */
void choose_fake_quantize_range(struct rng *rng, struct pqk_affine *a)
{
    static const int32_t ranges[][2] = {
        {-128,   127  },
        {-127,   127  },
        {0,      255  },
        {-8,     7    },
        {0,      15   },
        {0,      1    },
        {0,      3    },
        {0,      127  },
        {-32768, 32767},
        {0,      65535},
        {-2,     1    },
        {0,      0    }
    };
    const uint32_t which = rng_below(rng, 15);
    if (which < 12) {
        a->quant_min = ranges[which][0];
        a->quant_max = ranges[which][1];
        return;
    }
    a->quant_min = which == 14 ? rng_between(rng, -100000, 100000) : rng_between(rng, -300, 0);
    a->quant_max = a->quant_min + rng_between(rng, 0, which == 14 ? 65535 : 511);
}

static void choose_types(struct affine_case *c, const struct word *const words[2])
{
    c->type[0] = c->type[1] = type_of_word(&c->rng, words[0]);
    c->type[2] = PQK_U8;
    c->operands = strcmp(words[1]->text, "ym") ? 2 : 3;
    choose_fake_quantize_range(&c->rng, &c->affine);
}

static const struct affine_operation fake_quantize = {
    .operands = 3, .may_be_in_place = true, .choose_types = choose_types, .fill_input = fill_floats};

void test_pqk_fake_quantize_fn(struct harness *h, pqk_fake_quantize_fn *kernel, pqk_fake_quantize_fn *reference)
{
    const struct word *words[2];
    words_of_kernel(h->kernel, "fake_quantize", words, 2);
    check_affine_kernel(h, &fake_quantize, words, kernel, reference);
}
