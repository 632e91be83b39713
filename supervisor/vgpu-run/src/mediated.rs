//! The host engine: what connects the mediator with requests to this machine's driver.

use std::os::fd::OwnedFd;

use interception::{Reply, Request};
use mediation::{
    Answer, BeginError, Caller, Choice, Driver, Frozen, Identity, Mapping, Mediator, WorkerError,
};
use tracee::{Memory, PidFd, RemotePtr};

use crate::cli::{Engine, Gpus, Session};
use crate::failure::{Doing, Failure};
use crate::policies;

/// This machine's driver, if the session is to have it.
pub fn find(session: &Session) -> Result<Option<Driver>, Failure> {
    check_observation(session)?;
    check_cores(session)?;
    check_policy(session)?;
    if session.engine != Engine::Host {
        return Ok(None);
    }
    let mut driver = Driver::find(session.driver_abi.as_deref()).map_err(|error| {
        let failure = Failure::new("cannot use this machine's GPU").cause(&error);
        match error {
            BeginError::NoDriver(_) => failure.hint("leave out `--engine host`: kernels run on the CPU then"),
            BeginError::Version(unknown) => failure.hint(unknown.hint()),
        }
    })?;
    if session.observe {
        driver.observe();
    }
    if let Some(gpus) = &session.gpus {
        let choice = match gpus {
            Gpus::Count(count) => Choice::First(*count as usize),
            Gpus::Named(names) => Choice::Named(names.clone()),
        };
        let chosen = driver.choose(&choice).doing("choose among this machine's GPUs");
        chosen.map_err(|failure| failure.hint("`nvidia-smi -L` lists them"))?;
    }
    policies::apply(session, &mut driver)?;
    Ok(Some(driver))
}

/// Whether what is only looked at is to be more than that.
fn check_observation(session: &Session) -> Result<(), Failure> {
    let contradictions = [
        (
            session.engine != Engine::Host,
            "it is the calls of this machine's driver that are observed",
            "add `--engine host`",
        ),
        (session.memory.is_some(), "`--memory` is a limit", "leave one of them out"),
        (session.gpus.is_some(), "`--gpus` is a limit", "leave one of them out"),
        (session.cores.is_some(), "`--cores` is a limit", "leave one of them out"),
        (has_policy(session), "`--allow`, `--deny` and `--policy` are limits", "leave one of them out"),
        (session.learn.is_some(), "what is refused otherwise is not learned", "learn without `--observe`"),
        (session.record.is_some(), "a recording needs what calls are answered", "record without `--observe`"),
    ];
    match contradictions.into_iter().find(|(is_one, ..)| session.observe && *is_one) {
        None => Ok(()),
        Some((_, why, hint)) => {
            Err(Failure::new("`--observe` only looks, and limits nothing").cause(why).hint(hint))
        }
    }
}

/// Whether there is a card whose time can be limited.
fn check_cores(session: &Session) -> Result<(), Failure> {
    match session.cores.filter(|_| session.engine != Engine::Host) {
        None => Ok(()),
        Some(_) => Err(Failure::new("`--cores` is a part of the time of this machine's GPU")
            .cause("the program gets a virtual one, whose kernels run on the CPU")
            .hint("add `--engine host`, or limit the CPU: `taskset`, cgroups")),
    }
}

fn has_policy(session: &Session) -> bool {
    !session.allow.is_empty() || !session.deny.is_empty() || session.policy.is_some()
}

/// Whether there is a driver of which something may be asked or not.
fn check_policy(session: &Session) -> Result<(), Failure> {
    match has_policy(session) && session.engine != Engine::Host {
        false => Ok(()),
        true => Err(Failure::new(
            "`--allow`, `--deny` and `--policy` are about what is asked of this machine's driver",
        )
        .cause("the program gets a virtual GPU, which has none")
        .hint("add `--engine host`, or leave them out")),
    }
}

/// Prepares processes that execute calls.
pub fn begin(driver: Driver, session: &Session) -> Result<Mediator, Failure> {
    let begun = Mediator::begin(driver, session.memory);
    let mut mediator = begun.doing("prepare the processes that execute device calls")?;
    if let Some(share) = session.cores {
        mediator.pace(share);
    }
    Ok(mediator)
}

/// How a request is answered.
pub enum Mediated {
    /// With this.
    Reply(Reply),
    /// Once the driver has executed it.
    Later,
    /// The kernel executes it while the threads of its process stand still.
    Frozen(Frozen),
}

/// What the driver, or the mediator, says to a request. `behind`: threads of its process that wait for an answer as well.
pub fn answer(
    mediator: &mut Mediator,
    request: &Request,
    asker: &mut Asker,
    behind: &[i32],
) -> Result<Mediated, WorkerError> {
    let (descriptor, answer) = match (request.number, request.arguments) {
        (libc::SYS_mmap, [_, length, _, _, descriptor, offset]) => {
            let mapping = Mapping { descriptor: descriptor as i32, length, offset };
            (mapping.descriptor, mediator.mmap(&mapping, asker))
        }
        (_, [descriptor, number, argument, ..]) => {
            let descriptor = descriptor as i32;
            (descriptor, mediator.ioctl(descriptor, number as u32, argument, asker)?)
        }
    };
    Ok(match answer {
        // Another thread could put a node in the file's place before the kernel looks.
        Answer::NotOurs if has_one_thread(asker.tgid) => Mediated::Reply(Reply::Continue),
        Answer::NotOurs => freeze(asker, behind, |asker| mediator.is_none_of_ours(descriptor, asker)),
        Answer::Frozen { address, expected } => freeze(asker, behind, |asker| {
            let mut now = vec![0; expected.len()];
            asker.read(address, &mut now) && now == expected
        }),
        answer => reply(answer),
    })
}

/// What came of a request that was put off; none if nobody knows of it.
pub fn settle(mediator: &mut Mediator, asker: &mut Asker) -> Option<Result<Mediated, WorkerError>> {
    mediator.settle(asker).map(|answer| answer.map(reply))
}

/// An answer that needs nothing else to be done. Those that do are given when a call is begun.
fn reply(answer: Answer) -> Mediated {
    match answer {
        Answer::Return(value) => Mediated::Reply(Reply::Return(value)),
        Answer::Errno(errno) => Mediated::Reply(Reply::Errno(errno)),
        Answer::Observed => Mediated::Reply(Reply::Continue),
        Answer::Later => Mediated::Later,
        Answer::NotOurs | Answer::Frozen { .. } => Mediated::Reply(Reply::Errno(libc::EPERM)),
    }
}

fn has_one_thread(tgid: i32) -> bool {
    procfs::threads(tgid).len() == 1
}

/// Lets a call through if, with all threads stopped, it still is what it was.
fn freeze(asker: &mut Asker, still: &[i32], is_the_same: impl FnOnce(&mut Asker) -> bool) -> Mediated {
    let frozen = match Frozen::begin(asker.tgid, asker.request.tid, still) {
        Ok(frozen) => frozen,
        Err(error) => {
            tracing::warn!("the threads of process {} cannot be stopped: {error}", asker.tgid);
            return Mediated::Reply(Reply::Errno(libc::EPERM));
        }
    };
    match is_the_same(asker) && asker.is_alive() {
        true => Mediated::Frozen(frozen),
        false => Mediated::Reply(Reply::Errno(libc::EPERM)),
    }
}

/// The asker, as the mediator wants to see it.
pub struct Asker<'a> {
    request: &'a Request,
    tgid: i32,
    handle: Option<PidFd>,
}

impl<'a> Asker<'a> {
    /// The thread behind `request`, of process `tgid`.
    pub fn new(request: &'a Request, tgid: i32) -> Self {
        Self { request, tgid, handle: None }
    }
}

impl Caller for Asker<'_> {
    fn process(&self) -> i32 {
        self.tgid
    }

    fn thread(&self) -> i32 {
        self.request.tid
    }

    fn identity(&self) -> Identity {
        let numbers = |name| {
            let text = procfs::status_field(self.request.tid, name).unwrap_or_default();
            text.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u32>>()
        };
        // Real, effective, saved, of the file system.
        let effective = |name| numbers(name).get(1).copied().unwrap_or(u32::MAX);
        Identity { user: effective("Uid"), group: effective("Gid"), groups: numbers("Groups") }
    }

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        bytes.is_empty() || Memory::of(self.request.tid).read_bytes(RemotePtr::new(address), bytes).is_ok()
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        // Of one that was killed meanwhile the number may be another's, whose memory this is not.
        self.is_alive() && Memory::of(self.request.tid).write_bytes(RemotePtr::new(address), bytes).is_ok()
    }

    fn descriptor(&mut self, number: i32) -> Option<OwnedFd> {
        if self.handle.is_none() {
            self.handle = PidFd::of_thread(self.request.tid).or_else(|_| PidFd::open(self.tgid)).ok();
        }
        self.handle.as_ref()?.descriptor(number).ok()
    }

    fn replace(&mut self, number: i32, file: OwnedFd) -> std::io::Result<()> {
        self.request.give_as(&file, number, true)
    }

    fn is_alive(&self) -> bool {
        self.request.is_alive()
    }
}

#[cfg(test)]
mod tests;
