//! CUDA's driver API, as any program uses it.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;

use super::Device;
use super::library::{Library, checked, functions};
use crate::cores;
use crate::problem::{Argument, Launch, Problem};

type Handle = *mut c_void;
type Address = u64;

functions! {
    /// What is used of it.
    Functions {
        cuInit(c_uint) -> c_int;
        cuCtxCreate_v2(*mut Handle, c_uint, c_int) -> c_int;
        cuModuleLoadData(*mut Handle, *const c_char) -> c_int;
        cuModuleGetFunction(*mut Handle, Handle, *const c_char) -> c_int;
        cuMemAlloc_v2(*mut Address, usize) -> c_int;
        cuMemcpyHtoD_v2(Address, *const c_void, usize) -> c_int;
        cuMemcpyDtoH_v2(*mut c_void, Address, usize) -> c_int;
        cuLaunchKernel(
            Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void,
        ) -> c_int;
        cuCtxSynchronize() -> c_int;
    }
}

/// Arguments of a kernel, at most: a launch needs no memory of its own for their addresses.
const MOST_ARGUMENTS: usize = 8;

/// A launch with all that the driver is given for it.
struct Prepared {
    function: Handle,
    launch: Launch,
    /// One for each argument.
    values: Vec<u64>,
}

/// A problem on the first CUDA device.
pub struct Driver {
    functions: Functions,
    buffers: Vec<(Address, usize)>,
    launches: Vec<Prepared>,
}

impl Driver {
    /// The engine takes the cores that this process may use when it begins: one. Then this thread moves to another. Where each
    /// launch is waited for, both keep all cores: with one core the engine would not spin.
    pub fn open(problem: &Problem, ptx: &str) -> Result<Driver, String> {
        let library = Library::open(c"libcuda.so.1")?;
        let mut driver =
            Driver { functions: Functions::open(&library)?, buffers: Vec::new(), launches: Vec::new() };
        if !problem.one_by_one {
            cores::pin(cores::work());
        }
        let module = driver.begin(ptx)?;
        cores::pin(driver.client_core());
        for bytes in &problem.buffers {
            let address = driver.upload(bytes)?;
            driver.buffers.push((address, bytes.len()));
        }
        for launch in &problem.launches {
            let prepared = driver.prepare(module, launch)?;
            driver.launches.push(prepared);
        }
        Ok(driver)
    }

    fn begin(&self, ptx: &str) -> Result<Handle, String> {
        let text = CString::new(ptx).map_err(|error| error.to_string())?;
        let (mut context, mut module) = (null_mut(), null_mut());
        // SAFETY: pointers to values of ours, and a text that ends with a null.
        unsafe {
            checked("cuInit", (self.functions.cuInit)(0))?;
            checked("cuCtxCreate", (self.functions.cuCtxCreate_v2)(&mut context, 0, 0))?;
            checked("cuModuleLoadData", (self.functions.cuModuleLoadData)(&mut module, text.as_ptr()))?;
        }
        Ok(module)
    }

    fn upload(&self, bytes: &[u8]) -> Result<Address, String> {
        let mut address = 0;
        // SAFETY: pointers to values of ours; the memory is as long as what is copied to it.
        unsafe {
            checked("cuMemAlloc", (self.functions.cuMemAlloc_v2)(&mut address, bytes.len()))?;
            let source = bytes.as_ptr().cast();
            checked("cuMemcpyHtoD", (self.functions.cuMemcpyHtoD_v2)(address, source, bytes.len()))?;
        }
        Ok(address)
    }

    fn prepare(&self, module: Handle, launch: &Launch) -> Result<Prepared, String> {
        if launch.arguments.len() > MOST_ARGUMENTS {
            return Err(format!("{} has more than {MOST_ARGUMENTS} arguments", launch.kernel));
        }
        let name = CString::new(launch.kernel).map_err(|error| error.to_string())?;
        let mut function = null_mut();
        // SAFETY: a module of this context, and a name that ends with a null.
        let code = unsafe { (self.functions.cuModuleGetFunction)(&mut function, module, name.as_ptr()) };
        checked(&format!("cuModuleGetFunction of {}", launch.kernel), code)?;
        // The driver reads as many bytes of each as the kernel declares.
        let value = |argument: &Argument| match *argument {
            Argument::Buffer(number) => self.buffers[number].0,
            Argument::Int(value) => u64::from(value as u32),
            Argument::Float(value) => u64::from(value.to_bits()),
        };
        let values = launch.arguments.iter().map(value).collect();
        Ok(Prepared { function, launch: launch.clone(), values })
    }

    fn launch(&self, prepared: &Prepared) -> Result<(), String> {
        let ([gx, gy, gz], [bx, by, bz]) = (prepared.launch.grid, prepared.launch.block);
        let mut pointers = [null_mut(); MOST_ARGUMENTS];
        for (pointer, value) in pointers.iter_mut().zip(&prepared.values) {
            *pointer = std::ptr::from_ref(value).cast_mut().cast();
        }
        let launch = self.functions.cuLaunchKernel;
        // SAFETY: a function of this context with pointers to as many values as it has parameters.
        let code = unsafe {
            launch(
                prepared.function,
                gx,
                gy,
                gz,
                bx,
                by,
                bz,
                0,
                null_mut(),
                pointers.as_mut_ptr(),
                null_mut(),
            )
        };
        checked(&format!("cuLaunchKernel of {}", prepared.launch.kernel), code)
    }
}

impl Device for Driver {
    fn run(&mut self, times: usize) -> Result<(), String> {
        for _ in 0..times {
            self.launches.iter().try_for_each(|prepared| self.launch(prepared))?;
        }
        // SAFETY: the call takes nothing.
        checked("cuCtxSynchronize", unsafe { (self.functions.cuCtxSynchronize)() })
    }

    fn read(&mut self, buffer: usize) -> Result<Vec<u8>, String> {
        let (address, length) = self.buffers[buffer];
        let mut bytes = vec![0u8; length];
        let target = bytes.as_mut_ptr().cast();
        // SAFETY: both are that long.
        checked("cuMemcpyDtoH", unsafe { (self.functions.cuMemcpyDtoH_v2)(target, address, length) })?;
        Ok(bytes)
    }

    fn client_core(&self) -> usize {
        cores::client()
    }
}
