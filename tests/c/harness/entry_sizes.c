/* entry_sizes.c -- offsets past 2^31 and 2^32 bytes and counts past 2^31, without the memory: pages that nobody
 * touches do not exist, and a stride of 0 repeats one element. */
#include <stdio.h>
#include "entry.h"

static void check(struct harness *h, const char *what, bool ok)
{
    ++h->cases;
    if (!ok && report(h)) printf("FAILED entries: %s\n", what);
}

/* Six elements, each gigabytes from the next. */
static void far_apart(struct harness *h, char *space, const int64_t x_strides[2], const int64_t q_strides[2])
{
    static const int64_t shape[2] = {2, 3};
    static const float scale = 0.5f;
    char *x_from = space, *q_from = space + 64;
    for (int d = 0; d < 2; ++d) {
        if (x_strides[d] < 0) x_from -= (shape[d] - 1) * x_strides[d];
        if (q_strides[d] < 0) q_from -= (shape[d] - 1) * q_strides[d];
    }
    const pqk_array x = {x_from, PQK_F32, 2, shape, x_strides}, q = {q_from, PQK_S8, 2, shape, q_strides};
    for (int i = 0; i < 6; ++i) {
        char *at = x_from + i / 3 * x_strides[0] + i % 3 * x_strides[1];
        *(float *)(void *)at = (float)(10 * i - 25);
    }
    const pqk_params params = {.scale = &scale};
    bool ok = pqk_quantize(&x, &params, PQK_ONNX, &q, NULL) == PQK_OK;
    for (int i = 0; i < 6; ++i)
        ok = ok && (signed char)q_from[i / 3 * q_strides[0] + i % 3 * q_strides[1]] == 20 * i - 50;
    check(h, "strides past 2^31 and 2^32", ok);
}

void test_entry_sizes(struct harness *h)
{
    const uint64_t bytes = (uint64_t)24 << 30;
    char *space = guard_reserve(bytes);
    if (!space) {
        printf("entries: no address space of 24 GiB, so strides past 2^32 are not tried\n");
    } else {
        static const int64_t strides[][2] = {
            {(1LL << 31) + 4, 1LL << 12           },
            {(1LL << 32) + 4, (1LL << 31) + 64    },
            {-(1LL << 32),    (1LL << 33) + 8     },
            {1LL << 34,       -((1LL << 31) + 128)}
        };
        for (int i = 0; i < 4; ++i)
            for (int j = 0; j < 4; ++j) far_apart(h, space, strides[i], strides[j]);
        guard_release(space, bytes);
    }
    if (h->options.stride > 1) return; /* what follows reads gigabytes */

    /* 2^31 + 5 elements that are one NaN, 2^30 + 3 floats (more than 2^32 bytes) that are all zero but the last. */
    const float nan = float_of(0x7fc00000);
    const int64_t many = (1LL << 31) + 5, none = 0;
    float lo = 0, hi = 0;
    int64_t nans = -1, infinities = -1;
    const pqk_statistics out = {&lo, &hi, &nans, &infinities};
    const pqk_array repeated = {(void *)(uintptr_t)&nan, PQK_F32, 1, &many, &none};
    check(h, "2^31 + 5 elements are counted",
          pqk_observe(&repeated, NULL, &out) == PQK_OK && nans == many && infinities == 0);

    const int64_t long_run = (1LL << 30) + 3;
    const uint64_t long_bytes = (uint64_t)long_run * 4;
    char *zeros = guard_reserve(long_bytes);
    if (!zeros) return;
    ((float *)(void *)zeros)[long_run - 1] = float_of(0x7f800000);
    const pqk_array run = {zeros, PQK_F32, 1, &long_run, NULL};
    check(h, "a run of more than 2^32 bytes",
          pqk_observe(&run, NULL, &out) == PQK_OK && nans == 0 && infinities == 1 && lo == 0);
    guard_release(zeros, long_bytes);
}
