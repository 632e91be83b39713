//! Every fixture through the driver API, on whatever `libcuda.so.1` is here: `filetests-driver FOLDER`.
//!
//! On a machine with a GPU it tells whether the fixtures promise what hardware does; under `vgpu-run` the same program tests
//! the whole way from the driver API to the interpreter. A kernel that is to print or to fault runs in a process of its own
//! (`--run FILE NUMBER`): what it prints is that process's output, and nothing works behind a fault; whatever error the driver
//! answers counts.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::ptr::null_mut;

use filetests::executor::{Parameter, Shape};
use filetests::{Check, Fixture, check, fixtures};

type Result<T> = std::result::Result<T, String>;

/// The functions used, with the signatures of CUDA's driver API.
struct Driver {
    library: *mut c_void,
}

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
    fn open() -> Result<Driver> {
        // SAFETY: a library's name, and flags.
        let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return Err("libcuda.so.1 cannot be opened".into());
        }
        let driver = Driver { library };
        call!(driver, c"cuInit", (c_uint), (0))?;
        let mut context = null_mut();
        call!(driver, c"cuCtxCreate_v2", (*mut *mut c_void, c_uint, c_int), (&mut context, 0, 0))?;
        Ok(driver)
    }

    fn symbol(&self, name: &CStr) -> Result<*mut c_void> {
        // SAFETY: an open library and a name.
        let address = unsafe { libc::dlsym(self.library, name.as_ptr()) };
        if address.is_null() { Err(format!("no {}", name.to_string_lossy())) } else { Ok(address) }
    }

    fn load(&self, text: &str) -> Result<*mut c_void> {
        const ERROR_LOG: c_uint = 5;
        const ERROR_LOG_BYTES: c_uint = 6;
        let text = CString::new(text).map_err(|error| error.to_string())?;
        let mut log = vec![0u8; 4096];
        let mut names = [ERROR_LOG, ERROR_LOG_BYTES];
        let mut values = [log.as_mut_ptr().cast(), std::ptr::without_provenance_mut(log.len())];
        let mut module = null_mut();
        call!(
            self,
            c"cuModuleLoadDataEx",
            (*mut *mut c_void, *const c_char, c_uint, *mut c_uint, *mut *mut c_void),
            (&mut module, text.as_ptr(), 2, names.as_mut_ptr(), values.as_mut_ptr())
        )
        .map_err(|error| {
            let log = CStr::from_bytes_until_nul(&log).unwrap_or_default().to_string_lossy();
            format!("{error}: {log}")
        })?;
        Ok(module)
    }

    fn run(&self, module: *mut c_void, name: &str, shape: Shape, parameters: &mut [Parameter]) -> Result<()> {
        let name = CString::new(name).map_err(|error| error.to_string())?;
        let mut function = null_mut();
        call!(
            self,
            c"cuModuleGetFunction",
            (*mut *mut c_void, *mut c_void, *const c_char),
            (&mut function, module, name.as_ptr())
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

/// Runs and mismatches of one file.
fn run_file(driver: &Driver, path: &Path) -> Result<(usize, Vec<String>)> {
    let (fixture, module) = open(driver, path)?;
    let (mut runs, mut failures) = (0, Vec::new());
    for (index, run) in fixture.runs.iter().enumerate() {
        runs += 1;
        let alone = run.checks.iter().find(|check| !matches!(check, Check::Memory { .. }));
        let outcome = match alone {
            Some(expected) => happens_elsewhere(path, index, expected),
            None => check(&fixture, run, &mut |name, shape, parameters| {
                driver.run(module, name, shape, parameters).map(|()| String::new())
            }),
        };
        if let Err(text) = outcome {
            failures.push(format!("{}/{}/{index}: {text}", path.display(), run.kernel));
        }
    }
    Ok((runs, failures))
}

fn open(driver: &Driver, path: &Path) -> Result<(Fixture, *mut c_void)> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Ok((Fixture::parse(&text)?, driver.load(&text)?))
}

/// Whether a run prints or faults as it should in a process of its own.
fn happens_elsewhere(path: &Path, index: usize, expected: &Check) -> Result<()> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program).arg("--run").arg(path).arg(index.to_string()).output();
    let text = String::from_utf8_lossy(&output.map_err(|error| error.to_string())?.stdout).into_owned();
    match expected {
        Check::Printed(wanted) if *wanted != text => Err(format!("printed {text:?}, not {wanted:?}")),
        Check::Fault(_) if !text.contains(FAULTED) => Err(format!("expected a fault, got `{text}`")),
        _ => Ok(()),
    }
}

/// What a process says whose kernel faulted.
const FAULTED: &str = "the driver answers: ";

/// One run alone.
fn run_alone(path: &Path, index: usize) -> Result<()> {
    let driver = Driver::open()?;
    let (fixture, module) = open(&driver, path)?;
    let run = fixture.runs.get(index).ok_or("no such run")?;
    // Who started this process compares what it prints.
    let _ = check(&fixture, run, &mut |name, shape, parameters| {
        if let Err(error) = driver.run(module, name, shape, parameters) {
            println!("{FAULTED}{error}");
        }
        Ok(String::new())
    });
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match &arguments[..] {
        [run, file, index] if run == "--run" => run_alone(file.as_ref(), index.parse().unwrap_or(usize::MAX)),
        [folder] => run_all(folder),
        _ => Err("usage: filetests-driver FOLDER".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run_all(folder: &str) -> Result<()> {
    let driver = Driver::open()?;
    let (mut runs, mut failures) = (0, Vec::new());
    for path in fixtures(folder) {
        match run_file(&driver, &path) {
            Ok((more, wrong)) => {
                runs += more;
                failures.extend(wrong);
            }
            Err(error) => failures.push(format!("{}: {error}", path.display())),
        }
    }
    println!("{runs} runs, {} as promised", runs - failures.len().min(runs));
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}
