"""Operations of llama.cpp's CUDA backend, each against its CPU backend or against exact arithmetic.

ggml-ops.py FOLDER CUDA_LIBRARY [PART…]: the groups of cases whose names contain a part. One line per group.

Products of quantised matrices are held against exact numbers, which is possible because the vectors are chosen such that rounding
them to eight bits loses nothing (see `lossless`): what remains is the order of a sum of 32-bit numbers, and for some types factors
that a kernel keeps in 16 bits. One wrong number among a thousand shows.
"""
import sys
import traceback

import numpy

from ggml import Graph, Library, Pointer, Type

QUANTISED = [kind for kind in Type if kind not in (Type.F32, Type.F16, Type.BF16, Type.I32, Type.I64)]
WEIGHTS = [Type.F32, Type.F16, Type.BF16] + QUANTISED
# Types that the KV cache may have, and that copies write.
CACHE = [Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]


class Case:
    """Builds the same computation on any backend. `expected` may be what exact arithmetic says; else the CPU backend does."""

    def __init__(self, group, label, build, tolerance=1e-9, expected=None):
        self.group, self.label, self.build, self.tolerance, self.expected = group, label, build, tolerance, expected


def error(actual, expected):
    """Squared distance over squared length: 0 is equal, 1 is unrelated."""
    actual, expected = actual.astype(numpy.float64), expected.astype(numpy.float64)
    finite = numpy.isfinite(expected)
    if not numpy.array_equal(actual[~finite], expected[~finite], equal_nan=True) or not numpy.isfinite(actual[finite]).all():
        return numpy.inf
    length = (expected[finite] ** 2).sum()
    distance = ((actual[finite] - expected[finite]) ** 2).sum()
    return distance / length if length else distance


def lossless(random, shape):
    """Vectors that lose nothing when they are rounded to eight bits by blocks of 16 to 256, nor their blocks' sums in 16 bits:
    integers up to 127, which every 16 numbers reach, times a power of two."""
    numbers = random.integers(-127, 128, (*shape[:-1], shape[-1] // 16, 16))
    numbers[..., 0] = 127
    # Sums of 32 numbers stay below 2,048, where 16 bits hold all integers.
    numbers[..., 8:] = -numbers[..., :8] + random.integers(-9, 10, numbers[..., 8:].shape)
    numbers = numpy.clip(numbers, -127, 127).reshape(shape)
    return (numbers * 2.0 ** random.integers(-4, 1, (*shape[:-1], 1))).astype(numpy.float32)


def normal(random, *shape):
    return random.standard_normal(shape).astype(numpy.float32)


# ---- products ----

# Types whose kernels lose something on purpose: products of scales are kept in 16 bits, or whole numbers are divided by four.
COARSE = {Type.Q2_K: 1e-6, Type.IQ1_S: 1e-6, Type.IQ2_XXS: 1e-8, Type.IQ2_XS: 1e-8, Type.IQ2_S: 1e-8, Type.IQ3_XXS: 1e-9}


def product(kind, rows, columns, count, batch=()):
    """weights × vectors: how many vectors there are chooses between llama.cpp's kernels, and its tile sizes."""
    def data(random, library):
        return library.stored(kind, normal(random, *batch, rows, columns)), lossless(random, (*batch, count, columns))

    def build(graph, random):
        weights, vectors = data(random, graph.library)
        return graph.op("mul_mat", graph.tensor(kind, weights), graph.f32(vectors))

    def expected(library, random):
        weights, vectors = data(random, library)
        return (vectors.astype(numpy.float64) @ numpy.swapaxes(library.dequantise(kind, weights), -1, -2)).reshape(-1)

    return Case(f"product {kind.name}", f"{rows} x {columns} x {count} {batch}", build, COARSE.get(kind, 1e-11), expected)


def head_product(kind, rows, columns, count, heads, repeated, permuted):
    """Attention without its own kernel: each head's keys with the queries of several heads, keys as the cache keeps them or by position."""
    def data(random, library):
        return library.stored(kind, normal(random, 1, heads, rows, columns)), lossless(random, (1, heads * repeated, count, columns))

    def build(graph, random):
        keys, queries = data(random, graph.library)
        if permuted:
            made = graph.op("permute", graph.tensor(kind, keys.swapaxes(1, 2)), 0, 2, 1, 3)
        else:
            made = graph.tensor(kind, keys)
        return graph.op("mul_mat", made, graph.f32(queries))

    def expected(library, random):
        keys, queries = data(random, library)
        exact = library.dequantise(kind, keys).astype(numpy.float64).repeat(repeated, axis=1)
        return (queries.astype(numpy.float64) @ exact.swapaxes(-1, -2)).reshape(-1)

    return Case(f"head product {kind.name}", f"{rows} x {columns} x {count}, {heads} {repeated} {permuted}", build, 1e-11, expected)


def expert_product(kind, rows, columns, experts, used, tokens):
    """Each token's vectors with the matrices of the experts that it has chosen."""
    def data(random, library):
        weights = library.stored(kind, normal(random, experts, rows, columns))
        chosen = numpy.stack([random.permutation(experts)[:used] for _ in range(tokens)]).astype(numpy.int32)
        return weights, lossless(random, (tokens, used, columns)), chosen

    def build(graph, random):
        weights, vectors, chosen = data(random, graph.library)
        return graph.op("mul_mat_id", graph.tensor(kind, weights), graph.f32(vectors), graph.i32(chosen))

    def expected(library, random):
        weights, vectors, chosen = data(random, library)
        exact = library.dequantise(kind, weights).astype(numpy.float64)
        return numpy.einsum("turc,tuc->tur", exact[chosen], vectors.astype(numpy.float64)).reshape(-1)

    return Case(f"expert product {kind.name}", f"{rows} x {columns}, {tokens} tokens", build, COARSE.get(kind, 1e-11), expected)


def products():
    for kind in WEIGHTS:
        # Up to eight vectors go through one kernel each, more through tiles of 8 to 128, of which the last is not full.
        for count in (1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 40, 72, 129):
            yield product(kind, 67, 512, count)
        # A wide row; rows that fill tiles; matrices in a row.
        yield product(kind, 16, 4096, 1)
        yield product(kind, 128, 256, 16)
        yield product(kind, 33, 256, 3, batch=(2, 2))
        for tokens in (1, 5, 33):
            yield expert_product(kind, 45, 256, 4, 2, tokens)
    for kind in (Type.F32, Type.F16, Type.BF16):
        for count in (1, 3, 40):
            for permuted in (False, True):
                yield head_product(kind, 45, 64, count, 2, 3, permuted)


# ---- attention ----

def attention(head, kind, queries, keys, heads=4, kv_heads=2, softcap=0.0, alibi=0.0, sinks=False, mask=True):
    # Powers of two, so that scaled queries lose nothing either where a kernel rounds them to eight bits.
    scale = 2.0**-9

    def data(random, library):
        k, v = (library.stored(kind, normal(random, 1, kv_heads, keys, head)) for _ in range(2))
        allowed = numpy.arange(keys)[None, :] <= numpy.arange(queries)[:, None] + keys - queries
        bias = numpy.where(allowed, -(numpy.arange(keys) % 5) * (alibi > 0), -numpy.inf).astype(numpy.float16)
        return lossless(random, (1, heads, queries, head)), k, v, bias, normal(random, heads)

    def build(graph, random):
        q, k, v, bias, sink = data(random, graph.library)
        made = graph.tensor(Type.F16, bias[None, None]) if mask else None
        out = graph.op("flash_attn_ext", graph.f32(q), graph.tensor(kind, k), graph.tensor(kind, v), made, scale, alibi, softcap)
        if sinks:
            graph.library.call(None, "ggml_flash_attn_ext_add_sinks", out, graph.f32(sink))
        return out

    def expected(library, random):
        q, k, v, bias, sink = data(random, library)
        k, v = (library.dequantise(kind, it).astype(numpy.float64).repeat(heads // kv_heads, axis=1) for it in (k, v))
        logits = scale * q.astype(numpy.float64) @ k.swapaxes(-1, -2)
        if softcap:
            logits = softcap * numpy.tanh(logits / softcap)
        if mask:
            slopes = 2.0 ** (-alibi / heads * (1 + numpy.arange(heads))) if alibi else numpy.ones(heads)
            logits = logits + slopes[:, None, None] * bias.astype(numpy.float64)
        top = logits.max(axis=-1, keepdims=True)
        weights = numpy.exp(logits - top)
        total = weights.sum(axis=-1, keepdims=True) + (numpy.exp(sink[:, None, None] - top) if sinks else 0)
        # Results lie by position, then by head.
        return (weights / total @ v).swapaxes(1, 2).reshape(-1)

    label = f"head {head}, {queries} x {keys}, {heads}/{kv_heads} {softcap} {alibi} {sinks}"
    # Other keys and values than these two are turned into 16-bit numbers first, but for some types with one query.
    tolerance = 1e-11 if kind in (Type.F16, Type.BF16) else 1e-6
    return Case(f"attention {kind.name}", label, build, tolerance, expected)


def attentions():
    for head in (64, 80, 96, 112, 128, 256):
        for queries, keys in ((1, 256), (2, 512), (5, 256), (20, 256), (40, 512)):
            yield attention(head, Type.F16, queries, keys)
    for kind in CACHE[1:]:
        for queries in (1, 3, 33):
            yield attention(64, kind, queries, 256)
            yield attention(128, kind, queries, 256)
    yield attention(128, Type.F16, 1, 1024, heads=8, kv_heads=1)
    yield attention(128, Type.F16, 7, 256, heads=8, kv_heads=8)
    yield attention(128, Type.F16, 7, 256, softcap=10.0)
    yield attention(64, Type.F16, 7, 256, alibi=8.0)
    yield attention(64, Type.F16, 1, 256, sinks=True)
    yield attention(64, Type.F16, 20, 256, sinks=True)
    yield attention(64, Type.F16, 3, 256, mask=False)
    yield attention(64, Type.F32, 5, 256)


# ---- rows, copies, views ----

def rows_and_copies():
    for kind in WEIGHTS:
        yield Case("get_rows", kind.name, lambda graph, random, kind=kind: graph.op(
            "get_rows", graph.stored(kind, normal(random, 9, 256)), graph.i32([7, 0, 3, 3, 8])), 1e-13)
    for kind in [Type.F32] + CACHE + [Type.IQ4_NL]:
        def set_rows(graph, random, kind=kind):
            target = graph.stored(kind, normal(random, 8, 128))
            return graph.op("set_rows", target, graph.f32(normal(random, 3, 128)), graph.tensor(Type.I64, numpy.array([5, 0, 6])))
        yield Case("set_rows", kind.name, set_rows, 1e-13)

        def copy(graph, random, kind=kind):
            return graph.op("cpy", graph.f32(normal(random, 4, 3, 64)), graph.stored(kind, normal(random, 4, 3, 64)))
        yield Case("copy", f"F32 to {kind.name}", copy, 1e-13)

        def back(graph, random, kind=kind):
            return graph.op("cpy", graph.stored(kind, normal(random, 4, 3, 64)), graph.f32(normal(random, 4, 3, 64)))
        yield Case("copy", f"{kind.name} to F32", back, 1e-13)
    for source in (Type.F32, Type.F16, Type.BF16):
        for target in (Type.F32, Type.F16, Type.BF16):
            yield Case("copy", f"{source.name} to {target.name}, permuted", lambda graph, random, source=source, target=target: graph.op(
                "cpy", graph.op("permute", graph.stored(source, normal(random, 3, 5, 32)), 1, 0, 2, 3), graph.stored(target, normal(random, 3, 32, 5))), 1e-13)
    yield Case("copy", "transposed", lambda graph, random: graph.op("cont", graph.op("transpose", graph.f32(normal(random, 70, 45)))), 0)
    for axis in range(4):
        def concat(graph, random, axis=axis):
            shape = [2, 3, 5, 7]
            other = list(shape)
            other[3 - axis] = 4
            return graph.op("concat", graph.f32(normal(random, *shape)), graph.f32(normal(random, *other)), axis)
        yield Case("concat", f"axis {axis}", concat, 0)
    yield Case("repeat", "F32", lambda graph, random: graph.op("repeat", graph.f32(normal(random, 2, 3, 5)), graph.f32(normal(random, 4, 6, 15))), 0)
    yield Case("repeat_back", "", lambda graph, random: graph.op("repeat_back", graph.f32(normal(random, 4, 6, 15)), graph.f32(normal(random, 2, 3, 5))))
    yield Case("pad", "", lambda graph, random: graph.op("pad", graph.f32(normal(random, 3, 4, 5)), 2, 1, 3, 0), 0)
    yield Case("pad", "reflect", lambda graph, random: graph.op("pad_reflect_1d", graph.f32(normal(random, 3, 4, 50)), 7, 5), 0)
    yield Case("roll", "", lambda graph, random: graph.op("roll", graph.f32(normal(random, 3, 4, 50)), 7, -1, 1, 0), 0)
    yield Case("acc", "", lambda graph, random: graph.op("acc", graph.f32(normal(random, 8, 16)), graph.f32(normal(random, 3, 5)), 64, 512, 512, 68), 1e-13)
    yield Case("set", "", lambda graph, random: graph.op("set", graph.f32(normal(random, 8, 16)), graph.f32(normal(random, 3, 5)), 64, 512, 512, 68), 0)
    yield Case("diag", "", lambda graph, random: graph.op("diag", graph.f32(normal(random, 1, 17))), 0)
    # The CUDA kernel subtracts the largest number instead of storing minus infinity.
    yield Case("diag", "mask", lambda graph, random: graph.op("diag_mask_inf", graph.f32(normal(random, 2, 9, 12)), 3), 1e-13,
               lambda library, random: numpy.where(numpy.arange(12) > 3 + numpy.arange(9)[:, None], -numpy.finfo(numpy.float32).max, normal(random, 2, 9, 12)).reshape(-1))
    for triangle in range(4):
        yield Case("tri", str(triangle), lambda graph, random, triangle=triangle: graph.op("tri", graph.f32(normal(random, 2, 9, 9)), triangle), 0)
    yield Case("fill", "", lambda graph, random: graph.op("fill", graph.f32(normal(random, 2, 9)), 1.5), 0)
    yield Case("arange", "", lambda graph, random: graph.op("arange", 1.0, 60.0, 1.5), 1e-13)


# ---- element by element ----

UNARY = ["abs", "sgn", "neg", "step", "tanh", "elu", "relu", "sigmoid", "gelu", "gelu_quick", "silu", "hardswish", "hardsigmoid", "exp",
         "expm1", "softplus", "gelu_erf", "floor", "ceil", "round", "trunc", "sqr", "sin", "cos"]
GATED = ["reglu", "geglu", "swiglu", "geglu_erf", "geglu_quick"]
BINARY = ["add", "sub", "mul", "div"]


def elementwise():
    for name in UNARY:
        # The CPU looks gelu up in a table of 16 bits.
        tolerance = 1e-6 if name.startswith("gelu") else 1e-10
        yield Case("unary", name, lambda graph, random, name=name: graph.op(name, graph.f32(3 * normal(random, 3, 5, 67))), tolerance)
        yield Case("unary F16", name, lambda graph, random, name=name: graph.op(name, graph.stored(Type.F16, 3 * normal(random, 3, 5, 67))), 1e-6)
    for name in ("sqrt", "log"):
        yield Case("unary", name, lambda graph, random, name=name: graph.op(name, graph.f32(abs(normal(random, 3, 5, 67)) + 0.01)))
    yield Case("unary", "leaky_relu", lambda graph, random: graph.op("leaky_relu", graph.f32(normal(random, 5, 67)), 0.1, False))
    yield Case("unary", "xielu", lambda graph, random: graph.op("xielu", graph.f32(normal(random, 5, 67)), 4.0, 20.0, 0.5, 0.0001))
    yield Case("unary", "clamp", lambda graph, random: graph.op("clamp", graph.f32(normal(random, 5, 67)), -0.5, 0.5))
    yield Case("unary", "scale", lambda graph, random: graph.op("scale_bias", graph.f32(normal(random, 5, 67)), 2.0, 0.25))
    for name in GATED:
        tolerance = 1e-6 if name.startswith("geglu") else 1e-10
        yield Case("gated", name, lambda graph, random, name=name: graph.op(name, graph.f32(normal(random, 3, 5, 128))), tolerance)
        yield Case("gated", name + " swapped", lambda graph, random, name=name: graph.op(name + "_swapped", graph.f32(normal(random, 5, 128))), tolerance)
        yield Case("gated", name + " split", lambda graph, random, name=name: graph.op(
            name + "_split", graph.f32(normal(random, 5, 64)), graph.f32(normal(random, 5, 64))), tolerance)
    yield Case("gated", "swiglu_oai", lambda graph, random: graph.op(
        "swiglu_oai", graph.f32(3 * normal(random, 5, 64)), graph.f32(3 * normal(random, 5, 64)), 1.702, 7.0))
    for name in BINARY:
        for shapes in (((2, 3, 5, 64), (2, 3, 5, 64)), ((2, 3, 5, 64), (1, 1, 1, 64)), ((2, 3, 5, 64), (1, 3, 1, 1)), ((2, 3, 5, 64), (2, 1, 5, 64))):
            def binary(graph, random, name=name, shapes=shapes):
                return graph.op(name, graph.f32(normal(random, *shapes[0])), graph.f32(normal(random, *shapes[1]) + 3))
            yield Case("binary", f"{name} {shapes[1]}", binary, 1e-12)
        yield Case("binary F16", name, lambda graph, random, name=name: graph.op(
            name, graph.stored(Type.F16, normal(random, 4, 33)), graph.stored(Type.F16, normal(random, 4, 33) + 3)), 1e-6)
    yield Case("binary", "add_id", lambda graph, random: graph.op(
        "add_id", graph.f32(normal(random, 6, 2, 64)), graph.f32(normal(random, 4, 64)), graph.i32(random.integers(0, 4, (6, 2)))), 1e-12)
    yield Case("binary", "silu_back", lambda graph, random: graph.op("silu_back", graph.f32(normal(random, 5, 64)), graph.f32(normal(random, 5, 64))))


# ---- rows as a whole ----

def row_operations():
    for width in (5, 64, 300, 1500, 5000):
        x = lambda graph, random, width=width: graph.f32(normal(random, 2, 3, width) + 0.3)
        yield Case("norm", f"norm {width}", lambda graph, random, x=x: graph.op("norm", x(graph, random), 1e-5))
        yield Case("norm", f"rms_norm {width}", lambda graph, random, x=x: graph.op("rms_norm", x(graph, random), 1e-5))
        yield Case("norm", f"l2_norm {width}", lambda graph, random, x=x: graph.op("l2_norm", x(graph, random), 1e-5))
        yield Case("sum_rows", str(width), lambda graph, random, x=x: graph.op("sum_rows", x(graph, random)))
        yield Case("mean", str(width), lambda graph, random, x=x: graph.op("mean", x(graph, random)))
        yield Case("cumsum", str(width), lambda graph, random, x=x: graph.op("cumsum", x(graph, random)))
        yield Case("argmax", str(width), lambda graph, random, width=width: graph.op("argmax", graph.f32(normal(random, 7, width))), 0)
        for order in (0, 1):
            yield Case("argsort", f"{width} {order}", lambda graph, random, width=width, order=order: graph.op(
                "argsort", graph.f32(random.permutation(3 * width).reshape(3, width))  , order), 0)

        def softmax(graph, random, width=width, alibi=0.0):
            mask = numpy.where(random.random((1, 1, 7, width)) < 0.2, -numpy.inf, 0).astype(numpy.float16)
            return graph.op("soft_max_ext", graph.f32(3 * normal(random, 2, 4, 7, width)), graph.tensor(Type.F16, mask), 0.125, alibi)
        yield Case("soft_max", str(width), softmax)
        yield Case("soft_max", f"{width} alibi", lambda graph, random, softmax=softmax: softmax(graph, random, alibi=8.0))
        yield Case("cross_entropy", str(width), lambda graph, random, width=width: graph.op(
            "cross_entropy_loss", graph.f32(normal(random, 7, width)), graph.f32(abs(normal(random, 7, width)) / width)))
        yield Case("cross_entropy", f"back {width}", lambda graph, random, width=width: graph.op(
            "cross_entropy_loss_back", graph.f32([0.7]), graph.f32(normal(random, 7, width)), graph.f32(abs(normal(random, 7, width)) / width)))
        yield Case("norm", f"rms_norm_back {width}", lambda graph, random, width=width: graph.op(
            "rms_norm_back", graph.f32(normal(random, 7, width)), graph.f32(normal(random, 7, width)), 1e-5))
    yield Case("norm", "group_norm", lambda graph, random: graph.op("group_norm", graph.f32(normal(random, 2, 32, 6, 7)), 8, 1e-5))
    yield Case("sum", "", lambda graph, random: graph.op("sum", graph.f32(normal(random, 33, 100) + 0.3)))
    yield Case("count_equal", "", lambda graph, random: graph.op("count_equal", graph.i32(random.integers(0, 3, 500)), graph.i32(random.integers(0, 3, 500))), 0)
    yield Case("top_k", "", lambda graph, random: graph.op("argsort_top_k", graph.f32(random.permutation(300).reshape(3, 100)), 5), 0)
    for mode in (0, 2):
        for scaling in ((10000.0, 1.0, 0.0), (500000.0, 0.5, 1.0)):
            for factors in (False, True):
                def rope(graph, random, mode=mode, scaling=scaling, factors=factors):
                    base, scale, extension = scaling
                    return graph.op("rope_ext", graph.f32(normal(random, 1, 5, 3, 96)), graph.i32([3, 70, 71, 500, 9]),
                                    graph.f32(1 + random.random(32)) if factors else None, 64, mode, 512, base, scale, extension, 1.1, 32.0, 1.0)
                # Sines of large angles by approximations.
                yield Case("rope", f"{mode} {scaling} {factors}", rope, 1e-8)
    for name, mode in (("multi", 8), ("vision", 24), ("interleaved", 40)):
        def rope_multi(graph, random, mode=mode):
            import ctypes
            sections = (ctypes.c_int * 4)(16, 16, 0, 0) if mode == 24 else (ctypes.c_int * 4)(12, 10, 10, 0)
            return graph.op("rope_multi", graph.f32(normal(random, 1, 5, 3, 64)), graph.i32(random.integers(0, 50, 20)), None, 32 if mode == 24 else 64,
                            Pointer(ctypes.addressof(sections)), mode, 512, 10000.0, 1.0, 0.0, 1.0, 32.0, 1.0)
        yield Case("rope", name, rope_multi, 1e-8)


# ---- images, sound, states ----

def others():
    for kind in (Type.F16, Type.F32):
        yield Case("im2col", f"2D {kind.name}", lambda graph, random, kind=kind: graph.op(
            "im2col", graph.f32(normal(random, 4, 3, 3, 3)), graph.f32(normal(random, 2, 3, 12, 10)), 1, 2, 1, 0, 1, 1, True, kind), 1e-12)
    yield Case("im2col", "1D", lambda graph, random: graph.op(
        "im2col", graph.f32(normal(random, 4, 3, 5)), graph.f32(normal(random, 2, 3, 40)), 2, 0, 1, 0, 1, 0, False, Type.F16), 1e-12)
    yield Case("convolution", "2D direct", lambda graph, random: graph.op(
        "conv_2d_direct", graph.f32(normal(random, 4, 3, 3, 3)), graph.f32(normal(random, 2, 3, 12, 10)), 1, 1, 1, 1, 1, 1), 1e-10)
    yield Case("convolution", "2D by channel", lambda graph, random: graph.op(
        "conv_2d_dw_direct", graph.f32(normal(random, 6, 1, 3, 3)), graph.f32(normal(random, 2, 6, 12, 10)), 1, 1, 1, 1, 1, 1), 1e-10)
    yield Case("convolution", "1D transposed", lambda graph, random: graph.op(
        "conv_transpose_1d", graph.f32(normal(random, 3, 4, 5)), graph.f32(normal(random, 3, 20)), 2, 0, 1), 1e-10)
    yield Case("convolution", "2D transposed", lambda graph, random: graph.op(
        "conv_transpose_2d_p0", graph.stored(Type.F16, normal(random, 3, 4, 3, 3)), graph.f32(normal(random, 3, 8, 7)), 2), 1e-6)
    for pool in (0, 1):
        yield Case("pool", str(pool), lambda graph, random, pool=pool: graph.op(
            "pool_2d", graph.f32(normal(random, 2, 3, 12, 10)), pool, 3, 2, 2, 2, 1.0, 0.0), 1e-12)
    for mode in (0, 1, 2):
        yield Case("upscale", str(mode), lambda graph, random, mode=mode: graph.op("interpolate", graph.f32(normal(random, 2, 3, 6, 5)), 13, 11, 3, 2, mode), 1e-10)
    yield Case("timestep_embedding", "", lambda graph, random: graph.op("timestep_embedding", graph.f32([1, 20, 300.5]), 64, 10000), 1e-8)
    yield Case("out_prod", "", lambda graph, random: graph.op("out_prod", graph.f32(normal(random, 9, 33)), graph.f32(normal(random, 9, 21))), 1e-10)
    yield Case("state", "ssm_conv", lambda graph, random: graph.op("ssm_conv", graph.f32(normal(random, 2, 128, 10)), graph.f32(normal(random, 128, 4))), 1e-10)

    def wkv6(graph, random):
        tokens, heads, size = 8, 2, 64
        t = lambda: graph.f32(normal(random, tokens, heads, size))
        k, v, r, tf = t(), t(), t(), graph.f32(normal(random, heads, size))
        td = graph.f32(random.random((tokens, heads, size)))
        return graph.op("rwkv_wkv6", k, v, r, tf, td, graph.f32(normal(random, 2, heads * size * size)))
    yield Case("state", "rwkv_wkv6", wkv6, 1e-10)

    def wkv7(graph, random):
        tokens, heads, size = 8, 2, 64
        t = lambda scale=1.0: graph.f32(scale * normal(random, tokens, heads, size))
        r, w, k, v = t(), graph.f32(random.random((tokens, heads, size))), t(), t()
        unit = normal(random, tokens, heads, size)
        unit /= numpy.linalg.norm(unit, axis=-1, keepdims=True)
        return graph.op("rwkv_wkv7", r, w, k, v, graph.f32(unit), graph.f32(-unit * random.random((tokens, heads, size))), graph.f32(normal(random, 2, heads * size * size)))
    yield Case("state", "rwkv_wkv7", wkv7, 1e-9)

    def linear_attention(graph, random):
        tokens, heads, size = 8, 2, 64
        t = lambda: graph.f32(normal(random, tokens, heads, size))
        k, v, q = t(), t(), t()
        return graph.op("gated_linear_attn", k, v, q, graph.f32(random.random((tokens, heads, size))), graph.f32(normal(random, 2, heads * size * size)), 0.125)
    yield Case("state", "gated_linear_attn", linear_attention, 1e-10)

    for kda in (False, True):
        for size in (32, 64, 128):
            def delta_net(graph, random, kda=kda, size=size):
                tokens, heads, sequences = 7, 2, 2
                t = lambda last=size: normal(random, sequences, tokens, heads, last)
                q, k = (graph.op("l2_norm", graph.f32(t()), 1e-6) for _ in range(2))
                return graph.op("gated_delta_net", q, k, graph.f32(t()), graph.f32(-abs(t(size if kda else 1))), graph.f32(random.random((sequences, tokens, heads, 1))),
                                graph.f32(normal(random, sequences, heads, size, size)), 1)
            yield Case("state", f"gated_delta_net {size} {kda}", delta_net, 1e-9)
    for state, width, heads in ((16, 1, 128), (128, 32, 4), (256, 16, 4)):
        def scan(graph, random, state=state, width=width, heads=heads):
            tokens, sequences = 6, 2
            one = state == 16
            return graph.op("ssm_scan", graph.f32(normal(random, sequences, heads, width, state)), graph.f32(normal(random, sequences, tokens, heads, width)),
                            graph.f32(normal(random, sequences, tokens, heads)), graph.f32(-abs(normal(random, heads, state if one else 1))),
                            graph.f32(normal(random, sequences, tokens, 1 if one else 2, state)), graph.f32(normal(random, sequences, tokens, 1 if one else 2, state)),
                            graph.i32(random.permutation(sequences)), 1)
        yield Case("state", f"ssm_scan {state}", scan, 1e-9)

    def triangular(graph, random):
        a = numpy.tril(normal(random, 2, 16, 16)) * 0.3 + 2 * numpy.eye(16, dtype=numpy.float32)
        return graph.op("solve_tri", graph.f32(a), graph.f32(normal(random, 2, 16, 11)), True, True, False)
    yield Case("solve_tri", "", triangular, 1e-10)


def cases():
    for part in (products, attentions, rows_and_copies, elementwise, row_operations, others):
        yield from part()


def judge(library, cpu, cuda, case, seed):
    """(verdict, error) of one case: "right", "wrong", or why it was not tried."""
    def run(backend):
        graph = Graph(library, backend)
        try:
            result = case.build(graph, numpy.random.default_rng(seed))
            if not graph.supports(result):
                return None
            return graph.compute(result)
        finally:
            graph.free()

    actual = run(cuda)
    if actual is None:
        return "not on CUDA", None
    expected = case.expected(library, numpy.random.default_rng(seed)) if case.expected else run(cpu)
    if expected is None:
        return "not on CPU", None
    distance = error(actual, expected)
    return "right" if distance <= case.tolerance else "wrong", distance


def main():
    folder, cuda_library, *parts = sys.argv[1:]
    library = Library(folder, cuda_library)
    cpu, cuda = (Pointer(library.call(Pointer, "ggml_backend_init_by_type", kind, None)) for kind in (0, 1))
    assert cpu and cuda, "no device"
    groups = {}
    for seed, case in enumerate(cases()):
        if parts and not any(part in case.group for part in parts):
            continue
        verdict, distance = judge(library, cpu, cuda, case, seed)
        group = groups.setdefault(case.group, {"right": 0, "wrong": 0, "not on CUDA": 0, "not on CPU": 0, "worst": 0.0})
        group[verdict] += 1
        if distance is not None:
            group["worst"] = max(group["worst"], distance)
        if verdict == "wrong":
            print(f"WRONG {case.group}, {case.label}: {distance:.2e}, allowed {case.tolerance:.0e}", flush=True)
    for name, group in groups.items():
        left = "".join(f", {group[it]} {it}" for it in ("not on CUDA", "not on CPU") if group[it])
        print(f"  {name}: {group['right']} right, {group['wrong']} wrong{left}; worst {group['worst']:.1e}")
    total = {it: sum(group[it] for group in groups.values()) for it in ("right", "wrong", "not on CUDA", "not on CPU")}
    print(f"total {total['right']} of {total['right'] + total['wrong']} right, {total['not on CUDA']} that this backend lacks")
    sys.exit(1 if total["wrong"] or not total["right"] else 0)


main()
