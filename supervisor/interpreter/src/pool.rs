//! Threads that run one launch to its end, for whoever waits for that: tests, benchmarks. They work as `grid` says; an engine, which
//! runs many launches at a time, has threads of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::code::Kernel;
use crate::compiled::Compiled;
use crate::grid::{Grid, Hand, Order, Turn};
use crate::launch::{Environment, Fault, Launch};

struct Job {
    work: *const (dyn Fn() + Sync),
    /// Workers that have taken it, and that have ended it.
    taken: usize,
    ended: usize,
    number: u64,
}

// SAFETY: the work is `Sync`, and `run` does not return before all workers have ended it.
unsafe impl Send for Job {}

#[derive(Default)]
struct Shared {
    job: Mutex<Option<Job>>,
    changed: Condvar,
    stop: AtomicBool,
}

/// A persistent pool of workers; the calling thread is one of them.
pub struct Pool {
    shared: Arc<Shared>,
    helpers: usize,
    runs: Mutex<u64>,
    /// Where a test wants blocks and warps in a random order: from this seed.
    order: Option<u64>,
}

/// Bytes of a worker's stack. Compiled code keeps what has no register in its frame: of the largest kernels megabytes. Only what is
/// touched is used.
pub const STACK: usize = 32 << 20;

impl Pool {
    /// A pool of that many threads, the caller's included.
    pub fn new(threads: usize) -> Pool {
        let shared = Arc::new(Shared::default());
        let mut helpers = 0;
        for _ in 1..threads {
            let shared = shared.clone();
            let body = move || help(&shared);
            if std::thread::Builder::new().name("vgpu-worker".into()).stack_size(STACK).spawn(body).is_ok() {
                helpers += 1;
            }
        }
        Pool { shared, helpers, runs: Mutex::new(0), order: None }
    }

    /// One whose blocks begin, and whose interpreted warps run between barriers, in a random order. Results of programs without
    /// races stay the same.
    pub fn in_random_order(mut self, seed: u64) -> Pool {
        self.order = Some(seed);
        self
    }

    /// Runs a kernel; returns when all blocks are done.
    pub fn run(&self, kernel: &Arc<Kernel>, launch: &Launch, environment: &Environment) -> Result<(), Fault> {
        self.run_borrowed(Borrowed { launch, kernel, code: &|| None }, environment)
    }

    /// As [`Pool::run`], but blocks that have not begun when `code` first answers some run in that.
    pub fn run_until<'a>(
        &self,
        kernel: &'a Arc<Kernel>,
        code: &'a (dyn Fn() -> Option<&'a Compiled> + Sync),
        launch: &'a Launch,
        environment: &'a Environment,
    ) -> Result<(), Fault> {
        self.run_borrowed(Borrowed { launch, kernel, code }, environment)
    }

    /// As [`Pool::run`], in compiled code, which was made for blocks of this shape.
    pub fn run_compiled(
        &self,
        compiled: &Compiled,
        launch: &Launch,
        environment: &Environment,
    ) -> Result<(), Fault> {
        self.run_borrowed(
            Borrowed { launch, kernel: &compiled.kernel, code: &|| Some(compiled) },
            environment,
        )
    }

    fn run_borrowed(&self, order: Borrowed, environment: &Environment) -> Result<(), Fault> {
        let mut runs = self.runs.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *runs += 1;
        let mut grid = Grid::new(order, environment, self.helpers + 1)?;
        if let Some(seed) = self.order {
            grid = grid.in_random_order(seed);
        }
        if grid.blocks() < 2 || self.helpers == 0 {
            work(&grid);
        } else {
            self.share(&|| work(&grid), *runs);
        }
        grid.outcome()
    }

    fn share(&self, work: &(dyn Fn() + Sync), number: u64) {
        // SAFETY: the lifetime is forgotten, but this function waits for every worker that has taken the job.
        let work: *const (dyn Fn() + Sync) =
            unsafe { std::mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(work) };
        let lock = || self.shared.job.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *lock() = Some(Job { work, taken: 0, ended: 0, number });
        self.shared.changed.notify_all();
        // SAFETY: the caller's closure is alive.
        unsafe { (*work)() };
        let mut job = lock();
        // Whoever has not begun finds nothing any more.
        while job.as_ref().is_some_and(|job| job.ended < job.taken) {
            job = self.shared.changed.wait(job).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        *job = None;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
    }
}

fn help(shared: &Shared) {
    let mut last = 0;
    let mut job = shared.job.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    while !shared.stop.load(Ordering::SeqCst) {
        match job.as_mut() {
            Some(found) if found.number > last => {
                last = found.number;
                found.taken += 1;
                let work = found.work;
                drop(job);
                // SAFETY: `share` waits until `ended` reaches `taken` before it lets the closure go.
                unsafe { (*work)() };
                job = shared.job.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if let Some(found) = job.as_mut() {
                    found.ended += 1;
                }
                shared.changed.notify_all();
            }
            _ => job = shared.changed.wait(job).unwrap_or_else(|poisoned| poisoned.into_inner()),
        }
    }
}

/// One worker's part.
fn work(grid: &Grid<Borrowed>) {
    let mut hand = Hand::default();
    loop {
        match hand.turn(grid) {
            Turn::Ended => {}
            Turn::Yielded => std::thread::yield_now(),
            Turn::Nothing | Turn::Last => {
                return hand.retire(grid).into_iter().for_each(|spare| spare.retire(grid));
            }
        }
    }
}

/// A launch of somebody's who waits for its end.
struct Borrowed<'a> {
    launch: &'a Launch<'a>,
    kernel: &'a Arc<Kernel>,
    code: &'a (dyn Fn() -> Option<&'a Compiled> + Sync),
}

impl Order for Borrowed<'_> {
    fn launch(&self) -> Launch<'_> {
        *self.launch
    }

    fn kernel(&self) -> &Arc<Kernel> {
        self.kernel
    }

    fn compiled(&self) -> Option<&Compiled> {
        (self.code)()
    }
}
