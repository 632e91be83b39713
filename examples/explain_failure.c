// A program with a CUDA back end as a plug-in. The plug-in was linked without the library that one of its functions comes
// from, so it does not load; the program says nothing about that and uses the CPU, as many do. To see why:
//   cc -DPLUGIN -shared -fPIC -o /tmp/libbackend-cuda.so explain_failure.c
//   cc -o /tmp/explain_failure explain_failure.c -ldl
//   /tmp/explain_failure /tmp/libbackend-cuda.so               says that it uses the CPU, and no more
//   vgpu-run /tmp/explain_failure /tmp/libbackend-cuda.so      names the symbol; vgpu-run --report … lists all that was opened

#ifdef PLUGIN

int backend_log(const char *text); // defined in a library that nobody linked

int backend_use(int (*cuInit)(unsigned)) {
    backend_log("starting");
    return cuInit(0);
}

#else

#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **arguments) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (driver) puts("found a driver");
    void *plugin = driver && count > 1 ? dlopen(arguments[1], RTLD_NOW) : NULL;
    int (*use)(void *) = plugin ? (int (*)(void *))dlsym(plugin, "backend_use") : NULL;
    puts(use && use(dlsym(driver, "cuInit")) == 0 ? "using the GPU" : "using the CPU");
    return 0;
}

#endif
