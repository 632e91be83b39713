//! The client's half of its engine.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use bytemuck::bytes_of;
use wire::command::{self, Command, Header};
use wire::control::{self, MemoryKind, NoteKind, Status};
use wire::futex;
use wire::shared::{self, EVENT_SLOTS, EngineState, REPLY_SLOTS, STREAM_SLOTS, View};

use crate::bounce::{Bounce, BounceBuffer};
use crate::connection::{Connection, errno};
use crate::mapping::{self, Mapped};
use crate::ring::Ring;
use crate::slots::Slots;
use crate::trace;

/// `CUDA_ERROR_LAUNCH_FAILED`: what a client is told when its engine is gone without a word.
const LAUNCH_FAILED: u32 = 719;
/// How many places of the broker's choice are tried for one allocation where no window is reserved.
const PLACES_TRIED: u32 = 64;
/// Set in a robust futex by the kernel when its owner dies (linux/futex.h).
const FUTEX_OWNER_DIED: u32 = 0x4000_0000;

/// The engine can't be reached any more; holds the `CUresult` to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineGone(pub u32);

/// The engine refused a command that has an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// A `CUresult`.
    pub result: u32,
    /// Why, in words.
    pub text: String,
}

impl From<EngineGone> for Refused {
    fn from(gone: EngineGone) -> Refused {
        Refused { result: gone.0, text: "the engine is gone".into() }
    }
}

/// Bytes of an answer.
pub type Answered = Result<Vec<u8>, Refused>;

struct Producer {
    ring: Ring,
    /// Sequence number of the newest command, by stream slot.
    sequences: Vec<u64>,
    /// Slots that have ever had a command: few of all that there are.
    used: Vec<u32>,
}

struct SlotTables {
    streams: Slots,
    events: Slots,
    replies: Slots,
}

/// A process's engine. Made once per process; shared by all its threads and contexts.
pub struct Engine {
    view: View,
    /// Address space that holds nothing but grants; empty where it could not be reserved.
    reserved: Range<u64>,
    producer: Mutex<Producer>,
    slots: Mutex<SlotTables>,
    bounce: Mutex<BounceBuffer>,
    grants: Mutex<BTreeMap<u64, Mapped>>,
    newest_grant: AtomicU32,
    /// Whether the engine makes checks, and its stream for what it is told of memory, once that is made.
    checks: bool,
    checks_stream: OnceLock<Option<u32>>,
    /// How long a wait spins before it sleeps; zero on one core, where spinning steals from the engine.
    spin: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Engine {
    /// Asks for an engine. It may still be starting when this returns; commands wait for it.
    pub fn connect(connection: &Connection) -> Result<Engine, Status> {
        let window = mapping::choose_window();
        let answer = connection.call(&control::Connect { window: window.place.start })?;
        let view = map_area(&answer).map_err(|_| Status::OutOfMemory)?;
        let reserved = if window.reserved { window.place } else { 0..0 };
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let spin = Duration::from_micros(if cores > 1 { 20 } else { 0 });
        view.head().spin.store(spin.as_micros() as u32, Ordering::Relaxed);
        Ok(Engine {
            view,
            reserved,
            producer: Mutex::new(Producer {
                ring: Ring::new(view),
                sequences: vec![0; STREAM_SLOTS],
                used: Vec::new(),
            }),
            slots: Mutex::new(SlotTables {
                // Slot 0 is the legacy stream.
                streams: Slots::new(1, STREAM_SLOTS),
                events: Slots::new(0, EVENT_SLOTS),
                replies: Slots::new(0, REPLY_SLOTS),
            }),
            bounce: Mutex::new(BounceBuffer::new()),
            grants: Mutex::new(BTreeMap::new()),
            newest_grant: AtomicU32::new(0),
            checks: answer.checks != 0,
            checks_stream: OnceLock::new(),
            spin,
        })
    }

    // ----- commands

    /// Appends a command to a stream; answers its sequence number.
    pub fn submit<C: Command>(&self, stream: u32, command: &C) -> Result<u64, EngineGone> {
        self.submit_with(stream, command, &[])
    }

    /// The same with a variable part.
    pub fn submit_with<C: Command>(
        &self,
        stream: u32,
        command: &C,
        variable: &[u8],
    ) -> Result<u64, EngineGone> {
        assert!(size_of::<C>() + variable.len() < Ring::LONGEST, "{} is too long for the ring", C::NAME);
        self.check()?;
        let mut producer = lock(&self.producer);
        let Producer { ring, sequences, used } = &mut *producer;
        let sequence = sequences[stream as usize] + 1;
        let header = Header {
            number: C::NUMBER,
            stream,
            map_sequence: self.newest_grant.load(Ordering::Acquire),
            sequence,
            ..Header::default()
        };
        ring.push(header, bytes_of(command), variable, || !self.is_dead())
            .map_err(|_| EngineGone(self.error()))?;
        sequences[stream as usize] = sequence;
        if sequence == 1 {
            used.push(stream);
        }
        drop(producer);
        if trace::may_be_on() {
            trace::submitted(stream, sequence, C::NUMBER);
        }
        Ok(sequence)
    }

    /// Sequence number of a stream's newest command.
    pub fn submitted(&self, stream: u32) -> u64 {
        lock(&self.producer).sequences[stream as usize]
    }

    /// Sequence number up to which a stream's commands are done.
    pub fn completed(&self, stream: u32) -> u64 {
        self.view.stream(stream).completed.load(Ordering::Acquire)
    }

    /// Waits until a stream has done everything up to `sequence`.
    pub fn wait(&self, stream: u32, sequence: u64) -> Result<(), EngineGone> {
        let awaited = &self.view.stream(stream).awaited;
        let say_so = || {
            let lower = |least: u64| (least == 0 || least > sequence).then_some(sequence);
            // An error: somebody waits for less, and is woken first.
            let _ = awaited.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lower);
        };
        self.wait_until(|| self.completed(stream) >= sequence, say_so)
    }

    /// Streams that have ever had a command, each with the sequence number of its newest.
    pub fn submitted_so_far(&self) -> Vec<(u32, u64)> {
        let producer = lock(&self.producer);
        producer.used.iter().map(|stream| (*stream, producer.sequences[*stream as usize])).collect()
    }

    /// Waits for everything that was submitted to any stream so far.
    pub fn wait_all(&self) -> Result<(), EngineGone> {
        self.submitted_so_far().into_iter().try_for_each(|(stream, sequence)| self.wait(stream, sequence))
    }

    /// Waits for what other processes bring about, and rings no bell here. `done` is asked again and again, less and less often.
    pub fn wait_for_others(&self, done: impl Fn() -> bool) -> Result<(), EngineGone> {
        let mut pause = Duration::from_micros(20);
        while !self.spin_until(&done) {
            self.check()?;
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(1));
        }
        self.check()
    }

    // ----- events

    /// Number of the newest completed record of an event slot.
    pub fn event_value(&self, slot: u32) -> u64 {
        self.view.event(slot).value.load(Ordering::Acquire)
    }

    /// CLOCK_MONOTONIC nanoseconds of that record.
    pub fn event_time(&self, slot: u32) -> u64 {
        self.view.event(slot).time.load(Ordering::Relaxed)
    }

    /// Writes an event slot from this side (a host function has run) and wakes whoever waits for it.
    pub fn set_event(&self, slot: u32, value: u64) {
        self.view.event(slot).value.store(value, Ordering::Release);
        self.ring_bell();
    }

    /// Waits until an event slot has reached `value`.
    pub fn wait_event(&self, slot: u32, value: u64) -> Result<(), EngineGone> {
        self.wait_for_event(|| self.event_value(slot) >= value)
    }

    /// Waits for something that comes with an event's value, or that [`Engine::wake_own`] tells of.
    pub fn wait_for_event(&self, come: impl Fn() -> bool) -> Result<(), EngineGone> {
        if !self.spin_until(&come) {
            let sleepers = &self.view.head().sleepers.0;
            sleepers.fetch_add(1, Ordering::SeqCst);
            let outcome = self.sleep_until(&come, &|| ());
            sleepers.fetch_sub(1, Ordering::SeqCst);
            outcome?;
        }
        self.check()
    }

    /// Wakes threads of this process that sleep in [`Engine::wait_for_event`]: they look again.
    pub fn wake_own(&self) {
        fence(Ordering::SeqCst);
        let area = self.view.head();
        if area.sleepers.0.load(Ordering::Relaxed) != 0 {
            area.completions.0.fetch_add(1, Ordering::SeqCst);
            futex::wake_all(&area.completions.0);
        }
    }

    fn ring_bell(&self) {
        fence(Ordering::SeqCst);
        let bell = &self.view.head().engine_sleeps.0;
        bell.store(0, Ordering::SeqCst);
        futex::wake_all(bell);
    }

    // ----- checks

    /// Whether the engine makes checks, and is to be told of memory.
    pub fn checks(&self) -> bool {
        self.checks
    }

    /// Tells an engine that makes checks of memory, in a stream that nobody else waits for. An engine that is gone need not know.
    pub fn tell<C: Command>(&self, command: &C) {
        if !self.checks {
            return;
        }
        let make = || {
            let slot = self.take_stream()?;
            let order = command::CreateStream { non_blocking: 1, ..Default::default() };
            self.submit(slot, &order).ok().map(|_| slot)
        };
        if let Some(slot) = self.checks_stream.get_or_init(make) {
            let _ = self.submit(*slot, command);
        }
    }

    // ----- slots

    /// A free stream slot; the caller submits `CreateStream` on it.
    pub fn take_stream(&self) -> Option<u32> {
        lock(&self.slots).streams.take()
    }

    /// Gives a stream slot back; its last command must be done.
    pub fn give_stream(&self, slot: u32) {
        lock(&self.slots).streams.give(slot);
    }

    /// A free event slot. Its value is whatever it was: count on from [`Engine::event_value`].
    pub fn take_event(&self) -> Option<u32> {
        lock(&self.slots).events.take()
    }

    /// Gives an event slot back.
    pub fn give_event(&self, slot: u32) {
        lock(&self.slots).events.give(slot);
    }

    // ----- memory

    /// Asks the broker for memory and maps it.
    pub fn allocate(
        &self,
        connection: &Connection,
        device: u32,
        kind: MemoryKind,
        length: u64,
    ) -> Result<Mapped, Status> {
        let order = control::Allocate { device, kind: kind as u32, length, address: 0 };
        let mut refused = libc::EEXIST;
        for _ in 0..PLACES_TRIED {
            let grant = connection.call(&order)?;
            match self.accept(connection, &grant) {
                Ok(mapped) => return Ok(mapped),
                // Something lies there, which nothing kept from coming: the broker goes on to the next place.
                Err(libc::EEXIST) => {}
                Err(error) => {
                    refused = error;
                    break;
                }
            }
        }
        let why = std::io::Error::from_raw_os_error(refused);
        connection.note(
            NoteKind::AllocationFailed,
            length as i64,
            &format!("the process can't map them: {why}"),
        );
        Err(Status::OutOfMemory)
    }

    /// Maps memory that another process exported.
    pub fn import(
        &self,
        connection: &Connection,
        token: [u8; 32],
        kind: MemoryKind,
    ) -> Result<Mapped, Status> {
        let grant = connection.call(&control::ImportMemory { token, kind: kind as u32, reserved: 0 })?;
        self.accept(connection, &grant).map_err(|_| Status::OutOfMemory)
    }

    /// Maps a grant, or gives it back and answers the `errno`.
    fn accept(&self, connection: &Connection, grant: &control::Allocation) -> Result<Mapped, i32> {
        match mapping::map(grant, self.in_window(grant.address, grant.length), true) {
            Ok(mapped) => {
                lock(&self.grants).insert(mapped.address, mapped);
                self.follow(mapped.map_sequence);
                Ok(mapped)
            }
            Err(error) => {
                let _ = connection.call(&control::Free { address: grant.address });
                Err(error)
            }
        }
    }

    /// Gives memory back. The caller has waited for the work that uses it.
    pub fn free(&self, connection: &Connection, address: u64) -> Result<(), Status> {
        let mapped = lock(&self.grants).remove(&address).ok_or(Status::NotFound)?;
        mapping::unmap(mapped.address, mapped.length, self.in_window(mapped.address, mapped.length));
        connection.call(&control::Free { address }).map(drop)
    }

    /// Commands from now on wait until the engine has mapped, or unmapped, this too.
    pub(crate) fn follow(&self, map_sequence: u32) {
        self.newest_grant.fetch_max(map_sequence, Ordering::AcqRel);
    }

    /// Whether the addresses are reserved for device memory: nothing else can be there.
    pub fn in_window(&self, address: u64, length: u64) -> bool {
        self.reserved.start <= address && address.saturating_add(length) <= self.reserved.end
    }

    /// The view of the shared area, for [`Bounce::write`] and [`Bounce::read`].
    pub fn view(&self) -> View {
        self.view
    }

    /// Space in the bounce buffer.
    pub fn take_bounce(&self, length: u64) -> Option<Bounce> {
        lock(&self.bounce).take(length)
    }

    /// Gives space in the bounce buffer back; the engine must be done with it.
    pub fn give_bounce(&self, bounce: Bounce) {
        lock(&self.bounce).give(bounce);
    }

    // ----- commands with an answer

    /// Loads code under the names of module and context; the answer is a `ModuleAnswer` with its tables.
    pub fn load_module(
        &self,
        connection: &Connection,
        device: u32,
        capability: u32,
        [module, context]: [u64; 2],
        image: &[u8],
    ) -> Answered {
        let staged = self.stage(connection, device, image)?;
        let mut capacity = (image.len() as u64 / 4).max(1 << 16);
        let outcome = loop {
            let answered = self.ask(capacity, |reply, answer| command::LoadModule {
                image: staged.place(),
                length: image.len() as u64,
                in_area: staged.in_area(),
                device,
                capability,
                reply,
                module,
                answer,
                answer_capacity: capacity,
                context,
            });
            match answered {
                Outcome::TooShort(needed) => capacity = needed,
                Outcome::Answered(outcome) => break outcome,
            }
        };
        staged.release(self, connection);
        outcome
    }

    /// Decodes a function; the answer is `FunctionAttributes`.
    pub fn describe_function(&self, module: u64, function: u32) -> Answered {
        const CAPACITY: u64 = 4096;
        match self.ask(CAPACITY, |reply, answer| command::DescribeFunction {
            module,
            function,
            reply,
            answer,
            answer_capacity: CAPACITY,
        }) {
            Outcome::Answered(outcome) => outcome,
            Outcome::TooShort(needed) => {
                Err(Refused { result: LAUNCH_FAILED, text: format!("attributes of {needed} bytes") })
            }
        }
    }

    /// Places a module's variables.
    pub fn bind_globals(&self, module: u64, address: u64) -> Result<(), Refused> {
        match self.ask(4096, |reply, _| command::BindGlobals { module, address, reply, reserved: 0 }) {
            Outcome::Answered(outcome) => outcome.map(drop),
            Outcome::TooShort(_) => Ok(()),
        }
    }

    fn ask<C: Command>(&self, capacity: u64, order: impl FnOnce(u32, u64) -> C) -> Outcome {
        let out_of =
            |what: &str| Outcome::Answered(Err(Refused { result: 2, text: format!("no free {what}") }));
        let Some(bounce) = self.take_bounce(capacity) else { return out_of("bounce buffer") };
        let Some(slot) = lock(&self.slots).replies.take() else {
            self.give_bounce(bounce);
            return out_of("reply slot");
        };
        let reply = self.view.reply(slot);
        reply.done.store(0, Ordering::SeqCst);
        let submitted = self.submit(0, &order(slot, bounce.offset));
        let outcome = match submitted.and_then(|_| self.wait_reply(reply)) {
            Err(gone) => Outcome::Answered(Err(gone.into())),
            Ok(()) => self.read_answer(reply, &bounce),
        };
        lock(&self.slots).replies.give(slot);
        self.give_bounce(bounce);
        outcome
    }

    fn read_answer(&self, reply: &shared::Reply, bounce: &Bounce) -> Outcome {
        let (result, length) = (reply.result.load(Ordering::Acquire), reply.length.load(Ordering::Acquire));
        if u64::from(length) > bounce.length {
            return Outcome::TooShort(length.into());
        }
        let bytes = bounce.read(self.view, length as usize);
        Outcome::Answered(match result {
            0 => Ok(bytes),
            result => Err(Refused { result, text: String::from_utf8_lossy(&bytes).into_owned() }),
        })
    }

    fn wait_reply(&self, reply: &shared::Reply) -> Result<(), EngineGone> {
        while reply.done.load(Ordering::Acquire) == 0 {
            self.check()?;
            let robust = self.view.head().robust.0.load(Ordering::SeqCst);
            futex::wait_either(
                (&reply.done, 0),
                (&self.view.head().robust.0, robust),
                Duration::from_millis(100),
            );
        }
        Ok(())
    }

    fn stage(&self, connection: &Connection, device: u32, image: &[u8]) -> Result<Staged, Refused> {
        // Half of the buffer at most, so that the answer and staged copies find room.
        if image.len() < shared::BOUNCE_LENGTH / 2
            && let Some(mut bounce) = self.take_bounce(image.len() as u64)
        {
            bounce.write(self.view, image);
            return Ok(Staged::Bounce(bounce));
        }
        let mapped =
            self.allocate(connection, device, MemoryKind::Host, image.len() as u64).map_err(|_| Refused {
                result: 2,
                text: format!("no memory for an image of {} bytes", image.len()),
            })?;
        // SAFETY: fresh host memory of at least that length, which nobody else knows.
        unsafe { std::ptr::copy_nonoverlapping(image.as_ptr(), mapped.address as *mut u8, image.len()) };
        Ok(Staged::Memory(mapped))
    }

    // ----- trouble

    /// The sticky error of this process's contexts, 0 while all is well.
    pub fn error(&self) -> u32 {
        match self.view.head().error.0.load(Ordering::SeqCst) {
            0 if self.is_dead() => LAUNCH_FAILED,
            error => error,
        }
    }

    /// What the engine said about that error.
    pub fn fault_text(&self) -> String {
        self.view.head().fault_text()
    }

    fn check(&self) -> Result<(), EngineGone> {
        match self.error() {
            0 => Ok(()),
            error => Err(EngineGone(error)),
        }
    }

    fn is_dead(&self) -> bool {
        let area = self.view.head();
        area.robust.0.load(Ordering::SeqCst) & FUTEX_OWNER_DIED != 0
            || area.state.0.load(Ordering::SeqCst) == EngineState::Dead as u32
    }

    /// `say_so` tells the engine what is waited for, before each sleep.
    fn wait_until(&self, done: impl Fn() -> bool, say_so: impl Fn()) -> Result<(), EngineGone> {
        if !self.spin_until(&done) {
            self.sleep_until(&done, &say_so)?;
        }
        self.check()
    }

    fn spin_until(&self, done: &impl Fn() -> bool) -> bool {
        if done() {
            return true;
        }
        if self.spin.is_zero() {
            return false;
        }
        let begun = Instant::now();
        while begun.elapsed() < self.spin {
            for _ in 0..64 {
                if done() {
                    return true;
                }
                std::hint::spin_loop();
            }
        }
        false
    }

    fn sleep_until(&self, done: &impl Fn() -> bool, say_so: &impl Fn()) -> Result<(), EngineGone> {
        let area = self.view.head();
        loop {
            let seen = area.completions.0.load(Ordering::SeqCst);
            let robust = area.robust.0.load(Ordering::SeqCst);
            say_so();
            fence(Ordering::SeqCst);
            if done() {
                return Ok(());
            }
            if self.is_dead() {
                // The kernel wakes one waiter of a robust futex; that one wakes the others.
                futex::wake_all(&area.completions.0);
                return Err(EngineGone(self.error()));
            }
            futex::wait_either(
                (&area.completions.0, seen),
                (&area.robust.0, robust),
                Duration::from_millis(100),
            );
        }
    }

    // ----- output of kernels

    /// Takes what kernels have printed since the last time, and how many texts did not fit.
    pub fn take_output(&self) -> (Vec<u8>, u64) {
        let area = self.view.head();
        let head = area.print_head.load(Ordering::Acquire);
        if head == area.print_tail.load(Ordering::Relaxed) {
            return (Vec::new(), 0);
        }
        let _order = lock(&self.producer);
        let tail = area.print_tail.load(Ordering::Relaxed);
        let length = head.wrapping_sub(tail).min(shared::PRINT_LENGTH as u64);
        let text = (0..length)
            .filter_map(|index| {
                let position = (tail + index) % shared::PRINT_LENGTH as u64;
                // SAFETY: one byte inside the print buffer; between tail and head the engine does not write.
                self.view.bytes(shared::PRINT as u64 + position, 1).map(|byte| unsafe { byte.read() })
            })
            .collect();
        area.print_tail.store(tail + length, Ordering::Release);
        (text, area.print_lost.swap(0, Ordering::Relaxed))
    }
}

enum Outcome {
    Answered(Answered),
    TooShort(u64),
}

/// An image where the engine can read it.
enum Staged {
    Bounce(Bounce),
    Memory(Mapped),
}

impl Staged {
    fn place(&self) -> u64 {
        match self {
            Staged::Bounce(bounce) => bounce.offset,
            Staged::Memory(mapped) => mapped.address,
        }
    }

    fn in_area(&self) -> u32 {
        u32::from(matches!(self, Staged::Bounce(_)))
    }

    fn release(self, engine: &Engine, connection: &Connection) {
        match self {
            Staged::Bounce(bounce) => engine.give_bounce(bounce),
            Staged::Memory(mapped) => {
                let _ = engine.free(connection, mapped.address);
            }
        }
    }
}

fn map_area(answer: &control::Connection) -> Result<View, i32> {
    if answer.area_length != shared::AREA_LENGTH as u64 {
        return Err(libc::EPROTO);
    }
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice aliases nothing; the descriptor is ours to close.
    unsafe {
        let base = libc::mmap(
            std::ptr::null_mut(),
            shared::AREA_LENGTH,
            protection,
            libc::MAP_SHARED,
            answer.area,
            0,
        );
        let error = errno();
        libc::close(answer.area);
        if base == libc::MAP_FAILED {
            return Err(error);
        }
        libc::madvise(base, shared::AREA_LENGTH, libc::MADV_DONTFORK);
        libc::madvise(base, shared::AREA_LENGTH, libc::MADV_DONTDUMP);
        Ok(View::new(base.cast()))
    }
}
