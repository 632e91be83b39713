"""Compares the built payload with NVIDIA's packages: blas-headers.py BUILD MAJOR=FOLDER…

Of a header only the kinds of parameters matter here: p (an address or a handle), l (64 bits), i (32 bits), or a type by name.
"""
import pathlib
import re
import subprocess
import sys

build = pathlib.Path(sys.argv[1])
packages = {major: pathlib.Path(folder) for major, folder in (it.split("=") for it in sys.argv[2:])}
HANDLES = {"cublasHandle_t", "cudaStream_t", "cublasLogCallback", "cublasLtHandle_t", "cublasLtMatmulDesc_t", "cublasLtMatrixLayout_t",
           "cublasLtMatmulPreference_t", "cublasLtMatrixTransformDesc_t", "cublasLtLoggerCallback_t", "size_t", "uint64_t",
           "ncclComm_t", "ncclWindow_t"}


def split(parameters):
    """Parameters at the commas that are in no bracket."""
    parts, depth = [""], 0
    for letter in parameters:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [it.strip() for it in parts if it.strip()]


def of_c(parameter):
    if "*" in parameter or "[" in parameter:
        return "p"
    words = re.sub(r"\bconst\b|\bstruct\b", "", parameter).split()
    kind = " ".join(words[:-1]) if len(words) > 1 else words[0]
    if kind in HANDLES:
        return "p"
    if kind in ("int64_t", "long long", "long long int"):
        return "l"
    if kind in ("int", "uint32_t", "int32_t", "unsigned", "unsigned int") or re.match(r"cublas|cuda|nccl(DataType|RedOp|Scalar|Result)|library", kind):
        return "i"
    return {"ncclUniqueId": "UniqueId"}.get(kind, kind)


def of_rust(parameter):
    kind = parameter.split(":", 1)[1].strip()
    if kind.startswith(("*", "Option")):
        return "p"
    return {"usize": "p", "u64": "p", "i64": "l", "i32": "i", "u32": "i"}.get(kind, kind)


def declared(folder):
    """Parameters by function, from every header of these libraries."""
    found = {}
    for header in [it for name in ("cublas_api.h", "cublas_v2.h", "cublasLt.h", "nccl.h") for it in folder.rglob(name)]:
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(errors="replace"), flags=re.S)
        for name, parameters in re.findall(r"\b((?:cublas|nccl)[A-Za-z0-9_]+)\s*\(([^;{]*?)\)\s*;", text, flags=re.S):
            parameters = [it for it in split(" ".join(parameters.split())) if it != "void"]
            found.setdefault(name, [of_c(it) for it in parameters])
    return found


def implemented():
    """(version from which on it holds or None, name, parameters) of every function in the sources, the generated ones included."""
    generated = sorted(build.glob("build/libcublas-*/out/routines.rs"), key=lambda it: it.stat().st_mtime)[-1:]
    sources = [it for crate in ("libcublas", "libcublaslt", "libnccl") for it in pathlib.Path(f"payload/{crate}/src").glob("*.rs")]
    text = "".join(it.read_text() for it in [*sources, *generated])
    pattern = r"fn (?:abi(\d+)_)?((?:cublas|nccl)[A-Z]\w+)\s*(?:\|\w+\s*)?\((.*?)\)\s*(?:->|\{)"
    for major, name, parameters in re.findall(pattern, text, flags=re.S):
        yield major, name, [of_rust(it) for it in split(" ".join(parameters.split()))]


def exports(library):
    lines = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout.split("\n")
    names = {line.split()[-1] for line in lines if re.search(r" [TW] p?(cublas|nccl)", line)}
    assert len(names) > 50, library
    return names


wrong, signatures, names = [], 0, 0
forms = list(implemented())
versioned = {(major, name) for major, name, _ in forms if major}
for package, folder in packages.items():
    header = declared(folder)
    for major, name, mine in forms:
        if name not in header or (major and (not package.isdigit() or int(package) < int(major))):
            continue
        if major and major != package and (package, name) in versioned:
            continue
        signatures += 1
        if mine != header[name]:
            wrong.append(f"{name} of {package}: {mine}, and {header[name]} in the header")
    for library in [it for it in folder.rglob("lib*.so.*") if re.match(r"lib(cublas|cublasLt|nccl)\.so", it.name)]:
        theirs, ours = exports(library), exports(build / "payload" / library.name)
        # These give structures, not a status: a refusal would look like an answer.
        theirs = {it for it in theirs if "Team" not in it and "CalcSlots" not in it}
        names += len(theirs)
        wrong += [f"{library.name}: {it}" for it in sorted(theirs ^ ours)]
print("\n".join(wrong))
print(f"result {signatures - sum('header' in it for it in wrong)} of {signatures} signatures as in the headers; {names} names exported, {len(wrong)} differences")
sys.exit(1 if wrong or signatures < 1000 or names < 2500 else 0)
