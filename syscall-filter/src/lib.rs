//! The seccomp program that runs inside the kernel: its policy as a table, and how it is installed.
//!
//! ```text
//!  policy::POLICY ──program::compile──▶ Program ──install──▶ listener descriptor
//!    (rows)         (seccompiler, then      (in the child,       │ handover::send / receive
//!                    two kinds of RET        just before exec)    ▼
//!                    are rewritten)                           supervisor
//!                                          └─install_traced──▶ stops for the tracer
//! ```
//!
//! A *row* names one system call, the conditions on its arguments under which we want to see it, why, and
//! what that was measured to cost. Everything that no row names runs untouched: the kernel remembers that
//! most system calls are allowed whatever their arguments are and does not even run the program for them.
//!
//! The filter decides nothing about security. A notified call may always be let through.

pub mod handover;
mod install;
mod judge;
mod policy;
mod program;

pub use install::{
    ATTACHED, InstallError, forbid_new_privileges, install, install_traced, kernel_can_notify,
};
pub use judge::judge;
pub use policy::{Action, Argument, Coverage, MEDIATED, POLICY, ROOTS, Row, TRACED, Test, rows};
pub use program::{
    CompileError, Instruction, Pattern, Program, compile, compile_for_driver, compile_for_observer,
};
