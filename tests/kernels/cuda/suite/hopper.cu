// What came with capabilities 8.9 and 9.0, for 9.0: eight-bit floats, stores of fragments, bulk copies, barriers that count bytes.
#include "suite.h"
#include "halves.h"
#ifndef EXPECTATIONS
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#endif

ON_DEVICE(__device__ unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); })

// Eight-bit floats, by a table of their values: of four exponent and three fraction bits, of five and two.
#ifdef EXPECTATIONS
static float of_e4m3(unsigned b) { int e = b >> 3 & 15, f = b & 7; float v = e ? (8 + f) * exp2f(e - 10) : f * exp2f(-9); return (b & 127) == 127 ? NAN : b & 128 ? -v : v; }
static float of_e5m2(unsigned b) { int e = b >> 2 & 31, f = b & 3; float v = e ? (4 + f) * exp2f(e - 17) : f * exp2f(-16); if (e == 31) v = f ? NAN : INFINITY; return b & 128 ? -v : v; }
template <float (*value)(unsigned)> static unsigned nearest(float x, unsigned most)
{
    unsigned best = 0, sign = x < 0 || (x == 0 && 1 / x < 0) ? 128 : 0;
    x = fabsf(x);
    for (unsigned b = 1; b <= most; b++) {
        float off = fabsf(value(b) - x), before = fabsf(value(best) - x);
        if (off < before || (off == before && b % 2 == 0)) best = b;
    }
    return best | sign;
}
#endif
NEAR(e4m3_of_floats, unsigned short, "", { return __nv_cvt_float2_to_fp8x2(float2{moderate(x), moderate(y)}, __NV_SATFINITE, __NV_E4M3); }, { return nearest<of_e4m3>(moderate(x), 126) | nearest<of_e4m3>(moderate(y), 126) << 8; })
NEAR(e5m2_of_floats, unsigned short, "", { return __nv_cvt_float2_to_fp8x2(float2{moderate(x) * 1000, moderate(y) / 1e5f}, __NV_SATFINITE, __NV_E5M2); }, { return nearest<of_e5m2>(moderate(x) * 1000, 123) | nearest<of_e5m2>(moderate(y) / 1e5f, 123) << 8; })
NEAR(halves_of_e4m3, float, "", { __half2_raw h = __nv_cvt_fp8x2_to_halfraw2(x & 0xffff, __NV_E4M3); __half2 v = h; return __low2float(v) + 3 * __high2float(v); }, { return of_e4m3(x & 255) + 3 * of_e4m3(x >> 8 & 255); })
NEAR(halves_of_e5m2, float, "", { __half2_raw h = __nv_cvt_fp8x2_to_halfraw2(x & 0xffff, __NV_E5M2); __half2 v = h; return __high2float(v); }, { return of_e5m2(x >> 8 & 255); })
NEAR(e4m3_of_halves, unsigned short, "", { __half2_raw h = __floats2half2_rn(moderate(x), moderate(y)); return __nv_cvt_halfraw2_to_fp8x2(h, __NV_SATFINITE, __NV_E4M3); }, { float a = from_half(to_half(moderate(x))), b = from_half(to_half(moderate(y))); return nearest<of_e4m3>(a, 126) | nearest<of_e4m3>(b, 126) << 8; })

// Their products. Bytes of the input without the highest exponents.
ON_BOTH inline unsigned e4m3_at(const int *in, int i) { return in[i * 31 & 255] >> 4 & 0xbf; }
ON_BOTH inline unsigned e5m2_at(const int *in, int i) { return in[i * 17 + 9 & 255] >> 6 & 0xbf; }
ON_DEVICE(
    __device__ unsigned e4m3_word(const int *in, int i) { return e4m3_at(in, i) | e4m3_at(in, i + 1) << 8 | e4m3_at(in, i + 2) << 16 | e4m3_at(in, i + 3) << 24; }
    __device__ unsigned e5m2_word(const int *in, int i) { return e5m2_at(in, i) | e5m2_at(in, i + 1) << 8 | e5m2_at(in, i + 2) << 16 | e5m2_at(in, i + 3) << 24; })
KERNEL(product_of_eight_bit_floats, float, {
    int group = threadIdx.x >> 2;
    int member = threadIdx.x & 3;
    unsigned a[4];
    for (int i = 0; i < 4; i++) a[i] = e4m3_word(in, (group + i % 2 * 8) * 32 + (member + i / 2 * 4) * 4);
    unsigned b0 = e5m2_word(in, group * 32 + member * 4);
    unsigned b1 = e5m2_word(in, group * 32 + 16 + member * 4);
    float c0 = 1;
    float c1 = 2;
    float c2 = 3;
    float c3 = 4;
    asm("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
        : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    float *row = out + group * 8 + member * 2;
    row[0] = c0;
    row[1] = c1;
    row[64] = c2;
    row[65] = c3;
})
#ifdef EXPECTATIONS
static void product_of_eight_bit_floats_expected(const int *in, float *out, int n)
{
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 8; column++) {
            double sum = 1 + column % 2 + row / 8 * 2;
            for (int k = 0; k < 32; k++) sum += (double)of_e4m3(e4m3_at(in, row * 32 + k)) * of_e5m2(e5m2_at(in, column * 32 + k));
            out[row * 8 + column] = (float)sum;
        }
}
static Registered product_of_eight_bit_floats_case("product_of_eight_bit_floats", "1, 32", "rel 1e-4", print_case<float, product_of_eight_bit_floats_expected>);
#endif

// Fragments to shared memory.
KERNEL(fragments_stored, unsigned, {
    __shared__ alignas(16) unsigned tile[4][8][4];
    unsigned words[4];
    for (int i = 0; i < 4; i++) words[i] = in[threadIdx.x + 32 * i];
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};"
        :: "r"(shared_address(tile[threadIdx.x / 8][threadIdx.x % 8])), "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3]) : "memory");
    __syncwarp();
    for (int i = 0; i < 4; i++) out[threadIdx.x + 32 * i] = tile[i][threadIdx.x / 4][threadIdx.x % 4];
})
EXPECT_AS(fragments_stored, unsigned, "1, 32", { for (int i = 0; i < 128; i++) out[i] = in[i]; })
KERNEL(fragments_stored_transposed, unsigned short, {
    __shared__ alignas(16) unsigned short tile[8][8];
    asm volatile("stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%0], {%1};" :: "r"(shared_address(tile[threadIdx.x % 8])), "r"(in[threadIdx.x]) : "memory");
    __syncwarp();
    out[threadIdx.x] = tile[threadIdx.x / 8][threadIdx.x % 8];
    out[threadIdx.x + 32] = tile[4 + threadIdx.x / 8][threadIdx.x % 8];
})
EXPECT_AS(fragments_stored_transposed, unsigned short, "1, 32", { for (int i = 0; i < 64; i++) out[i % 8 * 8 + i / 8] = (unsigned)in[i / 2] >> i % 2 * 16; })

// A barrier that waits for bytes, and copies of many at once.
KERNEL(bulk_copies_there_and_back, int, {
    __shared__ alignas(128) int tile[64];
    __shared__ uint64 barrier;
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(shared_address(&barrier)) : "memory");
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        uint64 state;
        asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
            :: "r"(shared_address(tile)), "l"(in + blockIdx.x * 64), "r"(256), "r"(shared_address(&barrier)) : "memory");
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 %0, [%1], %2;" : "=l"(state) : "r"(shared_address(&barrier)), "r"(256) : "memory");
    }
    int over = 0;
    while (!over)
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0; selp.b32 %0, 1, 0, p; }"
            : "=r"(over) : "r"(shared_address(&barrier)) : "memory");
    int value = tile[63 - threadIdx.x];
    __syncthreads();
    tile[threadIdx.x] = value + 1;
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    if (threadIdx.x == 0) {
        asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], 256;" :: "l"(out + blockIdx.x * 64), "r"(shared_address(tile)) : "memory");
        asm volatile("cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0;" ::: "memory");
    }
})
EXPECT(bulk_copies_there_and_back, int, { for (int i = 0; i < n; i++) out[i] = in[i ^ 63] + 1; })

KERNEL(one_lane_elected, unsigned, {
    unsigned chosen = 0;
    asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; selp.b32 %0, 1, 0, p; }" : "=r"(chosen));
    out[INDEX] = __popc(__ballot_sync(~0u, chosen));
})
EXPECT(one_lane_elected, unsigned, { for (int i = 0; i < n; i++) out[i] = 1; })
KERNEL(hints_without_effect, int, {
    uint64 policy;
    int value;
    asm volatile("griddepcontrol.wait;" ::: "memory");
    asm volatile("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
    asm volatile("prefetch.global.L2::evict_last [%0];" :: "l"(in));
    asm volatile("applypriority.global.L2::evict_normal [%0], 128;" :: "l"(in));
    asm volatile("ld.global.L2::cache_hint.b32 %0, [%1], %2;" : "=r"(value) : "l"(in + INDEX), "l"(policy));
    asm volatile("st.global.L2::cache_hint.b32 [%0], %1, %2;" :: "l"(out + INDEX), "r"(value), "l"(policy) : "memory");
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
})
EXPECT(hints_without_effect, int, { for (int i = 0; i < n; i++) out[i] = in[i]; })

// Pairs of 16 bits.
#define PAIRED(name, text, low, high) \
    NEAR(name, unsigned, "", { unsigned d; asm(text " %0, %1, %2;" : "=r"(d) : "r"(x), "r"(y)); return d; }, \
        { short a = x, b = y, c = x >> 16, e = y >> 16; unsigned short ua = a, ub = b, uc = c, ue = e; return (unsigned short)(low) | (unsigned)(unsigned short)(high) << 16; })
PAIRED(sums_of_16_bits, "add.u16x2", a + b, c + e)
PAIRED(signed_sums_of_16_bits, "add.s16x2", a + b, c + e)
PAIRED(least_of_16_bits, "min.u16x2", ua < ub ? ua : ub, uc < ue ? uc : ue)
PAIRED(greatest_of_16_bits, "max.u16x2", ua > ub ? ua : ub, uc > ue ? uc : ue)
PAIRED(signed_least_of_16_bits, "min.s16x2", a < b ? a : b, c < e ? c : e)
PAIRED(signed_greatest_of_16_bits, "max.s16x2", a > b ? a : b, c > e ? c : e)
PAIRED(least_but_not_negative, "min.relu.s16x2", a < 0 || b < 0 ? 0 : a < b ? a : b, c < 0 || e < 0 ? 0 : c < e ? c : e)
