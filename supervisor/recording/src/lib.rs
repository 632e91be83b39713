//! A program's calls on the device nodes, as JSON lines: written by a tracer around the program, or by who answers them, read by
//! whoever replays it.
//!
//!   program ──seccomp: RET_TRACE──▶ [`Recorder`] ──one line per finished call──▶ FILE.jsonl ──▶ [`Event`]s
//!
//! *outer*: the structure that an ioctl's third argument points to. *parameters*: what the outer structure of `RM_CONTROL` and
//! `RM_ALLOC` points to. *indirect*: a buffer that the parameters point to and that the call changed. *node*: a file below `/dev`
//! whose name begins with `nvidia`.

mod capture;
mod event;
mod file;
mod recorder;
mod scrub;
mod trace_filter;

pub use event::{Call, Event, Indirect, Ioctl};
pub use file::{open, read, write};
pub use recorder::{Recorder, User};
pub use scrub::{Scrubber, scrub_chip_identity};
