"""numba-cuda: Python functions compiled by NVVM to PTX, linked by the driver's linker, against numpy."""
import math
import warnings

import numpy as np
from numba import cuda, float32, float64, int32, vectorize, guvectorize
from numba.cuda.random import create_xoroshiro128p_states, xoroshiro128p_uniform_float32

from cases import case, lacking, run

warnings.filterwarnings("ignore")
close = np.testing.assert_allclose
equal = np.testing.assert_array_equal


@case
def vector_addition():
    @cuda.jit
    def kernel(a, b, out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = a[i] + b[i]

    a, b = np.arange(5000, dtype=np.float32), np.linspace(0, 9, 5000, dtype=np.float32)
    out = np.zeros_like(a)
    kernel[40, 128](a, b, out)
    equal(out, a + b)


@case
def functions_f32():
    @cuda.jit
    def kernel(x, out):
        i = cuda.grid(1)
        if i < x.size:
            out[i] = math.sin(x[i]) + math.exp(-x[i]) * math.sqrt(x[i]) + math.log(x[i] + 1) + math.atan2(x[i], 2) + math.erf(x[i])

    x = np.linspace(0.1, 20, 2000, dtype=np.float32)
    out = np.zeros_like(x)
    kernel[16, 128](x, out)
    wide = x.astype(np.float64)
    erf = np.array([math.erf(it) for it in wide])
    close(out, np.sin(wide) + np.exp(-wide) * np.sqrt(wide) + np.log(wide + 1) + np.arctan2(wide, 2) + erf, rtol=2e-5, atol=2e-6)


@case
def functions_f64():
    @cuda.jit
    def kernel(x, out):
        i = cuda.grid(1)
        if i < x.size:
            out[i] = math.sin(x[i]) * math.cos(x[i]) + math.pow(x[i], 1.7) + math.tanh(x[i]) + math.lgamma(x[i])

    # Large arguments take the slow path of the argument reduction, which uses carry chains.
    x = np.concatenate([np.linspace(0.1, 50, 500), np.logspace(5, 15, 100)])
    out = np.zeros_like(x)
    kernel[5, 128](x, out)
    expected = [math.sin(it) * math.cos(it) + math.pow(it, 1.7) + math.tanh(it) + math.lgamma(it) for it in x]
    close(out, expected, rtol=1e-12, atol=1e-12)


@case
def integers():
    @cuda.jit
    def kernel(a, b, out):
        i = cuda.grid(1)
        if i < a.size:
            out[i, 0] = a[i] // b[i]
            out[i, 1] = a[i] % b[i]
            out[i, 2] = (a[i] << 3) ^ (b[i] >> 1)
            out[i, 3] = cuda.popc(a[i]) + cuda.clz(np.int64(b[i]))
            out[i, 4] = a[i] * b[i] - abs(a[i])

    a = np.arange(-500, 500, dtype=np.int64) * 7919
    b = np.arange(1000, dtype=np.int64) % 37 + 1
    out = np.zeros((1000, 5), dtype=np.int64)
    kernel[8, 128](a, b, out)
    bits = [bin(int(it) & (2**64 - 1)).count("1") + 64 - int(other).bit_length() for it, other in zip(a, b)]
    equal(out, np.stack([a // b, a % b, (a << 3) ^ (b >> 1), bits, a * b - abs(a)], axis=1))


@case
def shared_memory_product():
    @cuda.jit
    def kernel(a, b, out):
        left, right = cuda.shared.array((16, 16), float32), cuda.shared.array((16, 16), float32)
        x, y = cuda.grid(2)
        tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
        total = float32(0)
        for tile in range(a.shape[1] // 16):
            left[tx, ty] = a[x, tile * 16 + ty]
            right[tx, ty] = b[tile * 16 + tx, y]
            cuda.syncthreads()
            for k in range(16):
                total += left[tx, k] * right[k, ty]
            cuda.syncthreads()
        out[x, y] = total

    random = np.random.default_rng(1)
    a, b = random.standard_normal((64, 96), dtype=np.float32), random.standard_normal((96, 48), dtype=np.float32)
    out = np.zeros((64, 48), dtype=np.float32)
    kernel[(4, 3), (16, 16)](a, b, out)
    close(out, a.astype(np.float64) @ b, rtol=1e-4, atol=1e-4)


@case
def dynamic_shared_memory():
    @cuda.jit
    def kernel(out):
        slots = cuda.shared.array(0, int32)
        i = cuda.threadIdx.x
        slots[i] = i * i
        cuda.syncthreads()
        out[i] = slots[cuda.blockDim.x - 1 - i]

    out = np.zeros(200, dtype=np.int32)
    kernel[1, 200, 0, 800](out)
    equal(out, np.arange(200)[::-1] ** 2)


@case
def atomics():
    @cuda.jit
    def kernel(values, bins, floats):
        i = cuda.grid(1)
        if i < values.size:
            cuda.atomic.add(bins, values[i] % 16, 1)
            cuda.atomic.max(bins, 16, values[i])
            cuda.atomic.min(bins, 17, -values[i])
            cuda.atomic.add(floats, 0, 0.5)
            cuda.atomic.cas(bins, 18, 0, i + 1)
            cuda.atomic.exch(bins, 19, 7)

    values = (np.arange(10000, dtype=np.int32) * 7919) % 10007
    bins, floats = np.zeros(20, dtype=np.int32), np.zeros(1)
    kernel[80, 128](values, bins, floats)
    equal(bins[:16], np.bincount(values % 16, minlength=16))
    assert bins[16] == values.max() and bins[17] == -values.max() and 0 < bins[18] <= 10000 and bins[19] == 7
    assert floats[0] == 5000


@case
def device_functions():
    @cuda.jit(device=True)
    def polynomial(x, order):
        total = 0.0
        for k in range(order):
            total = total * x + k
        return total

    @cuda.jit
    def kernel(out):
        i = cuda.grid(1)
        out[i] = polynomial(i * 0.01, i % 7)

    out = np.zeros(256)
    kernel[2, 128](out)
    expected = []
    for i in range(256):
        total = 0.0
        for k in range(i % 7):
            total = total * (i * 0.01) + k
        expected.append(total)
    close(out, expected, rtol=1e-14)


@case
def functions_that_are_not_inlined():
    @cuda.jit(device=True, inline=False)
    def steps(n):
        count = 0
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            count += 1
        return count

    @cuda.jit
    def kernel(out):
        i = cuda.grid(1)
        out[i] = steps(i + 1) + steps(2 * i + 1)

    out = np.zeros(512, dtype=np.int64)
    kernel[4, 128](out)

    def host(n):
        count = 0
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            count += 1
        return count

    equal(out, [host(i + 1) + host(2 * i + 1) for i in range(512)])


@case
def local_arrays():
    @cuda.jit
    def kernel(out):
        i = cuda.grid(1)
        row = cuda.local.array(8, float64)
        for k in range(8):
            row[k] = i * k
        total = 0.0
        for k in range(8):
            total += row[(k * 3 + i) % 8] * k
        out[i] = total

    out = np.zeros(128)
    kernel[1, 128](out)
    equal(out, [sum(i * ((k * 3 + i) % 8) * k for k in range(8)) for i in range(128)])


@case
def warp_functions():
    @cuda.jit
    def kernel(out):
        i = cuda.threadIdx.x
        value = i
        for offset in (16, 8, 4, 2, 1):
            value += cuda.shfl_down_sync(0xFFFFFFFF, value, offset)
        out[i, 0] = value
        out[i, 1] = cuda.ballot_sync(0xFFFFFFFF, i % 3 == 0)
        out[i, 2] = cuda.shfl_xor_sync(0xFFFFFFFF, i, 5)
        out[i, 3] = cuda.all_sync(0xFFFFFFFF, i < 32) + 2 * cuda.any_sync(0xFFFFFFFF, i > 40)

    out = np.zeros((32, 4), dtype=np.int64)
    kernel[1, 32](out)
    assert out[0, 0] == 496
    lanes = np.arange(32)
    assert (out[:, 1] == sum(1 << k for k in range(0, 32, 3))).all()
    equal(out[:, 2], lanes ^ 5)
    equal(out[:, 3], np.ones(32))


@case
def cumulative_barriers():
    @cuda.jit
    def kernel(out):
        i = cuda.threadIdx.x
        out[i, 0] = cuda.syncthreads_count(int32(i % 5 == 0))
        out[i, 1] = cuda.syncthreads_and(int32(i < 100))
        out[i, 2] = cuda.syncthreads_or(int32(i == 77))

    out = np.zeros((96, 3), dtype=np.int32)
    kernel[1, 96](out)
    assert (out[:, 0] == 20).all() and (out[:, 1] != 0).all() and (out[:, 2] != 0).all()


@case
def grid_stride_in_two_dimensions():
    @cuda.jit
    def kernel(image):
        x, y = cuda.grid(2)
        wide, high = cuda.gridsize(2)
        for i in range(x, image.shape[0], wide):
            for j in range(y, image.shape[1], high):
                c = complex(i / image.shape[0] * 3 - 2, j / image.shape[1] * 2 - 1)
                z = 0j
                for n in range(50):
                    z = z * z + c
                    if z.real * z.real + z.imag * z.imag >= 4:
                        break
                image[i, j] = n

    image = np.zeros((90, 60), dtype=np.int32)
    kernel[(3, 2), (8, 8)](image)

    def host(i, j):
        c, z = complex(i / 90 * 3 - 2, j / 60 * 2 - 1), 0j
        for n in range(50):
            z = z * z + c
            if z.real * z.real + z.imag * z.imag >= 4:
                break
        return n

    expected = np.array([[host(i, j) for j in range(60)] for i in range(90)])
    # A fused multiply-add may move a point on the very edge.
    assert (image != expected).mean() < 0.005


@case
def records():
    kind = np.dtype([("key", np.int32), ("value", np.float64), ("flag", np.uint8)], align=True)

    @cuda.jit
    def kernel(rows):
        i = cuda.grid(1)
        if i < rows.size:
            rows[i]["value"] = rows[i]["key"] * 0.5
            rows[i]["flag"] = rows[i]["key"] % 2

    rows = np.zeros(100, dtype=kind)
    rows["key"] = np.arange(100)
    kernel[1, 128](rows)
    equal(rows["value"], np.arange(100) * 0.5)
    equal(rows["flag"], np.arange(100) % 2)


# Two PTX modules in one link: numba-cuda's half-precision functions are a module of their own.
@case
def halves():
    @cuda.jit
    def kernel(a, b, out):
        i = cuda.grid(1)
        if i < a.size:
            out[i] = cuda.fp16.hfma(a[i], b[i], a[i]) if i % 2 else cuda.fp16.hadd(a[i], b[i])

    a = np.linspace(-4, 4, 256).astype(np.float16)
    b = np.linspace(1, 2, 256).astype(np.float16)
    out = np.zeros_like(a)
    kernel[2, 128](a, b, out)
    wide = a.astype(np.float64)
    expected = np.where(np.arange(256) % 2, wide * b + wide, wide + b).astype(np.float16)
    equal(out, expected)


@case
def constants():
    table = np.arange(64, dtype=np.float32) ** 2

    @cuda.jit
    def kernel(out):
        values = cuda.const.array_like(table)
        i = cuda.grid(1)
        out[i] = values[63 - i]

    out = np.zeros(64, dtype=np.float32)
    kernel[1, 64](out)
    equal(out, table[::-1])


@case
def universal_functions():
    @vectorize(["float32(float32, float32)", "float64(float64, float64)"], target="cuda")
    def hypotenuse(a, b):
        return math.sqrt(a * a + b * b)

    a = np.linspace(0, 10, 1000)
    close(hypotenuse(a, a + 1), np.hypot(a, a + 1), rtol=1e-14)


@case
def generalized_universal_functions():
    @guvectorize(["void(float32[:], float32[:], float32[:])"], "(n),(n)->()", target="cuda")
    def inner(a, b, out):
        out[0] = 0
        for i in range(a.shape[0]):
            out[0] += a[i] * b[i]

    a = np.arange(600, dtype=np.float32).reshape(20, 30) % 17
    equal(inner(a, a), (a * a).sum(axis=1))


@case
def reduction():
    total = cuda.reduce(lambda a, b: a + b)
    values = np.arange(12345, dtype=np.float64)
    assert total(values) == values.sum()
    largest = cuda.reduce(lambda a, b: max(a, b))
    assert largest(values, init=-1.0) == 12344


@case
def random_numbers():
    @cuda.jit
    def kernel(states, out):
        i = cuda.grid(1)
        total = 0.0
        for _ in range(50):
            total += xoroshiro128p_uniform_float32(states, i)
        out[i] = total / 50

    out = np.zeros(1024)
    kernel[8, 128](create_xoroshiro128p_states(1024, seed=1), out)
    again = np.zeros(1024)
    kernel[8, 128](create_xoroshiro128p_states(1024, seed=1), again)
    equal(out, again)
    assert abs(out.mean() - 0.5) < 0.01 and out.min() > 0.2 and out.max() < 0.8 and len(np.unique(out)) > 900


@case
def streams_and_events():
    @cuda.jit
    def kernel(x, times):
        i = cuda.grid(1)
        if i < x.size:
            for _ in range(times):
                x[i] += 1

    first, second = cuda.stream(), cuda.stream()
    begin, end = cuda.event(), cuda.event()
    host = np.zeros(1000, dtype=np.int32)
    a, b = cuda.to_device(host, stream=first), cuda.to_device(host, stream=second)
    begin.record(first)
    for _ in range(20):
        kernel[8, 128, first](a, 3)
        kernel[8, 128, second](b, 2)
    end.record(first)
    end.wait(second)
    second.synchronize()
    first.synchronize()
    assert (a.copy_to_host() == 60).all() and (b.copy_to_host() == 40).all()
    assert begin.elapsed_time(end) > 0


@case
def pinned_and_managed_memory():
    @cuda.jit
    def kernel(x):
        i = cuda.grid(1)
        if i < x.size:
            x[i] = x[i] * 2 + 1

    pinned, managed = cuda.pinned_array(500, dtype=np.float32), cuda.managed_array(500, dtype=np.float32)
    mapped = cuda.mapped_array(500, dtype=np.float32)
    for memory in (pinned, managed, mapped):
        memory[:] = np.arange(500)
    device = cuda.to_device(pinned)
    kernel[4, 128](device)
    kernel[4, 128](managed)
    kernel[4, 128](mapped)
    cuda.synchronize()
    for memory in (device.copy_to_host(), managed, mapped):
        equal(memory, np.arange(500) * 2 + 1)


@case
def array_views():
    @cuda.jit
    def kernel(x):
        i = cuda.grid(1)
        if i < x.shape[0]:
            for j in range(x.shape[1]):
                x[i, j] += 10 * i + j

    device = cuda.to_device(np.zeros((8, 12), dtype=np.int64))
    kernel[1, 32](device[2:6, ::1][:, 3:9])
    expected = np.zeros((8, 12), dtype=np.int64)
    for i in range(4):
        for j in range(6):
            expected[2 + i, 3 + j] = 10 * i + j
    equal(device.copy_to_host(), expected)


@case
def exceptions_in_kernels():
    @cuda.jit(debug=True, opt=False)
    def kernel(x):
        i = cuda.grid(1)
        if i == 3:
            raise ValueError("three")
        x[i] = i

    try:
        kernel[1, 8](np.zeros(8))
    except ValueError as error:
        assert "three" in str(error)
    else:
        raise AssertionError("no exception came back")


@case
def printing():
    @cuda.jit
    def kernel():
        if cuda.threadIdx.x < 2:
            print("from thread", cuda.threadIdx.x)

    kernel[1, 32]()
    cuda.synchronize()


# Links with libcudadevrt.a, which is machine code.
@case
def cooperative_groups():
    @cuda.jit
    def kernel(rows):
        grid = cuda.cg.this_grid()
        column = cuda.grid(1)
        for row in range(1, rows.shape[0]):
            opposite = rows.shape[1] - column - 1
            rows[row, column] = rows[row - 1, opposite] + 1
            grid.sync()

    rows = np.zeros((16, 256), dtype=np.int32)
    kernel[2, 128](rows)
    equal(rows, np.tile(np.arange(16)[:, None], (1, 256)))


run("kernels equal numpy")
