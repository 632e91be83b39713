"""gpt4all: an older llama.cpp on libcudart 11, through gpt4all's C interface; logits, and texts with the logits behind each token.

gpt4all-logits.py prepare MODEL FOLDER | rows cpu|cuda FOLDER MODEL… | texts cpu|cuda FOLDER MODEL…
llama-judge.py compares what the two backends leave in FOLDER.
"""
import array
import ctypes
import json
import os
import struct
import sys

CONTEXT = 128
# For random models, of which each letter is a token: a prompt in one batch, three tokens in one, single ones.
STEPS = [("sphinx of dark quartz judge my vow 37", 64), ("few", 3), ("each", 1)]
TEXTS = ["The capital of France is", "Water boils at", "One, two, three, four,"]
TOKENS = 16
# A random model goes on after anything in its own way.
RANDOM_TEXTS = [f"{word} {number}" for number, word in enumerate(
    "any words will do here since none of them means anything to a model of random numbers".split())]
RANDOM_TOKENS = 4


def prepare(model, folder):
    """This llama.cpp does not know the name of SmolLM2's way to split text; another that splits these texts alike serves both sides."""
    data = open(model, "rb").read()
    entry = b"tokenizer.ggml.pre\x08\0\0\0\x06\0\0\0\0\0\0\0"
    assert data.count(entry + b"smollm") == 1, "the model has changed"
    with open(os.path.join(folder, "SmolLM2-Q4_1.gguf"), "wb") as file:
        file.write(data.replace(entry + b"smollm", entry + b"refact"))


class Model:
    """A model on one device. gpt4all hands out no logits, but the state that it saves has them."""

    def __init__(self, device, folder, name):
        from gpt4all import GPT4All, _pyllmodel

        self.interface, self.library = _pyllmodel, _pyllmodel.llmodel
        self.library.llmodel_get_state_size.argtypes = [ctypes.c_void_p]
        self.library.llmodel_get_state_size.restype = ctypes.c_uint64
        self.library.llmodel_save_state_data.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self.library.llmodel_save_state_data.restype = ctypes.c_uint64
        self.owner = GPT4All(f"{name}.gguf", model_path=folder, allow_download=False, device=device, n_ctx=CONTEXT)
        assert bool(self.owner.device) == (device == "cuda"), f"{name} is on {self.owner.device}"
        # More threads than cores are ruinous, and one is enough for both.
        self.owner.model.set_thread_count(1)
        self.handle = self.owner.model.model
        self.state = ctypes.create_string_buffer(self.library.llmodel_get_state_size(self.handle))
        self.forget()

    def forget(self):
        self.context = self.interface.LLModelPromptContext(top_k=1, temp=0, repeat_penalty=1)

    def logits(self):
        """Of the last token that was evaluated: the state begins with the random generator's, the places of tokens whose logits were
        asked for, and these logits, each behind its count."""
        self.library.llmodel_save_state_data(self.handle, self.state)
        generator, = struct.unpack_from("<Q", self.state)
        places, = struct.unpack_from("<Q", self.state, 8 + generator)
        count, = struct.unpack_from("<Q", self.state, 16 + generator + 4 * places)
        assert places == 1 and count > 0, f"{count} logits of {places} tokens"
        begin = 24 + generator + 4 * places
        return array.array("f", self.state[begin:begin + 4 * count])

    def evaluate(self, text, batch, tokens=0):
        """(logits behind each token of the text and the generated ones, the generated ones). Tokens of one batch have the last one's."""
        rows, generated = [], []

        @self.interface.PromptCallback
        def evaluated(_token):
            rows.append(self.logits())
            return True

        @self.interface.ResponseCallback
        def answered(token, _text):
            generated.append(token)
            return evaluated(token)

        self.context.n_batch, self.context.n_predict = batch, tokens
        self.library.llmodel_prompt(self.handle, text.encode(), b"%1%2", evaluated, answered, False, self.context, False, None)
        return rows, generated


def write(folder, name, rows):
    with open(os.path.join(folder, f"{name}.f32"), "wb") as file:
        for row in rows:
            row.tofile(file)


def write_rows(device, folder, name):
    model = Model(device, folder, name)
    rows = []
    for text, batch in STEPS:
        behind, _ = model.evaluate(text, batch)
        assert len(behind) == len(text), f"{len(behind)} tokens of {text!r}"
        rows += behind[batch - 1::batch] if batch < len(text) else behind[-1:]
    write(folder, f"{name}-{device}", rows)


def write_texts(device, folder, name):
    model = Model(device, folder, name)
    texts, tokens = (TEXTS, TOKENS) if name.startswith("SmolLM2") else (RANDOM_TEXTS, RANDOM_TOKENS)
    rows, generated = [], []
    for text in texts:
        model.forget()
        behind, answer = model.evaluate(text, 8, tokens)
        rows += behind[-1 - len(answer):]
        generated.append(answer)
    write(folder, f"{name}-texts-{device}", rows)
    with open(os.path.join(folder, f"{name}-texts-{device}.json"), "w") as file:
        json.dump({"device": model.owner.device, "texts": texts, "tokens": generated}, file)


if sys.argv[1] == "prepare":
    prepare(*sys.argv[2:])
else:
    for model_name in sys.argv[4:]:
        {"rows": write_rows, "texts": write_texts}[sys.argv[1]](sys.argv[2], sys.argv[3], model_name)
