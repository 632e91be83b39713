//! PTX text in, a typed module out.
//!
//! [`Module::parse`] reads module-level variables and function headers only and skips bodies by matching braces, because a
//! module can hold tens of megabytes of which a program launches a few kernels; [`Module::body`] parses one body.
//! The instruction set is a table ([`isa`]); an unknown word is an error that names it, the function and the line.
//!
//! Vocabulary: an *entry* is a kernel, a *variable* is a declaration in any state space (parameters too), an *element* is one
//! value of an initialiser, an *operand* is what stands between the commas.
//!
//! ```text
//!   text ──scan──▶ Module ──body(function)──▶ Body { registers, variables, labels, instructions }
//! ```
#![forbid(unsafe_code)]

mod body;
mod constant;
mod cursor;
mod error;
mod hash;
pub mod isa;
mod module;
mod operand;
mod print;
mod types;
mod variable;
mod verify;

pub use body::{Body, Instruction, Label, LabelId, RegisterId, RegisterRange};
pub use constant::Constant;
pub use error::ParseError;
pub use isa::{Form, Mnemonic, Modifier, Op, UnknownMnemonic};
pub use module::{Function, Module, ParameterSlot};
pub use operand::{AddressBase, Operand, Special};
pub use types::{Space, Type};
pub use variable::{Element, Linkage, Variable};
