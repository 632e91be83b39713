//! `vgpu-run CMD…`: the command line, and the three processes behind it.
//!
//! ```text
//!   shell ──▶ keeper ──fork──▶ supervisor ──fork──▶ CMD ──▶ its descendants
//!             │  ▲  ◀──link──▶  │  ▲ listener        │ installs the filter, sends the listener, execs
//!             │  └─ signals     │  └─────────────────┘
//!             └─ duplicate of the listener, and a handle on CMD
//! ```
//!
//! *Keeper* ([`keeper`]): what the shell started. It passes signals and the exit status on, and cleans up if
//! the supervisor dies. *Supervisor* ([`supervisor`]): answers system calls of the *tree*, which is CMD and
//! all that comes of it, in one loop ([`main_loop`]). *Link* ([`link`]): what keeper and supervisor tell each
//! other. *Mechanism* ([`mechanism`]): how the tree's calls come to the supervisor, by a listener, as in the picture, or by
//! its being the tree's tracer.

mod appearances;
mod attach;
mod cache;
mod call_tracing;
mod card;
mod cli;
mod control;
mod decode;
mod descendants;
mod descriptors;
mod device_calls;
mod doctor;
mod driver;
mod events;
mod exits;
mod failure;
mod faults;
mod figures;
mod inherited;
mod keeper;
mod launch;
mod limits;
mod link;
mod log;
mod main_loop;
mod mechanism;
mod mediated;
mod nested;
mod opens;
mod own_filters;
mod policies;
mod programs;
mod put_off;
mod replaced;
mod replaying;
mod reporting;
mod services;
mod sessions;
mod setuid;
mod shown;
mod supervisor;
mod traced;
mod tracers;
mod viewers;
mod warm;

use std::process::ExitCode;

use cli::Action;
use failure::Failure;

fn main() -> ExitCode {
    let action = match cli::parse() {
        Ok(action) => action,
        Err(code) => return code,
    };
    let result = match action {
        Action::Run(session) => run(*session),
        Action::Doctor { files, markdown } => doctor::doctor(&files, markdown),
        Action::Profiles => Ok(doctor::profiles()),
        Action::Warm(order) => warm::warm(&order).map(|never| match never {}),
        Action::Top(order) => viewers::show(&order),
        Action::Inject(order) => faults::inject(&order),
        Action::Limit(order) => limits::limit(&order),
        Action::Cache(what) => cache::cache(what),
        Action::Decode(order) => decode::decode(&order),
        Action::Replay(order) => replaying::replay(&order),
        Action::Print(text) => Ok(text.print()),
        Action::Version => Ok(doctor::version()),
    };
    result.unwrap_or_else(|failure| {
        eprint!("{failure}");
        ExitCode::from(failure::FAILED)
    })
}

fn run(session: cli::Session) -> Result<ExitCode, Failure> {
    log::start(session.log);
    if nested::inside_a_session() {
        if let Some(what) = session.of_the_whole_tree() {
            let failure = Failure::new(format!(
                "cannot {what} inside another vgpu-run, which serves this process already"
            ));
            return Err(
                failure.hint(format!("run `vgpu-run {what}` outside: it is for every process of its tree"))
            );
        }
        return Err(nested::become_command(&session));
    }
    keeper::run(session)
}
