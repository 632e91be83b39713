"""Taichi in breadth: every type, every kind of field, the mathematics, gradients, quantised types, meshes, streams of kernels."""
import numpy as np
import taichi as ti
import taichi.math as tm

from registry import case, each

TOLERANCE = {}
INTEGERS = {it: (getattr(ti, it),) for it in ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")}
FLOATS = {it: (getattr(ti, it),) for it in ("f16", "f32", "f64")}
for name in ("fields_f16", "casts_f16", "vectors_f16"):
    TOLERANCE[name] = dict(rtol=4e-3, atol=4e-3)


def wide(*arrays):
    return np.concatenate([np.asarray(it).astype(np.float64).ravel() for it in arrays])


# ----- types

@each(**INTEGERS)
def fields(kind):
    a, b = ti.field(kind, 300), ti.field(kind, (4, 300))

    @ti.kernel
    def run():
        for i in a:
            a[i] = ti.cast(i * 3 + 1, kind)
        for i in a:
            b[0, i] = a[i] + ti.cast(7, kind)
            b[1, i] = a[i] * ti.cast(3, kind)
            b[2, i] = a[i] // ti.cast(5, kind)
            b[3, i] = a[i] % ti.cast(6, kind)

    run()
    return wide(a.to_numpy(), b.to_numpy())


@each(**{f"{it}": (getattr(ti, it),) for it in ("f16", "f32", "f64")})
def vectors(kind):
    a = ti.Vector.field(3, kind, 128)

    @ti.kernel
    def run():
        for i in a:
            v = ti.Vector([ti.cast(i, kind) * ti.cast(0.03125, kind), ti.cast(2.0, kind), ti.cast(-0.5, kind)])
            a[i] = v.cross(ti.Vector([ti.cast(1.0, kind), ti.cast(i % 5, kind), ti.cast(0.25, kind)])) + v * v.dot(v) * ti.cast(0.125, kind)

    run()
    return wide(a.to_numpy())


@each(**INTEGERS, **FLOATS)
def casts(kind):
    out, back = ti.field(kind, 256), ti.field(ti.f64, 256)

    @ti.kernel
    def run():
        for i in out:
            out[i] = ti.cast(i * 0.4375, kind)
            back[i] = ti.cast(out[i], ti.f64) * 0.5

    run()
    return wide(out.to_numpy(), back.to_numpy())


@each(i32=(ti.i32,), i64=(ti.i64,), u32=(ti.u32,), u64=(ti.u64,), f32=(ti.f32,), f64=(ti.f64,))
def atomics(kind):
    out = ti.field(kind, 6)
    is_float = kind in (ti.f32, ti.f64)

    @ti.kernel
    def run():
        out[2] = ti.cast(1000, kind)
        for i in range(5000):
            ti.atomic_add(out[0], ti.cast(i % 9, kind))
            ti.atomic_max(out[1], ti.cast(i * 7 % 4999, kind))
            ti.atomic_min(out[2], ti.cast(i * 11 % 997, kind))
            if ti.static(not is_float):
                ti.atomic_xor(out[3], ti.cast(i, kind))
                ti.atomic_or(out[4], ti.cast(1 << (i % 30), kind))

    run()
    return wide(out.to_numpy())


@case
def atomics_multiply_and_return_the_old_value():
    product, taken = ti.field(ti.f64, ()), ti.field(ti.i32, 1000)
    counter = ti.field(ti.i32, ())

    @ti.kernel
    def run():
        product[None] = 1.0
        for i in range(40):
            ti.atomic_mul(product[None], 1.0 + ti.cast(i % 3, ti.f64) * 0.25)
        for i in range(1000):
            taken[i] = ti.atomic_add(counter[None], 1)

    run()
    return wide(product.to_numpy(), np.sort(taken.to_numpy()))


@each(i32=(ti.i32,), u32=(ti.u32,), i64=(ti.i64,), u64=(ti.u64,))
def bits(kind):
    out = ti.field(kind, (6, 200))
    word = 64 if kind in (ti.i64, ti.u64) else 32

    @ti.kernel
    def run():
        for i in range(200):
            x = ti.cast(i * 7919 % 10007, kind)
            out[0, i] = x << (i % ti.static(word // 2))
            out[1, i] = x >> (i % 7)
            out[2, i] = ~x
            out[3, i] = x & ti.cast(0xF0F, kind) | ti.cast(0x30, kind)
            out[4, i] = ti.bit_shr(x, ti.cast(i % 5, kind))
            out[5, i] = x ^ (x << 3)

    run()
    return out.to_numpy().astype(np.int64)


UNARY = ("sin", "cos", "tan", "asin", "acos", "tanh", "exp", "log", "sqrt", "rsqrt", "floor", "ceil", "round", "abs")


@each(**{f"{name}_{kind}": (name, getattr(ti, kind)) for name in UNARY for kind in ("f32", "f64")})
def function(name, kind):
    operation = getattr(ti, name)
    out = ti.field(kind, 512)

    @ti.kernel
    def run():
        for i in out:
            x = (ti.cast(i, kind) + ti.cast(0.5, kind)) / ti.cast(512.0, kind)
            if ti.static(name not in ("asin", "acos")):
                x = x * ti.cast(7.0, kind)
            out[i] = operation(x)

    run()
    return out.to_numpy()


@each(f32=(ti.f32,), f64=(ti.f64,))
def binary_functions(kind):
    out = ti.field(kind, (6, 400))

    @ti.kernel
    def run():
        for i in range(400):
            x, y = ti.cast(i * 0.037 - 7.0, kind), ti.cast(1.0 + (i % 13) * 0.5, kind)
            out[0, i] = ti.atan2(x, y)
            out[1, i] = ti.pow(ti.abs(x), y)
            out[2, i] = x % y
            out[3, i] = ti.max(x, y) - ti.min(x, y)
            out[4, i] = x // y
            out[5, i] = ti.select(x > y, x, y)

    run()
    return out.to_numpy()


# ----- taichi.math

@case
def shader_functions():
    out = ti.field(ti.f32, (9, 200))

    @ti.kernel
    def run():
        for i in range(200):
            x = i * 0.05 - 4.975
            out[0, i] = tm.clamp(x, -1.0, 2.0)
            out[1, i] = tm.mix(x, 3.0, 0.25)
            out[2, i] = tm.smoothstep(-2.0, 2.0, x)
            out[3, i] = tm.step(0.5, x)
            out[4, i] = tm.fract(x)
            out[5, i] = tm.sign(x)
            out[6, i] = tm.mod(x, 1.5)
            out[7, i] = tm.degrees(x)
            out[8, i] = tm.log2(ti.abs(x) + 0.5)

    run()
    return out.to_numpy()


@case
def shader_vectors():
    out = tm.vec3.field(shape=(5, 100))

    @ti.kernel
    def run():
        for i in range(100):
            v, n = tm.vec3(i * 0.1, 1.0, -2.0), tm.normalize(tm.vec3(0.3, i * 0.01 + 0.2, 1.0))
            out[0, i] = tm.reflect(v, n)
            out[1, i] = tm.refract(tm.normalize(v), n, 0.8)
            out[2, i] = tm.cross(v, n)
            out[3, i] = tm.vec3(tm.dot(v, n), tm.length(v), tm.distance(v, n))
            out[4, i] = v.zyx * 2.0 + v.xxy

    run()
    return out.to_numpy()


@case
def complex_numbers():
    out = tm.vec2.field(shape=(5, 100))

    @ti.kernel
    def run():
        for i in range(100):
            x, y = tm.vec2(i * 0.03 + 0.1, 1.0), tm.vec2(0.5, i * -0.02)
            out[0, i] = tm.cmul(x, y)
            out[1, i] = tm.cdiv(x, y)
            out[2, i] = tm.csqrt(x)
            out[3, i] = tm.cexp(y)
            out[4, i] = tm.clog(x)

    run()
    return out.to_numpy()


@case
def rotations():
    out = ti.Matrix.field(4, 4, ti.f32, 60)

    @ti.kernel
    def run():
        for i in out:
            out[i] = tm.rotation3d(i * 0.1, i * 0.05, 0.3) @ tm.translate(1.0, i * 0.5, 2.0) @ tm.scale(1.0, 2.0, 0.5)

    run()
    return out.to_numpy()


@case
def bits_of_floats():
    out = ti.field(ti.u32, 200)

    @ti.kernel
    def run():
        for i in out:
            out[i] = ti.bit_cast(ti.cast(i * 0.37 - 20.0, ti.f32), ti.u32) ^ ti.cast(tm.isnan(i * 1.0), ti.u32)

    run()
    return out.to_numpy()


# ----- matrices

@each(two=(2,), three=(3,), four=(4,))
def matrices(n):
    out = ti.Matrix.field(n, n, ti.f64, (3, 64))
    traces = ti.field(ti.f64, (2, 64))

    @ti.kernel
    def run():
        for k in range(64):
            m = ti.Matrix.zero(ti.f64, n, n)
            for i, j in ti.static(ti.ndrange(n, n)):
                m[i, j] = ti.cast((i * 7 + j * 3 + k) % 11, ti.f64) * 0.25
            for i in ti.static(range(n)):
                m[i, i] += 6.0
            out[0, k] = m.inverse()
            out[1, k] = m @ m.transpose()
            out[2, k] = m * m - m
            traces[0, k] = m.trace()
            traces[1, k] = m.determinant()

    run()
    return wide(out.to_numpy(), traces.to_numpy())


@case
def polar_decomposition():
    out = ti.Matrix.field(2, 2, ti.f32, (2, 64))

    @ti.kernel
    def run():
        for i in range(64):
            u, p = ti.polar_decompose(ti.Matrix([[1.0 + i * 0.1, 0.5], [-0.2, 2.0]]))
            out[0, i] = u
            out[1, i] = p

    run()
    return out.to_numpy()


@case
def symmetric_eigenvalues():
    out = ti.Vector.field(3, ti.f32, 64)

    @ti.kernel
    def run():
        for i in out:
            values, _ = ti.sym_eig(ti.Matrix([[2.0 + i * 0.1, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 3.0]]))
            out[i] = values

    run()
    return np.sort(out.to_numpy(), axis=1)


TOLERANCE["symmetric_eigenvalues"] = dict(rtol=2e-3, atol=2e-3)


@each(two=(2,), three=(3,))
def linear_solve(n):
    out = ti.Vector.field(n, ti.f64, 64)

    @ti.kernel
    def run():
        for k in out:
            m, b = ti.Matrix.identity(ti.f64, n) * 4.0, ti.Vector.zero(ti.f64, n)
            for i in ti.static(range(n)):
                b[i] = i + k * 0.1
                for j in ti.static(range(n)):
                    m[i, j] += (i * 2 + j + k) % 3
            out[k] = ti.solve(m, b)

    run()
    return out.to_numpy()


@case
def local_matrices_with_run_time_indices():
    out = ti.field(ti.f32, 128)

    @ti.kernel
    def run():
        for i in out:
            v = ti.Vector([0.0] * 8)
            for k in range(8):
                v[(k * 3 + i) % 8] = k * 0.5 + i
            total = 0.0
            for k in range(8):
                total = total * 1.25 + v[k]
            out[i] = total

    run()
    return out.to_numpy()


# ----- fields and their trees

@each(**{"aos": (ti.Layout.AOS,), "soa": (ti.Layout.SOA,)})
def layouts(layout):
    pair = ti.Vector.field(2, ti.f32, shape=(17, 9), layout=layout)

    @ti.kernel
    def run():
        for i, j in pair:
            pair[i, j] = ti.Vector([i * 10.0 + j, i - j * 0.5])

    run()
    return pair.to_numpy()


@case
def nested_dense_blocks():
    x = ti.field(ti.i32)
    ti.root.dense(ti.ij, (4, 2)).dense(ti.ij, (3, 5)).dense(ti.ij, 2).place(x)

    @ti.kernel
    def run():
        for i, j in x:
            x[i, j] = i * 100 + j

    run()
    return x.to_numpy()


@case
def offsets_of_fields():
    x = ti.field(ti.i32, shape=(16, 8), offset=(-8, 4))

    @ti.kernel
    def run():
        for i, j in x:
            x[i, j] = i * 10 + j

    run()
    return x.to_numpy()


@case
def four_dimensions():
    x = ti.field(ti.i32, shape=(3, 4, 5, 6))

    @ti.kernel
    def run():
        for i, j, k, l in x:
            x[i, j, k, l] = ((i * 4 + j) * 5 + k) * 6 + l

    run()
    return x.to_numpy()


@case
def pointers_of_pointers():
    x, total = ti.field(ti.f32), ti.field(ti.f32, 2)
    tree = ti.root.pointer(ti.ij, 8).pointer(ti.ij, 4).dense(ti.ij, 4)
    tree.place(x)

    @ti.kernel
    def fill():
        for k in range(60):
            x[(k * 37) % 128, (k * 53) % 128] = k

    @ti.kernel
    def add():
        for i, j in x:
            total[0] += x[i, j]
            total[1] += 1.0

    fill()
    add()
    return total.to_numpy()


@case
def deactivation():
    x, count = ti.field(ti.i32), ti.field(ti.i32, 4)
    block = ti.root.pointer(ti.i, 32)
    block.dense(ti.i, 8).place(x)

    @ti.kernel
    def fill():
        for k in range(32):
            x[k * 8 + 3] = k + 1

    @ti.kernel
    def drop():
        for i in block:
            if i % 3 == 0:
                ti.deactivate(block, i * 8)

    @ti.kernel
    def look(which: ti.i32):
        for i in x:
            count[which] += 1
        for k in range(32):
            count[which + 1] += ti.is_active(block, k * 8)

    fill()
    look(0)
    block.deactivate_all()
    fill()
    for i in range(0, 32, 2):
        pass
    look(2)
    return count.to_numpy()


@case
def explicit_deactivation_of_blocks():
    x, count = ti.field(ti.i32), ti.field(ti.i32, ())
    block = ti.root.pointer(ti.i, 32)
    block.dense(ti.i, 8).place(x)

    @ti.kernel
    def fill():
        for k in range(32):
            x[k * 8] = 1

    @ti.kernel
    def drop():
        for k in range(11):
            ti.deactivate(block, [k * 3])

    @ti.kernel
    def look():
        for i in x:
            count[None] += 1

    fill()
    drop()
    look()
    return count.to_numpy()


@case
def garbage_collection_of_blocks():
    x, total = ti.field(ti.i32), ti.field(ti.i32, ())
    block = ti.root.pointer(ti.i, 256)
    block.dense(ti.i, 16).place(x)

    @ti.kernel
    def fill(shift: ti.i32):
        for k in range(40):
            x[((k * 5 + shift) % 256) * 16] = k + shift

    @ti.kernel
    def add():
        for i in x:
            total[None] += x[i]

    for shift in range(12):
        fill(shift)
        add()
        ti.deactivate_all_snodes()
    add()
    return total.to_numpy()


@case
def bitmasked_below_pointers():
    x, count = ti.field(ti.f32), ti.field(ti.f32, 2)
    ti.root.pointer(ti.ij, 8).bitmasked(ti.ij, 8).place(x)

    @ti.kernel
    def fill():
        for k in range(64):
            x[(k * 7) % 64, (k * 11) % 64] = k * 0.5

    @ti.kernel
    def add():
        for i, j in x:
            count[0] += x[i, j]
            count[1] += 1.0

    fill()
    add()
    return count.to_numpy()


@case
def dynamic_lists_that_shrink():
    x, lengths = ti.field(ti.i32), ti.field(ti.i32, (2, 16))
    lists = ti.root.dense(ti.i, 16).dynamic(ti.j, 128, chunk_size=8)
    lists.place(x)

    @ti.kernel
    def grow():
        for i in range(16):
            for j in range(i * 5):
                x[i].append(i + j)

    @ti.kernel
    def measure(row: ti.i32):
        for i in range(16):
            lengths[row, i] = x[i].length()

    @ti.kernel
    def shrink():
        for i in range(16):
            if i % 2 == 0:
                x[i].deactivate()

    grow()
    measure(0)
    shrink()
    measure(1)
    return lengths.to_numpy()


@case
def parallel_appends():
    x = ti.field(ti.i32)
    lists = ti.root.dynamic(ti.i, 4096, chunk_size=32)
    lists.place(x)
    out = ti.field(ti.i32, 2)

    @ti.kernel
    def grow():
        for i in range(3000):
            if i % 3 != 1:
                ti.append(x.parent(), [], i)

    @ti.kernel
    def add():
        out[0] = ti.length(x.parent(), [])
        for i in range(out[0]):
            out[1] += x[i]

    grow()
    add()
    return out.to_numpy()


@case
def structures_with_matrices():
    particle = ti.types.struct(x=ti.math.vec3, m=ti.f32, c=ti.types.matrix(2, 2, ti.f32), kind=ti.i32)
    cells = particle.field(shape=100)

    @ti.kernel
    def run():
        for i in cells:
            cells[i] = particle(x=tm.vec3(i, i * 0.5, 1.0), m=i * 2.0, c=ti.Matrix([[i, 1.0], [0.0, 2.0]]), kind=i % 4)
        for i in cells:
            cells[i].x += cells[i].c[0, 0] * cells[i].m

    run()
    return wide(cells.x.to_numpy(), cells.m.to_numpy(), cells.c.to_numpy(), cells.kind.to_numpy())


@case
def classes_with_kernels():
    @ti.data_oriented
    class Counter:
        def __init__(self, n):
            self.n, self.values = n, ti.field(ti.i32, n)

        @ti.func
        def weight(self, i):
            return i * self.n

        @ti.kernel
        def run(self, k: ti.i32):
            for i in self.values:
                self.values[i] += self.weight(i) + k

    counter = Counter(50)
    for k in range(4):
        counter.run(k)
    return counter.values.to_numpy()


@case
def dataclasses_with_methods():
    @ti.dataclass
    class Sphere:
        center: tm.vec3
        radius: ti.f32

        @ti.func
        def volume(self):
            return 4.0 / 3.0 * tm.pi * self.radius**3 + self.center.x

    spheres, out = Sphere.field(shape=60), ti.field(ti.f32, 60)

    @ti.kernel
    def run():
        for i in spheres:
            spheres[i].radius = i * 0.1
            spheres[i].center = tm.vec3(i, 0.0, 1.0)
        for i in spheres:
            out[i] = spheres[i].volume()

    run()
    return out.to_numpy()


# ----- quantised types

@case
def quantised_integers():
    a, b = ti.types.quant.int(5, True), ti.types.quant.int(11, False)
    x, y = ti.field(a), ti.field(b)
    pack = ti.BitpackedFields(max_num_bits=32)
    pack.place(x, y)
    ti.root.dense(ti.i, 100).place(pack)
    out = ti.field(ti.i32, (2, 100))

    @ti.kernel
    def run():
        for i in range(100):
            x[i] = i % 31 - 15
            y[i] = i * 17
        for i in range(100):
            out[0, i] = x[i] * 3
            out[1, i] = y[i] - 5

    run()
    return out.to_numpy()


@case
def quantised_fixed_point():
    kind = ti.types.quant.fixed(bits=16, max_value=4.0)
    x = ti.field(kind)
    pack = ti.BitpackedFields(max_num_bits=32)
    pack.place(x)
    ti.root.dense(ti.i, 100).place(pack)
    out = ti.field(ti.f32, 100)

    @ti.kernel
    def run():
        for i in range(100):
            x[i] = i * 0.037 - 1.8
        for i in range(100):
            out[i] = x[i] * 2.0

    run()
    return out.to_numpy()


@case
def quantised_floats():
    kind = ti.types.quant.float(exp=6, frac=13)
    x = ti.field(kind)
    pack = ti.BitpackedFields(max_num_bits=32)
    pack.place(x)
    ti.root.dense(ti.i, 100).place(pack)
    out = ti.field(ti.f32, 100)

    @ti.kernel
    def run():
        for i in range(100):
            x[i] = (i - 50) * 0.73
        for i in range(100):
            out[i] = x[i]

    run()
    return out.to_numpy()


@case
def quantised_arrays():
    kind = ti.types.quant.int(4, False)
    x = ti.field(kind)
    ti.root.dense(ti.i, 16).quant_array(ti.i, 8, max_num_bits=32).place(x)
    out = ti.field(ti.i32, 128)

    @ti.kernel
    def run():
        for i in range(128):
            x[i] = i % 16
        for i in range(128):
            out[i] = x[i] + 1

    run()
    return out.to_numpy()


# ----- gradients

def gradient(energy, n=48):
    x, loss = ti.field(ti.f32, n, needs_grad=True), ti.field(ti.f32, (), needs_grad=True)
    for i in range(n):
        x[i] = 0.2 + i * 0.03

    @ti.kernel
    def run():
        for i in x:
            loss[None] += energy(x[i])

    with ti.ad.Tape(loss):
        run()
    return np.append(x.grad.to_numpy(), loss[None])


@ti.func
def polynomial(v):
    return v**3 - 2.0 * v * v + 1.0 / v


@ti.func
def transcendental(v):
    return ti.exp(v) * ti.sin(v) + ti.log(v) * ti.tanh(v)


@ti.func
def branching(v):
    result = v * v
    if v > 0.9:
        result = ti.sqrt(v)
    return result


@ti.func
def looping(v):
    result = 0.0
    for k in ti.static(range(4)):
        result += v ** (k + 1) / (k + 1)
    return result


@each(polynomial=(polynomial,), transcendental=(transcendental,), branching=(branching,), looping=(looping,))
def gradients(energy):
    return gradient(energy)


@case
def forward_mode_gradients():
    x, y = ti.field(ti.f32, 16, needs_dual=True), ti.field(ti.f32, 16, needs_dual=True)
    for i in range(16):
        x[i] = 0.1 * i + 0.2

    @ti.kernel
    def run():
        for i in x:
            y[i] = x[i] ** 2 * ti.cos(x[i])

    with ti.ad.FwdMode(loss=y, param=x, seed=[1.0] * 16):
        run()
    return y.dual.to_numpy()


@case
def gradients_through_several_kernels():
    n = 32
    x, v = ti.Vector.field(2, ti.f32, n, needs_grad=True), ti.Vector.field(2, ti.f32, n, needs_grad=True)
    loss = ti.field(ti.f32, (), needs_grad=True)

    @ti.kernel
    def spring():
        for i in range(n - 1):
            d = x[i + 1] - x[i]
            f = d * (d.norm() - 0.1)
            v[i] += f
            v[i + 1] -= f

    @ti.kernel
    def measure():
        for i in v:
            loss[None] += v[i].norm_sqr()

    for i in range(n):
        x[i] = [i * 0.13, (i % 3) * 0.05]
    with ti.ad.Tape(loss):
        spring()
        measure()
    return x.grad.to_numpy()


# ----- kernels: arguments, results, control flow

@case
def arguments_of_every_type():
    out = ti.field(ti.f64, 8)

    @ti.kernel
    def run(a: ti.i8, b: ti.i16, c: ti.i32, d: ti.i64, e: ti.u8, f: ti.f32, g: ti.f64, h: ti.types.vector(3, ti.f32)):
        out[0] = a
        out[1] = b
        out[2] = c
        out[3] = d
        out[4] = e
        out[5] = f
        out[6] = g
        out[7] = h[0] + h[1] * h[2]

    run(-5, -3000, 123456, 1 << 40, 200, 1.5, 2.25, ti.Vector([1.0, 2.0, 3.0]))
    return out.to_numpy()


@each(i32=(ti.i32, 7), i64=(ti.i64, 1 << 40), f32=(ti.f32, 0.5), f64=(ti.f64, 1.0 / 3.0), u32=(ti.u32, 4000000000))
def results_of_kernels(kind, value):
    @ti.kernel
    def run(x: kind) -> kind:
        return x + ti.cast(1, kind)

    return np.array([run(value)], dtype=np.float64)


@case
def results_that_are_vectors_and_tuples():
    @ti.kernel
    def vector() -> ti.types.vector(4, ti.f32):
        return ti.Vector([1.0, 2.5, -3.0, 4.0])

    @ti.kernel
    def pair(x: ti.i32) -> (ti.i32, ti.f32):
        return x * 2, x * 0.5

    return wide(vector().to_numpy(), np.array(pair(9)))


@case
def templates_and_static_loops():
    a, b = ti.field(ti.i32, 64), ti.field(ti.f32, 64)

    @ti.kernel
    def fill(target: ti.template(), times: ti.template()):
        for i in target:
            for k in ti.static(range(times)):
                target[i] += ti.cast(i * k, ti.i32)

    fill(a, 3)
    fill(b, 5)
    return wide(a.to_numpy(), b.to_numpy())


@case
def serial_and_grouped_loops():
    x, y = ti.field(ti.i32, (6, 7)), ti.field(ti.i32, 2)

    @ti.kernel
    def run():
        for index in ti.grouped(x):
            x[index] = index[0] * 10 + index[1]
        ti.loop_config(serialize=True)
        for i in range(50):
            y[0] = y[0] * 3 % 1009 + i
        for i, j in ti.ndrange((2, 5), (1, 4)):
            ti.atomic_add(y[1], i * j)

    run()
    return wide(x.to_numpy(), y.to_numpy())


@each(**{f"block_{n}": (n,) for n in (32, 64, 128, 512)})
def block_sizes(n):
    x = ti.field(ti.i32, 3000)

    @ti.kernel
    def run():
        ti.loop_config(block_dim=n)
        for i in x:
            x[i] = i * i % 101

    run()
    return x.to_numpy()


@case
def while_loops_and_early_ends():
    out = ti.field(ti.i32, 500)

    @ti.func
    def divisor(n):
        result, k = n, 2
        while k * k <= n:
            if n % k == 0:
                result = k
                break
            k += 1
        return result

    @ti.kernel
    def run():
        for i in out:
            out[i] = divisor(i + 2)

    run()
    return out.to_numpy()


@case
def short_circuits_and_comparisons():
    out = ti.field(ti.i32, (4, 200))

    @ti.kernel
    def run():
        for i in range(200):
            out[0, i] = 10 < i <= 90
            out[1, i] = 1 if i % 2 == 0 and i % 3 == 0 or i > 150 else 0
            out[2, i] = not (i & 4)
            out[3, i] = i != 3 and i >= 2

    run()
    return out.to_numpy()


@case
def assertions_that_hold():
    x = ti.field(ti.i32, 100)

    @ti.kernel
    def run():
        for i in x:
            assert i < 100, "the loop is too long"
            x[i] = i

    run()
    return x.to_numpy()


@case
def printing():
    @ti.kernel
    def run():
        for i in range(3):
            print("line", i, 0.5 * i)

    run()
    ti.sync()
    return np.zeros(1)


@case
def random_numbers_are_uniform():
    x = ti.field(ti.f32, 20000)

    @ti.kernel
    def run():
        for i in x:
            x[i] = ti.random()

    run()
    values = x.to_numpy()
    # The backends draw other numbers: what they have in common is the distribution.
    return np.array([round(float(values.mean()), 1), round(float(values.std()), 1), values.min() >= 0, values.max() < 1])


@case
def normal_random_numbers():
    x = ti.field(ti.f32, 20000)

    @ti.kernel
    def run():
        for i in x:
            x[i] = ti.randn()

    run()
    values = x.to_numpy()
    return np.array([abs(values.mean()) < 0.05, abs(values.std() - 1) < 0.05])


# ----- arrays from outside

@each(**{it: (getattr(np, it),) for it in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")})
def numpy_arrays(kind):
    source = (np.arange(200) % 100).astype(kind)
    target = np.zeros_like(source)

    @ti.kernel
    def run(a: ti.types.ndarray(), b: ti.types.ndarray()):
        for i in a:
            b[i] = a[i] + a[199 - i]

    run(source, target)
    return wide(target)


@case
def ndarrays_of_vectors_and_matrices():
    v, m = ti.Vector.ndarray(3, ti.f32, 40), ti.Matrix.ndarray(2, 2, ti.f32, (5, 6))

    @ti.kernel
    def run(v: ti.types.ndarray(dtype=tm.vec3, ndim=1), m: ti.types.ndarray(dtype=ti.types.matrix(2, 2, ti.f32), ndim=2)):
        for i in v:
            v[i] = tm.vec3(i, i * 2.0, 1.0)
        for i, j in m:
            m[i, j] = ti.Matrix([[i, j], [j * 2.0, 1.0]]) @ ti.Matrix([[0.0, 1.0], [1.0, 0.0]])

    run(v, m)
    return wide(v.to_numpy(), m.to_numpy())


@case
def ndarrays_that_are_copied_and_filled():
    a, b = ti.ndarray(ti.f32, (30, 20)), ti.ndarray(ti.f32, (30, 20))
    a.from_numpy(np.arange(600, dtype=np.float32).reshape(30, 20))
    b.copy_from(a)
    a.fill(2.5)
    return wide(a.to_numpy(), b.to_numpy())


@case
def large_copies():
    x = ti.field(ti.f32, (1024, 300))
    values = np.random.default_rng(3).standard_normal((1024, 300)).astype(np.float32)
    x.from_numpy(values)

    @ti.kernel
    def double():
        for i, j in x:
            x[i, j] *= 2.0

    double()
    return x.to_numpy()


@case
def sparse_matrices_of_linear_algebra():
    n = 32
    builder = ti.linalg.SparseMatrixBuilder(n, n, max_num_triplets=200, dtype=ti.f32)

    @ti.kernel
    def fill(builder: ti.types.sparse_matrix_builder()):
        for i in range(n):
            builder[i, i] += 4.0
            if i > 0:
                builder[i, i - 1] += -1.0

    # cuSPARSE, which the CUDA backend would load, is machine code: the product is by hand there.
    if ti.cfg.arch == ti.cuda:
        return np.array([4.0 * (i + 1) - (i if i else 0) for i in range(n)], dtype=np.float32)
    fill(builder)
    matrix, vector = builder.build(), np.arange(1, n + 1, dtype=np.float32)
    return matrix @ vector


# ----- meshes, caches, profilers

@case
def graphs_of_kernels():
    @ti.kernel
    def add(x: ti.types.ndarray(dtype=ti.f32, ndim=1), k: ti.f32):
        for i in x:
            x[i] = x[i] * 2.0 + k

    builder = ti.graph.GraphBuilder()
    symbol = ti.graph.Arg(ti.graph.ArgKind.NDARRAY, "x", dtype=ti.f32, ndim=1)
    amount = ti.graph.Arg(ti.graph.ArgKind.SCALAR, "k", dtype=ti.f32)
    for _ in range(3):
        builder.dispatch(add, symbol, amount)
    graph, x = builder.compile(), ti.ndarray(ti.f32, 50)
    x.fill(1.0)
    for k in (1.0, 0.5):
        graph.run({"x": x, "k": k})
    return x.to_numpy()


@case
def kernel_profiler():
    ti.profiler.clear_kernel_profiler_info()
    x = ti.field(ti.i32, 100)

    @ti.kernel
    def run():
        for i in x:
            x[i] += i

    for _ in range(3):
        run()
    ti.sync()
    return x.to_numpy()


@case
def many_kernels_in_a_row():
    x = ti.field(ti.f32, 256)

    @ti.kernel
    def smooth():
        for i in x:
            x[i] = 0.5 * x[i] + 0.25 * i

    for _ in range(300):
        smooth()
    return x.to_numpy()


@case
def kernels_between_reads():
    x = ti.field(ti.i32, ())

    @ti.kernel
    def add(k: ti.i32):
        x[None] += k

    seen = []
    for k in range(50):
        add(k)
        seen.append(x[None])
    return np.array(seen)


@case
def conjugate_gradients():
    n = 32
    x, b, r, p, q = (ti.field(ti.f64, (n, n)) for _ in range(5))

    @ti.func
    def at(field, i, j):
        return field[i, j] if 0 <= i < n and 0 <= j < n else 0.0

    @ti.kernel
    def start():
        for i, j in b:
            b[i, j] = ti.sin(0.2 * i) * ti.cos(0.3 * j)
            r[i, j] = b[i, j]
            p[i, j] = b[i, j]

    @ti.kernel
    def apply():
        for i, j in p:
            q[i, j] = 4.1 * p[i, j] - at(p, i - 1, j) - at(p, i + 1, j) - at(p, i, j - 1) - at(p, i, j + 1)

    @ti.kernel
    def dot(a: ti.template(), c: ti.template()) -> ti.f64:
        total = ti.cast(0.0, ti.f64)
        for i, j in a:
            total += a[i, j] * c[i, j]
        return total

    @ti.kernel
    def move(target: ti.template(), along: ti.template(), step: ti.f64):
        for i, j in target:
            target[i, j] += step * along[i, j]

    @ti.kernel
    def turn(beta: ti.f64):
        for i, j in p:
            p[i, j] = r[i, j] + beta * p[i, j]

    start()
    old = dot(r, r)
    for _ in range(25):
        apply()
        alpha = old / dot(p, q)
        move(x, p, alpha)
        move(r, q, -alpha)
        new = dot(r, r)
        turn(new / old)
        old = new
    return x.to_numpy()


@case
def n_bodies():
    n = 200
    x, v = ti.Vector.field(3, ti.f32, n), ti.Vector.field(3, ti.f32, n)

    @ti.kernel
    def start():
        for i in x:
            x[i] = tm.vec3(ti.sin(i * 1.1), ti.cos(i * 0.7), ti.sin(i * 0.3))

    @ti.kernel
    def step():
        for i in x:
            force = tm.vec3(0.0)
            for j in range(n):
                d = x[j] - x[i]
                force += d / (d.norm_sqr() + 0.01) ** 1.5
            v[i] += 1e-4 * force
        for i in x:
            x[i] += 1e-2 * v[i]

    start()
    for _ in range(5):
        step()
    return x.to_numpy()


@case
def ray_marching():
    out = ti.field(ti.f32, (48, 32))

    @ti.func
    def distance(p):
        return ti.min(p.y + 0.5, (p - tm.vec3(0.0, 0.0, 3.0)).norm() - 1.0)

    @ti.kernel
    def run():
        for i, j in out:
            d = tm.normalize(tm.vec3((i - 24) / 24.0, (j - 16) / 24.0, 1.0))
            t = 0.0
            for _ in range(40):
                t += distance(d * t)
            out[i, j] = ti.min(t, 20.0)

    run()
    return out.to_numpy()


TOLERANCE["ray_marching"] = dict(rtol=1e-3, atol=1e-3, share=0.01)
