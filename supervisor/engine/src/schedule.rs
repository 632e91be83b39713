//! Which work may run next: CUDA's order of streams.
//!
//! - A stream is a queue.
//! - The legacy stream (slot 0) waits for all earlier work of blocking streams, and they wait for its earlier work.
//! - Non-blocking streams care for neither.
//!
//! "Earlier" is the order of admission, told by a ticket. Among runnable heads the lowest ticket goes first.

use std::collections::{HashMap, VecDeque};

use crate::work::Work;

/// Slot of the legacy default stream.
pub const LEGACY: u32 = 0;

/// An admitted command.
pub struct Pending {
    /// Order of admission.
    pub ticket: u64,
    /// The stream's sequence number that it completes.
    pub sequence: u64,
    pub work: Work,
    /// It has begun and waits for somebody (a host function).
    pub started: bool,
}

#[derive(Default)]
struct Stream {
    queue: VecDeque<Pending>,
    non_blocking: bool,
}

/// All streams of one client.
#[derive(Default)]
pub struct Schedule {
    streams: HashMap<u32, Stream>,
    /// Streams with work.
    busy: Vec<u32>,
    tickets: u64,
}

impl Schedule {
    /// A stream came to be (or its slot is used anew).
    pub fn create(&mut self, stream: u32, non_blocking: bool) {
        self.streams.entry(stream).or_default().non_blocking = non_blocking;
    }

    /// Nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.busy.is_empty()
    }

    /// Appends work to a stream.
    pub fn push(&mut self, stream: u32, sequence: u64, work: Work) {
        self.tickets += 1;
        let pending = Pending { ticket: self.tickets, sequence, work, started: false };
        let queue = &mut self.streams.entry(stream).or_default().queue;
        if queue.is_empty() {
            self.busy.push(stream);
        }
        queue.push_back(pending);
    }

    /// The streams whose head the order of streams lets run, earliest first.
    pub fn candidates(&self) -> Vec<u32> {
        let mut candidates: Vec<(u64, u32)> = self
            .busy
            .iter()
            .filter_map(|stream| {
                let ticket = self.head_ticket(*stream)?;
                self.order_allows(*stream, ticket).then_some((ticket, *stream))
            })
            .collect();
        candidates.sort_unstable();
        candidates.into_iter().map(|(_, stream)| stream).collect()
    }

    /// A stream's head.
    pub fn head(&mut self, stream: u32) -> Option<&mut Pending> {
        self.streams.get_mut(&stream)?.queue.front_mut()
    }

    /// Takes a stream's head away: it is done.
    pub fn pop(&mut self, stream: u32) -> Option<Pending> {
        let queue = &mut self.streams.get_mut(&stream)?.queue;
        let done = queue.pop_front();
        if queue.is_empty() {
            self.busy.retain(|busy| *busy != stream);
        }
        done
    }

    fn head_ticket(&self, stream: u32) -> Option<u64> {
        Some(self.streams.get(&stream)?.queue.front()?.ticket)
    }

    fn order_allows(&self, stream: u32, ticket: u64) -> bool {
        let earlier = |other: u32| self.head_ticket(other).is_some_and(|head| head < ticket);
        if stream == LEGACY {
            !self.busy.iter().any(|other| *other != LEGACY && self.is_blocking(*other) && earlier(*other))
        } else {
            !(self.is_blocking(stream) && earlier(LEGACY))
        }
    }

    fn is_blocking(&self, stream: u32) -> bool {
        self.streams.get(&stream).is_some_and(|stream| !stream.non_blocking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(streams: &[(u32, bool)], pushes: &[u32]) -> Schedule {
        let mut schedule = Schedule::default();
        for (stream, non_blocking) in streams {
            schedule.create(*stream, *non_blocking);
        }
        for (index, stream) in pushes.iter().enumerate() {
            schedule.push(*stream, index as u64, Work::Nothing);
        }
        schedule
    }

    #[test]
    fn legacy_waits_for_earlier_blocking_work_and_later_blocking_work_waits_for_it() {
        let mut schedule = schedule(&[(1, false), (2, false)], &[1, LEGACY, 2]);
        assert_eq!(schedule.candidates(), [1]);
        schedule.pop(1);
        assert_eq!(schedule.candidates(), [LEGACY]);
        schedule.pop(LEGACY);
        assert_eq!(schedule.candidates(), [2]);
    }

    #[test]
    fn non_blocking_streams_do_not_care_for_the_legacy_stream() {
        let schedule = schedule(&[(1, true), (2, false)], &[1, LEGACY, 1, 2]);
        assert_eq!(schedule.candidates(), [1, LEGACY]);
    }

    #[test]
    fn independent_streams_run_in_the_order_of_admission() {
        let schedule = schedule(&[(3, false), (5, false)], &[5, 3, 5]);
        assert_eq!(schedule.candidates(), [5, 3]);
    }
}
