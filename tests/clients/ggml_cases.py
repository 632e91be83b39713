"""Cases for ggml-ops.py: what llama.cpp's CUDA backend computes, in groups; each says how far a result may be from what is expected.

Products and attention are held against exact numbers. That is possible because the vectors are chosen such that rounding them to
eight bits loses nothing (see `lossless`): what remains is the order of a sum of 32-bit numbers, and for some types factors that a
kernel keeps in 16 bits. One wrong number among a thousand shows. The rest is held against the CPU backend.
"""
import ctypes

import numpy

from ggml import Pointer, Type

QUANTISED = [kind for kind in Type if kind not in (Type.F32, Type.F16, Type.BF16, Type.I32, Type.I64)]
WEIGHTS = [Type.F32, Type.F16, Type.BF16] + QUANTISED
# Types that the KV cache may have, and that copies write.
CACHE = [Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]


class Case:
    """Builds the same computation on any backend. `expected` may be what exact arithmetic says; else the CPU backend does."""

    def __init__(self, group, label, build, tolerance=1e-9, expected=None):
        self.group, self.label, self.build, self.tolerance, self.expected = group, label, build, tolerance, expected


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
        # With one token llama.cpp's kernel takes four rows at a time and, where experts are used, looks for their end in the wrong
        # place (mmvq.cu compares with the distance of tokens): rows that four does not divide would overwrite the next expert's.
        for rows, tokens in ((48, 1), (45, 5), (45, 33)):
            yield expert_product(kind, rows, 256, 4, 2, tokens)
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


# ---- operations on their own ----

class Data:
    """An argument that is a tensor: `make(graph, random)`."""

    def __init__(self, make):
        self.make = make


def some(*shape, kind=Type.F32, scale=1.0, shift=0.0, positive=False):
    """Normally distributed numbers."""
    def make(graph, random):
        numbers = scale * normal(random, *shape) + numpy.float32(shift)
        return graph.stored(kind, abs(numbers) if positive else numbers)
    return Data(make)


def between(*shape):
    """Numbers from 0 to 1."""
    return Data(lambda graph, random: graph.f32(random.random(shape)))


def shuffled(*shape):
    """Different whole numbers."""
    return Data(lambda graph, random: graph.f32(random.permutation(numpy.prod(shape)).reshape(shape)))


def below(limit, *shape):
    return Data(lambda graph, random: graph.i32(random.integers(0, limit, shape)))


def indices(*numbers, kind=Type.I32):
    return Data(lambda graph, random: graph.tensor(kind, numpy.array(numbers, numpy.int32 if kind == Type.I32 else numpy.int64)))


def through(name, *arguments):
    """An argument that an operation makes of others."""
    return Data(lambda graph, random: applied(graph, random, name, arguments))


def applied(graph, random, name, arguments):
    return graph.op(name, *(it.make(graph, random) if isinstance(it, Data) else it for it in arguments))


def case(group, name, *arguments, label="", tolerance=1e-9, expected=None):
    return Case(group, f"{name} {label}", lambda graph, random: applied(graph, random, name, arguments), tolerance, expected)


EXACT = 0
# A float in another order of operations; 16-bit results.
CLOSE, HALF = 1e-12, 1e-6


def rows_and_copies():
    for kind in WEIGHTS:
        yield case("get_rows", "get_rows", some(9, 256, kind=kind), indices(7, 0, 3, 3, 8), label=kind.name, tolerance=1e-13)
    for kind in [Type.F32] + CACHE + [Type.IQ4_NL]:
        shape = (4, 3, 64)
        places = indices(5, 0, 6, kind=Type.I64)
        yield case("set_rows", "set_rows", some(8, 128, kind=kind), some(3, 128), places, label=kind.name, tolerance=1e-13)
        yield case("copy", "cpy", some(*shape), some(*shape, kind=kind), label=f"to {kind.name}", tolerance=1e-13)
        yield case("copy", "cpy", some(*shape, kind=kind), some(*shape), label=f"from {kind.name}", tolerance=1e-13)
    for source in (Type.F32, Type.F16, Type.BF16):
        for target in (Type.F32, Type.F16, Type.BF16):
            permuted = through("permute", some(3, 5, 32, kind=source), 1, 0, 2, 3)
            label = f"{source.name} to {target.name}, permuted"
            yield case("copy", "cpy", permuted, some(3, 32, 5, kind=target), label=label, tolerance=1e-13)
    yield case("copy", "cont", through("transpose", some(70, 45)), tolerance=EXACT)
    for axis in range(4):
        other = [2, 3, 5, 7]
        other[3 - axis] = 4
        yield case("shape", "concat", some(2, 3, 5, 7), some(*other), axis, tolerance=EXACT)
    yield case("shape", "repeat", some(2, 3, 5), some(4, 6, 15), tolerance=EXACT)
    yield case("shape", "repeat_back", some(4, 6, 15), some(2, 3, 5))
    yield case("shape", "pad", some(3, 4, 5), 2, 1, 3, 0, tolerance=EXACT)
    yield case("shape", "pad_reflect_1d", some(3, 4, 50), 7, 5, tolerance=EXACT)
    yield case("shape", "roll", some(3, 4, 50), 7, -1, 1, 0, tolerance=EXACT)
    yield case("shape", "acc", some(8, 16), some(3, 5), 64, 512, 512, 68, tolerance=1e-13)
    yield case("shape", "set", some(8, 16), some(3, 5), 64, 512, 512, 68, tolerance=EXACT)
    yield case("shape", "diag", some(1, 17), tolerance=EXACT)

    def masked(library, random):
        # The CUDA kernel subtracts the largest number instead of storing minus infinity.
        hidden = numpy.arange(12) > 3 + numpy.arange(9)[:, None]
        return numpy.where(hidden, -numpy.finfo(numpy.float32).max, normal(random, 2, 9, 12)).reshape(-1)
    yield case("shape", "diag_mask_inf", some(2, 9, 12), 3, tolerance=1e-13, expected=masked)
    for triangle in range(4):
        yield case("shape", "tri", some(2, 9, 9), triangle, tolerance=EXACT)
    yield case("shape", "fill", some(2, 9), 1.5, tolerance=EXACT)
    yield case("shape", "arange", 1.0, 60.0, 1.5, tolerance=1e-13)


UNARY = ["abs", "sgn", "neg", "step", "tanh", "elu", "relu", "sigmoid", "gelu", "gelu_quick", "silu", "hardswish", "hardsigmoid", "exp",
         "expm1", "softplus", "gelu_erf", "floor", "ceil", "round", "trunc", "sqr", "sin", "cos"]
GATED = ["reglu", "geglu", "swiglu", "geglu_erf", "geglu_quick"]
BINARY = ["add", "sub", "mul", "div"]


def elementwise():
    # The CPU looks gelu up in a table of 16 bits.
    coarse = lambda name: HALF if name.startswith(("gelu", "geglu")) else 1e-10
    for name in UNARY:
        yield case("unary", name, some(3, 5, 67, scale=3), tolerance=coarse(name))
        yield case("unary F16", name, some(3, 5, 67, scale=3, kind=Type.F16), tolerance=HALF)
    yield case("unary", "sqrt", some(3, 5, 67, positive=True))
    yield case("unary", "log", some(3, 5, 67, positive=True))
    yield case("unary", "leaky_relu", some(5, 67), 0.1, False)
    yield case("unary", "xielu", some(5, 67), 4.0, 20.0, 0.5, 0.0001)
    yield case("unary", "clamp", some(5, 67), -0.5, 0.5)
    yield case("unary", "scale_bias", some(5, 67), 2.0, 0.25)
    for name in GATED:
        yield case("gated", name, some(3, 5, 128), tolerance=coarse(name))
        yield case("gated", name + "_swapped", some(5, 128), tolerance=coarse(name))
        yield case("gated", name + "_split", some(5, 64), some(5, 64), tolerance=coarse(name))
    yield case("gated", "swiglu_oai", some(5, 64, scale=3), some(5, 64, scale=3), 1.702, 7.0)
    for name in BINARY:
        for second in ((2, 3, 5, 64), (1, 1, 1, 64), (1, 3, 1, 1), (2, 1, 5, 64)):
            yield case("binary", name, some(2, 3, 5, 64), some(*second, shift=3), label=str(second), tolerance=CLOSE)
        yield case("binary F16", name, some(4, 33, kind=Type.F16), some(4, 33, shift=3, kind=Type.F16), tolerance=HALF)
    yield case("binary", "add_id", some(6, 2, 64), some(4, 64), below(4, 6, 2), tolerance=CLOSE)
    yield case("binary", "silu_back", some(5, 64), some(5, 64))


def row_operations():
    for width in (5, 64, 300, 1500, 5000):
        label = str(width)
        for name in ("norm", "rms_norm", "l2_norm"):
            yield case("norm", name, some(2, 3, width, shift=0.3), 1e-5, label=label)
        yield case("norm", "rms_norm_back", some(7, width), some(7, width), 1e-5, label=label)
        for name in ("sum_rows", "mean", "cumsum"):
            yield case("sum", name, some(2, 3, width, shift=0.3), label=label)
        yield case("order", "argmax", some(7, width), label=label, tolerance=EXACT)
        for order in (0, 1):
            yield case("order", "argsort", shuffled(3, width), order, label=label, tolerance=EXACT)
        for slope in (0.0, 8.0):
            def mask(graph, random, width=width):
                hidden = random.random((1, 1, 7, width)) < 0.2
                # A row with nothing to see has no softmax.
                hidden[..., 0] = False
                return graph.tensor(Type.F16, numpy.where(hidden, -numpy.inf, 0).astype(numpy.float16))
            yield case("soft_max", "soft_max_ext", some(2, 4, 7, width, scale=3), Data(mask), 0.125, slope, label=label)
        labels = some(7, width, scale=1 / width, positive=True)
        yield case("cross_entropy", "cross_entropy_loss", some(7, width), labels, label=label)
        gradient = Data(lambda graph, random: graph.f32([0.7]))
        yield case("cross_entropy", "cross_entropy_loss_back", gradient, some(7, width), labels, label=label)
    yield case("norm", "group_norm", some(2, 32, 6, 7), 8, 1e-5)
    yield case("sum", "sum", some(33, 100, shift=0.3))
    yield case("sum", "count_equal", below(3, 500), below(3, 500), tolerance=EXACT)
    yield case("order", "argsort_top_k", shuffled(3, 100), 5, tolerance=EXACT)
    yield from ropes()


def ropes():
    """Sines of large angles come from approximations."""
    positions = indices(3, 70, 71, 500, 9)
    for mode in (0, 2):
        for base, scale, extension in ((10000.0, 1.0, 0.0), (500000.0, 0.5, 1.0)):
            for factors in (None, Data(lambda graph, random: graph.f32(1 + random.random(32)))):
                yield case("rope", "rope_ext", some(1, 5, 3, 96), positions, factors, 64, mode, 512, base, scale, extension, 1.1, 32.0, 1.0,
                           label=f"{mode} {base} {bool(factors)}", tolerance=1e-8)
    for mode, sections, rotated in ((8, (12, 10, 10, 0), 64), (24, (16, 16, 0, 0), 32), (40, (12, 10, 10, 0), 64)):
        # Kept alive by the case.
        array = (ctypes.c_int * 4)(*sections)
        made = case("rope", "rope_multi", some(1, 5, 3, 64), below(50, 20), None, rotated, Pointer(ctypes.addressof(array)), mode, 512,
                    10000.0, 1.0, 0.0, 1.0, 32.0, 1.0, label=str(mode), tolerance=1e-8)
        made.kept = array
        yield made


# ---- images, sound, states ----

def images():
    for kind in (Type.F16, Type.F32):
        yield case("image", "im2col", some(4, 3, 3, 3), some(2, 3, 12, 10), 1, 2, 1, 0, 1, 1, True, kind, label=kind.name, tolerance=CLOSE)
    yield case("image", "im2col", some(4, 3, 5), some(2, 3, 40), 2, 0, 1, 0, 1, 0, False, Type.F16, label="1D", tolerance=CLOSE)
    yield case("image", "conv_2d_direct", some(4, 3, 3, 3), some(2, 3, 12, 10), 1, 1, 1, 1, 1, 1, tolerance=1e-10)
    yield case("image", "conv_2d_dw_direct", some(6, 1, 3, 3), some(2, 6, 12, 10), 1, 1, 1, 1, 1, 1, tolerance=1e-10)
    yield case("image", "conv_transpose_1d", some(3, 4, 5), some(3, 20), 2, 0, 1, tolerance=1e-10)
    yield case("image", "conv_transpose_2d_p0", some(3, 4, 3, 3, kind=Type.F16), some(3, 8, 7), 2, tolerance=HALF)
    for pool in (0, 1):
        yield case("image", "pool_2d", some(2, 3, 12, 10), pool, 3, 2, 2, 2, 1.0, 0.0, label=str(pool), tolerance=CLOSE)
    for mode in (0, 1, 2):
        yield case("image", "interpolate", some(2, 3, 6, 5), 13, 11, 3, 2, mode, label=str(mode), tolerance=1e-10)
    yield case("image", "timestep_embedding", Data(lambda graph, random: graph.f32([1, 20, 300.5])), 64, 10000, tolerance=1e-8)


def states():
    """Models with a state instead of a cache; linear algebra."""
    yield case("state", "out_prod", some(9, 33), some(9, 21), tolerance=1e-10)
    yield case("state", "ssm_conv", some(2, 128, 10), some(128, 4), tolerance=1e-10)
    tokens, heads, size = 8, 2, 64
    many, state = (tokens, heads, size), some(2, heads * size * size)
    yield case("state", "rwkv_wkv6", some(*many), some(*many), some(*many), some(heads, size), between(*many), state, tolerance=1e-10)
    yield case("state", "gated_linear_attn", some(*many), some(*many), some(*many), between(*many), state, 0.125, tolerance=1e-10)
    unit = through("l2_norm", some(*many), 1e-6)
    turned = through("mul", through("neg", unit), between(*many))
    yield case("state", "rwkv_wkv7", some(*many), between(*many), some(*many), some(*many), unit, turned, state, tolerance=1e-9)
    for size in (32, 64, 128):
        for gates in (1, size):
            q = through("l2_norm", some(2, 7, 2, size), 1e-6)
            decay = through("neg", some(2, 7, 2, gates, positive=True))
            yield case("state", "gated_delta_net", q, q, some(2, 7, 2, size), decay, between(2, 7, 2, 1), some(2, 2, size, size), 1,
                       label=f"{size} {gates}", tolerance=1e-9)
    for state, width, heads, decays, groups in ((16, 1, 128, 16, 1), (128, 32, 4, 1, 2), (256, 16, 4, 1, 2)):
        decay = through("neg", some(heads, decays, positive=True))
        yield case("state", "ssm_scan", some(2, heads, width, state), some(2, 6, heads, width), some(2, 6, heads), decay,
                   some(2, 6, groups, state), some(2, 6, groups, state), indices(1, 0), 1, label=str(state), tolerance=1e-9)

    def triangle(graph, random):
        return graph.f32(0.3 * numpy.tril(normal(random, 2, 16, 16)) + 2 * numpy.eye(16))
    yield case("state", "solve_tri", Data(triangle), some(2, 16, 11), True, True, False, tolerance=1e-10)


def cases():
    for part in (products, attentions, rows_and_copies, elementwise, row_operations, images, states):
        yield from part()
