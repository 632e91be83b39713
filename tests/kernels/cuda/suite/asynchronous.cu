// Copies that need not wait and barrier objects, for capability 8.0: pipelines, cp.async in all sizes, mbarrier, cuda::barrier.
#include "suite.h"
#ifndef EXPECTATIONS
#include <cuda/barrier>
#include <cuda_pipeline.h>
#endif

ON_DEVICE(
    __device__ unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
    __device__ void begin(uint64 *barrier, int count)
    {
        if (threadIdx.x == 0) asm volatile("mbarrier.init.shared.b64 [%0], %1;" :: "r"(shared_address(barrier)), "r"(count) : "memory");
        __syncthreads();
    }
    __device__ uint64 arrive(uint64 *barrier)
    {
        uint64 state;
        asm volatile("mbarrier.arrive.shared.b64 %0, [%1];" : "=l"(state) : "r"(shared_address(barrier)) : "memory");
        return state;
    }
    __device__ bool is_over(uint64 *barrier, uint64 state)
    {
        int over;
        asm volatile("{ .reg .pred p; mbarrier.test_wait.shared.b64 p, [%1], %2; selp.b32 %0, 1, 0, p; }"
            : "=r"(over) : "r"(shared_address(barrier)), "l"(state) : "memory");
        return over;
    })

// Two stages: while one is computed with, the next is on its way.
KERNEL(pipeline_of_two_stages, int, {
    __shared__ int stage[2][64];
    int sum = 0;
    __pipeline_memcpy_async(&stage[0][threadIdx.x], in + threadIdx.x, 4);
    __pipeline_commit();
    for (int i = 0; i < 4; i++) {
        if (i < 3) __pipeline_memcpy_async(&stage[(i + 1) & 1][threadIdx.x], in + (i + 1) * 64 + threadIdx.x, 4);
        __pipeline_commit();
        __pipeline_wait_prior(1);
        __syncthreads();
        sum += stage[i & 1][threadIdx.x ^ 5] * (i + 1);
        __syncthreads();
    }
    out[INDEX] = sum;
})
EXPECT(pipeline_of_two_stages, int, { for (int i = 0; i < n; i++) for (int k = 0; k < 4; k++) out[i] += in[k * 64 + (i % 64 ^ 5)] * (k + 1); })
#define COPIES(name, bytes) \
    KERNEL(name, int, { \
        __shared__ alignas(16) int copy[64]; \
        if (threadIdx.x % (bytes / 4) == 0) __pipeline_memcpy_async(copy + threadIdx.x, in + INDEX, bytes); \
        __pipeline_commit(); \
        __pipeline_wait_prior(0); \
        __syncthreads(); \
        out[INDEX] = copy[63 - threadIdx.x]; \
    }) \
    EXPECT(name, int, { for (int i = 0; i < n; i++) out[i] = in[i ^ 63]; })
COPIES(copies_of_4_bytes, 4)
COPIES(copies_of_8_bytes, 8)
COPIES(copies_of_16_bytes, 16)
KERNEL(copies_filled_with_zeros, int, {
    __shared__ alignas(16) int copy[64];
    copy[threadIdx.x] = -1;
    __syncthreads();
    if (threadIdx.x % 4 == 0) __pipeline_memcpy_async(copy + threadIdx.x, in + INDEX, 16, threadIdx.x / 4 % 4 * 4);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    out[INDEX] = copy[threadIdx.x];
})
EXPECT(copies_filled_with_zeros, int, { for (int i = 0; i < n; i++) out[i] = i % 4 < 4 - i / 4 % 4 ? in[i] : 0; })
// A source of which nothing is taken may be anywhere.
KERNEL(copies_of_nothing, int, {
    __shared__ alignas(16) int copy[64];
    copy[threadIdx.x] = -1;
    const int *source = threadIdx.x % 2 ? in + INDEX : (const int *)64;
    int bytes = threadIdx.x % 2 * 4;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(shared_address(copy + threadIdx.x)), "l"(source), "r"(bytes) : "memory");
    asm volatile("cp.async.wait_all;" ::: "memory");
    out[INDEX] = copy[threadIdx.x];
})
EXPECT(copies_of_nothing, int, { for (int i = 0; i < n; i++) out[i] = i % 2 ? in[i] : 0; })
KERNEL(copies_ignored_by_predicate, int, {
    __shared__ alignas(16) int copy[64];
    copy[threadIdx.x] = -1;
    asm volatile("{ .reg .pred p; setp.ne.s32 p, %2, 0; cp.async.ca.shared.global [%0], [%1], 4, p; }"
        :: "r"(shared_address(copy + threadIdx.x)), "l"(in + INDEX), "r"((int)threadIdx.x % 3) : "memory");
    asm volatile("cp.async.commit_group; cp.async.wait_group 0;" ::: "memory");
    out[INDEX] = copy[threadIdx.x];
})
EXPECT(copies_ignored_by_predicate, int, { for (int i = 0; i < n; i++) out[i] = i % 64 % 3 ? 0 : in[i]; })
SILENT(copy_to_a_crooked_place, {
    __shared__ alignas(16) int copy[64];
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(shared_address(copy + 1)), "l"(in) : "memory");
})
FAULTS(copy_to_a_crooked_place, "1, 32", "misaligned")
SILENT(copy_from_nowhere, {
    __shared__ alignas(16) int copy[64];
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(shared_address(copy + threadIdx.x)), "l"((const int *)64) : "memory");
})
FAULTS(copy_from_nowhere, "1, 32", "illegal")

// The object itself.
KERNEL(barrier_object_in_phases, int, {
    __shared__ uint64 barrier;
    __shared__ int values[64];
    begin(&barrier, 64);
    int sum = 0;
    for (int phase = 0; phase < 3; phase++) {
        values[threadIdx.x] = in[INDEX] + phase;
        uint64 state = arrive(&barrier);
        while (!is_over(&barrier, state));
        sum += values[63 - threadIdx.x];
        state = arrive(&barrier);
        while (!is_over(&barrier, state));
    }
    out[INDEX] = sum;
})
EXPECT(barrier_object_in_phases, int, { for (int i = 0; i < n; i++) out[i] = 3 * in[i ^ 63] + 3; })
// One warp makes what the other takes.
KERNEL(barrier_objects_between_warps, int, {
    __shared__ uint64 full;
    __shared__ uint64 empty;
    __shared__ int slot[32];
    begin(&full, 32);
    begin(&empty, 32);
    int sum = 0;
    for (int round = 0; round < 5; round++) {
        int parity = round & 1;
        uint64 *mine = threadIdx.x < 32 ? &empty : &full;
        bool waits = threadIdx.x >= 32 || round > 0;
        int phase = threadIdx.x < 32 ? parity ^ 1 : parity;
        int over = !waits;
        while (!over)
            asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared.b64 p, [%1], %2, 100; selp.b32 %0, 1, 0, p; }"
                : "=r"(over) : "r"(shared_address(mine)), "r"(phase) : "memory");
        if (threadIdx.x < 32) {
            slot[threadIdx.x] = in[(INDEX & 255) ^ round] * (round + 1);
            arrive(&full);
        } else {
            sum += slot[threadIdx.x - 32];
            arrive(&empty);
        }
    }
    out[INDEX] = sum;
})
EXPECT(barrier_objects_between_warps, int, { for (int i = 0; i < n; i++) if (i % 64 >= 32) for (int k = 0; k < 5; k++) out[i] += in[(i - 32) ^ k] * (k + 1); })
KERNEL(barrier_object_counts, unsigned, {
    __shared__ uint64 barrier;
    begin(&barrier, 5);
    if (threadIdx.x == 0) {
        uint64 state;
        unsigned pending[3];
        asm volatile("mbarrier.arrive.noComplete.shared.b64 %0, [%1], 2;" : "=l"(state) : "r"(shared_address(&barrier)) : "memory");
        asm("mbarrier.pending_count.b64 %0, %1;" : "=r"(pending[0]) : "l"(state));
        asm volatile("mbarrier.arrive_drop.shared.b64 %0, [%1];" : "=l"(state) : "r"(shared_address(&barrier)) : "memory");
        asm("mbarrier.pending_count.b64 %0, %1;" : "=r"(pending[1]) : "l"(state));
        arrive(&barrier);
        uint64 last = arrive(&barrier);
        asm("mbarrier.pending_count.b64 %0, %1;" : "=r"(pending[2]) : "l"(last));
        out[0] = pending[0];
        out[1] = pending[1];
        out[2] = pending[2];
        out[3] = is_over(&barrier, last);
        // One fewer from now on.
        state = arrive(&barrier);
        asm("mbarrier.pending_count.b64 %0, %1;" : "=r"(pending[0]) : "l"(state));
        out[4] = pending[0];
        out[5] = is_over(&barrier, state);
    }
})
EXPECT_AS(barrier_object_counts, unsigned, "1, 32", { out[0] = 5; out[1] = 3; out[2] = 1; out[3] = 1; out[4] = 4; })
KERNEL(barrier_object_behind_copies, int, {
    __shared__ uint64 barrier;
    __shared__ int copy[64];
    begin(&barrier, 64);
    __pipeline_memcpy_async(copy + threadIdx.x, in + INDEX, 4);
    asm volatile("cp.async.mbarrier.arrive.shared.b64 [%0];" :: "r"(shared_address(&barrier)) : "memory");
    uint64 state = arrive(&barrier);
    while (!is_over(&barrier, state));
    int seen = copy[63 - threadIdx.x];
    state = arrive(&barrier);
    while (!is_over(&barrier, state));
    __pipeline_memcpy_async(copy + threadIdx.x, in + (INDEX ^ 1), 4);
    asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" :: "r"(shared_address(&barrier)) : "memory");
    int over = 0;
    while (!over)
        asm volatile("{ .reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], 0; selp.b32 %0, 1, 0, p; }"
            : "=r"(over) : "r"(shared_address(&barrier)) : "memory");
    out[INDEX] = seen - copy[63 - threadIdx.x];
})
EXPECT(barrier_object_behind_copies, int, { for (int i = 0; i < n; i++) out[i] = in[i ^ 63] - in[i ^ 62]; })
KERNEL(barrier_of_the_library, int, {
    __shared__ cuda::barrier<cuda::thread_scope_block> barrier;
    __shared__ int values[64];
    if (threadIdx.x == 0) init(&barrier, 64);
    __syncthreads();
    cuda::memcpy_async(values + threadIdx.x, in + INDEX, cuda::aligned_size_t<4>(4), barrier);
    barrier.arrive_and_wait();
    int seen = values[threadIdx.x ^ 33];
    cuda::barrier<cuda::thread_scope_block>::arrival_token token = barrier.arrive();
    barrier.wait(static_cast<cuda::barrier<cuda::thread_scope_block>::arrival_token &&>(token));
    values[threadIdx.x] = seen * 3;
    barrier.arrive_and_wait();
    out[INDEX] = values[threadIdx.x ^ 7];
})
EXPECT(barrier_of_the_library, int, { for (int i = 0; i < n; i++) out[i] = in[i ^ 33 ^ 7] * 3; })
SILENT(barrier_object_outside_shared_memory, {
    uint64 state;
    asm volatile("mbarrier.arrive.b64 %0, [%1];" : "=l"(state) : "l"(in) : "memory");
})
FAULTS(barrier_object_outside_shared_memory, "1, 32", "illegal")
