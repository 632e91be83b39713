/* cudaDeviceReset in one thread: in the others the context comes again by itself at their next call. */
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *handle;
int cudaMalloc(void **, size_t), cudaMemsetAsync(void *, int, size_t, handle), cudaMemcpyAsync(void *, const void *, size_t, int, handle);
int cudaStreamSynchronize(handle), cudaDeviceReset(void), cudaPeekAtLastError(void);
const char *cudaGetErrorName(int);

#define PER_THREAD ((handle)2)

static pthread_barrier_t turn;

static void expect(const char *name, int holds) {
    if (!holds) { printf("FAILED %s, last error %s\n", name, cudaGetErrorName(cudaPeekAtLastError())); exit(1); }
    printf("ok %s\n", name);
}

static int works(void) {
    char host[64], wanted[64];
    void *data;
    memset(wanted, 7, sizeof wanted);
    return !cudaMalloc(&data, sizeof host) && !cudaMemsetAsync(data, 7, sizeof host, PER_THREAD)
        && !cudaMemcpyAsync(host, data, sizeof host, 2, PER_THREAD) && !cudaStreamSynchronize(PER_THREAD) && !memcmp(host, wanted, sizeof host);
}

static void *other(void *unused) {
    expect("before", works());
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    for (int round = 0; round < 3; round++) expect("after", works());
    return unused;
}

int main(void) {
    pthread_t thread;
    void *stale;
    pthread_barrier_init(&turn, NULL, 2);
    pthread_create(&thread, NULL, other, NULL);
    pthread_barrier_wait(&turn);
    expect("memory", !cudaMalloc(&stale, 1) && !cudaDeviceReset());
    pthread_barrier_wait(&turn);
    pthread_join(thread, NULL);
    expect("in this thread too", works());
    expect("end", 1);
    return 0;
}
