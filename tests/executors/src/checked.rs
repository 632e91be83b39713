//! The interpreter with checks (`vgpu-run --check`), in this process.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use checks::{Checker, Kind};
use interpreter::{Environment, Image, Launch, Pool};

use crate::interpreter::{parameter_bytes, place_variables};
use crate::{Parameter, Shape};

/// What was found, each with how often.
type Told = Arc<Mutex<Vec<(String, u64)>>>;

/// A module whose kernels are watched.
pub struct Checked {
    image: Image,
    checker: Checker,
    told: Told,
    _variables: Vec<Vec<u128>>,
}

impl Checked {
    /// Parses and loads a module; all checks are made.
    pub fn new(text: &str) -> Result<Self, String> {
        let module = ptx::Module::parse(text.to_owned()).map_err(|error| error.to_string())?;
        let mut variables = Vec::new();
        let image =
            Image::load(Arc::new(module), &mut |size, align| place_variables(&mut variables, size, align));
        let image = image.map_err(|error| error.to_string())?.watched();
        let told = Told::default();
        let listener = told.clone();
        let tell = move |text: &str, times| {
            let mut told = listener.lock().expect("telling does not panic");
            match told.iter_mut().find(|(known, _)| known == text) {
                Some((_, known)) => *known = times,
                None => told.push((text.to_owned(), times)),
            }
        };
        // A kernel that goes where nothing is faults; what is mapped behind a buffer is this process's own.
        let checker = Checker::new("memory,race,init".parse()?, Box::new(|_, _| false), Box::new(tell));
        let places = image.module().variables().iter().filter_map(|variable| {
            let (start, length) = image.global(&variable.name)?;
            Some((variable.name.to_string(), start, length))
        });
        checker.placed(0, places);
        Ok(Self { image, checker, told, _variables: variables })
    }

    /// Runs a kernel to its end, or to its fault; gives what it printed. `written`: how many bytes of each buffer were written.
    pub fn run(
        &self,
        pool: &Pool,
        name: &str,
        shape: Shape,
        parameters: &mut [Parameter],
        written: u64,
    ) -> Result<String, String> {
        let bytes = parameter_bytes(self.image.module(), name, parameters)?;
        for parameter in parameters.iter_mut() {
            if let Parameter::Memory(buffer) = parameter {
                let (address, length) = (buffer.address(), buffer.bytes().len() as u64);
                self.checker.allocated(address, length, Kind::Device);
                self.checker.written(address, length.min(written));
            }
        }
        let printed = Mutex::new(String::new());
        let environment = Environment {
            window: 1 << 46..1 << 47,
            print: &|text| printed.lock().expect("no printer panics").push_str(text),
            cancel: &AtomicBool::new(false),
            watch: Some(&self.checker),
        };
        let Shape { grid, block, shared: dynamic_shared, cooperative } = shape;
        let launch = Launch { grid, block, dynamic_shared, parameters: &bytes, cooperative };
        let kernel = self.image.kernel(name).map_err(|error| error.to_string())?;
        let outcome = pool.run(&kernel, &launch, &environment).map_err(|fault| fault.to_string());
        self.checker.settle();
        for parameter in parameters.iter_mut() {
            if let Parameter::Memory(buffer) = parameter {
                self.checker.freed(buffer.address());
            }
        }
        outcome?;
        Ok(printed.into_inner().expect("no printer panics"))
    }

    /// What was found since the last time.
    pub fn take_findings(&self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.told.lock().expect("telling does not panic"))
    }
}
