"""gpt4all: an older llama.cpp on libcudart 11; greedy text on the virtual GPU and by its own CPU backend.

gpt4all-text.py prepare MODEL FOLDER | cpu FOLDER OUT | cuda FOLDER OUT | compare CPU CUDA
"""
import json
import os
import sys

PROMPTS = ["The capital of France is", "Water boils at", "One, two, three, four,"]
TOKENS = 16


def prepare(model, folder):
    """This llama.cpp does not know the name of SmolLM2's way to split text; another that splits these prompts alike serves both sides."""
    data = open(model, "rb").read()
    entry = b"tokenizer.ggml.pre\x08\0\0\0\x06\0\0\0\0\0\0\0"
    assert data.count(entry + b"smollm") == 1, "the model has changed"
    with open(os.path.join(folder, "model.gguf"), "wb") as file:
        file.write(data.replace(entry + b"smollm", entry + b"refact"))


def generate(device, folder, out):
    from gpt4all import GPT4All

    model = GPT4All("model.gguf", model_path=folder, allow_download=False, device=device, n_ctx=128)
    # More threads than cores are ruinous, and one is enough for both.
    model.model.set_thread_count(1)
    texts = [model.generate(prompt, max_tokens=TOKENS, temp=0, top_k=1, n_batch=8) for prompt in PROMPTS]
    with open(out, "w") as file:
        json.dump({"device": model.device, "texts": texts}, file)


def compare(cpu, cuda):
    """How far the texts are the same. As in the demo they part after some tokens, which is not explained yet; wrong kernels
    would show from the first token on."""
    cpu, cuda = json.load(open(cpu)), json.load(open(cuda))
    same = []
    for prompt, expected, actual in zip(PROMPTS, cpu["texts"], cuda["texts"]):
        print(f"{prompt!r}: {actual!r}, CPU {expected!r}")
        same.append(len(os.path.commonprefix([expected, actual])))
    print(f"result {TOKENS} tokens each on {cuda['device']}; the CPU's text for {', '.join(map(str, same))} characters, then another")
    return 0 if sum(count >= 8 for count in same) >= 2 and cuda["device"] and not cpu["device"] else 1


if sys.argv[1] == "prepare":
    prepare(*sys.argv[2:])
elif sys.argv[1] == "compare":
    sys.exit(compare(*sys.argv[2:]))
else:
    generate(*sys.argv[1:])
