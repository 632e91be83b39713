//! Random PTX programs that have one result, whoever runs them.
//!
//! ```text
//!   seed ──generate──▶ Program: a tree of statements ──text──▶ PTX ──┬▶ Executor A ──▶ checksum ─┐
//!                          ▲                                         └▶ Executor B ──▶ checksum ─┴ equal?
//!                          └──────────── shrink: fewer statements that still fail ◀──────────────── no
//! ```
//!
//! Programs that do the same to each element, without all that, are a kind of their own (`straight`).
//!
//! What compilers make of a thread's place, of loops and of pointers, they make in registers that have one meaning each; pieces of
//! kernels written like that are statements too (`idioms`). Otherwise a program works on registers that all have a value from the
//! start, so that any statement can be taken out and what is left is a program too. Its result is a checksum of every thread's
//! registers, which it stores in rows, and of the memory that it wrote. It is the same at any order of warps, blocks and lanes:
//!
//! - barriers stand where the whole block comes by;
//! - instructions of a warp name exactly the lanes that come by, which a ballot before each branch has counted (`%mask`);
//! - threads write memory of their own, or read what others wrote behind a barrier;
//! - atomics on shared words are of one commutative kind for each word, and their results are not looked at;
//! - approximate functions do not occur, and NaN, whose payload PTX leaves open, is written in one way before its bits are looked at.

#![forbid(unsafe_code)]

pub mod generate;
pub mod golden;
mod idioms;
mod matrices;
pub mod program;
pub mod random;
pub mod reach;
pub mod run;
pub mod shrink;
mod statements;
pub mod straight;
mod text;
pub mod ways;

pub use generate::generate;
pub use program::Program;
