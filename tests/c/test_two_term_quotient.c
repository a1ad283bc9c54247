/* test_two_term_quotient.c -- the claim at the head of csrc/convert/quotient.h, on all divisors.
 *
 *     python tests/c/build.py -o build/quotient tests/c/test_two_term_quotient.c && build/quotient [--quick]
 *
 * The claim: with h = fl(1 / d), or the float before it if that is above 1 / d, and l = fl(fl(1 - h d) h), the value
 * fma(x, h, x * l) lies on the same side of each halfway point of a narrow type as fl(x / d), or like it on the point,
 * but for d within 5 units of a multiple of 2^17 of them.  Halfway points are M 2^k, M odd and at most 255: six bits of
 * a significand for float types, eight for integers.  The value is half a unit off and hardly more, so it can only be
 * wrong where x is next to M d; and a power of two changes nothing, as nothing that counts leaves the normal numbers.
 *
 *   significands  every d in [1, 2) (--quick: one in 127, and all near multiples), every M, the seven x around M d;
 *                 some d that are left out do go wrong, which is the proof that this program can fail
 *   magnitudes    d within 2^+-80, M 2^k within the numbers of e5m2 and int8, both signs, and x that are nearly zero
 *   terms         those of csrc/convert/quotient.h are these
 *   kernels       such rows through pqk_quantize_dynamic and pqk_quantize on every layer, beside a division
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "convert/quotient.h"
#include "include/pyquantk.h"

enum { MOST = 255 };
static uint64_t failures, tried, wrong_left_out;

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static float neighbour(float x, int k) { return float_of(bits_of(x) + (uint32_t)k); }
static uint64_t next_random(void)
{
    static uint64_t state = 2026;
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct terms {
    float high, low;
};
static struct terms terms_of(float d)
{
    float high = 1.0f / d;
    if (fmaf(-high, d, 1.0f) < 0) high = nextafterf(high, 0.0f);
    return (struct terms){high, fabsf(fmaf(-high, d, 1.0f)) * high};
}
static bool left_out(float d)
{
    const uint32_t rest = bits_of(d) % 0x20000;
    return (rest > 0 && rest <= 8) || rest >= 0x20000 - 8;
}
static int side(float q, float middle) { return (q > middle) - (q < middle); }

static void try_one(float x, float d, struct terms by, float middle)
{
    const float quotient = x / d, y = fmaf(x, by.high, x * by.low);
    ++tried;
    if (side(y, middle) == side(quotient, middle) && !signbit(y) == !signbit(quotient)) return;
    if (left_out(d))
        ++wrong_left_out;
    else if (++failures <= 10)
        printf("FAILED: %a / %a beside %a\n", (double)x, (double)d, (double)middle);
}

static void significands(uint32_t step)
{
    for (uint32_t s = 0; s < 1u << 23; ++s) {
        const float d = float_of(0x3f800000 | s);
        if (s % step && !left_out(d)) continue;
        const struct terms by = terms_of(d);
        for (int m = 1; m <= MOST; m += 2)
            for (int k = -3; k <= 3; ++k) try_one(neighbour(d * (float)m, k), d, by, (float)m);
    }
    printf("significands %" PRIu64 " quotients; of divisors left out, %" PRIu64 " are wrong\n", tried, wrong_left_out);
    if (!wrong_left_out) ++failures, puts("FAILED: nothing was ever wrong, so this test could not fail");
}

/* What the library makes of d is what is tried here; of powers of two it takes halves, for infinite x. */
static void terms(uint64_t count)
{
    for (uint64_t i = 0; i < count; ++i) {
        const float d = float_of((uint32_t)(next_random() >> (i % 2 ? 32 : 33)));
        const struct terms by = terms_of(d);
        float high, low;
        const int good = pqk_quotient_terms(d, &high, &low);
        const bool within = d >= 0x1p-80f && d <= 0x1p80f;
        if ((good && (high != by.high || low != by.low)) || (within && good == left_out(d)) || (!within && good))
            ++failures, printf("FAILED: terms of %a\n", (double)d);
    }
    for (int e = -150; e < 128; ++e) {
        const float d = ldexpf(1.0f, e), x = 0x1.234568p+3f;
        struct terms by;
        if (pqk_quotient_of_any(d, &by.high, &by.low) != (e >= -80 && e <= 80))
            ++failures, printf("FAILED: range, %a\n", (double)d);
        if (e < -80 || e > 80) continue;
        if (fmaf(x, by.high, x * by.low) != x / d || fmaf(INFINITY, by.high, INFINITY * by.low) != INFINITY)
            ++failures, printf("FAILED: halves of 1 / %a\n", (double)d);
        tried += 2;
    }
}

static float random_divisor(void)
{
    return ldexpf(float_of(0x3f800000 | (uint32_t)(next_random() >> 41)), (int)(next_random() % 160) - 80);
}

static void magnitudes(uint64_t count)
{
    const uint64_t before = tried;
    for (uint64_t i = 0; i < count; ++i) {
        const float sign = i % 2 ? 1.0f : -1.0f, d = random_divisor();
        const struct terms by = terms_of(d);
        const float middle = ldexpf(sign * (float)(1 + 2 * (next_random() % 128)), (int)(next_random() % 28) - 18);
        for (int k = -3; k <= 3; ++k) try_one(neighbour(middle * d, k), d, by, middle);
        try_one(sign * float_of((uint32_t)(next_random() % 64)), d, by, sign * 0x1p-18f);
        try_one(sign * float_of((uint32_t)(next_random() % 0x02000000)), d, by, sign * 0x1p-18f);
    }
    printf("magnitudes   %" PRIu64 " quotients\n", tried - before);
}

/* A row whose range gives the divisor, filled with numbers beside its halfway points, for int8 and for e4m3fn; of the
 * latter with the divisor given, too. */
static uint64_t wrong_in_row(pqk_type type, float greatest)
{
    enum { N = 512 }; /* casts divide shorter rows */
    static const int64_t shape[2] = {1, N}, block[2] = {1, N};
    const float absmax = ldexpf(random_divisor(), -8), wanted = absmax / greatest;
    float x[N], y[N], scale = 0;
    uint8_t q[N], want[N];
    for (int i = 0; i < N; ++i) {
        const int m = type == PQK_S8 ? 1 + 2 * (int)(next_random() % 126) : 17 + 2 * (int)(next_random() % 8);
        const float middle = ldexpf((float)m, type == PQK_S8 ? -1 : (int)(next_random() % 18) - 14);
        x[i] = i ? neighbour(middle * wanted, (int)(next_random() % 7) - 3) : absmax;
        if (x[i] > absmax) x[i] = absmax;
        if (next_random() % 2) x[i] = -x[i];
        y[i] = x[i] / wanted;
        if (type == PQK_S8) want[i] = (uint8_t)(int)rintf(y[i]);
    }
    const pqk_array from = {x, PQK_F32, 2, shape, NULL}, to = {q, type, 2, shape, NULL};
    const pqk_array quotients = {y, PQK_F32, 2, shape, NULL}, casts = {want, type, 2, shape, NULL};
    const pqk_dynamic how = {PQK_SCALE_ABSMAX, block, 0};
    if (type != PQK_S8 && pqk_cast(&quotients, NULL, &casts, NULL)) return 1;
    if (pqk_quantize_dynamic(&from, &how, &to, &scale)) return 1;
    if (scale != wanted || memcmp(q, want, N) != 0) return 1;
    const pqk_params given = {&wanted, NULL, NULL, NULL};
    if (type == PQK_S8) return 0;
    if (pqk_quantize(&from, &given, PQK_ONNX, &to, NULL)) return 1;
    return memcmp(q, want, N) != 0;
}

static void kernels(int rows)
{
    for (int layer = 0; pqk_layer_name(layer); ++layer) {
        if (pqk_use_layer(layer)) continue;
        uint64_t wrong = 0;
        for (int i = 0; i < rows; ++i) wrong += wrong_in_row(PQK_S8, 127) + wrong_in_row(PQK_E4M3FN, 448);
        printf("kernels      %-10s %d rows, %" PRIu64 " wrong\n", pqk_layer_name(layer), 2 * rows, wrong);
        failures += wrong;
    }
}

int main(int argc, char **argv)
{
    const int quick = argc > 1 && !strcmp(argv[1], "--quick");
    significands(quick ? 127 : 1);
    terms(quick ? 200000 : 20000000);
    magnitudes(quick ? 200000 : 20000000);
    kernels(quick ? 500 : 20000);
    printf("%" PRIu64 " quotients tried, %" PRIu64 " failures\n", tried, failures);
    return failures != 0;
}
