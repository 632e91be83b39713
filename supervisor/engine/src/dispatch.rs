//! What the workers share: the ring, the streams, kernels under way, and who sleeps.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use checks::Checker;
use interpreter::Environment;
use interpreter::watch::Watch;
use wire::command;
use wire::engine::Fork;
use wire::shared::EngineState;

use crate::admission::{Admission, Admitted};
use crate::area::SharedArea;
use crate::blas;
use crate::check;
use crate::fault::{self, result};
use crate::grants::Grants;
use crate::grids::Grids;
use crate::rest::{Quiet, Rest};
use crate::schedule::{LEGACY, Look, Pending, Schedule, State, Taken};
use crate::transfer::Memory;
use crate::work::{Refusal, Work};

/// Commands that are admitted at a time.
const BATCH: usize = 8;
/// Commands in streams beyond which a worker that has something else to do admits no more.
const ENOUGH: usize = 4096;
/// Work that runs at the same time at most; the kernels of a card that do are as many.
const MOST_RUNNING: usize = 128;

/// What the workers share.
pub struct Dispatcher {
    pub area: SharedArea,
    pub grids: Grids,
    pub rest: Rest,
    /// What kernels meet outside themselves.
    pub environment: &'static Environment<'static>,
    /// How many workers there are.
    pub threads: usize,
    grants: Arc<Grants>,
    /// For `--check`; of all kernels, until the process ends.
    pub checker: Option<&'static Checker>,
    admission: Mutex<Admission>,
    /// Where the ring has been read to.
    position: AtomicU64,
    streams: Mutex<Streams>,
    /// Something may be able to begin: somebody should look.
    changed: AtomicBool,
    /// See [`Streams::waits_outside`].
    waits_outside: AtomicBool,
}

/// The streams, and what is known of their work.
#[derive(Default)]
struct Streams {
    schedule: Schedule,
    /// Work that threads have taken, and kernels among it.
    running: usize,
    kernels: usize,
    /// Up to when the time in which kernels ran has been told.
    told: Option<Instant>,
    /// A head waits for something that the client does, and one among these for a word in memory: found by the newest look.
    waits_outside: bool,
    polls: bool,
}

/// What a mutex guards, also where somebody panicked with it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Dispatcher {
    pub fn new(area: SharedArea, grants: Arc<Grants>, order: &Fork, threads: usize) -> Dispatcher {
        let mut streams = Streams::default();
        streams.schedule.create(LEGACY, false, 0);
        let checker = check::checker(&grants);
        let checker_of_all = checker.clone().map(|checker| &**Box::leak(Box::new(checker)));
        let print = move |text: &str| area.print(text.as_bytes());
        // Workers use it until the process ends.
        let environment = Box::leak(Box::new(Environment {
            window: order.window..order.window + order.window_length,
            print: Box::leak(Box::new(print)),
            cancel: fault::failed(),
            watch: checker_of_all.map(|checker| checker as &dyn Watch),
        }));
        let admission = Admission::new(area, grants.clone(), checker);
        Dispatcher {
            area,
            grids: Grids::default(),
            rest: Rest::new(area),
            environment,
            threads,
            grants,
            checker: checker_of_all,
            position: AtomicU64::new(admission.position()),
            admission: Mutex::new(admission),
            streams: Mutex::new(streams),
            changed: AtomicBool::new(false),
            waits_outside: AtomicBool::new(false),
        }
    }

    /// Whether the ring holds something that nobody has read.
    fn has_records(&self) -> bool {
        self.area.head().head.0.load(Ordering::SeqCst) != self.position.load(Ordering::Relaxed)
    }

    /// Admits some commands, if there are some and nobody else does so. Whether there were. `is_busy`: the caller has other work.
    pub fn admit(&self, is_busy: bool) -> bool {
        if !self.has_records() {
            return false;
        }
        let mut admission = match self.admission.try_lock() {
            Ok(admission) => admission,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        if is_busy && lock(&self.streams).schedule.queued() > ENOUGH {
            return false;
        }
        let mut admitted = 0;
        while admitted < BATCH {
            match admission.next() {
                Ok(Some(record)) => self.enter(record),
                Ok(None) => break,
                Err(text) => self.lose(result::UNKNOWN, &text),
            }
            admitted += 1;
        }
        self.position.store(admission.position(), Ordering::Relaxed);
        admitted > 0
    }

    fn enter(&self, admitted: Admitted) {
        let mut streams = lock(&self.streams);
        let schedule = &mut streams.schedule;
        match admitted {
            Admitted::Stream { stream, non_blocking, priority, sequence } => {
                schedule.create(stream, non_blocking, priority);
                schedule.push(stream, sequence, Work::Nothing);
            }
            Admitted::Work { stream, sequence, work } => schedule.push(stream, sequence, work),
        }
        streams.tell_queued(self.area);
        self.changed.store(true, Ordering::SeqCst);
    }

    /// The ring is lost, and the context with it: nothing that the client sends can be understood any more.
    fn lose(&self, error: u32, text: &str) -> ! {
        fault::fail(self.area, error, text);
        self.area.set_state(EngineState::Dead);
        self.area.wake();
        std::process::exit(1);
    }

    /// The next work for the calling thread, if there is some.
    pub fn next(&self) -> Option<Taken> {
        if !self.changed.load(Ordering::SeqCst) && !self.waits_outside.load(Ordering::SeqCst) {
            return None;
        }
        let mut streams = lock(&self.streams);
        if streams.running >= MOST_RUNNING {
            return None;
        }
        self.changed.store(false, Ordering::SeqCst);
        let taken = streams.next(self);
        self.waits_outside.store(streams.waits_outside, Ordering::SeqCst);
        if taken.as_ref().is_some_and(|taken| taken.has_more) {
            self.changed.store(true, Ordering::SeqCst);
        }
        taken
    }

    /// Whether a look at the streams is worth it.
    pub fn may_have_more(&self) -> bool {
        self.changed.load(Ordering::SeqCst)
    }

    /// Work that a thread had taken is done; `kernel`: when it ended, if it was one.
    pub fn end(&self, stream: u32, outcome: Result<(), Refusal>, kernel: Option<Instant>) {
        if let Err(refusal) = outcome {
            fault::fail(self.area, refusal.result, &refusal.text);
        }
        let mut streams = lock(&self.streams);
        streams.running -= 1;
        if let Some(now) = kernel {
            streams.tell_time(self.area, now);
            streams.count_kernel(-1, now);
        }
        if let Some(sequence) = streams.schedule.end(stream) {
            self.area.complete(stream, sequence);
        }
        if !streams.schedule.is_empty() {
            self.changed.store(true, Ordering::SeqCst);
        }
        streams.tell_queued(self.area);
        drop(streams);
        self.area.wake_waiters(stream);
    }

    /// Does work that is no kernel.
    pub fn perform(&self, work: &Work) -> Result<(), Refusal> {
        let memory = self.memory();
        match work {
            Work::Copy(order) => memory.copy(order),
            Work::CopyRectangle(order) => memory.copy_rectangle(order),
            Work::Fill(order) => memory.fill(order),
            Work::Blas(order) => blas::run(order, &memory, self.threads),
            Work::Matmul(order) => blas::matmul(order, &memory, self.threads),
            Work::Freed(order) => {
                if let Some(checker) = self.checker {
                    checker.freed(order.address);
                }
                Ok(())
            }
            // Kernels are the workers'; the others were done on the spot.
            _ => Ok(()),
        }
    }

    fn memory(&self) -> Memory<'_> {
        Memory { area: self.area, grants: &self.grants, checker: self.checker }
    }

    /// Lets the calling thread rest; `has_work` tells of work that this thread alone can see.
    pub fn rest(&self, has_work: impl Fn() -> bool) {
        let quiet = {
            let streams = lock(&self.streams);
            Quiet { nothing_runs: streams.running == 0, polls: streams.polls }
        };
        self.rest.rest(quiet, || {
            self.has_records()
                || self.changed.load(Ordering::SeqCst)
                || self.grids.has_offers()
                || has_work()
                || self.waits_outside.load(Ordering::SeqCst) && self.is_waited_for()
        });
    }

    /// Whether something has come that a head waits for.
    fn is_waited_for(&self) -> bool {
        let memory = self.memory();
        lock(&self.streams).schedule.any(|head| !matches!(look(head, &memory), Ok(Look::Waits)))
    }
}

impl Streams {
    fn next(&mut self, dispatcher: &Dispatcher) -> Option<Taken> {
        let area = dispatcher.area;
        let memory = dispatcher.memory();
        let (mut waits_outside, mut polls) = (false, false);
        let taken = self.schedule.next(
            |head| {
                if fault::failed().load(Ordering::SeqCst) {
                    // After an error nothing runs any more; it only ends, so that nobody waits for ever.
                    return Look::Done;
                }
                let looked = begin(head, &memory).unwrap_or_else(|refusal| {
                    fault::fail(area, refusal.result, &refusal.text);
                    Look::Done
                });
                if let Look::Waits = looked {
                    waits_outside |= !matches!(head.work, Work::WaitEvent(_));
                    polls |= matches!(head.work, Work::WaitValue(_));
                }
                looked
            },
            |stream, sequence| {
                area.complete(stream, sequence);
                area.wake_waiters(stream);
            },
        );
        self.tell_queued(area);
        (self.waits_outside, self.polls) = (waits_outside, polls);
        self.running += usize::from(taken.is_some());
        if let Some(Taken { begun: Some(now), .. }) = taken {
            self.tell_time(area, now);
            self.count_kernel(1, now);
        }
        taken
    }

    /// Tells up to now in how much time kernels ran, be it one or several at a time.
    fn tell_time(&self, area: SharedArea, now: Instant) {
        if let Some(told) = self.told {
            let more = now.saturating_duration_since(told).as_nanos() as u64;
            area.head().kernel_nanoseconds.0.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Tells how much there is to do.
    fn tell_queued(&self, area: SharedArea) {
        area.head().queued.store(self.schedule.queued() as u32, Ordering::Relaxed);
    }

    fn count_kernel(&mut self, more: isize, now: Instant) {
        self.kernels = self.kernels.saturating_add_signed(more);
        self.told = (self.kernels > 0).then_some(now);
    }
}

/// Looks at a head that may begin, and does what is done on the spot.
fn begin(head: &mut Pending, memory: &Memory) -> Result<Look, Refusal> {
    match &head.work {
        Work::RecordEvent(order) => {
            record_event(memory.area, order);
            memory.area.wake_sleepers();
        }
        Work::WriteValue(order) => memory.write_value(order)?,
        Work::HostCallback(order) if head.state == State::Queued => {
            memory.area.event(order.ready_event).value.store(order.value, Ordering::Release);
            memory.area.wake_sleepers();
            head.state = State::Told;
        }
        _ => {}
    }
    look(head, memory)
}

/// What becomes of a head.
fn look(head: &Pending, memory: &Memory) -> Result<Look, Refusal> {
    let reached = |event: u32, value: u64| memory.area.event(event).value.load(Ordering::Acquire) >= value;
    let goes_on = match &head.work {
        Work::WaitEvent(order) => reached(order.event, order.value),
        Work::HostCallback(order) => reached(order.done_event, order.value),
        Work::WaitValue(order) => memory.value_compares(order)?,
        Work::RecordEvent(_) | Work::WriteValue(_) | Work::Nothing => true,
        Work::Launch(_)
        | Work::Copy(_)
        | Work::CopyRectangle(_)
        | Work::Fill(_)
        | Work::Freed(_)
        | Work::Blas(_)
        | Work::Matmul(_) => return Ok(Look::Runs),
    };
    Ok(if goes_on { Look::Done } else { Look::Waits })
}

fn record_event(area: SharedArea, order: &command::RecordEvent) {
    let slot = area.event(order.event);
    if order.timing != 0 {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
            .map_or(Duration::ZERO, Duration::from);
        slot.time.store(now.as_nanos() as u64, Ordering::Relaxed);
    }
    slot.value.store(order.value, Ordering::Release);
}
