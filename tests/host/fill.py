"""For each word on standard input: `fill` takes memory until there is no more, `free` gives all back; then what there is."""
import sys

import torch

MIB = 1 << 20
blocks = []
for word in sys.stdin:
    before = len(blocks)
    if word.strip() == "free":
        blocks.clear()
        torch.cuda.empty_cache()
    else:
        try:
            while True:
                blocks.append(torch.empty(256 * MIB, dtype=torch.uint8, device="cuda"))
        except torch.OutOfMemoryError:
            pass
    free, total = torch.cuda.mem_get_info()
    print(len(blocks) - before, "blocks;", total // MIB, "MiB,", free // MIB, "free", flush=True)
