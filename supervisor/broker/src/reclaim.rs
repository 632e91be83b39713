//! Giving pages back takes about 0.2 s/GiB: too long for the loop that answers every trapped call of the tree.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::Sender;

use crate::memory;

/// Up to this many bytes are given back by the loop itself: handing them over would cost as much.
const AT_ONCE: u64 = 1 << 20;

/// Punches memory out, so that it is back also where others still have it mapped.
#[derive(Default)]
pub struct Reclaimer {
    /// The thread's door, once there was something to do.
    thread: Option<Sender<Order>>,
    pending: Arc<AtomicU64>,
}

struct Order {
    memory: Arc<OwnedFd>,
    length: u64,
    resident: u64,
}

impl Reclaimer {
    /// Takes memory of `length` bytes that its owner has let go of.
    pub fn reclaim(&mut self, memory: Arc<OwnedFd>, length: u64) {
        let resident = memory::resident(&*memory);
        if resident <= AT_ONCE {
            return memory::punch(&*memory, length);
        }
        if self.thread.is_none() {
            self.thread = start(self.pending.clone());
        }
        match &self.thread {
            None => memory::punch(&*memory, length),
            Some(thread) => {
                self.pending.fetch_add(resident, Ordering::SeqCst);
                let sent = thread.send(Order { memory, length, resident });
                sent.expect("the thread ends only when this sender is gone");
            }
        }
    }

    /// Bytes that are on their way back.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::SeqCst)
    }
}

/// `None`: no thread is to be had.
fn start(pending: Arc<AtomicU64>) -> Option<Sender<Order>> {
    let (sender, orders) = crossbeam_channel::unbounded::<Order>();
    let body = move || {
        for order in orders {
            memory::punch(&*order.memory, order.length);
            pending.fetch_sub(order.resident, Ordering::SeqCst);
        }
    };
    thread::Builder::new().name("vgpu-reclaim".into()).stack_size(64 << 10).spawn(body).ok().map(|_| sender)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn pages_are_back_soon_and_counted_until_then() {
        let mut reclaimer = Reclaimer::default();
        for length in [64 << 10, 32 << 20] {
            let memory = Arc::new(memory::create(c"vgpu-test", length).expect("memfd"));
            nix::sys::uio::pwrite(&*memory, &vec![1; length as usize], 0).expect("written");
            reclaimer.reclaim(memory.clone(), length);
            let begun = Instant::now();
            while memory::resident(&*memory) + reclaimer.pending() > 0 {
                assert!(begun.elapsed() < Duration::from_secs(10), "{} bytes pending", reclaimer.pending());
                thread::yield_now();
            }
        }
    }
}
