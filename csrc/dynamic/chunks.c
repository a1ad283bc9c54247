/* chunks.c -- chunks.h says what is cut. */
#include "dynamic/chunks.h"
#include <string.h>

/* Bytes of x in a chunk: half of a small second-level cache.  At least CHUNKS chunks a thread, but not tiny ones. */
enum { CHUNK_BYTES = 128 << 10, CHUNK_LEAST = 8 << 10, CHUNKS = 8 };

int64_t pqk_chunks_limit(const pqk_array *x) { return CHUNK_BYTES * 8 / pqk_type_bits(x->type); }

/* Strides in bytes.  Of a packed type the last is not one, and its rows end at whole bytes. */
static void strides_of(const pqk_array *a, int64_t *strides)
{
    const int bits = pqk_type_bits(a->type);
    int64_t next = bits;
    for (int d = a->ndim - 1; d >= 0; --d) {
        strides[d] = a->strides ? a->strides[d] : next / 8;
        next = (next * a->shape[d] + 7) / 8 * 8;
    }
}

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

/* The axis of the smallest stride of x among those not yet taken, the later one of two. */
static int innermost(const struct pqk_chunks *c, const char *taken)
{
    int best = -1;
    for (int d = c->x->ndim - 1; d >= 0; --d)
        if (!taken[d] && (best < 0 || magnitude(c->x_stride[d]) < magnitude(c->x_stride[best]))) best = d;
    return best;
}

void pqk_chunks_make(struct pqk_chunks *c, const pqk_array *x, const pqk_array *q, const int64_t *block, int threads)
{
    const bool packed = pqk_type_bits(q->type) < 8;
    const int last = x->ndim - 1;
    char taken[PQK_MAX_NDIM] = {0};
    int64_t elements = 1, all = 1, count = 1;

    c->x = x;
    c->q = q;
    strides_of(x, c->x_stride);
    strides_of(q, c->q_stride);
    for (int d = 0; d < x->ndim; ++d) {
        const int64_t n = x->shape[d];
        c->block[d] = !block || block[d] > n ? n : block[d];
        c->blocks[d] = (n + c->block[d] - 1) / c->block[d];
        c->step[d] = 1;
        elements *= c->block[d];
        all *= n;
    }
    /* Four elements of a packed type are whole bytes. */
    if (packed && c->block[last] % 4 && c->blocks[last] > 1) {
        c->step[last] = c->blocks[last] < 4 ? c->blocks[last] : 4;
        elements *= c->step[last];
        count = c->step[last];
    }
    int64_t limit = all / (CHUNKS * (int64_t)threads);
    limit = limit < CHUNK_LEAST ? CHUNK_LEAST : limit;
    limit = limit < pqk_chunks_limit(x) ? limit : pqk_chunks_limit(x);
    for (int i = 0; i < x->ndim; ++i) {
        const int d = innermost(c, taken);
        int64_t times = limit / elements, most = PQK_CHUNK_BLOCKS / count;
        const int64_t room = (c->blocks[d] + c->step[d] - 1) / c->step[d];
        taken[d] = 1;
        times = times < most ? times : most;
        times = times < room ? times : room;
        if (times <= 1) continue;
        const int64_t before = c->step[d];
        c->step[d] = before * times < c->blocks[d] ? before * times : c->blocks[d];
        elements *= times;
        count *= times;
        if (c->step[d] < c->blocks[d]) break; /* more along other axes would be far away */
    }
    c->stream = pqk_tiles_stream(all, pqk_type_bits(x->type) + pqk_type_bits(q->type));
    c->count = 1;
    for (int d = 0; d < x->ndim; ++d) c->count *= (c->blocks[d] + c->step[d] - 1) / c->step[d];
}

void pqk_chunks_take(const struct pqk_chunks *c, int64_t index, struct pqk_chunk *chunk)
{
    const int bits = pqk_type_bits(c->q->type), last = c->x->ndim - 1;
    char *x = c->x->data, *q = c->q->data;
    chunk->count = 1;
    for (int d = last; d >= 0; --d) {
        const int64_t steps = (c->blocks[d] + c->step[d] - 1) / c->step[d], first = index % steps * c->step[d];
        const int64_t left = c->blocks[d] - first, begin = first * c->block[d];
        const int64_t rest = c->x->shape[d] - begin;
        index /= steps;
        chunk->first[d] = first;
        chunk->blocks[d] = left < c->step[d] ? left : c->step[d];
        chunk->shape[d] = chunk->blocks[d] * c->block[d] < rest ? chunk->blocks[d] * c->block[d] : rest;
        chunk->count *= (size_t)chunk->blocks[d];
        x += begin * c->x_stride[d];
        q += bits < 8 && d == last ? begin * bits / 8 : begin * c->q_stride[d];
    }
    chunk->x = (pqk_array){x, c->x->type, c->x->ndim, chunk->shape, c->x_stride};
    chunk->q = (pqk_array){q, c->q->type, c->q->ndim, chunk->shape, c->q_stride};
}

void pqk_chunks_give(const struct pqk_chunks *c, const struct pqk_chunk *chunk, const char *numbers, char *to,
                     size_t size)
{
    const int ndim = c->x->ndim, last = ndim - 1;
    const size_t run = ndim ? (size_t)chunk->blocks[last] : 1;
    int64_t at[PQK_MAX_NDIM] = {0};
    for (size_t done = 0; done < chunk->count; done += run) {
        int64_t index = 0;
        for (int d = 0; d < ndim; ++d) index = index * c->blocks[d] + chunk->first[d] + at[d];
        memcpy(to + (size_t)index * size, numbers + done * size, run * size);
        for (int d = last - 1; d >= 0 && ++at[d] == chunk->blocks[d]; --d) at[d] = 0;
    }
}
