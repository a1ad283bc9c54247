/* entry_requantize.c -- pqk_requantize on arrays of any shape, layout and granularity, in pieces, on threads and in odd
 * floating-point environments, against one loop over all indices; a grid of multipliers and accumulators; errors. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "entry.h"
#include "requantize.h"

static struct entry_array acc, q;
static struct requantize_space space;

static const pqk_type integers[] = {PQK_S8, PQK_U8, PQK_S16,  PQK_U16,  PQK_S4,   PQK_U4,
                                    PQK_S2, PQK_U2, PQK_S4X2, PQK_U4X2, PQK_S2X4, PQK_U2X4};

static pqk_multiplier multiplier_of(const struct pqk_requantizer *r, const int64_t *block)
{
    return (pqk_multiplier){r->real, r->m0, r->shift, r->zero_point, block, r->rounding};
}

/* Accumulators that suit the multipliers of their place, and the image of the results. */
static void fill(struct rng *rng, const struct entry_shape *s, const struct pqk_requantizer *r)
{
    int64_t index[ENTRY_NDIM] = {0};
    const int64_t row = s->ndim ? s->shape[s->ndim - 1] : 1;
    if (!s->elements) return;
    do {
        size_t i;
        const ptrdiff_t p = (ptrdiff_t)entry_param(s, index);
        const int32_t x = choose_accumulator(rng, r, p);
        memcpy(entry_at(&acc, true, index, &i), &x, 4);
    } while (entry_next(s, index));
    do { /* broadcast elements have their last value now */
        size_t i, j;
        int32_t x;
        memcpy(&x, entry_at(&acc, true, index, &i), 4);
        char *at = entry_at(&q, true, index, &j);
        if (j == 0 && oracle_type_bits(q.array.type) < 8) /* a packed row is padded with zeros */
            memset(at, 0, bytes_of_elements(q.array.type, (size_t)row));
        oracle_store_integer(at, j, oracle_requantize(x, r, (ptrdiff_t)entry_param(s, index)), q.array.type);
    } while (entry_next(s, index));
    entry_restore(&acc);
}

void entry_requantize_case(struct harness *h, uint64_t number)
{
    struct rng rng = rng_make(h->options.seed, "requantize", number);
    static const int thread_counts[] = {1, 2, 3, 4, 8, 64};
    entry_make(&acc), entry_make(&q);
    if (!space.real.low) space = requantize_space_make(ENTRY_ELEMENTS);
    const pqk_type type = integers[rng_below(&rng, 12)];
    const struct entry_shape s = entry_shape_choose(&rng, oracle_type_bits(type) < 8, number % 16 == 0);
    struct pqk_requantizer r = {0};
    oracle_range(type, &r.quant_min, &r.quant_max);
    choose_multipliers(&rng, &r, &space, (size_t)s.param_count, 1, 0);
    entry_layout(&acc, &rng, &s, PQK_S32, true);
    entry_layout(&q, &rng, &s, type, false);
    fill(&rng, &s, &r);
    const pqk_multiplier multiplier = multiplier_of(&r, s.blocks ? s.block : NULL);
    const int32_t parts = rng_chance(&rng, 40) ? 1 + (int32_t)rng_below(&rng, 7) : 0;
    snprintf(machine_case, sizeof machine_case, "--only entries --seed %" PRIu64 " --case %" PRIu64, h->options.seed,
             number);
    pqk_set_num_threads(thread_counts[rng_below(&rng, 6)]);

    const bool odd = rng_chance(&rng, 50);
    const struct environment e = odd ? environment_odd(&rng) : (struct environment){0, 0};
    pqk_status status = parts ? PQK_OK : pqk_requantize(&acc.array, &multiplier, &q.array, NULL);
    for (int32_t part = parts - 1; part >= 0 && !status; --part)
        status = pqk_requantize(&acc.array, &multiplier, &q.array, &(pqk_exec){part, parts});
    const char *wrong = odd && !environment_restore(e) ? "the caller's floating-point environment changed" : NULL;
    if (status)
        wrong = pqk_status_message(status);
    else if (!entry_agrees(&acc))
        wrong = "the input changed";
    else if (!entry_agrees(&q))
        wrong = "wrong bytes";
    ++h->cases;
    h->elements += (uint64_t)s.elements;
    if (!wrong || !report(h)) return;
    printf("FAILED pqk_requantize on %s: %s\n  %s, threads %d, parts %d, type %d, real %d, rounding %d, shape",
           h->layer, wrong, machine_case, pqk_get_num_threads(), parts, type, r.real != NULL, r.rounding);
    for (int d = 0; d < s.ndim; ++d) printf(" %" PRId64, s.shape[d]);
    printf(", block");
    for (int d = 0; s.blocks && d < s.ndim; ++d) printf(" %" PRId64, s.block[d]);
    printf("\n");
}

/* Every power of two and its neighbours, by every shift, by multipliers at the ends and in the middle, each way. */
static void test_grid(struct harness *h)
{
    enum { POWERS = 33 * 3 * 2 };
    static const int32_t m0s[] = {0, 1 << 30, (1 << 30) + 1, 3 << 29, 1265320007, INT32_MAX - 1, INT32_MAX};
    static const int32_t zero_points[] = {0, -32768, 32767, 77};
    int32_t x[POWERS];
    int16_t got[POWERS];
    int count = 0;
    for (int bit = 0; bit < 33; ++bit)
        for (int side = -1; side <= 1; ++side)
            for (int negative = 0; negative < 2; ++negative) {
                const uint32_t magnitude = (uint32_t)((uint64_t)1 << bit) + (uint32_t)side;
                x[count++] = (int32_t)(negative ? 0 - magnitude : magnitude);
            }
    const int64_t shape[] = {POWERS};
    const pqk_array from = {x, PQK_S32, 1, shape, NULL}, to = {got, PQK_S16, 1, shape, NULL};
    for (int32_t shift = -31; shift <= 30; ++shift)
        for (size_t m = 0; m < sizeof m0s / sizeof *m0s; ++m)
            for (int way = 0; way < 4; ++way) {
                const float real = (float)m0s[m] * float_of((uint32_t)(127 + shift - 31) << 23);
                const struct pqk_requantizer r = {way == 3 ? &real : NULL,
                                                  way == 3 ? NULL : &m0s[m],
                                                  way == 3 ? NULL : &shift,
                                                  &zero_points[(shift + 31) % 4],
                                                  (pqk_fixed_rounding)(way % 3),
                                                  false,
                                                  INT16_MIN,
                                                  INT16_MAX};
                const pqk_multiplier multiplier = multiplier_of(&r, NULL);
                const pqk_status status = pqk_requantize(&from, &multiplier, &to, NULL);
                ++h->cases;
                h->elements += POWERS;
                for (int i = 0; i < POWERS; ++i) {
                    const int32_t want = oracle_requantize(x[i], &r, 0);
                    if (!status && got[i] == want) continue;
                    if (report(h))
                        printf(
                            "FAILED pqk_requantize on %s: status %d, acc %d, m0 %d, shift %d, way %d, zero point %d: "
                            "%d, not %d\n",
                            h->layer, status, x[i], m0s[m], shift, way, *r.zero_point, got[i], want);
                    break;
                }
            }
}

/* What must be refused, with q untouched. */
static void test_errors(struct harness *h)
{
    static const float real = 1;
    static const int32_t good_m0 = 1 << 30, small_m0 = (1 << 30) - 1, negative_m0 = -(1 << 30), good_shift = -3,
                         low_shift = -32, high_shift = 31, zero_point = 128;
    static const int64_t shape[] = {2, 3}, other[] = {3, 2}, no_block[] = {0, 1};
    int32_t x[6] = {0};
    int8_t y[6];
    const pqk_array from = {x, PQK_S32, 2, shape, NULL}, to = {y, PQK_S8, 2, shape, NULL};
    const pqk_array floats = {x, PQK_F32, 2, shape, NULL}, wide = {x, PQK_S32, 2, shape, NULL};
    const pqk_array turned = {y, PQK_S8, 2, other, NULL};
    const struct {
        const pqk_array *acc, *q;
        pqk_multiplier m;
        pqk_exec exec;
        pqk_status want;
    } calls[] = {
        {&floats, &to,     {.real = &real},                                                   {0, 0}, PQK_ERROR_TYPE      },
        {&from,   &wide,   {.real = &real},                                                   {0, 0}, PQK_ERROR_TYPE      },
        {&from,   &floats, {.real = &real},                                                   {0, 0}, PQK_ERROR_TYPE      },
        {&from,   &turned, {.real = &real},                                                   {0, 0}, PQK_ERROR_SHAPE     },
        {&from,   &to,     {.real = &real, .block = no_block},                                {0, 0}, PQK_ERROR_BLOCK     },
        {&from,   &to,     {.real = &real, .zero_point = &zero_point},                        {0, 0}, PQK_ERROR_ZERO_POINT},
        {&from,   &to,     {.real = &real},                                                   {2, 2}, PQK_ERROR_PART      },
        {&from,   &to,     {.real = NULL},                                                    {0, 0}, PQK_ERROR_MULTIPLIER},
        {&from,   &to,     {.real = &real, .m0 = &good_m0, .shift = &good_shift},             {0, 0}, PQK_ERROR_MULTIPLIER},
        {&from,   &to,     {.m0 = &good_m0},                                                  {0, 0}, PQK_ERROR_MULTIPLIER},
        {&from,   &to,     {.m0 = &small_m0, .shift = &good_shift},                           {0, 0}, PQK_ERROR_MULTIPLIER},
        {&from,   &to,     {.m0 = &negative_m0, .shift = &good_shift},                        {0, 0}, PQK_ERROR_MULTIPLIER},
        {&from,   &to,     {.m0 = &good_m0, .shift = &low_shift},                             {0, 0}, PQK_ERROR_MULTIPLIER},
        {&from,   &to,     {.m0 = &good_m0, .shift = &high_shift},                            {0, 0}, PQK_ERROR_MULTIPLIER},
        {&from,   &to,     {.m0 = &good_m0, .shift = &good_shift, .rounding = PQK_RNDNU + 1}, {0, 0}, PQK_ERROR_OPTION    },
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; ++i) {
        memset(y, 0x5a, sizeof y);
        const pqk_status got = pqk_requantize(calls[i].acc, &calls[i].m, calls[i].q, &calls[i].exec);
        bool untouched = true;
        for (int j = 0; j < 6; ++j) untouched &= y[j] == 0x5a;
        ++h->cases;
        if ((got != calls[i].want || !untouched) && report(h))
            printf("FAILED pqk_requantize, call %zu: status %d, not %d; q untouched: %d\n", i, got, calls[i].want,
                   untouched);
    }
}

void test_entry_requantize(struct harness *h)
{
    test_grid(h);
    test_errors(h);
}
