//! `libcudart.so.*`: the CUDA runtime API over the driver API.
//!
//! NVIDIA's own runtime demands a proof of validity from the driver, which we do not forge; ours takes its place for programs that
//! link it dynamically. It finds `libcuda.so.1` like any program (`driver`) and uses its public functions, so contexts, streams
//! and pointers are the same in both interfaces.
//!
//! - **Registration** (`registration`): compiled host code registers its fat binaries before `main`. They are noted, nothing
//!   else happens; a fat binary is loaded when one of its kernels or variables is first used on a device.
//! - **Devices** (`devices`): each thread has a current device; its primary context is made current when first needed.
//! - **Errors** (`door`): `cudaError_t` and `CUresult` share their numbers. The last error of a thread is kept for
//!   `cudaGetLastError`.
//!
//! A function that differs between major versions is called `abi12_NAME` from the version on that it is the form of; the
//! linking step gives it its name. `symbols.txt` lists every exported name, the versions that have it, and whether it is
//! implemented or refused; the build compares that with the sources.

#![allow(non_snake_case, missing_docs, clippy::missing_safety_doc, clippy::too_many_arguments)]

#[macro_use]
mod door;

mod arrays;
mod copies;
mod devices;
mod driver;
mod errors;
mod events;
mod functions;
mod graph_nodes;
mod graphs;
mod launches;
mod libraries;
mod memory;
mod pools;
mod properties;
mod registration;
mod streams;
mod texture_references;
mod textures;
mod unsupported_names;
