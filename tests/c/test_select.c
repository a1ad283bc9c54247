/* test_select.c -- pqk_select() for every subset of CPU features: a complete table, each kernel from the last layer
 * that lists it and whose needs are met, and never one of a layer that this CPU could not run.
 *
 *     python tests/c/build.py -o build/test_select tests/c/test_select.c && build/test_select
 */
#include "dispatch/dispatch.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static uint64_t checks, failures;

static void check(bool ok, uint32_t features, const char *kernel, const char *what)
{
    ++checks;
    if (!ok && ++failures <= 20) printf("FAILED: features 0x%" PRIx32 ", %s: %s\n", features, kernel, what);
}

/* Every bit that a layer of any architecture may ask for, and one that nobody knows. */
static const uint32_t bits[] = {PQK_AVX2, PQK_AVXVNNI, PQK_AVX512, PQK_AVX512VNNI, PQK_AVX512VBMI,
                                PQK_NEON, PQK_DOTPROD, PQK_I8MM,   1u << 31};
enum { BITS = sizeof bits / sizeof bits[0] };

static bool runs(int layer, uint32_t features) { return (pqk_layers[layer].needs & ~features) == 0; }

static void test_subset(uint32_t features)
{
    const struct pqk_kernels chosen = pqk_select(features);
#define PQK_SLOT(op, type)                                                                                   \
    {                                                                                                        \
        type *best = NULL;                                                                                   \
        bool unsupported = false;                                                                            \
        for (int l = 0; l < pqk_layer_count; ++l) {                                                          \
            type *offered = pqk_layers[l].kernels->op;                                                       \
            if (offered && runs(l, features)) best = offered;                                                \
            if (offered && !runs(l, features) && offered == chosen.op) unsupported = true;                   \
        }                                                                                                    \
        check(chosen.op != NULL, features, #op, "no kernel");                                                \
        check(!unsupported, features, #op, "a kernel that these features cannot run");                       \
        check(chosen.op == best, features, #op, "not the kernel of the last layer that these features run"); \
    }
    PQK_ALL_OPS
#undef PQK_SLOT
}

static void test_layers(void)
{
    check(pqk_layer_count >= 1 && pqk_layer_count <= PQK_MAX_LAYERS, 0, "layers", "their number");
    check(!strcmp(pqk_layers[0].name, "scalar") && pqk_layers[0].needs == 0, 0, "scalar", "is first and needs nothing");
    for (int l = 0; l < pqk_layer_count; ++l) {
        uint32_t known = 0;
        for (int b = 0; b < BITS - 1; ++b) known |= bits[b];
        check((pqk_layers[l].needs & ~known) == 0, pqk_layers[l].needs, pqk_layers[l].name,
              "needs a feature that this test does not know");
        check(!(pqk_layers[l].needs & PQK_AVX512) || (pqk_layers[l].needs & PQK_AVX2), pqk_layers[l].needs,
              pqk_layers[l].name, "its flags imply AVX2, so it must ask for it");
        check(!strchr(pqk_layers[l].name, '_'), 0, pqk_layers[l].name, "an underscore in the name of a layer");
        for (int k = 0; k < l; ++k)
            check(strcmp(pqk_layers[k].name, pqk_layers[l].name), 0, pqk_layers[l].name, "two layers of that name");
    }
}

/* What runs here: the active table is that of the features of the layer in use. */
static void test_active(void)
{
    for (int l = 0; l < pqk_layer_count; ++l) {
        const bool supported = runs(l, pqk_cpu_features());
        check(!pqk_layer_supported(l) == !supported, pqk_cpu_features(), pqk_layers[l].name, "pqk_layer_supported");
        check(pqk_use_layer(l) == (supported ? PQK_OK : PQK_ERROR_LAYER), pqk_cpu_features(), pqk_layers[l].name,
              "pqk_use_layer");
        if (!supported) continue;
        const struct pqk_kernels expected = pqk_select(pqk_layers[l].needs);
        check(pqk_active_layer() == l, 0, pqk_layers[l].name, "pqk_active_layer");
        check(!memcmp(pqk_active_kernels(), &expected, sizeof expected), 0, pqk_layers[l].name, "the active table");
        for (int k = 0; pqk_operation_name(k); ++k) {
            const char *serving = pqk_operation_layer(k);
            bool lower = false;
            for (int j = 0; j <= l; ++j) lower = lower || (serving && !strcmp(serving, pqk_layers[j].name));
            check(lower, 0, pqk_operation_name(k), "served by a layer above the one in use");
        }
    }
}

int main(void)
{
    for (uint32_t subset = 0; subset < 1u << BITS; ++subset) {
        uint32_t features = 0;
        for (int b = 0; b < BITS; ++b)
            if (subset >> b & 1) features |= bits[b];
        test_subset(features);
    }
    test_layers();
    test_active();
    printf("%d subsets of %d features, %d layers: %" PRIu64 " checks, %" PRIu64 " failures\n", 1 << BITS, BITS,
           pqk_layer_count, checks, failures);
    return failures != 0;
}
