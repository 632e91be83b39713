//! Why an object can't be loaded.

/// What is wrong with an object, or with the machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no ELF object, or parts of it lie outside of it.
    #[error("read the object: {0}")]
    Read(#[from] object::Error),
    /// An object of another processor, or no relocatable one.
    #[error("the object is {0}, not a relocatable one for x86-64")]
    Kind(String),
    /// Kernels have no variables of their own: what code writes to, its caller gives it.
    #[error("section {0} is writable")]
    Writable(String),
    /// Nobody says where this is.
    #[error("external `{0}` is not known")]
    External(String),
    /// A relocation that LLVM makes for other code models only.
    #[error("relocation of type {kind} to `{symbol}` is not known")]
    Relocation {
        /// `R_X86_64_…` of the ELF supplement.
        kind: u32,
        /// What it refers to.
        symbol: String,
    },
    /// A reference to data that is too far away for 32 bits.
    #[error("`{0}` is too far away")]
    TooFar(String),
    /// Something refers to a place that does not exist.
    #[error("{0} lies outside of the object")]
    Outside(String),
    /// The kernel gave no memory, or does not let it be executed.
    #[error("{action} {size} bytes for code: {errno}")]
    Memory {
        /// What was tried.
        action: &'static str,
        /// How much of it.
        size: usize,
        /// The kernel's answer.
        errno: nix::errno::Errno,
    },
}
