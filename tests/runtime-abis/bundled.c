// A program whose wheel bundles NVIDIA's libraries under names with hashes, as auditwheel makes them: it needs them by these names,
// from a folder of its own. Built with STAND_IN this is such a library: every function fails.
// Prints `ok NAME` for what holds and ends with 1 at the first thing that does not.
#ifdef STAND_IN
int cudaRuntimeGetVersion(int *version) { *version = -1; return 0; }
int cudaMalloc(void **place, unsigned long size) { return 999; }
int cublasCreate_v2(void **handle) { return 1; }
int cublasGetVersion_v2(void *handle, int *version) { *version = -1; return 0; }
unsigned long cublasLtGetVersion(void) { return 0; }
int ncclGetVersion(int *version) { *version = -1; return 0; }
#else
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
int cudaRuntimeGetVersion(int *), cudaMalloc(void **, size_t), cublasCreate_v2(void **), cublasGetVersion_v2(void *, int *), ncclGetVersion(int *);
size_t cublasLtGetVersion(void);

static void expect(const char *name, int holds) {
    if (!holds) { printf("FAILED %s\n", name); exit(1); }
    printf("ok %s\n", name);
}

int main(void) {
    int version = 0;
    void *place = 0, *handle;
    expect("runtime", !cudaRuntimeGetVersion(&version) && version / 1000 == 12 && !cudaMalloc(&place, 16) && place);
    expect("cuBLAS", !cublasCreate_v2(&handle) && !cublasGetVersion_v2(handle, &version) && version / 10000 == 12);
    expect("cuBLASLt", cublasLtGetVersion() / 10000 == 12);
    expect("NCCL", !ncclGetVersion(&version) && version / 10000 == 2);
    // Another library of the process may ask by the plain name: it must not get a second runtime with a state of its own.
    void *plain = dlopen("libcudart.so.12", RTLD_NOW);
    expect("one runtime", plain && dlsym(plain, "cudaMalloc") == dlsym(RTLD_DEFAULT, "cudaMalloc"));
    expect("end", 1);
    return 0;
}
#endif
