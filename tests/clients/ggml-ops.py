"""Operations of llama.cpp's CUDA backend, each against its CPU backend or against exact arithmetic.

ggml-ops.py FOLDER CUDA_LIBRARY [PART…]: the groups of cases (ggml_cases.py) whose names contain a part. One line per group.
"""
import sys

import numpy

from ggml import Graph, Library, Pointer
from ggml_cases import cases


def error(actual, expected):
    """Squared distance over squared length: 0 is equal, 1 is unrelated."""
    actual, expected = actual.astype(numpy.float64), expected.astype(numpy.float64)
    finite = numpy.isfinite(expected)
    if not numpy.array_equal(actual[~finite], expected[~finite], equal_nan=True) or not numpy.isfinite(actual[finite]).all():
        return numpy.inf
    length = (expected[finite] ** 2).sum()
    distance = ((actual[finite] - expected[finite]) ** 2).sum()
    return distance / length if length else distance


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
