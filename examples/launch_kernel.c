// y = a x + y on a million numbers: a kernel as PTX text, loaded and launched through the driver interface, and checked.
//   cc -o /tmp/launch_kernel launch_kernel.c -ldl && vgpu-run /tmp/launch_kernel
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

// What cuda.h would declare. The driver is looked up at run time, so that no library is needed for building.
typedef unsigned long long device_pointer;
static int (*cuInit)(unsigned), (*cuDeviceGet)(int *, int), (*cuCtxCreate_v2)(void **, unsigned, int);
static int (*cuCtxDestroy_v2)(void *), (*cuCtxSynchronize)(void), (*cuModuleLoadData)(void **, const void *);
static int (*cuModuleGetFunction)(void **, void *, const char *), (*cuMemAlloc_v2)(device_pointer *, size_t);
static int (*cuMemcpyHtoD_v2)(device_pointer, const void *, size_t), (*cuMemcpyDtoH_v2)(void *, device_pointer, size_t);
static int (*cuLaunchKernel)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);

static const char saxpy[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry saxpy(.param .f32 a, .param .u64 x, .param .u64 y, .param .u32 count) {\n"
    "  .reg .pred %p; .reg .f32 %f<4>; .reg .b32 %r<5>; .reg .b64 %rd<6>;\n"
    "  mov.u32 %r0, %ctaid.x; mov.u32 %r1, %ntid.x; mov.u32 %r2, %tid.x; mad.lo.u32 %r3, %r0, %r1, %r2;\n"
    "  ld.param.u32 %r4, [count]; setp.ge.u32 %p, %r3, %r4; @%p bra done;\n"
    "  ld.param.u64 %rd0, [x]; ld.param.u64 %rd1, [y]; mul.wide.u32 %rd2, %r3, 4;\n"
    "  add.u64 %rd3, %rd0, %rd2; add.u64 %rd4, %rd1, %rd2;\n"
    "  ld.param.f32 %f0, [a]; ld.global.f32 %f1, [%rd3]; ld.global.f32 %f2, [%rd4];\n"
    "  fma.rn.f32 %f3, %f0, %f1, %f2; st.global.f32 [%rd4], %f3;\n"
    "done: ret;\n}\n";

static void fail(const char *what, int error) {
    fprintf(stderr, "%s failed with error %d\n", what, error);
    exit(1);
}
#define CHECK(call) do { int error_ = (call); if (error_) fail(#call, error_); } while (0)

static void find_driver(void) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!driver) fail(dlerror(), 0);
#define FIND(name) if (!(*(void **)&name = dlsym(driver, #name))) fail(#name, 0)
    FIND(cuInit); FIND(cuDeviceGet); FIND(cuCtxCreate_v2); FIND(cuCtxDestroy_v2); FIND(cuCtxSynchronize); FIND(cuModuleLoadData);
    FIND(cuModuleGetFunction); FIND(cuMemAlloc_v2); FIND(cuMemcpyHtoD_v2); FIND(cuMemcpyDtoH_v2); FIND(cuLaunchKernel);
}

int main(void) {
    enum { COUNT = 1000000 };
    static float host_x[COUNT], host_y[COUNT], result[COUNT];
    for (int i = 0; i < COUNT; i++) { host_x[i] = i % 1000; host_y[i] = i % 7; }

    find_driver();
    int device;
    void *context, *module, *kernel;
    device_pointer x, y;
    CHECK(cuInit(0));
    CHECK(cuDeviceGet(&device, 0));
    CHECK(cuCtxCreate_v2(&context, 0, device));
    CHECK(cuModuleLoadData(&module, saxpy));
    CHECK(cuModuleGetFunction(&kernel, module, "saxpy"));
    CHECK(cuMemAlloc_v2(&x, sizeof host_x));
    CHECK(cuMemAlloc_v2(&y, sizeof host_y));
    CHECK(cuMemcpyHtoD_v2(x, host_x, sizeof host_x));
    CHECK(cuMemcpyHtoD_v2(y, host_y, sizeof host_y));

    float a = 2.5f;
    unsigned count = COUNT;
    void *arguments[] = {&a, &x, &y, &count};
    CHECK(cuLaunchKernel(kernel, (COUNT + 255) / 256, 1, 1, 256, 1, 1, 0, NULL, arguments, NULL));
    CHECK(cuCtxSynchronize());
    CHECK(cuMemcpyDtoH_v2(result, y, sizeof result));

    // Every product and sum here is exact in f32, so equality is the right question.
    int right = 0;
    for (int i = 0; i < COUNT; i++) right += result[i] == a * host_x[i] + host_y[i];
    printf("%d of %d results are right\n", right, COUNT);
    CHECK(cuCtxDestroy_v2(context));
    return right != COUNT;
}
