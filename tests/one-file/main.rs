//! `vgpu-run` as one file: copied alone into empty roots, and what it leaves in its cache directory.
//!
//! *Root*: a directory that becomes the root of a process, with `vgpu-run`, one program and that program's libraries in it,
//! and nothing else.

mod cache;
mod root;
mod roots;
