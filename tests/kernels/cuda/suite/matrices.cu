// Products of matrices by warps, for capability 8.0: nvcuda::wmma, and mma with fragments from ldmatrix or by the manual's formulas.
//
// Factors are whole numbers from -8 to 7 made of the input, so every sum is exact in every type. One warp computes one tile; its
// 256 elements (or fewer) are the output.
#include "suite.h"
#ifndef EXPECTATIONS
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>
using namespace nvcuda;
#endif

ON_BOTH inline int left(const int *in, int row, int k) { return (in[(row * 37 + k * 11) & 255] >> 3 & 15) - 8; }
ON_BOTH inline int right(const int *in, int k, int column) { return (in[(column * 53 + k * 7 + 100) & 255] >> 5 & 15) - 8; }
ON_BOTH inline int addend(const int *in, int row, int column) { return (in[(row * 29 + column * 3 + 50) & 255] & 63) - 32; }

#ifdef EXPECTATIONS
template <typename T, int M, int N, int K> static void product(const int *in, T *out)
{
    for (int row = 0; row < M; row++)
        for (int column = 0; column < N; column++) {
            int sum = addend(in, row, column);
            for (int k = 0; k < K; k++) sum += left(in, row, k) * right(in, k, column);
            out[row * N + column] = (T)sum;
        }
}
#endif

// nvcuda::wmma. `A` and `B` are the layouts of the factors in shared memory, with lines longer than the matrix.
ON_DEVICE(
    template <typename E> __device__ E made(int value) { return E(value); }
    template <> __device__ __half made<__half>(int value) { return __int2half_rn(value); }
    template <> __device__ __nv_bfloat16 made<__nv_bfloat16>(int value) { return __int2bfloat16_rn(value); }
    template <typename Layout> struct ByRows { static const bool value = false; };
    template <> struct ByRows<wmma::row_major> { static const bool value = true; };
    template <int M, int N, int K, typename E, typename F, typename C, typename A, typename B>
    __device__ void tile(const int *in, float *out)
    {
        const bool left_by_rows = ByRows<A>::value;
        const bool right_by_rows = ByRows<B>::value;
        const int left_line = (left_by_rows ? K : M) + 16;
        const int right_line = (right_by_rows ? N : K) + 16;
        __shared__ alignas(32) F a[M * K * 8];
        __shared__ alignas(32) F b[N * K * 8];
        __shared__ alignas(32) C c[1024];
        for (int i = threadIdx.x; i < M * K; i += 32)
            a[left_by_rows ? i / K * left_line + i % K : i % K * left_line + i / K] = made<F>(left(in, i / K, i % K));
        for (int i = threadIdx.x; i < K * N; i += 32)
            b[right_by_rows ? i / N * right_line + i % N : i % N * right_line + i / N] = made<F>(right(in, i / N, i % N));
        for (int i = threadIdx.x; i < M * N; i += 32) c[i / N * (N + 8) + i % N] = made<C>(addend(in, i / N, i % N));
        __syncwarp();
        wmma::fragment<wmma::matrix_a, M, N, K, E, A> fa;
        wmma::fragment<wmma::matrix_b, M, N, K, E, B> fb;
        wmma::fragment<wmma::accumulator, M, N, K, C> fc;
        wmma::load_matrix_sync(fa, a, left_line);
        wmma::load_matrix_sync(fb, b, right_line);
        wmma::load_matrix_sync(fc, c, N + 8, wmma::mem_row_major);
        wmma::mma_sync(fc, fa, fb, fc);
        __syncwarp();
        wmma::store_matrix_sync(c, fc, M + 8, wmma::mem_col_major);
        __syncwarp();
        for (int i = threadIdx.x; i < M * N; i += 32) out[i] = (float)c[i % N * (M + 8) + i / N];
    })
#define TILE(name, M, N, K, E, F, C, A, B) \
    KERNEL(name, float, { tile<M, N, K, E, F, C, wmma::A, wmma::B>(in, out); }) \
    EXPECT_AS(name, float, "1, 32", { product<float, M, N, K>(in, out); })
#define TILES(name, E, F, C) \
    TILE(name##_square, 16, 16, 16, E, F, C, row_major, col_major) \
    TILE(name##_tall, 32, 8, 16, E, F, C, row_major, row_major) \
    TILE(name##_wide, 8, 32, 16, E, F, C, col_major, col_major) \
    TILE(name##_crossed, 16, 16, 16, E, F, C, col_major, row_major)
TILES(tile_of_halves, __half, __half, float)
TILES(tile_of_halves_alone, __half, __half, __half)
TILES(tile_of_brains, __nv_bfloat16, __nv_bfloat16, float)
TILES(tile_of_bytes, signed char, signed char, int)
TILE(tile_of_tensor_floats, 16, 16, 8, wmma::precision::tf32, float, float, row_major, row_major)
TILE(tile_of_tensor_floats_by_columns, 16, 16, 8, wmma::precision::tf32, float, float, col_major, col_major)
TILE(tile_of_doubles, 8, 8, 4, double, double, double, row_major, col_major)
TILE(tile_of_doubles_crossed, 8, 8, 4, double, double, double, col_major, row_major)

// mma. A lane's words of a factor hold `32 / bits` elements in a row of A, or a column of B, by the manual's formulas; results
// are read by its formulas too.
ON_DEVICE(
    struct Half { static const int bits = 16; static __device__ unsigned of(int v) { return __half_as_ushort(__int2half_rn(v)); } };
    struct Brain { static const int bits = 16; static __device__ unsigned of(int v) { return __bfloat16_as_ushort(__int2bfloat16_rn(v)); } };
    struct Single { static const int bits = 32; static __device__ unsigned of(int v) { return __float_as_uint((float)v); } };
    struct Byte { static const int bits = 8; static __device__ unsigned of(int v) { return v & 255; } };
    struct Positive { static const int bits = 8; static __device__ unsigned of(int v) { return v + 8; } };
    struct Nibble { static const int bits = 4; static __device__ unsigned of(int v) { return v & 15; } };
    struct Bit { static const int bits = 1; static __device__ unsigned of(int v) { return v & 1; } };
    template <typename E> __device__ unsigned left_word(const int *in, int row, int word)
    {
        unsigned bits = 0;
        for (int i = 0; i < 32 / E::bits; i++) bits |= E::of(left(in, row, word * (32 / E::bits) + i)) << (i * E::bits % 32);
        return bits;
    }
    template <typename E> __device__ unsigned right_word(const int *in, int word, int column)
    {
        unsigned bits = 0;
        for (int i = 0; i < 32 / E::bits; i++) bits |= E::of(right(in, word * (32 / E::bits) + i, column)) << (i * E::bits % 32);
        return bits;
    }
    struct Lane { unsigned a[4]; unsigned b[2]; int c[4]; };
    template <typename A, typename B> __device__ Lane lane(const int *in)
    {
        Lane l;
        int group = threadIdx.x >> 2;
        int member = threadIdx.x & 3;
        for (int i = 0; i < 4; i++) l.a[i] = left_word<A>(in, group + i % 2 * 8, member + i / 2 * 4);
        for (int i = 0; i < 2; i++) l.b[i] = right_word<B>(in, member + i * 4, group);
        for (int i = 0; i < 4; i++) l.c[i] = addend(in, group + i / 2 * 8, member * 2 + i % 2);
        return l;
    }
    template <typename T> __device__ void give(float *out, T c0, T c1, T c2, T c3)
    {
        float *row = out + (threadIdx.x >> 2) * 8 + (threadIdx.x & 3) * 2;
        row[0] = (float)c0;
        row[1] = (float)c1;
        row[64] = (float)c2;
        row[65] = (float)c3;
    })
#define FLOATS(l) float c0 = l.c[0]; float c1 = l.c[1]; float c2 = l.c[2]; float c3 = l.c[3];
#define SUMS(kind) "+" kind(c0), "+" kind(c1), "+" kind(c2), "+" kind(c3)
#define WHOLE(name, A, B, K, text, kind, type) \
    KERNEL(name, float, { \
        Lane l = lane<A, B>(in); \
        type c0 = l.c[0]; type c1 = l.c[1]; type c2 = l.c[2]; type c3 = l.c[3]; \
        asm("mma.sync.aligned." text " {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};" \
            : "+" kind(c0), "+" kind(c1), "+" kind(c2), "+" kind(c3) : "r"(l.a[0]), "r"(l.a[1]), "r"(l.a[2]), "r"(l.a[3]), "r"(l.b[0]), "r"(l.b[1])); \
        give(out, c0, c1, c2, c3); \
    })
#define HALF(name, A, B, K, text, kind, type) \
    KERNEL(name, float, { \
        Lane l = lane<A, B>(in); \
        type c0 = l.c[0]; type c1 = l.c[1]; type c2 = l.c[2]; type c3 = l.c[3]; \
        asm("mma.sync.aligned." text " {%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};" \
            : "+" kind(c0), "+" kind(c1), "+" kind(c2), "+" kind(c3) : "r"(l.a[0]), "r"(l.a[1]), "r"(l.b[0])); \
        give(out, c0, c1, c2, c3); \
    })
#define SMALL(name, A, B, K, text, kind, type) \
    KERNEL(name, float, { \
        Lane l = lane<A, B>(in); \
        type c0 = l.c[0]; type c1 = l.c[1]; \
        asm("mma.sync.aligned." text " {%0,%1},{%2},{%3},{%0,%1};" : "+" kind(c0), "+" kind(c1) : "r"(l.a[0]), "r"(l.b[0])); \
        give(out, c0, c1, (type)0, (type)0); \
    })
#define TIMES(name, M, K) EXPECT_AS(name, float, "1, 32", { product<float, M, 8, K>(in, out); })
#define TERMS(name, M, K, term) EXPECT_AS(name, float, "1, 32", { \
    for (int row = 0; row < M; row++) \
        for (int column = 0; column < 8; column++) { \
            int sum = addend(in, row, column); \
            for (int k = 0; k < K; k++) { int a = left(in, row, k), b = right(in, k, column); sum += term; } \
            out[row * 8 + column] = sum; \
        } })
WHOLE(product_of_halves, Half, Half, 16, "m16n8k16.row.col.f32.f16.f16.f32", "f", float) TIMES(product_of_halves, 16, 16)
HALF(product_of_half_as_many_halves, Half, Half, 8, "m16n8k8.row.col.f32.f16.f16.f32", "f", float) TIMES(product_of_half_as_many_halves, 16, 8)
WHOLE(product_of_brains, Brain, Brain, 16, "m16n8k16.row.col.f32.bf16.bf16.f32", "f", float) TIMES(product_of_brains, 16, 16)
HALF(product_of_half_as_many_brains, Brain, Brain, 8, "m16n8k8.row.col.f32.bf16.bf16.f32", "f", float) TIMES(product_of_half_as_many_brains, 16, 8)
WHOLE(product_of_tensor_floats, Single, Single, 8, "m16n8k8.row.col.f32.tf32.tf32.f32", "f", float) TIMES(product_of_tensor_floats, 16, 8)
HALF(product_of_half_as_many_tensor_floats, Single, Single, 4, "m16n8k4.row.col.f32.tf32.tf32.f32", "f", float) TIMES(product_of_half_as_many_tensor_floats, 16, 4)
WHOLE(product_of_bytes, Byte, Byte, 32, "m16n8k32.row.col.s32.s8.s8.s32", "r", int) TIMES(product_of_bytes, 16, 32)
WHOLE(product_of_mixed_bytes, Positive, Byte, 32, "m16n8k32.row.col.satfinite.s32.u8.s8.s32", "r", int) TERMS(product_of_mixed_bytes, 16, 32, (a + 8) * b)
HALF(product_of_half_as_many_bytes, Byte, Positive, 16, "m16n8k16.row.col.s32.s8.u8.s32", "r", int) TERMS(product_of_half_as_many_bytes, 16, 16, a * (b + 8))
SMALL(small_product_of_bytes, Positive, Positive, 16, "m8n8k16.row.col.s32.u8.u8.s32", "r", int) TERMS(small_product_of_bytes, 8, 16, (a + 8) * (b + 8))
WHOLE(product_of_nibbles, Nibble, Nibble, 64, "m16n8k64.row.col.s32.s4.s4.s32", "r", int) TIMES(product_of_nibbles, 16, 64)
HALF(product_of_mixed_nibbles, Nibble, Nibble, 32, "m16n8k32.row.col.s32.u4.s4.s32", "r", int) TERMS(product_of_mixed_nibbles, 16, 32, (a & 15) * b)
SMALL(small_product_of_nibbles, Nibble, Nibble, 32, "m8n8k32.row.col.s32.s4.u4.s32", "r", int) TERMS(small_product_of_nibbles, 8, 32, a * (b & 15))
WHOLE(product_of_bits, Bit, Bit, 256, "m16n8k256.row.col.s32.b1.b1.s32.and.popc", "r", int) TERMS(product_of_bits, 16, 256, (a & b & 1))
HALF(product_of_half_as_many_bits, Bit, Bit, 128, "m16n8k128.row.col.s32.b1.b1.s32.xor.popc", "r", int) TERMS(product_of_half_as_many_bits, 16, 128, ((a ^ b) & 1))
SMALL(small_product_of_bits, Bit, Bit, 128, "m8n8k128.row.col.s32.b1.b1.s32.xor.popc", "r", int) TERMS(small_product_of_bits, 8, 128, ((a ^ b) & 1))
KERNEL(product_of_doubles, float, {
    int group = threadIdx.x >> 2;
    int member = threadIdx.x & 3;
    double c0 = addend(in, group, member * 2);
    double c1 = addend(in, group, member * 2 + 1);
    asm("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1},{%2},{%3},{%0,%1};"
        : "+d"(c0), "+d"(c1) : "d"((double)left(in, group, member)), "d"((double)right(in, member, group)));
    give(out, c0, c1, 0.0, 0.0);
})
TIMES(product_of_doubles, 8, 4)
KERNEL(product_summed_in_halves, float, {
    Lane l = lane<Half, Half>(in);
    unsigned c0 = Half::of(l.c[0]) | Half::of(l.c[1]) << 16;
    unsigned c1 = Half::of(l.c[2]) | Half::of(l.c[3]) << 16;
    asm("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0,%1},{%2,%3,%4,%5},{%6,%7},{%0,%1};"
        : "+r"(c0), "+r"(c1) : "r"(l.a[0]), "r"(l.a[1]), "r"(l.a[2]), "r"(l.a[3]), "r"(l.b[0]), "r"(l.b[1]));
    __half2 *low = (__half2 *)&c0;
    __half2 *high = (__half2 *)&c1;
    give(out, __low2float(*low), __high2float(*low), __low2float(*high), __high2float(*high));
})
TIMES(product_summed_in_halves, 16, 16)

// Fragments from shared memory: rows of A and columns of B as they lie, rows of B transposed on the way, and both once more
// through movmatrix.
ON_DEVICE(
    __device__ unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
    __device__ unsigned moved(unsigned a)
    {
        unsigned d;
        asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(d) : "r"(a));
        return d;
    }
    struct Tiles { __half a[16][24]; __half columns[8][24]; __half rows[16][16]; };
    __device__ void fill(const int *in, Tiles &t)
    {
        for (int i = threadIdx.x; i < 256; i += 32) t.a[i / 16][i % 16] = __int2half_rn(left(in, i / 16, i % 16));
        for (int i = threadIdx.x; i < 128; i += 32) {
            t.columns[i / 16][i % 16] = __int2half_rn(right(in, i % 16, i / 16));
            t.rows[i / 8][i % 8] = __int2half_rn(right(in, i / 8, i % 8));
        }
        __syncwarp();
    }
    __device__ void multiply(const int *in, float *out, const unsigned *a, unsigned b0, unsigned b1)
    {
        Lane l = lane<Half, Half>(in);
        FLOATS(l)
        asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
            : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
        give(out, c0, c1, c2, c3);
    })
#define LOAD_LEFT \
    __shared__ alignas(16) Tiles t; \
    fill(in, t); \
    unsigned a[4]; \
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" \
        : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3]) : "r"(shared_address(&t.a[threadIdx.x % 16][threadIdx.x / 16 * 8])));
KERNEL(fragments_as_they_lie, float, {
    LOAD_LEFT
    unsigned b0;
    unsigned b1;
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.b16 {%0,%1}, [%2];"
        : "=r"(b0), "=r"(b1) : "l"(&t.columns[threadIdx.x % 8][threadIdx.x / 8 % 2 * 8]));
    multiply(in, out, a, b0, b1);
})
TIMES(fragments_as_they_lie, 16, 16)
KERNEL(fragments_transposed, float, {
    LOAD_LEFT
    unsigned b0;
    unsigned b1;
    // Addresses of lanes that do not count may be anything.
    unsigned row = threadIdx.x < 16 ? shared_address(&t.rows[threadIdx.x]) : 0xfffffff1;
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(b0), "=r"(b1) : "r"(row));
    multiply(in, out, a, b0, b1);
})
TIMES(fragments_transposed, 16, 16)
KERNEL(fragments_moved, float, {
    LOAD_LEFT
    unsigned b0;
    unsigned b1;
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(b0) : "r"(shared_address(&t.rows[threadIdx.x % 8])));
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(b1) : "r"(shared_address(&t.rows[8 + threadIdx.x % 8])));
    multiply(in, out, a, moved(b0), moved(b1));
})
TIMES(fragments_moved, 16, 16)
// Lanes that parted a while ago meet for the product.
KERNEL(lanes_meet_for_a_product, float, {
    LOAD_LEFT
    unsigned b0 = 0;
    for (int i = 0; i < (int)threadIdx.x % 5 + in[1]; i++) b0 += in[i & 255];
    unsigned b1;
    if (b0 != 12345) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
            : "=r"(b0), "=r"(b1) : "r"(shared_address(&t.rows[threadIdx.x % 16])));
        multiply(in, out, a, b0, b1);
    }
})
TIMES(lanes_meet_for_a_product, 16, 16)

// mma.sp: of each four columns of A the first and the third are there.
KERNEL(product_of_thinned_halves, float, {
    Lane l = lane<Half, Half>(in);
    unsigned a[2];
    for (int i = 0; i < 2; i++) {
        int row = (threadIdx.x >> 2) + 8 * i;
        int k = (threadIdx.x & 3) * 4;
        a[i] = Half::of(left(in, row, k)) | Half::of(left(in, row, k + 2)) << 16;
    }
    FLOATS(l)
    // The lanes that are not asked say something else.
    unsigned places = (threadIdx.x & 3) == 1 ? 0x88888888 : 0x44444444;
    asm("mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5},{%6,%7},{%0,%1,%2,%3},%8,0x1;"
        : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3) : "r"(a[0]), "r"(a[1]), "r"(l.b[0]), "r"(l.b[1]), "r"(places));
    give(out, c0, c1, c2, c3);
})
TERMS(product_of_thinned_halves, 16, 16, (k % 2 ? 0 : a * b))

// wmma of parts of bytes.
ON_DEVICE(
    template <typename E, typename W> __device__ void small_tile(const int *in, float *out, bool bits)
    {
        const int K = bits ? 128 : 32;
        __shared__ alignas(32) unsigned a[8 * 4];
        __shared__ alignas(32) unsigned b[8 * 4];
        __shared__ alignas(32) int c[64];
        int words = K * W::bits / 32;
        for (int i = threadIdx.x; i < 8 * words; i += 32) {
            a[i] = left_word<W>(in, i / words, i % words);
            b[i] = right_word<W>(in, i % words, i / words);
        }
        for (int i = threadIdx.x; i < 64; i += 32) c[i] = addend(in, i / 8, i % 8);
        __syncwarp();
        E::multiply(a, b, c);
        __syncwarp();
        for (int i = threadIdx.x; i < 64; i += 32) out[i] = (float)c[i];
    }
    struct OfNibbles {
        static __device__ void multiply(unsigned *a, unsigned *b, int *c)
        {
            wmma::fragment<wmma::matrix_a, 8, 8, 32, wmma::experimental::precision::s4, wmma::row_major> fa;
            wmma::fragment<wmma::matrix_b, 8, 8, 32, wmma::experimental::precision::s4, wmma::col_major> fb;
            wmma::fragment<wmma::accumulator, 8, 8, 32, int> fc;
            wmma::load_matrix_sync(fa, a, 32);
            wmma::load_matrix_sync(fb, b, 32);
            wmma::load_matrix_sync(fc, c, 8, wmma::mem_row_major);
            wmma::mma_sync(fc, fa, fb, fc);
            wmma::store_matrix_sync(c, fc, 8, wmma::mem_row_major);
        }
    };
    struct OfBits {
        static __device__ void multiply(unsigned *a, unsigned *b, int *c)
        {
            wmma::fragment<wmma::matrix_a, 8, 8, 128, wmma::experimental::precision::b1, wmma::row_major> fa;
            wmma::fragment<wmma::matrix_b, 8, 8, 128, wmma::experimental::precision::b1, wmma::col_major> fb;
            wmma::fragment<wmma::accumulator, 8, 8, 128, int> fc;
            wmma::load_matrix_sync(fa, a, 128);
            wmma::load_matrix_sync(fb, b, 128);
            wmma::load_matrix_sync(fc, c, 8, wmma::mem_row_major);
            wmma::bmma_sync(fc, fa, fb, fc, wmma::experimental::bmmaBitOpXOR, wmma::experimental::bmmaAccumulateOpPOPC);
            wmma::store_matrix_sync(c, fc, 8, wmma::mem_row_major);
        }
    };)
KERNEL(tile_of_nibbles, float, { small_tile<OfNibbles, Nibble>(in, out, false); })
TIMES(tile_of_nibbles, 8, 32)
KERNEL(tile_of_bits, float, { small_tile<OfBits, Bit>(in, out, true); })
TERMS(tile_of_bits, 8, 128, ((a ^ b) & 1))
