//! Tier 0 of the CPU engine, in this process.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use interpreter::{Environment, Image, Kernel, Launch, Pool};

use crate::{Executor, Failure, Parameter, Shape};

/// A module loaded into the interpreter; it keeps the memory of the module's variables.
pub struct Loaded {
    image: Image,
    _variables: Vec<Vec<u128>>,
}

impl Loaded {
    /// Parses and loads a module.
    pub fn new(text: &str) -> Result<Self, String> {
        let module = ptx::Module::parse(text.to_owned()).map_err(|error| error.to_string())?;
        let mut variables = Vec::new();
        let mut allocate = |size: u64, align: u64| {
            // Alignment beyond 16 is met by taking more and rounding up.
            let mut memory = vec![0u128; ((size + align) / 16 + 1) as usize];
            let start = memory.as_mut_ptr().expose_provenance() as u64;
            variables.push(memory);
            Some(start.next_multiple_of(align.max(1)))
        };
        let image = Image::load(Arc::new(module), &mut allocate).map_err(|error| error.to_string())?;
        Ok(Self { image, _variables: variables })
    }

    /// Names of the module's kernels.
    pub fn entries(&self) -> Vec<String> {
        self.image.module().entries().map(|function| function.name.to_string()).collect()
    }

    /// Decodes a kernel; the error names the instruction that is refused.
    pub fn kernel(&self, name: &str) -> Result<Arc<Kernel>, String> {
        self.image.kernel(name).map_err(|error| error.to_string())
    }

    /// Runs a kernel to its end and gives what it printed.
    pub fn run(
        &self,
        pool: &Pool,
        name: &str,
        shape: Shape,
        parameters: &mut [Parameter],
    ) -> Result<String, String> {
        let kernel = self.kernel(name)?;
        let bytes = self.parameters(name, parameters)?;
        let printed = Mutex::new(String::new());
        let environment = Environment {
            // Where a process's memory lies, without what is near null, and as round as the window of an engine.
            window: 1 << 46..1 << 47,
            print: &|text| printed.lock().expect("no printer panics").push_str(text),
            cancel: &AtomicBool::new(false),
        };
        let launch = Launch {
            grid: shape.grid,
            block: shape.block,
            dynamic_shared: shape.shared,
            parameters: &bytes,
            cooperative: shape.cooperative,
        };
        pool.run(&kernel, &launch, &environment).map_err(|fault| fault.to_string())?;
        Ok(printed.into_inner().expect("no printer panics"))
    }

    /// The parameter buffer: each value at its own alignment, cut or extended to the declared size.
    fn parameters(&self, name: &str, parameters: &mut [Parameter]) -> Result<Vec<u8>, String> {
        let module = self.image.module();
        let function = module.function_named(name).ok_or_else(|| format!("no function `{name}`"))?;
        let (slots, size) = (function.parameter_layout(), function.parameter_bytes());
        if slots.len() != parameters.len() {
            return Err(format!("`{name}` takes {} parameters, not {}", slots.len(), parameters.len()));
        }
        let mut bytes = vec![0; size as usize];
        for (slot, parameter) in slots.iter().zip(parameters) {
            let value = match parameter {
                Parameter::Value(value) => value.clone(),
                Parameter::Memory(buffer) => buffer.address().to_le_bytes().to_vec(),
            };
            let len = value.len().min(slot.size as usize);
            bytes[slot.offset as usize..][..len].copy_from_slice(&value[..len]);
        }
        Ok(bytes)
    }
}

/// The interpreter with its threads.
pub struct Interpreter {
    pool: Pool,
}

impl Interpreter {
    /// One that runs blocks on that many threads.
    pub fn new(threads: usize) -> Self {
        Self { pool: Pool::new(threads) }
    }
}

impl Executor for Interpreter {
    fn run(
        &self,
        text: &str,
        kernel: &str,
        shape: Shape,
        parameters: &mut [Parameter],
    ) -> Result<(), Failure> {
        let loaded = Loaded::new(text).map_err(Failure::Refused)?;
        loaded.kernel(kernel).map_err(Failure::Refused)?;
        loaded.run(&self.pool, kernel, shape, parameters).map(|_| ()).map_err(Failure::Faulted)
    }
}
