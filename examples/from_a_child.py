"""A card that reaches every descendant: this program starts a shell that starts a program with an empty environment.

No variable, library path or descriptor has to survive on the way; it is the kernel that asks vgpu-run.
"""
import subprocess
import sys

GRANDCHILD = """
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
name = ctypes.create_string_buffer(256)
result = cuda.cuInit(0) or cuda.cuDeviceGetName(name, 256, 0)
print(name.value.decode() if result == 0 else f"error {result}")
"""

told = subprocess.run(["sh", "-c", 'exec env -i "$0" -c "$1"', sys.executable, GRANDCHILD], capture_output=True, text=True)
if told.returncode != 0:
    sys.exit(f"the grandchild found no driver: {told.stderr.splitlines()[-1]}")
print(f"the grandchild sees {told.stdout.strip()}")
