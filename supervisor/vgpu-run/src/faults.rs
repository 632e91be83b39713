//! `vgpu-run inject`: faults for operators' tests, at run time and from the start (`--inject`).
//!
//! ```text
//!   vgpu-run inject ──finds sessions as `vgpu-run top` does──▶ words to the supervisor's inbox (top::order)
//!                                                                └──▶ Broker::inject ──▶ what was done, or why not
//! ```

use std::process::ExitCode;

use broker::{Broker, Order, WORDS};
use top::{Answer, Snapshot};

use crate::cli::{Inject, Session};
use crate::failure::{Doing, Failure};

/// Orders a fault of a session that runs.
pub fn inject(order: &Inject) -> Result<ExitCode, Failure> {
    let words = order.words.join(" ");
    // Mistakes are told also where nothing runs.
    words.parse::<Order>().map_err(|mistake| misunderstood(&words, &mistake))?;
    let found = top::find().doing("look for sessions")?;
    let session = choose(&found.sessions, order.session)
        .map_err(|failure| found.silent.iter().fold(failure, |failure, pid| failure.hint(silent(*pid))))?;
    let doing = format!("reach the session of supervisor {}", session.supervisor);
    let answer = top::order(&session.faults, &words).doing(&doing)?;
    match answer {
        Ok(done) => {
            println!("{done}");
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => Err(Failure::new(format!("cannot inject `{words}`")).cause(why)),
    }
}

fn misunderstood(words: &str, mistake: &broker::Mistake) -> Failure {
    Failure::new(format!("`{words}` is no fault")).cause(mistake).hint(format!("faults are: {WORDS}"))
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

/// Whether a process belongs to a session: what the shell started, the supervisor, the program, one that has a context.
fn is_of(session: &Snapshot, pid: u32) -> bool {
    [session.keeper, session.supervisor, session.program].contains(&pid)
        || session.processes.iter().any(|process| process.pid == pid)
}

fn in_one_line(session: &Snapshot) -> String {
    format!("--session {}: {}", session.supervisor, top::printable(&session.command.join(" ")))
}

fn silent(supervisor: u32) -> String {
    format!("supervisor {supervisor} does not answer: stopped, or busy")
}

/// Executes an order that came to this session.
pub fn execute(broker: &mut Broker, words: &str) -> Answer {
    let order: Order = words.parse().map_err(|mistake: broker::Mistake| mistake.to_string())?;
    broker.inject(order).map_err(|refused| refused.to_string())
}

/// Whether `--inject` names cards that there will be. Whether these can have such a fault shows once they are announced.
pub fn check(session: &Session) -> Result<(), Failure> {
    let cards = session.inject.iter().filter_map(|order| order.card);
    match cards.into_iter().find(|card| *card >= session.gpus) {
        None => Ok(()),
        Some(card) => Err(Failure::new(format!("--inject: there is no GPU {card}"))
            .cause(format!("the session has {}", session.gpus))
            .hint("`--gpus N` makes more")),
    }
}

/// What `--inject` says waits for the cards.
pub fn from_the_start(session: &Session, broker: &mut Broker) {
    for order in &session.inject {
        // Nothing has been announced yet, so it is only kept.
        let _ = broker.inject(*order);
    }
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
    fn a_session_without_an_inbox_says_so() {
        let old = Snapshot { faults: String::new(), ..session(10, 77) };
        assert!(choose(&[old], None).unwrap_err().to_string().contains("takes no orders"));
    }
}
