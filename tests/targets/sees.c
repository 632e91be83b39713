// Prints what it sees of the GPU: "payload" if libcuda.so.1 loads and is the stand-in, "device" if the
// device node opens and answers a control call.
#include "hello.h"
#include <dlfcn.h>
#include <stdio.h>

int main(void) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    int (*init)(unsigned) = library ? dlsym(library, "cuInit") : 0;
    printf("%s %s\n", init && init(0) == 42 ? "payload" : "no-payload", hello() ? "device" : "no-device");
    return 0;
}
