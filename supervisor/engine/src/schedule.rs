//! Which work may run next: CUDA's order of streams.
//!
//! - A stream is a queue; its head stays there until it is done.
//! - The legacy stream (slot 0) waits for all earlier work of blocking streams, and they wait for its earlier work.
//! - Non-blocking streams care for neither.
//!
//! "Earlier" is the order of admission, told by a ticket. Among heads that may begin those of the highest priority go first, and
//! among these the lowest ticket. Any number of heads run at the same time.

use std::collections::VecDeque;
use std::time::Instant;

use crate::work::Work;

/// Slot of the legacy default stream.
pub const LEGACY: u32 = 0;

/// How far an admitted command has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for its turn.
    Queued,
    /// The client has been told that it may run its function, and is waited for.
    Told,
    /// A thread has it.
    Running,
}

/// An admitted command.
pub struct Pending {
    /// Order of admission.
    ticket: u64,
    /// The stream's sequence number that it completes.
    pub sequence: u64,
    /// What to do; nothing, once it has been taken.
    pub work: Work,
    pub state: State,
}

/// What a look at a head comes to.
pub enum Look {
    /// It was done on the spot.
    Done,
    /// It waits for something that is not in the order of streams.
    Waits,
    /// A thread takes it.
    Runs,
}

/// Work that a thread has taken.
pub struct Taken {
    pub stream: u32,
    /// Its sequence number there.
    pub sequence: u64,
    /// CUDA's: lower goes first.
    pub priority: i32,
    pub work: Work,
    /// When, if it is a kernel.
    pub begun: Option<Instant>,
    /// Other heads may be able to begin too.
    pub has_more: bool,
}

#[derive(Default)]
struct Stream {
    queue: VecDeque<Pending>,
    non_blocking: bool,
    priority: i32,
}

/// All streams of one client.
#[derive(Default)]
pub struct Schedule {
    /// By slot.
    streams: Vec<Stream>,
    /// Streams with work.
    busy: Vec<u32>,
    tickets: u64,
    queued: usize,
    /// Heads that may begin, as [`Schedule::next`] found them; kept for its memory.
    candidates: Vec<(i32, u64, u32)>,
}

impl Schedule {
    /// A stream came to be (or its slot is used anew).
    pub fn create(&mut self, stream: u32, non_blocking: bool, priority: i32) {
        let stream = self.stream(stream);
        (stream.non_blocking, stream.priority) = (non_blocking, priority);
    }

    fn stream(&mut self, slot: u32) -> &mut Stream {
        let slot = slot as usize;
        if slot >= self.streams.len() {
            self.streams.resize_with(slot + 1, Stream::default);
        }
        &mut self.streams[slot]
    }

    /// Commands that are not done.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Nothing is left to do.
    pub fn is_empty(&self) -> bool {
        self.busy.is_empty()
    }

    /// Appends work to a stream.
    pub fn push(&mut self, stream: u32, sequence: u64, work: Work) {
        self.tickets += 1;
        self.queued += 1;
        let pending = Pending { ticket: self.tickets, sequence, work, state: State::Queued };
        let queue = &mut self.stream(stream).queue;
        queue.push_back(pending);
        if queue.len() == 1 {
            self.busy.push(stream);
        }
    }

    /// Takes the next work, after what can be done on the spot: `look` is shown heads that may begin, each in its turn, and
    /// `complete` is told what it has done (stream and sequence number).
    pub fn next(
        &mut self,
        mut look: impl FnMut(&mut Pending) -> Look,
        mut complete: impl FnMut(u32, u64),
    ) -> Option<Taken> {
        'looking: loop {
            self.find_candidates();
            for place in 0..self.candidates.len() {
                let (priority, _, stream) = self.candidates[place];
                let Some(head) = self.streams[stream as usize].queue.front_mut() else { continue };
                match look(head) {
                    Look::Waits => {}
                    Look::Runs => {
                        head.state = State::Running;
                        let work = std::mem::replace(&mut head.work, Work::Nothing);
                        let sequence = head.sequence;
                        let has_more = place + 1 < self.candidates.len();
                        let begun = matches!(work, Work::Launch(_)).then(Instant::now);
                        return Some(Taken { stream, sequence, priority, work, begun, has_more });
                    }
                    Look::Done => {
                        let sequence = head.sequence;
                        self.pop(stream);
                        complete(stream, sequence);
                        // Others may have waited for that.
                        continue 'looking;
                    }
                }
            }
            return None;
        }
    }

    /// Whether there is such a head among those that may begin.
    pub fn any(&mut self, is_such: impl Fn(&Pending) -> bool) -> bool {
        self.find_candidates();
        let head = |(_, _, stream): &(i32, u64, u32)| self.streams[*stream as usize].queue.front();
        self.candidates.iter().filter_map(head).any(is_such)
    }

    /// A stream's head is done: what a thread had taken. Its sequence number.
    pub fn end(&mut self, stream: u32) -> Option<u64> {
        let head = self.streams.get(stream as usize)?.queue.front()?;
        debug_assert_eq!(head.state, State::Running);
        let sequence = head.sequence;
        self.pop(stream);
        Some(sequence)
    }

    fn pop(&mut self, stream: u32) {
        let queue = &mut self.streams[stream as usize].queue;
        if queue.pop_front().is_some() {
            self.queued -= 1;
        }
        if queue.is_empty() {
            self.busy.retain(|busy| *busy != stream);
        }
    }

    /// Heads that nobody has and that the order of streams lets begin.
    fn find_candidates(&mut self) {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        candidates.extend(self.busy.iter().filter_map(|slot| {
            let stream = &self.streams[*slot as usize];
            let head = stream.queue.front()?;
            (head.state != State::Running && self.order_allows(*slot, head.ticket)).then_some((
                stream.priority,
                head.ticket,
                *slot,
            ))
        }));
        candidates.sort_unstable();
        self.candidates = candidates;
    }

    fn head_ticket(&self, stream: u32) -> Option<u64> {
        Some(self.streams.get(stream as usize)?.queue.front()?.ticket)
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
        !self.streams[stream as usize].non_blocking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(streams: &[(u32, bool)], pushes: &[u32]) -> Schedule {
        let mut schedule = Schedule::default();
        for (stream, non_blocking) in streams {
            schedule.create(*stream, *non_blocking, 0);
        }
        for (index, stream) in pushes.iter().enumerate() {
            schedule.push(*stream, index as u64, Work::Nothing);
        }
        schedule
    }

    /// Takes all that may run at the same time.
    fn take_all(schedule: &mut Schedule) -> Vec<u32> {
        let mut next = || Some(schedule.next(|_| Look::Runs, |_, _| {})?.stream);
        std::iter::from_fn(&mut next).collect()
    }

    #[test]
    fn legacy_waits_for_earlier_blocking_work_and_later_blocking_work_waits_for_it() {
        let mut schedule = schedule(&[(1, false), (2, false)], &[1, LEGACY, 2]);
        assert_eq!(take_all(&mut schedule), [1]);
        schedule.end(1);
        assert_eq!(take_all(&mut schedule), [LEGACY]);
        schedule.end(LEGACY);
        assert_eq!(take_all(&mut schedule), [2]);
    }

    #[test]
    fn non_blocking_streams_do_not_care_for_the_legacy_stream() {
        let mut schedule = schedule(&[(1, true), (2, false)], &[1, LEGACY, 1, 2]);
        assert_eq!(take_all(&mut schedule), [1, LEGACY]);
        assert_eq!(schedule.end(1), Some(0));
        assert_eq!(take_all(&mut schedule), [1]);
    }

    #[test]
    fn independent_streams_run_at_the_same_time_in_the_order_of_admission() {
        let mut schedule = schedule(&[(3, false), (5, false)], &[5, 3, 5]);
        assert_eq!(take_all(&mut schedule), [5, 3]);
    }

    #[test]
    fn streams_of_higher_priority_go_first() {
        let mut schedule = schedule(&[], &[3, 5]);
        schedule.create(5, true, -2);
        assert_eq!(take_all(&mut schedule), [5, 3]);
    }

    #[test]
    fn what_is_done_on_the_spot_lets_others_begin() {
        let mut schedule = schedule(&[(1, false), (2, false)], &[1, 1, LEGACY, 2]);
        let mut done = Vec::new();
        assert!(schedule.next(|_| Look::Done, |stream, sequence| done.push((stream, sequence))).is_none());
        assert_eq!(done, [(1, 0), (1, 1), (LEGACY, 2), (2, 3)]);
        assert_eq!(schedule.queued(), 0);
    }

    #[test]
    fn head_that_waits_holds_its_own_stream_alone() {
        let mut schedule = schedule(&[(1, true), (2, true)], &[1, 1, 2]);
        let first = |head: &mut Pending| if head.sequence == 0 { Look::Waits } else { Look::Runs };
        assert_eq!(schedule.next(first, |_, _| {}).map(|taken| taken.stream), Some(2));
        assert!(schedule.next(first, |_, _| {}).is_none());
    }
}
