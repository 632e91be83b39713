// Control flow: what compilers make of branches, loops, switches and jumps, and lanes that part and meet again.
#include "suite.h"

EACH(if_without_else, int, { int r = x; if (x > 0) r = y; return r; })
EACH(if_else, int, { if (x > y) return (int)(ux - uy); else return (int)(ux + uy); })
EACH(if_chain, int, {
    if (x < -1000) return 1;
    else if (x < 0) return 2;
    else if (x == 0) return 3;
    else if (x < 1000) return 4;
    else if (x < 100000) return 5;
    return 6;
})
EACH(nested_if, int, {
    int r = 0;
    if (x & 1) { r += 1; if (x & 2) { r += 2; if (x & 4) { r += 4; if (x & 8) r += 8; else r -= 100; } else r *= 7; } else r ^= 33; }
    else if (y & 1) { r = 1000; if (z & 1) r++; }
    return r;
})
EACH(short_circuit_and, int, { int calls = 0; auto f = [&](int v) { calls++; return (v & 3) != 0; }; bool b = f(x) && f(y) && f(z); return calls * 2 + b; })
EACH(short_circuit_or, int, { int calls = 0; auto f = [&](int v) { calls++; return (v & 7) == 0; }; bool b = f(x) || f(y) || f(z); return calls * 2 + b; })
EACH(short_circuit_mixed, int, { return ((x > 0 && y > 0) || (x < 0 && y < 0 && z != 0)) ? 1 : (x > y || (y > z && x < z)) ? 2 : 3; })
EACH(guarded_access, int, { const int *p = x & 1 ? in : nullptr; return p && p[i] > 0 ? p[i] : -1; })
EACH(ternary_nested, int, { return x < y ? (y < z ? 1 : x < z ? 2 : 3) : (x < z ? 4 : y < z ? 5 : 6); })
EACH(comma_operator, int, { int a = 1, b = 2; return (a += x & 15, b *= a, a ^ b); })

EACH(for_counted, int, { int s = 0; for (int k = 0; k < 37; k++) s += k * (x & 255); return s; })
EACH(for_by_lane, int, { int s = 0; for (int k = 0; k < (i & 31); k++) s += in[k] & 255; return s; })
EACH(for_by_value, int, { int s = 1; for (unsigned k = 0; k < (ux & 63); k += 1 + (k & 3)) s = s * 3 + 1 & 0xffff; return s; })
EACH(for_downwards, int, { int s = 0; for (int k = x & 31; k >= 0; k -= 3) s = s * 5 + k & 0xfffff; return s; })
EACH(for_two_variables, int, { int s = 0; for (int a = 0, b = 40; a < b; a += 1 + (x & 1), b -= 1 + (y & 1)) s += a * b; return s; })
EACH(while_loop, int, { unsigned v = ux, bits = 0; while (v) { v &= v - 1; bits++; } return bits; })
EACH(do_while, int, { unsigned v = ux; int steps = 0; do { v = v / 3; steps++; } while (v); return steps; })
EACH(break_out, int, { int k; for (k = 0; k < 100; k++) if (((ux + k) & 15) == 9) break; return k; })
EACH(continue_over, int, { int s = 0; for (int k = 0; k < 32; k++) { if (ux >> k & 1) continue; s += k; } return s; })
EACH(break_and_continue, int, { int s = 0; for (int k = 0; k < 64; k++) { if (k % 3 == (x & 3)) continue; if (s > (y & 511)) break; s += k; } return s; })
EACH(nested_loops, int, { int s = 0; for (int a = 0; a < (x & 7); a++) for (int b = a; b < (y & 7); b++) s += a * 8 + b; return s; })
EACH(break_inner, int, { int s = 0; for (int a = 0; a < 8; a++) { for (int b = 0; b < 8; b++) { if ((a ^ b) == (x & 7)) break; s += b; } s += 100; } return s; })
EACH(break_both, int, { int a, b = 0; bool found = false; for (a = 0; a < 16 && !found; a++) for (b = 0; b < 16; b++) if (a * b > (x & 127)) { found = true; break; } return a * 100 + b; })
EACH(loop_with_three_exits, int, {
    for (int k = 0; k < 50; k++) {
        if (((ux >> 3) + k) % 11 == 0) return k;
        if (((uy >> 3) + k) % 13 == 0) return 100 + k;
        if (((uz >> 3) + 2 * k) % 17 == 0) return 200 + k;
    }
    return -1;
})
EACH(unrolled_loop, int, {
    int s = 0;
    _Pragma("unroll")
    for (int k = 0; k < 8; k++) s = s * 31 + (int)(ux >> k & 0xf) & 0xfffffff;
    return s;
})
EACH(partly_unrolled_loop, int, {
    unsigned s = 0;
    _Pragma("unroll 4")
    for (int k = 0; k < (x & 31); k++) s = s * 31 + (uy >> (k & 15));
    return s;
})
EACH(not_unrolled_loop, int, {
    unsigned s = 0;
    _Pragma("unroll 1")
    for (int k = 0; k < 20; k++) s = (s << 1 | s >> 31) ^ ux;
    return s;
})
EACH(collatz_length, int, { unsigned v = (ux & 1023) + 1; int steps = 0; while (v != 1 && steps < 500) v = v & 1 ? 3 * v + 1 : v / 2, steps++; return steps; })
EACH(greatest_common_divisor, int, { unsigned a = ux & 0xffff, b = uy & 0xffff; while (b) { unsigned t = a % b; a = b; b = t; } return a; })
EACH(integer_root, int, { unsigned low = 0, high = 65536; while (high - low > 1) { unsigned middle = (low + high) / 2; if ((uint64)middle * middle <= ux) low = middle; else high = middle; } return low; })
EACH(power_by_squaring, int, { unsigned r = 1, b = ux | 1, e = uy & 31; while (e) { if (e & 1) r *= b; b *= b; e >>= 1; } return r; })
EACH(is_prime, int, { unsigned v = (ux >> 8) & 4095; if (v < 2) return 0; for (unsigned d = 2; d * d <= v; d++) if (v % d == 0) return 0; return 1; })
EACH(digits_reversed, int, { unsigned v = ux, r = 0; while (v) { r = r * 10 + v % 10; v /= 10; } return r; })

EACH(switch_dense, int, {
    switch (x & 7) { case 0: return y; case 1: return (int)~uy; case 2: return y >> 3; case 3: return (int)(uy << 3); case 4: return y & 255; case 5: return y | 255; case 6: return y ^ 255; default: return 7; }
})
EACH(switch_sparse, int, {
    switch (x & 0xff) { case 3: return 1; case 17: return 2; case 64: case 65: return 3; case 128: return 4; case 200: return 5; case 255: return 6; }
    return 0;
})
EACH(switch_falls_through, int, {
    int r = 0;
    switch (x & 7) { case 7: r += 1; case 6: r += 10; case 5: r += 100; break; case 4: r += 1000; case 3: r += 10000; default: r += 5; case 1: r += 7; }
    return r;
})
EACH(switch_negative, int, { switch (x % 5) { case -4: return 44; case -3: return 33; case -2: return 22; case -1: return 11; case 0: return 0; case 1: return 1; case 2: return 2; default: return 99; } })
EACH(switch_of_64_bits, int, { uint64 v = (uint64)(x & 3) << 40; switch (v) { case 0: return 5; case 1ull << 40: return 6; case 2ull << 40: return 7; default: return 8; } })
EACH(switch_in_loop, int, {
    int state = 0; unsigned s = 0;
    for (int k = 0; k < 32; k++) switch (state) {
        case 0: state = ux >> k & 1 ? 1 : 2; s += 1; break;
        case 1: state = ux >> k & 1 ? 3 : 0; s += 10; break;
        case 2: state = ux >> k & 1 ? 0 : 3; s += 100; break;
        case 3: state = ux >> k & 1; s *= 3; continue;
    }
    return s * 4 + state;
})
EACH(switch_of_sixteen, int, {
    unsigned r = uy;
    switch (ux >> 4 & 15) {
    case 0: r += 1; break; case 1: r *= 3; break; case 2: r -= 9; break; case 3: r ^= 0xaaaa; break;
    case 4: r >>= 2; break; case 5: r <<= 2; break; case 6: r |= 0xf0; break; case 7: r &= 0xfff; break;
    case 8: r = ~r; break; case 9: r = 0u - r; break; case 10: r %= 1000; break; case 11: r /= 7; break;
    case 12: r = r * r; break; case 13: r = r >> 16 | r << 16; break; case 14: r = r & 1 ? 5 : 6; break; default: r = 0;
    }
    return r;
})
EACH(duffs_device, int, {
    int count = (x & 31) + 1, s = 0, at = 0, rounds = (count + 3) / 4;
    switch (count % 4) { case 0: do { s += in[at++] & 255; case 3: s += in[at++] & 255; case 2: s += in[at++] & 255; case 1: s += in[at++] & 255; } while (--rounds > 0); }
    return s;
})

EACH(goto_forwards, int, { int r = 1; if (x < 0) goto negative; r = 2; if (y < 0) goto negative; r = 3; goto done; negative: r += 10; done: return r; })
EACH(goto_backwards, int, { unsigned v = ux; int k = 0; again: v = v * 5 + 1; if (++k < 20 && (v & 7) != 3) goto again; return k; })
EACH(goto_out_of_loops, int, { int a, b; for (a = 0; a < 10; a++) for (b = 0; b < 10; b++) if (((unsigned)(a * 10 + b) ^ ux) % 37 == 0) goto found; return -1; found: return a * 10 + b; })
EACH(goto_into_loop, int, { int s = 0, k = x & 15; if (y & 1) goto middle; top: s += 3; middle: s += k; if (++k < 20) goto top; return s; })
EACH(goto_state_machine, int, {
    unsigned v = ux; int s = 0, k = 0;
a:  if (k++ > 40) return s; s += 1; v = v >> 1 | v << 31; if (v & 1) goto b; else goto c;
b:  if (k++ > 40) return s; s += 3; v = v >> 1 | v << 31; if (v & 1) goto c; else goto a;
c:  if (k++ > 40) return s; s ^= 5; v = v >> 1 | v << 31; if (v & 1) goto a; else goto b;
})

EACH(early_return, int, { if (x % 3 == 0) return -3; if (x % 5 == 0) return -5; int s = 0; for (int k = 0; k < 10; k++) { s += k; if (s > (y & 63)) return s; } return 77; })
EACH(return_in_nested_loop, int, { for (int a = 1; a < 12; a++) for (int b = a; b < 12; b++) if ((unsigned)(a * a + b * b) % 61 == ux % 61) return a * 16 + b; return 0; })

KERNEL(lanes_leave_one_by_one, int, {
    int i = INDEX;
    for (int k = 0;; k++) { out[i] = k; if (k == (i & 31)) return; }
})
EXPECT(lanes_leave_one_by_one, int, { for (int i = 0; i < n; i++) out[i] = i & 31; })

KERNEL(whole_warps_leave, int, {
    int i = INDEX;
    if ((i >> 5) & 1) return;
    __syncthreads();
    out[i] = i;
})
EXPECT(whole_warps_leave, int, { for (int i = 0; i < n; i++) out[i] = (i >> 5) & 1 ? 0 : i; })

KERNEL(barriers_in_uniform_branch, int, {
    __shared__ int s[64];
    int i = INDEX, t = threadIdx.x;
    s[t] = in[i];
    if (blockIdx.x & 1) { __syncthreads(); out[i] = s[63 - t]; }
    else { __syncthreads(); out[i] = s[t ^ 1]; __syncthreads(); }
})
EXPECT(barriers_in_uniform_branch, int, { for (int i = 0; i < n; i++) { int base = i & ~63, t = i & 63; out[i] = in[base + (base & 64 ? 63 - t : t ^ 1)]; } })

KERNEL(barriers_in_loop, int, {
    __shared__ int s[64];
    int t = threadIdx.x, i = INDEX;
    s[t] = in[i] & 0xffff;
    for (int k = 1; k < 64; k *= 2) { __syncthreads(); int v = s[t ^ k]; __syncthreads(); s[t] += v; }
    out[i] = s[t];
})
EXPECT(barriers_in_loop, int, { for (int b = 0; b < n; b += 64) { int s = 0; for (int k = 0; k < 64; k++) s += in[b + k] & 0xffff; for (int k = 0; k < 64; k++) out[b + k] = s; } })

KERNEL(divergent_lanes_count_together, int, {
    // Lanes that part must all come back before the ballot of those who are here.
    int i = INDEX, steps = 0;
    for (int k = 0; k < (i & 7); k++) steps++;
    if (in[i] & 1) steps += 10; else steps += 20;
    out[i] = steps * 1000 + __popc(__ballot_sync(~0u, in[i] & 1));
})
EXPECT(divergent_lanes_count_together, int, {
    for (int w = 0; w < n; w += 32) {
        int odd = 0;
        for (int k = 0; k < 32; k++) odd += in[w + k] & 1;
        for (int k = 0; k < 32; k++) out[w + k] = ((k & 7) + (in[w + k] & 1 ? 10 : 20)) * 1000 + odd;
    }
})

KERNEL(lanes_wait_for_each_other, int, {
    // A lane spins until its neighbour below has passed: needs forward progress of each lane.
    __shared__ volatile int passed[64];
    int t = threadIdx.x;
    passed[t] = 0;
    __syncthreads();
    if (t > 0) while (passed[t - 1] == 0) {}
    passed[t] = t > 0 ? passed[t - 1] + 1 : 1;
    __syncthreads();
    out[INDEX] = passed[t];
})
EXPECT(lanes_wait_for_each_other, int, { for (int i = 0; i < n; i++) out[i] = (i & 63) + 1; })

KERNEL(critical_section_per_lane, int, {
    // The lock is taken and given back inside one branch, as it has to be where lanes share a program counter.
    int *lock = out + 255, *value = out;
    for (bool done = false; !done;) {
        if (atomicCAS(lock, 0, 1) == 0) {
            *(volatile int *)value = *(volatile int *)value + 1;
            __threadfence();
            atomicExch(lock, 0);
            done = true;
        }
    }
})
EXPECT(critical_section_per_lane, int, { out[0] = n; })

KERNEL(grid_of_three_dimensions, int, {
    int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    int i = block * (blockDim.x * blockDim.y * blockDim.z) + thread;
    out[i] = blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z + 1000 * threadIdx.x + 10000 * threadIdx.y + 100000 * threadIdx.z;
})
EXPECT_AS(grid_of_three_dimensions, int, "2x3x2, 3x2x3", {
    for (int i = 0; i < 2 * 3 * 2 * 18; i++) {
        int b = i / 18, t = i % 18;
        out[i] = b % 2 + 10 * (b / 2 % 3) + 100 * (b / 6) + 1000 * (t % 3) + 10000 * (t / 3 % 2) + 100000 * (t / 6);
    }
})

KERNEL(big_grid, int, { if (threadIdx.x == 0) atomicAdd(&out[blockIdx.x & 255], 1 + (int)(blockIdx.y & 1)); })
EXPECT_AS(big_grid, int, "2000x3, 32", { for (int b = 0; b < 2000; b++) out[b & 255] += 1 + 2 + 1; })

KERNEL(block_of_1024, int, {
    __shared__ int s;
    if (threadIdx.x == 0) s = 0;
    __syncthreads();
    atomicAdd(&s, 1);
    __syncthreads();
    if (threadIdx.x < 256) out[threadIdx.x] = s + threadIdx.x;
})
EXPECT_AS(block_of_1024, int, "1, 1024", { for (int i = 0; i < n; i++) out[i] = 1024 + i; })

KERNEL(part_of_a_warp, int, { int i = blockIdx.x * 17 + threadIdx.x; if (i < n) out[i] = __popc(__activemask()) + i; })
EXPECT_AS(part_of_a_warp, int, "15, 17", { for (int i = 0; i < 255; i++) out[i] = 17 + i; })

ON_DEVICE(extern "C" __global__ void __launch_bounds__(64, 2) bounded_launch(const int *in, int *out, int n) { int i = INDEX; out[i] = in[i] / 3; })
EXPECT(bounded_launch, int, { for (int i = 0; i < n; i++) out[i] = in[i] / 3; })

KERNEL(grid_stride_loop, int, { for (int i = INDEX; i < n; i += gridDim.x * blockDim.x) out[i] = in[i] ^ i; })
EXPECT_AS(grid_stride_loop, int, "3, 16", { for (int i = 0; i < n; i++) out[i] = in[i] ^ i; })
