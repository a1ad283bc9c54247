/* place.c -- an array in guarded memory: what lies around and between its rows must survive. */
#include "harness.h"
#include <string.h>

enum { MARGIN = 128 }; /* bytes before and after the array that are watched, as far as the guards leave them */

void place_make(struct place *p, size_t most_bytes) { p->guard = guard_make(most_bytes + 2 * MARGIN); }

void place_rows(struct place *p, const struct shape *shape, size_t row_bytes, size_t gap, bool backwards)
{
    const size_t step = row_bytes + gap;
    p->rows = shape->rows;
    p->row_bytes = row_bytes;
    p->extent = (shape->rows - 1) * step + row_bytes;
    p->base = shape->at_end ? p->guard.high - p->extent - shape->offset : p->guard.low + shape->offset;
    p->stride = backwards ? -(ptrdiff_t)step : (ptrdiff_t)step;
    p->data = backwards ? p->base + (shape->rows - 1) * step : p->base;
}

static char *watched_from(const struct place *p)
{
    return p->base - p->guard.low < MARGIN ? p->guard.low : p->base - MARGIN;
}
static char *watched_to(const struct place *p)
{
    char *end = p->base + p->extent;
    return p->guard.high - end < MARGIN ? p->guard.high : end + MARGIN;
}

void place_fill(struct place *p, unsigned char fill)
{
    p->fill = fill;
    memset(watched_from(p), fill, (size_t)(watched_to(p) - watched_from(p)));
}

void place_write(struct place *p, const char *rows)
{
    for (size_t r = 0; r < p->rows; ++r)
        memcpy(p->data + (ptrdiff_t)r * p->stride, rows + r * p->row_bytes, p->row_bytes);
}

static bool all_are(const char *from, const char *to, unsigned char fill)
{
    for (; from < to; ++from)
        if ((unsigned char)*from != fill) return false;
    return true;
}

const char *place_compare(const struct place *p, const char *rows, size_t *row, size_t *byte)
{
    *row = *byte = 0;
    for (size_t r = 0; r < p->rows; ++r) {
        const char *have = p->data + (ptrdiff_t)r * p->stride, *want = rows + r * p->row_bytes;
        if (!memcmp(have, want, p->row_bytes)) continue;
        *row = r;
        while (have[*byte] == want[*byte]) ++*byte;
        return "wrong value";
    }
    if (!all_are(watched_from(p), p->base, p->fill)) return "written before the array";
    if (!all_are(p->base + p->extent, watched_to(p), p->fill)) return "written after the array";
    const size_t step = (size_t)(p->stride < 0 ? -p->stride : p->stride);
    for (size_t r = 0; r + 1 < p->rows; ++r) {
        *row = r;
        if (!all_are(p->base + r * step + p->row_bytes, p->base + (r + 1) * step, p->fill))
            return "written between two rows";
    }
    return NULL;
}
