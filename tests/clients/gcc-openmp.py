"""gcc-openmp.py HOST DEVICE: what the program printed with its target regions on the host and on the device: a name and numbers a line."""
import math
import sys


def read(path):
    lines = (line.split() for line in open(path))
    return {name: [float(it) for it in values] for name, *values in lines}


host, device = read(sys.argv[1]), read(sys.argv[2])
if device.pop("on_device", None) != [1] or host.pop("on_device", None) != [0]:
    sys.exit("the target regions did not run where they should")
right = 0
for name, expected in host.items():
    got = device.get(name)
    same = got is not None and len(got) == len(expected) and all(math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-6) for a, b in zip(got, expected))
    right += same
    print("ok" if same else "FAILED", name, "" if same else f"{got}, expected {expected}")
print(f"result {right} of {len(host)} target regions equal the host's")
sys.exit(0 if host and right == len(host) else 1)
