/* affine_kernel.c -- one case of a kernel(tile, affine): twice between guards, on two kinds of poison, against what
 * the scalar kernel makes of the same rows in plain memory. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness.h"

static struct place memory[PQK_MAX_OPERANDS];
static struct place *places[PQK_MAX_OPERANDS]; /* memory[o], or memory[0] for a result in place */
static char *plain[PQK_MAX_OPERANDS];          /* inputs; and outputs as the scalar kernel makes them */
static struct parameters_space space;

static void make_memory(void)
{
    static bool made;
    const size_t bytes = MOST_ELEMENTS * 4, parameters = (MOST_ELEMENTS * 5 + 16) * 4;
    if (made) return;
    made = true;
    for (int o = 0; o < PQK_MAX_OPERANDS; ++o) {
        place_make(&memory[o], bytes + MOST_ROWS * 256);
        plain[o] = malloc(bytes);
        if (!plain[o]) exit(2);
    }
    space = (struct parameters_space){guard_make(parameters), guard_make(parameters), guard_make(parameters)};
}

ptrdiff_t param_of(const struct pqk_tile *t, size_t row, size_t i)
{
    return t->param + (ptrdiff_t)row * t->param_row + (ptrdiff_t)i * t->param_col;
}

void fill_floats(struct affine_case *c)
{
    const struct pqk_affine *a = &c->affine;
    const size_t row_bytes = bytes_of_elements(c->type[0], c->shape.n);
    for (size_t r = 0; r < c->shape.rows; ++r) {
        for (size_t i = 0; i < c->shape.n; ++i) {
            const ptrdiff_t p = param_of(&c->tile, r, i);
            const int32_t z = a->zero_point ? a->zero_point[p] : 0;
            put_input(&c->rng, c->input + r * row_bytes, i, step_of(a, p), a->quant_min - z, a->quant_max - z,
                      c->type[0]);
        }
    }
}

/* One parameter, one a row, or one a column, next to each other or apart. */
static void choose_granularity(struct affine_case *c)
{
    struct rng *rng = &c->rng;
    const size_t stride = rng_chance(rng, 60) ? 1 : 2 + rng_below(rng, 4), base = rng_below(rng, 4);
    const uint32_t which = rng_below(rng, 4);
    size_t count = 1;
    c->tile.param = (ptrdiff_t)base;
    if (which == 1) {
        c->tile.param_row = (ptrdiff_t)stride;
        count = c->shape.rows;
    } else if (which >= 2) {
        c->tile.param_col = (ptrdiff_t)stride;
        count = c->shape.n;
    }
    choose_parameters(rng, &c->affine, &space, count, stride, base);
}

/* Mostly the factors of a named convention; also every combination of factors, for the contract knows no names. */
static void choose_factors(struct affine_case *c)
{
    struct rng *rng = &c->rng;
    c->convention = (pqk_convention)rng_below(rng, PQK_BITSANDBYTES + 1);
    if (pqk_affine_convention(&c->affine, c->convention, rng_chance(rng, 50))) exit(2);
    if (rng_chance(rng, 20)) {
        c->affine.quotient = (enum pqk_quotient)rng_below(rng, 4);
        c->affine.away = rng_chance(rng, 50);
        c->affine.infinite_is_zero = rng_chance(rng, 50);
        c->affine.numerator = rng_chance(rng, 50) ? 1.0f : 127.0f;
    }
}

static void choose_places(struct affine_case *c)
{
    static const unsigned char gaps[] = {1, 2, 3, 4, 7, 16, 33, 64};
    for (int o = 0; o < c->operands; ++o) {
        const size_t gap = rng_chance(&c->rng, 50) ? 0 : gaps[rng_below(&c->rng, sizeof gaps)];
        const bool backwards = rng_chance(&c->rng, 15);
        places[o] = &memory[o == 1 && c->in_place ? 0 : o];
        if (o != 1 || !c->in_place)
            place_rows(places[o], &c->shape, bytes_of_elements(c->type[o], c->shape.n), gap, backwards);
        c->tile.data[o] = places[o]->data;
        c->tile.row_stride[o] = places[o]->stride;
    }
}

static void run_reference(const struct affine_case *c, affine_kernel *reference)
{
    struct pqk_tile tile = c->tile;
    tile.stream = false;
    for (int o = 0; o < c->operands; ++o) {
        tile.data[o] = plain[o];
        tile.row_stride[o] = (ptrdiff_t)places[o]->row_bytes;
        if (o > 0) memset(plain[o], 0xcc, c->shape.rows * places[o]->row_bytes);
    }
    reference(&tile, &c->affine);
}

static uint32_t element_bits(const char *rows, size_t row_bytes, size_t row, size_t i, pqk_type type)
{
    uint32_t bits = 0;
    const int size = pqk_type_bits(type);
    const char *at = rows + row * row_bytes + i * (size_t)size / 8;
    memcpy(&bits, at, (size_t)(size + 7) / 8);
    return size < 8 ? bits >> i * (size_t)size % 8 & ((1u << size) - 1) : bits;
}

static void explain(struct harness *h, const struct affine_case *c, int o, const char *what, size_t row, size_t byte)
{
    const struct pqk_affine *a = &c->affine;
    if (!report(h)) return;
    printf("FAILED %s %s: operand %d: %s\n  %s\n", h->layer, h->kernel, o, what, machine_case);
    printf("  rows %zu, n %zu, %s the array %u bytes from the guard, stream %d, param_row %td, param_col %td, types %d "
           "%d, in place %d\n",
           c->shape.rows, c->shape.n, c->shape.at_end ? "end of" : "start of", c->shape.offset, c->tile.stream,
           c->tile.param_row, c->tile.param_col, c->type[0], c->type[1], c->in_place);
    printf("  quotient %d, away %d, infinite_is_zero %d, numerator %g, inverse %s, quant_min %d, quant_max %d\n",
           a->quotient, a->away, a->infinite_is_zero, (double)a->numerator, a->inverse ? "given" : "NULL", a->quant_min,
           a->quant_max);
    if (o < 1 || strcmp(what, "wrong value")) return;
    const size_t i = byte * 8 / (size_t)pqk_type_bits(c->type[o]);
    if (i >= c->shape.n) return;
    const ptrdiff_t p = param_of(&c->tile, row, i);
    printf("  row %zu, index %zu: input 0x%" PRIx32 ", scale 0x%08" PRIx32 ", inverse 0x%08" PRIx32 ", zero point %d\n",
           row, i, element_bits(plain[0], places[0]->row_bytes, row, i, c->type[0]), bits_of(a->scale[p]),
           a->inverse ? bits_of(a->inverse[p]) : 0, a->zero_point ? a->zero_point[p] : 0);
    char *got = places[o]->data + (ptrdiff_t)row * places[o]->stride;
    printf("  expected 0x%" PRIx32 ", got 0x%" PRIx32 "\n",
           element_bits(plain[o], places[o]->row_bytes, row, i, c->type[o]), element_bits(got, 0, 0, i, c->type[o]));
}

static bool run_on_poison(struct harness *h, const struct affine_case *c, affine_kernel *kernel, unsigned char poison)
{
    for (int o = 0; o < c->operands; ++o) {
        if (o == 1 && c->in_place) continue;
        place_fill(places[o], poison);
        if (o == 0) place_write(places[o], plain[o]);
    }
    machine_before_kernel();
    kernel(&c->tile, &c->affine);
    const char *wrong = machine_after_kernel(c->shape.n);
    if (wrong) return explain(h, c, -1, wrong, 0, 0), false;
    for (int o = c->in_place ? 1 : 0; o < c->operands; ++o) {
        size_t row, byte;
        wrong = place_compare(places[o], plain[o], &row, &byte);
        if (wrong) return explain(h, c, o, o ? wrong : "an input changed", row, byte), false;
    }
    return true;
}

static void run_case(struct harness *h, uint64_t index, const struct affine_operation *operation,
                     const struct word *const words[2], affine_kernel *kernel, affine_kernel *reference)
{
    struct affine_case c = {.rng = rng_make(h->options.seed, h->kernel, index)};
    c.shape = shape_of_case(index, &c.rng);
    c.operands = operation->operands;
    c.tile = (struct pqk_tile){.rows = c.shape.rows, .n = c.shape.n, .stream = rng_chance(&c.rng, 30)};
    operation->choose_types(&c, words);
    c.in_place = operation->may_be_in_place && rng_chance(&c.rng, 30);
    choose_factors(&c);
    choose_granularity(&c);
    choose_places(&c);
    c.input = plain[0];
    operation->fill_input(&c);

    snprintf(machine_case, sizeof machine_case, "--layer %s --kernel %s --seed %" PRIu64 " --case %" PRIu64, h->layer,
             h->kernel, h->options.seed, index);
    run_reference(&c, reference);
    if (run_on_poison(h, &c, kernel, 0xa5)) run_on_poison(h, &c, kernel, 0x5a);
    ++h->cases;
    h->elements += c.shape.rows * c.shape.n;
}

/* 4096 elements with ordinary parameters, in the first-level cache: the best of many runs. */
static void bench(const struct affine_operation *operation, const struct word *const words[2], affine_kernel *kernel)
{
    enum { N = 4096, RUNS = 300 };
    static const float scale = 0.0371f;
    static const int32_t zero_point = 1;
    struct affine_case c = {
        .rng = rng_make(1, "bench", 0), .shape = {.rows = 1, .n = N, .at_end = false, .offset = 0}
    };
    c.operands = operation->operands;
    c.tile = (struct pqk_tile){.rows = 1, .n = N};
    operation->choose_types(&c, words);
    if (pqk_affine_convention(&c.affine, PQK_ONNX, true)) exit(2);
    c.affine.scale = &scale;
    c.affine.zero_point = &zero_point;
    if (zero_point < c.affine.quant_min || zero_point > c.affine.quant_max) c.affine.zero_point = NULL;
    choose_places(&c);
    c.input = plain[0];
    operation->fill_input(&c);
    place_write(places[0], plain[0]);
    double best = 1e30;
    for (int i = 0; i < RUNS; ++i) {
        const double start = machine_clock();
        kernel(&c.tile, &c.affine);
        const double ticks = machine_clock() - start;
        best = ticks < best ? ticks : best;
    }
    printf(" %9.3f", best / N);
}

void check_affine_kernel(struct harness *h, const struct affine_operation *operation, const struct word *const words[2],
                         affine_kernel *kernel, affine_kernel *reference)
{
    const struct options *o = &h->options;
    make_memory();
    if (o->bench) {
        bench(operation, words, kernel);
        return;
    }
    if (o->only >= 0) {
        run_case(h, (uint64_t)o->only, operation, words, kernel, reference);
        return;
    }
    const uint64_t count = shape_count(o), random_from = count - o->random;
    for (uint64_t i = 0; i < random_from; i += o->stride) run_case(h, i, operation, words, kernel, reference);
    for (uint64_t i = random_from; i < count; ++i) run_case(h, i, operation, words, kernel, reference);
}
