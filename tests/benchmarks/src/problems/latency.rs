//! What one launch costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;

use crate::cores;
use crate::problem::{Launch, Module, Native, Problem};

/// An empty kernel, waited for. Natively: an empty job for another thread that spins, waited for by spinning.
pub fn launch_latency() -> Problem {
    Problem {
        module: Module::Plain,
        buffers: vec![vec![0; 4]],
        launches: vec![Launch { kernel: "empty", grid: [1, 1, 1], block: [32, 1, 1], arguments: vec![] }],
        output: 0,
        work: 1e-3,
        one_by_one: true,
        native: Box::new(Handing::start()),
    }
}

/// A thread that carries out empty orders.
struct Handing {
    orders: Arc<Orders>,
    thread: Thread,
}

#[derive(Default)]
struct Orders {
    given: AtomicU64,
    carried_out: AtomicU64,
    asleep: AtomicBool,
}

const STOP: u64 = u64::MAX;
/// Looks for an order before the thread sleeps, so that it does not disturb what is measured in between.
const PATIENCE: u32 = 100_000;

impl Handing {
    fn start() -> Handing {
        let orders = Arc::new(Orders::default());
        let shared = orders.clone();
        let thread = std::thread::spawn(move || {
            cores::pin(cores::client());
            shared.carry_out();
        });
        Handing { orders, thread: thread.thread().clone() }
    }

    fn give(&self, order: u64) {
        self.orders.given.store(order, Ordering::SeqCst);
        if self.orders.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Orders {
    fn carry_out(&self) {
        let (mut last, mut looks) = (0, 0);
        loop {
            match self.given.load(Ordering::Acquire) {
                STOP => return,
                order if order != last => {
                    (last, looks) = (order, 0);
                    self.carried_out.store(order, Ordering::Release);
                }
                _ if looks < PATIENCE => {
                    looks += 1;
                    wait();
                }
                _ => self.sleep(last),
            }
        }
    }

    fn sleep(&self, last: u64) {
        self.asleep.store(true, Ordering::SeqCst);
        if self.given.load(Ordering::SeqCst) == last {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

/// On one core the other thread has to be let in.
fn wait() {
    if cores::client() == cores::work() { std::thread::yield_now() } else { std::hint::spin_loop() }
}

impl Native for Handing {
    fn run(&mut self) {
        let order = self.orders.given.load(Ordering::Relaxed) + 1;
        self.give(order);
        while self.orders.carried_out.load(Ordering::Acquire) != order {
            wait();
        }
    }

    fn check(&self, device: &[u8]) -> Result<(), String> {
        if device == [0; 4] { Ok(()) } else { Err("an empty kernel has written".into()) }
    }
}

impl Drop for Handing {
    fn drop(&mut self) {
        self.give(STOP);
    }
}
