/* roofline_dot.c -- pqk_roofline_dot(), pqk_roofline_fma(): the layer, threads. */
#include "roofline/roofline_dot.h"
#include <string.h>
#include "core/macros.h"
#include "core/pool.h"
#include "include/pyquantk.h"

pqk_roofline_dot_fn pqk_roofline_dot_scalar, pqk_roofline_fma_scalar;
#if defined(PQK_X86)
pqk_roofline_dot_fn pqk_roofline_dot_avx2, pqk_roofline_dot_avxvnni, pqk_roofline_dot_avx512,
    pqk_roofline_dot_avx512vnni, pqk_roofline_fma_avx2, pqk_roofline_fma_avx512;
#elif defined(PQK_ARM64)
pqk_roofline_dot_fn pqk_roofline_dot_neon, pqk_roofline_dot_dotprod, pqk_roofline_dot_i8mm, pqk_roofline_fma_neon;
#endif

/* Not a slot of dispatch/kernels.h, where operations are: see roofline.c. */
struct layer_run {
    const char *layer;
    pqk_roofline_dot_fn *run;
};
static const struct layer_run dots[] = {
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
    {NULL,         NULL                       }
};
static const struct layer_run fmas[] = {
    {"scalar", pqk_roofline_fma_scalar},
#if defined(PQK_X86)
    {"avx2",   pqk_roofline_fma_avx2  },
    {"avx512", pqk_roofline_fma_avx512},
#elif defined(PQK_ARM64)
    {"neon", pqk_roofline_fma_neon},
#endif
    {NULL,     NULL                   }
};

/* That of the layer in use, or of the nearest one below that has its own and that this CPU can run. */
static pqk_roofline_dot_fn *active_run(const struct layer_run *runs)
{
    for (int layer = pqk_active_layer(); layer > 0; --layer)
        for (const struct layer_run *r = runs; r->layer; ++r)
            if (strcmp(r->layer, pqk_layer_name(layer)) == 0 && pqk_layer_supported(layer)) return r->run;
    return runs[0].run;
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

static double run_on_all(const struct layer_run *runs, size_t steps)
{
    const int threads = pqk_get_num_threads();
    struct job job = {active_run(runs), steps, 0};
    pqk_pool_run((size_t)threads, run_task, &job, threads);
    return (double)steps * job.operations * threads;
}

double pqk_roofline_dot(size_t steps) { return run_on_all(dots, steps); }

double pqk_roofline_fma(size_t steps) { return run_on_all(fmas, steps); }
