// What a trace has to show, in the part that the first argument names: calls of known number and arguments, kernels and copies in two
// streams, a call that never returns. Ends with 1 and the line of the check that failed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checks.h"

typedef unsigned long long address;
typedef void *handle;

#define FUNCTIONS(X) \
    X(init, "cuInit", (unsigned)) \
    X(make, "cuCtxCreate_v2", (handle *, unsigned, int)) \
    X(count, "cuDeviceGetCount", (int *)) \
    X(attribute, "cuDeviceGetAttribute", (int *, int, int)) \
    X(name, "cuDeviceGetName", (char *, int, int)) \
    X(synchronize_all, "cuCtxSynchronize", (void)) \
    X(allocate, "cuMemAlloc_v2", (address *, size_t)) \
    X(release, "cuMemFree_v2", (address)) \
    X(fill_async, "cuMemsetD32Async", (address, unsigned, size_t, handle)) \
    X(to_device_async, "cuMemcpyHtoDAsync_v2", (address, const void *, size_t, handle)) \
    X(to_host, "cuMemcpyDtoH_v2", (void *, address, size_t)) \
    X(copy_async, "cuMemcpyDtoDAsync_v2", (address, address, size_t, handle)) \
    X(load, "cuModuleLoadData", (handle *, const void *)) \
    X(function, "cuModuleGetFunction", (handle *, handle, const char *)) \
    X(launch, "cuLaunchKernel", (handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, handle, void **, void **)) \
    X(stream, "cuStreamCreate", (handle *, unsigned)) \
    X(synchronize, "cuStreamSynchronize", (handle)) \
    X(event, "cuEventCreate", (handle *, unsigned))

#define DECLARE(name, symbol, arguments) static int (*name) arguments;
FUNCTIONS(DECLARE)

static const char text[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry twice(.param .u64 place) {\n"
    ".reg .b64 %rd<3>; .reg .b32 %r<5>;\n"
    "ld.param.u64 %rd0, [place]; mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mad.lo.u32 %r3, %r1, %r2, %r0;\n"
    "mul.wide.u32 %rd1, %r3, 4; add.u64 %rd0, %rd0, %rd1; ld.global.u32 %r4, [%rd0]; add.u32 %r4, %r4, %r4; st.global.u32 [%rd0], %r4; ret;\n}\n"
    ".visible .entry endless(.param .u64 place) {\n"
    ".reg .b64 %rd<2>; .reg .b32 %r<2>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [place];\n"
    "again: ld.volatile.global.u32 %r0, [%rd0]; setp.eq.u32 %p, %r0, 0; @%p bra again; ret;\n}\n";

static handle module;

static void begin(void) {
    handle context, library = dlopen("libcuda.so.1", RTLD_NOW);
    HOLDS(library);
#define LOOK_UP(name, symbol, arguments) *(void **)&name = dlsym(library, symbol); HOLDS(name);
    FUNCTIONS(LOOK_UP)
    OK(init(0));
    OK(make(&context, 0, 0));
    OK(load(&module, text));
}

static void start(const char *kernel, unsigned blocks, unsigned threads, handle where, address place) {
    handle found;
    void *parameters[] = {&place};
    OK(function(&found, module, kernel));
    OK(launch(found, blocks, 1, 1, threads, 1, 1, 0, where, parameters, 0));
}

// One of each kind of argument and result.
static void arguments(void) {
    int number;
    char text[64];
    address place;
    handle made;
    begin();
    OK(count(&number));
    OK(name(text, sizeof text, 0));
    OK(attribute(&number, 16, 0));
    GIVES(101, attribute(&number, 16, 77));
    OK(event(&made, 6));
    OK(allocate(&place, 123456));
    OK(release(place));
    GIVES(1, release(12345));
    GIVES(1, count((int *)0));
}

// Kernels and copies in two streams: 3 launches, 2 fills, 2 copies; what they come to is right.
static void work(void) {
    enum { WORDS = 1024 };
    static unsigned words[WORDS];
    address place, other;
    handle streams[2];
    begin();
    for (int i = 0; i < 2; i++) OK(stream(&streams[i], 1));
    OK(allocate(&place, 4 * WORDS));
    OK(allocate(&other, 4 * WORDS));
    OK(fill_async(place, 5, WORDS, streams[0]));
    OK(fill_async(other, 1, WORDS, streams[1]));
    start("twice", 4, 256, streams[0], place);
    start("twice", 8, 128, streams[0], place);
    start("twice", 2, 512, streams[1], other);
    OK(synchronize(streams[1]));
    OK(copy_async(other, place, 4 * WORDS, streams[0]));
    OK(synchronize(streams[0]));
    OK(to_host(words, other, sizeof words));
    for (int i = 0; i < WORDS; i++) HOLDS(words[i] == 20);
}

enum { THREADS = 4, CALLS = 20000 };

static void *call(void *which) {
    for (long i = 0; i < CALLS; i++) {
        int value;
        OK(attribute(&value, 1 + (long)which, 0));
    }
    return 0;
}

// More calls than there is room for at a time, of several threads.
static void many(void) {
    pthread_t threads[THREADS];
    begin();
    for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, call, (void *)i);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
}

static void *kill_all(void *unused) {
    (void)unused;
    usleep(300000);
    kill(getpid(), SIGKILL);
    return 0;
}

// Is killed in the middle of a call that never returns.
static void killed(void) {
    address place;
    pthread_t thread;
    begin();
    OK(allocate(&place, 4096));
    OK(fill_async(place, 0, 1024, 0));
    start("endless", 1, 32, 0, place);
    pthread_create(&thread, 0, kill_all, 0);
    synchronize_all();
}

// Calls, and then has a child that calls too.
static void forked(void) {
    int number, status;
    begin();
    OK(count(&number));
    pid_t child = fork();
    if (child == 0) {
        // As with the real driver: the parent's is of no use here.
        GIVES(3, count(&number));
        execl("/proc/self/exe", "traced", "arguments", (char *)0);
    }
    waitpid(child, &status, 0);
    HOLDS(status == 0);
    OK(count(&number));
}

// Keeps 64 MiB and runs kernels, until standard input ends.
static void steady(void) {
    address place;
    struct pollfd input = {0, POLLIN, 0};
    begin();
    OK(allocate(&place, 64 << 20));
    puts("ready");
    fflush(stdout);
    while (poll(&input, 1, 0) == 0) {
        start("twice", 4, 256, 0, place);
        OK(synchronize(0));
    }
}

static void *look_up(const char *library, const char *name) {
    void *handle = dlopen(library, RTLD_NOW), *found;
    HOLDS(handle);
    found = dlsym(handle, name);
    HOLDS(found);
    return found;
}

// A call of each library; those of the runtime and of cuBLAS make some of the driver.
static void libraries(void) {
    void *place, *handle;
    unsigned devices;
    OK(((int (*)(void))look_up("libnvidia-ml.so.1", "nvmlInit_v2"))());
    OK(((int (*)(unsigned *))look_up("libnvidia-ml.so.1", "nvmlDeviceGetCount_v2"))(&devices));
    OK(((int (*)(void **, size_t))look_up("libcudart.so.12", "cudaMalloc"))(&place, 4096));
    OK(((int (*)(void *))look_up("libcudart.so.12", "cudaFree"))(place));
    OK(((int (*)(void **))look_up("libcublas.so.12", "cublasCreate_v2"))(&handle));
    OK(((int (*)(void *, int))look_up("libcublas.so.12", "cublasSetPointerMode_v2"))(handle, 1));
    OK(((int (*)(void *))look_up("libcublas.so.12", "cublasDestroy_v2"))(handle));
}

int main(int count, char **arguments_) {
    static const struct { const char *name; void (*run)(void); } parts[] = {
        {"arguments", arguments}, {"work", work}, {"many", many}, {"killed", killed}, {"forked", forked}, {"libraries", libraries}, {"steady", steady},
    };
    for (size_t i = 0; count == 2 && i < sizeof parts / sizeof *parts; i++) {
        if (strcmp(parts[i].name, arguments_[1])) continue;
        parts[i].run();
        puts("right");
        return 0;
    }
    return 2;
}
