//! The CUDA driver API, in safe terms.
