//! The peer: PoCL, which compiles OpenCL C for this CPU. The same work in `kernels.cl`, through OpenCL's own calls.
//!
//! PoCL compiles for all that this CPU has: on one with AVX-512 the peer may use it, and the others here do not.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr::{null, null_mut};

use super::Device;
use super::library::{Library, checked, functions};
use crate::cores;
use crate::problem::{Argument, Launch, Problem};

type Handle = *mut c_void;

functions! {
    /// What is used of it.
    Functions {
        clGetPlatformIDs(c_uint, *mut Handle, *mut c_uint) -> c_int;
        clGetPlatformInfo(Handle, c_uint, usize, *mut c_void, *mut usize) -> c_int;
        clGetDeviceIDs(Handle, u64, c_uint, *mut Handle, *mut c_uint) -> c_int;
        clCreateContext(*const isize, c_uint, *const Handle, Handle, *mut c_void, *mut c_int) -> Handle;
        clCreateCommandQueue(Handle, Handle, u64, *mut c_int) -> Handle;
        clCreateProgramWithSource(Handle, c_uint, *const *const c_char, *const usize, *mut c_int) -> Handle;
        clBuildProgram(Handle, c_uint, *const Handle, *const c_char, Handle, *mut c_void) -> c_int;
        clGetProgramBuildInfo(Handle, Handle, c_uint, usize, *mut c_void, *mut usize) -> c_int;
        clCreateKernel(Handle, *const c_char, *mut c_int) -> Handle;
        clCreateBuffer(Handle, u64, usize, *mut c_void, *mut c_int) -> Handle;
        clSetKernelArg(Handle, c_uint, usize, *const c_void) -> c_int;
        clEnqueueNDRangeKernel(
            Handle, Handle, c_uint, *const usize, *const usize, *const usize, c_uint, *const Handle, *mut Handle,
        ) -> c_int;
        clEnqueueReadBuffer(
            Handle, Handle, c_uint, usize, usize, *mut c_void, c_uint, *const Handle, *mut Handle,
        ) -> c_int;
        clFinish(Handle) -> c_int;
    }
}

const DEVICE_TYPE_CPU: u64 = 1 << 1;
const PLATFORM_NAME: c_uint = 0x0902;
const BUILD_LOG: c_uint = 0x1183;
const READ_WRITE_COPY: u64 = 1 << 0 | 1 << 5;

/// A kernel with its arguments set, and its shape.
struct Prepared {
    kernel: Handle,
    global: [usize; 3],
    local: [usize; 3],
}

/// A problem on PoCL's CPU device.
pub struct OpenCl {
    functions: Functions,
    queue: Handle,
    buffers: Vec<(Handle, usize)>,
    launches: Vec<Prepared>,
}

impl OpenCl {
    /// PoCL's one worker begins where this thread is.
    pub fn open(problem: &Problem) -> Result<OpenCl, String> {
        let source = include_str!("../../kernels/kernels.cl");
        for launch in &problem.launches {
            if !source.contains(&format!(" {}(", launch.kernel)) {
                return Err(format!("no OpenCL version of `{}`", launch.kernel));
            }
        }
        cores::pin(cores::work());
        let functions = Functions::open(&Library::open(c"libOpenCL.so.1")?)?;
        let device = pocl(&functions)?;
        let mut code = 0;
        // SAFETY: one device; no properties, no callback.
        let context =
            unsafe { (functions.clCreateContext)(null(), 1, &device, null_mut(), null_mut(), &mut code) };
        checked("clCreateContext", code)?;
        // SAFETY: the context and its device.
        let queue = unsafe { (functions.clCreateCommandQueue)(context, device, 0, &mut code) };
        checked("clCreateCommandQueue", code)?;
        let program = build(&functions, context, device, source)?;
        let mut this = OpenCl { functions, queue, buffers: Vec::new(), launches: Vec::new() };
        for bytes in &problem.buffers {
            let buffer = this.upload(context, bytes)?;
            this.buffers.push((buffer, bytes.len()));
        }
        for launch in &problem.launches {
            let prepared = this.prepare(program, launch)?;
            this.launches.push(prepared);
        }
        Ok(this)
    }

    fn upload(&self, context: Handle, bytes: &[u8]) -> Result<Handle, String> {
        let mut code = 0;
        let source = bytes.as_ptr().cast_mut().cast();
        // SAFETY: the bytes are copied, and only read.
        let buffer = unsafe {
            (self.functions.clCreateBuffer)(context, READ_WRITE_COPY, bytes.len(), source, &mut code)
        };
        checked("clCreateBuffer", code)?;
        Ok(buffer)
    }

    fn prepare(&self, program: Handle, launch: &Launch) -> Result<Prepared, String> {
        let name = CString::new(launch.kernel).map_err(|error| error.to_string())?;
        let mut code = 0;
        // SAFETY: a built program, and a name that ends with a null.
        let kernel = unsafe { (self.functions.clCreateKernel)(program, name.as_ptr(), &mut code) };
        checked(&format!("clCreateKernel of {}", launch.kernel), code)?;
        for (index, argument) in launch.arguments.iter().enumerate() {
            let set = |size: usize, value: *const c_void| {
                // SAFETY: the value is as long as the kernel's parameter, and is copied.
                unsafe { (self.functions.clSetKernelArg)(kernel, index as c_uint, size, value) }
            };
            let code = match argument {
                Argument::Buffer(number) => {
                    set(size_of::<Handle>(), std::ptr::from_ref(&self.buffers[*number].0).cast())
                }
                Argument::Int(value) => set(4, std::ptr::from_ref(value).cast()),
                Argument::Float(value) => set(4, std::ptr::from_ref(value).cast()),
            };
            checked(&format!("clSetKernelArg {index} of {}", launch.kernel), code)?;
        }
        let local = launch.block.map(|size| size as usize);
        let global = std::array::from_fn(|axis| local[axis] * launch.grid[axis] as usize);
        Ok(Prepared { kernel, global, local })
    }

    fn launch(&self, prepared: &Prepared) -> Result<(), String> {
        let (global, local) = (prepared.global.as_ptr(), prepared.local.as_ptr());
        let enqueue = self.functions.clEnqueueNDRangeKernel;
        // SAFETY: a kernel with all arguments set, and three sizes each.
        let code =
            unsafe { enqueue(self.queue, prepared.kernel, 3, null(), global, local, 0, null(), null_mut()) };
        checked("clEnqueueNDRangeKernel", code)
    }
}

/// The CPU device of the platform of that name.
fn pocl(functions: &Functions) -> Result<Handle, String> {
    let (mut platforms, mut count) = ([null_mut(); 8], 0);
    // SAFETY: room for eight.
    let code = unsafe { (functions.clGetPlatformIDs)(8, platforms.as_mut_ptr(), &mut count) };
    checked("clGetPlatformIDs", code).map_err(|_| "no OpenCL platform is installed")?;
    for platform in &platforms[..(count as usize).min(8)] {
        let mut name = [0u8; 64];
        let to = name.as_mut_ptr().cast();
        // SAFETY: room for 64 bytes.
        let code =
            unsafe { (functions.clGetPlatformInfo)(*platform, PLATFORM_NAME, name.len(), to, null_mut()) };
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        if code == 0 && name.to_bytes() == b"Portable Computing Language" {
            let mut device = null_mut();
            // SAFETY: room for one.
            let code =
                unsafe { (functions.clGetDeviceIDs)(*platform, DEVICE_TYPE_CPU, 1, &mut device, null_mut()) };
            return checked("clGetDeviceIDs", code).map(|()| device);
        }
    }
    Err("PoCL is not installed".into())
}

fn build(functions: &Functions, context: Handle, device: Handle, source: &str) -> Result<Handle, String> {
    let (mut code, text, length) = (0, source.as_ptr().cast(), source.len());
    // SAFETY: one text of that length.
    let program = unsafe { (functions.clCreateProgramWithSource)(context, 1, &text, &length, &mut code) };
    checked("clCreateProgramWithSource", code)?;
    let options = c"-cl-std=CL1.2 -cl-mad-enable";
    // SAFETY: the program's own device, and a text that ends with a null.
    let code =
        unsafe { (functions.clBuildProgram)(program, 1, &device, options.as_ptr(), null_mut(), null_mut()) };
    checked("clBuildProgram", code).map_err(|error| {
        let mut log = vec![0u8; 4096];
        let to = log.as_mut_ptr().cast();
        // SAFETY: room for 4096 bytes.
        unsafe { (functions.clGetProgramBuildInfo)(program, device, BUILD_LOG, log.len(), to, null_mut()) };
        format!("{error}: {}", CStr::from_bytes_until_nul(&log).unwrap_or_default().to_string_lossy())
    })?;
    Ok(program)
}

impl Device for OpenCl {
    fn run(&mut self, times: usize) -> Result<(), String> {
        for _ in 0..times {
            self.launches.iter().try_for_each(|prepared| self.launch(prepared))?;
        }
        // SAFETY: the queue.
        checked("clFinish", unsafe { (self.functions.clFinish)(self.queue) })
    }

    fn read(&mut self, buffer: usize) -> Result<Vec<u8>, String> {
        let (buffer, length) = self.buffers[buffer];
        let mut bytes = vec![0u8; length];
        let (read, target) = (self.functions.clEnqueueReadBuffer, bytes.as_mut_ptr().cast());
        // SAFETY: both are that long; the call waits for the end.
        let code = unsafe { read(self.queue, buffer, 1, 0, length, target, 0, null(), null_mut()) };
        checked("clEnqueueReadBuffer", code)?;
        Ok(bytes)
    }

    fn client_core(&self) -> usize {
        cores::client()
    }
}
