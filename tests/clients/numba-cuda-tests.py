"""numba-cuda's bundled tests, each file in a process of its own under vgpu-run; counts what passes, fails and is skipped.

numba-cuda-tests.py [PART…]: files whose name has one of the parts; all but the slow ones if none is given. A test that is known to fail
is named below with its reason, and is a failure again once it passes. Files that import pytest run by it, the others by
unittest: pytest would import them under another name, at which those that start processes fail.
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import time

TESTS = pathlib.Path(sysconfig.get_paths()["purelib"]) / "numba_cuda/numba/cuda/tests"
FOLDERS = ("core", "cudadrv", "cudapy", "doc_examples", "nocuda", "nrt")
BUDGET = 780  # seconds for all; what is not begun by then is told
PATIENCE = 240  # for one file

# Many variants of one thing, minutes each.
SLOW = {"test_array_alignment", "test_cache_hints", "test_caching", "test_gufunc", "test_intrinsics"}

KNOWN = {
    "test_cuda_memory.TestCudaMemory.test_pinned_memory": "refused: a device address of registered host memory (payload/driver/src/registered.rs says why)",
    "test_deallocations.TestDeallocation.test_del_mapped_contextmanager": "refused: a device address of registered host memory (payload/driver/src/registered.rs says why)",
    "test_cooperative_groups.TestCudaCooperativeGroups.test_external_cooperative_func": "cuda::barrier, which needs capability 7.0: it fails on a real card of 6.1 too",
    "test_debug.TestDebugOutput.test_dump_assembly": "a warning that there is no nvJitLink",
    "test_warning.TestWarnings.test_efficient_launch_configuration": "a warning that there is no nvJitLink",
    "test_ipc.TestIpcMemory.test_ipc_handle": "cuda-bindings 13.5 has no CUipcMemHandle.reserved, which numba-cuda reads",
    "test_ipc.TestIpcStaged.test_ipc_array": "cuda-bindings 13.5 has no CUipcMemHandle.reserved, which numba-cuda reads",
    "test_ipc.TestIpcStaged.test_staged": "cuda-bindings 13.5 has no CUipcMemHandle.reserved, which numba-cuda reads",
}

FIXTURE = '''
import pytest

# numba-cuda's conftest.py, which has it, is not in the wheel.
@pytest.fixture(scope="class")
def initialize_from_pytest_config(request):
    request.cls._dump_failed_filechecks = False
'''


def by_pytest(path):
    return bool(re.search(r"^(import|from) pytest", path.read_text(), re.M)) or "/doc_examples/" in str(path)


def command(path):
    name = "numba.cuda.tests." + ".".join(path.relative_to(TESTS).with_suffix("").parts)
    if by_pytest(path):
        return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--import-mode=importlib", "-p", "numba_fixture", "-v", "--tb=line", "--pyargs", name]
    return [sys.executable, "-m", "unittest", "-v", name]


# `::Class::test_x PASSED` of pytest, and what unittest says of a failure at its end.
PYTEST = re.compile(r"^\S*?::(\S+).*? (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b", re.M)
SUMMARY = re.compile(r"^(FAIL|ERROR): \w+ \(([\w.]+)\)", re.M)


def outcomes(path, output):
    """(test, word) of a file."""
    if by_pytest(path):
        words = {"PASSED": "passed", "SKIPPED": "skipped", "XFAIL": "passed", "FAILED": "failed", "ERROR": "failed", "XPASS": "failed"}
        return {f"{path.stem}.{test.replace('::', '.')}": words[word] for test, word in PYTEST.findall(output)}
    ran = re.search(r"^Ran (\d+) tests? in", output, re.M)
    if not ran:
        return None
    failed = {name.split(".tests.", 1)[-1].split(".", 1)[-1] for _, name in SUMMARY.findall(output)}
    skipped = re.search(r"skipped=(\d+)", output)
    skipped = int(skipped[1]) if skipped else 0
    found = {name: "failed" for name in failed}
    found |= {f"{path.stem} skipped {index}": "skipped" for index in range(skipped)}
    found |= {f"{path.stem} passed {index}": "passed" for index in range(int(ran[1]) - skipped - len(failed))}
    return found


def run(path, deadline, plugins):
    left = min(PATIENCE, deadline - time.monotonic())
    if left < 20:
        return path, None, "not begun: the time is over"
    environment = dict(os.environ, PYTHONPATH=plugins, PYTHONDONTWRITEBYTECODE="1")
    begun = time.monotonic()
    process = subprocess.run(["timeout", "--kill-after=5", str(int(left)), os.environ["VGPU_RUN"], *command(path)], cwd=plugins, env=environment,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    found = outcomes(path, process.stdout)
    # 5: pytest found that everything in the file is skipped.
    if process.returncode not in (0, 1, 5) or found is None:
        return path, found, f"ended with {process.returncode}\n{process.stdout[-2000:]}"
    shown = process.stdout[-3000:] if "failed" in found.values() else ""
    return path, found, f"{time.monotonic() - begun:.0f} s\n{shown}".strip()


def main(directory):
    parts = sys.argv[1:]
    every = [path for folder in FOLDERS for path in sorted((TESTS / folder).glob("test_*.py"))]
    files = [path for path in every if (any(part in path.stem for part in parts) if parts else path.stem not in SLOW)]
    (pathlib.Path(directory) / "numba_fixture.py").write_text(FIXTURE)
    deadline, counts, wrong, failed = time.monotonic() + BUDGET, dict(passed=0, failed=0, skipped=0), [], set()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, found, told in pool.map(lambda path: run(path, deadline, directory), files):
            if found is None:
                wrong.append(path.stem)
            words = list((found or {}).values())
            for word in counts:
                counts[word] += words.count(word)
            failed |= {test for test, word in (found or {}).items() if word == "failed"}
            print(f"{path.parent.name}/{path.stem}: {', '.join(f'{words.count(word)} {word}' for word in counts)}; {told}", flush=True)
    known = {test for test in KNOWN if any(test.startswith(path.stem + ".") for path in files)}
    wrong += sorted(failed - known) + [f"{test}, which is known to fail and did not" for test in sorted(known - failed)]
    for test in sorted(known & failed):
        print(f"lacks {test}: {KNOWN[test]}")
    for test in wrong:
        print(f"WRONG {test}")
    print(f"result {counts['passed']} passed, {counts['failed']} failed ({len(known & failed)} known), {counts['skipped']} skipped, in {len(files)} of {len(every)} files")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    import tempfile
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(main(directory))
