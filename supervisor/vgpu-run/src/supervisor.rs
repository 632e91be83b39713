//! The process that answers: how it begins and ends. What it does in between is [`crate::main_loop`].

use std::os::fd::{AsFd, AsRawFd};
use std::process::ExitCode;
use std::sync::Arc;

use installation::{Files, VGPU_RUN_LIBEXEC};
use mediation::{Driver as HostDriver, Mediator};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::setsid;
use notification::{InFlight, Listener};
use trace::{Filter, Outputs};
use tracee::{Facts, PidFd};

use crate::call_tracing;
use crate::card::Card;
use crate::cli::{Session, Target};
use crate::descendants;
use crate::descriptors;
use crate::device_calls::DeviceCalls;
use crate::driver::Driver;
use crate::events::{Calls, Events};
use crate::failure::{self, Doing, Failure};
use crate::faults;
use crate::inherited;
use crate::launch::{Launched, Way};
use crate::link::{Link, Message};
use crate::main_loop::MainLoop;
use crate::mechanism;
use crate::mediated;
use crate::reporting;
use crate::services::Services;
use crate::viewers::Viewers;

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
    let mut device_calls = DeviceCalls::open(session)?;
    let card = Card::new(session, device_calls.player.as_ref())?;
    faults::check(session)?;
    let files = find_files()?;
    let outputs = session.trace.as_ref().map(call_tracing::open).transpose()?;
    name_programs(session, &files);
    let driver = mediated::find(session)?;
    let drivers = driver.as_ref().map(HostDriver::requests);
    let (launched, fallback) = mechanism::launch(session, drivers.as_deref())?;
    settle(&launched, &link, &files, outputs.as_ref(), &device_calls);
    let mut mediator = driver.map(|driver| mediated::begin(driver, session)).transpose()?;
    let tracing = outputs.map(call_tracing::start).transpose()?;
    if let (Some(sink), Some(trace)) = (&tracing, &session.trace) {
        let teller = sink.line_teller().doing("tell the tracer of calls")?;
        let release = mediator.as_ref().map_or(device::DRIVER_VERSION, Mediator::abi);
        device_calls.trace(teller, Filter::new(&trace.filter), release)?;
    }
    if let Some(mediator) = mediator.as_mut().filter(|_| device_calls.are_heard()) {
        mediator.keep_calls();
    }
    let mut services = Services::new(session, card, files, tracing, device_calls.gpus(session))?;
    if mediator.as_ref().is_some_and(Mediator::observes) {
        services.report.remark(reporting::observes());
    }
    if let Some(fallback) = fallback {
        fallback.tell(&mut services.report);
    }
    let pid = launched.pid;
    if let Target::Process { .. } = session.target
        && let Some(program) = Facts::of(pid.as_raw()).exe
    {
        services.report.executed(pid.as_raw(), &program);
    }
    let (calls, program) = introduce(launched, &link, in_flight)?;
    let link_for_events = link.as_fd().try_clone_to_owned().doing("watch the keeper")?;
    let events =
        Events::new(calls, &services.broker, &services.exits, link_for_events).doing("watch for events")?;
    if let Some(mediator) = &mediator {
        events.watch_mediator(mediator).doing("watch for events")?;
    }
    let mut main_loop =
        MainLoop::new(session, events, services, (Driver::new(device_calls), mediator), link, (pid, program));
    match Viewers::open(session, pid).and_then(|viewers| main_loop.show_to(viewers)) {
        Ok(()) => {}
        // A sandbox may forbid it: nothing but that is missing then.
        Err(error) => tracing::info!("`vgpu-run top` will not find this session: {error}"),
    }
    main_loop.run()
}

/// Puts our `nvidia-smi` at the end of the program's `PATH`, for shells and all others that look before they execute. Whatever is
/// installed comes first.
fn name_programs(session: &Session, files: &Files) {
    let (Target::Command(_), Some(cache), Some(path)) =
        (&session.target, installation::default_cache(), std::env::var_os("PATH"))
    else {
        return;
    };
    if !files.manifest().entries.iter().any(|entry| entry.name == overlay::programs::NVIDIA_SMI) {
        return;
    }
    let ours = files.directory_in(&cache);
    let directories: Vec<_> = std::env::split_paths(&path).filter(|directory| *directory != ours).collect();
    if directories.iter().any(|directory| directory.join(overlay::programs::NVIDIA_SMI).exists()) {
        return;
    }
    if let Ok(path) = std::env::join_paths(directories.into_iter().chain([ours])) {
        // SAFETY: this process has one thread, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var("PATH", path) };
    }
}

fn find_files() -> Result<Arc<Files>, Failure> {
    let hint = || {
        format!("run `make build`, or name their directory in {VGPU_RUN_LIBEXEC}; a release has them inside")
    };
    let found = Files::find().doing("prepare the payload libraries");
    found.map(Arc::new).map_err(|failure| failure.hint(hint()))
}

/// Makes this process one that nothing but SIGKILL disturbs. After the fork, so that the program gets none
/// of it: its own session, ignored signals, higher limits.
fn settle(
    launched: &Launched,
    link: &Link,
    files: &Files,
    outputs: Option<&Outputs>,
    device_calls: &DeviceCalls,
) {
    let mut kept = vec![link.as_fd().as_raw_fd()];
    kept.extend(launched.descriptor());
    kept.extend(device_calls.descriptor());
    kept.extend(files.descriptor());
    kept.extend(outputs.into_iter().flat_map(Outputs::descriptors));
    descriptors::keep_only(&kept);
    // Ctrl-C and Ctrl-Z of the terminal go to the program's group. A group of our own would do for that, but not in the same session:
    // as a parent outside the program's group we would keep it from being orphaned, and at the end of a program that is stopped,
    // as the keeper is then, the kernel would hang up on the whole group: on the build, say, that started us.
    let _ = setsid();
    // SIGXFSZ: the limit on file sizes counts for memory files as well.
    for ignored in [Signal::SIGXFSZ, Signal::SIGPIPE] {
        // SAFETY: ignoring is no handler of ours.
        let _ = unsafe { signal(ignored, SigHandler::SigIgn) };
    }
    inherited::raise_limits();
}

/// Waits for the filter and tells the keeper what it needs should we die.
fn introduce(mut launched: Launched, link: &Link, in_flight: InFlight) -> Result<(Calls, PidFd), Failure> {
    launched.wait_for_listener()?;
    let program = PidFd::open(launched.pid.as_raw()).doing("watch the program")?;
    let duplicate = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().doing("duplicate a descriptor");
    let keepers_program = PidFd::from(duplicate(&program)?);
    let tell = |listener| link.tell(&Message::Launched { listener, program: keepers_program });
    let calls = match launched.way {
        Way::Promised(listener) | Way::Notified(listener) => {
            tell(Some(duplicate(&listener)?));
            Calls::Notified(Listener::new(listener, Some(in_flight)).doing("use the listener")?)
        }
        Way::Traced(mut tracer) => {
            tell(None);
            tracer.start();
            Calls::Traced(tracer)
        }
    };
    Ok((calls, program))
}
