//! Kernels under way, and how workers share them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use interpreter::compiled::Compiled;
use interpreter::{Fault, FaultKind, Grid, Hand, Kernel, Order};

use crate::dispatch::lock;
use crate::fault::result;
use crate::work::{Launch, Refusal};

impl Order for Box<Launch> {
    fn launch(&self) -> interpreter::Launch<'_> {
        interpreter::Launch {
            grid: self.order.grid,
            block: self.order.block,
            dynamic_shared: self.order.dynamic_shared,
            parameters: &self.parameters,
            cooperative: self.order.cooperative != 0,
        }
    }

    fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel.kernel
    }

    fn compiled(&self) -> Option<&Compiled> {
        self.kernel.code()
    }
}

/// A kernel that a stream has come to.
pub struct Running {
    pub grid: Grid<'static, Box<Launch>>,
    pub stream: u32,
    /// Its sequence number there.
    pub sequence: u64,
    /// The stream's.
    pub priority: i32,
    pub begun: Instant,
    /// There was code when it began.
    pub in_code: bool,
}

/// What a worker has of a kernel.
pub struct Held {
    pub running: Arc<Running>,
    pub hand: Hand<'static>,
}

impl Held {
    pub fn new(running: Arc<Running>) -> Held {
        let spare = running.grid.order().kernel.take_room();
        let hand = Hand::new(&running.grid, spare);
        Held { running, hand }
    }

    /// The worker has nothing more to do with it.
    pub fn retire(self) {
        let Held { running, hand } = self;
        if let Some(spare) = hand.retire(&running.grid)
            && let Err(spare) = running.grid.order().kernel.keep_room(spare)
        {
            spare.retire(&running.grid);
        }
    }
}

/// Kernels that workers share. Those of one block are their worker's alone, unless it offers them.
#[derive(Default)]
pub struct Grids {
    shared: Mutex<Vec<Arc<Running>>>,
    /// Raised with each change of `shared`.
    changes: AtomicU64,
    /// What a worker with several things to do would have others do.
    offered: Mutex<Vec<Held>>,
    offers: AtomicUsize,
}

impl Grids {
    /// Any worker may take blocks of it from now on.
    pub fn share(&self, running: Arc<Running>) {
        lock(&self.shared).push(running);
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// It is over.
    pub fn remove(&self, running: &Arc<Running>) {
        lock(&self.shared).retain(|other| !Arc::ptr_eq(other, running));
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Number of changes so far.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Those that have blocks which nobody has begun.
    pub fn with_more(&self) -> Vec<Arc<Running>> {
        lock(&self.shared).iter().filter(|running| running.grid.has_more()).cloned().collect()
    }

    /// Others may go on with it.
    pub fn offer(&self, held: Held) {
        lock(&self.offered).push(held);
        self.offers.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether something is offered.
    pub fn has_offers(&self) -> bool {
        self.offers.load(Ordering::SeqCst) > 0
    }

    /// Takes what is offered.
    pub fn take_offer(&self) -> Option<Held> {
        let held = lock(&self.offered).pop()?;
        self.offers.fetch_sub(1, Ordering::SeqCst);
        Some(held)
    }
}

/// What the client is told of a kernel's end; nothing of one that ended because another has failed.
pub fn refusal_of(fault: &Fault) -> Option<Refusal> {
    let code = match &fault.kind {
        FaultKind::Cancelled => return None,
        FaultKind::IllegalAddress => result::ILLEGAL_ADDRESS,
        FaultKind::MisalignedAddress => result::MISALIGNED_ADDRESS,
        FaultKind::Assertion(_) => result::ASSERT,
        FaultKind::InvalidLaunch(_) => result::INVALID_VALUE,
        _ => result::LAUNCH_FAILED,
    };
    Some(Refusal::new(code, fault.to_string()))
}
