/* entry_observe.c -- pqk_observe on arrays of any shape, layout and granularity. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "entry.h"

static struct entry_array x;
static struct guard guards[4];
static float *wanted_min, *wanted_max;
static int64_t *wanted_nan, *wanted_inf;

static void make_memory(void)
{
    if (x.image) return;
    entry_make(&x);
    for (int i = 0; i < 4; ++i) guards[i] = guard_make(ENTRY_ELEMENTS * 8);
    wanted_min = malloc(ENTRY_ELEMENTS * 4);
    wanted_max = malloc(ENTRY_ELEMENTS * 4);
    wanted_nan = malloc(ENTRY_ELEMENTS * 8);
    wanted_inf = malloc(ENTRY_ELEMENTS * 8);
    if (!wanted_min || !wanted_max || !wanted_nan || !wanted_inf) exit(2);
}

static void expect(const struct entry_shape *s)
{
    for (int64_t p = 0; p < s->param_count; ++p) {
        wanted_min[p] = float_of(0x7f800000);
        wanted_max[p] = float_of(0xff800000);
        wanted_nan[p] = wanted_inf[p] = 0;
    }
    int64_t index[ENTRY_NDIM] = {0};
    if (!s->elements) return;
    do {
        size_t i;
        const char *row = entry_at(&x, true, index, &i);
        const float value = (float)oracle_load_float(row, i, x.array.type) + 0.0f; /* -0 + 0 is +0 */
        const size_t p = entry_param(s, index);
        wanted_nan[p] += value != value;
        wanted_inf[p] += (bits_of(value) & 0x7fffffff) == 0x7f800000;
        if (value < wanted_min[p]) wanted_min[p] = value;
        if (value > wanted_max[p]) wanted_max[p] = value;
    } while (entry_next(s, index));
}

void entry_observe_case(struct harness *h, uint64_t number)
{
    struct rng rng = rng_make(h->options.seed, "observe", number);
    static const pqk_type floats[] = {PQK_F32, PQK_F16, PQK_BF16};
    static const int thread_counts[] = {1, 2, 3, 4, 8, 64};
    make_memory();
    const struct entry_shape s = entry_shape_choose(&rng, false, number % 8 == 0);
    entry_layout(&x, &rng, &s, floats[rng_below(&rng, 3)], true);
    if (rng_chance(&rng, 20)) { /* noise has all there is, but rarely a block of zeros or of NaN */
        memset(x.window, rng_chance(&rng, 50) ? 0 : 0xff, x.window_bytes);
        memcpy(x.image + (x.window - x.guard.low), x.window, x.window_bytes);
    }
    expect(&s);
    const size_t count = (size_t)s.param_count;
    const uint32_t wish = rng_below(&rng, 20), mask = wish < 16 ? wish : 15;
    const pqk_statistics out = {mask & 1 ? (float *)(void *)(guards[0].high - 4 * count) : NULL,
                                mask & 2 ? (float *)(void *)(guards[1].high - 4 * count) : NULL,
                                mask & 4 ? (int64_t *)(void *)(guards[2].high - 8 * count) : NULL,
                                mask & 8 ? (int64_t *)(void *)(guards[3].high - 8 * count) : NULL};
    for (int g = 0; g < 4; ++g) memset(guards[g].high - 8 * count, 0x5a, 8 * count);
    snprintf(machine_case, sizeof machine_case, "--only entries --seed %" PRIu64 " --case %" PRIu64, h->options.seed,
             number);
    pqk_set_num_threads(thread_counts[rng_below(&rng, 6)]);

    const bool odd = rng_chance(&rng, 50);
    const struct environment e = odd ? environment_odd(&rng) : (struct environment){0, 0};
    const pqk_status status = pqk_observe(&x.array, s.blocks ? s.block : NULL, &out);
    const char *wrong = odd && !environment_restore(e) ? "the caller's floating-point environment changed" : NULL;
    if (status)
        wrong = pqk_status_message(status);
    else if (out.min && memcmp(out.min, wanted_min, 4 * count))
        wrong = "min";
    else if (out.max && memcmp(out.max, wanted_max, 4 * count))
        wrong = "max";
    else if (out.nan_count && memcmp(out.nan_count, wanted_nan, 8 * count))
        wrong = "nan_count";
    else if (out.inf_count && memcmp(out.inf_count, wanted_inf, 8 * count))
        wrong = "inf_count";
    else if (!entry_agrees(&x))
        wrong = "the input changed";
    ++h->cases;
    h->elements += (uint64_t)s.elements;
    if (!wrong || !report(h)) return;
    printf("FAILED pqk_observe on %s: %s\n  --only entries --seed %" PRIu64 " --case %" PRIu64
           ", threads %d, type %d, shape",
           h->layer, wrong, h->options.seed, number, pqk_get_num_threads(), x.array.type);
    for (int d = 0; d < s.ndim; ++d) printf(" %" PRId64, s.shape[d]);
    printf(", block");
    for (int d = 0; s.blocks && d < s.ndim; ++d) printf(" %" PRId64, s.block[d]);
    printf(", strides");
    for (int d = 0; x.array.strides && d < s.ndim; ++d) printf(" %" PRId64, x.strides[d]);
    printf("\n");
}
