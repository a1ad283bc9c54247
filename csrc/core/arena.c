/* arena.c -- see arena.h. */
#if !defined(_WIN32) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* pthread_once under -std=c11 */
#endif
#include "core/arena.h"
#include <stdbool.h>
#include "core/macros.h"
#include "core/memory.h"

struct block {
    void *memory;
    size_t size;
    bool out;
};
static PQK_THREAD_LOCAL struct block mine;

/* The system calls it at the end of a thread, with the value that the thread set.  Whoever takes scratch after that, in
 * another such function, starts anew. */
static void free_block_of_thread(void *memory)
{
    if (mine.memory == memory) mine = (struct block){0};
    pqk_aligned_free(memory);
}

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static void NTAPI free_block(void *memory) { free_block_of_thread(memory); }

static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
static DWORD key = FLS_OUT_OF_INDEXES;

static BOOL CALLBACK make_key(PINIT_ONCE unused, void *parameter, void **context)
{
    (void)unused, (void)parameter, (void)context;
    key = FlsAlloc(free_block);
    return TRUE;
}

static bool free_at_thread_end(void *memory)
{
    (void)InitOnceExecuteOnce(&once, make_key, NULL, NULL);
    return key != FLS_OUT_OF_INDEXES && FlsSetValue(key, memory);
}
#else
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;

static void make_key(void) { have_key = !pthread_key_create(&key, free_block_of_thread); }

static bool free_at_thread_end(void *memory)
{
    (void)pthread_once(&once, make_key);
    return have_key && !pthread_setspecific(key, memory);
}
#endif

static bool grow(size_t size)
{
    /* Powers of two, so that a slowly growing series of calls does not allocate at each. */
    size_t room = (size_t)64 << 10;
    while (room < size) room *= 2;
    void *memory = pqk_aligned_alloc(room);
    if (!memory) return false;
    if (!free_at_thread_end(memory)) {
        pqk_aligned_free(memory);
        return false;
    }
    pqk_aligned_free(mine.memory);
    mine.memory = memory;
    mine.size = room;
    return true;
}

void *pqk_arena_take(size_t size)
{
    if (mine.out || size > PQK_ARENA_KEPT) return pqk_aligned_alloc(size);
    if (size > mine.size && !grow(size)) return NULL;
    mine.out = true;
    return mine.memory;
}

void pqk_arena_give(void *memory)
{
    if (memory && memory == mine.memory)
        mine.out = false;
    else
        pqk_aligned_free(memory);
}
