// What CUDA C++ needs from a header, over clang's own builtins and PTX: no file of NVIDIA's is involved.
#pragma once

// NVRTC declares all of the following itself.
#ifdef __clang__
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))
#define __forceinline__ __inline__ __attribute__((always_inline))
#define __align__(bytes) __attribute__((aligned(bytes)))
#define DEVICE static __device__ inline

struct extent { unsigned x, y, z; };
DEVICE extent extent_of(int x, int y, int z) { return extent{(unsigned)x, (unsigned)y, (unsigned)z}; }
#define threadIdx extent_of(__nvvm_read_ptx_sreg_tid_x(), __nvvm_read_ptx_sreg_tid_y(), __nvvm_read_ptx_sreg_tid_z())
#define blockIdx extent_of(__nvvm_read_ptx_sreg_ctaid_x(), __nvvm_read_ptx_sreg_ctaid_y(), __nvvm_read_ptx_sreg_ctaid_z())
#define blockDim extent_of(__nvvm_read_ptx_sreg_ntid_x(), __nvvm_read_ptx_sreg_ntid_y(), __nvvm_read_ptx_sreg_ntid_z())
#define gridDim extent_of(__nvvm_read_ptx_sreg_nctaid_x(), __nvvm_read_ptx_sreg_nctaid_y(), __nvvm_read_ptx_sreg_nctaid_z())

struct __align__(8) int2 { int x, y; };
struct __align__(16) int4 { int x, y, z, w; };
struct int3 { int x, y, z; };
struct __align__(8) uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
struct __align__(8) float2 { float x, y; };
struct __align__(16) float4 { float x, y, z, w; };
struct __align__(16) double2 { double x, y; };
struct __align__(4) uchar4 { unsigned char x, y, z, w; };
struct __align__(8) short4 { short x, y, z, w; };

extern "C" __device__ int printf(const char *, ...);

// Barriers and fences.
#define __syncthreads_count(predicate) __nvvm_bar0_popc(predicate)
#define __syncthreads_and(predicate) __nvvm_bar0_and(predicate)
#define __syncthreads_or(predicate) __nvvm_bar0_or(predicate)
#define SYNCWARP(mask) asm volatile("bar.warp.sync %0;" :: "r"(mask) : "memory")
DEVICE void __syncwarp(unsigned mask = ~0u) { SYNCWARP(mask); }
DEVICE void __threadfence() { __nvvm_membar_gl(); }
DEVICE void __threadfence_block() { __nvvm_membar_cta(); }
DEVICE void __threadfence_system() { __nvvm_membar_sys(); }

// Shuffles. The last operand of the instruction holds the segment's mask and the last lane; see PTX ISA, shfl.
#define SHUFFLE(name, mode, last)                                                                                           \
    template <typename T> DEVICE T name(unsigned mask, T value, int other, int width = 32)                                  \
    {                                                                                                                       \
        union { T value; int words[sizeof(T) / 4]; } u;                                                                     \
        u.value = value;                                                                                                    \
        for (unsigned k = 0; k < sizeof(T) / 4; k++)                                                                        \
            asm volatile("shfl.sync." mode ".b32 %0, %0, %1, %2, %3;" : "+r"(u.words[k]) : "r"(other), "r"((32 - width) << 8 | last), "r"(mask)); \
        return u.value;                                                                                                     \
    }
SHUFFLE(__shfl_sync, "idx", 31)
SHUFFLE(__shfl_up_sync, "up", 0)
SHUFFLE(__shfl_down_sync, "down", 31)
SHUFFLE(__shfl_xor_sync, "bfly", 31)

// Votes.
DEVICE unsigned __activemask()
{
    unsigned result;
    asm volatile("activemask.b32 %0;" : "=r"(result));
    return result;
}
DEVICE unsigned __ballot_sync(unsigned mask, int predicate)
{
    unsigned result;
    asm volatile("{ .reg .pred p; setp.ne.s32 p, %1, 0; vote.sync.ballot.b32 %0, p, %2; }" : "=r"(result) : "r"(predicate), "r"(mask));
    return result;
}
#define VOTE(name, mode)                                                                                                    \
    DEVICE int name(unsigned mask, int predicate)                                                                           \
    {                                                                                                                       \
        int result;                                                                                                         \
        asm volatile("{ .reg .pred p, q; setp.ne.s32 p, %1, 0; vote.sync." mode ".pred q, p, %2; selp.s32 %0, 1, 0, q; }"   \
                     : "=r"(result) : "r"(predicate), "r"(mask));                                                           \
        return result;                                                                                                      \
    }
VOTE(__all_sync, "all")
VOTE(__any_sync, "any")
VOTE(__uni_sync, "uni")

// Integer intrinsics.
DEVICE int __popc(unsigned value) { return __builtin_popcount(value); }
DEVICE int __popcll(unsigned long long value) { return __builtin_popcountll(value); }
DEVICE int __clz(int value) { return value ? __builtin_clz(value) : 32; }
DEVICE int __clzll(long long value) { return value ? __builtin_clzll(value) : 64; }
DEVICE int __ffs(int value) { return __builtin_ffs(value); }
DEVICE int __ffsll(long long value) { return __builtin_ffsll(value); }
DEVICE unsigned __brev(unsigned value) { return __builtin_bitreverse32(value); }
DEVICE unsigned long long __brevll(unsigned long long value) { return __builtin_bitreverse64(value); }
#define BY_PTX(T, name, instruction, A, letter)                                                                             \
    DEVICE T name(A a, A b)                                                                                                 \
    {                                                                                                                       \
        T result;                                                                                                           \
        asm(instruction " %0, %1, %2;" : "=" letter(result) : letter(a), letter(b));                                        \
        return result;                                                                                                      \
    }
BY_PTX(int, __mulhi, "mul.hi.s32", int, "r")
BY_PTX(unsigned, __umulhi, "mul.hi.u32", unsigned, "r")
BY_PTX(long long, __mul64hi, "mul.hi.s64", long long, "l")
BY_PTX(unsigned long long, __umul64hi, "mul.hi.u64", unsigned long long, "l")
BY_PTX(int, __mul24, "mul24.lo.s32", int, "r")
BY_PTX(unsigned, __umul24, "mul24.lo.u32", unsigned, "r")
#define BY_PTX3(T, name, instruction, A, B, C)                                                                              \
    DEVICE T name(A a, B b, C c)                                                                                            \
    {                                                                                                                       \
        T result;                                                                                                           \
        asm(instruction " %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));                                        \
        return result;                                                                                                      \
    }
BY_PTX3(unsigned, __sad, "sad.s32", int, int, unsigned)
BY_PTX3(unsigned, __usad, "sad.u32", unsigned, unsigned, unsigned)
BY_PTX3(unsigned, __funnelshift_l, "shf.l.wrap.b32", unsigned, unsigned, unsigned)
BY_PTX3(unsigned, __funnelshift_r, "shf.r.wrap.b32", unsigned, unsigned, unsigned)
BY_PTX3(unsigned, __funnelshift_lc, "shf.l.clamp.b32", unsigned, unsigned, unsigned)
BY_PTX3(unsigned, __funnelshift_rc, "shf.r.clamp.b32", unsigned, unsigned, unsigned)
DEVICE unsigned __byte_perm(unsigned a, unsigned b, unsigned selectors) { return __nvvm_prmt(a, b, selectors & 0x7777); }
BY_PTX3(int, __dp4a, "dp4a.s32.s32", int, int, int)
BY_PTX3(unsigned, __dp4a, "dp4a.u32.u32", unsigned, unsigned, unsigned)
BY_PTX3(int, __dp2a_lo, "dp2a.lo.s32.s32", int, int, int)
BY_PTX3(int, __dp2a_hi, "dp2a.hi.s32.s32", int, int, int)
BY_PTX3(unsigned, __dp2a_lo, "dp2a.lo.u32.u32", unsigned, unsigned, unsigned)
BY_PTX3(unsigned, __dp2a_hi, "dp2a.hi.u32.u32", unsigned, unsigned, unsigned)

// Atomics: the builtins where there is one, PTX for the rest.
#define ATOMIC(name, operation, T, type, letter)                                                                            \
    DEVICE T name(T *address, T value)                                                                                      \
    {                                                                                                                       \
        T old;                                                                                                              \
        asm volatile("atom." operation "." type " %0, [%1], %2;" : "=" letter(old) : "l"(address), letter(value) : "memory"); \
        return old;                                                                                                         \
    }
#define ATOMICS(suffix, scope)                                                                                              \
    ATOMIC(atomicAdd##suffix, scope "add", int, "s32", "r")                                                                 \
    ATOMIC(atomicAdd##suffix, scope "add", unsigned, "u32", "r")                                                            \
    ATOMIC(atomicAdd##suffix, scope "add", unsigned long long, "u64", "l")                                                  \
    ATOMIC(atomicAdd##suffix, scope "add", float, "f32", "f")                                                               \
    ATOMIC(atomicAdd##suffix, scope "add", double, "f64", "d")                                                              \
    ATOMIC(atomicExch##suffix, scope "exch", int, "b32", "r")                                                               \
    ATOMIC(atomicExch##suffix, scope "exch", unsigned, "b32", "r")                                                          \
    ATOMIC(atomicExch##suffix, scope "exch", unsigned long long, "b64", "l")                                                \
    ATOMIC(atomicExch##suffix, scope "exch", float, "b32", "f")                                                             \
    ATOMIC(atomicMin##suffix, scope "min", int, "s32", "r")                                                                 \
    ATOMIC(atomicMin##suffix, scope "min", unsigned, "u32", "r")                                                            \
    ATOMIC(atomicMin##suffix, scope "min", long long, "s64", "l")                                                           \
    ATOMIC(atomicMin##suffix, scope "min", unsigned long long, "u64", "l")                                                  \
    ATOMIC(atomicMax##suffix, scope "max", int, "s32", "r")                                                                 \
    ATOMIC(atomicMax##suffix, scope "max", unsigned, "u32", "r")                                                            \
    ATOMIC(atomicMax##suffix, scope "max", long long, "s64", "l")                                                           \
    ATOMIC(atomicMax##suffix, scope "max", unsigned long long, "u64", "l")                                                  \
    ATOMIC(atomicInc##suffix, scope "inc", unsigned, "u32", "r")                                                            \
    ATOMIC(atomicDec##suffix, scope "dec", unsigned, "u32", "r")                                                            \
    ATOMIC(atomicAnd##suffix, scope "and", int, "b32", "r")                                                                 \
    ATOMIC(atomicAnd##suffix, scope "and", unsigned, "b32", "r")                                                            \
    ATOMIC(atomicAnd##suffix, scope "and", unsigned long long, "b64", "l")                                                  \
    ATOMIC(atomicOr##suffix, scope "or", int, "b32", "r")                                                                   \
    ATOMIC(atomicOr##suffix, scope "or", unsigned, "b32", "r")                                                              \
    ATOMIC(atomicOr##suffix, scope "or", unsigned long long, "b64", "l")                                                    \
    ATOMIC(atomicXor##suffix, scope "xor", int, "b32", "r")                                                                 \
    ATOMIC(atomicXor##suffix, scope "xor", unsigned, "b32", "r")                                                            \
    ATOMIC(atomicXor##suffix, scope "xor", unsigned long long, "b64", "l")
ATOMICS(, "")
ATOMICS(_block, "cta.")
ATOMICS(_system, "sys.")
#define SWAP(T, type, letter)                                                                                               \
    DEVICE T atomicCAS(T *address, T compare, T value)                                                                      \
    {                                                                                                                       \
        T old;                                                                                                              \
        asm volatile("atom.cas." type " %0, [%1], %2, %3;" : "=" letter(old) : "l"(address), letter(compare), letter(value) : "memory"); \
        return old;                                                                                                         \
    }
SWAP(int, "b32", "r")
SWAP(unsigned, "b32", "r")
SWAP(unsigned long long, "b64", "l")
template <typename T> DEVICE T atomicSub(T *address, T value) { return atomicAdd(address, (T)-value); }

template <typename T> DEVICE T __ldg(const T *address) { return *address; }
DEVICE long long clock64() { return __nvvm_read_ptx_sreg_clock64(); }
#endif

