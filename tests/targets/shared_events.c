// Events that two processes share, in the part that the first argument names: one waits for the other's work, in both
// directions; one is killed with work that will never end. Ends with 1 and the line of the check that failed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checks.h"

typedef unsigned long long address;
typedef void *handle;
typedef struct { char bytes[64]; } name;

enum { INVALID = 1, INVALID_HANDLE = 400, NOT_READY = 600 };
enum { NO_TIMING = 2, SHARED = 4, NON_BLOCKING = 1 };
enum { BYTES = 4 << 20 };

#define FUNCTIONS(X) \
    X(init, "cuInit", (unsigned)) \
    X(make, "cuCtxCreate_v2", (handle *, unsigned, int)) \
    X(attribute, "cuDeviceGetAttribute", (int *, int, int)) \
    X(allocate, "cuMemAlloc_v2", (address *, size_t)) \
    X(fill, "cuMemsetD32_v2", (address, unsigned, size_t)) \
    X(fill_async, "cuMemsetD32Async", (address, unsigned, size_t, handle)) \
    X(to_host, "cuMemcpyDtoH_v2", (void *, address, size_t)) \
    X(ipc_get, "cuIpcGetMemHandle", (name *, address)) \
    X(ipc_open, "cuIpcOpenMemHandle_v2", (address *, name, unsigned)) \
    X(load, "cuModuleLoadData", (handle *, const void *)) \
    X(function, "cuModuleGetFunction", (handle *, handle, const char *)) \
    X(launch, "cuLaunchKernel", (handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, handle, void **, void **)) \
    X(stream, "cuStreamCreate", (handle *, unsigned)) \
    X(query_stream, "cuStreamQuery", (handle)) \
    X(synchronize_stream, "cuStreamSynchronize", (handle)) \
    X(wait_event, "cuStreamWaitEvent", (handle, handle, unsigned)) \
    X(create, "cuEventCreate", (handle *, unsigned)) \
    X(destroy, "cuEventDestroy_v2", (handle)) \
    X(record, "cuEventRecord", (handle, handle)) \
    X(query, "cuEventQuery", (handle)) \
    X(synchronize, "cuEventSynchronize", (handle)) \
    X(elapsed, "cuEventElapsedTime", (float *, handle, handle)) \
    X(export_event, "cuIpcGetEventHandle", (name *, handle)) \
    X(open_event, "cuIpcOpenEventHandle", (handle *, name))

#define DECLARE(name, symbol, arguments) static int (*name) arguments;
FUNCTIONS(DECLARE)

// Waits until word 0 is not 0; then word 2 becomes word 1 plus 1.
static const char text[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry step(.param .u64 place) {\n"
    ".reg .b64 %rd<1>; .reg .b32 %r<2>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [place];\n"
    "again: ld.volatile.global.u32 %r0, [%rd0]; setp.eq.u32 %p, %r0, 0; @%p bra again;\n"
    "ld.volatile.global.u32 %r1, [%rd0+4]; add.u32 %r1, %r1, 1; st.volatile.global.u32 [%rd0+8], %r1; ret;\n}\n";

static handle work, other;

static void begin(void) {
    handle library = dlopen("libcuda.so.1", RTLD_NOW), context;
    HOLDS(library);
    alarm(60); // a process that waits for one that has failed
#define LOOK_UP(name, symbol, arguments) *(void **)&name = dlsym(library, symbol); HOLDS(name);
    FUNCTIONS(LOOK_UP)
    OK(init(0));
    OK(make(&context, 0, 0));
    OK(stream(&work, NON_BLOCKING));
    OK(stream(&other, NON_BLOCKING));
}

static void step(address place) {
    handle module, found;
    void *parameters[] = {&place};
    OK(load(&module, text));
    OK(function(&found, module, "step"));
    OK(launch(found, 1, 1, 1, 1, 1, 1, 0, work, parameters, 0));
}

static void set(address place, unsigned value) {
    OK(fill_async(place, value, 1, other));
    OK(synchronize_stream(other));
}

static unsigned get(address place) {
    unsigned value;
    OK(to_host(&value, place, 4));
    return value;
}

static void tell(int line) { HOLDS(write(line, "x", 1) == 1); }
static void hear(int line) { char byte; HOLDS(read(line, &byte, 1) == 1); }

// What both sides begin with: memory and an event that the parent has made. Word 0 of the memory is 0.
static int child_of(int line[2], address *place, handle *event) {
    name names[2];
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM, 0, line) == 0);
    pid_t child = fork();
    HOLDS(child >= 0);
    begin();
    if (child == 0) {
        HOLDS(read(line[1], names, sizeof names) == sizeof names);
        OK(ipc_open(place, names[0], 1));
        OK(open_event(event, names[1]));
        HOLDS(open_event(&work, names[0]) != 0); // memory is no event
        memset(names, 1, sizeof names);
        HOLDS(open_event(&work, names[1]) != 0);
        return 0;
    }
    OK(allocate(place, BYTES));
    OK(fill(*place, 0, BYTES / 4));
    GIVES(INVALID, create(event, SHARED));
    OK(create(event, NO_TIMING));
    GIVES(INVALID_HANDLE, export_event(&names[1], *event));
    OK(destroy(*event));
    OK(create(event, SHARED | NO_TIMING));
    OK(ipc_get(&names[0], *place));
    OK(export_event(&names[1], *event));
    HOLDS(write(line[0], names, sizeof names) == sizeof names);
    return child;
}

// Parent: step, record. Child: wait, step on what the parent's step has made. Then the same the other way round.
static void in_turn(void) {
    int line[2], status, supported;
    address place;
    handle event;
    float time;
    pid_t child = child_of(line, &place, &event);
    OK(attribute(&supported, 125, 0));
    HOLDS(supported == 1);
    OK(query(event)); // never recorded: the parent waits until the child has looked, too
    if (child == 0) {
        tell(line[1]);
        hear(line[1]);
        GIVES(NOT_READY, query(event));
        OK(wait_event(work, event, 0));
        step(place + 4); // its gate is word 1, open; it reads word 2
        usleep(20000);
        GIVES(NOT_READY, query_stream(work));
        set(place, 1); // lets the parent's step go on
        OK(synchronize_stream(work));
        HOLDS(get(place + 8) == 8 && get(place + 12) == 9);
        OK(query(event));
        OK(synchronize(event));
        HOLDS(elapsed(&time, event, event) != 0);
        // The other way round: our work waits for a gate that the parent opens.
        set(place, 0);
        step(place);
        OK(record(event, work));
        tell(line[1]);
        OK(synchronize(event));
        HOLDS(get(place + 8) == 31);
        OK(destroy(event));
        tell(line[1]);
        exit(0);
    }
    hear(line[0]);
    OK(fill(place + 4, 7, 1));
    step(place);
    OK(record(event, work));
    tell(line[0]);
    hear(line[0]);
    GIVES(NOT_READY, query(event));
    set(place + 4, 30);
    set(place, 1);
    OK(synchronize(event));
    HOLDS(get(place + 8) == 31);
    hear(line[0]);
    // The child's destruction is its own affair.
    OK(record(event, work));
    OK(synchronize(event));
    OK(destroy(event));
    HOLDS(waitpid(child, &status, 0) == child && status == 0);
    puts("ok");
}

// The child is killed while its work waits for a gate that nobody opens: who waits for it goes on.
static void killed(void) {
    int line[2], status;
    address place;
    handle event;
    pid_t child = child_of(line, &place, &event);
    if (child == 0) {
        step(place);
        OK(record(event, work));
        tell(line[1]);
        for (;;) pause();
    }
    hear(line[0]);
    OK(wait_event(work, event, 0));
    OK(fill_async(place + 16, 5, 1, work));
    usleep(20000);
    GIVES(NOT_READY, query_stream(work));
    GIVES(NOT_READY, query(event));
    HOLDS(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    OK(synchronize(event));
    OK(synchronize_stream(work));
    HOLDS(get(place + 16) == 5);
    // It still serves.
    set(place, 1);
    step(place);
    OK(record(event, work));
    OK(synchronize(event));
    HOLDS(get(place + 8) == 1);
    puts("ok");
}

int main(int count, char **arguments) {
    const char *part = count > 1 ? arguments[1] : "";
    if (!strcmp(part, "in-turn")) in_turn();
    else if (!strcmp(part, "killed")) killed();
    else return 2;
    return 0;
}
