// A client of the virtual GPU that goes through the phases of a CUDA program again and again, and says in shared memory in
// which one it is: phases FILE alone | beside.
//
// alone: this process is the client. beside: a child is; this process has a context of its own, and once the child is dead it
// checks that the card's memory is back and that it itself can still work. Ends with 3 behind a CUDA error, with 1 and the
// line of the check behind anything else.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef unsigned long long address;

// tests/kills/client.rs reads this.
static volatile struct {
    unsigned phase, pass;
    int client;
} *shared;

enum phase { START, LOAD, CONTEXT, MODULE, ALLOCATE, COPY, LAUNCH, SYNCHRONISE, FREE, DESTROY };

#define FUNCTIONS(X) \
    X(init, "cuInit", (unsigned)) \
    X(make, "cuCtxCreate_v2", (void **, unsigned, int)) \
    X(destroy, "cuCtxDestroy_v2", (void *)) \
    X(synchronize, "cuCtxSynchronize", (void)) \
    X(allocate, "cuMemAlloc_v2", (address *, size_t)) \
    X(release, "cuMemFree_v2", (address)) \
    X(info, "cuMemGetInfo_v2", (size_t *, size_t *)) \
    X(to_device, "cuMemcpyHtoD_v2", (address, const void *, size_t)) \
    X(to_host, "cuMemcpyDtoH_v2", (void *, address, size_t)) \
    X(load, "cuModuleLoadData", (void **, const void *)) \
    X(unload, "cuModuleUnload", (void *)) \
    X(function, "cuModuleGetFunction", (void **, void *, const char *)) \
    X(launch, "cuLaunchKernel", (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **))

#define DECLARE(name, symbol, arguments) static int (*name) arguments;
FUNCTIONS(DECLARE)

static void failed(int line, const char *what) {
    printf("line %d: %s\n", line, what);
    fflush(stdout);
    _exit(1);
}
#define HOLDS(condition) do { if (!(condition)) failed(__LINE__, #condition); } while (0)

static void check(int result, const char *call) {
    if (result == 0) return;
    printf("CUDA error %d of %s\n", result, call);
    fflush(stdout);
    _exit(3);
}
#define OK(call) check(call, #call)

// Each element becomes 3 × itself + its index, ROUNDS times.
static const char text[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry turn(.param .u64 place, .param .u32 rounds) {\n"
    ".reg .b64 %rd<4>; .reg .b32 %r<8>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [place]; ld.param.u32 %r0, [rounds];\n"
    "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.u32 %r4, %r1, %r2, %r3;\n"
    "mul.wide.u32 %rd1, %r4, 4; add.u64 %rd2, %rd0, %rd1; ld.global.u32 %r5, [%rd2];\n"
    "again: mad.lo.u32 %r5, %r5, 3, %r4; sub.u32 %r0, %r0, 1; setp.ne.u32 %p, %r0, 0; @%p bra again;\n"
    "st.global.u32 [%rd2], %r5; ret;\n}\n";

enum { PIECES = 4, BYTES = 4 << 20, COUNT = 1 << 14, ROUNDS = 20, LAUNCHES = 8 };

static void begin(enum phase phase) {
    shared->phase = phase;
}

static void look_up(void) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    HOLDS(library);
#define LOOK_UP(name, symbol, arguments) *(void **)&name = dlsym(library, symbol); HOLDS(name);
    FUNCTIONS(LOOK_UP)
    OK(init(0));
}

// All phases from a context's creation to its end. `begin` tells of them, or nothing does.
static void pass(unsigned first, void (*begin)(enum phase)) {
    static unsigned sent[BYTES / 4], seen[COUNT];
    void *context, *module, *turn;
    address pieces[PIECES];
    begin(CONTEXT);
    OK(make(&context, 0, 0));
    begin(MODULE);
    OK(load(&module, text));
    OK(function(&turn, module, "turn"));
    begin(ALLOCATE);
    for (int at = 0; at < PIECES; at++) OK(allocate(&pieces[at], BYTES));
    begin(COPY);
    for (unsigned at = 0; at < BYTES / 4; at++) sent[at] = first + at;
    for (int at = 0; at < PIECES; at++) OK(to_device(pieces[at], sent, BYTES));
    begin(LAUNCH);
    unsigned rounds = ROUNDS;
    void *parameters[] = {&pieces[0], &rounds};
    for (int at = 0; at < LAUNCHES; at++) OK(launch(turn, COUNT / 128, 1, 1, 128, 1, 1, 0, 0, parameters, 0));
    begin(SYNCHRONISE);
    OK(synchronize());
    OK(to_host(seen, pieces[0], sizeof seen));
    for (unsigned at = 0; at < COUNT; at++) {
        unsigned expected = sent[at];
        for (int round = 0; round < ROUNDS * LAUNCHES; round++) expected = expected * 3 + at;
        HOLDS(seen[at] == expected);
    }
    begin(FREE);
    for (int at = 0; at < PIECES; at++) OK(release(pieces[at]));
    begin(DESTROY);
    OK(unload(module));
    OK(destroy(context));
}

static void client(void) {
    shared->client = getpid();
    begin(LOAD);
    look_up();
    for (unsigned at = 0;; at++) {
        shared->pass = at;
        pass(at, begin);
    }
}

static void say_nothing(enum phase phase) {
}

static size_t free_memory(void) {
    size_t available, total;
    OK(info(&available, &total));
    return available;
}

// The client is our child, and was forked before we had anything of the device.
static void beside(void) {
    int go[2], status;
    void *context;
    HOLDS(pipe(go) == 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        HOLDS(read(go[0], &byte, 1) == 1);
        client();
    }
    look_up();
    OK(make(&context, 0, 0));
    size_t before = free_memory();
    HOLDS(write(go[1], "x", 1) == 1);
    HOLDS(waitpid(child, &status, 0) == child);
    HOLDS(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    int waits = 0;
    while (free_memory() != before) {
        HOLDS(waits++ < 500);
        usleep(10000);
    }
    pass(1, say_nothing);
    puts("memory is back");
}

int main(int count, char **arguments) {
    HOLDS(count == 3);
    int file = open(arguments[1], O_RDWR);
    shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    HOLDS(shared != MAP_FAILED);
    // Should nobody end us.
    alarm(60);
    if (!strcmp(arguments[2], "alone")) client();
    else if (!strcmp(arguments[2], "beside")) beside();
    else return 2;
    return 0;
}
