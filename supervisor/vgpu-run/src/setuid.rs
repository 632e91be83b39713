//! Setuid programs, such as `sudo`: without new privileges they stay who they were.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::stat::Mode;
use overlay::Roots;
use report::{Finding, Severity};

/// What the report says of a program that would be another user's outside of this session. Precondition: privileges are not
/// given by exec (no `--allow-setuid`).
pub fn remark(tid: i32, program: &Path, roots: Roots) -> Option<Finding> {
    let file = match roots {
        Roots::Ours if program.is_absolute() => std::fs::metadata(program).ok()?,
        _ => file(tid, program)?,
    };
    if !file.is_file() || !Mode::from_bits_truncate(file.mode()).contains(Mode::S_ISUID) {
        return None;
    }
    // Real, effective, saved, and for files: it goes on as the second.
    let users = procfs::status_field(tid, "Uid")?;
    let user = users.split_whitespace().nth(1)?.parse().ok()?;
    (file.uid() != user).then(|| finding(tid, program, user, file.uid()))
}

/// In the thread's own view of files.
fn file(tid: i32, program: &Path) -> Option<std::fs::Metadata> {
    let program = program.to_str()?;
    let start = if program.starts_with('/') { "root" } else { "cwd" };
    procfs::metadata(&format!("{tid}/{start}/{program}")).ok()
}

fn finding(tid: i32, program: &Path, user: u32, owner: u32) -> Finding {
    let owner = if owner == 0 { "root".to_owned() } else { format!("user {owner}") };
    let message =
        format!("`{}` can't become {owner} in process {tid}, and stays user {user}", program.display());
    Finding::new(Severity::Remark, message)
        .cause("programs of a session get no new privileges: an ordinary user's seccomp filter needs that")
        .hint(
            "put vgpu-run below it: `sudo vgpu-run CMD…`; or start the session as root with `--allow-setuid`",
        )
}
