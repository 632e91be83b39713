//! Calls that have to do with the device: its nodes, what the payload asks on them, what programs ask the driver.

use std::collections::VecDeque;

use interception::{Reply, Request};
use mediation::{Mediator, WorkerError};
use resource_manager::Node;
use trace::Heard;
use wire::control::{REQUEST_IN_REGISTERS, REQUESTS};
use wire::trace::now;

use super::MainLoop;
use crate::control::Asker;
use crate::driver::Missing;
use crate::mediated::{self, Mediated};
use crate::opens::Open;
use crate::put_off::Waiting;
use crate::reporting;
use crate::services::Services;

impl MainLoop<'_> {
    /// A control call of the payload, or a request that NVIDIA's nodes have.
    pub(super) fn handle_control(&mut self, request: Request) {
        let Some(tgid) = self.thread_groups.of(request.tid) else { return };
        if self.mediator.is_some() {
            return self.handle_mediated(request, tgid);
        }
        let [_, number, registers @ ..] = request.arguments;
        if !REQUESTS.contains(&(number as u32)) {
            return self.handle_drivers(request, tgid);
        }
        self.look_for_replaced();
        let asker = Asker::new(&request, tgid);
        let broker = &mut self.services.broker;
        let result = match number as u32 {
            REQUEST_IN_REGISTERS => broker.handle_registers(&asker, registers),
            _ => broker.handle(&asker, registers[0]).map_err(|errno| errno as i32),
        };
        let reply = match result {
            Ok(value) => Reply::Return(value),
            // No call of ours: another driver may use the same number.
            Err(libc::ENOTTY) => Reply::Continue,
            Err(errno) => Reply::Errno(errno),
        };
        if let Some(error) = asker.not_installed() {
            self.services.report.remark(reporting::not_installed(request.tid, &error));
        }
        self.answer(request, reply);
        self.report_broker();
    }

    /// A request that NVIDIA's nodes have.
    fn handle_drivers(&mut self, request: Request, tgid: i32) {
        let Services { report, card, broker, .. } = &mut self.services;
        let reply = match self.driver.ioctl(&request, tgid, &mut self.nodes, card, broker) {
            Some(Ok(reply)) => reply,
            Some(Err(why)) => {
                report.remark(reporting::no_driver(request.tid, why));
                Reply::Continue
            }
            None => Reply::Continue,
        };
        for missing in self.driver.take_missing() {
            tracing::info!("not answered from the recording: {missing:?}");
            report.remark(match missing {
                Missing::Call(what) => reporting::not_recorded(&what),
                Missing::Card(what) => reporting::needs_a_card(&what),
            });
        }
        for what in self.driver.take_unknown() {
            report.remark(reporting::not_emulated(&what));
        }
        self.answer(request, reply);
        self.report_broker();
    }

    /// A mapping that may be one of this machine's driver.
    pub(super) fn handle_mapping(&mut self, request: Request) {
        match self.thread_groups.of(request.tid) {
            Some(tgid) if self.mediator.is_some() => self.handle_mediated(request, tgid),
            _ => {
                self.answer(request, Reply::Continue);
            }
        }
    }

    /// A request that this machine's driver may have.
    fn handle_mediated(&mut self, request: Request, tgid: i32) {
        let waiting = Waiting { request, begun: now() };
        if let Some(waiting) = self.put_off.queue(tgid, waiting) {
            self.mediate(tgid, waiting, VecDeque::new());
        }
    }

    /// Calls that took longer have been executed, or never will be.
    pub(super) fn handle_settled(&mut self) {
        let settled = self.mediator.as_mut().map(Mediator::settled).unwrap_or_default();
        for tgid in settled {
            let Some((first, mut behind)) = self.put_off.end(tgid) else { continue };
            let Some(mediator) = &mut self.mediator else { continue };
            let mut asker = mediated::Asker::new(&first.request, tgid);
            match mediated::settle(mediator, &mut asker) {
                Some(Ok(Mediated::Later)) => self.put_off.begin(tgid, first, behind),
                settled => {
                    self.deliver(tgid, first, settled.unwrap_or(Err(WorkerError::Gone)));
                    if let Some(next) = behind.pop_front() {
                        self.mediate(tgid, next, behind);
                    }
                }
            }
        }
    }

    /// Answers a call of a process, and those behind it, until one takes longer.
    fn mediate(&mut self, tgid: i32, first: Waiting, mut behind: VecDeque<Waiting>) {
        let mut next = Some(first);
        while let (Some(waiting), Some(mediator)) = (next.take(), &mut self.mediator) {
            if !mediator.knows(tgid) && waiting.request.is_alive() {
                self.services.exits.follow(tgid);
            }
            let threads: Vec<i32> = behind.iter().map(|waiting| waiting.request.tid).collect();
            let mut asker = mediated::Asker::new(&waiting.request, tgid);
            match mediated::answer(mediator, &waiting.request, &mut asker, &threads) {
                Ok(Mediated::Later) => return self.put_off.begin(tgid, waiting, behind),
                answer => self.deliver(tgid, waiting, answer),
            }
            next = behind.pop_front();
        }
    }

    /// Tells what there is to tell of a call, and answers it.
    fn deliver(&mut self, tgid: i32, waiting: Waiting, answer: Result<Mediated, WorkerError>) {
        let Waiting { request, begun } = waiting;
        self.tell_of_call(tgid, &request, begun);
        match answer {
            Ok(Mediated::Reply(reply)) => {
                self.answer(request, reply);
            }
            Ok(Mediated::Frozen(frozen)) => {
                if self.answer(request, Reply::Continue) {
                    frozen.returned();
                }
            }
            // Whoever asks us to wait is not delivered.
            Ok(Mediated::Later) => {
                self.answer(request, Reply::Errno(libc::EIO));
            }
            Err(error) => {
                self.services.report.refused(request.tid, reporting::worker_lost(request.tid, &error));
                self.answer(request, Reply::Errno(libc::EIO));
            }
        }
    }

    /// To whom it may concern: the trace, a recording, the report.
    fn tell_of_call(&mut self, tgid: i32, request: &Request, begun: u64) {
        let Some(mediator) = &mut self.mediator else { return };
        if let Some(mut call) = mediator.take_last() {
            let (process, thread) = (tgid as u32, request.tid as u32);
            (call.process, call.fd) = (process, request.arguments[0] as i32);
            self.driver.calls().answered(&Heard { process, thread, begun, ended: now() }, call);
        }
        if let Some(refused) = mediator.take_over_limit() {
            tracing::info!("refused, as it is over the limit: {} bytes for process {tgid}", refused.asked);
            self.services.report.refused(request.tid, reporting::over_limit(tgid, &refused));
        }
        for denied in mediator.take_denied() {
            tracing::warn!("refused, as it is not allowed: {} (set `{}`)", denied.what, denied.set.name());
            self.services.report.refused(request.tid, reporting::denied(&denied));
        }
        for what in mediator.take_unknown() {
            if mediator.observes() {
                tracing::info!("not known: {what}");
                self.services.report.remark(reporting::not_known(&what, mediator.version()));
                continue;
            }
            tracing::warn!("refused, as it is not known: {what}");
            self.services.report.refused(request.tid, reporting::not_mediated(&what, mediator.version()));
        }
    }

    /// Tells what the broker has to tell.
    pub(super) fn report_broker(&mut self) {
        let Services { overlay, broker, report, card, .. } = &mut self.services;
        for event in broker.take_events() {
            reporting::broker_event(report, &event);
        }
        self.driver.deliver(&mut self.nodes, broker);
        if let Some(profile) = card.chosen().filter(|_| !self.card_is_known) {
            self.card_is_known = true;
            let [major, minor] = profile.capability;
            report.device_chosen(&profile.name, (major, minor));
            overlay.set_files(card.files());
            tracing::info!("announces {} (`--gpu {}`)", profile.name, profile.key);
        }
    }

    /// A new open file of a node.
    pub(super) fn open_node(&mut self, request: &Request, node: Node, open: &Open) -> Reply {
        let opener = self.thread_groups.of(request.tid).unwrap_or(request.tid);
        let reply = match self.nodes.open(node, opener) {
            // A recording tells which descriptor it became.
            Ok(fd) if self.driver.calls().are_recorded() => match request.give(&fd, open.cloexec()) {
                Ok(descriptor) => Reply::Return(descriptor.into()),
                Err(error) => Reply::Errno(error.raw_os_error().unwrap_or(libc::EMFILE)),
            },
            Ok(fd) => Reply::InstallFd { fd, cloexec: open.cloexec() },
            Err(errno) => {
                self.services.report.remark(reporting::no_node(request.tid, errno));
                Reply::Errno(errno as i32)
            }
        };
        self.driver.calls().opened(opener, open, &reply);
        reply
    }
}
