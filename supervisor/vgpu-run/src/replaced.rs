//! Which processes have begun another program.
//!
//! The filter shows an exec before it happens; whether it succeeded shows in what the process is afterwards.
//! Only clients of the device are asked about: what they hold ends with the program that they were.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Processes that were about to exec.
#[derive(Default)]
pub struct Replaced {
    pending: Vec<Pending>,
}

struct Pending {
    tgid: i32,
    before: Identity,
    since: Instant,
}

/// An exec that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often pending ones are looked at when nothing else happens.
const INTERVAL: i32 = 20;

/// What an exec changes: the program, and where the kernel put its stack.
#[derive(PartialEq, Eq)]
struct Identity {
    exe: Option<PathBuf>,
    stack: Option<u64>,
}

impl Identity {
    fn of(tgid: i32) -> Self {
        let stat = procfs::read_to_string(&format!("{tgid}/stat")).unwrap_or_default();
        // Field 28, startstack, counted from the name, which may hold anything.
        let after_name = stat.rfind(')').map(|end| &stat[end + 1..]);
        let stack = after_name.and_then(|fields| fields.split_whitespace().nth(25)?.parse().ok());
        Self { exe: procfs::read_link(&format!("{tgid}/exe")).ok(), stack }
    }
}

impl Replaced {
    /// This process is about to exec and has not been answered yet.
    pub fn expect(&mut self, tgid: i32) {
        self.pending.retain(|pending| pending.tgid != tgid);
        self.pending.push(Pending { tgid, before: Identity::of(tgid), since: Instant::now() });
    }

    /// How long to wait before looking again; -1 when there is nothing to look at.
    pub fn interval(&self) -> i32 {
        if self.pending.is_empty() { -1 } else { INTERVAL }
    }

    /// Those that have become another program since.
    pub fn look(&mut self) -> Vec<i32> {
        let mut replaced = Vec::new();
        self.pending.retain(|pending| {
            if Identity::of(pending.tgid) != pending.before {
                replaced.push(pending.tgid);
                return false;
            }
            pending.since.elapsed() < PATIENCE
        });
        replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    #[test]
    fn an_exec_is_seen_and_no_exec_is_not() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo; read line; exec sleep 100"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        // Before its first word it may not have a stack yet.
        shell.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let mut replaced = Replaced::default();
        replaced.expect(shell.id() as i32);
        assert!(replaced.look().is_empty());
        shell.stdin.take().unwrap().write_all(b"\n").unwrap();
        let seen = std::iter::repeat_with(|| replaced.look()).find(|seen| !seen.is_empty());
        assert_eq!(seen, Some(vec![shell.id() as i32]));
        assert_eq!(replaced.interval(), -1);
        shell.kill().unwrap();
        shell.wait().unwrap();
    }
}
