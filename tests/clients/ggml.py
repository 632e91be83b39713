"""llama.cpp's tensor library as its npm packages carry it, through its C interface: graphs on its CPU and its CUDA backend.

    Library ─▶ a backend ─▶ Graph: tensors with data, one operation after the other ─▶ compute() ─▶ results
"""
import ctypes
import enum
import glob
import os

import numpy

# Of ggml.h. TQ1_0 and TQ2_0, the only others that models have, lack CUDA kernels.
TYPES = {
    "F32": 0, "F16": 1, "BF16": 30, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11, "Q4_K": 12,
    "Q5_K": 13, "Q6_K": 14, "IQ1_S": 19, "IQ1_M": 29, "IQ2_XXS": 16, "IQ2_XS": 17, "IQ2_S": 22, "IQ3_XXS": 18, "IQ3_S": 21,
    "IQ4_NL": 20, "IQ4_XS": 23, "MXFP4": 39, "NVFP4": 40, "Q1_0": 41, "Q2_0": 42,
}
Type = enum.IntEnum("Type", TYPES | {"I32": 26, "I64": 27})
PLAIN = {Type.F32: numpy.float32, Type.F16: numpy.float16, Type.I32: numpy.int32, Type.I64: numpy.int64}

Pointer = ctypes.c_void_p


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", Pointer), ("no_alloc", ctypes.c_bool)]


def argument(value):
    """As C passes it. Integers of all sizes travel in whole registers, and the callee looks at its part."""
    if isinstance(value, float):
        return ctypes.c_float(value)
    if isinstance(value, (int, enum.IntEnum, bool)):
        return ctypes.c_int64(int(value))
    return value


class Library:
    def __init__(self, folder, cuda=None):
        """`folder` holds the package's libraries; `cuda` is the backend to load besides the CPU's."""
        self.base = ctypes.CDLL(os.path.join(folder, "libggml-base.so"), ctypes.RTLD_GLOBAL)
        (registry,) = glob.glob(os.path.join(folder, "libggml.*v*.so"))
        self.registry = ctypes.CDLL(registry, ctypes.RTLD_GLOBAL)
        self.call(Pointer, "ggml_backend_load_all_from_path", folder.encode())
        if cuda:
            assert self.call(Pointer, "ggml_backend_load", cuda.encode()), f"{cuda} does not load"

    def call(self, result, name, *arguments):
        try:
            function = getattr(self.base, name)
        except AttributeError:
            function = getattr(self.registry, name)
        function.restype = result
        return function(*map(argument, arguments))

    def block(self, kind):
        """Numbers in a block of that type, and its bytes."""
        numbers = self.call(ctypes.c_int64, "ggml_blck_size", kind)
        return numbers, self.call(ctypes.c_size_t, "ggml_row_size", kind, numbers)

    def quantise(self, kind, numbers):
        """Rows of numbers as that type stores them, a byte array per row."""
        rows = numpy.ascontiguousarray(numbers, numpy.float32).reshape(-1, numbers.shape[-1])
        data = numpy.zeros((len(rows), self.call(ctypes.c_size_t, "ggml_row_size", kind, rows.shape[1])), numpy.uint8)
        # Some types can't do without a measure of how much each column matters: all alike.
        importance = numpy.ones(rows.shape[1], numpy.float32)
        address = lambda array: Pointer(array.ctypes.data)
        self.call(ctypes.c_size_t, "ggml_quantize_chunk", kind, address(rows), address(data), 0, *rows.shape, address(importance))
        return data.reshape(*numbers.shape[:-1], -1)

    def stored(self, kind, numbers):
        """Numbers as that type stores them: an array of the type where numpy has it, else bytes."""
        return numpy.asarray(numbers, PLAIN[kind]) if kind in PLAIN else self.quantise(kind, numpy.asarray(numbers))

    def dequantise(self, kind, data):
        """What the bytes of rows mean, exactly."""
        data = numpy.ascontiguousarray(data)
        if kind in PLAIN:
            return data.view(PLAIN[kind]).astype(numpy.float32 if kind == Type.F16 else PLAIN[kind])
        numbers, size = self.block(kind)
        exact = numpy.empty((*data.shape[:-1], data.shape[-1] // size * numbers), numpy.float32)
        name = "ggml_bf16_to_fp32_row" if kind == Type.BF16 else "dequantize_row_" + kind.name.lower().replace("_k", "_K")
        self.call(None, name, Pointer(data.ctypes.data), Pointer(exact.ctypes.data), exact.size)
        return exact


class Graph:
    """One computation on one backend. Shapes are numpy's, the last dimension runs fastest: ggml's the other way round."""

    def __init__(self, library, backend):
        self.library, self.backend = library, backend
        self.context = Pointer(library.call(Pointer, "ggml_init", InitParams(16 << 20, None, True)))
        self.inputs = []

    def tensor(self, kind, data):
        """A tensor with these bytes or numbers."""
        data = numpy.ascontiguousarray(data)
        shape = list(data.shape)
        if kind not in PLAIN:
            numbers, size = self.library.block(kind)
            shape[-1] = shape[-1] // size * numbers
        else:
            assert data.dtype == PLAIN[kind], (kind, data.dtype)
        extents = (ctypes.c_int64 * len(shape))(*reversed(shape))
        made = Pointer(self.library.call(Pointer, "ggml_new_tensor", self.context, kind, len(shape), extents))
        self.inputs.append((made, data))
        return made

    def f32(self, data):
        return self.tensor(Type.F32, numpy.asarray(data, numpy.float32))

    def i32(self, data):
        return self.tensor(Type.I32, numpy.asarray(data, numpy.int32))

    def stored(self, kind, numbers):
        """A tensor of these numbers as the type stores them."""
        return self.tensor(kind, self.library.stored(kind, numbers))

    def op(self, name, *arguments):
        return Pointer(self.library.call(Pointer, "ggml_" + name, self.context, *arguments))

    def supports(self, result):
        """Whether the backend has code for every operation that the result needs."""
        return all(self.library.call(ctypes.c_bool, "ggml_backend_supports_op", self.backend, node) for node in self.nodes(result))

    def nodes(self, result):
        library = self.library
        graph = Pointer(library.call(Pointer, "ggml_new_graph", self.context))
        library.call(None, "ggml_build_forward_expand", graph, result)
        count = library.call(ctypes.c_int, "ggml_graph_n_nodes", graph)
        return [Pointer(library.call(Pointer, "ggml_graph_node", graph, it)) for it in range(count)]

    def compute(self, result):
        """The result's numbers in one row."""
        library = self.library
        graph = Pointer(library.call(Pointer, "ggml_new_graph", self.context))
        library.call(None, "ggml_build_forward_expand", graph, result)
        buffer = Pointer(library.call(Pointer, "ggml_backend_alloc_ctx_tensors", self.context, self.backend))
        assert buffer, "no memory"
        for made, data in self.inputs:
            library.call(None, "ggml_backend_tensor_set", made, Pointer(data.ctypes.data), 0, data.nbytes)
        status = library.call(ctypes.c_int, "ggml_backend_graph_compute", self.backend, graph)
        assert status == 0, f"graph_compute: {status}"
        bytes_ = numpy.empty(library.call(ctypes.c_size_t, "ggml_nbytes", result), numpy.uint8)
        library.call(None, "ggml_backend_tensor_get", result, Pointer(bytes_.ctypes.data), 0, bytes_.nbytes)
        # The type is the first field of a tensor.
        kind = Type(ctypes.cast(result, ctypes.POINTER(ctypes.c_int))[0])
        library.call(None, "ggml_backend_buffer_free", buffer)
        return library.dequantise(kind, bytes_)

    def free(self):
        self.library.call(None, "ggml_free", self.context)
