// One program for every version of the runtime: compiled with that version's own header and linked against our library of
// that version, so each structure and each signature is the one that its programs use. With
// CUDA_API_PER_THREAD_DEFAULT_STREAM the same calls go to the `_ptsz` and `_ptds` twins.
// Prints `ok NAME` for what holds and ends with 1 at the first thing that does not.
#include <cuda_runtime_api.h>
#include <stdio.h>
#include "fatbinary.h"

void __cudaRegisterFatBinaryEnd(void **), __cudaUnregisterFatBinary(void **);
void __cudaRegisterFunction(void **, const char *, char *, const char *, int, uint3 *, uint3 *, dim3 *, dim3 *, int *);
void __cudaRegisterVar(void **, char *, char *, const char *, int, size_t, int, int);
void __cudaRegisterManagedVar(void **, void **, char *, const char *, int, size_t, int, int);
char __cudaInitModule(void **);
unsigned __cudaPushCallConfiguration(dim3, dim3, size_t, void *);
cudaError_t __cudaPopCallConfiguration(dim3 *, dim3 *, size_t *, void *);
#if CUDART_VERSION >= 12000
cudaError_t __cudaGetKernel(cudaKernel_t *, const void *);
cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void **, size_t, cudaStream_t);
#endif

#if CUDART_VERSION < 12000
void __cudaRegisterTexture(void **, const struct textureReference *, const void **, const char *, int, int, int);
#endif

// data[i] += step + shared_step; data[i] = what the texture has there
static const char text[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .global .align 4 .u32 step;\n"
    ".visible .global .texref picture;\n.visible .global .texref line;\n"
    ".visible .global .attribute(.managed) .align 4 .u32 shared_step;\n"
    ".visible .entry advance(.param .u64 data, .param .u32 count) {\n"
    ".reg .pred %p; .reg .b32 %r<9>; .reg .b64 %rd<4>;\n"
    "ld.param.u64 %rd0, [data]; ld.param.u32 %r0, [count];\n"
    "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.s32 %r4, %r1, %r2, %r3;\n"
    "setp.ge.u32 %p, %r4, %r0; @%p bra done;\n"
    "mul.wide.u32 %rd1, %r4, 4; add.s64 %rd2, %rd0, %rd1;\n"
    "ld.global.u32 %r5, [%rd2]; ld.global.u32 %r6, [step]; ld.global.u32 %r8, [shared_step];\n"
    "add.s32 %r7, %r5, %r6; add.s32 %r7, %r7, %r8; st.global.u32 [%rd2], %r7;\n"
    "done: ret;\n}\n"
    ".visible .entry look(.param .u64 data, .param .u32 width) {\n"
    ".reg .b32 %r<8>; .reg .f32 %f<4>; .reg .b64 %rd<3>;\n"
    "ld.param.u64 %rd0, [data]; ld.param.u32 %r0, [width]; mov.u32 %r1, %tid.x; mov.u32 %r2, %tid.y;\n"
    "tex.2d.v4.f32.s32 {%f0, %f1, %f2, %f3}, [picture, {%r1, %r2}];\n"
    "mad.lo.u32 %r3, %r2, %r0, %r1; mul.wide.u32 %rd1, %r3, 4; add.s64 %rd2, %rd0, %rd1; st.global.f32 [%rd2], %f0; ret;\n}\n"
    ".visible .entry fetch(.param .u64 data) {\n"
    ".reg .b32 %r<5>; .reg .b64 %rd<3>;\n"
    "ld.param.u64 %rd0, [data]; mov.u32 %r0, %tid.x; tex.1d.v4.u32.s32 {%r1, %r2, %r3, %r4}, [line, {%r0}];\n"
    "mul.wide.u32 %rd1, %r0, 4; add.s64 %rd2, %rd0, %rd1; st.global.u32 [%rd2], %r1; ret;\n}\n";

enum { COUNT = 1000 };
static unsigned step, host[COUNT], *data;
static unsigned *shared_step;
static void **binary;

static void expect(const char *name, int holds) {
    if (!holds) { printf("FAILED %s, last error %s\n", name, cudaGetErrorName(cudaPeekAtLastError())); exit(1); }
    printf("ok %s\n", name);
}

static void advance(unsigned *where, unsigned count) {
    dim3 grid, block; size_t shared; cudaStream_t stream;
    if (__cudaPopCallConfiguration(&grid, &block, &shared, &stream)) return;
    void *arguments[] = {&where, &count};
#if CUDART_VERSION >= 12000
    // As host code of nvcc 12.8 and later.
    cudaKernel_t kernel;
    if (!__cudaGetKernel(&kernel, (const void *)advance)) __cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
#else
    cudaLaunchKernel((const void *)advance, grid, block, arguments, shared, stream);
#endif
}

#if CUDART_VERSION < 12000
static struct textureReference picture, line;
static void look(void) {}
static void fetch(void) {}
#endif

__attribute__((constructor)) static void register_all(void) {
    binary = register_ptx(text);
    __cudaRegisterFunction(binary, (const char *)advance, "advance", "advance", -1, 0, 0, 0, 0, 0);
    __cudaRegisterVar(binary, (char *)&step, "step", "step", 0, sizeof step, 0, 0);
    __cudaRegisterManagedVar(binary, (void **)&shared_step, "shared_step", "shared_step", 0, 4, 0, 0);
#if CUDART_VERSION < 12000
    __cudaRegisterFunction(binary, (const char *)look, "look", "look", -1, 0, 0, 0, 0, 0);
    __cudaRegisterFunction(binary, (const char *)fetch, "fetch", "fetch", -1, 0, 0, 0, 0, 0);
    __cudaRegisterTexture(binary, &picture, 0, "picture", 2, cudaReadModeNormalizedFloat, 0);
    __cudaRegisterTexture(binary, &line, 0, "line", 1, cudaReadModeElementType, 0);
#endif
    __cudaRegisterFatBinaryEnd(binary);
}

static const dim3 grid = {4, 1, 1}, block = {256, 1, 1};

static void start(cudaStream_t stream) {
    if (!__cudaPushCallConfiguration(grid, block, 0, stream)) advance(data, COUNT);
}

// Whether all of `data` is this.
static int all(unsigned value) {
    if (cudaDeviceSynchronize() || cudaMemcpy(host, data, sizeof host, cudaMemcpyDeviceToHost)) return 0;
    for (int i = 0; i < COUNT; i++) if (host[i] != value) return 0;
    return 1;
}

static int clear(unsigned char value) {
    return !cudaMemset(data, value, sizeof host) && !cudaDeviceSynchronize();
}

static long long attribute(enum cudaDeviceAttr number) {
    int value;
    return cudaDeviceGetAttribute(&value, number, 0) ? -1000000007 : value;
}

// Every field of the version's own structure against the attribute of the same meaning.
static void properties(void) {
    static union { struct cudaDeviceProp prop; char bytes[sizeof(struct cudaDeviceProp) + 64]; } place;
    struct cudaDeviceProp *p = &place.prop;
    memset(&place, 0x5a, sizeof place);
    expect("properties", !cudaGetDeviceProperties(p, 0) && p->name[0] && memchr(p->name, 0, 256));
    for (unsigned i = sizeof *p; i < sizeof place; i++) expect("nothing written behind them", place.bytes[i] == 0x5a);
    size_t free, total;
    expect("memory", !cudaMemGetInfo(&free, &total) && p->totalGlobalMem == total && free <= total);
    // PCI names end in the bus and device numbers.
    char pci[32], said[32];
    snprintf(said, sizeof said, "%04x:%02x:%02x.0", p->pciDomainID, p->pciBusID, p->pciDeviceID);
    expect("PCI place", !cudaDeviceGetPCIBusId(pci, sizeof pci, 0) && !strcasecmp(pci, said));
#define CHECK(field, number) if ((long long)p->field != attribute((enum cudaDeviceAttr)(number))) { \
        printf("FAILED %s is %lld, attribute %d is %lld\n", #field, (long long)p->field, number, attribute((enum cudaDeviceAttr)(number))); exit(1); }
    CHECK(sharedMemPerBlock, 8) CHECK(regsPerBlock, 12) CHECK(warpSize, 10) CHECK(memPitch, 11) CHECK(maxThreadsPerBlock, 1)
    CHECK(maxThreadsDim[0], 2) CHECK(maxThreadsDim[1], 3) CHECK(maxThreadsDim[2], 4)
    CHECK(maxGridSize[0], 5) CHECK(maxGridSize[1], 6) CHECK(maxGridSize[2], 7)
    CHECK(totalConstMem, 9) CHECK(major, 75) CHECK(minor, 76) CHECK(textureAlignment, 14) CHECK(texturePitchAlignment, 51)
    CHECK(multiProcessorCount, 16) CHECK(integrated, 18) CHECK(canMapHostMemory, 19)
    CHECK(maxTexture1D, 21) CHECK(maxTexture1DMipmap, 77) CHECK(maxTexture2D[0], 22) CHECK(maxTexture2D[1], 23)
    CHECK(maxTexture2DMipmap[0], 73) CHECK(maxTexture2DMipmap[1], 74)
    CHECK(maxTexture2DLinear[0], 70) CHECK(maxTexture2DLinear[1], 71) CHECK(maxTexture2DLinear[2], 72)
    CHECK(maxTexture2DGather[0], 45) CHECK(maxTexture2DGather[1], 46)
    CHECK(maxTexture3D[0], 24) CHECK(maxTexture3D[1], 25) CHECK(maxTexture3D[2], 26)
    CHECK(maxTexture3DAlt[0], 47) CHECK(maxTexture3DAlt[1], 48) CHECK(maxTexture3DAlt[2], 49) CHECK(maxTextureCubemap, 52)
    CHECK(maxTexture1DLayered[0], 42) CHECK(maxTexture1DLayered[1], 43)
    CHECK(maxTexture2DLayered[0], 27) CHECK(maxTexture2DLayered[1], 28) CHECK(maxTexture2DLayered[2], 29)
    CHECK(maxTextureCubemapLayered[0], 53) CHECK(maxTextureCubemapLayered[1], 54)
    CHECK(maxSurface1D, 55) CHECK(maxSurface2D[0], 56) CHECK(maxSurface2D[1], 57)
    CHECK(maxSurface3D[0], 58) CHECK(maxSurface3D[1], 59) CHECK(maxSurface3D[2], 60)
    CHECK(maxSurface1DLayered[0], 61) CHECK(maxSurface1DLayered[1], 62)
    CHECK(maxSurface2DLayered[0], 63) CHECK(maxSurface2DLayered[1], 64) CHECK(maxSurface2DLayered[2], 65)
    CHECK(maxSurfaceCubemap, 66) CHECK(maxSurfaceCubemapLayered[0], 67) CHECK(maxSurfaceCubemapLayered[1], 68)
    CHECK(surfaceAlignment, 30) CHECK(concurrentKernels, 31) CHECK(ECCEnabled, 32)
    CHECK(pciBusID, 33) CHECK(pciDeviceID, 34) CHECK(pciDomainID, 50) CHECK(tccDriver, 35) CHECK(asyncEngineCount, 40)
    CHECK(unifiedAddressing, 41) CHECK(memoryBusWidth, 37) CHECK(l2CacheSize, 38) CHECK(persistingL2CacheMaxSize, 108)
    CHECK(maxThreadsPerMultiProcessor, 39) CHECK(streamPrioritiesSupported, 78) CHECK(globalL1CacheSupported, 79)
    CHECK(localL1CacheSupported, 80) CHECK(sharedMemPerMultiprocessor, 81) CHECK(regsPerMultiprocessor, 82)
    CHECK(managedMemory, 83) CHECK(isMultiGpuBoard, 84) CHECK(multiGpuBoardGroupID, 85) CHECK(hostNativeAtomicSupported, 86)
    CHECK(pageableMemoryAccess, 88) CHECK(concurrentManagedAccess, 89) CHECK(computePreemptionSupported, 90)
    CHECK(canUseHostPointerForRegisteredMem, 91) CHECK(cooperativeLaunch, 95) CHECK(sharedMemPerBlockOptin, 97)
    CHECK(pageableMemoryAccessUsesHostPageTables, 100) CHECK(directManagedMemAccessFromHost, 101)
    CHECK(maxBlocksPerMultiProcessor, 106) CHECK(accessPolicyMaxWindowSize, 109) CHECK(reservedSharedMemPerBlock, 111)
#if CUDART_VERSION < 13000
    CHECK(clockRate, 13) CHECK(deviceOverlap, 15) CHECK(kernelExecTimeoutEnabled, 17) CHECK(computeMode, 20)
    CHECK(maxTexture1DLinear, 69) CHECK(memoryClockRate, 36) CHECK(singleToDoublePrecisionPerfRatio, 87)
    CHECK(cooperativeMultiDeviceLaunch, 96)
#else
    CHECK(deviceNumaConfig, 130) CHECK(deviceNumaId, 131) CHECK(mpsEnabled, 133) CHECK(hostNumaId, 134)
    CHECK(gpuPciDeviceID, 139) CHECK(gpuPciSubsystemID, 140) CHECK(hostNumaMultinodeIpcSupported, 143)
#endif
#if CUDART_VERSION >= 12000
    CHECK(hostRegisterSupported, 99) CHECK(sparseCudaArraySupported, 112) CHECK(hostRegisterReadOnlySupported, 113)
    CHECK(timelineSemaphoreInteropSupported, 114) CHECK(memoryPoolsSupported, 115) CHECK(gpuDirectRDMASupported, 116)
    CHECK(gpuDirectRDMAFlushWritesOptions, 117) CHECK(gpuDirectRDMAWritesOrdering, 118)
    CHECK(memoryPoolSupportedHandleTypes, 119) CHECK(deferredMappingCudaArraySupported, 121) CHECK(ipcEventSupported, 125)
    CHECK(clusterLaunch, 120) CHECK(unifiedFunctionPointers, 129)
    for (unsigned i = 0; i < sizeof p->reserved / sizeof *p->reserved; i++) expect("reserve is zero", !p->reserved[i]);
#endif
    printf("ok every field of the properties\n");
}

static void kernels(void) {
    unsigned seven = 7;
    struct cudaFuncAttributes attributes;
    int blocks;
    expect("managed variable has a place", __cudaInitModule(binary) && shared_step);
    *shared_step = 3;
    expect("symbol", !cudaMemcpyToSymbol(&step, &seven, 4, 0, cudaMemcpyHostToDevice) && clear(0));
    start(0);
    expect("launch", !cudaGetLastError() && all(10));
    expect("function attributes", !cudaFuncGetAttributes(&attributes, (const void *)advance)
           && attributes.maxThreadsPerBlock >= 256 && attributes.ptxVersion == 60 && !attributes.sharedSizeBytes);
    expect("occupancy", !cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, (const void *)advance, 256, 0) && blocks > 0);
    *shared_step = 0;
#if CUDART_VERSION >= 12030
    const char *name;
    expect("kernel's name", !cudaFuncGetName(&name, (const void *)advance) && !strcmp(name, "advance"));
    cudaLibrary_t library;
    cudaKernel_t kernel;
    unsigned kernels = 0;
    void *arguments[] = {&data, &(unsigned){COUNT}}, *variable;
    size_t bytes;
    expect("library", !cudaLibraryLoadData(&library, text, 0, 0, 0, 0, 0, 0) && !cudaLibraryGetKernelCount(&kernels, library) && kernels == 3);
    expect("its kernel and variable", !cudaLibraryGetKernel(&kernel, library, "advance")
           && !cudaLibraryGetGlobal(&variable, &bytes, library, "step") && bytes == 4);
    expect("kernel of a library runs", clear(0) && !cudaMemcpy(variable, &seven, 4, cudaMemcpyHostToDevice)
           && !cudaLaunchKernel((const void *)kernel, grid, block, arguments, 0, 0) && all(7) && !cudaLibraryUnload(library));
#endif
}

static cudaError_t instantiate(cudaGraphExec_t *executable, cudaGraph_t graph) {
#if CUDART_VERSION < 12000
    return cudaGraphInstantiate(executable, graph, 0, 0, 0);
#else
    return cudaGraphInstantiate(executable, graph, 0);
#endif
}

static int update(cudaGraphExec_t executable, cudaGraph_t graph) {
#if CUDART_VERSION < 12000
    cudaGraphNode_t node; enum cudaGraphExecUpdateResult result;
    return !cudaGraphExecUpdate(executable, graph, &node, &result) && result == cudaGraphExecUpdateSuccess;
#else
    cudaGraphExecUpdateResultInfo info;
    memset(&info, 0x5a, sizeof info);
    return !cudaGraphExecUpdate(executable, graph, &info) && info.result == cudaGraphExecUpdateSuccess && !info.errorNode;
#endif
}

// 0: none, 1: capturing; with CUDA 12 and later the graph and what comes next as well.
static int capturing(cudaStream_t stream) {
    enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusInvalidated;
    unsigned long long id = 0;
#if CUDART_VERSION < 12000
    return cudaStreamGetCaptureInfo(stream, &status, &id) ? -1 : (int)status;
#else
    cudaGraph_t graph = 0; const cudaGraphNode_t *nodes = 0; size_t count = 99;
#if CUDART_VERSION < 13000
    if (cudaStreamGetCaptureInfo(stream, &status, &id, &graph, &nodes, &count)) return -1;
#else
    const cudaGraphEdgeData *edges = (void *)1;
    if (cudaStreamGetCaptureInfo(stream, &status, &id, &graph, &nodes, &edges, &count) || (status && edges)) return -1;
#endif
    return status && (!graph || count != 1) ? -1 : (int)status;
#endif
}

static void graphs(void) {
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    expect("stream", !cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) && !capturing(stream) && clear(0));
    expect("capture begins", !cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    start(stream);
    expect("capture is told", capturing(stream) == 1);
    expect("capture ends", !cudaStreamEndCapture(stream, &graph) && !instantiate(&executable, graph));
    for (int round = 0; round < 3; round++) cudaGraphLaunch(executable, stream);
    expect("captured graph", all(21));
    // By hand: a fill of ones, then the kernel.
    cudaGraph_t made;
    cudaGraphNode_t fill, kernel;
    struct cudaMemsetParams ones = {.dst = data, .value = 1, .elementSize = 4, .width = COUNT, .height = 1};
    void *arguments[] = {&data, &(unsigned){COUNT}};
    struct cudaKernelNodeParams order = {.func = (void *)advance, .gridDim = grid, .blockDim = block, .kernelParams = arguments}, told;
    expect("nodes", !cudaGraphCreate(&made, 0) && !cudaGraphAddMemsetNode(&fill, made, 0, 0, &ones)
           && !cudaGraphAddKernelNode(&kernel, made, &fill, 1, &order));
    expect("kernel node is told", !cudaGraphKernelNodeGetParams(kernel, &told) && told.func == (void *)advance && told.blockDim.x == 256);
    cudaGraphNode_t before[2] = {0, 0}; size_t count = 2;
#if CUDART_VERSION < 13000
    expect("dependencies", !cudaGraphNodeGetDependencies(kernel, before, &count) && count == 1 && before[0] == fill);
#else
    cudaGraphEdgeData edges[2];
    expect("dependencies", !cudaGraphNodeGetDependencies(kernel, before, edges, &count) && count == 1 && before[0] == fill);
#endif
    cudaGraphNode_t from[4], to[4];
    size_t edge_count = 4, dependents = 4;
#if CUDART_VERSION < 13000
    expect("edges", !cudaGraphGetEdges(made, from, to, &edge_count) && edge_count == 1 && from[0] == fill && to[0] == kernel
           && !cudaGraphNodeGetDependentNodes(fill, to, &dependents) && dependents == 1 && to[0] == kernel);
    expect("edge taken away and put back", !cudaGraphRemoveDependencies(made, &fill, &kernel, 1) && !cudaGraphGetEdges(made, 0, 0, &edge_count)
           && !edge_count && !cudaGraphAddDependencies(made, &fill, &kernel, 1) && !cudaGraphGetEdges(made, 0, 0, &edge_count) && edge_count == 1);
#else
    expect("edges", !cudaGraphGetEdges(made, from, to, edges, &edge_count) && edge_count == 1 && from[0] == fill && to[0] == kernel
           && !cudaGraphNodeGetDependentNodes(fill, to, edges, &dependents) && dependents == 1 && to[0] == kernel);
    expect("edge taken away and put back", !cudaGraphRemoveDependencies(made, &fill, &kernel, 0, 1) && !cudaGraphGetEdges(made, 0, 0, 0, &edge_count)
           && !edge_count && !cudaGraphAddDependencies(made, &fill, &kernel, 0, 1) && !cudaGraphGetEdges(made, 0, 0, 0, &edge_count) && edge_count == 1);
#endif
    struct cudaMemsetParams kept;
    expect("fill node is told", !cudaGraphMemsetNodeGetParams(fill, &kept) && kept.dst == data && kept.value == 1 && kept.width == COUNT);
    expect("graph by hand", !instantiate(&executable, made) && !cudaGraphLaunch(executable, stream) && all(8));
    ones.value = 100;
    expect("node changed in the executable", !cudaGraphExecMemsetNodeSetParams(executable, fill, &ones)
           && !cudaGraphLaunch(executable, stream) && all(107));
    expect("executable updated", update(executable, made) && !cudaGraphLaunch(executable, stream) && all(8));
    unsigned enabled = 1;
    expect("node switched off", !cudaGraphNodeSetEnabled(executable, kernel, 0) && !cudaGraphNodeGetEnabled(executable, kernel, &enabled) && !enabled
           && !cudaGraphLaunch(executable, stream) && all(1) && !cudaGraphNodeSetEnabled(executable, kernel, 1));
    // A copy from a symbol, and an event that the graph records.
    cudaGraph_t copies;
    cudaGraphNode_t copy, record;
    cudaEvent_t event, which;
    cudaGraphExec_t copying;
    expect("copy and event nodes", !cudaEventCreate(&event) && !cudaGraphCreate(&copies, 0)
           && !cudaGraphAddMemcpyNodeFromSymbol(&copy, copies, 0, 0, data, &step, 4, 0, cudaMemcpyDeviceToDevice)
           && !cudaGraphAddEventRecordNode(&record, copies, &copy, 1, event) && !cudaGraphEventRecordNodeGetEvent(record, &which) && which == event);
    struct cudaMemcpy3DParms told_copy;
    expect("copy node is told", !cudaGraphMemcpyNodeGetParams(copy, &told_copy) && told_copy.dstPtr.ptr == data && told_copy.extent.width == 4);
    expect("they run", clear(0) && !instantiate(&copying, copies) && !cudaGraphLaunch(copying, stream) && !cudaEventSynchronize(event)
           && !cudaMemcpy(host, data, 8, cudaMemcpyDeviceToHost) && host[0] == 7 && !host[1] && !cudaGraphExecDestroy(copying));
#if CUDART_VERSION >= 12020
    struct cudaGraphNodeParams any = {.type = cudaGraphNodeTypeKernel};
    any.kernel.func = (void *)advance; any.kernel.gridDim = grid; any.kernel.blockDim = block; any.kernel.kernelParams = arguments;
    cudaGraphNode_t third;
#if CUDART_VERSION < 13000
    expect("node of any type", !cudaGraphAddNode(&third, made, &kernel, 1, &any));
#else
    expect("node of any type", !cudaGraphAddNode(&third, made, &kernel, 0, 1, &any));
#endif
    expect("runs too", !instantiate(&executable, made) && !cudaGraphLaunch(executable, stream) && all(15));
#endif
    expect("graphs end", !cudaGraphExecDestroy(executable) && !cudaGraphDestroy(graph) && !cudaStreamDestroy(stream));
}

static void memory(void) {
    struct { struct cudaPointerAttributes attributes; char guard[64]; } place;
    unsigned *managed;
    memset(&place, 0x5a, sizeof place);
    expect("pointer attributes", !cudaPointerGetAttributes(&place.attributes, data) && place.attributes.type == cudaMemoryTypeDevice
           && place.attributes.devicePointer == data && place.guard[0] == 0x5a);
    expect("of memory that is not CUDA's", !cudaPointerGetAttributes(&place.attributes, host) && !place.attributes.type);
    expect("managed memory", !cudaMallocManaged((void **)&managed, 4096, cudaMemAttachGlobal));
#if CUDART_VERSION < 13000
    expect("advice", !cudaMemAdvise(managed, 4096, cudaMemAdviseSetReadMostly, 0) && !cudaMemPrefetchAsync(managed, 4096, 0, 0));
#else
    struct cudaMemLocation location = {.type = cudaMemLocationTypeDevice, .id = 0}, nowhere = {.type = cudaMemLocationTypeInvalid};
    expect("advice", !cudaMemAdvise(managed, 4096, cudaMemAdviseSetReadMostly, location) && !cudaMemPrefetchAsync(managed, 4096, location, 0, 0));
    expect("invalid location refused", cudaMemAdvise(managed, 4096, cudaMemAdviseSetReadMostly, nowhere) == cudaErrorInvalidValue);
#endif
    cudaMemPool_t pool, current;
    expect("pools", !cudaDeviceGetDefaultMemPool(&pool, 0) && !cudaDeviceSetMemPool(0, pool) && !cudaDeviceGetMemPool(&current, 0) && pool == current);
    struct cudaPitchedPtr pitched;
    struct cudaExtent extent = {.width = 12, .height = 3, .depth = 2};
    unsigned char box[72];
    struct cudaMemcpy3DParms copy = {.dstPtr = {box, 12, 12, 3}, .extent = extent, .kind = cudaMemcpyDeviceToHost};
    expect("box", !cudaMalloc3D(&pitched, extent) && !cudaMemset3D(pitched, 9, extent));
    copy.srcPtr = pitched;
    int nines = !cudaMemcpy3D(&copy);
    for (int i = 0; i < 72; i++) nines &= box[i] == 9;
    expect("box filled", nines);
    expect("memory freed", !cudaFree(pitched.ptr) && !cudaFree(managed));
}

#if CUDART_VERSION < 12000
enum { WIDTH = 8, HEIGHT = 4, BEYOND = 2 };
static unsigned char texels[HEIGHT][WIDTH];

// Whether the texture has the texels as fractions of 255, and to the right of them the last one, or nothing.
static int looks(int repeats_last) {
    static float seen[HEIGHT][WIDTH + BEYOND];
    const dim3 one = {1, 1, 1}, all_texels = {WIDTH + BEYOND, HEIGHT, 1};
    void *arguments[] = {&data, &(unsigned){WIDTH + BEYOND}};
    if (cudaLaunchKernel((const void *)look, one, all_texels, arguments, 0, 0)) return 0;
    if (cudaMemcpy(seen, data, sizeof seen, cudaMemcpyDeviceToHost)) return 0;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH + BEYOND; x++)
            if (seen[y][x] != (x < WIDTH ? texels[y][x] : repeats_last ? texels[y][WIDTH - 1] : 0) / 255.f) return 0;
    return 1;
}

static void texture_references(void) {
    const struct cudaChannelFormatDesc bytes = cudaCreateChannelDesc(8, 0, 0, 0, cudaChannelFormatKindUnsigned);
    const struct cudaChannelFormatDesc words = cudaCreateChannelDesc(32, 0, 0, 0, cudaChannelFormatKindUnsigned);
    const struct textureReference *found;
    const dim3 one = {1, 1, 1}, four = {4, 1, 1};
    cudaArray_t array;
    unsigned char *rows;
    unsigned *copy;
    size_t pitch, offset = 99;
    for (int i = 0; i < WIDTH * HEIGHT; i++) texels[i / WIDTH][i % WIDTH] = 7 * i + 3;
    expect("rows", !cudaMallocPitch((void **)&rows, &pitch, WIDTH, HEIGHT)
           && !cudaMemcpy2D(rows, pitch, texels, WIDTH, WIDTH, HEIGHT, cudaMemcpyHostToDevice));
    picture.addressMode[0] = picture.addressMode[1] = cudaAddressModeClamp;
    expect("texture reference of rows", !cudaBindTexture2D(&offset, &picture, rows, &bytes, WIDTH, HEIGHT, pitch) && !offset && looks(1));
    expect("array", !cudaMallocArray(&array, &bytes, WIDTH, HEIGHT, 0)
           && !cudaMemcpy2DToArray(array, 0, 0, texels, WIDTH, WIDTH, HEIGHT, cudaMemcpyHostToDevice));
    picture.addressMode[0] = cudaAddressModeBorder;
    expect("texture reference of an array", !cudaBindTextureToArray(&picture, array, &bytes) && looks(0));
    expect("unbound", !cudaUnbindTexture(&picture) && !cudaFreeArray(array) && !cudaFree(rows));
    // As much as there is, from the second word on; behind its end there is nothing.
    unsigned seen[4] = {9, 9, 9, 9}, given[3] = {5, 6, 7};
    void *arguments[] = {&data};
    expect("words", !cudaMalloc((void **)&copy, sizeof given) && !cudaMemcpy(copy, given, sizeof given, cudaMemcpyHostToDevice));
    expect("texture reference of a line", !cudaBindTexture(&offset, &line, copy + 1, &words, ~0u) && !offset
           && !cudaLaunchKernel((const void *)fetch, one, four, arguments, 0, 0)
           && !cudaMemcpy(seen, data, sizeof seen, cudaMemcpyDeviceToHost) && seen[0] == 6 && seen[1] == 7 && !seen[2] && !seen[3]);
    expect("it is found", !cudaGetTextureReference(&found, &line) && found == &line && !cudaGetTextureAlignmentOffset(&offset, &line) && !offset);
    expect("what is none is told so", cudaUnbindTexture((void *)host) == cudaErrorInvalidTexture && cudaGetLastError() == cudaErrorInvalidTexture);
    expect("line unbound", !cudaUnbindTexture(&line) && !cudaFree(copy));
}
#endif

static void entry_points(void) {
    int version;
    void *function = 0;
    expect("version", !cudaRuntimeGetVersion(&version) && version / 1000 == CUDART_VERSION / 1000);
#if CUDART_VERSION < 12000
    expect("entry point", !cudaGetDriverEntryPoint("cuInit", &function, cudaEnableDefault) && function);
#elif CUDART_VERSION < 13000
    enum cudaDriverEntryPointQueryResult status = 99;
    expect("entry point", !cudaGetDriverEntryPoint("cuInit", &function, cudaEnableDefault, &status) && function && !status);
    expect("unknown entry point", !cudaGetDriverEntryPoint("cuNothing", &function, cudaEnableDefault, &status) && status == cudaDriverEntryPointSymbolNotFound);
#else
    enum cudaDriverEntryPointQueryResult status = 99;
    expect("entry point", !cudaGetDriverEntryPointByVersion("cuInit", &function, 12000, cudaEnableDefault, &status) && function && !status);
#endif
    struct cudaChannelFormatDesc channel = cudaCreateChannelDesc(8, 16, 0, 32, cudaChannelFormatKindFloat);
    expect("channel description", channel.x == 8 && channel.y == 16 && channel.w == 32 && channel.f == cudaChannelFormatKindFloat);
    expect("refused by name", cudaDeviceGetNvSciSyncAttributes(&version, 0, 0) == cudaErrorNotSupported && cudaGetLastError() == cudaErrorNotSupported);
    expect("error names", !strcmp(cudaGetErrorName(cudaErrorCompatNotSupportedOnDevice), "cudaErrorCompatNotSupportedOnDevice"));
}

int main(void) {
    expect("memory", !cudaMalloc((void **)&data, sizeof host));
    properties();
    kernels();
    graphs();
    memory();
#if CUDART_VERSION < 12000
    texture_references();
#endif
    entry_points();
    expect("end", !cudaFree(data) && !cudaDeviceSynchronize());
    return 0;
}
