/* gemm_bench.c -- GOP/s (two operations a product) of pqk_matmul with packed B on one thread, shapes of networks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "gemm.h"

static const int64_t shapes[][3] = {
    {64,   64,   64  },
    {256,  256,  256 },
    {1024, 1024, 1024},
    {1,    4096, 4096},
    {4,    4096, 4096},
    {16,   4096, 4096},
    {128,  4096, 4096},
    {196,  256,  2304},
    {128,  768,  3072}
};
enum { SHAPES = sizeof shapes / sizeof shapes[0], MOST = 4096 * 4096, MOST_C = 1 << 22 };

static double seconds(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void bench_products(const char *layer)
{
    static signed char *a, *b;
    static int32_t *c;
    if (!a) a = malloc(MOST), b = malloc(MOST), c = malloc(MOST_C);
    if (!a || !b || !c) exit(2);
    memset(a, 3, MOST);
    memset(b, 5, MOST);
    pqk_set_num_threads(1);
    printf("%-12s", layer);
    for (int s = 0; s < SHAPES; ++s) {
        const int64_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
        const int64_t a_shape[] = {m, k}, b_shape[] = {k, n}, c_shape[] = {m, n};
        const pqk_array x = {a, PQK_S8, 2, a_shape, NULL}, y = {b, PQK_S8, 2, b_shape, NULL};
        const pqk_array z = {c, PQK_S32, 2, c_shape, NULL};
        pqk_packed *packed = NULL;
        if (pqk_pack(&y, 0, &packed)) exit(2);
        const double begin = seconds();
        double best = 1e30;
        for (int i = 0; i < 3 || seconds() - begin < 0.2; ++i) {
            const double from = seconds();
            if (pqk_matmul(&x, NULL, packed, NULL, &z, NULL)) exit(2);
            const double took = seconds() - from;
            best = took < best ? took : best;
        }
        pqk_packed_free(packed);
        printf(" %14.1f", 2e-9 * (double)m * (double)n * (double)k / best);
        fflush(stdout);
    }
    printf("\n");
}

void bench_products_header(void)
{
    printf("GOP/s of pqk_matmul, s8 x s8, packed B, one thread\n%-12s", "");
    for (int s = 0; s < SHAPES; ++s) {
        char text[40];
        snprintf(text, sizeof text, "%dx%dx%d", (int)shapes[s][0], (int)shapes[s][1], (int)shapes[s][2]);
        printf(" %14s", text);
    }
    printf("\n");
}
