/* packed.c -- B in the order of the micro-kernels: made once, read by any number of calls. */
#include "gemm/packed.h"
#include <string.h>
#include "core/macros.h"
#include "core/memory.h"
#include "core/pool.h"
#include "dispatch/dispatch.h"

enum {
    CHUNK = 64,              /* rows at a time: the panels' pieces of a row share cache lines, which are still there */
    TASK_BYTES = 256 * 1024, /* of B, a task: ten microseconds */
};

bool pqk_gemm_cut_make(struct pqk_gemm_cut *cut, const struct pqk_gemm *kernels, int64_t k, int64_t group_size)
{
    const int64_t most = k > 0 ? k : 1;
    struct pqk_gemm_cut c = {.k = k, .group = group_size > 0 && group_size < most ? group_size : most};
    c.groups = group_size > 0 || k > 0 ? k / c.group + (k % c.group != 0) : 1;
    c.steps = pqk_gemm_steps(kernels, c.group);
    c.all = 0;
    if (c.groups > 0) {
        if (!pqk_mul_size((size_t)(c.groups - 1), c.steps, &c.all)) return false;
        if (!pqk_add_size(c.all, pqk_gemm_steps(kernels, pqk_gemm_group_length(&c, c.groups - 1)), &c.all))
            return false;
    }
    /* Bytes of a panel of either matrix, and what its sums take. */
    size_t bytes;
    if (!pqk_mul_size(c.all, 2 * PQK_GEMM_MAX_NR * PQK_GEMM_MAX_KR, &bytes)) return false;
    *cut = c;
    return true;
}

/* Columns [j, j + n), rows [p, p + k) of one group of a packed matrix, as they lie there, into rows of nr bytes. */
static void read_packed(const struct pqk_packed *b, int64_t p, int64_t k, int64_t j, int n, uint8_t *to, int nr)
{
    const struct pqk_gemm *g = b->kernels;
    const int64_t group = p / b->cut.group, first = p % b->cut.group;
    for (int i = 0; i < n; ++i, ++j) {
        const uint8_t *panel = b->data + (size_t)(j / g->nr) * b->panel_bytes;
        const uint8_t *column = panel + (size_t)group * b->cut.steps * pqk_gemm_b_step(g) + j % g->nr * g->kr;
        for (int64_t q = 0; q < k; ++q)
            to[q * nr + i] = column[(size_t)((first + q) / g->kr) * pqk_gemm_b_step(g) + (size_t)((first + q) % g->kr)];
    }
}

/* Rows [p, p + k) of the source into [CHUNK][nr]: how any strides are packed. */
static void gather(const struct pqk_gemm_b_source *b, int64_t p, int64_t k, int64_t j, int n, uint8_t *to, int nr)
{
    if (b->packed) {
        for (int64_t q = 0, part; q < k; q += part) { /* piece by piece of its groups */
            const int64_t left = b->packed->cut.group - (p + q) % b->packed->cut.group;
            part = k - q < left ? k - q : left;
            read_packed(b->packed, p + q, part, j, n, to + q * nr, nr);
        }
        return;
    }
    for (int64_t q = 0; q < k; ++q) {
        const char *from = b->data + (p + q) * b->p_stride + j * b->j_stride;
        for (int i = 0; i < n; ++i) to[q * nr + i] = (uint8_t)from[i * b->j_stride];
    }
}

static void add_group_sums(const struct pqk_gemm *kernels, const struct pqk_gemm_cut *cut, int64_t panels,
                           const struct pqk_gemm_b_panels *to)
{
    for (int64_t panel = 0; panel < panels; ++panel) {
        int32_t *sums = to->sums + panel * kernels->nr;
        const int32_t *part = to->group_sums + panel * cut->groups * kernels->nr;
        memset(sums, 0, (size_t)kernels->nr * sizeof *sums);
        for (int64_t g = 0; g < cut->groups; ++g, part += kernels->nr)
            for (int j = 0; j < kernels->nr; ++j) sums[j] = (int32_t)((uint32_t)sums[j] + (uint32_t)part[j]);
    }
}

void pqk_gemm_pack_columns(const struct pqk_gemm *kernels, const struct pqk_gemm_cut *cut,
                           const struct pqk_gemm_b_source *source, int64_t j, int64_t n,
                           const struct pqk_gemm_b_panels *to)
{
    const int nr = kernels->nr;
    const int64_t panels = n / nr + (n % nr != 0);
    const bool rows = !source->packed && (source->j_stride == 1 || n == 1),
               columns = !source->packed && source->p_stride == 1;
    const uint8_t flip = source->packed ? 0 : source->flip; /* what is packed has been flipped */
    PQK_ALIGNED(64) uint8_t gathered[CHUNK * PQK_GEMM_MAX_NR];

    if (to->group_sums) memset(to->group_sums, 0, (size_t)(panels * cut->groups * nr) * sizeof *to->group_sums);
    for (int64_t g = 0; g < cut->groups; ++g) {
        const int64_t begin = g * cut->group, end = begin + pqk_gemm_group_length(cut, g);
        /* A column that is contiguous is read from end to end; all others in chunks of rows, across the panels. */
        const int64_t chunk = columns && !rows ? end - begin : CHUNK;
        for (int64_t p = begin; p < end; p += chunk) {
            const int64_t k = end - p < chunk ? end - p : chunk;
            for (int64_t panel = 0; panel < panels; ++panel) {
                const int64_t first = j + panel * nr;
                const int m = n - panel * nr < nr ? (int)(n - panel * nr) : nr;
                uint8_t *packed =
                    to->data + (size_t)panel * to->panel_bytes +
                    ((size_t)g * cut->steps + (size_t)((p - begin) / kernels->kr)) * pqk_gemm_b_step(kernels);
                int32_t *sums = to->group_sums ? to->group_sums + (panel * cut->groups + g) * nr : NULL;
                if (rows || columns) {
                    const char *b = source->data + p * source->p_stride + first * source->j_stride;
                    kernels->pack_b(b, source->p_stride, rows ? 1 : source->j_stride, (size_t)k, m, flip, packed, sums);
                } else {
                    gather(source, p, k, first, m, gathered, nr);
                    kernels->pack_b(gathered, nr, 1, (size_t)k, m, flip, packed, sums);
                }
            }
        }
    }
    if (to->sums && to->sums != to->group_sums) add_group_sums(kernels, cut, panels, to);
}

struct pack_job {
    const struct pqk_packed *packed;
    struct pqk_gemm_b_source source;
    int64_t panels; /* a task */
};

static void pack_task(void *context, size_t index)
{
    const struct pack_job *job = context;
    const struct pqk_packed *p = job->packed;
    const int64_t nr = p->kernels->nr, first = (int64_t)index * job->panels;
    const int64_t left = p->n - first * nr;
    const struct pqk_gemm_b_panels to = {
        .data = p->data + (size_t)first * p->panel_bytes,
        .panel_bytes = p->panel_bytes,
        .group_sums = p->group_sums + first * p->cut.groups * nr,
        .sums = p->sums + first * nr,
    };
    pqk_gemm_pack_columns(p->kernels, &p->cut, &job->source, first * nr,
                          left < job->panels * nr ? left : job->panels * nr, &to);
}

static size_t round_up_64(size_t size) { return (size + 63) & ~(size_t)63; }

/* The sizes of everything inside; false where they overflow. */
static bool measure(const struct pqk_packed *p, size_t *data, size_t *group_sums, size_t *sums, size_t *all)
{
    const size_t panels = (size_t)p->panels, nr = (size_t)p->kernels->nr, limit = SIZE_MAX / 8;
    if (!pqk_mul_size(panels, p->panel_bytes, data) || *data > limit) return false;
    if (!pqk_mul_size(panels, nr * sizeof(int32_t), sums) || *sums > limit) return false;
    if (!pqk_mul_size(*sums, (size_t)p->cut.groups, group_sums) || *group_sums > limit) return false;
    if (p->cut.groups == 1) *group_sums = 0; /* they are the sums */
    *all = round_up_64(sizeof *p) + *data + *group_sums + *sums;
    return true;
}

pqk_status pqk_pack(const pqk_array *b, int64_t group_size, pqk_packed **packed)
{
    if (b->type != PQK_S8 && b->type != PQK_U8) return PQK_ERROR_TYPE;
    if (group_size < 0) return PQK_ERROR_BLOCK;
    if (b->ndim != 2) return PQK_ERROR_SHAPE;
    const pqk_status status = pqk_gemm_check_array(b);
    if (status) return status;

    struct pqk_packed made = {
        .kernels = pqk_active_kernels()->gemm_s8,
        .n = b->shape[1],
        .group_size = group_size,
        .type = b->type,
        .layer = pqk_active_layer(),
        .flip = b->type == PQK_U8 ? 0x80 : 0,
    };
    made.panels = made.n / made.kernels->nr + (made.n % made.kernels->nr != 0);
    if (!pqk_gemm_cut_make(&made.cut, made.kernels, b->shape[0], group_size)) return PQK_ERROR_SHAPE;
    made.panel_bytes = made.cut.all * pqk_gemm_b_step(made.kernels);
    size_t data, group_sums, sums;
    if (!measure(&made, &data, &group_sums, &sums, &made.bytes)) return PQK_ERROR_SHAPE;

    uint8_t *memory = pqk_aligned_alloc(made.bytes);
    if (!memory) return PQK_ERROR_MEMORY;
    made.data = memory + round_up_64(sizeof made);
    made.sums = (int32_t *)(made.data + data);
    made.group_sums = group_sums || made.cut.groups == 0 ? (int32_t *)(made.data + data + sums) : made.sums;
    struct pqk_packed *p = (struct pqk_packed *)memory;
    *p = made;

    struct pack_job job = {
        .packed = p, .source = {.data = b->data, .flip = made.flip},
             .panels = 1
    };
    pqk_gemm_strides(b, &job.source.p_stride, &job.source.j_stride);
    if (made.panel_bytes < TASK_BYTES) job.panels = (int64_t)(TASK_BYTES / (made.panel_bytes + 1)) + 1;
    if (job.panels > made.panels) job.panels = made.panels ? made.panels : 1;
    pqk_pool_run((size_t)((made.panels + job.panels - 1) / job.panels), pack_task, &job, 0);
    *packed = p;
    return PQK_OK;
}

void pqk_packed_free(pqk_packed *packed) { pqk_aligned_free(packed); }

void pqk_packed_describe(const pqk_packed *packed, pqk_packed_info *info)
{
    *info = (pqk_packed_info){
        .k = packed->cut.k,
        .n = packed->n,
        .group_size = packed->group_size,
        .type = packed->type,
        .bytes = packed->bytes,
        .layer = packed->layer,
    };
}

struct unpack_job {
    const struct pqk_packed *packed;
    char *data;
    ptrdiff_t p_stride, j_stride;
};

/* One panel. */
static void unpack_task(void *context, size_t index)
{
    const struct unpack_job *job = context;
    const struct pqk_packed *b = job->packed;
    const int nr = b->kernels->nr;
    const int64_t j = (int64_t)index * nr;
    const int n = b->n - j < nr ? (int)(b->n - j) : nr;
    const struct pqk_gemm_b_source source = {.packed = b};
    PQK_ALIGNED(64) uint8_t rows[CHUNK * PQK_GEMM_MAX_NR];
    for (int64_t p = 0; p < b->cut.k; p += CHUNK) {
        const int64_t k = b->cut.k - p < CHUNK ? b->cut.k - p : CHUNK;
        gather(&source, p, k, j, n, rows, nr);
        for (int64_t q = 0; q < k; ++q) {
            char *to = job->data + (p + q) * job->p_stride + j * job->j_stride;
            for (int i = 0; i < n; ++i) to[i * job->j_stride] = (char)(rows[q * nr + i] ^ b->flip);
        }
    }
}

pqk_status pqk_unpack(const pqk_packed *packed, const pqk_array *b)
{
    if (b->type != packed->type) return PQK_ERROR_TYPE;
    if (b->ndim != 2 || b->shape[0] != packed->cut.k || b->shape[1] != packed->n) return PQK_ERROR_SHAPE;
    const pqk_status status = pqk_gemm_check_array(b);
    if (status) return status;
    struct unpack_job job = {.packed = packed, .data = b->data};
    pqk_gemm_strides(b, &job.p_stride, &job.j_stride);
    pqk_pool_run((size_t)packed->panels, unpack_task, &job, 0);
    return PQK_OK;
}
