//! Test harness: target programs under `vgpu-run`.
//!
//! ```no_run
//! let run = tests::launch("sees").run();
//! run.assert_exit(0).assert_stdout("payload device\n");
//! ```
//!
//! *Target program*: a small program in `tests/targets`, compiled once by [`workshop`]. *Payload of stand-ins*:
//! libraries of a few lines in place of the real ones, so that these tests ask one thing only: does the
//! program get what vgpu-run gives?

pub mod bench_json;
mod both;
mod launch;
mod processes;
mod subject;
mod terminal;
pub mod workshop;

pub use both::Both;
pub use launch::{Launch, Run, attach, launch, launch_path, one_file, vgpu_run};
pub use processes::{Mark, children, descendants, name_of, parent_of, wait_until};
pub use subject::Subject;
pub use terminal::Terminal;

/// Says why a test does not run here.
pub fn skipped(reason: &str) {
    println!("skipped: {reason}");
}

/// Whether programs are traced here: VGPU_RUN_MECHANISM says how vgpu-run follows them.
pub fn is_traced() -> bool {
    std::env::var("VGPU_RUN_MECHANISM").is_ok_and(|mechanism| mechanism.starts_with("ptrace"))
}

/// Whether we are root.
pub fn is_root() -> bool {
    // SAFETY: the call takes nothing.
    unsafe { libc::geteuid() == 0 }
}

/// In front of a command that is to run as an ordinary user.
pub const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// Whether [`AS_NOBODY`] works here, and gets at what is built: not if we are an ordinary user already, nor if the build
/// directory lies in a home that others must not enter.
pub fn can_be_nobody() -> bool {
    if !is_root() || !has_program("setpriv") {
        skipped("not root");
        return false;
    }
    let mut command = std::process::Command::new(AS_NOBODY[0]);
    let reachable = command.args(&AS_NOBODY[1..]).args(["test", "-x"]).arg(vgpu_run()).status();
    let reachable = reachable.is_ok_and(|status| status.success());
    if !reachable {
        skipped(&format!("other users can't get at {}", vgpu_run().display()));
    }
    reachable
}

/// Whether a process can be the first of a namespace of its own.
pub fn can_unshare_pids() -> bool {
    let mut command = std::process::Command::new("unshare");
    let possible = command.args(["--pid", "--fork", "--mount-proc", "true"]).output();
    let possible = possible.is_ok_and(|output| output.status.success());
    if !possible {
        skipped("no namespace of process ids");
    }
    possible
}

/// Whether a program can be found.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(name).is_file());
    if !found {
        skipped(&format!("no `{name}`"));
    }
    found
}

/// Whether this kernel's version is that or a newer one.
pub fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's version");
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}
