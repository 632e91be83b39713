//! Which system calls are brought to the supervisor, and what each costs.
//!
//! A system call that is not here costs nothing but the presence of a filter. One that is here costs two
//! context switches, so a row has to earn its place: its reason says what would not work without it.
//!
//! The figures in `cost` come from `make bench` (package `tests`, `bench-getting-in`) on two cores of a
//! virtual machine, Linux 6.18: ratio to the same workload without vgpu-run, with that row as the only
//! difference where it could be told apart.

use libc::{
    AT_EMPTY_PATH, AT_FDCWD, O_ACCMODE, O_CREAT, O_DIRECTORY, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_PATH,
    O_RDWR, O_TRUNC, O_WRONLY,
};

/// How much of the file system's surface the overlay covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    /// Opens that can be a loader's or a device's.
    #[default]
    Lean,
    /// Also stat, access, directory listings and opens relative to a directory descriptor.
    Full,
}

/// One system call that the supervisor wants to see.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Name of the call, as in the kernel's table.
    pub name: &'static str,
    /// Its number on x86-64.
    pub number: i64,
    /// All of these must hold; none means always.
    pub when: &'static [Argument],
    /// The smallest coverage that includes the row.
    pub coverage: Coverage,
    /// What would not work without it.
    pub reason: &'static str,
    /// What it was measured to cost.
    pub cost: &'static str,
}

/// A condition on the lower 32 bits of one argument. The kernel reads no more of these arguments either:
/// descriptors, flags and request numbers are all `int`.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Position, from 0.
    pub index: u8,
    /// What must hold for it.
    pub test: Test,
}

/// What must hold for an argument.
#[derive(Clone, Copy, Debug)]
pub enum Test {
    /// Equal to a number.
    Equals(u32),
    /// None of these bits is set.
    NoneOf(u32),
    /// Under a mask, equal to a number.
    Masked(u32, u32),
    /// One of the request numbers of the payload, which the caller of `compile` knows.
    OurRequest,
}

/// Flags that no loader and no CUDA library passes to open, but compilers, shells and version control
/// systems do all day: gcc opens 340 of 394 files with `O_NOCTTY`, git 423 of 486 with `O_DIRECTORY`.
const NOT_A_LOADER: u32 =
    (O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_DIRECTORY | O_NOFOLLOW | O_PATH | O_NONBLOCK) as u32;

/// The same without `O_NONBLOCK`, for device nodes.
const NOT_A_DEVICE: u32 = NOT_A_LOADER & !(O_NONBLOCK as u32);

const DEVICE_MASK: u32 = (O_ACCMODE | O_NONBLOCK) as u32;
const DEVICE_FLAGS: u32 = (O_RDWR | O_NONBLOCK) as u32;

const fn argument(index: u8, test: Test) -> Argument {
    Argument { index, test }
}

const FROM_CWD: Argument = argument(0, Test::Equals(AT_FDCWD as u32));

use Coverage::{Full, Lean};

/// The policy. Rows with the same number are alternatives.
#[rustfmt::skip]
pub static POLICY: &[Row] = &[
    Row { name: "open", number: libc::SYS_open, coverage: Lean,
        when: &[argument(1, Test::NoneOf(NOT_A_LOADER))],
        reason: "musl's loader and programs with system calls of their own",
        cost: "dynamic programs: none; musl, as openat" },
    Row { name: "open", number: libc::SYS_open, coverage: Lean,
        when: &[argument(1, Test::NoneOf(NOT_A_DEVICE)), argument(1, Test::Masked(DEVICE_MASK, DEVICE_FLAGS))],
        reason: "a device node opened without blocking",
        cost: "none seen" },
    Row { name: "openat", number: libc::SYS_openat, coverage: Lean,
        when: &[FROM_CWD, argument(2, Test::NoneOf(NOT_A_LOADER))],
        reason: "glibc's loader, dlopen, ld.so.cache, device nodes, /proc/driver/nvidia",
        cost: "pass-through 2.6 -> 11 µs; Python with many imports 1.02, git status 1.05, gcc 1.00" },
    Row { name: "openat", number: libc::SYS_openat, coverage: Lean,
        when: &[FROM_CWD, argument(2, Test::NoneOf(NOT_A_DEVICE)), argument(2, Test::Masked(DEVICE_MASK, DEVICE_FLAGS))],
        reason: "a device node opened without blocking",
        cost: "none seen" },
    Row { name: "openat2", number: libc::SYS_openat2, coverage: Lean,
        when: &[],
        reason: "its flags are in memory, where the filter cannot look; hardly anything calls it",
        cost: "none seen" },
    Row { name: "execve", number: libc::SYS_execve, coverage: Lean,
        when: &[],
        reason: "the report names every program; one of another word size is told why it gets no payload",
        cost: "10,000 x /bin/true: 1.02 of the 1.13" },
    Row { name: "execveat", number: libc::SYS_execveat, coverage: Lean,
        when: &[],
        reason: "as execve (fexecve)",
        cost: "none seen" },
    Row { name: "ioctl", number: libc::SYS_ioctl, coverage: Lean,
        when: &[argument(1, Test::OurRequest)],
        reason: "control calls of the payload; an exact number, so terminals and files never come here",
        cost: "own call 6-8 µs; TCGETS and FIOCLEX +0.1 µs" },
    Row { name: "io_uring_setup", number: libc::SYS_io_uring_setup, coverage: Lean,
        when: &[],
        reason: "opens through a ring pass by the filter: left alone, and named in the report",
        cost: "none seen" },

    Row { name: "openat", number: libc::SYS_openat, coverage: Full,
        when: &[argument(2, Test::NoneOf((O_WRONLY | O_CREAT | O_TRUNC) as u32))],
        reason: "opens relative to a directory descriptor, and directories that will be listed",
        cost: "git status 1.14" },
    Row { name: "stat", number: libc::SYS_stat, coverage: Full,
        when: &[],
        reason: "existence tests of Go, musl and old glibc programs",
        cost: "find 1.4" },
    Row { name: "lstat", number: libc::SYS_lstat, coverage: Full,
        when: &[],
        reason: "glob of a literal path",
        cost: "git status 6.0 with the stat rows" },
    Row { name: "newfstatat", number: libc::SYS_newfstatat, coverage: Full,
        when: &[argument(3, Test::NoneOf(AT_EMPTY_PATH as u32))],
        reason: "existence tests, glob",
        cost: "gcc 1.6 with the other stat rows" },
    Row { name: "statx", number: libc::SYS_statx, coverage: Full,
        when: &[argument(2, Test::NoneOf(AT_EMPTY_PATH as u32))],
        reason: "existence tests of ls, Rust and node programs",
        cost: "find 1.4" },
    Row { name: "access", number: libc::SYS_access, coverage: Full,
        when: &[],
        reason: "existence tests",
        cost: "gcc 1.6 with the other stat rows" },
    Row { name: "faccessat", number: libc::SYS_faccessat, coverage: Full,
        when: &[],
        reason: "existence tests",
        cost: "none seen" },
    Row { name: "faccessat2", number: libc::SYS_faccessat2, coverage: Full,
        when: &[argument(3, Test::NoneOf(AT_EMPTY_PATH as u32))],
        reason: "existence tests of newer shells",
        cost: "none seen" },
    Row { name: "getdents64", number: libc::SYS_getdents64, coverage: Full,
        when: &[],
        reason: "listings and glob patterns show the installed files",
        cost: "find 2.4 with the stat rows" },
];
