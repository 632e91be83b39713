// What nvcc makes of a program with one kernel and one variable, written by hand: the registration calls of its
// constructor, the launch stub, and then the runtime and the driver interfaces used side by side.
// Prints `ok NAME` for what holds and ends with 1 at the first thing that does not.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../runtime-abis/fatbinary.h"

typedef struct { unsigned x, y, z; } extent;
typedef void *handle;

void __cudaRegisterFatBinaryEnd(handle);
void __cudaRegisterFunction(handle, const void *, char *, const char *, int, void *, void *, void *, void *, int *);
void __cudaRegisterVar(handle, void *, char *, const char *, int, size_t, int, int);
unsigned __cudaPushCallConfiguration(extent, extent, size_t, handle);
int __cudaPopCallConfiguration(extent *, extent *, size_t *, handle *);
int cudaLaunchKernel(const void *, extent, extent, void **, size_t, handle);
int cudaMalloc(void **, size_t), cudaFree(void *), cudaMemcpy(void *, const void *, size_t, int);
int cudaMemset(void *, int, size_t), cudaMemcpyToSymbol(const void *, const void *, size_t, size_t, int);
int cudaGetSymbolSize(size_t *, const void *);
int cudaMemcpy2D(void *, size_t, const void *, size_t, size_t, size_t, int);
int cudaGetLastError(void), cudaPeekAtLastError(void), cudaSetDevice(int), cudaDeviceSynchronize(void);
int cudaStreamCreateWithFlags(handle *, unsigned), cudaStreamSynchronize(handle), cudaStreamDestroy(handle);
int cudaStreamBeginCapture(handle, unsigned), cudaStreamEndCapture(handle, handle *);
int cudaGraphInstantiate(handle *, handle, unsigned long long), cudaGraphLaunch(handle, handle);
int cudaGetDeviceProperties_v2(void *, int), cudaDeviceGetAttribute(int *, int, int);
const char *cudaGetErrorName(int);
int cuCtxGetCurrent(handle *), cuMemsetD32Async(unsigned long long, unsigned, size_t, handle);

static const char text[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .global .align 4 .u32 step;\n"
    ".visible .entry advance(.param .u64 data, .param .u32 count) {\n"
    ".reg .pred %p; .reg .b32 %r<8>; .reg .b64 %rd<4>;\n"
    "ld.param.u64 %rd0, [data]; ld.param.u32 %r0, [count];\n"
    "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.s32 %r4, %r1, %r2, %r3;\n"
    "setp.ge.u32 %p, %r4, %r0; @%p bra done;\n"
    "mul.wide.u32 %rd1, %r4, 4; add.s64 %rd2, %rd0, %rd1;\n"
    "ld.global.u32 %r5, [%rd2]; ld.global.u32 %r6, [step]; add.s32 %r7, %r5, %r6; st.global.u32 [%rd2], %r7;\n"
    "done: ret;\n}\n";

static unsigned step;

static void advance(unsigned *data, unsigned count) {
    extent grid, block; size_t shared; handle stream;
    if (__cudaPopCallConfiguration(&grid, &block, &shared, &stream)) return;
    void *arguments[] = {&data, &count};
    cudaLaunchKernel((const void *)advance, grid, block, arguments, shared, stream);
}

__attribute__((constructor)) static void register_all(void) {
    handle binary = register_ptx(text);
    __cudaRegisterFunction(binary, (const void *)advance, "advance", "advance", -1, 0, 0, 0, 0, 0);
    __cudaRegisterVar(binary, &step, "step", "step", 0, sizeof step, 0, 0);
    __cudaRegisterFatBinaryEnd(binary);
}

static void expect(const char *name, int holds) {
    if (!holds) { printf("FAILED %s, last error %s\n", name, cudaGetErrorName(cudaPeekAtLastError())); exit(1); }
    printf("ok %s\n", name);
}

static int all(const unsigned *values, unsigned count, unsigned value) {
    while (count--) if (values[count] != value) return 0;
    return 1;
}

enum { COUNT = 1000 };

static void start(unsigned *data, handle stream) {
    extent grid = {4, 1, 1}, block = {256, 1, 1};
    if (!__cudaPushCallConfiguration(grid, block, 0, stream)) advance(data, COUNT);
}

int main(void) {
    static unsigned host[COUNT];
    unsigned *data, seven = 7;
    handle context = 0, stream, graph, executable;
    size_t size;
    expect("memory", !cudaMalloc((void **)&data, sizeof host) && !cudaMemset(data, 0, sizeof host));
    expect("primary context seen by the driver", !cuCtxGetCurrent(&context) && context);
    expect("symbol", !cudaGetSymbolSize(&size, &step) && size == 4 && !cudaMemcpyToSymbol(&step, &seven, 4, 0, 1));
    start(data, 0);
    expect("launch", !cudaGetLastError() && !cudaMemcpy(host, data, sizeof host, 2) && all(host, COUNT, 7));
    expect("stream", !cudaStreamCreateWithFlags(&stream, 1));
    expect("driver's fill on the runtime's stream",
           !cuMemsetD32Async((unsigned long long)data, 100, COUNT, stream) && !cudaStreamSynchronize(stream));
    expect("capture begins", !cudaStreamBeginCapture(stream, 2));
    start(data, stream);
    expect("capture ends", !cudaStreamEndCapture(stream, &graph) && !cudaGraphInstantiate(&executable, graph, 0));
    expect("capture ran nothing", !cudaMemcpy(host, data, sizeof host, 2) && all(host, COUNT, 100));
    for (int round = 0; round < 3; round++) cudaGraphLaunch(executable, stream);
    expect("graph", !cudaStreamSynchronize(stream) && !cudaMemcpy(host, data, sizeof host, 2) && all(host, COUNT, 121));
    memset(host, 0, sizeof host);
    expect("copy of a rectangle", !cudaMemcpy2D(host, 80, data, 40, 40, 10, 2) && host[9] == 121 && !host[10] && host[20] == 121);
    expect("bad device refused", cudaSetDevice(99) == 101 && cudaPeekAtLastError() == 101);
    expect("last error forgotten once told", cudaGetLastError() == 101 && cudaGetLastError() == 0);
    extent wide = {1, 1, 1}, block = {5000, 1, 1};
    expect("block too large refused", cudaLaunchKernel((void *)advance, wide, block, (void *[]){&data, &seven}, 0, 0) == 9);
    // sizeof(cudaDeviceProp) of CUDA 12 is 1032: nothing behind it may be written.
    struct { char name[256]; char rest[776]; unsigned guard; } properties;
    int major, told;
    properties.guard = 0xabcdef;
    expect("properties", !cudaGetDeviceProperties_v2(&properties, 0) && properties.guard == 0xabcdef && properties.name[0]);
    memcpy(&major, (char *)&properties + 360, 4);
    expect("capability is the attribute's", !cudaDeviceGetAttribute(&told, 75, 0) && major == told && major > 0);
    expect("end", !cudaStreamDestroy(stream) && !cudaFree(data) && !cudaDeviceSynchronize());
    return 0;
}
