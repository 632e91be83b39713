// cc: -Wno-unused-result
// Streams that run at the same time, in the part that the first argument names: kernels that wait for each other, for copies and
// for the client; the order that streams promise all the same; what goes wrong in one while another runs. What waits for
// something would wait for ever if streams ran one after the other. Ends with 1 and the line of the check that failed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"

typedef unsigned long long address;
typedef void *handle;

enum { ILLEGAL_ADDRESS = 700, NOT_READY = 600, LAUNCH_FAILED = 719 };
enum { NON_BLOCKING = 1, NO_TIMING = 2, MAPPED = 2 };

#define FUNCTIONS(X) \
    X(init, "cuInit", (unsigned)) \
    X(make, "cuCtxCreate_v2", (handle *, unsigned, int)) \
    X(synchronize_all, "cuCtxSynchronize", (void)) \
    X(allocate, "cuMemAlloc_v2", (address *, size_t)) \
    X(release, "cuMemFree_v2", (address)) \
    X(allocate_host, "cuMemHostAlloc", (void **, size_t, unsigned)) \
    X(fill, "cuMemsetD32_v2", (address, unsigned, size_t)) \
    X(fill_async, "cuMemsetD32Async", (address, unsigned, size_t, handle)) \
    X(to_device, "cuMemcpyHtoD_v2", (address, const void *, size_t)) \
    X(to_device_async, "cuMemcpyHtoDAsync_v2", (address, const void *, size_t, handle)) \
    X(to_host, "cuMemcpyDtoH_v2", (void *, address, size_t)) \
    X(to_host_async, "cuMemcpyDtoHAsync_v2", (void *, address, size_t, handle)) \
    X(copy_async, "cuMemcpyDtoDAsync_v2", (address, address, size_t, handle)) \
    X(load, "cuModuleLoadData", (handle *, const void *)) \
    X(function, "cuModuleGetFunction", (handle *, handle, const char *)) \
    X(launch, "cuLaunchKernel", (handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, handle, void **, void **)) \
    X(cooperative, "cuLaunchCooperativeKernel", (handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, handle, void **)) \
    X(stream, "cuStreamCreate", (handle *, unsigned)) \
    X(destroy_stream, "cuStreamDestroy_v2", (handle)) \
    X(query, "cuStreamQuery", (handle)) \
    X(synchronize, "cuStreamSynchronize", (handle)) \
    X(wait_event, "cuStreamWaitEvent", (handle, handle, unsigned)) \
    X(write_word, "cuStreamWriteValue32_v2", (handle, address, unsigned, unsigned)) \
    X(wait_word, "cuStreamWaitValue32_v2", (handle, address, unsigned, unsigned)) \
    X(host_function, "cuLaunchHostFunc", (handle, void (*)(void *), void *)) \
    X(event, "cuEventCreate", (handle *, unsigned)) \
    X(record, "cuEventRecord", (handle, handle)) \
    X(await, "cuEventSynchronize", (handle)) \
    X(elapsed, "cuEventElapsedTime", (float *, handle, handle)) \
    X(begin_capture, "cuStreamBeginCapture_v2", (handle, unsigned)) \
    X(end_capture, "cuStreamEndCapture", (handle, handle *)) \
    X(instantiate, "cuGraphInstantiateWithFlags", (handle *, handle, unsigned long long)) \
    X(launch_graph, "cuGraphLaunch", (handle, handle))

#define DECLARE(name, symbol, arguments) static int (*name) arguments;
FUNCTIONS(DECLARE)

static const char text[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".extern .func (.param .b64 result) malloc(.param .b64 bytes);\n"
    ".extern .func free(.param .b64 place);\n"
    ".extern .func (.param .b32 result) vprintf(.param .b64 format, .param .b64 arguments);\n"
    ".global .align 1 .b8 line[13] = {98, 108, 111, 99, 107, 32, 37, 117, 32, 37, 117, 10, 0};\n" // "block %u %u\n"
    // Waits until the word at `from` is not zero, then sets the one at `to`.
    ".visible .entry pass(.param .u64 from, .param .u64 to) {\n"
    ".reg .b64 %rd<2>; .reg .b32 %r<2>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [from]; ld.param.u64 %rd1, [to];\n"
    "again: ld.volatile.global.u32 %r0, [%rd0]; setp.eq.u32 %p, %r0, 0; @%p bra again;\n"
    "membar.gl; mov.u32 %r1, 1; st.volatile.global.u32 [%rd1], %r1; ret;\n}\n"
    // Raises the word at `mine` to 1, 2, …, each time after the one at `other` has got as far, or, if it is first, before it does.
    ".visible .entry rally(.param .u64 mine, .param .u64 other, .param .u32 rounds, .param .u32 first) {\n"
    ".reg .b64 %rd<2>; .reg .b32 %r<5>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [mine]; ld.param.u64 %rd1, [other]; ld.param.u32 %r0, [rounds]; ld.param.u32 %r1, [first];\n"
    "mov.u32 %r2, 0;\n"
    "round: add.u32 %r2, %r2, 1; sub.u32 %r4, %r2, %r1;\n"
    "again: ld.volatile.global.u32 %r3, [%rd1]; setp.lo.u32 %p, %r3, %r4; @%p bra again;\n"
    "st.volatile.global.u32 [%rd0], %r2; setp.lo.u32 %p, %r2, %r0; @%p bra round; ret;\n}\n"
    // Comes, and waits until all have come.
    ".visible .entry meet(.param .u64 place, .param .u32 all) {\n"
    ".reg .b64 %rd<2>; .reg .b32 %r<4>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [place]; ld.param.u32 %r0, [all];\n"
    "mov.u32 %r1, %tid.x; setp.ne.u32 %p, %r1, 0; @%p bra out;\n"
    "atom.global.add.u32 %r1, [%rd0], 1;\n"
    "again: ld.volatile.global.u32 %r2, [%rd0]; setp.lo.u32 %p, %r2, %r0; @%p bra again;\n"
    "out: bar.sync 0; ret;\n}\n"
    // x = x * 3 + k, in each block's own word: the value tells the order.
    ".visible .entry step(.param .u64 place, .param .u32 k) {\n"
    ".reg .b64 %rd<3>; .reg .b32 %r<4>;\n"
    "ld.param.u64 %rd0, [place]; ld.param.u32 %r0, [k]; mov.u32 %r3, %ctaid.x; mul.wide.u32 %rd1, %r3, 4; add.u64 %rd0, %rd0, %rd1;\n"
    "ld.global.u32 %r1, [%rd0]; mad.lo.u32 %r2, %r1, 3, %r0; st.global.u32 [%rd0], %r2; ret;\n}\n"
    // Works without waiting for anybody, for `rounds` rounds.
    ".visible .entry toil(.param .u64 place, .param .u32 rounds) {\n"
    ".reg .b64 %rd<3>; .reg .b32 %r<4>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [place]; ld.param.u32 %r0, [rounds]; mov.u32 %r1, %tid.x; mov.u32 %r2, 0;\n"
    "again: mad.lo.u32 %r1, %r1, 1664525, 1013904223; xor.b32 %r1, %r1, %r2; add.u32 %r2, %r2, 1;\n"
    "setp.lo.u32 %p, %r2, %r0; @%p bra again; st.global.u32 [%rd0], %r1; ret;\n}\n"
    // Each block prints a line, and counts in memory of malloc's for a while.
    ".visible .entry speak(.param .u64 count, .param .u32 who) {\n"
    ".local .align 8 .b8 pack[8]; .param .b64 wanted; .param .b64 given; .param .b64 format; .param .b64 list; .param .b32 printed;\n"
    ".reg .b64 %rd<6>; .reg .b32 %r<5>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [count]; ld.param.u32 %r0, [who]; mov.u32 %r1, %ctaid.x;\n"
    "mov.u64 %rd1, 64; st.param.b64 [wanted], %rd1; call.uni (given), malloc, (wanted); ld.param.b64 %rd2, [given];\n"
    "setp.eq.u64 %p, %rd2, 0; @%p ret; st.u32 [%rd2], %r1; st.u32 [%rd2+60], %r0;\n"
    "mov.u64 %rd3, pack; cvta.local.u64 %rd3, %rd3; st.u32 [%rd3], %r0; st.u32 [%rd3+4], %r1; mov.u64 %rd4, line; cvta.global.u64 %rd4, %rd4;\n"
    "st.param.b64 [format], %rd4; st.param.b64 [list], %rd3; call.uni (printed), vprintf, (format, list);\n"
    "ld.u32 %r2, [%rd2]; setp.ne.u32 %p, %r2, %r1; @%p ret; ld.u32 %r2, [%rd2+60]; setp.ne.u32 %p, %r2, %r0; @%p ret;\n"
    "st.param.b64 [wanted], %rd2; call.uni free, (wanted); mov.u32 %r3, 1; red.global.add.u32 [%rd0], %r3; ret;\n}\n"
    ".visible .entry wild(.param .u64 place) {\n"
    ".reg .b64 %rd<2>; .reg .b32 %r<2>;\n"
    "ld.param.u64 %rd0, [place]; mov.u32 %r0, 1; st.global.u32 [%rd0], %r0; ret;\n}\n"
    ".visible .entry stop() { trap; ret; }\n";

static handle module;
/// Words of device memory, zero at first, and of memory that the client has too.
static address place;
static volatile unsigned *mapped;
enum { WORDS = 1 << 16 };

static int start_blocks(handle where, const char *name, unsigned blocks, unsigned threads, void **parameters) {
    handle found;
    OK(function(&found, module, name));
    return launch(found, blocks, 1, 1, threads, 1, 1, 0, where, parameters, 0);
}

static void pass(handle where, address from, address to) {
    void *parameters[] = {&from, &to};
    OK(start_blocks(where, "pass", 1, 32, parameters));
}

static void meet(handle where, address at, unsigned blocks, unsigned all) {
    void *parameters[] = {&at, &all};
    OK(start_blocks(where, "meet", blocks, 64, parameters));
}

static void step(handle where, address at, unsigned blocks, unsigned k) {
    void *parameters[] = {&at, &k};
    OK(start_blocks(where, "step", blocks, 1, parameters));
}

static unsigned word(address at) {
    unsigned found;
    OK(to_host(&found, at, sizeof found));
    return found;
}

static handle new_stream(unsigned flags) {
    handle made;
    OK(stream(&made, flags));
    return made;
}

static void begin(void) {
    handle context;
    void *library = dlopen("libcuda.so.1", RTLD_NOW), *host;
    HOLDS(library);
#define LOOK_UP(name, symbol, arguments) *(void **)&name = dlsym(library, symbol); HOLDS(name);
    FUNCTIONS(LOOK_UP)
    OK(init(0));
    OK(make(&context, 0, 0));
    OK(load(&module, text));
    OK(allocate(&place, 4 * WORDS));
    OK(fill(place, 0, WORDS));
    OK(allocate_host(&host, 4096, MAPPED));
    memset(host, 0, 4096);
    mapped = host;
    OK(synchronize_all());
}

// Two kernels of one block that answer each other's words.
static void rally(void) {
    enum { ROUNDS = 300 };
    unsigned rounds = ROUNDS, first = 1, second = 0;
    address ours = place, theirs = place + 4;
    void *one[] = {&ours, &theirs, &rounds, &first}, *two[] = {&theirs, &ours, &rounds, &second};
    handle streams[] = {new_stream(NON_BLOCKING), new_stream(NON_BLOCKING)};
    OK(start_blocks(streams[0], "rally", 1, 1, one));
    OK(start_blocks(streams[1], "rally", 1, 1, two));
    OK(synchronize(streams[0]));
    OK(synchronize(streams[1]));
    HOLDS(word(ours) == ROUNDS && word(theirs) == ROUNDS);
}

// Kernels of one block and of several that wait until all blocks of all of them are there.
static void meetings(void) {
    enum { STREAMS = 40 };
    handle streams[STREAMS];
    for (int at = 0; at < STREAMS; at++) streams[at] = new_stream(at % 2 ? NON_BLOCKING : 0);
    for (int at = 0; at < 2; at++) meet(streams[at], place, 1, 2);
    for (int at = 0; at < 3; at++) meet(streams[at], place + 4, 8, 24);
    for (int at = 0; at < STREAMS; at++) meet(streams[at], place + 8, 1, STREAMS);
    OK(synchronize_all());
    HOLDS(word(place) == 2 && word(place + 4) == 24 && word(place + 8) == STREAMS);
    // All blocks of cooperative launches are there, also if two of them wait for each other.
    handle found;
    OK(function(&found, module, "meet"));
    address at = place + 12;
    unsigned all = 48;
    void *parameters[] = {&at, &all};
    for (int who = 0; who < 2; who++) OK(cooperative(found, 24, 1, 1, 64, 1, 1, 0, streams[who], parameters));
    OK(synchronize_all());
    HOLDS(word(at) == 48);
    for (int which = 0; which < STREAMS; which++) OK(destroy_stream(streams[which]));
}

static void open_gate(void *gate) { *(volatile unsigned *)gate = 1; }

// A kernel waits for a gate that something else opens: a copy, a fill, a value, a kernel, a host function, the client itself, a copy
// of the legacy stream; each beside it, and behind an event.
static void gates(void) {
    handle waits = new_stream(NON_BLOCKING), opens = new_stream(NON_BLOCKING), third = new_stream(0), passed;
    address gate = place, out = place + 4;
    unsigned *pinned, one = 1;
    void *host;
    OK(allocate_host(&host, 64, 0));
    pinned = host;
    *pinned = 1;
    OK(event(&passed, NO_TIMING));
    for (int way = 0; way < 10; way++) {
        address from = way >= 5 && way < 8 ? (address)&mapped[0] : gate;
        *mapped = 0;
        OK(fill(place, 0, 2));
        OK(synchronize_all());
        pass(waits, from, out);
        // Time for it to begin.
        if (way % 2) usleep(2000);
        GIVES(NOT_READY, query(waits));
        switch (way) {
        case 0: OK(to_device_async(gate, pinned, 4, opens)); break;
        case 1: OK(fill_async(gate, 1, 1, opens)); break;
        case 2: OK(write_word(opens, gate, 1, 0)); break;
        case 3: step(opens, gate, 1, 1); break;
        case 4: OK(copy_async(gate, (address)pinned, 4, opens)); break;
        case 5: OK(host_function(opens, open_gate, (void *)mapped)); break;
        case 6: *mapped = 1; break;
        case 7: OK(wait_word(opens, (address)&mapped[1], 7, 1)); OK(host_function(opens, open_gate, (void *)mapped)); usleep(1000); mapped[1] = 7; break;
        case 8: OK(to_device(gate, &one, 4)); break;
        case 9: // through three streams
            step(third, place + 8, 5, 1);
            OK(record(passed, third));
            OK(wait_event(opens, passed, 0));
            OK(copy_async(gate, place + 8, 4, opens));
            break;
        }
        OK(synchronize(waits));
        HOLDS(word(out) == 1);
        OK(synchronize_all());
    }
}

// A host function that one stream has come to waits for none that another has not: here it is what that one waits for.
static void host_functions(void) {
    handle first = new_stream(NON_BLOCKING), second = new_stream(NON_BLOCKING);
    for (int time = 0; time < 20; time++) {
        mapped[0] = mapped[1] = 0;
        pass(first, (address)&mapped[0], place);
        OK(host_function(first, open_gate, (void *)&mapped[1]));
        if (time % 2) usleep(1000);
        HOLDS(!mapped[1]);
        OK(host_function(second, open_gate, (void *)&mapped[0]));
        OK(synchronize(first));
        HOLDS(mapped[1]);
    }
}

// The legacy stream waits for blocking streams, they wait for it, and others for neither.
static void legacy(void) {
    handle first = new_stream(0), second = new_stream(0), free_one = new_stream(NON_BLOCKING);
    address gate = place, chain = place + 4, other = place + 8;
    pass(first, gate, place + 12);
    step(first, chain, 1, 1);
    step(0, chain, 1, 2);
    step(second, chain, 1, 3);
    step(free_one, other, 1, 5);
    OK(synchronize(free_one));
    usleep(20000);
    GIVES(NOT_READY, query(0));
    GIVES(NOT_READY, query(second));
    unsigned *seen;
    void *host;
    OK(allocate_host(&host, 64, 0));
    seen = host;
    OK(to_host_async(seen, chain, 8, free_one));
    OK(synchronize(free_one));
    HOLDS(seen[0] == 0 && seen[1] == 5);
    OK(fill_async(gate, 1, 1, free_one));
    OK(synchronize(second));
    HOLDS(word(chain) == (1 * 3 + 2) * 3 + 3);
}

// A small kernel does not wait for the end of a large one; nor does a copy.
static void small_beside_large(void) {
    handle large = new_stream(NON_BLOCKING), small = new_stream(NON_BLOCKING);
    unsigned rounds = 2000000;
    void *parameters[] = {&place, &rounds};
    OK(start_blocks(large, "toil", 4000, 32, parameters));
    usleep(5000);
    for (int time = 0; time < 20; time++) {
        step(small, place + 4, 1, 1);
        OK(fill_async(place + 8, time, 1, small));
        OK(synchronize(small));
    }
    GIVES(NOT_READY, query(large));
}

// Streams that hand their work on by events, round and round.
static void chain(void) {
    enum { STREAMS = 8, STEPS = 400 };
    handle streams[STREAMS], events[STEPS];
    unsigned expected = 0;
    for (int at = 0; at < STREAMS; at++) streams[at] = new_stream(at % 3 ? NON_BLOCKING : 0);
    for (int at = 0; at < STEPS; at++) {
        handle where = streams[(at * 5) % STREAMS];
        OK(event(&events[at], 0));
        if (at) OK(wait_event(where, events[at - 1], 0));
        step(where, place, at % 4 ? 1 : 3, at);
        OK(record(events[at], where));
        expected = expected * 3 + at;
    }
    OK(await(events[STEPS - 1]));
    HOLDS(word(place) == expected);
    for (int at = 1; at < STEPS; at++) {
        float time;
        OK(elapsed(&time, events[at - 1], events[at]));
        HOLDS(time >= 0);
    }
}

// Many streams with many launches, copies and fills, each stream on its own words.
static void many(void) {
    enum { STREAMS = 48, ROUNDS = 120, WIDTH = 16 };
    static unsigned expected[STREAMS][WIDTH], found[WIDTH];
    handle streams[STREAMS];
    for (int at = 0; at < STREAMS; at++) streams[at] = new_stream(NON_BLOCKING);
    unsigned random = 1;
    for (int round = 0; round < ROUNDS; round++) {
        for (int at = 0; at < STREAMS; at++) {
            unsigned *mine = expected[at];
            address words = place + at * WIDTH * 4;
            random = random * 1664525 + 1013904223;
            unsigned blocks = 1 + (random >> 8) % WIDTH, k = random >> 16;
            switch (random >> 28) {
            case 0: // shift by one word
                OK(copy_async(words, words + 4, 4 * (WIDTH - 1), streams[at]));
                memmove(mine, mine + 1, 4 * (WIDTH - 1));
                break;
            case 1:
                OK(fill_async(words, k, blocks, streams[at]));
                for (unsigned block = 0; block < blocks; block++) mine[block] = k;
                break;
            default:
                step(streams[at], words, blocks, k);
                for (unsigned block = 0; block < blocks; block++) mine[block] = mine[block] * 3 + k;
            }
        }
    }
    // Short kernels of several blocks in a row: workers come to an end at the same moment, and one of them has to see it.
    for (int time = 0; time < 20000; time++) {
        step(streams[0], place, 8, time);
        for (int block = 0; block < 8; block++) expected[0][block] = expected[0][block] * 3 + time;
    }
    OK(synchronize_all());
    for (int at = 0; at < STREAMS; at++) {
        OK(to_host(found, place + at * WIDTH * 4, sizeof found));
        HOLDS(!memcmp(found, expected[at], sizeof found));
    }
}

// A captured graph with two branches, launched to two streams in turn.
static void branches(void) {
    handle main_one = new_stream(NON_BLOCKING), side = new_stream(NON_BLOCKING), forked, joined, graph, executable;
    OK(event(&forked, NO_TIMING));
    OK(event(&joined, NO_TIMING));
    OK(begin_capture(main_one, 0));
    step(main_one, place, 1, 1);
    OK(record(forked, main_one));
    OK(wait_event(side, forked, 0));
    OK(copy_async(place + 4, place, 4, side));
    step(side, place + 4, 1, 2);
    step(main_one, place, 1, 3);
    OK(record(joined, side));
    OK(wait_event(main_one, joined, 0));
    OK(copy_async(place + 8, place, 8, main_one));
    OK(end_capture(main_one, &graph));
    OK(instantiate(&executable, graph, 0));
    unsigned x = 0, y = 0;
    for (int time = 0; time < 50; time++) {
        OK(launch_graph(executable, time % 3 ? main_one : side));
        x = x * 3 + 1, y = x * 3 + 2, x = x * 3 + 3;
    }
    OK(synchronize_all());
    HOLDS(word(place + 8) == x && word(place + 12) == y);
}

// Blocks of several streams print and take memory at the same time.
static void speaking(void) {
    enum { STREAMS = 4, BLOCKS = 50 };
    for (unsigned at = 0; at < STREAMS; at++) {
        void *parameters[] = {&place, &at};
        OK(start_blocks(new_stream(NON_BLOCKING), "speak", BLOCKS, 1, parameters));
    }
    OK(synchronize_all());
    HOLDS(word(place) == STREAMS * BLOCKS);
}

// Something goes wrong in one stream while a kernel in another waits for something that will never come.
static void wrong(const char *how) {
    handle endless = new_stream(NON_BLOCKING), bad = new_stream(NON_BLOCKING);
    int wanted = strcmp(how, "trap") ? ILLEGAL_ADDRESS : LAUNCH_FAILED;
    address nowhere = 0x10, freed;
    OK(allocate(&freed, 4 << 20));
    OK(release(freed));
    pass(endless, place, place + 4);
    meet(endless, place, 4, 4);
    usleep(2000);
    if (!strcmp(how, "trap")) {
        OK(start_blocks(bad, "stop", 1, 32, 0));
    } else {
        void *parameters[] = {strcmp(how, "freed") ? &nowhere : &freed};
        OK(start_blocks(bad, "wild", 1, 1, parameters));
    }
    GIVES(wanted, synchronize(endless));
    GIVES(wanted, synchronize(bad));
    GIVES(wanted, synchronize_all());
}

int main(int count, char **arguments) {
    const char *part = count > 1 ? arguments[1] : "";
    begin();
    if (!strcmp(part, "rally")) rally();
    else if (!strcmp(part, "meetings")) meetings();
    else if (!strcmp(part, "gates")) gates();
    else if (!strcmp(part, "host-functions")) host_functions();
    else if (!strcmp(part, "legacy")) legacy();
    else if (!strcmp(part, "small-beside-large")) small_beside_large();
    else if (!strcmp(part, "chain")) chain();
    else if (!strcmp(part, "many")) many();
    else if (!strcmp(part, "branches")) branches();
    else if (!strcmp(part, "speaking")) speaking();
    else if (!strcmp(part, "wrong") && count > 2) wrong(arguments[2]);
    else return 2;
    puts("right");
    fflush(stdout);
    _exit(0); // Not through destructors, where work that goes on would be waited for.
}
