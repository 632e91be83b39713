//! What this machine offers for `vgpu-run`: a list of checks, each with what it found, what it needs and what to do.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use installation::{Files, Store};
use procfs::Place;

use crate::inspect::{self, inspect};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As needed.
    Good,
    /// It works, with less speed or comfort.
    Degraded,
    /// It does not work.
    Bad,
}

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it came out.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What is needed.
    pub needed: &'static str,
    /// What to do where it is not good.
    pub fix: &'static str,
}

/// Our own files.
#[derive(Debug, Default)]
pub struct Places {
    /// The payload, or why there is none.
    pub payload: Option<Result<Arc<Files>, String>>,
    /// Directory for installed copies.
    pub cache: Option<PathBuf>,
}

impl Places {
    fn files(&self) -> Option<&Arc<Files>> {
        self.payload.as_ref()?.as_ref().ok()
    }
}

/// Runs every check.
pub fn checks(places: &Places) -> Vec<Check> {
    vec![
        architecture(),
        kernel(),
        user_notification(),
        outer_filter(),
        process_files(),
        ptrace_scope(),
        calls_on_others(),
        descriptors(),
        file_size(),
        memory(),
        processor(),
        payload(places),
        c_library(places.files()),
        cache(places),
        real_driver(),
    ]
}

/// The worst state of a list.
pub fn worst(checks: &[Check]) -> State {
    let has = |state| checks.iter().any(|check| check.state == state);
    if has(State::Bad) {
        State::Bad
    } else if has(State::Degraded) {
        State::Degraded
    } else {
        State::Good
    }
}

/// The checks as text.
pub fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let _ = writeln!(text, "{:<9} {}: {}", word(check.state), check.name, check.found);
        if check.state != State::Good {
            let _ = writeln!(text, "          needed: {}", check.needed);
            let _ = writeln!(text, "          hint: {}", check.fix);
        }
    }
    text
}

/// The checks as a Markdown table, to paste into an issue.
pub fn markdown(checks: &[Check]) -> String {
    let mut text = "| check | state | found | needed |\n| --- | --- | --- | --- |\n".to_owned();
    for check in checks {
        let _ =
            writeln!(text, "| {} | {} | {} | {} |", check.name, word(check.state), check.found, check.needed);
    }
    text
}

fn word(state: State) -> &'static str {
    match state {
        State::Good => "good",
        State::Degraded => "degraded",
        State::Bad => "bad",
    }
}

fn architecture() -> Check {
    Check {
        name: "architecture",
        state: if std::env::consts::ARCH == "x86_64" { State::Good } else { State::Bad },
        found: std::env::consts::ARCH.to_owned(),
        needed: "x86_64",
        fix: "use an x86-64 machine",
    }
}

fn kernel() -> Check {
    let release = procfs::read_to_string("sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let state = match version(release) {
        Some(version) if version >= (6, 6) => State::Good,
        _ => State::Degraded,
    };
    Check {
        name: "kernel",
        state,
        found: release.to_owned(),
        needed: "5.19 for notifications that signals do not repeat, else programs are traced; 6.6 for the fast wake-up (half the cost \
                 of a trapped call)",
        fix: "install a newer kernel",
    }
}

/// The first two numbers of a release like `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn user_notification() -> Check {
    const SECCOMP_GET_ACTION_AVAIL: libc::c_long = 2;
    let action: u32 = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: the call reads the four bytes of `action`, which outlives it.
    let answer =
        unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action as *const u32) };
    Check {
        name: "seccomp user notification",
        state: if answer == 0 { State::Good } else { State::Degraded },
        found: if answer == 0 { "available" } else { "not available" }.to_owned(),
        needed: "available, else programs are traced (`--mechanism ptrace`)",
        fix: "use a kernel with CONFIG_SECCOMP_FILTER, and a container profile that permits seccomp(2)",
    }
}

fn outer_filter() -> Check {
    let mode = procfs::status_field("self", "Seccomp").unwrap_or_default();
    Check {
        name: "outer seccomp filter",
        state: if mode == "0" { State::Good } else { State::Degraded },
        found: if mode == "0" { "none" } else { "we run under one" }.to_owned(),
        needed: "none that has a listener of its own: the kernel permits one listener for each process",
        fix: "start vgpu-run outside of the other supervisor; else programs are traced",
    }
}

fn process_files() -> Check {
    let mounts = procfs::read_to_string("self/mounts").unwrap_or_default();
    let proc = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/proc"));
    let hidden = proc.is_some_and(|line| line.contains("hidepid=") && !line.contains("hidepid=0"));
    let (state, found) = match procfs::place() {
        Place::Nowhere => (State::Degraded, "not mounted"),
        Place::Private => (State::Good, "not mounted; vgpu-run has a mount of its own"),
        Place::Mounted if hidden => (State::Degraded, "mounted with hidepid"),
        Place::Mounted => (State::Good, "mounted"),
    };
    Check {
        name: "/proc",
        state,
        found: found.to_owned(),
        needed: "mounted, without hidepid where programs change their user; root can do without. An ordinary user without it \
                 needs a cache directory and Linux 6.13, and the report knows less",
        fix: "mount it: `mount -t proc proc /proc`",
    }
}

fn ptrace_scope() -> Check {
    let scope = procfs::read_to_string("sys/kernel/yama/ptrace_scope").ok();
    let (state, found) = match scope.as_deref().map(str::trim) {
        None => (State::Good, "no restriction".to_owned()),
        Some(scope @ ("0" | "1")) => (State::Good, scope.to_owned()),
        Some("2") if is_root() => (State::Good, "2, and we are root".to_owned()),
        Some(scope) => (State::Bad, scope.to_owned()),
    };
    Check {
        name: "kernel.yama.ptrace_scope",
        state,
        found,
        needed: "0 or 1: the paths that programs open are read from their memory, and ptrace may have to be used",
        fix: "run `sudo sysctl kernel.yama.ptrace_scope=1`; to keep it, put that into a file under sysctl.d",
    }
}

/// Calls on other processes that a container's profile may refuse; asked of nobody, so that only a profile's refusal shows.
fn calls_on_others() -> Check {
    let refused = |result: libc::c_long| {
        result == -1
            && matches!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EPERM | libc::ENOSYS))
    };
    // SAFETY: a read of nothing, and a descriptor that is none: neither call touches memory.
    let reads = unsafe { libc::syscall(libc::SYS_process_vm_readv, libc::getpid(), 0, 0, 0, 0, 0) };
    let reads = refused(reads).then_some("process_vm_readv");
    // SAFETY: as above.
    let descriptors = unsafe { libc::syscall(libc::SYS_pidfd_getfd, -1, 0, 0) };
    let descriptors = refused(descriptors).then_some("pidfd_getfd");
    let refused: Vec<&str> = [reads, descriptors].into_iter().flatten().collect();
    Check {
        name: "calls on other processes",
        state: if refused.is_empty() { State::Good } else { State::Degraded },
        found: if refused.is_empty() {
            "permitted".to_owned()
        } else {
            format!("refused: {}", refused.join(", "))
        },
        needed: "without process_vm_readv, /proc is used instead; without pidfd_getfd, `--overlay full` lists no driver",
        fix: "permit them in the container's seccomp profile; Docker's does so if CAP_SYS_PTRACE is added",
    }
}

fn descriptors() -> Check {
    const WANTED: u64 = 4096;
    let most = limit(libc::RLIMIT_NOFILE);
    Check {
        name: "open files, hard limit",
        state: if most >= WANTED { State::Good } else { State::Degraded },
        found: most.to_string(),
        needed: "4096: each open of the device holds one in the supervisor",
        fix: "raise the limit: `ulimit -Hn 65536`, or nofile in limits.conf",
    }
}

fn file_size() -> Check {
    let most = limit(libc::RLIMIT_FSIZE);
    let unlimited = most == libc::RLIM_INFINITY;
    Check {
        name: "file size, hard limit",
        state: if unlimited { State::Good } else { State::Bad },
        found: if unlimited { "none".to_owned() } else { format!("{most} bytes") },
        needed: "none: device memory is a memory file, and the limit counts for these too",
        fix: "raise the limit: `ulimit -f unlimited`",
    }
}

fn memory() -> Check {
    const WANTED: u64 = 4 << 20;
    let text = procfs::read_to_string("meminfo").unwrap_or_default();
    let available = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: u64 = available.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    Check {
        name: "available memory",
        state: if kib >= WANTED { State::Good } else { State::Degraded },
        found: format!("{} MiB", kib / 1024),
        needed: "4096 MiB for small language models; the card's memory is at most half of it",
        fix: "choose a smaller model, or give the machine more memory",
    }
}

fn processor() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let fast = std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
    Check {
        name: "processor",
        state: if fast { State::Good } else { State::Degraded },
        found: format!("{cores} cores, {}", if fast { "AVX2 and FMA" } else { "without AVX2 or FMA" }),
        needed: "AVX2 and FMA for speed",
        fix: "use a processor of 2015 or later, or tell the virtual machine to pass its features on",
    }
}

fn payload(places: &Places) -> Check {
    let files = places.files();
    let entries = files.iter().flat_map(|files| &files.manifest().entries);
    let names: Vec<&str> = entries.map(|entry| entry.name.as_str()).collect();
    let has = |name: &str| names.contains(&name);
    let state = match (has("libcuda.so.1"), has("libnvidia-ml.so.1")) {
        (true, true) => State::Good,
        (true, false) => State::Degraded,
        (false, _) => State::Bad,
    };
    Check {
        name: "payload libraries",
        state,
        found: match (files, &places.payload) {
            (Some(files), _) => format!("{}: {}", files.origin(), names.join(", ")),
            (None, Some(Err(why))) => why.clone(),
            (None, _) => "none".to_owned(),
        },
        needed: "libcuda.so.1; libnvidia-ml.so.1 for tools that show the device; the toolkit libraries that programs bring",
        fix: "run `make build`, or install vgpu-run again",
    }
}

fn c_library(payload: Option<&Arc<Files>>) -> Check {
    let own = systems_glibc();
    let wanted = payload.and_then(|payload| needed_glibc(&payload.read("libcuda.so.1").ok()?));
    let dotted =
        |version: Option<(u32, u32)>| version.map_or("unknown".to_owned(), |(a, b)| format!("{a}.{b}"));
    Check {
        name: "C library",
        state: match own {
            Some(_) if own >= wanted => State::Good,
            Some(_) => State::Bad,
            None => State::Degraded,
        },
        found: match own {
            Some(_) => format!("glibc {}; the payload needs {}", dotted(own), dotted(wanted)),
            None => format!("none at its usual places; the payload needs glibc {}", dotted(wanted)),
        },
        needed: "a glibc that is not older than the one that the payload was built for, in the root of each program",
        fix: "install glibc, or use a newer system",
    }
}

/// The version of the C library that programs here will get. Ours says nothing: it is linked into us.
fn systems_glibc() -> Option<(u32, u32)> {
    const PLACES: [&str; 3] = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"];
    let facts = PLACES.iter().find_map(|place| inspect(Path::new(place)))?;
    facts.nodes.iter().filter_map(|node| version(node.strip_prefix("GLIBC_")?)).max()
}

/// The newest version node of glibc that a library wants.
fn needed_glibc(library: &[u8]) -> Option<(u32, u32)> {
    let facts = inspect::read(library)?;
    let nodes = facts
        .imports
        .iter()
        .filter_map(|import| Some(import.version.as_ref()?.1.strip_prefix("GLIBC_")?.to_owned()));
    nodes.filter_map(|node| version(&node)).max()
}

fn cache(places: &Places) -> Check {
    let store = places.files().map(|files| Store::new(files.clone(), places.cache.as_deref()));
    let (state, found) = match store.as_ref().map(|store| (store.why_in_memory(), store.directory())) {
        None => (State::Degraded, "not tried, as there is no payload".to_owned()),
        Some((Some(why), _)) => (State::Degraded, format!("none: {why}")),
        Some((None, directory)) => (State::Good, directory.display().to_string()),
    };
    Check {
        name: "cache directory",
        state,
        found,
        needed: "one of our own that nobody else can write: else the files are copied to memory at each run",
        fix: "set XDG_CACHE_HOME to a directory that can be written",
    }
}

fn real_driver() -> Check {
    let version = procfs::read_to_string("driver/nvidia/version").ok();
    let first = version.as_deref().and_then(|text| text.lines().next());
    Check {
        name: "NVIDIA driver",
        state: State::Good,
        found: first.unwrap_or("none on this machine; programs see ours").to_owned(),
        needed: "none",
        fix: "",
    }
}

fn is_root() -> bool {
    // SAFETY: has no precondition.
    unsafe { libc::geteuid() == 0 }
}

fn limit(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limits` is ours to write and outlives the call.
    unsafe { libc::getrlimit(resource, &mut limits) };
    limits.rlim_max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_releases() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version("2.36"), Some((2, 36)));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn missing_payload_is_bad_and_says_what_to_do() {
        let checks = checks(&Places::default());
        let payload = checks.iter().find(|check| check.name == "payload libraries").unwrap();
        assert_eq!((payload.state, worst(&checks)), (State::Bad, State::Bad));
        let text = text(&checks);
        assert!(
            text.contains("bad       payload libraries: none") && text.contains("hint: run `make build`"),
            "{text}"
        );
        assert!(markdown(&checks).contains("| payload libraries | bad | none |"));
    }

    #[test]
    fn what_this_machine_offers_is_found() {
        let checks = checks(&Places::default());
        let found = |name: &str| checks.iter().find(|check| check.name == name).unwrap().found.clone();
        assert_eq!(found("architecture"), "x86_64");
        assert!(found("C library").starts_with("glibc 2."));
        assert_ne!(found("available memory"), "0 MiB");
    }
}
