//! Which tier runs a kernel: the interpreter at once, compiled code when it is there and worth its making.
//!
//! A kernel is compiled for each shape of its blocks apart, on one thread in the background, once the interpreter has spent
//! [`WORTH`] on it. What can't be compiled stays with the interpreter, and so does everything where `VGPU_RUN_TIER=interpreter`
//! was in the supervisor's environment; `VGPU_RUN_TIER=compiled` compiles before the first launch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use interpreter::compiled::Compiled;
use interpreter::{Image, Kernel};
use wire::control::NoteKind;
use wire::engine::TIER_VARIABLE;
use wire::figures::KernelFigures;

use crate::{cache, note};

/// Time in the interpreter after which a kernel is compiled: about what compiling a small one takes.
const WORTH: Duration = Duration::from_millis(5);

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

/// A kernel of a loaded module for one shape of its blocks, and what it has been compiled to.
pub struct Tiered {
    pub kernel: Arc<Kernel>,
    image: Arc<Image>,
    name: Box<str>,
    block: [u32; 3],
    /// For the report; none where there is no slot left.
    figures: Option<&'static KernelFigures>,
    /// Nanoseconds that the interpreter has spent.
    spent: AtomicU64,
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
        let (spent, code) = (AtomicU64::new(0), OnceLock::new());
        if let Some(figures) = figures {
            figures.set_kernel(name, block);
        }
        Tiered { kernel, image, name: name.into(), block, figures, spent, code }
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

    fn interpreted(self: &Arc<Tiered>, time: Duration) {
        if *POLICY != Policy::Auto {
            return;
        }
        let (time, worth) = (time.as_nanos() as u64, WORTH.as_nanos() as u64);
        let before = self.spent.fetch_add(time, Ordering::Relaxed);
        // One launch alone comes from below to above.
        if before < worth && before + time >= worth {
            // Without the compiler, of which is told where it is started, everything stays with the interpreter.
            let _ = COMPILER.send(self.clone());
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
        let (made, object) = cache::made(&self.image, &self.name, self.block, &llvm::Target::host())?;
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

/// Takes kernels to compile.
static COMPILER: LazyLock<Sender<Arc<Tiered>>> = LazyLock::new(|| {
    let (sender, orders) = channel::<Arc<Tiered>>();
    let work = move || {
        for tiered in orders {
            tiered.code.get_or_init(|| tiered.compile());
        }
    };
    if let Err(error) = std::thread::Builder::new().name("vgpu-compiler".into()).spawn(work) {
        note::tell(NoteKind::Slower, 0, &format!("there is no thread to compile on: {error}"));
    }
    sender
});
