//! The threads that do a client's work.
//!
//! There are as many workers as the client may use cores, all alike; the process's first thread is one of them. Each goes round:
//!
//! ```text
//!      ┌─▶ turns      a turn for each kernel that it has a hand in: kernels share workers, block by block     (grids)
//!      │   admit      commands from the ring into the streams, unless another worker is at it                 (admission)
//!      │   begin      the next work that the order of streams lets begin                                      (schedule)
//!      └── rest       if none of these came to anything                                                       (rest)
//! ```
//!
//! - **Streams run at the same time.** Work is taken head by head; a copy is done by the worker that took it, while others run
//!   blocks. A kernel of one block is its worker's; one of several is shared, and workers that sleep are called.
//! - **Whoever waits makes room.** A block that waits for a flag (a volatile or atomic load in a loop) ends its turn after some
//!   rounds, interpreted or compiled: compiled code gives such loops to the interpreter. The worker then admits, begins and runs
//!   other work between its turns. So kernels in different streams may wait for each other, for copies and for values, also with one
//!   worker alone. What is in the way of nobody is not in the way: up to 128 works run at a time, as on a card.
//! - **Nobody hoards.** A worker with a block that waits begins nothing while another sleeps, but calls it; and it offers others
//!   what it has begun.
//! - **What is short stays here.** A kernel whose last run was short calls nobody: launches in a row, each waited for or not, are one
//!   worker's, which costs two locks without contention each.
//! - **Ends.** The worker that runs the last block of a kernel ends it: the stream goes on, and sleeping clients are woken. Events
//!   are recorded, and values written, under the lock of the streams, in their order.
//! - **Faults.** A kernel's fault is told by the worker that met it. Then nothing begins any more, kernels under way end at their next
//!   turn, and all that is queued is completed without being done. A signal names the kernel and block of the thread that it hit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use interpreter::{Grid, STACK, Turn};
use wire::shared::EngineState;

use crate::dispatch::Dispatcher;
use crate::fault::{self, result};
use crate::grids::{Held, Running, refusal_of};
use crate::schedule::Taken;
use crate::trace;
use crate::work::{Launch, Refusal, Work};

/// A kernel that was done sooner, the last time, calls nobody: waking takes longer.
const SHORT: Duration = Duration::from_micros(20);
/// Copies and fills of fewer bytes are as short.
const SMALL: u64 = 64 << 10;

/// One thread's part.
pub struct Worker {
    shared: Arc<Dispatcher>,
    /// What it has of kernels: the highest priority first, and among the same the order in which it met them.
    hands: Vec<Held>,
    /// Changes of the shared kernels that it knows.
    known: u64,
}

/// Serves the client until the process ends; the calling thread is one of the workers.
pub fn serve(dispatcher: Dispatcher) -> ! {
    let shared = Arc::new(dispatcher);
    for _ in 1..shared.threads {
        let worker = Worker::new(shared.clone());
        let area = shared.area;
        let body = move || {
            // Without this a panic would end one thread, and the client would wait for what that was doing.
            let Err(_) = catch_unwind(AssertUnwindSafe(|| worker.run()));
            fault::report(area, result::UNKNOWN, "a worker of the engine panicked");
            area.set_state(EngineState::Dead);
            std::process::exit(1);
        };
        // With fewer there is a worker all the same: this thread.
        let _ = std::thread::Builder::new().name("vgpu-worker".into()).stack_size(STACK).spawn(body);
    }
    Worker::new(shared).run()
}

impl Worker {
    fn new(shared: Arc<Dispatcher>) -> Worker {
        Worker { shared, hands: Vec::new(), known: 0 }
    }

    fn run(mut self) -> ! {
        loop {
            let went = self.turns();
            let is_busy = !self.hands.is_empty();
            let admitted = self.shared.admit(is_busy);
            if self.begin_next() || admitted || went {
                continue;
            }
            match self.hands.iter().filter(|held| held.hand.is_busy()).count() {
                0 => self.rest(),
                busy => self.wait(busy),
            }
        }
    }

    /// Blocks that have been begun here wait for something, or take long.
    fn wait(&mut self, busy: usize) {
        let shared = &self.shared;
        if busy > 1 && shared.rest.has_sleepers() && !shared.grids.has_offers() {
            let first = self.hands.iter().position(|held| held.hand.is_busy());
            first.into_iter().for_each(|place| shared.grids.offer(self.hands.remove(place)));
            shared.rest.call(1);
        } else {
            shared.rest.call_a_lookout(shared.threads - 1);
        }
        std::thread::yield_now();
    }

    fn rest(&mut self) {
        let known = self.known;
        let Worker { shared, hands, .. } = self;
        shared.rest(|| {
            shared.grids.changes() != known || hands.iter().any(|held| held.running.grid.has_more())
        });
    }

    /// Gives each kernel at hand a turn. Whether a block has ended.
    fn turns(&mut self) -> bool {
        self.look_around();
        let (mut place, mut went) = (0, None);
        while let Some(held) = self.hands.get_mut(place) {
            // As long as there are blocks of a higher priority, others begin none.
            if went.is_some_and(|priority| priority < held.running.priority) && !held.hand.is_busy() {
                place += 1;
                continue;
            }
            let priority = held.running.priority;
            match held.hand.turn(&held.running.grid) {
                Turn::Ended => went = went.or(Some(priority)),
                Turn::Yielded => {}
                Turn::Nothing if held.running.grid.has_more() => {}
                Turn::Nothing => {
                    self.hands.remove(place).retire();
                    continue;
                }
                Turn::Last => {
                    went = went.or(Some(priority));
                    self.end(place);
                    continue;
                }
            }
            place += 1;
        }
        went.is_some()
    }

    /// Takes part in kernels that others share or offer.
    fn look_around(&mut self) {
        let changes = self.shared.grids.changes();
        if changes != self.known {
            self.known = changes;
            for running in self.shared.grids.with_more() {
                if !self.hands.iter().any(|held| Arc::ptr_eq(&held.running, &running)) {
                    self.take(Held::new(running));
                }
            }
        }
        // If those who could sleep have found something else, somebody goes on with it all the same.
        let may_take =
            || !self.hands.iter().any(|held| held.hand.is_busy()) || !self.shared.rest.has_sleepers();
        if self.shared.grids.has_offers()
            && may_take()
            && let Some(held) = self.shared.grids.take_offer()
        {
            self.take(held);
        }
    }

    fn take(&mut self, held: Held) {
        let priority = held.running.priority;
        let place = self.hands.partition_point(|other| other.running.priority <= priority);
        self.hands.insert(place, held);
    }

    /// Begins the next work of the streams, if there is some.
    fn begin_next(&mut self) -> bool {
        let is_busy = self.hands.iter().any(|held| held.hand.is_busy());
        if is_busy && self.shared.may_have_more() && self.shared.rest.has_sleepers() {
            self.shared.rest.call(1);
            return false;
        }
        let Some(Taken { stream, sequence, priority, work, begun, .. }) = self.shared.next() else {
            return false;
        };
        trace::work_begins(stream, sequence, &work);
        match (work, begun) {
            (Work::Launch(launch), Some(begun)) => self.begin((stream, sequence), priority, launch, begun),
            (work, _) => {
                if !is_small(&work) {
                    self.call_for(1);
                }
                let outcome = self.shared.perform(&work);
                trace::work_ends(stream, sequence, None);
                self.shared.end(stream, outcome, None);
            }
        }
        true
    }

    /// What has been begun takes a while: calls workers for its other blocks, for other streams, or to look for commands.
    fn call_for(&self, blocks: usize) {
        let shared = &self.shared;
        let wanted = (blocks - 1).max(usize::from(shared.may_have_more())).min(shared.threads - 1);
        if wanted > 0 {
            shared.rest.call(wanted);
        } else {
            shared.rest.call_a_lookout(shared.threads - 1);
        }
    }

    /// Begins a kernel. `place`: its stream and sequence number there.
    fn begin(&mut self, place: (u32, u64), priority: i32, launch: Box<Launch>, begun: Instant) {
        let (stream, sequence) = place;
        let in_code = launch.kernel.code().is_some();
        if !in_code {
            launch.kernel.begins(begun);
        }
        let is_short = launch.kernel.last_time() < SHORT;
        let grid = match Grid::new(launch, self.shared.environment, self.shared.threads) {
            Ok(grid) => grid,
            Err(fault) => {
                let refusal = refusal_of(&fault).unwrap_or_else(unknown);
                trace::work_ends(stream, sequence, None);
                return self.shared.end(stream, Err(refusal), Some(begun));
            }
        };
        let blocks = grid.blocks();
        let running = Arc::new(Running { grid, stream, sequence, priority, begun, in_code });
        if self.is_shared(&running) {
            self.shared.grids.share(running.clone());
        }
        self.take(Held::new(running));
        if !is_short {
            self.call_for(blocks);
        }
    }

    /// Whether there is something in a kernel for other workers, and there are some.
    fn is_shared(&self, running: &Running) -> bool {
        self.shared.threads > 1 && running.grid.blocks() > 1
    }

    /// A kernel is over.
    fn end(&mut self, place: usize) {
        let held = self.hands.remove(place);
        let running = &held.running;
        if self.is_shared(running) {
            self.shared.grids.remove(running);
        }
        let now = Instant::now();
        let kernel = &running.grid.order().kernel;
        kernel.ran(if running.in_code { kernel.code() } else { None }, now - running.begun);
        self.shared.area.head().kernels.fetch_add(1, Ordering::Relaxed);
        if let Some(checker) = self.shared.checker {
            checker.settle();
        }
        trace::work_ends(running.stream, running.sequence, Some(running));
        let outcome = running.grid.outcome().or_else(|fault| refusal_of(&fault).map_or(Ok(()), Err));
        self.shared.end(running.stream, outcome, Some(now));
        held.retire();
    }
}

fn unknown() -> Refusal {
    Refusal::new(result::UNKNOWN, "a launch was refused without a reason")
}

fn is_small(work: &Work) -> bool {
    match work {
        Work::Copy(order) => order.length < SMALL,
        Work::Fill(order) => order.width.saturating_mul(order.height) < SMALL,
        _ => false,
    }
}
