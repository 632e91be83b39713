// The kernels of `make bench`. kernels.ptx is made from this file: `tests/benchmarks/kernels/regenerate`.

extern "C" __global__ void saxpy(float a, const float *__restrict__ x, float *__restrict__ y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = a * x[i] + y[i];
}

static __device__ float sum_of_warp(float value)
{
    for (int distance = 16; distance > 0; distance >>= 1) value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

// Grid-stride sum, then shuffles within the warp, then one warp over the warps' sums.
extern "C" __global__ void warp_sum(const float *__restrict__ x, float *__restrict__ out, int n)
{
    __shared__ float sums[32];
    float sum = 0.f;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) sum += x[i];
    sum = sum_of_warp(sum);
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    if (lane == 0) sums[warp] = sum;
    __syncthreads();
    if (warp == 0) {
        sum = sum_of_warp(lane < (blockDim.x >> 5) ? sums[lane] : 0.f);
        if (lane == 0) out[blockIdx.x] = sum;
    }
}

// The textbook tree in shared memory: a barrier per level.
extern "C" __global__ void tree_sum(const float *__restrict__ x, float *__restrict__ out, int n)
{
    __shared__ float s[256];
    int t = threadIdx.x, i = blockIdx.x * 1024 + t;
    float sum = 0.f;
    for (int part = 0; part < 4; part++) if (i + 256 * part < n) sum += x[i + 256 * part];
    s[t] = sum;
    __syncthreads();
    for (int half = 128; half > 0; half >>= 1) {
        if (t < half) s[t] += s[t + half];
        __syncthreads();
    }
    if (t == 0) out[blockIdx.x] = s[0];
}

// 32 weights in 4 bits with one scale; 32 activations in 8 bits with scale and scaled sum.
struct q4_0 { unsigned short scale; unsigned short nibbles[8]; };
struct q8_1 { unsigned short scale, sum; int values[8]; };

static __device__ float widen(unsigned short half)
{
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}

// One row per block of 4 warps, two lanes per block of 32 weights: the work split of llama.cpp's mat-vec.
extern "C" __global__ void __launch_bounds__(128) mat_vec_q4_0(const q4_0 *__restrict__ weights, const q8_1 *__restrict__ vector,
                                                               float *__restrict__ out, int columns)
{
    int thread = 32 * threadIdx.y + threadIdx.x, blocks = columns / 32, first = 2 * (thread % 2);
    const q4_0 *row = weights + (size_t)blockIdx.x * blocks;
    float sum = 0.f;
    for (int block = thread / 2; block < blocks; block += 64) {
        const q4_0 *w = row + block;
        const q8_1 *v = vector + block;
        int products = 0;
#pragma unroll
        for (int i = first; i < first + 2; i++) {
            int packed = w->nibbles[2 * i] | w->nibbles[2 * i + 1] << 16;
            products = __dp4a(packed & 0x0f0f0f0f, v->values[i], products);
            products = __dp4a(packed >> 4 & 0x0f0f0f0f, v->values[i + 4], products);
        }
        sum += widen(w->scale) * (products * widen(v->scale) - 4.f * widen(v->sum));
    }
    __shared__ float others[3][32];
    if (threadIdx.y > 0) others[threadIdx.y - 1][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0) return;
    for (int warp = 0; warp < 3; warp++) sum += others[warp][threadIdx.x];
    sum = sum_of_warp(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

// 32×32 tile in shared memory, 32×8 threads, four rows each; n is a multiple of 32.
extern "C" __global__ void __launch_bounds__(256) sgemm_tile(const float *__restrict__ a, const float *__restrict__ b, float *__restrict__ c, int n)
{
    __shared__ float as[32][32], bs[32][32];
    int x = threadIdx.x, y = threadIdx.y, column = blockIdx.x * 32 + x, row = blockIdx.y * 32 + y;
    float sums[4] = {0, 0, 0, 0};
    for (int k0 = 0; k0 < n; k0 += 32) {
#pragma unroll
        for (int i = 0; i < 32; i += 8) {
            as[y + i][x] = a[(size_t)(row + i) * n + k0 + x];
            bs[y + i][x] = b[(size_t)(k0 + y + i) * n + column];
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 32; k++)
#pragma unroll
            for (int i = 0; i < 4; i++) sums[i] = fmaf(as[y + 8 * i][k], bs[k][x], sums[i]);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; i++) c[(size_t)(row + 8 * i) * n + column] = sums[i];
}

// Escape times of the Mandelbrot set: lanes leave the loop one by one.
extern "C" __global__ void divergent(int *__restrict__ out, int width, int height, int limit)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x >= width) return;
    float cr = -2.f + 3.f * x / width, ci = -1.2f + 2.4f * y / height, zr = 0, zi = 0;
    int steps = 0;
    for (; steps < limit; ++steps) {
        float a = zr * zr, b = zi * zi;
        if (a + b > 4.f) break;
        zi = fmaf(zr + zr, zi, ci);
        zr = a - b + cr;
    }
    out[(size_t)y * width + x] = steps;
}
