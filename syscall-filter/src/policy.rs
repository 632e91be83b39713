//! Which system calls are brought to the supervisor, and what each costs.
//!
//! A system call that is not here costs nothing but the presence of a filter. One that is here costs two
//! context switches, so a row has to earn its place: its reason says what would not work without it.
//!
//! The figures in `cost` come from `bench-getting-in` (package `tests`; `--overlay=full` for the rows of that)
//! on two busy cores of a virtual machine, Linux 6.18, with 4,000 files for `git status`: ratios to the same
//! workload without vgpu-run, and numbers of traps.

use libc::{
    AT_EMPTY_PATH, AT_FDCWD, MAP_ANONYMOUS, MAP_SHARED, O_ACCMODE, O_CREAT, O_DIRECTORY, O_NOCTTY,
    O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDWR, O_TRUNC, O_WRONLY,
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

/// A condition on one argument, mostly on its lower 32 bits. The kernel reads no more of these either:
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
    /// Any of all 64 bits is set.
    NotZero,
    /// One of the request numbers of the payload, which the caller of `compile` knows.
    OurRequest,
    /// What this machine's driver takes for a request of its own, which the caller of `compile_for_driver` knows; else none is.
    DriversRequest,
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

/// Who brings the calls to the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The kernel's user notification.
    Notify,
    /// The tracer, which must be there: without one a call that matches fails with ENOSYS.
    Trace,
}

/// The rows that are in force.
pub fn rows(coverage: Coverage, action: Action) -> impl Iterator<Item = &'static Row> {
    let more = match action {
        Action::Notify => ROOTS,
        Action::Trace => TRACED,
    };
    POLICY.iter().filter(move |row| row.coverage <= coverage).chain(more)
}

impl Row {
    /// Whether it names this call of the 64-bit interface. `requests` are the ioctl numbers of the payload.
    pub fn names(&self, number: i64, arguments: &[u64; 6], requests: &[u32]) -> bool {
        let holds = |Argument { index, test }: &Argument| {
            let whole = arguments[usize::from(*index)];
            let value = whole as u32;
            match test {
                Test::Equals(wanted) => value == *wanted,
                Test::NoneOf(bits) => value & bits == 0,
                Test::Masked(bits, wanted) => value & bits == *wanted,
                Test::NotZero => whole != 0,
                Test::OurRequest => requests.contains(&value),
                Test::DriversRequest => false,
            }
        };
        self.number == number && self.when.iter().all(holds)
    }
}

/// What a tracer has to see besides: calls by which a process would leave it, or could not do what it wants.
#[rustfmt::skip]
pub static TRACED: &[Row] = &[
    Row { name: "clone", number: libc::SYS_clone, coverage: Lean,
        when: &[argument(0, Test::Masked(libc::CLONE_UNTRACED as u32, libc::CLONE_UNTRACED as u32))],
        reason: "a child that the tracer does not get: its trapped calls would fail with ENOSYS",
        cost: "no call in any of the workloads" },
    Row { name: "clone3", number: libc::SYS_clone3, coverage: Lean,
        when: &[],
        reason: "the same; its flags are in memory, where the filter cannot look",
        cost: "one stop more for each new thread and posix_spawn of glibc" },
    Row { name: "ptrace", number: libc::SYS_ptrace, coverage: Lean,
        when: &[],
        reason: "the report says why a debugger finds no process that it may trace",
        cost: "no call in any of the workloads" },
];

/// What a listener has to see besides: calls after which a path from the root may mean another file to a process of the tree than to
/// us. Until one is made, a question about such a file is one call; afterwards it leads through the process's entry in `/proc`, and for
/// a new process the kernel has to make that entry first. A new mount namespace is no row: it begins as a copy, and these calls change it.
#[rustfmt::skip]
pub static ROOTS: &[Row] = &[
    root("chroot", libc::SYS_chroot),
    root("pivot_root", libc::SYS_pivot_root),
    root("mount", libc::SYS_mount),
    root("umount2", libc::SYS_umount2),
    root("move_mount", libc::SYS_move_mount),
    root("setns", libc::SYS_setns),
];

/// The same calls of 32-bit programs, `int $0x80` (`arch/x86/entry/syscalls/syscall_32.tbl`), which is the only thing that we want to hear
/// of them: mount, umount, umount2, chroot, pivot_root, setns, move_mount.
pub(crate) const ROOTS_OF_32_BITS: [u32; 7] = [21, 22, 52, 61, 217, 346, 429];

const fn root(name: &'static str, number: i64) -> Row {
    Row {
        name,
        number,
        when: &[],
        coverage: Lean,
        reason: "the loader's cache and setuid programs are looked for in the process's own root from now on",
        cost: "no call in any of the workloads; saves some 30 us for each /bin/true",
    }
}

/// Flags of a mapping of a file that is shared: `MAP_SHARED_VALIDATE` has that bit as well.
pub(crate) const SHARED_FILE: (u32, u32) = ((MAP_SHARED | MAP_ANONYMOUS) as u32, MAP_SHARED as u32);

/// What has to be seen besides where this machine's driver is mediated.
#[rustfmt::skip]
pub static MEDIATED: &[Row] = &[
    Row { name: "mmap", number: libc::SYS_mmap, coverage: Lean,
        when: &[argument(3, Test::Masked(SHARED_FILE.0, SHARED_FILE.1)), argument(5, Test::NotZero)],
        reason: "managed memory, which is what counts of it under a limit: /dev/nvidia-uvm is mapped at its offset, which is the address",
        cost: "one for each context and each block of managed memory; of any other such file 8.4 -> 28 us with its unmapping, 160 if threads have to stand still; other mappings +0.1 us" },
];

/// The policy. Rows with the same number are alternatives.
#[rustfmt::skip]
pub static POLICY: &[Row] = &[
    Row { name: "open", number: libc::SYS_open, coverage: Lean,
        when: &[argument(1, Test::NoneOf(NOT_A_LOADER))],
        reason: "musl's loader and programs with system calls of their own",
        cost: "as openat, for musl and others that use it; glibc programs: no call" },
    Row { name: "open", number: libc::SYS_open, coverage: Lean,
        when: &[argument(1, Test::NoneOf(NOT_A_DEVICE)), argument(1, Test::Masked(DEVICE_MASK, DEVICE_FLAGS))],
        reason: "a device node opened without blocking",
        cost: "no call in any of the workloads" },
    Row { name: "openat", number: libc::SYS_openat, coverage: Lean,
        when: &[FROM_CWD, argument(2, Test::NoneOf(NOT_A_LOADER))],
        reason: "glibc's loader, dlopen, ld.so.cache, device nodes, /proc/driver/nvidia",
        cost: "2.7 -> 10.5 us with its close, some 20 us where caches have cooled meanwhile; Python 183 traps 1.09, git status 48 traps 1.06, C build 543 traps 1.05" },
    Row { name: "openat", number: libc::SYS_openat, coverage: Lean,
        when: &[FROM_CWD, argument(2, Test::NoneOf(NOT_A_DEVICE)), argument(2, Test::Masked(DEVICE_MASK, DEVICE_FLAGS))],
        reason: "a device node opened without blocking",
        cost: "no call in any of the workloads" },
    Row { name: "openat2", number: libc::SYS_openat2, coverage: Lean,
        when: &[],
        reason: "its flags are in memory, where the filter cannot look; hardly anything calls it",
        cost: "no call in any of the workloads" },
    Row { name: "execve", number: libc::SYS_execve, coverage: Lean,
        when: &[],
        reason: "the report names every program; one of another word size is told why it gets no payload",
        cost: "one of the 3 traps of each /bin/true; all three: +0.08 ms, 1.17" },
    Row { name: "execveat", number: libc::SYS_execveat, coverage: Lean,
        when: &[],
        reason: "as execve (fexecve)",
        cost: "no call in any of the workloads" },
    Row { name: "ioctl", number: libc::SYS_ioctl, coverage: Lean,
        when: &[argument(1, Test::OurRequest)],
        reason: "control calls of the payload; an exact number, so terminals and files never come here",
        cost: "control call 11 us; any other request +0.1 us" },
    Row { name: "ioctl", number: libc::SYS_ioctl, coverage: Lean,
        when: &[argument(1, Test::Masked(0xc000_ff00, 0xc000_4600))],
        reason: "requests of NVIDIA's nodes, `_IOWR('F', ...)`: programs that speak to the kernel driver themselves",
        cost: "no call in any of the workloads" },
    Row { name: "ioctl", number: libc::SYS_ioctl, coverage: Lean,
        when: &[argument(1, Test::Masked(!0xff, 0))],
        reason: "requests of /dev/nvidia-uvm, which are small numbers; else only block devices have such",
        cost: "no call in any of the workloads" },
    Row { name: "ioctl", number: libc::SYS_ioctl, coverage: Lean,
        when: &[argument(1, Test::Masked(!3, 0x3000_0000))],
        reason: "the first and the last request to /dev/nvidia-uvm",
        cost: "no call in any of the workloads" },
    Row { name: "ioctl", number: libc::SYS_ioctl, coverage: Lean,
        when: &[argument(1, Test::DriversRequest)],
        reason: "with `--engine host`: the driver looks at number and size alone, whatever type and direction a request says",
        cost: "a row for each of its 43 requests" },
    Row { name: "io_uring_setup", number: libc::SYS_io_uring_setup, coverage: Lean,
        when: &[],
        reason: "opens through a ring pass by the filter: left alone, and named in the report",
        cost: "no call in any of the workloads" },
    Row { name: "seccomp", number: libc::SYS_seccomp, coverage: Lean,
        when: &[],
        reason: "a filter of the program's own that can't be had, or misses calls, beside ours: named in the report",
        cost: "no call in any of the workloads" },
    Row { name: "prctl", number: libc::SYS_prctl, coverage: Lean,
        when: &[argument(0, Test::Equals(libc::PR_SET_SECCOMP as u32))],
        reason: "as seccomp",
        cost: "no call in any of the workloads; any other prctl +0.1 us" },

    Row { name: "openat", number: libc::SYS_openat, coverage: Full,
        when: &[argument(2, Test::NoneOf((O_WRONLY | O_CREAT | O_TRUNC) as u32))],
        reason: "opens relative to a directory descriptor, and directories that will be listed",
        cost: "with all full rows: git status 5.8 (4,559 traps instead of 55)" },
    Row { name: "stat", number: libc::SYS_stat, coverage: Full,
        when: &[],
        reason: "existence tests of Go, musl and old glibc programs",
        cost: "with newfstatat: C build 3,980 traps instead of 643" },
    Row { name: "lstat", number: libc::SYS_lstat, coverage: Full,
        when: &[],
        reason: "glob of a literal path",
        cost: "with newfstatat: git status 5.8" },
    Row { name: "newfstatat", number: libc::SYS_newfstatat, coverage: Full,
        when: &[argument(3, Test::NoneOf(AT_EMPTY_PATH as u32))],
        reason: "existence tests, glob",
        cost: "most of git status 5.8; Python 3,388 traps instead of 1,739, 1.09 times the lean overlay" },
    Row { name: "statx", number: libc::SYS_statx, coverage: Full,
        when: &[argument(2, Test::NoneOf(AT_EMPTY_PATH as u32))],
        reason: "existence tests of ls, Rust and node programs",
        cost: "no call in any of the workloads" },
    Row { name: "access", number: libc::SYS_access, coverage: Full,
        when: &[],
        reason: "existence tests",
        cost: "one more trap for each /bin/true: 1.5 instead of 1.4" },
    Row { name: "faccessat", number: libc::SYS_faccessat, coverage: Full,
        when: &[],
        reason: "existence tests",
        cost: "no call in any of the workloads" },
    Row { name: "faccessat2", number: libc::SYS_faccessat2, coverage: Full,
        when: &[argument(3, Test::NoneOf(AT_EMPTY_PATH as u32))],
        reason: "existence tests of newer shells",
        cost: "no call in any of the workloads" },
    Row { name: "getdents64", number: libc::SYS_getdents64, coverage: Full,
        when: &[],
        reason: "listings and glob patterns show the installed files",
        cost: "two for each directory; lost in those of stat" },
];
