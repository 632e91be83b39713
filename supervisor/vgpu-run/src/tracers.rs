//! Programs of a traced tree that want to trace: the kernel permits one tracer, and that is we.

use interception::Request;

/// Whether this ptrace call asks for a thread that we trace: the kernel will refuse it.
pub fn wants_what_we_trace(request: &Request) -> bool {
    let [operation, target, ..] = request.arguments;
    match operation as libc::c_uint {
        // The caller is to be traced by its parent.
        libc::PTRACE_TRACEME => true,
        libc::PTRACE_ATTACH | libc::PTRACE_SEIZE => is_ours(target as i32),
        // These are about a thread that one of the others was to get.
        _ => false,
    }
}

/// In another pid namespace the number is somebody else's or nobody's here; that namespace is one of our tree's.
fn is_ours(tid: i32) -> bool {
    let Ok(status) = procfs::read_to_string(&format!("{tid}/status")) else { return true };
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.and_then(|tracer| tracer.trim().parse().ok()) == Some(std::process::id())
}
