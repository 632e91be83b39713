//! The loop: one event, one handler; all state that changes belongs to [`MainLoop`].
//!
//! ```text
//!   Running ──program ended──▶ Lingering ──tree gone──▶ done
//!                                  │ a moment later
//!                                  ▼
//!                              Detached ──tree gone──▶ done      (the keeper has gone already)
//!
//!   Attached ──tree gone, or the keeper asks us to leave──▶ done
//! ```
//!
//! *Lingering*: the program has ended and others of its tree may be about to. *Detached*: it has left
//! processes that go on, which are served until the last has ended. *Attached*: the program ran before we came, and goes on when we
//! leave: then the keeper lets its calls through.

mod device;
mod ends;

use std::time::{Duration, Instant};

use interception::{Delivery, Reply, Request};
use mediation::Mediator;
use nix::unistd::Pid;
use overlay::{Answer, OpenQuery, Outcome, Roots, Seen};
use report::Finding;
use tracee::{MemoryError, PidFd, ThreadGroups};

use crate::appearances::{self, Listings};
use crate::cli::{Session, Target};
use crate::control::Nodes;
use crate::driver::{self, Driver};
use crate::events::{Event, Events};
use crate::failure::{Doing, Failure};
use crate::faults;
use crate::limits;
use crate::link::Link;
use crate::opens::{self, Execution, Open, Trapped};
use crate::own_filters;
use crate::programs;
use crate::put_off::PutOff;
use crate::replaced::Replaced;
use crate::reporting;
use crate::services::Services;
use crate::setuid;
use crate::tracers;
use crate::viewers::Viewers;
use ends::{CORE_DUMPED, exit_of};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Lingering { status: i32, until: Instant },
    Detached,
    Attached,
}

/// How long we wait for the rest of the tree before we say that it stays.
const LINGER: Duration = Duration::from_millis(20);

/// All state of the supervisor.
pub struct MainLoop<'a> {
    session: &'a Session,
    events: Events,
    services: Services,
    link: Link,
    program: Pid,
    /// Keeps the program's number from being reused, in the keeper's eyes too.
    _program_handle: PidFd,
    thread_groups: ThreadGroups,
    nodes: Nodes,
    driver: Driver,
    /// For this machine's driver, if the program has its GPU.
    mediator: Option<Mediator>,
    /// Its calls that are not answered yet.
    put_off: PutOff,
    listings: Listings,
    replaced: Replaced,
    card_is_known: bool,
    program_is_started: bool,
    phase: Phase,
    viewers: Option<Viewers>,
    begun: Instant,
    /// Calls of the tree that came to us.
    calls: u64,
}

impl<'a> MainLoop<'a> {
    /// A loop for a program that was just launched.
    pub fn new(
        session: &'a Session,
        events: Events,
        mut services: Services,
        (driver, mediator): (Driver, Option<Mediator>),
        link: Link,
        (program, program_handle): (Pid, PidFd),
    ) -> Self {
        let phase = match session.target {
            Target::Command(_) => Phase::Running,
            Target::Process { .. } => Phase::Attached,
        };
        if phase == Phase::Running && !events.are_of_a_tracer() {
            // The program is a fork of ours, and who changes what paths mean is notified.
            services.overlay.set_roots(Roots::Ours);
        }
        Self {
            session,
            events,
            services,
            link,
            program,
            _program_handle: program_handle,
            thread_groups: ThreadGroups::default(),
            nodes: Nodes::default(),
            driver,
            mediator,
            put_off: PutOff::default(),
            listings: Listings::default(),
            replaced: Replaced::default(),
            card_is_known: false,
            program_is_started: phase == Phase::Attached,
            phase,
            viewers: None,
            begun: Instant::now(),
            calls: 0,
        }
    }

    /// Runs until no process of the tree is left.
    pub fn run(mut self) -> Result<(), Failure> {
        if self.phase == Phase::Attached {
            self.events.wake_on_this_core();
        }
        loop {
            let event = self.events.next(self.timeout()).doing("wait for the tree")?;
            tracing::debug!("{event}");
            self.driver.keep_pages(&mut self.services.broker);
            match event {
                Event::Notification(request) => self.handle_notification(request),
                Event::ChildChanged => self.handle_children(),
                Event::Ended(pid, status) => {
                    self.handle_exit(Pid::from_raw(pid), exit_of(status), status & !CORE_DUMPED)
                }
                Event::Stopped(pid) => self.handle_stop(Pid::from_raw(pid)),
                Event::Continued(pid) => self.handle_continuation(Pid::from_raw(pid)),
                Event::Broker => self.handle_broker(),
                Event::ClientEnded => self.handle_clients_ended(Duration::ZERO),
                Event::Settled => self.handle_settled(),
                Event::Viewer => self.handle_viewer(),
                Event::Order => self.handle_orders(),
                Event::KeeperGone if self.phase == Phase::Attached => return self.leave(),
                Event::KeeperGone => return self.handle_keeper_gone(),
                Event::TimeOut => self.handle_time_out(),
                Event::TreeGone => {
                    self.handle_tree_gone();
                    return Ok(());
                }
            }
        }
    }

    fn timeout(&self) -> i32 {
        match self.phase {
            Phase::Lingering { until, .. } => {
                until.saturating_duration_since(Instant::now()).as_millis() as i32 + 1
            }
            Phase::Running | Phase::Detached | Phase::Attached => {
                let intervals = [self.replaced.interval(), self.driver.pages_due_in()];
                intervals.into_iter().filter(|interval| *interval >= 0).min().unwrap_or(-1)
            }
        }
    }

    fn handle_notification(&mut self, request: Request) {
        self.calls += 1;
        match opens::decode(&request) {
            Trapped::Open(Ok(open)) => self.handle_open(request, &open),
            Trapped::Special => {
                self.answer(request, Reply::Continue);
            }
            Trapped::Control => self.handle_control(request),
            Trapped::Map => self.handle_mapping(request),
            Trapped::Execute(Ok(execution)) => self.handle_execute(request, &execution),
            Trapped::IoUring if self.mediator.as_ref().is_some_and(|mediator| !mediator.observes()) => {
                // A ring could open nodes and pass descriptors where nobody looks.
                self.services.report.refused(request.tid, reporting::no_io_uring(request.tid));
                self.answer(request, Reply::Errno(libc::EPERM));
            }
            Trapped::IoUring => {
                self.services.report.remark(reporting::io_uring(request.tid));
                self.answer(request, Reply::Continue);
            }
            Trapped::Trace => {
                if tracers::wants_what_we_trace(&request) {
                    self.refuse(&request, reporting::debugger(request.tid));
                }
                self.answer(request, Reply::Continue);
            }
            Trapped::OwnFilter => {
                if let Some(conflict) = own_filters::conflict(&request) {
                    let explain = match self.events.are_of_a_tracer() {
                        true => reporting::own_filter_of_traced,
                        false => reporting::own_filter,
                    };
                    self.refuse(&request, explain(request.tid, conflict));
                }
                self.answer(request, Reply::Continue);
            }
            Trapped::Open(Err(error)) | Trapped::Execute(Err(error)) => self.handle_unread(request, &error),
            Trapped::List => self.handle_listing(request),
            Trapped::Root => {
                // For good: which of them have another root now would have to be asked for each.
                self.services.overlay.set_roots(Roots::Any);
                self.answer(request, Reply::Continue);
            }
            Trapped::Look => {
                let reply = appearances::look(&request, &mut self.services.overlay);
                self.answer(request, reply);
            }
        }
    }

    /// The call is let through. Mostly the kernel cannot read the argument either; if only we may not, that is told.
    fn handle_unread(&mut self, request: Request, error: &MemoryError) {
        if error.is_refusal() {
            self.services.report.remark(reporting::unread(request.tid, error));
        }
        self.answer(request, Reply::Continue);
    }

    /// The kernel will say no because we are here. Should the process fail, that may be the reason.
    fn refuse(&mut self, request: &Request, finding: Finding) {
        self.services.report.refused(request.tid, finding);
        self.follow(request);
    }

    fn handle_execute(&mut self, request: Request, execution: &Execution) {
        let tid = request.tid;
        let process = self.thread_groups.of(tid);
        if self.services.broker.has_sessions()
            && let Some(tgid) = process.filter(|_| request.is_alive())
        {
            self.replaced.expect(tgid);
        }
        let asked = (!self.session.allow_setuid).then(|| self.services.overlay.roots());
        let finding = asked.and_then(|roots| setuid::remark(tid, execution.program(), roots));
        let Execution { dirfd, address, path } = execution;
        let program = self.services.overlay.program(&OpenQuery { pid: tid, dirfd: *dirfd, path });
        let replaced = program.and_then(|program| programs::replace(&request, *address, path, &program));
        let was_there = self.answer(request, Reply::Continue);
        if let Some(replaced) = replaced {
            replaced.restore();
        }
        // Who gets its answer was there all the time, so that what was read of it is its own.
        if let Some(tgid) = process.filter(|_| was_there) {
            self.services.report.executed(tgid, execution.program());
            finding.into_iter().for_each(|finding| self.services.report.remark(finding));
        }
        if !std::mem::replace(&mut self.program_is_started, true) {
            // Another core executes the program meanwhile. Its root is ours yet.
            self.services.overlay.prepare(std::process::id() as i32);
            self.events.wake_on_this_core();
        }
    }

    fn handle_listing(&mut self, request: Request) {
        let Services { overlay, report, .. } = &mut self.services;
        let reply =
            self.thread_groups.of(request.tid).map(|tgid| self.listings.list(&request, tgid, overlay));
        let reply = reply.unwrap_or(Ok(Reply::Continue)).unwrap_or_else(|error| {
            report.remark(reporting::unlisted(&error));
            Reply::Continue
        });
        self.answer(request, reply);
    }

    /// What a process held of the device ends with the program that it was.
    fn look_for_replaced(&mut self) {
        for tgid in self.replaced.look() {
            self.services.broker.process_replaced(tgid as u32);
        }
    }

    fn handle_time_out(&mut self) {
        match self.phase {
            Phase::Lingering { until, .. } if Instant::now() >= until => self.detach(),
            _ => self.look_for_replaced(),
        }
    }

    fn handle_open(&mut self, request: Request, open: &Open) {
        if self.mediator.as_ref().is_some_and(|mediator| mediator.hides(&open.path)) {
            self.follow(&request);
            self.answer(request, Reply::Errno(libc::ENOENT));
            return;
        }
        let query = OpenQuery { pid: request.tid, dirfd: open.dirfd, path: &open.path };
        let outcome = self.services.overlay.open(&query);
        let Outcome { answer: what, seen } = self.driver.permit(outcome, &self.services.card);
        if seen.is_some() {
            let path = String::from_utf8_lossy(&open.path);
            tracing::info!("thread {} opens {path}: {}", request.tid, reporting::answer(&what));
        }
        let is_every_programs = matches!(seen, Some(Seen::LoaderCache));
        if seen.is_some() && !is_every_programs {
            self.follow(&request);
        }
        if !is_every_programs && (seen.is_some() || opens::may_be_library(&open.path)) {
            self.services.report.opened(request.tid, &open.path, seen.as_ref());
            self.services.card.note_library(request.tid, &open.path, seen.as_ref());
        }
        let reply = match what {
            Answer::File(_) | Answer::Node(_) if open.wants_directory() => Reply::Errno(libc::ENOTDIR),
            Answer::File(fd) if open.only_reads() => Reply::InstallFd { fd, cloexec: open.cloexec() },
            Answer::Continue | Answer::File(_) => Reply::Continue,
            Answer::Errno(errno) => Reply::Errno(errno),
            Answer::Node(node) => self.open_node(&request, driver::node(&node), open),
        };
        self.answer(request, reply);
        if matches!(seen, Some(Seen::Given { library: "libcuda.so.1", .. })) {
            self.services.broker.prepare();
        }
    }

    /// The asker has to do with the device, so the report will say how it ended.
    fn follow(&mut self, request: &Request) {
        if let Some(tgid) = self.thread_groups.of(request.tid)
            && request.is_alive()
        {
            self.services.exits.follow(tgid);
        }
    }

    /// Lets `vgpu-run top` find this session.
    pub fn show_to(&mut self, viewers: Viewers) -> std::io::Result<()> {
        self.events.watch_viewers(&viewers)?;
        if let Some(inbox) = viewers.inbox() {
            self.events.watch_orders(inbox)?;
        }
        self.viewers = Some(viewers);
        Ok(())
    }

    fn handle_viewer(&mut self) {
        if let Some(viewers) = &self.viewers {
            viewers.answer(&self.services.broker, self.mediator.as_mut());
        }
    }

    fn handle_orders(&mut self) {
        let (broker, mediator) = (&mut self.services.broker, &mut self.mediator);
        if let Some(inbox) = self.viewers.as_ref().and_then(Viewers::inbox) {
            inbox.answer(|words| {
                limits::execute(mediator.as_mut(), words).unwrap_or_else(|| faults::execute(broker, words))
            });
        }
        self.report_broker();
    }

    fn handle_clients_ended(&mut self, patience: Duration) {
        for (tgid, status) in self.services.exits.look_at_last(patience) {
            if let Some(mediator) = &mut self.mediator {
                mediator.process_ended(tgid);
                // Nobody is there any more whom their answers could reach.
                self.put_off.end(tgid);
            }
            if let Some(status) = status {
                self.services.report.exited(tgid, exit_of(status));
            }
        }
        self.nodes.forget_closed();
        self.driver.settle(&mut self.nodes);
    }

    fn handle_broker(&mut self) {
        self.services.broker.process_events();
        self.report_broker();
    }

    /// A request that cannot be answered has been let through; why, the report says. False if there was nobody any more.
    fn answer(&mut self, request: Request, reply: Reply) -> bool {
        let tid = request.tid;
        let finding = match request.reply(reply) {
            Ok(Delivery::Delivered) => return true,
            Ok(Delivery::Gone) => return false,
            Ok(Delivery::NoRoom) => reporting::no_room(tid),
            Err(error) => reporting::unanswered(tid, &error),
        };
        self.services.report.remark(finding);
        true
    }
}
