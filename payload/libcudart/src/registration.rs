//! What compiled host code registers: fat binaries, kernels, variables. Loaded when first used, per device.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::{Mutex, MutexGuard};

use crate::door::*;
use crate::driver::{call, call_in_context};
use crate::streams::Stream;

/// A registered fat binary.
struct FatBinary {
    /// The wrapper that host code passes; it lives in the program's data.
    image: usize,
    /// Loaded modules by device.
    modules: HashMap<i32, usize>,
}

/// A texture reference on the thread's device.
pub struct Texture {
    /// The driver's handle.
    pub reference: usize,
    /// Whether integers are read as fractions of their largest value (`cudaReadModeNormalizedFloat`).
    pub reads_fractions: bool,
}

/// A kernel or variable by the address of its host-side twin.
struct Entity {
    fat_binary: usize,
    name: CString,
    /// The driver's handle (kernels) or address and size (variables), by device.
    resolved: HashMap<i32, (u64, usize)>,
}

#[derive(Default)]
struct Registry {
    fat_binaries: HashMap<usize, FatBinary>,
    functions: HashMap<usize, Entity>,
    variables: HashMap<usize, Entity>,
    textures: HashMap<usize, Entity>,
    /// Those of the textures whose integers are read as fractions.
    read_as_fractions: HashSet<usize>,
    /// Host-side pointers of managed variables that have not been set yet, with their fat binaries.
    managed: Vec<(usize, usize)>,
    next: usize,
}

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

fn registry() -> MutexGuard<'static, Option<Registry>> {
    let mut registry = REGISTRY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    registry.get_or_insert_with(Registry::default);
    registry
}

fn with<T>(action: impl FnOnce(&mut Registry) -> T) -> T {
    action(registry().as_mut().expect("made by registry()"))
}

impl Registry {
    /// The module of a fat binary on a device, loaded at its first use.
    fn module(&mut self, fat_binary: usize, device: i32) -> Runtime<usize> {
        let binary = self.fat_binaries.get_mut(&fat_binary).ok_or(Error::INVALID_DEVICE_FUNCTION)?;
        if let Some(module) = binary.modules.get(&device) {
            return Ok(*module);
        }
        let mut module = 0;
        // SAFETY: the program registered this image; it stays until it is unregistered.
        unsafe { call_in_context!(module_load(&mut module, binary.image as *const c_void))? };
        binary.modules.insert(device, module);
        Ok(module)
    }
}

/// The driver's function for a kernel: its host-side address, on the thread's device, or a handle of the driver's
/// (`cudaLibraryGetKernel`).
pub fn function(host: *const c_void) -> Runtime<usize> {
    let device = crate::devices::current();
    let registered = with(|registry| registry.functions.contains_key(&(host as usize)));
    if !registered {
        let mut handle = 0;
        // SAFETY: the driver looks the handle up and refuses what is none.
        let known = unsafe { call!(kernel_function(&mut handle, host as usize)) };
        return known.map(|()| handle).map_err(|_| Error::INVALID_DEVICE_FUNCTION);
    }
    with(|registry| {
        let entity = registry.functions.get(&(host as usize)).ok_or(Error::INVALID_DEVICE_FUNCTION)?;
        if let Some((handle, _)) = entity.resolved.get(&device) {
            return Ok(*handle as usize);
        }
        let (fat_binary, name) = (entity.fat_binary, entity.name.clone());
        let module = registry.module(fat_binary, device)?;
        let mut handle = 0;
        // SAFETY: a NUL-terminated name and a place of this frame.
        unsafe { call!(module_function(&mut handle, module, name.as_ptr()))? };
        if let Some(entity) = registry.functions.get_mut(&(host as usize)) {
            entity.resolved.insert(device, (handle as u64, 0));
        }
        Ok(handle)
    })
}

/// The host-side address of the kernel that a driver's function is, if it was registered.
pub fn host_address(handle: usize) -> Option<usize> {
    with(|registry| {
        let is_it =
            |entity: &Entity| entity.resolved.values().any(|(resolved, _)| *resolved == handle as u64);
        registry.functions.iter().find(|(_, entity)| is_it(entity)).map(|(host, _)| *host)
    })
}

/// Address and bytes of a variable, on the thread's device.
pub fn variable(host: *const c_void) -> Runtime<(u64, usize)> {
    let device = crate::devices::current();
    with(|registry| {
        let entity = registry.variables.get(&(host as usize)).ok_or(Error::INVALID_SYMBOL)?;
        if let Some(place) = entity.resolved.get(&device) {
            return Ok(*place);
        }
        let (fat_binary, name) = (entity.fat_binary, entity.name.clone());
        let module = registry.module(fat_binary, device)?;
        let mut place = (0u64, 0usize);
        // SAFETY: as in `function`.
        unsafe { call!(module_global(&mut place.0, &mut place.1, module, name.as_ptr()))? };
        if let Some(entity) = registry.variables.get_mut(&(host as usize)) {
            entity.resolved.insert(device, place);
        }
        Ok(place)
    })
}

/// A texture reference by the address of its host-side variable, on the thread's device.
pub fn texture(host: *const c_void) -> Runtime<Texture> {
    crate::devices::ensure_context()?;
    let device = crate::devices::current();
    with(|registry| {
        let reads_fractions = registry.read_as_fractions.contains(&(host as usize));
        let entity = registry.textures.get(&(host as usize)).ok_or(Error::INVALID_TEXTURE)?;
        if let Some((reference, _)) = entity.resolved.get(&device) {
            return Ok(Texture { reference: *reference as usize, reads_fractions });
        }
        let (fat_binary, name) = (entity.fat_binary, entity.name.clone());
        let module = registry.module(fat_binary, device)?;
        let mut reference = 0;
        // SAFETY: as in `function`.
        unsafe { call!(reference_of(&mut reference, module, name.as_ptr()))? };
        if let Some(entity) = registry.textures.get_mut(&(host as usize)) {
            entity.resolved.insert(device, (reference as u64, 0));
        }
        Ok(Texture { reference, reads_fractions })
    })
}

/// A device was reset: its modules are gone.
pub fn forget_device(device: i32) {
    with(|registry| {
        for binary in registry.fat_binaries.values_mut() {
            binary.modules.remove(&device);
        }
        let named = registry.functions.values_mut().chain(registry.variables.values_mut());
        for entity in named.chain(registry.textures.values_mut()) {
            entity.resolved.remove(&device);
        }
    });
}

unsafe fn register(
    table: fn(&mut Registry) -> &mut HashMap<usize, Entity>,
    handle: usize,
    host: usize,
    name: *const c_char,
) {
    if name.is_null() {
        return;
    }
    // SAFETY: compiled host code passes a string constant.
    let name = unsafe { CStr::from_ptr(name) }.to_owned();
    with(|registry| {
        table(registry).insert(host, Entity { fat_binary: handle, name, resolved: HashMap::new() });
    });
}

#[unsafe(no_mangle)]
pub extern "C" fn __cudaRegisterFatBinary(image: *const c_void) -> *mut c_void {
    with(|registry| {
        // Handles are pointers to the program; ours are numbers that no pointer has.
        registry.next += 8;
        registry
            .fat_binaries
            .insert(registry.next, FatBinary { image: image as usize, modules: HashMap::new() });
        registry.next as *mut c_void
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn __cudaRegisterFatBinaryEnd(_handle: *mut c_void) {}

/// Compiled host code calls this before it first touches a managed variable: from now on its pointer leads somewhere.
#[unsafe(no_mangle)]
pub extern "C" fn __cudaInitModule(handle: *mut c_void) -> c_char {
    let of_module: Vec<usize> = with(|registry| {
        let waiting = std::mem::take(&mut registry.managed);
        let (of_module, others) = waiting.into_iter().partition(|(_, binary)| *binary == handle as usize);
        registry.managed = others;
        let of_module: Vec<(usize, usize)> = of_module;
        of_module.into_iter().map(|(pointer, _)| pointer).collect()
    });
    let mut complete = true;
    for pointer in of_module {
        match variable(pointer as *const c_void) {
            // SAFETY: the program's own pointer variable, registered for this purpose.
            Ok((address, _)) => unsafe { *(pointer as *mut u64) = address },
            Err(error) => {
                set_last_error(error);
                complete = false;
            }
        }
    }
    complete.into()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterManagedVar(
    handle: *mut c_void,
    pointer: *mut *mut c_void,
    _device_address: *mut c_char,
    name: *const c_char,
    _external: c_int,
    _size: usize,
    _constant: c_int,
    _global: c_int,
) {
    // SAFETY: host code generated by the compiler.
    unsafe { register(|registry| &mut registry.variables, handle as usize, pointer as usize, name) };
    with(|registry| registry.managed.push((pointer as usize, handle as usize)));
}

/// Registrations of things that no kernel of ours can use. They run before `main`, so they are noted now and told later.
macro_rules! unsupported_registrations {
    ($(refused fn $name:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() {
            crate::driver::note_later(concat!(stringify!($name), "\0"));
        }
    )*};
}

unsupported_registrations! {
    refused fn __cudaRegisterHostVar;
    refused fn __cudaRegisterSurface;
    refused fn __cudaRegisterUnifiedTable;
}

#[unsafe(no_mangle)]
pub extern "C" fn __cudaUnregisterFatBinary(handle: *mut c_void) {
    // At the program's end the driver may be gone already: modules are left to the process's end.
    with(|registry| {
        let handle = handle as usize;
        registry.fat_binaries.remove(&handle);
        registry.functions.retain(|_, entity| entity.fat_binary != handle);
        registry.variables.retain(|_, entity| entity.fat_binary != handle);
        registry.textures.retain(|_, entity| entity.fat_binary != handle);
        registry.managed.retain(|(_, binary)| *binary != handle);
    });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterFunction(
    handle: *mut c_void,
    host: *const c_void,
    _device_function: *mut c_char,
    name: *const c_char,
    _thread_limit: c_int,
    _thread: *mut c_void,
    _block: *mut c_void,
    _block_dim: *mut c_void,
    _grid_dim: *mut c_void,
    _warp_size: *mut c_int,
) {
    // SAFETY: host code generated by the compiler.
    unsafe { register(|registry| &mut registry.functions, handle as usize, host as usize, name) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterVar(
    handle: *mut c_void,
    host: *const c_void,
    _device_address: *mut c_char,
    name: *const c_char,
    _external: c_int,
    _size: usize,
    _constant: c_int,
    _global: c_int,
) {
    // SAFETY: host code generated by the compiler.
    unsafe { register(|registry| &mut registry.variables, handle as usize, host as usize, name) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterTexture(
    handle: *mut c_void,
    host: *const c_void,
    _device_address: *mut *const c_void,
    name: *const c_char,
    _dimensions: c_int,
    read_mode: c_int,
    _external: c_int,
) {
    const AS_ELEMENTS: c_int = 0;
    // SAFETY: host code generated by the compiler.
    unsafe { register(|registry| &mut registry.textures, handle as usize, host as usize, name) };
    if read_mode != AS_ELEMENTS {
        with(|registry| registry.read_as_fractions.insert(host as usize));
    }
}

thread_local! {
    /// Configurations of `<<<…>>>` that wait for their launch.
    static CONFIGURATIONS: std::cell::RefCell<Vec<Configuration>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[derive(Clone, Copy)]
struct Configuration {
    grid: Dim3,
    block: Dim3,
    shared: usize,
    stream: Stream,
}

/// `dim3`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Dim3 {
    pub x: u32,
    pub y: u32,
    pub z: u32,
}

call_trace::fields! { Dim3 { x, y, z } }

impl Dim3 {
    /// As the driver takes them.
    pub fn extents(self) -> [u32; 3] {
        [self.x, self.y, self.z]
    }
}

impl From<[u32; 3]> for Dim3 {
    fn from([x, y, z]: [u32; 3]) -> Dim3 {
        Dim3 { x, y, z }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn __cudaPushCallConfiguration(grid: Dim3, block: Dim3, shared: usize, stream: Stream) -> u32 {
    CONFIGURATIONS.with_borrow_mut(|waiting| waiting.push(Configuration { grid, block, shared, stream }));
    0
}

exports! {
    fn __cudaPopCallConfiguration(grid: *mut Dim3, block: *mut Dim3, shared: *mut usize, stream: *mut Stream) {
        let configuration = CONFIGURATIONS.with_borrow_mut(Vec::pop).ok_or(Error::MISSING_CONFIGURATION)?;
        *out(grid)? = configuration.grid;
        *out(block)? = configuration.block;
        *out(shared)? = configuration.shared;
        *out(stream)? = configuration.stream;
        Ok(())
    }

    // A "kernel" of the newer interfaces is the host-side address itself: every use of it goes through the registry.
    fn __cudaGetKernel(kernel: *mut *const c_void, host: *const c_void) {
        *out(kernel)? = host;
        Ok(())
    }

    fn __cudaLaunchKernel |__cudaLaunchKernel_ptsz with stream (
        kernel: *const c_void,
        grid: Dim3,
        block: Dim3,
        arguments: *mut *mut c_void,
        shared: usize,
        stream: Stream,
    ) {
        crate::launches::launch(kernel, grid, block, arguments, shared, stream)
    }

    fn cudaGetKernel(kernel: *mut *const c_void, host: *const c_void) {
        *out(kernel)? = host;
        Ok(())
    }

    fn cudaGetFuncBySymbol(function: *mut usize, host: *const c_void) {
        *out(function)? = self::function(host)?;
        Ok(())
    }

    fn cudaGetSymbolAddress(address: *mut u64, symbol: *const c_void) {
        *out(address)? = variable(symbol)?.0;
        Ok(())
    }

    fn cudaGetSymbolSize(size: *mut usize, symbol: *const c_void) {
        *out(size)? = variable(symbol)?.1;
        Ok(())
    }
}
