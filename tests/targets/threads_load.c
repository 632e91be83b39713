// 32 threads load and unload the driver library at once, and ask the device node.
#include "hello.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static void *work(void *unused) {
    (void)unused;
    for (int round = 0; round < 50; round++) {
        void *library = dlopen("libcuda.so.1", RTLD_NOW);
        int (*init)(unsigned) = library ? dlsym(library, "cuInit") : 0;
        if (!init || init(0) != 42 || !hello())
            return "failed";
        dlclose(library);
    }
    return 0;
}

int main(void) {
    pthread_t threads[32];
    int failed = 0;
    for (int index = 0; index < 32; index++)
        pthread_create(&threads[index], 0, work, 0);
    for (int index = 0; index < 32; index++) {
        void *result;
        pthread_join(threads[index], &result);
        failed += result != 0;
    }
    printf("%d failed\n", failed);
    return failed != 0;
}
