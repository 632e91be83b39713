// The suite's cases: for the device a kernel, for the host what the kernel has to leave behind.
//
// Every file of the suite is compiled three times: by clang and by NVRTC into kernels, and by the host's C++ compiler (with
// EXPECTATIONS defined) into a program that prints the header comment of a fixture (tests/filetests): a `run` line for each
// case, with the numbers that it computed itself. Kernels take (const int *in, T *out, int n) with n = 256 elements and run as
// 4 blocks of 64 threads unless the case says otherwise; `in` is repeatable noise with the edges of the type in it.
//
//   EACH(name, T, { … })                 a function of one element, the same source for device and host, equal bit by bit
//   NEAR(name, T, bound, { … }, { … })   the same with two bodies, device and host, and a bound such as "2ulp"
//   KERNEL(name, T, { … })               a kernel of which EXPECT computes the results in another way
//   EXPECT(name, T, { … })               fills `out`; EXPECT_AS gives grid, block and dynamic shared memory too
//   SILENT(name, { … })                  a kernel (const int *in, int n) that leaves nothing in memory, and what it does instead:
//   PRINTS(name, shape, { … })           it prints what the host's `say` does; FAULTS gives a part of the fault's text
//   ON_DEVICE(…), ON_BOTH                things that only kernels need, and functions that both sides need
//
// Bodies of EACH and NEAR see the element's index i, and the values x, y, z of three neighbours (ux, uy, uz without sign); the
// device body of NEAR is one macro argument, so it declares one variable at a time.
#pragma once

#ifdef EXPECTATIONS
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef long long int64;
typedef unsigned long long uint64;
enum { N = 256, BLOCK = 64, WARP = 32 };

struct Case {
    const char *name, *shape, *bound, *instead;
    void (*print)(const Case &, const int *in);
    Case *next;
};
static Case *first_case, **last_case = &first_case;

static void print_element(uint64 bits) { printf("%llu", bits); }
static void print_bits(int value, const char *) { print_element((unsigned)value); }
static void print_bits(unsigned value, const char *) { print_element(value); }
static void print_bits(int64 value, const char *) { print_element((uint64)value); }
static void print_bits(uint64 value, const char *) { print_element(value); }
static void print_bits(short value, const char *) { print_element((unsigned short)value); }
static void print_bits(unsigned short value, const char *) { print_element(value); }
static void print_bits(signed char value, const char *) { print_element((unsigned char)value); }
static void print_bits(unsigned char value, const char *) { print_element(value); }
static void print_bits(float value, const char *bound)
{
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value) printf("nan");
    else if (*bound && isfinite(value)) printf("%.17g", (double)value);
    else printf("%#x", bits);
}
static void print_bits(double value, const char *bound)
{
    uint64 bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value) printf("nan");
    else if (*bound && isfinite(value)) printf("%.17g", value);
    else printf("%#llx", bits);
}

template <typename T> static const char *kind_of(const char *bound)
{
    if (*bound) return sizeof(T) == 4 ? "f32" : "f64";
    return sizeof(T) == 1 ? "u8" : sizeof(T) == 2 ? "u16" : sizeof(T) == 4 ? "u32" : "u64";
}

template <typename T, void (*fill)(const int *, T *, int)> static void print_case(const Case &c, const int *in)
{
    T out[N] = {};
    fill(in, out, N);
    printf("// run: %s<<<%s>>>(in, out, %d) -> out == %s[", c.name, c.shape, N, kind_of<T>(c.bound));
    for (int i = 0; i < N; i++) {
        if (i) printf(", ");
        print_bits(out[i], c.bound);
    }
    printf(*c.bound ? "] within %s\n" : "]\n", c.bound);
}

// What a kernel is expected to print.
static char said[1 << 16];
template <typename... A> static void say(const char *format, A... values)
{
    size_t length = strlen(said);
    snprintf(said + length, sizeof said - length, format, values...);
}

template <void (*speak)(const int *, int)> static void print_said(const Case &c, const int *in)
{
    said[0] = 0;
    speak(in, N);
    printf("// run: %s<<<%s>>>(in, %d) -> printed \"", c.name, c.shape, N);
    for (const char *p = said; *p; p++)
        if (*p == '\n') printf("\\n");
        else putchar(*p);
    printf("\"\n");
}

static void print_fault(const Case &c, const int *)
{
    printf("// run: %s<<<%s>>>(in, %d) -> fault \"%s\"\n", c.name, c.shape, N, c.instead);
}

struct Registered : Case {
    Registered(const char *name, const char *shape, const char *bound, void (*print)(const Case &, const int *), const char *instead = "")
        : Case{name, shape, bound, instead, print, nullptr}
    {
        *last_case = this;
        last_case = &next;
    }
};

int main()
{
    static int in[N];
    unsigned state = 12345;
    for (int i = 0; i < N; i++) {
        state = state * 1664525u + 1013904223u;
        in[i] = (int)state >> (state >> 28);
    }
    const int edges[] = {0, 1, -1, 0x7fffffff, (int)0x80000000};
    memcpy(in, edges, sizeof edges);
    printf("// data: in = u32[");
    for (int i = 0; i < N; i++) printf(i ? ", %u" : "%u", (unsigned)in[i]);
    printf("]\n");
    for (Case *c = first_case; c; c = c->next) c->print(*c, in);
}

#define ELEMENT int x = in[i], y = in[(i + 1) & 255], z = in[(i + 2) & 255]; unsigned ux = x, uy = y, uz = z;
#define NEAR(name, T, bound, device, ...)                                                    \
    static void name##_expected(const int *in, T *out, int n)                                \
    {                                                                                        \
        for (int i = 0; i < n; i++) {                                                        \
            ELEMENT                                                                          \
            out[i] = [&]() -> T __VA_ARGS__();                                               \
        }                                                                                    \
    }                                                                                        \
    static Registered name##_case(#name, "4, 64", bound, print_case<T, name##_expected>);
#define EACH(name, T, ...) NEAR(name, T, "", {}, __VA_ARGS__)
#define KERNEL(name, ...)
#define EXPECT_AS(name, T, shape, ...)                                                       \
    static void name##_expected(const int *in, T *out, int n) __VA_ARGS__                    \
    static Registered name##_case(#name, shape, "", print_case<T, name##_expected>);
#define EXPECT(name, T, ...) EXPECT_AS(name, T, "4, 64", __VA_ARGS__)
#define EXPECT_NEAR(name, T, bound, ...)                                                     \
    static void name##_expected(const int *in, T *out, int n) __VA_ARGS__                    \
    static Registered name##_case(#name, "4, 64", bound, print_case<T, name##_expected>);
#define PRINTS(name, shape, ...)                                                             \
    static void name##_expected(const int *in, int n) __VA_ARGS__                            \
    static Registered name##_case(#name, shape, "", print_said<name##_expected>);
#define FAULTS(name, shape, text) static Registered name##_case(#name, shape, "", print_fault, text);
#define SILENT(name, ...)
#define ON_DEVICE(...)
#define ON_BOTH static

#else
#include "../device.h"
typedef long long int64;
typedef unsigned long long uint64;

#define INDEX (int)(blockIdx.x * blockDim.x + threadIdx.x)
#define ELEMENT int x = in[i], y = in[(i + 1) & 255], z = in[(i + 2) & 255]; unsigned ux = x, uy = y, uz = z;
#define EACH(name, T, ...)                                                                   \
    extern "C" __global__ void name(const int *in, T *out, int n)                            \
    {                                                                                        \
        int i = INDEX;                                                                       \
        ELEMENT                                                                              \
        out[i] = [&]() -> T __VA_ARGS__();                                                   \
    }
#define NEAR(name, T, bound, body, ...) EACH(name, T, body)
#define KERNEL(name, T, ...) extern "C" __global__ void name(const int *in, T *out, int n) __VA_ARGS__
#define SILENT(name, ...) extern "C" __global__ void name(const int *in, int n) __VA_ARGS__
#define EXPECT_AS(name, T, shape, ...)
#define EXPECT(name, T, ...)
#define EXPECT_NEAR(name, T, bound, ...)
#define PRINTS(name, shape, ...)
#define FAULTS(name, shape, text)
#define ON_DEVICE(...) __VA_ARGS__
#define ON_BOTH static __device__
#endif

// Bits as a number and back, and a number of moderate size made of an integer.
ON_BOTH inline float as_float(int bits) { union { int bits; float value; } u; u.bits = bits; return u.value; }
ON_BOTH inline int as_int(float value) { union { int bits; float value; } u; u.value = value; return u.bits; }
ON_BOTH inline double as_double(int64 bits) { union { int64 bits; double value; } u; u.bits = bits; return u.value; }
ON_BOTH inline int64 as_long(double value) { union { int64 bits; double value; } u; u.value = value; return u.bits; }
ON_BOTH inline float moderate(int value) { return (float)value / 65536.0f; }
