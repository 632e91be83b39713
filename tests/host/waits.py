"""Small calls of one process while another one allocates and frees most of the card: how long either's calls take."""
import ctypes
import os
import signal
import sys
import time

SECONDS = 3
SIZE = 40 << 30


def context():
    cuda = ctypes.CDLL("libcuda.so.1")
    handle = ctypes.c_void_p()
    for error in (cuda.cuInit(0), cuda.cuDevicePrimaryCtxRetain(ctypes.byref(handle), 0), cuda.cuCtxSetCurrent(handle)):
        assert error == 0, error
    return cuda


def allocate_until_killed(ready):
    """Tells how long an allocation takes, in microseconds, then goes on."""
    cuda, address, times = context(), ctypes.c_uint64(), []
    while True:
        begun = time.perf_counter()
        error = cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(SIZE))
        times.append((time.perf_counter() - begun) * 1e6)
        assert error == 0, error
        cuda.cuMemFree_v2(address)
        if len(times) == 5:
            os.write(ready, f"{sorted(times)[2]:.0f}".encode())


def main():
    told, ready = os.pipe()
    other = os.fork()
    if other == 0:
        allocate_until_killed(ready)
    os.close(ready)
    long = float(os.read(told, 64))
    cuda, free, total = context(), ctypes.c_size_t(), ctypes.c_size_t()
    times, end = [], time.perf_counter() + SECONDS
    while (begun := time.perf_counter()) < end:
        assert cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)) == 0
        times.append((time.perf_counter() - begun) * 1e6)
    os.kill(other, signal.SIGKILL)
    os.waitpid(other, 0)
    times.sort()
    print(f"# small {times[len(times) // 2]:.1f} us, of a hundred one takes {times[len(times) * 99 // 100]:.1f} us, the longest {times[-1]:.1f} us; an allocation {long:.1f} us")
    print("done")


sys.exit(main())
