/* exhaustive_casts.c -- all 2^32 float32 to each 8-bit float type and e8m0, saturating and not, on every layer that has
 * a kernel of its own, against intervals made from the published values of the types.
 *
 *     python tests/c/build.py -o build/exhaustive_casts tests/c/exhaustive_casts.c && build/exhaustive_casts
 *
 * Two threads, under ten minutes.  --quick takes a stratified 2^26: of each upper half of a float32 1,024 lower halves,
 * both ends and the middle with their neighbours among them.
 *
 * Under half to even the magnitudes that give a code are an interval, which ends halfway to the next value; double
 * holds that middle exactly, and so does float32.  The oracle is therefore a list of at most 256 ends a type, not a
 * conversion. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dispatch/dispatch.h"

enum { CHUNK = 1 << 22, LOWER = 1024, SHOWN = 3 };

enum top { INFINITY_NAN, NAN_ONLY, UNSIGNED_NAN, EXPONENT };
struct target {
    const char *name;
    pqk_type type;
    int mantissa, bias;
    double greatest;
    enum top top;
    int overflow, nan; /* magnitude codes */
};
static const struct target targets[] = {
    {"e4m3fn",      PQK_E4M3FN,      3, 7,   448,   NAN_ONLY,     0x7f, 0x7f},
    {"e5m2",        PQK_E5M2,        2, 15,  57344, INFINITY_NAN, 0x7c, 0x7e},
    {"e4m3fnuz",    PQK_E4M3FNUZ,    3, 8,   240,   UNSIGNED_NAN, 0x80, 0x80},
    {"e5m2fnuz",    PQK_E5M2FNUZ,    2, 16,  57344, UNSIGNED_NAN, 0x80, 0x80},
    {"e4m3b11fnuz", PQK_E4M3B11FNUZ, 3, 11,  30,    UNSIGNED_NAN, 0x80, 0x80},
    {"e4m3",        PQK_E4M3,        3, 7,   240,   INFINITY_NAN, 0x78, 0x7c},
    {"e3m4",        PQK_E3M4,        4, 3,   15.5,  INFINITY_NAN, 0x70, 0x78},
    {"e8m0fnu",     PQK_E8M0FNU,     0, 127, 0,     EXPONENT,     0xff, 0xff},
};
enum { TARGETS = sizeof targets / sizeof targets[0] };

/* Magnitudes up to end[i], and beyond end[i - 1], have code i; greatest + 1 stands for overflow, + 2 for NaN. */
struct oracle {
    int greatest;
    uint32_t end[260];
};

static double value_of(int code, const struct target *t)
{
    const int e = code >> t->mantissa, m = code & ((1 << t->mantissa) - 1);
    return e ? ldexp((1 << t->mantissa) + m, e - t->bias - t->mantissa) : ldexp(m, 1 - t->bias - t->mantissa);
}

static struct oracle oracle_of(const struct target *t)
{
    struct oracle o = {0};
    if (t->top == EXPONENT) { /* 2^(code - 127), a tie up; below 2^-126 as if code 0 were zero: a tie down */
        o.greatest = 254;
        for (uint32_t code = 0; code <= 254; ++code) o.end[code] = code ? (code << 23) + 0x3fffff : 0x400000;
        o.end[255] = 0x7f7fffff;
        o.end[256] = 0x7fffffff;
        return o;
    }
    while (value_of(o.greatest, t) < t->greatest) ++o.greatest;
    for (int code = 0; code <= o.greatest; ++code) {
        const float middle = (float)((value_of(code, t) + value_of(code + 1, t)) / 2);
        memcpy(&o.end[code], &middle, sizeof middle);
        o.end[code] -= code & 1; /* the tie goes to the even code */
    }
    o.end[o.greatest + 1] = 0x7f800000;
    o.end[o.greatest + 2] = 0x7fffffff;
    return o;
}

static uint8_t code_of(int step, bool negative, bool zero, const struct target *t, const struct oracle *o,
                       bool saturate)
{
    const int magnitude = step <= o->greatest       ? step
                          : step == o->greatest + 1 ? (saturate ? o->greatest : t->overflow)
                                                    : t->nan;
    if (t->top == EXPONENT) return (uint8_t)(!saturate && (negative || zero) ? 0xff : magnitude);
    if (t->top == UNSIGNED_NAN && (magnitude == 0 || magnitude == 0x80)) return (uint8_t)magnitude;
    return (uint8_t)(magnitude | negative << 7);
}

/* x rises, all of one sign. */
static void expect(uint8_t *want, const uint32_t *x, const struct target *t, const struct oracle *o, bool saturate)
{
    const bool negative = x[0] >> 31;
    int step = 0;
    for (size_t i = 0, run; i < CHUNK; i += run) {
        const uint32_t magnitude = x[i] & 0x7fffffff;
        while (magnitude > o->end[step]) ++step;
        run = 1;
        if (x[CHUNK - 1] - x[0] == CHUNK - 1 && magnitude) { /* without gaps: to the end of the step at once */
            const uint32_t rest = o->end[step] - magnitude;
            run = rest < CHUNK - 1 - i ? rest + 1 : CHUNK - i;
        }
        memset(want + i, code_of(step, negative, magnitude == 0, t, o, saturate), run);
    }
}

static uint64_t compare(const uint8_t *got, const uint8_t *want, const uint32_t *x, const char *name, bool saturate)
{
    uint64_t wrong = 0;
    if (!memcmp(got, want, CHUNK)) return 0;
    for (size_t i = 0; i < CHUNK; ++i)
        if (got[i] != want[i] && wrong++ < SHOWN)
            printf("%s, %s, saturate %d: 0x%08" PRIx32 " gives 0x%02x, expected 0x%02x\n",
                   pqk_layer_name(pqk_active_layer()), name, saturate, x[i], got[i], want[i]);
    return wrong;
}

static void fill(uint32_t *x, uint64_t chunk, bool quick)
{
    static const uint16_t ends[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff};
    for (uint32_t i = 0; i < CHUNK; ++i) {
        if (!quick) {
            x[i] = (uint32_t)(chunk * CHUNK) + i;
            continue;
        }
        const uint32_t at = i % LOWER; /* 0 1 64 128 ... 0x7fff 0x8000 0x8001 ... 0xfffe 0xffff */
        const uint32_t lower = at == 1      ? ends[1]
                               : at == 511  ? ends[2]
                               : at == 513  ? ends[4]
                               : at >= 1022 ? ends[at - 1017]
                                            : at * 64;
        x[i] = (uint32_t)(chunk * (CHUNK / LOWER) + i / LOWER) << 16 | lower;
    }
}

int main(int argc, char **argv)
{
    const bool quick = argc == 2 && !strcmp(argv[1], "--quick");
    const uint64_t chunks = (quick ? UINT64_C(1) << 26 : UINT64_C(1) << 32) / CHUNK;
    uint32_t *x = malloc(CHUNK * sizeof *x);
    uint8_t *got = malloc(CHUNK), *want = malloc(CHUNK);
    const int64_t shape[] = {CHUNK};
    struct oracle oracles[TARGETS];
    uint64_t done = 0, failures = 0;

    if (argc > 2 || (argc == 2 && !quick)) return fprintf(stderr, "usage: exhaustive_casts [--quick]\n"), 2;
    if (!x || !got || !want) return 2;
    for (int t = 0; t < TARGETS; ++t) oracles[t] = oracle_of(&targets[t]);
    pqk_set_num_threads(2);
    for (uint64_t chunk = 0; chunk < chunks; ++chunk) {
        fill(x, chunk, quick);
        for (int t = 0; t < 2 * TARGETS; ++t) {
            const struct target *target = &targets[t / 2];
            const pqk_cast_options options = {PQK_NEAREST_EVEN, t % 2, 0};
            const pqk_array from = {x, PQK_F32, 1, shape, NULL}, to = {got, target->type, 1, shape, NULL};
            expect(want, x, target, &oracles[t / 2], options.saturate);
            for (int l = 0; l < pqk_layer_count; ++l) {
                if (!pqk_layers[l].kernels->cast_f32_narrow || pqk_use_layer(l)) continue;
                memset(got, 0xa5, CHUNK);
                if (pqk_cast(&from, &options, &to, NULL)) return 2;
                failures += compare(got, want, x, target->name, options.saturate);
                done += CHUNK;
            }
        }
    }
    printf("exhaustive_casts: %" PRIu64 " casts, %" PRIu64 " failures\n", done, failures);
    return failures != 0;
}
