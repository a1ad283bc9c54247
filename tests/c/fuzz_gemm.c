/* fuzz_gemm.c -- libFuzzer on pqk_pack, pqk_unpack, pqk_matmul and pqk_linear: descriptors made of bytes.  Nothing may
 * crash, and no sanitizer may complain; what comes out is compared elsewhere.
 *
 *     python tests/c/build.py --cc clang --sanitize fuzzer,address,undefined -o build/fuzz_gemm tests/c/fuzz_gemm.c
 *     build/fuzz_gemm -max_len=600 -max_total_time=60
 *
 * Without libFuzzer: -D FUZZ_STANDALONE gives a main() that feeds it random bytes, `build/fuzz_gemm COUNT SEED`.
 *
 * As in fuzz_entries.c, every array is allocated to be exactly what its descriptor says, so that AddressSanitizer sees
 * the first byte too far; a call with a descriptor that cannot be allocated is left out.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "include/pyquantk.h"

struct bytes {
    const uint8_t *at;
    size_t left;
};

static uint64_t take(struct bytes *b, size_t count)
{
    uint64_t x = 0;
    for (size_t i = 0; i < count && b->left; ++i, ++b->at, --b->left) x |= (uint64_t)*b->at << 8 * i;
    return x;
}

/* Mostly around the sizes of tiles; sometimes a few hundred. */
static int64_t take_size(struct bytes *b)
{
    const uint64_t how = take(b, 1);
    return how < 245 ? (int64_t)(how % 70) : (int64_t)take(b, 2) % 400;
}

/* What should be `usual` is now and then any number at all. */
static int64_t take_near(struct bytes *b, int64_t usual)
{
    const uint64_t how = take(b, 1);
    return how < 235 ? usual : how < 245 ? usual + (int64_t)(how % 5) - 2 : (int64_t)take(b, 8);
}

enum { NDIM = 4, MOST_BYTES = 1 << 20 };

struct fuzz_array {
    pqk_array array;
    int64_t shape[NDIM], strides[NDIM];
    char *memory;
    bool real; /* the memory holds every element */
};

static int size_of_type(pqk_type type)
{
    return type == PQK_F32 || type == PQK_S32                                          ? 4
           : type == PQK_F16 || type == PQK_BF16 || type == PQK_S16 || type == PQK_U16 ? 2
                                                                                       : 1;
}

/* Memory from the lowest to the highest byte in use.  False where that is too much. */
static bool allocate(struct fuzz_array *a, struct bytes *b)
{
    const int size = size_of_type(a->array.type);
    double low = 0, high = size;
    int64_t low_exact = 0, next = size;
    for (int d = a->array.ndim - 1; d >= 0; --d) {
        if (a->shape[d] < 0 || a->shape[d] > MOST_BYTES || next > MOST_BYTES) return false;
        const int64_t steps = a->shape[d] ? a->shape[d] - 1 : 0, stride = a->array.strides ? a->strides[d] : next;
        const double span = (double)steps * (double)stride;
        if (span < -MOST_BYTES || span > MOST_BYTES) return false;
        if (span < 0)
            low += span, low_exact += steps * stride;
        else
            high += span;
        next *= a->shape[d] ? a->shape[d] : 1;
    }
    if (high - low > MOST_BYTES) return false;
    const size_t bytes = (size_t)(high - low);
    a->memory = malloc(bytes);
    if (!a->memory) return false;
    const uint64_t noise = take(b, 1);
    for (size_t i = 0; i < bytes; ++i) a->memory[i] = (char)(b->left > 40 ? take(b, 1) : (i * 37) ^ noise);
    a->array.data = a->memory - low_exact;
    return true;
}

static void make_array(struct fuzz_array *a, struct bytes *b, pqk_type type, const int64_t *shape, int ndim)
{
    memset(a, 0, sizeof *a);
    a->array = (pqk_array){NULL, type, (int)take_near(b, ndim), a->shape, a->strides};
    if (a->array.ndim < 0 || a->array.ndim > NDIM) a->array.ndim = ndim;
    int64_t step = size_of_type(type);
    for (int d = 0; d < ndim; ++d) a->shape[d] = take_near(b, shape[d]);
    const bool transposed = take(b, 1) < 60;
    for (int i = a->array.ndim - 1; i >= 0; --i) {
        const int last = a->array.ndim - 1, d = transposed && last > 0 && i >= last - 1 ? 2 * last - 1 - i : i;
        const uint64_t change = take(b, 1);
        a->strides[d] = change < 215 ? step : change < 230 ? -step : change < 240 ? step + (int64_t)(change % 7) : 0;
        if (change >= 250) a->strides[d] = take_near(b, 0);
        if (a->shape[d] > 0 && a->shape[d] < MOST_BYTES && step < MOST_BYTES) step *= a->shape[d];
    }
    if (!transposed && take(b, 1) < 100) a->array.strides = NULL;
    a->real = allocate(a, b);
}

static pqk_type take_type(struct bytes *b, const pqk_type *usual, size_t count)
{
    const uint64_t how = take(b, 1);
    return how < 250 ? usual[how % count] : (pqk_type)(how - 250 + PQK_U16);
}

/* What an epilogue points to, each array as long as the shape says. */
struct vectors {
    void *memory[8];
    int count;
};
static void *vector(struct vectors *v, struct bytes *b, size_t n, uint32_t usual)
{
    uint32_t *p = malloc(n ? n * 4 : 1);
    v->memory[v->count++] = p;
    const uint64_t how = take(b, 1);
    for (size_t i = 0; p && i < n; ++i) p[i] = how < 200 ? usual : (uint32_t)take(b, 4);
    return p;
}

static size_t length(int64_t step, int64_t n) { return step == 0 ? 1 : n > 0 ? (size_t)((n - 1) * step + 1) : 0; }

static pqk_floats take_floats(struct vectors *v, struct bytes *b, int64_t n)
{
    const int64_t step = (int64_t)(take(b, 1) % 3);
    if (take(b, 1) < 100) return (pqk_floats){NULL, step};
    return (pqk_floats){vector(v, b, length(step, n), 0x3d000000), step};
}
static pqk_integers take_integers(struct vectors *v, struct bytes *b, int64_t n, uint32_t usual)
{
    const int64_t step = (int64_t)(take(b, 1) % 3);
    if (take(b, 1) < 150) return (pqk_integers){NULL, step};
    return (pqk_integers){vector(v, b, length(step, n), usual), step};
}
static float take_float(struct bytes *b, float usual)
{
    if (take(b, 1) < 200) return usual;
    const uint32_t bits = (uint32_t)take(b, 4);
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static pqk_epilogue take_epilogue(struct vectors *v, struct bytes *b, int64_t m, int64_t n, int64_t k, pqk_type type)
{
    pqk_epilogue e = {.a_zero_point = take_integers(v, b, m, (uint32_t)take(b, 1) % 128),
                      .b_zero_point = take_integers(v, b, n, (uint32_t)take(b, 1) % 128)};
    if (type == PQK_S32 && take(b, 1) < 240) return e;
    e.a_scale = take_floats(v, b, m);
    e.b_scale = take_floats(v, b, n);
    e.bias = take_floats(v, b, n);
    e.activation = (pqk_activation)(take(b, 1) % 6);
    e.low = take_float(b, 0);
    e.high = take_float(b, 6);
    e.out_scale = take_float(b, 0.5f);
    e.out_zero_point = (int32_t)take_near(b, 0);
    e.rounding = (pqk_fixed_rounding)(take(b, 1) % 4);
    if (take(b, 1) < 60) {
        e.group_size = 1 + (int64_t)(take(b, 1) % 40);
        const int64_t groups = k > 0 ? (k + e.group_size - 1) / e.group_size : 0;
        e.b_scale = (pqk_floats){vector(v, b, (size_t)(groups * n), 0x3d000000), 1};
        if (take(b, 1) < 5) e.group_size = -1;
    }
    if (take(b, 1) < 60) {
        if (take(b, 1) < 240) {
            e.a_scale.data = e.b_scale.data = e.bias.data = NULL;
            e.activation = PQK_NO_ACTIVATION;
            e.group_size = 0;
        }
        e.m0 = (pqk_integers){vector(v, b, (size_t)n, 0x40000000), 1};
        e.shift = (pqk_integers){vector(v, b, (size_t)n, (uint32_t)-7), 1};
    }
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pqk_type operands[] = {PQK_S8, PQK_U8}, floats[] = {PQK_F32, PQK_F16, PQK_BF16};
    static const pqk_type outputs[] = {PQK_S32, PQK_F32, PQK_F16, PQK_BF16, PQK_S8, PQK_U8, PQK_S16};
    struct bytes b = {data, size};
    const uint64_t layer = take(&b, 1), how = take(&b, 1);
    const bool is_packed = how & 1, is_linear = (how & 6) == 6;
    const int axes = is_linear ? 0 : (int)(how >> 3 & 3) % 3;
    const int64_t m = take_size(&b), n = take_size(&b), k = take_size(&b), pair = 1 + (int64_t)(how >> 6);
    const int64_t a_shape[NDIM] = {axes ? pair : m, axes == 2 ? 2 : axes ? m : k, axes == 2 ? m : k, k};
    const int64_t c_shape[NDIM] = {axes ? pair : m, axes == 2 ? 2 : axes ? m : n, axes == 2 ? m : n, n};
    int64_t b_shape[NDIM] = {axes ? pair : k, axes == 2 ? 2 : axes ? k : n, axes == 2 ? k : n, n};
    const bool plain = is_packed || is_linear;
    if (plain) b_shape[0] = k, b_shape[1] = n;
    struct fuzz_array x, y, z, back;
    make_array(&x, &b, is_linear ? take_type(&b, floats, 3) : take_type(&b, operands, 2), a_shape, axes + 2);
    make_array(&y, &b, take_type(&b, operands, 2), b_shape, plain ? 2 : axes + 2);
    make_array(&z, &b, take_type(&b, outputs, 7), c_shape, axes + 2);
    make_array(&back, &b, y.array.type, b_shape, plain ? 2 : axes + 2);
    struct vectors v = {.count = 0};
    const int64_t rows = z.array.ndim >= 2 ? z.shape[z.array.ndim - 2] : 0;
    const int64_t columns = z.array.ndim >= 2 ? z.shape[z.array.ndim - 1] : 0;

    if (x.real && y.real && z.real && back.real && rows >= 0 && columns >= 0) {
        const int64_t depth = x.array.ndim >= 2 ? x.shape[x.array.ndim - 1] : 0;
        const pqk_epilogue e = take_epilogue(&v, &b, rows, columns, depth, z.array.type);
        const pqk_range range = {take_near(&b, 0), take_near(&b, rows), take_near(&b, 0), take_near(&b, columns)};
        const pqk_range *part = take(&b, 1) < 60 ? &range : NULL;
        pqk_packed *packed = NULL;
        bool memory = true;
        for (int i = 0; i < v.count; ++i) memory = memory && v.memory[i];
        (void)pqk_use_layer((int)(layer % 8));
        (void)pqk_set_num_threads(1 + (int)(layer >> 6));
        if (plain && memory) {
            const int64_t group = take(&b, 1) < 128 ? e.group_size : take_near(&b, 0);
            if (pqk_pack(&y.array, group, &packed) == PQK_OK) (void)pqk_unpack(packed, &back.array);
            if (take(&b, 1) < 8) (void)pqk_use_layer((int)(layer >> 3 & 7));
        }
        const bool ready = memory && (packed || !plain); /* a packed matrix is never NULL in pqk_linear */
        if (ready && is_linear) {
            const pqk_linear_input input = {(pqk_linear_mode)(take(&b, 1) % 4), take_type(&b, operands, 2),
                                            take_float(&b, 0.25f), (int32_t)take_near(&b, 1)};
            (void)pqk_linear(&x.array, &input, packed, &e, &z.array, part);
        } else if (ready) {
            (void)pqk_matmul(&x.array, plain ? NULL : &y.array, packed, take(&b, 1) < 230 ? &e : NULL, &z.array, part);
        }
        pqk_packed_free(packed);
    }
    for (int i = 0; i < v.count; ++i) free(v.memory[i]);
    free(x.memory), free(y.memory), free(z.memory), free(back.memory);
    return 0;
}

#if defined(FUZZ_STANDALONE)
int main(int argc, char **argv)
{
    const unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : 100000;
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    uint8_t data[512];
    for (unsigned long i = 0; i < count; ++i) {
        for (size_t k = 0; k < sizeof data; ++k) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            data[k] = (uint8_t)(state >> 56);
        }
        LLVMFuzzerTestOneInput(data, 32 + state % 480);
    }
    printf("%lu random inputs\n", count);
    return 0;
}
#endif
