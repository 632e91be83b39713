//! Odd and adversarial targets: what a program does, prints and ends with is the same with vgpu-run and without, or vgpu-run
//! says clearly what it refuses; nothing hangs.

mod debuggers;
mod filters;
mod limits;
mod names;
mod nodes;
mod numbering;
mod storms;
