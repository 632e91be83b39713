//! One benchmark: buffers, launches, and the same work done natively.

use crate::native::Aligned;

/// A source of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// `kernels.cu`, for any card.
    Plain,
    /// `tensor.cu`, with matrix instructions.
    Tensor,
}

impl Module {
    /// Both.
    pub const ALL: [Module; 2] = [Module::Plain, Module::Tensor];
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    /// The address of the problem's buffer of that number.
    Buffer(usize),
    /// An `int`.
    Int(i32),
    /// A `float`.
    Float(f32),
}

/// One launch of a run.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The kernel's name, the same on every device.
    pub kernel: &'static str,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// In the kernel's order.
    pub arguments: Vec<Argument>,
}

/// The same work in native code, of which the first run's result is compared.
pub trait Native {
    /// Does it once.
    fn run(&mut self);

    /// Compares the first run's result with a device's, from the output buffer.
    fn check(&self, device: &[u8]) -> Result<(), String>;
}

/// What both sides do in one run.
pub struct Problem {
    /// Where the kernels are.
    pub module: Module,
    /// Contents of device memory before the first run.
    pub buffers: Vec<Vec<u8>>,
    /// In order.
    pub launches: Vec<Launch>,
    /// The number of the buffer with the result.
    pub output: usize,
    /// Units of work of a run.
    pub work: f64,
    /// Whether each run is waited for before the next; else many are queued.
    pub one_by_one: bool,
    /// The native side.
    pub native: Box<dyn Native>,
}

/// Row names and how their problems are made.
pub struct Benchmark {
    /// The row's name in `bench.json`.
    pub name: &'static str,
    /// Units of work per second.
    pub unit: &'static str,
    /// Its inputs, always the same.
    pub problem: fn() -> Problem,
}

/// Repeatable noise between -1 and 1.
pub fn noise(count: usize, seed: u64) -> Aligned<f32> {
    let mut numbers = Aligned::zeros(count);
    for (number, word) in numbers.iter_mut().zip(words(seed)) {
        *number = (word >> 40) as f32 / (1 << 23) as f32 - 1.0;
    }
    numbers
}

/// Repeatable noise of 64 bits.
pub fn words(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

/// Whether a device's floats are those expected, but for `tolerance` of the largest.
pub fn close(device: &[u8], expected: &[f32], tolerance: f32) -> Result<(), String> {
    let device: Vec<f32> = bytemuck::allocation::pod_collect_to_vec(device);
    let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
    if largest == 0.0 || device.len() != expected.len() {
        return Err(format!(
            "{} numbers up to {largest} are expected, there are {}",
            expected.len(),
            device.len()
        ));
    }
    let far = |(device, expected): (&f32, &f32)| {
        let difference = (device - expected).abs();
        difference.is_nan() || difference > tolerance * largest
    };
    match device.iter().zip(expected).position(far) {
        None => Ok(()),
        Some(place) => Err(format!("number {place} is {}, not {}", device[place], expected[place])),
    }
}

/// Whether a device's bytes are those expected.
pub fn equal<T: bytemuck::Pod + PartialEq + std::fmt::Debug>(
    device: &[u8],
    expected: &[T],
) -> Result<(), String> {
    let device: Vec<T> = bytemuck::allocation::pod_collect_to_vec(device);
    if device.len() != expected.len() {
        return Err(format!("{} numbers are expected, there are {}", expected.len(), device.len()));
    }
    match device.iter().zip(expected).position(|(device, expected)| device != expected) {
        None => Ok(()),
        Some(place) => Err(format!("number {place} is {:?}, not {:?}", device[place], expected[place])),
    }
}
