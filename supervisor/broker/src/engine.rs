//! One engine as the broker sees it, and the life of engines and sessions.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use wire::control::{MemoryKind, NoteKind};
use wire::engine::{EngineNote, Fork, ForkFailed, Forked, Map, Message, Unmap};
use wire::figures::KernelCost;
use wire::futex;
use wire::shared::{AREA_LENGTH, EngineState, FIGURES_SLOTS, View};

use crate::backing::Cgroup;
use crate::session::Session;
use crate::watch::Source;
use crate::zygote::{Zygote, failure_to_start, pair};
use crate::{Broker, Event, memory};

/// How long an engine may take to say what is left to say once its client has ended.
const GOODBYE: Duration = Duration::from_secs(1);

/// An engine from order to end.
pub struct Engine {
    /// Known once the zygote has answered.
    pidfd: Option<OwnedFd>,
    socket: OwnedFd,
    area: OwnedFd,
    view: MappedArea,
    /// Whether its end is in the report.
    end_told: bool,
    /// Whether it is to be killed as soon as it is there.
    condemned: bool,
}

/// The shared area in this process; unmapped when dropped.
struct MappedArea(View);

impl MappedArea {
    fn new(area: &OwnedFd) -> Result<MappedArea, Errno> {
        let length = NonZeroUsize::new(AREA_LENGTH).expect("constant");
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, area, 0)? };
        // SAFETY: mapped whole just now; only Drop unmaps it, and references from it do not leave this module's functions.
        Ok(MappedArea(unsafe { View::new(base.as_ptr().cast()) }))
    }
}

impl Drop for MappedArea {
    fn drop(&mut self) {
        if let Some(base) = std::ptr::NonNull::new(self.0.base().cast()) {
            // SAFETY: our own mapping, and nobody uses the view after this.
            let _ = unsafe { munmap(base, AREA_LENGTH) };
        }
    }
}

impl Engine {
    fn send<M: Message>(&self, message: &M, descriptors: &[i32]) -> Result<(), Errno> {
        packet::send(self.socket.as_fd(), message, &[], descriptors)
    }

    /// Hands memory to the engine.
    pub fn map(&self, order: &Map, memory: &OwnedFd) -> Result<(), Errno> {
        self.send(order, &[memory.as_raw_fd()])
    }

    /// Takes a grant back.
    pub fn unmap(&self, address: u64, length: u64, sequence: u32) {
        // An engine that is gone has no mappings.
        let _ = self.send(&Unmap { address, length, sequence, reserved: 0 }, &[]);
    }

    /// The shared area, for the client.
    pub fn area(&self) -> &OwnedFd {
        &self.area
    }

    /// State and counters of the shared area.
    pub fn head(&self) -> &wire::shared::Area {
        self.view.0.head()
    }

    /// Kernels run, nanoseconds in them.
    pub fn work_done(&self) -> (u64, u64) {
        let head = self.view.0.head();
        (head.kernels.load(Ordering::Relaxed), head.kernel_nanoseconds.0.load(Ordering::Relaxed))
    }

    /// What each kernel cost. Client and engine can write there: numbers and a text to show, nothing to rely on.
    pub fn kernels(&self) -> Vec<KernelCost> {
        let slots = (0..FIGURES_SLOTS).map(|slot| self.view.0.figures(slot));
        slots.map_while(|slot| slot.cost()).collect()
    }

    fn kill(&self) {
        if let Some(pidfd) = &self.pidfd {
            // SAFETY: a plain system call on a descriptor of ours; a null siginfo means an ordinary kill.
            unsafe {
                let nothing = std::ptr::null::<libc::siginfo_t>();
                libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), libc::SIGKILL, nothing, 0)
            };
        }
    }

    /// Whether it ended while its client still had use for it. The pidfd alone does not tell: a client sees the robust futex
    /// first, and may be gone before the pidfd is readable.
    fn failed(&self, ended: bool) -> bool {
        let head = self.view.0.head();
        match head.state.0.load(Ordering::SeqCst) {
            state if state == EngineState::Left as u32 => false,
            state if state == EngineState::Dead as u32 => true,
            _ => ended || head.robust.0.load(Ordering::SeqCst) & libc::FUTEX_OWNER_DIED != 0,
        }
    }

    /// Ends it with an error for its client to see. `None`: it had failed already, and its client sees that.
    pub fn condemn(&mut self, error: u32, why: &str) -> Option<()> {
        let head = self.view.0.head();
        if head.error.0.load(Ordering::SeqCst) != 0 {
            return None;
        }
        // Should the engine fail at this very moment, its words and ours may be mixed; the error is that of the first.
        head.tell_fault(why);
        let _ = head.error.0.compare_exchange(0, error, Ordering::SeqCst, Ordering::SeqCst);
        self.declare_dead();
        self.condemned = true;
        self.kill();
        Some(())
    }

    /// Second line after the robust futex: tells the client that nobody will answer. Answers error and text.
    fn declare_dead(&self) -> (u32, String) {
        const LAUNCH_FAILED: u32 = 719;
        let head = self.view.0.head();
        let error = head
            .error
            .0
            .compare_exchange(0, LAUNCH_FAILED, Ordering::SeqCst, Ordering::SeqCst)
            .unwrap_or_else(|set| set);
        head.state.0.store(EngineState::Dead as u32, Ordering::SeqCst);
        for word in [&head.completions.0, &head.robust.0, &head.state.0] {
            futex::wake_all(word);
        }
        let text = Some(head.fault_text()).filter(|text| !text.is_empty());
        let text = text.unwrap_or_else(|| "it was killed".to_owned());
        (if error == 0 { LAUNCH_FAILED } else { error }, text)
    }
}

impl Engine {
    /// Marks it as gone; what the report is to hear of it, once. `ended`: its process has.
    fn end(&mut self, process: u32, ended: bool) -> Option<Event> {
        let failed = self.failed(ended);
        let (error, text) = self.declare_dead();
        let told = std::mem::replace(&mut self.end_told, true);
        (failed && !told).then_some(Event::EngineEnded { process, error, text })
    }
}

impl Broker {
    /// Orders an engine for a process and opens its session.
    pub(crate) fn begin_session(
        &mut self,
        process: u32,
        user: u32,
        group: u32,
        window: Range<u64>,
    ) -> Result<(), String> {
        let client =
            Arc::new(pidfd_of(process).map_err(|error| format!("can't follow process {process}: {error}"))?);
        let engine = self.order_engine(process, (user, group), &window, &client)?;
        let watching = self
            .watch
            .add(client.as_fd(), Source::Client(process))
            .and_then(|()| self.watch.add(engine.socket.as_fd(), Source::EngineSocket(process)));
        watching.map_err(|error| format!("can't watch process {process}: {error}"))?;
        let session = Session::new(client, engine, window, Cgroup::of(process));
        self.sessions.insert(process, session);
        Ok(())
    }

    /// Charges a process for a context on a device, once: `cost`, or less on a small card. Does nothing if the process has no
    /// session.
    pub(crate) fn enter_device(&mut self, process: u32, device: u32, cost: u64) {
        let Some(session) = self.sessions.get_mut(&process) else { return };
        if session.entered.insert(device) {
            // `--memory` makes cards that are smaller than any real one of their kind: contexts shrink with them.
            let cost = cost.min(self.ledger.capacity(device) / 32).min(self.ledger.free(device));
            let _ = self.ledger.charge(device, process, cost);
            self.begin_account(process, device);
        }
    }

    fn order_engine(
        &mut self,
        process: u32,
        (user, group): (u32, u32),
        window: &Range<u64>,
        client: &OwnedFd,
    ) -> Result<Engine, String> {
        let fail = |what: &str, error: Errno| format!("can't {what} for process {process}: {error}");
        let area = memory::create(c"vgpu-area", AREA_LENGTH as u64).map_err(|error| {
            format!("can't make the shared area for process {process}: {}", memory::why(error))
        })?;
        let (socket, theirs) = pair().map_err(|error| fail("make the engine's socket", error))?;
        let order = Fork {
            client: process,
            user,
            group,
            traces: self.config.tracer.is_some().into(),
            window: window.start,
            window_length: window.end - window.start,
        };
        let descriptors = [area.as_fd(), client.as_fd(), theirs.as_fd()];
        if self.zygote()?.fork(&order, descriptors).is_err() {
            // It ended meanwhile; a fresh one gets the order.
            self.zygote = None;
            let zygote = self.zygote()?;
            let ordered = zygote.fork(&order, descriptors);
            ordered.map_err(|error| {
                let ended = matches!(error, Errno::EPIPE | Errno::ECONNRESET);
                let why = if ended { zygote.last_words() } else { None };
                why.unwrap_or_else(|| fail("order an engine", error))
            })?;
        }
        let view = MappedArea::new(&area).map_err(|error| fail("map the shared area", error))?;
        if let Some(tracer) = &mut self.config.tracer {
            tracer.work_of(process, area.as_fd());
        }
        Ok(Engine { pidfd: None, socket, area, view, end_told: false, condemned: false })
    }

    pub(crate) fn zygote(&mut self) -> Result<&Zygote, String> {
        if self.zygote.is_none() {
            let zygote = Zygote::start(&self.config.engine)?;
            self.watch
                .add(zygote.as_fd(), Source::Zygote)
                .map_err(|error| format!("can't watch the engine: {error}"))?;
            self.zygote = Some(zygote);
        }
        Ok(self.zygote.as_ref().expect("made above"))
    }

    pub(crate) fn zygote_spoke(&mut self) {
        let received = self.zygote.as_ref().map_or(Ok(None), Zygote::receive);
        let packet = match received {
            Ok(Some(packet)) => packet,
            // It was the one before that was heard of.
            Err(Errno::EAGAIN) => return,
            _ => return self.zygote_ended("the engine's program ended at its start"),
        };
        if let Some(answer) = packet.message::<Forked>() {
            self.engine_forked(&answer, packet.descriptors);
        } else if let Some(answer) = packet.message::<ForkFailed>() {
            let error = Errno::from_raw(answer.errno as i32);
            self.engine_lost(answer.client, &format!("can't fork an engine: {error}"));
        } else if let Some(why) = failure_to_start(&packet) {
            self.zygote_ended(&why);
        }
    }

    /// Its engines end with it, each told by its own pidfd; those that were never forked are told here.
    fn zygote_ended(&mut self, why: &str) {
        self.zygote = None;
        let waiting: Vec<u32> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.engine.pidfd.is_none())
            .map(|(process, _)| *process)
            .collect();
        for process in waiting {
            self.engine_lost(process, why);
        }
    }

    fn engine_forked(&mut self, answer: &Forked, mut descriptors: Vec<OwnedFd>) {
        let (process, Some(pidfd)) = (answer.client, descriptors.pop()) else { return };
        let Some(session) = self.sessions.get_mut(&process) else {
            return; // The client is gone already; its engine sees that by itself.
        };
        if self.watch.add(pidfd.as_fd(), Source::Engine(process)).is_ok() {
            session.engine.pidfd = Some(pidfd);
        }
        if session.engine.condemned {
            session.engine.kill();
        }
        self.events.push(Event::EngineStarted { process, engine: answer.engine });
    }

    fn engine_lost(&mut self, process: u32, text: &str) {
        if let Some(session) = self.sessions.get_mut(&process) {
            session.engine.declare_dead();
            session.engine.end_told = true;
            self.events.push(Event::EngineFailed { process, text: text.into() });
        }
    }

    pub(crate) fn engine_ended(&mut self, process: u32) {
        let Some(session) = self.sessions.get_mut(&process) else { return };
        session.engine.pidfd = None;
        self.events.extend(session.engine.end(process, true));
    }

    /// A client has ended.
    pub(crate) fn client_ended(&mut self, process: u32) {
        if self.config.checks {
            self.await_goodbye(process);
        }
        self.end_session(process);
    }

    /// An engine that makes checks tells at its own end what its client has left behind.
    fn await_goodbye(&mut self, process: u32) {
        let end = Instant::now() + GOODBYE;
        loop {
            let Some(session) = self.sessions.get(&process) else { return };
            let left = end.saturating_duration_since(Instant::now()).as_millis() as u16;
            let mut socket = [PollFd::new(session.engine.socket.as_fd(), PollFlags::POLLIN)];
            let is_ready = poll(&mut socket, left).is_ok_and(|ready| ready > 0);
            if !is_ready || !self.engine_spoke(process) {
                return;
            }
        }
    }

    /// What an engine has told and nobody has read yet.
    fn hear_last_words(&mut self, process: u32) {
        while self.engine_spoke(process) {}
    }

    /// Reads what an engine has to tell; `false` if that is nothing.
    pub(crate) fn engine_spoke(&mut self, process: u32) -> bool {
        let Some(session) = self.sessions.get(&process) else { return false };
        let packet = packet::receive(session.engine.socket.as_fd());
        let Ok(Some(packet)) = packet else {
            // End of file: watch it no longer. Its pidfd tells the rest.
            self.watch.remove(&session.engine.socket);
            return false;
        };
        if let Some(note) = packet.message::<EngineNote>() {
            let text = String::from_utf8_lossy(packet.tail::<EngineNote>()).into_owned();
            let known = [
                NoteKind::Fault,
                NoteKind::CodeRefused,
                NoteKind::Summary,
                NoteKind::Slower,
                NoteKind::Checked,
            ];
            if known.iter().any(|kind| *kind as u32 == note.kind) {
                self.events.push(Event::Note {
                    process,
                    kind: note.kind,
                    caller: 0,
                    value: note.value,
                    text,
                });
            }
        }
        true
    }

    /// A client is gone, or has let go of its engine: kill the engine, give all memory back.
    pub(crate) fn end_session(&mut self, process: u32) {
        self.hear_last_words(process);
        self.end_accounts(process);
        let Some(mut session) = self.sessions.remove(&process) else { return };
        self.events.extend(session.engine.end(process, false));
        session.engine.kill();
        self.exports.forget_process(process);
        self.physical.forget_process(process, &mut self.ledger, &mut self.reclaimer);
        let peak = self.ledger.forget(process);
        let kernels = session.engine.kernels();
        for grant in session.into_grants() {
            if grant.kind == MemoryKind::Event {
                memory::settle_event(&*grant.memory);
            } else if grant.is_to_be_reclaimed() {
                self.reclaimer.reclaim(grant.memory, grant.length);
            }
        }
        self.events.push(Event::Finished { process, kernels, peak });
    }
}

pub(crate) fn pidfd_of(process: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: a plain system call; the descriptor that it returns is new and ours.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
    // SAFETY: as above.
    Errno::result(result).map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}
