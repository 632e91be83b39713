"""bitsandbytes's own kernels and its calls of cuBLAS and cuBLASLt, through its C interface; numpy and its CPU library are the
oracles: bitsandbytes.py FOLDER [CASE…]"""
import ctypes
import sys

import numpy as np

from cases import case, run

folder = sys.argv.pop(1)
gpu = ctypes.CDLL(f"{folder}/libbitsandbytes_cuda124.so")
cpu = ctypes.CDLL(f"{folder}/libbitsandbytes_cpu.so")
gpu.cget_managed_ptr.restype = gpu.get_context.restype = ctypes.c_void_p
gpu.cget_managed_ptr.argtypes = [ctypes.c_size_t]
runtime = ctypes.CDLL("libcudart.so.12")
rng = np.random.default_rng(7)
NULL = ctypes.c_void_p(None)


def device(values):
    """An array in managed memory, which both sides see."""
    values = np.ascontiguousarray(values)
    address = gpu.cget_managed_ptr(max(values.nbytes, 16))
    assert address
    shared = np.frombuffer((ctypes.c_char * values.nbytes).from_address(address), values.dtype).reshape(values.shape)
    shared[...] = values
    return shared


def at(array):
    return ctypes.c_void_p(array.ctypes.data)


def finish():
    error = runtime.cudaDeviceSynchronize()
    assert error == 0, f"error {error}"


def code_map():
    return np.sort(np.concatenate([np.linspace(-1, 1, 255), [0]])).astype(np.float32)


def blocks(count, size):
    return (count + size - 1) // size


def nearest(codes, values, absmax, size):
    scaled = values / np.repeat(absmax, size)[: len(values)]
    return np.abs(scaled[:, None] - codes[None, :]).min(axis=1)


@case
def elementwise():
    a, b = device(rng.normal(size=1000).astype(np.float32)), device(rng.normal(size=1000).astype(np.float32))
    wanted = a * b
    gpu.c_mul_fp32(at(a), at(b), ctypes.c_long(1000))
    finish()
    np.testing.assert_array_equal(a, wanted)
    gpu.cfill_fp32(at(b), NULL, ctypes.c_float(2.5), ctypes.c_long(1000))
    finish()
    np.testing.assert_array_equal(b, np.full(1000, 2.5, np.float32))


@case
def quantise_8_bit():
    values, size = rng.normal(size=4096 + 100).astype(np.float32), 256
    a, code = device(values), device(code_map())
    absmax, out = device(np.zeros(blocks(len(values), size), np.float32)), device(np.zeros(len(values), np.uint8))
    gpu.cquantize_blockwise_fp32(at(code), at(a), at(absmax), at(out), size, len(values))
    finish()
    wanted = [np.abs(values[i:i + size]).max() for i in range(0, len(values), size)]
    np.testing.assert_allclose(absmax, wanted, rtol=1e-6)
    chosen = np.abs(values / np.repeat(absmax, size)[: len(values)] - code[out])
    np.testing.assert_allclose(chosen, nearest(code, values, absmax, size), atol=2e-6)


def dequantise(kind):
    size, count = 64, 4096
    absmax = device(rng.uniform(0.5, 2, blocks(count, size)).astype(np.float32))
    packed = device(rng.integers(0, 256, count // 2).astype(np.uint8))
    out = device(np.zeros(count, np.float32))
    getattr(gpu, f"cdequantize_blockwise_fp32_{kind}")(NULL, at(packed), at(absmax), at(out), size, count, NULL)
    finish()
    wanted = np.zeros(count, np.float32)
    reference = getattr(cpu, f"cdequantize_blockwise_cpu_{kind}_fp32")
    reference(at(packed), at(absmax), at(wanted), ctypes.c_longlong(size), ctypes.c_longlong(1), ctypes.c_longlong(count))
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-6)


@case
def dequantise_nf4():
    dequantise("nf4")


@case
def dequantise_fp4():
    dequantise("fp4")


@case
def quantise_nf4_and_back():
    values, size = rng.normal(size=8192).astype(np.float32), 64
    a, absmax = device(values), device(np.zeros(len(values) // size, np.float32))
    packed, out = device(np.zeros(len(values) // 2, np.uint8)), device(np.zeros(len(values), np.float32))
    gpu.cquantize_blockwise_fp32_nf4(NULL, at(a), at(absmax), at(packed), size, len(values))
    gpu.cdequantize_blockwise_fp32_nf4(NULL, at(packed), at(absmax), at(out), size, len(values), NULL)
    finish()
    # The widest gap of the 16 numbers of NF4 is 0.304 of the block's largest magnitude.
    assert (np.abs(out - values) <= 0.16 * np.repeat(absmax, size)).all()
    assert np.corrcoef(out, values)[0, 1] > 0.99


@case
def product_of_bytes_by_cublaslt():
    m, n, k = 8, 12, 16
    a, b = rng.integers(-127, 128, (k, m)).astype(np.int8), rng.integers(-127, 128, (k, n)).astype(np.int8)
    # Columns first: A is k x m and transposed. bitsandbytes names the inner extent first.
    shared_a, shared_b = device(a.T.copy()), device(b.T.copy())
    out = device(np.zeros((n, m), np.int32))
    error = gpu.cigemmlt_32(ctypes.c_void_p(gpu.get_context()), k, n, m, at(shared_a), at(shared_b), at(out), NULL, k, k, m, NULL)
    finish()
    assert error == 0, error
    np.testing.assert_array_equal(out.T, a.T.astype(np.int32) @ b.astype(np.int32))


@case
def product_of_bytes_by_cublas():
    m, n, k = 8, 12, 16
    a, b = rng.integers(-127, 128, (m, k)).astype(np.int8), rng.integers(-127, 128, (k, n)).astype(np.int8)
    shared_a, shared_b, out = device(a.T.copy()), device(b.T.copy()), device(np.zeros((n, m), np.int32))
    no = ctypes.c_bool(False)
    gpu.cigemm(ctypes.c_void_p(gpu.get_context()), no, no, m, n, k, at(shared_a), at(shared_b), at(out), m, k, m)
    finish()
    np.testing.assert_array_equal(out.T, a.astype(np.int32) @ b.astype(np.int32))


@case
def vectors_of_bytes_with_scales():
    rows, columns = 6, 256
    values = rng.normal(size=(rows, columns)).astype(np.float16)
    a, out, stats = device(values), device(np.zeros((rows, columns), np.int8)), device(np.zeros(rows, np.float32))
    gpu.cint8_vector_quant(at(a), at(out), at(stats), ctypes.c_float(0), rows, columns, NULL)
    finish()
    largest = np.abs(values).max(axis=1).astype(np.float32)
    np.testing.assert_allclose(stats, largest, rtol=1e-3)
    wanted = np.rint(values.astype(np.float32) * (127 / largest[:, None]))
    assert np.abs(out - wanted).max() <= 1 and (out != wanted).mean() < 0.01


@case
def product_with_4_bit_weights():
    n, k, size = 16, 128, 64
    weights, absmax = rng.integers(0, 256, n * k // 2).astype(np.uint8), rng.uniform(0.5, 2, n * k // size).astype(np.float32)
    codes = np.linspace(-1, 1, 16).astype(np.float32)
    a = rng.normal(size=k).astype(np.float32)
    numbers = codes[np.stack([weights >> 4, weights & 15], axis=1).reshape(-1)] * np.repeat(absmax, size)
    wanted = numbers.reshape(n, k) @ a
    shared = [device(it) for it in (a, weights, absmax, codes)]
    out = device(np.zeros(n, np.float32))
    x, b, scales, kinds = shared
    gpu.cgemm_4bit_inference_naive_fp32(n, 1, k, at(x), at(b), at(scales), at(kinds), at(out), n, (k + 1) // 2, n, size, NULL)
    finish()
    np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-4)


run("functions of bitsandbytes right")
