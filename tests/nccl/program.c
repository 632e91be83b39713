// A communicator of one rank: every collective against what one rank has to see, in order on a stream, inside a graph, and what
// is refused. Prints `ok NAME` for what holds and ends with 1 at the first thing that does not.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *handle;
typedef struct { char bytes[128]; } identity;

int cudaMalloc(void **, size_t), cudaMemcpy(void *, const void *, size_t, int), cudaMemset(void *, int, size_t), cudaMemsetAsync(void *, int, size_t, handle);
int cudaStreamCreateWithFlags(handle *, unsigned), cudaStreamSynchronize(handle);
int cudaStreamBeginCapture(handle, unsigned), cudaStreamEndCapture(handle, handle *);
int cudaGraphInstantiate(handle *, handle, unsigned long long), cudaGraphLaunch(handle, handle);
int ncclGetVersion(int *), ncclGetUniqueId(identity *), ncclCommInitRank(handle *, int, identity, int), ncclCommInitAll(handle *, int, const int *);
int ncclCommCount(handle, int *), ncclCommUserRank(handle, int *), ncclCommCuDevice(handle, int *), ncclCommGetAsyncError(handle, int *);
int ncclCommSplit(handle, int, int, handle *, void *), ncclCommFinalize(handle), ncclCommDestroy(handle);
int ncclAllReduce(const void *, void *, size_t, int, int, handle, handle), ncclReduce(const void *, void *, size_t, int, int, int, handle, handle);
int ncclBroadcast(const void *, void *, size_t, int, int, handle, handle), ncclBcast(void *, size_t, int, int, handle, handle);
int ncclAllGather(const void *, void *, size_t, int, handle, handle), ncclReduceScatter(const void *, void *, size_t, int, int, handle, handle);
int ncclSend(const void *, size_t, int, int, handle, handle), ncclRecv(void *, size_t, int, int, handle, handle);
int ncclGroupStart(void), ncclGroupEnd(void), pncclGroupStart(void), pncclGroupEnd(void);
int ncclRedOpCreatePreMulSum(int *, void *, int, int, handle), ncclRedOpDestroy(int, handle);
int ncclMemAlloc(void **, size_t), ncclMemFree(void *);
const char *ncclGetErrorString(int), *ncclGetLastError(handle);

enum { FLOAT = 7, DOUBLE = 8, SUM = 0, AVG = 4, COUNT = 100, HOST = 1 };
static float numbers[COUNT], back[COUNT];

static void expect(const char *name, int holds) {
    if (!holds) { printf("FAILED %s: %s\n", name, ncclGetLastError(0)); exit(1); }
    printf("ok %s\n", name);
}

static int is(const void *device, float factor, handle stream) {
    if (cudaStreamSynchronize(stream) || cudaMemcpy(back, device, sizeof back, 2)) return 0;
    for (int i = 0; i < COUNT; i++) if (back[i] != factor * numbers[i]) return 0;
    return 1;
}

int main(void) {
    int version, count, rank, device, error, operator, where[] = {0};
    handle comm, other, none = (handle)1, stream, second, graph, executable;
    float *from, *to, factor = 3;
    identity id, another;
    for (int i = 0; i < COUNT; i++) numbers[i] = i + 1;
    expect("version", !ncclGetVersion(&version) && version / 10000 == 2);
    expect("identities differ", !ncclGetUniqueId(&id) && !ncclGetUniqueId(&another) && memcmp(&id, &another, sizeof id));
    expect("communicator", !ncclCommInitRank(&comm, 1, id, 0) && !ncclCommCount(comm, &count) && count == 1
           && !ncclCommUserRank(comm, &rank) && rank == 0 && !ncclCommCuDevice(comm, &device) && device == 0 && !ncclCommGetAsyncError(comm, &error) && !error);
    expect("of all devices", !ncclCommInitAll(&other, 1, where) && !ncclCommDestroy(other) && ncclCommDestroy(other) == 4);
    expect("split", !ncclCommSplit(comm, 7, 0, &other, 0) && other && other != comm && !ncclCommSplit(comm, -1, 0, &none, 0) && !none);
    expect("memory", !ncclMemAlloc((void **)&from, sizeof numbers) && !cudaMalloc((void **)&to, sizeof numbers) && !cudaMemcpy(from, numbers, sizeof numbers, 1)
           && !cudaStreamCreateWithFlags(&stream, 1) && !cudaStreamCreateWithFlags(&second, 1));
#define CLEARED !cudaMemsetAsync(to, 0, sizeof numbers, stream)
    expect("allReduce", CLEARED && !ncclAllReduce(from, to, COUNT, FLOAT, SUM, comm, stream) && is(to, 1, stream));
    expect("in place", !ncclAllReduce(to, to, COUNT, FLOAT, AVG, comm, stream) && is(to, 1, stream));
    expect("reduce", CLEARED && !ncclReduce(from, to, COUNT, FLOAT, SUM, 0, comm, stream) && is(to, 1, stream));
    expect("broadcast", CLEARED && !ncclBroadcast(from, to, COUNT, FLOAT, 0, comm, stream) && is(to, 1, stream) && !ncclBcast(to, COUNT, FLOAT, 0, comm, stream));
    expect("allGather", CLEARED && !ncclAllGather(from, to, COUNT, FLOAT, comm, stream) && is(to, 1, stream));
    expect("reduceScatter of half as many doubles", CLEARED && !ncclReduceScatter(from, to, COUNT / 2, DOUBLE, SUM, comm, stream) && is(to, 1, stream));
    expect("operator that multiplies", !ncclRedOpCreatePreMulSum(&operator, &factor, FLOAT, HOST, comm)
           && !ncclAllReduce(from, to, COUNT, FLOAT, operator, comm, stream) && is(to, 3, stream) && !ncclRedOpDestroy(operator, comm)
           && ncclAllReduce(from, to, COUNT, FLOAT, operator, comm, stream) == 4);
    expect("send and receive in nested groups", CLEARED && !ncclGroupStart() && !pncclGroupStart() && !ncclSend(from, COUNT, FLOAT, 0, comm, second)
           && !ncclRecv(to, COUNT, FLOAT, 0, comm, stream) && !pncclGroupEnd() && !ncclGroupEnd() && is(to, 1, stream));
    expect("captured", CLEARED && !cudaStreamSynchronize(stream) && !cudaStreamBeginCapture(stream, 2) && !ncclAllReduce(from, to, COUNT, FLOAT, SUM, comm, stream)
           && !cudaStreamEndCapture(stream, &graph) && !cudaGraphInstantiate(&executable, graph, 0) && is(to, 0, stream));
    expect("replayed", !cudaGraphLaunch(executable, stream) && is(to, 1, stream));
    expect("send outside of a group refused", ncclSend(from, COUNT, FLOAT, 0, comm, stream) == 5);
    expect("unmatched send refused", !ncclGroupStart() && !ncclSend(from, COUNT, FLOAT, 0, comm, stream) && ncclGroupEnd() == 5);
    expect("unknown root refused", ncclReduce(from, to, COUNT, FLOAT, SUM, 1, comm, stream) == 4);
    expect("unknown type refused", ncclAllReduce(from, to, COUNT, 99, SUM, comm, stream) == 4);
    expect("several ranks refused", ncclCommInitRank(&other, 2, id, 0) == 5 && strstr(ncclGetLastError(0), "2 ranks") && !strcmp(ncclGetErrorString(5), "invalid usage"));
    expect("end", !ncclCommFinalize(comm) && !ncclCommDestroy(comm) && ncclAllReduce(from, to, COUNT, FLOAT, SUM, comm, stream) == 4 && !ncclMemFree(from));
    return 0;
}
