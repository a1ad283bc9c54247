/* test_growth.c -- a million calls, errors among them, and the memory of the process grows by less than 1 MB.
 *
 *     python tests/c/build.py -o build/test_growth tests/c/test_growth.c && build/test_growth [CALLS]
 *
 * Resident memory is read from /proc; without it (macOS, Windows) there is nothing to measure and nothing is claimed.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "include/pyquantk.h"

#if defined(__has_feature) /* Clang */
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum { CALLS = 1000000, WARM = 20000, MOST = 1 << 20 };

static long resident(void)
{
    long pages = -1;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return -1;
    if (fscanf(file, "%*s %ld", &pages) != 1) pages = -1;
    fclose(file);
    return pages < 0 ? -1 : pages * 4096;
}

/* One call of a kind that depends on i; nonzero where its status is not the expected one. */
static int one_call(uint32_t i)
{
    enum { ROWS = 4, N = 50 };
    static float x[ROWS * N], y[ROWS * N], low[N], high[N], scale[N];
    static int8_t q[ROWS * N];
    static uint8_t mask[ROWS * N];
    static const int64_t shape[] = {ROWS, N}, block[] = {ROWS, 1}, wide[] = {ROWS, N + 1}, turned[] = {4, 4 * ROWS};
    if (scale[0] == 0)
        for (int k = 0; k < ROWS * N; ++k) x[k] = (float)k - 99.5f, scale[k % N] = 0.5f;
    const pqk_params params = {.scale = scale, .block = i & 8 ? block : NULL};
    const pqk_array in = {x, PQK_F32, 2, shape, i & 16 ? turned : NULL}, to = {q, PQK_S8, 2, shape, NULL};
    const pqk_array back = {y, PQK_F32, 2, shape, NULL}, inside = {mask, PQK_U8, 2, shape, NULL};
    switch (i % 8) {
    case 0:
    case 1:
    case 2:
        return pqk_quantize(&in, &params, PQK_ONNX, &to, NULL);
    case 3:
        return pqk_dequantize(&to, &params, &back, NULL);
    case 4:
        return pqk_fake_quantize(&in, &params, PQK_ONNX, -128, 127, &back, &inside, NULL);
    case 5:
        return pqk_observe(&in, params.block, &(pqk_statistics){.min = low, .max = high});
    case 6:
        return pqk_quantize(&in, &params, PQK_ONNX, &(pqk_array){q, PQK_S8, 2, wide, NULL}, NULL) != PQK_ERROR_SHAPE;
    default:
        return pqk_quantize(&in, &params, PQK_ONNX, &back, NULL) != PQK_ERROR_TYPE;
    }
}

/* Large enough for every thread of the pool. */
static int large_call(void)
{
    enum { N = 1 << 18 };
    static float x[N];
    static uint16_t q[N];
    static const int64_t shape[] = {N};
    static const float scale = 0.25f;
    const pqk_array in = {x, PQK_F32, 1, shape, NULL}, to = {q, PQK_U16, 1, shape, NULL};
    return pqk_quantize(&in, &(pqk_params){.scale = &scale}, PQK_ONNX, &to, NULL);
}

int main(int argc, char **argv)
{
    const uint32_t calls = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : CALLS;
    long before = 0;
    pqk_set_num_threads(2);
    for (uint32_t i = 0; i < WARM + calls; ++i) {
        if (i == WARM) before = resident();
        if (i % 4096 ? one_call(i) : large_call()) {
            printf("FAILED: call %" PRIu32 " has another status than expected\n", i);
            return 1;
        }
    }
    if (before < 0 || SANITIZED) {
        printf("growth: not measured, %s\n", SANITIZED ? "sanitizers keep books" : "there is no /proc/self/statm");
        return 0;
    }
    const long grown = resident() - before;
    printf("growth: %ld bytes in %" PRIu32 " calls\n", grown, calls);
    return grown >= MOST;
}
