"""A random model for whisper.cpp, as small as its tiny one is deep: whisper-model.py LIBRARIES OUT TYPE

The file format is whisper.cpp's own (its models/convert-pt-to-ggml.py describes it): sizes, mel filters, words, then tensors.
"""
import struct
import sys

import numpy

from ggml import Library, Type

WORDS, VOCABULARY = 50257, 51864
WIDTH, HEADS, LAYERS, MELS, AUDIO_CONTEXT, TEXT_CONTEXT, FREQUENCIES = 128, 2, 4, 80, 1500, 128, 201
# Words that the sampler looks up.
NEEDED = [" ", " -", " '"]
# Of ggml_ftype, which numbers types of files.
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9}


def linear(prefix, rows, columns, bias=True):
    yield prefix + ".weight", (rows, columns)
    if bias:
        yield prefix + ".bias", (rows,)


def attention(prefix):
    yield from linear(prefix + ".query", WIDTH, WIDTH)
    yield from linear(prefix + ".key", WIDTH, WIDTH, bias=False)
    yield from linear(prefix + ".value", WIDTH, WIDTH)
    yield from linear(prefix + ".out", WIDTH, WIDTH)


def norm(prefix):
    yield prefix + ".weight", (WIDTH,)
    yield prefix + ".bias", (WIDTH,)


def tensors():
    yield "encoder.positional_embedding", (AUDIO_CONTEXT, WIDTH)
    yield "encoder.conv1.weight", (WIDTH, MELS, 3)
    yield "encoder.conv1.bias", (WIDTH, 1)
    yield "encoder.conv2.weight", (WIDTH, WIDTH, 3)
    yield "encoder.conv2.bias", (WIDTH, 1)
    yield from norm("encoder.ln_post")
    yield "decoder.positional_embedding", (TEXT_CONTEXT, WIDTH)
    yield "decoder.token_embedding.weight", (VOCABULARY, WIDTH)
    yield from norm("decoder.ln")
    for side, parts in (("encoder", ("attn",)), ("decoder", ("attn", "cross_attn"))):
        for layer in range(LAYERS):
            prefix = f"{side}.blocks.{layer}"
            for part in parts:
                yield from norm(f"{prefix}.{part}_ln")
                yield from attention(f"{prefix}.{part}")
            yield from norm(prefix + ".mlp_ln")
            yield from linear(prefix + ".mlp.0", 4 * WIDTH, WIDTH)
            yield from linear(prefix + ".mlp.2", WIDTH, 4 * WIDTH)


def numbers_of(random, name, shape):
    numbers = random.standard_normal(shape).astype(numpy.float32)
    if "ln" in name and name.endswith("weight"):
        return 1 + 0.1 * numbers
    if name.endswith("bias"):
        return 0.1 * numbers
    if name.startswith("decoder.token_embedding"):
        # Marks of time and of the end are as likely as can be, words sometimes much more: a text that goes on.
        numbers[WORDS - 1:] = 0
        return 3 * numbers / WIDTH**0.5
    if name.endswith("weight"):
        return numbers / numpy.prod(shape[1:]) ** 0.5
    # Positions tell more than words, or one word would be repeated for ever.
    return numbers


def main():
    libraries, target, name = sys.argv[1:]
    library, kind, random = Library(libraries), Type[name], numpy.random.default_rng(11)
    with open(target, "wb") as file:
        sizes = (VOCABULARY, AUDIO_CONTEXT, WIDTH, HEADS, LAYERS, TEXT_CONTEXT, WIDTH, HEADS, LAYERS, MELS)
        file.write(struct.pack("<12i", 0x67676D6C, *sizes, FILE_TYPES[name]))
        # Triangles side by side.
        distance = abs(numpy.linspace(0, MELS, FREQUENCIES)[None, :] - numpy.arange(MELS)[:, None])
        file.write(struct.pack("<2i", MELS, FREQUENCIES) + numpy.maximum(0, 1 - distance).astype(numpy.float32).tobytes())
        file.write(struct.pack("<i", WORDS))
        for index in range(WORDS):
            word = (NEEDED[index] if index < len(NEEDED) else f" w{index}").encode()
            file.write(struct.pack("<i", len(word)) + word)
        for tensor, shape in tensors():
            numbers = numbers_of(random, tensor, shape)
            matrix = len(shape) == 2 and tensor.endswith("weight")
            # Convolutions are kept in 16 bits unless everything is in 32.
            stored = kind if matrix else Type.F16 if len(shape) == 3 and kind != Type.F32 else Type.F32
            data = library.stored(stored, numbers)
            head = struct.pack(f"<{3 + len(shape)}i", len(shape), len(tensor), stored, *reversed(shape))
            file.write(head + tensor.encode() + data.tobytes())


main()
