/* driver.c -- the float product, block by block.
 *
 * Rows are taken ROWS at a time (a strip).  A of a strip becomes float32 in row panels [k][mr] in the scratch.  A task
 * is one panel of 32 columns of B by one block of BLOCK rows of the strip:
 *
 *     for KC rows of k at a time, within a group:      B: decoded once, [KC][32] float32 = 16 KiB
 *         for each row panel of the block:             C: [BLOCK][32] float32 = 30 KiB, a row panel at a time
 *             C += A B                                 a block of few rows: both steps in one, for each row panel
 *     epilogue, row panel by row panel
 *
 * B stays in the first-level cache; A and C stream from the second, mr * 4 bytes for mr * 32 multiply-adds.  k runs
 * from front to back for each element of C whatever the blocks are, so its bits do not depend on them.
 */
#include "gemm_float/driver.h"
#include <string.h>
#include "convert/convert.h"
#include "core/macros.h"
#include "core/memory.h"
#include "core/pool.h"

enum { ROWS = 480, BLOCK = 240, KC = 128, PANEL = PQK_FLOAT_PANEL };

/* The height of the row panel that begins where `left` of a block's rows are left: the tallest that fits, or else the
 * lowest that takes them all. */
static const struct pqk_gemm_float_shape *shape_for(const struct pqk_gemm_float *kernels, int64_t rows, int64_t left)
{
    const struct pqk_gemm_float_shape *shape = &kernels->shape[0];
    while (rows <= kernels->few && !shape->decoded) ++shape;
    while (shape->mr > left && shape[1].run && shape[1].mr >= left) ++shape;
    return shape;
}

/* Rows of k floats that the row panels of the first strip take; the last panel of each block is filled up. */
static int64_t strip_rows(const struct pqk_gemm_float_job *job)
{
    const int64_t all = job->row_end - job->row, rows = all < ROWS ? all : ROWS;
    return rows + (rows + BLOCK - 1) / BLOCK * PQK_GEMM_FLOAT_MAX_MR;
}

bool pqk_gemm_float_scratch(const struct pqk_gemm_float_job *job, size_t *bytes)
{
    size_t row;
    return pqk_mul_size((size_t)job->w->k, sizeof(float), &row) && pqk_mul_size(row, (size_t)strip_rows(job), bytes) &&
           *bytes <= PTRDIFF_MAX;
}

struct strip {
    const struct pqk_gemm_float_job *job;
    int64_t row, rows; /* of C */
    float *a;
    size_t block_floats; /* from block to block of a */
    int64_t first_panel, panels;
};

/* n elements of a row from element p on, as float32. */
static void row_to_float(const struct pqk_gemm_float_job *job, int64_t i, int64_t p, int64_t n, float *to)
{
    enum { CHUNK = 512 };
    const char *from = job->a + i * job->a_row + p * job->a_col;
    const int size = pqk_type_bits(job->a_type) / 8;
    char run[CHUNK * 4];
    struct pqk_convert convert = {.rounding = PQK_NEAREST_EVEN};
    if (job->a_col != size) {
        for (int64_t q = 0; q < n; ++q, from += job->a_col) memcpy(run + q * size, from, (size_t)size);
        from = run;
    }
    if (job->a_type == PQK_F32) {
        memcpy(to, from, (size_t)n * sizeof *to);
        return;
    }
    const struct pqk_tile tile = {
        .rows = 1, .n = (size_t)n, .data = {(char *)(uintptr_t)from, (char *)to}
    };
    convert.format = pqk_format_of(pqk_is_wide(job->a_type) ? PQK_F32 : job->a_type, &convert.bits);
    pqk_convert_kernel(job->a_type, PQK_F32)(&tile, &convert);
}

/* Block `index` of the strip's A into row panels. */
static void pack_block(void *context, size_t index)
{
    enum { CHUNK = 512 };
    const struct strip *s = context;
    const int64_t k = s->job->w->k,
                  end = s->rows < ((int64_t)index + 1) * BLOCK ? s->rows : ((int64_t)index + 1) * BLOCK;
    float *to = s->a + index * s->block_floats;
    float row[CHUNK];
    const int64_t first = (int64_t)index * BLOCK;
    for (int64_t i = first; i < end;) {
        const int mr = shape_for(s->job->kernels, end - first, end - i)->mr;
        const int m = end - i < mr ? (int)(end - i) : mr;
        if (m < mr) memset(to, 0, (size_t)k * (size_t)mr * sizeof *to);
        for (int r = 0; r < m; ++r)
            for (int64_t p = 0; p < k; p += CHUNK) {
                const int64_t n = k - p < CHUNK ? k - p : CHUNK;
                row_to_float(s->job, s->row + i + r, p, n, row);
                for (int64_t q = 0; q < n; ++q) to[(p + q) * mr + r] = row[q];
            }
        to += k * mr;
        i += m;
    }
}

/* Rows of C that are not contiguous: made in `rows`, then put where they belong. */
static void finish(const struct pqk_gemm_float_job *job, struct pqk_epilogue_tile *tile)
{
    PQK_ALIGNED(64) char rows[PQK_GEMM_FLOAT_MAX_MR][PANEL * 4];
    char *home = job->c + tile->i * job->c_row + tile->j * job->c_col;
    const bool contiguous = job->c_col == job->c_size;
    tile->c = contiguous ? home : rows[0];
    tile->c_row = contiguous ? job->c_row : (ptrdiff_t)sizeof rows[0];
    job->epilogue->finish(job->call, tile);
    for (int r = 0; !contiguous && r < tile->rows; ++r)
        for (int j = 0; j < tile->columns; ++j)
            memcpy(home + r * job->c_row + j * job->c_col, rows[r] + j * job->c_size, (size_t)job->c_size);
}

/* c[rows][32] of a block: all of k. */
static void multiply(const struct strip *s, int64_t panel, const float *a, int64_t rows, float *c)
{
    const struct pqk_gemm_float_job *job = s->job;
    const int64_t k = job->w->k, group = job->w->group;
    PQK_ALIGNED(64) float b[KC * PANEL];
    PQK_ALIGNED(64) char lanes[PQK_FLOAT_LANES];
    struct pqk_panel_codes codes;
    if (job->w->format) job->kernels->begin(job->w->format, lanes);
    if (k == 0) memset(c, 0, (size_t)(rows + PQK_GEMM_FLOAT_MAX_MR) * PANEL * sizeof *c);
    for (int64_t p = 0, n; p < k; p += n) {
        n = group - p % group < k - p ? group - p % group : k - p;
        n = n < KC ? n : KC;
        pqk_weights_codes(job->w, panel, p, &codes);
        const bool few = rows <= job->kernels->few;
        if (!few) job->kernels->decode((size_t)n, &codes, lanes, b);
        const float *at = a;
        for (int64_t i = 0; i < rows;) {
            const struct pqk_gemm_float_shape *shape = shape_for(job->kernels, rows, rows - i);
            if (few) shape->decoded((size_t)n, &codes, lanes, at + p * shape->mr, c + i * PANEL, p == 0);
            for (int j = 0; j < PANEL && !few; j += job->kernels->nr)
                shape->run((size_t)n, at + p * shape->mr, b + j, c + i * PANEL + j, p == 0);
            at += k * shape->mr;
            i += shape->mr;
        }
    }
}

static void run_task(void *context, size_t index)
{
    const struct strip *s = context;
    const struct pqk_gemm_float_job *job = s->job;
    const int64_t block = (int64_t)index / s->panels, panel = s->first_panel + (int64_t)index % s->panels;
    const int64_t first = block * BLOCK, rows = s->rows - first < BLOCK ? s->rows - first : BLOCK;
    PQK_ALIGNED(64) float c[(BLOCK + PQK_GEMM_FLOAT_MAX_MR) * PANEL];
    multiply(s, panel, s->a + (size_t)block * s->block_floats, rows, c);

    /* The part of this panel that is wanted: columns [from, to) of it. */
    const int64_t from = panel == s->first_panel ? job->column % PANEL : 0;
    const int64_t to = job->column_end - panel * PANEL < PANEL ? job->column_end - panel * PANEL : PANEL;
    for (int64_t i = 0; i < rows; i += PQK_GEMM_FLOAT_MAX_MR) {
        struct pqk_epilogue_tile tile = {.sum = c + i * PANEL + from, .columns = (int)(to - from)};
        PQK_ALIGNED(64) float moved[PQK_GEMM_FLOAT_MAX_MR * PANEL];
        tile.rows = (int)(rows - i < PQK_GEMM_FLOAT_MAX_MR ? rows - i : PQK_GEMM_FLOAT_MAX_MR);
        tile.i = s->row + first + i;
        tile.j = panel * PANEL + from;
        if (from) { /* the epilogue reads whole registers from an aligned place */
            memcpy(moved, tile.sum, ((size_t)tile.rows * PANEL - (size_t)from) * sizeof *moved);
            tile.sum = moved;
        }
        finish(job, &tile);
    }
}

void pqk_gemm_float_drive(const struct pqk_gemm_float_job *job, void *scratch)
{
    struct strip s = {.job = job, .a = scratch};
    s.block_floats = (size_t)job->w->k * (BLOCK + PQK_GEMM_FLOAT_MAX_MR);
    s.first_panel = job->column / PANEL;
    s.panels = (job->column_end - 1) / PANEL - s.first_panel + 1;
    for (s.row = job->row; s.row < job->row_end; s.row += ROWS) {
        s.rows = job->row_end - s.row < ROWS ? job->row_end - s.row : ROWS;
        const size_t blocks = (size_t)((s.rows + BLOCK - 1) / BLOCK);
        pqk_pool_run(blocks, pack_block, &s, job->threads);
        pqk_pool_run(blocks * (size_t)s.panels, run_task, &s, job->threads);
    }
}
