//! Modules, libraries, functions, variables.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use client::{Engine, Refused};
use wire::command::{FunctionAttributes, FunctionRow, ModuleAnswer, ParameterRow, VariableRow};
use wire::control::{MemoryKind, NoteKind};

use crate::context::{self, Context};
use crate::device::attribute;
use crate::handle::Handles;
use crate::staged_launch::Staged;
use crate::{CuResult, Cuda, device, get, memory, note, texture_reference};

/// A loaded module of one context.
pub struct Module {
    pub(crate) id: u64,
    context: u64,
    device: i32,
    engine: Arc<Engine>,
    /// Functions in the order of their numbers.
    pub functions: Vec<Arc<Function>>,
    by_name: HashMap<Box<str>, usize>,
    variables: HashMap<Box<str>, (u64, u64)>,
}

/// A kernel of a module.
pub struct Function {
    /// Module's id and number in it: what a launch names.
    pub module: u64,
    /// See `module`.
    pub index: u32,
    /// NUL-terminated, for `cuFuncGetName`.
    pub name: Box<str>,
    /// Handle of its module.
    pub module_handle: OnceLock<usize>,
    /// Handle of its context.
    pub context_handle: usize,
    /// Device ordinal.
    pub device: i32,
    /// Offset and bytes of each parameter.
    pub parameters: Vec<ParameterRow>,
    /// Bytes of the parameter block.
    pub parameter_length: u32,
    /// As set by `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`.
    pub max_dynamic_shared: AtomicU32,
    /// As set by `CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT`.
    pub carveout: AtomicU32,
    /// For launches by `cuLaunchGrid` and its kin.
    pub(crate) staged: Mutex<Staged>,
    row: FunctionRow,
    engine: Arc<Engine>,
    attributes: OnceLock<Cuda<FunctionAttributes>>,
}

static MODULES: Handles<Module> = Handles::new();
static FUNCTIONS: Handles<Function> = Handles::new();
static IDS: AtomicU64 = AtomicU64::new(1);

/// Why a module did not load, with the text for the JIT's log.
pub struct LoadFailure {
    /// The result.
    pub result: CuResult,
    /// What the engine said.
    pub text: String,
}

impl From<CuResult> for LoadFailure {
    fn from(result: CuResult) -> LoadFailure {
        LoadFailure { result, text: String::new() }
    }
}

impl From<Refused> for LoadFailure {
    fn from(refused: Refused) -> LoadFailure {
        LoadFailure { result: CuResult(refused.result), text: refused.text }
    }
}

/// `cuModuleLoadData` and its kin, into the current context.
pub fn load(image: &[u8]) -> Result<usize, LoadFailure> {
    let context = context::current()?;
    load_into(&context, image)
}

/// The same into a given context.
pub fn load_into(context: &Arc<Context>, image: &[u8]) -> Result<usize, LoadFailure> {
    context::check(&context.engine)?;
    let driver = get()?;
    let card = driver.device(context.device)?;
    let capability = card.description.capability[0] * 10 + card.description.capability[1];
    let id = IDS.fetch_add(1, Ordering::Relaxed);
    let answer =
        context.engine.load_module(driver.connection(), card.index, capability, [id, context.id], image)?;
    let tables = Tables::read(&answer).ok_or(CuResult::UNKNOWN)?;
    let variables = place_variables(context, id, &tables)?;
    let module = Arc::new(build(context, id, &tables, variables));
    let handle = MODULES.insert(module.clone());
    for function in &module.functions {
        let _ = function.module_handle.set(handle);
    }
    Ok(handle)
}

/// The answer of the engine, cut into its tables.
struct Tables {
    head: ModuleAnswer,
    functions: Vec<FunctionRow>,
    parameters: Vec<ParameterRow>,
    variables: Vec<VariableRow>,
    names: Vec<u8>,
}

impl Tables {
    fn read(answer: &[u8]) -> Option<Tables> {
        let head: ModuleAnswer = bytemuck::pod_read_unaligned(answer.get(..size_of::<ModuleAnswer>())?);
        let mut rest = &answer[size_of::<ModuleAnswer>()..];
        Some(Tables {
            head,
            functions: rows(&mut rest, head.functions)?,
            parameters: rows(&mut rest, head.parameters)?,
            variables: rows(&mut rest, head.variables)?,
            names: rest.get(..head.names as usize)?.to_vec(),
        })
    }

    fn name(&self, [offset, length]: [u32; 2]) -> Box<str> {
        let bytes = self.names.get(offset as usize..(offset + length) as usize).unwrap_or_default();
        String::from_utf8_lossy(bytes).into()
    }
}

fn rows<T: bytemuck::Pod>(rest: &mut &[u8], count: u32) -> Option<Vec<T>> {
    let length = count as usize * size_of::<T>();
    let (table, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(table.chunks_exact(size_of::<T>().max(1)).map(bytemuck::pod_read_unaligned).collect())
}

fn place_variables(
    context: &Context,
    id: u64,
    tables: &Tables,
) -> Result<HashMap<Box<str>, (u64, u64)>, LoadFailure> {
    if tables.head.globals_length == 0 {
        return Ok(HashMap::new());
    }
    let address = memory::allocate(MemoryKind::Device, tables.head.globals_length, 0)?;
    context.engine.bind_globals(id, address)?;
    Ok(tables
        .variables
        .iter()
        .map(|row| (tables.name(row.name), (address + row.offset, row.length)))
        .collect())
}

fn build(
    context: &Arc<Context>,
    id: u64,
    tables: &Tables,
    variables: HashMap<Box<str>, (u64, u64)>,
) -> Module {
    let function = |(index, row): (usize, &FunctionRow)| {
        let [first, count] = row.parameters;
        let parameters = tables.parameters.get(first as usize..(first + count) as usize).unwrap_or_default();
        let name: Box<str> = format!("{}\0", tables.name(row.name)).into();
        let function = Arc::new(Function {
            module: id,
            index: index as u32,
            name,
            module_handle: OnceLock::new(),
            context_handle: context.handle(),
            device: context.device,
            parameters: parameters.to_vec(),
            parameter_length: row.parameter_length,
            max_dynamic_shared: AtomicU32::new(0),
            carveout: AtomicU32::new(u32::MAX),
            staged: Mutex::default(),
            row: *row,
            engine: context.engine.clone(),
            attributes: OnceLock::new(),
        });
        FUNCTIONS.insert(function.clone());
        function
    };
    let functions: Vec<Arc<Function>> = tables.functions.iter().enumerate().map(function).collect();
    let by_name =
        tables.functions.iter().enumerate().map(|(index, row)| (tables.name(row.name), index)).collect();
    Module {
        id,
        context: context.id,
        device: context.device,
        engine: context.engine.clone(),
        functions,
        by_name,
        variables,
    }
}

/// `cuModuleUnload`
pub fn unload(handle: usize) -> Cuda {
    get()?;
    MODULES.remove(handle).map(|module| forget(&module))
}

fn forget(module: &Module) {
    for function in &module.functions {
        let _ = FUNCTIONS.remove(Handles::of(function));
    }
    let _ = module.engine.wait_all();
    texture_reference::forget_module(module.id);
    let _ = module.engine.submit(0, &wire::command::UnloadModule { module: module.id });
    if let Some(first) = module.variables.values().map(|(address, _)| *address).min()
        && let Some((start, _)) = memory::find(first)
    {
        let _ = memory::free(start);
    }
}

/// A context ends: its modules are stale.
pub fn forget_context(context: u64) {
    for module in MODULES.remove_if(|module| module.context == context) {
        forget(&module);
    }
}

/// The module of a handle.
pub fn by_handle(handle: usize) -> Cuda<Arc<Module>> {
    get()?;
    MODULES.get(handle)
}

/// `cuModuleGetFunction`
pub fn get_function(handle: usize, name: &str) -> Cuda<usize> {
    let module = by_handle(handle)?;
    let index = module.by_name.get(name).ok_or(CuResult::NOT_FOUND)?;
    Ok(Handles::of(&module.functions[*index]))
}

/// `cuModuleGetGlobal`: address and bytes.
pub fn get_global(handle: usize, name: &str) -> Cuda<(u64, u64)> {
    by_handle(handle)?.variables.get(name).copied().ok_or(CuResult::NOT_FOUND)
}

/// The function of a handle.
pub fn function(handle: usize) -> Cuda<Arc<Function>> {
    get()?;
    FUNCTIONS.get(handle)
}

impl Module {
    /// Device ordinal.
    pub fn device(&self) -> i32 {
        self.device
    }
}

impl Function {
    /// Its name without the NUL.
    pub fn name(&self) -> &str {
        self.name.trim_end_matches('\0')
    }

    /// Attributes; the first question decodes the kernel, and a kernel that can't run says so here.
    pub fn attributes(&self) -> Cuda<FunctionAttributes> {
        *self.attributes.get_or_init(|| match self.engine.describe_function(self.module, self.index) {
            Ok(answer) if answer.len() >= size_of::<FunctionAttributes>() => {
                Ok(bytemuck::pod_read_unaligned(&answer[..size_of::<FunctionAttributes>()]))
            }
            Ok(_) => Err(CuResult::UNKNOWN),
            Err(refused) => {
                // An engine that is gone refuses everything; of that the report hears from the broker.
                if self.engine.error() == 0 {
                    note::once(NoteKind::CodeRefused, i64::from(refused.result), &refused.text);
                }
                Err(CuResult(refused.result))
            }
        })
    }

    /// Threads per block that it allows, also before it is decoded.
    pub fn max_threads(&self) -> u32 {
        self.row.max_threads
    }
}

/// `CUfunction_attribute`
mod function_attribute {
    pub const MAX_THREADS: i32 = 0;
    pub const SHARED: i32 = 1;
    pub const CONSTANT: i32 = 2;
    pub const LOCAL: i32 = 3;
    pub const REGISTERS: i32 = 4;
    pub const PTX_VERSION: i32 = 5;
    pub const BINARY_VERSION: i32 = 6;
    pub const CACHE_MODE_CA: i32 = 7;
    pub const MAX_DYNAMIC_SHARED: i32 = 8;
    pub const CARVEOUT: i32 = 9;
    /// From here on: clusters, which no card of the CPU engine has.
    pub const FIRST_CLUSTER: i32 = 10;
    pub const LAST: i32 = 15;
}

/// `cuFuncGetAttribute`
pub fn get_function_attribute(function: &Function, number: i32) -> Cuda<i32> {
    use function_attribute::*;
    let attributes = function.attributes()?;
    Ok(match number {
        MAX_THREADS => attributes.max_threads as i32,
        SHARED => attributes.static_shared as i32,
        CONSTANT => attributes.constant as i32,
        LOCAL => attributes.local as i32,
        REGISTERS => attributes.registers as i32,
        PTX_VERSION => attributes.ptx_version as i32,
        BINARY_VERSION => attributes.binary_version as i32,
        CACHE_MODE_CA => 0,
        MAX_DYNAMIC_SHARED => dynamic_shared_limit(function)? as i32,
        CARVEOUT => function.carveout.load(Ordering::Relaxed) as i32,
        FIRST_CLUSTER..=LAST => 0,
        _ => return Err(CuResult::INVALID_VALUE),
    })
}

/// `cuFuncSetAttribute`
pub fn set_function_attribute(function: &Function, number: i32, value: i32) -> Cuda {
    use function_attribute::*;
    match number {
        MAX_DYNAMIC_SHARED => {
            let optin = limit(function, attribute::SHARED_PER_BLOCK_OPTIN)?;
            let wanted = u32::try_from(value).map_err(|_| CuResult::INVALID_VALUE)?;
            if wanted.saturating_add(function.attributes()?.static_shared) > optin {
                return Err(too_much_shared(function, wanted, optin));
            }
            function.max_dynamic_shared.store(wanted, Ordering::Relaxed);
        }
        CARVEOUT => function.carveout.store(value as u32, Ordering::Relaxed),
        FIRST_CLUSTER..=LAST => return Err(CuResult::NOT_SUPPORTED),
        _ => return Err(CuResult::INVALID_VALUE),
    }
    Ok(())
}

fn limit(function: &Function, number: usize) -> Cuda<u32> {
    Ok(device::description(function.device)?.attributes[number].max(0) as u32)
}

/// A kernel wants more shared memory than it may have. Libraries size their tiles by the announced limits, so the report has
/// to show both figures.
pub fn too_much_shared(function: &Function, wanted: u32, limit: u32) -> CuResult {
    let result = CuResult::INVALID_VALUE;
    let text = format!(
        "kernel `{}` asks for {wanted} bytes of dynamic shared memory per block, its limit here is {limit}",
        function.name()
    );
    note::once(NoteKind::CodeRefused, i64::from(result.0), &text);
    result
}

/// Bytes of dynamic shared memory that a launch may ask for.
pub fn dynamic_shared_limit(function: &Function) -> Cuda<u32> {
    let set = function.max_dynamic_shared.load(Ordering::Relaxed);
    let usual =
        limit(function, attribute::SHARED_PER_BLOCK)?.saturating_sub(function.attributes()?.static_shared);
    Ok(set.max(usual))
}
