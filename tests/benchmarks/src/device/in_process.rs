//! The engine's compiled code in this process, without driver, ring and engine around it.
//!
//! What an engine does with a launch is in [`InProcess::open`] and [`InProcess::run`], and nowhere else in this crate.

use filetests::executor::{Buffer, Loaded, Parameter, Shape, Tier};
use interpreter::Pool;

use super::Device;
use crate::cores;
use crate::problem::{Argument, Launch, Problem};

/// A problem in this process's memory.
pub struct InProcess {
    loaded: Loaded,
    pool: Pool,
    buffers: Vec<Buffer>,
    launches: Vec<Launch>,
}

impl InProcess {
    /// One thread: the caller's. Code is for AVX2, as the native side. A kernel without code is an error: the interpreter in its place is not what is measured here.
    pub fn open(problem: &Problem, ptx: &str) -> Result<InProcess, String> {
        cores::pin(cores::work());
        let loaded = Loaded::on(Tier::Compiled, ptx)?.of_avx2();
        for launch in &problem.launches {
            loaded.code(launch.kernel, launch.block)?;
        }
        let buffers = problem.buffers.iter().map(|bytes| Buffer::of(bytes)).collect();
        Ok(InProcess { loaded, pool: Pool::new(1), buffers, launches: problem.launches.clone() })
    }

    fn launch(&mut self, index: usize) -> Result<(), String> {
        let launch = &self.launches[index];
        let shape = Shape { grid: launch.grid, block: launch.block, shared: 0, cooperative: false };
        let buffers = &mut self.buffers;
        let value = |argument: &Argument| match *argument {
            Argument::Buffer(number) => Parameter::Value(buffers[number].address().to_le_bytes().to_vec()),
            Argument::Int(value) => Parameter::Value(value.to_le_bytes().to_vec()),
            Argument::Float(value) => Parameter::Value(value.to_le_bytes().to_vec()),
        };
        let mut parameters: Vec<Parameter> = launch.arguments.iter().map(value).collect();
        self.loaded.run(&self.pool, launch.kernel, shape, &mut parameters).map(drop)
    }
}

impl Device for InProcess {
    fn run(&mut self, times: usize) -> Result<(), String> {
        for _ in 0..times {
            (0..self.launches.len()).try_for_each(|index| self.launch(index))?;
        }
        Ok(())
    }

    fn read(&mut self, buffer: usize) -> Result<Vec<u8>, String> {
        Ok(self.buffers[buffer].bytes())
    }

    fn client_core(&self) -> usize {
        cores::work()
    }
}
