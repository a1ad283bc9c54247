/* entry_array.c -- see entry.h. */
#include <stdlib.h>
#include <string.h>
#include "entry.h"

void entry_make(struct entry_array *a)
{
    if (a->image) return;
    a->guard = guard_make(ENTRY_BYTES);
    a->image = malloc((size_t)(a->guard.high - a->guard.low));
    if (!a->image) exit(2);
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int64_t choose_block(struct rng *rng, int64_t n, int64_t multiple)
{
    const uint32_t how = rng_below(rng, 5);
    if (how == 0 || n == 0) return multiple == 1 || rng_chance(rng, 50) ? 1 : multiple;
    if (how == 1) return n;
    if (how == 2) return n + rng_below(rng, 5); /* more than there are */
    return (1 + rng_below(rng, (uint32_t)n)) * multiple;
}

static void choose_shape(struct entry_shape *s, struct rng *rng, bool large)
{
    const int long_axis = s->ndim ? (int)rng_below(rng, (uint32_t)s->ndim) : 0;
    s->elements = 1;
    for (int d = 0; d < s->ndim; ++d) {
        s->shape[d] = rng_chance(rng, 3) ? 0 : 1 + rng_below(rng, s->ndim > 3 ? 5 : 9);
        if (d == long_axis && rng_chance(rng, 50)) s->shape[d] = 1 + rng_below(rng, 600);
        if (d == long_axis && large) s->shape[d] = 5000 + rng_below(rng, 30000);
        s->elements *= s->shape[d];
    }
}

struct entry_shape entry_shape_choose(struct rng *rng, bool packed, bool large)
{
    struct entry_shape s = {.ndim = (int)(large ? 1 + rng_below(rng, 3) : rng_below(rng, ENTRY_NDIM + 1)),
                            .param_count = 1};
    do choose_shape(&s, rng, large);
    while (s.elements > ENTRY_ELEMENTS);
    s.blocks = rng_chance(rng, 75);
    for (int d = 0; d < s.ndim; ++d) {
        const bool last = packed && d == s.ndim - 1;
        s.block[d] = s.blocks ? choose_block(rng, s.shape[d], last ? 4 : 1) : s.shape[d];
        s.params[d] = s.blocks ? ceil_div(s.shape[d], s.block[d]) : 1;
        s.param_count *= s.params[d];
    }
    return s;
}

static void shuffle(struct rng *rng, int *order, int n)
{
    for (int i = n - 1; i > 0; --i) {
        const int j = (int)rng_below(rng, (uint32_t)i + 1), swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
}

static void choose_strides(struct entry_array *a, struct rng *rng, const struct entry_shape *s, bool shared)
{
    const int bits = oracle_type_bits(a->array.type), last = s->ndim - 1;
    const bool packed = bits < 8;
    const bool simple = rng_chance(rng, 30);
    int order[ENTRY_NDIM] = {0, 1, 2, 3, 4}; /* inner to outer */
    int64_t step = (bits + 7) / 8;
    for (int i = 0; i < s->ndim; ++i) order[i] = last - i; /* C */
    int movable = 0;
    if (packed && s->ndim) { /* rows of packed types stay rows */
        a->strides[last] = 0;
        step = (s->shape[last] * bits + 7) / 8;
        movable = 1;
    }
    if (!simple) {
        if (rng_chance(rng, 30))
            for (int i = movable; i < s->ndim; ++i) order[i] = i - movable; /* Fortran */
        else
            shuffle(rng, order + movable, s->ndim - movable);
    }
    if (step == 0) step = 1;
    for (int i = movable; i < s->ndim; ++i) {
        const int d = order[i];
        if (!simple && rng_chance(rng, 25)) step += rng_below(rng, 9); /* padding; misaligned too */
        a->strides[d] = step;
        if (!simple && shared && rng_chance(rng, 15))
            a->strides[d] = 0;
        else if (!simple && rng_chance(rng, 25))
            a->strides[d] = -step;
        if (a->strides[d]) step *= s->shape[d] ? s->shape[d] : 1;
    }
}

void entry_layout(struct entry_array *a, struct rng *rng, const struct entry_shape *s, pqk_type type, bool shared)
{
    const int bits = oracle_type_bits(type);
    a->array = (pqk_array){NULL, type, s->ndim, a->shape, a->strides};
    memcpy(a->shape, s->shape, sizeof a->shape);
    choose_strides(a, rng, s, shared);
    int64_t low = 0, high = (bits + 7) / 8;
    for (int d = 0; d < s->ndim; ++d) {
        const bool row = bits < 8 && d == s->ndim - 1;
        const int64_t span = row ? (s->shape[d] * bits + 7) / 8 - 1 : (s->shape[d] - 1) * a->strides[d];
        if (span < 0 && s->shape[d] > 0)
            low += span;
        else if (s->shape[d] > 0)
            high += span;
    }
    a->bytes = s->elements ? (size_t)(high - low) : 0;
    if (a->bytes > ENTRY_BYTES - 64) abort();
    const unsigned offset = rng_chance(rng, 60) ? 0 : rng_below(rng, 64);
    a->from = rng_chance(rng, 70) ? a->guard.high - a->bytes - offset : a->guard.low + offset;
    a->array.data = a->from - low;
    enum { AROUND = 256 };
    char *to = a->guard.high - (a->from + a->bytes) > AROUND ? a->from + a->bytes + AROUND : a->guard.high;
    a->window = a->from - a->guard.low > AROUND ? a->from - AROUND : a->guard.low;
    a->window_bytes = (size_t)(to - a->window);
    for (char *p = a->window; p < to; ++p) *p = (char)rng_next(rng);
    memcpy(a->image + (a->window - a->guard.low), a->window, a->window_bytes);
    /* NULL strides say the same as C order without gaps */
    int64_t next = (bits + 7) / 8;
    bool contiguous = true;
    for (int d = s->ndim - 1; d >= 0; --d) {
        if (bits < 8 && d == s->ndim - 1) {
            next = (s->shape[d] * bits + 7) / 8;
            continue;
        }
        contiguous = contiguous && a->strides[d] == next;
        next *= s->shape[d];
    }
    if (contiguous && rng_chance(rng, 60)) a->array.strides = NULL;
}

bool entry_next(const struct entry_shape *s, int64_t index[ENTRY_NDIM])
{
    for (int d = s->ndim - 1; d >= 0; --d) {
        if (++index[d] < s->shape[d]) return true;
        index[d] = 0;
    }
    return false;
}

size_t entry_param(const struct entry_shape *s, const int64_t index[ENTRY_NDIM])
{
    int64_t param = 0;
    for (int d = 0; s->blocks && d < s->ndim; ++d) param = param * s->params[d] + index[d] / s->block[d];
    return (size_t)param;
}

char *entry_at(const struct entry_array *a, bool image, const int64_t index[ENTRY_NDIM], size_t *i)
{
    char *at = a->array.data;
    const int ndim = a->array.ndim;
    *i = 0;
    for (int d = 0; d < ndim; ++d) {
        if (oracle_type_bits(a->array.type) < 8 && d == ndim - 1)
            *i = (size_t)index[d];
        else
            at += index[d] * a->strides[d];
    }
    return image ? a->image + (at - a->guard.low) : at;
}

void entry_restore(const struct entry_array *a)
{
    memcpy(a->window, a->image + (a->window - a->guard.low), a->window_bytes);
}
bool entry_agrees(const struct entry_array *a)
{
    return !memcmp(a->window, a->image + (a->window - a->guard.low), a->window_bytes);
}
