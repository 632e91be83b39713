//! Which tier runs a kernel: the interpreter at once, compiled code when it is there and worth its making.
//!
//! A kernel is compiled for each shape of its blocks apart, on one thread in the background, once the interpreter has spent
//! [`WORTH`] on it. What can't be compiled stays with the interpreter, and so does everything where `VGPU_RUN_TIER=interpreter`
//! was in the supervisor's environment; `VGPU_RUN_TIER=compiled` compiles before the first launch.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Duration;

use interpreter::compiled::Compiled;
use interpreter::{Image, Kernel};

use crate::cache;

/// Time in the interpreter after which a kernel is compiled: about what compiling a small one takes.
const WORTH: Duration = Duration::from_millis(5);

/// What the environment asks for.
#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Interpret,
    Compile,
    Auto,
}

static POLICY: LazyLock<Policy> = LazyLock::new(|| match std::env::var("VGPU_RUN_TIER").as_deref() {
    Ok("interpreter") => Policy::Interpret,
    Ok("compiled") => Policy::Compile,
    _ => Policy::Auto,
});

/// A kernel of a loaded module, and what it has been compiled to.
pub struct Tiered {
    pub kernel: Arc<Kernel>,
    image: Arc<Image>,
    name: Box<str>,
    shapes: Mutex<HashMap<[u32; 3], Arc<Shape>>>,
}

/// A kernel for one shape of its blocks.
#[derive(Default)]
struct Shape {
    /// Nanoseconds that the interpreter has spent.
    spent: AtomicU64,
    /// Once it has been asked for: the code, or nothing.
    code: OnceLock<Option<Arc<Compiled>>>,
    asked: OnceLock<()>,
}

impl Tiered {
    pub fn new(kernel: Arc<Kernel>, image: Arc<Image>, name: &str) -> Tiered {
        Tiered { kernel, image, name: name.into(), shapes: Mutex::default() }
    }

    fn shape(&self, block: [u32; 3]) -> Arc<Shape> {
        let mut shapes = self.shapes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        shapes.entry(block).or_default().clone()
    }

    /// The code for blocks of a shape, if it is there.
    pub fn code(self: &Arc<Tiered>, block: [u32; 3]) -> Option<Arc<Compiled>> {
        match *POLICY {
            Policy::Interpret => None,
            Policy::Auto => self.shape(block).code.get().cloned().flatten(),
            Policy::Compile => self.shape(block).code.get_or_init(|| self.compile(block)).clone(),
        }
    }

    /// Tells that the interpreter has run the kernel for so long.
    pub fn interpreted(self: &Arc<Tiered>, block: [u32; 3], time: Duration) {
        if *POLICY != Policy::Auto {
            return;
        }
        let shape = self.shape(block);
        let before = shape.spent.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
        if before + time.as_nanos() as u64 >= WORTH.as_nanos() as u64 && shape.asked.set(()).is_ok() {
            // A compiler that has ended is an engine that ends.
            let _ = COMPILER.send((self.clone(), shape, block));
        }
    }

    fn compile(&self, block: [u32; 3]) -> Option<Arc<Compiled>> {
        let made = jit::lower(&self.image, &self.name, block).ok()?;
        let object = cache::object(&made.ir, &llvm::Target::host(), &cache::label(&self.name, block)).ok()?;
        made.load(&self.image, &object).ok().map(Arc::new)
    }
}

/// A kernel to compile.
type Order = (Arc<Tiered>, Arc<Shape>, [u32; 3]);

static COMPILER: LazyLock<Sender<Order>> = LazyLock::new(|| {
    let (sender, orders) = channel::<Order>();
    let work = move || {
        for (tiered, shape, block) in orders {
            shape.code.get_or_init(|| tiered.compile(block));
        }
    };
    // Without the thread, everything stays with the interpreter.
    let _ = std::thread::Builder::new().name("vgpu-compiler".into()).spawn(work);
    sender
});
