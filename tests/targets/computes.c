// computes [MEBIBYTES [END]]: one kernel on so much memory of the card, checked; then ends by END: exit (default), abort, or
// segv. "no GPU: CALL gave ERROR" and exit 3 where the driver refuses.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long long address;

static const char text[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry twice(.param .u64 place, .param .u32 count) {\n"
    ".reg .b64 %rd<3>; .reg .b32 %r<6>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [place]; ld.param.u32 %r0, [count];\n"
    "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.u32 %r4, %r1, %r2, %r3;\n"
    "setp.ge.u32 %p, %r4, %r0; @%p ret;\n"
    "mul.wide.u32 %rd1, %r4, 4; add.u64 %rd2, %rd0, %rd1;\n"
    "ld.global.u32 %r5, [%rd2]; shl.b32 %r5, %r5, 1; st.global.u32 [%rd2], %r5; ret;\n}\n";

enum { COUNT = 1 << 14 };

static void refused(int error, const char *call) {
    printf("no GPU: %s gave %d\n", call, error);
    fflush(stdout);
    _exit(3);
}

int main(int count, char **arguments) {
    size_t bytes = (count > 1 ? strtoul(arguments[1], 0, 10) : 1) << 20;
    const char *end = count > 2 ? arguments[2] : "exit";
    void *library = dlopen("libcuda.so.1", RTLD_NOW), *context, *module, *kernel;
    if (!library) return printf("no library: %s\n", dlerror()), 4;
#define OK(name, arguments, ...) do { \
        int (*call) arguments = dlsym(library, #name); \
        int error = call ? call(__VA_ARGS__) : -1; \
        if (error) refused(error, #name); \
    } while (0)
    OK(cuInit, (unsigned), 0);
    OK(cuCtxCreate_v2, (void **, unsigned, int), &context, 0, 0);
    OK(cuModuleLoadData, (void **, const void *), &module, text);
    OK(cuModuleGetFunction, (void **, void *, const char *), &kernel, module, "twice");
    address place;
    static unsigned values[COUNT];
    unsigned length = COUNT;
    for (unsigned at = 0; at < COUNT; at++) values[at] = at * 3;
    OK(cuMemAlloc_v2, (address *, size_t), &place, bytes);
    // Pages that are touched are what a core file could hold.
    OK(cuMemsetD8_v2, (address, unsigned char, size_t), place, 0x5a, bytes);
    OK(cuMemcpyHtoD_v2, (address, const void *, size_t), place, values, sizeof values);
    void *parameters[] = {&place, &length};
    OK(cuLaunchKernel, (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **),
       kernel, COUNT / 128, 1, 1, 128, 1, 1, 0, 0, parameters, 0);
    OK(cuMemcpyDtoH_v2, (void *, address, size_t), values, place, sizeof values);
    for (unsigned at = 0; at < COUNT; at++)
        if (values[at] != at * 6) return printf("wrong at %u\n", at), 1;
    puts("computed");
    fflush(stdout);
    if (!strcmp(end, "abort")) abort();
    if (!strcmp(end, "segv")) raise(SIGSEGV);
    OK(cuMemFree_v2, (address), place);
    OK(cuCtxDestroy_v2, (void *), context);
    return 0;
}
