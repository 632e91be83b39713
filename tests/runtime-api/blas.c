// Matrix products through cuBLAS's interface on a stream of the runtime, alone and inside a graph, against loops on the host.
// Prints `ok NAME` for what holds and ends with 1 at the first thing that does not.
#include <stdio.h>
#include <stdlib.h>

typedef void *handle;
int cudaMalloc(void **, size_t), cudaMemcpy(void *, const void *, size_t, int), cudaMemset(void *, int, size_t);
int cudaStreamCreateWithFlags(handle *, unsigned), cudaStreamSynchronize(handle);
int cudaStreamBeginCapture(handle, unsigned), cudaStreamEndCapture(handle, handle *);
int cudaGraphInstantiate(handle *, handle, unsigned long long), cudaGraphLaunch(handle, handle);
int cublasCreate_v2(handle *), cublasDestroy_v2(handle), cublasSetStream_v2(handle, handle);
int cublasSgemm_v2(handle, int, int, int, int, int, const float *, const float *, int, const float *, int, const float *, float *, int);

enum { M = 5, N = 3, K = 7 };
static float a[M * K], b[K * N], c[M * N];

static void expect(const char *name, int holds) {
    if (!holds) { printf("FAILED %s\n", name); exit(1); }
    printf("ok %s\n", name);
}

// Columns first. With `ta`, `a` holds the transpose. Small integers, so sums are exact in any order.
static int right(int ta) {
    for (int row = 0; row < M; row++)
        for (int column = 0; column < N; column++) {
            float sum = 0;
            for (int k = 0; k < K; k++) sum += (ta ? a[row * K + k] : a[k * M + row]) * b[column * K + k];
            if (c[column * M + row] != 2 * sum) return 0;
        }
    return 1;
}

int main(void) {
    float *da, *db, *dc, alpha = 2, beta = 0;
    handle blas, stream, graph, executable;
    for (int i = 0; i < M * K; i++) a[i] = i % 11 - 4;
    for (int i = 0; i < K * N; i++) b[i] = i % 6 - 2;
    expect("memory", !cudaMalloc((void **)&da, sizeof a) && !cudaMalloc((void **)&db, sizeof b) && !cudaMalloc((void **)&dc, sizeof c));
    expect("inputs", !cudaMemcpy(da, a, sizeof a, 1) && !cudaMemcpy(db, b, sizeof b, 1));
    expect("handle", !cublasCreate_v2(&blas) && !cudaStreamCreateWithFlags(&stream, 1) && !cublasSetStream_v2(blas, stream));
    for (int ta = 0; ta < 2; ta++) {
        expect("product", !cublasSgemm_v2(blas, ta, 0, M, N, K, &alpha, da, ta ? K : M, db, K, &beta, dc, M));
        expect("its values", !cudaStreamSynchronize(stream) && !cudaMemcpy(c, dc, sizeof c, 2) && right(ta));
    }
    expect("cleared", !cudaMemset(dc, 0, sizeof c) && !cudaStreamBeginCapture(stream, 2));
    expect("captured", !cublasSgemm_v2(blas, 0, 0, M, N, K, &alpha, da, M, db, K, &beta, dc, M));
    expect("graph", !cudaStreamEndCapture(stream, &graph) && !cudaGraphInstantiate(&executable, graph, 0));
    expect("not run by capture", !cudaMemcpy(c, dc, sizeof c, 2) && !right(0));
    expect("run by the graph", !cudaGraphLaunch(executable, stream) && !cudaStreamSynchronize(stream)
           && !cudaMemcpy(c, dc, sizeof c, 2) && right(0));
    expect("end", !cublasDestroy_v2(blas) && cublasSetStream_v2(blas, stream) == 1);
    return 0;
}
