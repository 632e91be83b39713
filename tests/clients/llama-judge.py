"""What llama-logits.mjs computes, and whether results are right: llama-judge.py jobs FILE TYPE… | judge FOLDER FILE CUDA |
rows FOLDER CUDA TYPE… | texts FOLDER CUDA MODEL…

The measure is the squared distance of two builds' logits over their squared length (without what is common to a row). Three kinds
of jobs: weights of each type with and without flash attention; types of the cache; tokens that do not fit, or are taken out of the
middle, so that keys move to other positions.
"""
import json
import random
import sys

import numpy

VOCABULARY = 389
# Squared relative distance. Both builds round activations to eight bits where weights are quantised (0.7 % of a vector, which adds
# up over 15 products), each in its own way. Where weights have an offset, the CUDA build adds it times the sum of the unrounded
# activations; then only the other part sees the rounding, which costs up to twelve times as much. An unrelated result has 2, one
# that lost a thirtieth of each row 0.03.
ALLOWED = {"F32": 1e-5, "F16": 1e-5, "BF16": 2e-4, "cache F32": 1e-5, "cache BF16": 1e-5, "shift F16": 1e-5,
           # A real model has activations that stand out and are rounded coarsely, thirty layers deep: beside the same weights as F32, which
           # nothing rounds, single tokens' logits of the CPU build alone lie up to 0.04 off, the CUDA build's 0.06 (it has the offset).
           "SmolLM2-F32": 1e-5, "SmolLM2-Q4_1": 0.2}
WITH_OFFSET = {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q4_K", "Q5_K", "IQ1_S"}
ALLOWED_WITH_OFFSET = 8e-3
ALLOWED_QUANTISED = 1e-3
# How far a build's two best words may lie apart where another build prefers the second: in the logits' standard deviations.
HESITATION = 0.2


def jobs(file, types):
    source = random.Random(3)
    tokens = [source.randrange(2, VOCABULARY) for _ in range(400)]
    # A prompt; few tokens, which other kernels multiply; single ones.
    batches = [tokens[:37], tokens[37:40], tokens[40:41], tokens[41:42]]
    wanted = []
    for kind in types:
        for flash in (True, False):
            name = f"{kind}{' flash' if flash else ''}"
            wanted.append({"name": name, "kind": kind, "model": kind, "flash": flash, "batches": batches})
        wanted.append({"name": f"{kind} exact", "kind": kind, "model": f"{kind}-exact", "flash": False, "batches": batches})
    if "F32" in types:
        # The cache's own rounding is the same on both sides, so the CPU build is as exact as need be.
        for cache in ("F32", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"):
            wanted.append({"name": f"cache {cache}", "kind": "cache " + cache, "model": "F32", "flash": True, "cache": cache, "batches": batches})
        for cache in ("F16", "Q8_0"):
            for flash in (True, False) if cache == "F16" else (True,):
                common = {"kind": "shift " + cache, "model": "F32", "flash": flash, "cache": cache, "leaves": True}
                name = f"{cache}{' flash' if flash else ''}"
                wanted.append({"name": f"too long {name}", "batches": [tokens[:200], tokens[200:330], tokens[330:331]], **common})
                erased = [tokens[:60], {"erase": {"start": 10, "end": 33}}, tokens[60:90], tokens[90:91]]
                wanted.append({"name": f"erased {name}", "batches": erased, **common})
    with open(file, "w") as out:
        json.dump(wanted, out)


def read(folder, name, run):
    return numpy.fromfile(f"{folder}/{name}-{run}.f32", numpy.float32).reshape(-1, VOCABULARY).astype(numpy.float64)


def distance(actual, expected):
    centred = expected - expected.mean(axis=1, keepdims=True)
    return ((actual - expected) ** 2).sum() / (centred**2).sum()


def allowed(kind):
    return ALLOWED.get(kind, ALLOWED_WITH_OFFSET if kind in WITH_OFFSET else ALLOWED_QUANTISED)


class Verdicts:
    """Counts, and which kind came nearest to its limit."""

    def __init__(self):
        self.right, self.wrong, self.worst = 0, 0, {}

    def add(self, name, kind, cuda, cpu, exact, prompt):
        """The first `prompt` rows are of a prompt. That and single tokens are computed by different kernels: neither may hide
        behind the other."""
        assert cuda.shape == exact.shape and numpy.isfinite(cuda).all(), name
        parts = {"prompt": slice(None, prompt), "tokens": slice(prompt, None)}
        measured = {part: distance(cuda[rows], exact[rows]) for part, rows in parts.items()}
        beside = {part: distance(cpu[rows], exact[rows]) for part, rows in parts.items()}
        fits = max(measured.values()) <= allowed(kind)
        self.right, self.wrong = self.right + fits, self.wrong + (not fits)
        self.worst[kind] = max([self.worst.get(kind, 0), *measured.values()])
        text = ", ".join(f"{part} {measured[part]:.1e} (CPU build {beside[part]:.1e})" for part in parts)
        print(f"{'  ' if fits else 'WRONG '}{name}: {text}")

    def total(self):
        top = max(self.worst, key=lambda kind: self.worst[kind] / allowed(kind))
        print(f"total {self.right} of {self.right + self.wrong}, nearest to its limit {top}: {self.worst[top]:.1e} of {allowed(top):.0e}")
        return 1 if self.wrong else 0


def judge(folder, file, run):
    """The jobs' results beside exact weights where there are such, else beside the CPU build."""
    verdicts = Verdicts()
    for job in json.load(open(file)):
        name, kind = job["name"], job["kind"]
        if not name.endswith("exact"):
            cuda, cpu = read(folder, name, run), read(folder, name, "cpu")
            exact = read(folder, f"{kind} exact", "cpu") if job["model"] == kind else cpu
            assert len(cuda) == sum(len(batch) for batch in job["batches"] if isinstance(batch, list)), name
            verdicts.add(name, kind, cuda, cpu, exact, len(cuda) - 5)
    return verdicts.total()


def rows(folder, run, types):
    """One row for a prompt, one for each of the tokens behind it."""
    verdicts = Verdicts()
    for kind in types:
        verdicts.add(kind, kind, read(folder, kind, run), read(folder, kind, "cpu"), read(folder, f"{kind}-exact", "cpu"), 1)
    return verdicts.total()


class Texts:
    """What a build wrote, each time the word with the largest logit, and the logits behind each word."""

    def __init__(self, folder, model, run):
        told = json.load(open(f"{folder}/{model}-texts-{run}.json"))
        self.beginnings, self.tokens = told["texts"], told["tokens"]
        rows = numpy.fromfile(f"{folder}/{model}-texts-{run}.f32", numpy.float32).astype(numpy.float64)
        # One row behind the beginning, one behind each word that was added.
        ends = numpy.cumsum([len(tokens) + 1 for tokens in self.tokens])
        self.rows = numpy.split(rows.reshape(ends[-1], -1), ends[:-1])
        for tokens, behind in zip(self.tokens, self.rows):
            assert (behind[:-1].argmax(axis=1) == tokens).all(), f"{model}, {run}: not the rows of {tokens}"


def shared(left, right):
    """How many words of two texts are the same. Behind these, and only these, both builds computed from the same words."""
    return next((place for place, pair in enumerate(zip(left, right)) if pair[0] != pair[1]), min(len(left), len(right)))


def texts(folder, run, models):
    """Texts by greed. Logits have to be near as long as the words are the same; where they part, the CPU build has to have hesitated."""
    wrong, told = 0, []
    for model in models:
        cuda, cpu = Texts(folder, model, run), Texts(folder, model, "cpu")
        hesitation = min(HESITATION, 3 * allowed(model) ** 0.5)
        equal, furthest, widest = 0, 0, 0
        for place, beginning in enumerate(cpu.beginnings):
            actual, expected, rows = cuda.tokens[place], cpu.tokens[place], cpu.rows[place]
            same = shared(actual, expected)
            apart = max(distance(cuda.rows[place][row:row + 1], rows[row:row + 1]) for row in range(same + 1))
            gap, text = 0, ""
            if actual != expected:
                second, first = numpy.sort(rows[same])[-2:]
                gap = (first - second) / rows[same].std()
                text = f"; then the CPU build's best two are {first - second:.3f} apart, {gap:.3f} of the deviation"
            fits = apart <= allowed(model) and gap <= hesitation
            print(f"{'  ' if fits else 'WRONG '}{model}, {beginning!r}: {same} of {len(expected)} tokens, logits within {apart:.1e}{text}")
            wrong, equal = wrong + (not fits), equal + (actual == expected)
            furthest, widest = max(furthest, apart), max(widest, gap)
        parted = f", best two within {widest:.3f} where they part" if equal < len(cpu.tokens) else ""
        told.append(f"{model} {equal} of {len(cpu.tokens)} (logits within {furthest:.1e}{parted})")
    print(f"total {', '.join(told)}{f'; {wrong} WRONG' if wrong else ''}")
    return 1 if wrong else 0


if sys.argv[1] == "jobs":
    jobs(sys.argv[2], sys.argv[3:])
elif sys.argv[1] == "rows":
    sys.exit(rows(sys.argv[2], sys.argv[3], sys.argv[4:]))
elif sys.argv[1] == "texts":
    sys.exit(texts(sys.argv[2], sys.argv[3], sys.argv[4:]))
else:
    sys.exit(judge(*sys.argv[2:]))
