//! The kernels of the benchmark: inputs, work per run, both sides, and a check that they agree.

use std::time::{Duration, Instant};

use filetests::executor::{Buffer, Loaded, Parameter, Shape};
use half::f16;
use interpreter::Pool;

use crate::native::{self, Q4, Q8};

/// Throughput of both sides in one process.
pub struct Row {
    /// The row's name in `bench.json`.
    pub name: &'static str,
    /// What the numbers count.
    pub unit: &'static str,
    /// The virtual GPU, one core.
    pub ours: f64,
    /// Native code, one core.
    pub native: f64,
}

/// One kernel's launch, with `Pool::new(1)`: one core.
struct Bench<'a> {
    loaded: &'a Loaded,
    pool: &'a Pool,
}

/// Measures every row once whose name contains `part`.
pub fn all(part: &str) -> Vec<Row> {
    let loaded = Loaded::new(include_str!("../kernels/kernels.ptx")).expect("kernels.ptx loads");
    let bench = Bench { loaded: &loaded, pool: &Pool::new(1) };
    type Measure = fn(&Bench) -> Row;
    let rows: [(&str, Measure); 7] = [
        ("saxpy", |bench| bench.saxpy()),
        ("warp_sum", |bench| bench.sum("warp_sum", 256)),
        ("tree_sum", |bench| bench.sum("tree_sum", 1024)),
        ("mat_vec_q4_0_cache", |bench| bench.mat_vec("mat_vec_q4_0_cache", 4096, 4096)),
        ("mat_vec_q4_0_memory", |bench| bench.mat_vec("mat_vec_q4_0_memory", 4096, 32768)),
        ("sgemm_tile", |bench| bench.sgemm(512)),
        ("divergent", |bench| bench.divergent(1024, 256)),
    ];
    rows.iter().filter(|(name, _)| name.contains(part)).map(|(_, measure)| measure(&bench)).collect()
}

impl Bench<'_> {
    fn launch(&self, name: &str, grid: [u32; 3], block: [u32; 3], parameters: &mut [Parameter]) {
        let shape = Shape { grid, block, shared: 0, cooperative: false };
        self.loaded.run(self.pool, name, shape, parameters).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    fn saxpy(&self) -> Row {
        let n = 32 * 1024;
        let x = numbers(n, 1);
        let (mut device_x, mut device_y) = (buffer(&x), Buffer::zeroed(4 * n));
        let ours = best(|| {
            let mut parameters = [
                value(2f32),
                Parameter::Memory(&mut device_x),
                Parameter::Memory(&mut device_y),
                value(n as i32),
            ];
            self.launch("saxpy", [n as u32 / 256, 1, 1], [256, 1, 1], &mut parameters);
        });
        let mut y = vec![0f32; n];
        // SAFETY: `main` has asked for the CPU features.
        let native = best(|| unsafe { native::saxpy(2.0, &x, std::hint::black_box(&mut y)) });
        // The number of runs differs: the sums grow in the same proportion.
        let device = floats(&device_y);
        assert!(x.iter().zip(&device).all(|(x, y)| x.signum() == y.signum() || *x == 0.0), "saxpy differs");
        row("saxpy", "GB/s", 12.0 * n as f64 / 1e9, ours, native)
    }

    /// Both sums over 4 MB; `span` elements are one block's share at least.
    fn sum(&self, name: &'static str, span: usize) -> Row {
        let n = 1 << 20;
        let blocks = if span == 1024 { n / span } else { 64 };
        let x = numbers(n, 2);
        let (mut device_x, mut device_out) = (buffer(&x), Buffer::zeroed(4 * blocks));
        let ours = best(|| {
            let mut parameters =
                [Parameter::Memory(&mut device_x), Parameter::Memory(&mut device_out), value(n as i32)];
            self.launch(name, [blocks as u32, 1, 1], [256, 1, 1], &mut parameters);
        });
        let mut total = 0.0;
        // SAFETY: `main` has asked for the CPU features.
        let native = best(|| total = unsafe { native::sum(std::hint::black_box(&x)) });
        let device: f32 = floats(&device_out).iter().sum();
        assert!((device - total).abs() < 1.0, "{name} differs: {device} and {total}");
        row(name, "GB/s", 4.0 * n as f64 / 1e9, ours, native)
    }

    fn mat_vec(&self, name: &'static str, rows: usize, columns: usize) -> Row {
        let (weights, vector) = (weights(rows * columns / 32), vector(columns / 32));
        let mut device_weights = Buffer::of(&weights.iter().flat_map(q4_bytes).collect::<Vec<u8>>());
        let mut device_vector = Buffer::of(&vector.iter().flat_map(q8_bytes).collect::<Vec<u8>>());
        let mut device_out = Buffer::zeroed(4 * rows);
        let ours = best(|| {
            let memory = [&mut device_weights, &mut device_vector, &mut device_out].map(Parameter::Memory);
            let mut parameters: Vec<Parameter> = memory.into_iter().chain([value(columns as i32)]).collect();
            self.launch("mat_vec_q4_0", [rows as u32, 1, 1], [32, 4, 1], &mut parameters);
        });
        let mut out = vec![0f32; rows];
        // SAFETY: `main` has asked for the CPU features.
        let native = best(|| unsafe { native::mat_vec(&weights, std::hint::black_box(&vector), &mut out) });
        let scale = out.iter().fold(0f32, |most, value| most.max(value.abs()));
        let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * scale;
        assert!(scale > 0.0 && floats(&device_out).iter().zip(&out).all(close), "{name} differs");
        row(name, "GFLOP/s", 2.0 * (rows * columns) as f64 / 1e9, ours, native)
    }

    fn sgemm(&self, n: usize) -> Row {
        let (a, b) = (numbers(n * n, 3), numbers(n * n, 4));
        let (mut device_a, mut device_b, mut device_c) = (buffer(&a), buffer(&b), Buffer::zeroed(4 * n * n));
        let ours = best(|| {
            let memory = [&mut device_a, &mut device_b, &mut device_c].map(Parameter::Memory);
            let mut parameters: Vec<Parameter> = memory.into_iter().chain([value(n as i32)]).collect();
            self.launch("sgemm_tile", [n as u32 / 32, n as u32 / 32, 1], [32, 8, 1], &mut parameters);
        });
        let mut c = vec![0f32; n * n];
        // SAFETY: `main` has asked for the CPU features.
        let native = best(|| unsafe { native::sgemm(std::hint::black_box(&a), &b, &mut c, n) });
        assert!(floats(&device_c) == c, "sgemm_tile differs: both add the products in the same order");
        row("sgemm_tile", "GFLOP/s", 2.0 * (n * n * n) as f64 / 1e9, ours, native)
    }

    fn divergent(&self, width: usize, height: usize) -> Row {
        let mut device_out = Buffer::zeroed(4 * width * height);
        let ours = best(|| {
            let numbers = [width, height, 256].map(|number| value(number as i32));
            let mut parameters: Vec<Parameter> =
                std::iter::once(Parameter::Memory(&mut device_out)).chain(numbers).collect();
            self.launch("divergent", [width as u32 / 128, height as u32, 1], [128, 1, 1], &mut parameters);
        });
        let mut out = vec![0i32; width * height];
        // SAFETY: `main` has asked for the CPU features.
        let native =
            best(|| unsafe { native::divergent(std::hint::black_box(&mut out), width, height, 256) });
        let bytes: Vec<u8> = out.iter().flat_map(|steps| steps.to_le_bytes()).collect();
        assert!(device_out.bytes() == bytes, "divergent differs");
        row("divergent", "Mpixel/s", (width * height) as f64 / 1e6, ours, native)
    }
}

fn row(name: &'static str, unit: &'static str, work: f64, ours: Duration, native: Duration) -> Row {
    Row { name, unit, ours: work / ours.as_secs_f64(), native: work / native.as_secs_f64() }
}

/// Shortest of the runs in a third of a second, three at least.
fn best(mut run: impl FnMut()) -> Duration {
    let (begun, mut best, mut runs) = (Instant::now(), Duration::MAX, 0);
    while runs < 3 || begun.elapsed() < Duration::from_millis(300) {
        let started = Instant::now();
        run();
        best = best.min(started.elapsed());
        runs += 1;
    }
    best
}

fn value<T: Into<Scalar>>(value: T) -> Parameter<'static> {
    Parameter::Value(value.into().0)
}

/// Bytes of a kernel argument.
struct Scalar(Vec<u8>);

impl From<i32> for Scalar {
    fn from(value: i32) -> Self {
        Self(value.to_le_bytes().to_vec())
    }
}

impl From<f32> for Scalar {
    fn from(value: f32) -> Self {
        Self(value.to_le_bytes().to_vec())
    }
}

fn buffer(values: &[f32]) -> Buffer {
    Buffer::of(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

fn floats(buffer: &Buffer) -> Vec<f32> {
    let word = |chunk: &[u8]| f32::from_le_bytes(chunk.try_into().expect("four bytes"));
    buffer.bytes().chunks_exact(4).map(word).collect()
}

/// Repeatable noise between -1 and 1.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn weights(count: usize) -> Vec<Q4> {
    let noise = numbers(4096, 5);
    let byte = |index: usize| (noise[index % 4096] * 127.0) as i8 as u8;
    let block = |block: usize| Q4 {
        scale: f16::from_f32(0.01 + noise[block % 4093].abs() * 0.01).to_bits(),
        nibbles: std::array::from_fn(|index| byte(block * 17 + index)),
    };
    (0..count).map(block).collect()
}

fn vector(count: usize) -> Vec<Q8> {
    let noise = numbers(32 * count, 6);
    let block = |chunk: &[f32]| {
        let values: [i8; 32] = std::array::from_fn(|index| (chunk[index] * 127.0) as i8);
        let sum: i32 = values.iter().map(|value| i32::from(*value)).sum();
        Q8 {
            scale: f16::from_f32(1.0 / 128.0).to_bits(),
            sum: f16::from_f32(sum as f32 / 128.0).to_bits(),
            values,
        }
    };
    noise.chunks_exact(32).map(block).collect()
}

fn q4_bytes(block: &Q4) -> Vec<u8> {
    [&block.scale.to_le_bytes()[..], &block.nibbles].concat()
}

fn q8_bytes(block: &Q8) -> Vec<u8> {
    let values = block.values.map(|value| value as u8);
    [&block.scale.to_le_bytes()[..], &block.sum.to_le_bytes(), &values].concat()
}
