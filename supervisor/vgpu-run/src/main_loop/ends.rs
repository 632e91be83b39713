//! How processes end, stop and go on, and how the session does.

use std::time::Instant;

use interception::Reply;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getppid};
use report::Exit;

use super::{LINGER, MainLoop, Phase};
use crate::call_tracing;
use crate::descendants;
use crate::descriptors;
use crate::failure::{Doing, Failure};
use crate::link::Message;
use crate::policies;
use crate::reporting;

impl MainLoop<'_> {
    pub(super) fn handle_children(&mut self) {
        let flags =
            WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WCONTINUED | WaitPidFlag::WNOHANG;
        while let Ok(status) = waitid(Id::All, flags) {
            match status {
                WaitStatus::StillAlive => return,
                status => self.handle_child(status),
            }
        }
    }

    fn handle_child(&mut self, status: WaitStatus) {
        let Some(pid) = status.pid() else { return };
        match status {
            WaitStatus::Exited(_, code) => self.handle_exit(pid, Exit::Code(code), code << 8),
            WaitStatus::Signaled(_, signal, _) => {
                self.handle_exit(pid, Exit::Signal(signal as i32), signal as i32)
            }
            WaitStatus::Stopped(..) => self.handle_stop(pid),
            WaitStatus::Continued(_) => self.handle_continuation(pid),
            _ => {}
        }
    }

    /// The shell sees us stopped when the program is, and we go on when it does.
    pub(super) fn handle_stop(&mut self, pid: Pid) {
        if pid == self.program {
            self.link.tell(&Message::Stopped);
        }
    }

    pub(super) fn handle_continuation(&mut self, pid: Pid) {
        if pid == self.program {
            wake_keeper();
        }
    }

    pub(super) fn handle_exit(&mut self, pid: Pid, exit: Exit, status: i32) {
        self.services.report.exited(pid.as_raw(), exit);
        if pid == self.program && self.phase == Phase::Running {
            wake_keeper();
            self.phase = Phase::Lingering { status, until: Instant::now() + LINGER };
        }
    }

    /// Nobody is left to pass a status to, and the user meant the program as well.
    pub(super) fn handle_keeper_gone(&mut self) -> Result<(), Failure> {
        descendants::end_all();
        Err(Failure::new("the keeper died, so the program was ended"))
    }

    pub(super) fn handle_tree_gone(&mut self) {
        if self.phase == Phase::Running {
            self.wait_for_program();
        }
        self.handle_children();
        self.handle_clients_ended(LINGER);
        call_tracing::finish(self.services.tracing.take());
        let status = match self.phase {
            Phase::Lingering { status, .. } => Some(status),
            // How it ended is its parent's to know.
            Phase::Attached => Some(0),
            Phase::Running | Phase::Detached => None,
        };
        if let Some(status) = status {
            self.finish_report();
            let status = self.status_to_pass(status);
            self.link.tell(&Message::Ended { status, leftovers: false });
            // Once more, should it have stopped itself only now, for a stop before the end.
            wake_keeper();
        }
        // Engines and the process that makes them are our children too.
        self.services.broker.end_engines();
        descendants::end_all();
    }

    /// A process leaves the filter a moment before its parent hears of its end.
    fn wait_for_program(&mut self) {
        while self.phase == Phase::Running {
            match waitpid(self.program, None) {
                Ok(status) => self.handle_child(status),
                Err(_) => return,
            }
        }
    }

    /// The program has left processes behind: its status is passed on now, and we stay for them.
    pub(super) fn detach(&mut self) {
        let Phase::Lingering { status, .. } = self.phase else { return };
        self.phase = Phase::Detached;
        self.finish_report();
        self.events.ignore_keeper();
        let status = self.status_to_pass(status);
        self.link.tell(&Message::Ended { status, leftovers: true });
        wake_keeper();
        // Whoever reads our standard error to its end must not wait for us.
        if let Some(sink) = &self.services.tracing {
            sink.leave_terminal();
        }
        descriptors::silence(&[0, 1, 2]);
        let _ = std::env::set_current_dir("/");
    }

    /// Ends our part in a tree that goes on. The keeper lets its calls through, or we do if there is none any more.
    pub(super) fn leave(mut self) -> Result<(), Failure> {
        self.finish_report();
        // Whatever is let through instead would be made a second time.
        for waiting in self.put_off.take_all().collect::<Vec<_>>() {
            self.answer(waiting.request, Reply::Errno(libc::EIO));
        }
        self.services.broker.end_engines();
        descendants::end_all();
        let (calls, seconds) = (self.calls, self.begun.elapsed().as_secs_f64());
        tracing::warn!(
            "detached from pid {}: it has no GPU any more, and each call of the kind that was answered ({calls} in {seconds:.1} s) goes on costing some microseconds until it and what it started have ended",
            self.program
        );
        if !self.link.tell(&Message::Ended { status: self.status_to_pass(0), leftovers: true }) {
            descriptors::silence(&[0, 1, 2]);
            let _ = std::env::set_current_dir("/");
            self.events.let_everything_through().doing("let calls through")?;
        }
        Ok(())
    }

    /// The program's status, unless checks found something and another one was asked for.
    fn status_to_pass(&self, status: i32) -> i32 {
        let other = self.session.check_exit_code.filter(|_| self.services.report.checks_found() > 0);
        other.map_or(status, |code| i32::from(code) << 8)
    }

    fn finish_report(&mut self) {
        self.handle_broker();
        if let Some(mediator) = &mut self.mediator {
            let (time, unpaced) = (mediator.time_used(), mediator.take_unpaced());
            time.iter().for_each(|time| self.services.report.remark(reporting::time_used(time)));
            unpaced.iter().for_each(|what| self.services.report.remark(reporting::unpaced(what)));
        }
        self.write_learned();
        reporting::print(&mut self.services.report, self.session);
    }

    fn write_learned(&mut self) {
        let (Some(learn), Some(mediator)) = (&self.session.learn, &self.mediator) else { return };
        if let Err(failure) = policies::write(learn, mediator.version(), &mediator.asked()) {
            tracing::error!("{}", failure.in_one_line());
        }
    }
}

/// It stops itself when the program is stopped, and one that is killed then does not continue first.
fn wake_keeper() {
    let _ = kill(getppid(), Signal::SIGCONT);
}

/// Of a wait status.
pub(super) fn exit_of(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }
}

/// Set in a wait status beside the signal.
pub(super) const CORE_DUMPED: i32 = 0x80;
