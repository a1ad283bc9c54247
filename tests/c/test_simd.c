/* test_simd.c -- every word of simd/README.md against plain C: special values crossed, random bits, all float16 and
 * bfloat16 patterns, lane order, and the bytes around each access.
 *
 *     cc -std=c11 -O2 -ffp-contract=off -Icsrc tests/c/test_simd.c -lm                                     # scalar
 *     cc ... -mavx2 -mfma -mf16c -DPQK_TEST_VEC='"simd/vec_avx2.h"' tests/c/test_simd.c -lm
 *     ./a.out               seconds; float32 to float16 and bfloat16 on a sample and around every tie
 *     ./a.out exhaustive    both on all 2^32 inputs
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#define _DARWIN_C_SOURCE
#if defined(PQK_TEST_VEC)
#include PQK_TEST_VEC
#else
#define PQK_TEST_VEC "simd/vec_scalar.h"
#include "simd/vec_scalar.h"
#endif
#include "simd_checks.h"
#include "simd_memory.h"

/* ---- float words: three operands, of which some are not used ---- */

typedef vf32 float_word(vf32 a, vf32 b, vf32 c);
typedef float float_reference(float a, float b, float c);

#define WORD_1(op) \
    static vf32 word_##op(vf32 a, vf32 b, vf32 c) { return (void)b, (void)c, vf32_##op(a); }
#define WORD_2(op) \
    static vf32 word_##op(vf32 a, vf32 b, vf32 c) { return (void)c, vf32_##op(a, b); }
#define WORD_3(op) \
    static vf32 word_##op(vf32 a, vf32 b, vf32 c) { return vf32_##op(a, b, c); }
#define REFERENCE(op, expression) \
    static float plain_##op(float a, float b, float c) { return (void)a, (void)b, (void)c, (expression); }
/* A word and what it must do, pair by pair. */
/* clang-format off */
WORD_2(add) REFERENCE(add, a + b)
WORD_2(sub) REFERENCE(sub, a - b)
WORD_2(mul) REFERENCE(mul, a * b)
WORD_2(div) REFERENCE(div, a / b)
WORD_3(fma) REFERENCE(fma, fmaf(a, b, c))
WORD_3(fnma) REFERENCE(fnma, fmaf(-a, b, c))
WORD_2(min) REFERENCE(min, a < b ? a : b)
WORD_2(max) REFERENCE(max, a > b ? a : b)
WORD_3(clamp) REFERENCE(clamp, !(a > b) ? b : a < c ? a : c)
WORD_1(trunc) REFERENCE(trunc, truncf(a))
WORD_1(canonical) REFERENCE(canonical, a != a ? pqk_f32_from_bits(0x7fc00000) : a)
WORD_2(copysign) REFERENCE(copysign, copysignf(a, b))
    /* clang-format on */

    enum agreement {
        SAME_BITS,
        ANY_NAN,
        ANY_ZERO
    }; /* which difference is allowed */
static const struct {
    const char *name;
    float_word *word;
    float_reference *plain;
    enum agreement agreement;
} float_words[] = {
    {"vf32_add",       word_add,       plain_add,       ANY_NAN  },
    {"vf32_sub",       word_sub,       plain_sub,       ANY_NAN  },
    {"vf32_mul",       word_mul,       plain_mul,       ANY_NAN  },
    {"vf32_div",       word_div,       plain_div,       ANY_NAN  },
    {"vf32_fma",       word_fma,       plain_fma,       ANY_NAN  },
    {"vf32_fnma",      word_fnma,      plain_fnma,      ANY_NAN  },
    {"vf32_min",       word_min,       plain_min,       SAME_BITS},
    {"vf32_max",       word_max,       plain_max,       SAME_BITS},
    {"vf32_clamp",     word_clamp,     plain_clamp,     ANY_ZERO },
    {"vf32_trunc",     word_trunc,     plain_trunc,     ANY_NAN  },
    {"vf32_canonical", word_canonical, plain_canonical, SAME_BITS},
    {"vf32_copysign",  word_copysign,  plain_copysign,  SAME_BITS},
};

static void check_float_words(const float *a, const float *b, const float *c)
{
    for (size_t w = 0; w < sizeof float_words / sizeof *float_words; ++w) {
        float got[VL];
        vf32_store_f32(got, float_words[w].word(vf32_load_f32(a), vf32_load_f32(b), vf32_load_f32(c)));
        for (int i = 0; i < VL; ++i) {
            if (float_words[w].word == word_clamp && !(b[i] <= c[i])) continue;             /* a range */
            if (float_words[w].word == word_copysign && pqk_f32_bits(a[i]) >> 31) continue; /* a magnitude */
            const float want = float_words[w].plain(a[i], b[i], c[i]);
            const enum agreement agreement = float_words[w].agreement;
            check(pqk_f32_bits(got[i]) == pqk_f32_bits(want) ||
                      (agreement == ANY_NAN && got[i] != got[i] && want != want) ||
                      (agreement == ANY_ZERO && got[i] == 0 && want == 0),
                  float_words[w].name, a[i]);
        }
    }
}

/* -1 and 0 words, and the conversions to and from integers. */
static void check_comparisons(const float *a, const float *b, const float *c)
{
    const vf32 x = vf32_load_f32(a), y = vf32_load_f32(b), z = vf32_load_f32(c);
    int32_t outside[VL], bits[VL];
    float back[VL];
    vs32_store(outside, vs32_not_between(x, y, z));
    vs32_store(bits, vs32_bits(x));
    vf32_store_f32(back, vf32_from_bits(vs32_bits(x)));
    for (int i = 0; i < VL; ++i) {
        check(outside[i] == (b[i] <= a[i] && a[i] <= c[i] ? 0 : -1), "vs32_not_between", a[i]);
        check((uint32_t)bits[i] == pqk_f32_bits(a[i]), "vs32_bits", a[i]);
        check(pqk_f32_bits(back[i]) == pqk_f32_bits(a[i]), "vf32_from_bits", a[i]);
    }
}

/* What the fast way of affine_tpl.h relies on: at or above lo it is a clamp; below, and for NaN, the integer is at
 * most that of lo. */
static void check_guard(const float *a, float lo, float hi, float h, float l, float zero)
{
    int32_t even[VL], toward_zero[VL];
    const vf32 c = vf32_guard(vf32_load_f32(a), vf32_set1(lo), vf32_set1(hi));
    const vf32 y = vf32_fma(c, vf32_set1(h), vf32_fma(c, vf32_set1(l), vf32_set1(zero)));
    vs32_store(even, vs32_round(y)), vs32_store(toward_zero, vs32_truncate(y));
    for (int i = 0; i < VL; ++i) {
        const float limited = a[i] >= lo ? a[i] < hi ? a[i] : hi : lo;
        const float want = fmaf(limited, h, fmaf(limited, l, zero));
        check(a[i] >= lo ? even[i] == (int32_t)rintf(want) : even[i] <= (int32_t)rintf(want), "vf32_guard", a[i]);
        check(a[i] >= lo ? toward_zero[i] == (int32_t)want : toward_zero[i] <= (int32_t)want, "vf32_guard", a[i]);
    }
}

static void test_powers(void)
{
    for (int first = -126; first <= 127; ++first) {
        int32_t n[VL];
        float power[VL];
        for (int i = 0; i < VL; ++i) n[i] = first + i <= 127 ? first + i : -126;
        vf32_store_f32(power, vf32_exp2i(vs32_load(n)));
        for (int i = 0; i < VL; ++i) check(power[i] == ldexpf(1.0f, n[i]), "vf32_exp2i", n[i]);
    }
}

static void check_reductions(float *a)
{
    float least = INFINITY, largest = -INFINITY;
    for (int i = 0; i < VL; ++i) {
        if (a[i] != a[i]) a[i] = -INFINITY;
        least = a[i] < least ? a[i] : least;
        largest = a[i] > largest ? a[i] : largest;
    }
    check(vf32_reduce_min(vf32_load_f32(a)) == least, "vf32_reduce_min", least);
    check(vf32_reduce_max(vf32_load_f32(a)) == largest, "vf32_reduce_max", largest);
}

static void test_floats(void)
{
    float a[VL], b[VL], c[VL];
    long at = 0;
    for (int i = 0; i < FLOATS; ++i)
        for (int j = 0; j < FLOATS; ++j)
            for (int k = 0; k < FLOATS; ++k) {
                a[at % VL] = pqk_f32_from_bits(special_floats[i]);
                b[at % VL] = pqk_f32_from_bits(special_floats[j]);
                c[at % VL] = pqk_f32_from_bits(special_floats[k]);
                if (++at % VL) continue;
                check_float_words(a, b, c);
                check_comparisons(a, b, c);
            }
    for (int round = 0; round < 20000; ++round) {
        for (int i = 0; i < VL; ++i) a[i] = any_float(), b[i] = any_float(), c[i] = any_float();
        check_float_words(a, b, c);
        for (int i = 0; i < VL; ++i) b[i] = c[i] = 1.0f; /* NaNs are rare here */
        check_comparisons(a, b, c);
        const float scale = ldexpf(1.0f + (float)(random_bits() % 1000) / 1000.0f, (int)(random_bits() % 180) - 90);
        const float h = 1.0f / scale, zero = (float)(random_bits() % 256);
        check_guard(a, -zero * scale, (255.0f - zero) * scale, h, fmaf(-h, scale, 1.0f) * h, round % 2 ? zero : 0.0f);
        check_guard(a, -128.0f * scale, 127.0f * scale, h, 0.0f, 0.0f);
        check_reductions(a);
    }
}

/* ---- integer words ---- */

static void check_integers(const int32_t *a, const int32_t *b)
{
    const vs32 x = vs32_load(a), y = vs32_load(b);
    int32_t got[9][VL];
    float real[VL];
    vs32_store(got[0], vs32_add(x, y)), vs32_store(got[1], vs32_sub(x, y));
    vs32_store(got[2], vs32_max(x, y)), vs32_store(got[3], vs32_min(x, y));
    vs32_store(got[4], vs32_and(x, y)), vs32_store(got[5], vs32_or(x, y));
    vs32_store(got[6], vs32_equal(x, y)), vs32_store(got[7], vs32_set1(a[0]));
    vs32_store(got[8], vs32_mul(x, y));
    vf32_store_f32(real, vf32_from_s32(x));
    int32_t any = 0;
    for (int i = 0; i < VL; ++i) {
        any |= a[i];
        check((uint32_t)got[0][i] == (uint32_t)a[i] + (uint32_t)b[i], "vs32_add", a[i]);
        check((uint32_t)got[1][i] == (uint32_t)a[i] - (uint32_t)b[i], "vs32_sub", a[i]);
        check((uint32_t)got[8][i] == (uint32_t)a[i] * (uint32_t)b[i], "vs32_mul", a[i]);
        check(got[2][i] == (a[i] > b[i] ? a[i] : b[i]), "vs32_max", a[i]);
        check(got[3][i] == (a[i] < b[i] ? a[i] : b[i]), "vs32_min", a[i]);
        check(got[4][i] == (a[i] & b[i]), "vs32_and", a[i]);
        check(got[5][i] == (a[i] | b[i]), "vs32_or", a[i]);
        check(got[6][i] == (a[i] == b[i] ? -1 : 0), "vs32_equal", a[i]);
        check(got[7][i] == a[0], "vs32_set1", a[0]);
        check(real[i] == (float)a[i], "vf32_from_s32", a[i]);
    }
    check(!!vs32_any(x) == (any != 0), "vs32_any", any);
}

/* floor(x / 2^n), by division. */
static int64_t divided(int64_t x, int n)
{
    const int64_t unit = (int64_t)1 << n;
    return x / unit - (x % unit < 0);
}
static int64_t saturated(int64_t x) { return x < INT32_MIN ? INT32_MIN : x > INT32_MAX ? INT32_MAX : x; }

/* Any x, 0 <= m, 0 <= n <= 31. */
static void check_fixed_point(const int32_t *x, const int32_t *m, const int32_t *n)
{
    const vs32 xs = vs32_load(x), ms = vs32_load(m), ns = vs32_load(n), far = vs32_max(ns, vs32_set1(2));
    int32_t got[5][VL];
    vs32_store(got[0], vs32_shl_sat(xs, ns)), vs32_store(got[1], vs32_shr_away(xs, ns));
    vs32_store(got[2], vs32_mul_high(xs, ms)), vs32_store(got[3], vs32_mul_shift(xs, ms, ns));
    vs32_store(got[4], vs32_mul_shift_far(xs, ms, far));
    for (int i = 0; i < VL; ++i) {
        const int64_t xm = (int64_t)x[i] * m[i], magnitude = x[i] < 0 ? -(int64_t)x[i] : x[i];
        const int f = n[i] < 2 ? 2 : n[i];
        const int64_t away = divided(2 * magnitude + ((int64_t)1 << n[i]), n[i] + 1);
        check(got[0][i] == saturated((int64_t)x[i] * ((int64_t)1 << n[i])), "vs32_shl_sat", x[i]);
        check(got[1][i] == (x[i] < 0 ? -away : away), "vs32_shr_away", x[i]);
        check(got[2][i] == divided(xm + (1 << 30), 31), "vs32_mul_high", x[i]);
        check(got[3][i] == divided(xm + ((int64_t)1 << (30 + n[i])), 31 + n[i]), "vs32_mul_shift", x[i]);
        check(got[4][i] == divided(xm + ((int64_t)1 << (30 + f)), 31 + f), "vs32_mul_shift_far", x[i]);
    }
}

static void test_fixed_point(void)
{
    static const int32_t factors[] = {0, 1, 1 << 30, (1 << 30) + 1, 3 << 29, INT32_MAX - 1, INT32_MAX};
    enum { FACTORS = sizeof factors / sizeof *factors };
    int32_t x[VL], m[VL], n[VL];
    long at = 0;
    for (int bit = 0; bit < 33; ++bit) /* each power of two and its neighbours, both signs; 2^32 is 0 */
        for (int side = -1; side <= 1; ++side)
            for (int negative = 0; negative < 2; ++negative)
                for (int f = 0; f < FACTORS; ++f)
                    for (int shift = 0; shift < 32; ++shift) {
                        const uint32_t magnitude = (uint32_t)((uint64_t)1 << bit) + (uint32_t)side;
                        x[at % VL] = (int32_t)(negative ? 0 - magnitude : magnitude);
                        m[at % VL] = factors[f], n[at % VL] = shift;
                        if (++at % VL == 0) check_fixed_point(x, m, n);
                    }
    for (long round = 0; round < 1000000 / VL; ++round) {
        for (int i = 0; i < VL; ++i) {
            const uint32_t size = random_bits() % 32;
            x[i] = random_bits() % 8 ? (int32_t)random_bits() >> size : any_integer();
            m[i] = random_bits() % 8 ? (int32_t)(random_bits() >> 2 | 1u << 30) : factors[random_bits() % FACTORS];
            n[i] = (int32_t)(random_bits() % 32);
            /* on a tie, or next to one */
            if (random_bits() % 4 == 0) x[i] = (int32_t)(random_bits() << n[i] | ((1u << n[i]) >> 1)), m[i] = 1 << 30;
            if (random_bits() % 4 == 0) x[i] = (int32_t)((uint32_t)x[i] + random_bits() % 3 - 1);
        }
        check_fixed_point(x, m, n);
    }
}

static void check_rounding(const float *x) /* all in the range of int32 */
{
    int32_t even[VL], toward_zero[VL];
    vs32_store(even, vs32_round(vf32_load_f32(x)));
    vs32_store(toward_zero, vs32_truncate(vf32_load_f32(x)));
    for (int i = 0; i < VL; ++i) {
        check(even[i] == (int32_t)rint((double)x[i]), "vs32_round", x[i]);
        check(toward_zero[i] == (int32_t)x[i], "vs32_truncate", x[i]);
    }
}

static void test_integers(void)
{
    int32_t a[VL], b[VL];
    long at = 0;
    for (int i = 0; i < INTEGERS; ++i)
        for (int j = 0; j < INTEGERS; ++j) {
            a[at % VL] = special_integers[i], b[at % VL] = special_integers[j];
            if (++at % VL == 0) check_integers(a, b);
        }
    for (int round = 0; round < 20000; ++round) {
        for (int i = 0; i < VL; ++i) a[i] = any_integer(), b[i] = random_bits() % 4 ? any_integer() : a[i];
        check_integers(a, b);
    }
    for (int lane = 0; lane < VL; ++lane) {
        memset(a, 0, sizeof a);
        check(!vs32_any(vs32_load(a)), "vs32_any of zeros", lane);
        a[lane] = 1 << (lane + 15);
        check(vs32_any(vs32_load(a)), "vs32_any of one lane", lane);
    }
    for (long twice = -140000; twice <= 140000; twice += VL) { /* each tie and its neighbours */
        for (int side = -1; side <= 1; ++side) {
            float x[VL];
            for (int i = 0; i < VL; ++i) {
                const float middle = (float)(twice + i) / 2.0f;
                x[i] = side ? nextafterf(middle, side * INFINITY) : middle;
            }
            check_rounding(x);
        }
    }
    for (int round = 0; round < 20000; ++round) {
        float x[VL];
        for (int i = 0; i < VL; ++i) do
                x[i] = any_float();
            while (!(x[i] >= -2147483648.0f && x[i] < 2147483648.0f));
        check_rounding(x);
    }
}

/* ---- float32 to the 16-bit floats ---- */

/* Independent of csrc/formats: rounds in units of the last place, in double, and encodes the result by value. */
static uint16_t rounded_by_value(float x, int fraction_bits, int min_exponent)
{
    const uint32_t sign = pqk_f32_bits(x) >> 31 << 15, top = (0x8000u >> fraction_bits) - 1; /* exponent of infinity */
    int exponent;
    if (isinf(x)) return (uint16_t)(sign | top << fraction_bits);
    (void)frexp(fabs((double)x), &exponent); /* x in [1/2, 1) * 2^exponent */
    if (x == 0 || --exponent < min_exponent) exponent = min_exponent;
    const double units = rint(ldexp(fabs((double)x), fraction_bits - exponent));
    /* The hidden bit, and a carry out of the fraction, count into the exponent field by themselves. */
    const uint32_t field = (uint32_t)(exponent - min_exponent), magnitude = (field << fraction_bits) + (uint32_t)units;
    return (uint16_t)(sign | (magnitude < top << fraction_bits ? magnitude : top << fraction_bits));
}

static void check_narrow_floats(const float *x, bool by_value)
{
    uint16_t half[VL], brain[VL];
    vf32_store_f16(half, vf32_load_f32(x));
    vf32_store_bf16(brain, vf32_load_f32(x));
    for (int i = 0; i < VL; ++i) {
        check(half[i] == pqk_f32_to_f16(x[i]), "float32 to float16", x[i]);
        check(brain[i] == pqk_f32_to_bf16(x[i]), "float32 to bfloat16", x[i]);
        if (!by_value || x[i] != x[i]) continue;
        check(half[i] == rounded_by_value(x[i], 10, -14), "float16 by value", x[i]);
        check(brain[i] == rounded_by_value(x[i], 7, -126), "bfloat16 by value", x[i]);
    }
    float numbers[VL], negated[VL];
    uint16_t both[2 * VL];
    for (int i = 0; i < VL; ++i) numbers[i] = x[i] != x[i] ? 0.0f : x[i], negated[i] = -numbers[i];
    vf32_store2_bf16((char *)both, vf32_load_f32(numbers), vf32_load_f32(negated));
    for (int i = 0; i < VL; ++i) {
        check(both[i] == pqk_f32_to_bf16(numbers[i]), "vf32_store2_bf16", x[i]);
        check(both[VL + i] == pqk_f32_to_bf16(negated[i]), "vf32_store2_bf16", x[i]);
    }
}

static void test_narrow_floats(bool exhaustive)
{
    float x[VL];
    long at = 0;
    for (uint32_t top = 0; top < 65536; ++top) { /* next to each value, and to each midpoint, of both formats */
        const uint32_t half = pqk_f32_bits(pqk_f16_to_f32((uint16_t)top));
        const uint32_t near[] = {top << 16, top << 16 | 0x8000, half, half + 0x1000};
        for (int n = 0; n < 4; ++n)
            for (uint32_t side = 0; side < 3; ++side) {
                x[at % VL] = pqk_f32_from_bits(near[n] + side - 1);
                if (++at % VL == 0) check_narrow_floats(x, true);
            }
        for (int i = 0; i < VL; ++i) x[i] = pqk_f16_to_f32((uint16_t)(top + (uint32_t)i));
        float got[VL];
        uint16_t codes[VL];
        for (int i = 0; i < VL; ++i) codes[i] = (uint16_t)(top + (uint32_t)i);
        vf32_store_f32(got, vf32_load_f16(codes));
        check(!memcmp(got, x, sizeof x), "float16 to float32", top);
        for (int i = 0; i < VL; ++i) x[i] = pqk_f32_from_bits((uint32_t)codes[i] << 16);
        vf32_store_f32(got, vf32_load_bf16(codes));
        check(!memcmp(got, x, sizeof x), "bfloat16 to float32", top);
    }
    const uint64_t step = exhaustive ? 1 : 4099; /* a prime: every low half comes up */
    for (uint64_t i = 0; i < (uint64_t)1 << 32; i += step * VL) {
        for (int j = 0; j < VL; ++j) x[j] = pqk_f32_from_bits((uint32_t)(i + step * (uint64_t)j));
        check_narrow_floats(x, !exhaustive);
    }
}

int main(int argc, char **argv)
{
    build_wall();
    test_floats();
    test_powers();
    test_integers();
    test_fixed_point();
    test_float_memory();
    test_integer_memory();
    test_narrow_floats(argc > 1 && !strcmp(argv[1], "exhaustive"));
    printf("%s: %ld checks, %ld failed\n", PQK_TEST_VEC, checks, failures);
    return failures != 0;
}
