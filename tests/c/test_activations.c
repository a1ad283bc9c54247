/* test_activations.c -- gelu, gelu_tanh and silu of every layer: the scalar layer's bits, and how far those are from
 * the function, computed in double with libm's erfc and exp.
 *
 *     python tests/c/build.py -o build/test_activations tests/c/test_activations.c
 *     build/test_activations [step]        every step-th float32; 1 is all of them, some minutes
 *
 * It goes through the epilogue: y = fma(0, -1, bias) is the bias, also where that is -0.  The limits asserted are those
 * of csrc/activations/README.md.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/fpenv.h"
#include "epilogue_layers.h"
#include "formats/f16.h"
#include "gemm/gemm.h"

enum { N = PQK_GEMM_MAX_NR };

static uint64_t failures, tried;

/* What README.md says: units in the last place below and above 0, and the distance where |y| <= 1. */
static const struct {
    const char *name;
    pqk_activation activation;
    double below, above, near;
} curves[] = {
    {"gelu",      PQK_GELU,      6.0, 3.7, 9e-8},
    {"gelu_tanh", PQK_GELU_TANH, 2.5, 1.7, 9e-8},
    {"silu",      PQK_SILU,      2.5, 1.7, 9e-8},
};
enum { CURVES = sizeof curves / sizeof *curves };
static struct {
    double below, above, near;
    float below_at, above_at, near_at;
} worst[CURVES];

static double reference(double y, pqk_activation activation)
{
    const double c = 1.5957691216057307118; /* 2 sqrt(2 / pi) */
    switch (activation) {
    case PQK_GELU:
        return 0.5 * y * erfc(-y * 0.70710678118654752440);
    case PQK_GELU_TANH:
        return y / (1.0 + exp(-c * (y + 0.044715 * y * y * y)));
    default:
        return y / (1.0 + exp(-y));
    }
}

static void fail(const char *layer, int curve, float x, float got, double want)
{
    if (failures++ < 20)
        printf("FAILED: %s, %s(%a) is %a instead of %a\n", layer, curves[curve].name, (double)x, (double)got, want);
}

static void measure(int curve, float x, float y)
{
    if (x != x || isinf(x)) { /* NaN, inf and -0 exactly */
        const uint32_t want = x != x ? 0x7fc00000 : x > 0 ? 0x7f800000 : 0x80000000;
        if (pqk_f32_bits(y) != want) fail("scalar", curve, x, y, (double)pqk_f32_from_bits(want));
        return;
    }
    if (x == 0.0f ? pqk_f32_bits(y) != pqk_f32_bits(x) : y != 0.0f && signbit(x) != signbit(y))
        fail("scalar", curve, x, y, (double)x);
    const double want = reference((double)x, curves[curve].activation), error = fabs((double)y - want);
    int exponent;
    (void)frexp(want, &exponent);
    if (want == 0.0 || exponent < -125) exponent = -125;
    const double ulps = error / ldexp(1.0, exponent - 24);
    double *most = x < 0 ? &worst[curve].below : &worst[curve].above;
    if (!(ulps <= *most)) {
        *most = ulps;
        *(x < 0 ? &worst[curve].below_at : &worst[curve].above_at) = x;
    }
    if (fabsf(x) <= 1.0f && error > worst[curve].near) {
        worst[curve].near = error;
        worst[curve].near_at = x;
    }
    if (!(ulps <= (x < 0 ? curves[curve].below : curves[curve].above))) fail("scalar", curve, x, y, want);
    if (fabsf(x) <= 1.0f && !(error <= curves[curve].near)) fail("scalar", curve, x, y, want);
}

/* N numbers through all layers. */
static void try_block(int curve, const float *x)
{
    PQK_ALIGNED(64) static const int32_t acc[N];
    static const float minus = -1.0f;
    const pqk_epilogue e = {
        .a_scale = {&minus, 0},
          .bias = {x,      1},
          .activation = curves[curve].activation
    };
    const struct pqk_epilogue_call call = {.e = &e, .type = PQK_F32, .nr = N, .n = N};
    float y[LAYERS][N];
    for (int l = 0; l < LAYERS; ++l) {
        if (!layer_runs(l)) continue;
        const struct pqk_epilogue_tile tile = {
            .acc = acc, .rows = 1, .columns = N, .c = (char *)y[l], .c_row = sizeof y[l]};
        layers[l].kernels->finish(&call, &tile);
        for (int i = 0; i < N; ++i) {
            if (l == 0)
                measure(curve, x[i], y[0][i]);
            else if (pqk_f32_bits(y[l][i]) != pqk_f32_bits(y[0][i]))
                fail(layers[l].name, curve, x[i], y[l][i], (double)y[0][i]);
        }
    }
    tried += N;
}

/* Where something changes: zeros, limits of the arguments, powers of two; and the floats on both sides. */
static void try_corners(int curve)
{
    static const float corners[] = {0.0f,     110.0f, 21.0f,  14.5f,    11.0f,    5.75f,
                                    0.34657f, 88.7f,  103.9f, INFINITY, 0x1p-126f};
    float x[N];
    for (size_t c = 0; c < sizeof corners / sizeof *corners + 256; ++c) {
        const size_t few = sizeof corners / sizeof *corners;
        const uint32_t center = c < few ? pqk_f32_bits(corners[c]) : (uint32_t)(c - few) << 23;
        for (int sign = 0; sign < 2; ++sign) {
            for (int i = 0; i < N; ++i)
                x[i] = pqk_f32_from_bits(((center + (uint32_t)i - N / 2) & 0x7fffffff) | (uint32_t)sign << 31);
            try_block(curve, x);
        }
    }
}

int main(int argc, char **argv)
{
    const uint64_t step = argc > 1 ? strtoull(argv[1], NULL, 10) : 4001, all = (uint64_t)1 << 32;
    const pqk_fpenv found = pqk_fpenv_enter();
    for (int curve = 0; curve < CURVES; ++curve) {
        float x[N];
        try_corners(curve);
        for (uint64_t bits = 0; step && bits < all; bits += N * step) {
            for (uint32_t i = 0; i < N; ++i) x[i] = pqk_f32_from_bits((uint32_t)(bits + i * step));
            try_block(curve, x);
        }
        printf("%-10s below 0 at most %.3f ulp (at %.9g), above %.3f (at %.9g); |y| <= 1: %.3g (at %.9g)\n",
               curves[curve].name, worst[curve].below, (double)worst[curve].below_at, worst[curve].above,
               (double)worst[curve].above_at, worst[curve].near, (double)worst[curve].near_at);
    }
    pqk_fpenv_leave(found);
    printf("%" PRIu64 " values, %" PRIu64 " failures\n", tried, failures);
    return failures != 0;
}
