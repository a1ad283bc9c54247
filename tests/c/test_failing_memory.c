/* test_failing_memory.c -- public functions whose n-th allocation fails, for every n until none does: PQK_ERROR_MEMORY
 * with the output untouched, or a right result where there is a way without that memory.  And no leak: memory that is
 * taken is given back (AddressSanitizer and valgrind look at the end).
 *
 *     python tests/c/build.py -D PQK_TESTING -o build/test_failing_memory tests/c/test_failing_memory.c
 *     build/test_failing_memory
 */
#if !defined(PQK_TESTING)
#error "compile with -D PQK_TESTING, which lets an allocation fail on demand"
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/arena.h"
#include "core/memory.h"
#include "include/pyquantk.h"

static int failures;

static void check(int ok, const char *what, const char *name, unsigned n)
{
    if (ok) return;
    printf("FAILED: %s: %s (allocation %u)\n", name, what, n);
    ++failures;
}

/* 200 x 3000 elements: two rows of tasks for the pool, and rows that are not contiguous when transposed. */
enum { ROWS = 200, COLUMNS = 3000, ELEMENTS = ROWS * COLUMNS, UNTOUCHED = 0x5a };
static float x[ELEMENTS], column_scale[COLUMNS], minimum[COLUMNS], maximum[COLUMNS];
static int8_t q[ELEMENTS];
static int32_t acc[ELEMENTS];
static int64_t nans[COLUMNS], infinities[COLUMNS];
static unsigned char out[ELEMENTS * sizeof(float)], expected[sizeof out];

static const int64_t shape[] = {ROWS, COLUMNS}, turned[] = {COLUMNS, ROWS}, per_column[] = {ROWS, 1},
                     per_row[] = {1, ROWS}, whole_column[] = {COLUMNS, 1};

static pqk_array array(void *data, pqk_type type) { return (pqk_array){data, type, 2, shape, NULL}; }

static pqk_array transposed(void *data, pqk_type type, int64_t size)
{
    static int64_t strides[8][2];
    static int used;
    int64_t *mine = strides[used++ % 8];
    mine[0] = size;
    mine[1] = size * COLUMNS;
    return (pqk_array){data, type, 2, turned, mine};
}

static pqk_status quantize(void)
{
    const pqk_array in = array(x, PQK_F32), to = array(out, PQK_S8);
    return pqk_quantize(&in, &(pqk_params){.scale = column_scale, .block = per_column}, PQK_ONNX, &to, NULL);
}

static pqk_status quantize_transposed(void)
{
    const pqk_array in = transposed(x, PQK_F32, 4), to = {out, PQK_S8, 2, turned, NULL};
    return pqk_quantize(&in, &(pqk_params){.scale = column_scale, .block = per_row}, PQK_TFLITE, &to, NULL);
}

static pqk_status dequantize_transposed(void)
{
    const pqk_array in = transposed(q, PQK_S8, 1), to = {out, PQK_F32, 2, turned, NULL};
    return pqk_dequantize(&in, &(pqk_params){.scale = column_scale, .block = per_row}, &to, NULL);
}

static pqk_status fake_quantize(void)
{
    const pqk_array in = array(x, PQK_F32), to = array(out, PQK_F32);
    return pqk_fake_quantize(&in, &(pqk_params){.scale = column_scale}, PQK_TORCH_FAKE_QUANTIZE, -128, 127, &to, NULL,
                             NULL);
}

/* Its results are put into out when it is done, as every other function's. */
static pqk_status observe(void)
{
    const pqk_array in = array(x, PQK_F32);
    const size_t half = sizeof minimum;
    memset(minimum, UNTOUCHED, sizeof minimum);
    memset(maximum, UNTOUCHED, sizeof maximum);
    const pqk_status status = pqk_observe(&in, per_column, &(pqk_statistics){minimum, maximum, nans, infinities});
    memcpy(out, minimum, half);
    memcpy(out + half, maximum, half);
    return status;
}

static pqk_status requantize(void)
{
    const pqk_array in = transposed(acc, PQK_S32, 4), to = {out, PQK_U8, 2, turned, NULL};
    return pqk_requantize(&in, &(pqk_multiplier){.real = column_scale, .block = per_row}, &to, NULL);
}

static pqk_status cast(void)
{
    const pqk_array in = transposed(x, PQK_F32, 4), to = {out, PQK_E4M3FN, 2, turned, NULL};
    return pqk_cast(&in, &(pqk_cast_options){PQK_STOCHASTIC, 1, 7}, &to, NULL);
}

static pqk_status quantize_dynamic(void)
{
    static float scale[ROWS]; /* put behind the elements when it is done */
    const pqk_array in = transposed(x, PQK_F32, 4), to = {out, PQK_S8, 2, turned, NULL};
    memset(scale, UNTOUCHED, sizeof scale);
    const pqk_status status = pqk_quantize_dynamic(&in, &(pqk_dynamic){.block = whole_column}, &to, scale);
    memcpy(out + ELEMENTS, scale, sizeof scale);
    return status;
}

/* ---- products: q, 200 x 3000, by its transpose or by 200 rows of it */

static const int64_t square[] = {ROWS, ROWS};
static const pqk_epilogue to_u8 = {
    .a_scale = {column_scale, 1},
    .b_scale = {column_scale, 1},
    .bias = {column_scale, 1},
    .activation = PQK_GELU,
    .out_scale = 64.0f,
    .out_zero_point = 100
};
static pqk_packed *packed;         /* the transpose */
static pqk_weights *float_weights; /* the same */

static pqk_status pack_unpack(void)
{
    const pqk_array b = array(q, PQK_S8), to = array(out, PQK_S8);
    pqk_packed *mine = NULL;
    const pqk_status status = pqk_pack(&b, 32, &mine);
    if (status) return mine ? PQK_ERROR_OPTION : status; /* nothing may have been made */
    const pqk_status again = pqk_unpack(mine, &to);
    pqk_packed_free(mine);
    return again;
}

static pqk_status matmul(void)
{
    const pqk_array a = array(q, PQK_S8), b = transposed(q, PQK_U8, 1), c = {out, PQK_U8, 2, square, NULL};
    return pqk_matmul(&a, &b, NULL, &to_u8, &c, NULL);
}

static pqk_status matmul_packed(void)
{
    const pqk_array a = array(q, PQK_S8), c = {out, PQK_S32, 2, square, NULL};
    return pqk_matmul(&a, NULL, packed, NULL, &c, NULL);
}

static pqk_status matmul_batch(void)
{
    static const int64_t a_shape[] = {8, 25, COLUMNS}, b_shape[] = {8, COLUMNS, 25}, c_shape[] = {8, 25, 25};
    static const int64_t b_strides[] = {25 * COLUMNS, 1, COLUMNS};
    const pqk_array a = {q, PQK_U8, 3, a_shape, NULL}, b = {q, PQK_S8, 3, b_shape, b_strides};
    const pqk_array c = {out, PQK_S32, 3, c_shape, NULL};
    return pqk_matmul(&a, &b, NULL, NULL, &c, NULL);
}

static pqk_status linear(void)
{
    const pqk_array in = array(x, PQK_F32), y = {out, PQK_F32, 2, square, NULL};
    const pqk_linear_input how = {PQK_LINEAR_DYNAMIC, PQK_S8, 0.0f, 0};
    return pqk_linear(&in, &how, packed,
                      &(pqk_epilogue){
                          .b_scale = {column_scale, 1}
    },
                      &y, NULL);
}

static pqk_status weights_pack(void)
{
    static const int64_t one_row[] = {1, ROWS}, y_shape[] = {1, COLUMNS};
    const pqk_array b = array(q, PQK_S8), a = {x, PQK_F32, 2, one_row, NULL}, c = {out, PQK_F32, 2, y_shape, NULL};
    pqk_weights *mine = NULL;
    const pqk_params params = {.scale = column_scale, .block = per_column};
    pqk_status status = pqk_weights_pack(&b, &params, &mine);
    if (status) return mine ? PQK_ERROR_OPTION : status;
    status = pqk_float_matmul(&a, mine, NULL, &c, NULL);
    pqk_weights_free(mine);
    return status;
}

static pqk_status float_matmul(void)
{
    const pqk_array a = array(x, PQK_F32), c = {out, PQK_U8, 2, square, NULL};
    return pqk_float_matmul(&a, float_weights, &to_u8, &c, NULL);
}

static const struct {
    const char *name;
    pqk_status (*call)(void);
} calls[] = {
    {"quantize",              quantize             },
    {"quantize transposed",   quantize_transposed  },
    {"dequantize transposed", dequantize_transposed},
    {"fake_quantize",         fake_quantize        },
    {"observe",               observe              },
    {"requantize",            requantize           },
    {"cast",                  cast                 },
    {"quantize_dynamic",      quantize_dynamic     },
    {"pack, unpack",          pack_unpack          },
    {"matmul",                matmul               },
    {"matmul packed",         matmul_packed        },
    {"matmul of a batch",     matmul_batch         },
    {"linear",                linear               },
    {"weights_pack",          weights_pack         },
    {"float_matmul",          float_matmul         },
};

static int is_untouched(void)
{
    for (size_t i = 0; i < sizeof out; ++i)
        if (out[i] != UNTOUCHED) return 0;
    return 1;
}

/* How many allocations the call makes: until one that was to fail is still waiting to be made. */
static unsigned fail_each(const char *name, pqk_status (*call)(void))
{
    enum { MOST = 1000 };
    for (unsigned n = 1; n <= MOST; ++n) {
        memset(out, UNTOUCHED, sizeof out);
        pqk_test_fail_allocation(n);
        const pqk_status status = call();
        /* If the hook is still armed, the next allocation but n - made fails: make them here. */
        unsigned waiting = 0;
        for (unsigned i = 1; i <= n && !waiting; ++i) {
            void *p = pqk_aligned_alloc(1);
            if (!p) waiting = i;
            pqk_aligned_free(p);
        }
        pqk_test_fail_allocation(0);
        if (waiting) {
            check(status == PQK_OK && !memcmp(out, expected, sizeof out), "the result without failures", name, n);
            return n - waiting;
        }
        if (status == PQK_OK)
            check(!memcmp(out, expected, sizeof out), "a way without this memory is right", name, n);
        else
            check(status == PQK_ERROR_MEMORY && is_untouched(), "an error that leaves the output untouched", name, n);
    }
    check(0, "allocations without end", name, MOST);
    return MOST;
}

/* The block that a thread keeps: no memory the first time, a block the second. */
static void *take_arena(void)
{
    pqk_test_fail_allocation(1);
    check(!pqk_arena_take(1), "a block without memory", "arena", 1);
    pqk_test_fail_allocation(0);
    void *const block = pqk_arena_take(1);
    check(block != NULL, "a block", "arena", 2);
    return block;
}

int main(void)
{
    for (int i = 0; i < ELEMENTS; ++i)
        x[i] = (float)(i % 977 - 488) * 0.05f, q[i] = (int8_t)(i * 7), acc[i] = i % 1009 - 500;
    for (int i = 0; i < COLUMNS; ++i) column_scale[i] = 0.125f + (float)(i % 13);
    const pqk_array b = transposed(q, PQK_S8, 1);
    check(pqk_pack(&b, 0, &packed) == PQK_OK && pqk_weights_pack(&b, NULL, &float_weights) == PQK_OK, "packs",
          "products", 0);
    void *const block = take_arena(); /* while it is out, whatever wants scratch has to allocate it */
    for (int threads = 1; threads <= 4; threads += 3) {
        pqk_set_num_threads(threads);
        for (size_t i = 0; i < sizeof calls / sizeof *calls; ++i) {
            memset(out, UNTOUCHED, sizeof out);
            check(calls[i].call() == PQK_OK && !is_untouched(), "works at all", calls[i].name, 0);
            memcpy(expected, out, sizeof out);
            const unsigned made = fail_each(calls[i].name, calls[i].call);
            printf("%-22s %d threads, %u allocations\n", calls[i].name, threads, made);
        }
    }
    pqk_arena_give(block);
    pqk_packed_free(packed);
    pqk_weights_free(float_weights);
    printf("failing memory: %d failures\n", failures);
    return failures != 0;
}
