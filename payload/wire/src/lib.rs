//! What payload, supervisor and engine say to each other.
//!
//! ```text
//!   target process                supervisor                    engine process
//!   ┌──────────────┐   control    ┌────────────┐   commands     ┌────────────┐
//!   │ payload      │──ioctl──────▶│ broker     │──socket───────▶│ mapper     │
//!   │ (libcuda …)  │              └────────────┘                │            │
//!   │              │══ shared page, ring, completion slots ════▶│ dispatcher │
//!   └──────────────┘                                            └────────────┘
//! ```
//!
//! - **Control calls** ([`control`]): one trapped `ioctl` on the descriptor of `/dev/nvidiactl`. Rare, 6–12 µs.
//!   They hand out identity, memory and an engine, and are the only thing that the supervisor has to trust nobody for.
//! - **Commands** ([`command`], carried by the ring in [`shared`]): copies, launches, events. They never enter the supervisor.
//! - **Linear algebra** ([`blas`]): what our cuBLAS asks for, two commands.
//! - **Traces** ([`trace`]): calls, kernels and copies, for `vgpu-run trace`.
//! - **Figures** ([`figures`]): what each kernel cost, for the report.
//! - **Choices** ([`choice`]): what environment variables ask of the engine.
//! - **Facts** ([`device`]): the announced card, as plain data.
//! - **Readings** ([`reading`]): what its sensors show, by its use.
//! - **Condition** ([`condition`]): what is wrong with the cards, and events.
//! - **Settings** ([`settings`]): what is set on the cards.
//!
//! Everything here is plain old data with explicit padding, so that no uninitialised byte crosses a process boundary and
//! any byte string of the right length may be read back. This crate depends on nothing of ours.

pub mod blas;
pub mod choice;
pub mod command;
pub mod condition;
pub mod control;
pub mod device;
pub mod engine;
pub mod figures;
pub mod futex;
pub mod reading;
pub mod settings;
pub mod shared;
pub mod texture;
pub mod trace;

/// Changes when the meaning of any byte below changes; both sides of a connection must have the same one.
pub const PROTOCOL: u32 = 10;
