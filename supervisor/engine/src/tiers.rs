//! Which tier runs a kernel: the interpreter at once, compiled code when it is there and worth its making.
//!
//! A kernel is compiled for each shape of its blocks apart, on one thread in the background, the costliest first, once the interpreter has spent
//! [`WORTH`] on it, be it in the middle of the first launch: blocks that have not begun by the time that there is code run in that.
//! What can't be compiled stays with the interpreter, and so does everything where `VGPU_RUN_TIER=interpreter` was in the
//! supervisor's environment; `VGPU_RUN_TIER=compiled` compiles before the first launch. `VGPU_RUN_ISA=avx2` leaves out what
//! this processor has beyond that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use interpreter::compiled::Compiled;
use interpreter::{Image, Kernel};
use llvm::Target;
use wire::control::NoteKind;
use wire::engine::{ISA_VARIABLE, TIER_VARIABLE};
use wire::figures::KernelFigures;

use crate::{cache, note};

/// Time in the interpreter after which a kernel is compiled: about what compiling a small one takes.
const WORTH: Duration = Duration::from_millis(5);

/// What becomes of a kernel's first launch.
mod first {
    pub const NOT_YET: u8 = 0;
    pub const RUNS: u8 = 1;
    pub const HAS_ENDED: u8 = 2;
}

/// What the environment asks for.
#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Interpret,
    Compile,
    Auto,
}

static POLICY: LazyLock<Policy> = LazyLock::new(|| match std::env::var(TIER_VARIABLE).as_deref() {
    Ok("interpreter") => Policy::Interpret,
    Ok("compiled") => Policy::Compile,
    _ => Policy::Auto,
});

/// For which code is made.
pub static TARGET: LazyLock<Target> = LazyLock::new(|| match std::env::var(ISA_VARIABLE).as_deref() {
    Ok("avx2") => Target::avx2(),
    _ => Target::host(),
});

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
    /// What has become of the first launch.
    first: AtomicU8,
    /// Once it has been asked for: the code, or nothing.
    code: OnceLock<Option<Compiled>>,
}

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
        Tiered { kernel, image, name: name.into(), block, figures, spent, first, code }
    }

    /// The code, if it is there.
    pub fn code(&self) -> Option<&Compiled> {
        match *POLICY {
            Policy::Interpret => None,
            Policy::Auto => self.code.get()?.as_ref(),
            Policy::Compile => self.code.get_or_init(|| self.compile()).as_ref(),
        }
    }

    /// Tells that a launch took so long, in compiled code or without any.
    pub fn ran(self: &Arc<Tiered>, code: Option<&Compiled>, time: Duration) {
        if let Some(figures) = self.figures {
            note_launch(figures, code, time);
        }
        if code.is_none() {
            self.interpreted(time);
        }
    }

    /// Tells that the interpreter begins to run the kernel. Of later launches it is enough to know when they have ended.
    pub fn begins(self: &Arc<Tiered>, now: Instant) {
        let is_first = || self.first.load(Ordering::Relaxed) == first::NOT_YET;
        if *POLICY == Policy::Auto && is_first() {
            self.first.store(first::RUNS, Ordering::Relaxed);
            let _ = COMPILER.send(Order { tiered: self.clone(), after: Some(now + WORTH) });
        }
    }

    fn interpreted(self: &Arc<Tiered>, time: Duration) {
        if *POLICY != Policy::Auto {
            return;
        }
        let (time, worth) = (time.as_nanos() as u64, WORTH.as_nanos() as u64);
        self.first.store(first::HAS_ENDED, Ordering::Relaxed);
        let before = self.spent.fetch_add(time, Ordering::Relaxed);
        // One launch alone comes from below to above.
        if before < worth && before + time >= worth {
            // Without the compiler, of which is told where it is started, everything stays with the interpreter.
            let _ = COMPILER.send(Order { tiered: self.clone(), after: None });
        }
    }

    /// The code; else the report is told why there is none.
    fn compile(&self) -> Option<Compiled> {
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
    /// Whether there is, or may yet be, something to do.
    fn stands(&self) -> bool {
        self.after.is_none() || self.tiered.first.load(Ordering::Relaxed) == first::RUNS
    }

    /// What the interpreter has spent on the kernel; nothing if it is not clear yet whether the code is worth its making.
    fn weight(&self, now: Instant) -> Option<Duration> {
        match self.after {
            Some(after) => now.checked_duration_since(after).map(|more| WORTH + more),
            None => Some(Duration::from_nanos(self.tiered.spent.load(Ordering::Relaxed))),
        }
    }
}

/// Compiles what is ordered, what has cost most first.
fn compile_all(orders: Receiver<Order>) {
    let mut waiting: Vec<Order> = Vec::new();
    loop {
        if waiting.is_empty() {
            // Nobody orders any more: the process ends.
            let Ok(order) = orders.recv() else { return };
            waiting.push(order);
        }
        waiting.extend(orders.try_iter());
        waiting.retain(Order::stands);
        let now = Instant::now();
        let weighed =
            waiting.iter().enumerate().filter_map(|(place, order)| Some((order.weight(now)?, place)));
        match weighed.max() {
            Some((_, place)) => {
                let tiered = waiting.swap_remove(place).tiered;
                tiered.code.get_or_init(|| tiered.compile());
            }
            // In steps: launches may end before it is clear.
            None if !waiting.is_empty() => std::thread::sleep(WORTH / 10),
            None => {}
        }
    }
}

/// Takes kernels to compile.
static COMPILER: LazyLock<Sender<Order>> = LazyLock::new(|| {
    let (sender, orders) = channel();
    let work = move || compile_all(orders);
    if let Err(error) = std::thread::Builder::new().name("vgpu-compiler".into()).spawn(work) {
        note::tell(NoteKind::Slower, 0, &format!("there is no thread to compile on: {error}"));
    }
    sender
});
