"""Asks for the devices twice, through the driver interface and through NVML: both tell of the same cards."""
import ctypes

cuda = ctypes.CDLL("libcuda.so.1")
nvml = ctypes.CDLL("libnvidia-ml.so.1")

# From cuda.h.
COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR, MULTIPROCESSOR_COUNT = 75, 76, 16


def check(library, function, *arguments):
    """Both interfaces return 0 for success."""
    result = getattr(library, function)(*arguments)
    if result != 0:
        raise SystemExit(f"{function} failed with error {result}")


def number_from(function, *arguments, kind=ctypes.c_int):
    value = kind()
    check(cuda, function, ctypes.byref(value), *arguments)
    return value.value


def name_by_nvml(index):
    device, text = ctypes.c_void_p(), ctypes.create_string_buffer(96)
    check(nvml, "nvmlDeviceGetHandleByIndex_v2", index, ctypes.byref(device))
    check(nvml, "nvmlDeviceGetName", device, text, len(text))
    return text.value.decode()


check(cuda, "cuInit", 0)
check(nvml, "nvmlInit_v2")
version = number_from("cuDriverGetVersion")
print(f"driver for CUDA {version // 1000}.{version % 1000 // 10}")
for index in range(number_from("cuDeviceGetCount")):
    device = number_from("cuDeviceGet", index)
    name = ctypes.create_string_buffer(256)
    check(cuda, "cuDeviceGetName", name, len(name), device)
    major = number_from("cuDeviceGetAttribute", COMPUTE_CAPABILITY_MAJOR, device)
    minor = number_from("cuDeviceGetAttribute", COMPUTE_CAPABILITY_MINOR, device)
    multiprocessors = number_from("cuDeviceGetAttribute", MULTIPROCESSOR_COUNT, device)
    memory = number_from("cuDeviceTotalMem_v2", device, kind=ctypes.c_size_t)
    print(f"{index}: {name.value.decode()}, capability {major}.{minor}, {multiprocessors} multiprocessors, {memory >> 20} MiB")
    print(f"   NVML calls it {name_by_nvml(index)}")
check(nvml, "nvmlShutdown")
