//! Control calls: the payload asks the supervisor's broker through one trapped `ioctl`.
//!
//! The request numbers are ours alone, so the seccomp filter traps exactly them, and each call carries a cookie, so the
//! broker need not look up which file the descriptor names (that look-up costs more than the call).
//!
//! A call is a block in the caller's memory ([`Call`]), or, where input and output are small enough, nothing but
//! [`Registers`]: the broker then neither reads nor writes the caller's memory, a quarter of what a call costs.

use std::ops::Range;
use std::sync::atomic::AtomicU64;

use bytemuck::{Pod, Zeroable};

/// `_IOWR('V', 0x90, 64)`: no driver in the kernel uses type 'V' with this number and size.
pub const REQUEST: u32 = 0xC040_5690;

/// `_IOWR('V', 0x91, 0)`: a call in [`Registers`].
pub const REQUEST_IN_REGISTERS: u32 = 0xC000_5691;

/// All that the supervisor has to see.
pub const REQUESTS: [u32; 2] = [REQUEST, REQUEST_IN_REGISTERS];

/// First word of every [`Call`]; a program that uses the same request number on a file of its own lacks it.
pub const COOKIE: u64 = 0x7667_7075_2d72_756e;

/// The path whose open is the rendezvous.
pub const NODE: &str = "/dev/nvidiactl";

/// The 64 bytes that the `ioctl` argument points to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Call {
    /// [`COOKIE`].
    pub cookie: u64,
    /// [`PROTOCOL`](crate::PROTOCOL) of the caller.
    pub protocol: u32,
    /// An [`Operation`] as a number.
    pub operation: u32,
    /// Address of the operation's input in the caller.
    pub input: u64,
    /// Bytes at `input`.
    pub input_length: u32,
    /// Bytes that fit at `output`.
    pub output_capacity: u32,
    /// Address for the operation's output in the caller.
    pub output: u64,
    /// Written by the broker: bytes that it put at `output`.
    pub output_length: u32,
    /// Written by the broker: a [`Status`] as a number.
    pub status: u32,
    /// Zero.
    pub reserved: [u64; 2],
}

/// So many bytes behind a [`Call`] are read with it, if they are there: an input that lies there costs no system call of its own.
pub const NEAR_INPUT: usize = 64;

/// A call in the four registers that an `ioctl` has behind its descriptor and request number (system calls have six, whatever their
/// number uses). The `ioctl` returns the output, or fails with [`Status::errno`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// [`PROTOCOL`](crate::PROTOCOL) of the caller.
    pub protocol: u32,
    /// An [`Operation`] as a number.
    pub operation: u32,
    /// The operation's input, zeros behind it.
    pub input: [u64; 2],
}

impl Registers {
    /// A call of `operation`, if it fits.
    pub fn of<O: Operation>(operation: &O) -> Option<Self> {
        O::FITS_REGISTERS.then(|| {
            let mut input = [0; 2];
            bytemuck::bytes_of_mut(&mut input)[..size_of::<O>()]
                .copy_from_slice(bytemuck::bytes_of(operation));
            Self { protocol: crate::PROTOCOL, operation: O::NUMBER, input }
        })
    }

    /// As the `ioctl` passes it.
    pub fn pack(self) -> [u64; 4] {
        let [first, second] = self.input;
        [COOKIE, u64::from(self.protocol) << 32 | u64::from(self.operation), first, second]
    }

    /// From the `ioctl`'s registers; `None`: it is no call of ours.
    pub fn unpack([cookie, head, first, second]: [u64; 4]) -> Option<Self> {
        let call = Self { protocol: (head >> 32) as u32, operation: head as u32, input: [first, second] };
        (cookie == COOKIE).then_some(call)
    }
}

/// What a control call can end with. The payload translates it to `CUresult` or `nvmlReturn_t`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Success = 0,
    /// The operation, its length or a field is not one that this supervisor knows.
    Invalid = 1,
    /// No such device, allocation or engine.
    NotFound = 2,
    /// The card's memory, or what backs it, does not suffice.
    OutOfMemory = 3,
    /// The engine could not be started; the report says why.
    EngineFailed = 4,
    /// Known, and not done by this engine.
    NotSupported = 5,
    /// The caller may not do this.
    Denied = 6,
    /// Payload and supervisor speak different protocols.
    ProtocolMismatch = 7,
    /// The card does not answer any more.
    Lost = 8,
    /// The card's compute mode keeps the process out.
    Unavailable = 9,
}

impl Status {
    /// The status with this number; an unknown number is `Invalid`.
    pub fn from_number(number: u32) -> Status {
        use Status::*;
        let all = [
            Success,
            Invalid,
            NotFound,
            OutOfMemory,
            EngineFailed,
            NotSupported,
            Denied,
            ProtocolMismatch,
            Lost,
            Unavailable,
        ];
        all.into_iter().find(|status| *status as u32 == number).unwrap_or(Invalid)
    }

    /// What a call in registers fails with: none of the kernel's own numbers.
    pub fn errno(self) -> i32 {
        FIRST_ERRNO + self as i32
    }

    /// The status behind such an `errno`; `None` for one of the kernel's, when nobody has answered.
    pub fn from_errno(errno: i32) -> Option<Status> {
        let number = errno.checked_sub(FIRST_ERRNO).filter(|number| (1..64).contains(number))?;
        Some(Status::from_number(number as u32))
    }
}

/// The kernel gives numbers up to 133 to errors and some after 512 to calls that it makes anew; 4095 is the last.
const FIRST_ERRNO: i32 = 1024;

/// A control operation: its number, what goes in and what comes out.
pub trait Operation: Pod {
    /// The number in [`Call::operation`].
    const NUMBER: u32;
    /// For messages and traces.
    const NAME: &'static str;
    /// Fixed-size output; variable output follows it (see the operation's text).
    type Output: Pod;
    /// Whether a call of it can be made in [`Registers`].
    const FITS_REGISTERS: bool = size_of::<Self>() <= 16 && size_of::<Self::Output>() <= 8;
}

/// One row per operation. The row gives the number, the input struct and the output struct.
macro_rules! operations {
    ($($(#[$doc:meta])* $number:literal $input:ident -> $output:ty;)*) => {
        $(impl Operation for $input {
            const NUMBER: u32 = $number;
            const NAME: &'static str = stringify!($input);
            type Output = $output;
        })*
        /// Name of the operation with this number, for messages.
        pub fn operation_name(number: u32) -> Option<&'static str> {
            match number { $($number => Some(stringify!($input)),)* _ => None }
        }
    };
}

operations! {
    1 Hello -> Welcome;
    2 DescribeDevice -> crate::device::Description;
    3 DeviceUsage -> crate::device::Usage;
    4 ListProcesses -> ProcessListHeader;
    5 Connect -> Connection;
    6 Allocate -> Allocation;
    7 Free -> Nothing;
    8 ExportMemory -> ExportedMemory;
    9 ImportMemory -> Allocation;
    10 Note -> Nothing;
    11 Disconnect -> Nothing;
    12 EnterDevice -> Nothing;
    13 ReserveAddresses -> Addresses;
    14 ReleaseAddresses -> Nothing;
    15 CreatePhysical -> Physical;
    16 ReleasePhysical -> Nothing;
    17 MapPhysical -> Allocation;
    18 UnmapPhysical -> Unmapped;
    19 ExportPhysical -> ExportedPhysical;
    20 ImportPhysical -> Physical;
    21 Trace -> TraceMemory;
    22 ShareCondition -> SharedCondition;
    23 FreeMemory -> FreeBytes;
    24 SetDevice -> Nothing;
    25 ClearErrors -> Nothing;
    26 ListAccounted -> ProcessListHeader;
    27 ClearAccounted -> Nothing;
    28 ResetDevice -> Nothing;
}

/// No output.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Nothing {}

/// First call on a fresh descriptor: is there a supervisor, and what does it announce?
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Hello {
    /// Who asks: a [`Caller`] as a number.
    pub caller: u32,
    /// Zero.
    pub reserved: u32,
}

/// Which of our programs sits behind a control call.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// `libcuda.so.1`.
    Driver = 1,
    /// `libnvidia-ml.so.1`.
    Nvml = 2,
    /// `libcudart.so.*`.
    Runtime = 3,
    /// `libcublas.so.*` and `libcublasLt.so.*`.
    Blas = 4,
    /// A `vgpu-run` inside a `vgpu-run`.
    NestedSupervisor = 5,
    /// `libnccl.so.*`.
    Collectives = 6,
}

/// Answer to [`Hello`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Welcome {
    /// Protocol of the supervisor.
    pub protocol: u32,
    /// Number of announced devices.
    pub device_count: u32,
    /// `cuDriverGetVersion`: 1000 × major + 10 × minor.
    pub cuda_version: u32,
    /// A bit for each device that is being drained: it is not there for who comes now.
    pub drained: u32,
    /// The driver's version string, NUL padded, like `580.159.04`.
    pub driver_version: [u8; 32],
}

impl Welcome {
    /// Indices of the devices that are there for who is welcomed.
    pub fn listed(&self) -> impl Iterator<Item = u32> {
        let drained = self.drained;
        (0..self.device_count).filter(move |&index| drained.checked_shr(index).unwrap_or(0) & 1 == 0)
    }
}

/// The facts of one device.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct DescribeDevice {
    /// Index among the announced devices.
    pub index: u32,
    /// Zero.
    pub reserved: u32,
}

/// The moving figures of one device.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct DeviceUsage {
    /// Index among the announced devices.
    pub index: u32,
    /// Zero.
    pub reserved: u32,
}

/// How much memory of one device is free: what programs ask often, of all that [`DeviceUsage`] tells.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct FreeMemory {
    /// Index among the announced devices.
    pub index: u32,
    /// Zero.
    pub reserved: u32,
}

/// Answer to [`FreeMemory`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct FreeBytes {
    /// So many.
    pub bytes: u64,
}

/// The processes that hold memory on one device. The output is a [`ProcessListHeader`] followed by `count` entries.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ListProcesses {
    /// Index among the announced devices.
    pub index: u32,
    /// Zero.
    pub reserved: u32,
}

/// Head of the answer to [`ListProcesses`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ProcessListHeader {
    /// Entries that follow, as many as fitted.
    pub count: u32,
    /// Entries that there are.
    pub total: u32,
}

/// One process with memory on a device.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ProcessEntry {
    /// Thread-group id, in the supervisor's pid namespace.
    pub pid: u32,
    /// Per cent of its last sample period in which its kernels ran, on whichever card.
    pub utilisation: u32,
    /// Bytes it holds.
    pub bytes: u64,
}

/// Where device memory may lie, first choice first: free in plain programs, Python, node, the JVM, Go, and (the first)
/// under AddressSanitizer. ThreadSanitizer has only small places left, the last of these among them.
pub const WINDOWS: [Range<u64>; 5] = [
    0x3000_0000_0000..0x3100_0000_0000,
    0x2000_0000_0000..0x2100_0000_0000,
    0x4000_0000_0000..0x4100_0000_0000,
    0x5000_0000_0000..0x5100_0000_0000,
    0x10_0000_0000..0x80_0000_0000,
];

/// Start an engine for the calling process (its thread group), if it has none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Connect {
    /// Start of one of [`WINDOWS`]: where the caller has room, reserved with `PROT_NONE` if its limits permit.
    pub window: u64,
}

/// Answer to [`Connect`]. The descriptors are already in the caller, close-on-exec; it maps them and closes them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Connection {
    /// The shared area ([`shared::Area`](crate::shared::Area)); map it whole, read-write, shared.
    pub area: i32,
    /// 1: the engine checks what kernels do, and is to be told of memory ([`Allocated`](crate::command::Allocated) and its kin).
    pub checks: u32,
    /// Bytes of the shared area.
    pub area_length: u64,
}

/// The calling process, which has an engine, makes its first context on this device. Asked again, it changes nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct EnterDevice {
    /// Device index.
    pub index: u32,
    /// Zero.
    pub reserved: u32,
}

/// What an allocation is for.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Counted against the device.
    Device = 1,
    /// Page-locked host memory; not counted against the device.
    Host = 2,
    /// Managed memory; counted against the device.
    Managed = 3,
    /// The state of an event that processes share: a [`SharedEvent`]. Not counted against the device.
    Event = 4,
}

/// An event that processes share, at the beginning of memory of its own.
#[repr(C)]
#[derive(Debug, Default)]
pub struct SharedEvent {
    /// Number of the newest record that a client has submitted.
    pub submitted: AtomicU64,
    /// The largest number of a record that an engine has come to; raised to `submitted` by the broker when a process that
    /// shares the event ends, as its records will never come.
    pub reached: AtomicU64,
}

impl SharedEvent {
    /// Offset of [`SharedEvent::reached`].
    pub const REACHED: u64 = std::mem::offset_of!(SharedEvent, reached) as u64;
}

/// A piece of memory at an address of the broker's choice, equal in client and engine.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Allocate {
    /// Device index.
    pub device: u32,
    /// A [`MemoryKind`] as a number.
    pub kind: u32,
    /// Bytes; the broker rounds up to its granularity.
    pub length: u64,
    /// Address wanted (0: any), for mapping at a reserved place.
    pub address: u64,
}

/// Answer to [`Allocate`] and [`ImportMemory`]. Map `memory` shared, read-write, `MAP_FIXED` inside the window and
/// `MAP_FIXED_NOREPLACE` outside, then close it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Allocation {
    /// Where to map.
    pub address: u64,
    /// Bytes to map.
    pub length: u64,
    /// The engine has mapped the memory once [`Area::mapped`](crate::shared::Area::mapped) reaches this number; every
    /// command submitted later must carry it or a larger one.
    pub map_sequence: u32,
    /// The memory, a descriptor in the caller.
    pub memory: i32,
}

/// Give an allocation back. The caller has already waited for the work that uses it and unmapped it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Free {
    /// As given by [`Allocation::address`].
    pub address: u64,
}

/// Make an allocation known to other processes of this session (`cuIpcGetMemHandle`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ExportMemory {
    /// As given by [`Allocation::address`].
    pub address: u64,
}

/// An unguessable name for an exported allocation; fits in `CUipcMemHandle`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ExportedMemory {
    /// Random bytes.
    pub token: [u8; 32],
}

/// Map memory that another process exported.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ImportMemory {
    /// From [`ExportedMemory`].
    pub token: [u8; 32],
    /// What it has to be: a [`MemoryKind`] as a number.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
}

/// Keep addresses of the window free of grants (`cuMemAddressReserve`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ReserveAddresses {
    /// Bytes, whole pages.
    pub length: u64,
    /// The first address is a multiple of this power of two, or of the broker's own where that is larger.
    pub alignment: u64,
    /// Address wished for; 0: any. If it is taken, another one is given.
    pub wish: u64,
}

/// Answer to [`ReserveAddresses`]. Nothing is mapped there.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Addresses {
    /// The first.
    pub address: u64,
}

/// Give addresses back; nothing may be mapped there any more.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ReleaseAddresses {
    /// As given by [`Addresses::address`].
    pub address: u64,
}

/// Make memory that has no address yet (`cuMemCreate`). It is charged now.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct CreatePhysical {
    /// Device index.
    pub device: u32,
    /// A [`MemoryKind`] as a number.
    pub kind: u32,
    /// Bytes, whole pages.
    pub length: u64,
}

/// Memory without an address. It lasts until nobody holds it: neither a process nor an open descriptor.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Physical {
    /// Its number, the same in every process of the session.
    pub number: u64,
    /// Bytes.
    pub length: u64,
    /// Device index.
    pub device: u32,
    /// A [`MemoryKind`] as a number.
    pub kind: u32,
}

/// The calling process holds this memory no longer. It has unmapped it everywhere.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ReleasePhysical {
    /// [`Physical::number`].
    pub number: u64,
}

/// Map memory, from its beginning, at reserved addresses. Asked again for the same place, it changes what kernels may do there.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct MapPhysical {
    /// [`Physical::number`].
    pub number: u64,
    /// Inside a reservation.
    pub address: u64,
    /// Bytes; no more than the memory has.
    pub length: u64,
    /// 0: kernels may only read.
    pub writable: u32,
    /// Zero.
    pub reserved: u32,
}

/// Undo a [`MapPhysical`]. The caller has already waited for the work that uses it and unmapped it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct UnmapPhysical {
    /// As in [`MapPhysical`].
    pub address: u64,
}

/// Answer to [`UnmapPhysical`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Unmapped {
    /// As [`Allocation::map_sequence`]: commands that carry it find the memory unmapped.
    pub map_sequence: u32,
    /// Zero.
    pub reserved: u32,
}

/// Make a descriptor that stands for memory (`cuMemExportToShareableHandle`). It holds the memory until its last duplicate,
/// in whichever process, is closed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ExportPhysical {
    /// [`Physical::number`].
    pub number: u64,
}

/// Answer to [`ExportPhysical`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ExportedPhysical {
    /// A descriptor in the caller, close-on-exec.
    pub descriptor: i32,
}

/// Hold the memory that a descriptor of the caller stands for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ImportPhysical {
    /// A duplicate of what [`ExportPhysical`] gave to whomever.
    pub descriptor: i32,
}

/// Ask whether calls are traced (`vgpu-run trace`), and where to. [`Status::NotFound`]: they are not. Chooses no card, unlike [`Hello`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Trace {
    /// Who asks: a [`Caller`] as a number.
    pub caller: u32,
    /// Zero.
    pub reserved: u32,
}

/// Answer to [`Trace`]: the same memory for every library of a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct TraceMemory {
    /// A descriptor in the caller, close-on-exec: a [`Ring`](crate::trace::Ring) of [`CALLS_LENGTH`](crate::trace::CALLS_LENGTH)
    /// bytes. Map it and close it.
    pub memory: i32,
    /// Zero.
    pub reserved: u32,
}

/// Ask for the memory that tells what is wrong with the cards.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ShareCondition {
    /// Zero.
    pub reserved: u64,
}

/// Answer to [`ShareCondition`]: the same memory for all who ask.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct SharedCondition {
    /// A descriptor in the caller, close-on-exec: a [`Page`](crate::condition::Page) of
    /// [`PAGE_LENGTH`](crate::condition::PAGE_LENGTH) bytes, to be mapped read-only.
    pub memory: i32,
    /// Zero.
    pub reserved: u32,
}

/// Sets something on a card, for all processes. [`Status::NotSupported`]: it has nothing of the kind; [`Status::Denied`]: only root
/// may; [`Status::Invalid`]: not to these values.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct SetDevice {
    /// Device index.
    pub index: u32,
    /// A [`Setting`](crate::settings::Setting) as a number.
    pub setting: u32,
    /// What it is set to; a setting of one value has 0 for the second.
    pub values: [u32; 2],
    /// 1: it is to be as the card comes, whatever `values` says.
    pub reset: u32,
    /// Zero.
    pub reserved: u32,
}

/// Lets a counter of a card's errors of memory begin anew.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ClearErrors {
    /// Device index.
    pub index: u32,
    /// A [`Counter`](crate::condition::Counter) as a number.
    pub counter: u32,
}

/// Resets a card that nobody has a context on. [`Status::Denied`]: only root may; [`Status::Unavailable`]: somebody has.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ResetDevice {
    /// Device index.
    pub index: u32,
    /// Zero.
    pub reserved: u32,
}

/// Processes that accounts were kept of on a device, oldest first. The output is a [`ProcessListHeader`] followed by `count`
/// [`Accounted`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ListAccounted {
    /// Device index.
    pub index: u32,
    /// Zero.
    pub reserved: u32,
}

/// What a process used of a device, from its first context on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Accounted {
    /// Thread-group id.
    pub pid: u32,
    /// 1: it has not ended.
    pub is_running: u32,
    /// Per cent of its time in which kernels ran.
    pub utilisation: u32,
    /// Per cent of its time in which memory was copied.
    pub memory_utilisation: u32,
    /// The most memory that it held, bytes.
    pub peak: u64,
    /// Milliseconds from its first context to its end; 0 while it runs.
    pub time: u64,
    /// When it made its first context, microseconds since 1970.
    pub began: u64,
}

/// Forgets those of a device's processes that have ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ClearAccounted {
    /// Device index.
    pub index: u32,
    /// Zero.
    pub reserved: u32,
}

/// Processes that a card keeps accounts of; the oldest gives way (recorded on an H100).
pub const ACCOUNTS: usize = 4000;

/// Something for the report. `input` is this head followed by the text (UTF-8, at most 4,000 bytes).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Note {
    /// A [`NoteKind`] as a number.
    pub kind: u32,
    /// Who says it: a [`Caller`] as a number.
    pub caller: u32,
    /// Depends on the kind: a `CUresult`, a count; else 0.
    pub value: i64,
}

/// What a [`Note`] is about. The text names the thing.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// An entry point was called that we lack; text = its name.
    Unsupported = 1,
    /// A name was asked for (`cuGetProcAddress`, `dlsym`-like) that we do not know; text = the name.
    UnknownName = 2,
    /// `cuInit`, `nvmlInit` or `cudaGetDeviceCount` answered; value = the result, text = the function.
    Initialised = 3,
    /// A module or kernel can't run; text = why.
    CodeRefused = 4,
    /// A kernel faulted; text = where.
    Fault = 5,
    /// An allocation was refused; value = bytes.
    AllocationFailed = 6,
    /// A private driver table was asked for; text = its UUID.
    ExportTable = 7,
    /// What the engine did for this process, at its end; text = one line.
    Summary = 8,
    /// A kernel is left to the interpreter, or compiled code is not kept; value = 1: by an error of ours, else 0; text = why.
    Slower = 9,
    /// A check found something; text = what, value = how often so far. Of two with the same text the later one counts.
    Checked = 16,
}

/// Give the engine and all memory of this process back (`cuDevicePrimaryCtxReset` of the last context, exit).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Disconnect {
    /// Zero.
    pub reserved: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_fits_the_size_in_its_request_number() {
        assert_eq!((REQUEST >> 16) & 0x3fff, size_of::<Call>() as u32);
    }

    #[test]
    fn every_status_survives_its_number() {
        for number in 0..9 {
            assert_eq!(Status::from_number(number) as u32, number);
        }
        assert_eq!(Status::from_number(77), Status::Invalid);
    }

    #[test]
    fn every_failure_survives_its_errno_and_the_kernels_are_none() {
        const ENOTTY: i32 = 25;
        for status in (1..9).map(Status::from_number) {
            assert_eq!(Status::from_errno(status.errno()), Some(status));
        }
        assert!(
            [ENOTTY, 512, Status::Success.errno(), 4095].map(Status::from_errno).iter().all(Option::is_none)
        );
    }

    #[test]
    fn a_call_fits_registers_by_its_sizes() {
        let call = Registers::of(&Free { address: 0x3000_0000_1000 }).expect("eight bytes, and none");
        assert_eq!(call.input, [0x3000_0000_1000, 0]);
        assert_eq!(Registers::unpack(call.pack()), Some(call));
        let [_, head, first, second] = call.pack();
        assert_eq!(Registers::unpack([0, head, first, second]), None);
        assert_eq!(Registers::of(&Allocate::default()), None);
        assert_eq!(Registers::of(&DeviceUsage::default()), None);
    }
}
