//! Fat binaries: the containers in which CUDA programs carry their device code.
//!
//! ```text
//!   .nvFatBinSegment            .nv_fatbin
//!   wrapper 0x466243b1  ──────▶ container 0xBA55ED50, total length
//!     (24 bytes, pointers)        entry: kind, arch, ISA version, sizes, flags │ PTX or machine code,
//!                                 entry: …                                     │ plain, LZ4 or zstd
//! ```
//!
//! Vocabulary: a **wrapper** is what compiled host code registers; it points at a **container**; a container holds
//! one **entry** per architecture and kind. A **capability** is `10 * major + minor`, as in `sm_61` → 61.
//!
//! Nothing is decompressed before somebody asks for an entry's payload, so listing the architectures in a file of
//! hundreds of megabytes touches a few pages of it. Input comes from strangers: every function answers damaged
//! bytes with an error that says where and what, and never panics (`tests/damage.rs`).

#![forbid(unsafe_code)]

mod container;
mod elf;
mod error;
mod image;
mod payload;
mod scan;
mod select;

pub use container::{
    CONTAINER_MAGIC, Container, Entry, HEADER_LEN, Kind, WRAPPER_LEN, WRAPPER_MAGIC, Wrapper, length,
};
pub use error::FatbinError;
pub use image::{Cubin, Image};
pub use payload::Compression;
pub use scan::{Found, Scan, scan};
pub use select::NoCode;
