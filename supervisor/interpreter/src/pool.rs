//! Threads that run blocks.
//!
//! A worker takes the next block in index order and runs it to its end. Where a block does not come to an end because it waits
//! for another one (a barrier of the whole grid, a flag that an earlier or later block sets), its worker sets it aside after a
//! while, takes one block more, and gives each of those it has begun a turn: at once in cooperative launches, which promise
//! that all blocks are there, and otherwise when a block has run for long.
//!
//! Compiled code may come while a launch is running: blocks that have been begun end as they were begun.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::block::{self, Progress, Room};
use crate::code::Kernel;
use crate::compiled::Compiled;
use crate::launch::{Environment, Fault, FaultKind, Launch};
use crate::memory::Region;
use crate::order::Shuffle;

/// What a faulting thread was running, for a signal handler.
#[derive(Clone, Copy)]
pub struct Current<'a> {
    /// The kernel.
    pub kernel: &'a str,
    /// The block.
    pub block: [u32; 3],
}

thread_local! {
    static CURRENT: Cell<Option<(*const Kernel, *const [u32; 3])>> = const { Cell::new(None) };
}

/// Tells what this thread is running. Only reads a thread-local word: fit for a signal handler.
pub fn with_current(tell: impl FnOnce(Option<Current>)) {
    let current = CURRENT.try_with(Cell::get).ok().flatten();
    // SAFETY: set while the kernel is borrowed by `run` and the block's room is alive, and cleared before that ends.
    tell(current.map(|(kernel, block)| unsafe { Current { kernel: &(*kernel).name, block: *block } }));
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
    /// Where a test wants blocks and warps in a random order: from this seed.
    order: Option<u64>,
}

/// Compiled code keeps what has no register in its frame: of the largest kernels megabytes. Only what is touched is used.
const STACK: usize = 16 << 20;

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
    pub fn run(&self, kernel: &Kernel, launch: &Launch, environment: &Environment) -> Result<(), Fault> {
        self.run_either(Tier { kernel, compiled: None }, &|| None, launch, environment)
    }

    /// As [`Pool::run`], but blocks that have not begun when `code` first answers some run in that.
    pub fn run_until<'a>(
        &self,
        kernel: &'a Kernel,
        code: &'a (dyn Fn() -> Option<&'a Compiled> + Sync),
        launch: &'a Launch,
        environment: &'a Environment,
    ) -> Result<(), Fault> {
        self.run_either(Tier { kernel, compiled: None }, code, launch, environment)
    }

    /// As [`Pool::run`], in compiled code, which was made for blocks of this shape.
    pub fn run_compiled(
        &self,
        compiled: &Compiled,
        launch: &Launch,
        environment: &Environment,
    ) -> Result<(), Fault> {
        self.run_either(Tier::of(compiled), &|| None, launch, environment)
    }

    fn run_either<'a>(
        &self,
        tier: Tier<'a>,
        code: &'a (dyn Fn() -> Option<&'a Compiled> + Sync),
        launch: &'a Launch,
        environment: &'a Environment,
    ) -> Result<(), Fault> {
        let kernel = tier.kernel;
        let mut runs = self.runs.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *runs += 1;
        block::check(kernel, launch)?;
        let blocks = launch.grid.iter().map(|size| *size as usize).product();
        let (chunk, order) = self.chunks(kernel, launch, blocks);
        let workspace = [const { AtomicU64::new(0) }; WORKSPACE_WORDS];
        let grid = Grid {
            tier,
            code,
            launch,
            environment,
            workspace: Region {
                start: workspace.as_ptr().expose_provenance() as u64,
                bytes: size_of_val(&workspace) as u64,
            },
            blocks,
            chunk,
            order,
            seed: self.order,
            next: AtomicUsize::new(0),
            fault: Mutex::new(None),
        };
        if grid.blocks < 2 || self.helpers == 0 {
            grid.work();
        } else {
            self.share(&|| grid.work(), *runs);
        }
        if environment.cancel.load(Ordering::Relaxed) {
            return Err(block::plain_fault(kernel, FaultKind::Cancelled));
        }
        match grid.fault.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    /// Compiled code runs so many blocks per call that all workers have enough to do. Blocks that wait for each other are begun
    /// one by one. Where the order is random, how many is so too, and then the chunks' order.
    fn chunks(&self, kernel: &Kernel, launch: &Launch, blocks: usize) -> (usize, Option<Vec<u32>>) {
        let usual = match launch.cooperative {
            true => 1,
            false => (blocks / (16 * (self.helpers + 1))).clamp(1, MOST_TAKEN),
        };
        let Some(seed) = self.order else { return (usual, None) };
        let mut shuffle = Shuffle::of(seed, kernel);
        let chunk = if launch.cooperative { 1 } else { shuffle.up_to(4) };
        (chunk, Some(shuffle.permutation(blocks.div_ceil(chunk))))
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

/// Blocks that a worker takes at once at most.
const MOST_TAKEN: usize = 32;
/// Words that all blocks of a cooperative launch share, zero at first.
const WORKSPACE_WORDS: usize = 8;
/// Turns that a block gets, in a launch that is not cooperative, before others are begun beside it.
const PATIENCE: u32 = 1 << 10;
/// Blocks that a worker of such a launch begins at most.
const MOST_BEGUN: usize = 256;

/// What runs a block.
#[derive(Clone, Copy)]
struct Tier<'a> {
    kernel: &'a Kernel,
    compiled: Option<&'a Compiled>,
}

impl<'a> Tier<'a> {
    fn of(compiled: &'a Compiled) -> Tier<'a> {
        Tier { kernel: &compiled.kernel, compiled: Some(compiled) }
    }
}

/// A launch while it runs.
struct Grid<'a> {
    /// What runs its blocks at first.
    tier: Tier<'a>,
    /// Asked, while there is no compiled code, before a block begins.
    code: &'a (dyn Fn() -> Option<&'a Compiled> + Sync),
    launch: &'a Launch<'a>,
    environment: &'a Environment<'a>,
    workspace: Region,
    blocks: usize,
    /// Blocks that a worker with compiled code takes at once.
    chunk: usize,
    /// The order of chunks, for the interpreter as well, if it is random; and what decides that of warps.
    order: Option<Vec<u32>>,
    seed: Option<u64>,
    /// The next block that nobody has begun.
    next: AtomicUsize,
    fault: Mutex<Option<Fault>>,
}

impl<'a> Grid<'a> {
    /// One worker's part.
    fn work(&self) {
        if let Err(fault) = self.run_blocks() {
            self.next.store(usize::MAX / 2, Ordering::Relaxed);
            self.fault.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(fault);
        }
        CURRENT.set(None);
    }

    fn run_blocks(&self) -> Result<(), Fault> {
        let mut tier = self.tier;
        let mut spare: Vec<Room<'a>> = Vec::new();
        let mut begun: Vec<(Room<'a>, Tier<'a>)> = Vec::new();
        let mut waited = 0;
        let mut claimed = 0..0;
        loop {
            let one_more =
                begun.is_empty() || self.launch.cooperative || waited >= PATIENCE && begun.len() < MOST_BEGUN;
            if one_more
                && tier.compiled.is_none()
                && let Some(code) = (self.code)()
            {
                tier = Tier::of(code);
                spare.clear();
            }
            if one_more && let Some((index, count)) = self.take(&mut claimed, tier) {
                let Tier { kernel, compiled } = tier;
                let fresh = || {
                    let order = self.seed.map(|seed| Shuffle::of(seed, kernel));
                    Room::new(kernel, self.launch, self.environment, self.workspace, compiled, order)
                };
                let mut room = spare.pop().unwrap_or_else(fresh);
                room.start(index, count);
                begun.push((room, tier));
            }
            if begun.is_empty() || self.is_over() {
                spare.into_iter().for_each(|room| room.retire(tier.kernel));
                return Ok(());
            }
            let mut place = 0;
            while place < begun.len() {
                let (room, Tier { kernel, compiled }) = &mut begun[place];
                CURRENT.set(Some((*kernel, room.index())));
                match room.run(kernel, *compiled)? {
                    Progress::Done => {
                        let (room, of) = begun.swap_remove(place);
                        // Rooms for the interpreter alone are of no use to code.
                        if of.compiled.is_some() == tier.compiled.is_some() {
                            spare.push(room);
                        }
                        waited = 0;
                    }
                    Progress::Yielded => place += 1,
                }
            }
            if !begun.is_empty() {
                waited += 1;
                std::thread::yield_now();
            }
        }
    }

    /// Blocks in a row that nobody has begun: the first, and how many. `claimed` is what this worker has taken and not begun.
    fn take(&self, claimed: &mut Range<usize>, tier: Tier) -> Option<([u32; 3], u32)> {
        if claimed.start >= claimed.end {
            *claimed = self.claim(tier)?;
        }
        let index = position(claimed.start, self.launch.grid);
        let count = match tier.compiled {
            Some(_) => claimed.len().min((self.launch.grid[0] - index[0]) as usize),
            None => 1,
        };
        claimed.start += count;
        Some((index, count as u32))
    }

    /// Takes blocks from those that nobody has taken.
    fn claim(&self, tier: Tier) -> Option<Range<usize>> {
        let chunk = if tier.compiled.is_some() || self.order.is_some() { self.chunk } else { 1 };
        let first = self.next.fetch_add(chunk, Ordering::Relaxed);
        if first >= self.blocks {
            return None;
        }
        let first = self.order.as_ref().map_or(first, |order| order[first / chunk] as usize * chunk);
        Some(first..(first + chunk).min(self.blocks))
    }

    /// Whether the launch ends before its time.
    fn is_over(&self) -> bool {
        self.environment.cancel.load(Ordering::Relaxed) || self.next.load(Ordering::Relaxed) >= usize::MAX / 2
    }
}

fn position(index: usize, grid: [u32; 3]) -> [u32; 3] {
    let (x, y) = (grid[0] as usize, grid[1] as usize);
    [(index % x) as u32, (index / x % y) as u32, (index / x / y) as u32]
}
