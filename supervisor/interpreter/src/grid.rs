//! A launch while it runs: a grid of blocks, and the workers that run them.
//!
//! ```text
//!   Grid ── next block ──▶ Hand of worker 1: blocks that it has begun ── turn, turn, … ─▶ ended
//!      └─── next block ──▶ Hand of worker 2
//! ```
//!
//! A worker has a [`Hand`] for each grid that it works on, and gives each a [`turn`](Hand::turn) after the other: so grids share
//! workers, block by block. Blocks begin in index order. Where a block does not come to an end because it waits for something (a
//! barrier of the whole grid, a flag that another block, another grid or the client sets), the turn ends all the same after a
//! while, and the block is there for the next one. Beside it the hand begins others: at once in cooperative launches, which promise
//! that all blocks are there, and otherwise when a block has run for long.
//!
//! Compiled code may come while a launch is running: blocks that have been begun end as they were begun.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::block::{self, Progress, Room};
use crate::code::Kernel;
use crate::compiled::Compiled;
use crate::launch::{Environment, Fault, FaultKind, Launch};
use crate::memory::Region;
use crate::order::Shuffle;

/// A launch and what runs it, however its owner keeps them.
pub trait Order: Send + Sync {
    /// The launch.
    fn launch(&self) -> Launch<'_>;
    /// What the interpreter runs.
    fn kernel(&self) -> &Arc<Kernel>;
    /// Code for blocks of the launch's shape, if it is there. Once there it stays, and stays the same.
    fn compiled(&self) -> Option<&Compiled>;
}

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
    // SAFETY: set while a turn borrows the kernel and the block's room, and cleared before that ends.
    tell(current.map(|(kernel, block)| unsafe { Current { kernel: &(*kernel).name, block: *block } }));
}

/// How long a turn in compiled code should take: other kernels wait for its end. Of a turn that is much shorter a good part is
/// taking blocks and making ready.
const TURN: Duration = Duration::from_micros(50);
/// By that much more blocks than its last turn had a turn has at most: clocks are coarse.
const GROWTH: usize = 16;
/// Of several workers each takes one in so many of its share of the blocks that are left, so that all end at about the same time.
const SHARES: usize = 4;
/// But no fewer than one in so many of those that fit into a turn: where the whole kernel takes no longer, nobody is called for it.
const LEAST: usize = 64;
/// Words that all blocks of a cooperative launch share, zero at first.
const WORKSPACE_WORDS: usize = 8;
/// Turns that a block gets, in a launch that is not cooperative, before others are begun beside it.
const PATIENCE: u32 = 1 << 10;
/// Blocks that a hand of such a launch begins at most.
const MOST_BEGUN: usize = 256;
/// [`Grid::next`] of a grid that ends before its time.
const OVER: usize = usize::MAX / 2;

/// A launch while it runs.
pub struct Grid<'a, O> {
    order: O,
    environment: &'a Environment<'a>,
    workspace: [AtomicU64; WORKSPACE_WORDS],
    size: [u32; 3],
    cooperative: bool,
    blocks: usize,
    /// Who may work on it.
    workers: usize,
    /// The order of chunks, for the interpreter as well, if it is random.
    shuffled: Option<Shuffled>,
    /// The next block that nobody has taken.
    next: AtomicUsize,
    /// Takings that have not come to their end: of a hand what it has begun, row by row, and what it has taken and not begun.
    open: AtomicUsize,
    /// Somebody has been told that it is over.
    told: AtomicBool,
    fault: Mutex<Option<Fault>>,
}

/// Chunks of blocks in a random order.
struct Shuffled {
    /// What decides the order of warps.
    seed: u64,
    /// Blocks of a chunk.
    chunk: usize,
    chunks: Vec<u32>,
}

/// How many blocks of a kernel fit into a turn, as its last turn shows: compiled code runs as many per call.
#[derive(Default)]
pub struct Pace(AtomicUsize);

impl Pace {
    /// Nothing is known before the first turn.
    fn fitting(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A turn ran so many blocks in that time.
    fn ran(&self, blocks: usize, time: Duration) {
        let fit = blocks as u128 * TURN.as_nanos() / time.as_nanos().max(1);
        self.0.store((fit as usize).min(GROWTH * blocks), Ordering::Relaxed);
    }

    /// How many blocks of those that are left one of the workers takes.
    fn taken(&self, left: usize, workers: usize) -> usize {
        let fitting = self.fitting();
        let share = if workers > 1 { left / (SHARES * workers) } else { left };
        share.max(fitting / LEAST).min(fitting).clamp(1, left.max(1))
    }
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A block has ended.
    Ended,
    /// Blocks that have been begun wait for something, or have run for long.
    Yielded,
    /// There was nothing to do: others have the rest.
    Nothing,
    /// The launch is over with this turn. One hand alone is told.
    Last,
}

impl<'a, O: Order> Grid<'a, O> {
    /// A launch for that many workers; refused if it does not fit the kernel.
    pub fn new(order: O, environment: &'a Environment<'a>, workers: usize) -> Result<Grid<'a, O>, Fault> {
        let launch = order.launch();
        block::check(order.kernel(), &launch)?;
        let blocks: usize = launch.grid.iter().map(|size| *size as usize).product();
        let (size, cooperative) = (launch.grid, launch.cooperative);
        Ok(Grid {
            order,
            environment,
            workspace: [const { AtomicU64::new(0) }; WORKSPACE_WORDS],
            size,
            cooperative,
            blocks,
            workers,
            shuffled: None,
            next: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            told: AtomicBool::new(false),
            fault: Mutex::new(None),
        })
    }

    /// The same, but blocks are taken in a random order, and how many at once is so too.
    pub(crate) fn in_random_order(mut self, seed: u64) -> Grid<'a, O> {
        let mut shuffle = Shuffle::of(seed, self.order.kernel());
        let chunk = if self.cooperative { 1 } else { shuffle.up_to(4) };
        let chunks = shuffle.permutation(self.blocks.div_ceil(chunk));
        self.shuffled = Some(Shuffled { seed, chunk, chunks });
        self
    }

    /// What it was made of.
    pub fn order(&self) -> &O {
        &self.order
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Whether there are blocks that nobody has taken.
    pub fn has_more(&self) -> bool {
        self.next.load(Ordering::Acquire) < self.blocks
    }

    /// How it ended, once that is so.
    pub fn outcome(&self) -> Result<(), Fault> {
        match self.fault.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            Some(fault) => Err(fault),
            None if self.is_cancelled() => Err(block::plain_fault(self.order.kernel(), FaultKind::Cancelled)),
            None => Ok(()),
        }
    }

    fn is_cancelled(&self) -> bool {
        self.environment.cancel.load(Ordering::Relaxed)
    }

    /// Whether the launch ends before its time.
    fn is_over(&self) -> bool {
        self.is_cancelled() || self.next.load(Ordering::Relaxed) >= OVER
    }

    fn workspace(&self) -> Region {
        let start = self.workspace.as_ptr().expose_provenance() as u64;
        Region { start, bytes: size_of_val(&self.workspace) as u64 }
    }

    /// The first failure stays: what follows is a consequence.
    fn fail(&self, fault: Fault) {
        self.fault.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(fault);
    }

    /// Takes `count` blocks, or fewer: those that are next.
    fn take(&self, count: usize) -> Option<Range<usize>> {
        if !self.has_more() {
            return None;
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        let count = self.shuffled.as_ref().map_or(count, |shuffled| shuffled.chunk);
        let next = self.next.fetch_add(count, Ordering::AcqRel).min(self.blocks);
        let first = match &self.shuffled {
            Some(Shuffled { chunk, chunks, .. }) if next < self.blocks => {
                chunks[next / chunk] as usize * chunk
            }
            _ => next,
        };
        Some(first..(first + count).min(self.blocks))
    }

    /// How many blocks compiled code is to run in the next call. Blocks that wait for each other are begun one by one.
    fn count(&self, pace: &Pace) -> usize {
        if self.cooperative {
            return 1;
        }
        pace.taken(self.blocks.saturating_sub(self.next.load(Ordering::Relaxed)), self.workers)
    }

    /// Takings come to their end; whether the launch does, and the caller is the one to know.
    fn close(&self, takings: usize) -> bool {
        if self.open.fetch_sub(takings, Ordering::AcqRel) != takings || self.has_more() {
            return false;
        }
        // In this order: whatever has been taken was open before it was taken. So if all blocks are taken, and after that nothing is
        // open, all have ended; and whoever closes the very last sees both.
        self.open.load(Ordering::Acquire) == 0 && !self.told.swap(true, Ordering::AcqRel)
    }
}

/// A row of blocks that runs.
struct Begun<'a> {
    room: Box<Room<'a>>,
    /// It was begun in compiled code.
    compiled: bool,
}

/// A worker's memory for blocks of a launch that is over: the kernel's next launch may use it, if that is of the same shape.
pub struct SpareRoom<'a> {
    room: Box<Room<'a>>,
    compiled: bool,
}

impl SpareRoom<'_> {
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.room.bytes()
    }
}

/// What one worker has of a grid. It gives it back by its last turn, or by [`Hand::retire`] when there is nothing to do.
#[derive(Default)]
pub struct Hand<'a> {
    begun: Vec<Begun<'a>>,
    #[expect(clippy::vec_box, reason = "a room is large, and goes from list to list")]
    spare: Vec<Box<Room<'a>>>,
    /// What `spare` is for.
    compiled: bool,
    /// Blocks that are taken and not begun.
    taken: Range<usize>,
    /// Blocks of the row that was begun last, until it has had its first turn.
    fresh: usize,
    /// Turns since a block last ended.
    waited: u32,
}

impl<'a> Hand<'a> {
    /// A hand in a grid. `spare` comes from another launch of the same kernel in the same environment.
    pub fn new<O: Order>(grid: &Grid<'a, O>, spare: Option<SpareRoom<'a>>) -> Hand<'a> {
        let mut hand = Hand::default();
        if let Some(SpareRoom { mut room, compiled }) = spare
            && room.renew(&grid.order.launch(), grid.workspace())
        {
            hand.compiled = compiled;
            hand.spare.push(room);
        }
        hand
    }

    /// Whether there are blocks that have been begun here.
    pub fn is_busy(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Begins a block if there is reason to, and runs those that have been begun until each ends, waits, or has run for long.
    pub fn turn<O: Order>(&mut self, grid: &Grid<'a, O>) -> Turn {
        if grid.is_over() {
            return self.abandon(grid);
        }
        let has_time = self.waited >= PATIENCE && self.begun.len() < MOST_BEGUN;
        if (self.begun.is_empty() || grid.cooperative || has_time)
            && let Some(turn) = self.begin(grid)
        {
            return turn;
        }
        if self.begun.is_empty() {
            return Turn::Nothing;
        }
        let fresh = std::mem::take(&mut self.fresh);
        let begun = (self.compiled && fresh > 0 && grid.blocks > 1).then(Instant::now);
        let mut ended = 0;
        let outcome = self.run(grid, &mut ended);
        CURRENT.set(None);
        if let (Some(begun), Some(code), true) = (begun, grid.order.compiled(), self.begun.is_empty()) {
            code.pace.ran(fresh, begun.elapsed());
        }
        if let Err(fault) = outcome {
            grid.fail(fault);
            // The one that failed is open still, so this is not the end.
            grid.close(ended);
            return self.abandon(grid);
        }
        if ended == 0 {
            self.waited = self.waited.saturating_add(1);
            return Turn::Yielded;
        }
        self.waited = 0;
        if grid.close(ended) { Turn::Last } else { Turn::Ended }
    }

    /// Gives each block its turn; counts rows that have ended.
    fn run<O: Order>(&mut self, grid: &Grid<'a, O>, ended: &mut usize) -> Result<(), Fault> {
        let mut place = 0;
        while place < self.begun.len() {
            let Begun { room, compiled } = &mut self.begun[place];
            let code = if *compiled { grid.order.compiled() } else { None };
            let kernel = code.map_or(grid.order.kernel(), |code| &code.kernel);
            CURRENT.set(Some((Arc::as_ptr(kernel), room.index())));
            match room.run(kernel, code)? {
                Progress::Yielded => {
                    // What it waits for may be done by the blocks behind it.
                    let rest = room.give_up_rest();
                    if rest > 0 {
                        self.put_back(grid, rest);
                    }
                    place += 1;
                }
                Progress::Done => {
                    *ended += 1;
                    let Begun { room, compiled } = self.begun.swap_remove(place);
                    // Rooms for the interpreter alone are of no use to code.
                    if compiled == self.compiled {
                        self.spare.push(room);
                    }
                }
            }
        }
        Ok(())
    }

    /// Begins a row of blocks, if nobody has begun them all. Answers what the turn comes to, if it is over by that.
    fn begin<O: Order>(&mut self, grid: &Grid<'a, O>) -> Option<Turn> {
        let code = grid.order.compiled();
        if code.is_some() && !self.compiled {
            self.compiled = true;
            self.spare.clear();
        }
        if self.taken.is_empty() {
            self.taken = grid.take(code.map_or(1, |code| grid.count(&code.pace)))?;
            if self.taken.is_empty() {
                // Somebody was faster.
                return grid.close(1).then_some(Turn::Last);
            }
        }
        let index = position(self.taken.start, grid.size);
        let row = self.taken.len().min((grid.size[0] - index[0]) as usize);
        let count = if self.compiled { row } else { 1 };
        self.taken.start += count;
        if !self.taken.is_empty() {
            grid.open.fetch_add(1, Ordering::AcqRel);
        }
        let kernel = code.map_or(grid.order.kernel(), |code| &code.kernel);
        let fresh = || {
            let order = grid.shuffled.as_ref().map(|shuffled| Shuffle::of(shuffled.seed, kernel));
            let launch = grid.order.launch();
            Box::new(Room::new(kernel, &launch, grid.environment, grid.workspace(), code, order))
        };
        let mut room = self.spare.pop().unwrap_or_else(fresh);
        room.start(index, count as u32);
        self.begun.push(Begun { room, compiled: self.compiled });
        self.fresh = count;
        None
    }

    /// The last blocks of the row that was begun last are taken, but not begun.
    fn put_back<O: Order>(&mut self, grid: &Grid<'a, O>, blocks: u32) {
        if self.taken.is_empty() {
            grid.open.fetch_add(1, Ordering::AcqRel);
        }
        self.taken.start -= blocks as usize;
    }

    /// Lets go of everything: the launch ends before its time.
    fn abandon<O: Order>(&mut self, grid: &Grid<'a, O>) -> Turn {
        grid.next.store(OVER, Ordering::Release);
        let takings = self.begun.len() + usize::from(!self.taken.is_empty());
        self.begun.clear();
        self.taken = 0..0;
        // Also where there was nothing: somebody has to see that it is over.
        grid.open.fetch_add(1, Ordering::AcqRel);
        if grid.close(takings + 1) { Turn::Last } else { Turn::Nothing }
    }

    /// Ends with its launch, or when there is nothing left to do: what the kernel's next launch can use is kept, and one room given
    /// back.
    pub fn retire<O: Order>(mut self, grid: &Grid<'a, O>) -> Option<SpareRoom<'a>> {
        debug_assert!(self.begun.is_empty() && self.taken.is_empty());
        let compiled = self.compiled;
        let spare = self.spare.pop().map(|room| SpareRoom { room, compiled });
        if !self.spare.is_empty() {
            let code = if compiled { grid.order.compiled() } else { None };
            let kernel = code.map_or(grid.order.kernel(), |code| &code.kernel);
            self.spare.into_iter().for_each(|room| room.retire(kernel));
        }
        spare
    }
}

impl SpareRoom<'_> {
    /// Keeps nothing but what any launch of the kernel can use.
    pub fn retire<O: Order>(self, grid: &Grid<O>) {
        let code = if self.compiled { grid.order.compiled() } else { None };
        self.room.retire(code.map_or(grid.order.kernel(), |code| &code.kernel));
    }
}

fn position(index: usize, grid: [u32; 3]) -> [u32; 3] {
    let (x, y) = (grid[0] as usize, grid[1] as usize);
    [(index % x) as u32, (index / x % y) as u32, (index / x / y) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_lets_a_turn_take_its_time_and_leaves_others_their_share() {
        let pace = Pace::default();
        assert_eq!(pace.taken(1000, 1), 1, "nothing is known");
        pace.ran(1, Duration::from_nanos(1));
        assert_eq!(pace.taken(1000, 1), GROWTH, "a clock's tick is no measure");
        pace.ran(200, TURN / 10);
        assert_eq!(pace.taken(100_000, 1), 2000);
        assert_eq!(pace.taken(1600, 1), 1600);
        assert_eq!(pace.taken(1600, 2), 200);
        assert_eq!(pace.taken(100, 2), 2000 / LEAST, "what is over so soon is not shared");
        assert_eq!(pace.taken(7, 2), 7);
        pace.ran(10, 100 * TURN);
        assert_eq!((pace.taken(1000, 1), pace.taken(0, 1)), (1, 1));
    }
}
