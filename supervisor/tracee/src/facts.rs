//! What `/proc` says about a process.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// What is known of a process at one moment. Where `/proc` says nothing (hidepid, no /proc, process gone)
/// the field is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The program it runs.
    pub exe: Option<PathBuf>,
    /// Its arguments, the program's name first.
    pub arguments: Vec<String>,
    /// The process that started it, or that took it over.
    pub parent: Option<i32>,
}

impl Facts {
    /// Reads them.
    pub fn of(tgid: i32) -> Self {
        Self { exe: exe(tgid), arguments: arguments(tgid), parent: parent(tgid) }
    }
}

fn exe(tgid: i32) -> Option<PathBuf> {
    procfs::read_link(&format!("{tgid}/exe")).ok()
}

fn arguments(tgid: i32) -> Vec<String> {
    let text = procfs::read(&format!("{tgid}/cmdline")).unwrap_or_default();
    let parts = text.split_inclusive(|&byte| byte == 0).map(|part| part.strip_suffix(&[0]).unwrap_or(part));
    parts.map(|part| std::ffi::OsString::from_vec(part.to_vec()).to_string_lossy().into_owned()).collect()
}

/// The fourth field of `stat`, counted from the closing parenthesis of the name, which may hold anything.
fn parent(tgid: i32) -> Option<i32> {
    let stat = procfs::read_to_string(&format!("{tgid}/stat")).ok()?;
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_a_child_name_its_program_arguments_and_parent() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        // The child is there a moment before its arguments are.
        while arguments(child.id() as i32).is_empty() {
            std::thread::yield_now();
        }
        let facts = Facts::of(child.id() as i32);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(facts.arguments, ["sleep", "100"]);
        assert_eq!(facts.parent, Some(std::process::id() as i32));
        assert!(facts.exe.is_some());
    }

    #[test]
    fn nothing_is_known_of_nobody() {
        assert_eq!(Facts::of(-1), Facts::default());
    }
}
