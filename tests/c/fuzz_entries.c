/* fuzz_entries.c -- libFuzzer on the public functions: descriptors made of bytes.  Nothing may crash, and no
 * sanitizer may complain; what comes out is compared elsewhere.
 *
 *     python tests/c/build.py --cc clang --sanitize fuzzer,address,undefined -o build/fuzz tests/c/fuzz_entries.c
 *     build/fuzz -max_len=600 -max_total_time=60
 *
 * Without libFuzzer: -D FUZZ_STANDALONE gives a main() that feeds it random bytes, `build/fuzz COUNT SEED`.
 *
 * A C function cannot know where memory ends.  So each array is allocated to be exactly what its descriptor says,
 * where AddressSanitizer sees the first byte too far, and a descriptor of more than can be allocated is used only if
 * it must be refused before memory is looked at.
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

/* Mostly small; sometimes any 64 bits. */
static int64_t take_size(struct bytes *b)
{
    const uint64_t how = take(b, 1);
    if (how < 200) return (int64_t)(how % 20);
    if (how < 240) return (int64_t)take(b, 2) % 2000;
    if (how < 250) return (int64_t)((uint64_t)1 << take(b, 1) % 64);
    return (int64_t)take(b, 8);
}

enum { NDIM = 6, MOST_BYTES = 1 << 20, MOST_ELEMENTS = 1 << 16 };

struct fuzz_array {
    pqk_array array;
    int64_t shape[NDIM], strides[NDIM];
    char *memory;
    bool real; /* the memory holds every element */
};

static int bits_of_type(pqk_type type)
{
    static const int bits[] = {0, 32, 16, 16, 8, 8, 16, 16, 32, 8, 8, 8, 8, 4, 4, 2, 2};
    return type >= PQK_F32 && type <= PQK_U2X4 ? bits[type] : 8;
}

/* Elements as a double: good enough to see that there are too many. */
static double elements_of(const struct fuzz_array *a)
{
    double n = 1;
    for (int d = 0; d < a->array.ndim; ++d) n *= (double)a->shape[d];
    return n;
}

/* Allocates the bytes between the lowest and the highest address in use.  False where that is too much. */
static bool allocate(struct fuzz_array *a, struct bytes *b, bool with_strides)
{
    const int bits = bits_of_type(a->array.type), element = (bits + 7) / 8, last = a->array.ndim - 1;
    double low = 0, high = element;
    int64_t low_exact = 0, next = element;
    a->array.strides = with_strides ? a->strides : NULL;
    for (int d = last; d >= 0; --d) {
        if (a->shape[d] < 0) return false;
        const bool row = bits < 8 && d == last;
        const int64_t step = row ? 0 : with_strides ? a->strides[d] : next;
        const double span =
            row ? ((double)a->shape[d] * bits + 7) / 8 : (double)(a->shape[d] ? a->shape[d] - 1 : 0) * (double)step;
        if (span < -MOST_BYTES || span > MOST_BYTES) return false;
        if (span < 0)
            low += span, low_exact += (a->shape[d] - 1) * step;
        else
            high += span;
        if (!with_strides) next = row ? (a->shape[d] * bits + 7) / 8 : next * a->shape[d];
        if (next > MOST_BYTES) return false;
    }
    if (high - low > MOST_BYTES || elements_of(a) > MOST_ELEMENTS) return false;
    /* exactly as many bytes as are in use, except that a packed row's own last byte is counted above by rounding up */
    size_t size = (size_t)(high - low);
    if (bits < 8 && last >= 0) size = (size_t)(high - low) - (size_t)element;
    a->memory = malloc(size ? size : 1);
    if (!a->memory) return false;
    for (size_t i = 0; i < size; ++i) a->memory[i] = (char)(b->left ? take(b, 1) : i * 37);
    a->array.data = a->memory - low_exact;
    return true;
}

static void make_array(struct fuzz_array *a, struct bytes *b, pqk_type type, const struct fuzz_array *like)
{
    memset(a, 0, sizeof *a);
    a->array.type = type;
    a->array.shape = a->shape;
    if (like) {
        a->array.ndim = like->array.ndim;
        memcpy(a->shape, like->shape, sizeof a->shape);
        if (take(b, 1) < 8) a->shape[take(b, 1) % NDIM] ^= 1; /* rarely another shape */
    } else {
        a->array.ndim = (int)(take(b, 1) % (NDIM + 1));
        for (int d = 0; d < a->array.ndim; ++d) a->shape[d] = take_size(b);
    }
    const uint64_t how = take(b, 1);
    int64_t step = (bits_of_type(type) + 7) / 8;
    for (int d = a->array.ndim - 1; d >= 0; --d) {
        const uint64_t change = take(b, 1);
        if (bits_of_type(type) < 8 && d == a->array.ndim - 1) {
            step = a->shape[d] < MOST_BYTES && a->shape[d] > 0 ? (a->shape[d] * bits_of_type(type) + 7) / 8 : 1;
            continue;
        }
        a->strides[d] = change < 200   ? step
                        : change < 225 ? -step
                        : change < 245 ? step + (int64_t)(change % 7)
                                       : take_size(b);
        const double bytes = (double)a->strides[d] * (double)a->shape[d];
        step = bytes > 0 && bytes < MOST_BYTES    ? a->strides[d] * a->shape[d]
               : bytes < 0 && bytes > -MOST_BYTES ? -a->strides[d] * a->shape[d]
                                                  : 1;
    }
    a->real = allocate(a, b, how < 160);
}

/* As pyquantk.h defines it; -1 where it is too much for this program. */
static int64_t count_params(const struct fuzz_array *a, const int64_t *block)
{
    double count = 1;
    for (int d = 0; block && d < a->array.ndim; ++d)
        count *= block[d] < 1 ? 1 : (double)(a->shape[d] / block[d] + (a->shape[d] % block[d] != 0));
    return count >= 0 && count <= MOST_ELEMENTS ? (int64_t)count : -1;
}

static pqk_type take_type(struct bytes *b, const pqk_type *usual, size_t count)
{
    const uint64_t how = take(b, 1);
    return how < 245 ? usual[how % count] : (pqk_type)(how - 245 + PQK_U2X4 - 4);
}

/* Shapes that no call can take: elements beyond 2^60 are refused before anything is read. */
static bool refused(const struct fuzz_array *a)
{
    for (int d = 0; d < a->array.ndim; ++d)
        if (a->shape[d] < 0) return true;
    return elements_of(a) > 0x1p60;
}

static void *filled(struct bytes *b, size_t count, size_t size, uint32_t usual)
{
    uint32_t *p = malloc(count * size ? count * size : 1);
    for (size_t i = 0; p && i < count * size / 4; ++i)
        p[i] = b->left > 4 && take(b, 1) < 200 ? (uint32_t)take(b, 4) : usual;
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pqk_type floats[] = {PQK_F32, PQK_F16, PQK_BF16};
    static const pqk_type integers[] = {PQK_S8, PQK_U8,   PQK_S16,  PQK_U16,  PQK_S4,   PQK_U4, PQK_S2,
                                        PQK_U2, PQK_S4X2, PQK_U4X2, PQK_S2X4, PQK_U2X4, PQK_S32};
    struct bytes b = {data, size};
    const uint64_t operation = take(&b, 1) % 4, layer = take(&b, 1);
    const pqk_type number = take_type(&b, floats, 3), integer = take_type(&b, integers, 13);
    struct fuzz_array x, y, mask;
    make_array(&x, &b, operation == 1 ? integer : number, NULL);
    make_array(&y, &b, operation == 0 ? integer : number, &x);
    make_array(&mask, &b, take(&b, 1) < 250 ? PQK_U8 : number, &x);

    int64_t block[NDIM];
    for (int d = 0; d < NDIM; ++d) block[d] = take(&b, 1) < 100 ? 1 : take_size(&b);
    pqk_params params = {.block = take(&b, 1) < 80 ? NULL : block};
    const int64_t count = count_params(&x, params.block);
    const bool all_real = x.real && y.real && mask.real && count >= 0;
    const pqk_exec exec = {(int32_t)take(&b, 1) - 2, (int32_t)take(&b, 1) % 5};
    const pqk_exec *part = take(&b, 1) < 100 ? &exec : NULL;
    const pqk_convention convention = (pqk_convention)(take(&b, 1) % 9);
    const int32_t quant_min = (int32_t)take(&b, 4),
                  quant_max = take(&b, 1) < 200 ? (int32_t)((uint32_t)quant_min + take(&b, 2)) : (int32_t)take(&b, 4);
    const size_t room = count > 0 ? (size_t)count : 1;
    const uint64_t given = take(&b, 1);
    params.scale = filled(&b, room, 4, 0x3d000000);
    params.inverse = given & 1 ? filled(&b, room, 4, 0x42000000) : NULL;
    int32_t *zero_point = filled(&b, room, 4, 0);
    for (size_t i = 0; zero_point && given & 4 && i < room; ++i) zero_point[i] %= 2;
    params.zero_point = given & 2 ? zero_point : NULL;

    if ((all_real || refused(&x)) && params.scale && zero_point) {
        const bool skip_mask = given & 8;
        (void)pqk_use_layer((int)(layer % 8));
        (void)pqk_set_num_threads(1 + (int)(given >> 6));
        switch (operation) {
        case 0:
            (void)pqk_quantize(&x.array, &params, convention, &y.array, part);
            break;
        case 1:
            (void)pqk_dequantize(&x.array, &params, &y.array, part);
            break;
        case 2:
            (void)pqk_fake_quantize(&x.array, &params, convention, quant_min, quant_max, &y.array,
                                    skip_mask ? NULL : &mask.array, part);
            break;
        default: {
            pqk_statistics out = {filled(&b, room, 4, 0), filled(&b, room, 4, 0), filled(&b, room, 8, 0),
                                  filled(&b, room, 8, 0)};
            if (out.min && out.max && out.nan_count && out.inf_count) (void)pqk_observe(&x.array, params.block, &out);
            free(out.min), free(out.max), free(out.nan_count), free(out.inf_count);
        }
        }
    }
    free((void *)(uintptr_t)params.scale);
    free((void *)(uintptr_t)params.inverse);
    free(zero_point);
    free(x.memory), free(y.memory), free(mask.memory);
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
