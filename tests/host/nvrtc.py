"""A kernel that NVRTC compiles, by CuPy, and what it computes."""
import cupy

source = r"""
extern "C" __global__ void steps(const unsigned *from, unsigned *count, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned long long x = from[i];
    unsigned steps = 0;
    while (x > 1) { x = x & 1 ? 3 * x + 1 : x / 2; ++steps; }
    atomicAdd(count, steps);
}
"""
steps = cupy.RawKernel(source, "steps")
numbers = cupy.arange(1, 1_000_001, dtype=cupy.uint32)
count = cupy.zeros(1, dtype=cupy.uint32)
steps(((len(numbers) + 255) // 256,), (256,), (numbers, count, len(numbers)))
print("Collatz steps up to a million:", int(count[0]))
