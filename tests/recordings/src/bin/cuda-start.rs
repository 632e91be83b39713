//! The driver's start and a small kernel, step by step, each step marked in the recording.
//!
//! ```text
//! cuda-start [SECONDS]
//! ```
//!
//! With SECONDS it then keeps its context, a gigabyte and a busy kernel for that long: something for nvidia-smi to show.

use anyhow::{Context, Result, bail};
use recordings::library::Library;
use recordings::mark::mark;
use std::ffi::c_void;
use std::time::{Duration, Instant};

/// Counts to `rounds` in every thread and adds what it counted to `out`.
const PTX: &std::ffi::CStr = c".version 6.0
.target sm_50
.address_size 64
.visible .entry count(.param .u64 out, .param .u32 rounds) {
  .reg .pred %p; .reg .b32 %r<4>; .reg .b64 %rd<2>;
  ld.param.u64 %rd0, [out]; cvta.to.global.u64 %rd1, %rd0; ld.param.u32 %r0, [rounds]; mov.u32 %r1, 0;
again: add.u32 %r1, %r1, 1; setp.lt.u32 %p, %r1, %r0; @%p bra again;
  red.global.add.u32 [%rd1], %r1; ret;
}
";

type Launch = unsafe extern "C" fn(
    *mut c_void,
    u32,
    u32,
    u32,
    u32,
    u32,
    u32,
    u32,
    *mut c_void,
    *mut *mut c_void,
    *mut *mut c_void,
) -> i32;

fn main() -> Result<()> {
    let seconds: u64 =
        std::env::args().nth(1).map_or(Ok(0), |word| word.parse()).context("SECONDS is a number")?;
    let driver = Driver(Library::open("libcuda.so.1")?);
    driver.initialise()?;
    let context = driver.context()?;
    let kernel = driver.kernel()?;
    let out = driver.memory()?;
    driver.launch(kernel, out, 1000, 4)?;
    driver.streams_and_events()?;
    if seconds > 0 {
        driver.keep_busy(kernel, out, Duration::from_secs(seconds))?;
    }
    driver.end(context, out)
}

struct Driver(Library);

impl Driver {
    /// Calls, says what came of it, and fails where it failed.
    fn step(&self, name: &str, arguments: &[u64]) -> Result<()> {
        match self.answer(name, arguments) {
            0 => Ok(()),
            error => bail!("{name} failed with error {error}"),
        }
    }

    fn answer(&self, name: &str, arguments: &[u64]) -> i32 {
        mark(name);
        // SAFETY: the callers below pass what cuda.h declares.
        let result = unsafe { self.0.call(name, arguments) };
        println!("{name} = {result}");
        result
    }

    fn initialise(&self) -> Result<()> {
        self.step("cuInit", &[0])?;
        let (mut number, mut device) = (0_i32, 0_i32);
        let mut text = [0_u8; 256];
        self.step("cuDriverGetVersion", &[&raw mut number as u64])?;
        println!("  {number}");
        self.step("cuDeviceGetCount", &[&raw mut number as u64])?;
        println!("  {number}");
        self.step("cuDeviceGet", &[&raw mut device as u64, 0])?;
        self.step("cuDeviceGetName", &[text.as_mut_ptr() as u64, 256, 0])?;
        let mut bytes = 0_u64;
        self.step("cuDeviceTotalMem_v2", &[&raw mut bytes as u64, 0])?;
        println!("  {bytes}");
        self.step("cuDeviceGetUuid_v2", &[text.as_mut_ptr() as u64, 0])?;
        self.step("cuDeviceGetPCIBusId", &[text.as_mut_ptr() as u64, 256, 0])?;
        mark("cuDeviceGetAttribute");
        for attribute in 1..150 {
            // SAFETY: a number to write, an attribute, a device.
            let result =
                unsafe { self.0.call("cuDeviceGetAttribute", &[&raw mut number as u64, attribute, 0]) };
            println!("  attribute {attribute} = {result} {number}");
        }
        for question in 0..10_u64 {
            self.answer("cuDeviceGetExecAffinitySupport", &[&raw mut number as u64, question, 0]);
        }
        Ok(())
    }

    fn context(&self) -> Result<u64> {
        let mut context = 0_u64;
        self.step("cuDevicePrimaryCtxRetain", &[&raw mut context as u64, 0])?;
        self.step("cuCtxSetCurrent", &[context])?;
        self.free_memory()?;
        let mut value = 0_u64;
        for limit in 0..8 {
            self.answer("cuCtxGetLimit", &[&raw mut value as u64, limit]);
            println!("  limit {limit} {value}");
        }
        Ok(context)
    }

    fn free_memory(&self) -> Result<()> {
        let (mut free, mut total) = (0_u64, 0_u64);
        self.step("cuMemGetInfo_v2", &[&raw mut free as u64, &raw mut total as u64])?;
        println!("  {free} {total}");
        Ok(())
    }

    fn kernel(&self) -> Result<u64> {
        let (mut module, mut kernel) = (0_u64, 0_u64);
        self.step("cuModuleLoadData", &[&raw mut module as u64, PTX.as_ptr() as u64])?;
        self.step("cuModuleGetFunction", &[&raw mut kernel as u64, module, c"count".as_ptr() as u64])?;
        Ok(kernel)
    }

    /// Memory of every kind; one allocation stays.
    fn memory(&self) -> Result<u64> {
        let (mut address, mut kept) = (0_u64, 0_u64);
        for length in [4096, 1 << 20, 64 << 20, 1 << 30] {
            self.step("cuMemAlloc_v2", &[&raw mut address as u64, length])?;
            self.free_memory()?;
            self.step("cuMemFree_v2", &[address])?;
        }
        println!("  1 TiB: {}", self.answer("cuMemAlloc_v2", &[&raw mut address as u64, 1 << 40]));
        let length = 1 << 20;
        self.step("cuMemHostAlloc", &[&raw mut address as u64, length, 2])?;
        self.step("cuMemFreeHost", &[address])?;
        let own = vec![0_u8; length as usize + 8192];
        let aligned = (own.as_ptr() as u64 + 4095) & !4095;
        if self.answer("cuMemHostRegister_v2", &[aligned, length, 2]) == 0 {
            self.step("cuMemHostUnregister", &[aligned])?;
        }
        self.step("cuMemAllocManaged", &[&raw mut address as u64, length, 1])?;
        self.step("cuMemsetD8_v2", &[address, 1, length])?;
        self.step("cuCtxSynchronize", &[])?;
        self.step("cuMemFree_v2", &[address])?;
        self.step("cuMemAlloc_v2", &[&raw mut kept as u64, 1 << 30])?;
        self.step("cuMemsetD32_v2", &[kept, 0, 1024])?;
        Ok(kept)
    }

    fn launch(&self, kernel: u64, out: u64, rounds: u32, blocks: u32) -> Result<()> {
        mark("cuLaunchKernel");
        self.start(kernel, out, rounds, blocks)?;
        self.step("cuCtxSynchronize", &[])?;
        let mut sum = 0_u32;
        self.step("cuMemcpyDtoH_v2", &[&raw mut sum as u64, out, 4])?;
        println!("  {sum}");
        if sum != rounds * blocks * 32 {
            bail!("the kernel counted {sum}");
        }
        Ok(())
    }

    fn start(&self, kernel: u64, out: u64, rounds: u32, blocks: u32) -> Result<()> {
        let function = self.0.function("cuLaunchKernel").context("cuLaunchKernel")?;
        // SAFETY: as cuda.h declares it; the one function here of more than six arguments.
        let launch: Launch = unsafe { std::mem::transmute(function) };
        let (mut out, mut rounds) = (out, rounds);
        let mut arguments = [(&raw mut out).cast::<c_void>(), (&raw mut rounds).cast()];
        let none = std::ptr::null_mut();
        // SAFETY: a kernel of these two parameters, copied before the function returns.
        match unsafe {
            launch(
                kernel as *mut c_void,
                blocks,
                1,
                1,
                32,
                1,
                1,
                0,
                none,
                arguments.as_mut_ptr(),
                none.cast(),
            )
        } {
            0 => Ok(()),
            error => bail!("cuLaunchKernel failed with error {error}"),
        }
    }

    fn streams_and_events(&self) -> Result<()> {
        let (mut stream, mut event) = (0_u64, 0_u64);
        self.step("cuStreamCreate", &[&raw mut stream as u64, 1])?;
        self.step("cuEventCreate", &[&raw mut event as u64, 1])?; // that a waiting thread sleeps for
        self.step("cuEventRecord", &[event, stream])?;
        self.step("cuEventSynchronize", &[event])?;
        self.step("cuEventDestroy_v2", &[event])?;
        self.step("cuStreamDestroy_v2", &[stream])
    }

    fn keep_busy(&self, kernel: u64, out: u64, time: Duration) -> Result<()> {
        println!("busy");
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.start(kernel, out, 100_000_000, 132)?;
            // SAFETY: takes nothing.
            if unsafe { self.0.call("cuCtxSynchronize", &[]) } != 0 {
                bail!("the busy kernel failed");
            }
        }
        Ok(())
    }

    fn end(&self, context: u64, out: u64) -> Result<()> {
        self.step("cuMemFree_v2", &[out])?;
        println!("  context {}", context != 0);
        self.step("cuDevicePrimaryCtxRelease_v2", &[0])
    }
}
