// Kernels with mistakes, for tests/kernels/tests/checked.rs: each takes (int *out), 64 words of which the first 32 were written,
// and is launched with two blocks of 64 threads. A line that a check has to name says which in a comment; no other may be named.
#include "device.h"

#define KERNEL extern "C" __global__ void
#define INDEX (int)(blockIdx.x * blockDim.x + threadIdx.x)

__device__ int table[16];

KERNEL writes_behind_its_memory(int *out)
{
    out[INDEX] = INDEX;                          // memory: write of 4 bytes, block (1, 0, 0), thread (0, 0, 0)
}

KERNEL counts_one_too_far(int *out)
{
    int sum = 0;
    for (int k = 0; k <= 16; k++)
        sum += ((volatile int *)table)[k];       // memory: read of 4 bytes, block (0, 0, 0), thread (0, 0, 0)
    out[threadIdx.x] = sum;
}

KERNEL walks_out_of_shared_memory(int *out)
{
    __shared__ volatile int words[64];
    words[threadIdx.x] = threadIdx.x;
    __syncthreads();
    if (threadIdx.x == 63) words[threadIdx.x + 1] = 1;   // memory: write of 4 bytes, block (0, 0, 0), thread (63, 0, 0)
    out[threadIdx.x] = words[0];
}

KERNEL forgets_the_last_barrier_of_a_reduction(int *out)
{
    __shared__ int sums[64];
    int t = threadIdx.x;
    sums[t] = t;
    __syncthreads();
    for (int half = 32; half > 0; half /= 2) {
        if (t < half) sums[t] += sums[t + half];
        if (half > 1) __syncthreads();
    }
    if (t == 63)
        out[0] = sums[0];                        // race: read of 4 bytes, block (0, 0, 0), thread (63, 0, 0)
}

KERNEL reuses_shared_memory_too_early(int *out)
{
    __shared__ int words[64];
    int t = threadIdx.x, sum = 0;
    for (int round = 0; round < 2; round++) {
        words[t] = t + round;                    // race: write of 4 bytes, block (0, 0, 0), thread (32, 0, 0)
        __syncthreads();
        sum += words[63 - t];                    // race: read of 4 bytes, block (0, 0, 0), thread (32, 0, 0)
        asm volatile("" ::: "memory");
    }
    out[t] = sum;
}

KERNEL reads_what_nobody_wrote(int *out)
{
    int value = out[threadIdx.x];                // init: read of 4 bytes, block (0, 0, 0), thread (32, 0, 0)
    if (value == 12345) out[0] = 1;
}

KERNEL reads_shared_memory_that_nobody_wrote(int *out)
{
    __shared__ int words[64];
    if (threadIdx.x != 5) words[threadIdx.x] = 1;
    __syncthreads();
    out[threadIdx.x] = words[threadIdx.x ^ 1];   // init: read of 4 bytes, block (0, 0, 0), thread (4, 0, 0)
}
