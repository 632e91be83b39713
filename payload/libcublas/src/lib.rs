//! `libcublas.so.*`: BLAS through the engine.
//!
//! NVIDIA's library carries machine code only, which nothing here can run; this one hands each routine to the engine as one
//! command (`wire::blas`), in stream order, so it is captured into graphs like a kernel. A result that goes to the host is
//! waited for, as the real library waits.
//!
//! `routines.txt` has a line per routine; the build makes the exported functions of it. What is missing, the interface from
//! before handles above all, answers `CUBLAS_STATUS_NOT_SUPPORTED` and is named in the report.

#![allow(non_snake_case, missing_docs, clippy::missing_safety_doc, clippy::too_many_arguments)]

#[macro_use]
pub mod door;

pub mod driver;
mod grouped;
pub mod handles;
pub mod routines;
mod transfers;
mod unsupported_names;
