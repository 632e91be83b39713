"""Training steps of a small transformer for some seconds: losses of the first ones, and how long the others took.

usage: training.py SECONDS
"""
import sys
import time

import torch

seconds = float(sys.argv[1])
torch.manual_seed(1)
torch.use_deterministic_algorithms(True)
layer = torch.nn.TransformerEncoderLayer(1024, 16, 4096, dropout=0.0, batch_first=True)
model = torch.nn.TransformerEncoder(layer, 8, enable_nested_tensor=False).cuda().bfloat16()
data = torch.randn(16, 512, 1024, generator=torch.Generator().manual_seed(2)).bfloat16().pin_memory()
optimizer = torch.optim.SGD(model.parameters(), 1e-3)


def step():
    batch = data.to("cuda", non_blocking=True)
    loss = (model(batch) - batch).float().square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


print("losses", [step().item() for _ in range(5)])
torch.cuda.synchronize()
times, begun = [], time.perf_counter()
while time.perf_counter() - begun < seconds:
    at = time.perf_counter()
    step()
    torch.cuda.synchronize()
    times.append(time.perf_counter() - at)
times.sort()
print(f"# {1e3 * sum(times) / len(times):.3f} ms each of {len(times)}, median {1e3 * times[len(times) // 2]:.3f}")
