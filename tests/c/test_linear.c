/* test_linear.c -- pqk_linear against what it fuses: pqk_observe, pqk_quantize and pqk_matmul one after the other,
 * which have tests of their own.  Every layer, type, way of quantizing, group size, stride and range must give the same
 * bits, and each row those that it gives alone.
 *
 *     python tests/c/build.py -o build/test_linear tests/c/test_linear.c && build/test_linear [cases] [seed]
 */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "formats/bf16.h"
#include "include/pyquantk.h"

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

enum { MAX_M = 70, MAX_N = 150, MAX_K = 2500 };
static float x_storage[2 * MAX_M * MAX_K], a_scale[MAX_M], low[MAX_M], high[MAX_M];
static float b_scale[MAX_K * 4], bias[MAX_N];
static int8_t a_storage[MAX_M * MAX_K], b_storage[MAX_K * MAX_N];
static int32_t b_zero[MAX_N];
static char y_got[MAX_M * MAX_N * 4], y_want[MAX_M * MAX_N * 4], y_row[MAX_N * 4];

static int size_of(pqk_type type)
{
    return type == PQK_F32 || type == PQK_S32 ? 4 : type == PQK_S8 || type == PQK_U8 ? 1 : 2;
}

static void set(char *to, float x, pqk_type type)
{
    const uint16_t half = type == PQK_F16 ? pqk_f32_to_f16(x) : pqk_f32_to_bf16(x);
    if (type == PQK_F32)
        memcpy(to, &x, 4);
    else
        memcpy(to, &half, 2);
}

static void expect(bool ok, uint64_t seed, const char *what)
{
    if (ok) return;
    if (failures++ < 20)
        printf("FAILED: seed %" PRIu64 ", layer %s: %s\n", seed, pqk_layer_name(pqk_active_layer()), what);
}

static void try_case(uint64_t seed)
{
    static const pqk_type floats[] = {PQK_F32, PQK_F16, PQK_BF16},
                          outputs[] = {PQK_F32, PQK_F32, PQK_F16, PQK_BF16, PQK_S8, PQK_U8, PQK_S16};
    state = seed * 0x9e3779b97f4a7c15u + 3;
    const int64_t m = below(8) ? 1 + below(20) : below(MAX_M + 1), n = below(MAX_N + 1);
    const int64_t k = below(4) ? below(300) : below(MAX_K + 1);
    const pqk_type x_type = floats[below(3)], y_type = outputs[below(7)], w_type = coin() ? PQK_S8 : PQK_U8;
    const int size = size_of(x_type);
    const bool wild = below(8) == 0;

    /* x: rows, columns, or every second element */
    const int64_t gap = below(3) == 0 ? 2 : 1;
    const bool by_column = below(4) == 0;
    const int64_t x_shape[2] = {m, k};
    const int64_t x_strides[2] = {by_column ? gap * size : k * gap * size, by_column ? m * gap * size : gap * size};
    memset(x_storage, 0xff, (size_t)(m * k * gap * size)); /* NaN, where nobody may look */
    for (int64_t i = 0; i < m; ++i) {
        const float row = coin() ? 0x1p-30f : coin() ? 1.0f : 0.0f, scale = ldexpf(row, below(20));
        for (int64_t p = 0; p < k; ++p) {
            float v = (float)(int32_t)random_bits() * scale;
            if (wild && below(200) == 0) v = coin() ? NAN : coin() ? INFINITY : -INFINITY;
            if (wild && i % 3 == 0) v *= 0x1p-149f;
            set((char *)x_storage + i * x_strides[0] + p * x_strides[1], v, x_type);
        }
    }
    const int64_t b_shape[2] = {k, n};
    for (int64_t i = 0; i < k * n; ++i) b_storage[i] = (int8_t)random_bits();
    const pqk_array x = {x_storage, x_type, 2, x_shape, x_strides}, b = {b_storage, w_type, 2, b_shape, NULL};

    const bool dynamic = coin();
    pqk_linear_input input = {PQK_LINEAR_DYNAMIC, PQK_S8, 0.0f, 0};
    if (!dynamic) {
        input = (pqk_linear_input){PQK_LINEAR_STATIC, coin() ? PQK_S8 : PQK_U8,
                                   ldexpf(1.0f + (float)below(100) / 128, -3), 0};
        input.zero_point = input.type == PQK_S8 ? below(256) - 128 : below(256);
    }
    pqk_epilogue e = {.out_scale = 0.125f, .out_zero_point = y_type == PQK_U8 ? 100 : -3};
    if (coin()) {
        e.b_zero_point = (pqk_integers){b_zero, coin()};
        for (int j = 0; j < MAX_N; ++j) b_zero[j] = below(128);
    }
    for (int i = 0; i < MAX_K * 4; ++i) b_scale[i] = (float)below(1000) * 0x1p-20f;
    for (int j = 0; j < MAX_N; ++j) bias[j] = (float)(below(1000) - 500) / 16;
    if (coin()) e.bias = (pqk_floats){bias, 1};
    e.b_scale = (pqk_floats){b_scale, coin()};
    if (below(3) == 0) {
        const int64_t least = k * n / (MAX_K * 4) + 1;
        e.group_size = least + below(200);
        while ((k + e.group_size - 1) / e.group_size * n > MAX_K * 4) e.group_size *= 2;
        e.b_scale.step = 1;
    }
    e.activation = (pqk_activation)below(5);
    e.high = 6.0f;

    pqk_range range = {0, m, 0, n};
    const bool part = below(3) == 0;
    if (part) {
        range.row = below((int)m + 1), range.row_end = range.row + below((int)(m - range.row) + 1);
        range.column = below((int)n + 1), range.column_end = range.column + below((int)(n - range.column) + 1);
    }

    /* one after the other, on the layer that is active; the layers agree by the tests of those functions */
    const int y_size = size_of(y_type);
    const int64_t y_shape[2] = {m, n}, row_shape[2] = {1, n};
    pqk_array y = {y_want, y_type, 2, y_shape, NULL};
    const int64_t per_row[2] = {1, k ? k : 1};
    pqk_array a = {a_storage, dynamic ? PQK_S8 : input.type, 2, x_shape, NULL};
    pqk_params params = {.scale = a_scale, .block = per_row};
    pqk_epilogue plain = e;
    if (dynamic) {
        const pqk_statistics statistics = {.min = low, .max = high};
        if (k) expect(!pqk_observe(&x, per_row, &statistics), seed, "pqk_observe");
        for (int64_t i = 0; i < m; ++i) {
            const float absmax = k && high[i] >= low[i] ? fmaxf(high[i], -low[i]) : 0.0f;
            a_scale[i] = absmax > 0.0f ? fmaxf(absmax / 127.0f, FLT_MIN) : 1.0f;
        }
        plain.a_scale = (pqk_floats){a_scale, 1};
    } else {
        params = (pqk_params){.scale = &input.scale, .zero_point = &input.zero_point};
        plain.a_scale = (pqk_floats){&input.scale, 0};
        plain.a_zero_point = (pqk_integers){&input.zero_point, 0};
    }
    expect(!pqk_quantize(&x, &params, PQK_ONNX, &a, NULL), seed, "pqk_quantize");

    pqk_packed *w;
    const int64_t packed_group = below(3) ? e.group_size : below(64);
    memset(y_want, 0x5a, sizeof y_want);
    memset(y_got, 0x5a, sizeof y_got);
    if (pqk_pack(&b, packed_group, &w)) {
        expect(false, seed, "pqk_pack");
        return;
    }
    expect(!pqk_matmul(&a, NULL, w, &plain, &y, part ? &range : NULL), seed, "pqk_matmul");
    y.data = y_got;
    expect(!pqk_linear(&x, &input, w, &e, &y, part ? &range : NULL), seed, "pqk_linear");
    expect(!memcmp(y_got, y_want, (size_t)(m * n * y_size)), seed, "not what the three functions give");

    /* a row alone */
    if (m > 0 && !part) {
        const int64_t i = below((int)m);
        const int64_t one_shape[2] = {1, k};
        const pqk_array one = {(char *)x_storage + i * x_strides[0], x_type, 2, one_shape, x_strides};
        const pqk_array y_one = {y_row, y_type, 2, row_shape, NULL};
        expect(!pqk_linear(&one, &input, w, &e, &y_one, NULL), seed, "pqk_linear of a row");
        expect(!memcmp(y_row, y_want + i * n * y_size, (size_t)(n * y_size)), seed, "a row alone differs");
    }
    pqk_packed_free(w);
}

/* ---- errors leave y alone */

static void refuses(const char *what, pqk_status got, pqk_status expected)
{
    if (got == expected && y_got[0] == 0x5a) return;
    ++failures;
    printf("FAILED: %s: %s instead of %s\n", what, pqk_status_message(got), pqk_status_message(expected));
}

static void test_refusals(void)
{
    const int64_t x_shape[2] = {2, 3}, b_shape[2] = {3, 4}, y_shape[2] = {2, 4}, wrong[2] = {2, 5};
    const pqk_array x = {x_storage, PQK_F32, 2, x_shape, NULL}, b = {b_storage, PQK_S8, 2, b_shape, NULL};
    const pqk_array y = {y_got, PQK_F32, 2, y_shape, NULL};
    const pqk_linear_input dynamic = {PQK_LINEAR_DYNAMIC, PQK_S8, 0, 0};
    pqk_linear_input given = {PQK_LINEAR_STATIC, PQK_U8, 1, 3};
    pqk_array other = x;
    pqk_packed *w;
    y_got[0] = 0x5a;
    if (pqk_pack(&b, 0, &w)) return refuses("pqk_pack", PQK_ERROR_MEMORY, PQK_OK);
    other.type = PQK_S8;
    refuses("x of s8", pqk_linear(&other, &dynamic, w, NULL, &y, NULL), PQK_ERROR_TYPE);
    other = x, other.shape = wrong;
    refuses("x of 5 columns", pqk_linear(&other, &dynamic, w, NULL, &y, NULL), PQK_ERROR_SHAPE);
    other = y, other.type = PQK_U16;
    refuses("y of u16", pqk_linear(&x, &dynamic, w, NULL, &other, NULL), PQK_ERROR_TYPE);
    other = y, other.type = PQK_S32;
    refuses("y of s32 with a scale by row", pqk_linear(&x, &dynamic, w, NULL, &other, NULL), PQK_ERROR_OPTION);
    other = y, other.data = x_storage;
    refuses("y in x", pqk_linear(&x, &dynamic, w, NULL, &other, NULL), PQK_ERROR_OVERLAP);
    given.zero_point = -1;
    refuses("zero point -1 of u8", pqk_linear(&x, &given, w, NULL, &y, NULL), PQK_ERROR_ZERO_POINT);
    given.type = PQK_S16;
    refuses("quantized to s16", pqk_linear(&x, &given, w, NULL, &y, NULL), PQK_ERROR_TYPE);
    given.mode = (pqk_linear_mode)17;
    refuses("an unknown mode", pqk_linear(&x, &given, w, NULL, &y, NULL), PQK_ERROR_OPTION);
    const pqk_range range = {0, 3, 0, 4};
    refuses("rows that are not there", pqk_linear(&x, &dynamic, w, NULL, &y, &range), PQK_ERROR_PART);
    pqk_packed_free(w);
}

int main(int argc, char **argv)
{
    const uint64_t cases = argc > 1 ? strtoull(argv[1], NULL, 10) : 400;
    const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t tried = 0;
    test_refusals();
    for (int layer = 0; pqk_layer_name(layer); ++layer) {
        if (pqk_use_layer(layer)) continue;
        for (uint64_t i = 0; i < (layer ? cases : cases / 4); ++i, ++tried) try_case(first + i);
    }
    printf("%" PRIu64 " products, %" PRIu64 " failures\n", tried, failures);
    return failures != 0;
}
