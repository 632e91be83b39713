//! Our own files: where they come from, and where programs find them.
//!
//! ```text
//!   beside vgpu-run:  payload/lib*.so.*, payload/SHA256SUMS, vgpu-engine     (a build)
//!   inside vgpu-run:  the same, compressed, behind the executable's end      (a release: archive)
//!          │ Files
//!          ▼
//!   <cache>/<version>/   copied once, owned by us, hash checked at first use ─┐ Store
//!   sealed memory file   where there is no such directory ───────────────────┴─▶ an open file to give away
//! ```
//!
//! *Payload*: the libraries that stand in for NVIDIA's. *Engine*: the program in which kernels run. *Version*: all files
//! with their hashes; two versions never share a directory.
//!
//! Starting costs no hashing and no unpacking: both happen when a file is first needed.

mod archive;
mod cache;
mod files;
mod manifest;
mod memory;
mod store;

pub use archive::{ArchiveError, Packed, append};
pub use files::{ENGINE, Files, FilesError, Origin, VGPU_RUN_LIBEXEC};
pub use manifest::{Entry, FILE_NAME, Manifest, ManifestError, hash, hash_of};
pub use memory::{Use, memory_file};
pub use store::{Program, Storage, Store, StoreError, default_cache, open_engine};
