/* dynamic.c -- kernels of dynamic/dynamic.h: every mode and element type, rows of all magnitudes, few with a NaN or an
 * infinity, which have a way of their own.
 *
 * The cases are those of affine_kernel.c.  It compares elements; scales are compared here, and a difference shows as a
 * wrong element. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "convert/convert.h"
#include "harness.h"
#include "oracle_dynamic.h"

static struct {
    pqk_dynamic_fn *kernel, *reference;
    struct pqk_dynamic_rows how;
    struct pqk_convert convert;
    pqk_convert_fn *cast;
    pqk_quantize_fn *quantize;
    struct pqk_affine affine;
    pqk_type from;
    int split; /* 0: each row of a case is a block; else all are layers, and this many blocks lie side by side */
    float expected[MOST_ROWS], found[MOST_ROWS];
} now;

static void divide(const struct pqk_tile *tile, const float *divisor, const void *context)
{
    (void)context;
    now.convert.scale = now.affine.scale = divisor;
    if (now.cast)
        now.cast(tile, &now.convert);
    else
        now.quantize(tile, &now.affine);
}

static void choose_types(struct affine_case *c, const struct word *const words[2])
{
    static const pqk_type to[] = {PQK_S8,       PQK_E4M3FN,      PQK_E4M3FN,   PQK_E5M2,     PQK_E4M3FNUZ,
                                  PQK_E5M2FNUZ, PQK_E4M3B11FNUZ, PQK_E4M3,     PQK_E3M4,     PQK_E2M3FN,
                                  PQK_E3M2FN,   PQK_E2M1FN,      PQK_E2M3FNX4, PQK_E3M2FNX4, PQK_E2M1FNX2};
    struct rng *rng = &c->rng;
    const struct pqk_kernels *k = pqk_active_kernels();
    pqk_quantize_fn *const quantize[3] = {k->quantize_f32_s8, k->quantize_f16_s8, k->quantize_bf16_s8};
    const pqk_type from = c->type[0] = type_of_word(rng, words[0]);
    const pqk_type type = c->type[1] = to[rng_below(rng, sizeof to / sizeof to[0])];
    const bool four = type == PQK_E2M1FN || type == PQK_E2M1FNX2;
    const pqk_scale_mode mode = (pqk_scale_mode)rng_below(rng, four ? PQK_SCALE_NVFP4 + 1 : PQK_SCALE_NVFP4);

    c->affine.quant_min = -128;
    c->affine.quant_max = 127;
    if (pqk_scale_rule_make(&now.how.rule, mode, type, rng_float(rng, rng_between(rng, -20, 20)))) exit(2);
    now.convert = (struct pqk_convert){.rounding = PQK_NEAREST_EVEN, .saturate = true};
    now.convert.format = pqk_format_of(type, &now.convert.bits);
    now.cast = now.convert.format ? pqk_convert_kernel(from, type) : NULL;
    now.quantize = quantize[from - PQK_F32];
    now.affine = (struct pqk_affine){.quant_min = -128, .quant_max = 127};
    if (pqk_affine_convention(&now.affine, PQK_ONNX, false)) exit(2);
    now.how.format = now.convert.format;
    now.how.bits = pqk_type_bits(type);
    now.how.divide = divide;
    now.from = from;
    now.split = (int)rng_below(rng, 4);
}

/* Element i of a row whose numbers are below 2^exponent: a few are small multiples of a power of two, on ties. */
static float number(struct rng *rng, int exponent, bool odd)
{
    const uint32_t percent = rng_below(rng, 100);
    const float sign = rng_chance(rng, 50) ? 1.0f : -1.0f;
    if (odd && percent < 2) return percent ? sign * INFINITY : float_of(0x7fc00000 | (uint32_t)rng_next(rng));
    if (percent < 8) return sign * 0.0f;
    if (percent < 30) return sign * ldexpf((float)rng_below(rng, 256), exponent - 8);
    return sign * ldexpf((float)rng_unit(rng), exponent - (int)rng_below(rng, 12));
}

static void fill_input(struct affine_case *c)
{
    const size_t row_bytes = bytes_of_elements(c->type[0], c->shape.n);
    const bool odd = rng_chance(&c->rng, 20), far_off = rng_chance(&c->rng, 25);
    for (size_t r = 0; r < c->shape.rows; ++r) {
        char *row = c->input + r * row_bytes;
        const int exponent = far_off ? rng_between(&c->rng, -150, 127) : rng_between(&c->rng, -14, 15);
        for (size_t i = 0; i < c->shape.n; ++i) {
            const float x = number(&c->rng, exponent, odd && r % 3 == 0);
            const uint16_t half = c->type[0] == PQK_F16 ? pqk_f32_to_f16(x) : (uint16_t)(bits_of(x) >> 16);
            if (c->type[0] == PQK_F32)
                memcpy(row + 4 * i, &x, 4);
            else
                memcpy(row + 2 * i, &half, 2);
        }
    }
}

/* How many blocks lie side by side in rows of n elements: `split`, where that cuts none and begins at whole bytes. */
static size_t blocks_across(size_t n, int bits)
{
    const size_t split = (size_t)now.split;
    return n % split || n / split * (size_t)bits % 8 ? 1 : split;
}

/* The tile's parameters are those of other kernels: here row r has scale r. */
static void run(pqk_dynamic_fn *kernel, const struct pqk_tile *tile, float *scale)
{
    struct pqk_tile rows = *tile;
    rows.param = rows.param_col = 0;
    rows.param_row = 1;
    now.how.depth = 1;
    if (now.split && rows.rows) {
        const size_t across = blocks_across(rows.n, now.how.bits), n = rows.n / across;
        now.how.depth = rows.rows;
        for (int o = 0; o < 2; ++o) now.how.depth_stride[o] = rows.row_stride[o];
        rows.rows = across;
        rows.n = n;
        rows.row_stride[0] = (ptrdiff_t)bytes_of_elements(now.from, n);
        rows.row_stride[1] = (ptrdiff_t)(n * (size_t)now.how.bits / 8);
    }
    memset(scale, 0xa5, sizeof now.expected);
    now.how.scale = (char *)scale;
    kernel(&rows, &now.how);
}
static void run_reference(const struct pqk_tile *tile, const struct pqk_affine *affine)
{
    (void)affine;
    run(now.reference, tile, now.expected);
}
static void run_kernel(const struct pqk_tile *tile, const struct pqk_affine *affine)
{
    (void)affine;
    run(now.kernel, tile, now.found);
    if (tile->n && tile->rows && memcmp(now.found, now.expected, sizeof now.found)) tile->data[1][0] ^= 1;
}

static const struct affine_operation dynamic = {.operands = 2, .choose_types = choose_types, .fill_input = fill_input};

void test_pqk_dynamic_fn(struct harness *h, pqk_dynamic_fn *kernel, pqk_dynamic_fn *reference)
{
    const struct word *words[2];
    words_of_kernel(h->kernel, "dynamic", words, 1);
    now.kernel = kernel;
    now.reference = reference;
    check_affine_kernel(h, &dynamic, words, run_kernel, run_reference);
}

/* ---- the scalar kernel and the oracle */

enum { ORACLE_ROWS = 6, ORACLE_N = 257 };

/* Blocks and the codes made of them, gathered: `across` blocks of `depth` rows of n elements, neighbours in a row. */
static void compare_with_oracle(struct harness *h, const struct affine_case *c, const struct oracle_dynamic *how,
                                uint64_t batch, const char *output)
{
    static char block[ORACLE_ROWS * ORACLE_N * 4];
    static unsigned char expected[ORACLE_ROWS * ORACLE_N], found[ORACLE_ROWS * ORACLE_N];
    const size_t across = now.split ? blocks_across(c->shape.n, now.how.bits) : 1, n = c->shape.n / across;
    const size_t depth = now.split ? ORACLE_ROWS : 1, scale_bytes = pqk_scale_size(how->mode);
    const size_t row_in = bytes_of_elements(how->from, c->shape.n), row_out = bytes_of_elements(how->to, c->shape.n);
    const size_t in = bytes_of_elements(how->from, n), out = bytes_of_elements(how->to, n);
    if (depth > 1 && n * (size_t)now.how.bits % 8) return; /* rows that end inside a byte do not follow each other */

    for (size_t b = 0; b < across * ORACLE_ROWS / depth; ++b) {
        const size_t row = depth > 1 ? 0 : b, column = depth > 1 ? b : 0;
        unsigned char scale[4];
        for (size_t d = 0; d < depth; ++d) {
            memcpy(block + d * in, c->input + (row + d) * row_in + column * in, in);
            memcpy(found + d * out, output + (row + d) * row_out + column * out, out);
        }
        oracle_dynamic_row(how, block, depth * n, scale, expected);
        const bool same_scale = !memcmp(scale, (char *)now.found + b * scale_bytes, scale_bytes);
        if ((same_scale && !memcmp(expected, found, depth * out)) || !report(h)) continue;
        printf("FAILED oracle %s: batch %" PRIu64 ", types %d to %d, mode %d, block %zu of %zu x %zu elements: %s\n",
               h->kernel, batch, how->from, how->to, how->mode, b, depth, n, same_scale ? "elements" : "scale");
    }
}

void oracle_pqk_dynamic_fn(struct harness *h, pqk_dynamic_fn *kernel)
{
    static char input[ORACLE_ROWS * ORACLE_N * 4], output[ORACLE_ROWS * ORACLE_N];
    const uint64_t batches = h->options.stride > 1 ? 300 : 6000;
    const struct word *words[2];
    words_of_kernel(h->kernel, "dynamic", words, 1);
    for (uint64_t b = 0; b < batches; ++b) {
        struct affine_case c = {.rng = rng_make(h->options.seed, h->kernel, b), .input = input};
        c.shape = (struct shape){.rows = ORACLE_ROWS, .n = 1 + rng_below(&c.rng, ORACLE_N)};
        choose_types(&c, words);
        fill_input(&c);
        const struct oracle_dynamic how = {c.type[0], c.type[1], now.how.rule.mode, now.how.rule.global_scale};
        const size_t in = bytes_of_elements(c.type[0], c.shape.n), out = bytes_of_elements(c.type[1], c.shape.n);
        const struct pqk_tile tile = {
            .rows = ORACLE_ROWS,
            .n = c.shape.n,
            .data = {input,         output        },
            .row_stride = {(ptrdiff_t)in, (ptrdiff_t)out}
        };
        memset(output, 0x77, sizeof output);
        run(kernel, &tile, now.found);
        compare_with_oracle(h, &c, &how, b, output);
        ++h->cases;
        h->elements += ORACLE_ROWS * c.shape.n;
    }
}
