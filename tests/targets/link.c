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

// Each of two modules has a `step` of its own, and a weak `bias`, of which the strong one is meant.
static const char first[] = HEAD
    ".weak .global .align 4 .u32 bias = 100;\n"
    ".func (.param .b32 r) step(.param .b32 x) { .reg .b32 %r<3>; ld.param.b32 %r0, [x]; ld.global.u32 %r1, [bias]; add.u32 %r2, %r0, %r1; st.param.b32 [r], %r2; ret; }\n"
    ".visible .func (.param .b32 r) first(.param .b32 x) { .reg .b32 %r<2>; ld.param.b32 %r0, [x]; { .param .b32 a; .param .b32 b; st.param.b32 [a], %r0; call.uni (b), step, (a); ld.param.b32 %r1, [b]; } st.param.b32 [r], %r1; ret; }\n";
static const char second[] = HEAD
    ".extern .func (.param .b32 r) first(.param .b32 x);\n"
    ".visible .global .align 4 .u32 bias = 10;\n"
    ".func (.param .b32 r) step(.param .b32 x) { .reg .b32 %r<2>; ld.param.b32 %r0, [x]; mul.lo.u32 %r1, %r0, 3; st.param.b32 [r], %r1; ret; }\n"
    ".visible .entry run(.param .u64 out) { .reg .b32 %r<4>; .reg .b64 %rd<3>; mov.u32 %r0, %tid.x;\n"
    "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r0; call.uni (b), first, (a); ld.param.b32 %r1, [b]; }\n"
    "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call.uni (b), step, (a); ld.param.b32 %r2, [b]; }\n"
    "ld.param.u64 %rd0, [out]; mul.wide.u32 %rd1, %r0, 4; add.u64 %rd2, %rd0, %rd1; st.global.u32 [%rd2], %r2; ret; }\n";

// Blocks add their number to a sum, meet by the device runtime's barrier, and read it: three times, each on top of the last.
static const char grid[] = HEAD
    ".extern .func (.param .b64 r) cudaCGGetIntrinsicHandle(.param .b32 scope);\n"
    ".extern .func (.param .b32 r) cudaCGSynchronize(.param .b64 handle, .param .b32 flags);\n"
    ".visible .entry run(.param .u64 out) { .reg .b32 %r<9>; .reg .b64 %rd<5>; .reg .pred %p;\n"
    "ld.param.u64 %rd0, [out]; mov.u32 %r0, %ctaid.x; mov.u32 %r1, 1; mov.u32 %r5, 0;\n"
    "{ .param .b32 a; .param .b64 b; st.param.b32 [a], %r1; call.uni (b), cudaCGGetIntrinsicHandle, (a); ld.param.b64 %rd1, [b]; }\n"
    "AGAIN: red.global.add.u32 [%rd0], %r0;\n"
    "{ .param .b64 a; .param .b32 f; .param .b32 b; st.param.b64 [a], %rd1; st.param.b32 [f], 0; call.uni (b), cudaCGSynchronize, (a, f); ld.param.b32 %r2, [b]; }\n"
    "ld.volatile.global.u32 %r3, [%rd0]; add.u32 %r5, %r5, %r3; add.u32 %r5, %r5, %r2;\n"
    "{ .param .b64 a; .param .b32 f; .param .b32 b; st.param.b64 [a], %rd1; st.param.b32 [f], 0; call.uni (b), cudaCGSynchronize, (a, f); ld.param.b32 %r2, [b]; }\n"
    "add.u32 %r1, %r1, 1; setp.le.u32 %p, %r1, 3; @%p bra AGAIN;\n"
    "mul.wide.u32 %rd2, %r0, 4; add.u64 %rd3, %rd0, %rd2; st.global.u32 [%rd3+4], %r5; ret; }\n";

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
    FIND(cuLaunchCooperativeKernel, (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **));
    FIND(cuMemsetD32_v2, (unsigned long long, unsigned, size_t));
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

    CHECK(cuLinkCreate_v2(0, 0, 0, &link));
    CHECK(cuLinkAddData_v2(link, 1, (void *)first, sizeof first, "first", 0, 0, 0));
    CHECK(cuLinkAddData_v2(link, 1, (void *)second, sizeof second, "second", 0, 0, 0));
    CHECK(cuLinkComplete(link, &image, &size) || cuModuleLoadData(&module, image) || cuLinkDestroy(link));
    CHECK(cuModuleGetFunction(&function, module, "run"));
    CHECK(cuLaunchKernel(function, 1, 1, 1, 40, 1, 1, 0, 0, arguments, 0));
    CHECK(cuMemcpyDtoH_v2(results, out, sizeof results));
    for (unsigned at = 0; at < 40; at++) if (results[at] != 3 * (at + 10)) { printf("own names, %u: %u\n", at, results[at]); return 1; }

    // The archive's members would be machine code; what they are for is there all the same.
    enum { ARCHIVE = 4, BLOCKS = 9 };
    CHECK(cuLinkCreate_v2(0, 0, 0, &link));
    CHECK(cuLinkAddData_v2(link, 1, (void *)grid, sizeof grid, "grid", 0, 0, 0));
    CHECK(cuLinkAddData_v2(link, ARCHIVE, "!<arch>\n", 8, "libcudadevrt.a", 0, 0, 0));
    CHECK(cuLinkComplete(link, &image, &size) || cuModuleLoadData(&module, image) || cuLinkDestroy(link));
    CHECK(cuModuleGetFunction(&function, module, "run") || cuMemsetD32_v2(out, 0, 40));
    CHECK(cuLaunchCooperativeKernel(function, BLOCKS, 1, 1, 1, 1, 1, 0, 0, arguments));
    CHECK(cuMemcpyDtoH_v2(results, out, sizeof results));
    for (unsigned at = 1; at <= BLOCKS; at++) if (results[at] != 36 + 72 + 108) { printf("grid, %u: %u\n", at, results[at]); return 1; }

    // A name that two modules define is an error, and no choice.
    CHECK(cuLinkCreate_v2(0, 0, 0, &link));
    for (int at = 2; at < 4; at++) CHECK(cuLinkAddData_v2(link, 1, (void *)modules[at], strlen(modules[at]) + 1, "module", 0, 0, 0));
    printf("right results; the same name twice: %s\n", cuLinkComplete(link, &image, &size) ? "refused" : "taken");
    return 0;
}
