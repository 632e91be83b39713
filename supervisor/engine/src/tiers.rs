//! Which tier runs a kernel: the interpreter at once, compiled code when it is there and worth its making.
//!
//! A kernel is compiled for each shape of its blocks apart, on threads in the background, those first that save most, once the
//! interpreter has spent [`WORTH`] on it, be it in the middle of the first launch: blocks that have not begun by the time that
//! there is code run in that. What can't be compiled stays with the interpreter, and so does everything where
//! `VGPU_RUN_TIER=interpreter` was in the supervisor's environment, or a check was asked for; `VGPU_RUN_TIER=compiled` compiles
//! before the first launch. `VGPU_RUN_ISA=avx2` leaves out what this processor has beyond that. Both were looked at before anything was started.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use interpreter::compiled::Compiled;
use interpreter::{Image, Kernel, SpareRoom};
use llvm::Target;
use wire::choice::{ISA, Isa, TIER, Tier};
use wire::control::NoteKind;
use wire::figures::KernelFigures;

use crate::{cache, check, gauges, note, trace};

/// Time in the interpreter after which a kernel is compiled: about what compiling a small one takes.
const WORTH: Duration = Duration::from_millis(5);

/// What becomes of a kernel's first launch.
mod first {
    pub const NOT_YET: u8 = 0;
    pub const RUNS: u8 = 1;
    pub const HAS_ENDED: u8 = 2;
}

/// What the environment asks for. [`check()`] has seen that it is something. With checks of memory on, everything is interpreted:
/// compiled code tells nobody what it touches.
static POLICY: LazyLock<Tier> = LazyLock::new(|| match check::is_requested() {
    true => Tier::Interpreter,
    false => TIER.made().unwrap_or(Tier::Auto),
});

/// For which code is made.
pub static TARGET: LazyLock<Target> = LazyLock::new(|| match ISA.made() {
    Ok(Isa::Avx2) => Target::avx2(),
    _ => Target::host(),
});

/// Whether the environment asks for something that there is.
pub fn check() -> Result<(), String> {
    TIER.made()?;
    ISA.made().map(drop)
}

/// A kernel of a loaded module for one shape of its blocks, and what it has been compiled to.
pub struct Tiered {
    pub kernel: Arc<Kernel>,
    image: Arc<Image>,
    name: Box<str>,
    block: [u32; 3],
    /// For the report; none where there is no slot left.
    figures: Option<&'static KernelFigures>,
    /// Nanoseconds that the interpreter has spent in launches that have ended.
    spent: AtomicU64,
    /// Nanoseconds of the launch that ended last.
    last: AtomicU64,
    /// What has become of the first launch.
    first: AtomicU8,
    /// Whether a thread compiles it, or has done so.
    is_begun: AtomicBool,
    /// Once it has been asked for: the code, or nothing.
    code: OnceLock<Option<Compiled>>,
    /// Of launches that are over.
    rooms: Mutex<Vec<SpareRoom<'static>>>,
}

/// Rooms that a kernel keeps at most, and bytes of one: making a large one is little beside what is done in it.
const MOST_ROOMS: usize = 8;
const LARGEST_ROOM: usize = 256 << 10;

impl Tiered {
    pub fn new(
        kernel: Arc<Kernel>,
        image: Arc<Image>,
        name: &str,
        block: [u32; 3],
        figures: Option<&'static KernelFigures>,
    ) -> Tiered {
        let (spent, first, code) = (AtomicU64::new(0), AtomicU8::new(first::NOT_YET), OnceLock::new());
        if let Some(figures) = figures {
            figures.set_kernel(name, block);
        }
        Tiered {
            kernel,
            image,
            name: name.into(),
            block,
            figures,
            spent,
            last: AtomicU64::new(u64::MAX),
            first,
            is_begun: AtomicBool::new(false),
            code,
            rooms: Mutex::default(),
        }
    }

    /// The code, if it is there.
    pub fn code(&self) -> Option<&Compiled> {
        match *POLICY {
            Tier::Interpreter => None,
            Tier::Auto => self.code.get()?.as_ref(),
            Tier::Compiled => self.code.get_or_init(|| self.compile()).as_ref(),
        }
    }

    /// Tells that a launch took so long, in compiled code or without any.
    pub fn ran(self: &Arc<Tiered>, code: Option<&Compiled>, time: Duration) {
        self.last.store(time.as_nanos() as u64, Ordering::Relaxed);
        if let Some(figures) = self.figures {
            note_launch(figures, code, time);
        }
        if code.is_none() {
            self.interpreted(time);
        }
    }

    /// A worker's memory for the kernel's blocks, from a launch that is over.
    pub fn take_room(&self) -> Option<SpareRoom<'static>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps one for the next launch, or gives it back.
    pub fn keep_room(&self, room: SpareRoom<'static>) -> Result<(), SpareRoom<'static>> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if rooms.len() >= MOST_ROOMS || room.bytes() > LARGEST_ROOM {
            return Err(room);
        }
        rooms.push(room);
        Ok(())
    }

    /// How long the launch took that ended last; of the first nothing is known, and it may be long.
    pub fn last_time(&self) -> Duration {
        Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }

    /// Tells that the interpreter begins to run the kernel. Of later launches it is enough to know when they have ended.
    pub fn begins(self: &Arc<Tiered>, now: Instant) {
        let is_first = || self.first.load(Ordering::Relaxed) == first::NOT_YET;
        if *POLICY == Tier::Auto && is_first() {
            self.first.store(first::RUNS, Ordering::Relaxed);
            COMPILER.order(Order { tiered: self.clone(), after: Some(now + WORTH) });
        }
    }

    fn interpreted(self: &Arc<Tiered>, time: Duration) {
        if *POLICY != Tier::Auto {
            return;
        }
        let (time, worth) = (time.as_nanos() as u64, WORTH.as_nanos() as u64);
        self.first.store(first::HAS_ENDED, Ordering::Relaxed);
        let before = self.spent.fetch_add(time, Ordering::Relaxed);
        // One launch alone comes from below to above.
        if before < worth && before + time >= worth {
            COMPILER.order(Order { tiered: self.clone(), after: None });
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The code; else the report is told why there is none.
    fn compile(&self) -> Option<Compiled> {
        trace::compile_begins(&self.name, self.block);
        let code = gauges::compiling(|| self.try_compile());
        trace::compile_ends(&self.name, code.is_some());
        code
    }

    fn try_compile(&self) -> Option<Compiled> {
        // A panic of the compiler's costs this kernel its code, and no other.
        let (is_ours, why) = match catch_unwind(AssertUnwindSafe(|| self.make())) {
            Ok(Ok(code)) => return Some(code),
            Ok(Err(error)) => (error.is_ours(), error.to_string()),
            Err(_) => (true, format!("kernel `{}`: the compiler panicked", self.name)),
        };
        note::tell(NoteKind::Slower, i64::from(is_ours), &why);
        None
    }

    fn make(&self) -> Result<Compiled, jit::Error> {
        let begun = Instant::now();
        let (made, object) = cache::made(&self.image, &self.name, self.block, &TARGET)?;
        let code = made.load(&self.image, &object)?;
        if let Some(figures) = self.figures {
            figures.compile_nanoseconds.store(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
            figures.code_bytes.store(object.len() as u64, Ordering::Relaxed);
        }
        Ok(code)
    }
}

fn note_launch(figures: &KernelFigures, code: Option<&Compiled>, time: Duration) {
    let nanoseconds = time.as_nanos() as u64;
    figures.launches.fetch_add(1, Ordering::Relaxed);
    figures.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    match code {
        Some(code) => {
            figures.compiled.fetch_add(1, Ordering::Relaxed);
            figures.stepped.store(code.helped.stepped.load(Ordering::Relaxed), Ordering::Relaxed);
            figures.stops.store(code.helped.stops.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        None => drop(figures.interpreted_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed)),
    }
}

/// A kernel to compile.
struct Order {
    tiered: Arc<Tiered>,
    /// If its first launch has not ended by then.
    after: Option<Instant>,
}

impl Order {
    /// Whether there may be something to do, now or later.
    fn stands(&self) -> bool {
        let runs = || self.tiered.first.load(Ordering::Relaxed) == first::RUNS;
        !self.tiered.is_begun.load(Ordering::Relaxed) && (self.after.is_none() || runs())
    }

    /// What compiling it first saves: nanoseconds that the interpreter has spent, for each instruction to compile. `None`: it is
    /// not yet clear whether it is worth it.
    fn worth(&self, now: Instant) -> Option<u64> {
        let runs_for = match self.after {
            Some(after) if now < after => return None,
            Some(after) => WORTH + now.duration_since(after),
            None => Duration::ZERO,
        };
        let spent = self.tiered.spent.load(Ordering::Relaxed) + runs_for.as_nanos() as u64;
        Some(spent / self.tiered.kernel.instructions().max(1) as u64)
    }
}

/// Kernels that wait to be compiled.
#[derive(Default)]
struct Compiler {
    orders: Mutex<Vec<Order>>,
    changed: Condvar,
}

impl Compiler {
    fn order(&self, order: Order) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.push(order);
        let now = Instant::now();
        gauges::waiting(orders.iter().filter(|order| order.stands() && order.worth(now).is_some()).count());
        drop(orders);
        self.changed.notify_one();
    }

    /// Waits for the next kernel to compile.
    fn next(&self) -> Arc<Tiered> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            orders.retain(Order::stands);
            let now = Instant::now();
            let due = orders.iter().enumerate().filter_map(|(place, order)| Some((order.worth(now)?, place)));
            let due: Vec<(u64, usize)> = due.collect();
            gauges::waiting(due.len().saturating_sub(1));
            if let Some((_, place)) = due.into_iter().max() {
                let tiered = orders.swap_remove(place).tiered;
                tiered.is_begun.store(true, Ordering::Relaxed);
                return tiered;
            }
            // In steps: whether a first launch is a long one shows while it runs.
            let limit = if orders.is_empty() { Duration::MAX } else { WORTH / 10 };
            let waited = self.changed.wait_timeout(orders, limit);
            orders = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn serve(&self) -> ! {
        loop {
            let tiered = self.next();
            tiered.code.get_or_init(|| tiered.compile());
        }
    }
}

/// Threads that compile at most. As long as there is something to compile, the interpreter is the slower way to use a core.
const MOST_COMPILERS: usize = 4;

static COMPILER: LazyLock<&'static Compiler> = LazyLock::new(|| {
    let compiler: &Compiler = Box::leak(Box::default());
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    for number in 0..cores.min(MOST_COMPILERS) {
        let thread = std::thread::Builder::new().name("vgpu-compiler".into());
        if let Err(error) = thread.spawn(|| compiler.serve()) {
            // With one there is a compiler all the same.
            if number == 0 {
                note::tell(NoteKind::Slower, 0, &format!("there is no thread to compile on: {error}"));
            }
            break;
        }
    }
    compiler
});
