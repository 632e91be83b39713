"""What llama.cpp's roundings do to a real model, by arithmetic of our own: llama-rounding.py none|cpu|cuda MODEL LOGARITHMS NAME OUT

A model of the architecture "llama" in numpy, with weights in Q4_1, Q8_0 or F32. Its products see activations as they are (`none`) or
rounded to eight bits in blocks of 32, as llama.cpp's CPU kernels or its CUDA kernels for capability 6.1 round them. LOGARITHMS is what
llama-perplexity.mjs wrote, with the tokens of NAME; OUT gets the logarithm of each token's probability under the same name.

    Q4_1, a block: Σ (d·q + m)·x   cpu:  d·Σ q·x̃ + m·Σ x̃     cuda:  d·Σ q·x̃ + m·Σ x         (x̃ is x rounded)

Rounding makes chaos of the smallest differences within a few layers, so no two programs that round agree token by token. How far
rounding drives a build from unrounded arithmetic is comparable all the same.
"""
import json
import sys

import gguf
import numpy

BLOCK = 32


def half(numbers):
    return numpy.asarray(numbers).astype(numpy.float16).astype(numpy.float32)


class Matrix:
    """Rows of weights: what is multiplied with rounded activations, and (of Q4_1) the offset of each block."""

    def __init__(self, tensor):
        data, kind = numpy.asarray(tensor.data), tensor.tensor_type.name
        self.offsets = None
        if kind == "F32":
            self.weights, self.rounds = data.astype(numpy.float32), False
            return
        self.rounds = True
        size = {"Q8_0": 34, "Q4_1": 20}[kind]
        blocks = data.reshape(len(data), -1, size)
        scale = blocks[:, :, :2].copy().view(numpy.float16).astype(numpy.float32)
        if kind == "Q8_0":
            numbers = blocks[:, :, 2:].view(numpy.int8)
        else:
            self.offsets = blocks[:, :, 2:4].copy().view(numpy.float16).astype(numpy.float32)[:, :, 0]
            numbers = numpy.concatenate([blocks[:, :, 4:] & 15, blocks[:, :, 4:] >> 4], axis=2)
        self.weights = (scale * numbers).reshape(len(data), -1)

    def row(self, index):
        offsets = 0 if self.offsets is None else numpy.repeat(self.offsets[index], BLOCK, axis=-1)
        return self.weights[index] + offsets

    def times(self, rows, how):
        if how == "none" or not self.rounds:
            return rows @ self.row(slice(None)).T
        rounded = round_to_bytes(rows)
        product = rounded @ self.weights.T
        if self.offsets is None:
            return product
        summed = rows if how == "cuda" else rounded
        return product + half(summed.reshape(len(rows), -1, BLOCK).sum(axis=2)) @ self.offsets.T


def round_to_bytes(rows):
    blocks = rows.reshape(len(rows), -1, BLOCK)
    scale = numpy.abs(blocks).max(axis=2, keepdims=True) / numpy.float32(127)
    numbers = numpy.rint(numpy.divide(blocks, scale, out=numpy.zeros_like(blocks), where=scale > 0))
    return (numbers * half(scale)).reshape(rows.shape)


class Model:
    def __init__(self, path, how):
        reader = gguf.GGUFReader(path)
        value = lambda name: reader.get_field(f"llama.{name}").contents()
        self.how = how
        self.layers, self.heads, self.kv_heads = value("block_count"), value("attention.head_count"), value("attention.head_count_kv")
        self.epsilon, self.base = value("attention.layer_norm_rms_epsilon"), value("rope.freq_base")
        self.norms, self.matrices = {}, {}
        for tensor in reader.tensors:
            if len(tensor.shape) == 1:
                self.norms[tensor.name] = numpy.asarray(tensor.data, numpy.float32)
            else:
                self.matrices[tensor.name] = Matrix(tensor)

    def product(self, rows, name):
        return self.matrices[f"{name}.weight"].times(rows, self.how)

    def norm(self, rows, name):
        mean = (rows.astype(numpy.float64) ** 2).mean(axis=1, keepdims=True)
        return (rows / numpy.sqrt(mean + self.epsilon)).astype(numpy.float32) * self.norms[f"{name}.weight"]

    def turned(self, heads):
        """Position by angle: pairs of neighbours, the further behind the slower."""
        places, _, size = heads.shape
        angles = numpy.arange(places)[:, None] * self.base ** (-numpy.arange(0, size, 2) / size)
        cosine, sine = (it(angles).astype(numpy.float32)[:, None] for it in (numpy.cos, numpy.sin))
        first, second = heads[:, :, 0::2], heads[:, :, 1::2]
        return numpy.stack([first * cosine - second * sine, first * sine + second * cosine], axis=3).reshape(heads.shape)

    def attention(self, rows, layer):
        split = lambda name, heads: self.product(rows, f"{layer}.attn_{name}").reshape(len(rows), heads, -1)
        queries = self.turned(split("q", self.heads))
        # Both builds keep keys and values as 16-bit numbers.
        keys, values = half(self.turned(split("k", self.kv_heads))), half(split("v", self.kv_heads))
        hidden = numpy.triu(numpy.full((len(rows), len(rows)), -numpy.inf, numpy.float32), 1)
        answers = numpy.empty_like(queries)
        for head in range(self.heads):
            shared = head * self.kv_heads // self.heads
            scores = queries[:, head] @ keys[:, shared].T / numpy.float32(queries.shape[2] ** 0.5) + hidden
            weights = numpy.exp(scores - scores.max(axis=1, keepdims=True))
            answers[:, head] = weights @ values[:, shared] / weights.sum(axis=1, keepdims=True)
        return self.product(answers.reshape(len(rows), -1), f"{layer}.attn_output")

    def feed_forward(self, rows, layer):
        gate = self.product(rows, f"{layer}.ffn_gate")
        return self.product(gate / (1 + numpy.exp(-gate)) * self.product(rows, f"{layer}.ffn_up"), f"{layer}.ffn_down")

    def logarithms(self, tokens):
        """Of the probability of each token but the first."""
        rows = self.matrices["token_embd.weight"].row(tokens[:-1]).astype(numpy.float32)
        for layer in (f"blk.{it}" for it in range(self.layers)):
            rows = rows + self.attention(self.norm(rows, f"{layer}.attn_norm"), layer)
            rows = rows + self.feed_forward(self.norm(rows, f"{layer}.ffn_norm"), layer)
        logits = self.product(self.norm(rows, "output_norm"), "token_embd").astype(numpy.float64)
        logits -= logits.max(axis=1, keepdims=True)
        return logits[numpy.arange(len(logits)), tokens[1:]] - numpy.log(numpy.exp(logits).sum(axis=1))


def main():
    how, path, logarithms, name, out = sys.argv[1:]
    tokens = json.load(open(logarithms))[f"{name} tokens"]
    with open(out, "w") as file:
        json.dump({name: Model(path, how).logarithms(tokens).tolist()}, file)


main()
