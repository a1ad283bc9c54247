/* entry_errors.c -- each wrong argument: its status, and outputs that nobody touched. */
#include <stdio.h>
#include <string.h>
#include "entry.h"

static float input[64];
static unsigned char output[512], flags[64];
static float scale[64];
static int32_t zero_point[64];
static int64_t shape[PQK_MAX_NDIM + 1], other_shape[PQK_MAX_NDIM + 1], strides[PQK_MAX_NDIM + 1],
    block[PQK_MAX_NDIM + 1];

/* A call that is right in every respect; each test makes one thing wrong. */
struct wrong_call {
    pqk_array x, q;
    pqk_params params;
    pqk_convention convention;
    pqk_exec exec;
    int32_t quant_min, quant_max;
};

static struct wrong_call right(void)
{
    memset(output, 0xa5, sizeof output);
    memset(flags, 0xa5, sizeof flags);
    for (int d = 0; d <= PQK_MAX_NDIM; ++d) shape[d] = other_shape[d] = strides[d] = block[d] = 1;
    for (int i = 0; i < 64; ++i) scale[i] = 1, zero_point[i] = 0;
    shape[0] = other_shape[0] = 2;
    shape[1] = other_shape[1] = block[1] = 6;
    return (struct wrong_call){
        {input, PQK_F32, 2, shape, NULL},
        {output, PQK_S8, 2, other_shape, NULL},
        {scale, zero_point, NULL, block},
        PQK_ONNX,
        {0, 1},
        -128,
        127
    };
}

static bool untouched(void)
{
    for (size_t i = 0; i < sizeof output; ++i)
        if (output[i] != 0xa5) return false;
    for (size_t i = 0; i < sizeof flags; ++i)
        if (flags[i] != 0xa5) return false;
    return true;
}

static void check(struct harness *h, const char *what, bool ok)
{
    ++h->cases;
    if (!ok && report(h)) printf("FAILED entries: %s\n", what);
}

static void expect_quantize(struct harness *h, const char *what, const struct wrong_call *c, pqk_status status)
{
    const pqk_status got = pqk_quantize(&c->x, &c->params, c->convention, &c->q, &c->exec);
    if (got != status)
        printf("status %d (%s), expected %d (%s):\n", got, pqk_status_message(got), status, pqk_status_message(status));
    check(h, what, got == status && untouched());
}
static void expect_dequantize(struct harness *h, const char *what, const struct wrong_call *c, pqk_status status)
{
    const pqk_status got = pqk_dequantize(&c->x, &c->params, &c->q, &c->exec);
    if (got != status)
        printf("status %d (%s), expected %d (%s):\n", got, pqk_status_message(got), status, pqk_status_message(status));
    check(h, what, got == status && untouched());
}
static void expect_fake(struct harness *h, const char *what, const struct wrong_call *c, const pqk_array *mask,
                        pqk_status status)
{
    const pqk_status got =
        pqk_fake_quantize(&c->x, &c->params, c->convention, c->quant_min, c->quant_max, &c->q, mask, &c->exec);
    if (got != status)
        printf("status %d (%s), expected %d (%s):\n", got, pqk_status_message(got), status, pqk_status_message(status));
    check(h, what, got == status && untouched());
}

static void wrong_types(struct harness *h)
{
    static const int floats_no[] = {0, PQK_S8, PQK_S32, PQK_U2X4, PQK_U2X4 + 1, -1, 1000};
    static const int integers_no[] = {0, PQK_F32, PQK_BF16, PQK_S32, PQK_E8M0FNU, PQK_E2M1FNX2 + 1, -1};
    for (int i = 0; i < 7; ++i) {
        struct wrong_call c = right();
        c.x.type = (pqk_type)floats_no[i];
        expect_quantize(h, "quantize: x of a type that is no float", &c, PQK_ERROR_TYPE);
        c = right();
        c.q.type = (pqk_type)floats_no[i];
        c.x.type = PQK_S8;
        expect_dequantize(h, "dequantize: y of a type that is no float", &c, PQK_ERROR_TYPE);
        c = right();
        c.x.type = c.q.type = (pqk_type)floats_no[i];
        expect_fake(h, "fake_quantize: types that are no float", &c, NULL, PQK_ERROR_TYPE);
        const pqk_array x = {input, (pqk_type)floats_no[i], 2, shape, NULL};
        check(h, "observe: x of a type that is no float",
              pqk_observe(&x, NULL, &(pqk_statistics){(float *)(void *)output, NULL, NULL, NULL}) == PQK_ERROR_TYPE &&
                  untouched());
    }
    for (int i = 0; i < 7; ++i) {
        struct wrong_call c = right();
        c.q.type = (pqk_type)integers_no[i];
        expect_quantize(h, "quantize: q of a type that it does not take", &c, PQK_ERROR_TYPE);
    }
    struct wrong_call c = right();
    c.q.type = PQK_E4M3FN;
    expect_quantize(h, "quantize: a float type with a zero point", &c, PQK_ERROR_ZERO_POINT);
    c = right();
    c.x.type = PQK_F32;
    c.q.type = PQK_F32;
    expect_dequantize(h, "dequantize: q of a float type", &c, PQK_ERROR_TYPE);
    c.q.type = PQK_F16;
    expect_fake(h, "fake_quantize: x and y of two types", &c, NULL, PQK_ERROR_TYPE);
    c = right();
    c.q.type = PQK_F32;
    const pqk_array mask = {flags, PQK_S8, 2, shape, NULL};
    expect_fake(h, "fake_quantize: a mask that is not U8", &c, &mask, PQK_ERROR_TYPE);
}

static void wrong_shapes(struct harness *h)
{
    struct wrong_call c = right();
    other_shape[0] = 3;
    expect_quantize(h, "shapes that differ", &c, PQK_ERROR_SHAPE);
    c = right();
    c.q.ndim = 1;
    expect_quantize(h, "numbers of axes that differ", &c, PQK_ERROR_SHAPE);
    c = right();
    c.x.ndim = c.q.ndim = -1;
    expect_quantize(h, "a negative number of axes", &c, PQK_ERROR_SHAPE);
    c = right();
    c.x.ndim = c.q.ndim = PQK_MAX_NDIM + 1;
    expect_quantize(h, "65 axes", &c, PQK_ERROR_SHAPE);
    c = right();
    shape[1] = other_shape[1] = -6;
    expect_quantize(h, "a negative size", &c, PQK_ERROR_SHAPE);
    /* Sizes whose product, or whose bytes, no 64-bit number holds.  The input repeats one element: no memory. */
    static const int64_t huge[][3] = {
        {INT64_MAX, 1,             1        },
        {INT64_MAX, INT64_MAX,     INT64_MAX},
        {1LL << 62, 1,             1        },
        {1LL << 32, 1LL << 31,     1        },
        {1LL << 21, 1LL << 21,     1LL << 21},
        {1LL << 58, 2,             2        },
        {1,         INT64_MAX / 2, 3        },
        {1LL << 31, 1LL << 31,     2        },
        {3,         1LL << 61,     1        }
    };
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; ++i) {
        c = right();
        memcpy(shape, huge[i], sizeof huge[i]);
        memcpy(other_shape, huge[i], sizeof huge[i]);
        strides[0] = strides[1] = strides[2] = 0;
        c.x.ndim = c.q.ndim = 3;
        c.x.strides = strides;
        c.params.block = NULL;
        expect_quantize(h, "a size that overflows", &c, PQK_ERROR_SHAPE);
        const pqk_array x = {input, PQK_F32, 3, shape, strides};
        check(h, "observe: a size that overflows",
              pqk_observe(&x, NULL, &(pqk_statistics){(float *)(void *)output, NULL, NULL, NULL}) == PQK_ERROR_SHAPE &&
                  untouched());
    }
    c = right();
    strides[0] = INT64_MAX / 2;
    c.x.strides = strides;
    expect_quantize(h, "a stride whose bits overflow", &c, PQK_ERROR_SHAPE);
    strides[0] = INT64_MIN;
    expect_quantize(h, "the lowest stride", &c, PQK_ERROR_SHAPE);
}

static void wrong_parameters(struct harness *h)
{
    struct wrong_call c = right();
    block[0] = 0;
    expect_quantize(h, "a block of 0", &c, PQK_ERROR_BLOCK);
    block[0] = -1;
    expect_quantize(h, "a block of -1", &c, PQK_ERROR_BLOCK);
    check(h, "observe: a block of -1",
          pqk_observe(&c.x, block, &(pqk_statistics){(float *)(void *)output, NULL, NULL, NULL}) == PQK_ERROR_BLOCK &&
              untouched());
    c = right();
    c.q.type = PQK_S4X2;
    block[1] = 3;
    expect_quantize(h, "a block that cuts a byte in two", &c, PQK_ERROR_BLOCK);
    c.q.type = PQK_U2X4;
    block[1] = 2;
    expect_quantize(h, "a block that cuts a byte of four", &c, PQK_ERROR_BLOCK);
    for (int i = 0; i < 2; ++i) {
        c = right();
        zero_point[i] = 128;
        expect_quantize(h, "a zero point above the range", &c, PQK_ERROR_ZERO_POINT);
        zero_point[i] = INT32_MIN;
        expect_quantize(h, "a zero point below the range", &c, PQK_ERROR_ZERO_POINT);
        c.q.type = PQK_F32;
        expect_fake(h, "fake_quantize: a zero point outside the range", &c, NULL, PQK_ERROR_ZERO_POINT);
    }
    static const int32_t ranges[][2] = {
        {1,         0        },
        {0,         65536    },
        {INT32_MIN, INT32_MAX},
        {-32769,    32767    },
        {127,       -128     }
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; ++i) {
        c = right();
        c.q.type = PQK_F32;
        c.quant_min = ranges[i][0];
        c.quant_max = ranges[i][1];
        expect_fake(h, "fake_quantize: a range that is none", &c, NULL, PQK_ERROR_RANGE);
    }
    static const int conventions[] = {-1, PQK_BITSANDBYTES + 1, 1000};
    for (size_t i = 0; i < sizeof conventions / sizeof conventions[0]; ++i) {
        c = right();
        c.convention = (pqk_convention)conventions[i];
        expect_quantize(h, "no such convention", &c, PQK_ERROR_CONVENTION);
        c.q.type = PQK_F32;
        expect_fake(h, "fake_quantize: no such convention", &c, NULL, PQK_ERROR_CONVENTION);
    }
    static const pqk_exec parts[] = {
        {-1,        2},
        {2,         2},
        {INT32_MAX, 3},
        {INT32_MIN, 1}
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; ++i) {
        c = right();
        c.exec = parts[i];
        expect_quantize(h, "a piece that is not one of the pieces", &c, PQK_ERROR_PART);
        c.q.type = PQK_F32;
        expect_fake(h, "fake_quantize: a piece that is not one of the pieces", &c, NULL, PQK_ERROR_PART);
    }
}

void test_entry_errors(struct harness *h)
{
    wrong_types(h);
    wrong_shapes(h);
    wrong_parameters(h);
    for (int s = PQK_OK; s <= PQK_ERROR_PART; ++s)
        check(h, "every status has a message",
              strcmp(pqk_status_message((pqk_status)s), pqk_status_message((pqk_status)10000)));
    check(h, "a layer that is none", pqk_use_layer(-1) == PQK_ERROR_LAYER && pqk_use_layer(1000) == PQK_ERROR_LAYER);
    check(h, "names past the end",
          !pqk_layer_name(-1) && !pqk_layer_name(pqk_layer_count) && !pqk_operation_name(-1) &&
              !pqk_operation_name(100000) && !pqk_operation_layer(100000));
}
