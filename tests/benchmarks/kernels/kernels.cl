// The kernels of kernels.cu in OpenCL C 1.2, for the peer: the same launches, arguments and work split. A warp's shuffles
// become a tree in local memory; dot products of bytes are written out.

kernel void empty(void)
{
}

kernel void saxpy(float a, global const float *restrict x, global float *restrict y, int n)
{
    int i = get_global_id(0);
    if (i < n) y[i] = a * x[i] + y[i];
}

// The sum of 256 work items, in the first of them.
static float sum_of_group(float value, local float *s)
{
    int t = get_local_id(0);
    s[t] = value;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int distance = 128; distance > 0; distance >>= 1) {
        if (t < distance) s[t] += s[t + distance];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    return s[0];
}

kernel void warp_sum(global const float *restrict x, global float *restrict out, int n)
{
    local float s[256];
    float sum = 0;
    for (int i = get_global_id(0); i < n; i += get_global_size(0)) sum += x[i];
    sum = sum_of_group(sum, s);
    if (get_local_id(0) == 0) out[get_group_id(0)] = sum;
}

kernel void tree_sum(global const float *restrict x, global float *restrict out, int n)
{
    local float s[256];
    int i = get_group_id(0) * 1024 + get_local_id(0);
    float sum = 0;
    for (int part = 0; part < 4; part++) if (i + 256 * part < n) sum += x[i + 256 * part];
    sum = sum_of_group(sum, s);
    if (get_local_id(0) == 0) out[get_group_id(0)] = sum;
}

typedef struct { half scale; uchar nibbles[16]; } q4_0;
typedef struct { half scale; char values[32]; } q8_0;
typedef struct { half scale, offset; ushort scales[6]; uchar nibbles[128]; } q4_k;
typedef struct { half scale, sum; char values[32]; } q8_1;

#define WIDEN(place) vload_half(0, &(place))

static int dot4(int4 a, int4 b)
{
    int4 products = a * b;
    return products.x + products.y + products.z + products.w;
}

static int4 four(global const char *from)
{
    return convert_int4(vload4(0, from));
}

static int4 four_nibbles(global const uchar *from, int shift)
{
    return convert_int4(vload4(0, from) >> (uchar)shift & (uchar)15);
}

// The row's result: the sums of the group's 128 work items.
static void put_row(global float *out, float sum, local float *s)
{
    int t = 32 * get_local_id(1) + get_local_id(0);
    s[t] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int distance = 64; distance > 0; distance >>= 1) {
        if (t < distance) s[t] += s[t + distance];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (t == 0) out[get_group_id(0)] = s[0];
}

kernel void mat_vec_q4_0(global const q4_0 *restrict weights, global const q8_1 *restrict vector, global float *restrict out, int columns)
{
    local float s[128];
    int thread = 32 * get_local_id(1) + get_local_id(0), blocks = columns / 32, first = 2 * (thread % 2);
    global const q4_0 *row = weights + (size_t)get_group_id(0) * blocks;
    float sum = 0;
    for (int block = thread / 2; block < blocks; block += 64) {
        global const q4_0 *w = row + block;
        global const q8_1 *v = vector + block;
        int products = 0;
#pragma unroll
        for (int i = first; i < first + 2; i++)
            products += dot4(four_nibbles(w->nibbles + 4 * i, 0), four(v->values + 4 * i))
                + dot4(four_nibbles(w->nibbles + 4 * i, 4), four(v->values + 4 * i + 16));
        sum += WIDEN(w->scale) * (products * WIDEN(v->scale) - 4 * WIDEN(v->sum));
    }
    put_row(out, sum, s);
}

kernel void mat_vec_q8_0(global const q8_0 *restrict weights, global const q8_1 *restrict vector, global float *restrict out, int columns)
{
    local float s[128];
    int thread = 32 * get_local_id(1) + get_local_id(0), blocks = columns / 32, first = 2 * (thread % 4);
    global const q8_0 *row = weights + (size_t)get_group_id(0) * blocks;
    float sum = 0;
    for (int block = thread / 4; block < blocks; block += 32) {
        int products = 0;
#pragma unroll
        for (int i = first; i < first + 2; i++)
            products += dot4(four(row[block].values + 4 * i), four(vector[block].values + 4 * i));
        sum += WIDEN(row[block].scale) * WIDEN(vector[block].scale) * products;
    }
    put_row(out, sum, s);
}

kernel void mat_vec_q4_k(global const q4_k *restrict weights, global const q8_1 *restrict vector, global float *restrict out, int columns)
{
    local float s[128];
    int thread = 32 * get_local_id(1) + get_local_id(0), blocks = columns / 256, pair = thread % 16 / 4, word = thread % 4;
    global const q4_k *row = weights + (size_t)get_group_id(0) * blocks;
    float sum = 0;
    for (int block = thread / 16; block < blocks; block += 8) {
        global const q4_k *w = row + block;
        global const q8_1 *v = vector + 8 * block + 2 * pair;
        ushort scales, offsets;
        if (pair < 2) {
            scales = w->scales[pair] & 0x3f3f;
            offsets = w->scales[pair + 2] & 0x3f3f;
        } else {
            scales = (w->scales[pair + 2] & 0x0f0f) | (w->scales[pair - 2] & 0xc0c0) >> 2;
            offsets = (w->scales[pair + 2] >> 4 & 0x0f0f) | (w->scales[pair] & 0xc0c0) >> 2;
        }
        global const uchar *nibbles = w->nibbles + 32 * pair + 4 * word;
        float scaled = 0, shifted = 0;
#pragma unroll
        for (int group = 0; group < 2; group++) {
            int4 first = four(v[group].values + 4 * word), second = four(v[group].values + 4 * word + 16);
            int products = dot4(four_nibbles(nibbles, 4 * group), first) + dot4(four_nibbles(nibbles + 16, 4 * group), second);
            int activations = dot4(1, first) + dot4(1, second);
            float scale = WIDEN(v[group].scale);
            scaled += scale * (products * (scales >> 8 * group & 0xff));
            shifted += scale * (activations * (offsets >> 8 * group & 0xff));
        }
        sum += WIDEN(w->scale) * scaled - WIDEN(w->offset) * shifted;
    }
    put_row(out, sum, s);
}

kernel __attribute__((reqd_work_group_size(32, 8, 1))) void sgemm_tile(global const float *restrict a, global const float *restrict b,
                                                                       global float *restrict c, int n)
{
    local float as[32][32], bs[32][32];
    int x = get_local_id(0), y = get_local_id(1), column = get_group_id(0) * 32 + x, row = get_group_id(1) * 32 + y;
    // No array: PoCL keeps one variable's values of all work items side by side, which it can load and store as vectors.
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int k0 = 0; k0 < n; k0 += 32) {
#pragma unroll
        for (int i = 0; i < 32; i += 8) {
            as[y + i][x] = a[(size_t)(row + i) * n + k0 + x];
            bs[y + i][x] = b[(size_t)(k0 + y + i) * n + column];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (int k = 0; k < 32; k++) {
            s0 = fma(as[y][k], bs[k][x], s0);
            s1 = fma(as[y + 8][k], bs[k][x], s1);
            s2 = fma(as[y + 16][k], bs[k][x], s2);
            s3 = fma(as[y + 24][k], bs[k][x], s3);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    c[(size_t)row * n + column] = s0;
    c[(size_t)(row + 8) * n + column] = s1;
    c[(size_t)(row + 16) * n + column] = s2;
    c[(size_t)(row + 24) * n + column] = s3;
}

kernel void divergent(global int *restrict out, int width, int height, int limit)
{
#pragma OPENCL FP_CONTRACT OFF
    int x = get_global_id(0), y = get_group_id(1);
    if (x >= width) return;
    float cr = -2.f + 3.f * x / width, ci = -1.2f + 2.4f * y / height, zr = 0, zi = 0;
    int steps = 0;
    for (; steps < limit; ++steps) {
        float a = zr * zr, b = zi * zi;
        if (a + b > 4.f) break;
        zi = fma(zr + zr, zi, ci);
        zr = a - b + cr;
    }
    out[(size_t)y * width + x] = steps;
}

kernel void clear(global uint *bins)
{
    bins[get_local_id(0)] = 0;
}

kernel void histogram(global const uint *restrict words, global uint *restrict bins, int n)
{
    local uint counts[256];
    counts[get_local_id(0)] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = get_global_id(0); i < n; i += get_global_size(0)) {
        uint word = words[i];
        for (int shift = 0; shift < 32; shift += 8) atomic_inc(&counts[word >> shift & 0xff]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    atomic_add(&bins[get_local_id(0)], counts[get_local_id(0)]);
}

// The sum of what the group's work items up to this one bring.
static int scan_of_group(int value, local int *s)
{
    int t = get_local_id(0), size = get_local_size(0);
    s[t] = value;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int distance = 1; distance < size; distance <<= 1) {
        int other = t >= distance ? s[t - distance] : 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        s[t] += other;
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    return s[t];
}

kernel void scan_parts(global const int4 *restrict in, global int *restrict parts)
{
    local int s[256];
    int4 four = in[get_global_id(0)];
    int sum = scan_of_group(four.x + four.y + four.z + four.w, s);
    if (get_local_id(0) == 255) parts[get_group_id(0)] = sum;
}

kernel void scan_offsets(global int *parts, int each)
{
    local int s[1024];
    int sum = 0, t = get_local_id(0);
    for (int i = 0; i < each; i++) sum += parts[t * each + i];
    int before = scan_of_group(sum, s) - sum;
    for (int i = 0; i < each; i++) {
        int part = parts[t * each + i];
        parts[t * each + i] = before;
        before += part;
    }
}

kernel void scan_elements(global const int4 *restrict in, global const int *restrict parts, global int4 *restrict out)
{
    local int s[256];
    int4 four = in[get_global_id(0)];
    four.y += four.x;
    four.z += four.y;
    four.w += four.z;
    int before = parts[get_group_id(0)] + scan_of_group(four.w, s) - four.w;
    out[get_global_id(0)] = four + before;
}
