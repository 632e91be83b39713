//! PTX file tests: a `.ptx` file says in its header comment what to run and what to expect; every executor runs it.
//!
//! ```text
//! // data: a = u32[0x1, 0xffffffff]                     bits shared by the file's runs
//! // run: not<<<1, 2>>>(out, a) -> out == u32[0xfffffffe, 0x0]
//! // run: sqrt<<<1, 2>>>(out, a) -> out == f32[1.0, nan] within 1ulp
//! ```
//!
//! A comment that begins with three spaces goes on with the line before. An argument is a number (`7`, 32 bits), a
//! buffer of the file's data, or a name that is not yet known: an output, zeroed, as long as what is expected of it.
//! Elements `u8`…`u64` are compared as bits, except that `nan` stands for every NaN of that width.

#![forbid(unsafe_code)]

mod fixture;
mod judge;
mod value;

/// Who runs fixtures.
pub mod executor {
    pub use executors::interpreter::{Loaded, Tally, Tier};
    pub use executors::{Buffer, Parameter, Shape};
}

pub use fixture::{Argument, Check, Fixture, Run};
pub use judge::{Execute, check, fixtures};
pub use value::{Bound, Element, Kind};
