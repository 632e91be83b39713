// Atomic operations: every operation and type, in global and shared memory, their results, and loops of compare and swap.
#include "suite.h"

#ifdef EXPECTATIONS
template <typename T> static T smaller(T a, T b) { return b < a ? b : a; }
template <typename T> static T larger(T a, T b) { return a < b ? b : a; }
#endif

// Eight cells, each changed by 32 threads; the order doesn't matter. `start` is what a cell begins with.
#define CELLS(name, T, operation, suffix, start, value, join)                                                                              \
    KERNEL(name, T, { int i = INDEX; T *cell = out + i % 8; if (blockIdx.x == 0) { if (threadIdx.x < 8) *cell = (T)(start); __syncthreads(); for (int k = i; k < n; k += 64) { int x = in[k]; operation##suffix(cell, (T)(value)); } } }) \
    EXPECT(name, T, { for (int k = 0; k < 8; k++) out[k] = (T)(start); for (int i = 0; i < n; i++) { int x = in[i]; T old = out[i % 8], v = (T)(value); out[i % 8] = (T)(join); } })
CELLS(add_int, int, atomicAdd, , 5, x, (unsigned)old + (unsigned)v)
CELLS(add_unsigned, unsigned, atomicAdd, , 7, x, old + v)
CELLS(add_wide, uint64, atomicAdd, , 1, (int64)x * 12345678, old + v)
CELLS(add_float, float, atomicAdd, , 0.5f, x & 255, old + v)
CELLS(add_double, double, atomicAdd, , 0.25, x & 0xffffff, old + v)
CELLS(sub_int, int, atomicSub, , 5, x, (unsigned)old - (unsigned)v)
CELLS(sub_unsigned, unsigned, atomicSub, , 7, x, old - v)
CELLS(min_int, int, atomicMin, , 1000, x, smaller(old, v))
CELLS(max_int, int, atomicMax, , -1000, x, larger(old, v))
CELLS(min_unsigned, unsigned, atomicMin, , 0xfffffff0u, x, smaller(old, v))
CELLS(max_unsigned, unsigned, atomicMax, , 3, x, larger(old, v))
CELLS(min_wide, int64, atomicMin, , 1000, (int64)x * 77777777, smaller(old, v))
CELLS(max_wide, int64, atomicMax, , -1000, (int64)x * 77777777, larger(old, v))
CELLS(min_wide_unsigned, uint64, atomicMin, , -5, (int64)x * 77777777, smaller(old, v))
CELLS(max_wide_unsigned, uint64, atomicMax, , 5, (int64)x * 77777777, larger(old, v))
CELLS(and_int, int, atomicAnd, , -1, x | 0xff00ff, old & v)
CELLS(and_unsigned, unsigned, atomicAnd, , -1, x | 0xf0f0f0f0, old & v)
CELLS(and_wide, uint64, atomicAnd, , -1, (int64)x | 0xff00ff00ff00ff, old & v)
CELLS(or_int, int, atomicOr, , 0, x & 0x5555, old | v)
CELLS(or_unsigned, unsigned, atomicOr, , 1, x & 0x88888888, old | v)
CELLS(or_wide, uint64, atomicOr, , 2, (uint64)(unsigned)x << 20, old | v)
CELLS(xor_int, int, atomicXor, , 0, x, old ^ v)
CELLS(xor_unsigned, unsigned, atomicXor, , 9, x, old ^ v)
CELLS(xor_wide, uint64, atomicXor, , 9, (uint64)(unsigned)x << 32 | 3, old ^ v)
CELLS(inc_wraps, unsigned, atomicInc, , 2, 10, old >= v ? 0 : old + 1)
CELLS(dec_wraps, unsigned, atomicDec, , 2, 10, old == 0 || old > v ? v : old - 1)
CELLS(add_int_block, int, atomicAdd, _block, 5, x, (unsigned)old + (unsigned)v)
CELLS(add_float_block, float, atomicAdd, _block, 0, x & 255, old + v)
CELLS(add_int_system, int, atomicAdd, _system, 5, x, (unsigned)old + (unsigned)v)
CELLS(add_double_system, double, atomicAdd, _system, 0, x & 255, old + v)
CELLS(max_unsigned_block, unsigned, atomicMax, _block, 3, x, larger(old, v))
CELLS(min_int_system, int, atomicMin, _system, 3, x, smaller(old, v))
CELLS(xor_wide_block, uint64, atomicXor, _block, 9, x, old ^ v)
CELLS(and_unsigned_system, unsigned, atomicAnd, _system, -1, x | 0xff, old & v)
CELLS(inc_block, unsigned, atomicInc, _block, 0, 6, old >= v ? 0 : old + 1)

// The same in shared memory.
#define SHARED_CELLS(name, T, operation, start, value, join)                                                                               \
    KERNEL(name, T, { __shared__ T cells[8]; int t = threadIdx.x; if (t < 8) cells[t] = (T)(start); __syncthreads(); { int x = in[INDEX]; operation(&cells[t % 8], (T)(value)); } __syncthreads(); if (t < 8) out[blockIdx.x * 8 + t] = cells[t]; }) \
    EXPECT(name, T, { for (int k = 0; k < 32; k++) out[k] = (T)(start); for (int i = 0; i < n; i++) { int x = in[i], c = i / 64 * 8 + i % 8; T old = out[c], v = (T)(value); out[c] = (T)(join); } })
SHARED_CELLS(shared_add_int, int, atomicAdd, 5, x, (unsigned)old + (unsigned)v)
SHARED_CELLS(shared_add_wide, uint64, atomicAdd, 5, (int64)x << 7, old + v)
SHARED_CELLS(shared_add_float, float, atomicAdd, 0.5f, x & 1023, old + v)
SHARED_CELLS(shared_add_double, double, atomicAdd, 0.5, x & 1023, old + v)
SHARED_CELLS(shared_min_int, int, atomicMin, 77, x, smaller(old, v))
SHARED_CELLS(shared_max_wide, int64, atomicMax, 77, (int64)x * x, larger(old, v))
SHARED_CELLS(shared_and, unsigned, atomicAnd, -1, x | 0xf0f, old & v)
SHARED_CELLS(shared_or, int, atomicOr, 0, x & 0x123, old | v)
SHARED_CELLS(shared_xor, uint64, atomicXor, 0, (int64)x * 3, old ^ v)
SHARED_CELLS(shared_inc, unsigned, atomicInc, 1, 4, old >= v ? 0 : old + 1)
SHARED_CELLS(shared_dec, unsigned, atomicDec, 1, 4, old == 0 || old > v ? v : old - 1)

// What an operation answers.
KERNEL(add_answers_the_old_value, int, {
    // Every ticket is given once.
    int ticket = atomicAdd(out + 255, 1);
    atomicAdd(out + ticket % 128, ticket);
})
EXPECT(add_answers_the_old_value, int, { for (int k = 0; k < n; k++) out[k % 128] += k; out[255] = n; })
KERNEL(exchange_keeps_every_value, int, { int old = atomicExch(out, INDEX + 1); atomicAdd(out + 1, old); __threadfence(); if (atomicAdd(out + 2, 1) == n - 1) out[1] += out[0], out[0] = 0; })
EXPECT(exchange_keeps_every_value, int, { out[1] = n * (n + 1) / 2; out[2] = n; })
KERNEL(exchange_wide, uint64, { uint64 old = atomicExch(out + (INDEX & 127), (uint64)INDEX << 33 | 1); if (old) atomicAdd(out + 128, 1ull); out[INDEX & 127] = 7; })
EXPECT(exchange_wide, uint64, { for (int k = 0; k < 128; k++) out[k] = 7; out[128] = 128; })
KERNEL(exchange_floats, float, { float old = atomicExch(out, INDEX + 1.0f); atomicAdd(out + 1, old); __threadfence(); if (atomicAdd(out + 2, 1.0f) == n - 1) out[1] += out[0], out[0] = 0; })
EXPECT(exchange_floats, float, { out[1] = n * (n + 1) / 2; out[2] = n; })
KERNEL(first_one_wins, int, { if (atomicCAS(out + (in[INDEX] & 63), 0, 4711) == 0) atomicAdd(out + 100, 1); })
EXPECT(first_one_wins, int, { for (int i = 0; i < n; i++) { if (!out[in[i] & 63]) out[100]++; out[in[i] & 63] = 4711; } })
KERNEL(swap_compares_all_bits, uint64, { uint64 low = atomicCAS(out + INDEX, 1ull << 32, 9ull), done = atomicCAS(out + INDEX, 0ull, 1ull << 40 | INDEX); out[INDEX] += low + done; })
EXPECT(swap_compares_all_bits, uint64, { for (int i = 0; i < n; i++) out[i] = 1ull << 40 | i; })

// Loops of compare and swap.
KERNEL(product_by_swapping, unsigned, { unsigned *p = out + (INDEX & 3), old = *p, seen; if (*(volatile unsigned *)p == 0) atomicCAS(p, 0u, 1u); do { seen = *(volatile unsigned *)p; old = atomicCAS(p, seen, seen * (2u * in[INDEX] + 1)); } while (old != seen); })
EXPECT(product_by_swapping, unsigned, { for (int k = 0; k < 4; k++) out[k] = 1; for (int i = 0; i < n; i++) out[i & 3] *= 2u * in[i] + 1; })
KERNEL(float_maximum_by_swapping, float, { int *p = (int *)out + (INDEX & 7); float v = moderate(in[INDEX] & 0x7fffffff); int seen = *(volatile int *)p; while (as_float(seen) < v) { int old = atomicCAS(p, seen, as_int(v)); if (old == seen) break; seen = old; } })
EXPECT(float_maximum_by_swapping, float, { for (int i = 0; i < n; i++) { float v = (in[i] & 0x7fffffff) / 65536.0f; if (out[i & 7] < v) out[i & 7] = v; } })
KERNEL(double_sum_by_swapping, double, { uint64 *p = (uint64 *)out, seen = *(volatile uint64 *)p, old; do { old = seen; seen = atomicCAS(p, old, (uint64)as_long(as_double(old) + (in[INDEX] & 0xffff))); } while (seen != old); })
EXPECT(double_sum_by_swapping, double, { for (int i = 0; i < n; i++) out[0] += in[i] & 0xffff; })
KERNEL(byte_sums_by_swapping, unsigned, { unsigned *p = out + (INDEX & 1), shift = 8 * (INDEX >> 1 & 3), seen = *(volatile unsigned *)p, old; do { old = seen; unsigned byte = (old >> shift & 255) + (in[INDEX] & 15); seen = atomicCAS(p, old, (old & ~(255u << shift)) | (byte & 255) << shift); } while (seen != old); })
EXPECT(byte_sums_by_swapping, unsigned, { unsigned char *b = (unsigned char *)out; for (int i = 0; i < n; i++) b[(i & 1) * 4 + (i >> 1 & 3)] += in[i] & 15; })
KERNEL(list_pushed_by_swapping, int, {
    // A stack of indices: out[0] is its head (index + 1), out[i + 1] the next of element i. Block 0 then counts.
    if (INDEX < 64) {
        int head = *(volatile int *)out, seen;
        do { seen = head; ((volatile int *)out)[INDEX + 1] = seen; __threadfence(); head = atomicCAS(out, seen, INDEX + 1); } while (head != seen);
        __syncthreads();
        if (threadIdx.x == 0) { int c = 0, s = 0; for (int at = out[0]; at; at = out[at]) c++, s += at; for (int k = 0; k < 65; k++) out[k] = 0; out[0] = c; out[1] = s; }
    }
})
EXPECT(list_pushed_by_swapping, int, { out[0] = 64; out[1] = 64 * 65 / 2; })
KERNEL(ticket_lock, int, {
    if (threadIdx.x % 16 == 0) {
        for (int mine = atomicAdd(out, 1), done = 0; !done;)
            if (*(volatile int *)(out + 1) == mine) { *(volatile int *)(out + 2) += 3; __threadfence(); atomicAdd(out + 1, 1); done = 1; }
    }
})
EXPECT(ticket_lock, int, { out[0] = 16; out[1] = 16; out[2] = 48; })
