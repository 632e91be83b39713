//! What answers are made of, and how that is made.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use broker::Broker;
use installation::Files;
use overlay::Overlay;
use report::Report;
use trace::Sink;
use wire::engine::{CACHE_VARIABLE, CHECK_VARIABLE};

use crate::card::Card;
use crate::cli::{self, Session};
use crate::exits::Exits;
use crate::failure::{Doing, Failure};
use crate::faults;
use crate::reporting;

/// What answers are made of.
pub struct Services {
    /// Answers opens.
    pub overlay: Overlay,
    /// Answers control calls.
    pub broker: Broker,
    /// Hears of everything.
    pub report: Report,
    /// Which card is announced.
    pub card: Card,
    /// How clients end.
    pub exits: Exits,
    /// Reads what is traced.
    pub tracing: Option<Sink>,
}

impl Services {
    /// For a session whose program does not run yet. `gpus`: how many of them have nodes.
    pub fn new(
        session: &Session,
        card: Card,
        files: Arc<Files>,
        tracing: Option<Sink>,
        gpus: u32,
    ) -> Result<Self, Failure> {
        let cache = installation::default_cache();
        let overlay = Overlay::new(overlay::Config {
            payload: files.clone(),
            cache: cache.clone(),
            engine: match session.engine {
                cli::Engine::Cpu => overlay::Engine::Cpu,
                cli::Engine::Host => overlay::Engine::Host,
                cli::Engine::Nodes => overlay::Engine::Nodes,
            },
            devices: gpus,
            files: card.files(),
        });
        let announcing = card.clone();
        let engine = files.clone();
        let (checks, code) = (session.check.clone(), session.code);
        let mut broker = broker::Broker::new(broker::Config {
            announce: Box::new(move || announcing.announce()),
            engine: Box::new(move || open_engine(&engine, cache.as_deref(), &checks, code)),
            checks: !session.check.is_empty(),
            tracer: tracing.as_ref().map(Sink::teller).transpose().doing("tell the tracer of programs")?,
        })
        .doing("prepare the broker")?;
        faults::from_the_start(session, &mut broker);
        let overlay_is_full = session.overlay == cli::Overlay::Full;
        let is_native = session.engine != cli::Engine::Cpu;
        let known =
            report::Session { payload: Some(files), overlay_is_full, is_native, ..Default::default() };
        let mut report = report::Report::new(known);
        reporting::surroundings(&mut report, &overlay);
        let exits = Exits::new().doing("follow clients")?;
        Ok(Self { overlay, broker, report, card, exits, tracing })
    }
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
