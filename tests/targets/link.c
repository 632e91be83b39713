// Links PTX modules through the driver's linker: a kernel in one calls a function and reads a variable of another.
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define HEAD ".version 6.0\n.target sm_50\n.address_size 64\n"

static const char caller[] = HEAD
    ".extern .func (.param .b32 result) twice_and_more(.param .b32 x);\n"
    ".visible .entry run(.param .u64 out) {\n"
    ".reg .b32 %r<3>; .reg .b64 %rd<3>;\n"
    "mov.u32 %r0, %tid.x;\n"
    "{ .param .b32 x; .param .b32 result; st.param.b32 [x], %r0; call.uni (result), twice_and_more, (x); ld.param.b32 %r1, [result]; }\n"
    "ld.param.u64 %rd0, [out]; mul.wide.u32 %rd1, %r0, 4; add.u64 %rd2, %rd0, %rd1; st.global.u32 [%rd2], %r1; ret; }\n";

static const char callee[] = HEAD
    ".extern .global .align 4 .u32 more;\n"
    ".visible .func (.param .b32 result) twice_and_more(.param .b32 x) {\n"
    ".reg .b32 %r<4>;\n"
    "ld.param.b32 %r0, [x]; ld.global.u32 %r1, [more]; mad.lo.u32 %r2, %r0, 2, %r1; st.param.b32 [result], %r2; ret; }\n";

static const char variable[] = HEAD ".visible .global .align 4 .u32 more = 7;\n";
static const char again[] = HEAD ".visible .global .align 4 .u32 more = 8;\n";

#define CHECK(call) do { int result_ = (call); if (result_) { printf("%s: %d\n", #call, result_); return 1; } } while (0)
#define FIND(name, arguments) int (*name) arguments = (int (*) arguments)dlsym(driver, #name)

int main(void) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW), *context, *link, *module, *function, *image;
    if (!driver) return 1;
    FIND(cuInit, (unsigned)); FIND(cuCtxCreate_v2, (void **, unsigned, int));
    FIND(cuLinkCreate_v2, (unsigned, int *, void **, void **)); FIND(cuLinkComplete, (void *, void **, size_t *));
    FIND(cuLinkAddData_v2, (void *, int, void *, size_t, const char *, unsigned, int *, void **));
    FIND(cuLinkDestroy, (void *)); FIND(cuModuleLoadData, (void **, const void *));
    FIND(cuModuleGetFunction, (void **, void *, const char *)); FIND(cuMemAlloc_v2, (unsigned long long *, size_t));
    FIND(cuMemcpyDtoH_v2, (void *, unsigned long long, size_t));
    FIND(cuLaunchKernel, (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **));
    unsigned long long out;
    unsigned results[40];
    size_t size;
    CHECK(cuInit(0) || cuCtxCreate_v2(&context, 0, 0) || cuMemAlloc_v2(&out, sizeof results));

    const char *modules[] = {caller, callee, variable, again};
    CHECK(cuLinkCreate_v2(0, 0, 0, &link));
    for (int at = 0; at < 3; at++) CHECK(cuLinkAddData_v2(link, 1, (void *)modules[at], strlen(modules[at]) + 1, "module", 0, 0, 0));
    CHECK(cuLinkComplete(link, &image, &size));
    CHECK(cuModuleLoadData(&module, image));
    CHECK(cuLinkDestroy(link));
    CHECK(cuModuleGetFunction(&function, module, "run"));
    void *arguments[] = {&out};
    CHECK(cuLaunchKernel(function, 1, 1, 1, 40, 1, 1, 0, 0, arguments, 0));
    CHECK(cuMemcpyDtoH_v2(results, out, sizeof results));
    for (unsigned at = 0; at < 40; at++) if (results[at] != 2 * at + 7) { printf("%u: %u\n", at, results[at]); return 1; }

    // A name that two modules define is an error, and no choice.
    CHECK(cuLinkCreate_v2(0, 0, 0, &link));
    for (int at = 2; at < 4; at++) CHECK(cuLinkAddData_v2(link, 1, (void *)modules[at], strlen(modules[at]) + 1, "module", 0, 0, 0));
    printf("right results; the same name twice: %s\n", cuLinkComplete(link, &image, &size) ? "refused" : "taken");
    return 0;
}
