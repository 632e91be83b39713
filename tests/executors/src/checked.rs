//! The interpreter with checks (`vgpu-run --check`), in this process.

use std::sync::{Arc, Mutex};

use checks::{Checker, Kind};
use interpreter::{Image, Pool};

use crate::interpreter::{launched, parameter_bytes, place_variables};
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
        let kernel = self.image.kernel(name).map_err(|error| error.to_string())?;
        let outcome = launched(&bytes, shape, Some(&self.checker), |launch, environment| {
            pool.run(&kernel, launch, environment)
        });
        self.checker.settle();
        for parameter in parameters.iter_mut() {
            if let Parameter::Memory(buffer) = parameter {
                self.checker.freed(buffer.address());
            }
        }
        outcome
    }

    /// What was found since the last time.
    pub fn take_findings(&self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.told.lock().expect("telling does not panic"))
    }
}
