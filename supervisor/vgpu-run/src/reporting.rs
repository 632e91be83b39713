//! What the report hears from the rest, and its printing.

use broker::Event;
use mediation::{Denied, OverLimit, Set, TimeUsed};
use nix::errno::Errno;
use overlay::{Answer, Overlay};
use procfs::Place;
use report::{Finding, Form, Report, Severity};
use tracee::MemoryError;
use wire::control::Note;

use crate::cli::{self, Log, Session};
use crate::own_filters::Conflict;

/// Prints the report if it was asked for, or if something went wrong.
pub fn print(report: &mut Report, session: &Session) {
    if !session.check.is_empty() && session.report != Some(cli::Report::Json) {
        eprint!("{}", report.render_checks());
    }
    let form = match session.report {
        Some(cli::Report::Human) => Form::Full,
        Some(cli::Report::Json) => Form::Json,
        None if session.log > Log::Off && report.went_wrong() => Form::Short,
        None => return,
    };
    eprint!("{}", report.render(form));
}

/// An answer in a word.
pub fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Continue => "left to the kernel".to_owned(),
        Answer::File(_) => "given".to_owned(),
        Answer::Node(_) => "a device node".to_owned(),
        Answer::Errno(errno) => format!("refused ({})", std::io::Error::from_raw_os_error(*errno)),
    }
}

/// A process, with its program if that is known.
fn process(tid: i32) -> String {
    let program = tracee::Facts::of(tid).exe.map_or_else(String::new, |exe| format!(" ({})", exe.display()));
    format!("process {tid}{program}")
}

/// The names of files that a process opens are in memory that we may not read.
pub fn unread(tid: i32, error: &MemoryError) -> Finding {
    let what = "the files that it opens are not answered by vgpu-run";
    Finding::new(Severity::Warning, format!("memory of {} cannot be read: {what}", process(tid)))
        .cause(format!("error {} of the kernel", error.errno()))
        .hint("in a container: the seccomp profile has to permit `process_vm_readv`, or /proc has to be mounted")
        .hint("otherwise the program has made itself undumpable, and is followed only if vgpu-run runs as root")
}

/// A directory is listed as the machine has it.
pub fn unlisted(error: &std::io::Error) -> Finding {
    Finding::new(Severity::Warning, "listings show no driver: the directories of the program cannot be opened by us")
        .cause(format!("pidfd_getfd: {error}"))
        .hint("in a container: the seccomp profile has to permit `pidfd_getfd`; Docker's does if CAP_SYS_PTRACE is added")
}

/// An answer did not reach the process, whose call was made as if we were not there.
pub fn unanswered(tid: i32, error: &std::io::Error) -> Finding {
    Finding::new(Severity::Warning, format!("a call of {} could not be answered", process(tid)))
        .cause(error.to_string())
}

/// The process has no room for a descriptor. Without us it may have: passing one to a traced thread takes up to three.
pub fn no_room(tid: i32) -> Finding {
    let what = "has no descriptor left for a file that vgpu-run has for it (EMFILE)";
    Finding::new(Severity::Warning, format!("{} {what}", process(tid))).hint("raise its limit (`ulimit -n`)")
}

/// A control call failed at the last step.
pub fn not_installed(tid: i32, error: &std::io::Error) -> Finding {
    let what = "could not be given a descriptor of device memory";
    Finding::new(Severity::Warning, format!("{} {what}", process(tid))).cause(error.to_string())
}

/// A driver without emulation was asked for something.
pub fn no_driver(tid: i32, why: &str) -> Finding {
    let what = "speaks to the kernel driver itself, and is told that there is none";
    Finding::new(Severity::Warning, format!("{} {what}", process(tid)))
        .cause(why)
        .hint("programs that use libcuda or libnvidia-ml need no emulated driver; `--gpu h100` has one")
}

/// A call that the tables of the driver's release do not have.
pub fn not_mediated(what: &str, version: &str) -> Finding {
    let message =
        format!("`{what}` was asked of the driver {version}; vgpu-run does not know it and refused");
    Finding::new(Severity::Warning, message).hint("please report it, with the program that asked")
}

/// A call that the session may not make.
pub fn denied(Denied { what, set }: &Denied) -> Finding {
    let message = format!("`{what}` was asked of the driver, and is not allowed");
    let finding = Finding::new(Severity::Warning, message);
    let finding = finding.cause(format!("it belongs to the set `{}`", set.name()));
    match set {
        // Without a list of rows it is always allowed.
        Set::Basic => finding.hint("its name in the `--policy` would allow it"),
        _ => finding.hint(format!(
            "`--allow {0}`, or no `--deny {0}`, would allow it; or its name in the `--policy`",
            set.name()
        )),
    }
}

/// The session has no more memory for a process.
pub fn over_limit(pid: i32, over: &OverLimit) -> Finding {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let what = format!("{} MiB were refused, where {} MiB are held", mib(over.asked), mib(over.held));
    Finding::new(Severity::Warning, format!("{} got no more memory of the card", process(pid)))
        .cause(format!("the first time {what} and the limit is {} MiB", over.limit >> 20))
        .hint("`vgpu-run limit PID --memory SIZE` changes the limit while it runs")
}

/// The same where calls are only looked at.
pub fn not_known(what: &str, version: &str) -> Finding {
    let message = format!(
        "`{what}` was asked of the driver {version}; vgpu-run does not know it, and without `--observe` would refuse"
    );
    Finding::new(Severity::Remark, message).hint("please report it, with the program that asked")
}

/// Calls are only looked at.
pub fn observes() -> Finding {
    Finding::new(
        Severity::Remark,
        "nothing is limited: calls of this machine's driver are looked at, and left to the kernel",
    )
    .cause("`--observe`")
}

/// The process that executes calls is gone.
pub fn worker_lost(tid: i32, error: &dyn std::error::Error) -> Finding {
    Finding::new(Severity::Error, format!("a device call of {} was not executed", process(tid)))
        .cause(error.to_string())
}

/// What a limited session has had of the cards' time.
pub fn time_used(time: &TimeUsed) -> Finding {
    let (used, of) = (time.used.as_secs_f64(), time.of.as_secs_f64());
    let message = format!(
        "kernels could run for {used:.2} of {of:.2} seconds in which there was a context, in {} turns (`--cores`, last {})",
        time.turns, time.share
    );
    Finding::new(Severity::Remark, message)
}

/// A channel that takes no turns.
pub fn unpaced(what: &str) -> Finding {
    Finding::new(Severity::Warning, "a program had more of the cards' time than `--cores` says").cause(what)
}

/// Not beside a real GPU.
pub fn no_io_uring(tid: i32) -> Finding {
    Finding::new(Severity::Remark, format!("{} is refused io_uring (EPERM)", process(tid)))
        .cause("with `--engine host` nothing may pass by the system calls that are looked at")
}

/// Something that the emulated driver refuses because nobody has taught it.
pub fn not_emulated(what: &str) -> Finding {
    let message = format!("`{what}` was asked of the emulated driver, which does not know it and refused");
    Finding::new(Severity::Warning, message)
}

/// A call that the recording which answers does not have.
pub fn not_recorded(what: &str) -> Finding {
    Finding::new(Severity::Error, format!("the recording has no such call: {what}"))
        .hint("record the program as it is run now: `vgpu-run record FILE -- CMD`")
}

/// A recording has calls, and none of what a card does.
pub fn needs_a_card(what: &str) -> Finding {
    Finding::new(Severity::Error, format!("a recording cannot run kernels, and the program asks for {what}"))
        .hint("what only asks the driver can be answered; run the program on a card: `--engine host`")
}

/// A process can have one tracer, and that is we.
pub fn debugger(tid: i32) -> Finding {
    let message =
        format!("{} uses ptrace, but what it wants to trace is traced by vgpu-run already", process(tid));
    Finding::new(Severity::Warning, message)
        .cause("the mechanism in use is ptrace, and the kernel permits one tracer")
        .hint("debuggers work with `--mechanism notify`")
}

/// The device node can't be had for want of something of ours.
pub fn no_node(tid: i32, errno: Errno) -> Finding {
    let finding =
        Finding::new(Severity::Error, format!("{} could not open the virtual device", process(tid)));
    let finding = finding.cause(errno.to_string());
    match errno {
        Errno::EMFILE => finding
            .hint("vgpu-run holds one descriptor for each open of it: raise the hard limit (`ulimit -Hn`)"),
        _ => finding,
    }
}

/// Opens through a ring are not seen.
pub fn io_uring(tid: i32) -> Finding {
    Finding::new(Severity::Remark, format!("{} uses io_uring", process(tid)))
        .cause("files that it opens through a ring are not answered by vgpu-run")
}

/// A filter of the program's own that does not do beside ours what it does alone.
pub fn own_filter(tid: i32, conflict: Conflict) -> Finding {
    let finding = |severity, what| Finding::new(severity, format!("{} {what}", process(tid)));
    match conflict {
        Conflict::Listener => finding(Severity::Warning, "is refused a seccomp listener of its own (EBUSY)")
            .cause("the kernel allows one listener for a process tree, and vgpu-run has it"),
        Conflict::Strict => finding(Severity::Warning, "is refused seccomp's strict mode (EINVAL)")
            .cause("the kernel has it for processes without a filter only, and vgpu-run's is in place"),
        Conflict::Tracer => finding(Severity::Remark, "installs a seccomp filter that hands calls to a tracer")
            .cause("the tracer sees none of the calls that come to vgpu-run: open, openat, openat2, execve, execveat")
            .hint("a tracer that stops at all calls sees these as well: leave out strace's `--seccomp-bpf`"),
    }
}

/// The same, of a process that is traced: nothing is refused, but its own filter comes first.
pub fn own_filter_of_traced(tid: i32, conflict: Conflict) -> Finding {
    let finding = |severity, what: &str| Finding::new(severity, format!("{} {what}", process(tid)));
    match conflict {
        Conflict::Listener => finding(Severity::Warning, "installs a seccomp listener of its own").cause(
            "what it listens to does not come to a tracer, so vgpu-run sees none of these calls any more",
        ),
        Conflict::Strict => finding(Severity::Remark, "asks for seccomp's strict mode")
            .cause("the kernel has it for processes without a filter only"),
        Conflict::Tracer => {
            finding(Severity::Remark, "installs a seccomp filter that hands calls to a tracer")
                .cause("its tracer is vgpu-run, which lets them through")
        }
    }
}

/// What this machine lacks that a run is better with.
pub fn surroundings(report: &mut Report, overlay: &Overlay) {
    if let Some(why) = overlay.why_in_memory() {
        let finding =
            Finding::new(Severity::Remark, "our libraries are given from memory: no cache directory");
        report.remark(finding.cause(why).hint("let XDG_CACHE_HOME name a directory that can be written"));
    }
    if procfs::place() == Place::Nowhere {
        let finding = Finding::new(Severity::Warning, "/proc is not mounted, and we may not mount it");
        let needs = "then we need a cache directory and Linux 6.13, an exec of a process that has a context is not seen, \
                     and this report knows less of processes";
        report.remark(finding.cause(needs).hint("mount it: `mount -t proc proc /proc`"));
    }
}

/// What the broker tells.
pub fn broker_event(report: &mut Report, event: &Event) {
    match event {
        Event::Note { process, kind, caller, value, text } => {
            let note = Note { kind: *kind, caller: *caller, value: *value };
            report.noted(*process as i32, &note, text);
        }
        Event::EngineStarted { .. } => {}
        Event::EngineFailed { process, text } => report.remark(
            Finding::new(Severity::Error, format!("the engine for process {process} could not be started"))
                .cause(text.clone()),
        ),
        Event::EngineEnded { process, error, text } => report.remark(
            Finding::new(
                Severity::Error,
                format!("the engine of process {process} ended; the process sees CUDA error {error}"),
            )
            .cause(text.clone()),
        ),
        Event::Injected { number, text } => {
            tracing::info!("injected fault {number}: {text}");
            report.remark(Finding::new(Severity::Remark, format!("injected fault {number}: {text}")));
        }
        Event::NotInjected { fault, why } => report.remark(
            Finding::new(Severity::Error, format!("what --inject says did not happen: {fault}"))
                .cause(why.to_string()),
        ),
        Event::Set { process, text } => {
            report.remark(Finding::new(Severity::Remark, format!("process {process} has set {text}")));
        }
        Event::KeptOut { process, text } => report.refused(
            *process as i32,
            Finding::new(Severity::Warning, format!("process {process} gets no context: {text}"))
                .hint("let root set the mode back: `nvidia-smi -c 0`"),
        ),
        Event::Finished { process, kernels, peak } => report.finished(*process as i32, kernels, *peak),
    }
}
