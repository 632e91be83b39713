//! `libcublas.so.*`: matrix products through the engine.
//!
//! NVIDIA's library carries machine code only, which nothing here can run; this one hands each product to the engine as one
//! command, in stream order, so it is captured into graphs like a kernel. What is missing answers `CUBLAS_STATUS_NOT_SUPPORTED` and
//! is named in the report.

#![allow(non_snake_case, missing_docs, clippy::missing_safety_doc, clippy::too_many_arguments)]

#[macro_use]
mod door;

mod driver;
mod handles;
mod products;
mod unsupported_names;
