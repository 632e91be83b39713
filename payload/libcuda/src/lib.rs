//! `libcuda.so.1`: the driver API's C functions, each a thin door to crate `driver`.
//!
//! Every name that the real library exports exists here. A function is either written out in one of the modules below, or it
//! answers `CUDA_ERROR_NOT_SUPPORTED` and notes its name for the report (`build.rs` makes those from `symbols.txt`).
//! To add a function, write it in its module; nothing else lists names.
//!
//! At the door: null becomes `CUDA_ERROR_INVALID_VALUE`, a panic becomes `CUDA_ERROR_UNKNOWN`, and `errno` stays the caller's.

#![allow(non_snake_case, missing_docs, clippy::missing_safety_doc, clippy::too_many_arguments)]

#[macro_use]
mod door;

mod arrays;
mod contexts;
mod copies;
mod debugger;
mod device_runtime;
mod devices;
mod entry_points;
mod errors;
mod events;
mod fills;
mod functions;
mod graph_nodes;
mod graphs;
mod initialise;
mod kernels;
mod linker;
mod modules;
mod pointers;
mod pools;
mod private;
mod staged_launches;
mod storage;
mod streams;
mod texture_references;
mod textures;
mod virtual_memory;
