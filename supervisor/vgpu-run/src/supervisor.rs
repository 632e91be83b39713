//! The process that answers: how it begins and ends. What it does in between is [`crate::main_loop`].

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;

use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{Pid, setpgid};
use notification::{InFlight, Listener};
use overlay::Overlay;
use syscall_filter::Coverage;
use tracee::PidFd;

use crate::card::Card;
use crate::cli::{self, Session};
use crate::descendants;
use crate::descriptors;
use crate::events::Events;
use crate::exits::Exits;
use crate::failure::{self, Doing, Failure};
use crate::inherited;
use crate::installation::Installation;
use crate::launch::{Launched, Plan};
use crate::link::{Link, Message};
use crate::main_loop::{MainLoop, Services};

/// Launches the program and serves its tree. The code is for the keeper only; the program's status goes
/// through the link.
pub fn run(session: &Session, link: Link, in_flight: InFlight) -> ExitCode {
    match serve(session, link, in_flight) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{failure}");
            descendants::end_all();
            ExitCode::from(failure::FAILED)
        }
    }
}

fn serve(session: &Session, link: Link, in_flight: InFlight) -> Result<(), Failure> {
    let _ = prctl::set_child_subreaper(true);
    let _ = prctl::set_name(c"vgpu-supervisor");
    let card = Card::new(session)?;
    let installation = Installation::find()?;
    let launched = launch(session)?;
    settle(&launched, &link);
    let services = services(session, card, &installation)?;
    let (listener, program) = introduce(&launched, &link)?;
    let listener = Listener::new(listener, Some(in_flight)).doing("use the listener")?;
    let link_for_events = link.as_fd().try_clone_to_owned().doing("watch the keeper")?;
    let events = Events::new(listener, &services.broker, &services.exits, link_for_events)
        .doing("watch for events")?;
    MainLoop::new(session, events, services, link, launched.pid, program).run()
}

fn launch(session: &Session) -> Result<Launched, Failure> {
    let coverage = match session.overlay {
        cli::Overlay::Lean => Coverage::Lean,
        cli::Overlay::Full => Coverage::Full,
    };
    let filter = syscall_filter::compile(coverage, &[wire::control::REQUEST]).doing("prepare the filter")?;
    Plan::new(&session.command, filter, session.allow_setuid)?.start()
}

/// Makes this process one that nothing but SIGKILL disturbs. After the fork, so that the program gets none
/// of it: its own process group, ignored signals, a higher limit.
fn settle(launched: &Launched, link: &Link) {
    descriptors::keep_only(&[link.as_fd().as_raw_fd(), launched.as_fd().as_raw_fd()]);
    // Ctrl-C and Ctrl-Z of the terminal go to the program's group.
    let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    // SIGXFSZ: the limit on file sizes counts for memory files as well. SIGTTOU: we may write to the terminal.
    for ignored in [Signal::SIGXFSZ, Signal::SIGTTOU, Signal::SIGPIPE] {
        // SAFETY: ignoring is no handler of ours.
        let _ = unsafe { signal(ignored, SigHandler::SigIgn) };
    }
    inherited::raise_descriptor_limit();
}

fn services(session: &Session, card: Card, installation: &Installation) -> Result<Services, Failure> {
    let payload = installation.payload.clone();
    let overlay = Overlay::new(overlay::Config {
        payload: payload.clone(),
        cache: overlay::Config::default_cache(),
        engine: overlay::Engine::Cpu,
        devices: session.gpus,
        // The devices are not known yet: `auto` chooses when one is asked for.
        files: overlay::driver_text::driver_files(device::DRIVER_VERSION, &[]),
    })
    .doing("prepare the payload libraries")
    .map_err(|failure| failure.hint("run `make build`, or name their directory in VGPU_RUN_LIBEXEC"))?;
    let announcing = card.clone();
    let broker = broker::Broker::new(broker::Config {
        announce: Box::new(move || announcing.announce()),
        engine: installation.engine.clone(),
    })
    .doing("prepare the broker")?;
    let overlay_is_full = session.overlay == cli::Overlay::Full;
    let known = report::Session { payload: Some(payload), overlay_is_full, ..Default::default() };
    let report = report::Report::new(known);
    let exits = Exits::new().doing("follow clients")?;
    Ok(Services { overlay, broker, report, card, exits })
}

/// Waits for the filter and tells the keeper what it needs should we die.
fn introduce(launched: &Launched, link: &Link) -> Result<(OwnedFd, PidFd), Failure> {
    let listener = launched.listener()?;
    let program = PidFd::open(launched.pid.as_raw()).doing("watch the program")?;
    let duplicate = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().doing("duplicate a descriptor");
    let keepers_program = PidFd::from(duplicate(&program)?);
    link.tell(&Message::Launched { listener: duplicate(&listener)?, program: keepers_program });
    Ok((listener, program))
}
