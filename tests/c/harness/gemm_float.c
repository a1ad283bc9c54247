/* gemm_float.c -- the micro-kernels of gemm_float/gemm_float.h, each layer by itself, against a plain loop of fmaf.
 *
 * A (k x mr), the part of B that the kernel may read and C end, or begin, at forbidden pages; what lies between the
 * kernel's columns of C must stay.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gemm.h"

enum { SHORT_K = 69, LONG_K = 5000, MAX_MR = PQK_GEMM_FLOAT_MAX_MR, PANEL = PQK_FLOAT_PANEL };

static struct guard a_memory, b_memory, c_memory;
static float *expected;

static void make_memory(void)
{
    if (expected) return;
    a_memory = guard_make((size_t)LONG_K * MAX_MR * sizeof(float));
    b_memory = guard_make((size_t)LONG_K * PANEL * sizeof(float));
    c_memory = guard_make((size_t)MAX_MR * PANEL * sizeof(float));
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
}
