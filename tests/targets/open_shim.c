// cc: -shared -fPIC
// The peer of bench-getting-in: what a library that is preloaded does to every open, though it only passes them on.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

static int is_ours(const char *path) {
    return path && (strstr(path, "libcuda.so") || !strncmp(path, "/dev/nvidia", 11));
}

static void *next(void **place, const char *name) {
    if (!*place) *place = dlsym(RTLD_NEXT, name);
    return *place;
}

#define SHIM(name) \
    int name(const char *path, int flags, ...) { \
        static void *place; \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        if (is_ours(path)) return -1; \
        return ((int (*)(const char *, int, ...))next(&place, #name))(path, flags, mode); \
    }
SHIM(open)
SHIM(open64)

#define SHIM_AT(name) \
    int name(int base, const char *path, int flags, ...) { \
        static void *place; \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        if (is_ours(path)) return -1; \
        return ((int (*)(int, const char *, int, ...))next(&place, #name))(base, path, flags, mode); \
    }
SHIM_AT(openat)
SHIM_AT(openat64)

void *dlopen(const char *path, int flags) {
    static void *place;
    return ((void *(*)(const char *, int))next(&place, "dlopen"))(path, flags);
}
