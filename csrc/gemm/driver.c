/* driver.c -- see driver.h; the blocking is drawn in the README.
 *
 *     for each chunk of columns of B        all of them where B is packed already
 *         pack it                           in parallel
 *         for each chunk of rows of A
 *             pack it                       in parallel, once a call where B is packed
 *             tasks: row block x column block, and in each
 *                 for each column panel of B        it stays in the second-level cache
 *                     for each row panel of A       the block of A does too
 *                         micro-kernel, epilogue
 */
#include "gemm/driver.h"
#include <string.h>
#include "core/macros.h"
#include "core/memory.h"
#include "core/pool.h"

enum {
    CHUNK_BYTES = 3 << 19, /* of packed A, and of B: together they fit what core/arena.h keeps */
    BLOCK_BYTES = 1 << 19, /* of packed A that a task multiplies: half a second-level cache */
    TASKS_A_THREAD = 8,    /* so that a slow core holds up an eighth */
    PACK_BYTES = 1 << 16,  /* of A that a packing task makes */
    LARGE_C = 1 << 20,     /* bytes of C from which its lines are asked for in advance, */
    LONG_K = 512,          /* where a tile takes so long that asking does not fall behind storing */
    GATHER_K = 256,        /* of rows that are not contiguous, at a time */
    FEW_PANELS = 16,       /* of B: so few times A is read that packing it would show */
    NEAR_ROWS = 2048,      /* bytes from row to row up to which as many as a tile has stay in the first-level cache */
};
/* Multiply-adds that a task is at least worth, a few microseconds. */
static const double TASK_WORK = 1 << 18;

/* The height of the panel that begins the last `left` rows: the tallest shape, and at the end one that wastes no more
 * than a row. */
static const struct pqk_gemm_shape *shape_for(const struct pqk_gemm *kernels, int64_t left)
{
    const struct pqk_gemm_shape *s = kernels->shape;
    while (s->mr > left) {
        if (s->mr == left + 1 || s[1].mr == 0) break;
        ++s;
    }
    return s;
}

static int64_t panel_rows(const struct pqk_gemm *kernels, int64_t rows)
{
    const int mr = kernels->shape[0].mr;
    int64_t padded = rows / mr * mr;
    while (padded < rows) padded += shape_for(kernels, rows - padded)->mr;
    return padded;
}

/* What the call's scratch is for, and how large the chunks are. */
struct plan {
    int64_t rows, columns;             /* of a chunk; columns a multiple of nr */
    size_t a_row, b_panel;             /* bytes */
    size_t a, row_sums, b, group_sums; /* bytes of each region, multiples of 64 */
    int64_t sums_group;                /* row sums from group to group */
    bool as_it_lies;                   /* whole row panels of A are not packed but for the end of k */
};

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

/* How many units of `bytes` a chunk holds, at least `least`, a multiple of it, and not more than there are. */
static int64_t chunk_of(size_t bytes, int64_t least, int64_t there)
{
    const int64_t fit = bytes ? (int64_t)(CHUNK_BYTES / bytes) / least * least : there;
    return min64(fit < least ? least : fit, there);
}

static bool region(size_t count, size_t bytes, size_t *size)
{
    if (!pqk_mul_size(count, bytes, size) || *size > SIZE_MAX / 8) return false;
    *size = (*size + 63) & ~(size_t)63;
    return true;
}

static bool make_plan(const struct pqk_gemm_job *job, struct plan *plan)
{
    const struct pqk_gemm *g = job->kernels;
    const int64_t m = job->row_end - job->row, n = job->column_end - job->column;
    *plan = (struct plan){
        .a_row = job->cut.all * pqk_gemm_a_step(g, 1),
        .b_panel = job->cut.all * pqk_gemm_b_step(g),
    };
    plan->rows = chunk_of(plan->a_row, g->shape[0].mr, m);
    plan->sums_group = panel_rows(g, plan->rows);
    plan->as_it_lies = g->run_rows && !job->fill && !job->grouped && !job->call->has_v && job->a_col == 1 &&
                       job->a_row <= NEAR_ROWS && job->a_row >= -NEAR_ROWS && n <= FEW_PANELS * g->nr;
    if (!region((size_t)plan->sums_group, plan->a_row, &plan->a)) return false;
    if (job->call->has_v &&
        !region((size_t)plan->sums_group * sizeof(int32_t), (size_t)job->cut.groups, &plan->row_sums))
        return false;
    if (job->packed) return true;

    const int64_t panels = chunk_of(plan->b_panel, 1, n / g->nr + (n % g->nr != 0));
    plan->columns = panels * g->nr;
    if (!region((size_t)panels, plan->b_panel, &plan->b)) return false;
    return !job->call->has_u ||
           region((size_t)plan->columns * sizeof(int32_t), (size_t)job->cut.groups, &plan->group_sums);
}

bool pqk_gemm_scratch(const struct pqk_gemm_job *job, size_t *bytes)
{
    struct plan plan;
    if (!make_plan(job, &plan)) return false;
    *bytes = plan.a + plan.row_sums + plan.b + plan.group_sums;
    return true;
}

bool pqk_gemm_packed_fits(const struct pqk_packed *packed, const struct pqk_gemm_cut *cut, bool needs_group_sums)
{
    const struct pqk_gemm_cut *p = &packed->cut;
    if (p->group == cut->group && p->groups == cut->groups) return true;
    const int kr = packed->kernels->kr;
    const bool whole_steps = (p->groups <= 1 || p->group % kr == 0) && (cut->groups <= 1 || cut->group % kr == 0);
    return whole_steps && (cut->groups <= 1 || !needs_group_sums);
}

int pqk_gemm_threads(int64_t m, int64_t n, int64_t k)
{
    /* Few rows take as long as the bytes of B, about those of three. */
    size_t work; /* in integers: floating point would leave its flags in the caller's environment */
    if (!pqk_mul_size((size_t)n, (size_t)k, &work) || !pqk_mul_size(work, (size_t)(m < 3 ? 3 : m), &work))
        work = SIZE_MAX;
    const size_t tasks = work / (4 * (size_t)TASK_WORK);
    if (tasks < 2) return 1;
    const int threads = pqk_get_num_threads();
    return tasks < (size_t)threads ? (int)tasks : threads;
}

/* One chunk of rows times one chunk of columns. */
struct chunk {
    const struct pqk_gemm_job *job;
    const struct plan *plan;
    int64_t row, row_end; /* of C */
    uint8_t *a;           /* packed; row r of the chunk begins at r * plan->a_row, as far as panels go */
    int32_t *row_sums;    /* [group][row], or NULL */

    int64_t column, column_end; /* of C; `column` is where panel 0 begins, which may be before the job's columns */
    const uint8_t *b;
    size_t b_panel;
    const int32_t *group_sums; /* [panel][group][nr], or NULL */

    int64_t block_rows, block_panels, column_blocks; /* of the tasks */
    uint8_t *b_scratch;                              /* where B is being packed */
    int32_t *group_sums_scratch;
};

void pqk_gemm_pack_rows(const struct pqk_gemm_job *job, const struct pqk_gemm_a_panel *panel, int64_t p, size_t k,
                        const void *a, ptrdiff_t row_stride, uint8_t flip)
{
    const struct pqk_gemm *g = job->kernels;
    const int64_t group = p < job->cut.group ? 0 : p / job->cut.group, first = p - group * job->cut.group;
    const size_t step = (size_t)group * job->cut.steps + (size_t)(first / g->kr);
    g->pack_a(a, row_stride, panel->m, panel->mr, k, flip, panel->packed + step * pqk_gemm_a_step(g, panel->mr),
              panel->sums ? panel->sums + group * panel->sums_group : NULL);
}

/* The pqk_gemm_fill of an array. */
static void fill_from_array(const struct pqk_gemm_job *job, const struct pqk_gemm_a_panel *panel)
{
    const char *a = job->a + panel->row * job->a_row;
    const int64_t pieces = job->a_col == 1 ? INT64_MAX : GATHER_K; /* a multiple of any kr */
    uint8_t gathered[PQK_GEMM_MAX_MR * GATHER_K];
    for (int64_t g = 0; g < job->cut.groups; ++g) {
        const int64_t begin = g * job->cut.group, length = pqk_gemm_group_length(&job->cut, g);
        for (int64_t q = 0, k; q < length; q += k) {
            const char *from = a + (begin + q) * job->a_col;
            k = min64(length - q, pieces);
            if (job->a_col == 1) {
                pqk_gemm_pack_rows(job, panel, begin + q, (size_t)k, from, job->a_row, job->a_flip);
                continue;
            }
            for (int64_t p = 0; p < k; ++p, from += job->a_col)
                for (int r = 0; r < panel->m; ++r) gathered[r * GATHER_K + p] = (uint8_t)from[r * job->a_row];
            pqk_gemm_pack_rows(job, panel, begin + q, (size_t)k, gathered, GATHER_K, job->a_flip);
        }
    }
}

/* Where the last, short step of the row panel that begins with row r lies, if its A is not packed. */
static uint8_t *tail_of(const struct chunk *chunk, int64_t r) { return chunk->a + r * chunk->job->kernels->kr; }

/* Rows [from, to) of the chunk, `from` a multiple of the tallest panel. */
static void pack_a(const struct chunk *chunk, int64_t from, int64_t to)
{
    const struct pqk_gemm_job *job = chunk->job;
    const struct pqk_gemm *kernels = job->kernels;
    int64_t r = from;
    if (chunk->plan->as_it_lies) {
        const int mr = kernels->shape[0].mr;
        const int64_t tail = job->cut.k % kernels->kr, whole = from + (to - from) / mr * mr;
        const char *a = job->a + (chunk->row + r) * job->a_row + (job->cut.k - tail);
        for (; tail && r < whole; r += mr, a += mr * job->a_row)
            kernels->pack_a(a, job->a_row, mr, mr, (size_t)tail, job->a_flip, tail_of(chunk, r), NULL);
        r = whole;
    }
    while (r < to) {
        struct pqk_gemm_a_panel panel = {
            .row = chunk->row + r,
            .mr = shape_for(kernels, to - r)->mr,
            .packed = chunk->a + (size_t)r * chunk->plan->a_row,
            .sums = chunk->row_sums ? chunk->row_sums + r : NULL,
            .sums_group = chunk->plan->sums_group,
        };
        panel.m = (int)min64(panel.mr, to - r);
        for (int64_t g = 0; panel.sums && g < job->cut.groups; ++g)
            memset(panel.sums + g * panel.sums_group, 0, (size_t)panel.mr * sizeof(int32_t));
        if (job->fill)
            job->fill(job, &panel, job->fill_context);
        else
            fill_from_array(job, &panel);
        r += panel.mr;
    }
}

static void pack_a_task(void *context, size_t index)
{
    const struct chunk *chunk = context;
    const int64_t from = (int64_t)index * chunk->block_rows, rows = chunk->row_end - chunk->row;
    pack_a(chunk, from, min64(rows, from + chunk->block_rows));
}

static void pack_a_chunk(struct chunk *chunk)
{
    const int64_t rows = chunk->row_end - chunk->row, mr = chunk->job->kernels->shape[0].mr;
    if (chunk->job->threads == 1 || chunk->plan->as_it_lies || (size_t)rows * chunk->plan->a_row < 2 * PACK_BYTES ||
        rows <= mr) {
        pack_a(chunk, 0, rows);
        return;
    }
    chunk->block_rows = ((int64_t)(PACK_BYTES / chunk->plan->a_row) / mr + 1) * mr;
    pqk_pool_run((size_t)((rows + chunk->block_rows - 1) / chunk->block_rows), pack_a_task, chunk, chunk->job->threads);
}

/* Panels [index * block_panels, ...) of the chunk of columns. */
static void pack_b_task(void *context, size_t index)
{
    const struct chunk *chunk = context;
    const struct pqk_gemm *g = chunk->job->kernels;
    const int64_t panel = (int64_t)index * chunk->block_panels, j = chunk->column + panel * g->nr;
    const struct pqk_gemm_b_panels to = {
        .data = chunk->b_scratch + (size_t)panel * chunk->b_panel,
        .panel_bytes = chunk->b_panel,
        .group_sums =
            chunk->group_sums_scratch ? chunk->group_sums_scratch + panel * chunk->job->cut.groups * g->nr : NULL,
    };
    pqk_gemm_pack_columns(g, &chunk->job->cut, &chunk->job->b, j,
                          min64(chunk->block_panels * g->nr, chunk->column_end - j), &to);
}

static int64_t panels_of(const struct chunk *chunk)
{
    const int64_t n = chunk->column_end - chunk->column, nr = chunk->job->kernels->nr;
    return n / nr + (n % nr != 0);
}

static void pack_b_chunk(struct chunk *chunk)
{
    const int64_t panels = panels_of(chunk);
    const int threads = chunk->job->threads;
    chunk->block_panels = threads == 1 ? panels : (panels + 4 * threads - 1) / (4 * threads);
    const int64_t tasks = (panels + chunk->block_panels - 1) / chunk->block_panels;
    if (tasks == 1)
        pack_b_task(chunk, 0);
    else
        pqk_pool_run((size_t)tasks, pack_b_task, chunk, threads);
}

#if defined(__GNUC__)
#define PREFETCH_TO_WRITE(p) __builtin_prefetch(p, 1)
#else
#define PREFETCH_TO_WRITE(p) ((void)(p))
#endif

/* Is C more than the second-level cache keeps, and are its lines better asked for? */
static bool prefetches_c(const struct pqk_gemm_job *job)
{
    const int64_t most = LARGE_C / job->c_size, columns = job->column_end - job->column;
    return job->cut.k >= LONG_K && (columns > most || (job->row_end - job->row) > most / columns);
}

/* The lines of C that the epilogue will write arrive while the micro-kernel runs. */
static void prefetch_tile(const struct pqk_epilogue_tile *tile, int c_size)
{
    for (int r = 0; r < tile->rows; ++r)
        for (int x = 0; x < tile->columns * c_size; x += 64) PREFETCH_TO_WRITE(tile->c + r * tile->c_row + x);
}

static void scatter(const struct pqk_gemm_job *job, const char *from, ptrdiff_t from_row, int rows, int columns,
                    char *to)
{
    for (int r = 0; r < rows; ++r)
        for (int j = 0; j < columns; ++j)
            memcpy(to + r * job->c_row + j * job->c_col, from + r * from_row + j * job->c_size, (size_t)job->c_size);
}

static PQK_ALIGNED(64) const int32_t zeros[PQK_GEMM_MAX_NR];

/* All of k: rows [r, r + shape) of the chunk, of which `rows` exist, times `panel` of B. */
static void run_tile(const struct chunk *chunk, const struct pqk_gemm_shape *shape, int64_t r, int rows, int64_t panel,
                     const int32_t *start, void *c, ptrdiff_t c_row)
{
    const struct pqk_gemm_job *job = chunk->job;
    const struct pqk_gemm *g = job->kernels;
    const uint8_t *b = chunk->b + (size_t)panel * chunk->b_panel;
    if (!chunk->plan->as_it_lies || rows < g->shape[0].mr) {
        shape->run(job->cut.all, chunk->a + (size_t)r * chunk->plan->a_row, b, start, c, c_row);
        return;
    }
    const char *a = job->a + (chunk->row + r) * job->a_row;
    g->run_rows((size_t)(job->cut.k / g->kr), a, job->a_row, job->a_flip, job->cut.k % g->kr ? tail_of(chunk, r) : NULL,
                b, start, c, c_row);
}

/* One tile of C, by way of the epilogue. */
static void multiply_tile(const struct chunk *chunk, struct pqk_epilogue_tile *tile, int32_t *acc,
                          const struct pqk_gemm_shape *shape, int64_t r, int64_t panel)
{
    const struct pqk_gemm_job *job = chunk->job;
    const struct pqk_gemm *g = job->kernels;
    const struct pqk_gemm_cut *cut = &job->cut;
    const uint8_t *a = chunk->a + (size_t)r * chunk->plan->a_row, *b = chunk->b + (size_t)panel * chunk->b_panel;
    const int32_t *row_sums = chunk->row_sums ? chunk->row_sums + r : NULL;
    const int32_t *col_sums = chunk->group_sums ? chunk->group_sums + panel * cut->groups * g->nr : NULL;
    const ptrdiff_t acc_row = g->nr * (ptrdiff_t)sizeof *acc;

    if (!job->grouped) {
        tile->rowsum = row_sums;
        tile->colsum = col_sums;
        tile->k = (int32_t)(uint32_t)cut->k;
        run_tile(chunk, shape, r, tile->rows, panel, zeros, acc, acc_row);
    } else {
        for (int64_t i = 0; i < cut->groups; ++i) {
            const int64_t length = pqk_gemm_group_length(cut, i);
            const size_t step = (size_t)i * cut->steps;
            shape->run(pqk_gemm_steps(g, length), a + step * pqk_gemm_a_step(g, shape->mr),
                       b + step * pqk_gemm_b_step(g), zeros, acc, acc_row);
            tile->rowsum = row_sums ? row_sums + i * chunk->plan->sums_group : NULL;
            tile->colsum = col_sums ? col_sums + i * g->nr : NULL;
            tile->k = (int32_t)(uint32_t)length;
            tile->group = i;
            job->epilogue->accumulate(job->call, tile, i == 0);
        }
        tile->rowsum = tile->colsum = NULL;
    }
    job->epilogue->finish(job->call, tile);
}

/* Is C what the micro-kernel leaves, but for a number to each column that it can begin with?  Then whole tiles need no
 * epilogue. */
static bool is_plain(const struct pqk_gemm_job *job)
{
    const struct pqk_epilogue_call *call = job->call;
    const pqk_integers *u = &call->e->a_zero_point;
    return call->type == PQK_S32 && !job->grouped && !call->has_v && (!u->data || !u->step) &&
           job->c_col == job->c_size;
}

/* What the sums of a panel begin with: -u c[j]. */
static const int32_t *start_of_panel(const struct chunk *chunk, int64_t panel, int32_t *start)
{
    if (!chunk->group_sums) return zeros;
    const struct pqk_epilogue_call *call = chunk->job->call;
    const int nr = chunk->job->kernels->nr;
    const int32_t *sums = chunk->group_sums + panel * nr; /* one group */
    const uint32_t u =
        (uint32_t)call->a_flip + (uint32_t)(call->e->a_zero_point.data ? *call->e->a_zero_point.data : 0);
    for (int j = 0; j < nr; ++j) start[j] = (int32_t)(0 - u * (uint32_t)sums[j]);
    return start;
}

/* Rows [r, r_end) of the chunk times panels [panel, panel_end). */
static void multiply(const struct chunk *chunk, int64_t r_begin, int64_t r_end, int64_t panel, int64_t panel_end)
{
    const struct pqk_gemm_job *job = chunk->job;
    const struct pqk_gemm *g = job->kernels;
    const bool plain = is_plain(job), ahead = prefetches_c(job);
    PQK_ALIGNED(64) int32_t acc[PQK_GEMM_MAX_MR * PQK_GEMM_MAX_NR], room[PQK_GEMM_MAX_NR];
    PQK_ALIGNED(64) float sum[PQK_GEMM_MAX_MR * PQK_GEMM_MAX_NR];
    PQK_ALIGNED(64) char buffer[PQK_GEMM_MAX_MR * PQK_GEMM_MAX_NR * 4];
    if (job->grouped && job->cut.groups == 0) memset(sum, 0, sizeof sum);

    for (; panel < panel_end; ++panel) {
        const int64_t j = chunk->column + panel * g->nr;
        const int64_t skip = j < job->column ? job->column - j : 0; /* columns of the panel before the job's */
        struct pqk_epilogue_tile tile = {
            .acc = acc,
            .sum = job->grouped ? sum : NULL,
            .columns = (int)min64(g->nr, chunk->column_end - j),
            .j = j,
        };
        const bool direct = skip == 0 && job->c_col == job->c_size;
        const bool whole = plain && skip == 0 && tile.columns == g->nr;
        const int32_t *start = whole ? start_of_panel(chunk, panel, room) : NULL;
        for (int64_t r = r_begin; r < r_end;) {
            const struct pqk_gemm_shape *shape = shape_for(g, r_end - r);
            char *c = job->c + (chunk->row + r) * job->c_row + (j + skip) * job->c_col;
            tile.rows = (int)min64(shape->mr, r_end - r);
            tile.i = chunk->row + r;
            tile.c = direct ? c : buffer;
            tile.c_row = direct ? job->c_row : (ptrdiff_t)g->nr * job->c_size;
            if (direct && ahead) prefetch_tile(&tile, job->c_size);
            if (whole && tile.rows == shape->mr)
                run_tile(chunk, shape, r, tile.rows, panel, start, c, job->c_row);
            else
                multiply_tile(chunk, &tile, acc, shape, r, panel);
            if (!direct) scatter(job, buffer + skip * job->c_size, tile.c_row, tile.rows, tile.columns - (int)skip, c);
            r += shape->mr;
        }
    }
}

static void multiply_task(void *context, size_t index)
{
    const struct chunk *chunk = context;
    const int64_t r = (int64_t)index / chunk->column_blocks * chunk->block_rows;
    const int64_t panel = (int64_t)index % chunk->column_blocks * chunk->block_panels;
    multiply(chunk, r, min64(chunk->row_end - chunk->row, r + chunk->block_rows), panel,
             min64(panels_of(chunk), panel + chunk->block_panels));
}

/* Row blocks that stay in the second-level cache; then columns, and in the end rows, are cut further until there are
 * tasks enough for the threads, or these get too small. */
static void multiply_chunk(struct chunk *chunk)
{
    const struct pqk_gemm_job *job = chunk->job;
    const int64_t rows = chunk->row_end - chunk->row, panels = panels_of(chunk), mr = job->kernels->shape[0].mr;
    const size_t tall = chunk->plan->a_row ? BLOCK_BYTES / chunk->plan->a_row / (size_t)mr : (size_t)rows;
    chunk->block_rows = min64(rows, tall > 1 ? (int64_t)tall * mr : mr);
    chunk->block_panels = panels;
    chunk->column_blocks = 1;
    int64_t row_blocks = (rows + chunk->block_rows - 1) / chunk->block_rows;

    if (job->threads > 1) {
        const double work = (double)rows * (double)(panels * job->kernels->nr) * (double)job->cut.k;
        const double worth = work / TASK_WORK;
        int64_t wanted = (int64_t)job->threads * TASKS_A_THREAD;
        if (worth < (double)wanted) wanted = (int64_t)worth + 1;
        if (wanted < job->threads) wanted = job->threads;
        if (row_blocks < wanted) {
            const int64_t columns = min64(panels, (wanted + row_blocks - 1) / row_blocks);
            chunk->block_panels = (panels + columns - 1) / columns;
            chunk->column_blocks = (panels + chunk->block_panels - 1) / chunk->block_panels;
        }
        if (row_blocks * chunk->column_blocks < wanted) {
            const int64_t cuts = (wanted + chunk->column_blocks - 1) / chunk->column_blocks;
            chunk->block_rows = ((rows + cuts - 1) / cuts + mr - 1) / mr * mr;
            row_blocks = (rows + chunk->block_rows - 1) / chunk->block_rows;
        }
    }
    const int64_t tasks = row_blocks * chunk->column_blocks;
    if (job->threads > 1 && tasks > 1)
        pqk_pool_run((size_t)tasks, multiply_task, chunk, job->threads);
    else
        for (int64_t i = 0; i < tasks; ++i) multiply_task(chunk, (size_t)i);
}

static void multiply_columns(struct chunk *chunk, bool a_is_packed)
{
    const struct pqk_gemm_job *job = chunk->job;
    for (int64_t row = job->row; row < job->row_end; row += chunk->plan->rows) {
        chunk->row = row;
        chunk->row_end = min64(job->row_end, row + chunk->plan->rows);
        if (!a_is_packed) pack_a_chunk(chunk);
        multiply_chunk(chunk);
    }
}

void pqk_gemm_drive(const struct pqk_gemm_job *job, void *scratch)
{
    struct plan plan;
    (void)make_plan(job, &plan); /* as in pqk_gemm_scratch: it fits */
    uint8_t *at = scratch;
    struct chunk chunk = {.job = job, .plan = &plan, .a = at};
    at += plan.a;
    chunk.row_sums = job->call->has_v ? (int32_t *)at : NULL;
    at += plan.row_sums;

    const int nr = job->kernels->nr;
    if (job->packed) {
        const struct pqk_packed *p = job->packed;
        const int64_t first = job->column / nr;
        /* Where there are no groups now, but were for packing, the sums of all k are what is needed. */
        const int32_t *sums = job->cut.groups == 1 ? p->sums : p->group_sums;
        chunk.column = first * nr;
        chunk.column_end = job->column_end;
        chunk.b_panel = p->panel_bytes;
        chunk.b = p->data + (size_t)first * p->panel_bytes;
        chunk.group_sums = job->call->has_u ? sums + first * job->cut.groups * nr : NULL;
        multiply_columns(&chunk, false);
        return;
    }
    chunk.b = chunk.b_scratch = at;
    chunk.b_panel = plan.b_panel;
    chunk.group_sums = chunk.group_sums_scratch = job->call->has_u ? (int32_t *)(at + plan.b) : NULL;
    for (int64_t j = job->column; j < job->column_end; j += plan.columns) {
        chunk.column = j;
        chunk.column_end = min64(job->column_end, j + plan.columns);
        pack_b_chunk(&chunk);
        multiply_columns(&chunk, j > job->column && plan.rows >= job->row_end - job->row);
    }
}
