// Kernels with the mistakes that `vgpu-run --check` finds, and kernels without, through the driver API: the part that the first
// argument names. Ends with 1 and the line of the check that failed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"

typedef unsigned long long address;

enum { INVALID = 1, ILLEGAL_ADDRESS = 700 };

#define FUNCTIONS(X) \
    X(init, "cuInit", (unsigned)) \
    X(make, "cuCtxCreate_v2", (void **, unsigned, int)) \
    X(synchronize, "cuCtxSynchronize", (void)) \
    X(allocate, "cuMemAlloc_v2", (address *, size_t)) \
    X(allocate_async, "cuMemAllocAsync", (address *, size_t, void *)) \
    X(free_memory, "cuMemFree_v2", (address)) \
    X(free_async, "cuMemFreeAsync", (address, void *)) \
    X(fill, "cuMemsetD32_v2", (address, unsigned, size_t)) \
    X(to_device, "cuMemcpyHtoD_v2", (address, const void *, size_t)) \
    X(to_host, "cuMemcpyDtoH_v2", (void *, address, size_t)) \
    X(between, "cuMemcpyDtoD_v2", (address, address, size_t)) \
    X(load, "cuModuleLoadData", (void **, const void *)) \
    X(function, "cuModuleGetFunction", (void **, void *, const char *)) \
    X(launch, "cuLaunchKernel", (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **))

#define DECLARE(name, symbol, arguments) static int (*name) arguments;
FUNCTIONS(DECLARE)

// to[i] = from[i] + 1, a word per thread of all blocks; .loc as a compiler would have it.
static const char text[] =
    ".version 6.0\n"
    ".target sm_61\n"
    ".address_size 64\n"
    ".file 1 \"add.cu\"\n"
    ".visible .entry add(.param .u64 to, .param .u64 from) {\n"
    "  .reg .b32 %r<5>;\n"
    "  .reg .b64 %rd<6>;\n"
    "  ld.param.u64 %rd1, [to];\n"
    "  ld.param.u64 %rd2, [from];\n"
    "  .loc 1 7 3\n"
    "  mov.u32 %r1, %ctaid.x;\n"
    "  mov.u32 %r2, %ntid.x;\n"
    "  mov.u32 %r3, %tid.x;\n"
    "  mad.lo.u32 %r1, %r1, %r2, %r3;\n"
    "  mul.wide.u32 %rd3, %r1, 4;\n"
    "  add.u64 %rd1, %rd1, %rd3;\n"
    "  add.u64 %rd2, %rd2, %rd3;\n"
    "  .loc 1 8 3\n"
    "  ld.global.u32 %r4, [%rd2];\n"
    "  add.u32 %r4, %r4, 1;\n"
    "  .loc 1 9 3\n"
    "  st.global.u32 [%rd1], %r4;\n"
    "  ret;\n"
    "}\n";

static void *add;
static address a, b;

static void run(unsigned blocks, unsigned threads, address to, address from) {
    void *parameters[] = {&to, &from};
    OK(launch(add, blocks, 1, 1, threads, 1, 1, 0, 0, parameters, 0));
}

static void clean(void) {
    run(2, 50, b, a);
    OK(between(a, b, 400));
    run(1, 100, b, a);
    OK(synchronize());
    unsigned values[100];
    OK(to_host(values, b, 400));
    for (unsigned i = 0; i < 100; i++) HOLDS(values[i] == i + 2);
}

// The allocations have room for 100 words; small ones lie 512 bytes apart.
static void outside(void) {
    run(2, 64, b, a);
    OK(synchronize());
}

static void freed(void) {
    OK(free_memory(b));
    run(1, 32, b, a);
    OK(synchronize());
}

static void freed_in_order(void) {
    address c;
    OK(allocate_async(&c, 400, 0));
    run(1, 32, c, a);
    OK(free_async(c, 0));
    run(1, 32, c, a);
    OK(synchronize());
}

static void unmapped(void) {
    run(1, 1, b, 0x3fffffff0000);
    GIVES(ILLEGAL_ADDRESS, synchronize());
}

static void unwritten(void) {
    OK(allocate(&a, 400));
    OK(fill(a, 0, 40));
    run(1, 64, b, a);
    OK(synchronize());
}

static void beyond(void) {
    unsigned values[200] = {0};
    GIVES(INVALID, to_device(a, values, sizeof values));
    GIVES(INVALID, fill(a, 0, 101));
}

int main(int count, char **arguments) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW), *context, *module;
    HOLDS(library && count > 1);
#define FIND(name, symbol, types) HOLDS(*(void **)&name = dlsym(library, symbol));
    FUNCTIONS(FIND)
    OK(init(0));
    OK(make(&context, 0, 0));
    OK(load(&module, text));
    OK(function(&add, module, "add"));
    OK(allocate(&a, 400));
    OK(allocate(&b, 400));
    unsigned values[100];
    for (unsigned i = 0; i < 100; i++) values[i] = i;
    OK(to_device(a, values, sizeof values));
    static const struct { const char *name; void (*run)(void); } parts[] = {
        {"clean", clean}, {"outside", outside}, {"freed", freed}, {"freed-in-order", freed_in_order},
        {"unmapped", unmapped}, {"unwritten", unwritten}, {"beyond", beyond},
    };
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strcmp(parts[i].name, arguments[1])) {
            parts[i].run();
            puts("ok");
            return 0;
        }
    return 1;
}
