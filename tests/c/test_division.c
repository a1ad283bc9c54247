/* test_division.c -- the proof at the head of csrc/affine/affine_tpl.h, tried as hard as it can be.
 *
 *     python tests/c/build.py -o build/test_division tests/c/test_division.c && build/test_division [--quick]
 *
 * The claim: where a scale's significand is not next to a power of two (for 16-bit results: within 3 of a multiple of
 * 2^8), or is such a number itself, rint(fma(x, h, fma(x, l, 0))) is rint(x / s) for every x whose quotient is in
 * range.
 *
 *   exhaustive  A wrong result needs X 2^t = m S + d, m = 2^(a+1) N +- 1, 0 < |d| <= 12 (affine_tpl.h says why).  For
 *               each N, sign and d that leaves one S modulo 2^t: all of them are made and tried, each X as well.
 *               The pairs that do go wrong are the proof that this program can fail: none may lie outside the window.
 *   neighbours  All x within 3 floats of every half-integer times s, for scales of every kind: near multiples,
 *               powers of two, random ones.
 *   kernel      The bad pairs through pqk_quantize on every layer, beside a float division.
 *
 * The arithmetic here is the formula of the header, written again in scalar fmaf().
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "include/pyquantk.h"

static uint64_t failures, tried;
static bool quick;

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
static uint64_t next_random(void)
{
    static uint64_t state = 2026;
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* ---- the two ways */

static float two_operations(float x, float s)
{
    const float h = 1.0f / s, l = fmaf(-h, s, 1.0f) * h;
    return fmaf(x, h, fmaf(x, l, 0.0f));
}
static bool differs(float x, float s) { return rintf(two_operations(x, s)) != rintf(x / s); }

/* Must the general way be taken, as affine_tpl.h has it?  For 8-bit results (low_bits is 16: those of a significand
 * that decide) or for 16-bit ones (8). */
static bool excluded(float s, int low_bits)
{
    const uint32_t window = low_bits == 16 ? 1 : 3, modulus = low_bits == 16 ? 1u << 23 : 1u << 8;
    const uint32_t low = bits_of(s) & (modulus - 1);
    return low != 0 && (low <= window || low >= modulus - window);
}

/* ---- exhaustive */

struct found {
    uint64_t pairs, wrong, outside; /* solutions; two operations differ; and the window does not see it */
    int farthest;                   /* from a multiple, of the scales that went wrong */
    float x, s;                     /* one that went wrong */
};
enum { KEPT = 4096 };
static float bad_x[KEPT], bad_s[KEPT];
static int kept;

/* X and S as floats, x moved by the power of two that brings the quotient next to `half`; both signs. */
static void try_pair(struct found *f, uint64_t X, uint64_t S, double half, int low_bits)
{
    const float s = (float)S; /* exact: both are below 2^24 */
    const int exponent = (int)lrint(log2(half * (double)S / (double)X));
    ++f->pairs;
    for (int sign = -1; sign <= 1; sign += 2) {
        const float x = ldexpf((float)X * (float)sign, exponent);
        ++tried;
        if (!differs(x, s)) continue;
        ++f->wrong;
        f->x = x;
        f->s = s;
        const int modulus = 1 << low_bits, low = (int)(S % (uint64_t)modulus);
        const int distance = low < modulus - low ? low : modulus - low;
        if (distance > f->farthest) f->farthest = distance;
        if (low_bits == 16 && kept < KEPT) bad_x[kept] = x, bad_s[kept++] = s;
        if (excluded(s, low_bits)) continue;
        if (f->outside++ < 5)
            printf("FAILED: x %a, s %a: not in the window, %a instead of %a\n", (double)x, (double)s,
                   (double)two_operations(x, s), (double)(x / s));
    }
}

/* The inverse of odd m modulo 2^64, by Newton's iteration: each step doubles the bits that are right. */
static uint64_t inverse_of(uint64_t m)
{
    uint64_t r = m;
    for (int i = 0; i < 6; ++i) r *= 2 - m * r;
    return r;
}

/* All (X, S) with X 2^t = m S + d for the midpoints m of 25 bits (26 below 1/2) next to N / 2; twice the |d| that the
 * error bound allows, so that the bound is tried too. */
static struct found exhaust(int low_bits, uint64_t most_n, uint64_t step)
{
    struct found f = {0};
    for (uint64_t n = 1; n <= most_n; n += 2 * step) {
        int bits = 0;
        while (n >> bits) ++bits;
        for (int side = -1; side <= 1; side += 2) {
            const bool finer = n == 1 && side < 0; /* floats below 1/2 are twice as dense */
            const uint64_t m = (n << (25 - bits + finer)) + (uint64_t)(int64_t)side;
            const uint64_t inverse = inverse_of(m);
            for (int64_t d = -24; d <= 24; ++d) {
                if (d == 0) continue;
                for (int t = 23; t <= 26; ++t) {
                    const uint64_t mask = ((uint64_t)1 << t) - 1;
                    /* S = -d / m modulo 2^t; in [2^23, 2^24) there are 2^24 / 2^t of them, or half as many */
                    for (uint64_t S = (0 - (uint64_t)d) * inverse & mask; S < 1u << 24; S += mask + 1) {
                        if (S < 1u << 23) continue;
                        const uint64_t X = (m * S + (uint64_t)d) >> t;
                        if (X < 1u << 24 && X > 0 && X << t == m * S + (uint64_t)d)
                            try_pair(&f, X, S, (double)n / 2, low_bits);
                    }
                }
            }
        }
    }
    return f;
}

static void report(const char *what, const struct found *f)
{
    printf("%-12s %9" PRIu64 " near-midpoint pairs, %7" PRIu64
           " quotients go wrong without the window, at most %d from a multiple; %" PRIu64
           " outside the window\n             for instance x %a / s %a = %a, two operations give %a\n",
           what, f->pairs, f->wrong, f->farthest, f->outside, (double)f->x, (double)f->s, (double)(f->x / f->s),
           (double)two_operations(f->x, f->s));
    failures += f->outside;
    if (!f->wrong) {
        printf("FAILED: %s: no wrong quotient was found, so this test could not fail\n", what);
        ++failures;
    }
}

/* ---- neighbours */

static void try_neighbours(float s, int low_bits, int most, int halves)
{
    if (excluded(s, low_bits)) return;
    for (int i = 0; i < halves; ++i) {
        const int n = halves == most ? i : (int)(next_random() % (uint64_t)most);
        const float middle = (float)((n + 0.5) * (double)s);
        for (int k = -3; k <= 3; ++k) {
            const float x = float_of(bits_of(middle) + (uint32_t)k);
            tried += 2;
            if (!differs(x, s) && !differs(-x, s)) continue;
            if (++failures <= 10) printf("FAILED: x %a, s %a\n", (double)x, (double)s);
        }
    }
}

static void neighbours(int low_bits)
{
    const bool narrow = low_bits == 16;
    const int most = narrow ? 256 : 65536, halves = narrow ? 256 : 128;
    const uint32_t modulus = 1u << low_bits;
    const uint64_t before = tried;
    /* on either side of every multiple */
    const uint32_t step = narrow ? 1 : quick ? 511 : 37;
    for (uint32_t k = 0; k < (1u << 23) / modulus; k += step)
        for (uint32_t d = 1; d <= 12; ++d) {
            try_neighbours(float_of(0x3f800000 + k * modulus + d), low_bits, most, halves);
            if (k) try_neighbours(float_of(0x3f800000 + k * modulus - d), low_bits, most, halves);
            try_neighbours(float_of(0x3f800000 + k * modulus), low_bits, most, halves);
        }
    for (int e = -30; e <= 30; ++e) try_neighbours(ldexpf(1, e), low_bits, most, halves);
    const int random = quick ? 2000 : 100000 / (narrow ? 1 : 4);
    for (int i = 0; i < random; ++i) {
        const uint32_t exponent = 127 - 40 + (uint32_t)(next_random() % 80);
        try_neighbours(float_of(exponent << 23 | (uint32_t)(next_random() & 0x7fffff)), low_bits, most, halves);
    }
    printf("neighbours   %d bits: %" PRIu64 " quotients\n", narrow ? 8 : 16, tried - before);
}

/* ---- through the kernels, which must divide wherever two operations would not do */

static void through_kernels(void)
{
    const int64_t shape = 1;
    for (int layer = 0; pqk_layer_name(layer); ++layer) {
        if (pqk_use_layer(layer)) continue;
        uint64_t wrong = 0;
        for (int i = 0; i < kept; ++i) {
            int8_t q = 0;
            const float y = rintf(bad_x[i] / bad_s[i]), want = y < -128 ? -128 : y > 127 ? 127 : y;
            const pqk_params params = {.scale = &bad_s[i]};
            const pqk_array x = {&bad_x[i], PQK_F32, 1, &shape, NULL}, to = {&q, PQK_S8, 1, &shape, NULL};
            if (pqk_quantize(&x, &params, PQK_ONNX, &to, NULL) || q != (int)want) ++wrong;
        }
        printf("kernel       %-8s %d quotients that need the division, %" PRIu64 " wrong\n", pqk_layer_name(layer),
               kept, wrong);
        failures += wrong;
    }
}

int main(int argc, char **argv)
{
    quick = argc > 1 && !strcmp(argv[1], "--quick");
    const struct found narrow = exhaust(16, 525, 1), wide = exhaust(8, 131071, quick ? 61 : 1);
    report("8 bits", &narrow);
    report("16 bits", &wide);
    neighbours(16);
    neighbours(8);
    through_kernels();
    printf("%" PRIu64 " quotients tried, %" PRIu64 " failures\n", tried, failures);
    return failures != 0;
}
