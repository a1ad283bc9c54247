/* entry_gemm_errors.c -- each wrong argument of the matrix product: its status, and outputs that nobody touched; and
 * allocations that fail. */
#include <stdio.h>
#include <string.h>
#include "core/memory.h"
#include "entry.h"
#include "gemm.h"

enum { M = 3, K = 7, N = 5, ROOM = 4096 };

static unsigned char left[ROOM], right_side[ROOM], output[ROOM];
static int64_t a_shape[PQK_MAX_NDIM + 1], b_shape[PQK_MAX_NDIM + 1], c_shape[PQK_MAX_NDIM + 1];
static int64_t strides[PQK_MAX_NDIM + 1];
static float floats[64];
static int32_t integers[64], multipliers[64], shifts[64];

/* A call that is right in every respect; each test makes one thing wrong. */
struct wrong_product {
    pqk_array a, b, c;
    bool no_b;
    const pqk_packed *packed;
    pqk_epilogue e;
    pqk_range range;
};

static struct wrong_product right(void)
{
    memset(output, 0xa5, sizeof output);
    for (int d = 0; d <= PQK_MAX_NDIM; ++d) a_shape[d] = b_shape[d] = c_shape[d] = strides[d] = 1;
    a_shape[0] = c_shape[0] = M;
    a_shape[1] = b_shape[0] = K;
    b_shape[1] = c_shape[1] = N;
    for (int i = 0; i < 64; ++i) floats[i] = 1, integers[i] = 0, multipliers[i] = 1 << 30, shifts[i] = -3;
    return (struct wrong_product){
        .a = {left, PQK_S8, 2, a_shape, NULL},
        .b = {right_side, PQK_S8, 2, b_shape, NULL},
        .c = {output, PQK_S32, 2, c_shape, NULL},
        .range = {0, M, 0, N},
    };
}
/* The same with scales, to float32; and to int8 by either kind of multiplier. */
static struct wrong_product right_float(void)
{
    struct wrong_product p = right();
    p.c.type = PQK_F32;
    p.e.a_scale = p.e.b_scale = p.e.bias = (pqk_floats){floats, 1};
    return p;
}
static struct wrong_product right_int8(void)
{
    struct wrong_product p = right_float();
    p.c.type = PQK_S8;
    p.e.out_scale = 1;
    return p;
}
static struct wrong_product right_fixed(void)
{
    struct wrong_product p = right();
    p.c.type = PQK_U8;
    p.e.m0 = (pqk_integers){multipliers, 1};
    p.e.shift = (pqk_integers){shifts, 1};
    return p;
}

static bool untouched(void)
{
    for (size_t i = 0; i < sizeof output; ++i)
        if (output[i] != 0xa5) return false;
    return true;
}

static void check(struct harness *h, const char *what, bool ok)
{
    ++h->cases;
    if (!ok && report(h)) printf("FAILED entries on %s: matmul: %s\n", h->layer, what);
}

static pqk_status run(const struct wrong_product *p)
{
    return pqk_matmul(&p->a, p->no_b ? NULL : &p->b, p->packed, &p->e, &p->c, &p->range);
}
static void expect(struct harness *h, const char *what, const struct wrong_product *p, pqk_status status)
{
    const pqk_status got = run(p);
    if (got != status)
        printf("status %d (%s), expected %d (%s):\n", got, pqk_status_message(got), status, pqk_status_message(status));
    check(h, what, got == status && (status == PQK_OK || untouched()));
}

static void right_calls(struct harness *h)
{
    struct wrong_product p = right();
    expect(h, "nothing wrong", &p, PQK_OK);
    p = right_float();
    expect(h, "nothing wrong, float", &p, PQK_OK);
    p = right_int8();
    expect(h, "nothing wrong, int8", &p, PQK_OK);
    p = right_fixed();
    expect(h, "nothing wrong, fixed point", &p, PQK_OK);
    check(h, "no epilogue",
          pqk_matmul(&p.a, &p.b, NULL, NULL, &(pqk_array){output, PQK_S32, 2, c_shape, NULL}, NULL) == PQK_OK);
}

static void wrong_types(struct harness *h)
{
    static const int operands_no[] = {0, PQK_F32, PQK_S16, PQK_S32, PQK_S4, PQK_U4X2, PQK_E4M3FN, -1, 1000};
    static const int outputs_no[] = {0, PQK_U16, PQK_S4, PQK_U2X4, PQK_E5M2, -1, 1000};
    for (size_t i = 0; i < sizeof operands_no / sizeof *operands_no; ++i) {
        struct wrong_product p = right();
        p.a.type = (pqk_type)operands_no[i];
        expect(h, "a of a type that it does not take", &p, PQK_ERROR_TYPE);
        p = right();
        p.b.type = (pqk_type)operands_no[i];
        expect(h, "b of a type that it does not take", &p, PQK_ERROR_TYPE);
        pqk_packed *packed = NULL;
        check(h, "pack: b of a type that it does not take", pqk_pack(&p.b, 0, &packed) == PQK_ERROR_TYPE && !packed);
    }
    for (size_t i = 0; i < sizeof outputs_no / sizeof *outputs_no; ++i) {
        struct wrong_product p = right();
        p.c.type = (pqk_type)outputs_no[i];
        expect(h, "c of a type that it does not make", &p, PQK_ERROR_TYPE);
    }
}

static void wrong_shapes(struct harness *h)
{
    struct wrong_product p = right();
    int64_t *const shapes[] = {a_shape, b_shape, c_shape};
    static const int64_t sizes[] = {1, 4, 8, 0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 62};
    for (int operand = 0; operand < 3; ++operand)
        for (int axis = 0; axis < 2; ++axis)
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
                p = right();
                shapes[operand][axis] = sizes[i];
                expect(h, "sizes that differ", &p, PQK_ERROR_SHAPE);
            }
    pqk_array *const arrays[] = {&p.a, &p.b, &p.c};
    static const int ndims[] = {-1, 0, 1, 3, PQK_MAX_NDIM + 1, INT32_MAX};
    for (int operand = 0; operand < 3; ++operand)
        for (size_t i = 0; i < sizeof ndims / sizeof *ndims; ++i) {
            p = right();
            arrays[operand]->ndim = ndims[i];
            expect(h, "dimensions that differ", &p, PQK_ERROR_SHAPE);
        }
    static const int too_many[] = {0, 1, PQK_MAX_NDIM + 1};
    for (size_t i = 0; i < sizeof too_many / sizeof *too_many; ++i) {
        p = right();
        p.a.ndim = p.b.ndim = p.c.ndim = too_many[i];
        expect(h, "dimensions that are no matrix", &p, PQK_ERROR_SHAPE);
    }
    /* the right shape but for the batch */
    p = right();
    p.a.ndim = p.b.ndim = p.c.ndim = 3;
    a_shape[0] = 1, a_shape[1] = M, a_shape[2] = K;
    b_shape[0] = 2, b_shape[1] = K, b_shape[2] = N;
    c_shape[0] = 2, c_shape[1] = M, c_shape[2] = N;
    expect(h, "batches that differ", &p, PQK_ERROR_SHAPE);
    a_shape[0] = 2;
    expect(h, "a batch", &p, PQK_OK);

    static const int64_t far[] = {INT64_MAX, INT64_MIN, INT64_MAX / 2, INT64_MIN / 2};
    for (size_t i = 0; i < sizeof far / sizeof *far; ++i)
        for (int operand = 0; operand < 3; ++operand) {
            p = right();
            strides[0] = far[i];
            arrays[operand]->strides = strides;
            expect(h, "strides that overflow", &p, PQK_ERROR_SHAPE);
        }
    p = right();
    a_shape[0] = c_shape[0] = (int64_t)1 << 40;
    a_shape[1] = b_shape[0] = (int64_t)1 << 40;
    expect(h, "sizes that overflow", &p, PQK_ERROR_SHAPE);
}

static void wrong_epilogues(struct harness *h)
{
    const float nan = float_of(0x7fc00000), infinity = float_of(0x7f800000);
    static const int32_t beyond[][2] = {
        {PQK_S8, 128      },
        {PQK_S8, -129     },
        {PQK_U8, 256      },
        {PQK_U8, -1       },
        {PQK_S8, INT32_MAX},
        {PQK_U8, INT32_MIN}
    };
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; ++i)
        for (int step = 0; step < 2; ++step) {
            struct wrong_product p = right();
            p.a.type = (pqk_type)beyond[i][0];
            p.e.a_zero_point = (pqk_integers){integers, step};
            integers[step * (M - 1)] = beyond[i][1];
            expect(h, "a zero point that a's type does not have", &p, PQK_ERROR_ZERO_POINT);
            p = right();
            p.b.type = (pqk_type)beyond[i][0];
            p.e.b_zero_point = (pqk_integers){integers, step};
            integers[step * (N - 1)] = beyond[i][1];
            expect(h, "a zero point that b's type does not have", &p, PQK_ERROR_ZERO_POINT);
            p = right_int8();
            p.c.type = (pqk_type)beyond[i][0];
            p.e.out_zero_point = beyond[i][1];
            expect(h, "a zero point that c's type does not have", &p, PQK_ERROR_ZERO_POINT);
        }

    struct wrong_product p = right();
    p.e.bias = (pqk_floats){floats, 1};
    expect(h, "int32 with a bias", &p, PQK_ERROR_OPTION);
    p = right();
    p.e.a_scale = (pqk_floats){floats, 0};
    expect(h, "int32 with a scale", &p, PQK_ERROR_OPTION);
    p = right();
    p.e.activation = PQK_CLAMP;
    expect(h, "int32 with an activation", &p, PQK_ERROR_OPTION);
    static const int activations[] = {-1, PQK_SILU + 1, 1000};
    for (int i = 0; i < 3; ++i) {
        p = right_float();
        p.e.activation = (pqk_activation)activations[i];
        expect(h, "an activation that is none", &p, PQK_ERROR_OPTION);
    }
    const float limits[][2] = {
        {1,        0        },
        {nan,      1        },
        {0,        nan      },
        {infinity, -infinity}
    };
    for (int i = 0; i < 4; ++i) {
        p = right_float();
        p.e.activation = PQK_CLAMP;
        p.e.low = limits[i][0];
        p.e.high = limits[i][1];
        expect(h, "a clamp that is none", &p, PQK_ERROR_OPTION);
    }
    const float scales[] = {0, -1, nan, infinity};
    for (int i = 0; i < 4; ++i) {
        p = right_int8();
        p.e.out_scale = scales[i];
        expect(h, "an output scale that is none", &p, PQK_ERROR_OPTION);
    }
    p = right_float();
    p.e.group_size = -1;
    expect(h, "groups of -1", &p, PQK_ERROR_BLOCK);
    p = right_float();
    p.e.group_size = 2;
    p.e.b_scale.step = 0;
    expect(h, "groups with one scale", &p, PQK_ERROR_OPTION);
    p.e.b_scale.data = NULL;
    expect(h, "groups without scales", &p, PQK_ERROR_OPTION);

    static const int32_t bad[] = {1, -1, (1 << 30) - 1, INT32_MIN};
    for (int i = 0; i < 4; ++i) {
        p = right_fixed();
        multipliers[N - 1] = bad[i];
        expect(h, "a multiplier below 2^30", &p, PQK_ERROR_MULTIPLIER);
    }
    static const int32_t no_shift[] = {-32, 31, INT32_MIN, INT32_MAX};
    for (int i = 0; i < 4; ++i) {
        p = right_fixed();
        shifts[N - 1] = no_shift[i];
        expect(h, "a shift that is none", &p, PQK_ERROR_MULTIPLIER);
    }
    p = right_fixed();
    p.e.shift.data = NULL;
    expect(h, "a multiplier without a shift", &p, PQK_ERROR_MULTIPLIER);
    p = right_fixed();
    p.e.rounding = (pqk_fixed_rounding)3;
    expect(h, "a rounding that is none", &p, PQK_ERROR_OPTION);
    p = right_fixed();
    p.e.bias = (pqk_floats){floats, 1};
    expect(h, "a fixed-point multiplier with a bias", &p, PQK_ERROR_OPTION);
    p = right_fixed();
    p.c.type = PQK_F32;
    expect(h, "a fixed-point multiplier to float", &p, PQK_ERROR_OPTION);
}

static void wrong_calls(struct harness *h)
{
    static const pqk_range ranges[] = {
        {-1,        M,         0,  N    },
        {0,         M,         -1, N    },
        {0,         M + 1,     0,  N    },
        {0,         M,         0,  N + 1},
        {2,         1,         0,  N    },
        {0,         M,         3,  2    },
        {INT64_MIN, INT64_MAX, 0,  N    }
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; ++i) {
        struct wrong_product p = right();
        p.range = ranges[i];
        expect(h, "a range beyond c", &p, PQK_ERROR_PART);
    }
    struct wrong_product p = right();
    pqk_packed *packed = NULL;
    check(h, "pack", pqk_pack(&p.b, 0, &packed) == PQK_OK && packed);
    p.packed = packed;
    expect(h, "both b and a packed one", &p, PQK_ERROR_OPTION);
    p.no_b = true;
    expect(h, "a packed one", &p, PQK_OK);
    p = right();
    p.no_b = true;
    expect(h, "neither b nor a packed one", &p, PQK_ERROR_OPTION);
    p = right();
    p.no_b = true;
    p.packed = packed;
    a_shape[1] = K + 1;
    expect(h, "a packed one of another k", &p, PQK_ERROR_SHAPE);
    p = right();
    p.no_b = true;
    p.packed = packed;
    c_shape[1] = N + 1;
    expect(h, "a packed one of another n", &p, PQK_ERROR_SHAPE);

    p = right();
    pqk_array to = {output, PQK_U8, 2, b_shape, NULL};
    check(h, "unpack to another type", pqk_unpack(packed, &to) == PQK_ERROR_TYPE && untouched());
    to.type = PQK_S8;
    to.shape = c_shape;
    check(h, "unpack to another shape", pqk_unpack(packed, &to) == PQK_ERROR_SHAPE && untouched());
    to.shape = b_shape;
    to.ndim = 3;
    check(h, "unpack to three dimensions", pqk_unpack(packed, &to) == PQK_ERROR_SHAPE && untouched());
    pqk_packed *none = NULL;
    p.b.ndim = 3;
    check(h, "pack three dimensions", pqk_pack(&p.b, 0, &none) == PQK_ERROR_SHAPE && !none);
    p.b.ndim = 2;
    check(h, "pack groups of -1", pqk_pack(&p.b, -1, &none) == PQK_ERROR_BLOCK && !none);
    b_shape[0] = b_shape[1] = (int64_t)1 << 40;
    check(h, "pack 2^80 elements", pqk_pack(&p.b, 0, &none) == PQK_ERROR_SHAPE && !none);

    const int layer = pqk_active_layer();
    const pqk_gemm_kernels *now = pqk_active_kernels()->gemm_s8;
    for (int l = 0; l < pqk_layer_count; ++l) {
        if (pqk_use_layer(l) || pqk_active_kernels()->gemm_s8 == now) continue;
        p = right();
        p.no_b = true;
        p.packed = packed;
        expect(h, "packed for another layer", &p, PQK_ERROR_LAYER);
    }
    (void)pqk_use_layer(layer);
    pqk_packed_free(packed);
    pqk_packed_free(NULL);

    p = right();
    p.c.data = left + M * K - 1;
    expect(h, "c over the last byte of a", &p, PQK_ERROR_OVERLAP);
    p.c.data = right_side;
    expect(h, "c over b", &p, PQK_ERROR_OVERLAP);
    p = right();
    strides[0] = 4 * N;
    strides[1] = 0;
    p.c.strides = strides;
    expect(h, "elements of c in one place", &p, PQK_ERROR_OVERLAP);
}

#if defined(PQK_TESTING)
/* The n-th allocation fails, for every n until none does: PQK_ERROR_MEMORY with c as it was, or a right result. */
static void failing_memory(struct harness *h)
{
    enum { ROWS = 70, DEPTH = 300, COLUMNS = 200 };
    static signed char x[ROWS * DEPTH], y[DEPTH * COLUMNS];
    static int32_t want[ROWS * COLUMNS], got[ROWS * COLUMNS], noise[ROWS * COLUMNS];
    static const int64_t x_shape[] = {ROWS, DEPTH}, y_shape[] = {DEPTH, COLUMNS}, z_shape[] = {ROWS, COLUMNS};
    struct rng rng = rng_make(h->options.seed, "memory", 0);
    gemm_fill(&rng, (uint8_t *)x, sizeof x);
    gemm_fill(&rng, (uint8_t *)y, sizeof y);
    memset(noise, 0xa5, sizeof noise);
    const pqk_array a = {x, PQK_S8, 2, x_shape, NULL}, b = {y, PQK_S8, 2, y_shape, NULL};
    const pqk_array c = {got, PQK_S32, 2, z_shape, NULL};
    const pqk_array good = {want, PQK_S32, 2, z_shape, NULL};
    check(h, "the product without failing", pqk_matmul(&a, &b, NULL, NULL, &good, NULL) == PQK_OK);
    for (int packs = 0; packs < 2; ++packs)
        for (uint32_t n = 1; n <= 50; ++n) {
            memcpy(got, noise, sizeof got);
            pqk_packed *packed = NULL;
            pqk_test_fail_allocation(n);
            pqk_status status = packs ? pqk_pack(&b, 0, &packed) : PQK_OK;
            check(h, "pack without memory", (status == PQK_OK) == (!packs || packed));
            if (!status) status = pqk_matmul(&a, packs ? NULL : &b, packed, NULL, &c, NULL);
            pqk_test_fail_allocation(0);
            pqk_packed_free(packed);
            check(h, "matmul without memory", status == PQK_OK || status == PQK_ERROR_MEMORY);
            check(h, "c after a product without memory", !memcmp(got, status ? noise : want, sizeof got));
        }
}
#else
static void failing_memory(struct harness *h) { (void)h; }
#endif

void test_entry_gemm_errors(struct harness *h)
{
    right_calls(h);
    wrong_types(h);
    wrong_shapes(h);
    wrong_epilogues(h);
    wrong_calls(h);
    failing_memory(h);
}
