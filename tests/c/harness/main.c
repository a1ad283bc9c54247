/* main.c -- every registered kernel of every layer that this CPU has, against the scalar one; the oracle; the
 * public entries; cycles.  Ends with 0 where all is well, 1 where bits differ, 2 where it could not be run, 3 after
 * a fault.  Under qemu-x86_64 7.2, which reads masked lanes of VMASKMOVPS too, the guards of avx2 report what no CPU
 * does: use --limit scalar there.  valgrind, which has no AVX-512, sees through the mask. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gemm.h"
#include "harness.h"

static const char usage[] =
    "usage: harness [--layer NAME] [--limit NAME] [--kernel PART] [--seed N] [--random N] [--quick] [--case N]\n"
    "               [--only kernels|oracle|entries] [--bench] [--list]\n"
    "  --layer    this layer alone             --limit   no layer above this one\n"
    "  --kernel   kernels whose name has PART  --case    this case alone (with --layer, --kernel and --seed)\n"
    "  --random   random cases a kernel        --quick   a sample of everything, about ten seconds\n"
    "  --bench    cycles per element           --list    layers and kernels\n";

static int layer_index(const char *name)
{
    for (int i = 0; name && i < pqk_layer_count; ++i)
        if (!strcmp(pqk_layers[i].name, name)) return i;
    fprintf(stderr, "harness: no layer '%s' in this build\n", name ? name : "");
    exit(2);
}

static struct options parse(int argc, char **argv, const char **only)
{
    struct options o = {.seed = 1, .random = 3000, .stride = 1, .only = -1};
    for (int i = 1; i < argc; ++i) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(name, "--quick")) {
            o.stride = 79; /* odd and prime: still meets every length, guard and offset somewhere */
            o.random = 250;
        } else if (!strcmp(name, "--bench")) {
            o.bench = true;
        } else if (!strcmp(name, "--list")) {
            for (int l = 0; l < pqk_layer_count; ++l)
                printf("layer %s%s\n", pqk_layers[l].name, pqk_layer_supported(l) ? "" : " (not on this CPU)");
            for (int k = 0; pqk_operation_name(k); ++k) printf("kernel %s\n", pqk_operation_name(k));
            exit(0);
        } else if (value && ++i) {
            if (!strcmp(name, "--layer"))
                o.layer = pqk_layers[layer_index(value)].name;
            else if (!strcmp(name, "--limit"))
                o.limit = pqk_layers[layer_index(value)].name;
            else if (!strcmp(name, "--kernel"))
                o.kernel = value;
            else if (!strcmp(name, "--only"))
                *only = value;
            else if (!strcmp(name, "--seed"))
                o.seed = strtoull(value, NULL, 0);
            else if (!strcmp(name, "--random"))
                o.random = strtoull(value, NULL, 0);
            else if (!strcmp(name, "--case"))
                o.only = strtoll(value, NULL, 0);
            else
                fprintf(stderr, "harness: unknown option %s\n%s", name, usage), exit(2);
        } else {
            fputs(usage, stderr);
            exit(2);
        }
    }
    return o;
}

bool report(struct harness *h)
{
    enum { PRINTED = 5 }; /* of each kernel: the rest is the same bug */
    static const char *kernel, *layer;
    static int printed;
    if (kernel != h->kernel || layer != h->layer) printed = 0;
    kernel = h->kernel;
    layer = h->layer;
    ++h->failures;
    return printed++ < PRINTED;
}

static bool selected(const struct options *o, const char *kernel) { return !o->kernel || strstr(kernel, o->kernel); }

static void test_layer(struct harness *h, const struct pqk_layer *layer)
{
    const struct pqk_kernels *scalar = pqk_layers[0].kernels;
    h->layer = layer->name;
    machine_running = layer->name;
    /* A kernel of a kind that has no tester does not compile: there is no test_<type>(). */
#define PQK_SLOT(op, type)                                  \
    if (layer->kernels->op && selected(&h->options, #op)) { \
        h->kernel = #op;                                    \
        test_##type(h, layer->kernels->op, scalar->op);     \
    }
    PQK_ALL_OPS
#undef PQK_SLOT
}

static bool wanted(const struct options *o, int layer)
{
    if (!pqk_layer_supported(layer)) return false;
    if (o->layer) return pqk_layers[layer].name == o->layer;
    return !o->limit || layer <= layer_index(o->limit);
}

static void test_kernels(struct harness *h)
{
    for (int l = 0; l < pqk_layer_count; ++l) {
        if (!wanted(&h->options, l)) {
            printf("kernels %-12s not run%s\n", pqk_layers[l].name, pqk_layer_supported(l) ? "" : ": not on this CPU");
            continue;
        }
        const uint64_t failures = h->failures;
        h->cases = h->elements = 0;
        test_layer(h, &pqk_layers[l]);
        printf("kernels %-12s %9" PRIu64 " cases %12" PRIu64 " elements  %s\n", pqk_layers[l].name, h->cases,
               h->elements, h->failures == failures ? "ok" : "FAILED");
        fflush(stdout);
    }
    if (!h->options.layer && !h->options.limit && selected(&h->options, "gemm_s8")) test_gemm_avxvnni_evex(h);
}

static void bench_kernels(struct harness *h)
{
    printf("%s per element, 4096 elements in the first-level cache\n%-24s", machine_clock_unit, "");
    for (int l = 0; l < pqk_layer_count; ++l)
        if (wanted(&h->options, l)) printf(" %9s", pqk_layers[l].name);
    printf("\n");
#define PQK_SLOT(op, type)                                                            \
    if (selected(&h->options, #op)) {                                                 \
        h->kernel = #op;                                                              \
        printf("%-24s", #op);                                                         \
        for (int l = 0; l < pqk_layer_count; ++l) {                                   \
            if (!wanted(&h->options, l)) continue;                                    \
            if (!pqk_layers[l].kernels->op)                                           \
                printf(" %9s", "inherited");                                          \
            else                                                                      \
                test_##type(h, pqk_layers[l].kernels->op, pqk_layers[0].kernels->op); \
        }                                                                             \
        printf("\n");                                                                 \
        fflush(stdout);                                                               \
    }
    PQK_ALL_OPS
#undef PQK_SLOT
}

static void bench_gemm(struct harness *h)
{
    const int before = pqk_active_layer();
    if (!selected(&h->options, "gemm_s8")) return;
    bench_products_header();
    for (int l = 0; l < pqk_layer_count; ++l)
        if (wanted(&h->options, l) && !pqk_use_layer(l)) bench_products(pqk_layers[l].name);
    (void)pqk_use_layer(before);
}

static void test_section(struct harness *h, const char *name, void (*test)(struct harness *h))
{
    const uint64_t failures = h->failures;
    h->cases = h->elements = 0;
    h->layer = name;
    h->kernel = name;
    test(h);
    printf("%-20s %9" PRIu64 " cases %12" PRIu64 " elements  %s\n", name, h->cases, h->elements,
           h->failures == failures ? "ok" : "FAILED");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *only = NULL;
    struct harness h = {.options = parse(argc, argv, &only)};
    machine_init();
    if (h.options.bench) {
        bench_kernels(&h);
        bench_gemm(&h);
        return 0;
    }
    printf("harness: seed %" PRIu64 ", %s\n", h.options.seed, machine_notes());
    if (!machine_keeps_zeros()) puts("curves of epilogues not compared: VFNMADD gives zeros the wrong sign here");
    if (h.options.layer && !pqk_layer_supported(layer_index(h.options.layer))) {
        fprintf(stderr, "harness: this CPU cannot run layer %s\n", h.options.layer);
        return 2;
    }
    if (!only || !strcmp(only, "kernels")) test_kernels(&h);
    if (!only || !strcmp(only, "oracle")) test_section(&h, "oracle", test_oracle);
    if (!only || !strcmp(only, "entries")) test_section(&h, "entries", test_entries);
    if (h.failures) printf("%" PRIu64 " FAILURES\n", h.failures);
    return h.failures != 0;
}
