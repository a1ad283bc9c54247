/* test_oracle.c -- the scalar layer, which all others are compared with, against the oracle: every type, every
 * convention, one parameter an element. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness.h"
#include "gemm.h"
#include "oracle.h"

enum { N = 257 };
static char input[N * 4], output[N * 4], wanted[N * 4], mask[N], wanted_mask[N];

static struct oracle_params params_at(const struct affine_case *c, size_t i, bool per_tensor)
{
    const struct pqk_affine *a = &c->affine;
    const ptrdiff_t p = param_of(&c->tile, 0, i);
    return (struct oracle_params){c->convention,
                                  per_tensor,
                                  a->scale[p],
                                  a->inverse ? a->inverse + p : NULL,
                                  a->zero_point ? a->zero_point[p] : 0,
                                  a->quant_min,
                                  a->quant_max};
}

static void complain(struct harness *h, const struct affine_case *c, const char *what, size_t i, bool per_tensor)
{
    if (!report(h)) return;
    const struct oracle_params p = params_at(c, i, per_tensor);
    printf("FAILED oracle %s: %s: convention %d, per tensor %d, types %d %d, quant_min %d, quant_max %d\n  element "
           "%zu, scale 0x%08" PRIx32 ", inverse %s 0x%08" PRIx32 ", zero point %d, input",
           h->kernel, what, c->convention, per_tensor, c->type[0], c->type[1], p.quant_min, p.quant_max, i,
           bits_of(p.scale), p.inverse ? "given" : "NULL", p.inverse ? bits_of(*p.inverse) : 0, p.zero_point);
    const int in = oracle_type_bits(c->type[0]), out = oracle_type_bits(c->type[1]);
    for (int b = 0; b < (in + 7) / 8; ++b) printf(" %02x", (unsigned char)input[i * (size_t)in / 8 + (size_t)b]);
    printf(", expected");
    for (int b = 0; b < (out + 7) / 8; ++b) printf(" %02x", (unsigned char)wanted[i * (size_t)out / 8 + (size_t)b]);
    printf(", got");
    for (int b = 0; b < (out + 7) / 8; ++b) printf(" %02x", (unsigned char)output[i * (size_t)out / 8 + (size_t)b]);
    printf("\n");
}

/* The first element whose byte differs, or N. */
static size_t first_difference(const char *a, const char *b, pqk_type type)
{
    const size_t bytes = bytes_of_elements(type, N);
    for (size_t i = 0; i < bytes; ++i)
        if (a[i] != b[i]) return i * 8 / (size_t)oracle_type_bits(type);
    return N;
}

enum work { QUANTIZE, DEQUANTIZE, FAKE_QUANTIZE };

static void expect(const struct affine_case *c, enum work work, bool per_tensor)
{
    memset(wanted, 0, sizeof wanted);
    for (size_t i = 0; i < N; ++i) {
        const struct oracle_params p = params_at(c, i, per_tensor);
        bool inside = false;
        if (work == DEQUANTIZE)
            oracle_store_float(wanted, i, oracle_dequantize(oracle_load_integer(input, i, c->type[0]), &p), c->type[1]);
        else if (work == QUANTIZE)
            oracle_store_integer(wanted, i, oracle_quantize(oracle_load_float(input, i, c->type[0]), &p), c->type[1]);
        else
            oracle_store_float(wanted, i, oracle_fake_quantize(oracle_load_float(input, i, c->type[0]), &p, &inside),
                               c->type[1]);
        wanted_mask[i] = inside;
    }
}

static void run_batch(struct harness *h, struct affine_case *c, enum work work, affine_kernel *kernel,
                      const struct parameters_space *space)
{
    const bool per_tensor = rng_chance(&c->rng, 50);
    c->convention = (pqk_convention)rng_below(&c->rng, PQK_BITSANDBYTES + 1);
    if (pqk_affine_convention(&c->affine, c->convention, per_tensor)) exit(2);
    c->shape = (struct shape){.rows = 1, .n = N};
    c->tile = (struct pqk_tile){
        .rows = 1, .n = N, .data = {input, output, mask},
                .param_col = 1
    };
    choose_parameters(&c->rng, &c->affine, space, N, 1, 0);
    c->input = input;
    if (work == DEQUANTIZE)
        for (size_t i = 0; i < sizeof input; ++i) input[i] = (char)rng_next(&c->rng);
    else
        fill_floats(c);
    memset(output, 0x77, sizeof output);
    expect(c, work, per_tensor);
    kernel(&c->tile, &c->affine);
    const size_t at = first_difference(output, wanted, c->type[1]);
    if (at < N)
        complain(h, c, "value", at, per_tensor);
    else if (c->operands == 3 && memcmp(mask, wanted_mask, N))
        complain(h, c, "mask", 0, per_tensor);
    ++h->cases;
    h->elements += N;
}

static uint64_t batches(const struct harness *h) { return h->options.stride > 1 ? 60 : 1500; }

static void test_affine(struct harness *h, enum work work, const char *operation, affine_kernel *kernel,
                        const struct parameters_space *space)
{
    const struct word *words[2];
    words_of_kernel(h->kernel, operation, words, 2);
    for (uint64_t b = 0; b < batches(h); ++b) {
        struct affine_case c = {.rng = rng_make(h->options.seed, h->kernel, b)};
        c.operands = work == FAKE_QUANTIZE && !strcmp(words[1]->text, "ym") ? 3 : 2;
        c.type[0] = type_of_word(&c.rng, words[0]);
        c.type[1] = work == FAKE_QUANTIZE ? c.type[0] : type_of_word(&c.rng, words[1]);
        if (work == FAKE_QUANTIZE)
            choose_fake_quantize_range(&c.rng, &c.affine);
        else
            oracle_range(c.type[work == DEQUANTIZE ? 0 : 1], &c.affine.quant_min, &c.affine.quant_max);
        run_batch(h, &c, work, kernel, space);
    }
}

static void test_observe(struct harness *h, pqk_observe_fn *kernel)
{
    const struct word *words[2];
    words_of_kernel(h->kernel, "observe", words, 1);
    const pqk_type type = words[0]->type[0];
    for (uint64_t b = 0; b < batches(h); ++b) {
        struct rng rng = rng_make(h->options.seed, h->kernel, b);
        const uint32_t style = rng_below(&rng, 4);
        for (size_t i = 0; i < N * 4; ++i) input[i] = (char)rng_next(&rng);
        if (style == 1) memset(input, 0, sizeof input), input[bytes_of_elements(type, 1) * 5 - 1] = (char)0x80; /* -0 */
        if (style == 2) memset(input, 0xff, sizeof input); /* NaN */
        float lo = float_of(0x7f800000), hi = float_of(0xff800000);
        int64_t nans = 0, infinities = 0;
        double least = (double)lo, most = (double)hi;
        struct pqk_observe_out out = {
            {&lo, &hi, &nans, &infinities},
            NULL
        };
        const size_t n = 1 + rng_below(&rng, N);
        int64_t wanted_nans = 0, wanted_infinities = 0;
        for (size_t i = 0; i < n; ++i) {
            const double x = oracle_load_float(input, i, type);
            wanted_nans += x != x;
            wanted_infinities += x == 1 / 0.0 || x == -1 / 0.0;
            if (x < least) least = x;
            if (x > most) most = x;
        }
        const struct pqk_tile tile = {.rows = 1, .n = n, .data = {input}};
        kernel(&tile, &out);
        const float want_lo = (float)(least + 0.0), want_hi = (float)(most + 0.0); /* -0 + 0 is +0 */
        if (bits_of(lo) != bits_of(want_lo) || bits_of(hi) != bits_of(want_hi) || nans != wanted_nans ||
            infinities != wanted_infinities)
            if (report(h))
                printf("FAILED oracle %s: batch %" PRIu64 ", n %zu: min %a max %a (expected %a %a), nan %" PRId64
                       " inf %" PRId64 " (expected %" PRId64 " %" PRId64 ")\n",
                       h->kernel, b, n, (double)lo, (double)hi, (double)want_lo, (double)want_hi, nans, infinities,
                       wanted_nans, wanted_infinities);
        ++h->cases;
        h->elements += n;
    }
}

static struct parameters_space space;
static void oracle_pqk_quantize_fn(struct harness *h, pqk_quantize_fn *kernel)
{
    test_affine(h, QUANTIZE, "quantize", kernel, &space);
}
static void oracle_pqk_dequantize_fn(struct harness *h, pqk_dequantize_fn *kernel)
{
    test_affine(h, DEQUANTIZE, "dequantize", kernel, &space);
}
static void oracle_pqk_fake_quantize_fn(struct harness *h, pqk_fake_quantize_fn *kernel)
{
    test_affine(h, FAKE_QUANTIZE, "fake_quantize", kernel, &space);
}
static void oracle_pqk_observe_fn(struct harness *h, pqk_observe_fn *kernel) { test_observe(h, kernel); }

void test_oracle(struct harness *h)
{
    space = (struct parameters_space){guard_make(N * 4), guard_make(N * 4), guard_make(N * 4)};
    /* As in main.c: a kind of kernel without an oracle does not compile. */
#define PQK_SLOT(op, type)                                      \
    if (!h->options.kernel || strstr(#op, h->options.kernel)) { \
        h->kernel = #op;                                        \
        oracle_##type(h, pqk_layers[0].kernels->op);            \
    }
    PQK_ALL_OPS
#undef PQK_SLOT
}
