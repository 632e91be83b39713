// The language: functions, pointers to them, classes, templates, recursion, and what compilers make of them.
#include "suite.h"

#ifdef EXPECTATIONS
#define MEMBER
#else
#define MEMBER __device__
#endif

// Functions.
ON_DEVICE(
    __device__ __noinline__ int added(int a, int b) { return a + b; }
    __device__ __noinline__ int doubled(int a, int b) { return a * 2 - b; }
    __device__ __noinline__ int mixed(int a, int b) { return a ^ b << 1; }
    __device__ __noinline__ long long wide_result(int a, long long b) { return a + b * 3; }
    __device__ __noinline__ double real_result(float a, double b, short c, signed char d) { return a * b + c - d; }
    __device__ __noinline__ void through_pointer(int *result, int a) { *result = a + 7; }
    struct Triple { int a, b, c; };
    __device__ __noinline__ Triple rotated(Triple t) { return Triple{t.b, t.c, t.a}; }
    struct Large { int values[20]; };
    __device__ __noinline__ Large large_of(int start) { Large l; for (int k = 0; k < 20; k++) l.values[k] = start + k * k; return l; }
    __device__ __noinline__ int sum_of(Large l, int step) { int s = 0; for (int k = 0; k < 20; k += step) s += l.values[k]; return s; }
    __device__ __noinline__ bool is_odd(int v) { return v & 1; }
    __device__ __noinline__ float many(int a, float b, int c, float d, int e, float f, int g, float h, int i, float j) { return a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6 + g * 7 + h * 8 + i * 9 + j * 10; }
)
KERNEL(call_plain, int, { out[INDEX] = added(in[INDEX] & 0xffff, mixed(INDEX, 3)); })
EXPECT(call_plain, int, { for (int i = 0; i < n; i++) out[i] = (in[i] & 0xffff) + (i ^ 6); })
KERNEL(call_wide, int64, { out[INDEX] = wide_result(in[INDEX], (long long)in[INDEX] << 20); })
EXPECT(call_wide, int64, { for (int i = 0; i < n; i++) out[i] = in[i] + ((int64)((uint64)(int64)in[i] << 20)) * 3; })
KERNEL(call_of_mixed_types, double, { out[INDEX] = real_result(moderate(in[INDEX]), 0.5, (short)in[INDEX], (signed char)(in[INDEX] >> 4)); })
EXPECT(call_of_mixed_types, double, { for (int i = 0; i < n; i++) out[i] = moderate(in[i]) * 0.5 + (short)in[i] - (signed char)(in[i] >> 4); })
KERNEL(call_through_pointer_argument, int, { int r; through_pointer(&r, in[INDEX] & 0xffff); through_pointer(out + INDEX, r); })
EXPECT(call_through_pointer_argument, int, { for (int i = 0; i < n; i++) out[i] = (in[i] & 0xffff) + 14; })
KERNEL(call_with_struct, int, { Triple t = rotated(rotated(Triple{INDEX, in[INDEX], 5})); out[INDEX] = (int)((unsigned)t.a * 3 + (unsigned)t.b * 5 + (unsigned)t.c * 7); })
EXPECT(call_with_struct, int, { for (int i = 0; i < n; i++) out[i] = (int)(5u * 3 + (unsigned)i * 5 + (unsigned)in[i] * 7); })
KERNEL(call_with_large_struct, int, { out[INDEX] = sum_of(large_of(in[INDEX] & 0xffff), 1 + (INDEX & 3)); })
EXPECT(call_with_large_struct, int, { for (int i = 0; i < n; i++) for (int k = 0; k < 20; k += 1 + (i & 3)) out[i] += (in[i] & 0xffff) + k * k; })
KERNEL(call_in_divergent_code, int, { int v = in[INDEX], r = 0; if (is_odd(v)) r = added(v & 255, 1); else if (is_odd(v >> 1)) r = doubled(v & 255, 2); for (int k = 0; k < (v & 7); k++) r = mixed(r, k); out[INDEX] = r; })
EXPECT(call_in_divergent_code, int, { for (int i = 0; i < n; i++) { int v = in[i], r = v & 1 ? (v & 255) + 1 : v & 2 ? (v & 255) * 2 - 2 : 0; for (int k = 0; k < (v & 7); k++) r ^= k << 1; out[i] = r; } })
KERNEL(call_with_many_arguments, float, { int i = INDEX; out[i] = many(i, 1.5f, i + 1, 2.5f, i + 2, 3.5f, i + 3, 4.5f, i + 4, 5.5f); })
EXPECT(call_with_many_arguments, float, { for (int i = 0; i < n; i++) out[i] = i + 1.5f * 2 + (i + 1) * 3 + 2.5f * 4 + (i + 2) * 5 + 3.5f * 6 + (i + 3) * 7 + 4.5f * 8 + (i + 4) * 9 + 5.5f * 10; })

// Recursion.
ON_DEVICE(
    __device__ __noinline__ int factorial(int v) { return v < 2 ? 1 : v * factorial(v - 1); }
    __device__ __noinline__ int fibonacci(int v) { return v < 2 ? v : fibonacci(v - 1) + fibonacci(v - 2); }
    __device__ __noinline__ int ackermann(int m, int v) { return m == 0 ? v + 1 : v == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, v - 1)); }
    __device__ int odd_by_even(int v);
    __device__ __noinline__ int even_by_odd(int v) { return v == 0 ? 1 : odd_by_even(v - 1); }
    __device__ __noinline__ int odd_by_even(int v) { return v == 0 ? 0 : even_by_odd(v - 1); }
    __device__ __noinline__ int depth_sum(const int *in, int at, int depth) { int frame[4] = {at, depth, in[at & 255] & 15, 1}; if (depth == 0) return frame[2]; return frame[in[at & 255] & 3] + depth_sum(in, at * 2 + 1, depth - 1) + frame[3]; }
    __device__ __noinline__ void quicksort(int *a, int low, int high) { if (low >= high) return; int p = a[(low + high) / 2], i = low, j = high; while (i <= j) { while (a[i] < p) i++; while (a[j] > p) j--; if (i <= j) { int t = a[i]; a[i] = a[j]; a[j] = t; i++; j--; } } quicksort(a, low, j); quicksort(a, i, high); }
    __device__ __noinline__ int hanoi(int count, int from, int to) { return count == 0 ? 0 : hanoi(count - 1, from, 6 - from - to) + 1 + hanoi(count - 1, 6 - from - to, to); }
)
KERNEL(recursion_factorial, int, { out[INDEX] = factorial(INDEX % 13); })
EXPECT(recursion_factorial, int, { for (int i = 0; i < n; i++) { out[i] = 1; for (int k = 2; k <= i % 13; k++) out[i] *= k; } })
KERNEL(recursion_fibonacci, int, { out[INDEX] = fibonacci(INDEX % 11); })
EXPECT(recursion_fibonacci, int, { const int f[] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55}; for (int i = 0; i < n; i++) out[i] = f[i % 11]; })
KERNEL(recursion_ackermann, int, { if (threadIdx.x < 8) out[INDEX] = ackermann(threadIdx.x & 1 ? 2 : 1, threadIdx.x >> 1); })
EXPECT(recursion_ackermann, int, { for (int i = 0; i < n; i++) { int t = i & 63; if (t < 8) out[i] = t & 1 ? 2 * (t >> 1) + 3 : (t >> 1) + 2; } })
KERNEL(recursion_mutual, int, { out[INDEX] = even_by_odd(INDEX % 29) * 10 + odd_by_even(INDEX % 17); })
EXPECT(recursion_mutual, int, { for (int i = 0; i < n; i++) out[i] = (i % 29 % 2 == 0) * 10 + i % 17 % 2; })
KERNEL(recursion_with_frames, int, { out[INDEX] = depth_sum(in, INDEX, INDEX % 9); })
EXPECT(recursion_with_frames, int, { for (int i = 0; i < n; i++) { int at = i, s = 0; for (int d = i % 9; d > 0; d--) { int frame[4] = {at, d, in[at & 255] & 15, 1}; s += frame[in[at & 255] & 3] + 1; at = at * 2 + 1; } out[i] = s + (in[at & 255] & 15); } })
KERNEL(recursion_quicksort, int, { if (threadIdx.x == 0) { int *a = out + blockIdx.x * 64; for (int k = 0; k < 64; k++) a[k] = in[blockIdx.x * 64 + k]; quicksort(a, 0, 63); } })
EXPECT(recursion_quicksort, int, { for (int b = 0; b < n; b += 64) { for (int k = 0; k < 64; k++) out[b + k] = in[b + k]; for (int k = 1; k < 64; k++) for (int j = b + k; j > b && out[j - 1] > out[j]; j--) { int v = out[j]; out[j] = out[j - 1]; out[j - 1] = v; } } })
KERNEL(recursion_hanoi, int, { out[INDEX] = hanoi(INDEX & 7, 1, 3); })
EXPECT(recursion_hanoi, int, { for (int i = 0; i < n; i++) out[i] = (1 << (i & 7)) - 1; })

// Pointers to functions.
ON_DEVICE(
    typedef int (*Binary)(int, int);
    __device__ Binary operations[3] = {added, doubled, mixed};
    __device__ __noinline__ int applied(Binary f, int a, int b) { return f(a, b); }
)
#define BINARY(k, a, b) ((k) == 0 ? (a) + (b) : (k) == 1 ? (a)*2 - (b) : (a) ^ (b) << 1)
KERNEL(pointer_from_table, int, { out[INDEX] = operations[(unsigned)in[INDEX] % 3](in[INDEX] & 0xffff, INDEX); })
EXPECT(pointer_from_table, int, { for (int i = 0; i < n; i++) out[i] = BINARY((unsigned)in[i] % 3, in[i] & 0xffff, i); })
KERNEL(pointer_same_for_all, int, { out[INDEX] = operations[n % 3](in[INDEX] & 0xffff, INDEX); })
EXPECT(pointer_same_for_all, int, { for (int i = 0; i < n; i++) out[i] = BINARY(1, in[i] & 0xffff, i); })
KERNEL(pointer_chosen_by_branch, int, { Binary f = in[INDEX] > 0 ? added : in[INDEX] & 1 ? doubled : mixed; out[INDEX] = f(INDEX, 9); })
EXPECT(pointer_chosen_by_branch, int, { for (int i = 0; i < n; i++) out[i] = BINARY(in[i] > 0 ? 0 : in[i] & 1 ? 1 : 2, i, 9); })
KERNEL(pointer_as_argument, int, { out[INDEX] = applied(operations[INDEX % 3], INDEX, applied(added, 1, 2)); })
EXPECT(pointer_as_argument, int, { for (int i = 0; i < n; i++) out[i] = BINARY(i % 3, i, 3); })
KERNEL(pointer_in_shared, int, { __shared__ Binary f[3]; if (threadIdx.x < 3) f[threadIdx.x] = operations[2 - threadIdx.x]; __syncthreads(); out[INDEX] = f[INDEX % 3](INDEX, 4); })
EXPECT(pointer_in_shared, int, { for (int i = 0; i < n; i++) out[i] = BINARY(2 - i % 3, i, 4); })
KERNEL(pointer_to_recursion, int, { int (*f)(int) = INDEX & 1 ? factorial : fibonacci; out[INDEX] = f(INDEX & 7); })
EXPECT(pointer_to_recursion, int, { const int f[] = {0, 1, 1, 2, 3, 5, 8, 13}, g[] = {1, 1, 2, 6, 24, 120, 720, 5040}; for (int i = 0; i < n; i++) out[i] = i & 1 ? g[i & 7] : f[i & 7]; })

// Classes.
ON_DEVICE(
    struct Shape { int size; __device__ Shape(int size) : size(size) {} virtual __device__ int area() const { return 0; } virtual __device__ int corners() const = 0; __device__ int twice() const { return 2 * area(); } };
    struct Square : Shape { __device__ Square(int s) : Shape(s) {} __device__ int area() const override { return size * size; } __device__ int corners() const override { return 4; } };
    struct Triangle : Shape { int height; __device__ Triangle(int s, int h) : Shape(s), height(h) {} __device__ int area() const override { return size * height / 2; } __device__ int corners() const override { return 3; } };
    struct Dot : Shape { __device__ Dot() : Shape(1) {} __device__ int corners() const override { return 1; } };
    __device__ __noinline__ int measured(const Shape &s) { return s.area() * 100 + s.corners() * 10 + s.size; }
)
KERNEL(virtual_calls, int, { int i = INDEX; Square q(i & 15); Triangle t(i & 7, 6); Dot d; const Shape *s[3] = {&q, &t, &d}; out[i] = measured(*s[i % 3]) + s[(i + 1) % 3]->twice(); })
EXPECT(virtual_calls, int, { for (int i = 0; i < n; i++) { int area[] = {(i & 15) * (i & 15), (i & 7) * 3, 0}, corners[] = {4, 3, 1}, size[] = {i & 15, i & 7, 1}; out[i] = area[i % 3] * 100 + corners[i % 3] * 10 + size[i % 3] + 2 * area[(i + 1) % 3]; } })
KERNEL(virtual_calls_by_branch, int, { int i = INDEX; if (in[i] & 1) { Square q(3); out[i] = measured(q); } else { Triangle t(4, i & 31); out[i] = measured(t); } })
EXPECT(virtual_calls_by_branch, int, { for (int i = 0; i < n; i++) out[i] = in[i] & 1 ? 943 : 2 * (i & 31) * 100 + 34; })
struct Fraction {
    int64 up, down;
    MEMBER Fraction(int64 u, int64 d) : up(u), down(d) {}
    MEMBER Fraction operator+(const Fraction &o) const { return Fraction(up * o.down + o.up * down, down * o.down); }
    MEMBER Fraction operator*(const Fraction &o) const { return Fraction(up * o.up, down * o.down); }
    MEMBER Fraction &operator+=(const Fraction &o) { *this = *this + o; return *this; }
    MEMBER bool operator<(const Fraction &o) const { return up * o.down < o.up * down; }
    MEMBER explicit operator int() const { return (int)(up * 1000 / down); }
};
EACH(operators_overloaded, int, { Fraction a(x & 63, 7), b(y & 63, 9); a += b * Fraction(1, 2); return (int)a + (a < b); })
EACH(constructor_and_destructor, int, { int log = 0; struct Guard { int *log, id; MEMBER Guard(int *l, int v) : log(l), id(v) { *log = *log * 10 + id & 0xffffff; } MEMBER ~Guard() { *log = *log * 10 + id + 5 & 0xffffff; } }; { Guard a(&log, 1); if (x & 1) { Guard b(&log, 2); Guard c(&log, 3); } } return log; })
EACH(inheritance_by_layout, int, { struct A { int a; }; struct B { short b; }; struct C : A, B { char c; } v; v.a = x; v.b = (short)y; v.c = (char)z; B *p = &v; A *q = &v; return q->a ^ p->b ^ v.c; })
EACH(member_pointers, int, { struct P { int a, b, c; } p = {x, y, z}; int P::*m[3] = {&P::b, &P::c, &P::a}; return p.*m[ux % 3] ^ p.*m[uy % 3]; })
EACH(static_counter_in_lambda, int, { int c = 0; auto next = [&c]() mutable { return ++c; }; int s = 0; for (int k = 0; k < (x & 15); k++) s += next() * next(); return s; })
EACH(lambda_captures_by_value, int, { int a = x & 255, b = y & 255; auto f = [=](int v) { return a * v + b; }; a = 0; return f(f(3)); })
EACH(references, int, { int a = x, b = y; int &r = x > y ? a : b; r ^= 0x55; const int &c = a; return c + 3 * (b & 0xffff) + (r & 15); })

// Templates.
template <typename T, int COUNT> MEMBER T polynomial(T v) { T s = 0; for (int k = COUNT; k > 0; k--) s = s * v + (T)k; return s; }
template <int V> struct Factorial { enum : int { value = V * Factorial<V - 1>::value }; };
template <> struct Factorial<0> { enum : int { value = 1 }; };
template <typename... A> MEMBER int total(A... a) { return (0 + ... + a); }
template <typename F> MEMBER int repeated(F f, int v, int times) { for (int k = 0; k < times; k++) v = f(v); return v; }
template <typename T> MEMBER int kind_of_value(T v) { if constexpr (sizeof(T) == 8) return 8; else if constexpr (T(-1) < T(0)) return -(int)sizeof(T); else return (int)sizeof(T); }
template <typename T, int SIZE> struct Ring { T items[SIZE]; int head; MEMBER Ring() : items{}, head(0) {} MEMBER void push(T v) { items[head++ % SIZE] = v; } MEMBER T at(int back) const { return items[(head - 1 - back + SIZE) % SIZE]; } };
EACH(template_of_types, double, { return polynomial<double, 4>(x * 1e-6) + polynomial<int, 3>(y & 15) + polynomial<float, 5>((z & 255) * 0.5f); })
EACH(template_recursion, int, { return Factorial<10>::value + (x & 7) * Factorial<5>::value; })
EACH(template_packs, int, { return total(x & 255, y & 255, z & 255, 7) + total() + total(x & 15); })
EACH(template_of_functions, int, { return repeated([](int v) { return v * 3 + 1 & 0xffff; }, x & 0xffff, y & 15); })
EACH(template_if_constexpr, int, { return kind_of_value(x) * 1000 + kind_of_value((unsigned char)x) * 100 + kind_of_value(1.0) * 10 + kind_of_value((short)1); })
EACH(template_class, int, { Ring<int, 5> r; for (int k = 0; k < 3 + (x & 7); k++) r.push(x ^ k); return r.at(0) ^ r.at(2) << 1; })
EACH(constexpr_function, int, { struct F { static constexpr MEMBER int square_sum(int v) { return v == 0 ? 0 : v * v + square_sum(v - 1); } }; constexpr int c = F::square_sum(10); return c + F::square_sum(x & 7); })
EACH(structured_bindings, int, { struct P { int a, b; }; auto [a, b] = P{x, y}; return a ^ b << 1; })
EACH(enum_class, int, { enum class Colour : unsigned char { red = 3, green, blue = 200 }; Colour c = x & 1 ? Colour::green : y & 1 ? Colour::blue : Colour::red; switch (c) { case Colour::red: return 1; case Colour::green: return (int)c; default: return (int)c + 1; } })
EACH(initializer_arrays, int, { const int t[3][2] = {{1, 2}, {3, 4}, {5, 6}}; const char s[] = "kernel"; return t[ux % 3][uy & 1] * 1000 + s[uz % 6]; })

// Memory that kernels take themselves.
ON_DEVICE(extern "C" __device__ void *malloc(unsigned long); extern "C" __device__ void free(void *);)
KERNEL(memory_taken_by_threads, int, { int c = (in[INDEX] & 15) + 1; int *p = (int *)malloc(c * sizeof(int)); for (int k = 0; k < c; k++) p[k] = in[(INDEX + k) & 255] & 0xffff; unsigned s = 0; for (int k = 0; k < c; k++) s = s * 3 + p[c - 1 - k]; out[INDEX] = s; free(p); })
EXPECT(memory_taken_by_threads, int, { for (int i = 0; i < n; i++) { int c = (in[i] & 15) + 1; unsigned s = 0; for (int k = 0; k < c; k++) s = s * 3 + (in[(i + c - 1 - k) & 255] & 0xffff); out[i] = s; } })
KERNEL(memory_passed_on, int, { __shared__ int *p; if (threadIdx.x == 0) p = (int *)malloc(64 * sizeof(int)); __syncthreads(); p[threadIdx.x] = in[INDEX]; __syncthreads(); out[INDEX] = p[63 - threadIdx.x]; __syncthreads(); if (threadIdx.x == 63) free(p); })
EXPECT(memory_passed_on, int, { for (int i = 0; i < n; i++) out[i] = in[i ^ 63]; })
KERNEL(memory_used_up, int, { int c = 0; void *first = 0; for (;;) { void *p = malloc(1 << 20); if (!p) break; c++; *(void **)p = first; first = p; } while (first) { void *next = *(void **)first; free(first); first = next; } void *p = malloc(6 << 20); out[0] = c >= 6 && c <= 8 && p; free(p); })
EXPECT_AS(memory_used_up, int, "1, 1", { out[0] = 1; })
KERNEL(tree_of_nodes, int, {
    struct Tree { int value; Tree *low; Tree *high; };
    if (threadIdx.x % 16 == 0) {
        Tree *root = 0;
        for (int k = 0; k < 16; k++) { int v = in[INDEX + k]; Tree **at = &root; while (*at) at = v < (*at)->value ? &(*at)->low : &(*at)->high; *at = (Tree *)malloc(sizeof(Tree)); (*at)->value = v; (*at)->low = (*at)->high = 0; }
        for (int k = 0; k < 16; k++) { Tree **at = &root; while ((*at)->low) at = &(*at)->low; Tree *least = *at; out[INDEX + k] = least->value; *at = least->high; free(least); }
    }
})
EXPECT(tree_of_nodes, int, { for (int b = 0; b < n; b += 16) { for (int k = 0; k < 16; k++) out[b + k] = in[b + k]; for (int k = 1; k < 16; k++) for (int j = b + k; j > b && out[j - 1] > out[j]; j--) { int v = out[j]; out[j] = out[j - 1]; out[j - 1] = v; } } })
