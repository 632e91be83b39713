// Kernels checked against the same computation on the CPU (tests/kernels/tests/compiled.rs). Each takes
// (const int *in, int *out, int n) and is launched with 4 blocks of 64 threads.
#include "device.h"

#define KERNEL extern "C" __global__ void

#define INDEX (int)(blockIdx.x * blockDim.x + threadIdx.x)

KERNEL collatz(const int *in, int *out, int n)
{
    int i = INDEX, value = (in[i] & 1023) + 1, steps = 0;
    while (value != 1 && steps < 500) value = value & 1 ? 3 * value + 1 : value / 2, steps++;
    out[i] = steps;
}

KERNEL nested_branches(const int *in, int *out, int n)
{
    int i = INDEX, value = in[i];
    if (value & 1) {
        if (value & 2) value *= 3; else value -= 7;
        if (value > 100) value ^= 0x55;
    } else {
        for (int k = 0; k < (i & 7); k++) if ((value >> k) & 4) value += k; else value -= 2 * k;
    }
    out[i] = value;
}

KERNEL switch_by_value(const int *in, int *out, int n)
{
    int i = INDEX, value = in[i];
    switch (value & 7) {
    case 0: value = value / 3; break;
    case 1: value = value % 11; break;
    case 2: value = ~value;
    case 3: value += 5; break;
    case 5: value = -value; break;
    case 6: value <<= 3; break;
    default: value = 42;
    }
    out[i] = value;
}

KERNEL block_sum(const int *in, int *out, int n)
{
    __shared__ int s[64];
    int t = threadIdx.x;
    s[t] = in[INDEX];
    __syncthreads();
    for (int half = 32; half > 0; half >>= 1) {
        if (t < half) s[t] += s[t + half];
        __syncthreads();
    }
    out[INDEX] = s[0];
}

KERNEL warp_total(const int *in, int *out, int n)
{
    int value = in[INDEX];
    for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(~0u, value, distance);
    out[INDEX] = value;
}

KERNEL warp_prefix(const int *in, int *out, int n)
{
    int lane = threadIdx.x & 31, value = in[INDEX];
    for (int distance = 1; distance < 32; distance *= 2) {
        int below = __shfl_up_sync(~0u, value, distance);
        if (lane >= distance) value += below;
    }
    out[INDEX] = value;
}

KERNEL odd_below(const int *in, int *out, int n)
{
    unsigned odd = __ballot_sync(~0u, in[INDEX] & 1);
    out[INDEX] = __popc(odd & ((1u << (threadIdx.x & 31)) - 1));
}

KERNEL histogram(const int *in, int *out, int n)
{
    atomicAdd(&out[in[INDEX] & 15], 1);
}

KERNEL shared_histogram(const int *in, int *out, int n)
{
    __shared__ int counts[16];
    if (threadIdx.x < 16) counts[threadIdx.x] = 0;
    __syncthreads();
    atomicAdd(&counts[in[INDEX] & 15], 1);
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(&out[threadIdx.x], counts[threadIdx.x]);
}

KERNEL largest(const int *in, int *out, int n)
{
    atomicMax(&out[0], in[INDEX]);
}

KERNEL float_total(const int *in, int *out, int n)
{
    atomicAdd((float *)out, (float)(in[INDEX] & 255));
}

KERNEL lock_per_block(const int *in, int *out, int n)
{
    if (threadIdx.x == 0) {
        while (atomicCAS(&out[0], 0, 1) != 0) {}
        int value = *(volatile int *)&out[1];
        *(volatile int *)&out[1] = value + 1;
        __threadfence();
        atomicExch(&out[0], 0);
    }
}

KERNEL bitonic_sort(const int *in, int *out, int n)
{
    __shared__ int s[64];
    int t = threadIdx.x;
    s[t] = in[INDEX];
    __syncthreads();
    for (int size = 2; size <= 64; size *= 2)
        for (int stride = size / 2; stride > 0; stride /= 2) {
            int other = t ^ stride;
            if (other > t && (s[t] > s[other]) == ((t & size) == 0)) {
                int swap = s[t];
                s[t] = s[other];
                s[other] = swap;
            }
            __syncthreads();
        }
    out[INDEX] = s[t];
}

KERNEL wide_arithmetic(const int *in, int *out, int n)
{
    long long value = (long long)in[INDEX] * in[(INDEX + 1) & (n - 1)];
    out[INDEX] = (int)(value >> 13) ^ (int)(value % 1000003);
}

KERNEL double_precision(const int *in, int *out, int n)
{
    double value = in[INDEX] / 7.0;
    value = value * value - 3.25 * value + 1e-3;
    out[INDEX] = (int)(value * 1e-4);
}

KERNEL local_array(const int *in, int *out, int n)
{
    int history[16];
    for (int k = 0; k < 16; k++) history[k] = in[(INDEX + k) & (n - 1)];
    int at = 0, sum = 0;
    for (int k = 0; k < 16; k++) sum = sum * 3 + history[at], at = (at + history[at]) & 15;
    out[INDEX] = sum;
}

KERNEL bytes_and_shorts(const int *in, int *out, int n)
{
    const signed char *bytes = (const signed char *)in;
    const unsigned short *shorts = (const unsigned short *)in;
    out[INDEX] = bytes[4 * INDEX + 1] * 1000 + shorts[2 * INDEX + 1];
}

KERNEL transpose(const int *in, int *out, int n)
{
    __shared__ int tile[8][9];
    int x = threadIdx.x & 7, y = threadIdx.x >> 3, base = blockIdx.x * 64;
    tile[y][x] = in[base + y * 8 + x];
    __syncthreads();
    out[base + y * 8 + x] = tile[x][y];
}

KERNEL early_exit(const int *in, int *out, int n)
{
    if (in[INDEX] % 3 == 0) return;
    for (int k = 0; k < 100; k++) if ((in[INDEX] + k) % 17 == 0) { out[INDEX] = k; return; }
}

KERNEL division(const int *in, int *out, int n)
{
    int divisor = (in[(INDEX + 3) & (n - 1)] & 63) + 1;
    out[INDEX] = in[INDEX] / divisor + 31 * (in[INDEX] % divisor) + (int)((unsigned)in[INDEX] / (unsigned)divisor);
}
