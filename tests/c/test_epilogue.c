/* test_epilogue.c -- the epilogue of the matrix product on every layer against the formulas of pyquantk.h, written once
 * more, element by element.
 *
 *     python tests/c/build.py -o build/test_epilogue tests/c/test_epilogue.c && build/test_epilogue [cases] [seed]
 *
 * Random tiles of every size, type, activation, kind of scale and zero point, in groups and not; values are ordinary,
 * or special ones crossed.  Each array ends at (or begins after) a page that nobody may touch, and what lies between
 * the rows of C must stay what it was.  The curves themselves are test_activations.c; here they are the scalar words.
 */
#if !defined(_WIN32)
#define _DEFAULT_SOURCE 1 /* for guard.c */
#endif
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/fpenv.h"
#include "epilogue_layers.h"
#include "harness/guard.c"
#include "simd/vec_scalar.h"
/* after the words */
#include "activations/activations_tpl.h"
#include "affine/integers.h"
#include "gemm/gemm.h"

static uint64_t state, failures;

static uint32_t random_bits(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) >> 32);
}
static int below(int n) { return (int)(random_bits() % (uint32_t)n); }
static bool coin(void) { return random_bits() & 1; }

static float random_float(bool wild)
{
    static const uint32_t special[] = {0,          0x80000000, 1,          0x80000001, 0x007fffff,
                                       0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
                                       0xffc12345, 0x3f800000, 0xbf000000, 0x4b000000};
    const float ordinary = (float)(int32_t)random_bits() * 0x1p-31f;
    if (!wild) return ordinary;
    const int kind = below(4);
    return kind == 0   ? pqk_f32_from_bits(special[below(sizeof special / sizeof *special)])
           : kind == 1 ? pqk_f32_from_bits(random_bits())
                       : ordinary;
}

/* ---- arrays next to a wall */

enum { ACC, SUM, ROWSUM, COLSUM, A_ZERO, B_ZERO, A_SCALE, B_SCALE, BIAS, M0, SHIFT, C, ARRAYS };
static struct guard arrays[ARRAYS];
static bool at_end; /* of this case: walls behind, or before */

static void *place(int array, size_t bytes)
{
    const struct guard g = arrays[array];
    return at_end ? g.high - bytes : g.low;
}
static int32_t *integers(int array, int64_t n) { return place(array, (size_t)n * 4); }
static float *floats(int array, int64_t n) { return place(array, (size_t)n * 4); }

/* ---- the formulas */

/* The first g groups of k lie behind each other in acc; all of it is one where there are none. */
enum { MAX_GROUPS = 3, MAX_TILE = PQK_GEMM_MAX_MR * PQK_GEMM_MAX_NR };
struct tile_case {
    pqk_epilogue e;
    struct pqk_epilogue_call call;
    pqk_type a_type, b_type;
    int rows, columns, groups;
    int64_t i, j, n;
    int32_t acc[MAX_GROUPS][MAX_TILE], rowsum[MAX_GROUPS][PQK_GEMM_MAX_MR], colsum[MAX_GROUPS][PQK_GEMM_MAX_NR];
    int32_t k[MAX_GROUPS];
};

static int32_t exact(const struct tile_case *t, int g, int r, int j)
{
    const pqk_epilogue *e = &t->e;
    const int64_t u =
        (e->a_zero_point.data ? e->a_zero_point.data[(t->i + r) * e->a_zero_point.step] : 0) + t->call.a_flip;
    const int64_t v =
        (e->b_zero_point.data ? e->b_zero_point.data[(t->j + j) * e->b_zero_point.step] : 0) + t->call.b_flip;
    /* |u|, |v| < 2^9, so this cannot overflow; then modulo 2^32 */
    const int64_t x = t->acc[g][r * t->call.nr + j] - u * t->colsum[g][j] - v * t->rowsum[g][r] + u * v * t->k[g];
    const uint32_t low = (uint32_t)(uint64_t)x;
    int32_t wrapped;
    memcpy(&wrapped, &low, sizeof wrapped);
    return wrapped;
}

static float scale_of(const pqk_floats *x, int64_t i) { return x->data ? x->data[i * x->step] : 1.0f; }
static float limit(const pqk_epilogue *e, float y, float low, float high)
{
    if (e->activation != PQK_CLAMP || y != y) return y;
    return y < low ? low : y > high ? high : y;
}

/* y in float32, with its activation. */
static float real(const struct tile_case *t, int r, int j)
{
    const pqk_epilogue *e = &t->e;
    const float bias = e->bias.data ? e->bias.data[(t->j + j) * e->bias.step] : 0.0f;
    float y;
    if (e->group_size) {
        float sum = 0.0f;
        for (int g = 0; g < t->groups; ++g)
            sum = fmaf((float)exact(t, g, r, j), e->b_scale.data[g * t->n + t->j + j], sum);
        y = fmaf(sum, scale_of(&e->a_scale, t->i + r), bias);
    } else {
        const float scale = scale_of(&e->a_scale, t->i + r) * scale_of(&e->b_scale, t->j + j);
        y = fmaf((float)exact(t, 0, r, j), scale, bias);
    }
    return e->activation > PQK_CLAMP ? activate(y, e->activation) : limit(e, y, e->low, e->high);
}

static int64_t saturated(int64_t x, int64_t lo, int64_t hi) { return x < lo ? lo : x > hi ? hi : x; }

/* gemmlowp's text, and TFLite's single rounding. */
static int64_t fixed(int32_t acc, int32_t m0, int32_t shift, pqk_fixed_rounding rounding)
{
    const int left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    const int64_t x = saturated((int64_t)acc * ((int64_t)1 << left), INT32_MIN, INT32_MAX), product = x * m0;
    if (rounding != PQK_DOUBLE) {
        const int64_t unit = (int64_t)1 << (31 + right), rounded = product + unit / 2;
        return rounded / unit - (rounded % unit < 0);
    }
    const int64_t nudge = product >= 0 ? 1 << 30 : 1 - (1 << 30);
    const int32_t high = (int32_t)((product + nudge) / ((int64_t)1 << 31));
    const int32_t mask = (int32_t)(((int64_t)1 << right) - 1), rest = high & mask;
    const int64_t unit = (int64_t)1 << right, down = high / unit - (high % unit < 0);
    return down + (rest > (mask >> 1) + (high < 0));
}

static int64_t rounded(float y, int32_t zero_point, int32_t lo, int32_t hi)
{
    if (y != y) return lo;
    const double d = rint((double)y) + zero_point; /* exact, or far beyond the limits */
    return d < lo ? lo : d > hi ? hi : (int64_t)d;
}

static int64_t integer(const struct tile_case *t, int r, int j)
{
    const pqk_epilogue *e = &t->e;
    const int32_t lo = t->call.out_min, hi = t->call.out_max;
    if (e->m0.data) {
        const int64_t q = fixed(exact(t, 0, r, j), e->m0.data[(t->j + j) * e->m0.step],
                                e->shift.data[(t->j + j) * e->shift.step], e->rounding);
        return saturated(q + e->out_zero_point, lo, hi);
    }
    if (e->group_size || e->activation > PQK_CLAMP)
        return rounded(real(t, r, j) / e->out_scale, e->out_zero_point, lo, hi);
    const float product = scale_of(&e->a_scale, t->i + r) * scale_of(&e->b_scale, t->j + j);
    const float bias = e->bias.data ? e->bias.data[(t->j + j) * e->bias.step] : 0.0f;
    const float y = fmaf((float)exact(t, 0, r, j), product / e->out_scale, bias / e->out_scale);
    return rounded(limit(e, y, e->low / e->out_scale, e->high / e->out_scale), e->out_zero_point, lo, hi);
}

static int want(const struct tile_case *t, int r, int j, char *to)
{
    switch (t->call.type) {
    case PQK_F32:
    case PQK_F16:
    case PQK_BF16: {
        float y = real(t, r, j);
        if (y != y) y = pqk_f32_from_bits(0x7fc00000);
        if (t->call.type == PQK_F32) {
            memcpy(to, &y, 4);
            return 4;
        }
        const uint16_t narrow = t->call.type == PQK_F16 ? pqk_f32_to_f16(y) : pqk_f32_to_bf16(y);
        memcpy(to, &narrow, 2);
        return 2;
    }
    case PQK_S32: {
        const int32_t x = exact(t, 0, r, j);
        memcpy(to, &x, 4);
        return 4;
    }
    case PQK_S16: {
        const int16_t x = (int16_t)integer(t, r, j);
        memcpy(to, &x, 2);
        return 2;
    }
    default:
        *to = (char)integer(t, r, j);
        return 1;
    }
}

/* ---- one case */

static pqk_floats random_floats(int array, int64_t n, bool wild)
{
    pqk_floats x = {NULL, 0};
    if (below(4) == 0) return x;
    x.step = below(3) ? 1 : below(2) ? 0 : 2;
    const int64_t count = x.step ? (n - 1) * x.step + 1 : 1;
    float *data = floats(array, count);
    for (int64_t i = 0; i < count; ++i) data[i] = random_float(wild);
    x.data = data;
    return x;
}
static pqk_integers random_integers(int array, int64_t n, int32_t lo, int32_t hi)
{
    pqk_integers x = {NULL, 0};
    x.step = below(3) ? 1 : below(2) ? 0 : 3;
    const int64_t count = x.step ? (n - 1) * x.step + 1 : 1;
    int32_t *data = integers(array, count);
    for (int64_t i = 0; i < count; ++i) data[i] = lo + (int32_t)(random_bits() % (uint32_t)(hi - lo + 1));
    x.data = data;
    return x;
}

static void make(struct tile_case *t)
{
    static const pqk_type types[] = {PQK_S32, PQK_F32, PQK_F16, PQK_BF16, PQK_S8, PQK_U8, PQK_S16};
    const bool wild = below(4) == 0, unsigned_a = coin(), unsigned_b = coin();
    memset(t, 0, offsetof(struct tile_case, acc));
    at_end = below(4) != 0;
    pqk_epilogue *e = &t->e;
    t->call = (struct pqk_epilogue_call){.e = e, .type = types[below(7)], .nr = 16 * (1 + below(4))};
    t->a_type = unsigned_a ? PQK_U8 : PQK_S8;
    t->b_type = unsigned_b ? PQK_U8 : PQK_S8;
    t->rows = 1 + below(PQK_GEMM_MAX_MR);
    t->columns = coin() ? t->call.nr : 1 + below(t->call.nr);
    t->i = below(3);
    t->j = below(3) * t->call.nr;
    t->n = t->j + t->columns; /* nothing behind the last column */
    const int64_t m = t->i + t->rows;
    const bool is_float = t->call.type >= PQK_F32 && t->call.type <= PQK_BF16, is_s32 = t->call.type == PQK_S32;

    t->call.a_flip = coin() ? 0 : unsigned_a ? -128 : 128;
    t->call.b_flip = unsigned_b ? -128 : 0;
    if (coin()) e->a_zero_point = random_integers(A_ZERO, m, unsigned_a ? 0 : -128, unsigned_a ? 255 : 127);
    if (coin()) e->b_zero_point = random_integers(B_ZERO, t->n, unsigned_b ? 0 : -128, unsigned_b ? 255 : 127);
    e->out_scale = 1.0f;
    t->groups = 1;
    if (!is_s32 && !is_float && below(3) == 0) {
        const bool below_quarter = coin();
        e->m0 = random_integers(M0, t->n, 0, 1);
        e->shift = random_integers(SHIFT, t->n, -31, below_quarter ? -2 : 30);
        int32_t *m0 = (int32_t *)(uintptr_t)e->m0.data;
        for (int64_t j = 0; j < (e->m0.step ? (t->n - 1) * e->m0.step + 1 : 1); ++j)
            m0[j] = below(8) ? (int32_t)(random_bits() >> 2 | 1u << 30) : 0;
        e->rounding = (pqk_fixed_rounding)below(3);
    } else if (!is_s32) {
        e->a_scale = random_floats(A_SCALE, m, wild);
        if (below(3) == 0) {
            e->group_size = 1 + below(100);
            t->groups = 1 + below(MAX_GROUPS);
            float *data = floats(B_SCALE, t->n * t->groups);
            for (int64_t j = 0; j < t->n * t->groups; ++j) data[j] = random_float(wild);
            e->b_scale = (pqk_floats){data, 1};
        } else {
            e->b_scale = random_floats(B_SCALE, t->n, wild);
        }
        e->bias = random_floats(BIAS, t->n, wild);
        e->activation = (pqk_activation)(below(2) ? 0 : below(5));
        const float x = random_float(wild), y = coin() ? INFINITY : random_float(wild);
        e->low = coin() ? 0.0f : x < y ? x : 0.0f;
        e->high = e->low < y ? y : e->low == e->low ? e->low : 6.0f;
        if (e->low != e->low) e->low = -1.0f;
        e->out_scale = wild && coin() ? 0x1p-149f : coin() ? fabsf(random_float(false)) / 16 + 0x1p-20f : 0.25f;
    }
    if (!is_float && !is_s32) {
        enum pqk_integer_slot slot;
        int32_t lo, hi;
        pqk_integer_type(t->call.type, &slot, &lo, &hi);
        e->out_zero_point = coin() ? lo + (int32_t)(random_bits() % (uint32_t)(hi - lo + 1)) : lo > 0 ? lo : 0;
    }
    /* so that results are in range, and so that they are not; scales multiply to 2^-2 on average */
    const int bits = coin() ? 8 : 31 - below(24);
    for (int g = 0; g < t->groups; ++g) {
        t->k[g] = coin() ? (int32_t)random_bits() : below(1000);
        for (int x = 0; x < MAX_TILE; ++x) t->acc[g][x] = (int32_t)random_bits() >> (32 - bits);
        for (int r = 0; r < PQK_GEMM_MAX_MR; ++r) t->rowsum[g][r] = coin() ? (int32_t)random_bits() : below(1000) - 500;
        for (int j = 0; j < PQK_GEMM_MAX_NR; ++j) t->colsum[g][j] = coin() ? (int32_t)random_bits() : below(1000) - 500;
    }
}

static void run(const struct tile_case *t, const struct layer *layer, char *c, ptrdiff_t c_row)
{
    const int elements = t->rows * t->call.nr;
    const bool grouped = t->e.group_size > 0;
    struct pqk_epilogue_tile tile = {
        .acc = integers(ACC, elements),
        .sum = grouped ? floats(SUM, elements) : NULL,
        .rows = t->rows,
        .columns = t->columns,
        .i = t->i,
        .j = t->j,
        .rowsum = t->call.has_v ? integers(ROWSUM, t->rows) : NULL,
        .colsum = t->call.has_u ? integers(COLSUM, t->call.nr) : NULL,
        .c = c,
        .c_row = c_row,
    };
    for (int g = 0; g < t->groups; ++g) {
        memcpy(integers(ACC, elements), t->acc[g], (size_t)elements * 4);
        memcpy(integers(ROWSUM, t->rows), t->rowsum[g], (size_t)t->rows * 4);
        memcpy(integers(COLSUM, t->call.nr), t->colsum[g], (size_t)t->call.nr * 4);
        tile.k = t->k[g];
        tile.group = g;
        if (grouped) layer->kernels->accumulate(&t->call, &tile, g == 0);
    }
    if (grouped) tile.rowsum = tile.colsum = NULL;
    layer->kernels->finish(&t->call, &tile);
}

static void complain(const struct tile_case *t, const struct layer *layer, uint64_t seed, int r, int j)
{
    if (failures++ >= 20) return;
    printf("FAILED: %s, seed %" PRIu64 ": type %d, activation %d, groups %d, fixed %d, nr %d, %d x %d, at (%d, %d)\n",
           layer->name, seed, t->call.type, t->e.activation, t->e.group_size ? t->groups : 0, t->e.m0.data != NULL,
           t->call.nr, t->rows, t->columns, r, j);
}

static void try_case(uint64_t seed)
{
    static struct tile_case t;
    static char expected[MAX_TILE * 4 * 2];
    state = seed * 0x9e3779b97f4a7c15u + 1;
    make(&t);
    const pqk_status status = pqk_epilogue_prepare(&t.call, t.a_type, t.b_type, t.i + t.rows, t.n);
    if (status) {
        printf("FAILED: seed %" PRIu64 ": %s\n", seed, pqk_status_message(status));
        ++failures;
        return;
    }
    char element[4];
    const int size = want(&t, 0, 0, element);
    const ptrdiff_t c_row = (ptrdiff_t)t.columns * size + (coin() ? 0 : below(80));
    const size_t bytes = (size_t)(c_row * (t.rows - 1) + t.columns * size);
    memset(expected, 0x5a, bytes);
    for (int r = 0; r < t.rows; ++r)
        for (int j = 0; j < t.columns; ++j) want(&t, r, j, expected + r * c_row + j * size);

    for (int l = 0; l < LAYERS; ++l) {
        if (!layer_runs(l)) continue;
        char *c = place(C, bytes);
        memset(c, 0x5a, bytes);
        run(&t, &layers[l], c, c_row);
        if (!memcmp(c, expected, bytes)) continue;
        size_t at = 0;
        while (c[at] == expected[at]) ++at;
        complain(&t, &layers[l], seed, (int)((ptrdiff_t)at / c_row), (int)((ptrdiff_t)at % c_row / size));
    }
}

/* ---- what pqk_epilogue_prepare refuses */

static void refuses(const char *what, pqk_epilogue e, pqk_type type, pqk_status expected)
{
    struct pqk_epilogue_call call = {.e = &e, .type = type, .nr = 32};
    const pqk_status got = pqk_epilogue_prepare(&call, PQK_S8, PQK_U8, 2, 2);
    if (got == expected) return;
    ++failures;
    printf("FAILED: %s: %s instead of %s\n", what, pqk_status_message(got), pqk_status_message(expected));
}

static void test_refusals(void)
{
    static const int32_t low[2] = {0, -1}, high[2] = {127, 128}, m0[2] = {1 << 30, INT32_MAX}, small[2] = {0, 1},
                         shift[2] = {-31, 30}, far_shift[2] = {0, 31};
    static const float scale[4] = {1, 1, 1, 1};
    const pqk_floats s = {scale, 1}, one = {scale, 0};
    const pqk_epilogue ok =
                           {
                               .out_scale = 1
    },
                       fixed_ok = {.m0 = {m0, 1}, .shift = {shift, 1}};
    pqk_epilogue e = ok;
    refuses("nothing", ok, PQK_S8, PQK_OK);
    refuses("nothing", fixed_ok, PQK_S16, PQK_OK);
    refuses("a type that is no output", ok, PQK_S4, PQK_ERROR_TYPE);
    e.a_zero_point = (pqk_integers){high, 1};
    refuses("a_zero_point 128 of s8", e, PQK_F32, PQK_ERROR_ZERO_POINT);
    e.a_zero_point.step = 0;
    refuses("a_zero_point 127 of s8", e, PQK_F32, PQK_OK);
    e = ok, e.b_zero_point = (pqk_integers){low, 1};
    refuses("b_zero_point -1 of u8", e, PQK_F32, PQK_ERROR_ZERO_POINT);
    e = ok, e.out_zero_point = -1;
    refuses("out_zero_point -1 of u8", e, PQK_U8, PQK_ERROR_ZERO_POINT);
    refuses("out_zero_point -1 of s8", e, PQK_S8, PQK_OK);
    static const float bad_scales[] = {0.0f, -1.0f, INFINITY, NAN};
    for (int i = 0; i < 4; ++i) {
        e = ok, e.out_scale = bad_scales[i];
        refuses("out_scale that is not finite and positive", e, PQK_S8, PQK_ERROR_OPTION);
    }
    e = ok, e.out_scale = 0x1p-149f;
    refuses("the least out_scale", e, PQK_S8, PQK_OK);
    e = ok, e.activation = (pqk_activation)(PQK_SILU + 1);
    refuses("an unknown activation", e, PQK_F16, PQK_ERROR_OPTION);
    e = ok, e.activation = PQK_CLAMP, e.low = 1.0f, e.high = 0.0f;
    refuses("low > high", e, PQK_F16, PQK_ERROR_OPTION);
    e.low = 0x1p-149f;
    refuses("low > high, by the least number", e, PQK_F16, PQK_ERROR_OPTION);
    e.low = 0.0f, e.high = -0.0f;
    refuses("zeros", e, PQK_F16, PQK_OK);
    e.high = NAN;
    refuses("high is NaN", e, PQK_F16, PQK_ERROR_OPTION);
    e = ok, e.group_size = -1;
    refuses("group_size -1", e, PQK_F32, PQK_ERROR_BLOCK);
    e.group_size = 32;
    refuses("groups without b_scale", e, PQK_F32, PQK_ERROR_OPTION);
    e.b_scale = one;
    refuses("groups with one b_scale for all", e, PQK_F32, PQK_ERROR_OPTION);
    e.b_scale = s;
    refuses("groups", e, PQK_F32, PQK_OK);
    refuses("groups of integers", e, PQK_S32, PQK_ERROR_OPTION);
    e = ok, e.bias = s;
    refuses("bias of integers", e, PQK_S32, PQK_ERROR_OPTION);
    e = ok, e.activation = PQK_GELU;
    refuses("activation of integers", e, PQK_S32, PQK_ERROR_OPTION);
    e = fixed_ok;
    refuses("fixed-point floats", e, PQK_F32, PQK_ERROR_OPTION);
    e.bias = s;
    refuses("fixed point with a bias", e, PQK_S8, PQK_ERROR_OPTION);
    e = fixed_ok, e.rounding = (pqk_fixed_rounding)3;
    refuses("an unknown rounding", e, PQK_S8, PQK_ERROR_OPTION);
    e = fixed_ok, e.m0.data = small;
    refuses("m0 = 1", e, PQK_S8, PQK_ERROR_MULTIPLIER);
    e = fixed_ok, e.shift.data = far_shift;
    refuses("shift = 31", e, PQK_S8, PQK_ERROR_MULTIPLIER);
    e = fixed_ok, e.shift.data = NULL;
    refuses("m0 without shift", e, PQK_S8, PQK_ERROR_MULTIPLIER);
}

int main(int argc, char **argv)
{
    const uint64_t cases = argc > 1 ? strtoull(argv[1], NULL, 10) : 30000;
    const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    for (int a = 0; a < ARRAYS; ++a) arrays[a] = guard_make(32768);
    const pqk_fpenv found = pqk_fpenv_enter();
    test_refusals();
#if defined(PQK_X86)
    _mm_setcsr(_mm_getcsr() | 0x8040); /* subnormals are zeros */
    test_refusals();
    _mm_setcsr(_mm_getcsr() & ~0x8040u);
#endif
    for (uint64_t i = 0; i < cases; ++i) try_case(first + i);
    pqk_fpenv_leave(found);
    printf("%" PRIu64 " tiles, %" PRIu64 " failures\n", cases, failures);
    return failures != 0;
}
