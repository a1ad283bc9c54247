/* entry_affine.c -- pqk_quantize, pqk_dequantize, pqk_fake_quantize on arrays of any shape, layout and granularity,
 * in pieces, on threads and in odd floating-point environments, against one loop over all indices. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "entry.h"

enum { QUANTIZE, DEQUANTIZE, FAKE_QUANTIZE, WORKS };
static const char *const names[] = {"pqk_quantize", "pqk_dequantize", "pqk_fake_quantize"};

static struct entry_array x, y, mask;
static struct parameters_space space;

struct entry_call {
    struct rng rng;
    int work;
    struct entry_shape shape;
    pqk_convention convention;
    struct pqk_affine affine; /* only what choose_parameters sets, and the range */
    pqk_params params;
    const pqk_array *mask; /* NULL: not wanted */
    bool in_place;
    int threads, parts;
    uint64_t number;
};

static const pqk_type floats[] = {PQK_F32, PQK_F16, PQK_BF16};
static const pqk_type all_integers[] = {PQK_S8, PQK_U8,   PQK_S16,  PQK_U16,  PQK_S4,   PQK_U4, PQK_S2,
                                        PQK_U2, PQK_S4X2, PQK_U4X2, PQK_S2X4, PQK_U2X4, PQK_S32};

static struct oracle_params params_at(const struct entry_call *c, const int64_t index[ENTRY_NDIM])
{
    const size_t p = entry_param(&c->shape, index);
    return (struct oracle_params){c->convention,
                                  !c->params.block,
                                  c->affine.scale[p],
                                  c->affine.inverse ? c->affine.inverse + p : NULL,
                                  c->affine.zero_point ? c->affine.zero_point[p] : 0,
                                  c->affine.quant_min,
                                  c->affine.quant_max};
}

/* Inputs that suit the parameters of their place. */
static void fill(struct entry_call *c)
{
    int64_t index[ENTRY_NDIM] = {0};
    if (c->work == DEQUANTIZE || !c->shape.elements) return; /* noise is as good as any integers */
    do {
        const struct oracle_params p = params_at(c, index);
        size_t i;
        char *at = entry_at(&x, true, index, &i);
        const double step = step_of(&c->affine, (ptrdiff_t)entry_param(&c->shape, index));
        put_input(&c->rng, at, i, step, p.quant_min - p.zero_point, p.quant_max - p.zero_point, x.array.type);
    } while (entry_next(&c->shape, index));
    entry_restore(&x);
}

/* The image of the results.  In place, an element is read before it is overwritten. */
static void expect(const struct entry_call *c)
{
    const struct entry_array *to = c->in_place ? &x : &y;
    int64_t index[ENTRY_NDIM] = {0};
    if (!c->shape.elements) return;
    do {
        const struct oracle_params p = params_at(c, index);
        size_t i, j, k;
        char *from = entry_at(&x, true, index, &i), *at = entry_at(to, true, index, &j);
        bool inside;
        if (c->work == QUANTIZE) {
            if (j == 0 && oracle_type_bits(y.array.type) < 8) /* a packed row is padded with zeros */
                memset(at, 0,
                       bytes_of_elements(y.array.type, (size_t)c->shape.shape[c->shape.ndim ? c->shape.ndim - 1 : 0] *
                                                               (c->shape.ndim > 0) +
                                                           (c->shape.ndim == 0)));
            oracle_store_integer(at, j, oracle_quantize(oracle_load_float(from, i, x.array.type), &p), y.array.type);
        } else if (c->work == DEQUANTIZE) {
            oracle_store_float(at, j, oracle_dequantize(oracle_load_integer(from, i, x.array.type), &p), y.array.type);
        } else {
            oracle_store_float(at, j, oracle_fake_quantize(oracle_load_float(from, i, x.array.type), &p, &inside),
                               x.array.type);
            if (c->mask) *entry_at(&mask, true, index, &k) = inside;
        }
    } while (entry_next(&c->shape, index));
}

static pqk_status call(const struct entry_call *c, const pqk_exec *exec)
{
    const pqk_array *to = c->in_place ? &x.array : &y.array;
    if (c->work == QUANTIZE) return pqk_quantize(&x.array, &c->params, c->convention, to, exec);
    if (c->work == DEQUANTIZE) return pqk_dequantize(&x.array, &c->params, to, exec);
    return pqk_fake_quantize(&x.array, &c->params, c->convention, c->affine.quant_min, c->affine.quant_max, to, c->mask,
                             exec);
}

/* Whole, on threads; or every piece once, the last one first. */
static const char *run(struct entry_call *c)
{
    const bool odd = rng_chance(&c->rng, 50);
    const struct environment e = odd ? environment_odd(&c->rng) : (struct environment){0, 0};
    pqk_status status = PQK_OK;
    if (c->parts)
        for (int32_t part = c->parts - 1; part >= 0; --part) {
            const pqk_exec exec = {part, c->parts};
            const pqk_status now = call(c, &exec);
            status = now ? now : status;
        }
    else
        status = call(c, NULL);
    if (odd && !environment_restore(e)) return "the caller's floating-point environment changed";
    return status ? pqk_status_message(status) : NULL;
}

static void describe(const struct entry_array *a, const char *name)
{
    printf("  %s: type %d, strides", name, a->array.type);
    if (!a->array.strides) printf(" NULL");
    for (int d = 0; a->array.strides && d < a->array.ndim; ++d) printf(" %" PRId64, a->array.strides[d]);
    printf("\n");
}

static void complain(struct harness *h, const struct entry_call *c, const char *what)
{
    if (!report(h)) return;
    printf("FAILED %s on %s: %s\n  --only entries --seed %" PRIu64 " --case %" PRIu64
           "\n  convention %d, quant_min %d, quant_max %d, inverse %d, zero_point %d, threads %d, parts %d, mask %d, "
           "in place %d\n  shape",
           names[c->work], h->layer, what, h->options.seed, c->number, c->convention, c->affine.quant_min,
           c->affine.quant_max, c->affine.inverse != NULL, c->affine.zero_point != NULL, c->threads, c->parts,
           c->mask != NULL, c->in_place);
    for (int d = 0; d < c->shape.ndim; ++d) printf(" %" PRId64, c->shape.shape[d]);
    printf(", block");
    for (int d = 0; c->params.block && d < c->shape.ndim; ++d) printf(" %" PRId64, c->params.block[d]);
    printf("\n");
    describe(&x, "x");
    if (!c->in_place) describe(&y, "y");
    if (c->mask) describe(&mask, "mask");
}

static void choose_call(struct entry_call *c, bool large)
{
    struct rng *rng = &c->rng;
    const pqk_type number = floats[rng_below(rng, 3)];
    const pqk_type integer = all_integers[rng_below(rng, c->work == DEQUANTIZE ? 13 : 12)];
    const bool packed = c->work != FAKE_QUANTIZE && oracle_type_bits(integer) < 8;
    static const int thread_counts[] = {1, 2, 3, 4, 8, 64};
    c->shape = entry_shape_choose(rng, packed, large);
    c->convention = (pqk_convention)rng_below(rng, PQK_BITSANDBYTES + 1);
    c->threads = thread_counts[rng_below(rng, 6)];
    c->parts = rng_chance(rng, 40) ? 1 + (int)rng_below(rng, 7) : 0;
    if (c->work == FAKE_QUANTIZE)
        choose_fake_quantize_range(rng, &c->affine);
    else
        oracle_range(integer, &c->affine.quant_min, &c->affine.quant_max);
    if (pqk_affine_convention(&c->affine, c->convention, !c->shape.blocks)) exit(2); /* for step_of() */
    choose_parameters(rng, &c->affine, &space, (size_t)c->shape.param_count, 1, 0);
    c->params =
        (pqk_params){c->affine.scale, c->affine.zero_point, c->affine.inverse, c->shape.blocks ? c->shape.block : NULL};
    c->in_place = c->work == FAKE_QUANTIZE && rng_chance(rng, 30);
    entry_layout(&x, rng, &c->shape, c->work == DEQUANTIZE ? integer : number, !c->in_place);
    entry_layout(&y, rng, &c->shape, c->work == QUANTIZE ? integer : number, false);
    if (c->work == FAKE_QUANTIZE && rng_chance(rng, 60)) {
        entry_layout(&mask, rng, &c->shape, PQK_U8, false);
        c->mask = &mask.array;
    }
}

void entry_affine_case(struct harness *h, uint64_t number)
{
    struct entry_call c = {
        .rng = rng_make(h->options.seed, "entries", number), .work = (int)(number % WORKS), .number = number};
    entry_make(&x), entry_make(&y), entry_make(&mask);
    if (!space.scale.low)
        space = (struct parameters_space){guard_make(ENTRY_ELEMENTS * 4), guard_make(ENTRY_ELEMENTS * 4),
                                          guard_make(ENTRY_ELEMENTS * 4)};
    choose_call(&c, number % 16 == 0);
    fill(&c);
    snprintf(machine_case, sizeof machine_case, "--only entries --seed %" PRIu64 " --case %" PRIu64, h->options.seed,
             number);
    expect(&c);
    pqk_set_num_threads(c.threads);
    const char *wrong = run(&c);
    if (!wrong && !entry_agrees(&x)) wrong = c.in_place ? "wrong bytes in place" : "the input changed";
    if (!wrong && !c.in_place && !entry_agrees(&y)) wrong = "wrong bytes";
    if (!wrong && c.mask && !entry_agrees(&mask)) wrong = "wrong mask";
    if (wrong) complain(h, &c, wrong);
    ++h->cases;
    h->elements += (uint64_t)c.shape.elements;
}
