// Virtual memory management through the driver API, in the part that the first argument names. Ends with 1 and the line of
// the check that failed. Started with --memory 512M.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "checks.h"

typedef unsigned long long address;
typedef struct { int kind, id; } location;
typedef struct { int kind, handle_types; location location; void *meta_data; unsigned char flags[8]; } properties;
typedef struct { location location; int flags; } access_of;

enum { INVALID = 1, OUT_OF_MEMORY = 2, ILLEGAL_ADDRESS = 700 };
enum { DEVICE = 1, HOST = 2, PINNED = 1, DESCRIPTOR = 1, READ = 1, READ_WRITE = 3 };
enum { UNIT = 2 << 20 };

#define FUNCTIONS(X) \
    X(init, "cuInit", (unsigned)) \
    X(make, "cuCtxCreate_v2", (void **, unsigned, int)) \
    X(synchronize, "cuCtxSynchronize", (void)) \
    X(info, "cuMemGetInfo_v2", (size_t *, size_t *)) \
    X(attribute, "cuDeviceGetAttribute", (int *, int, int)) \
    X(free_memory, "cuMemFree_v2", (address)) \
    X(ipc_get, "cuIpcGetMemHandle", (char[64], address)) \
    X(fill, "cuMemsetD32_v2", (address, unsigned, size_t)) \
    X(to_host, "cuMemcpyDtoH_v2", (void *, address, size_t)) \
    X(to_device, "cuMemcpyHtoD_v2", (address, const void *, size_t)) \
    X(load, "cuModuleLoadData", (void **, const void *)) \
    X(function, "cuModuleGetFunction", (void **, void *, const char *)) \
    X(launch, "cuLaunchKernel", (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **)) \
    X(granularity, "cuMemGetAllocationGranularity", (size_t *, const properties *, int)) \
    X(create, "cuMemCreate", (address *, size_t, const properties *, address)) \
    X(release, "cuMemRelease", (address)) \
    X(retain, "cuMemRetainAllocationHandle", (address *, void *)) \
    X(describe, "cuMemGetAllocationPropertiesFromHandle", (properties *, address)) \
    X(reserve, "cuMemAddressReserve", (address *, size_t, size_t, address, address)) \
    X(unreserve, "cuMemAddressFree", (address, size_t)) \
    X(map, "cuMemMap", (address, size_t, size_t, address, address)) \
    X(unmap, "cuMemUnmap", (address, size_t)) \
    X(set_access, "cuMemSetAccess", (address, size_t, const access_of *, size_t)) \
    X(get_access, "cuMemGetAccess", (address *, const location *, address)) \
    X(export_handle, "cuMemExportToShareableHandle", (void *, address, int, address)) \
    X(import_handle, "cuMemImportFromShareableHandle", (address *, void *, int)) \
    X(range, "cuMemGetAddressRange_v2", (address *, size_t *, address)) \
    X(pointer, "cuPointerGetAttribute", (void *, int, address))

#define DECLARE(name, symbol, arguments) static int (*name) arguments;
FUNCTIONS(DECLARE)

static const char text[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry count(.param .u64 place) {\n" // place[i] = i, a word per thread
    ".reg .b64 %rd<3>; .reg .b32 %r<5>;\n"
    "ld.param.u64 %rd0, [place]; mov.u32 %r0, %ctaid.x; mov.u32 %r1, %ntid.x; mov.u32 %r2, %tid.x;\n"
    "mad.lo.u32 %r3, %r0, %r1, %r2; mul.wide.u32 %rd1, %r3, 4; add.u64 %rd2, %rd0, %rd1;\n"
    "st.global.u32 [%rd2], %r3; ret;\n}\n"
    ".visible .entry copy(.param .u64 place) {\n" // place[1] = place[0]
    ".reg .b64 %rd<1>; .reg .b32 %r<1>;\n"
    "ld.param.u64 %rd0, [place]; ld.global.u32 %r0, [%rd0]; st.global.u32 [%rd0+4], %r0; ret;\n}\n"
    ".visible .entry read(.param .u64 place) {\n"
    ".reg .b64 %rd<1>; .reg .b32 %r<1>;\n"
    "ld.param.u64 %rd0, [place]; ld.volatile.global.u32 %r0, [%rd0]; ret;\n}\n";

static int start(const char *name, address place, unsigned blocks) {
    static void *module;
    void *found, *parameters[] = {&place};
    if (!module) OK(load(&module, text));
    OK(function(&found, module, name));
    return launch(found, blocks, 1, 1, blocks > 1 ? 256 : 1, 1, 1, 0, 0, parameters, 0);
}

static void begin(void) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW), *context;
    HOLDS(library);
#define LOOK_UP(name, symbol, arguments) *(void **)&name = dlsym(library, symbol); HOLDS(name);
    FUNCTIONS(LOOK_UP)
    OK(init(0));
    OK(make(&context, 0, 0));
}

static size_t used(void) {
    size_t left, total;
    OK(info(&left, &total));
    return total - left;
}

static const properties on_device = {PINNED, DESCRIPTOR, {DEVICE, 0}};
static const access_of read_write = {{DEVICE, 0}, READ_WRITE}, read_only = {{DEVICE, 0}, READ}, nothing = {{DEVICE, 0}, 0};

static address made(size_t bytes) {
    address handle;
    OK(create(&handle, bytes, &on_device, 0));
    return handle;
}

static address reserved(size_t bytes) {
    address place;
    OK(reserve(&place, bytes, 0, 0, 0));
    return place;
}

// Memory of its own handle, mapped and accessible.
static address mapped(size_t bytes) {
    address place = reserved(bytes), handle = made(bytes);
    OK(map(place, bytes, 0, handle, 0));
    OK(release(handle));
    OK(set_access(place, bytes, &read_write, 1));
    return place;
}

static void say(const char *words) {
    puts(words);
    fflush(stdout);
}

// Two memories side by side are one for kernels, copies and fills; what was given back is free again.
static void side_by_side(void) {
    enum { WORDS = UNIT / 4 };
    static unsigned copy[3 * WORDS];
    properties found;
    size_t unit, before, bytes;
    int supported;
    address handle, other, base, flags;
    begin();
    OK(attribute(&supported, 102, 0));
    HOLDS(supported == 1);
    OK(attribute(&supported, 103, 0));
    HOLDS(supported == 1);
    for (int option = 0; option < 2; option++) {
        OK(granularity(&unit, &on_device, option));
        HOLDS(unit == UNIT);
    }
    before = used();
    // Addresses cost nothing: these are more than the card has memory.
    address place = reserved(8ull << 30);
    HOLDS(used() == before && place % UNIT == 0);
    address first = made(UNIT), second = made(2 * UNIT);
    HOLDS(used() - before == 3 * UNIT);
    OK(describe(&found, second));
    HOLDS(found.kind == PINNED && found.handle_types == DESCRIPTOR && found.location.kind == DEVICE && found.location.id == 0);
    OK(map(place, UNIT, 0, first, 0));
    GIVES(INVALID, map(place, UNIT, 0, second, 0));
    OK(map(place + UNIT, 2 * UNIT, 0, second, 0));
    // Mapped is not yet accessible.
    OK(get_access(&flags, &read_write.location, place));
    HOLDS(flags == 0);
    GIVES(INVALID, fill(place, 7, 1));
    GIVES(INVALID, to_host(copy, place, 4));
    OK(set_access(place, 3 * UNIT, &read_write, 1));
    OK(get_access(&flags, &read_write.location, place + UNIT));
    HOLDS(flags == READ_WRITE);
    OK(start("count", place, 3 * WORDS / 256));
    OK(to_host(copy, place, sizeof copy));
    for (unsigned at = 0; at < 3 * WORDS; at++) HOLDS(copy[at] == at);
    OK(fill(place + UNIT - 8, 99, 4));
    OK(to_host(copy, place + UNIT - 12, 24));
    HOLDS(copy[0] == WORDS - 3 && copy[1] == 99 && copy[4] == 99 && copy[5] == WORDS + 2);
    GIVES(INVALID, fill(place + 3 * UNIT - 4, 1, 2));
    GIVES(INVALID, to_host(copy, place + 3 * UNIT - 4, 8));
    // What belongs to one mapping.
    OK(range(&base, &bytes, place + UNIT + 5));
    HOLDS(base == place + UNIT && bytes == 2 * UNIT);
    OK(pointer(&other, 14, place));
    HOLDS(other == DESCRIPTOR);
    char name[64];
    HOLDS(ipc_get(name, place) != 0);
    GIVES(INVALID, free_memory(place));
    GIVES(INVALID, set_access(place, UNIT + 4096, &read_write, 1));
    GIVES(INVALID, unmap(place + UNIT, UNIT));
    // A handle more from an address; the memory lasts as long as one of them or the mapping.
    OK(retain(&handle, (void *)(size_t)(place + 17)));
    HOLDS(handle == first);
    OK(release(first));
    OK(release(first));
    GIVES(INVALID, release(first));
    OK(release(second));
    HOLDS(used() - before == 3 * UNIT);
    GIVES(INVALID, unreserve(place, 8ull << 30));
    OK(unmap(place, 3 * UNIT));
    HOLDS(used() == before);
    GIVES(INVALID, to_host(copy, place, 4));
    OK(unreserve(place, 8ull << 30));
    GIVES(INVALID, unreserve(place, 8ull << 30));
    say("ok");
}

// The same memory at two places, and at another place later.
static void elsewhere(void) {
    unsigned seen[2] = {41, 0};
    begin();
    address handle = made(UNIT), one = reserved(UNIT), other = reserved(2 * UNIT), near;
    OK(map(one, UNIT, 0, handle, 0));
    OK(map(other + UNIT, UNIT, 0, handle, 0));
    OK(set_access(one, UNIT, &read_write, 1));
    OK(set_access(other + UNIT, UNIT, &read_only, 1));
    OK(to_device(one, seen, 4));
    OK(start("copy", one, 1));
    OK(start("read", other + UNIT, 1));
    OK(to_host(seen, other + UNIT, 8));
    HOLDS(seen[0] == 41 && seen[1] == 41);
    GIVES(INVALID, to_device(other + UNIT, seen, 4));
    OK(unmap(one, UNIT));
    OK(set_access(other + UNIT, UNIT, &read_write, 1));
    seen[0] = 42;
    OK(to_device(other + UNIT, seen, 4));
    OK(start("copy", other + UNIT, 1));
    OK(to_host(seen, other + UNIT, 8));
    HOLDS(seen[1] == 42);
    // A wish is granted where the place is free, and is no error where it is not.
    OK(reserve(&near, UNIT, 0, other + 2 * UNIT, 0));
    HOLDS(near == other + 2 * UNIT);
    OK(reserve(&near, UNIT, 0, other + 2 * UNIT, 0));
    HOLDS(near != other + 2 * UNIT);
    OK(reserve(&near, UNIT, 1ull << 30, 0, 0));
    HOLDS(near % (1 << 30) == 0);
    say("ok");
}

// What is no memory of the device's, and what the card lacks.
static void limits(void) {
    properties wrong = on_device, host = on_device;
    address handle, place;
    unsigned seen;
    begin();
    size_t before = used();
    GIVES(OUT_OF_MEMORY, create(&handle, 600 << 20, &on_device, 0));
    address large = made(300 << 20);
    GIVES(OUT_OF_MEMORY, create(&handle, 300 << 20, &on_device, 0));
    OK(release(large));
    HOLDS(used() == before);
    GIVES(INVALID, create(&handle, UNIT + 1, &on_device, 0));
    wrong.handle_types = 8;
    HOLDS(create(&handle, UNIT, &wrong, 0) != 0);
    wrong = on_device;
    wrong.location.id = 7;
    HOLDS(create(&handle, UNIT, &wrong, 0) != 0);
    GIVES(OUT_OF_MEMORY, reserve(&place, 1ull << 45, 0, 0, 0));
    place = reserved(UNIT);
    GIVES(INVALID, map(place, UNIT, 0, 12345, 0));
    GIVES(INVALID, map(place + UNIT, UNIT, 0, made(UNIT), 0));
    GIVES(INVALID, set_access(place, UNIT, &read_write, 1));
    GIVES(INVALID, unmap(place, UNIT));
    // Memory of the host's is not the card's.
    before = used();
    host.location.kind = HOST;
    OK(create(&handle, UNIT, &host, 0));
    HOLDS(used() == before);
    const access_of both[] = {read_write, {{HOST, 0}, READ_WRITE}};
    OK(map(place, UNIT, 0, handle, 0));
    OK(set_access(place, UNIT, both, 2));
    *(unsigned *)(size_t)place = 5;
    OK(start("copy", place, 1));
    OK(synchronize());
    HOLDS(((unsigned *)(size_t)place)[1] == 5);
    OK(to_host(&seen, place + 4, 4));
    HOLDS(seen == 5);
    say("ok");
}

// A kernel that touches what is not there, or writes what it may only read, ends its own context.
static void wild(const char *which) {
    begin();
    address place = mapped(UNIT), beyond = reserved(UNIT);
    if (!strcmp(which, "reserved")) OK(start("read", beyond, 1));
    if (!strcmp(which, "read-only")) {
        OK(set_access(place, UNIT, &read_only, 1));
        OK(start("copy", place, 1));
    }
    if (!strcmp(which, "closed")) {
        OK(set_access(place, UNIT, &nothing, 1));
        OK(start("read", place, 1));
    }
    if (!strcmp(which, "unmapped")) {
        OK(start("copy", place, 1));
        OK(unmap(place, UNIT));
        OK(start("read", place, 1));
    }
    GIVES(ILLEGAL_ADDRESS, synchronize());
    GIVES(ILLEGAL_ADDRESS, start("read", place, 1));
    say("ok");
}

static void send_descriptor(int line, int descriptor) {
    char space[CMSG_SPACE(sizeof descriptor)] = {0}, byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){CMSG_LEN(sizeof descriptor), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
    HOLDS(sendmsg(line, &message, 0) == 1);
}

static int receive_descriptor(int line) {
    char space[CMSG_SPACE(sizeof(int))], byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    int descriptor;
    HOLDS(recvmsg(line, &message, 0) == 1 && CMSG_FIRSTHDR(&message));
    memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof descriptor);
    return descriptor;
}

// Lets the other go on, or waits until it does.
static void tell(int line) { HOLDS(write(line, "x", 1) == 1); }
static void hear(int line) { char byte; HOLDS(read(line, &byte, 1) == 1); }

// The exporter gives everything up while its descriptor is on the way; the importer writes, a third process sees it.
static void shared(void) {
    enum { BYTES = 64 << 20 };
    int line[2], descriptor, status;
    unsigned seen[2];
    address handle, again, place;
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM, 0, line) == 0);
    pid_t importer = fork();
    alarm(60); // a process that waits for one that has failed
    begin();
    if (importer == 0) {
        hear(line[1]);
        size_t alone = used();
        tell(line[1]);
        descriptor = receive_descriptor(line[1]);
        hear(line[1]);
        HOLDS(used() - alone == BYTES); // held by the descriptor only
        OK(import_handle(&handle, (void *)(size_t)descriptor, DESCRIPTOR));
        OK(import_handle(&again, (void *)(size_t)descriptor, DESCRIPTOR));
        HOLDS(close(descriptor) == 0 && handle == again);
        HOLDS(used() - alone == BYTES);
        place = reserved(BYTES);
        OK(map(place, BYTES, 0, handle, 0));
        OK(set_access(place, BYTES, &read_write, 1));
        OK(to_host(seen, place + BYTES - 8, 8));
        HOLDS(seen[0] == 17 && seen[1] == 17);
        OK(release(handle));
        OK(release(again));
        HOLDS(used() - alone == BYTES);
        OK(unmap(place, BYTES));
        HOLDS(used() == alone);
        HOLDS(import_handle(&handle, (void *)(size_t)line[1], DESCRIPTOR) != 0);
        _exit(0);
    }
    tell(line[0]);
    hear(line[0]);
    size_t before = used();
    handle = made(BYTES);
    place = reserved(BYTES);
    OK(map(place, BYTES, 0, handle, 0));
    OK(set_access(place, BYTES, &read_write, 1));
    OK(fill(place, 17, BYTES / 4));
    OK(synchronize());
    OK(export_handle(&descriptor, handle, DESCRIPTOR, 0));
    send_descriptor(line[0], descriptor);
    HOLDS(close(descriptor) == 0);
    OK(unmap(place, BYTES));
    OK(release(handle));
    HOLDS(used() - before == BYTES);
    tell(line[0]);
    HOLDS(waitpid(importer, &status, 0) == importer && status == 0);
    HOLDS(used() < before); // the importer's context is gone too
    say("ok");
}

static long shared_mebibytes(void) {
    char line[128];
    long kibibytes = -1;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Shmem: %ld", &kibibytes) == 1) break;
    if (file) fclose(file);
    return kibibytes >> 10;
}

// The owner of touched memory is killed, and a child that it had forked lives on: the memory is back all the same.
static void killed(void) {
    enum { BYTES = 256 << 20 };
    int line[2], status;
    pid_t grandchild;
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM, 0, line) == 0);
    pid_t owner = fork();
    HOLDS(owner >= 0);
    alarm(60);
    begin();
    size_t before = used();
    long shared_before = shared_mebibytes();
    if (owner == 0) {
        hear(line[1]);
        address place = mapped(BYTES), kept = made(UNIT);
        OK(fill(place, 1, BYTES / 4));
        OK(synchronize());
        HOLDS(kept);
        grandchild = fork();
        if (grandchild == 0) {
            alarm(60);
            for (;;) pause();
        }
        HOLDS(write(line[1], &grandchild, sizeof grandchild) == sizeof grandchild);
        for (;;) pause();
    }
    tell(line[0]);
    HOLDS(read(line[0], &grandchild, sizeof grandchild) == sizeof grandchild);
    HOLDS(used() - before >= BYTES + UNIT && shared_mebibytes() - shared_before >= 200);
    HOLDS(kill(owner, SIGKILL) == 0 && waitpid(owner, &status, 0) == owner);
    struct timespec pause_for = {0, 10000000};
    for (int round = 0; round < 300 && (used() > before || shared_mebibytes() - shared_before >= 100); round++)
        nanosleep(&pause_for, 0);
    HOLDS(used() <= before);
    HOLDS(shared_mebibytes() - shared_before < 100);
    HOLDS(kill(grandchild, SIGKILL) == 0);
    say("ok");
}

int main(int count, char **arguments) {
    const char *part = count > 1 ? arguments[1] : "";
    if (!strcmp(part, "side-by-side")) side_by_side();
    else if (!strcmp(part, "elsewhere")) elsewhere();
    else if (!strcmp(part, "limits")) limits();
    else if (!strcmp(part, "wild") && count > 2) wild(arguments[2]);
    else if (!strcmp(part, "shared")) shared();
    else if (!strcmp(part, "killed")) killed();
    else return 2;
    return 0;
}
