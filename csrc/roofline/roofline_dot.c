/* roofline_dot.c -- pqk_roofline_dot(): the layer, threads. */
#include "roofline/roofline_dot.h"
#include <string.h>
#include "core/macros.h"
#include "core/pool.h"
#include "include/pyquantk.h"

pqk_roofline_dot_fn pqk_roofline_dot_scalar;
#if defined(PQK_X86)
pqk_roofline_dot_fn pqk_roofline_dot_avx2, pqk_roofline_dot_avxvnni, pqk_roofline_dot_avx512,
    pqk_roofline_dot_avx512vnni;
#elif defined(PQK_ARM64)
pqk_roofline_dot_fn pqk_roofline_dot_neon, pqk_roofline_dot_dotprod, pqk_roofline_dot_i8mm;
#endif

/* Not a slot of dispatch/kernels.h, where operations are: see roofline.c. */
static const struct {
    const char *layer;
    pqk_roofline_dot_fn *run;
} runs[] = {
    {"scalar",     pqk_roofline_dot_scalar    },
#if defined(PQK_X86)
    {"avx2",       pqk_roofline_dot_avx2      },
    {"avxvnni",    pqk_roofline_dot_avxvnni   },
    {"avx512",     pqk_roofline_dot_avx512    },
    {"avx512vnni", pqk_roofline_dot_avx512vnni},
#elif defined(PQK_ARM64)
    {"neon", pqk_roofline_dot_neon},
    {"dotprod", pqk_roofline_dot_dotprod},
    {"i8mm", pqk_roofline_dot_i8mm},
#endif
};

/* That of the layer in use, or of the nearest one below that has its own and that this CPU can run. */
static pqk_roofline_dot_fn *active_run(void)
{
    for (int layer = pqk_active_layer(); layer > 0; --layer)
        for (size_t i = 0; i < sizeof runs / sizeof runs[0]; ++i)
            if (strcmp(runs[i].layer, pqk_layer_name(layer)) == 0 && pqk_layer_supported(layer)) return runs[i].run;
    return pqk_roofline_dot_scalar;
}

struct job {
    pqk_roofline_dot_fn *run;
    size_t steps;
    int operations;
};

static void run_task(void *context, size_t index)
{
    struct job *j = context;
    PQK_ALIGNED(64) char sums[PQK_ROOFLINE_DOT_SUMS];
    memset(sums, 1, sizeof sums);
    const int operations = j->run(j->steps, sums);
    if (index == 0) j->operations = operations;
}

double pqk_roofline_dot(size_t steps)
{
    const int threads = pqk_get_num_threads();
    struct job job = {active_run(), steps, 0};
    pqk_pool_run((size_t)threads, run_task, &job, threads);
    return (double)steps * job.operations * threads;
}
