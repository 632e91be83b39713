//! The ring thread: admits commands, orders streams, runs work, rests when there is none.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytemuck::Zeroable;
use checks::Checker;
use wire::command::{self, Command};
use wire::control::NoteKind;
use wire::engine::Fork;
use wire::futex;
use wire::shared::{EngineState, REPLY_SLOTS};

use crate::area::SharedArea;
use crate::blas;
use crate::check;
use crate::code::{Answer, Modules, Runner};
use crate::fault::{self, result};
use crate::grants::Grants;
use crate::note;
use crate::ring::{Record, Ring};
use crate::schedule::{LEGACY, Schedule};
use crate::transfer::Memory;
use crate::work::{self, Refusal, Work};

/// How long a sleep may last while a stream waits for a word in memory, which rings no bell.
const POLL: Duration = Duration::from_micros(100);

/// The ring thread's state.
pub struct Dispatcher {
    area: SharedArea,
    grants: Arc<Grants>,
    modules: Modules,
    runner: Runner,
    schedule: Schedule,
    threads: usize,
    checker: Option<Arc<Checker>>,
}

/// What became of a stream's head.
enum Progress {
    Done,
    Waits,
}

impl Dispatcher {
    pub fn new(area: SharedArea, grants: Arc<Grants>, order: &Fork, threads: usize) -> Dispatcher {
        let window = order.window..order.window + order.window_length;
        let mut schedule = Schedule::default();
        schedule.create(LEGACY, false);
        let checker = check::checker(&grants);
        Dispatcher {
            area,
            grants,
            modules: Modules::new(area, checker.clone()),
            runner: Runner::new(area, window, threads, checker.clone()),
            schedule,
            threads,
            checker,
        }
    }

    /// Serves the client until the process ends.
    pub fn run(mut self) -> ! {
        let mut ring = Ring::new(self.area);
        loop {
            let admitted = match ring.next() {
                Ok(None) => false,
                Ok(Some(record)) => {
                    self.admit(&record);
                    true
                }
                Err(text) => self.lose(result::UNKNOWN, &text),
            };
            if !self.run_one() && !admitted {
                self.rest(&ring);
            }
        }
    }

    /// The ring is lost, and the context with it: nothing that the client sends can be understood any more.
    fn lose(&mut self, error: u32, text: &str) -> ! {
        self.fail(error, text);
        self.area.set_state(EngineState::Dead);
        self.area.wake_sleepers();
        std::process::exit(1);
    }

    /// Sets the sticky error and tells the report.
    fn fail(&self, error: u32, text: &str) {
        fault::report(self.area, error, text);
        note::tell(NoteKind::Fault, i64::from(error), text);
    }

    fn failed(&self) -> bool {
        self.area.head().error.0.load(Ordering::Relaxed) != 0
    }

    fn admit(&mut self, record: &Record) {
        self.await_grants(record.header.map_sequence);
        self.tell_checker(record);
        let header = &record.header;
        if self.admit_immediate(record) {
            // Its place in the stream still counts: who waits for the stream waits for this sequence number too.
            return self.schedule.push(header.stream, header.sequence, Work::Nothing);
        }
        let work = match Work::decode(record, &self.modules) {
            Ok(Some(work)) => work,
            Ok(None) => return self.refuse_unknown(record),
            Err(refusal) => {
                self.fail(refusal.result, &refusal.text);
                return self.area.complete(header.stream, header.sequence);
            }
        };
        self.schedule.push(header.stream, header.sequence, work);
    }

    /// What the client says of its memory. As stream work such a command does nothing more, but for a free in stream order.
    fn tell_checker(&self, record: &Record) {
        let Some(checker) = &self.checker else { return };
        match record.header.number {
            command::Allocated::NUMBER => {
                work::fixed(record).map(|order| check::allocated(checker, &order)).unwrap_or_default()
            }
            command::Written::NUMBER => {
                work::fixed(record).map(|order| check::written(checker, &order)).unwrap_or_default()
            }
            command::Freed::NUMBER => {
                let order = work::fixed::<command::Freed>(record).ok().filter(|order| order.in_order == 0);
                order.map(|order| checker.freed(order.address)).unwrap_or_default();
            }
            _ => {}
        }
    }

    fn refuse_unknown(&self, record: &Record) {
        self.fail(
            result::NOT_SUPPORTED,
            &format!("command {} is not one that this engine knows", record.header.number),
        );
        self.area.complete(record.header.stream, record.header.sequence);
    }

    /// The broker's grant and the client's command come by different ways; wait for the slower one.
    fn await_grants(&self, sequence: u32) {
        let word = &self.area.head().mapped.0;
        loop {
            let mapped = word.load(Ordering::Acquire);
            if sequence.wrapping_sub(mapped) as i32 <= 0 {
                return;
            }
            futex::wait(word, mapped, Some(Duration::from_millis(100)));
        }
    }

    /// Commands without a place in a stream. Whether it was one.
    fn admit_immediate(&mut self, record: &Record) -> bool {
        match record.header.number {
            command::CreateStream::NUMBER => {
                let order: command::CreateStream = work::fixed(record).unwrap_or_else(|_| Zeroable::zeroed());
                self.schedule.create(record.header.stream, order.non_blocking != 0);
            }
            command::LoadModule::NUMBER => self.with_reply(record, |this, order: command::LoadModule| {
                let answer = this.load_module(&order);
                (order.reply, order.answer, order.answer_capacity, answer)
            }),
            command::DescribeFunction::NUMBER => {
                self.with_reply(record, |this, order: command::DescribeFunction| {
                    let answer = this.modules.describe(order.module, order.function);
                    (order.reply, order.answer, order.answer_capacity, answer)
                })
            }
            command::BindGlobals::NUMBER => self.with_reply(record, |this, order: command::BindGlobals| {
                let answer = this.modules.bind_globals(&order, &this.grants).map(|()| Answer::new());
                (order.reply, 0, 0, answer)
            }),
            command::SetHeap::NUMBER => {
                let order = work::fixed::<command::SetHeap>(record);
                let done = order.and_then(|order| self.modules.set_heap(&order, &self.grants));
                if let Err(refusal) = done {
                    self.fail(refusal.result, &refusal.text);
                }
            }
            command::UnloadModule::NUMBER => {
                if let Ok(order) = work::fixed::<command::UnloadModule>(record) {
                    self.modules.unload(order.module);
                }
            }
            _ => return false,
        }
        true
    }

    fn with_reply<C: Command>(
        &mut self,
        record: &Record,
        run: impl FnOnce(&mut Self, C) -> (u32, u64, u64, Result<Answer, Refusal>),
    ) {
        let order = match work::fixed::<C>(record) {
            Ok(order) => order,
            // Without its fixed part we do not know where to answer.
            Err(refusal) => return self.fail(refusal.result, &refusal.text),
        };
        let (slot, place, capacity, answer) = run(self, order);
        if slot as usize >= REPLY_SLOTS {
            return self.fail(result::INVALID_VALUE, &format!("there is no reply slot {slot}"));
        }
        let (code, bytes) = match answer {
            Ok(bytes) => (result::SUCCESS, bytes),
            Err(refusal) => {
                note::tell(NoteKind::CodeRefused, i64::from(refusal.result), &refusal.text);
                (refusal.result, refusal.text.into_bytes())
            }
        };
        self.answer(slot, place, capacity, code, &bytes);
    }

    fn answer(&self, slot: u32, place: u64, capacity: u64, code: u32, bytes: &[u8]) {
        let length = bytes.len() as u64;
        if length > capacity && code == result::SUCCESS {
            return self.area.answer(slot, result::OUT_OF_MEMORY, bytes.len());
        }
        let written = length.min(capacity);
        if let Some(target) = self.area.bytes(place, written) {
            // SAFETY: in the shared area; the client has set this region aside for the answer and reads it after the reply.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, written as usize) };
        }
        self.area.answer(slot, code, written as usize);
    }

    fn load_module(&mut self, order: &command::LoadModule) -> Result<Answer, Refusal> {
        let memory = Memory { area: self.area, grants: &self.grants, checker: None };
        let place = match order.in_area {
            1 => self.area.bytes(order.image, order.length),
            _ => Some(memory.at(order.image, order.length, "a module's image")?),
        };
        let place = place
            .ok_or_else(|| Refusal::new(result::INVALID_VALUE, "a module's image outside the shared area"))?;
        // SAFETY: mapped, by the checks above. Copied, so that a client that writes on meanwhile can't change it under us.
        let image = unsafe { std::slice::from_raw_parts(place, order.length as usize) }.to_vec();
        self.modules.load(order, &image)
    }

    /// Runs, or begins, one piece of work. False: there is none that can go on.
    fn run_one(&mut self) -> bool {
        for stream in self.schedule.candidates() {
            if let Progress::Done = self.step(stream) {
                return true;
            }
        }
        false
    }

    fn step(&mut self, stream: u32) -> Progress {
        let failed = self.failed();
        let Some(head) = self.schedule.head(stream) else { return Progress::Waits };
        // After an error nothing runs any more; it only ends, so that nobody waits for ever.
        let outcome = if failed {
            Ok(Progress::Done)
        } else {
            let memory = Memory { area: self.area, grants: &self.grants, checker: self.checker.as_deref() };
            perform(&head.work, &mut head.started, &memory, &mut self.runner, self.threads)
        };
        match outcome {
            Ok(Progress::Waits) => return Progress::Waits,
            Ok(Progress::Done) => {}
            Err(refusal) => self.fail(refusal.result, &refusal.text),
        }
        if let Some(done) = self.schedule.pop(stream) {
            self.area.complete(stream, done.sequence);
        }
        Progress::Done
    }

    /// Spins for a while, then sleeps until the client rings.
    fn rest(&self, ring: &Ring) {
        let area = self.area.head();
        let spin = Duration::from_micros(u64::from(area.spin.load(Ordering::Relaxed)));
        if !spin.is_zero() && self.schedule.is_empty() {
            let begun = Instant::now();
            while begun.elapsed() < spin {
                for _ in 0..64 {
                    if !ring.is_empty() {
                        return;
                    }
                    std::hint::spin_loop();
                }
            }
        }
        area.engine_sleeps.0.store(1, Ordering::SeqCst);
        if ring.is_empty() {
            let limit = (!self.schedule.is_empty()).then_some(POLL);
            futex::wait(&area.engine_sleeps.0, 1, limit);
        }
        area.engine_sleeps.0.store(0, Ordering::Relaxed);
    }
}

fn perform(
    work: &Work,
    started: &mut bool,
    memory: &Memory,
    runner: &mut Runner,
    threads: usize,
) -> Result<Progress, Refusal> {
    match work {
        Work::Launch(launch) => runner.launch(launch)?,
        Work::Copy(order) => memory.copy(order)?,
        Work::CopyRectangle(order) => memory.copy_rectangle(order)?,
        Work::Fill(order) => memory.fill(order)?,
        Work::RecordEvent(order) => record_event(memory.area, order),
        Work::WaitEvent(order) => return Ok(event_reached(memory.area, order.event, order.value)),
        Work::HostCallback(order) => {
            if !std::mem::replace(started, true) {
                memory.area.event(order.ready_event).value.store(order.value, Ordering::Release);
                memory.area.wake_sleepers();
            }
            return Ok(event_reached(memory.area, order.done_event, order.value));
        }
        Work::WriteValue(order) => memory.write_value(order)?,
        Work::WaitValue(order) => {
            return Ok(if memory.value_compares(order)? { Progress::Done } else { Progress::Waits });
        }
        Work::Blas(order) => blas::run(order, memory, threads)?,
        Work::Matmul(order) => blas::matmul(order, memory, threads)?,
        Work::Freed(order) => {
            if let Some(checker) = memory.checker {
                checker.freed(order.address);
            }
        }
        Work::Nothing => {}
    }
    Ok(Progress::Done)
}

fn event_reached(area: SharedArea, event: u32, value: u64) -> Progress {
    let reached = area.event(event).value.load(Ordering::Acquire) >= value;
    if reached { Progress::Done } else { Progress::Waits }
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
