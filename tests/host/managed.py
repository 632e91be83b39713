"""Takes managed memory until there is no more, or the number of blocks that is named, uses it, and gives it back.

usage: managed.py BLOCKS [MIB]      MIB: one block of that size is tried first, and given back
"""
import subprocess
import sys

import cupy

MIB = 1 << 20
most, whole = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0


def sizes():
    """Free and all, as the runtime tells; used and all, as nvidia-smi does."""
    query = ["nvidia-smi", "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits"]
    # First, as it makes the context, which counts.
    free, total = (size // MIB for size in cupy.cuda.runtime.memGetInfo())
    told = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    return f"free {free} of {total}, nvidia-smi {told.replace(',', ' of')}"


def refusal(error):
    return str(error).split(":")[0]


def fill():
    blocks = []
    try:
        while len(blocks) < most:
            blocks.append(cupy.cuda.malloc_managed(256 * MIB))
    except cupy.cuda.runtime.CUDARuntimeError as error:
        print("at the end:", refusal(error))
    return blocks


def array(pointer):
    return cupy.ndarray((64 * MIB,), dtype=cupy.int32, memptr=pointer)


print("#", sizes())
if whole:
    try:
        cupy.cuda.malloc_managed(whole * MIB)
        print("# at once: given")
    except cupy.cuda.runtime.CUDARuntimeError as error:
        print("# at once:", refusal(error))
blocks = fill()
print("# blocks of 256 MiB:", len(blocks), "then", sizes())
for index, pointer in enumerate(blocks):
    array(pointer)[...] = index
print("right:", all(int(array(pointer).sum()) == index * 64 * MIB for index, pointer in enumerate(blocks)))
try:
    cupy.cuda.runtime.free(cupy.cuda.runtime.malloc(512 * MIB))
    print("# 512 MiB beside them")
except cupy.cuda.runtime.CUDARuntimeError as error:
    print("# beside them:", refusal(error))
count = len(blocks)
del pointer
blocks.clear()
print("# all given back:", sizes())
print("as many again:", len(fill()) == count)
