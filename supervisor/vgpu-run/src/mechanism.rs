//! Which mechanism follows the program: what was asked for, or what works here.
//!
//! ```text
//!   auto ─▶ a listener ──refused──▶ stops at the calls of a filter ──taken by somebody else──▶ stops at every call
//!           (notify)                (ptrace)                                                   (ptrace-syscalls)
//! ```
//!
//! A listener is refused where there is one already, to a kernel that knows none, or by a filter around us. It takes
//! precedence over a tracer for calls that both name; which those are is tried out, as filters of others cannot be read.

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use report::doctor::{Check, State};
use report::{Finding, Report, Severity};
use syscall_filter::{
    Action, CompileError, Coverage, InstallError, Pattern, Program, compile, compile_for_driver,
    compile_for_observer, kernel_can_notify,
};
use tracer::Scope;
use wire::control::REQUESTS;

use crate::attach;
use crate::cli::{self, Mechanism, Session, Target};
use crate::failure::{Doing, Failure};
use crate::launch::{Launched, Plan, Refusal};

/// Another mechanism than the best is in use.
pub struct Fallback {
    scope: Scope,
    why: String,
}

/// Starts the program, to be followed by the mechanism that was asked for.
///
/// `drivers`: requests of this machine's driver that have to come to us, if any do.
pub fn launch(
    session: &Session,
    drivers: Option<&[Pattern]>,
) -> Result<(Launched, Option<Fallback>), Failure> {
    let coverage = match session.overlay {
        cli::Overlay::Lean => Coverage::Lean,
        cli::Overlay::Full => Coverage::Full,
    };
    let command = match &session.target {
        Target::Command(command) => command,
        Target::Process { pid, force } => {
            if !matches!(session.mechanism, Mechanism::Auto | Mechanism::Notify) {
                let failure =
                    Failure::new("a process that runs already can only be followed by notification");
                return Err(failure.hint("leave out `--mechanism`"));
            }
            let order = attach::Order { pid: *pid, force: *force, allow_setuid: session.allow_setuid };
            let filter = notifying(session, coverage, drivers).doing("prepare the filter")?;
            return Ok((attach::attach(order, &filter)?, None));
        }
    };
    let plan = Plan::new(command, session.allow_setuid)?;
    if drivers.is_some() {
        // What a traced thread may not do meanwhile, and who stops it for a call of its own, is another matter.
        if !matches!(session.mechanism, Mechanism::Auto | Mechanism::Notify) {
            let failure =
                Failure::new("a real GPU can only be shared with a program that is followed by notification");
            return Err(failure.hint("leave out `--mechanism`"));
        }
        let filter = notifying(session, coverage, drivers).doing("prepare the filter")?;
        return Ok((plan.start_notified(&filter)?, None));
    }
    let start = Start { plan, coverage };
    let launched = match session.mechanism {
        Mechanism::Auto => start.auto(),
        Mechanism::Notify => start.notified().map(|launched| (launched, None)),
        Mechanism::Ptrace => start.traced(None),
        Mechanism::PtraceSyscalls => start.in_scope(start.everything()).map(|launched| (launched, None)),
    };
    Ok(launched?)
}

fn notifying(
    session: &Session,
    coverage: Coverage,
    drivers: Option<&[Pattern]>,
) -> Result<Program, CompileError> {
    match drivers {
        Some(drivers) if session.observe => compile_for_observer(coverage, &REQUESTS, drivers),
        Some(drivers) => compile_for_driver(coverage, &REQUESTS, drivers),
        None => compile(coverage, &REQUESTS, Action::Notify),
    }
}

/// A program, and what of its calls we want to see.
struct Start {
    plan: Plan,
    coverage: Coverage,
}

type Started = Result<(Launched, Option<Fallback>), Refusal>;

impl Start {
    fn auto(&self) -> Started {
        if !has_outer_filter() {
            return match kernel_can_notify() {
                true => Ok((self.notified()?, None)),
                false => self.traced(Some(InstallError::TooOld.to_string())),
            };
        }
        let mut launched = self.notified()?;
        // Waited for here, where another child can still be started that is like the first.
        match launched.wait_for_listener() {
            Ok(()) => Ok((launched, None)),
            Err(refusal) => match reason(&refusal) {
                Some(why) => self.traced(Some(why)),
                None => Err(refusal),
            },
        }
    }

    fn notified(&self) -> Result<Launched, Refusal> {
        self.plan.start_notified(&self.filter(Action::Notify)?).map_err(Refusal::Other)
    }

    /// `why` there is no listener; none if that was not tried.
    fn traced(&self, why: Option<String>) -> Started {
        let (scope, other) = self.scope()?;
        let launched = self.in_scope(scope)?;
        let mut why: Vec<String> = why.into_iter().chain(other).collect();
        why.dedup();
        let fallback = (!why.is_empty()).then(|| Fallback { scope, why: why.join("; ") });
        Ok((launched, fallback))
    }

    fn in_scope(&self, scope: Scope) -> Result<Launched, Refusal> {
        let filter = (scope == Scope::Filtered).then(|| self.filter(Action::Trace)).transpose()?;
        self.plan.start_traced(filter.as_ref(), scope)
    }

    /// Which calls have to stop; and why all of them, if so.
    fn scope(&self) -> Result<(Scope, Option<String>), Refusal> {
        if !has_outer_filter() {
            return Ok((Scope::Filtered, None));
        }
        match self.plan.calls_come(&self.filter(Action::Trace)?) {
            Ok(true) => Ok((Scope::Filtered, None)),
            Ok(false) => {
                let why = "that program is asked before a tracer is, so every call has to be traced";
                Ok((self.everything(), Some(why.to_owned())))
            }
            Err(refusal) => match reason(&refusal) {
                Some(why) => Ok((self.everything(), Some(why))),
                None => Err(refusal),
            },
        }
    }

    fn everything(&self) -> Scope {
        Scope::Everything { coverage: self.coverage, requests: &REQUESTS }
    }

    fn filter(&self, action: Action) -> Result<Program, Refusal> {
        compile(self.coverage, &REQUESTS, action).doing("prepare the filter").map_err(Refusal::Other)
    }
}

/// Why a filter could not be had, if another mechanism may do better.
fn reason(refusal: &Refusal) -> Option<String> {
    match refusal {
        Refusal::Filter(error @ (InstallError::ListenerExists | InstallError::TooOld)) => {
            Some(error.to_string())
        }
        Refusal::Filter(InstallError::Failed(error)) => {
            Some(format!("a filter around vgpu-run refuses seccomp(2): {error}"))
        }
        Refusal::Ended(Ok(WaitStatus::Signaled(_, Signal::SIGSYS, _))) => {
            Some("a filter around vgpu-run forbids seccomp(2)".to_owned())
        }
        Refusal::Filter(InstallError::NotPermitted) | Refusal::Ended(_) | Refusal::Other(_) => None,
    }
}

/// Whether a filter is in force that is not ours.
fn has_outer_filter() -> bool {
    // SAFETY: the call takes numbers.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) == libc::SECCOMP_MODE_FILTER as i32 }
}

impl Fallback {
    fn message(&self) -> &'static str {
        match self.scope {
            Scope::Filtered => "the program is traced: its threads stop for each call that we answer",
            Scope::Everything { .. } => "every system call of the program is traced",
        }
    }

    fn cost(&self) -> &'static str {
        // From `bench-getting-in`.
        match self.scope {
            Scope::Filtered => {
                "such a call costs up to twice as much as a notified one, and debuggers do not work"
            }
            Scope::Everything { .. } => {
                "each call costs some twenty microseconds more, and debuggers do not work"
            }
        }
    }

    /// Says it once, and in the report.
    pub fn tell(&self, report: &mut Report) {
        tracing::warn!("{}: {} ({})", self.message(), self.why, self.cost());
        let finding = Finding::new(Severity::Remark, self.message());
        report.remark(finding.cause(self.why.clone()).cause(self.cost()));
    }
}

/// Which mechanism a run would use here, and why.
pub fn check() -> Check {
    let (state, found) = match try_here() {
        Ok((_, None)) => (State::Good, "notify: the kernel notifies us".to_owned()),
        Ok((name, Some(fallback))) => {
            (State::Degraded, format!("{name}: {} ({})", fallback.why, fallback.cost()))
        }
        Err(failure) => (State::Bad, format!("none: {}", failure.in_one_line())),
    };
    Check {
        name: "mechanism",
        state,
        found,
        needed: "notify; ptrace works as well, with more cost",
        fix: "use Linux 5.19 or newer and start vgpu-run outside of other seccomp supervisors; `vgpu-run true` says more",
    }
}

/// Starts a process that does nothing.
fn try_here() -> Result<(&'static str, Option<Fallback>), Failure> {
    let start = Start { plan: Plan::new(&["true".into()], false)?, coverage: Coverage::Lean };
    let (mut launched, fallback) = start.auto()?;
    let answer = launched.wait_for_listener();
    let _ = nix::sys::signal::kill(launched.pid, Signal::SIGKILL);
    let _ = nix::sys::wait::waitpid(launched.pid, None);
    answer?;
    let name = match &fallback {
        None => "notify",
        Some(Fallback { scope: Scope::Filtered, .. }) => "ptrace",
        Some(_) => "ptrace-syscalls",
    };
    Ok((name, fallback))
}
