//! Calls of this machine's driver that take longer, and what waits behind them.
//!
//! ```text
//!   process A    first: with the driver    behind: thread 2, thread 5      in the order in which they came
//!   process B    (answered at once: no line)
//! ```
//!
//! Of one process the driver has one call at a time. Whoever waits here stands still in the kernel, and can only be killed.

use std::collections::{HashMap, VecDeque};

use interception::Request;

/// Calls that wait, by process.
#[derive(Default)]
pub struct PutOff {
    lines: HashMap<i32, Line>,
}

struct Line {
    first: Waiting,
    behind: VecDeque<Waiting>,
}

/// A call that waits for its answer.
pub struct Waiting {
    /// The call.
    pub request: Request,
    /// When it came.
    pub begun: u64,
}

impl PutOff {
    /// Lets a call wait behind those of its process; given back if there are none.
    pub fn queue(&mut self, tgid: i32, waiting: Waiting) -> Option<Waiting> {
        match self.lines.get_mut(&tgid) {
            Some(line) => {
                line.behind.push_back(waiting);
                None
            }
            None => Some(waiting),
        }
    }

    /// The driver has a call of a process that takes longer; these are behind it.
    pub fn begin(&mut self, tgid: i32, first: Waiting, behind: VecDeque<Waiting>) {
        self.lines.insert(tgid, Line { first, behind });
    }

    /// That call can be answered now, and then those behind it made.
    pub fn end(&mut self, tgid: i32) -> Option<(Waiting, VecDeque<Waiting>)> {
        self.lines.remove(&tgid).map(|line| (line.first, line.behind))
    }

    /// All that waits, of all processes.
    pub fn take_all(&mut self) -> impl Iterator<Item = Waiting> {
        let lines = std::mem::take(&mut self.lines).into_values();
        lines.flat_map(|line| std::iter::once(line.first).chain(line.behind))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::fd::BorrowedFd;

    use interception::{Delivery, HeldCall, Reply};

    use super::*;

    struct Held;

    impl HeldCall for Held {
        fn is_alive(&self) -> bool {
            true
        }

        fn give(&self, _: BorrowedFd, _: bool) -> io::Result<i32> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn give_as(&self, _: BorrowedFd, _: i32, _: bool) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn answer(self: Box<Self>, _: Reply) -> io::Result<Delivery> {
            Ok(Delivery::Delivered)
        }
    }

    fn call(tid: i32) -> Waiting {
        Waiting { request: Request::new(tid, libc::SYS_ioctl, [0; 6], Box::new(Held)), begun: 0 }
    }

    fn threads(calls: impl IntoIterator<Item = Waiting>) -> Vec<i32> {
        calls.into_iter().map(|waiting| waiting.request.tid).collect()
    }

    #[test]
    fn calls_of_a_process_wait_in_their_order_and_others_do_not() {
        let mut put_off = PutOff::default();
        assert!(put_off.queue(10, call(10)).is_some(), "nobody is before it");
        put_off.begin(10, call(10), VecDeque::new());
        for tid in [12, 11, 13] {
            assert!(put_off.queue(10, call(tid)).is_none());
        }
        assert!(put_off.queue(20, call(20)).is_some(), "another process's");
        let (first, mut behind) = put_off.end(10).expect("it has a line");
        assert_eq!(first.request.tid, 10);
        let next = behind.pop_front().expect("three wait");
        assert_eq!(next.request.tid, 12);
        put_off.begin(10, next, behind);
        assert!(put_off.queue(10, call(14)).is_none());
        assert_eq!(threads(put_off.end(10).expect("still").1), [11, 13, 14]);
        assert!(put_off.queue(10, call(10)).is_some(), "the line is gone");
    }

    #[test]
    fn all_that_waits_is_taken_at_the_end() {
        let mut put_off = PutOff::default();
        put_off.begin(10, call(10), VecDeque::from([call(11)]));
        put_off.begin(20, call(20), VecDeque::new());
        let mut all = threads(put_off.take_all());
        all.sort_unstable();
        assert_eq!(all, [10, 11, 20]);
        assert!(put_off.queue(10, call(10)).is_some());
    }
}
