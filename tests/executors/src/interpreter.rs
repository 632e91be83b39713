//! The tiers of the CPU engine, in this process: the interpreter, or compiled code with the interpreter beside it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use interpreter::compiled::Compiled;
use interpreter::watch::Watch;
use interpreter::{Environment, Fault, Image, Kernel, Launch, Pool};
use llvm::{Level, Target};

use crate::{Executor, Failure, Parameter, Shape};

/// Which tier of the engine runs kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The interpreter.
    Interpreter,
    /// Code that is made before the first launch; kernels that have none run in the interpreter.
    Compiled,
    /// The same for the least processor that the engine runs on.
    Avx2,
    /// The same in a way that a test forces.
    Forced(jit::Forced),
}

impl Tier {
    /// For which processor code is made, and in which way; `None`: there is none.
    fn code(self) -> Option<(Target, jit::Forced)> {
        let plain = jit::Forced::default();
        match self {
            Tier::Interpreter => None,
            Tier::Compiled => Some((Target::host(), plain)),
            Tier::Avx2 => Some((Target::avx2(), plain)),
            // In a third of the time: the code is worse, and not another one.
            Tier::Forced(forced) => {
                let quick = Target::host().with_level(Level::None);
                Some((quick.with_passes("function(sroa,early-cse,simplifycfg)"), forced))
            }
        }
    }
}

/// Code of a kernel for a shape of its blocks, or why there is none.
pub type Code = Result<Arc<Compiled>, String>;

/// How many launches on [`Tier::Compiled`] had code, and why the interpreter ran the others: what a test of compiled code rests on.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Launches>);

#[derive(Debug, Default)]
struct Launches {
    compiled: usize,
    /// By the reason.
    interpreted: BTreeMap<String, usize>,
}

impl Tally {
    /// Counts a launch, by what [`Loaded::code`] says of it.
    pub fn add(&self, code: &Code) {
        let mut launches = self.0.lock().expect("counting does not panic");
        match code {
            Ok(_) => launches.compiled += 1,
            Err(why) => *launches.interpreted.entry(why.clone()).or_default() += 1,
        }
    }

    /// Prints itself, and panics if fewer launches than `least` had code.
    pub fn require(&self, least: usize) {
        println!("{self}");
        let compiled = self.0.lock().expect("counting does not panic").compiled;
        assert!(compiled >= least, "{compiled} launches ran compiled, not {least}\n{self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let launches = self.0.lock().expect("counting does not panic");
        let interpreted: usize = launches.interpreted.values().sum();
        write!(f, "{} launches ran compiled, {interpreted} in the interpreter", launches.compiled)?;
        launches.interpreted.iter().try_for_each(|(why, count)| write!(f, "\n  {count}: {why}"))
    }
}

/// A module loaded into the engine; it keeps the memory of the module's variables.
pub struct Loaded {
    image: Image,
    tier: Tier,
    code: Mutex<HashMap<(String, [u32; 3]), Code>>,
    _variables: Vec<Vec<u128>>,
}

impl Loaded {
    /// Parses and loads a module.
    pub fn new(text: &str) -> Result<Self, String> {
        Self::on(Tier::Interpreter, text)
    }

    /// Parses and loads a module whose kernels a tier runs.
    pub fn on(tier: Tier, text: &str) -> Result<Self, String> {
        let module = ptx::Module::parse(text.to_owned()).map_err(|error| error.to_string())?;
        let mut variables = Vec::new();
        let mut allocate = |size, align| place_variables(&mut variables, size, align);
        let image = Image::load(Arc::new(module), &mut allocate).map_err(|error| error.to_string())?;
        Ok(Self { image, tier, code: Mutex::default(), _variables: variables })
    }

    /// With code for no more than AVX2.
    pub fn of_avx2(self) -> Self {
        Self { tier: Tier::Avx2, ..self }
    }

    /// Names of the module's kernels.
    pub fn entries(&self) -> Vec<String> {
        self.image.module().entries().map(|function| function.name.to_string()).collect()
    }

    /// The code of a kernel, made once; the error says why it has none.
    pub fn code(&self, name: &str, block: [u32; 3]) -> Code {
        let mut known = self.code.lock().expect("no compiler panics");
        let make = || {
            let (target, forced) = self.tier.code().ok_or("this tier has no code")?;
            let made = jit::compile_forced(&self.image, name, block, &target, forced);
            made.map(|(code, _)| Arc::new(code)).map_err(|error| error.to_string())
        };
        known.entry((name.to_owned(), block)).or_insert_with(make).clone()
    }

    /// What lowering of a kernel for AVX2 comes by, and the instructions that get no code; the error says why there is none.
    pub fn lowered(&self, name: &str, block: [u32; 3]) -> Result<jit::Made, String> {
        jit::lower(&self.image, name, block, &Target::avx2()).map_err(|error| error.to_string())
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
        let bytes = parameter_bytes(self.image.module(), name, parameters)?;
        let code = match self.tier {
            Tier::Interpreter => None,
            _ => self.code(name, shape.block).ok(),
        };
        match code {
            Some(code) => launched(&bytes, shape, None, |launch, environment| {
                pool.run_compiled(&code, launch, environment)
            }),
            None => {
                let kernel = self.kernel(name)?;
                launched(&bytes, shape, None, |launch, environment| pool.run(&kernel, launch, environment))
            }
        }
    }
}

/// Launches what `run` runs, with parameters as [`parameter_bytes`] makes them, and gives what it printed.
pub(crate) fn launched(
    parameters: &[u8],
    shape: Shape,
    watch: Option<&dyn Watch>,
    run: impl FnOnce(&Launch, &Environment) -> Result<(), Fault>,
) -> Result<String, String> {
    let printed = Mutex::new(String::new());
    let environment = Environment {
        // Where a process's memory lies, without what is near null, and as round as the window of an engine.
        window: 1 << 46..1 << 47,
        print: &|text| printed.lock().expect("no printer panics").push_str(text),
        cancel: &AtomicBool::new(false),
        watch,
    };
    let Shape { grid, block, shared: dynamic_shared, cooperative } = shape;
    let launch = Launch { grid, block, dynamic_shared, parameters, cooperative };
    run(&launch, &environment).map_err(|fault| fault.to_string())?;
    Ok(printed.into_inner().expect("no printer panics"))
}

/// Memory for variables of a module, kept in `variables`.
pub(crate) fn place_variables(variables: &mut Vec<Vec<u128>>, size: u64, align: u64) -> Option<u64> {
    // Alignment beyond 16 is met by taking more and rounding up.
    let mut memory = vec![0u128; ((size + align) / 16 + 1) as usize];
    let start = memory.as_mut_ptr().expose_provenance() as u64;
    variables.push(memory);
    Some(start.next_multiple_of(align.max(1)))
}

/// The parameter buffer: each value at its own alignment, cut or extended to the declared size.
pub(crate) fn parameter_bytes(
    module: &ptx::Module,
    name: &str,
    parameters: &mut [Parameter],
) -> Result<Vec<u8>, String> {
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

/// The interpreter with its threads.
pub struct Interpreter {
    pool: Pool,
    tier: Tier,
    /// Where launches on [`Tier::Compiled`] are counted; several executors may share one.
    pub tally: Arc<Tally>,
}

impl Interpreter {
    /// One that runs blocks on that many threads.
    pub fn new(threads: usize) -> Self {
        Self::on(Tier::Interpreter, threads)
    }

    /// A tier with that many threads.
    pub fn on(tier: Tier, threads: usize) -> Self {
        let pool = Pool::new(threads);
        let pool = match tier {
            Tier::Forced(jit::Forced { order: Some(seed), .. }) => pool.in_random_order(seed),
            _ => pool,
        };
        Self { pool, tier, tally: Arc::default() }
    }

    /// The interpreter, with that many threads, of which blocks and warps come in a random order.
    pub fn in_random_order(threads: usize, seed: u64) -> Self {
        let pool = Pool::new(threads).in_random_order(seed);
        Self { pool, tier: Tier::Interpreter, tally: Arc::default() }
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
        let loaded = Loaded::on(self.tier, text).map_err(Failure::Refused)?;
        loaded.kernel(kernel).map_err(Failure::Refused)?;
        if self.tier != Tier::Interpreter {
            self.tally.add(&loaded.code(kernel, shape.block));
        }
        loaded.run(&self.pool, kernel, shape, parameters).map(|_| ()).map_err(Failure::Faulted)
    }
}
