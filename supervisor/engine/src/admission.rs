//! From the ring to the streams: commands are read in the client's order, those without a place in a stream are done at once, and
//! the others become work.
//!
//! One thread at a time does this: whichever has nothing better to do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytemuck::Zeroable;
use checks::Checker;
use wire::command::{self, Command};
use wire::control::NoteKind;
use wire::futex;
use wire::shared::REPLY_SLOTS;

use crate::area::SharedArea;
use crate::check;
use crate::code::{Answer, Modules};
use crate::fault::{self, result};
use crate::grants::Grants;
use crate::note;
use crate::ring::{Record, Ring};
use crate::transfer::Memory;
use crate::work::{self, Refusal, Work};

/// What a record means for the streams.
pub enum Admitted {
    /// A stream came to be.
    Stream { stream: u32, non_blocking: bool, priority: i32, sequence: u64 },
    /// Something in a stream.
    Work { stream: u32, sequence: u64, work: Work },
}

/// The reader of the ring.
pub struct Admission {
    area: SharedArea,
    grants: Arc<Grants>,
    modules: Modules,
    ring: Ring,
    checker: Option<Arc<Checker>>,
}

impl Admission {
    pub fn new(area: SharedArea, grants: Arc<Grants>, checker: Option<Arc<Checker>>) -> Admission {
        let (modules, ring) = (Modules::new(area, checker.clone()), Ring::new(area));
        Admission { area, grants, modules, ring, checker }
    }

    /// Where the ring has been read to.
    pub fn position(&self) -> u64 {
        self.ring.position()
    }

    /// Reads the next record, if there is one. `Err`: the ring can't be followed any further.
    pub fn next(&mut self) -> Result<Option<Admitted>, String> {
        let Some(record) = self.ring.next()? else { return Ok(None) };
        let others = Others {
            area: self.area,
            grants: &self.grants,
            modules: &mut self.modules,
            checker: self.checker.as_deref(),
        };
        Ok(Some(others.admit(&record)))
    }
}

/// What admission needs beside the ring.
struct Others<'a> {
    area: SharedArea,
    grants: &'a Grants,
    modules: &'a mut Modules,
    checker: Option<&'a Checker>,
}

impl Others<'_> {
    fn admit(mut self, record: &Record) -> Admitted {
        self.await_grants(record.header.map_sequence);
        self.tell_checker(record);
        let (stream, sequence) = (record.header.stream, record.header.sequence);
        if record.header.number == command::CreateStream::NUMBER {
            let order: command::CreateStream = work::fixed(record).unwrap_or_else(|_| Zeroable::zeroed());
            let (non_blocking, priority) = (order.non_blocking != 0, order.priority);
            return Admitted::Stream { stream, non_blocking, priority, sequence };
        }
        // Their place in the stream counts all the same: who waits for the stream waits for this sequence number too.
        let work = if self.admit_immediate(record) { Work::Nothing } else { self.work(record) };
        Admitted::Work { stream, sequence, work }
    }

    /// The work that a record asks for; nothing, and an error, if it asks for none that there is.
    fn work(&self, record: &Record) -> Work {
        match Work::decode(record, self.modules) {
            Ok(Some(work)) => return work,
            Ok(None) => {
                let text = format!("command {} is not one that this engine knows", record.header.number);
                fault::fail(self.area, result::NOT_SUPPORTED, &text);
            }
            Err(refusal) => fault::fail(self.area, refusal.result, &refusal.text),
        }
        Work::Nothing
    }

    /// What the client says of its memory. As stream work such a command does nothing more, but for a free in stream order.
    fn tell_checker(&self, record: &Record) {
        let Some(checker) = self.checker else { return };
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
                let answer = this.modules.bind_globals(&order, this.grants).map(|()| Answer::new());
                (order.reply, 0, 0, answer)
            }),
            command::SetHeap::NUMBER => {
                let order = work::fixed::<command::SetHeap>(record);
                let done = order.and_then(|order| self.modules.set_heap(&order, self.grants));
                if let Err(refusal) = done {
                    fault::fail(self.area, refusal.result, &refusal.text);
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
            Err(refusal) => return fault::fail(self.area, refusal.result, &refusal.text),
        };
        let (slot, place, capacity, answer) = run(self, order);
        if slot as usize >= REPLY_SLOTS {
            let text = format!("there is no reply slot {slot}");
            return fault::fail(self.area, result::INVALID_VALUE, &text);
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
        let memory = Memory { area: self.area, grants: self.grants, checker: None };
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
}
