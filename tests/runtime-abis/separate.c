// Device code that was compiled separately: a kernel in one object, the function that it calls and a variable in another.
// Prints `ok NAME` for what holds and ends with 1 at the first thing that does not.
#include <cuda_runtime_api.h>
#include <stdio.h>
#include "fatbinary.h"

void __cudaRegisterFatBinaryEnd(void **);
void __cudaRegisterFunction(void **, const char *, char *, const char *, int, uint3 *, uint3 *, dim3 *, dim3 *, int *);
void __cudaRegisterVar(void **, char *, char *, const char *, int, size_t, int, int);

static const char *objects[] = {
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".extern .func (.param .b32 result) twice(.param .b32 value);\n"
    ".visible .entry run(.param .u64 place) {\n"
    ".reg .b32 %r<3>; .reg .b64 %rd<2>;\n"
    "ld.param.u64 %rd0, [place]; ld.global.u32 %r0, [%rd0];\n"
    "{ .param .b32 value; .param .b32 result; st.param.b32 [value], %r0; call (result), twice, (value); ld.param.b32 %r1, [result]; }\n"
    "st.global.u32 [%rd0], %r1; ret;\n}\n",
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .global .align 4 .u32 extra;\n"
    ".visible .func (.param .b32 result) twice(.param .b32 value) {\n"
    ".reg .b32 %r<4>;\n"
    "ld.param.b32 %r0, [value]; add.s32 %r1, %r0, %r0; ld.global.u32 %r2, [extra]; add.s32 %r3, %r1, %r2; st.param.b32 [result], %r3; ret;\n}\n",
};
static unsigned extra;
static void run(void) {}

static void expect(const char *name, int holds) {
    if (!holds) { printf("FAILED %s, last error %s\n", name, cudaGetErrorName(cudaPeekAtLastError())); exit(1); }
    printf("ok %s\n", name);
}

int main(void) {
    unsigned *place, value = 20, five = 5;
    dim3 one = {1, 1, 1};
    void *arguments[] = {&place};
    void **binary = register_linked(2, objects);
    __cudaRegisterFunction(binary, (const char *)run, "run", "run", -1, 0, 0, 0, 0, 0);
    __cudaRegisterVar(binary, (char *)&extra, "extra", "extra", 0, 4, 0, 0);
    __cudaRegisterFatBinaryEnd(binary);
    expect("memory", !cudaMalloc((void **)&place, 4) && !cudaMemcpy(place, &value, 4, cudaMemcpyHostToDevice));
    expect("variable", !cudaMemcpyToSymbol(&extra, &five, 4, 0, cudaMemcpyHostToDevice));
    expect("kernel", !cudaLaunchKernel((const void *)run, one, one, arguments, 0, 0));
    expect("right number", !cudaMemcpy(&value, place, 4, cudaMemcpyDeviceToHost) && value == 45);
    expect("end", 1);
    return 0;
}
