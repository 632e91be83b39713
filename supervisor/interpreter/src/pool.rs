//! Threads that run blocks, in index order.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::decode::Kernel;
use crate::exec;
use crate::launch::{Environment, Fault, FaultKind, Launch};

/// What a faulting thread was running, for a signal handler.
#[derive(Clone, Copy)]
pub struct Current<'a> {
    /// The kernel.
    pub kernel: &'a str,
    /// The block.
    pub block: [u32; 3],
}

thread_local! {
    static CURRENT: Cell<Option<(*const Kernel, [u32; 3])>> = const { Cell::new(None) };
}

/// Tells what this thread is running. Only reads a thread-local word: fit for a signal handler.
pub fn with_current(tell: impl FnOnce(Option<Current>)) {
    let current = CURRENT.try_with(Cell::get).ok().flatten();
    // SAFETY: set while the kernel is borrowed by `run`, and cleared before that ends.
    tell(current.map(|(kernel, block)| Current { kernel: unsafe { &(*kernel).name }, block }));
}

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
}

impl Pool {
    /// A pool of that many threads, the caller's included.
    pub fn new(threads: usize) -> Pool {
        let shared = Arc::new(Shared::default());
        let mut helpers = 0;
        for _ in 1..threads {
            let shared = shared.clone();
            let body = move || help(&shared);
            if std::thread::Builder::new().name("vgpu-worker".into()).spawn(body).is_ok() {
                helpers += 1;
            }
        }
        Pool { shared, helpers, runs: Mutex::new(0) }
    }

    /// Runs a kernel; returns when all blocks are done.
    pub fn run(&self, kernel: &Kernel, launch: &Launch, environment: &Environment) -> Result<(), Fault> {
        let mut runs = self.runs.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *runs += 1;
        exec::check(kernel, launch)?;
        let blocks = launch.grid.iter().map(|size| *size as usize).product::<usize>();
        let next = AtomicUsize::new(0);
        let fault: Mutex<Option<Fault>> = Mutex::new(None);
        let work = || {
            let mut room = exec::Room::new(kernel, launch, environment);
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= blocks || environment.cancel.load(Ordering::Relaxed) {
                    break;
                }
                let block = position(index, launch.grid);
                CURRENT.set(Some((kernel, block)));
                if let Err(found) = exec::run_block(kernel, launch, &mut room, block) {
                    next.store(usize::MAX / 2, Ordering::Relaxed);
                    fault.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(found);
                    break;
                }
            }
            CURRENT.set(None);
        };
        if blocks < 2 || self.helpers == 0 {
            work();
        } else {
            self.share(&work, *runs);
        }
        if environment.cancel.load(Ordering::Relaxed) {
            return Err(exec::plain_fault(kernel, FaultKind::Cancelled));
        }
        match fault.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
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

fn position(index: usize, grid: [u32; 3]) -> [u32; 3] {
    let (x, y) = (grid[0] as usize, grid[1] as usize);
    [(index % x) as u32, (index / x % y) as u32, (index / x / y) as u32]
}
