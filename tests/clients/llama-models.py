"""Random language models, one for each way that llama.cpp stores weights: llama-models.py FOLDER LIBRARIES [TYPE…]

FOLDER/TYPE.gguf holds weights quantised by llama.cpp itself, FOLDER/TYPE-exact.gguf the same numbers as F32, read back by
llama.cpp: what both of its builds would compute if they rounded nothing. The names of the types are printed.
"""
import pathlib
import sys

import gguf
import numpy

from ggml import TYPES, Library, Type

# Rows of 256, the largest block; a head of 64; a vocabulary that no tile divides.
WIDTH, HIDDEN, HEADS, KV_HEADS, LAYERS, VOCABULARY, CONTEXT = 256, 512, 4, 2, 2, 389, 512


def matrices(random):
    """Name and weights of every matrix, scaled so that activations keep their size from layer to layer."""
    shapes = {"token_embd": (VOCABULARY, WIDTH), "output": (VOCABULARY, WIDTH)}
    kv_width = WIDTH // HEADS * KV_HEADS
    for layer in range(LAYERS):
        for name, shape in {"attn_q": (WIDTH, WIDTH), "attn_k": (kv_width, WIDTH), "attn_v": (kv_width, WIDTH), "attn_output": (WIDTH, WIDTH),
                            "ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH), "ffn_down": (WIDTH, HIDDEN)}.items():
            shapes[f"blk.{layer}.{name}"] = shape
    for name, (rows, columns) in shapes.items():
        yield name, (random.standard_normal((rows, columns)) / columns**0.5).astype(numpy.float32)


def norms(random):
    for name in ["output_norm"] + [f"blk.{layer}.{kind}_norm" for layer in range(LAYERS) for kind in ("attn", "ffn")]:
        yield name, (1 + 0.1 * random.standard_normal(WIDTH)).astype(numpy.float32)


def writer(path, name):
    """A model of the architecture "llama" that lacks only its tensors."""
    model = gguf.GGUFWriter(path, "llama")
    model.add_name(name)
    model.add_context_length(CONTEXT)
    model.add_embedding_length(WIDTH)
    model.add_block_count(LAYERS)
    model.add_feed_forward_length(HIDDEN)
    model.add_head_count(HEADS)
    model.add_head_count_kv(KV_HEADS)
    model.add_layer_norm_rms_eps(1e-5)
    model.add_rope_dimension_count(WIDTH // HEADS)
    model.add_rope_freq_base(10000.0)
    model.add_vocab_size(VOCABULARY)
    # Bytes as GPT-2 spells them, then words that no text has.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(it) for it in printable] + [chr(256 + it) for it in range(256 - len(printable))]
    model.add_tokenizer_model("gpt2")
    model.add_tokenizer_pre("gpt-2")
    model.add_token_list(["<s>", "</s>"] + letters + [f"<word{it}>" for it in range(VOCABULARY - 258)])
    model.add_token_types([gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * (VOCABULARY - 2))
    model.add_token_merges(["a b"])
    model.add_bos_token_id(0)
    model.add_eos_token_id(1)
    return model


def finish(model):
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


def generate(library, kind, folder):
    random = numpy.random.default_rng(7)
    stored, exact = writer(folder / f"{kind.name}.gguf", kind.name), writer(folder / f"{kind.name}-exact.gguf", kind.name)
    for name, weights in matrices(random):
        data = library.stored(kind, weights)
        stored.add_tensor(name + ".weight", data, raw_dtype=kind)
        exact.add_tensor(name + ".weight", library.dequantise(kind, data))
    for name, weights in norms(random):
        stored.add_tensor(name + ".weight", weights)
        exact.add_tensor(name + ".weight", weights)
    finish(stored)
    finish(exact)


def main():
    folder, library = pathlib.Path(sys.argv[1]), Library(sys.argv[2])
    kinds = [Type[name] for name in sys.argv[3:] or TYPES]
    for kind in kinds:
        # The writer wants to know how many numbers a row of bytes has, and has not heard of all types.
        gguf.GGML_QUANT_SIZES[kind] = library.block(kind)
        generate(library, kind, folder)
    print(*(kind.name for kind in kinds))


main()
