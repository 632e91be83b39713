// What lanes of a warp do together: shuffles, votes, matches, and code that relies on lanes in step.
#include "suite.h"

// Shuffles. The host's side works out where each lane's value comes from, by the rules of the programming guide.
#ifdef EXPECTATIONS
// The lane that `lane` reads from in segments of `width`; itself where that would be outside.
static int source(int lane, int other, int width) { return (lane & ~(width - 1)) | (other & (width - 1)); }
static int source_up(int lane, int other, int width) { return lane - other < (lane & ~(width - 1)) ? lane : lane - other; }
static int source_down(int lane, int other, int width) { return lane + other > (lane | (width - 1)) ? lane : lane + other; }
static int source_xor(int lane, int other, int width) { return (lane ^ other) > (lane | (width - 1)) ? lane : lane ^ other; }
#endif
#define SHUFFLED(name, mode, other, width)                                                                                \
    KERNEL(name, int, { int lane = threadIdx.x & 31; out[INDEX] = __shfl##mode##_sync(~0u, in[INDEX], other, width) + lane; }) \
    EXPECT(name, int, { for (int i = 0; i < n; i++) { int lane = i & 31; out[i] = (int)((unsigned)in[(i & ~31) + source##mode(lane, other, width)] + lane); } })
SHUFFLED(shuffle_up_by_1, _up, 1, 32)
SHUFFLED(shuffle_up_by_7, _up, 7, 32)
SHUFFLED(shuffle_up_in_eights, _up, 3, 8)
SHUFFLED(shuffle_up_in_pairs, _up, 1, 2)
SHUFFLED(shuffle_down_by_1, _down, 1, 32)
SHUFFLED(shuffle_down_by_16, _down, 16, 32)
SHUFFLED(shuffle_down_in_sixteens, _down, 5, 16)
SHUFFLED(shuffle_down_in_fours, _down, 2, 4)
SHUFFLED(shuffle_xor_by_1, _xor, 1, 32)
SHUFFLED(shuffle_xor_by_31, _xor, 31, 32)
SHUFFLED(shuffle_xor_in_eights, _xor, 6, 8)
SHUFFLED(shuffle_xor_beyond_the_segment, _xor, 12, 8)
SHUFFLED(shuffle_from_lane_0, , 0, 32)
SHUFFLED(shuffle_from_lane_17, , 17, 32)
SHUFFLED(shuffle_from_a_computed_lane, , (lane * 5 + 3) & 31, 32)
SHUFFLED(shuffle_within_fours, , 2, 4)
SHUFFLED(shuffle_lane_wraps, , 37, 32)
SHUFFLED(shuffle_computed_within_sixteens, , lane * 3 + 1, 16)
SHUFFLED(shuffle_up_by_lane, _up, lane & 3, 32)
SHUFFLED(shuffle_down_by_lane, _down, lane >> 2, 32)
SHUFFLED(shuffle_xor_by_lane, _xor, lane & 1 ? 3 : 3, 32)

KERNEL(shuffle_doubles, double, { out[INDEX] = __shfl_xor_sync(~0u, in[INDEX] / 3.0, 5); })
EXPECT(shuffle_doubles, double, { for (int i = 0; i < n; i++) out[i] = in[i ^ 5] / 3.0; })
KERNEL(shuffle_floats, float, { out[INDEX] = __shfl_down_sync(~0u, in[INDEX] * 0.5f, 4); })
EXPECT(shuffle_floats, float, { for (int i = 0; i < n; i++) out[i] = in[(i & 31) < 28 ? i + 4 : i] * 0.5f; })
KERNEL(shuffle_wides, int64, { out[INDEX] = __shfl_sync(~0u, (long long)in[INDEX] * 1000003, 31 - (threadIdx.x & 31)); })
EXPECT(shuffle_wides, int64, { for (int i = 0; i < n; i++) out[i] = (int64)in[i ^ 31] * 1000003; })

KERNEL(shuffle_among_half_the_warp, int, {
    int lane = threadIdx.x & 31, v = in[INDEX];
    if (lane < 16) v = __shfl_xor_sync(0xffffu, v, 8); else v = __shfl_xor_sync(0xffff0000u, v, 1);
    out[INDEX] = v;
})
EXPECT(shuffle_among_half_the_warp, int, { for (int i = 0; i < n; i++) out[i] = in[i ^ ((i & 31) < 16 ? 8 : 1)]; })

KERNEL(shuffle_among_odd_lanes, int, { int v = in[INDEX]; if (threadIdx.x & 1) v = __shfl_sync(0xaaaaaaaau, v, (threadIdx.x & 31) ^ 6); out[INDEX] = v; })
EXPECT(shuffle_among_odd_lanes, int, { for (int i = 0; i < n; i++) out[i] = in[i & 1 ? i ^ 6 : i]; })

KERNEL(shuffle_from_divergent_code, int, {
    // Lanes reach the same shuffle by different ways and at different times.
    int lane = threadIdx.x & 31, v = in[INDEX];
    for (int k = 0; k < lane % 5; k++) v = (int)((unsigned)v * 3u + 1u);
    v = __shfl_sync(~0u, v, lane ^ 9);
    out[INDEX] = v;
})
EXPECT(shuffle_from_divergent_code, int, { for (int i = 0; i < n; i++) { int j = i ^ 9; unsigned v = in[j]; for (int k = 0; k < (j & 31) % 5; k++) v = v * 3 + 1; out[i] = v; } })

// Votes.
KERNEL(ballot_of_all, unsigned, { out[INDEX] = __ballot_sync(~0u, in[INDEX] & 1); })
EXPECT(ballot_of_all, unsigned, { for (int i = 0; i < n; i++) for (int k = 0; k < 32; k++) out[i] |= (in[(i & ~31) + k] & 1u) << k; })
KERNEL(ballot_of_some, unsigned, { unsigned r = 0; if ((threadIdx.x & 31) % 3 == 0) r = __ballot_sync(0x49249249u, in[INDEX] > 0); out[INDEX] = r; })
EXPECT(ballot_of_some, unsigned, { for (int i = 0; i < n; i++) if ((i & 31) % 3 == 0) for (int k = 0; k < 32; k += 3) out[i] |= (unsigned)(in[(i & ~31) + k] > 0) << k; })
KERNEL(all_and_any, int, { int v = in[INDEX], lane = threadIdx.x & 31; out[INDEX] = (__all_sync(~0u, v != 77) != 0) | (__all_sync(~0u, lane < 31) != 0) << 1 | (__any_sync(~0u, lane == 13) != 0) << 2 | (__any_sync(~0u, lane == 32) != 0) << 3; })
EXPECT(all_and_any, int, { for (int i = 0; i < n; i++) out[i] = 1 | 4; })
KERNEL(all_by_data, int, { out[INDEX] = (__all_sync(~0u, in[INDEX] != 1) != 0) + 2 * (__any_sync(~0u, in[INDEX] == 0x7fffffff) != 0); })
EXPECT(all_by_data, int, { for (int i = 0; i < n; i++) { int none = 1, any = 0; for (int k = 0; k < 32; k++) { none &= in[(i & ~31) + k] != 1; any |= in[(i & ~31) + k] == 0x7fffffff; } out[i] = none + 2 * any; } })
KERNEL(vote_among_half_the_warp, int, { int lane = threadIdx.x & 31, r; if (lane < 16) r = __all_sync(0xffffu, lane < 16) != 0; else r = 10 + (__any_sync(0xffff0000u, lane < 16) != 0); out[INDEX] = r; })
EXPECT(vote_among_half_the_warp, int, { for (int i = 0; i < n; i++) out[i] = (i & 31) < 16 ? 1 : 10; })
KERNEL(ballot_in_part_of_a_block, unsigned, { if (threadIdx.x < 40) out[threadIdx.x] = __ballot_sync(threadIdx.x < 32 ? ~0u : 0xffu, threadIdx.x % 3 == 0); })
EXPECT_AS(ballot_in_part_of_a_block, unsigned, "1, 40", { for (int i = 0; i < 40; i++) for (int k = 0; k < (i < 32 ? 32 : 8); k++) out[i] |= (unsigned)(((i & ~31) + k) % 3 == 0) << k; })
KERNEL(active_lanes, unsigned, { unsigned r = 5; if (!(threadIdx.x & 2)) r = __activemask(); out[INDEX] = r; })
EXPECT(active_lanes, unsigned, { for (int i = 0; i < n; i++) out[i] = i & 2 ? 5 : 0x33333333; })
KERNEL(ranks_by_ballot, int, { unsigned b = __ballot_sync(~0u, in[INDEX] & 1); out[INDEX] = __popc(b & ((1u << (threadIdx.x & 31)) - 1)); })
EXPECT(ranks_by_ballot, int, { for (int i = 0; i < n; i++) for (int k = i & ~31; k < i; k++) out[i] += in[k] & 1; })

// Whole patterns.
KERNEL(warp_sum, int, { int v = in[INDEX]; for (int d = 16; d; d /= 2) v += __shfl_xor_sync(~0u, v, d); out[INDEX] = v; })
EXPECT(warp_sum, int, { for (int i = 0; i < n; i++) { unsigned s = 0; for (int k = 0; k < 32; k++) s += in[(i & ~31) + k]; out[i] = s; } })
KERNEL(warp_maximum, int, { int v = in[INDEX]; for (int d = 16; d; d /= 2) { int o = __shfl_down_sync(~0u, v, d); v = o > v ? o : v; } out[INDEX] = __shfl_sync(~0u, v, 0); })
EXPECT(warp_maximum, int, { for (int i = 0; i < n; i++) { out[i] = in[i & ~31]; for (int k = 0; k < 32; k++) if (in[(i & ~31) + k] > out[i]) out[i] = in[(i & ~31) + k]; } })
KERNEL(warp_inclusive_scan, int, { int v = in[INDEX], lane = threadIdx.x & 31; for (int d = 1; d < 32; d *= 2) { int o = __shfl_up_sync(~0u, v, d); if (lane >= d) v += o; } out[INDEX] = v; })
EXPECT(warp_inclusive_scan, int, { for (int i = 0; i < n; i++) out[i] = (i & 31 ? (unsigned)out[i - 1] : 0u) + (unsigned)in[i]; })
KERNEL(warp_scan_in_eights, int, { int v = in[INDEX], lane = threadIdx.x & 7; for (int d = 1; d < 8; d *= 2) { int o = __shfl_up_sync(~0u, v, d, 8); if (lane >= d) v += o; } out[INDEX] = v; })
EXPECT(warp_scan_in_eights, int, { for (int i = 0; i < n; i++) out[i] = (i & 7 ? (unsigned)out[i - 1] : 0u) + (unsigned)in[i]; })
KERNEL(warp_bitonic_sort, int, { int v = in[INDEX], lane = threadIdx.x & 31; for (int size = 2; size <= 32; size *= 2) for (int d = size / 2; d; d /= 2) { int o = __shfl_xor_sync(~0u, v, d); bool up = (lane & size) == 0, low = (lane & d) == 0; v = up == low ? (v < o ? v : o) : (v > o ? v : o); } out[INDEX] = v; })
EXPECT(warp_bitonic_sort, int, { for (int b = 0; b < n; b += 32) { for (int k = 0; k < 32; k++) out[b + k] = in[b + k]; for (int k = 1; k < 32; k++) for (int j = b + k; j > b && out[j - 1] > out[j]; j--) { int v = out[j]; out[j] = out[j - 1]; out[j - 1] = v; } } })
KERNEL(warp_transposes_8x4, int, { int lane = threadIdx.x & 31; out[INDEX] = __shfl_sync(~0u, in[INDEX], (lane & 3) * 8 + (lane >> 2)); })
EXPECT(warp_transposes_8x4, int, { for (int i = 0; i < n; i++) { int lane = i & 31; out[i] = in[(i & ~31) + (lane & 3) * 8 + (lane >> 2)]; } })
KERNEL(block_sum_by_warps, int, { __shared__ int s[2]; int v = in[INDEX]; for (int d = 16; d; d /= 2) v += __shfl_down_sync(~0u, v, d); if ((threadIdx.x & 31) == 0) s[threadIdx.x >> 5] = v; __syncthreads(); out[INDEX] = s[0] + s[1]; })
EXPECT(block_sum_by_warps, int, { for (int b = 0; b < n; b += 64) { unsigned s = 0; for (int k = 0; k < 64; k++) s += in[b + k]; for (int k = 0; k < 64; k++) out[b + k] = s; } })
KERNEL(one_atomic_per_warp, int, { unsigned b = __ballot_sync(~0u, in[INDEX] > 0); if ((threadIdx.x & 31) == 0) atomicAdd(out, __popc(b)); })
EXPECT(one_atomic_per_warp, int, { for (int i = 0; i < n; i++) out[0] += in[i] > 0; })
KERNEL(leader_among_active, int, {
    // Lanes that want a place choose a leader, who asks once for all of them.
    if (in[INDEX] & 1) {
        unsigned here = __activemask(), lane = threadIdx.x & 31, before = __popc(here & ((1u << lane) - 1)); int base = 0, leader = __ffs(here) - 1;
        if ((int)lane == leader) base = atomicAdd(out + 255, __popc(here));
        base = __shfl_sync(here, base, leader);
        atomicAdd(out + (base + before) % 128, 1);
    }
})
EXPECT(leader_among_active, int, { for (int i = 0; i < n; i++) if (in[i] & 1) { out[out[255] % 128]++; out[255]++; } })
KERNEL(lanes_in_step, int, { __shared__ int s[64]; int t = threadIdx.x; s[t] = in[INDEX]; __syncwarp(); int v = s[t ^ 1]; __syncwarp(); s[t] = v * 2; __syncwarp(); out[INDEX] = s[t ^ 3]; })
EXPECT(lanes_in_step, int, { for (int i = 0; i < n; i++) out[i] = (int)((unsigned)in[i ^ 2] * 2); })
KERNEL(part_of_the_lanes_in_step, int, { __shared__ int s[64]; int t = threadIdx.x; s[t] = 0; if (t & 1) { s[t] = in[INDEX]; __syncwarp(0xaaaaaaaau); s[t - 1] = s[t ^ 2]; __syncwarp(0xaaaaaaaau); } __syncwarp(); out[INDEX] = s[t]; })
EXPECT(part_of_the_lanes_in_step, int, { for (int i = 0; i < n; i++) out[i] = i & 1 ? in[i] : in[(i + 1) ^ 2]; })
KERNEL(work_shared_by_lanes, int, {
    // Lanes take turns at being served by the whole warp.
    int lane = threadIdx.x & 31, mine = in[INDEX] & 63, result = 0;
    for (unsigned left = __ballot_sync(~0u, mine & 1); left; left &= left - 1) {
        int served = __ffs(left) - 1, v = __shfl_sync(~0u, mine, served), s = lane < v ? lane : 0;
        for (int d = 16; d; d /= 2) s += __shfl_xor_sync(~0u, s, d);
        if (lane == served) result = s;
    }
    out[INDEX] = result;
})
EXPECT(work_shared_by_lanes, int, { for (int i = 0; i < n; i++) { int m = in[i] & 63; if (m & 1) for (int k = 0; k < 32 && k < m; k++) out[i] += k; } })
KERNEL(special_registers, unsigned, {
    unsigned lane, eq, lt, le, gt, ge, warp, warps;
    asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane)); asm volatile("mov.u32 %0, %%lanemask_eq;" : "=r"(eq)); asm volatile("mov.u32 %0, %%lanemask_lt;" : "=r"(lt)); asm volatile("mov.u32 %0, %%lanemask_le;" : "=r"(le));
    asm volatile("mov.u32 %0, %%lanemask_gt;" : "=r"(gt)); asm volatile("mov.u32 %0, %%lanemask_ge;" : "=r"(ge)); asm volatile("mov.u32 %0, %%warpid;" : "=r"(warp)); asm volatile("mov.u32 %0, %%nwarpid;" : "=r"(warps));
    out[INDEX] = lane + 100 * (eq == 1u << lane) + 200 * (lt == eq - 1) + 400 * (le == (eq | lt)) + 800 * (gt == ~le) + 1600 * (ge == ~lt) + 3200 * (warp == threadIdx.x / 32) + 6400 * (warps >= 2);
})
EXPECT(special_registers, unsigned, { for (int i = 0; i < n; i++) out[i] = (i & 31) + 12700; })
KERNEL(tiles_vote_for_themselves, unsigned, {
    // One instruction for all lanes, with another mask for each eight of them.
    unsigned lane = threadIdx.x & 31, tile = 0xffu << (lane & 24);
    out[INDEX] = __ballot_sync(tile, in[INDEX] & 1) + (__any_sync(tile, in[INDEX] == 1) != 0) + 2 * (__all_sync(tile, in[INDEX] != 0) != 0);
})
EXPECT(tiles_vote_for_themselves, unsigned, {
    for (int i = 0; i < n; i++) {
        unsigned ballot = 0, any = 0, all = 1;
        for (int k = i & ~7; k <= (i | 7); k++) { ballot |= (in[k] & 1u) << (k & 31); any |= in[k] == 1; all &= in[k] != 0; }
        out[i] = ballot + any + 2 * all;
    }
})
KERNEL(tiles_wait_for_themselves, int, {
    // Tiles of four come to the same place at different times, and only a tile's own lanes wait for each other.
    __shared__ int s[64]; int t = threadIdx.x; unsigned tile = 0xfu << (t & 28);
    for (int k = 0; k < (t & 31); k++) s[t] = in[INDEX] + k;
    s[t] = in[INDEX];
    __syncwarp(tile);
    out[INDEX] = s[t ^ 3] + (int)__popc(__ballot_sync(tile, 1));
})
EXPECT(tiles_wait_for_themselves, int, { for (int i = 0; i < n; i++) out[i] = (int)((unsigned)in[i ^ 3] + 4u); })
