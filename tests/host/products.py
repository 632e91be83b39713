"""Multiplies the same matrices again and again for as long as it is told: a line with seconds on standard input, a line with the rate on
standard output. Each product is compared with the first."""
import sys
import time

import torch

torch.manual_seed(1)
left, right = (torch.randn(4096, 4096, device="cuda", dtype=torch.float16) for _ in range(2))
first = left @ right
differing = torch.zeros((), device="cuda", dtype=torch.int64)
torch.cuda.synchronize()
print("ready", flush=True)
for line in sys.stdin:
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < float(line):
        for _ in range(8):
            differing += (left @ right != first).sum()
        count += 8
        torch.cuda.synchronize()
    rate = count / (time.perf_counter() - begun)
    print(f"{rate:.1f} products a second, {int(differing)} numbers differ", flush=True)
