//! `libnvidia-ml.so.1`: NVML's C functions, answered from the device model and its ledger through control calls.
//!
//! Every name that the real library exports exists here; what is not written out in a module answers
//! `NVML_ERROR_NOT_SUPPORTED` and notes its name for the report. Nothing happens before `nvmlInit`: no descriptor, no thread;
//! the last `nvmlShutdown` gives everything back, so the library may be loaded and closed again and again.

#![allow(non_snake_case, missing_docs, clippy::missing_safety_doc)]

#[macro_use]
mod door;

mod accounting;
mod board;
mod devices;
mod events;
mod fabric;
mod fans;
mod fields;
mod figures;
mod instances;
mod library;
mod modes;
mod now;
mod performance;
mod processes;
mod refusals;
mod reliability;
mod samples;
mod session;
mod sets;
mod telemetry;
mod unsupported_names;
mod virtual_cards;

pub use sets::reset_card;
