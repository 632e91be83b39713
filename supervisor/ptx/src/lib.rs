//! PTX text in, a typed module out; and back.
//!
//! [`Module::parse`] reads module-level variables and function headers only and skips bodies by matching braces (a gigabyte a
//! second), because a module can hold tens of megabytes of which a program launches a few kernels; [`Module::body`] parses one
//! body. The instruction set is a table ([`isa`]) that has every form of every instruction of PTX ISA 9.0: a word that it lacks,
//! or words in a combination that it lacks, are an error that names them, the function, line and column.
//! [`Body::verify`] checks operands against the table, and [`Module::print`] writes what was parsed.
//!
//! Vocabulary: an *entry* is a kernel, a *variable* is a declaration in any state space (parameters too), an *element* is one
//! value of an initialiser, an *operand* is what stands between the commas, a *form* is one way of writing an instruction: its
//! words and operands.
//!
//! ```text
//!   text ──scan──▶ Module ──body(function)──▶ Body { registers, variables, labels, instructions } ──verify──▶ ok
//!     ▲                                         │        ▲
//!     └──────────────────print──────────────────┘        └── isa: mnemonic ▶ Op, types, modifiers, shape, forms
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
mod roles;
mod types;
mod variable;
mod verify;

pub use body::{Body, Instruction, Label, LabelId, RegisterId, RegisterRange};
pub use constant::Constant;
pub use error::ParseError;
pub use isa::{Form, Mnemonic, Modifier, Op, UnknownMnemonic};
pub use module::{Function, Module, ParameterSlot};
pub use operand::{AddressBase, Operand, Special};
pub use roles::Roles;
pub use types::{Space, Type};
pub use variable::{Element, Linkage, Variable};
