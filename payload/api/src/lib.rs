//! C types of the CUDA driver, runtime and NVML interfaces.
