// cc: -Wno-unused-result
// Graphs through the driver API: made by hand, changed, cloned, updated, captured; memory nodes; what has to fail.
// Prints "right", or the line of the check that failed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"

typedef unsigned long long address;
typedef void *handle;
typedef struct { handle function; unsigned grid[3], block[3], shared; void **parameters, **extra; handle kernel, context; } kernel_node;
typedef struct { address target; size_t pitch; unsigned value, element; size_t width, height; } fill_node;
typedef struct { void (*function)(void *); void *data; } host_node;
typedef struct { unsigned type, handles, place, device; void *security; size_t most; char rest[56]; } pool;
typedef struct { pool pool; void *access; size_t count, bytes; address address; } memory_node;
typedef struct { unsigned kind, reserved0[3]; unsigned long long body[29], reserved2; } any_node;
typedef struct { unsigned result; handle node, from; } update_info;
typedef struct { unsigned operation; address address; unsigned long long value; unsigned flags; address alias, pad; } word;

enum { INVALID = 1, UNSUPPORTED = 801, UNJOINED = 904, UPDATE_FAILURE = 910 };
enum { CAPTURE_RELAXED = 2, AUTO_FREE = 1 };

#define FUNCTIONS(X) \
    X(cuInit, (unsigned)) \
    X(cuCtxCreate_v2, (handle *, unsigned, int)) \
    X(cuCtxSynchronize, (void)) \
    X(cuMemAlloc_v2, (address *, size_t)) \
    X(cuMemFree_v2, (address)) \
    X(cuMemcpyDtoH_v2, (void *, address, size_t)) \
    X(cuMemsetD32_v2, (address, unsigned, size_t)) \
    X(cuModuleLoadData, (handle *, const void *)) \
    X(cuModuleGetFunction, (handle *, handle, const char *)) \
    X(cuLaunchKernel, (handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, handle, void **, void **)) \
    X(cuStreamCreate, (handle *, unsigned)) \
    X(cuStreamSynchronize, (handle)) \
    X(cuStreamBeginCapture_v2, (handle, unsigned)) \
    X(cuStreamEndCapture, (handle, handle *)) \
    X(cuStreamWaitEvent, (handle, handle, unsigned)) \
    X(cuStreamBatchMemOp_v2, (handle, unsigned, word *, unsigned)) \
    X(cuEventCreate, (handle *, unsigned)) \
    X(cuEventRecord, (handle, handle)) \
    X(cuMemAllocAsync, (address *, size_t, handle)) \
    X(cuMemFreeAsync, (address, handle)) \
    X(cuGraphCreate, (handle *, unsigned)) \
    X(cuGraphDestroy, (handle)) \
    X(cuGraphClone, (handle *, handle)) \
    X(cuGraphAddKernelNode_v2, (handle *, handle, handle *, size_t, kernel_node *)) \
    X(cuGraphAddMemsetNode, (handle *, handle, handle *, size_t, fill_node *, handle)) \
    X(cuGraphAddHostNode, (handle *, handle, handle *, size_t, host_node *)) \
    X(cuGraphAddEmptyNode, (handle *, handle, handle *, size_t)) \
    X(cuGraphAddChildGraphNode, (handle *, handle, handle *, size_t, handle)) \
    X(cuGraphAddMemAllocNode, (handle *, handle, handle *, size_t, memory_node *)) \
    X(cuGraphAddMemFreeNode, (handle *, handle, handle *, size_t, address)) \
    X(cuGraphAddNode_v2, (handle *, handle, handle *, void *, size_t, any_node *)) \
    X(cuGraphAddDependencies_v2, (handle, handle *, handle *, void *, size_t)) \
    X(cuGraphRemoveDependencies_v2, (handle, handle *, handle *, void *, size_t)) \
    X(cuGraphGetEdges_v2, (handle, handle *, handle *, void *, size_t *)) \
    X(cuGraphNodeGetDependentNodes_v2, (handle, handle *, void *, size_t *)) \
    X(cuGraphNodeFindInClone, (handle *, handle, handle)) \
    X(cuGraphDestroyNode, (handle)) \
    X(cuGraphKernelNodeGetParams_v2, (handle, kernel_node *)) \
    X(cuGraphMemsetNodeGetParams, (handle, fill_node *)) \
    X(cuGraphChildGraphNodeGetGraph, (handle, handle *)) \
    X(cuGraphInstantiateWithFlags, (handle *, handle, unsigned long long)) \
    X(cuGraphExecDestroy, (handle)) \
    X(cuGraphExecUpdate_v2, (handle, handle, update_info *)) \
    X(cuGraphExecKernelNodeSetParams_v2, (handle, handle, kernel_node *)) \
    X(cuGraphNodeSetEnabled, (handle, handle, unsigned)) \
    X(cuGraphLaunch, (handle, handle)) \
    X(cuGraphDebugDotPrint, (handle, const char *, unsigned)) \
    X(cuDeviceGetGraphMemAttribute, (int, unsigned, unsigned long long *)) \
    X(cuUserObjectCreate, (handle *, void *, void (*)(void *), unsigned, unsigned)) \
    X(cuUserObjectRelease, (handle, unsigned)) \
    X(cuGraphRetainUserObject, (handle, handle, unsigned, unsigned))

#define DECLARE(name, arguments) static int (*name) arguments;
FUNCTIONS(DECLARE)

// x = x * 10 + k: the value tells the order of the launches.
static const char text[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry digit(.param .u64 place, .param .u32 k) {\n"
    ".reg .b64 %rd<2>; .reg .b32 %r<4>;\n"
    "ld.param.u64 %rd0, [place]; ld.param.u32 %r0, [k];\n"
    "ld.global.u32 %r1, [%rd0]; mad.lo.u32 %r2, %r1, 10, %r0; st.global.u32 [%rd0], %r2; ret;\n}\n";

static handle stream, other, digit;
static address place;

static unsigned value(address at) {
    unsigned found;
    OK(cuStreamSynchronize(stream));
    OK(cuStreamSynchronize(other));
    OK(cuMemcpyDtoH_v2(&found, at, 4));
    return found;
}

static void start_with(unsigned first) { OK(cuMemsetD32_v2(place, first, 1)); }

static kernel_node launch_of(address *at, unsigned *k, void **parameters) {
    parameters[0] = at, parameters[1] = k;
    return (kernel_node){digit, {1, 1, 1}, {1, 1, 1}, 0, parameters, 0, 0, 0};
}

static handle add_digit(handle graph, unsigned k, handle before) {
    void *parameters[2];
    kernel_node order = launch_of(&place, &k, parameters);
    handle node;
    OK(cuGraphAddKernelNode_v2(&node, graph, &before, before != 0, &order));
    return node;
}

static unsigned run(handle graph, unsigned first) {
    handle executable;
    OK(cuGraphInstantiateWithFlags(&executable, graph, 0));
    start_with(first);
    OK(cuGraphLaunch(executable, stream));
    unsigned found = value(place);
    OK(cuGraphExecDestroy(executable));
    return found;
}

static void edges_decide_the_order(void) {
    handle graph, executable;
    OK(cuGraphCreate(&graph, 0));
    handle one = add_digit(graph, 1, 0), two = add_digit(graph, 2, 0), three = add_digit(graph, 3, 0);
    handle from[] = {three, one}, to[] = {one, two};
    OK(cuGraphAddDependencies_v2(graph, from, to, 0, 2));
    HOLDS(run(graph, 0) == 312);
    GIVES(INVALID, cuGraphAddDependencies_v2(graph, from, to, 0, 1));
    size_t count = 0;
    OK(cuGraphGetEdges_v2(graph, 0, 0, 0, &count));
    HOLDS(count == 2);
    handle behind[4];
    count = 4;
    OK(cuGraphNodeGetDependentNodes_v2(three, behind, 0, &count));
    HOLDS(count == 1 && behind[0] == one && behind[1] == 0);
    // A cycle can be drawn, and not instantiated.
    OK(cuGraphAddDependencies_v2(graph, &two, &three, 0, 1));
    GIVES(INVALID, cuGraphInstantiateWithFlags(&executable, graph, 0));
    OK(cuGraphRemoveDependencies_v2(graph, &two, &three, 0, 1));
    OK(cuGraphDestroyNode(one));
    OK(cuGraphAddDependencies_v2(graph, &two, &three, 0, 1));
    HOLDS(run(graph, 0) == 23);
    OK(cuGraphDebugDotPrint(graph, "/dev/null", 0));
    OK(cuGraphDestroy(graph));
    GIVES(INVALID, cuGraphDestroyNode(two));
}

static void executables_change(void) {
    handle graph, clone, executable, found;
    OK(cuGraphCreate(&graph, 0));
    handle one = add_digit(graph, 1, 0), two = add_digit(graph, 2, one);
    OK(cuGraphClone(&clone, graph));
    OK(cuGraphNodeFindInClone(&found, one, clone));
    HOLDS(found != one);
    OK(cuGraphInstantiateWithFlags(&executable, graph, 0));
    unsigned k = 7;
    void *parameters[2];
    kernel_node order = launch_of(&place, &k, parameters), told;
    OK(cuGraphExecKernelNodeSetParams_v2(executable, two, &order));
    start_with(0);
    OK(cuGraphLaunch(executable, stream));
    HOLDS(value(place) == 17);
    OK(cuGraphNodeSetEnabled(executable, one, 0));
    OK(cuGraphLaunch(executable, other));
    HOLDS(value(place) == 177);
    OK(cuGraphNodeSetEnabled(executable, one, 1));
    // The graph and its clone have not changed.
    HOLDS(run(graph, 0) == 12 && run(clone, 5) == 512);
    OK(cuGraphKernelNodeGetParams_v2(two, &told));
    HOLDS(*(unsigned *)told.parameters[1] == 2 && *(address *)told.parameters[0] == place && told.function == digit);
    update_info info;
    OK(cuGraphExecUpdate_v2(executable, clone, &info));
    start_with(0);
    OK(cuGraphLaunch(executable, stream));
    HOLDS(info.result == 0 && value(place) == 12);
    add_digit(clone, 3, found);
    GIVES(UPDATE_FAILURE, cuGraphExecUpdate_v2(executable, clone, &info));
    HOLDS(info.result == 2);
    OK(cuGraphExecDestroy(executable));
    OK(cuGraphDestroy(clone));
    OK(cuGraphDestroy(graph));
}

static void children_are_copies(void) {
    handle child, graph, inside, node;
    OK(cuGraphCreate(&child, 0));
    add_digit(child, 4, 0);
    OK(cuGraphCreate(&graph, 0));
    handle one = add_digit(graph, 1, 0);
    OK(cuGraphAddChildGraphNode(&node, graph, &one, 1, child));
    add_digit(graph, 2, node);
    add_digit(child, 9, 0);
    OK(cuGraphDestroy(child));
    HOLDS(run(graph, 0) == 142);
    OK(cuGraphChildGraphNodeGetGraph(node, &inside));
    GIVES(INVALID, cuGraphDestroy(inside));
    OK(cuGraphDestroy(graph));
}

static int calls;
static void called(void *data) { calls += *(int *)data; }

static void other_kinds_of_nodes(void) {
    handle graph, filled, hosted, waits;
    OK(cuGraphCreate(&graph, 0));
    fill_node order = {place, 0, 5, 4, 1, 1}, told;
    OK(cuGraphAddMemsetNode(&filled, graph, 0, 0, &order, 0));
    OK(cuGraphMemsetNodeGetParams(filled, &told));
    HOLDS(told.target == place && told.value == 5 && told.element == 4);
    int three = 3;
    OK(cuGraphAddHostNode(&hosted, graph, &filled, 1, &(host_node){called, &three}));
    OK(cuGraphAddEmptyNode(&waits, graph, &hosted, 1));
    add_digit(graph, 6, waits);
    HOLDS(run(graph, 0) == 56 && calls == 3);
    any_node any = {.kind = 13};
    GIVES(UNSUPPORTED, cuGraphAddNode_v2(&waits, graph, 0, 0, 0, &any));
    any.kind = 5;
    OK(cuGraphAddNode_v2(&waits, graph, &filled, 0, 1, &any));
    OK(cuGraphDestroy(graph));
    word words[] = {{2, place, 70, 0, 0, 0}, {1, place, 70, 1, 0, 0}, {5, place, 71, 0, 0, 0}};
    OK(cuStreamBatchMemOp_v2(stream, 3, words, 0));
    HOLDS(value(place) == 71);
}

static void memory_nodes_keep_their_address(void) {
    handle graph, taken, fills, freed, executable;
    unsigned long long used;
    OK(cuGraphCreate(&graph, 0));
    memory_node order = {.pool = {.type = 1, .place = 1}, .bytes = 4096};
    OK(cuGraphAddMemAllocNode(&taken, graph, 0, 0, &order));
    fill_node fill = {order.address, 0, 9, 4, 1, 1};
    OK(cuGraphAddMemsetNode(&fills, graph, &taken, 1, &fill, 0));
    OK(cuGraphInstantiateWithFlags(&executable, graph, 0));
    OK(cuGraphLaunch(executable, stream));
    HOLDS(value(order.address) == 9);
    OK(cuDeviceGetGraphMemAttribute(0, 0, &used));
    HOLDS(used == 4096);
    // It is the client's now: another launch would take it away.
    GIVES(INVALID, cuGraphLaunch(executable, stream));
    OK(cuMemFree_v2(order.address));
    OK(cuGraphLaunch(executable, stream));
    OK(cuMemFreeAsync(order.address, stream));
    OK(cuGraphExecDestroy(executable));
    GIVES(UNSUPPORTED, cuGraphClone(&freed, graph));
    OK(cuGraphAddMemFreeNode(&freed, graph, &fills, 1, order.address));
    OK(cuGraphInstantiateWithFlags(&executable, graph, AUTO_FREE));
    for (int times = 0; times < 3; times++) OK(cuGraphLaunch(executable, stream));
    OK(cuStreamSynchronize(stream));
    OK(cuDeviceGetGraphMemAttribute(0, 0, &used));
    HOLDS(used == 0);
    OK(cuGraphExecDestroy(executable));
    OK(cuGraphDestroy(graph));
    OK(cuDeviceGetGraphMemAttribute(0, 2, &used));
    HOLDS(used == 0);
    GIVES(INVALID, cuMemFree_v2(order.address));
}

static void captures(void) {
    handle graph, event, executable;
    unsigned k = 1;
    address inside;
    void *parameters[] = {&place, &k};
    OK(cuEventCreate(&event, 2));
    OK(cuStreamBeginCapture_v2(stream, CAPTURE_RELAXED));
    OK(cuMemAllocAsync(&inside, 512, stream));
    OK(cuLaunchKernel(digit, 1, 1, 1, 1, 1, 1, 0, stream, parameters, 0));
    OK(cuEventRecord(event, stream));
    OK(cuStreamWaitEvent(other, event, 0));
    k = 2;
    OK(cuLaunchKernel(digit, 1, 1, 1, 1, 1, 1, 0, other, parameters, 0));
    OK(cuMemFreeAsync(inside, other));
    OK(cuEventRecord(event, other));
    OK(cuStreamWaitEvent(stream, event, 0));
    OK(cuStreamEndCapture(stream, &graph));
    HOLDS(run(graph, 0) == 12 && run(graph, 3) == 312);
    OK(cuGraphDestroy(graph));
    // What another stream does has to lead back.
    OK(cuStreamBeginCapture_v2(stream, CAPTURE_RELAXED));
    OK(cuEventRecord(event, stream));
    OK(cuStreamWaitEvent(other, event, 0));
    OK(cuLaunchKernel(digit, 1, 1, 1, 1, 1, 1, 0, other, parameters, 0));
    GIVES(UNJOINED, cuStreamEndCapture(stream, &graph));
    HOLDS(!graph);
    // A launch of a graph becomes a child of the captured one.
    handle first, second;
    OK(cuGraphCreate(&first, 0));
    add_digit(first, 8, 0);
    OK(cuGraphInstantiateWithFlags(&executable, first, 0));
    OK(cuStreamBeginCapture_v2(stream, CAPTURE_RELAXED));
    OK(cuGraphLaunch(executable, stream));
    OK(cuLaunchKernel(digit, 1, 1, 1, 1, 1, 1, 0, stream, parameters, 0));
    OK(cuStreamEndCapture(stream, &second));
    OK(cuGraphExecDestroy(executable));
    OK(cuGraphDestroy(first));
    HOLDS(run(second, 0) == 82);
    OK(cuGraphDestroy(second));
}

static int ended;
static void end(void *data) { __atomic_add_fetch(&ended, *(int *)data, __ATOMIC_SEQ_CST); }

static void objects_live_as_long_as_graphs(void) {
    handle graph, executable, object;
    int seven = 7;
    OK(cuGraphCreate(&graph, 0));
    add_digit(graph, 1, 0);
    OK(cuUserObjectCreate(&object, &seven, end, 2, 1));
    OK(cuGraphRetainUserObject(graph, object, 1, 1));
    OK(cuGraphInstantiateWithFlags(&executable, graph, 0));
    OK(cuUserObjectRelease(object, 1));
    OK(cuGraphDestroy(graph));
    usleep(20000);
    HOLDS(!__atomic_load_n(&ended, __ATOMIC_SEQ_CST));
    OK(cuGraphExecDestroy(executable));
    for (int tries = 0; tries < 500 && !__atomic_load_n(&ended, __ATOMIC_SEQ_CST); tries++) usleep(10000);
    HOLDS(ended == 7);
    GIVES(400, cuUserObjectRelease(object, 1));
}

int main(void) {
    handle library = dlopen("libcuda.so.1", RTLD_NOW), context, module;
    HOLDS(library);
#define LOOK_UP(name, arguments) *(void **)&name = dlsym(library, #name); HOLDS(name);
    FUNCTIONS(LOOK_UP)
    OK(cuInit(0));
    OK(cuCtxCreate_v2(&context, 0, 0));
    OK(cuModuleLoadData(&module, text));
    OK(cuModuleGetFunction(&digit, module, "digit"));
    OK(cuStreamCreate(&stream, 1));
    OK(cuStreamCreate(&other, 1));
    OK(cuMemAlloc_v2(&place, 8));
    edges_decide_the_order();
    executables_change();
    children_are_copies();
    other_kinds_of_nodes();
    memory_nodes_keep_their_address();
    captures();
    objects_live_as_long_as_graphs();
    puts("right");
    return 0;
}
