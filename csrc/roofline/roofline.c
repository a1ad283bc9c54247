/* roofline.c -- pqk_roofline(): checks, the layer, threads. */
#include "roofline/roofline.h"
#include <stdint.h>
#include <string.h>
#include "core/macros.h"
#include "core/pool.h"
#include "include/pyquantk.h"

pqk_roofline_fn pqk_roofline_scalar;
#if defined(PQK_X86)
pqk_roofline_fn pqk_roofline_avx2, pqk_roofline_avx512;
#elif defined(PQK_ARM64)
pqk_roofline_fn pqk_roofline_neon;
#endif

/* Not a slot of dispatch/kernels.h, where operations are: this one computes nothing that a layer must agree on. */
static const struct {
    const char *layer;
    pqk_roofline_fn *run;
} runs[] = {
    {"scalar", pqk_roofline_scalar},
#if defined(PQK_X86)
    {"avx2",   pqk_roofline_avx2  },
    {"avx512", pqk_roofline_avx512},
#elif defined(PQK_ARM64)
    {"neon", pqk_roofline_neon},
#endif
};

/* That of the layer in use, or of the nearest one below that has its own. */
static pqk_roofline_fn *active_run(void)
{
    for (int layer = pqk_active_layer(); layer > 0; --layer)
        for (size_t i = 0; i < sizeof runs / sizeof runs[0]; ++i)
            if (strcmp(runs[i].layer, pqk_layer_name(layer)) == 0) return runs[i].run;
    return pqk_roofline_scalar;
}

static int pattern_of(int read, int write, int extra)
{
    int i = 0;
#define PQK_ROOFLINE_MATCH(r, w, e)                            \
    if (read == (r) && write == (w) && extra == (e)) return i; \
    ++i;
    PQK_ROOFLINE_PATTERNS(PQK_ROOFLINE_MATCH)
#undef PQK_ROOFLINE_MATCH
    return -1;
}

struct job {
    pqk_roofline_fn *run;
    int pattern, read, write, extra, way;
    const char *in;
    char *out, *out2;
    size_t elements, grain;
};

static void run_task(void *context, size_t index)
{
    const struct job *j = context;
    const size_t at = index * j->grain, left = j->elements - at, bytes = at / 8;
    j->run(j->pattern, j->in + bytes * (size_t)j->read, j->out + bytes * (size_t)(j->write ? j->write : 8),
           j->extra ? j->out2 + bytes * (size_t)j->extra : NULL, left < j->grain ? left : j->grain, j->way);
}

int pqk_roofline(int read, int write, int extra, const void *in, void *out, void *out2, size_t elements, int way,
                 int repeat)
{
    /* A task of 256 Ki elements, as the kernels have them, or an eighth of each thread's share. */
    enum { SMALLEST = 16 << 10, LARGEST = 256 << 10 };
    const size_t threads = (size_t)pqk_get_num_threads();
    const int pattern = pattern_of(read, write, extra);
    size_t grain = elements;

    if (way < 0 || way >= PQK_ROOFLINE_WAYS) return 1;
    if (pattern < 0 || elements % PQK_ROOFLINE_ELEMENTS || (extra && !out2)) return 1;
    if (((uintptr_t)in | (uintptr_t)out | (uintptr_t)out2) % 64) return 1;
    if (threads > 1 && elements >= 2 * SMALLEST) {
        grain = elements / (8 * threads) / PQK_ROOFLINE_ELEMENTS * PQK_ROOFLINE_ELEMENTS;
        grain = grain < SMALLEST ? SMALLEST : grain > LARGEST ? LARGEST : grain;
    }
    struct job job = {active_run(), pattern, read, write, extra, way, in, out, out2, elements, grain};
    const size_t tasks = elements ? (elements + grain - 1) / grain : 0;
    for (int i = 0; i < repeat; ++i) pqk_pool_run(tasks, run_task, &job, 0);
    return 0;
}
