//! The driver API of whatever `libcuda.so.1` is here.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;

use crate::{Executor, Failure, Parameter, Shape};

type Result<T> = std::result::Result<T, String>;

/// An open driver with a context on its first device.
pub struct Driver {
    library: *mut c_void,
    /// How much the driver's compiler does to the code, from 0 to 4; that is what it does unless told.
    pub optimization: usize,
}

/// A module of the driver's; unloaded by [`Driver::unload`] or with the process.
#[derive(Clone, Copy)]
pub struct Module(*mut c_void);

/// Calls a function by name; an error names it and its code.
macro_rules! call {
    ($driver:expr, $name:literal, ($($type:ty),*), ($($argument:expr),*)) => {{
        let address = $driver.symbol($name)?;
        // SAFETY: the driver API documents this signature for the symbol; pointers are to values of ours that live on.
        let function: unsafe extern "C" fn($($type),*) -> c_int = unsafe { std::mem::transmute(address) };
        // SAFETY: as above.
        let code = unsafe { function($($argument),*) };
        if code == 0 { Ok(()) } else { Err(format!("{} answers {code}", $name.to_string_lossy())) }
    }};
}

impl Driver {
    /// Opens the library and makes a context.
    pub fn open() -> Result<Driver> {
        // SAFETY: a library's name, and flags.
        let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return Err("libcuda.so.1 cannot be opened".into());
        }
        let driver = Driver { library, optimization: 4 };
        call!(driver, c"cuInit", (c_uint), (0))?;
        driver.new_context()?;
        Ok(driver)
    }

    /// The device's name and the driver's version, `NVIDIA H100 80GB HBM3, driver API 13000`.
    pub fn describe(&self) -> Result<String> {
        let mut name = [0u8; 128];
        call!(
            self,
            c"cuDeviceGetName",
            (*mut u8, c_int, c_int),
            (name.as_mut_ptr(), name.len() as c_int, 0)
        )?;
        let mut version = 0;
        call!(self, c"cuDriverGetVersion", (*mut c_int), (&mut version))?;
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default().to_string_lossy();
        Ok(format!("{name}, driver API {version}"))
    }

    /// Leaves the current context, in which nothing works behind a fault, and makes another.
    pub fn new_context(&self) -> Result<()> {
        let mut context = null_mut();
        call!(self, c"cuCtxGetCurrent", (*mut *mut c_void), (&mut context))?;
        if !context.is_null() {
            call!(self, c"cuCtxDestroy_v2", (*mut c_void), (context))?;
        }
        call!(self, c"cuCtxCreate_v2", (*mut *mut c_void, c_uint, c_int), (&mut context, 0, 0))
    }

    fn symbol(&self, name: &CStr) -> Result<*mut c_void> {
        // SAFETY: an open library and a name.
        let address = unsafe { libc::dlsym(self.library, name.as_ptr()) };
        if address.is_null() { Err(format!("no {}", name.to_string_lossy())) } else { Ok(address) }
    }

    /// Loads a module's text; the error holds the compiler's log.
    pub fn load(&self, text: &str) -> Result<Module> {
        const ERROR_LOG: c_uint = 5;
        const ERROR_LOG_BYTES: c_uint = 6;
        const OPTIMIZATION_LEVEL: c_uint = 7;
        let text = CString::new(text).map_err(|error| error.to_string())?;
        let mut log = vec![0u8; 4096];
        let mut names = [ERROR_LOG, ERROR_LOG_BYTES, OPTIMIZATION_LEVEL];
        let number = std::ptr::without_provenance_mut;
        let mut values = [log.as_mut_ptr().cast(), number(log.len()), number(self.optimization)];
        let mut module = null_mut();
        call!(
            self,
            c"cuModuleLoadDataEx",
            (*mut *mut c_void, *const c_char, c_uint, *mut c_uint, *mut *mut c_void),
            (&mut module, text.as_ptr(), 3, names.as_mut_ptr(), values.as_mut_ptr())
        )
        .map_err(|error| {
            let log = CStr::from_bytes_until_nul(&log).unwrap_or_default().to_string_lossy();
            format!("{error}: {log}")
        })?;
        Ok(Module(module))
    }

    /// Unloads a module.
    pub fn unload(&self, module: Module) -> Result<()> {
        call!(self, c"cuModuleUnload", (*mut c_void), (module.0))
    }

    /// Runs a kernel to its end and copies the buffers back.
    pub fn launch(
        &self,
        module: &Module,
        name: &str,
        shape: Shape,
        parameters: &mut [Parameter],
    ) -> Result<()> {
        let name = CString::new(name).map_err(|error| error.to_string())?;
        let mut function = null_mut();
        call!(
            self,
            c"cuModuleGetFunction",
            (*mut *mut c_void, *mut c_void, *const c_char),
            (&mut function, module.0, name.as_ptr())
        )?;
        let mut values = Vec::new();
        for parameter in parameters.iter() {
            values.push(match parameter {
                // Eight bytes at least, whatever the parameter's type takes of them.
                Parameter::Value(value) => value.iter().copied().chain([0; 8]).collect(),
                Parameter::Memory(buffer) => self.upload(&buffer.bytes())?.to_le_bytes().to_vec(),
            });
        }
        let mut pointers: Vec<*mut c_void> =
            values.iter_mut().map(|value| value.as_mut_ptr().cast()).collect();
        let ([gx, gy, gz], [bx, by, bz]) = (shape.grid, shape.block);
        type Dimension = c_uint;
        call!(
            self,
            c"cuLaunchKernel",
            (
                *mut c_void,
                Dimension,
                Dimension,
                Dimension,
                Dimension,
                Dimension,
                Dimension,
                c_uint,
                *mut c_void,
                *mut *mut c_void,
                *mut *mut c_void
            ),
            (function, gx, gy, gz, bx, by, bz, shape.shared, null_mut(), pointers.as_mut_ptr(), null_mut())
        )?;
        call!(self, c"cuCtxSynchronize", (), ())?;
        for (value, parameter) in values.iter().zip(parameters) {
            if let Parameter::Memory(buffer) = parameter {
                let address = u64::from_le_bytes(value[..8].try_into().expect("an address"));
                let mut bytes = buffer.bytes();
                let target = bytes.as_mut_ptr().cast();
                call!(self, c"cuMemcpyDtoH_v2", (*mut c_void, u64, usize), (target, address, bytes.len()))?;
                buffer.replace(&bytes);
                call!(self, c"cuMemFree_v2", (u64), (address))?;
            }
        }
        Ok(())
    }

    fn upload(&self, bytes: &[u8]) -> Result<u64> {
        let mut address = 0u64;
        call!(self, c"cuMemAlloc_v2", (*mut u64, usize), (&mut address, bytes.len().max(1)))?;
        let source = bytes.as_ptr().cast();
        call!(self, c"cuMemcpyHtoD_v2", (u64, *const c_void, usize), (address, source, bytes.len()))?;
        Ok(address)
    }
}

impl Executor for Driver {
    fn run(
        &self,
        text: &str,
        kernel: &str,
        shape: Shape,
        parameters: &mut [Parameter],
    ) -> std::result::Result<(), Failure> {
        let module = self.load(text).map_err(Failure::Refused)?;
        let outcome = self.launch(&module, kernel, shape, parameters);
        // Behind a fault nothing works in this context any more, so the next run gets one of its own.
        let left = if outcome.is_ok() { self.unload(module) } else { self.new_context() };
        outcome.and(left).map_err(Failure::Faulted)
    }
}
