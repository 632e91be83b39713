// What CUDA C++ needs from a header, over clang's own builtins: no file of NVIDIA's is involved.
#pragma once

// NVRTC declares all of the following itself.
#ifdef __clang__
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define KERNEL extern "C" __global__ void
struct extent { unsigned x, y, z; };
static __device__ inline extent extent_of(int x, int y, int z) { return extent{(unsigned)x, (unsigned)y, (unsigned)z}; }
#define threadIdx extent_of(__nvvm_read_ptx_sreg_tid_x(), __nvvm_read_ptx_sreg_tid_y(), __nvvm_read_ptx_sreg_tid_z())
#define blockIdx extent_of(__nvvm_read_ptx_sreg_ctaid_x(), __nvvm_read_ptx_sreg_ctaid_y(), __nvvm_read_ptx_sreg_ctaid_z())
#define blockDim extent_of(__nvvm_read_ptx_sreg_ntid_x(), __nvvm_read_ptx_sreg_ntid_y(), __nvvm_read_ptx_sreg_ntid_z())
#define gridDim extent_of(__nvvm_read_ptx_sreg_nctaid_x(), __nvvm_read_ptx_sreg_nctaid_y(), __nvvm_read_ptx_sreg_nctaid_z())

static __device__ inline void __threadfence() { __nvvm_membar_gl(); }
#define __shfl_xor_sync(mask, value, distance) shuffle_xor(value, distance)
#define __shfl_up_sync(mask, value, distance) shuffle_up(value, distance)
static __device__ inline int shuffle_xor(int value, int distance)
{
    int result;
    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, 0xffffffff;" : "=r"(result) : "r"(value), "r"(distance));
    return result;
}
static __device__ inline int shuffle_up(int value, int distance)
{
    int result;
    asm volatile("shfl.sync.up.b32 %0, %1, %2, 0, 0xffffffff;" : "=r"(result) : "r"(value), "r"(distance));
    return result;
}
static __device__ inline unsigned __ballot_sync(unsigned mask, int predicate)
{
    unsigned result;
    asm volatile("{ .reg .pred p; setp.ne.s32 p, %1, 0; vote.sync.ballot.b32 %0, p, 0xffffffff; }" : "=r"(result) : "r"(predicate));
    return result;
}
static __device__ inline int __popc(unsigned value) { return __builtin_popcount(value); }
static __device__ inline int atomicAdd(int *address, int value) { return __nvvm_atom_add_gen_i(address, value); }
static __device__ inline int atomicMax(int *address, int value) { return __nvvm_atom_max_gen_i(address, value); }
static __device__ inline int atomicExch(int *address, int value) { return __nvvm_atom_xchg_gen_i(address, value); }
static __device__ inline int atomicCAS(int *address, int compare, int value) { return __nvvm_atom_cas_gen_i(address, compare, value); }
static __device__ inline float atomicAdd(float *address, float value) { return __nvvm_atom_add_gen_f(address, value); }
#else
#define KERNEL extern "C" __global__ void
#endif
