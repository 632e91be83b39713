"""cuda-core: CUDA C++ compiled by NVRTC to PTX, launched through cuda-bindings' driver interface, against numpy."""
import ctypes

import numpy as np
from cuda.core import Device, EventOptions, LaunchConfig, ObjectCode, Program, ProgramOptions, VirtualMemoryResource, VirtualMemoryResourceOptions, launch

from cases import case, run

device = Device()
device.set_current()
stream = device.create_stream()
equal, close = np.testing.assert_array_equal, np.testing.assert_allclose


def compiled(source, *names, options={}):
    program = Program(source, code_type="c++", options=ProgramOptions(arch=f"compute_{device.arch}", std="c++17", **options))
    return program.compile("ptx", name_expressions=names)


def to_device(array):
    buffer = device.memory_resource.allocate(array.nbytes, stream=stream)
    pinned = ctypes.c_void_p(array.ctypes.data)
    check(driver.cuMemcpyHtoDAsync(int(buffer.handle), pinned.value, array.nbytes, int(stream.handle)))
    stream.sync()
    return buffer


def to_host(buffer, array):
    check(driver.cuMemcpyDtoHAsync(array.ctypes.data, int(buffer.handle), array.nbytes, int(stream.handle)))
    stream.sync()
    return array


from cuda.bindings import driver, nvrtc  # noqa: E402, the low-level interface for what cuda-core leaves out


def check(answer):
    error, *values = answer
    if error.value != 0:
        raise RuntimeError(f"{error}")
    return values[0] if len(values) == 1 else values


def launched(source, kernel, grid, block, out, *arguments, shared=0, options={}):
    """Compiles, launches with a copy of `out` as first argument, and returns what became of it."""
    code = compiled(source, *([kernel] if "<" in kernel else []), options=options)
    buffer = to_device(out)
    config = LaunchConfig(grid=grid, block=block, shmem_size=shared)
    launch(stream, config, code.get_kernel(kernel), buffer, *arguments)
    return to_host(buffer, out.copy())


@case
def saxpy_template():
    source = """template <typename T> __global__ void saxpy(T *y, const T *x, T a, size_t n) {
        for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) y[i] += a * x[i];
    }"""
    for kind, name in ((np.float32, "float"), (np.float64, "double"), (np.int32, "int")):
        x, y = np.arange(3000, dtype=kind), np.ones(3000, dtype=kind)
        right = to_device(x)
        equal(launched(source, f"saxpy<{name}>", 4, 128, y, right, kind(3), np.uint64(3000)), y + 3 * x)


@case
def reduction_in_shared_memory():
    source = """extern "C" __global__ void sum(float *out, const float *in, int n) {
        extern __shared__ float slots[];
        float total = 0;
        for (int i = threadIdx.x; i < n; i += blockDim.x) total += in[i];
        slots[threadIdx.x] = total;
        for (int half = blockDim.x / 2; half > 0; half /= 2) {
            __syncthreads();
            if (threadIdx.x < half) slots[threadIdx.x] += slots[threadIdx.x + half];
        }
        if (threadIdx.x == 0) *out = slots[0];
    }"""
    values = (np.arange(4096) % 37).astype(np.float32)
    out = launched(source, "sum", 1, 256, np.zeros(1, np.float32), to_device(values), np.int32(4096), shared=1024)
    assert out[0] == values.sum()


@case
def warp_shuffles_and_votes():
    source = """extern "C" __global__ void warp(unsigned *out) {
        unsigned v = threadIdx.x;
        for (int d = 16; d; d /= 2) v += __shfl_xor_sync(~0u, v, d);
        out[threadIdx.x] = v + __ballot_sync(~0u, threadIdx.x & 1) + __popc(__activemask());
    }"""
    equal(launched(source, "warp", 1, 32, np.zeros(32, np.uint32)), np.full(32, 496 + 0xAAAAAAAA + 32, np.uint32))


@case
def atomics():
    source = """extern "C" __global__ void bins(unsigned *out, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) { atomicAdd(out + i % 10, 1); atomicMax(out + 10, i); atomicCAS(out + 11, 0, 99); atomicXor(out + 12, i); }
    }"""
    out = launched(source, "bins", 40, 256, np.zeros(13, np.uint32), np.int32(10000))
    equal(out, [1000] * 10 + [9999, 99, np.bitwise_xor.reduce(np.arange(10000))])


@case
def mathematics():
    source = """extern "C" __global__ void f(double *out, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) { double x = i * 0.01 + 0.1; out[i] = sin(x) * exp(-x) + pow(x, 2.5) / (1 + log1p(x)) + cbrt(x) + fma(x, x, -x) + tgamma(x / 10 + 1); }
    }"""
    import math
    expected = []
    for i in range(1000):
        x = i * 0.01 + 0.1
        expected.append(math.sin(x) * math.exp(-x) + x**2.5 / (1 + math.log1p(x)) + x ** (1 / 3) + (x * x - x) + math.gamma(x / 10 + 1))
    close(launched(source, "f", 8, 128, np.zeros(1000), np.int32(1000)), expected, rtol=1e-12)


@case
def fast_mathematics():
    source = """extern "C" __global__ void f(float *out, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) { float x = i * 0.01f + 0.1f; out[i] = sinf(x) + expf(-x) + logf(x) + rsqrtf(x) + x / (x + 1); }
    }"""
    x = np.arange(500) * 0.01 + 0.1
    out = launched(source, "f", 4, 128, np.zeros(500, np.float32), np.int32(500), options={"use_fast_math": True})
    close(out, np.sin(x) + np.exp(-x) + np.log(x) + 1 / np.sqrt(x) + x / (x + 1), rtol=2e-5, atol=2e-5)


@case
def device_functions_and_recursion():
    source = """__device__ __noinline__ int ackermann(int m, int n) {
        return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
    }
    extern "C" __global__ void f(int *out) { out[threadIdx.x] = ackermann(threadIdx.x % 3, threadIdx.x / 8); }"""
    def host(m, n):
        return n + 1 if m == 0 else host(m - 1, 1) if n == 0 else host(m - 1, host(m, n - 1))
    equal(launched(source, "f", 1, 32, np.zeros(32, np.int32)), [host(i % 3, i // 8) for i in range(32)])


@case
def function_pointers_and_virtual_functions():
    source = """struct Shape { __device__ virtual float area() const = 0; };
    struct Square : Shape { float a; __device__ Square(float a) : a(a) {} __device__ float area() const override { return a * a; } };
    struct Triangle : Shape { float a; __device__ Triangle(float a) : a(a) {} __device__ float area() const override { return a * a / 2; } };
    extern "C" __global__ void f(float *out) {
        int i = threadIdx.x;
        Square square(i); Triangle triangle(i);
        const Shape *shape = i % 2 ? (const Shape *)&triangle : &square;
        out[i] = shape->area();
    }"""
    lanes = np.arange(32, dtype=np.float32)
    equal(launched(source, "f", 1, 32, np.zeros(32, np.float32)), np.where(lanes % 2, lanes**2 / 2, lanes**2))


@case
def constant_and_global_variables():
    source = """__constant__ float table[4]; __device__ int counter = 5;
    extern "C" __global__ void f(float *out) { out[threadIdx.x] = table[threadIdx.x & 3]; if (threadIdx.x == 0) atomicAdd(&counter, 7); }"""
    code = compiled(source)
    module = check(driver.cuModuleLoadData(code.code))
    kernel = check(driver.cuModuleGetFunction(module, b"f"))
    address, size = check(driver.cuModuleGetGlobal(module, b"table"))
    table = np.array([1.5, -2, 3, 8], dtype=np.float32)
    assert size == table.nbytes
    check(driver.cuMemcpyHtoD(address, table.ctypes.data, size))
    buffer = to_device(np.zeros(8, np.float32))
    arguments = ((int(buffer.handle),), (ctypes.c_void_p,))
    check(driver.cuLaunchKernel(kernel, 1, 1, 1, 8, 1, 1, 0, int(stream.handle), arguments, 0))
    equal(to_host(buffer, np.zeros(8, np.float32)), np.tile(table, 2))
    address, _ = check(driver.cuModuleGetGlobal(module, b"counter"))
    counter = np.zeros(1, np.int32)
    check(driver.cuMemcpyDtoH(counter.ctypes.data, address, 4))
    assert counter[0] == 12
    check(driver.cuModuleUnload(module))


@case
def half_precision():
    source = """extern "C" __global__ void f(unsigned short *out) {
        float x = threadIdx.x * 0.37f; unsigned short h;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
        asm("fma.rn.f16 %0, %0, %0, %0;" : "+h"(h));
        out[threadIdx.x] = h;
    }"""
    x = (np.arange(64, dtype=np.float32) * np.float32(0.37)).astype(np.float16).astype(np.float64)
    equal(launched(source, "f", 1, 64, np.zeros(64, np.uint16)).view(np.float16), (x * x + x).astype(np.float16))


@case
def printf_from_a_kernel():
    source = """extern "C" __global__ void f(int *out) { if (threadIdx.x < 2) printf("lane %d of %s: %.2f\\n", threadIdx.x, "f", 0.5); *out = 1; }"""
    assert launched(source, "f", 1, 32, np.zeros(1, np.int32))[0] == 1


@case
def ptx_as_text():
    source = """.version 6.4\n.target sm_50\n.address_size 64\n.visible .entry f(.param .u64 out) {
        .reg .b64 %rd<3>; .reg .b32 %r<3>;
        ld.param.u64 %rd0, [out]; mov.u32 %r0, %tid.x; mul.lo.u32 %r1, %r0, %r0; mul.wide.u32 %rd1, %r0, 4; add.u64 %rd2, %rd0, %rd1;
        st.global.u32 [%rd2], %r1; ret; }"""
    code = ObjectCode.from_ptx(source.encode())
    buffer = to_device(np.zeros(64, np.uint32))
    launch(stream, LaunchConfig(grid=1, block=64), code.get_kernel("f"), buffer)
    equal(to_host(buffer, np.zeros(64, np.uint32)), np.arange(64) ** 2)


@case
def machine_code_is_refused():
    """What PyTorch would meet: its kernels are machine code without PTX."""
    program = Program('extern "C" __global__ void f(int *x) { *x = 1; }', code_type="c++", options=ProgramOptions(arch=f"sm_{device.arch}"))
    code = bytes(program.compile("cubin").code)
    error, _ = driver.cuModuleLoadData(code)
    assert error == driver.CUresult.CUDA_ERROR_NO_BINARY_FOR_GPU, error


@case
def compiler_s_complaint_comes_back():
    try:
        compiled('extern "C" __global__ void f() { no_such_function(); }')
    except Exception as error:
        assert "no_such_function" in str(error)
    else:
        raise AssertionError("it was compiled")


@case
def streams_events_and_order():
    source = """extern "C" __global__ void add(int *x, int n, int k) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) x[i] = x[i] * 2 + k; }"""
    kernel, other = compiled(source).get_kernel("add"), device.create_stream()
    buffer = to_device(np.zeros(1000, np.int32))
    begin = stream.record(options=EventOptions(timing_enabled=True))
    expected = 0
    for k in range(12):
        first, second = (stream, other) if k % 2 == 0 else (other, stream)
        launch(first, LaunchConfig(grid=8, block=128), kernel, buffer, np.int32(1000), np.int32(k))
        second.wait(first.record())
        expected = expected * 2 + k
    end = stream.record(options=EventOptions(timing_enabled=True))
    end.sync()
    equal(to_host(buffer, np.zeros(1000, np.int32)), np.full(1000, expected))
    assert end - begin > 0


@case
def graph_by_capture():
    source = """extern "C" __global__ void add(int *x, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) x[i] += i; }"""
    kernel = compiled(source).get_kernel("add")
    buffer = to_device(np.zeros(256, np.int32))
    check(driver.cuStreamBeginCapture(int(stream.handle), driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED))
    for _ in range(3):
        launch(stream, LaunchConfig(grid=2, block=128), kernel, buffer, np.int32(256))
    graph = check(driver.cuStreamEndCapture(int(stream.handle)))
    executable = check(driver.cuGraphInstantiate(graph, 0))
    for _ in range(5):
        check(driver.cuGraphLaunch(executable, int(stream.handle)))
    equal(to_host(buffer, np.zeros(256, np.int32)), np.arange(256) * 15)


@case
def kernel_attributes_and_occupancy():
    source = """extern "C" __global__ void __launch_bounds__(128) f(float *x) { __shared__ float s[256]; s[threadIdx.x] = x[threadIdx.x]; __syncthreads(); x[threadIdx.x] = s[127 - threadIdx.x]; }"""
    kernel = compiled(source).get_kernel("f")
    assert kernel.attributes.shared_size_bytes == 1024
    assert kernel.attributes.max_threads_per_block == 128
    assert kernel.occupancy.max_active_blocks_per_multiprocessor(128, 0) >= 1


ADD = 'extern "C" __global__ void add(int *x, int n, int k) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) x[i] = x[i] * 2 + k; }'


def add_kernel():
    return compiled(ADD).get_kernel("add")


@case
def graph_builder():
    kernel, buffer = add_kernel(), to_device(np.zeros(256, np.int32))
    builder = device.create_graph_builder()
    builder.begin_building()
    for k in range(3):
        launch(builder, LaunchConfig(grid=2, block=128), kernel, buffer, np.int32(256), np.int32(k))
    graph = builder.end_building().complete()
    for _ in range(2):
        graph.launch(stream)
    expected = 0
    for k in (0, 1, 2, 0, 1, 2):
        expected = expected * 2 + k
    equal(to_host(buffer, np.zeros(256, np.int32)), np.full(256, expected))


@case
def graph_builder_forks_and_joins():
    kernel = add_kernel()
    buffers = [to_device(np.full(64, index, np.int32)) for index in range(3)]
    config = LaunchConfig(grid=1, block=64)
    builder = device.create_graph_builder()
    builder.begin_building()
    launch(builder, config, kernel, buffers[0], np.int32(64), np.int32(1))
    left, right = builder.split(2)
    launch(left, config, kernel, buffers[1], np.int32(64), np.int32(2))
    launch(right, config, kernel, buffers[2], np.int32(64), np.int32(3))
    joined = type(builder).join(left, right)
    launch(joined, config, kernel, buffers[0], np.int32(64), np.int32(4))
    graph = joined.end_building().complete()
    graph.launch(stream)
    for buffer, expected in zip(buffers, ((0 * 2 + 1) * 2 + 4, 1 * 2 + 2, 2 * 2 + 3)):
        equal(to_host(buffer, np.zeros(64, np.int32)), np.full(64, expected))


@case
def nodes_of_graphs():
    buffer = to_device(np.zeros(16, np.uint32))
    graph = check(driver.cuGraphCreate(0))
    fill = driver.CUDA_MEMSET_NODE_PARAMS()
    fill.dst, fill.value, fill.elementSize, fill.width, fill.height = int(buffer.handle), 7, 4, 16, 1
    context = check(driver.cuCtxGetCurrent())
    first = check(driver.cuGraphAddMemsetNode(graph, None, 0, fill, context))
    empty = check(driver.cuGraphAddEmptyNode(graph, [first], 1))
    clone = check(driver.cuGraphClone(graph))
    found = check(driver.cuGraphNodeFindInClone(first, clone))
    fill.value = 9
    check(driver.cuGraphMemsetNodeSetParams(found, fill))
    for made, value in ((graph, 7), (clone, 9)):
        executable = check(driver.cuGraphInstantiate(made, 0))
        check(driver.cuGraphLaunch(executable, int(stream.handle)))
        equal(to_host(buffer, np.zeros(16, np.uint32)), np.full(16, value))
        check(driver.cuGraphExecDestroy(executable))
    assert check(driver.cuGraphNodeGetType(empty)) == driver.CUgraphNodeType.CU_GRAPH_NODE_TYPE_EMPTY
    assert check(driver.cuGraphGetNodes(graph, 8))[1] == 2


@case
def memory_pool_counts():
    attribute = driver.CUmemPool_attribute
    properties = driver.CUmemPoolProps()
    properties.allocType = driver.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
    properties.location.type, properties.location.id = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE, device.device_id
    pool = check(driver.cuMemPoolCreate(properties))
    used = lambda: int(check(driver.cuMemPoolGetAttribute(pool, attribute.CU_MEMPOOL_ATTR_USED_MEM_CURRENT)))
    address = check(driver.cuMemAllocFromPoolAsync(1 << 20, pool, int(stream.handle)))
    assert used() == 1 << 20
    check(driver.cuMemFreeAsync(address, int(stream.handle)))
    stream.sync()
    check(driver.cuMemFree(check(driver.cuMemAlloc(4))))
    assert used() == 0
    check(driver.cuMemPoolSetAttribute(pool, attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, driver.cuuint64_t(99)))
    assert int(check(driver.cuMemPoolGetAttribute(pool, attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD))) == 99
    check(driver.cuMemPoolDestroy(pool))


@case
def managed_memory_and_advice():
    address = check(driver.cuMemAllocManaged(4096, driver.CUmemAttach_flags.CU_MEM_ATTACH_GLOBAL.value))
    values = np.ctypeslib.as_array((ctypes.c_int32 * 1024).from_address(int(address)))
    values[:] = np.arange(1024)
    launch(stream, LaunchConfig(grid=8, block=128), add_kernel(), np.uint64(int(address)), np.int32(1024), np.int32(5))
    stream.sync()
    equal(values, np.arange(1024) * 2 + 5)
    check(driver.cuMemsetD32(address, 3, 1024))
    equal(values, np.full(1024, 3))
    flag = driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_IS_MANAGED
    assert check(driver.cuPointerGetAttribute(flag, address))
    check(driver.cuMemFree(address))


@case
def pinned_memory_is_over_when_the_call_returns():
    host = check(driver.cuMemHostAlloc(1 << 22, 0))
    values = np.ctypeslib.as_array((ctypes.c_uint8 * (1 << 22)).from_address(int(host)))
    place = check(driver.cuMemAlloc(1 << 22))
    for value in (1, 2, 3):
        check(driver.cuMemsetD8(place, value, 1 << 22))
        check(driver.cuMemcpyDtoH(int(host), place, 1 << 22))
        assert (values == value).all()
    check(driver.cuMemFreeHost(int(host)))
    check(driver.cuMemFree(place))


@case
def boxes():
    source = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
    place, pitch = check(driver.cuMemAllocPitch(16, 12, 4))
    order = driver.CUDA_MEMCPY2D()
    order.srcMemoryType, order.srcHost, order.srcPitch = driver.CUmemorytype.CU_MEMORYTYPE_HOST, source.ctypes.data, 16
    order.dstMemoryType, order.dstDevice, order.dstPitch = driver.CUmemorytype.CU_MEMORYTYPE_DEVICE, place, pitch
    order.srcXInBytes, order.srcY, order.WidthInBytes, order.Height = 4, 2, 8, 6
    check(driver.cuMemcpy2D(order))
    back = np.zeros((6, 8), np.uint8)
    order = driver.CUDA_MEMCPY2D()
    order.srcMemoryType, order.srcDevice, order.srcPitch = driver.CUmemorytype.CU_MEMORYTYPE_DEVICE, place, pitch
    order.dstMemoryType, order.dstHost, order.dstPitch = driver.CUmemorytype.CU_MEMORYTYPE_HOST, back.ctypes.data, 8
    order.WidthInBytes, order.Height = 8, 6
    check(driver.cuMemcpy2D(order))
    equal(back, source[2:8, 4:12])
    check(driver.cuMemFree(place))


@case
def functions_of_the_host_in_a_stream():
    seen = []
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    functions = [kind(lambda _, value=value: seen.append(value)) for value in range(5)]
    for function in functions:
        check(driver.cuLaunchHostFunc(int(stream.handle), driver.CUhostFn(ctypes.cast(function, ctypes.c_void_p).value), None))
    stream.sync()
    assert seen == list(range(5)), seen


@case
def libraries_and_their_kernels():
    source = """__device__ int offset = 11; extern "C" __global__ void one(int *x) { *x = offset; } extern "C" __global__ void two(int *x, char c, double d) { *x = c + (int)d; }"""
    code = compiled(source)
    library = check(driver.cuLibraryLoadData(code.code, None, None, 0, None, None, 0))
    assert check(driver.cuLibraryGetKernelCount(library)) == 2
    address, size = check(driver.cuLibraryGetGlobal(library, b"offset"))
    assert size == 4 and int(address)
    kernel = check(driver.cuLibraryGetKernel(library, b"two"))
    assert check(driver.cuKernelGetName(kernel)) == b"two"
    offsets = [check(driver.cuKernelGetParamInfo(kernel, index)) for index in range(3)]
    equal(offsets, [(0, 8), (8, 1), (16, 8)])
    buffer = to_device(np.zeros(1, np.int32))
    function = check(driver.cuKernelGetFunction(kernel))
    arguments = ((int(buffer.handle), b"\x05", 2.5), (ctypes.c_void_p, ctypes.c_char, ctypes.c_double))
    check(driver.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, int(stream.handle), arguments, 0))
    assert to_host(buffer, np.zeros(1, np.int32))[0] == 7
    check(driver.cuLibraryUnload(library))


@case
def several_modules_are_linked():
    from cuda.core import Linker, LinkerOptions

    options = ProgramOptions(arch=f"compute_{device.arch}", relocatable_device_code=True)
    parts = ("""extern __device__ int twice(int); extern "C" __global__ void f(int *x) { x[threadIdx.x] = twice(threadIdx.x); }""",
             """static __device__ int own(int x) { return x * 2; } __device__ int twice(int x) { return own(x) + 1; }""")
    codes = [Program(part, code_type="c++", options=options).compile("ptx") for part in parts]
    linked = Linker(*codes, options=LinkerOptions(arch=f"sm_{device.arch}")).link("cubin")
    buffer = to_device(np.zeros(32, np.int32))
    launch(stream, LaunchConfig(grid=1, block=32), linked.get_kernel("f"), buffer)
    equal(to_host(buffer, np.zeros(32, np.int32)), np.arange(32) * 2 + 1)


@case
def waits_and_writes_of_words():
    place, other = check(driver.cuMemAlloc(16)), device.create_stream()
    check(driver.cuMemsetD32(place, 0, 4))
    geq = driver.CUstreamWaitValue_flags.CU_STREAM_WAIT_VALUE_GEQ
    buffer = to_device(np.zeros(8, np.int32))
    check(driver.cuStreamWaitValue32(int(stream.handle), place, 3, geq))
    launch(stream, LaunchConfig(grid=1, block=8), add_kernel(), buffer, np.int32(8), np.int32(6))
    error, = driver.cuStreamQuery(int(stream.handle))
    assert error == driver.CUresult.CUDA_ERROR_NOT_READY
    check(driver.cuStreamWriteValue32(int(other.handle), place, 4, 0))
    equal(to_host(buffer, np.zeros(8, np.int32)), np.full(8, 6))
    check(driver.cuMemFree(place))


@case
def virtual_memory_grows_with_what_is_in_it():
    resource = VirtualMemoryResource(device, config=VirtualMemoryResourceOptions())
    source = """extern "C" __global__ void number(int *out, int from, int to) {
        for (int i = from + threadIdx.x; i < to; i += blockDim.x) out[i] = i;
    }"""
    kernel, config = compiled(source).get_kernel("number"), LaunchConfig(grid=1, block=256)
    buffer = resource.allocate(1 << 21)
    launch(stream, config, kernel, buffer, np.int32(0), np.int32(1 << 19))
    stream.sync()
    # At a new place, with the old memory mapped anew and more beside it. cuda-core can do that once for each buffer.
    buffer = resource.modify_allocation(buffer, 3 << 21)
    launch(stream, config, kernel, buffer, np.int32(1 << 19), np.int32(3 << 19))
    equal(to_host(buffer, np.zeros(3 << 19, np.int32)), np.arange(3 << 19))
    buffer.close()


@case
def what_this_card_cannot_is_refused():
    refused = driver.CUresult.CUDA_ERROR_NOT_SUPPORTED
    graph = check(driver.cuGraphCreate(0))
    context = check(driver.cuCtxGetCurrent())
    assert driver.cuGraphConditionalHandleCreate(graph, context, 0, 0)[0] == refused
    attribute = driver.CUdevice_attribute
    for name in ("HANDLE_TYPE_FABRIC_SUPPORTED", "CLUSTER_LAUNCH", "TENSOR_MAP_ACCESS_SUPPORTED"):
        assert check(driver.cuDeviceGetAttribute(getattr(attribute, f"CU_DEVICE_ATTRIBUTE_{name}"), device.device_id)) == 0


@case
def wild_address_is_an_error_and_not_the_end():
    # In a process of its own: the context is lost.
    import subprocess, sys
    program = """
from cuda.core import Device, Program, ProgramOptions, LaunchConfig, launch
import numpy as np
d = Device(); d.set_current(); s = d.create_stream()
p = Program('extern "C" __global__ void f(int *x) { *x = 1; }', code_type="c++", options=ProgramOptions(arch=f"compute_{d.arch}"))
launch(s, LaunchConfig(grid=1, block=1), p.compile("ptx").get_kernel("f"), np.uint64(0x1234))
try:
    s.sync()
except Exception as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ILLEGAL_ADDRESS" in told.stdout, told.stdout + told.stderr


run("cases right")
