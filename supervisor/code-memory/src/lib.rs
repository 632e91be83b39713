//! Makes machine code callable: loads a relocatable ELF object of LLVM into this process.
//!
//! ```text
//!   bytes ─ read ─▶ sections, relocations ─ layout ─▶ a place for each ─ image ─▶ bytes, relocated (ordinary memory)
//!                                                                                   │ copied once
//!                                                                                   ▼
//!                           mapping:  [ code: .text*, stubs │ constants: .rodata*, address slots ]
//!                                         read + execute       read only
//! ```
//!
//! - An **external** is a name that the object uses and does not define. Whoever loads it says where that is.
//! - An **address slot** is a pointer among the constants: what code reads for `GOTPCREL`.
//! - A **stub** is a jump through a slot. Calls of externals go there, as those are farther away than a call reaches.
//!
//! Memory is never writable and executable at once, not even while loading. All `unsafe` is in `mapping`. Objects can come from a
//! cache, so whatever they say is checked: a damaged one gives an error, or wrong code, but no access of ours out of bounds.
//! Whether code does what it should is for the caller to know, who also calls it.

mod error;
mod image;
mod layout;
mod mapping;
mod read;

use std::collections::BTreeMap;

pub use error::Error;

use layout::Layout;
use mapping::Mapping;

/// Machine code in this process. Unmapped when dropped: no function of it may run or be called then.
#[derive(Debug)]
pub struct Code {
    mapping: Mapping,
    /// Offsets of the functions that other objects may see.
    functions: BTreeMap<String, usize>,
}

impl Code {
    /// Loads `object`. `externals` says where the things are that it uses and does not define.
    pub fn load(object: &[u8], externals: &dyn Fn(&str) -> Option<*const ()>) -> Result<Code, Error> {
        let object = read::object(object)?;
        let layout = Layout::of(&object)?;
        let reserved = Mapping::reserve(layout.size)?;
        let image = image::build(&object, &layout, reserved.address(), externals)?;
        let mapping = reserved.fill(&image, layout.code)?;
        let place = |(name, symbol)| Ok((name, layout.offset(&symbol)?));
        Ok(Code {
            mapping,
            functions: object.functions.into_iter().map(place).collect::<Result<_, Error>>()?,
        })
    }

    /// Where the function starts, if the object defines it for others to see.
    pub fn function(&self, name: &str) -> Option<*const ()> {
        self.functions.get(name).map(|offset| self.mapping.at(*offset))
    }

    /// Names of all functions.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// Bytes of memory that the code takes, constants included.
    pub fn size(&self) -> usize {
        self.mapping.size()
    }
}
