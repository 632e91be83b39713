"""Runs a monitoring tool while another process holds a context and 256 MiB of memory on the first device.

`session.py CLIENT [ARGUMENTS…]`: writes the process's id into the file HOLDER_FILE, runs the client and ends as it does.
`session.py --ask`: asks through nvidia-ml-py instead, and prints the answers as JSON.
"""
import ctypes
import json
import os
import subprocess
import sys

HELD = 256 << 20


def hold():
    """The other process: takes the memory, says so, and waits until its standard input ends."""
    cuda, context, address = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p(), ctypes.c_uint64()
    result = cuda.cuInit(0) or cuda.cuCtxCreate_v2(ctypes.byref(context), 0, 0)
    result = result or cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(HELD))
    print(f"error {result}" if result else "ready", flush=True)
    sys.stdin.read()


def ask():
    import pynvml as nvml

    nvml.nvmlInit()
    devices = []
    for index in range(nvml.nvmlDeviceGetCount()):
        device = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(device)
        detailed = nvml.nvmlDeviceGetMemoryInfo(device, version=nvml.nvmlMemory_v2)
        devices.append({
            "name": nvml.nvmlDeviceGetName(device),
            "uuid": nvml.nvmlDeviceGetUUID(device),
            "total": memory.total,
            "used": memory.used,
            "free": memory.free,
            "detailed": {"total": detailed.total, "reserved": detailed.reserved, "used": detailed.used, "free": detailed.free},
            "processes": [[it.pid, it.usedGpuMemory] for it in nvml.nvmlDeviceGetComputeRunningProcesses(device)],
        })
    print(json.dumps({"driver": nvml.nvmlSystemGetDriverVersion(), "devices": devices}))
    nvml.nvmlShutdown()


def main():
    holder = subprocess.Popen([sys.executable, __file__, "--hold"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said = holder.stdout.readline().strip()
    if said != "ready":
        sys.exit(f"the process that should hold memory says `{said}`")
    # Not on standard output: that is the client's, and perhaps a terminal with a picture on it.
    with open(os.environ["HOLDER_FILE"], "w") as file:
        file.write(str(holder.pid))
    status = 0
    if sys.argv[1] == "--ask":
        ask()
    else:
        status = subprocess.run(sys.argv[1:]).returncode
    holder.stdin.close()
    holder.wait()
    sys.exit(status)


if sys.argv[1] == "--hold":
    hold()
else:
    main()
