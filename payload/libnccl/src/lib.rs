//! `libnccl.so.2`: collectives of one rank.
//!
//! A communicator here has one member, the caller: every collective is a copy on the caller's stream, in order with its
//! kernels, and captured into graphs like one. More ranks are refused, with a text for `ncclGetLastError` and a note for the report.
//!
//! - **Group** (`groups`): collectives run when they are called; sends and receives, which only meet inside a group, at its end.
//! - **Operator** (`operators`): with one rank each of them is the identity, but for the one that multiplies first.
//!
//! Every function exists twice, as `ncclX` and as `pncclX`: profilers put a function of theirs in front of the first.

#![allow(non_snake_case, missing_docs, clippy::missing_safety_doc, clippy::too_many_arguments)]

#[macro_use]
mod door;

mod collectives;
mod communicators;
mod driver;
mod groups;
mod library;
mod operators;
mod unsupported_names;
