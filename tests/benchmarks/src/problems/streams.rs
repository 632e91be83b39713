//! Kernels that read their memory once.

use crate::native::{Aligned, streams};
use crate::problem::{Argument::*, Launch, Module, Native, Problem, close, noise};

/// A million elements, 8 MiB in both arrays.
pub fn saxpy_million() -> Problem {
    saxpy(1 << 20)
}

/// 256 KiB in both arrays: two microseconds natively, so that what a launch costs counts too.
pub fn saxpy_cache() -> Problem {
    saxpy(32 << 10)
}

/// 128 MiB in both arrays.
pub fn saxpy_memory() -> Problem {
    saxpy(16 << 20)
}

fn saxpy(n: usize) -> Problem {
    let native = Saxpy { x: noise(n, 1), y: noise(n, 2), first: None };
    let launch = Launch {
        kernel: "saxpy",
        grid: [n as u32 / 256, 1, 1],
        block: [256, 1, 1],
        arguments: vec![Float(2.0), Buffer(0), Buffer(1), Int(n as i32)],
    };
    Problem {
        module: Module::Plain,
        buffers: vec![native.x.bytes(), native.y.bytes()],
        launches: vec![launch],
        output: 1,
        work: 12.0 * n as f64 / 1e9,
        one_by_one: false,
        native: Box::new(native),
    }
}

struct Saxpy {
    x: Aligned<f32>,
    y: Aligned<f32>,
    first: Option<Aligned<f32>>,
}

impl Native for Saxpy {
    fn run(&mut self) {
        // SAFETY: `main` has asked for the CPU features.
        unsafe { streams::saxpy(2.0, &self.x, &mut self.y) };
        if self.first.is_none() {
            self.first = Some(self.y.clone());
        }
    }

    fn check(&self, device: &[u8]) -> Result<(), String> {
        close(device, self.first.as_ref().ok_or("the native side has not run")?, 1e-6)
    }
}

/// 4 MiB; 64 blocks go over all of it.
pub fn warp_sum() -> Problem {
    sum("warp_sum", 64)
}

/// 4 MiB; 1024 elements a block.
pub fn tree_sum() -> Problem {
    sum("tree_sum", 1024)
}

fn sum(kernel: &'static str, blocks: usize) -> Problem {
    let n = 1 << 20;
    let native = Sum { x: noise(n, 3), sum: 0.0 };
    let launch = Launch {
        kernel,
        grid: [blocks as u32, 1, 1],
        block: [256, 1, 1],
        arguments: vec![Buffer(0), Buffer(1), Int(n as i32)],
    };
    Problem {
        module: Module::Plain,
        buffers: vec![native.x.bytes(), vec![0; 4 * blocks]],
        launches: vec![launch],
        output: 1,
        work: 4.0 * n as f64 / 1e9,
        one_by_one: false,
        native: Box::new(native),
    }
}

struct Sum {
    x: Aligned<f32>,
    sum: f32,
}

impl Native for Sum {
    fn run(&mut self) {
        // SAFETY: `main` has asked for the CPU features.
        self.sum = unsafe { streams::sum(&self.x) };
    }

    fn check(&self, device: &[u8]) -> Result<(), String> {
        let blocks: Vec<f32> = bytemuck::allocation::pod_collect_to_vec(device);
        let device: f32 = blocks.iter().sum();
        // A million numbers up to 1, whose sum is of the order of a thousand.
        let near = (device - self.sum).abs() < 0.1 && blocks.iter().all(|sum| *sum != 0.0);
        if near { Ok(()) } else { Err(format!("the sum is {device}, not {}", self.sum)) }
    }
}
