"""Multiplies the same matrices again and again for as long as it is told: a line with seconds on standard input, a line with the rate on
standard output. Each product is compared with the first."""
import sys
import time

import cupy
import numpy

numbers = numpy.random.default_rng(1)
left, right = (cupy.asarray(numbers.standard_normal((2048, 2048), dtype=numpy.float32)) for _ in range(2))
first = left @ right
differing = cupy.zeros((), dtype=cupy.int64)
differing += (left @ right != first).sum()
cupy.cuda.Device().synchronize()
print("ready", flush=True)
for line in sys.stdin:
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < float(line):
        for _ in range(8):
            differing += (left @ right != first).sum()
        count += 8
        cupy.cuda.Device().synchronize()
    rate = count / (time.perf_counter() - begun)
    print(f"{rate:.1f} products a second, {int(differing)} numbers differ", flush=True)
