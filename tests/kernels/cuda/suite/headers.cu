// NVIDIA's own headers through NVRTC: halves, brains, and cooperative groups.
#include "suite.h"
#include "halves.h"
#ifndef EXPECTATIONS
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
namespace cg = cooperative_groups;
#endif

// f16. `small` keeps results within its range.
ON_BOTH inline float small(int x) { return (float)(x >> 16) / 256.0f; }
#define H(v) __float2half_rn(small(v))
#define BITS(h) __half_as_ushort(h)
#define R(v) from_half(to_half(small(v)))
NEAR(half_arithmetic, unsigned short, "", { return BITS(__hadd(__hmul(H(x), H(y)), H(z))); }, { return to_half(from_half(to_half((double)R(x) * R(y))) + (double)R(z)); })
NEAR(half_operators, unsigned short, "", { __half a = H(x); __half b = H(y); return BITS(a - b + a); }, { return to_half(from_half(to_half((double)R(x) - R(y))) + (double)R(x)); })
NEAR(half_fused_product, unsigned short, "", { return BITS(__hfma(H(x), H(y), H(z))); }, { return to_half((double)R(x) * R(y) + R(z)); })
NEAR(half_quotient, unsigned short, "", { return BITS(__hdiv(H(x), H(y | 0x10000))); }, { return to_half((double)R(x) / R(y | 0x10000)); })
NEAR(half_root, unsigned short, "", { return BITS(hsqrt(H(x & 0x7fffffff))); }, { return to_half(sqrt((double)R(x & 0x7fffffff))); })
NEAR(half_comparisons, int, "", { return __hlt(H(x), H(y)) + 2 * __heq(H(x), H(y)) + 4 * __hge(H(x), H(z)); }, { return (R(x) < R(y)) + 2 * (R(x) == R(y)) + 4 * (R(x) >= R(z)); })
NEAR(half_extremes, unsigned short, "", { return BITS(__hmax(__hmin(H(x), H(y)), H(z))); }, { float a = R(x) < R(y) ? R(x) : R(y); return to_half(a > R(z) ? a : R(z)); })
NEAR(half_to_integers, int, "", { return __half2int_rn(H(x)) + __half2int_rz(H(y)) * 3 + __half2int_rd(H(z)) * 7; }, { return (int)nearbyint(R(x)) + (int)trunc(R(y)) * 3 + (int)floor(R(z)) * 7; })
NEAR(half_from_integers, unsigned short, "", { return BITS(__int2half_rn(x >> 16)); }, { return to_half(x >> 16); })
NEAR(half_rounded_directed, unsigned short, "", { return BITS(__float2half_rz(moderate(x) * 0.01f)); }, { float v = fabsf(moderate(x) * 0.01f); unsigned short h = to_half(v); if (from_half(h) > v) h--; return h | (moderate(x) < 0 ? 0x8000 : 0); })
NEAR(half_pairs, unsigned, "", { __half2 a = __halves2half2(H(x), H(y)); __half2 b = __halves2half2(H(y), H(z)); __half2 r = __hfma2(a, b, a); return BITS(__low2half(r)) | (unsigned)BITS(__high2half(r)) << 16; }, { return to_half((double)R(x) * R(y) + R(x)) | (unsigned)to_half((double)R(y) * R(z) + R(y)) << 16; })
NEAR(half_pairs_compared, int, "", { __half2 a = __halves2half2(H(x), H(y)); __half2 b = __halves2half2(H(y), H(z)); return __hblt2(a, b) + 2 * __hbeq2(a, a) + 4 * __hbgt2(a, b); }, { return (R(x) < R(y) && R(y) < R(z)) + 2 + 4 * (R(x) > R(y) && R(y) > R(z)); })
NEAR(half_pairs_from_floats, unsigned, "", { __half2 r = __floats2half2_rn(moderate(x), small(y)); float2 f = __half22float2(r); __half2 s = __float22half2_rn(float2{f.y, f.x}); return *(unsigned *)&s; }, { return to_half(small(y)) | (unsigned)to_half(moderate(x)) << 16; })
NEAR(half_exponential, float, "rel 2e-3", { return __half2float(hexp(__hmul(H(x), __float2half(0.03f)))); }, { return (float)exp((double)from_half(to_half((double)R(x) * from_half(to_half(0.03f))))); })
NEAR(half_logarithm, float, "abs 4e-3", { return __half2float(hlog(H((x & 0x7fffffff) | 0x10000))); }, { return (float)log((double)R((x & 0x7fffffff) | 0x10000)); })
NEAR(half_sine, float, "abs 2e-3", { return __half2float(hsin(H(x))); }, { return (float)sin((double)R(x)); })
KERNEL(half_shuffled, unsigned short, { out[INDEX] = BITS(__shfl_xor_sync(~0u, H(in[INDEX]), 3)); })
EXPECT(half_shuffled, unsigned short, { for (int i = 0; i < n; i++) out[i] = to_half(small(in[i ^ 3])); })
KERNEL(half_pair_atomics, unsigned, { __half2 one = __floats2half2_rn(1.0f, 2.0f); atomicAdd((__half2 *)out + (INDEX & 3), one); })
EXPECT(half_pair_atomics, unsigned, { for (int k = 0; k < 4; k++) out[k] = to_half(64) | (unsigned)to_half(128) << 16; })

// bf16.
#define B(v) __float2bfloat16_rn(moderate(v))
#define W(v) from_brain(to_brain(moderate(v)))
NEAR(brain_from_float, unsigned short, "", { return __bfloat16_as_ushort(B(x)); }, { return to_brain(moderate(x)); })
NEAR(brain_to_float, float, "", { return __bfloat162float(B(x)); }, { return W(x); })
NEAR(brain_sum, unsigned short, "", { return __bfloat16_as_ushort(__hadd(B(x), B(y))); }, { return to_brain(W(x) + W(y)); })
NEAR(brain_product, unsigned short, "", { return __bfloat16_as_ushort(__hmul(B(x), B(y))); }, { return to_brain(W(x) * W(y)); })
NEAR(brain_comparison, int, "", { return __hlt(B(x), B(y)); }, { return W(x) < W(y); })
NEAR(brain_pair, unsigned, "", { __nv_bfloat162 r = __floats2bfloat162_rn(moderate(x), moderate(y)); return *(unsigned *)&r; }, { return to_brain(moderate(x)) | (unsigned)to_brain(moderate(y)) << 16; })

// Cooperative groups.
KERNEL(group_of_block, int, { cg::thread_block b = cg::this_thread_block(); __shared__ int s[64]; s[b.thread_rank()] = in[INDEX]; b.sync(); out[INDEX] = s[b.size() - 1 - b.thread_rank()] ^ (int)b.group_index().x; })
EXPECT(group_of_block, int, { for (int i = 0; i < n; i++) out[i] = in[i ^ 63] ^ i / 64; })
KERNEL(group_reduces, int, { auto t = cg::tiled_partition<32>(cg::this_thread_block()); out[INDEX] = cg::reduce(t, in[INDEX] & 0xffff, cg::plus<int>()) + cg::reduce(t, in[INDEX], cg::greater<int>()) / 2; })
EXPECT(group_reduces, int, { for (int i = 0; i < n; i++) { int s = 0, m = in[i & ~31]; for (int k = i & ~31; k <= (i | 31); k++) { s += in[k] & 0xffff; if (in[k] > m) m = in[k]; } out[i] = s + m / 2; } })
KERNEL(group_scans, int, { auto t = cg::tiled_partition<16>(cg::this_thread_block()); out[INDEX] = cg::inclusive_scan(t, in[INDEX] & 0xffff) * 2 + cg::exclusive_scan(t, in[INDEX] & 0xff); })
EXPECT(group_scans, int, { for (int i = 0; i < n; i++) { int s = 0, e = 0; for (int k = i & ~15; k <= i; k++) { s += in[k] & 0xffff; if (k < i) e += in[k] & 0xff; } out[i] = s * 2 + e; } })
KERNEL(group_shuffles, int, { auto t = cg::tiled_partition<4>(cg::this_thread_block()); out[INDEX] = t.shfl(in[INDEX], 2) ^ t.shfl_up(in[INDEX], 1) ^ t.shfl_down(in[INDEX], 1) ^ t.shfl_xor(in[INDEX], 3); })
EXPECT(group_shuffles, int, { for (int i = 0; i < n; i++) { int b = i & ~3, r = i & 3; out[i] = in[b + 2] ^ in[r ? i - 1 : i] ^ in[r < 3 ? i + 1 : i] ^ in[i ^ 3]; } })
KERNEL(group_votes, int, { auto t = cg::tiled_partition<8>(cg::this_thread_block()); out[INDEX] = (int)t.ballot(in[INDEX] & 1) * 4 + t.any(in[INDEX] > 1 << 30) * 2 + t.all(in[INDEX] != 5); })
EXPECT(group_votes, int, { for (int i = 0; i < n; i++) { int any = 0, b = 0; for (int k = 0; k < 8; k++) { int v = in[(i & ~7) + k]; b |= (v & 1) << k; any |= v > 1 << 30; } out[i] = b * 4 + any * 2 + 1; } })
KERNEL(group_of_coalesced, int, { if (in[INDEX] & 1) { cg::coalesced_group g = cg::coalesced_threads(); out[INDEX] = (int)g.size() * 100 + (int)g.thread_rank() + (g.thread_rank() == 0 ? 10000 : 0); } })
EXPECT(group_of_coalesced, int, { for (int i = 0; i < n; i++) if (in[i] & 1) { int c = 0, b = 0; for (int k = i & ~31; k <= (i | 31); k++) if (in[k] & 1) { c++; b += k < i; } out[i] = c * 100 + b + (b ? 0 : 10000); } })
KERNEL(group_reduces_coalesced, int, { if (in[INDEX] & 1) { cg::coalesced_group g = cg::coalesced_threads(); int s = in[INDEX] & 0xff; for (int d = 1; d < (int)g.size(); d++) s += g.shfl(in[INDEX] & 0xff, (g.thread_rank() + d) % g.size()); out[INDEX] = s; } })
EXPECT(group_reduces_coalesced, int, { for (int i = 0; i < n; i++) if (in[i] & 1) for (int k = i & ~31; k <= (i | 31); k++) if (in[k] & 1) out[i] += in[k] & 0xff; })
KERNEL(group_partitioned_in_turn, int, { auto w = cg::tiled_partition<32>(cg::this_thread_block()); auto h = cg::tiled_partition<8>(w); int s = in[INDEX] & 0xff; for (int d = h.size() / 2; d; d /= 2) s += h.shfl_xor(s, d); if (h.thread_rank() == 0) atomicAdd(out + blockIdx.x * 8 + h.meta_group_rank() + 4 * w.meta_group_rank(), s); })
EXPECT(group_partitioned_in_turn, int, { for (int i = 0; i < n; i++) out[i / 8] += in[i] & 0xff; })
KERNEL(group_broadcasts, int, { cg::thread_block b = cg::this_thread_block(); auto t = cg::tiled_partition<32>(b); int v = cg::invoke_one_broadcast(t, [&] { return 7 + (int)t.meta_group_rank(); }); out[INDEX] = v; })
EXPECT(group_broadcasts, int, { for (int i = 0; i < n; i++) out[i] = 7 + (i >> 5 & 1); })
