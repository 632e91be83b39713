//! The process that answers: how it begins and ends. What it does in between is [`crate::main_loop`].

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use installation::{Files, VGPU_RUN_LIBEXEC};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{Pid, setpgid};
use notification::{InFlight, Listener};
use overlay::Overlay;
use trace::{Outputs, Sink};
use tracee::{Facts, PidFd};
use wire::engine::{CACHE_VARIABLE, CHECK_VARIABLE};

use crate::call_tracing;
use crate::card::Card;
use crate::cli::{self, Session, Target};
use crate::descendants;
use crate::descriptors;
use crate::events::{Calls, Events};
use crate::exits::Exits;
use crate::failure::{self, Doing, Failure};
use crate::inherited;
use crate::launch::{Launched, Way};
use crate::link::{Link, Message};
use crate::main_loop::{MainLoop, Services};
use crate::mechanism;
use crate::reporting;
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
    let card = Card::new(session)?;
    let files = find_files()?;
    let outputs = session.trace.as_ref().map(call_tracing::open).transpose()?;
    name_programs(session, &files);
    let (launched, fallback) = mechanism::launch(session)?;
    settle(&launched, &link, &files, outputs.as_ref());
    let tracing = outputs.map(call_tracing::start).transpose()?;
    let mut services = services(session, card, files, tracing)?;
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
    let mut main_loop = MainLoop::new(session, events, services, link, pid, program);
    match Viewers::open(session).and_then(|viewers| main_loop.show_to(viewers)) {
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
/// of it: its own process group, ignored signals, higher limits.
fn settle(launched: &Launched, link: &Link, files: &Files, outputs: Option<&Outputs>) {
    let mut kept = vec![link.as_fd().as_raw_fd()];
    kept.extend(launched.descriptor());
    kept.extend(files.descriptor());
    kept.extend(outputs.into_iter().flat_map(Outputs::descriptors));
    descriptors::keep_only(&kept);
    // Ctrl-C and Ctrl-Z of the terminal go to the program's group.
    let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    // SIGXFSZ: the limit on file sizes counts for memory files as well. SIGTTOU: we may write to the terminal.
    for ignored in [Signal::SIGXFSZ, Signal::SIGTTOU, Signal::SIGPIPE] {
        // SAFETY: ignoring is no handler of ours.
        let _ = unsafe { signal(ignored, SigHandler::SigIgn) };
    }
    inherited::raise_limits();
}

fn services(
    session: &Session,
    card: Card,
    files: Arc<Files>,
    tracing: Option<Sink>,
) -> Result<Services, Failure> {
    let cache = installation::default_cache();
    let overlay = Overlay::new(overlay::Config {
        payload: files.clone(),
        cache: cache.clone(),
        engine: overlay::Engine::Cpu,
        devices: session.gpus,
        // The devices are not known yet: `auto` chooses when one is asked for.
        files: overlay::driver_text::driver_files(device::DRIVER_VERSION, &[]),
    });
    let announcing = card.clone();
    let engine = files.clone();
    let (checks, code) = (session.check.clone(), session.code);
    let broker = broker::Broker::new(broker::Config {
        announce: Box::new(move || announcing.announce()),
        engine: Box::new(move || open_engine(&engine, cache.as_deref(), &checks, code)),
        checks: !session.check.is_empty(),
        tracer: tracing.as_ref().map(Sink::teller).transpose().doing("tell the tracer of programs")?,
    })
    .doing("prepare the broker")?;
    let overlay_is_full = session.overlay == cli::Overlay::Full;
    let known = report::Session { payload: Some(files), overlay_is_full, ..Default::default() };
    let mut report = report::Report::new(known);
    reporting::surroundings(&mut report, &overlay);
    let exits = Exits::new().doing("follow clients")?;
    Ok(Services { overlay, broker, report, card, exits, tracing })
}

fn open_engine(
    files: &Files,
    cache: Option<&Path>,
    checks: &[cli::Check],
    code: cli::Code,
) -> Result<broker::Program, String> {
    let program = installation::open_engine(files, cache).map_err(|error| error.to_string())?;
    let mut environment = engine_environment(cache, code);
    environment.extend(checks_for_engine(checks));
    Ok(broker::Program { file: program.file, name: program.name, environment })
}

/// What the engine is told by its environment: where its cache may be, which tier and which instructions were asked for.
pub fn engine_environment(cache: Option<&Path>, code: cli::Code) -> Vec<CString> {
    let cache = cache.map(|path| (CACHE_VARIABLE, path.as_os_str().to_owned()));
    let code = code.variables().map(|(name, word)| (name, word.into()));
    cache
        .into_iter()
        .chain(code)
        .filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect()
}

/// Which checks the engine makes, if any.
fn checks_for_engine(checks: &[cli::Check]) -> Option<CString> {
    let names: Vec<&str> = checks.iter().map(|check| check.name()).collect();
    let variable = format!("{CHECK_VARIABLE}={}", names.join(","));
    CString::new(variable).ok().filter(|_| !names.is_empty())
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
