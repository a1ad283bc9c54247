/* stream.h -- writes that go around the caches, and reads ahead of use.
 *
 * A result that is larger than the last-level cache is made in a small buffer, then copied out with non-temporal
 * stores: no line of the output is read first.  One copy for every kernel.
 */
#ifndef PQK_STREAM_H
#define PQK_STREAM_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "core/macros.h"

enum { PQK_STREAM_CHUNK = 2048 }; /* bytes of the buffer */

#if defined(PQK_X86)
#include <immintrin.h>
enum { PQK_CAN_STREAM = 1 };

/* The widest store of the file's instruction set: a whole cache line at once where that is AVX-512. */
#if defined(__AVX512F__)
enum { PQK_STREAM_WORD = 64 };
static inline void pqk_stream_word(char *to, const char *from)
{
    _mm512_stream_si512((void *)to, _mm512_loadu_si512(from));
}
#elif defined(__AVX__)
enum { PQK_STREAM_WORD = 32 };
static inline void pqk_stream_word(char *to, const char *from)
{
    _mm256_stream_si256((__m256i *)(void *)to, _mm256_loadu_si256((const __m256i *)(const void *)from));
}
#else
enum { PQK_STREAM_WORD = 16 };
static inline void pqk_stream_word(char *to, const char *from)
{
    _mm_stream_si128((__m128i *)(void *)to, _mm_loadu_si128((const __m128i *)(const void *)from));
}
#endif

static inline void pqk_stream_copy(char *to, const char *from, size_t bytes)
{
    const size_t head = (size_t)(-(intptr_t)to & (PQK_STREAM_WORD - 1)); /* such stores want alignment */
    if (head >= bytes) {
        memcpy(to, from, bytes);
        return;
    }
    memcpy(to, from, head);
    size_t i = head;
    for (; i + PQK_STREAM_WORD <= bytes; i += PQK_STREAM_WORD) pqk_stream_word(to + i, from + i);
    memcpy(to + i, from + i, bytes - i);
}
static inline void pqk_stream_end(void) { _mm_sfence(); }

/* Asks for the cache line at p, inside an array, to be in the second-level cache soon. */
static inline void pqk_fetch_ahead(const char *p) { _mm_prefetch(p, _MM_HINT_T1); }
#else
enum { PQK_CAN_STREAM = 0 };
static inline void pqk_stream_copy(char *to, const char *from, size_t bytes) { memcpy(to, from, bytes); }
static inline void pqk_stream_end(void) {}
static inline void pqk_fetch_ahead(const char *p) { (void)p; }
#endif

/* How many elements of `bits` bits to make next, `left` of them being left: whole cache lines of the output, so
 * that no line is written in two parts. */
static inline size_t pqk_stream_elements(const char *to, size_t left, int bits)
{
    const size_t bytes = PQK_STREAM_CHUNK - (size_t)((intptr_t)to & 63);
    const size_t elements = bytes * 8 / (size_t)bits;
    return elements < left ? elements : left;
}

#endif
