"""cuBLAS products of several sizes and types; prints a checksum of each."""
import hashlib

import torch

torch.use_deterministic_algorithms(True)
generator = torch.Generator("cuda").manual_seed(7)
for kind in [torch.float32, torch.float16, torch.bfloat16, torch.float64]:
    for size in [17, 512, 2048]:
        first, second = (torch.randn(size, size, device="cuda", generator=generator).to(kind) for _ in range(2))
        product = (first @ second).cpu()
        print(kind, size, hashlib.sha256(product.view(torch.uint8).numpy().tobytes()).hexdigest()[:16])
