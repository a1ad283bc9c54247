/* observe.c -- kernels of observe/observe.h: what they merge into poisoned-by-plausible accumulators. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness.h"

static struct place input;
static char *plain;

/* The four results of one run, each before a guard, with gaps and a lock that must be free again. */
struct results {
    struct guard min, max, nan_count, inf_count;
    struct pqk_observe_out out;
    pqk_atomic_u32 lock;
    size_t length;
};
static struct results tested, expected;

static void make_memory(void)
{
    static bool made;
    if (made) return;
    made = true;
    const size_t most = (MOST_ELEMENTS * 5 + 16) * 8;
    place_make(&input, MOST_ELEMENTS * 4 + MOST_ROWS * 256);
    plain = malloc(MOST_ELEMENTS * 4);
    if (!plain) exit(2);
    struct results *const both[2] = {&tested, &expected};
    for (int i = 0; i < 2; ++i)
        both[i]->min = guard_make(most), both[i]->max = guard_make(most), both[i]->nan_count = guard_make(most),
        both[i]->inf_count = guard_make(most);
}

/* Accumulators as an earlier tile may have left them: both results start with the same. */
static void start(struct results *r, struct rng rng, size_t length)
{
    r->length = length;
    r->out.to.min = (float *)(void *)(r->min.high - 4 * length);
    r->out.to.max = (float *)(void *)(r->max.high - 4 * length);
    r->out.to.nan_count = (int64_t *)(void *)(r->nan_count.high - 8 * length);
    r->out.to.inf_count = (int64_t *)(void *)(r->inf_count.high - 8 * length);
    for (size_t i = 0; i < length; ++i) {
        const bool fresh = rng_chance(&rng, 60);
        r->out.to.min[i] = fresh ? float_of(0x7f800000) : rng_float(&rng, rng_between(&rng, -20, 20));
        r->out.to.max[i] = fresh ? float_of(0xff800000) : -rng_float(&rng, rng_between(&rng, -20, 20));
        r->out.to.nan_count[i] = fresh ? 0 : (int64_t)(rng_next(&rng) >> 3);
        r->out.to.inf_count[i] = fresh ? 0 : (int64_t)(rng_next(&rng) >> 3);
    }
    const uint32_t kept = rng_below(&rng, 18); /* any of the four may be NULL */
    const uint32_t mask = kept < 16 ? kept : 15;
    if (!(mask & 1)) r->out.to.min = NULL;
    if (!(mask & 2)) r->out.to.max = NULL;
    if (!(mask & 4)) r->out.to.nan_count = NULL;
    if (!(mask & 8)) r->out.to.inf_count = NULL;
    r->out.lock = rng_chance(&rng, 50) ? &r->lock : NULL;
    pqk_store_u32(&r->lock, 0);
}

static const char *compare(const struct results *a, const struct results *b)
{
    if (memcmp(a->min.high - 4 * a->length, b->min.high - 4 * a->length, 4 * a->length)) return "min";
    if (memcmp(a->max.high - 4 * a->length, b->max.high - 4 * a->length, 4 * a->length)) return "max";
    if (memcmp(a->nan_count.high - 8 * a->length, b->nan_count.high - 8 * a->length, 8 * a->length)) return "nan_count";
    if (memcmp(a->inf_count.high - 8 * a->length, b->inf_count.high - 8 * a->length, 8 * a->length)) return "inf_count";
    return pqk_load_u32((pqk_atomic_u32 *)&a->lock) ? "the lock is not free" : NULL;
}

/* All alike but for a few: many tiles must have no NaN, no infinity, only zeros of either sign, only one sign. */
static void fill(struct rng *rng, pqk_type type, size_t count)
{
    const uint32_t style = rng_below(rng, 8);
    for (size_t i = 0; i < count; ++i) {
        const uint32_t bits = (uint32_t)rng_next(rng);
        const bool odd_one = rng_chance(rng, 2);
        const double sign = style == 1 ? 1 : style == 2 ? -1 : bits & 1 ? -1 : 1;
        float x = (float)(sign * rng_unit(rng) * 10);
        if (style == 3 || (odd_one && style != 7)) x = float_of(bits & 0x80000000);    /* zeros */
        if (style == 4 && odd_one) x = float_of(0x7f800000 | (bits & 0x80000000));     /* infinities */
        if (style == 5 && (odd_one || bits % 3 == 0)) x = float_of(0x7f800001 | bits); /* NaN */
        if (style == 6) x = float_of(bits);
        if (type == PQK_F32)
            memcpy(plain + 4 * i, &x, 4);
        else
            put_input(rng, plain, i, x != x ? 1 : (double)x, -1, 1, type);
    }
}

static void run_case(struct harness *h, uint64_t index, pqk_type type, pqk_observe_fn *kernel,
                     pqk_observe_fn *reference)
{
    struct rng rng = rng_make(h->options.seed, h->kernel, index);
    const struct shape shape = shape_of_case(index, &rng);
    const size_t row_bytes = bytes_of_elements(type, shape.n), base = rng_below(&rng, 4);
    const size_t stride = rng_chance(&rng, 60) ? 1 : 2 + rng_below(&rng, 4);
    const uint32_t which = rng_below(&rng, 3);
    struct pqk_tile tile = {.rows = shape.rows, .n = shape.n, .param = (ptrdiff_t)base};
    if (which == 1) tile.param_row = (ptrdiff_t)stride;
    if (which == 2) tile.param_col = (ptrdiff_t)stride;
    const size_t count = which == 0 ? 1 : which == 1 ? shape.rows : shape.n;

    snprintf(machine_case, sizeof machine_case, "--layer %s --kernel %s --seed %" PRIu64 " --case %" PRIu64, h->layer,
             h->kernel, h->options.seed, index);
    fill(&rng, type, shape.rows * shape.n);
    place_rows(&input, &shape, row_bytes, rng_chance(&rng, 50) ? 0 : rng_below(&rng, 40), rng_chance(&rng, 15));
    place_fill(&input, rng_chance(&rng, 50) ? 0xff : 0x7f); /* NaN around the rows */
    place_write(&input, plain);
    const size_t length = count ? base + (count - 1) * stride + 1 : base;
    start(&tested, rng, length);
    start(&expected, rng, length);

    tile.data[0] = plain;
    tile.row_stride[0] = (ptrdiff_t)row_bytes;
    reference(&tile, &expected.out);
    tile.data[0] = input.data;
    tile.row_stride[0] = input.stride;
    machine_before_kernel();
    kernel(&tile, &tested.out);
    const char *wrong = machine_after_kernel(shape.n);
    size_t row, byte;
    if (!wrong) wrong = compare(&tested, &expected);
    if (!wrong && place_compare(&input, plain, &row, &byte)) wrong = "the input changed";
    ++h->cases;
    h->elements += shape.rows * shape.n;
    if (!wrong || !report(h)) return;
    printf("FAILED %s %s: %s\n  %s\n  rows %zu, n %zu, offset %u, at_end %d, param_row %td, param_col %td\n", h->layer,
           h->kernel, wrong, machine_case, shape.rows, shape.n, shape.offset, shape.at_end, tile.param_row,
           tile.param_col);
}

static void bench(pqk_type type, pqk_observe_fn *kernel)
{
    enum { N = 4096, RUNS = 300 };
    struct rng rng = rng_make(1, "bench", 0);
    memset(plain, 0x3c, N * bytes_of_elements(type, 1)); /* ordinary numbers: no NaN pass */
    start(&tested, rng, 1);
    const struct pqk_tile tile = {.rows = 1, .n = N, .data = {plain}};
    double best = 1e30;
    for (int i = 0; i < RUNS; ++i) {
        const double from = machine_clock();
        kernel(&tile, &tested.out);
        const double ticks = machine_clock() - from;
        best = ticks < best ? ticks : best;
    }
    printf(" %9.3f", best / N);
}

void test_pqk_observe_fn(struct harness *h, pqk_observe_fn *kernel, pqk_observe_fn *reference)
{
    const struct options *o = &h->options;
    const struct word *words[2];
    words_of_kernel(h->kernel, "observe", words, 1);
    const pqk_type type = words[0]->type[0];
    make_memory();
    if (o->bench) {
        bench(type, kernel);
        return;
    }
    if (o->only >= 0) {
        run_case(h, (uint64_t)o->only, type, kernel, reference);
        return;
    }
    const uint64_t count = shape_count(o), random_from = count - o->random;
    for (uint64_t i = 0; i < random_from; i += o->stride) run_case(h, i, type, kernel, reference);
    for (uint64_t i = random_from; i < count; ++i) run_case(h, i, type, kernel, reference);
}
