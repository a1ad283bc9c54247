/* gemm_epilogue.c -- the epilogues of each layer: accumulators, sums and parameters end at forbidden pages, and what is
 * left in c's rows is compared with the oracle; with a curve, with the scalar layer. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "core/macros.h"
#include "gemm.h"
#include "oracle.h"

enum { MAX_MR = PQK_GEMM_MAX_MR, MAX_NR = PQK_GEMM_MAX_NR, MAX_GROUPS = 16, FAR = 40 };

static struct guard acc_guard[MAX_GROUPS], sum_guard, row_guard, column_guard;
static struct place c_place;
static struct gemm_space space;

static void make_memory(void)
{
    const size_t tile = (size_t)MAX_MR * MAX_NR * 4;
    if (sum_guard.low) return;
    for (int g = 0; g < MAX_GROUPS; ++g) acc_guard[g] = guard_make(tile);
    sum_guard = guard_make(tile);
    row_guard = guard_make(MAX_MR * 4);
    column_guard = guard_make(MAX_NR * 4);
    place_make(&c_place, tile + MAX_MR * 64);
    space = gemm_space_make(4 * (MAX_NR + FAR), MAX_GROUPS * (MAX_NR + 2 * FAR));
}

struct epilogue_case {
    struct gemm_problem problem;
    pqk_epilogue e;
    struct pqk_epilogue_call call;
    struct pqk_epilogue_tile tile;
    int64_t groups, group_k[MAX_GROUPS];
    int64_t row_sum[MAX_GROUPS][MAX_MR], column_sum[MAX_GROUPS][MAX_NR];
    int32_t acc[MAX_GROUPS][MAX_MR][MAX_NR]; /* as the micro-kernel leaves them */
};

static void choose_sums(struct rng *rng, struct epilogue_case *c, double typical)
{
    const int bits = 2 + ilogb(typical);
    for (int64_t g = 0; g < c->groups; ++g) {
        c->group_k[g] = 1 + rng_below(rng, 200000);
        for (int i = 0; i < MAX_MR; ++i) c->row_sum[g][i] = (int32_t)rng_next(rng) >> 8;
        for (int j = 0; j < MAX_NR; ++j) c->column_sum[g][j] = (int32_t)rng_next(rng) >> 8;
        for (int i = 0; i < MAX_MR; ++i)
            for (int j = 0; j < MAX_NR; ++j) c->acc[g][i][j] = (int32_t)rng_next(rng) >> (bits < 32 ? 32 - bits : 0);
    }
}

static struct epilogue_case choose_case(struct rng *rng)
{
    static const pqk_type outputs[] = {PQK_S32, PQK_F32, PQK_F16, PQK_BF16, PQK_S8, PQK_U8, PQK_S16};
    struct epilogue_case c;
    memset(&c, 0, sizeof c);
    const double typical = ldexp(1, (int)rng_below(rng, 31));
    struct pqk_epilogue_tile *t = &c.tile;
    t->rows = 1 + (int)rng_below(rng, MAX_MR);
    c.call.nr = 16 * (1 + (int)rng_below(rng, MAX_NR / 16));
    t->columns = rng_chance(rng, 40) ? c.call.nr : 1 + (int)rng_below(rng, (uint32_t)c.call.nr);
    t->i = rng_below(rng, FAR);
    t->j = rng_below(rng, FAR);
    c.problem = (struct gemm_problem){.m = t->i + t->rows,
                                      .n = t->j + t->columns + (rng_chance(rng, 50) ? rng_below(rng, FAR) : 0),
                                      .k = 16,
                                      .a = rng_chance(rng, 50) ? PQK_S8 : PQK_U8,
                                      .b = rng_chance(rng, 50) ? PQK_S8 : PQK_U8,
                                      .c = outputs[rng_below(rng, sizeof outputs / sizeof outputs[0])],
                                      .typical = typical};
    c.e = gemm_choose_epilogue(rng, &space, &c.problem, true);
    c.groups = c.e.group_size ? (c.problem.k + c.e.group_size - 1) / c.e.group_size : 1;
    c.call.type = c.problem.c;
    /* packing moves a signed operand up or an unsigned one down, by 128 */
    c.call.a_flip = rng_chance(rng, 50) ? 0 : c.problem.a == PQK_S8 ? 128 : -128;
    c.call.b_flip = rng_chance(rng, 50) ? 0 : c.problem.b == PQK_S8 ? 128 : -128;
    choose_sums(rng, &c, typical);
    return c;
}

static int32_t exact(const struct epilogue_case *c, int64_t g, int r, int j)
{
    const pqk_integers *u = &c->e.a_zero_point, *v = &c->e.b_zero_point;
    return oracle_zero_points(c->acc[g][r][j], c->row_sum[g][r], c->column_sum[g][j], c->group_k[g],
                              c->call.a_flip + (u->data ? u->data[(c->tile.i + r) * u->step] : 0),
                              c->call.b_flip + (v->data ? v->data[(c->tile.j + j) * v->step] : 0));
}

/* The operands of group g at the ends of their pages. */
static void put_group(struct epilogue_case *c, int64_t g)
{
    const int nr = c->call.nr, rows = c->tile.rows;
    int32_t *acc = (int32_t *)(void *)(acc_guard[g].high - (size_t)(rows * nr) * 4);
    for (int r = 0; r < rows; ++r) memcpy(acc + r * nr, c->acc[g][r], (size_t)nr * 4);
    int32_t *rowsum = (int32_t *)(void *)(row_guard.high - (size_t)rows * 4);
    int32_t *colsum = (int32_t *)(void *)(column_guard.high - (size_t)nr * 4);
    for (int r = 0; r < rows; ++r) rowsum[r] = (int32_t)c->row_sum[g][r];
    for (int j = 0; j < nr; ++j) colsum[j] = (int32_t)c->column_sum[g][j];
    c->tile.acc = acc;
    c->tile.rowsum = c->call.has_v ? rowsum : NULL;
    c->tile.colsum = c->call.has_u ? colsum : NULL;
    c->tile.k = (int32_t)c->group_k[g];
    c->tile.group = g;
}

static const char *run(struct epilogue_case *c, pqk_gemm_epilogue_kernels *kernels, unsigned char fill)
{
    place_fill(&c_place, fill);
    c->tile.c = c_place.data;
    c->tile.c_row = c_place.stride;
    machine_before_kernel();
    if (!c->e.group_size)
        put_group(c, 0);
    else {
        c->tile.sum = (float *)(void *)(sum_guard.high - (size_t)(c->tile.rows * c->call.nr) * 4);
        memset(c->tile.sum, 0xff, (size_t)(c->tile.rows * c->call.nr) * 4);
    }
    for (int64_t g = 0; c->e.group_size && g < c->groups; ++g) {
        put_group(c, g);
        kernels->accumulate(&c->call, &c->tile, g == 0);
    }
    kernels->finish(&c->call, &c->tile);
    return machine_after_kernel(1);
}

static const char *check_case(struct epilogue_case *c, struct rng *rng, pqk_gemm_epilogue_kernels *kernels,
                              pqk_gemm_epilogue_kernels *reference)
{
    static char want[MAX_MR * MAX_NR * 4];
    const pqk_type type = c->problem.c;
    const size_t row_bytes = (size_t)(c->tile.columns * oracle_type_bits(type) / 8);
    const struct shape where = {.rows = (size_t)c->tile.rows,
                                .at_end = rng_chance(rng, 75),
                                .offset = rng_chance(rng, 70) ? 0 : rng_below(rng, 64)};
    const size_t gap = rng_chance(rng, 50) ? 0 : rng_below(rng, 40);
    const bool backwards = rng_chance(rng, 15);
    c->call.e = &c->e;
    if (pqk_epilogue_prepare(&c->call, c->problem.a, c->problem.b, c->problem.m, c->problem.n)) return "refused";
    const char *wrong;
    if (gemm_is_curve(&c->e)) {
        place_rows(&c_place, &where, row_bytes, 0, false);
        if (kernels == reference || !machine_keeps_zeros())
            return run(c, kernels, 0x3c); /* guards and control words alone */
        wrong = run(c, reference, 0x3c);
        for (int r = 0; r < c->tile.rows; ++r)
            memcpy(want + (size_t)r * row_bytes, c_place.data + r * c_place.stride, row_bytes);
        if (wrong) return wrong;
    } else {
        for (int r = 0; r < c->tile.rows; ++r)
            for (int j = 0; j < c->tile.columns; ++j) {
                int32_t acc[MAX_GROUPS];
                for (int64_t g = 0; g < c->groups; ++g) acc[g] = exact(c, g, r, j);
                oracle_epilogue(&c->e, &c->problem, acc, c->groups, c->tile.i + r, c->tile.j + j,
                                want + (size_t)r * row_bytes, (size_t)j);
            }
    }
    place_rows(&c_place, &where, row_bytes, gap, backwards);
    wrong = run(c, kernels, 0xa5);
    size_t row = 0, byte = 0;
    if (!wrong) wrong = place_compare(&c_place, want, &row, &byte);
    if (wrong) printf("row %zu, byte %zu\n", row, byte);
    return wrong;
}

static void bench(pqk_gemm_epilogue_kernels *kernels)
{
    enum { MR = 12, NR = 32, RUNS = 20000 };
    static PQK_ALIGNED(64) int32_t acc[MR * NR];
    static float c[MR * NR], scale[NR], bias[NR];
    const float one = 1;
    const pqk_epilogue e = {
        .a_scale = {&one,  0},
          .b_scale = {scale, 1},
          .bias = {bias,  1}
    };
    struct pqk_epilogue_call call = {.e = &e, .type = PQK_F32, .nr = NR};
    const struct pqk_epilogue_tile tile = {.acc = acc, .rows = MR, .columns = NR, .c = (char *)c, .c_row = NR * 4};
    if (pqk_epilogue_prepare(&call, PQK_U8, PQK_S8, MR, NR)) return;
    double best = 1e30;
    for (int i = 0; i < RUNS; ++i) {
        const double from = machine_clock();
        kernels->finish(&call, &tile);
        const double ticks = machine_clock() - from;
        best = ticks < best ? ticks : best;
    }
    printf(" %9.3f", best / (MR * NR));
}

void test_pqk_gemm_epilogue_kernels(struct harness *h, pqk_gemm_epilogue_kernels *kernels,
                                    pqk_gemm_epilogue_kernels *reference)
{
    make_memory();
    if (h->options.bench) {
        bench(kernels);
        return;
    }
    const uint64_t count = h->options.stride > 1 ? 2000 : 100000;
    for (uint64_t i = 0; i < count; ++i) {
        if (h->options.only >= 0 && (uint64_t)h->options.only != i) continue;
        struct rng rng = rng_make(h->options.seed, h->kernel, i);
        snprintf(machine_case, sizeof machine_case, "--layer %s --kernel %s --seed %" PRIu64 " --case %" PRIu64,
                 h->layer, h->kernel, h->options.seed, i);
        static struct epilogue_case c;
        c = choose_case(&rng);
        const char *wrong = check_case(&c, &rng, kernels, reference);
        ++h->cases;
        h->elements += (uint64_t)(c.tile.rows * c.tile.columns);
        if (!wrong || !report(h)) continue;
        printf("FAILED %s %s: %s\n  %s\n  type %d, rows %d, columns %d of %d, i %" PRId64 ", j %" PRId64
               ", activation %d, groups %" PRId64 ", fixed point %d\n",
               h->layer, h->kernel, wrong, machine_case, c.problem.c, c.tile.rows, c.tile.columns, c.call.nr, c.tile.i,
               c.tile.j, c.e.activation, c.e.group_size ? c.groups : 0, c.e.m0.data != NULL);
    }
}
