// Kernels of `make bench` that run on any card: `Module::Plain`, compiled by NVRTC for capability 6.1 without contraction.
// Matrices are row by row, sizes are multiples of the tiles.

extern "C" __global__ void empty()
{
}

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

static __device__ float maximum_of_warp(float value)
{
    for (int distance = 16; distance > 0; distance >>= 1) value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
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

// ---- Products of quantised matrices with a quantised vector, with llama.cpp's work split: a block of 4 warps per row.

typedef unsigned short half_bits;

// 32 weights of 4 bits, 32 of 8 bits, 256 of 4 bits with a scale and an offset of 6 bits for each 32; 32 activations.
struct q4_0 { half_bits scale; unsigned short nibbles[8]; };
struct q8_0 { half_bits scale; unsigned short values[16]; };
struct q4_k { half_bits scale, offset; unsigned short scales[6]; unsigned nibbles[32]; };
struct q8_1 { half_bits scale, sum; int values[8]; };

static __device__ float widen(half_bits half)
{
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}

// Four bytes at an address that is a multiple of two.
static __device__ int word_of(const unsigned short *halves)
{
    return halves[0] | halves[1] << 16;
}

// The row's result: the sums of the block's 128 threads, added by the first warp.
static __device__ void put_row(float *out, float sum)
{
    __shared__ float others[3][32];
    if (threadIdx.y > 0) others[threadIdx.y - 1][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0) return;
    for (int warp = 0; warp < 3; warp++) sum += others[warp][threadIdx.x];
    sum = sum_of_warp(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

// Two lanes for 32 weights.
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
            int packed = word_of(w->nibbles + 2 * i);
            products = __dp4a(packed & 0x0f0f0f0f, v->values[i], products);
            products = __dp4a(packed >> 4 & 0x0f0f0f0f, v->values[i + 4], products);
        }
        sum += widen(w->scale) * (products * widen(v->scale) - 4.f * widen(v->sum));
    }
    put_row(out, sum);
}

// Four lanes for 32 weights.
extern "C" __global__ void __launch_bounds__(128) mat_vec_q8_0(const q8_0 *__restrict__ weights, const q8_1 *__restrict__ vector,
                                                               float *__restrict__ out, int columns)
{
    int thread = 32 * threadIdx.y + threadIdx.x, blocks = columns / 32, first = 2 * (thread % 4);
    const q8_0 *row = weights + (size_t)blockIdx.x * blocks;
    float sum = 0.f;
    for (int block = thread / 4; block < blocks; block += 32) {
        const q8_0 *w = row + block;
        const q8_1 *v = vector + block;
        int products = 0;
#pragma unroll
        for (int i = first; i < first + 2; i++) products = __dp4a(word_of(w->values + 2 * i), v->values[i], products);
        sum += widen(w->scale) * widen(v->scale) * products;
    }
    put_row(out, sum);
}

// Sixteen lanes for 256 weights. Nibble `i` of 32 bytes belongs to one group of 32 weights, its upper neighbour to the next.
extern "C" __global__ void __launch_bounds__(128) mat_vec_q4_k(const q4_k *__restrict__ weights, const q8_1 *__restrict__ vector,
                                                               float *__restrict__ out, int columns)
{
    int thread = 32 * threadIdx.y + threadIdx.x, blocks = columns / 256, pair = thread % 16 / 4, word = thread % 4;
    const q4_k *row = weights + (size_t)blockIdx.x * blocks;
    float sum = 0.f;
    for (int block = thread / 16; block < blocks; block += 8) {
        const q4_k *w = row + block;
        const q8_1 *v = vector + 8 * block + 2 * pair;
        unsigned packed[2] = {w->nibbles[8 * pair + word], w->nibbles[8 * pair + word + 4]};
        // Scales and offsets of this pair of groups, a byte each; those of the last four groups are in two parts.
        unsigned short scales, offsets;
        if (pair < 2) {
            scales = w->scales[pair] & 0x3f3f;
            offsets = w->scales[pair + 2] & 0x3f3f;
        } else {
            scales = (w->scales[pair + 2] & 0x0f0f) | (w->scales[pair - 2] & 0xc0c0) >> 2;
            offsets = (w->scales[pair + 2] >> 4 & 0x0f0f) | (w->scales[pair] & 0xc0c0) >> 2;
        }
        float scaled = 0.f, shifted = 0.f;
#pragma unroll
        for (int group = 0; group < 2; group++) {
            int first = v[group].values[word], second = v[group].values[word + 4];
            int products = __dp4a((int)(packed[1] >> 4 * group & 0x0f0f0f0f), second,
                                  __dp4a((int)(packed[0] >> 4 * group & 0x0f0f0f0f), first, 0));
            int activations = __dp4a(0x01010101, second, __dp4a(0x01010101, first, 0));
            float scale = widen(v[group].scale);
            scaled += scale * (products * (scales >> 8 * group & 0xff));
            shifted += scale * (activations * (offsets >> 8 * group & 0xff));
        }
        sum += widen(w->scale) * scaled - widen(w->offset) * shifted;
    }
    put_row(out, sum);
}

// ---- Dense products and attention.

// 32×32 tile in shared memory, 32×8 threads, four rows each.
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

// Attention of 16 queries per block over all keys, in tiles of 32 keys: a lane per key for the scores, a lane per two of the
// head's 64 dimensions for the sums; a warp has four queries. Queries are scaled already, `[head][row][64]`; keys and values f16.
extern "C" __global__ void __launch_bounds__(128) flash_attention(const float *__restrict__ queries, const half_bits *__restrict__ keys,
                                                                  const half_bits *__restrict__ values, float *__restrict__ out, int rows)
{
    __shared__ float q[16][64], k[32][65], v[32][64], weights[16][32];
    int lane = threadIdx.x % 32, first = threadIdx.x / 32 * 4;
    size_t head = (size_t)blockIdx.y * rows * 64, start = head + (size_t)blockIdx.x * 16 * 64;
    for (int i = threadIdx.x; i < 16 * 64; i += 128) q[i / 64][i % 64] = queries[start + i];
    float maximum[4], total[4] = {0, 0, 0, 0}, sums[4][2] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
#pragma unroll
    for (int i = 0; i < 4; i++) maximum[i] = -1e30f;
    for (int key = 0; key < rows; key += 32) {
        __syncthreads();
        for (int i = threadIdx.x; i < 32 * 64; i += 128) {
            k[i / 64][i % 64] = widen(keys[head + (size_t)key * 64 + i]);
            v[i / 64][i % 64] = widen(values[head + (size_t)key * 64 + i]);
        }
        __syncthreads();
        float scores[4] = {0, 0, 0, 0};
#pragma unroll 8
        for (int d = 0; d < 64; d++)
#pragma unroll
            for (int i = 0; i < 4; i++) scores[i] = fmaf(q[first + i][d], k[lane][d], scores[i]);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float before = maximum[i];
            maximum[i] = fmaxf(before, maximum_of_warp(scores[i]));
            float fade = __expf(before - maximum[i]), weight = __expf(scores[i] - maximum[i]);
            weights[first + i][lane] = weight;
            total[i] = total[i] * fade + sum_of_warp(weight);
            sums[i][0] *= fade;
            sums[i][1] *= fade;
        }
        __syncwarp();
#pragma unroll 8
        for (int j = 0; j < 32; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                sums[i][0] = fmaf(weights[first + i][j], v[j][lane], sums[i][0]);
                sums[i][1] = fmaf(weights[first + i][j], v[j][lane + 32], sums[i][1]);
            }
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int part = 0; part < 2; part++) out[start + (first + i) * 64 + 32 * part + lane] = sums[i][part] / total[i];
}

// ---- Branches, atomics, scans.

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

extern "C" __global__ void clear(unsigned *bins)
{
    bins[threadIdx.x] = 0;
}

// 256 bins of bytes, four at a time: atomics in shared memory, then in global memory.
extern "C" __global__ void __launch_bounds__(256) histogram(const unsigned *__restrict__ words, unsigned *__restrict__ bins, int n)
{
    __shared__ unsigned counts[256];
    counts[threadIdx.x] = 0;
    __syncthreads();
    for (int i = blockIdx.x * 256 + threadIdx.x; i < n; i += 256 * gridDim.x) {
        unsigned word = words[i];
        atomicAdd(&counts[word & 0xff], 1u);
        atomicAdd(&counts[word >> 8 & 0xff], 1u);
        atomicAdd(&counts[word >> 16 & 0xff], 1u);
        atomicAdd(&counts[word >> 24], 1u);
    }
    __syncthreads();
    atomicAdd(&bins[threadIdx.x], counts[threadIdx.x]);
}

// The sum of what the lanes up to this one bring.
static __device__ int scan_of_warp(int value)
{
    int lane = threadIdx.x & 31;
    for (int distance = 1; distance < 32; distance <<= 1) {
        int other = __shfl_up_sync(0xffffffffu, value, distance);
        if (lane >= distance) value += other;
    }
    return value;
}

// The sum of what the block's threads up to this one bring; all threads of the block take part.
static __device__ int scan_of_block(int value)
{
    __shared__ int sums[32];
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    value = scan_of_warp(value);
    if (lane == 31) sums[warp] = value;
    __syncthreads();
    if (warp == 0) sums[lane] = scan_of_warp(lane < (blockDim.x >> 5) ? sums[lane] : 0);
    __syncthreads();
    return warp > 0 ? value + sums[warp - 1] : value;
}

// Prefix sums in three launches: sums of 1024 elements, where each such part begins, all elements.
extern "C" __global__ void __launch_bounds__(256) scan_parts(const int4 *__restrict__ in, int *__restrict__ parts)
{
    int4 four = in[blockIdx.x * 256 + threadIdx.x];
    int sum = scan_of_block(four.x + four.y + four.z + four.w);
    if (threadIdx.x == 255) parts[blockIdx.x] = sum;
}

// One block: the sum of everything before each element, `each` elements a thread.
extern "C" __global__ void __launch_bounds__(1024) scan_offsets(int *parts, int each)
{
    int sum = 0;
    for (int i = 0; i < each; i++) sum += parts[threadIdx.x * each + i];
    int before = scan_of_block(sum) - sum;
    for (int i = 0; i < each; i++) {
        int part = parts[threadIdx.x * each + i];
        parts[threadIdx.x * each + i] = before;
        before += part;
    }
}

extern "C" __global__ void __launch_bounds__(256) scan_elements(const int4 *__restrict__ in, const int *__restrict__ parts,
                                                                int4 *__restrict__ out)
{
    int place = blockIdx.x * 256 + threadIdx.x;
    int4 four = in[place];
    four.y += four.x;
    four.z += four.y;
    four.w += four.z;
    int before = parts[blockIdx.x] + scan_of_block(four.w) - four.w;
    out[place] = make_int4(before + four.x, before + four.y, before + four.z, before + four.w);
}

// ---- Sorting by digits of four bits, 1024 keys per block; scan_offsets goes between the two.

extern "C" __global__ void __launch_bounds__(256) radix_count(const unsigned *__restrict__ keys, int *__restrict__ counts, int shift)
{
    __shared__ int digits[16];
    if (threadIdx.x < 16) digits[threadIdx.x] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < 1024; i += 256) atomicAdd(&digits[keys[blockIdx.x * 1024 + i] >> shift & 15], 1);
    __syncthreads();
    if (threadIdx.x < 16) counts[threadIdx.x * gridDim.x + blockIdx.x] = digits[threadIdx.x];
}

// A warp has 128 keys in a row. Votes tell each lane which others have its digit, and so its rank among them.
extern "C" __global__ void __launch_bounds__(256) radix_scatter(const unsigned *__restrict__ keys, const int *__restrict__ places,
                                                                unsigned *__restrict__ out, int shift)
{
    __shared__ int next[8][16];
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    if (lane < 16) next[warp][lane] = 0;
    __syncwarp();
    unsigned key[4];
    int rank[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        key[i] = keys[blockIdx.x * 1024 + warp * 128 + i * 32 + lane];
        int digit = key[i] >> shift & 15;
        unsigned peers = 0xffffffffu;
#pragma unroll
        for (int bit = 0; bit < 4; bit++) {
            unsigned set = __ballot_sync(0xffffffffu, digit >> bit & 1);
            peers &= digit >> bit & 1 ? set : ~set;
        }
        unsigned before = peers & ((1u << lane) - 1);
        int begun = next[warp][digit];
        rank[i] = begun + __popc(before);
        __syncwarp();
        if (before == 0) next[warp][digit] = begun + __popc(peers);
        __syncwarp();
    }
    __syncthreads();
    if (threadIdx.x < 16) {
        int place = places[threadIdx.x * gridDim.x + blockIdx.x];
        for (int i = 0; i < 8; i++) {
            int count = next[i][threadIdx.x];
            next[i][threadIdx.x] = place;
            place += count;
        }
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 4; i++) out[next[warp][key[i] >> shift & 15] + rank[i]] = key[i];
}
