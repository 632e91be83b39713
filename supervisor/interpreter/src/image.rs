//! A module loaded for one context: variables placed and initialised, kernels decoded on first use.

use crate::code::Kernel;
use crate::decode;
use crate::heap::{Heap, heap_bytes};
use ptx::{Constant, Element, Linkage, Module, Space, Variable};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

/// Kernels, or why they can't run, by name.
type Kernels = HashMap<Box<str>, Result<Arc<Kernel>, Unsupported>>;

/// A function's body, once it is parsed.
type Parsed = Result<Arc<ptx::Body>, ptx::ParseError>;

/// A loaded module.
pub struct Image {
    module: Arc<Module>,
    globals: HashMap<Box<str>, (u64, u64)>,
    kernels: Mutex<Kernels>,
    pub(crate) bodies: Vec<OnceLock<Parsed>>,
    /// Where device `malloc` takes memory from.
    pub(crate) heap: Arc<Heap>,
    /// Whether its kernels tell what they touch.
    pub(crate) is_watched: bool,
}

/// Where a variable of a function lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariablePlace {
    /// In the launch's parameters, from this byte on.
    Parameter(u64),
    /// In the thread's stack, from the function's frame on.
    Local(u64),
    /// In the block's shared memory.
    Shared(u64),
    /// Nowhere: a parameter in a register.
    Register,
}

/// What a compiler needs to know of a kernel beside its text: places in the interpreter's memory.
pub struct Plan {
    /// The kernel's own body.
    pub body: Arc<ptx::Body>,
    /// Where each of the body's variables lies.
    pub variables: Vec<VariablePlace>,
    /// Offsets of the module's shared variables that the kernel names.
    pub shared: HashMap<Box<str>, u64>,
    /// Where each register lies in the register file, in bytes.
    pub registers: Vec<u32>,
    /// Registers that hold the same number from the start, and it.
    pub constants: HashMap<ptx::RegisterId, u64>,
    /// Registers whose only write the interpreter does before all else, once for each warp: nobody else may write them where it
    /// has them.
    pub kept: Vec<bool>,
    /// Whether the processor flushes subnormal numbers while the kernel runs.
    pub flushes: bool,
    /// Bytes of local memory of a thread.
    pub stack_bytes: u64,
    /// Bytes of parameters.
    pub parameter_bytes: u32,
}

/// Why a module could not be loaded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// An initialiser cannot be read.
    #[error(transparent)]
    Parse(#[from] ptx::ParseError),
    /// The caller has no room.
    #[error("no device memory for variable `{name}` of {size} bytes")]
    OutOfMemory {
        /// The variable.
        name: String,
        /// Its size.
        size: u64,
    },
    /// An initialiser names something that the module lacks.
    #[error("the initialiser of `{variable}` names `{symbol}`, which the module does not define")]
    Unresolved {
        /// The variable that is initialised.
        variable: String,
        /// The missing symbol.
        symbol: String,
    },
    /// The module is for 32-bit addresses.
    #[error("the module has {0}-bit addresses, 64 are supported")]
    AddressSize(u32),
}

/// Why a kernel cannot run here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// The module has no such kernel.
    #[error("the module has no kernel `{0}`")]
    NoKernel(String),
    /// The kernel's text is not understood.
    #[error(transparent)]
    Parse(#[from] ptx::ParseError),
    /// The kernel uses something that the interpreter lacks.
    #[error("kernel `{kernel}` cannot run: {what} (`{instruction}`, line {line})")]
    Instruction {
        /// The kernel.
        kernel: String,
        /// The instruction as text.
        instruction: String,
        /// Its line in the module's PTX.
        line: u32,
        /// What is missing.
        what: String,
    },
}

impl Image {
    /// Places every `.global` and `.const` variable through `place(size, align)`, which answers the address of writable memory
    /// (valid in this process, in the launch window), and initialises them. Behind them it places a heap, if the module calls
    /// `malloc`.
    pub fn load(
        module: Arc<Module>,
        place: &mut dyn FnMut(u64, u64) -> Option<u64>,
    ) -> Result<Image, LoadError> {
        let heap = Arc::new(Heap::default());
        let image = Image::load_with_heap(module, place, heap.clone())?;
        let bytes = heap_bytes(&image.module);
        if bytes > 0 {
            let start = place(bytes, 256)
                .ok_or_else(|| LoadError::OutOfMemory { name: "malloc".into(), size: bytes })?;
            heap.assign(start, bytes);
        }
        Ok(image)
    }

    /// The same with a heap that other modules use too, and that the caller gives memory to before a kernel
    /// [needs it](Kernel::uses_heap).
    pub fn load_with_heap(
        module: Arc<Module>,
        place: &mut dyn FnMut(u64, u64) -> Option<u64>,
        heap: Arc<Heap>,
    ) -> Result<Image, LoadError> {
        if module.address_size != 64 {
            return Err(LoadError::AddressSize(module.address_size));
        }
        let bodies = module.functions().iter().map(|_| OnceLock::new()).collect();
        let mut image = Image {
            globals: HashMap::new(),
            kernels: Mutex::default(),
            bodies,
            module: module.clone(),
            heap,
            is_watched: false,
        };
        let stored = |variable: &&Variable| {
            matches!(variable.space, Space::Global | Space::Const) && variable.linkage != Linkage::Extern
        };
        for variable in module.variables().iter().filter(stored) {
            let size = variable.size().max(1);
            let address = place(size, u64::from(variable.align.max(8)))
                .ok_or_else(|| LoadError::OutOfMemory { name: variable.name.to_string(), size })?;
            image.globals.insert(variable.name.clone(), (address, variable.size()));
        }
        for variable in module.variables().iter().filter(stored) {
            image.initialise(variable)?;
        }
        Ok(image)
    }

    /// The same image, with kernels that tell what they touch ([`crate::watch`]); those that have been decoded before do not.
    pub fn watched(self) -> Image {
        Image { is_watched: true, ..self }
    }

    fn initialise(&self, variable: &Variable) -> Result<(), LoadError> {
        let (address, size) = self.globals[&variable.name];
        let mut bytes = vec![0u8; size as usize];
        let step = variable.ty.size() as usize;
        for (slot, element) in bytes.chunks_mut(step).zip(self.module.initial_elements(variable)?) {
            let bits = match element {
                Element::Constant(Constant::Integer(value)) if !variable.ty.is_float() => value,
                Element::Constant(constant) => constant.bits(variable.ty),
                Element::Address { symbol, offset, mask, .. } => {
                    let base = self.symbol(&symbol).ok_or_else(|| LoadError::Unresolved {
                        variable: variable.name.to_string(),
                        symbol: symbol.clone(),
                    })?;
                    let whole = base.wrapping_add_signed(offset);
                    mask.map_or(
                        whole,
                        |mask| if mask == 0 { 0 } else { (whole & mask) >> mask.trailing_zeros() },
                    )
                }
            };
            slot.copy_from_slice(&bits.to_le_bytes()[..slot.len()]);
        }
        // SAFETY: `place` promised `size` writable bytes at `address`, and nobody else knows the address yet.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
        Ok(())
    }

    /// The address that a symbol stands for: a variable's, or a token for a function.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        let variable = self.globals.get(name).map(|(address, _)| *address);
        variable.or_else(|| self.module.function_position(name).map(decode::function_token))
    }

    /// Address and size of a `.global` or `.const` variable.
    pub fn global(&self, name: &str) -> Option<(u64, u64)> {
        self.globals.get(name).copied()
    }

    /// The module.
    pub fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// The kernel, decoded on first use; the answer (a refusal too) is kept.
    pub fn kernel(&self, name: &str) -> Result<Arc<Kernel>, Unsupported> {
        let mut kernels = self.kernels.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = kernels.get(name) {
            return known.clone();
        }
        let fresh = decode::kernel(self, name, &[]).map(Arc::new);
        kernels.insert(name.into(), fresh.clone());
        fresh
    }

    /// A kernel decoded with a block's beginning at each of some instructions.
    pub fn kernel_with_stops(&self, name: &str, stops: &[u32]) -> Result<Kernel, Unsupported> {
        decode::kernel(self, name, stops)
    }

    /// What a compiler needs to know of a kernel; refuses what [`Image::kernel`] does.
    pub fn plan(&self, name: &str) -> Result<Plan, Unsupported> {
        let kernel = self.kernel(name)?;
        decode::plan(self, name, &kernel)
    }

    /// The parsed body of a function, kept.
    pub(crate) fn body(&self, position: usize) -> Parsed {
        self.bodies[position]
            .get_or_init(|| self.module.body(&self.module.functions()[position]).map(Arc::new))
            .clone()
    }
}
