"""PyCUDA: its driver interface and its arrays, against numpy."""
import ctypes
import glob
import os
import sys
import warnings

import numpy as np

warnings.filterwarnings("ignore")
import pycuda.compiler
import pycuda.driver as cuda
import pycuda.autoinit  # makes the context

from cases import case, run

close = np.testing.assert_allclose
equal = np.testing.assert_array_equal
rng = np.random.default_rng(3)


def nvrtc():
    package = os.path.join(sys.prefix, "lib", "python3.11", "site-packages", "nvidia", "cuda_nvrtc", "lib")
    return ctypes.CDLL(glob.glob(f"{package}/libnvrtc.so.*")[0])


def compile_by_nvrtc(source, nvcc="nvcc", options=None, keep=False, no_extern_c=False, arch=None, code=None, cache_dir=None,
                     include_dirs=[], target="cubin"):
    """What `pycuda.compiler.compile` does by nvcc: a module's image."""
    if not no_extern_c:
        source = 'extern "C" {\n%s\n}\n' % source
    folders = [*include_dirs, pycuda.compiler._find_pycuda_include_path()]
    # Headers of the host's that PyCUDA's kernels ask for, and NVRTC has built in.
    headers = {b"stdio.h": b"", b"math.h": b"", b"cmath": b""}
    arguments = [b"--gpu-architecture=compute_61", *(f"-I{it}".encode() for it in folders)]
    library, program = nvrtc(), ctypes.c_void_p()
    strings = lambda values: (ctypes.c_char_p * len(values))(*values)
    made = library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", len(headers), strings(list(headers.values())),
                                      strings(list(headers)))
    assert made == 0, made
    compiled = library.nvrtcCompileProgram(program, len(arguments), strings(arguments))
    size = ctypes.c_size_t()
    if compiled:
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, log)
        raise RuntimeError(log.value.decode())
    library.nvrtcGetPTXSize(program, ctypes.byref(size))
    ptx = ctypes.create_string_buffer(size.value)
    library.nvrtcGetPTX(program, ptx)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return ptx.raw


pycuda.compiler.compile = compile_by_nvrtc

from pycuda import cumath, curandom, gpuarray
from pycuda.compiler import SourceModule
from pycuda.elementwise import ElementwiseKernel
from pycuda.reduction import ReductionKernel
from pycuda.scan import ExclusiveScanKernel, InclusiveScanKernel
from pycuda.tools import DeviceMemoryPool, PageLockedMemoryPool

SCALE = """
__constant__ float offset;
__global__ void scale(float *out, const float *in, float by, int count) {
    extern __shared__ float tile[];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    tile[threadIdx.x] = i < count ? in[i] : 0;
    __syncthreads();
    if (i < count) out[i] = tile[threadIdx.x] * by + offset;
}
"""
COUNT = 1000


def scale():
    """The module, with its constant set; its kernel; numbers, and what it makes of them."""
    module = SourceModule(SCALE)
    place, size = module.get_global("offset")
    assert size == 4
    cuda.memcpy_htod(place, np.float32(2.5))
    numbers = rng.random(COUNT, dtype=np.float32)
    return module, module.get_function("scale"), numbers, numbers * np.float32(3) + np.float32(2.5)


@case
def device_and_context():
    device = cuda.Device(0)
    assert cuda.Device.count() == 1 and device.compute_capability() == (6, 1) and "1080" in device.name()
    attributes = device.get_attributes()
    assert attributes[cuda.device_attribute.WARP_SIZE] == 32
    free, total = cuda.mem_get_info()
    assert 0 < free <= total == device.total_memory()
    second = device.make_context()
    assert cuda.Context.get_current() == second
    held = cuda.mem_get_info()[0]
    block = cuda.mem_alloc(64 << 20)
    assert cuda.mem_get_info()[0] <= held - (64 << 20)
    cuda.Context.attach().detach()
    assert cuda.Context.get_current() == second
    second.pop()
    second.detach()
    assert cuda.mem_get_info()[0] >= held, "what it held came back"


@case
def kernel_call_with_handlers():
    _, kernel, numbers, expected = scale()
    out = np.zeros_like(numbers)
    kernel(cuda.Out(out), cuda.In(numbers), np.float32(3), np.int32(COUNT), block=(256, 1, 1), grid=(4, 1), shared=1024)
    close(out, expected, rtol=1e-6)


@case
def prepared_calls():
    _, kernel, numbers, expected = scale()
    kernel.prepare("PPfi")
    out, given = cuda.mem_alloc(numbers.nbytes), cuda.to_device(numbers)
    kernel.prepared_call((4, 1), (256, 1, 1), out, given, 3, COUNT, shared_size=1024)
    close(cuda.from_device_like(out, numbers), expected, rtol=1e-6)
    cuda.memset_d32(out, 0, COUNT)
    stream = cuda.Stream()
    kernel.prepared_async_call((4, 1), (256, 1, 1), stream, out, given, 3, COUNT, shared_size=1024)
    stream.synchronize()
    close(cuda.from_device_like(out, numbers), expected, rtol=1e-6)
    assert kernel.prepared_timed_call((4, 1), (256, 1, 1), out, given, 3, COUNT, shared_size=1024)() >= 0
    assert kernel.max_threads_per_block >= 256 and kernel.shared_size_bytes == 0


@case
def launches_set_call_by_call():
    _, kernel, numbers, expected = scale()
    out, given = cuda.mem_alloc(numbers.nbytes), cuda.to_device(numbers)
    kernel._set_block_shape(256, 1, 1)
    kernel._set_shared_size(1024)
    kernel._param_setv(0, np.array([int(out), int(given)], np.uint64).tobytes())
    kernel._param_setf(16, 3)
    kernel._param_seti(20, COUNT)
    kernel._param_set_size(24)
    kernel._launch_grid(4, 1)
    close(cuda.from_device_like(out, numbers), expected, rtol=1e-6)
    cuda.memset_d32(out, 0, COUNT)
    stream = cuda.Stream()
    kernel._launch_grid_async(4, 1, stream)
    stream.synchronize()
    close(cuda.from_device_like(out, numbers), expected, rtol=1e-6)


@case
def streams_and_events():
    _, kernel, numbers, expected = scale()
    locked = cuda.pagelocked_empty(COUNT, np.float32)
    locked[:] = numbers
    back = cuda.pagelocked_zeros(COUNT, np.float32)
    out, given = cuda.mem_alloc(numbers.nbytes), cuda.mem_alloc(numbers.nbytes)
    stream, begun, ended = cuda.Stream(), cuda.Event(), cuda.Event()
    begun.record(stream)
    cuda.memcpy_htod_async(given, locked, stream)
    kernel(out, given, np.float32(3), np.int32(COUNT), block=(256, 1, 1), grid=(4, 1), shared=1024, stream=stream)
    cuda.memcpy_dtoh_async(back, out, stream)
    ended.record(stream).synchronize()
    close(back, expected, rtol=1e-6)
    assert ended.query() and stream.is_done() and ended.time_since(begun) >= 0


@case
def memory_of_every_kind():
    numbers = np.arange(COUNT, dtype=np.float32)
    managed = cuda.managed_empty(COUNT, np.float32, mem_flags=cuda.mem_attach_flags.GLOBAL)
    managed[:] = 7
    module, kernel, _, _ = scale()
    kernel(managed, cuda.In(numbers), np.float32(2), np.int32(COUNT), block=(256, 1, 1), grid=(4, 1), shared=1024)
    pycuda.autoinit.context.synchronize()
    close(managed, numbers * 2 + 2.5)
    mapped = cuda.pagelocked_empty(COUNT, np.float32, mem_flags=cuda.host_alloc_flags.DEVICEMAP)
    kernel(np.intp(mapped.base.get_device_pointer()), cuda.In(numbers), np.float32(4), np.int32(COUNT), block=(256, 1, 1), grid=(4, 1),
           shared=1024)
    pycuda.autoinit.context.synchronize()
    close(mapped, numbers * 4 + 2.5)
    allocation = cuda.mem_alloc(4096)
    cuda.memset_d8(allocation, 0x5A, 4096)
    copy = cuda.mem_alloc(4096)
    cuda.memcpy_dtod(copy, allocation, 4096)
    assert bytes(cuda.from_device(copy, 4096, np.uint8)) == b"Z" * 4096
    allocation.free()


@case
def rows_and_boxes():
    picture = rng.random((30, 50), dtype=np.float32)
    rows, pitch = cuda.mem_alloc_pitch(50 * 4, 30, 4)
    copy = cuda.Memcpy2D()
    copy.set_src_host(picture)
    copy.set_dst_device(rows)
    copy.width_in_bytes, copy.src_pitch, copy.dst_pitch, copy.height = 200, 200, pitch, 30
    copy(aligned=False)
    back = np.zeros_like(picture)
    copy = cuda.Memcpy2D()
    copy.set_src_device(rows)
    copy.set_dst_host(back)
    copy.width_in_bytes, copy.src_pitch, copy.dst_pitch, copy.height = 200, pitch, 200, 30
    copy(aligned=False)
    equal(back, picture)


@case
def pools():
    for pool in (DeviceMemoryPool(), PageLockedMemoryPool()):
        is_device = isinstance(pool, DeviceMemoryPool)
        blocks = [pool.allocate(1 << 16) if is_device else pool.allocate((1 << 14,), np.float32) for _ in range(5)]
        assert pool.active_blocks == 5
        del blocks
        assert pool.active_blocks == 0 and pool.held_blocks == 5
        pool.free_held()
        assert pool.held_blocks == 0
    pool = DeviceMemoryPool()
    array = gpuarray.to_gpu(np.arange(COUNT, dtype=np.float32), allocator=pool.allocate)
    close((array * 2).get(), np.arange(COUNT) * 2)


TEXTURE = b"""
.version 6.4
.target sm_61
.address_size 64
.visible .global .texref picture;
.visible .entry look(.param .u64 out, .param .u32 width) {
    .reg .b32 %r<6>; .reg .f32 %f<8>; .reg .b64 %rd<4>;
    ld.param.u64 %rd0, [out]; ld.param.u32 %r0, [width];
    mov.u32 %r1, %tid.x; mov.u32 %r2, %tid.y; cvt.rn.f32.u32 %f0, %r1; cvt.rn.f32.u32 %f1, %r2; add.f32 %f0, %f0, 0f3F000000; add.f32 %f1, %f1, 0f3F000000;
    tex.2d.v4.f32.f32 {%f2, %f3, %f4, %f5}, [picture, {%f0, %f1}];
    mad.lo.u32 %r3, %r2, %r0, %r1; mul.wide.u32 %rd1, %r3, 4; add.u64 %rd2, %rd0, %rd1; st.global.f32 [%rd2], %f2; ret;
}
"""


@case
def texture_references():
    module = cuda.module_from_buffer(TEXTURE + b"\0")
    kernel, texture = module.get_function("look"), module.get_texref("picture")
    picture = rng.random((6, 10), dtype=np.float32)
    cuda.matrix_to_texref(picture, texture, order="C")
    out = np.zeros((6, 12), np.float32)
    kernel(cuda.Out(out), np.int32(12), block=(12, 6, 1), grid=(1, 1), texrefs=[texture])
    equal(out, np.pad(picture, ((0, 0), (0, 2)), mode="edge"))
    texture.set_address_mode(0, cuda.address_mode.BORDER)
    kernel(cuda.Out(out), np.int32(12), block=(12, 6, 1), grid=(1, 1), texrefs=[texture])
    equal(out, np.pad(picture, ((0, 0), (0, 2))))


TYPES = [np.float32, np.float64, np.int16, np.int32, np.int64]


@case
def array_arithmetic():
    for dtype in TYPES:
        a, b = (rng.integers(1, 9, COUNT).astype(dtype) for _ in range(2))
        x, y = gpuarray.to_gpu(a), gpuarray.to_gpu(b)
        equal((x + y).get(), a + b)
        equal((x * y).get(), a * b)
        equal((x - y).get(), a - b)
        equal((x + 3).get(), a + dtype(3))
        close((3 * x - y).get(), 3 * a - b)
        x += y
        equal(x.get(), a + b)
        equal(x[10:20].get(), (a + b)[10:20])
        equal(x.reshape(20, 50).get(), (a + b).reshape(20, 50))
    a = rng.random(COUNT, dtype=np.float32) + 1
    x = gpuarray.to_gpu(a)
    close((1 / x).get(), 1 / a, rtol=1e-6)
    close((x**2).get(), a**2, rtol=1e-5)
    close(abs(-x).get(), a)


@case
def array_comparisons_and_choices():
    a, b = rng.random(COUNT, dtype=np.float32), rng.random(COUNT, dtype=np.float32)
    x, y = gpuarray.to_gpu(a), gpuarray.to_gpu(b)
    equal((x > y).get(), a > b)
    equal((x == x).get(), a == a)
    equal(gpuarray.if_positive(x > y, x, y).get(), np.maximum(a, b))
    equal(gpuarray.maximum(x, y).get(), np.maximum(a, b))
    equal(gpuarray.arange(0, 500, 2, dtype=np.int32).get(), np.arange(0, 500, 2))


@case
def complex_arrays():
    a = (rng.random(COUNT) + 1j * rng.random(COUNT)).astype(np.complex64)
    b = (rng.random(COUNT) - 1j * rng.random(COUNT)).astype(np.complex64)
    x, y = gpuarray.to_gpu(a), gpuarray.to_gpu(b)
    close((x * y).get(), a * b, rtol=1e-5)
    close((x + y.conj()).get(), a + b.conj(), rtol=1e-5)
    close(x.real.get(), a.real)
    close(abs(x).get(), abs(a), rtol=1e-5)


@case
def functions():
    a, b = rng.random(COUNT, dtype=np.float32) * 9, rng.random(COUNT, dtype=np.float32) + 1
    equal(cumath.fmod(gpuarray.to_gpu(a), gpuarray.to_gpu(b)).get(), np.fmod(a, b))
    for dtype, bound in ((np.float32, 2e-5), (np.float64, 1e-12)):
        a = (rng.random(COUNT) * 0.9 + 0.05).astype(dtype)
        x = gpuarray.to_gpu(a)
        for name in ("sin", "cos", "tan", "exp", "log", "log10", "sqrt", "floor", "ceil", "sinh", "cosh", "tanh"):
            close(getattr(cumath, name)(x).get(), getattr(np, name)(a), rtol=bound, err_msg=name)
        for mine, theirs in (("asin", "arcsin"), ("acos", "arccos"), ("atan", "arctan")):
            close(getattr(cumath, mine)(x).get(), getattr(np, theirs)(a), rtol=bound, err_msg=mine)


@case
def reductions():
    for count in (10, 1000, 100000):
        a, b = rng.random(count), rng.random(count)
        for dtype, bound in ((np.float32, 1e-5), (np.float64, 1e-12)):
            x, y = gpuarray.to_gpu(a.astype(dtype)), gpuarray.to_gpu(b.astype(dtype))
            close(gpuarray.sum(x).get(), a.sum(), rtol=bound)
            close(gpuarray.dot(x, y).get(), a @ b, rtol=bound)
            equal(gpuarray.max(x).get(), a.astype(dtype).max())
            equal(gpuarray.min(x).get(), a.astype(dtype).min())
        chosen = rng.permutation(count)[: count // 2].astype(np.uint32)
        close(gpuarray.subset_sum(gpuarray.to_gpu(chosen), gpuarray.to_gpu(a)).get(), a[chosen].sum(), rtol=1e-12)


@case
def kernels_of_expressions():
    a, b = rng.random(COUNT, dtype=np.float32), rng.random(COUNT, dtype=np.float32)
    x, y, z = gpuarray.to_gpu(a), gpuarray.to_gpu(b), gpuarray.zeros(COUNT, np.float32)
    ElementwiseKernel("float p, float *x, float *y, float *z", "z[i] = p * x[i] + y[i] * y[i]", "combine")(np.float32(2), x, y, z)
    close(z.get(), 2 * a + b * b, rtol=1e-5)
    norm = ReductionKernel(np.float32, neutral="0", reduce_expr="a + b", map_expr="x[i] * x[i]", arguments="const float *x")
    close(norm(x).get(), (a * a).sum(), rtol=1e-5)


@case
def scans():
    for count in (1, 100, 5000, 70000):
        a = rng.integers(0, 10, count).astype(np.int32)
        for kind, expected in ((InclusiveScanKernel, np.cumsum(a)), (ExclusiveScanKernel, np.cumsum(a) - a)):
            arguments = () if kind is InclusiveScanKernel else ("0",)
            x = gpuarray.to_gpu(a)
            kind(np.int32, "a + b", *arguments)(x)
            equal(x.get(), expected)


@case
def random_numbers():
    numbers = curandom.rand((200, 300), dtype=np.float32).get()
    assert 0 <= numbers.min() and numbers.max() <= 1 and abs(numbers.mean() - 0.5) < 0.01 and abs(numbers.std() - 12**-0.5) < 0.01


print(f"version {'.'.join(map(str, pycuda.VERSION))}")
run("cases of PyCUDA right")
