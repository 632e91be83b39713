"""Takes memory until there is no more, and prints what everybody says the card has. With `hold`, waits for a line before it ends."""
import ctypes
import subprocess
import sys

import torch

MIB = 1 << 20
free, total = torch.cuda.mem_get_info()
print("torch", total // MIB, "MiB;", torch.cuda.get_device_properties(0).total_memory // MIB, "MiB of properties")

cuda = ctypes.CDLL("libcuda.so.1")
sizes = [ctypes.c_size_t() for _ in range(2)]
print("cuMemGetInfo", cuda.cuMemGetInfo_v2(*map(ctypes.byref, sizes)), sizes[1].value // MIB)


class Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


nvml = ctypes.CDLL("libnvidia-ml.so.1")
device, memory = ctypes.c_void_p(), Memory()
nvml.nvmlInit_v2()
nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device))
print("NVML", nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)), memory.total // MIB)
query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader"]
print("nvidia-smi", subprocess.run(query, capture_output=True, text=True).stdout.strip())

blocks = []
try:
    while True:
        blocks.append(torch.empty(256 * MIB, dtype=torch.uint8, device="cuda"))
except torch.OutOfMemoryError as error:
    print("blocks of 256 MiB:", len(blocks), type(error).__name__)
if sys.argv[1:] == ["hold"]:
    print("full", flush=True)
    sys.stdin.readline()
blocks.clear()
torch.cuda.empty_cache()
again = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
print("a GiB again", again.numel())
