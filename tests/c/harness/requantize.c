/* requantize.c -- kernels of requantize/requantize.h: twice between guards, on two kinds of poison, against what the
 * scalar kernel makes of the same rows in plain memory; and the scalar kernel against the oracle. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "affine/integers.h"
#include "oracle.h"
#include "requantize.h"

struct requantize_case {
    struct shape shape;
    struct pqk_tile tile;
    struct pqk_requantizer r;
    pqk_type type;
};

static struct place acc_place, q_place;
static char *plain_acc, *plain_q;
static struct requantize_space space;

static void make_memory(void)
{
    const size_t bytes = MOST_ELEMENTS * 4;
    if (plain_q) return;
    place_make(&acc_place, bytes + MOST_ROWS * 256);
    place_make(&q_place, bytes + MOST_ROWS * 256);
    plain_acc = malloc(bytes);
    plain_q = malloc(bytes);
    if (!plain_acc || !plain_q) exit(2);
    space = requantize_space_make(MOST_ELEMENTS * 5 + 16);
}

static void choose_granularity(struct requantize_case *c, struct rng *rng)
{
    const size_t stride = rng_chance(rng, 60) ? 1 : 2 + rng_below(rng, 4), base = rng_below(rng, 4);
    const uint32_t which = rng_below(rng, 4);
    c->tile.param = (ptrdiff_t)base;
    if (which == 1) c->tile.param_row = (ptrdiff_t)stride;
    if (which >= 2) c->tile.param_col = (ptrdiff_t)stride;
    choose_multipliers(rng, &c->r, &space, which == 0 ? 1 : which == 1 ? c->shape.rows : c->shape.n, stride, base);
}

static void fill(const struct requantize_case *c, struct rng *rng)
{
    for (size_t row = 0; row < c->shape.rows; ++row)
        for (size_t i = 0; i < c->shape.n; ++i) {
            const int32_t acc = choose_accumulator(rng, &c->r, param_of(&c->tile, row, i));
            memcpy(plain_acc + 4 * (row * c->shape.n + i), &acc, 4);
        }
}

static void choose_place(struct place *p, const struct shape *shape, size_t row_bytes, struct rng *rng)
{
    static const unsigned char gaps[] = {1, 2, 3, 4, 7, 16, 33, 64};
    const size_t gap = rng_chance(rng, 50) ? 0 : gaps[rng_below(rng, sizeof gaps)];
    place_rows(p, shape, row_bytes, gap, rng_chance(rng, 15));
}

static void run_reference(const struct requantize_case *c, pqk_requantize_fn *reference)
{
    struct pqk_tile tile = c->tile;
    tile.stream = false;
    tile.data[0] = plain_acc, tile.row_stride[0] = (ptrdiff_t)acc_place.row_bytes;
    tile.data[1] = plain_q, tile.row_stride[1] = (ptrdiff_t)q_place.row_bytes;
    memset(plain_q, 0xcc, c->shape.rows * q_place.row_bytes);
    reference(&tile, &c->r);
}

static void explain(struct harness *h, const struct requantize_case *c, const char *what, size_t row, size_t byte)
{
    if (!report(h)) return;
    printf("FAILED %s %s: %s\n  %s\n", h->layer, h->kernel, what, machine_case);
    printf("  rows %zu, n %zu, %s the array %u bytes from the guard, stream %d, param_row %td, param_col %td, type %d, "
           "rounding %d, small %d\n",
           c->shape.rows, c->shape.n, c->shape.at_end ? "end of" : "start of", c->shape.offset, c->tile.stream,
           c->tile.param_row, c->tile.param_col, c->type, c->r.rounding, c->r.small);
    const size_t i = byte * 8 / (size_t)pqk_type_bits(c->type);
    if (strcmp(what, "wrong value") || i >= c->shape.n) return;
    const ptrdiff_t p = param_of(&c->tile, row, i);
    int32_t acc;
    memcpy(&acc, plain_acc + 4 * (row * c->shape.n + i), 4);
    printf("  row %zu, index %zu: acc %d, zero point %d, ", row, i, acc, c->r.zero_point ? c->r.zero_point[p] : 0);
    if (c->r.real)
        printf("real 0x%08" PRIx32, bits_of(c->r.real[p]));
    else
        printf("m0 %d, shift %d", c->r.m0[p], c->r.shift[p]);
    printf("; byte 0x%02x, expected 0x%02x\n", (unsigned char)(q_place.data + (ptrdiff_t)row * q_place.stride)[byte],
           (unsigned char)(plain_q + row * q_place.row_bytes)[byte]);
}

static bool run_on_poison(struct harness *h, const struct requantize_case *c, pqk_requantize_fn *kernel,
                          unsigned char poison)
{
    size_t row = 0, byte = 0;
    place_fill(&acc_place, poison);
    place_write(&acc_place, plain_acc);
    place_fill(&q_place, poison);
    machine_before_kernel();
    kernel(&c->tile, &c->r);
    const char *wrong = machine_after_kernel(c->shape.n);
    if (!wrong && place_compare(&acc_place, plain_acc, &row, &byte)) wrong = "the input changed";
    if (!wrong) wrong = place_compare(&q_place, plain_q, &row, &byte);
    if (wrong) explain(h, c, wrong, row, byte);
    return !wrong;
}

static void run_case(struct harness *h, uint64_t index, const struct word *word, pqk_requantize_fn *kernel,
                     pqk_requantize_fn *reference)
{
    struct rng rng = rng_make(h->options.seed, h->kernel, index);
    struct requantize_case c = {.shape = shape_of_case(index, &rng), .type = type_of_word(&rng, word)};
    enum pqk_integer_slot slot;
    c.tile = (struct pqk_tile){.rows = c.shape.rows, .n = c.shape.n, .stream = rng_chance(&rng, 30)};
    if (!pqk_integer_type(c.type, &slot, &c.r.quant_min, &c.r.quant_max)) exit(2);
    choose_granularity(&c, &rng);
    choose_place(&acc_place, &c.shape, 4 * c.shape.n, &rng);
    choose_place(&q_place, &c.shape, bytes_of_elements(c.type, c.shape.n), &rng);
    c.tile.data[0] = acc_place.data, c.tile.row_stride[0] = acc_place.stride;
    c.tile.data[1] = q_place.data, c.tile.row_stride[1] = q_place.stride;
    fill(&c, &rng);

    snprintf(machine_case, sizeof machine_case, "--layer %s --kernel %s --seed %" PRIu64 " --case %" PRIu64, h->layer,
             h->kernel, h->options.seed, index);
    run_reference(&c, reference);
    if (run_on_poison(h, &c, kernel, 0xa5)) run_on_poison(h, &c, kernel, 0x5a);
    ++h->cases;
    h->elements += c.shape.rows * c.shape.n;
}

/* 4096 elements in the first-level cache, by a float less than 1: the best of many runs. */
static void bench(pqk_type type, pqk_requantize_fn *kernel)
{
    enum { N = 4096, RUNS = 300 };
    static const float real = 0.0037f;
    const struct pqk_tile tile = {
        .rows = 1, .n = N, .data = {plain_acc, plain_q}
    };
    struct pqk_requantizer r = {.real = &real, .small = true};
    enum pqk_integer_slot slot;
    double best = 1e30;
    if (!pqk_integer_type(type, &slot, &r.quant_min, &r.quant_max)) exit(2);
    for (int i = 0; i < N; ++i) memcpy(plain_acc + 4 * i, &(int32_t){(i * 7919) % 60000 - 30000}, 4);
    for (int i = 0; i < RUNS; ++i) {
        const double start = machine_clock();
        kernel(&tile, &r);
        const double ticks = machine_clock() - start;
        best = ticks < best ? ticks : best;
    }
    printf(" %9.3f", best / N);
}

void test_pqk_requantize_fn(struct harness *h, pqk_requantize_fn *kernel, pqk_requantize_fn *reference)
{
    const struct options *o = &h->options;
    const struct word *words[2];
    words_of_kernel(h->kernel, "requantize", words, 2);
    make_memory();
    if (o->bench) {
        bench(words[1]->type[0], kernel);
        return;
    }
    if (o->only >= 0) {
        run_case(h, (uint64_t)o->only, words[1], kernel, reference);
        return;
    }
    const uint64_t count = shape_count(o), random_from = count - o->random;
    for (uint64_t i = 0; i < random_from; i += o->stride) run_case(h, i, words[1], kernel, reference);
    for (uint64_t i = random_from; i < count; ++i) run_case(h, i, words[1], kernel, reference);
}

/* One row with a multiplier an element. */
void oracle_pqk_requantize_fn(struct harness *h, pqk_requantize_fn *kernel)
{
    enum { N = 257 };
    const struct word *words[2];
    const uint64_t batches = h->options.stride > 1 ? 200 : 4000;
    words_of_kernel(h->kernel, "requantize", words, 2);
    make_memory();
    for (uint64_t b = 0; b < batches; ++b) {
        struct rng rng = rng_make(h->options.seed, h->kernel, b);
        struct requantize_case c = {
            .shape = {.rows = 1, .n = N},
            .tile = {.rows = 1, .n = N, .param_col = 1},
            .type = type_of_word(&rng, words[1])
        };
        oracle_range(c.type, &c.r.quant_min, &c.r.quant_max);
        choose_multipliers(&rng, &c.r, &space, N, 1, 0);
        fill(&c, &rng);
        c.tile.data[0] = plain_acc, c.tile.data[1] = plain_q;
        kernel(&c.tile, &c.r);
        ++h->cases;
        h->elements += N;
        for (size_t i = 0; i < N; ++i) {
            int32_t acc;
            memcpy(&acc, plain_acc + 4 * i, 4);
            const int32_t want = oracle_requantize(acc, &c.r, (ptrdiff_t)i);
            const int32_t got = oracle_load_integer(plain_q, i, c.type);
            if (got == want) continue;
            if (report(h))
                printf("FAILED oracle %s: seed %" PRIu64 ", batch %" PRIu64 ", element %zu: acc %d, real %a, m0 %d, "
                       "shift %d, rounding %d, zero point %d: %d, not %d\n",
                       h->kernel, h->options.seed, b, i, acc, c.r.real ? (double)c.r.real[i] : 0.0,
                       c.r.real ? 0 : c.r.m0[i], c.r.real ? 0 : c.r.shift[i], c.r.rounding,
                       c.r.zero_point ? c.r.zero_point[i] : 0, got, want);
            break;
        }
    }
}
