"""Taichi kernels with the CPU backend as the oracle for the CUDA one.

`cases.py ARCH OUT.npz` runs every case on one backend and stores what it computed; `cases.py compare CPU.npz CUDA.npz`
holds the two against each other. Taichi compiles each kernel to PTX at run time (LLVM's NVPTX back end), loads it through
the driver API alone and brings its own device-side runtime, so this reaches indirect calls, atomics on every type,
local memory, assertions and printf, which nvcc-made LLM kernels hardly use.
"""
import os
import sys
import tempfile

import numpy as np
import taichi as ti

from registry import CASES, case


@case
def arithmetic_f32():
    out = ti.field(ti.f32, 4096)

    @ti.kernel
    def run():
        for i in out:
            x = i * 0.01 + 0.5
            out[i] = ti.sqrt(x) * ti.sin(x) + ti.exp(-x) / (1.0 + x * x) + ti.log(x) + ti.tanh(x) + ti.atan2(x, 2.0)

    run()
    return out.to_numpy()


@case
def arithmetic_f64():
    out = ti.field(ti.f64, 2048)

    @ti.kernel
    def run():
        for i in out:
            x = ti.cast(i, ti.f64) * 0.001 + 0.25
            out[i] = ti.sqrt(x) + ti.sin(x) * ti.cos(x) + ti.exp(x) / x + ti.pow(x, 1.5) + ti.asin(x / 4.0)

    run()
    return out.to_numpy()


@case
def arithmetic_integers():
    out = ti.field(ti.i64, (1024, 8))

    @ti.kernel
    def run():
        for i in range(1024):
            a, b = i * 7919 - 400000, (i % 37) + 1
            out[i, 0] = a // b
            out[i, 1] = a % b
            out[i, 2] = a * b
            out[i, 3] = (a << 3) ^ b
            out[i, 4] = a >> 2
            out[i, 5] = ti.bit_shr(ti.cast(a, ti.u32), ti.cast(5, ti.u32))
            out[i, 6] = ti.max(a, b) - ti.min(a, b)
            out[i, 7] = ti.abs(a) & 0xFFF | b

    run()
    return out.to_numpy()


@case
def small_types():
    a, b, c = ti.field(ti.u8, 512), ti.field(ti.i16, 512), ti.field(ti.f16, 512)

    @ti.kernel
    def run():
        for i in a:
            a[i] = ti.cast(i * 3, ti.u8)
            b[i] = ti.cast(i * 300 - 70000, ti.i16)
            c[i] = ti.cast(i, ti.f16) * ti.cast(0.25, ti.f16)

    run()
    return np.concatenate([a.to_numpy().astype(np.float64), b.to_numpy(), c.to_numpy()])


@case
def divergent_loops():
    out = ti.field(ti.i32, 4096)

    @ti.kernel
    def run():
        for i in out:
            n, steps = i + 1, 0
            while n != 1:
                if n % 2 == 0:
                    n //= 2
                else:
                    n = 3 * n + 1
                steps += 1
            out[i] = steps

    run()
    return out.to_numpy()


@case
def break_and_continue():
    out = ti.field(ti.i32, 1000)

    @ti.kernel
    def run():
        for i in out:
            total = 0
            for j in range(100):
                if (i + j) % 7 == 0:
                    continue
                if j > i % 50:
                    break
                total += j
            out[i] = total

    run()
    return out.to_numpy()


@case
def atomics_integers():
    out = ti.field(ti.i32, 8)

    @ti.kernel
    def run():
        for i in range(100000):
            ti.atomic_add(out[0], i % 13)
            ti.atomic_max(out[1], i * 7 % 10007)
            ti.atomic_min(out[2], -(i * 5 % 9973))
            ti.atomic_or(out[3], 1 << (i % 20))
            ti.atomic_xor(out[4], i)
            ti.atomic_sub(out[5], 2)

    run()
    return out.to_numpy()


@case
def atomics_floats():
    out, wide = ti.field(ti.f32, 4), ti.field(ti.f64, 2)

    @ti.kernel
    def run():
        for i in range(4096):
            out[0] += 0.5
            ti.atomic_max(out[1], ti.cast(i * 37 % 4093, ti.f32))
            ti.atomic_min(out[2], -ti.cast(i * 41 % 4091, ti.f32))
            wide[0] += 0.25
            ti.atomic_max(wide[1], ti.cast(i, ti.f64))

    run()
    return np.concatenate([out.to_numpy(), wide.to_numpy()])


@case
def histogram():
    bins = ti.field(ti.i32, 256)

    @ti.kernel
    def run():
        for i in range(200000):
            bins[(i * 1103515245 + 12345) >> 8 & 255] += 1

    run()
    return bins.to_numpy()


@case
def matrices():
    out = ti.Matrix.field(3, 3, ti.f32, 256)

    @ti.kernel
    def run():
        for i in out:
            m = ti.Matrix([[1.0 + i, 2.0, 0.5], [0.25, 3.0 + i * 0.5, 1.0], [2.0, 0.125, 4.0]])
            out[i] = m.inverse() @ m.transpose() * m.determinant() + ti.Matrix.identity(ti.f32, 3)

    run()
    return out.to_numpy()


@case
def svd():
    out = ti.Vector.field(3, ti.f32, 64)

    @ti.kernel
    def run():
        for i in out:
            m = ti.Matrix([[1.0 + i * 0.1, 0.3, 0.2], [0.1, 2.0, 0.5 - i * 0.01], [0.7, 0.2, 3.0]])
            u, s, v = ti.svd(m)
            out[i] = ti.Vector([s[0, 0], s[1, 1], s[2, 2]])

    run()
    return out.to_numpy()


@case
def functions_and_structs():
    pair = ti.types.struct(a=ti.f32, b=ti.i32)
    cells = pair.field(shape=512)

    @ti.func
    def mix(x: ti.i32, y: ti.f32):
        result = y
        if x % 3 == 0:
            result = y * 2.0
        elif x % 3 == 1:
            result = y - 1.0
        return result

    @ti.kernel
    def run():
        for i in cells:
            cells[i].a = mix(i, i * 0.5)
            cells[i].b = ti.cast(mix(i + 1, 3.5) * 4.0, ti.i32)

    run()
    return np.concatenate([cells.a.to_numpy(), cells.b.to_numpy()])


@case
def real_functions():
    out = ti.field(ti.i32, 24)

    @ti.real_func
    def fibonacci(n: ti.i32) -> ti.i32:
        result = n
        if n > 1:
            result = fibonacci(n - 1) + fibonacci(n - 2)
        return result

    @ti.kernel
    def run():
        for i in out:
            out[i] = fibonacci(i % 12)

    run()
    return out.to_numpy()


@case
def numpy_arguments():
    source = np.linspace(-3, 3, 5000, dtype=np.float32)
    target = np.zeros_like(source)

    @ti.kernel
    def run(source: ti.types.ndarray(), target: ti.types.ndarray(), scale: ti.f32) -> ti.f32:
        total = 0.0
        for i in range(source.shape[0]):
            target[i] = source[i] * scale + 1.0
            total += 0.5
        return total

    total = run(source, target, 2.5)
    return np.append(target, total)


@case
def ndarray_two_dimensions():
    grid = ti.ndarray(ti.f32, (64, 48))

    @ti.kernel
    def run(grid: ti.types.ndarray()):
        for i, j in grid:
            grid[i, j] = i * 100 + j

    run(grid)
    return grid.to_numpy()


@case
def stencil():
    a, b = ti.field(ti.f32, (128, 128)), ti.field(ti.f32, (128, 128))

    @ti.kernel
    def start():
        for i, j in a:
            a[i, j] = ti.sin(i * 0.1) * ti.cos(j * 0.07)

    @ti.kernel
    def step(x: ti.template(), y: ti.template()):
        for i, j in y:
            if 0 < i < 127 and 0 < j < 127:
                y[i, j] = x[i, j] + 0.1 * (x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1] - 4 * x[i, j])

    start()
    for _ in range(10):
        step(a, b)
        step(b, a)
    return a.to_numpy()


@case
def sparse_pointer_field():
    x, count = ti.field(ti.i32), ti.field(ti.i32, ())
    block = ti.root.pointer(ti.i, 64)
    block.dense(ti.i, 16).place(x)

    @ti.kernel
    def activate():
        for i in range(21):
            x[i * 48] = i + 1

    @ti.kernel
    def gather():
        for i in x:
            count[None] += x[i] + 1

    activate()
    gather()
    return np.array([count[None]])


@case
def dynamic_list():
    x = ti.field(ti.i32)
    length = ti.field(ti.i32, 8)
    row = ti.root.dense(ti.i, 8)
    lists = row.dynamic(ti.j, 256, chunk_size=16)
    lists.place(x)

    @ti.kernel
    def run():
        for i in range(8):
            for j in range(i * 9):
                x[i].append(j * i)
        for i in range(8):
            total = 0
            for j in range(x[i].length()):
                total += x[i, j]
            length[i] = total

    run()
    return length.to_numpy()


@case
def bitmasked_field():
    x = ti.field(ti.f32)
    ti.root.bitmasked(ti.ij, (32, 32)).place(x)
    total = ti.field(ti.f32, ())

    @ti.kernel
    def run():
        for i in range(32):
            x[i, (i * 7) % 32] = i * 0.5

    @ti.kernel
    def add():
        for i, j in x:
            total[None] += x[i, j] + 1.0

    run()
    add()
    return np.array([total[None]])


@case
def automatic_differentiation():
    x, loss = ti.field(ti.f32, 64, needs_grad=True), ti.field(ti.f32, (), needs_grad=True)

    @ti.kernel
    def energy():
        for i in x:
            loss[None] += ti.sin(x[i]) * x[i] ** 2

    for i in range(64):
        x[i] = i * 0.05
    with ti.ad.Tape(loss):
        energy()
    return x.grad.to_numpy()


@case
def prefix_sum():
    x = ti.field(ti.i32, 5000)

    @ti.kernel
    def start():
        for i in x:
            x[i] = i % 11 - 3

    start()
    executor = ti.algorithms.PrefixSumExecutor(5000)
    if ti.cfg.arch == ti.cuda:
        executor.run(x)
        return x.to_numpy()
    return np.cumsum(x.to_numpy())


@case
def sort():
    keys, values = ti.field(ti.i32, 1000), ti.field(ti.i32, 1000)

    @ti.kernel
    def start():
        for i in keys:
            keys[i] = (i * 7919) % 10007
            values[i] = i

    start()
    ti.algorithms.parallel_sort(keys, values)
    return np.concatenate([keys.to_numpy(), values.to_numpy()])


@case
def matrix_free_reduction():
    x = ti.field(ti.f32, 1 << 16)

    @ti.kernel
    def start():
        for i in x:
            x[i] = (i % 101) * 0.125

    @ti.kernel
    def total() -> ti.f32:
        result = 0.0
        for i in x:
            result += x[i]
        return result

    start()
    return np.array([total()])


@case
def block_local_storage():
    a, b = ti.field(ti.i32), ti.field(ti.i32)
    ti.root.pointer(ti.i, 16).dense(ti.i, 64).place(a, b)

    # The first and the last block stay inactive: tiles are loaded with their neighbours, which must be inside the field.
    @ti.kernel
    def start():
        for i in range(64, 960):
            a[i] = i

    @ti.kernel
    def run():
        ti.loop_config(block_dim=64)
        ti.block_local(a)
        for i in a:
            b[i] = a[i - 1] + a[i + 1]

    start()
    run()
    return b.to_numpy()


@case
def shared_array_tiles():
    n = 256
    source, target = ti.field(ti.f32, n), ti.field(ti.f32, n)

    @ti.kernel
    def start():
        for i in source:
            source[i] = i * 0.5

    @ti.kernel
    def reverse():
        ti.loop_config(block_dim=64)
        for i in range(n):
            tile = ti.simt.block.SharedArray((64,), ti.f32)
            lane = i % 64
            tile[lane] = source[i]
            ti.simt.block.sync()
            target[i] = tile[63 - lane]

    start()
    if ti.cfg.arch == ti.cuda:
        reverse()
        return target.to_numpy()
    return source.to_numpy().reshape(-1, 64)[:, ::-1].reshape(-1)


@case
def warp_shuffles():
    n = 128
    out = ti.field(ti.i32, (3, n))

    @ti.kernel
    def run():
        ti.loop_config(block_dim=32)
        for i in range(n):
            out[0, i] = ti.simt.warp.shfl_down_i32(ti.u32(0xFFFFFFFF), i, 1)
            out[1, i] = ti.cast(ti.simt.warp.ballot(ti.cast(i % 3 == 0, ti.i32)), ti.i32)
            out[2, i] = ti.simt.warp.shfl_xor_i32(ti.u32(0xFFFFFFFF), i, 5)

    if ti.cfg.arch == ti.cuda:
        run()
        return out.to_numpy()
    lanes = np.arange(n)
    down = np.where(lanes % 32 == 31, lanes, lanes + 1)
    ballots = [sum(1 << b for b in range(32) if (w * 32 + b) % 3 == 0) for w in range(n // 32)]
    return np.stack([down, np.repeat(np.array(ballots, dtype=np.uint32).view(np.int32), 32), lanes ^ 5]).astype(np.int32)


@case
def particle_grid():
    """A small material-point step: scatter by atomics, update, gather."""
    n, grid = 512, 32
    x, v = ti.Vector.field(2, ti.f32, n), ti.Vector.field(2, ti.f32, n)
    mass, momentum = ti.field(ti.f32, (grid, grid)), ti.Vector.field(2, ti.f32, (grid, grid))

    @ti.kernel
    def start():
        for i in x:
            x[i] = ti.Vector([0.3 + 0.4 * ((i * 37) % 512) / 512.0, 0.3 + 0.4 * ((i * 91) % 512) / 512.0])
            v[i] = ti.Vector([0.0, -1.0])

    @ti.kernel
    def step():
        for i, j in mass:
            mass[i, j] = 0.0
            momentum[i, j] = ti.Vector([0.0, 0.0])
        for p in x:
            cell = ti.cast(x[p] * grid, ti.i32)
            mass[cell] += 1.0
            momentum[cell] += v[p]
        for i, j in mass:
            if mass[i, j] > 0:
                momentum[i, j] = momentum[i, j] / mass[i, j] + ti.Vector([0.0, -0.0098])
        for p in x:
            cell = ti.cast(x[p] * grid, ti.i32)
            v[p] = momentum[cell]
            x[p] += 0.001 * v[p]

    start()
    for _ in range(20):
        step()
    return x.to_numpy()


@case
def fractal():
    out = ti.field(ti.i32, (96, 64))

    @ti.kernel
    def run():
        for i, j in out:
            c = ti.Vector([i / 96.0 * 3.0 - 2.0, j / 64.0 * 2.0 - 1.0])
            z = ti.Vector([0.0, 0.0])
            n = 0
            while z.norm_sqr() < 4.0 and n < 60:
                z = ti.Vector([z[0] ** 2 - z[1] ** 2, 2.0 * z[0] * z[1]]) + c
                n += 1
            out[i, j] = n

    run()
    return out.to_numpy()


@case
def two_streams_of_kernels():
    x = ti.field(ti.i32, 100)

    @ti.kernel
    def add(k: ti.i32):
        for i in x:
            x[i] += k * i

    for k in range(200):
        add(k)
    ti.sync()
    return x.to_numpy()


@case
def copies():
    x, y = ti.field(ti.f32, 10000), ti.field(ti.f32, 10000)
    x.from_numpy(np.arange(10000, dtype=np.float32))
    y.copy_from(x)
    x.fill(7)
    return np.concatenate([x.to_numpy()[:10], y.to_numpy()])


import breadth  # noqa: E402, registers its cases
import examples  # noqa: E402, registers its cases

# A float sum or a library function may round differently; a wrong algorithm is off by far more than this.
TOLERANCE = {"fractal": dict(atol=1, rtol=0, share=0.005), **breadth.TOLERANCE, **examples.TOLERANCE}


def run_alone(arch, name, path):
    """Runs one case in a process of its own: a kernel that faults takes its context with it, and the next case needs one."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            ti.init(arch=getattr(ti, arch), log_level=ti.ERROR, random_seed=1, offline_cache=False, cpu_max_num_threads=2,
                    device_memory_GB=0.25, enable_fallback=False)
            np.save(path, CASES[name]())
            ti.reset()
            status = 0
        except Exception as error:
            print(f"{arch} {name}: {str(error).strip()}", flush=True)
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return status == 0


def run_all(arch, selection):
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        for name in selection or CASES:
            path = os.path.join(directory, name + ".npy")
            if run_alone(arch, name, path):
                results[name] = np.load(path)
            else:
                print(f"{arch} {name} failed", flush=True)
    return results


def compare(expected, actual):
    wrong = 0
    if not expected.files:
        sys.exit("there is nothing to compare with")
    for name in expected.files:
        if name not in actual.files:
            wrong += 1
            print(f"{name}: no result")
            continue
        tolerance = TOLERANCE.get(name, {})
        close = np.isclose(actual[name], expected[name], rtol=tolerance.get("rtol", 2e-4), atol=tolerance.get("atol", 2e-5))
        off = 1 - close.mean()
        if off > tolerance.get("share", 0):
            wrong += 1
            first = np.argwhere(~close)[0]
            print(f"{name}: {off:.1%} differ, first at {first}: {actual[name][tuple(first)]}, expected {expected[name][tuple(first)]}")
    print(f"result {len(expected.files) - wrong} of {len(expected.files)} cases equal the CPU backend")
    return wrong


if __name__ == "__main__":
    if sys.argv[1] == "compare":
        sys.exit(1 if compare(np.load(sys.argv[2]), np.load(sys.argv[3])) else 0)
    np.savez(sys.argv[2], **run_all(sys.argv[1], sys.argv[3:]))
