// Memory: shared, local, constant and global variables, vectors, alignment, layout, volatile accesses and fences.
#include "suite.h"

// Static shared memory.
KERNEL(shared_reversed, int, { __shared__ int s[64]; int t = threadIdx.x; s[t] = in[INDEX]; __syncthreads(); out[INDEX] = s[63 - t]; })
EXPECT(shared_reversed, int, { for (int i = 0; i < n; i++) out[i] = in[(i & ~63) + 63 - (i & 63)]; })

KERNEL(shared_two_arrays, int, {
    __shared__ int a[64]; __shared__ short b[64]; int t = threadIdx.x;
    a[t] = in[INDEX]; b[63 - t] = (short)in[INDEX];
    __syncthreads();
    out[INDEX] = a[63 - t] ^ b[t];
})
EXPECT(shared_two_arrays, int, { for (int i = 0; i < n; i++) { int v = in[(i & ~63) + 63 - (i & 63)]; out[i] = v ^ (short)v; } })

struct Particle { char kind; double mass; short spin; int id; };
KERNEL(shared_structs, int, {
    __shared__ Particle s[64]; int t = threadIdx.x;
    s[t].kind = (char)in[INDEX]; s[t].mass = in[INDEX] * 0.5; s[t].spin = (short)t; s[t].id = INDEX;
    __syncthreads();
    Particle p = s[t ^ 5];
    out[INDEX] = p.kind + (int)(p.mass * 2.0) + p.spin + p.id;
})
EXPECT(shared_structs, int, { for (int i = 0; i < n; i++) { int j = i ^ 5; out[i] = (char)in[j] + in[j] + (j & 63) + j; } })

KERNEL(shared_matrix_product, int, {
    __shared__ int a[8][8]; __shared__ int b[8][8];
    int c = threadIdx.x & 7, r = threadIdx.x >> 3;
    a[r][c] = in[INDEX] & 0xff; b[c][r] = in[INDEX] >> 8 & 0xff;
    __syncthreads();
    int s = 0;
    for (int k = 0; k < 8; k++) s += a[r][k] * b[k][c];
    out[INDEX] = s;
})
EXPECT(shared_matrix_product, int, {
    for (int i = 0; i < n; i++) { int base = i & ~63, r = i >> 3 & 7, c = i & 7, s = 0; for (int k = 0; k < 8; k++) s += (in[base + r * 8 + k] & 0xff) * (in[base + c * 8 + k] >> 8 & 0xff); out[i] = s; }
})

KERNEL(shared_padded_transpose, int, { __shared__ int s[8][9]; int c = threadIdx.x & 7, r = threadIdx.x >> 3; s[r][c] = in[INDEX]; __syncthreads(); out[INDEX] = s[c][r]; })
EXPECT(shared_padded_transpose, int, { for (int i = 0; i < n; i++) out[i] = in[(i & ~63) + (i & 7) * 8 + (i >> 3 & 7)]; })

KERNEL(shared_strides, int, {
    __shared__ int s[1024]; int t = threadIdx.x, r = 0;
    for (int k = t; k < 1024; k += 64) s[k] = k * 7;
    __syncthreads();
    for (int stride = 1; stride <= 16; stride *= 2) r += s[t * stride & 1023];
    r += s[t * 33 & 1023] + s[t * 17 & 1023];
    out[INDEX] = r;
})
EXPECT(shared_strides, int, { for (int i = 0; i < n; i++) { int t = i & 63, r = 0; for (int k = 1; k <= 16; k *= 2) r += (t * k & 1023) * 7; out[i] = r + (t * 33 & 1023) * 7 + (t * 17 & 1023) * 7; } })

KERNEL(shared_bytes, int, { __shared__ unsigned char s[256]; int t = threadIdx.x; for (int k = 0; k < 4; k++) s[k * 64 + t] = in[INDEX] >> 8 * k; __syncthreads(); out[INDEX] = s[t * 4] | s[t * 4 + 1] << 8 | s[t * 4 + 2] << 16 | s[t * 4 + 3] << 24; })
EXPECT(shared_bytes, int, { for (int i = 0; i < n; i++) { unsigned r = 0; for (int k = 0; k < 4; k++) { int at = (i & 63) * 4 + k; r |= ((unsigned)in[(i & ~63) + at % 64] >> 8 * (at / 64) & 255) << 8 * k; } out[i] = r; } })

KERNEL(shared_doubles, double, { __shared__ double s[64]; int t = threadIdx.x; s[t] = in[INDEX] / 3.0; __syncthreads(); out[INDEX] = s[t ^ 1] + s[t]; })
EXPECT(shared_doubles, double, { for (int i = 0; i < n; i++) out[i] = in[i ^ 1] / 3.0 + in[i] / 3.0; })

KERNEL(shared_through_pointers, int, {
    __shared__ int a[64]; __shared__ int b[64]; int t = threadIdx.x;
    int *p = in[INDEX] & 1 ? a : b;
    a[t] = 1000; b[t] = 2000;
    __syncthreads();
    p[t] += t;
    out[INDEX] = a[t] * 3 + b[t];
})
EXPECT(shared_through_pointers, int, { for (int i = 0; i < n; i++) { int t = i & 63, odd = in[i] & 1; out[i] = (1000 + (odd ? t : 0)) * 3 + 2000 + (odd ? 0 : t); } })

// Dynamic shared memory.
KERNEL(shared_dynamic, int, { extern __shared__ int dynamic[]; int t = threadIdx.x; dynamic[t] = in[INDEX]; __syncthreads(); out[INDEX] = dynamic[(t + 1) & 63]; })
EXPECT_AS(shared_dynamic, int, "4, 64, 256", { for (int i = 0; i < n; i++) out[i] = in[(i & ~63) + (i + 1 & 63)]; })

KERNEL(shared_dynamic_beside_static, int, {
    extern __shared__ int dynamic[]; __shared__ int fixed[64]; int t = threadIdx.x;
    dynamic[t] = in[INDEX]; dynamic[64 + t] = t; fixed[t] = in[INDEX] ^ 1;
    __syncthreads();
    out[INDEX] = dynamic[63 - t] + dynamic[64 + (t ^ 3)] + fixed[t ^ 1];
})
EXPECT_AS(shared_dynamic_beside_static, int, "4, 64, 512", { for (int i = 0; i < n; i++) { int base = i & ~63, t = i & 63; out[i] = (int)((unsigned)in[base + 63 - t] + (t ^ 3) + (unsigned)(in[i ^ 1] ^ 1)); } })

KERNEL(shared_dynamic_of_parts, int, {
    extern __shared__ int dynamic[]; int t = threadIdx.x;
    double *d = (double *)dynamic; int *w = (int *)(d + 64); unsigned char *b = (unsigned char *)(w + 64);
    d[t] = t * 0.25; w[t] = t * t; b[t] = (unsigned char)(t * 3);
    __syncthreads();
    out[INDEX] = (int)(d[63 - t] * 4) + w[t ^ 1] + b[t ^ 2];
})
EXPECT_AS(shared_dynamic_of_parts, int, "4, 64, 1024", { for (int i = 0; i < n; i++) { int t = i & 63; out[i] = 63 - t + (t ^ 1) * (t ^ 1) + (unsigned char)((t ^ 2) * 3); } })

KERNEL(shared_of_48_kilobytes, int, { extern __shared__ int dynamic[]; for (int k = threadIdx.x; k < 12288; k += 64) dynamic[k] = k; __syncthreads(); int s = 0; for (int k = 0; k < 12; k++) s += dynamic[(INDEX * 37 + k * 1024) % 12288]; out[INDEX] = s; })
EXPECT_AS(shared_of_48_kilobytes, int, "4, 64, 49152", { for (int i = 0; i < n; i++) { int s = 0; for (int k = 0; k < 12; k++) s += (i * 37 + k * 1024) % 12288; out[i] = s; } })

// What is done with shared memory.
KERNEL(reduction_by_halves, int, { __shared__ int s[64]; int t = threadIdx.x; s[t] = in[INDEX]; __syncthreads(); for (int h = 32; h; h /= 2) { if (t < h) s[t] += s[t + h]; __syncthreads(); } if (t == 0) out[blockIdx.x] = s[0]; })
EXPECT(reduction_by_halves, int, { for (int i = 0; i < n; i++) out[i / 64] = (unsigned)out[i / 64] + (unsigned)in[i]; })

KERNEL(reduction_interleaved, int, { __shared__ int s[64]; int t = threadIdx.x; s[t] = in[INDEX]; __syncthreads(); for (int h = 1; h < 64; h *= 2) { if (t % (2 * h) == 0) s[t] = s[t] > s[t + h] ? s[t] : s[t + h]; __syncthreads(); } if (t == 0) out[blockIdx.x] = s[0]; })
EXPECT(reduction_interleaved, int, { for (int b = 0; b < 4; b++) { out[b] = in[b * 64]; for (int k = 1; k < 64; k++) if (in[b * 64 + k] > out[b]) out[b] = in[b * 64 + k]; } })

KERNEL(reduction_of_the_last_warp, int, {
    volatile __shared__ int s[64]; int t = threadIdx.x;
    s[t] = in[INDEX] & 0xffff;
    __syncthreads();
    // Warp-synchronous, as code for 6.1 was written: no barrier below 32 threads.
    if (t < 32) { s[t] += s[t + 32]; s[t] += s[t + 16]; s[t] += s[t + 8]; s[t] += s[t + 4]; s[t] += s[t + 2]; s[t] += s[t + 1]; }
    if (t == 0) out[blockIdx.x] = s[0];
})
EXPECT(reduction_of_the_last_warp, int, { for (int i = 0; i < n; i++) out[i / 64] += in[i] & 0xffff; })

KERNEL(scan_in_steps, int, { __shared__ int s[2][64]; int t = threadIdx.x, now = 0; s[0][t] = in[INDEX]; __syncthreads(); for (int d = 1; d < 64; d *= 2) { s[1 - now][t] = s[now][t] + (t >= d ? s[now][t - d] : 0); now = 1 - now; __syncthreads(); } out[INDEX] = s[now][t]; })
EXPECT(scan_in_steps, int, { for (int i = 0; i < n; i++) out[i] = (i & 63 ? (unsigned)out[i - 1] : 0u) + (unsigned)in[i]; })

KERNEL(scan_up_and_down, int, {
    __shared__ int s[64]; int t = threadIdx.x;
    s[t] = in[INDEX] & 0xffff;
    for (int d = 1; d < 64; d *= 2) { __syncthreads(); int at = (t + 1) * 2 * d - 1; if (at < 64) s[at] += s[at - d]; }
    __syncthreads();
    if (t == 0) s[63] = 0;
    for (int d = 32; d; d /= 2) { __syncthreads(); int at = (t + 1) * 2 * d - 1; if (at < 64) { int low = s[at - d]; s[at - d] = s[at]; s[at] += low; } }
    __syncthreads();
    out[INDEX] = s[t];
})
EXPECT(scan_up_and_down, int, { for (int i = 0; i < n; i++) out[i] = i & 63 ? out[i - 1] + (in[i - 1] & 0xffff) : 0; })

KERNEL(histogram_in_shared, int, { __shared__ unsigned h[64]; h[threadIdx.x] = 0; __syncthreads(); atomicAdd(&h[in[INDEX] & 63], 1u); __syncthreads(); atomicAdd((unsigned *)&out[threadIdx.x], h[threadIdx.x]); })
EXPECT(histogram_in_shared, int, { for (int i = 0; i < n; i++) out[in[i] & 63]++; })

KERNEL(histogram_per_warp, int, { __shared__ int h[2][32]; int t = threadIdx.x; h[t >> 5][t & 31] = 0; __syncthreads(); atomicAdd(&h[t >> 5][in[INDEX] >> 3 & 31], 1); __syncthreads(); if (t < 32) out[blockIdx.x * 32 + t] = h[0][t] * 100 + h[1][t]; })
EXPECT(histogram_per_warp, int, { for (int i = 0; i < n; i++) out[i / 64 * 32 + (in[i] >> 3 & 31)] += i & 32 ? 1 : 100; })

KERNEL(sorted_by_ranks, int, { __shared__ int s[64]; int t = threadIdx.x, v = in[INDEX], rank = 0; s[t] = v; __syncthreads(); for (int k = 0; k < 64; k++) rank += s[k] < v || (s[k] == v && k < t); out[blockIdx.x * 64 + rank] = v; })
EXPECT(sorted_by_ranks, int, { for (int b = 0; b < n; b += 64) { for (int k = 0; k < 64; k++) out[b + k] = in[b + k]; for (int k = 1; k < 64; k++) for (int j = b + k; j > b && out[j - 1] > out[j]; j--) { int v = out[j]; out[j] = out[j - 1]; out[j - 1] = v; } } })

KERNEL(compacted, int, {
    __shared__ int count; int t = threadIdx.x, v = in[INDEX], place = 0; __shared__ int flags[64];
    flags[t] = v > 0;
    if (t == 0) count = 0;
    __syncthreads();
    for (int k = 0; k < t; k++) place += flags[k];
    if (v > 0) { out[blockIdx.x * 64 + place] = v; atomicAdd(&count, 1); }
    __syncthreads();
    if (t == 63 && count < 64) out[blockIdx.x * 64 + 63] = -count;
})
EXPECT(compacted, int, { for (int b = 0; b < n; b += 64) { int c = 0; for (int k = 0; k < 64; k++) if (in[b + k] > 0) out[b + c++] = in[b + k]; if (c < 64) out[b + 63] = -c; } })

KERNEL(stencil_with_halo, int, { __shared__ int s[66]; int t = threadIdx.x, i = INDEX; s[t + 1] = in[i] & 0xffff; if (t == 0) s[0] = i ? in[i - 1] & 0xffff : 0; if (t == 63) s[65] = i + 1 < n ? in[i + 1] & 0xffff : 0; __syncthreads(); out[i] = s[t] + 2 * s[t + 1] + s[t + 2]; })
EXPECT(stencil_with_halo, int, { for (int i = 0; i < n; i++) out[i] = (i ? in[i - 1] & 0xffff : 0) + 2 * (in[i] & 0xffff) + (i + 1 < n ? in[i + 1] & 0xffff : 0); })

KERNEL(barrier_counts, int, { int v = in[INDEX]; int c = __syncthreads_count(v > 0), a = __syncthreads_and(v != 12345678), o = __syncthreads_or(v == 0x7fffffff); out[INDEX] = c * 4 + (a != 0) * 2 + (o != 0); })
EXPECT(barrier_counts, int, { for (int b = 0; b < n; b += 64) { int c = 0, o = 0; for (int k = 0; k < 64; k++) c += in[b + k] > 0, o |= in[b + k] == 0x7fffffff; for (int k = 0; k < 64; k++) out[b + k] = c * 4 + 2 + o; } })

KERNEL(last_block_sums, int, {
    // Each block leaves a partial sum; the last one to finish adds them up. out[255] counts blocks.
    __shared__ bool last; __shared__ int s;
    if (threadIdx.x == 0) s = 0;
    __syncthreads();
    atomicAdd(&s, in[INDEX] & 0xffff);
    __syncthreads();
    if (threadIdx.x == 0) { out[1 + blockIdx.x] = s; __threadfence(); last = atomicAdd(&out[255], 1) == (int)gridDim.x - 1; }
    __syncthreads();
    if (last && threadIdx.x == 0) { int total = 0; for (unsigned k = 0; k < gridDim.x; k++) total += ((volatile int *)out)[1 + k]; out[0] = total; }
})
EXPECT(last_block_sums, int, { for (int i = 0; i < n; i++) { out[0] += in[i] & 0xffff; out[1 + i / 64] += in[i] & 0xffff; } out[255] = 4; })

// Constant memory.
ON_DEVICE(__constant__ int primes[16] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53}; __constant__ float weights[4] = {0.5f, -1.25f, 3e10f, 1e-3f}; __constant__ struct { char a; double b; short c[3]; } mixed_constants = {'x', 2.5, {7, -8, 9}};)
KERNEL(constant_uniform, int, { int s = 0; for (int k = 0; k < 16; k++) s += primes[k] * k; out[INDEX] = s + INDEX; })
EXPECT(constant_uniform, int, { const int p[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53}; int s = 0; for (int k = 0; k < 16; k++) s += p[k] * k; for (int i = 0; i < n; i++) out[i] = s + i; })
KERNEL(constant_by_lane, int, { out[INDEX] = primes[in[INDEX] & 15]; })
EXPECT(constant_by_lane, int, { const int p[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53}; for (int i = 0; i < n; i++) out[i] = p[in[i] & 15]; })
KERNEL(constant_floats, float, { out[INDEX] = weights[in[INDEX] & 3] * 2.0f; })
EXPECT(constant_floats, float, { const float w[] = {0.5f, -1.25f, 3e10f, 1e-3f}; for (int i = 0; i < n; i++) out[i] = w[in[i] & 3] * 2.0f; })
KERNEL(constant_struct, int, { out[INDEX] = mixed_constants.a + (int)(mixed_constants.b * 4) + mixed_constants.c[(unsigned)in[INDEX] % 3]; })
EXPECT(constant_struct, int, { const int c[] = {7, -8, 9}; for (int i = 0; i < n; i++) out[i] = 'x' + 10 + c[(unsigned)in[i] % 3]; })
KERNEL(constant_through_pointer, int, { const int *p = in[INDEX] & 1 ? primes : in; out[INDEX] = p[INDEX & 15]; })
EXPECT(constant_through_pointer, int, { const int c[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53}; for (int i = 0; i < n; i++) out[i] = in[i] & 1 ? c[i & 15] : in[i & 15]; })

// Global variables: initialisers, pointers in them, and what kernels leave in them.
ON_DEVICE(
    __device__ int table[8] = {10, -20, 30, -40, 50, -60, 70, -80};
    __device__ int *middle = table + 3;
    __device__ int *ends[2] = {table, table + 7};
    struct Node { int value; Node *next; };
    __device__ Node third = {300, nullptr}, second = {20, &third}, first = {1, &second}, *starts[3] = {&first, &second, &third};
    __device__ const char *words[3] = {"zero", "one", "twenty"};
    __device__ double coefficients[3] = {1.5, -2.25, 1e100};
    __device__ unsigned char bytes[5] = {1, 2, 255, 4, 128};
    __device__ short shorts[3] = {-1, 256, 32767};
    __device__ long long wides[2] = {-1, 0x123456789abcdef0};
    __device__ int blank[64];
    __device__ float single_value = 0.1f;
    __device__ bool truths[4] = {true, false, false, true};
    __device__ int grid_of_three[2][3] = {{1, 2, 3}, {4, 5, 6}};
)
KERNEL(global_table, int, { out[INDEX] = table[in[INDEX] & 7]; })
EXPECT(global_table, int, { const int t[] = {10, -20, 30, -40, 50, -60, 70, -80}; for (int i = 0; i < n; i++) out[i] = t[in[i] & 7]; })
KERNEL(global_pointer, int, { out[INDEX] = middle[in[INDEX] & 3] + *ends[in[INDEX] >> 2 & 1]; })
EXPECT(global_pointer, int, { const int t[] = {10, -20, 30, -40, 50, -60, 70, -80}; for (int i = 0; i < n; i++) out[i] = t[3 + (in[i] & 3)] + t[in[i] >> 2 & 1 ? 7 : 0]; })
KERNEL(global_list, int, { int s = 0; for (const Node *p = starts[(unsigned)in[INDEX] % 3]; p; p = p->next) s += p->value; out[INDEX] = s; })
EXPECT(global_list, int, { const int s[] = {321, 320, 300}; for (int i = 0; i < n; i++) out[i] = s[(unsigned)in[i] % 3]; })
KERNEL(global_strings, int, { const char *p = words[(unsigned)in[INDEX] % 3]; int s = 0; while (*p) s = s * 31 + *p++; out[INDEX] = s; })
EXPECT(global_strings, int, { const char *w[] = {"zero", "one", "twenty"}; for (int i = 0; i < n; i++) { unsigned s = 0; for (const char *p = w[(unsigned)in[i] % 3]; *p; p++) s = s * 31 + *p; out[i] = s; } })
KERNEL(global_doubles, double, { out[INDEX] = coefficients[(unsigned)in[INDEX] % 3] * 2 + single_value; })
EXPECT(global_doubles, double, { const double c[] = {1.5, -2.25, 1e100}; for (int i = 0; i < n; i++) out[i] = c[(unsigned)in[i] % 3] * 2 + 0.1f; })
KERNEL(global_narrow, int, { out[INDEX] = bytes[(unsigned)in[INDEX] % 5] + shorts[(unsigned)in[INDEX] % 3] * 1000 + truths[in[INDEX] & 3]; })
EXPECT(global_narrow, int, { const int b[] = {1, 2, 255, 4, 128}, s[] = {-1, 256, 32767}, t[] = {1, 0, 0, 1}; for (int i = 0; i < n; i++) out[i] = b[(unsigned)in[i] % 5] + s[(unsigned)in[i] % 3] * 1000 + t[in[i] & 3]; })
KERNEL(global_wides, int64, { out[INDEX] = wides[in[INDEX] & 1] + grid_of_three[in[INDEX] & 1][(unsigned)in[INDEX] % 3]; })
EXPECT(global_wides, int64, { const int64 w[] = {-1, 0x123456789abcdef0}; for (int i = 0; i < n; i++) out[i] = w[in[i] & 1] + (in[i] & 1) * 3 + (unsigned)in[i] % 3 + 1; })
KERNEL(global_written, int, { if (blockIdx.x == 0) { int t = threadIdx.x; blank[t] = in[t]; __threadfence(); __syncthreads(); out[t] = blank[63 - t]; } })
EXPECT(global_written, int, { for (int t = 0; t < 64; t++) out[t] = in[63 - t]; })

// Vectors.
KERNEL(vector_of_two, int, { int i = INDEX; if (i < 128) { int2 v = ((const int2 *)in)[i]; ((int2 *)out)[i] = int2{v.y, v.x}; } })
EXPECT(vector_of_two, int, { for (int i = 0; i < n; i++) out[i] = in[i ^ 1]; })
KERNEL(vector_of_four, int, { int i = INDEX; if (i < 64) { int4 v = ((const int4 *)in)[i]; ((int4 *)out)[i] = int4{v.w, v.z, v.y, v.x}; } })
EXPECT(vector_of_four, int, { for (int i = 0; i < n; i++) out[i] = in[i ^ 3]; })
KERNEL(vector_of_floats, float, { int i = INDEX; if (i < 64) { int4 v = ((const int4 *)in)[63 - i]; ((float4 *)out)[i] = float4{(float)v.x, (float)v.y, (float)v.z, (float)v.w}; } })
EXPECT(vector_of_floats, float, { for (int i = 0; i < n; i++) out[i] = (float)in[(63 - i / 4) * 4 + i % 4]; })
KERNEL(vector_of_doubles, double, { int i = INDEX; if (i < 128) ((double2 *)out)[i] = double2{in[2 * i] * 0.5, in[2 * i + 1] * 0.25}; })
EXPECT(vector_of_doubles, double, { for (int i = 0; i < n; i++) out[i] = in[i] * (i & 1 ? 0.25 : 0.5); })
KERNEL(vector_of_bytes, int, { uchar4 v = ((const uchar4 *)in)[INDEX]; out[INDEX] = v.x + v.y * 2 + v.z * 3 + v.w * 5; })
EXPECT(vector_of_bytes, int, { for (int i = 0; i < n; i++) { unsigned v = in[i]; out[i] = (v & 255) + (v >> 8 & 255) * 2 + (v >> 16 & 255) * 3 + (v >> 24) * 5; } })
KERNEL(vector_of_shorts, int, { int i = INDEX; if (i < 128) { short4 v = ((const short4 *)in)[i]; out[2 * i] = v.x + v.z; out[2 * i + 1] = v.y - v.w; } })
EXPECT(vector_of_shorts, int, { for (int i = 0; i < n; i += 2) { out[i] = (short)in[i] + (short)in[i + 1]; out[i + 1] = (short)(in[i] >> 16) - (short)(in[i + 1] >> 16); } })
KERNEL(vector_of_three, int, { int i = INDEX; if (i < 85) { int3 v = ((const int3 *)in)[i]; ((int3 *)out)[i] = int3{v.z, v.x, v.y}; } })
EXPECT(vector_of_three, int, { for (int i = 0; i < 255; i++) out[i] = in[i / 3 * 3 + (i + 2) % 3]; })
KERNEL(vector_in_shared, int, { __shared__ float4 s[16]; int t = threadIdx.x; if (t < 16) s[t] = float4{t * 1.0f, t * 2.0f, t * 3.0f, t * 4.0f}; __syncthreads(); float4 v = s[t & 15]; out[INDEX] = (int)(v.x + v.y + v.z + v.w) + (int)((float *)s)[t]; })
EXPECT(vector_in_shared, int, { for (int i = 0; i < n; i++) { int t = i & 63; out[i] = (t & 15) * 10 + t / 4 * (t % 4 + 1); } })
KERNEL(read_only_loads, int, { out[INDEX] = __ldg(in + (INDEX ^ 7)) + __ldg((const short *)in + INDEX) + __ldg((const unsigned char *)in + 2 * INDEX); })
EXPECT(read_only_loads, int, { for (int i = 0; i < n; i++) out[i] = (unsigned)in[i ^ 7] + (short)((unsigned)in[i / 2] >> 16 * (i & 1)) + ((unsigned)in[i / 2] >> 16 * (i & 1) & 255); })

// Local memory.
EACH(local_array_by_index, int, { int a[16]; for (int k = 0; k < 16; k++) a[k] = in[(i + k) & 255]; int at = 0; unsigned s = 0; for (int k = 0; k < 16; k++) { s = s * 3 + a[at]; at = (at + a[at]) & 15; } return s; })
EACH(local_bytes, int, { unsigned char a[32]; for (int k = 0; k < 32; k++) a[k] = ux >> k; unsigned s = 0; for (int k = 0; k < 32; k++) s = s * 7 + a[(k * (ux & 31) + 5) & 31]; return s; })
EACH(local_matrix, int, { int a[4][4]; for (int r = 0; r < 4; r++) for (int c = 0; c < 4; c++) a[r][c] = (int)(ux >> (r * 4 + c)) & 7; int s = 0; for (int k = 0; k < 4; k++) s = s * 10 + a[(x + k) & 3][(y + k) & 3]; return s; })
EACH(local_structs, int, { struct { short a; int b; char c; } s[8]; for (int k = 0; k < 8; k++) { s[k].a = (short)(x + k); s[k].b = y ^ k; s[k].c = (char)(z >> k); } int k = x & 7; return s[k].a ^ s[7 - k].b ^ s[k ^ 1].c; })
EACH(local_doubles, double, { double a[8]; for (int k = 0; k < 8; k++) a[k] = (x >> k) / 3.0; return a[x & 7] + a[y & 7] * a[z & 7]; })
EACH(local_stack_machine, int, { int stack[16], top = 0; stack[top++] = x & 1023; for (int k = 0; k < 24; k++) { int op = uy >> (k & 31) & 3; if (op == 0 && top < 15) stack[top] = k, top++; else if (op == 1 && top > 1) top--, stack[top - 1] += stack[top]; else if (op == 2 && top > 1) top--, stack[top - 1] ^= stack[top] << 1; else stack[top - 1] = stack[top - 1] * 3 & 0xffff; } int s = 0; while (top) s = s * 5 + stack[--top] & 0xffffff; return s; })
EACH(local_sort, int, { int a[9]; for (int k = 0; k < 9; k++) a[k] = in[(i * 5 + k * 3) & 255]; for (int k = 1; k < 9; k++) { int v = a[k], j = k; while (j > 0 && a[j - 1] > v) a[j] = a[j - 1], j--; a[j] = v; } return a[4]; })

// Layout.
EACH(union_of_float_and_int, int, { union { float f; int i; unsigned char b[4]; } u; u.f = moderate(x); int r = u.i; u.b[1] ^= 0x5a; return r ^ u.i >> 3; })
EACH(union_of_words, int64, { union { int64 v; int w[2]; short h[4]; } u; u.w[0] = x; u.w[1] = y; u.h[1] = (short)z; return u.v; })
EACH(bit_fields, int, { struct { unsigned a : 3, b : 7; int c : 5; unsigned d : 17; } f; f.a = x; f.b = y; f.c = z; f.d = x >> 3; f.b += f.a; f.c -= 3; return f.a + f.b * 10 + f.c * 2000 + f.d; })
EACH(bit_fields_signed, int, { struct { int a : 4, : 3, b : 12; signed char c : 3; } f; f.a = x; f.b = y >> 2; f.c = z; return f.a * 10000 + f.b * 2 + f.c; })
EACH(bit_fields_wide, int64, { struct { uint64 a : 33, b : 20; int64 c : 11; } f; f.a = ux * 3ull; f.b = uy; f.c = z; return f.a + f.b * 5 + f.c; })
EACH(packed_struct, int, { struct __attribute__((packed)) { char a; int b; short c; } s; s.a = (char)x; s.b = y; s.c = (short)z; return s.a + s.b / 2 + s.c + (int)sizeof s; })
EACH(aligned_struct, int, { struct alignas(16) { int a; char b; } s[2]; s[0].a = x / 2; s[1].b = (char)y; return s[0].a + s[1].b + (int)sizeof s; })
EACH(struct_by_value, int, { struct P { int a, b, c; }; auto swap = [](P p) { P q = {p.c, p.a, p.b}; return q; }; P p = swap(swap(P{x, y, z})); return p.a ^ p.b * 3 ^ p.c * 5; })

// Volatile accesses and fences.
KERNEL(volatile_counts, int, { volatile int *p = out + INDEX; for (int k = 0; k < 10; k++) *p = *p + k; })
EXPECT(volatile_counts, int, { for (int i = 0; i < n; i++) out[i] = 45; })
KERNEL(message_between_blocks, int, {
    // Block 0 writes a value and raises a flag; block 1 waits for the flag.
    volatile int *v = out;
    if (threadIdx.x == 0 && blockIdx.x == 0) { v[0] = 4711; __threadfence(); v[1] = 1; }
    if (threadIdx.x == 0 && blockIdx.x == 1) { while (v[1] == 0) {} __threadfence(); v[2] = v[0] + 1; }
})
EXPECT(message_between_blocks, int, { out[0] = 4711; out[1] = 1; out[2] = 4712; })
KERNEL(fences_of_all_scopes, int, { out[INDEX] = in[INDEX]; __threadfence_block(); out[INDEX] += 1; __threadfence(); out[INDEX] += 2; __threadfence_system(); out[INDEX] += 3; })
EXPECT(fences_of_all_scopes, int, { for (int i = 0; i < n; i++) out[i] = (int)((unsigned)in[i] + 6u); })
KERNEL(time_passes, int, { long long a = clock64(); int s = 0; for (int k = 0; k < 1000; k++) s += *(volatile const int *)(in + (k & 255)); long long b = clock64(); unsigned long long g; asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(g)); out[INDEX] = (b > a) + (g > 1000000) * 2 + (s == 1) * 0; })
EXPECT(time_passes, int, { for (int i = 0; i < n; i++) out[i] = 3; })
