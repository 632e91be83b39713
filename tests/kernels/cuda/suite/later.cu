// What came after capability 6.1, for 8.0: matches, reductions across the warp, atomics on halves and 16 bits, bf16 instructions.
#include "suite.h"
#include "halves.h"
#ifndef EXPECTATIONS
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

KERNEL(match_any_lanes, unsigned, { out[INDEX] = __match_any_sync(~0u, in[INDEX] & 3); })
EXPECT(match_any_lanes, unsigned, { for (int i = 0; i < n; i++) for (int k = i & ~31; k <= (i | 31); k++) if ((in[k] & 3) == (in[i] & 3)) out[i] |= 1u << (k & 31); })
KERNEL(match_any_wide, unsigned, { out[INDEX] = __match_any_sync(~0u, (uint64)(in[INDEX] & 1) << 40); })
EXPECT(match_any_wide, unsigned, { for (int i = 0; i < n; i++) for (int k = i & ~31; k <= (i | 31); k++) if ((in[k] & 1) == (in[i] & 1)) out[i] |= 1u << (k & 31); })
KERNEL(match_all_lanes, unsigned, { int p; int q; unsigned a = __match_all_sync(~0u, in[INDEX] & 1, &p); unsigned b = __match_all_sync(~0u, INDEX >> 5, &q); out[INDEX] = a + 2 * p + (b == ~0u) * 4 + q * 8; })
EXPECT(match_all_lanes, unsigned, { for (int i = 0; i < n; i++) { int all = 1; for (int k = i & ~31; k <= (i | 31); k++) all &= (in[k] & 1) == (in[i] & 1); out[i] = (all ? ~0u : 0u) + 2 * all + 12; } })
KERNEL(match_in_tiles, unsigned, { unsigned tile = 0xffu << (threadIdx.x & 24); out[INDEX] = __match_any_sync(tile, in[INDEX] & 3); })
EXPECT(match_in_tiles, unsigned, { for (int i = 0; i < n; i++) for (int k = i & ~7; k <= (i | 7); k++) if ((in[k] & 3) == (in[i] & 3)) out[i] |= 1u << (k & 31); })
#define REDUCED(name, T, function, start, join) \
    KERNEL(name, T, { T v = (T)in[INDEX]; out[INDEX] = function(~0u, v); }) \
    EXPECT(name, T, { for (int i = 0; i < n; i++) { T r = start; for (int k = i & ~31; k <= (i | 31); k++) { T v = (T)in[k]; r = join; } out[i] = r; } })
REDUCED(reduce_sum, unsigned, __reduce_add_sync, 0, r + v)
REDUCED(reduce_minimum, int, __reduce_min_sync, 0x7fffffff, v < r ? v : r)
REDUCED(reduce_maximum, int, __reduce_max_sync, (int)0x80000000, v > r ? v : r)
REDUCED(reduce_minimum_unsigned, unsigned, __reduce_min_sync, ~0u, v < r ? v : r)
REDUCED(reduce_maximum_unsigned, unsigned, __reduce_max_sync, 0, v > r ? v : r)
REDUCED(reduce_and, unsigned, __reduce_and_sync, ~0u, r & v)
REDUCED(reduce_or, unsigned, __reduce_or_sync, 0, r | v)
REDUCED(reduce_xor, unsigned, __reduce_xor_sync, 0, r ^ v)
KERNEL(reduce_in_tiles, unsigned, { unsigned tile = 0xffu << (threadIdx.x & 24); out[INDEX] = __reduce_add_sync(tile, (unsigned)in[INDEX]); })
EXPECT(reduce_in_tiles, unsigned, { for (int i = 0; i < n; i++) for (int k = i & ~7; k <= (i | 7); k++) out[i] += in[k]; })
KERNEL(swap_of_16_bits, unsigned short, { unsigned short *p = out + (INDEX & 7), seen = *(volatile unsigned short *)p, old; do { old = seen; seen = atomicCAS(p, old, (unsigned short)(old + (in[INDEX] & 255))); } while (seen != old); })
EXPECT(swap_of_16_bits, unsigned short, { for (int i = 0; i < n; i++) out[i & 7] += in[i] & 255; })
KERNEL(half_atomics, unsigned short, { atomicAdd((__half *)out + (INDEX & 15), __float2half(0.5f)); })
EXPECT(half_atomics, unsigned short, { for (int k = 0; k < 16; k++) out[k] = to_half(8); })
KERNEL(brain_atomics, unsigned short, { atomicAdd((__nv_bfloat16 *)out + (INDEX & 15), __float2bfloat16(0.5f)); })
EXPECT(brain_atomics, unsigned short, { for (int k = 0; k < 16; k++) out[k] = to_brain(8); })
NEAR(brain_fused, unsigned short, "", { return __bfloat16_as_ushort(__hfma(__float2bfloat16(moderate(x)), __float2bfloat16(moderate(y)), __float2bfloat16(moderate(z)))); }, { return to_brain((float)((double)from_brain(to_brain(moderate(x))) * from_brain(to_brain(moderate(y))) + from_brain(to_brain(moderate(z))))); })
NEAR(brain_extremes, unsigned short, "", { return __bfloat16_as_ushort(__hmax(__hmin(__float2bfloat16(moderate(x)), __float2bfloat16(moderate(y))), __float2bfloat16(moderate(z)))); }, { float a = from_brain(to_brain(moderate(x))), b = from_brain(to_brain(moderate(y))), c = from_brain(to_brain(moderate(z))), m = a < b ? a : b; return to_brain(m > c ? m : c); })
NEAR(half_extremes_native, unsigned short, "", { return __half_as_ushort(__hmax(__float2half(moderate(x)), __float2half(moderate(y)))); }, { float a = from_half(to_half(moderate(x))), b = from_half(to_half(moderate(y))); return to_half(a > b ? a : b); })
NEAR(half_relu, unsigned short, "", { return __half_as_ushort(__hfma_relu(__float2half(moderate(x) / 512), __float2half(moderate(y) / 512), __float2half(moderate(z) / 512))); }, { double r = (double)from_half(to_half(moderate(x) / 512)) * from_half(to_half(moderate(y) / 512)) + from_half(to_half(moderate(z) / 512)); return r > 0 ? to_half(r) : 0; })
KERNEL(sleeps_a_little, int, { __nanosleep(100); out[INDEX] = INDEX; })
EXPECT(sleeps_a_little, int, { for (int i = 0; i < n; i++) out[i] = i; })
