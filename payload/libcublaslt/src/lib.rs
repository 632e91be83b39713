//! `libcublasLt.so.*`: matrix products with epilogues, through the engine.
//!
//! Programs describe a product (`descriptions`), ask which algorithms would do it, and run it with one of them. There is one
//! algorithm here: a product is a `wire::blas::Matmul` (`products`), appended to the stream like a kernel. What that cannot
//! say (tile orders, vector scales) has no algorithm, which is named in the report.

#![allow(non_snake_case, missing_docs, clippy::missing_safety_doc, clippy::too_many_arguments)]

mod algorithms;
mod descriptions;
mod library;
mod products;
mod transforms;
mod unsupported_names;

use libcublas::{exports, unsupported};
