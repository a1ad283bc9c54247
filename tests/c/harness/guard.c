/* guard.c -- see guard.h. */
#if !defined(_WIN32)
#define _DEFAULT_SOURCE 1 /* MAP_ANONYMOUS, MAP_NORESERVE */
#endif
#include "guard.h"
#include <stdio.h>
#include <stdlib.h>

#if defined(_WIN32)
#include <windows.h>

static size_t page_size(void)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwPageSize;
}
static char *map(size_t bytes) { return VirtualAlloc(NULL, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }
static int forbid(char *page, size_t bytes)
{
    DWORD old;
    return VirtualProtect(page, bytes, PAGE_NOACCESS, &old) != 0;
}
char *guard_reserve(uint64_t bytes)
{
    (void)bytes;
    return NULL;
}
void guard_release(char *reserved, uint64_t bytes) { (void)reserved, (void)bytes; }
#else
#include <sys/mman.h>
#include <unistd.h>

#if !defined(MAP_ANONYMOUS)
#define MAP_ANONYMOUS MAP_ANON
#endif
#if !defined(MAP_NORESERVE)
#define MAP_NORESERVE 0
#endif

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }
static char *map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}
static int forbid(char *page, size_t bytes) { return mprotect(page, bytes, PROT_NONE) == 0; }

char *guard_reserve(uint64_t bytes)
{
    void *p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}
void guard_release(char *reserved, uint64_t bytes)
{
    if (reserved) munmap(reserved, (size_t)bytes);
}
#endif

struct guard guard_make(size_t bytes)
{
    const size_t page = page_size(), usable = (bytes + page - 1) / page * page;
    char *all = map(usable + 2 * page);
    if (!all || !forbid(all, page) || !forbid(all + page + usable, page)) {
        fprintf(stderr, "harness: no guarded memory of %zu bytes\n", bytes);
        exit(2);
    }
    return (struct guard){all + page, all + page + usable};
}
