"""mumax3: micromagnetism by PTX kernels that the program carries as text. The oracles are closed forms.

mumax3.py FOLDER: the one with the unpacked package. The demagnetising field stays off: it needs cuFFT, which can't run here.
"""
import math
import os
import re
import subprocess
import sys
import tempfile

GRID = "SetGridsize(32, 16, 2)\nSetCellsize(4e-9, 4e-9, 3e-9)\nEnableDemag = false\nMsat = 800e3\nAex = 13e-12\n"
CELL, CELLS = 4e-9 * 4e-9 * 3e-9, (32, 16, 2)
GYROMAGNETIC_RATIO = 1.7595e11


def values(folder, name, script):
    """What the script prints."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, f"{name}.mx3")
        with open(path, "w") as file:
            file.write(GRID + script)
        command = [os.environ["VGPU_RUN"], f"{folder}/usr/bin/mumax3", "-http", "", "-o", os.path.join(directory, "out"), path]
        run = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, LD_LIBRARY_PATH=f"{folder}/usr/lib/x86_64-linux-gnu"))
    lines = [line[2:] for line in run.stdout.splitlines() if re.match(r"//\[?[-+0-9]", line)]
    if run.returncode != 0 or not lines:
        raise RuntimeError(f"status {run.returncode}\n{run.stdout[-600:]}{run.stderr[-600:]}")
    return [[float(number) for number in line.strip("[]").split()] for line in lines]


def close(got, expected, tolerance):
    if len(got) != len(expected) or any(abs(a - b) > tolerance for a, b in zip(got, expected)):
        raise AssertionError(f"got {got}, expected {expected}")


def precession(folder):
    """One spin in a field: it turns about the field and falls towards it, as Landau and Lifshitz solved it."""
    alpha, field, time, tilt = 0.02, 0.1, 2e-10, 1.2
    got = values(folder, "precession", f"""
alpha = {alpha}
B_ext = vector(0, 0, {field})
m = uniform({math.sin(tilt)}, 0, {math.cos(tilt)})
MaxErr = 1e-6
Run({time})
print(m.Average())
""")
    rate = GYROMAGNETIC_RATIO * field / (1 + alpha * alpha)
    angle = 2 * math.atan(math.tan(tilt / 2) * math.exp(-alpha * rate * time))
    turned = rate * time
    close(got[0], [math.sin(angle) * math.cos(turned), math.sin(angle) * math.sin(turned), math.cos(angle)], 2e-3)


def exchange_energy(folder):
    """Two halves at an angle: every pair of cells across the border costs the same."""
    angle = 0.8
    got = values(folder, "exchange", f"""
DefRegion(1, XRange(0, inf))
m.SetRegion(0, uniform(1, 0, 0))
m.SetRegion(1, uniform({math.cos(angle)}, {math.sin(angle)}, 0))
print(E_exch.Get() * 1e18)
""")
    expected = 2 * 13e-12 * CELL * (1 - math.cos(angle)) / 4e-9**2 * CELLS[1] * CELLS[2]
    close([it * 1e-18 for it in got[0]], [expected], 1e-4 * expected)


def zeeman_and_anisotropy_energy(folder):
    tilt, anisotropy, field = 0.5, 4e4, 0.3
    got = values(folder, "energies", f"""
Ku1 = {anisotropy}
AnisU = vector(0, 0, 1)
B_ext = vector(0, 0, {field})
m = uniform({math.sin(tilt)}, 0, {math.cos(tilt)})
print(E_Zeeman.Get() * 1e18)
print(E_anis.Get() * 1e18)
""")
    volume = CELL * CELLS[0] * CELLS[1] * CELLS[2]
    zeeman, uniaxial = -800e3 * field * math.cos(tilt) * volume, -anisotropy * math.cos(tilt) ** 2 * volume
    close([it * 1e-18 for it in got[0]], [zeeman], abs(1e-4 * zeeman))
    close([it * 1e-18 for it in got[1]], [uniaxial], abs(1e-4 * uniaxial))


def relaxing_finds_the_field(folder):
    """From random directions, which is a state of high energy, and from one nearby."""
    for start, solver in (("RandomMagSeed(7)", "Relax()"), ("uniform(1, 0.1, 0.3)", "Minimize()")):
        got = values(folder, "relaxing", f"B_ext = vector(0.3, 0.4, 0)\nm = {start}\n{solver}\nprint(m.Average())\n")
        close(got[0], [0.6, 0.8, 0], 1e-4)


def main(folder):
    cases, wrong = [precession, exchange_energy, zeeman_and_anisotropy_energy, relaxing_finds_the_field], 0
    for case in cases:
        try:
            case(folder)
            print(f"ok {case.__name__}", flush=True)
        except Exception as error:
            wrong += 1
            print(f"FAILED {case.__name__}: {error}", flush=True)
    print(f"result {len(cases) - wrong} of {len(cases)} simulations equal the closed form")
    return 1 if wrong else 0


sys.exit(main(sys.argv[1]))
