"""gpt4all: an older llama.cpp on libcudart 11; greedy text on the virtual GPU and by its own CPU backend.

gpt4all-text.py prepare MODEL FOLDER | cpu FOLDER OUT MODEL… | cuda FOLDER OUT MODEL… | compare CPU CUDA
"""
import json
import os
import sys

PROMPTS = ["The capital of France is", "Water boils at", "One, two, three, four,"]
TOKENS = 16
# A random model goes on after anything in its own way; a few of its words tell whether it was computed rightly.
RANDOM_PROMPTS = [f"{word} {number}" for number, word in enumerate(
    "any words will do here since none of them means anything to a model of random numbers".split())]
RANDOM_TOKENS = 4


def prepare(model, folder):
    """This llama.cpp does not know the name of SmolLM2's way to split text; another that splits these prompts alike serves both sides."""
    data = open(model, "rb").read()
    entry = b"tokenizer.ggml.pre\x08\0\0\0\x06\0\0\0\0\0\0\0"
    assert data.count(entry + b"smollm") == 1, "the model has changed"
    with open(os.path.join(folder, "SmolLM2.gguf"), "wb") as file:
        file.write(data.replace(entry + b"smollm", entry + b"refact"))


def generate(device, folder, out, models):
    from gpt4all import GPT4All

    results = {}
    for name in models:
        model = GPT4All(f"{name}.gguf", model_path=folder, allow_download=False, device=device, n_ctx=128)
        # More threads than cores are ruinous, and one is enough for both.
        model.model.set_thread_count(1)
        prompts, tokens = (PROMPTS, TOKENS) if name == "SmolLM2" else (RANDOM_PROMPTS, RANDOM_TOKENS)
        texts = [model.generate(prompt, max_tokens=tokens, temp=0, top_k=1, n_batch=8) for prompt in prompts]
        results[name] = {"device": model.device, "texts": texts}
    with open(out, "w") as file:
        json.dump(results, file)


def compare(cpu, cuda):
    """How far the texts are the same. Where the model hesitates they part, since the builds round differently (scripts/demo.mjs):
    of SmolLM2's, all but one have to be the same for some words, of a random model's six in ten as a whole. By chance a word of
    its 389 would be right once in 389 times."""
    cpu, cuda = json.load(open(cpu)), json.load(open(cuda))
    told, failed = [], False
    for name, expected in cpu.items():
        actual = cuda[name]
        pairs = list(zip(expected["texts"], actual["texts"]))
        for ours, theirs in zip(actual["texts"], expected["texts"]):
            print(f"{name}: {ours!r}, CPU {theirs!r}")
        if name == "SmolLM2":
            same = [len(os.path.commonprefix(pair)) for pair in pairs]
            failed |= sum(count >= 8 for count in same) < len(same) - 1
            told.append(f"{name}: {TOKENS} tokens, the CPU's text for {', '.join(map(str, same))} characters")
        else:
            same = sum(left == right for left, right in pairs)
            # Texts that are all alike would say nothing.
            failed |= same < 0.6 * len(pairs) or len(set(expected["texts"])) < 0.8 * len(pairs)
            told.append(f"random {name}: {same} of {len(pairs)} texts of {RANDOM_TOKENS} tokens equal")
        failed |= not actual["device"] or bool(expected["device"])
    print(f"result on {next(iter(cuda.values()))['device']}; {'; '.join(told)}")
    return 1 if failed else 0


if sys.argv[1] == "prepare":
    prepare(*sys.argv[2:])
elif sys.argv[1] == "compare":
    sys.exit(compare(*sys.argv[2:]))
else:
    generate(*sys.argv[1:4], sys.argv[4:])
