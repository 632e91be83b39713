//! What kernels cost: counted by the engine in the shared area, read by the broker when a client ends, told by the report.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// What a kernel cost, for blocks of one shape. Only the engine writes; all numbers begin at zero.
#[repr(C, align(64))]
pub struct KernelFigures {
    /// How often it was launched. Zero: nobody uses this slot yet.
    pub launches: AtomicU64,
    /// How many of them ran in compiled code.
    pub compiled: AtomicU64,
    /// Nanoseconds of all launches.
    pub nanoseconds: AtomicU64,
    /// Those of launches that were interpreted.
    pub interpreted_nanoseconds: AtomicU64,
    /// Instructions that compiled code had the interpreter do, one warp each.
    pub stepped: AtomicU64,
    /// Warps that compiled code handed to the interpreter.
    pub stops: AtomicU64,
    /// Nanoseconds until there was code.
    pub compile_nanoseconds: AtomicU64,
    /// Bytes of its object; zero if there is none.
    pub code_bytes: AtomicU64,
    /// Shape of its blocks.
    pub block: [AtomicU32; 3],
    /// Bytes of `name` that are used.
    pub name_length: AtomicU32,
    /// Its name, or as much of it as fits.
    pub name: [AtomicU8; 240],
}

impl KernelFigures {
    /// Says whose figures these are.
    pub fn set_kernel(&self, name: &str, block: [u32; 3]) {
        for (target, byte) in self.name.iter().zip(name.bytes()) {
            target.store(byte, Ordering::Relaxed);
        }
        for (target, size) in self.block.iter().zip(block) {
            target.store(size, Ordering::Relaxed);
        }
        self.name_length.store(name.len().min(self.name.len()) as u32, Ordering::Release);
    }

    /// The kernel's name.
    fn kernel(&self) -> String {
        let length = self.name.len().min(self.name_length.load(Ordering::Acquire) as usize);
        let bytes: Vec<u8> = self.name[..length].iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// All of it, if the kernel was launched.
    pub fn cost(&self) -> Option<KernelCost> {
        let read = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let launches = read(&self.launches);
        (launches > 0).then(|| KernelCost {
            kernel: self.kernel(),
            block: self.block.each_ref().map(|size| size.load(Ordering::Relaxed)),
            launches,
            compiled: read(&self.compiled),
            time: Duration::from_nanos(read(&self.nanoseconds)),
            interpreted: Duration::from_nanos(read(&self.interpreted_nanoseconds)),
            stepped: read(&self.stepped),
            stops: read(&self.stops),
            compile_time: Duration::from_nanos(read(&self.compile_nanoseconds)),
            code_bytes: read(&self.code_bytes),
        })
    }
}

/// What a kernel cost, for blocks of one shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelCost {
    /// Its name, or as much of it as there was room for.
    pub kernel: String,
    /// Shape of its blocks.
    pub block: [u32; 3],
    /// How often it was launched.
    pub launches: u64,
    /// How many of them ran in compiled code.
    pub compiled: u64,
    /// Time of all launches.
    pub time: Duration,
    /// Time of those that were interpreted.
    pub interpreted: Duration,
    /// Instructions that compiled code had the interpreter do, one warp each.
    pub stepped: u64,
    /// Warps that compiled code handed to the interpreter.
    pub stops: u64,
    /// Time until there was code: to compile, or to find it in the cache.
    pub compile_time: Duration,
    /// Bytes of its code's object; zero if it has none.
    pub code_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_kernel_that_was_launched_are_read_as_they_were_written() {
        // SAFETY: atomics may be zero.
        let figures: KernelFigures = unsafe { std::mem::zeroed() };
        figures.set_kernel(&"k".repeat(300), [32, 4, 1]);
        assert_eq!(figures.cost(), None);
        figures.launches.store(3, Ordering::Relaxed);
        figures.nanoseconds.store(5_000, Ordering::Relaxed);
        let cost = figures.cost().expect("it was launched");
        assert_eq!((cost.kernel, cost.block, cost.launches), ("k".repeat(240), [32, 4, 1], 3));
        assert_eq!(cost.time, Duration::from_micros(5));
    }
}
