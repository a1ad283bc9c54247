/* gemm_float.c -- the kernels of gemm_float/gemm_float.h, each layer by itself, against plain loops: fmaf, and
 * formats/small_float.h or integers for what stored elements mean.
 *
 * A (k x mr), the part of B that the kernel may read and C end, or begin, at forbidden pages; what lies between the
 * kernel's columns of C must stay.  So do codes, scales and zero points of the kernels that decode.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "convert/convert.h"
#include "gemm.h"

enum { SHORT_K = 69, LONG_K = 5000, MAX_MR = PQK_GEMM_FLOAT_MAX_MR, PANEL = PQK_FLOAT_PANEL };

static struct guard a_memory, b_memory, c_memory, codes_memory, scale_memory, zero_memory;
static float *expected;

static void make_memory(void)
{
    if (expected) return;
    a_memory = guard_make((size_t)LONG_K * MAX_MR * sizeof(float));
    b_memory = guard_make((size_t)LONG_K * PANEL * sizeof(float));
    c_memory = guard_make((size_t)MAX_MR * PANEL * sizeof(float));
    codes_memory = guard_make((size_t)LONG_K * PANEL);
    scale_memory = guard_make(PANEL * sizeof(float));
    zero_memory = guard_make(PANEL * sizeof(int32_t));
    expected = malloc((size_t)MAX_MR * PANEL * sizeof *expected);
    if (!expected) exit(2);
}

/* Numbers of one size, of all sizes, or any bits at all. */
static void fill(struct rng *rng, float *x, size_t count)
{
    const uint32_t style = rng_below(rng, 4);
    for (size_t i = 0; i < count; ++i) {
        const float y = rng_float(rng, style == 0 ? 0 : style == 1 ? rng_between(rng, -60, 60) : -149 + (int)(i % 40));
        x[i] = style == 3 && rng_chance(rng, 5) ? rng_bits(rng) : rng_chance(rng, 50) ? -y : y;
    }
}

/* `floats` floats at one end of the memory; B and C are 64-byte aligned as the contract has it, so what is left before
 * a page that ends there is less than a line. */
static float *put(const struct guard *g, size_t floats, bool at_end, bool aligned)
{
    const size_t bytes = floats * sizeof(float);
    if (!at_end) return (float *)g->low;
    return (float *)(g->high - (aligned ? (bytes + 63) / 64 * 64 : bytes));
}

static bool same(float x, float y) { return isnan(x) ? isnan(y) : bits_of(x) == bits_of(y); }

static void fail(struct harness *h, uint64_t number, const char *what, int mr, size_t k, float is, float should)
{
    if (h->failures++ < 20)
        printf("FAILED %s %s mr %d k %zu: %s: %a, not %a; --case %" PRIu64 "\n", h->layer, h->kernel, mr, k, what,
               (double)is, (double)should, number);
}

static void run_case(struct harness *h, uint64_t number, pqk_gemm_float_kernels *g,
                     const struct pqk_gemm_float_shape *shape, size_t k)
{
    struct rng rng = rng_make(h->options.seed, h->kernel, number);
    const int mr = shape->mr, nr = g->nr;
    const bool at_end = rng_chance(&rng, 70), first = rng_chance(&rng, 50);
    /* The last row of B and of C has nr columns; a kernel of half a panel must not touch the other half. */
    const size_t b_floats = k ? (k - 1) * PANEL + (size_t)nr : 0, c_floats = (size_t)(mr - 1) * PANEL + (size_t)nr;
    float *a = put(&a_memory, k * (size_t)mr, at_end, false), *b = put(&b_memory, b_floats, at_end, true);
    float *c = put(&c_memory, c_floats, at_end, true);
    fill(&rng, a, k * (size_t)mr);
    fill(&rng, b, b_floats);
    fill(&rng, c, c_floats);
    memcpy(expected, c, c_floats * sizeof *c);
    for (int i = 0; i < mr; ++i)
        for (int j = 0; j < nr; ++j) {
            float sum = first ? 0.0f : c[i * PANEL + j];
            for (size_t p = 0; p < k; ++p) sum = fmaf(a[p * (size_t)mr + (size_t)i], b[p * PANEL + (size_t)j], sum);
            expected[i * PANEL + j] = sum;
        }
    machine_before_kernel();
    shape->run(k, a, b, c, first);
    const char *wrong = machine_after_kernel(k);
    ++h->cases;
    h->elements += c_floats;
    if (wrong) fail(h, number, wrong, mr, k, 0, 0);
    for (size_t i = 0; i < c_floats; ++i)
        if (!same(c[i], expected[i])) {
            fail(h, number, i % PANEL < (size_t)nr ? "a sum" : "a column of the other half", mr, k, c[i], expected[i]);
            return;
        }
}

/* What code j of a row means. */
static float meaning(const struct pqk_panel_codes *codes, size_t i)
{
    const size_t j = i % PANEL;
    const uint8_t code = (uint8_t)codes->data[i];
    if (codes->format) {
        const float x = float_of(pqk_widen_float(code, codes->format));
        return codes->scale ? x * codes->scale[j] : x;
    }
    const int32_t q = codes->is_unsigned ? code : (int8_t)code;
    return (float)(q - (codes->zero_point ? codes->zero_point[j] : 0)) * codes->scale[j];
}

/* Random elements of any type, with and without parameters. */
static void make_codes(struct rng *rng, struct pqk_panel_codes *codes, size_t rows, bool at_end)
{
    static const pqk_type types[] = {PQK_S8,   PQK_U8,     PQK_E4M3FN,      PQK_E5M2,   PQK_E4M3FNUZ,
                                     PQK_E4M3, PQK_E2M3FN, PQK_E4M3B11FNUZ, PQK_E2M1FN, PQK_E5M2FNUZ,
                                     PQK_E3M4, PQK_E3M2FN, PQK_E8M0FNU};
    const pqk_type type = types[rng_below(rng, sizeof types / sizeof types[0])];
    const size_t bytes = rows * PANEL;
    int bits;
    char *data = at_end ? codes_memory.high - bytes : codes_memory.low;
    float *scale = put(&scale_memory, PANEL, at_end, true);
    int32_t *zero_point = (int32_t *)put(&zero_memory, PANEL, at_end, true);
    for (size_t i = 0; i < bytes; ++i) data[i] = (char)rng_below(rng, 256);
    fill(rng, scale, PANEL);
    for (int j = 0; j < PANEL; ++j) zero_point[j] = rng_between(rng, -128, 255);
    *codes = (struct pqk_panel_codes){
        .data = data, .is_unsigned = type == PQK_U8, .format = pqk_format_of(type, &bits), .scale = scale};
    if (codes->format && rng_chance(rng, 50)) codes->scale = NULL;
    if (!codes->format && rng_chance(rng, 50)) codes->zero_point = zero_point;
}

/* decode, or as many rows of A as a shape has times what it would decode. */
static void run_decode(struct harness *h, uint64_t number, pqk_gemm_float_kernels *g, size_t rows)
{
    struct rng rng = rng_make(h->options.seed, h->kernel, number);
    const bool at_end = rng_chance(&rng, 70), first = rng_chance(&rng, 50);
    const struct pqk_gemm_float_shape *shape = g->shape + rng_below(&rng, PQK_GEMM_FLOAT_SHAPES);
    const bool multiply = shape->decoded != NULL;
    const int mr = multiply ? shape->mr : 0;
    PQK_ALIGNED(64) char lanes[PQK_FLOAT_LANES];
    struct pqk_panel_codes codes;
    make_codes(&rng, &codes, rows, at_end);
    float *a = put(&a_memory, rows * (size_t)mr, at_end, false), *b = put(&b_memory, rows * PANEL, at_end, true);
    float *c = put(&c_memory, (size_t)mr * PANEL, at_end, true);
    fill(&rng, a, rows * (size_t)mr);
    fill(&rng, c, (size_t)mr * PANEL);
    for (int i = 0; i < mr * PANEL; ++i) {
        float sum = first ? 0.0f : c[i];
        for (size_t p = 0; p < rows; ++p)
            sum = fmaf(a[p * (size_t)mr + (size_t)i / PANEL], meaning(&codes, p * PANEL + (size_t)i % PANEL), sum);
        expected[i] = sum;
    }
    machine_before_kernel();
    if (codes.format) g->begin(codes.format, lanes);
    if (multiply)
        shape->decoded(rows, &codes, lanes, a, c, first);
    else
        g->decode(rows, &codes, lanes, b);
    const char *wrong = machine_after_kernel(rows);
    ++h->cases;
    h->elements += rows * PANEL;
    if (wrong) fail(h, number, wrong, mr, rows, 0, 0);
    for (size_t i = 0; i < (multiply ? (size_t)mr * PANEL : rows * PANEL); ++i) {
        const float is = multiply ? c[i] : b[i], should = multiply ? expected[i] : meaning(&codes, i);
        if (same(is, should)) continue;
        fail(h, number, multiply ? "a sum of decoded elements" : "a decoded element", mr, rows, is, should);
        return;
    }
}

void test_pqk_gemm_float_kernels(struct harness *h, pqk_gemm_float_kernels *kernels, pqk_gemm_float_kernels *reference)
{
    (void)reference; /* the loop above is what all layers are compared with */
    make_memory();
    if (h->options.bench) {
        printf(" %9s", "-"); /* pyquantk bench has the whole product */
        return;
    }
    const bool quick = h->options.stride > 1;
    for (int s = 0; s < PQK_GEMM_FLOAT_SHAPES && kernels->shape[s].run; ++s)
        for (uint64_t i = 0; i < (quick ? 100 : 1000); ++i) {
            const uint64_t number = i * PQK_GEMM_FLOAT_SHAPES + (uint64_t)s;
            const size_t k = i < SHORT_K ? (size_t)i : i % 100 == 99 ? LONG_K : (size_t)(i * 37 % 300);
            if (h->options.only < 0 || (uint64_t)h->options.only == number)
                run_case(h, number, kernels, &kernels->shape[s], k);
        }
    for (uint64_t i = 0; i < (quick ? 500 : 5000); ++i) {
        const uint64_t number = 1000000 + i;
        const size_t rows = i < SHORT_K ? (size_t)i : (size_t)(i * 37 % 130);
        if (h->options.only < 0 || (uint64_t)h->options.only == number) run_decode(h, number, kernels, rows);
    }
}
