//! Every arithmetic instruction of the table with edge values, beside what a real GPU answered.
//!
//! A **case** is one instruction with its operands: `add.sat.s32 %o0, %i0, %i1`. Its **vectors** are the values of the operands,
//! some thousand for each case, made from its text alone. A **golden** result is what a GPU gave for them: a few in full, and one
//! hash of all.
//!
//! ```text
//!   ptx::isa table ──cases──▶ Case ──text──▶ kernel of one instruction ─┐
//!                              └──vectors──▶ operand values ────────────┴▶ Executor ──▶ results ──judge──▶ golden/h100.zst
//! ```
//!
//! Integers and IEEE operations have to be equal bit by bit, except that any NaN stands for every NaN (PTX promises no payload).
//! For approximate functions both sides have to lie within the PTX manual's bound around the true value ([`bound`]).

#![forbid(unsafe_code)]

pub mod bound;
pub mod case;
mod form;
pub mod golden;
pub mod judge;
mod kernel;
pub mod known;
mod moves;
pub mod replay;
mod values;

pub use case::{Case, cases};
pub use golden::Golden;
