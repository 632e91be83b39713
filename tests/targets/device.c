// One client of the virtual GPU, in the part that its first argument names. Prints what a test asks for; ends with 1 and
// the line of the check that failed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "checks.h"

typedef unsigned long long address;
typedef struct { char bytes[64]; } ipc_handle;

#define FUNCTIONS(X) \
    X(init, "cuInit", (unsigned)) \
    X(make, "cuCtxCreate_v2", (void **, unsigned, int)) \
    X(synchronize, "cuCtxSynchronize", (void)) \
    X(allocate, "cuMemAlloc_v2", (address *, size_t)) \
    X(allocate_host, "cuMemHostAlloc", (void **, size_t, unsigned)) \
    X(release, "cuMemFree_v2", (address)) \
    X(info, "cuMemGetInfo_v2", (size_t *, size_t *)) \
    X(fill, "cuMemsetD32_v2", (address, unsigned, size_t)) \
    X(to_host, "cuMemcpyDtoH_v2", (void *, address, size_t)) \
    X(load, "cuModuleLoadData", (void **, const void *)) \
    X(function, "cuModuleGetFunction", (void **, void *, const char *)) \
    X(launch, "cuLaunchKernel", (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **)) \
    X(cooperative, "cuLaunchCooperativeKernel", (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **)) \
    X(count_devices, "cuDeviceGetCount", (int *)) \
    X(uuid, "cuDeviceGetUuid_v2", (unsigned char *, int)) \
    X(retain, "cuDevicePrimaryCtxRetain", (void **, int)) \
    X(set_current, "cuCtxSetCurrent", (void *)) \
    X(set_limit, "cuCtxSetLimit", (int, size_t)) \
    X(block_shape, "cuFuncSetBlockShape", (void *, int, int, int)) \
    X(parameter_size, "cuParamSetSize", (void *, unsigned)) \
    X(parameter, "cuParamSetv", (void *, int, void *, unsigned)) \
    X(parameter_word, "cuParamSeti", (void *, int, unsigned)) \
    X(launch_grid, "cuLaunchGrid", (void *, int, int)) \
    X(attribute, "cuDeviceGetAttribute", (int *, int, int)) \
    X(occupancy, "cuOccupancyMaxActiveBlocksPerMultiprocessor", (int *, void *, int, size_t)) \
    X(ipc_get, "cuIpcGetMemHandle", (ipc_handle *, address)) \
    X(ipc_open, "cuIpcOpenMemHandle_v2", (address *, ipc_handle, unsigned)) \
    X(ipc_close, "cuIpcCloseMemHandle", (address))

#define DECLARE(name, symbol, arguments) static int (*name) arguments;
FUNCTIONS(DECLARE)

static const char text[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".extern .func (.param .b64 result) malloc(.param .b64 bytes);\n"
    ".visible .entry empty() { ret; }\n"
    ".visible .entry take(.param .u64 place, .param .u64 bytes) {\n" // what malloc gives; its ends are written
    ".reg .b64 %rd<5>; .reg .pred %p; .param .b64 wanted; .param .b64 given;\n"
    "ld.param.u64 %rd0, [place]; ld.param.u64 %rd1, [bytes]; st.param.b64 [wanted], %rd1;\n"
    "call.uni (given), malloc, (wanted); ld.param.b64 %rd2, [given]; st.global.u64 [%rd0], %rd2;\n"
    "setp.eq.u64 %p, %rd2, 0; @%p ret; st.u64 [%rd2], %rd1; add.u64 %rd3, %rd2, %rd1; st.u64 [%rd3-8], %rd1; ret;\n}\n"
    ".visible .entry endless(.param .u64 place) {\n"
    ".reg .b64 %rd<2>; .reg .b32 %r<2>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [place];\n"
    "again: ld.volatile.global.u32 %r0, [%rd0]; setp.eq.u32 %p, %r0, 0; @%p bra again; ret;\n}\n"
    ".visible .entry meet(.param .u64 place, .param .u32 blocks) {\n"
    ".reg .b64 %rd<2>; .reg .b32 %r<4>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [place]; ld.param.u32 %r0, [blocks];\n"
    "atom.global.add.u32 %r1, [%rd0], 1;\n"
    "again: ld.volatile.global.u32 %r2, [%rd0]; setp.lo.u32 %p, %r2, %r0; @%p bra again; ret;\n}\n"
    ".visible .entry triple(.param .u64 place) {\n"
    ".reg .b64 %rd<3>; .reg .b32 %r<2>;\n"
    "ld.param.u64 %rd0, [place]; mov.u32 %r0, %tid.x; mul.wide.u32 %rd1, %r0, 4; add.u64 %rd2, %rd0, %rd1;\n"
    "mul.lo.u32 %r1, %r0, 3; st.global.u32 [%rd2], %r1; ret;\n}\n"
    // Each thread writes through pointers to local memory of the one whose number differs in the bits of `other`, and of thread 7;
    // counted are those that find it in their own.
    ".visible .entry lend(.param .u64 place, .param .u32 other) {\n"
    ".local .align 8 .b8 mine[24]; .shared .align 8 .b64 pointers[64];\n"
    ".reg .b64 %rd<6>; .reg .b32 %r<8>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [place]; ld.param.u32 %r0, [other]; mov.u32 %r1, %tid.x; mad.lo.u32 %r2, %r1, 5, 1;\n"
    "mov.u64 %rd1, mine; cvta.local.u64 %rd1, %rd1; mov.u64 %rd2, pointers;\n"
    "mul.wide.u32 %rd3, %r1, 8; add.u64 %rd3, %rd3, %rd2; st.shared.u64 [%rd3], %rd1; bar.sync 0;\n"
    "xor.b32 %r3, %r1, %r0; mul.wide.u32 %rd3, %r3, 8; add.u64 %rd3, %rd3, %rd2; ld.shared.u64 %rd4, [%rd3];\n"
    "ld.shared.u64 %rd5, [pointers+56]; st.u32 [%rd5+8], %r1; st.u32 [%rd4+16], %r2; bar.sync 0;\n"
    "ld.local.u32 %r4, [mine+16]; ld.u32 %r5, [%rd4+16]; ld.local.u32 %r6, [mine+8]; ld.u32 %r7, [%rd5+8];\n"
    "setp.eq.u32 %p, %r4, %r2; setp.eq.and.u32 %p, %r5, %r2, %p;\n"
    "setp.eq.and.u32 %p, %r6, %r1, %p; setp.eq.and.u32 %p, %r7, %r1, %p; selp.u32 %r6, 1, 0, %p;\n"
    "red.global.add.u32 [%rd0], %r6; ret;\n}\n"
    ".visible .entry wild(.param .u64 place) {\n"
    ".reg .b64 %rd<2>; .reg .b32 %r<2>;\n"
    "ld.param.u64 %rd0, [place]; mov.u32 %r0, 1; st.global.u32 [%rd0], %r0; ret;\n}\n";

static void *kernel(const char *name) {
    static void *module;
    void *found;
    if (!module) OK(load(&module, text));
    OK(function(&found, module, name));
    return found;
}

static int start(const char *name, address place) {
    void *parameters[] = {&place};
    return launch(kernel(name), 1, 1, 1, 1, 1, 1, 0, 0, parameters, 0);
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static void load_library(void) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    HOLDS(library);
#define LOOK_UP(name, symbol, arguments) *(void **)&name = dlsym(library, symbol); HOLDS(name);
    FUNCTIONS(LOOK_UP)
}

static void make_context(void) {
    void *context;
    OK(init(0));
    OK(make(&context, 0, 0));
}

static void begin(void) {
    load_library();
    make_context();
}

static void say(const char *words) {
    puts(words);
    fflush(stdout);
}

// Memory that reads back as it was written.
static void work(unsigned value) {
    enum { COUNT = 1 << 16 };
    static unsigned copy[COUNT];
    address place;
    OK(allocate(&place, sizeof copy));
    OK(fill(place, value, COUNT));
    OK(to_host(copy, place, sizeof copy));
    for (int at = 0; at < COUNT; at++) HOLDS(copy[at] == value);
    OK(release(place));
}

// Waits for a kernel that never ends, until something else does.
static void blocked(void) {
    address place;
    begin();
    OK(allocate(&place, 4));
    OK(fill(place, 0, 1));
    OK(start("empty", 0));
    OK(synchronize());
    OK(start("endless", place));
    say("ready");
    int result = synchronize();
    printf("%d %lld\n", result, now());
    HOLDS(allocate(&place, 1 << 20) != 0);
    HOLDS(start("empty", 0) != 0);
}

// Holds 512 MiB, of which every page was touched; a forked child lives on after us if asked for.
static void hold(int with_child) {
    address place;
    begin();
    OK(allocate(&place, 512 << 20));
    OK(fill(place, 7, (512 << 20) / 4));
    OK(synchronize());
    pid_t child = with_child ? fork() : -1;
    if (child == 0) for (;;) pause();
    printf("ready %d\n", child);
    fflush(stdout);
    for (;;) pause();
}

// Bytes that are held of the device of the current context.
static size_t used(void) {
    size_t left, total;
    OK(info(&left, &total));
    return total - left;
}

// Prints what a context costs on the second device, seen by another process, and what one and two cost on the first.
static void entered(void) {
    int told[2], done[2];
    HOLDS(pipe(told) == 0 && pipe(done) == 0);
    pid_t other = fork();
    size_t on_second;
    void *context;
    load_library();
    OK(init(0));
    if (other == 0) {
        OK(make(&context, 0, 1));
        on_second = used();
        HOLDS(write(told[1], &on_second, sizeof on_second) == sizeof on_second);
        close(done[1]);
        _exit(read(done[0], &on_second, 1) != 0);
    }
    HOLDS(read(told[0], &on_second, sizeof on_second) == sizeof on_second);
    OK(make(&context, 0, 0));
    size_t first = used();
    OK(make(&context, 0, 0));
    printf("%zu %zu %zu\n", on_second, first, used());
    close(done[1]);
    int status;
    HOLDS(waitpid(other, &status, 0) == other && status == 0);
}

// Started with --memory 1G.
static void exhausted(void) {
    address place, other;
    size_t before, after, total;
    begin();
    OK(info(&before, &total));
    HOLDS(total == 1 << 30);
    GIVES(2, allocate(&place, 2ull << 30));
    OK(allocate(&place, 600 << 20));
    GIVES(2, allocate(&other, 600 << 20));
    OK(info(&after, &total));
    HOLDS(before - after >= 600 << 20);
    OK(release(place));
    OK(allocate(&other, 600 << 20));
    OK(release(other));
    OK(info(&after, &total));
    HOLDS(after == before);
    work(3);
    say("ok");
}

// Our kernel writes where nothing is; the neighbour, another client at the same time, notices nothing.
static void neighbours(void) {
    int go[2], status;
    char byte;
    HOLDS(pipe(go) == 0);
    pid_t neighbour = fork();
    if (neighbour == 0) {
        begin();
        work(1);
        HOLDS(write(go[1], "x", 1) == 1);
        for (long long end = now() + 500000000; now() < end;) work(2);
        exit(0);
    }
    HOLDS(read(go[0], &byte, 1) == 1);
    begin();
    OK(start("wild", 0x300000000008ull + (900ull << 30)));
    GIVES(700, synchronize());
    address place;
    GIVES(700, allocate(&place, 4096));
    GIVES(700, start("empty", 0));
    HOLDS(waitpid(neighbour, &status, 0) == neighbour && status == 0);
    say("ok");
}

// A child of a process that has a context has none, and its parent loses nothing by it.
static void forked(void) {
    int status;
    begin();
    work(4);
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        if (child == 0) {
            address place;
            int first = allocate(&place, 4096), second = synchronize();
            _exit(first == 3 && second == 3 ? 0 : 1);
        }
        work(5 + round);
        HOLDS(waitpid(child, &status, 0) == child);
        check(status == 0, __LINE__, "the child's answers", status);
    }
    say("ok");
}

// Other things lie where device memory would: it goes elsewhere, and kernels find it there.
static void elsewhere(void) {
    static const address taken[] = {0x300000000000, 0x20ffffffe000};
    address place;
    unsigned seen;
    for (int at = 0; at < 2; at++) {
        char *page = mmap((void *)taken[at], 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        HOLDS(page == (void *)taken[at]);
        *page = 1;
    }
    begin();
    OK(allocate(&place, 4096));
    HOLDS(place >> 40 == 0x40);
    OK(start("wild", place + 8));
    OK(synchronize());
    OK(to_host(&seen, place + 8, 4));
    HOLDS(seen == 1);
    work(7);
    for (int at = 0; at < 2; at++) HOLDS(*(char *)taken[at] == 1);
    say("ok");
}

// No window could be reserved, and something lies in the middle of it.
static void narrow_elsewhere(void) {
    enum { COUNT = 8 };
    struct rlimit limit = {2ull << 30, 2ull << 30};
    address places[COUNT];
    HOLDS(setrlimit(RLIMIT_AS, &limit) == 0);
    begin();
    OK(allocate(&places[0], 1 << 20));
    void *in_the_way = (void *)(places[0] + (8 << 20));
    HOLDS(mmap(in_the_way, 4 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == in_the_way);
    for (int at = 1; at < COUNT; at++) OK(allocate(&places[at], 1 << 20));
    for (int at = 0; at < COUNT; at++) OK(fill(places[at], at, 1 << 18));
    for (int at = 0; at < COUNT; at++) {
        unsigned seen;
        OK(to_host(&seen, places[at], 4));
        HOLDS(seen == (unsigned)at);
        OK(release(places[at]));
    }
    say("ok");
}

static size_t machine_memory(void) {
    char line[128];
    size_t kibibytes = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    HOLDS(file);
    while (!kibibytes && fgets(line, sizeof line, file)) sscanf(line, "MemAvailable: %zu", &kibibytes);
    fclose(file);
    return kibibytes << 10;
}

// A group's limit leaves less than the card has: what can't be backed is refused, the rest is usable.
static void confined(const char *mebibytes) {
    address place, other;
    begin();
    GIVES(2, allocate(&place, (size_t)atoi(mebibytes) << 20));
    OK(allocate(&other, 64 << 20));
    OK(fill(other, 5, 16 << 20));
    OK(release(other));
    work(3);
    say("ok");
}

// Ready for kernels, until standard input ends.
static void waiting(void) {
    char byte;
    begin();
    work(4);
    say("ready");
    HOLDS(read(0, &byte, 1) == 0);
}

// The card is larger than the machine: what can't be backed is refused, though nobody has touched what was granted.
static void overcommitted(void) {
    enum { PIECE = 256 << 20 };
    begin();
    size_t available = machine_memory(), granted = 0;
    address places[2000], refused;
    int count = 0;
    for (int result = 0; count < 2000; count++, granted += PIECE) {
        void *host;
        result = count % 2 ? allocate_host(&host, PIECE, 0) : allocate(&places[count / 2], PIECE);
        if (count % 2) places[count / 2 + 1000] = (address)host;
        if (result) {
            check(result == 2, __LINE__, "CUDA_ERROR_OUT_OF_MEMORY", result);
            break;
        }
    }
    HOLDS(granted > available / 2 && granted < available + (512 << 20));
    OK(release(places[0]));
    OK(release(places[1]));
    OK(allocate(&refused, PIECE));
    work(8);
    say("ok");
}

// Every thread of a block writes what it should.
static void computed(void) {
    enum { THREADS = 256 };
    unsigned seen[THREADS];
    address place;
    begin();
    OK(allocate(&place, sizeof seen));
    void *parameters[] = {&place};
    OK(launch(kernel("triple"), 1, 1, 1, THREADS, 1, 1, 0, 0, parameters, 0));
    OK(to_host(seen, place, sizeof seen));
    for (unsigned at = 0; at < THREADS; at++) HOLDS(seen[at] == 3 * at);
    say("ok");
}

// Launches as they were before CUDA 4: what one needs is set on the function, a call each.
static void staged(void) {
    enum { THREADS = 64 };
    unsigned seen[THREADS];
    address place;
    begin();
    void *triple = kernel("triple");
    OK(allocate(&place, sizeof seen));
    GIVES(1, block_shape(triple, 0, 1, 1));
    GIVES(1, parameter_size(triple, sizeof place + 1));
    GIVES(1, parameter(triple, 4, &place, sizeof place));
    GIVES(1, launch_grid(triple, 1, 1));
    OK(block_shape(triple, THREADS, 1, 1));
    for (int in_words = 0; in_words < 2; in_words++) {
        OK(fill(place, 0, THREADS));
        OK(parameter_size(triple, 0));
        if (in_words) {
            OK(parameter_word(triple, 0, (unsigned)place));
            OK(parameter_word(triple, 4, place >> 32));
        } else {
            OK(parameter(triple, 0, &place, sizeof place));
        }
        OK(parameter_size(triple, sizeof place));
        OK(launch_grid(triple, 1, 1));
        OK(to_host(seen, place, sizeof seen));
        for (unsigned at = 0; at < THREADS; at++) HOLDS(seen[at] == 3 * at);
    }
    say("ok");
}

// A pointer to local memory means the same place in each thread's own, whoever's it was.
static void lent(void) {
    enum { THREADS = 64, BLOCKS = 3 };
    const unsigned others[] = {0, 1, 33, 31};
    address place;
    begin();
    OK(allocate(&place, 4));
    for (int at = 0; at < 4; at++) {
        unsigned count, other = others[at];
        void *parameters[] = {&place, &other};
        OK(fill(place, 0, 1));
        OK(launch(kernel("lend"), BLOCKS, 1, 1, THREADS, 1, 1, 0, 0, parameters, 0));
        OK(to_host(&count, place, 4));
        HOLDS(count == BLOCKS * THREADS);
    }
    say("ok");
}

// All blocks run at a time, or the kernel never ends. More than the card holds at a time are refused.
static void cooperating(void) {
    address place;
    int able = 0, per_multiprocessor = 0, multiprocessors = 0;
    begin();
    OK(attribute(&able, 95, 0));
    HOLDS(able == 1);
    OK(attribute(&multiprocessors, 16, 0));
    void *meet = kernel("meet");
    OK(occupancy(&per_multiprocessor, meet, 64, 0));
    OK(allocate(&place, 4));
    unsigned most = per_multiprocessor * multiprocessors, seen;
    const unsigned grids[] = {1, 60, most};
    for (int at = 0; at < 3; at++) {
        unsigned threads = grids[at] * 64;
        void *parameters[] = {&place, &threads};
        OK(fill(place, 0, 1));
        OK(cooperative(meet, grids[at], 1, 1, 64, 1, 1, 0, 0, parameters));
        OK(synchronize());
        OK(to_host(&seen, place, 4));
        HOLDS(seen == threads);
    }
    unsigned none = 0;
    void *parameters[] = {&place, &none};
    GIVES(720, cooperative(meet, most + 1, 1, 1, 64, 1, 1, 0, 0, parameters));
    OK(synchronize());
    say("ok");
}

// At exit, when a thread's own variables are gone already, the context is as it was.
static address at_exit_memory;

static void leave(void) {
    OK(fill(at_exit_memory, 9, 1));
    OK(synchronize());
    OK(release(at_exit_memory));
    say("ok");
}

static void exits(void) {
    HOLDS(atexit(leave) == 0);
    begin();
    OK(allocate(&at_exit_memory, 4 << 20));
    OK(start("empty", 0));
}

// What device malloc has is what the limit says at the first kernel that uses it; one context knows nothing of the other's.
static void heap(void) {
    enum { LIMIT = 2 };
    void *context;
    address place, taken;
    size_t bytes = 16 << 20, before;
    void *parameters[] = {&place, &bytes};
    begin();
    for (int larger = 0; larger < 2; larger++) {
        void *module, *take;
        if (larger) OK(make(&context, 0, 0));
        OK(load(&module, text));
        OK(function(&take, module, "take"));
        OK(allocate(&place, 8));
        before = used();
        if (larger) OK(set_limit(LIMIT, 64 << 20));
        HOLDS(used() == before);
        OK(launch(take, 1, 1, 1, 1, 1, 1, 0, 0, parameters, 0));
        OK(to_host(&taken, place, 8));
        HOLDS((taken != 0) == larger);
        HOLDS(used() - before == (larger ? 64 << 20 : 8 << 20));
        GIVES(1, set_limit(LIMIT, 128 << 20));
    }
    say("ok");
}

// What one of many threads sees of the device, in a context that all have in common.
static void *look(void *identity) {
    enum { COUNT = 1 << 12 };
    unsigned copy[COUNT], value = (unsigned)(size_t)&copy;
    address place;
    void *context;
    int devices;
    OK(init(0));
    OK(count_devices(&devices));
    HOLDS(devices == 1);
    OK(uuid(identity, 0));
    OK(retain(&context, 0));
    OK(set_current(context));
    OK(allocate(&place, sizeof copy));
    OK(fill(place, value, COUNT));
    OK(to_host(copy, place, sizeof copy));
    for (int at = 0; at < COUNT; at++) HOLDS(copy[at] == value);
    OK(release(place));
    return 0;
}

// 32 threads see one device; prints its UUID.
static void identity(void) {
    enum { THREADS = 32 };
    static unsigned char seen[THREADS][16];
    pthread_t threads[THREADS];
    load_library();
    for (int at = 0; at < THREADS; at++) HOLDS(pthread_create(&threads[at], 0, look, seen[at]) == 0);
    for (int at = 0; at < THREADS; at++) HOLDS(pthread_join(threads[at], 0) == 0);
    for (int at = 1; at < THREADS; at++) HOLDS(!memcmp(seen[0], seen[at], sizeof seen[0]));
    for (int byte = 0; byte < 16; byte++) printf("%02x", seen[0][byte]);
    puts("");
}

// Too little address space for the window.
static void narrow(void) {
    struct rlimit limit = {2ull << 30, 2ull << 30};
    HOLDS(setrlimit(RLIMIT_AS, &limit) == 0);
    begin();
    for (int round = 0; round < 20; round++) work(round);
    address place;
    OK(allocate(&place, 256 << 20));
    OK(fill(place, 1, 64 << 20));
    OK(start("empty", 0));
    OK(synchronize());
    OK(release(place));
    say("ok");
}

// Memory of another process, both ways.
static void shared(void) {
    enum { BYTES = 4 << 20 };
    int names[2], answers[2], status;
    ipc_handle handle;
    unsigned seen[4];
    char byte;
    HOLDS(pipe(names) == 0 && pipe(answers) == 0);
    pid_t child = fork();
    address place;
    if (child == 0) {
        HOLDS(read(names[0], &handle, sizeof handle) == sizeof handle);
        begin();
        OK(ipc_open(&place, handle, 1));
        OK(to_host(seen, place, sizeof seen));
        HOLDS(seen[0] == 11 && seen[3] == 11);
        OK(fill(place, 12, BYTES / 4));
        OK(synchronize());
        OK(ipc_close(place));
        HOLDS(read(names[0], &handle, sizeof handle) == sizeof handle);
        OK(ipc_open(&place, handle, 1));
        OK(to_host(seen, place, sizeof seen));
        HOLDS(seen[0] == 21 && seen[3] == 21);
        OK(fill(place, 22, 4));
        OK(ipc_close(place));
        memset(&handle, 1, sizeof handle);
        HOLDS(ipc_open(&place, handle, 1) != 0);
        HOLDS(write(answers[1], "x", 1) == 1);
        exit(0);
    }
    begin();
    OK(allocate(&place, BYTES));
    OK(fill(place, 11, BYTES / 4));
    OK(synchronize());
    OK(ipc_get(&handle, place));
    HOLDS(write(names[1], &handle, sizeof handle) == sizeof handle);
    // Two small allocations share a block; each handle means one of them.
    address small[2];
    for (int at = 0; at < 2; at++) {
        OK(allocate(&small[at], sizeof seen));
        OK(fill(small[at], 20 + at, 4));
    }
    OK(synchronize());
    OK(ipc_get(&handle, small[1]));
    HOLDS(write(names[1], &handle, sizeof handle) == sizeof handle);
    close(answers[1]);
    HOLDS(read(answers[0], &byte, 1) == 1);
    OK(to_host(seen, place, sizeof seen));
    HOLDS(seen[0] == 12 && seen[3] == 12);
    for (int at = 0; at < 2; at++) {
        OK(to_host(seen, small[at], sizeof seen));
        HOLDS(seen[0] == (at ? 22 : 20) && seen[3] == (at ? 22 : 20));
    }
    HOLDS(waitpid(child, &status, 0) == child && status == 0);
    work(6);
    say("ok");
}

// Nanoseconds: dlopen; cuInit and first context; module, first launch and its end; empty launch; launch and synchronise;
// allocate and free; and a byte through a pair of pipes and back, which is the machine's own price of asking another process.
static void timed(void) {
    enum { ROUNDS = 20000 };
    long long begun = now();
    load_library();
    printf("%lld ", now() - begun);
    begun = now();
    make_context();
    printf("%lld ", now() - begun);
    begun = now();
    void *empty = kernel("empty");
    OK(launch(empty, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0));
    OK(synchronize());
    printf("%lld ", now() - begun);
    long long submitting = 0;
    for (int batch = 0; batch < ROUNDS / 100; batch++) {
        begun = now();
        for (int at = 0; at < 100; at++) launch(empty, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0);
        submitting += now() - begun;
        OK(synchronize());
    }
    printf("%lld ", submitting / ROUNDS);
    begun = now();
    for (int at = 0; at < ROUNDS; at++) {
        launch(empty, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0);
        synchronize();
    }
    printf("%lld ", (now() - begun) / ROUNDS);
    begun = now();
    for (int at = 0; at < 1000; at++) {
        address place;
        OK(allocate(&place, 4 << 20));
        OK(release(place));
    }
    printf("%lld ", (now() - begun) / 1000);
    int there[2], back[2];
    char byte = 0;
    HOLDS(pipe(there) == 0 && pipe(back) == 0);
    if (fork() == 0) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1) {}
        _exit(0);
    }
    begun = now();
    for (int at = 0; at < ROUNDS; at++) HOLDS(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1);
    printf("%lld\n", (now() - begun) / ROUNDS);
}

int main(int count, char **arguments) {
    const char *part = count > 1 ? arguments[1] : "";
    if (!strcmp(part, "blocked")) blocked();
    else if (!strcmp(part, "hold")) hold(0);
    else if (!strcmp(part, "hold-forked")) hold(1);
    else if (!strcmp(part, "entered")) entered();
    else if (!strcmp(part, "exhausted")) exhausted();
    else if (!strcmp(part, "neighbours")) neighbours();
    else if (!strcmp(part, "forked")) forked();
    else if (!strcmp(part, "narrow")) narrow();
    else if (!strcmp(part, "identity")) identity();
    else if (!strcmp(part, "elsewhere")) elsewhere();
    else if (!strcmp(part, "narrow-elsewhere")) narrow_elsewhere();
    else if (!strcmp(part, "overcommitted")) overcommitted();
    else if (!strcmp(part, "confined") && count > 2) confined(arguments[2]);
    else if (!strcmp(part, "waiting")) waiting();
    else if (!strcmp(part, "computed")) computed();
    else if (!strcmp(part, "lent")) lent();
    else if (!strcmp(part, "staged")) staged();
    else if (!strcmp(part, "cooperating")) cooperating();
    else if (!strcmp(part, "shared")) shared();
    else if (!strcmp(part, "exits")) exits();
    else if (!strcmp(part, "heap")) heap();
    else if (!strcmp(part, "timed")) timed();
    else return 2;
    return 0;
}
