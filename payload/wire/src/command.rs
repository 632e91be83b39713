//! Commands: what a client's ring carries to its engine.
//!
//! A record is a [`Header`], the command's fixed part, then its variable part, padded to [`ALIGNMENT`]. Records are
//! executed as CUDA orders them: one stream is a queue, the legacy stream waits for and holds back every blocking stream.

use bytemuck::{Pod, Zeroable};

use crate::blas::{Blas, Matmul};

/// Every record starts at a multiple of this many bytes.
pub const ALIGNMENT: usize = 64;

/// Head of a record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Header {
    /// A command's number ([`Command::NUMBER`]); [`PADDING`]: skip to the ring's start.
    pub number: u16,
    /// Depends on the command.
    pub flags: u16,
    /// Bytes of the record, this head and the padding included.
    pub length: u32,
    /// Stream slot. Slot 0 is the legacy default stream.
    pub stream: u32,
    /// The engine must have mapped at least this grant ([`Allocation::map_sequence`](crate::control::Allocation)).
    pub map_sequence: u32,
    /// The stream's sequence number that is completed when this command is.
    pub sequence: u64,
    /// Zero.
    pub reserved: u64,
}

/// [`Header::number`] of a record that only fills the ring up to its end.
pub const PADDING: u16 = 0xffff;

/// A command's fixed part.
pub trait Command: Pod {
    /// [`Header::number`].
    const NUMBER: u16;
    /// For traces.
    const NAME: &'static str;
}

macro_rules! commands {
    ($($number:literal $name:ident;)*) => {
        $(impl Command for $name { const NUMBER: u16 = $number; const NAME: &'static str = stringify!($name); })*
        /// Name of the command with this number, for traces.
        pub fn command_name(number: u16) -> Option<&'static str> {
            match number { $($number => Some(stringify!($name)),)* _ => None }
        }
    };
}

commands! {
    1 CreateStream;
    2 DestroyStream;
    3 LoadModule;
    4 UnloadModule;
    5 Launch;
    6 Copy;
    7 CopyRectangle;
    8 Fill;
    9 RecordEvent;
    10 WaitEvent;
    11 HostCallback;
    12 WriteValue;
    13 WaitValue;
    14 Blas;
    15 DescribeFunction;
    16 Matmul;
    17 BindGlobals;
    18 SetHeap;
    24 Allocated;
    25 Freed;
    26 Written;
}

/// Make a stream slot usable.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct CreateStream {
    /// 1: non-blocking, i.e. does not wait for the legacy stream.
    pub non_blocking: u32,
    /// CUDA's priority: lower runs first.
    pub priority: i32,
    /// Device index.
    pub device: u32,
    /// Zero.
    pub reserved: u32,
}

/// The slot may be used again once its work is done.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct DestroyStream {
    /// Zero.
    pub reserved: u64,
}

/// Load code. Executed at once, in ring order, outside all streams; the outcome is in the reply slot, and the answer at
/// `answer`: a [`ModuleAnswer`] with its tables, or, if the result is an error, UTF-8 text that says why.
/// The image is memory that the engine sees (the bounce buffer of the shared area, or an allocation).
///
/// A module with variables can't run before [`BindGlobals`] has told where they lie.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct LoadModule {
    /// Address of the image in the engine's view, or offset from the area's start if `in_area` is 1.
    pub image: u64,
    /// Bytes of the image: PTX text, a fat binary, or a cubin.
    pub length: u64,
    /// 1: `image` is an offset into the shared area.
    pub in_area: u32,
    /// Device index.
    pub device: u32,
    /// Compute capability that the device announces, 10 × major + minor.
    pub capability: u32,
    /// Reply slot to answer in.
    pub reply: u32,
    /// Name of the module from now on, chosen by the client.
    pub module: u64,
    /// Where the answer goes: offset from the area's start. It may overlap the image.
    pub answer: u64,
    /// Bytes that fit there; a longer answer ends the command with `CUDA_ERROR_OUT_OF_MEMORY` and the reply's length
    /// says how much is needed.
    pub answer_capacity: u64,
    /// Name of the module's context: its modules have one heap.
    pub context: u64,
}

/// Head of the answer to [`LoadModule`]. [`FunctionRow`]s follow, then [`ParameterRow`]s, [`VariableRow`]s, names.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ModuleAnswer {
    /// Kernels (`.entry`), in the order of their numbers.
    pub functions: u32,
    /// Parameters of all functions together.
    pub parameters: u32,
    /// Variables (`.global` and `.const`).
    pub variables: u32,
    /// Bytes of names at the end.
    pub names: u32,
    /// Memory that [`BindGlobals`] needs, bytes; 0: the module is ready.
    pub globals_length: u64,
    /// Alignment of that memory.
    pub globals_alignment: u64,
    /// PTX version of the code, 10 × major + minor, and the capability it was compiled for.
    pub ptx_version: u32,
    /// See `ptx_version`.
    pub ptx_target: u32,
}

/// One kernel of a module.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct FunctionRow {
    /// Offset and length in the names.
    pub name: [u32; 2],
    /// First of its parameters and their number.
    pub parameters: [u32; 2],
    /// Bytes of its parameter block.
    pub parameter_length: u32,
    /// Threads per block that it allows (`.maxntid`, `.reqntid`, else the device's limit).
    pub max_threads: u32,
    /// Bytes of static shared memory.
    pub static_shared: u32,
    /// Zero.
    pub reserved: u32,
}

/// One parameter of a kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ParameterRow {
    /// Offset in the parameter block.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
}

/// One variable of a module.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct VariableRow {
    /// Offset and length in the names.
    pub name: [u32; 2],
    /// Offset from the address given to [`BindGlobals`].
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// Place a module's variables and give them their initial values. Executed at once; result in the reply slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct BindGlobals {
    /// As in [`LoadModule`].
    pub module: u64,
    /// Memory of [`ModuleAnswer::globals_length`] bytes.
    pub address: u64,
    /// Reply slot to answer in.
    pub reply: u32,
    /// Zero.
    pub reserved: u32,
}

/// Give device `malloc` of a context's modules this memory. Executed at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct SetHeap {
    /// As in [`LoadModule`].
    pub context: u64,
    /// Where.
    pub address: u64,
    /// Bytes; 0: the context ends.
    pub length: u64,
}

/// Forget a module.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct UnloadModule {
    /// As in [`LoadModule`].
    pub module: u64,
}

/// Decode one function of a module. Executed at once; the answer is [`FunctionAttributes`], or, if it can't run, text
/// that names the instruction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct DescribeFunction {
    /// As in [`LoadModule`].
    pub module: u64,
    /// Index in the function table that [`LoadModule`] answered with.
    pub function: u32,
    /// Reply slot to answer in.
    pub reply: u32,
    /// As in [`LoadModule`].
    pub answer: u64,
    /// As in [`LoadModule`].
    pub answer_capacity: u64,
}

/// Answer to [`DescribeFunction`]: what `cuFuncGetAttribute` tells.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct FunctionAttributes {
    /// Threads per block that it allows.
    pub max_threads: u32,
    /// Bytes of static shared memory.
    pub static_shared: u32,
    /// Bytes of user constants.
    pub constant: u32,
    /// Bytes of local memory per thread.
    pub local: u32,
    /// 32-bit registers per thread (an estimate: the CPU has no such limit).
    pub registers: u32,
    /// 10 × major + minor.
    pub ptx_version: u32,
    /// The capability that the code was compiled for.
    pub binary_version: u32,
    /// 1: the context needs a heap ([`SetHeap`]) before it is launched.
    pub uses_heap: u32,
}

/// Run a kernel. The parameter block (laid out as PTX lays it out) follows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Launch {
    /// As in [`LoadModule`].
    pub module: u64,
    /// Index in the function table that [`LoadModule`] answered with.
    pub function: u32,
    /// Bytes of parameters that follow.
    pub parameter_length: u32,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads per block.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub dynamic_shared: u32,
    /// 1: cooperative, every block must be able to wait for every other.
    pub cooperative: u32,
}

/// Copy bytes between addresses that the engine sees.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Copy {
    /// Target address.
    pub target: u64,
    /// Source address, or offset from the area's start if `in_area` is 1.
    pub source: u64,
    /// Bytes.
    pub length: u64,
    /// 1: `source` is an offset into the shared area; 2: `target` is.
    pub in_area: u32,
    /// Zero.
    pub reserved: u32,
}

/// Copy a box of bytes: `depth` slices of `height` rows of `width` bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct CopyRectangle {
    /// Target address.
    pub target: u64,
    /// Source address.
    pub source: u64,
    /// Bytes from row to row, target and source.
    pub row_pitch: [u64; 2],
    /// Bytes from slice to slice, target and source.
    pub slice_pitch: [u64; 2],
    /// Bytes in a row, rows, slices.
    pub extent: [u64; 3],
}

/// Fill a rectangle with a 1-, 2- or 4-byte value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Fill {
    /// Target address.
    pub target: u64,
    /// Bytes from row to row.
    pub pitch: u64,
    /// Elements in a row.
    pub width: u64,
    /// Rows.
    pub height: u64,
    /// The value.
    pub value: u32,
    /// Bytes of an element: 1, 2 or 4.
    pub element: u32,
}

/// For checks ([`control::Connection::checks`](crate::control::Connection)): the client has memory, all of it inside grants. Executed
/// at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Allocated {
    /// Where.
    pub address: u64,
    /// Bytes that were asked for.
    pub length: u64,
    /// A [`MemoryKind`](crate::control::MemoryKind) as a number.
    pub kind: u32,
    /// 1: others may have written there, or may write there unseen.
    pub shared: u32,
}

/// For checks: what begins there is not the client's any more.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Freed {
    /// As in [`Allocated`].
    pub address: u64,
    /// 0: from now on; 1: once the stream gets there.
    pub in_order: u64,
}

/// For checks: the client has written device memory by itself. Executed at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Written {
    /// Where.
    pub address: u64,
    /// Bytes of a row.
    pub length: u64,
    /// Bytes from row to row.
    pub pitch: u64,
    /// Rows.
    pub rows: u64,
}

/// Write an event slot: sequence and, if wanted, time.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct RecordEvent {
    /// Event slot.
    pub event: u32,
    /// 1: also write the time.
    pub timing: u32,
    /// Number to write; grows with every record of this slot.
    pub value: u64,
}

/// Hold the stream until an event slot reaches a number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct WaitEvent {
    /// Event slot.
    pub event: u32,
    /// Zero.
    pub reserved: u32,
    /// Number to wait for.
    pub value: u64,
}

/// Hold the stream until the client has run a function of its own. Both sides tell through event slots; the client
/// rings the doorbell after it has written its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct HostCallback {
    /// Event slot that the engine sets to `value` when the function may run.
    pub ready_event: u32,
    /// Event slot that the client sets to `value` when it has run.
    pub done_event: u32,
    /// Number for both.
    pub value: u64,
}

/// `cuStreamWriteValue32/64`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct WriteValue {
    /// Address.
    pub address: u64,
    /// The value.
    pub value: u64,
    /// Bytes: 4 or 8.
    pub width: u32,
    /// 1: only if the value is larger than what is there (8 bytes).
    pub raise: u32,
}

/// `cuStreamWaitValue32/64`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct WaitValue {
    /// Address.
    pub address: u64,
    /// The value.
    pub value: u64,
    /// Bytes: 4 or 8.
    pub width: u32,
    /// `CUstreamWaitValue_flags`: 0 ≥ (cyclic), 1 =, 2 and, 3 nor.
    pub comparison: u32,
}
