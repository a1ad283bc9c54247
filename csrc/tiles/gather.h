/* gather.h -- copies between a strided run and a contiguous buffer; size is 1, 2 or 4 bytes, stride in bytes. */
#ifndef PQK_TILES_GATHER_H
#define PQK_TILES_GATHER_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void pqk_strided_copy(char *to, ptrdiff_t to_stride, const char *from, ptrdiff_t from_stride, size_t n,
                                    int size)
{
    /* memcpy of a constant size is one load and one store, at any alignment */
    switch (size) {
    case 1:
        for (size_t i = 0; i < n; ++i, to += to_stride, from += from_stride) memcpy(to, from, 1);
        break;
    case 2:
        for (size_t i = 0; i < n; ++i, to += to_stride, from += from_stride) memcpy(to, from, 2);
        break;
    default:
        for (size_t i = 0; i < n; ++i, to += to_stride, from += from_stride) memcpy(to, from, 4);
        break;
    }
}

static inline void pqk_gather(char *to, const char *from, int64_t stride, size_t n, int size)
{
    pqk_strided_copy(to, size, from, (ptrdiff_t)stride, n, size);
}

static inline void pqk_scatter(char *to, const char *from, int64_t stride, size_t n, int size)
{
    pqk_strided_copy(to, (ptrdiff_t)stride, from, size, n, size);
}

#endif
