//! What the caller hands to a launch, and what can come back.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use crate::watch::Watch;

/// One kernel launch.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Blocks in x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block in x, y, z.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub dynamic_shared: u32,
    /// The parameter buffer, laid out as PTX lays parameters out.
    pub parameters: &'a [u8],
    /// Whether all blocks must be able to wait for each other (`cuLaunchCooperativeKernel`).
    pub cooperative: bool,
}

/// What a kernel meets outside itself.
pub struct Environment<'a> {
    /// Device addresses. An access outside (and outside the block's own shared and local memory) is a [`Fault`];
    /// one inside that no page backs raises SIGSEGV, which the caller turns into a fault with the help of [`crate::with_current`].
    pub window: Range<u64>,
    /// Receives the text of device `printf`, one call per statement. Called from any worker thread.
    pub print: &'a (dyn Fn(&str) + Sync),
    /// Raised by the caller to end the launch early; looked at between blocks and on long loops.
    pub cancel: &'a AtomicBool,
    /// Told of what kernels of a [watched](crate::Image::watched) image touch.
    pub watch: Option<&'a dyn Watch>,
}

/// Why a launch ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happened.
    pub kind: FaultKind,
    /// The kernel.
    pub kernel: String,
    /// The instruction as text; empty where none is to blame.
    pub instruction: String,
    /// Its line in the module's PTX.
    pub line: u32,
    /// The block.
    pub block: [u32; 3],
    /// The thread within the block; the first of its warp where the whole warp is to blame.
    pub thread: [u32; 3],
    /// The address, for memory faults.
    pub address: u64,
}

/// The kinds of [`Fault`], as the driver API tells them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// An access outside every memory that the kernel may touch: `CUDA_ERROR_ILLEGAL_ADDRESS`.
    IllegalAddress,
    /// An address that is no multiple of the access size: `CUDA_ERROR_MISALIGNED_ADDRESS`.
    MisalignedAddress,
    /// `trap` or a failed assertion without text: `CUDA_ERROR_LAUNCH_FAILED` (`CUDA_ERROR_ASSERT` for assertions).
    Trap,
    /// `__assertfail`, with its message: `CUDA_ERROR_ASSERT`.
    Assertion(String),
    /// A call through a pointer that is no function, or too deep a recursion: `CUDA_ERROR_INVALID_PC`/`LAUNCH_FAILED`.
    InvalidCall(String),
    /// All threads wait and nothing can wake them (a GPU would hang).
    Deadlock,
    /// The caller raised the cancel flag.
    Cancelled,
    /// The launch does not fit the kernel: `CUDA_ERROR_INVALID_VALUE`.
    InvalidLaunch(String),
    /// The interpreter itself failed: a bug, with its text.
    Internal(String),
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultKind::IllegalAddress => f.write_str("illegal address"),
            FaultKind::MisalignedAddress => f.write_str("misaligned address"),
            FaultKind::Trap => f.write_str("trap"),
            FaultKind::Assertion(text) => write!(f, "assertion failed: {text}"),
            FaultKind::InvalidCall(text) => write!(f, "invalid call: {text}"),
            FaultKind::Deadlock => f.write_str("deadlock: all threads of the block wait"),
            FaultKind::Cancelled => f.write_str("cancelled"),
            FaultKind::InvalidLaunch(text) => write!(f, "invalid launch: {text}"),
            FaultKind::Internal(text) => write!(f, "internal error: {text}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in kernel `{}`", self.kind, self.kernel)?;
        if !self.instruction.is_empty() {
            write!(f, " at `{}` (line {})", self.instruction, self.line)?;
        }
        let ([bx, by, bz], [tx, ty, tz]) = (self.block, self.thread);
        write!(f, ", block ({bx}, {by}, {bz}), thread ({tx}, {ty}, {tz})")?;
        if self.address != 0 {
            write!(f, ", address {:#x}", self.address)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
