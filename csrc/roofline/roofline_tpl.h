/* roofline_tpl.h -- the loop of every pattern, written once.
 *
 * Include after defining PQK_ISA, and: raw, a register; raw_load(p), raw_or(a, b), raw_store(p, x), and
 * raw_stream(p, x) with raw_stream_end(), which go around the caches where the CPU can.
 *
 * A step is twice as many elements as a register has bytes: a pattern of b bits an element moves b / 4 registers,
 * 8 of f32 down to 1 of packed 4 bits, all in flight together.
 */
#include <string.h>
#include "roofline/roofline.h"
#include "core/macros.h"

enum { RAW = sizeof(raw), STEP = 2 * RAW, MOST = 8 };

/* Register s of the `stores` made from v[0 .. loads). */
static PQK_INLINE raw word_to_store(const raw *v, int loads, int stores, int s)
{
    if (loads <= stores) return v[s * loads / stores];
    const int each = loads / stores;
    raw x = v[s * each];
    unrolled_for (int i = 1; i < each; ++i) x = raw_or(x, v[s * each + i]);
    return x;
}

static PQK_INLINE void store_words(char *to, const raw *v, int loads, int stores, int stream)
{
    unrolled_for (int s = 0; s < stores; ++s) {
        const raw x = word_to_store(v, loads, stores, s);
        if (stream)
            raw_stream(to + s * RAW, x);
        else
            raw_store(to + s * RAW, x);
    }
}

static PQK_INLINE void move(int read, int write, int extra, const char *in, char *out, char *out2, size_t elements,
                            int stream, int places)
{
    const int loads = read / 4, stores = write / 4, more = extra / 4;
    const size_t each = elements / (size_t)places, bytes = each / 8; /* from place to place, for every bit */
    for (size_t i = 0; i < each; i += STEP, in += loads * RAW, out += stores * RAW, out2 += more * RAW) {
        unrolled_for (int place = 0; place < places; ++place) {
            const size_t at = (size_t)place * bytes;
            raw v[MOST];
            unrolled_for (int j = 0; j < loads; ++j) v[j] = raw_load(in + at * (size_t)read + j * RAW);
            store_words(out + at * (size_t)write, v, loads, stores, stream);
            if (more) store_words(out2 + at * (size_t)extra, v, loads, more, stream);
        }
    }
    if (stream) raw_stream_end();
}

static PQK_INLINE void read_only(int read, const char *in, char *out, size_t elements, int places)
{
    const int loads = read / 4;
    const size_t each = elements / (size_t)places, bytes = each / 8;
    raw sum[MOST];
    for (int j = 0; j < loads; ++j) sum[j] = raw_load(in + j * RAW);
    for (size_t i = 0; i < each; i += STEP, in += loads * RAW) {
        unrolled_for (int place = 0; place < places; ++place) {
            const char *p = in + (size_t)place * bytes * (size_t)read;
            unrolled_for (int j = 0; j < loads; ++j) sum[j] = raw_or(sum[j], raw_load(p + j * RAW));
        }
    }
    raw_store(out, word_to_store(sum, loads, 1, 0));
}

static PQK_INLINE void roofline(int read, int write, int extra, const char *in, char *out, char *out2, size_t elements,
                                int way)
{
    if (!write) {
        if (way & PQK_ROOFLINE_PLACES)
            read_only(read, in, out, elements, 4);
        else
            read_only(read, in, out, elements, 1);
        return;
    }
    switch (way & 3) {
    case 0:
        move(read, write, extra, in, out, out2, elements, 0, 1);
        break;
    case 1:
        move(read, write, extra, in, out, out2, elements, 1, 1);
        break;
    case 2:
        move(read, write, extra, in, out, out2, elements, 0, 4);
        break;
    case 3:
        move(read, write, extra, in, out, out2, elements, 1, 4);
        break;
    }
}

pqk_roofline_fn PQK_NAME(roofline);
void PQK_NAME(roofline)(int pattern, const char *in, char *out, char *out2, size_t elements, int way)
{
    int i = 0;
#define PQK_ROOFLINE_CASE(read, write, extra)                       \
    if (i++ == pattern) {                                           \
        roofline(read, write, extra, in, out, out2, elements, way); \
        return;                                                     \
    }
    PQK_ROOFLINE_PATTERNS(PQK_ROOFLINE_CASE)
#undef PQK_ROOFLINE_CASE
}
