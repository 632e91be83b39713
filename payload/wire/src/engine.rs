//! What broker and engines say to each other, over `SOCK_SEQPACKET` sockets.
//!
//! ```text
//!   broker ──Fork + area, pidfd, socket──▶ zygote     one per supervisor, started at first need
//!   broker ◀──Forked, ForkFailed, StartFailed   │ fork
//!   broker ──Map + memory, Unmap────────▶ engine     one per client process
//!   broker ◀──Note + text────────────────
//! ```
//!
//! Each packet is a [`Head`] and the message; descriptors travel beside it (`SCM_RIGHTS`). End of file on either
//! socket ends the receiver: neither zygote nor engine outlives the supervisor.

use bytemuck::{Pod, Zeroable};

/// The zygote finds its socket here: as its standard input it needs no work between fork and exec.
pub const ZYGOTE_SOCKET: i32 = 0;

/// Environment variable of the zygote: our directory in the cache directory of the supervisor's user.
pub const CACHE_VARIABLE: &str = "VGPU_RUN_CACHE";

/// Environment variable of vgpu-run and, by its leave, of the zygote: which tier runs kernels ([`TIER`](crate::choice::TIER)).
pub const TIER_VARIABLE: &str = "VGPU_RUN_TIER";

/// Environment variable of vgpu-run and, by its leave, of the zygote: for which processor code is made ([`ISA`](crate::choice::ISA)).
pub const ISA_VARIABLE: &str = "VGPU_RUN_ISA";

/// Environment variable of the zygote: which checks are made, as names with commas between them.
pub const CHECK_VARIABLE: &str = "VGPU_RUN_CHECK";

/// First bytes of each packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Head {
    /// A message's [`Message::NUMBER`].
    pub number: u32,
    /// Bytes that follow this head.
    pub length: u32,
}

/// A message's fixed part.
pub trait Message: Pod {
    /// [`Head::number`].
    const NUMBER: u32;
    /// Descriptors that travel with it.
    const DESCRIPTORS: usize;
}

macro_rules! messages {
    ($($number:literal $name:ident, $descriptors:literal descriptors;)*) => {
        $(impl Message for $name { const NUMBER: u32 = $number; const DESCRIPTORS: usize = $descriptors; })*
    };
}

messages! {
    1 Fork, 3 descriptors;
    2 Forked, 1 descriptors;
    3 Map, 1 descriptors;
    4 Unmap, 0 descriptors;
    5 EngineNote, 0 descriptors;
    6 ForkFailed, 0 descriptors;
    7 StartFailed, 0 descriptors;
}

/// Make an engine. Beside it: the shared area, a pidfd of the client, the engine's end of its own socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Fork {
    /// The client's thread-group id, in the supervisor's pid namespace.
    pub client: u32,
    /// The client's user and group.
    pub user: u32,
    /// See `user`.
    pub group: u32,
    /// 1: what it does is traced ([`View::trace`](crate::shared::View::trace)).
    pub traces: u32,
    /// The window that device memory lies in; an access outside it is a fault.
    pub window: u64,
    /// Bytes of the window.
    pub window_length: u64,
}

/// Answer to [`Fork`]. Beside it: a pidfd of the engine.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Forked {
    /// As in [`Fork`].
    pub client: u32,
    /// The engine's pid.
    pub engine: u32,
}

/// Answer to [`Fork`] if there is no engine.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct ForkFailed {
    /// As in [`Fork`].
    pub client: u32,
    /// An `errno`.
    pub errno: u32,
}

/// There is no zygote: this, then UTF-8 text that says why. Sent by the process that should have become one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct StartFailed {
    /// Zero.
    pub reserved: u32,
}

/// Map a grant: the descriptor beside it, from its beginning, at `address`. Of two for the same place the later one counts. Then
/// [`Area::mapped`](crate::shared::Area) becomes `sequence`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Map {
    /// Where.
    pub address: u64,
    /// Bytes.
    pub length: u64,
    /// [`Allocation::map_sequence`](crate::control::Allocation).
    pub sequence: u32,
    /// 0: kernels may only read.
    pub writable: u32,
}

/// Undo a [`Map`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Unmap {
    /// As in [`Map`].
    pub address: u64,
    /// As in [`Map`].
    pub length: u64,
    /// [`Area::mapped`](crate::shared::Area) becomes this when it is done.
    pub sequence: u32,
    /// Zero.
    pub reserved: u32,
}

/// Something for the report: this, then UTF-8 text.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct EngineNote {
    /// A [`NoteKind`](crate::control::NoteKind) as a number.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// As in [`Note::value`](crate::control::Note).
    pub value: i64,
}
