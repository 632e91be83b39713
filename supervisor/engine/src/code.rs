//! Code: modules and their kernels.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bytemuck::{Pod, bytes_of};
use checks::Checker;
use interpreter::{Heap, Image, Kernel, Unsupported};
use wire::command::{self, FunctionAttributes, FunctionRow, ModuleAnswer, ParameterRow, VariableRow};
use wire::shared::FIGURES_SLOTS;

use crate::area::SharedArea;
use crate::fault::result;
use crate::grants::Grants;
use crate::tiers::Tiered;
use crate::work::Refusal;

/// What a command with a reply answers.
pub type Answer = Vec<u8>;

/// Threads per block that every card allows.
const MAX_THREADS: u32 = 1024;

/// A kernel's number in its module, and the shape of its blocks.
type Shaped = (u32, [u32; 3]);

/// A module from its load to its unload.
struct Loaded {
    module: Arc<ptx::Module>,
    /// Names of its kernels, in the order of their numbers.
    names: Vec<Box<str>>,
    /// Its context's.
    heap: Arc<Heap>,
    /// Room for its variables: bytes, alignment.
    globals: (u64, u64),
    /// Set once its variables have a place.
    image: OnceLock<Arc<Image>>,
    /// Kernels that were launched.
    launched: RefCell<HashMap<Shaped, Arc<Tiered>>>,
}

/// The client's modules by the name that it gave them.
#[derive(Default)]
pub struct Modules {
    loaded: HashMap<u64, Loaded>,
    /// Where kernels' figures go, and how many kernels have a place there.
    area: Option<SharedArea>,
    figures: Cell<usize>,
    /// Where device `malloc` takes memory from, by context.
    heaps: HashMap<u64, Arc<Heap>>,
    checker: Option<Arc<Checker>>,
}

impl Modules {
    /// No modules; what their kernels cost is told in `area`.
    pub fn new(area: SharedArea, checker: Option<Arc<Checker>>) -> Modules {
        Modules { area: Some(area), checker, ..Modules::default() }
    }

    /// Loads an image: finds the PTX for the announced capability and reads its declarations.
    pub fn load(&mut self, order: &command::LoadModule, image: &[u8]) -> Result<Answer, Refusal> {
        let text = ptx_of(image, order.capability)?;
        let module = ptx::Module::parse(text)
            .map_err(|error| Refusal::new(result::INVALID_PTX, format!("the PTX can't be read: {error}")))?;
        let heap = self.heaps.entry(order.context).or_default().clone();
        let loaded = Loaded::new(Arc::new(module), heap);
        let answer = loaded.describe();
        if loaded.globals.0 == 0 {
            loaded.bind(0, self.checker.as_deref())?;
        }
        self.loaded.insert(order.module, loaded);
        Ok(answer)
    }

    /// Places a module's variables.
    pub fn bind_globals(&mut self, order: &command::BindGlobals, grants: &Grants) -> Result<(), Refusal> {
        let loaded = self.module(order.module)?;
        if !grants.contain(order.address, loaded.globals.0) {
            let text = format!("a module's variables at {:#x} are outside of device memory", order.address);
            return Err(Refusal::new(result::ILLEGAL_ADDRESS, text));
        }
        loaded.bind(order.address, self.checker.as_deref())
    }

    /// Gives a context's heap memory, or forgets it.
    pub fn set_heap(&mut self, order: &command::SetHeap, grants: &Grants) -> Result<(), Refusal> {
        if order.length == 0 {
            self.heaps.remove(&order.context);
            return Ok(());
        }
        if !grants.contain(order.address, order.length) {
            let text = format!("a heap at {:#x} is outside of device memory", order.address);
            return Err(Refusal::new(result::ILLEGAL_ADDRESS, text));
        }
        if let Some(checker) = &self.checker {
            checker.heap(order.address);
        }
        self.heaps.entry(order.context).or_default().assign(order.address, order.length);
        Ok(())
    }

    /// Forgets a module. Work under way keeps what it needs of it.
    pub fn unload(&mut self, module: u64) {
        self.loaded.remove(&module);
    }

    /// A kernel for blocks of a shape, decoded, with its tiers.
    pub fn tiered(&self, module: u64, function: u32, block: [u32; 3]) -> Result<Arc<Tiered>, Refusal> {
        let mut launched = self.module(module)?.launched.borrow_mut();
        if let Some(known) = launched.get(&(function, block)) {
            return Ok(known.clone());
        }
        let (kernel, image, name) = self.kernel(module, function)?;
        let figures = self.area.and_then(|area| {
            let slot = self.figures.get();
            self.figures.set(slot + 1);
            (slot < FIGURES_SLOTS).then(|| area.figures(slot))
        });
        let tiered = Arc::new(Tiered::new(kernel, image.clone(), name, block, figures));
        launched.insert((function, block), tiered.clone());
        Ok(tiered)
    }

    /// A kernel, decoded; the image that it is in, and its name there.
    fn kernel(&self, module: u64, function: u32) -> Result<(Arc<Kernel>, &Arc<Image>, &str), Refusal> {
        let loaded = self.module(module)?;
        let unknown =
            || Refusal::new(result::NOT_FOUND, format!("module {module} has no function {function}"));
        let name = loaded.names.get(function as usize).ok_or_else(unknown)?;
        let image = loaded.image.get().ok_or_else(|| {
            Refusal::new(
                result::NOT_FOUND,
                format!("kernel `{name}` was used before its module's variables had a place"),
            )
        })?;
        let refused = |refused: Unsupported| Refusal::new(result::NOT_SUPPORTED, refused.to_string());
        Ok((image.kernel(name).map_err(refused)?, image, name))
    }

    /// What `cuFuncGetAttribute` tells of a kernel.
    pub fn describe(&self, module: u64, function: u32) -> Result<Answer, Refusal> {
        let (kernel, ..) = self.kernel(module, function)?;
        let attributes = kernel.attributes();
        let head = &self.module(module)?.module;
        let answer = FunctionAttributes {
            max_threads: attributes.max_threads.min(MAX_THREADS),
            static_shared: attributes.static_shared as u32,
            constant: attributes.constant as u32,
            local: attributes.local as u32,
            registers: attributes.registers,
            ptx_version: head.version.0 * 10 + head.version.1,
            binary_version: target_number(&head.target),
            uses_heap: kernel.uses_heap().into(),
        };
        Ok(bytes_of(&answer).to_vec())
    }

    fn module(&self, module: u64) -> Result<&Loaded, Refusal> {
        self.loaded
            .get(&module)
            .ok_or_else(|| Refusal::new(result::NOT_FOUND, format!("there is no module {module}")))
    }
}

/// The PTX of an image for a card of this capability. Several fat binaries one after the other are what was compiled
/// separately: their PTX is linked.
fn ptx_of(image: &[u8], capability: u32) -> Result<String, Refusal> {
    let mut texts = Vec::new();
    let mut rest = image;
    while !rest.is_empty() {
        let image = fatbin::Image::parse(rest).map_err(|error| {
            Refusal::new(result::INVALID_IMAGE, format!("the image can't be read: {error}"))
        })?;
        let text = image.best_ptx(capability);
        texts.push(text.map_err(|none| Refusal::new(result::NO_BINARY_FOR_GPU, none.to_string()))?);
        let fatbin::Image::Fatbin(container) = &image else { break };
        rest = rest.get(container.len() as usize..).unwrap_or_default();
        // Between two of them there is padding.
        let padding = rest.iter().take_while(|byte| **byte == 0).count();
        rest = &rest[padding..];
    }
    if let [_] = texts.as_slice() {
        return Ok(texts.remove(0));
    }
    let parts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let joined = ptx_join::join(&parts).map_err(|name| {
        let text = format!("{} pieces of code can't be linked: two of them define `{name}`", parts.len());
        Refusal::new(result::INVALID_PTX, text)
    })?;
    let text = String::from_utf8(joined).unwrap_or_default();
    Ok(text.trim_end_matches('\0').to_owned())
}

/// `sm_61a` is 61.
fn target_number(target: &str) -> u32 {
    let digits: String = target.chars().skip_while(|letter| !letter.is_ascii_digit()).collect();
    digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

impl Loaded {
    fn new(module: Arc<ptx::Module>, heap: Arc<Heap>) -> Loaded {
        let names =
            module.entries().filter(|entry| entry.is_defined()).map(|entry| entry.name.clone()).collect();
        let (mut length, mut alignment) = (0u64, 8u64);
        for variable in stored(&module) {
            let (size, align) = placement(variable);
            length = length.next_multiple_of(align) + size;
            alignment = alignment.max(align);
        }
        Loaded {
            module,
            names,
            heap,
            globals: (length, alignment),
            image: OnceLock::new(),
            launched: RefCell::default(),
        }
    }

    fn bind(&self, address: u64, checker: Option<&Checker>) -> Result<(), Refusal> {
        let mut next = address;
        let end = address + self.globals.0;
        let mut place = |size: u64, align| {
            let place = next.next_multiple_of(align);
            next = place + size;
            (next <= end).then_some(place)
        };
        let image = Image::load_with_heap(self.module.clone(), &mut place, self.heap.clone());
        let image = image.map_err(|error| {
            Refusal::new(result::INVALID_PTX, format!("the module can't be loaded: {error}"))
        })?;
        let Some(checker) = checker else {
            let _ = self.image.set(Arc::new(image));
            return Ok(());
        };
        let places = stored(&self.module).filter_map(|variable| {
            let (start, length) = image.global(&variable.name)?;
            Some((variable.name.to_string(), start, length))
        });
        checker.placed(address, places);
        let _ = self.image.set(Arc::new(image.watched()));
        Ok(())
    }

    /// The answer to `LoadModule`.
    fn describe(&self) -> Answer {
        let mut tables = Tables::default();
        for name in &self.names {
            let Some(function) = self.module.function_named(name) else { continue };
            let first = tables.parameters.len() as u32;
            let slots = function.parameter_layout();
            tables
                .parameters
                .extend(slots.iter().map(|slot| ParameterRow { offset: slot.offset, length: slot.size }));
            let name = tables.name(name);
            let product = |size: [u32; 3]| size.iter().product::<u32>();
            let limit = function.required_threads.or(function.max_threads).map_or(MAX_THREADS, product);
            tables.functions.push(FunctionRow {
                name,
                parameters: [first, slots.len() as u32],
                parameter_length: function.parameter_bytes(),
                max_threads: limit.min(MAX_THREADS),
                static_shared: 0,
                reserved: 0,
            });
        }
        let mut offset = 0u64;
        for variable in stored(&self.module) {
            let (size, align) = placement(variable);
            offset = offset.next_multiple_of(align);
            let name = tables.name(&variable.name);
            tables.variables.push(VariableRow { name, offset, length: variable.size() });
            offset += size;
        }
        tables.bytes(self)
    }
}

/// Variables that live in device memory, in the order in which `Image::load` places them.
fn stored(module: &ptx::Module) -> impl Iterator<Item = &ptx::Variable> {
    module.variables().iter().filter(|variable| {
        matches!(variable.space, ptx::Space::Global | ptx::Space::Const)
            && variable.linkage != ptx::Linkage::Extern
    })
}

/// Size and alignment that `Image::load` asks for.
fn placement(variable: &ptx::Variable) -> (u64, u64) {
    (variable.size().max(1), u64::from(variable.align.max(8)))
}

#[derive(Default)]
struct Tables {
    functions: Vec<FunctionRow>,
    parameters: Vec<ParameterRow>,
    variables: Vec<VariableRow>,
    names: Vec<u8>,
}

impl Tables {
    fn name(&mut self, name: &str) -> [u32; 2] {
        let offset = self.names.len() as u32;
        self.names.extend_from_slice(name.as_bytes());
        [offset, name.len() as u32]
    }

    fn bytes(&self, loaded: &Loaded) -> Answer {
        let head = ModuleAnswer {
            functions: self.functions.len() as u32,
            parameters: self.parameters.len() as u32,
            variables: self.variables.len() as u32,
            names: self.names.len() as u32,
            globals_length: loaded.globals.0,
            globals_alignment: loaded.globals.1,
            ptx_version: loaded.module.version.0 * 10 + loaded.module.version.1,
            ptx_target: target_number(&loaded.module.target),
        };
        let mut bytes = bytes_of(&head).to_vec();
        append(&mut bytes, &self.functions);
        append(&mut bytes, &self.parameters);
        append(&mut bytes, &self.variables);
        bytes.extend_from_slice(&self.names);
        bytes
    }
}

fn append<T: Pod>(bytes: &mut Vec<u8>, rows: &[T]) {
    bytes.extend_from_slice(bytemuck::cast_slice(rows));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_numbers() {
        assert_eq!(
            (target_number("sm_61"), target_number("sm_90a"), target_number("compute_75, debug")),
            (61, 90, 75)
        );
    }
}
