/* test_gemm_float.c -- pqk_weights_pack and pqk_float_matmul against a plain loop of fmaf over what the stored elements
 * mean, on every layer: types, layouts, scales by group and column, ranges, threads, edges, errors, short memory.
 *
 *     python tests/c/build.py -D PQK_TESTING -o build/test_gemm_float tests/c/test_gemm_float.c
 *     build/test_gemm_float [--quick]
 *
 * A and B end, or begin, at forbidden pages, C lies between canaries.
 */
#include "harness/guard.c" /* first: it asks the system headers for mmap; programs of this folder are one file */

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/memory.h"
#include "include/pyquantk.h"

enum { MOST_M = 520, MOST_N = 100, MOST_K = 400, MOST_GROUPS = MOST_K, CANARY = 0x5a, MARGIN = 64 };

static int failures;
static uint64_t state = 1;
static uint32_t below(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % n);
}

static void fail(const char *what, unsigned number, double is, double should)
{
    if (failures++ < 20)
        printf("FAILED: case %u, layer %s: %s: %a, not %a\n", number, pqk_layer_name(pqk_active_layer()), what, is,
               should);
}

static struct guard a_memory, b_memory;
static float scale[MOST_GROUPS * MOST_N], bias[MOST_N], a_scale[MOST_M], b_scale[MOST_N];
static int32_t zero_point[MOST_GROUPS * MOST_N];
static float a_value[MOST_M * MOST_K], b_value[MOST_K * MOST_N];
static char c_memory[MOST_M * MOST_N * 4 + 2 * MARGIN];

/* One byte to float32, by way of the scalar layer's cast for floats. */
static float code_table[PQK_E8M0FNU + 1][256];
static void make_tables(void)
{
    uint8_t codes[256];
    const int64_t shape[] = {256};
    pqk_use_layer(0);
    for (int i = 0; i < 256; ++i) codes[i] = (uint8_t)i;
    for (int type = PQK_E4M3FN; type <= PQK_E8M0FNU; ++type) {
        const pqk_array x = {codes, (pqk_type)type, 1, shape, NULL}, y = {code_table[type], PQK_F32, 1, shape, NULL};
        if (pqk_cast(&x, NULL, &y, NULL)) fail("the table of a type", (unsigned)type, 0, 0);
    }
    for (int i = 0; i < 256; ++i) {
        code_table[PQK_S8][i] = (int8_t)i;
        code_table[PQK_U8][i] = (float)i;
        code_table[PQK_S4][i] = (float)(((i & 15) ^ 8) - 8);
        code_table[PQK_U4][i] = (float)(i & 15);
        code_table[PQK_S2][i] = (float)(((i & 3) ^ 2) - 2);
        code_table[PQK_U2][i] = (float)(i & 3);
    }
}

struct problem {
    int64_t m, n, k, group, columns; /* that share a scale, along k and along n */
    pqk_type a_type, b_type, c_type;
    bool scales, zero_points, turned_a, turned_b, at_end, epilogue;
};

static bool is_float(pqk_type type) { return type >= PQK_E4M3FN; }

static struct problem random_problem(unsigned number)
{
    static const pqk_type weights[] = {PQK_S8,          PQK_U8,     PQK_S4,     PQK_U4,       PQK_S2,
                                       PQK_U2,          PQK_E4M3FN, PQK_E5M2,   PQK_E4M3FNUZ, PQK_E5M2FNUZ,
                                       PQK_E4M3,        PQK_E3M4,   PQK_E2M3FN, PQK_E3M2FN,   PQK_E2M1FN,
                                       PQK_E4M3B11FNUZ, PQK_S8,     PQK_E4M3FN, PQK_E8M0FNU};
    static const pqk_type inputs[] = {PQK_F32, PQK_F32, PQK_F32, PQK_E4M3FN, PQK_E5M2, PQK_E4M3FNUZ};
    struct problem p = {.m = 1 + below(30), .n = 1 + below(MOST_N), .k = below(MOST_K)};
    p.b_type = weights[below(sizeof weights / sizeof *weights)];
    p.a_type = inputs[below(sizeof inputs / sizeof *inputs)];
    p.c_type = below(4) ? PQK_F32 : PQK_BF16;
    if (number % 4 == 0) p.m = 1;
    if (number % 97 == 0) p.m = 200 + below(MOST_M - 200); /* more than a block, and than a strip */
    if (number % 101 == 0) p.k = 0;
    if (number % 103 == 0) p.m = p.n = p.k = 1;
    p.group = below(2) ? p.k : 1 + below(70);
    if (p.group > p.k || p.group < 1) p.group = p.k ? p.k : 1;
    p.columns = below(3) ? 1 : 1 + below(40);
    p.scales = !is_float(p.b_type) || below(2);
    p.zero_points = !is_float(p.b_type) && below(2);
    p.turned_a = below(2), p.turned_b = below(2), p.at_end = below(3), p.epilogue = below(2);
    return p;
}

static int64_t column_blocks(const struct problem *p) { return (p->n + p->columns - 1) / p->columns; }

static int32_t random_zero_point(pqk_type type)
{
    switch (type) {
    case PQK_S8:
        return (int32_t)below(256) - 128;
    case PQK_U8:
        return (int32_t)below(256);
    case PQK_S4:
        return (int32_t)below(16) - 8;
    case PQK_U4:
        return (int32_t)below(16);
    case PQK_S2:
        return (int32_t)below(4) - 2;
    default:
        return (int32_t)below(4);
    }
}

/* Fills the guarded memory and the values that it means. */
static void fill(const struct problem *p, char **a, char **b)
{
    const size_t a_bytes = (size_t)(p->m * p->k) * (p->a_type == PQK_F32 ? 4 : 1), b_bytes = (size_t)(p->k * p->n);
    const int64_t groups = p->k ? (p->k + p->group - 1) / p->group : 1, blocks = column_blocks(p);
    *a = p->at_end ? a_memory.high - a_bytes : a_memory.low;
    *b = p->at_end ? b_memory.high - b_bytes : b_memory.low;
    for (int64_t i = 0; i < groups * blocks; ++i) {
        scale[i] = (float)(1 + below(1000)) / 777.0f;
        zero_point[i] = random_zero_point(p->b_type);
    }
    for (int64_t i = 0; i < p->m; ++i)
        for (int64_t q = 0; q < p->k; ++q) {
            const int64_t at = p->turned_a ? q * p->m + i : i * p->k + q;
            const uint8_t code = (uint8_t)below(below(50) ? 0x78 : 256); /* few infinities and NaNs */
            const float x =
                p->a_type == PQK_F32 ? (float)((int)below(2001) - 1000) / 333.0f : code_table[p->a_type][code];
            if (p->a_type == PQK_F32)
                memcpy(*a + 4 * at, &x, 4);
            else
                (*a)[at] = (char)code;
            a_value[i * p->k + q] = x;
        }
    for (int64_t q = 0; q < p->k; ++q)
        for (int64_t j = 0; j < p->n; ++j) {
            const int64_t param = q / p->group * blocks + j / p->columns;
            const uint8_t code = (uint8_t)below(is_float(p->b_type) && below(200) ? 0x78 : 256);
            float y = code_table[p->b_type][code];
            if (p->zero_points) y -= (float)zero_point[param];
            if (p->scales) y *= scale[param];
            (*b)[p->turned_b ? j * p->k + q : q * p->n + j] = (char)code;
            b_value[q * p->n + j] = y;
        }
}

static float expected(const struct problem *p, int64_t i, int64_t j)
{
    float sum = 0;
    for (int64_t q = 0; q < p->k; ++q) sum = fmaf(a_value[i * p->k + q], b_value[q * p->n + j], sum);
    if (!p->epilogue) return sum;
    sum = fmaf(sum, a_scale[i] * b_scale[j], bias[j]);
    return sum < -3.0f ? -3.0f : sum > 1000.0f ? 1000.0f : sum;
}

static bool same(const char *c, pqk_type type, float should)
{
    uint32_t bits, have = 0;
    memcpy(&bits, &should, 4);
    if (type == PQK_BF16) { /* half to even; NaN is compared as NaN */
        uint16_t half;
        memcpy(&half, c, 2);
        have = (uint32_t)half << 16;
        bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    } else {
        memcpy(&have, c, 4);
    }
    return isnan(should) ? have == 0x7fc00000 : have == bits;
}

static void run_case(unsigned number)
{
    const struct problem p = random_problem(number);
    char *a, *b, *c = c_memory + MARGIN;
    fill(&p, &a, &b);
    const int64_t a_size = p.a_type == PQK_F32 ? 4 : 1, c_size = p.c_type == PQK_F32 ? 4 : 2;
    const int64_t a_shape[] = {p.m, p.k}, b_shape[] = {p.k, p.n}, c_shape[] = {p.m, p.n},
                  block[] = {p.group, p.columns};
    const int64_t a_turned[] = {a_size, a_size * p.m}, b_turned[] = {1, p.k};
    const pqk_array left = {a, p.a_type, 2, a_shape, p.turned_a ? a_turned : NULL};
    const pqk_array right = {b, p.b_type, 2, b_shape, p.turned_b ? b_turned : NULL};
    const pqk_array to = {c, p.c_type, 2, c_shape, NULL};
    const pqk_params params = {.scale = scale, .zero_point = p.zero_points ? zero_point : NULL, .block = block};
    const pqk_epilogue e = {
        .a_scale = {a_scale, 1},
        .b_scale = {b_scale, 1},
        .bias = {bias,    1},
        .activation = PQK_CLAMP,
        .low = -3.0f,
        .high = 1000.0f,
    };
    const pqk_epilogue *epilogue = p.epilogue ? &e : NULL;
    pqk_weights *w = NULL;
    pqk_weights_info info;
    /* without params integers have scale 1, which `scales` is set for */
    pqk_status status = pqk_weights_pack(&right, p.scales ? &params : NULL, &w);
    if (status) {
        fail("the status of pqk_weights_pack", number, status, 0);
        return;
    }
    pqk_weights_describe(w, &info);
    if (info.k != p.k || info.n != p.n || info.type != p.b_type || (p.k && !info.bytes))
        fail("its description", number, 0, 0);
    memset(c_memory, CANARY, sizeof c_memory);
    if (number % 2) {
        status = pqk_float_matmul(&left, w, epilogue, &to, NULL);
    } else { /* four pieces, one after another */
        const int64_t i = below((uint32_t)p.m + 1), j = below((uint32_t)p.n + 1);
        const pqk_range pieces[] = {
            {0, i,   0, j  },
            {0, i,   j, p.n},
            {i, p.m, 0, j  },
            {i, p.m, j, p.n}
        };
        for (int piece = 0; piece < 4 && !status; ++piece)
            status = pqk_float_matmul(&left, w, epilogue, &to, &pieces[piece]);
    }
    pqk_weights_free(w);
    if (status) {
        fail("the status of pqk_float_matmul", number, status, 0);
        return;
    }
    for (int64_t i = 0; i < p.m; ++i)
        for (int64_t j = 0; j < p.n; ++j) {
            const float should = expected(&p, i, j);
            if (same(c + (i * p.n + j) * c_size, p.c_type, should)) continue;
            fail("an element", number, (double)i * 1000 + (double)j, (double)should);
            return;
        }
    for (size_t i = 0; i < sizeof c_memory; ++i)
        if ((i < MARGIN || i >= MARGIN + (size_t)(p.m * p.n * c_size)) && c_memory[i] != CANARY) {
            fail("a byte beside the result", number, (double)i, 0);
            return;
        }
}

/* ---- what is refused, with the output as it was */

static void expect(pqk_status is, pqk_status should, const char *what)
{
    bool untouched = true;
    for (size_t i = 0; i < sizeof c_memory; ++i) untouched = untouched && c_memory[i] == CANARY;
    if (is != should || !untouched) fail(what, 0, is, should);
}

static void test_errors(void)
{
    static const int64_t kn[] = {8, 5}, mk[] = {3, 8}, mn[] = {3, 5}, other[] = {3, 6}, flat[] = {15};
    static const int64_t block[] = {4, 5}, bad_block[] = {0, 5}, far_k[] = {INT64_MAX / 2, 64}, none[] = {0, 0};
    int32_t zeros[] = {0, 16};
    const pqk_array b = {b_memory.low, PQK_U4, 2, kn, NULL}, a = {a_memory.low, PQK_F32, 2, mk, NULL};
    const pqk_array c = {c_memory, PQK_F32, 2, mn, NULL};
    pqk_array x;
    pqk_weights *w = NULL, *untouched = NULL;
    pqk_params params = {.scale = scale, .zero_point = zeros, .block = block};
    memset(c_memory, CANARY, sizeof c_memory);
    memset(a_memory.low, 0, 3 * 8 * 4);
    expect(pqk_weights_pack(&b, &params, &untouched), PQK_ERROR_ZERO_POINT, "a zero point of 16 for 4 bits");
    params.zero_point = NULL;
    params.block = bad_block;
    expect(pqk_weights_pack(&b, &params, &untouched), PQK_ERROR_BLOCK, "a block of 0");
    for (int type = PQK_F32; type <= PQK_E2M1FNX2; ++type) {
        x = b, x.type = (pqk_type)type;
        const bool known = (type >= PQK_E4M3FN && type <= PQK_E8M0FNU) || type == PQK_S8 || type == PQK_U8 ||
                           (type >= PQK_S4 && type <= PQK_U2);
        if (!known) expect(pqk_weights_pack(&x, NULL, &untouched), PQK_ERROR_TYPE, "weights of a wide or packed type");
    }
    x = b, x.ndim = 1;
    expect(pqk_weights_pack(&x, NULL, &untouched), PQK_ERROR_SHAPE, "weights of one axis");
    x = b, x.shape = far_k, x.strides = none;
    expect(pqk_weights_pack(&x, NULL, &untouched), PQK_ERROR_SHAPE, "weights whose size overflows");
    if (untouched) fail("a handle after an error", 0, 0, 0);
    if (pqk_weights_pack(&b, NULL, &w)) fail("weights", 0, 0, 0);
    if (!w) return;
    x = a, x.type = PQK_S8;
    expect(pqk_float_matmul(&x, w, NULL, &c, NULL), PQK_ERROR_TYPE, "integers on the left");
    x = c, x.type = PQK_S32;
    expect(pqk_float_matmul(&a, w, NULL, &x, NULL), PQK_ERROR_TYPE, "an int32 result");
    x = c, x.shape = other;
    expect(pqk_float_matmul(&a, w, NULL, &x, NULL), PQK_ERROR_SHAPE, "another N");
    x = c, x.shape = flat, x.ndim = 1;
    expect(pqk_float_matmul(&a, w, NULL, &x, NULL), PQK_ERROR_SHAPE, "a result of one axis");
    x = a, x.data = c_memory;
    expect(pqk_float_matmul(&x, w, NULL, &c, NULL), PQK_ERROR_OVERLAP, "a result in the place of a");
    expect(pqk_float_matmul(&a, w, &(pqk_epilogue){.group_size = 4}, &c, NULL), PQK_ERROR_OPTION, "groups");
    expect(pqk_float_matmul(&a, w, NULL, &c, &(pqk_range){0, 4, 0, 5}), PQK_ERROR_PART, "rows beyond the result");
    expect(pqk_float_matmul(&a, w, NULL, &c, &(pqk_range){1, 1, 0, 5}), PQK_OK, "no rows");
    pqk_weights_free(w);
    pqk_weights_free(NULL);
}

/* ---- each allocation fails in turn */

static void test_memory(void)
{
#if defined(PQK_TESTING)
    static const int64_t kn[] = {MOST_K, MOST_N}, mk[] = {MOST_M, MOST_K}, mn[] = {MOST_M, MOST_N};
    const pqk_array b = {b_memory.low, PQK_S8, 2, kn, NULL}, a = {a_memory.low, PQK_F32, 2, mk, NULL};
    const pqk_array c = {c_memory, PQK_F32, 2, mn, NULL};
    unsigned refused = 0;
    for (unsigned n = 1; n < 100; ++n) {
        pqk_weights *w = NULL;
        memset(c_memory, CANARY, sizeof c_memory);
        pqk_test_fail_allocation(n);
        pqk_status status = pqk_weights_pack(&b, NULL, &w);
        if (!status) status = pqk_float_matmul(&a, w, NULL, &c, NULL);
        void *memory = pqk_aligned_alloc(1); /* fails if it is its turn, and uses the failure up */
        pqk_aligned_free(memory);
        pqk_test_fail_allocation(0);
        pqk_weights_free(w);
        if (status == PQK_OK && memory && n > 20) break;
        if (status == PQK_OK) continue;
        ++refused;
        expect(status, PQK_ERROR_MEMORY, "memory is short");
    }
    if (refused < 2) fail("allocations that failed", 0, refused, 2);
#endif
}

int main(int argc, char **argv)
{
    const unsigned cases = argc > 1 && !strcmp(argv[1], "--quick") ? 400 : 4000;
    a_memory = guard_make(MOST_M * MOST_K * 4);
    b_memory = guard_make(MOST_K * MOST_N);
    make_tables();
    for (int i = 0; i < MOST_M; ++i) a_scale[i] = 0.5f + (float)(i % 7) * 0.3f;
    for (int j = 0; j < MOST_N; ++j) b_scale[j] = 0.1f + (float)(j % 5) * 0.7f, bias[j] = (float)j * 0.3f - 4.0f;
    unsigned run = 0;
    for (int layer = 0; pqk_layer_name(layer); ++layer) {
        if (!pqk_layer_supported(layer) || pqk_use_layer(layer)) continue;
        for (unsigned i = 0; i < cases / (layer ? 1 : 4); ++i, ++run) {
            pqk_set_num_threads(i % 5 ? 1 : 3);
            run_case(i);
        }
        test_errors();
        test_memory();
    }
    printf("float product: %u cases, %d failures\n", run, failures);
    return failures != 0;
}
