"""Asks NVML and CUDA what the test tells it to: each line of standard input is an expression of the functions below, each line of
standard output its value as JSON. An error of NVML or CUDA is its number, of NVML below zero."""
import ctypes
import json
import os
import subprocess
import sys
import time

import pynvml as nvml

CORRECTED, UNCORRECTED = nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
VOLATILE, AGGREGATE = nvml.NVML_VOLATILE_ECC, nvml.NVML_AGGREGATE_ECC
DRAM = nvml.NVML_MEMORY_LOCATION_DRAM
ENDLESS = b".version 6.0\n.target sm_50\n.address_size 64\n.visible .entry endless() { again: bra again; }\0"
cuda = ctypes.CDLL("libcuda.so.1")
contexts = []
sets = []


def ask(function, *arguments):
    try:
        return getattr(nvml, "nvml" + function)(*arguments)
    except nvml.NVMLError as error:
        return -error.value


def of(card, function, *arguments):
    """A getter of a card, whose handle is from before anything happened to it."""
    return ask("Device" + function, cards[card], *arguments)


def errors(card):
    """Corrected, uncorrected: volatile, aggregate, and of the memory."""
    return [
        of(card, "GetTotalEccErrors", CORRECTED, VOLATILE),
        of(card, "GetTotalEccErrors", UNCORRECTED, AGGREGATE),
        of(card, "GetMemoryErrorCounter", CORRECTED, AGGREGATE, DRAM),
        of(card, "GetMemoryErrorCounter", UNCORRECTED, VOLATILE, DRAM),
        of(card, "GetDetailedEccErrors", UNCORRECTED, VOLATILE).deviceMemory,
    ]


def rows(card):
    histogram = of(card, "GetRowRemapperHistogram")
    return [list(of(card, "GetRemappedRows")), [getattr(histogram, name) for name in ("max", "high", "partial", "low", "none")]]


def heat(card):
    """°C, reasons for other clocks, and clocks: graphics, memory."""
    return [
        of(card, "GetTemperature", nvml.NVML_TEMPERATURE_GPU),
        of(card, "GetCurrentClocksEventReasons"),
        of(card, "GetClockInfo", nvml.NVML_CLOCK_GRAPHICS),
        of(card, "GetClockInfo", nvml.NVML_CLOCK_MEM),
    ]


def slowdown(card):
    return of(card, "GetTemperatureThreshold", nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)


def slowed(card):
    """Whether the time with clocks held down for heat has grown after a moment."""
    before = of(card, "GetViolationStatus", nvml.NVML_PERF_POLICY_THERMAL).violationTime
    time.sleep(0.01)
    return of(card, "GetViolationStatus", nvml.NVML_PERF_POLICY_THERMAL).violationTime > before


def watch(card, kinds):
    """A set of events; its number."""
    sets.append(nvml.nvmlEventSetCreate())
    result = of(card, "RegisterEvents", kinds, sets[-1])
    return result if result else len(sets) - 1


def wait(number, milliseconds):
    """An event's card, kind and data, and how many seconds it took."""
    begun = time.monotonic()
    event = ask("EventSetWait_v2", sets[number], milliseconds)
    if isinstance(event, int):
        return event
    card = [ctypes.cast(handle, ctypes.c_void_p).value for handle in cards].index(ctypes.cast(event.device, ctypes.c_void_p).value)
    return [card, event.eventType, event.eventData, time.monotonic() - begun]


def free(number):
    return ask("EventSetFree", sets[number])


def begin(card):
    """Makes a context and works in it."""
    context = ctypes.c_void_p()
    result = cuda.cuInit(0) or cuda.cuCtxCreate_v2(ctypes.byref(context), 0, card)
    contexts.append(context)
    return result or work()


def drain(card, state):
    return ask("DeviceModifyDrainState", of(card, "GetPciInfo_v3"), state) or 0


def work():
    address = ctypes.c_uint64()
    return (cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(4096))
            or cuda.cuMemsetD8_v2(address, 7, ctypes.c_size_t(4096)) or cuda.cuCtxSynchronize())


def name(error):
    """Name and text of a CUDA error."""
    texts = ctypes.c_char_p(), ctypes.c_char_p()
    cuda.cuGetErrorName(error, ctypes.byref(texts[0]))
    cuda.cuGetErrorString(error, ctypes.byref(texts[1]))
    return [text.value.decode() for text in texts]


def spin():
    """Launches a kernel that does not end by itself, and waits for it."""
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    result = (cuda.cuModuleLoadData(ctypes.byref(module), ENDLESS)
              or cuda.cuModuleGetFunction(ctypes.byref(function), module, b"endless")
              or cuda.cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, None, None, None))
    print("spinning", flush=True)
    return result or cuda.cuCtxSynchronize()


def another(card):
    """What another process that begins now gets."""
    code = f"import ctypes; cuda, context = ctypes.CDLL('libcuda.so.1'), ctypes.c_void_p(); print(cuda.cuInit(0) or cuda.cuCtxCreate_v2(ctypes.byref(context), 0, {card}))"
    return int(subprocess.check_output([sys.executable, "-c", code]))


def smi(*arguments, **options):
    """Status and text of nvidia-smi."""
    run = subprocess.run(["nvidia-smi", *arguments], stdout=subprocess.PIPE, text=True, **options)
    return [run.returncode, run.stdout]


def smi_as_nobody(*arguments):
    return smi(*arguments, user=65534, group=65534, extra_groups=[])


def as_nobody(expression):
    """Its value in a child that is an ordinary user, of the NVML that is open here."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        os.write(writer, json.dumps(eval(expression)).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as value:
        return json.loads(value.read())


def elsewhere(expression):
    """Its value in a program that begins now."""
    run = subprocess.run([sys.executable, __file__], input=expression + "\n", stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout.splitlines()[1])


def settings(card):
    """What can be set, as NVML tells it."""
    return {
        "power": [of(card, "GetPowerManagementLimit"), of(card, "GetEnforcedPowerLimit")],
        "applications": [of(card, "GetApplicationsClock", kind) for kind in (nvml.NVML_CLOCK_MEM, nvml.NVML_CLOCK_GRAPHICS)],
        "compute": of(card, "GetComputeMode"),
        "persistence": of(card, "GetPersistenceMode"),
        "accounting": of(card, "GetAccountingMode"),
        "ecc": of(card, "GetEccMode"),
        "mig": of(card, "GetMigMode"),
    }


def attribute(card, number):
    value = ctypes.c_int()
    return cuda.cuInit(0) or cuda.cuDeviceGetAttribute(ctypes.byref(value), number, card) or value.value


def hold(card, count):
    """What a process that has a context and so many bytes on a card gets; it ends then."""
    return begin(card) or cuda.cuMemAlloc_v2(ctypes.byref(ctypes.c_uint64()), ctypes.c_size_t(count)) or os.getpid()


def account(card, pid):
    stats = of(card, "GetAccountingStats", pid)
    names = ("isRunning", "maxMemoryUsage", "time", "startTime", "gpuUtilization", "memoryUtilization")
    return stats if isinstance(stats, int) else [getattr(stats, name) for name in names]


nvml.nvmlInit()
cards = [ask("DeviceGetHandleByIndex", index) for index in range(nvml.nvmlDeviceGetCount())]
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
