"""What the driver's shared page, which libcuda maps, says of the card's memory: MiB in all, and free ones, before and after a GiB is taken."""
import ctypes
import time

import cupy

MIB = 1 << 20
cupy.cuda.runtime.free(0)


def page():
    """The pages of those names that are mapped read-only and begin with a sequence or a time."""
    for line in open("/proc/self/maps"):
        words = line.split()
        start, end = (int(word, 16) for word in words[0].split("-"))
        name = " ".join(words[5:])
        if end - start == 4096 and words[1] == "r--s" and ("nvidiactl" in name or "vgpu-page" in name):
            total, free = (ctypes.c_uint64.from_address(start + at).value // MIB for at in (24, 32))
            if total > 1024:
                yield name, total, free


for _ in range(2):
    # A copy is brought up to date ten times a second.
    time.sleep(0.5)
    for name, total, free in page():
        print(name, total, "MiB", free, "free")
    taken = cupy.cuda.runtime.malloc(1 << 30)
print("memGetInfo", [size // MIB for size in cupy.cuda.runtime.memGetInfo()])
