"""Takes managed memory until there is no more, or the number of blocks that is named, uses it, and gives it back."""
import sys

import cupy

MIB = 1 << 20
most = int(sys.argv[1])


def free():
    return cupy.cuda.runtime.memGetInfo()[0] // MIB


def fill():
    blocks = []
    try:
        while len(blocks) < most:
            blocks.append(cupy.cuda.malloc_managed(256 * MIB))
    except cupy.cuda.runtime.CUDARuntimeError as error:
        print("at the end:", str(error).split(":")[0])
    return blocks


def array(pointer):
    return cupy.ndarray((64 * MIB,), dtype=cupy.int32, memptr=pointer)


before = free()
blocks = fill()
print("# blocks of 256 MiB:", len(blocks), "free", before, "then", free())
for index, pointer in enumerate(blocks):
    array(pointer)[...] = index
print("right:", all(int(array(pointer).sum()) == index * 64 * MIB for index, pointer in enumerate(blocks)))
try:
    cupy.cuda.runtime.free(cupy.cuda.runtime.malloc(512 * MIB))
    print("# 512 MiB beside them")
except cupy.cuda.runtime.CUDARuntimeError as error:
    print("# beside them:", str(error).split(":")[0])
count = len(blocks)
del pointer
blocks.clear()
print("# all given back: free", free())
print("as many again:", len(fill()) == count)
