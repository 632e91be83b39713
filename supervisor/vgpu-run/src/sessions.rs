//! Sessions that run, and what they can be told to do.
//!
//! ```text
//!   vgpu-run inject, limit ──finds sessions as `vgpu-run top` does──▶ words to the supervisor's inbox (top::order)
//!                                                                       └──▶ faults or limits ──▶ what was done, or why not
//! ```

use std::process::ExitCode;

use top::Snapshot;

use crate::failure::{Doing, Failure};

/// Tells a session something, the one of process `named` or the only one, and prints what it answers. `what`: completes "cannot …".
pub fn order(named: Option<u32>, words: &str, what: &str) -> Result<ExitCode, Failure> {
    let found = top::find().doing("look for sessions")?;
    let session = choose(&found.sessions, named)
        .map_err(|failure| found.silent.iter().fold(failure, |failure, pid| failure.hint(silent(*pid))))?;
    let doing = format!("reach the session of supervisor {}", session.supervisor);
    match top::order(&session.faults, words).doing(&doing)? {
        Ok(done) => {
            println!("{done}");
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => Err(Failure::new(format!("cannot {what}")).cause(why)),
    }
}

/// The session that is meant: the one of that process, or the only one.
fn choose(sessions: &[Snapshot], named: Option<u32>) -> Result<&Snapshot, Failure> {
    let listed = |failure: Failure| {
        sessions.iter().fold(failure, |failure, session| failure.hint(in_one_line(session)))
    };
    let found = match (named, sessions) {
        (Some(pid), _) => {
            let found = sessions.iter().find(|session| is_of(session, pid));
            found.ok_or_else(|| listed(Failure::new(format!("no session of this user is of process {pid}"))))
        }
        (None, [one]) => Ok(one),
        (None, []) => {
            let failure = Failure::new("no vgpu-run of this user is running here");
            Err(failure
                .hint("sessions in other network namespaces, as those of containers may be, are not seen"))
        }
        (None, _) => Err(listed(Failure::new("several sessions run: choose one with `--session PID`"))),
    };
    found.and_then(|session| match session.faults.is_empty() {
        true => {
            Err(Failure::new(format!("the session of supervisor {} takes no orders", session.supervisor)))
        }
        false => Ok(session),
    })
}

/// Whether a process belongs to a session: what the shell started, the supervisor, the program, one that has a context, or one that
/// comes of these.
fn is_of(session: &Snapshot, pid: u32) -> bool {
    let is_known = |pid: &u32| {
        [session.keeper, session.supervisor, session.program].contains(pid)
            || session.processes.iter().any(|process| process.pid == *pid)
    };
    ancestry(pid).any(|pid| is_known(&pid))
}

/// A process, its parent, and so on. What has lost its parent is the supervisor's child.
fn ancestry(pid: u32) -> impl Iterator<Item = u32> {
    let parent = |pid: &u32| procfs::status_field(*pid, "PPid")?.parse().ok();
    // Numbers may be reused while we look.
    std::iter::successors(Some(pid), parent).take_while(|pid| *pid > 1).take(1024)
}

fn in_one_line(session: &Snapshot) -> String {
    format!("--session {}: {}", session.supervisor, top::printable(&session.command.join(" ")))
}

fn silent(supervisor: u32) -> String {
    format!("supervisor {supervisor} does not answer: stopped, or busy")
}

#[cfg(test)]
mod tests {
    use top::Process;

    use super::*;

    fn session(supervisor: u32, context: u32) -> Snapshot {
        Snapshot {
            supervisor,
            keeper: supervisor - 1,
            program: supervisor + 1,
            faults: format!("inbox of {supervisor}"),
            command: vec!["serve".into(), "x\n".into()],
            processes: vec![Process { pid: context, ..Process::default() }],
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_only_session_is_meant_and_of_several_the_named_one() {
        let [one, other] = [session(10, 77), session(20, 88)];
        let chosen = |sessions: &[Snapshot], named| {
            choose(sessions, named).map(|session| session.supervisor).map_err(|failure| failure.to_string())
        };
        assert_eq!(chosen(std::slice::from_ref(&one), None), Ok(10));
        let both = [one, other];
        for pid in [19, 20, 21, 88] {
            assert_eq!(chosen(&both, Some(pid)), Ok(20), "{pid}");
        }
        let several = chosen(&both, None).unwrap_err();
        assert!(several.contains("--session PID"), "{several}");
        assert!(several.contains("hint: --session 20: serve x?\n"), "{several}");
        assert!(chosen(&both, Some(1)).unwrap_err().contains("process 1\n"));
        assert!(chosen(&[], None).unwrap_err().contains("no vgpu-run"));
    }

    #[test]
    fn what_comes_of_a_session_is_of_it() {
        let own = std::process::id();
        assert!(is_of(&session(own + 1, 0), own), "its keeper");
        let ancestors: Vec<u32> = ancestry(own).collect();
        assert_eq!(ancestors.get(1).copied().unwrap_or(own), std::os::unix::process::parent_id());
        assert!(ancestry(u32::MAX).count() == 1);
    }

    #[test]
    fn a_session_without_an_inbox_says_so() {
        let old = Snapshot { faults: String::new(), ..session(10, 77) };
        assert!(choose(&[old], None).unwrap_err().to_string().contains("takes no orders"));
    }
}
