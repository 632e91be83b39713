//! Lanes that part.

use crate::native::Aligned;
use crate::native::escape::escape_times;
use crate::problem::{Argument::*, Launch, Module, Native, Problem, equal};

const WIDTH: usize = 1024;
const HEIGHT: usize = 256;
const LIMIT: i32 = 256;

/// Escape times of the Mandelbrot set.
pub fn divergent() -> Problem {
    let launch = Launch {
        kernel: "divergent",
        grid: [WIDTH as u32 / 128, HEIGHT as u32, 1],
        block: [128, 1, 1],
        arguments: vec![Buffer(0), Int(WIDTH as i32), Int(HEIGHT as i32), Int(LIMIT)],
    };
    Problem {
        module: Module::Plain,
        buffers: vec![vec![0; 4 * WIDTH * HEIGHT]],
        launches: vec![launch],
        output: 0,
        work: (WIDTH * HEIGHT) as f64 / 1e6,
        one_by_one: false,
        native: Box::new(Escape { out: Aligned::zeros(WIDTH * HEIGHT) }),
    }
}

struct Escape {
    out: Aligned<i32>,
}

impl Native for Escape {
    fn run(&mut self) {
        // SAFETY: `main` has asked for the CPU features.
        unsafe { escape_times(&mut self.out, WIDTH, HEIGHT, LIMIT) };
    }

    /// The same arithmetic in the same order: bit by bit.
    fn check(&self, device: &[u8]) -> Result<(), String> {
        equal(device, &self.out)
    }
}
