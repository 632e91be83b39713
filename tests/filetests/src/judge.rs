//! Holds what an executor gives against what a fixture promises.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::executor::{Buffer, Parameter, Shape};
use crate::fixture::{Argument, Check, Fixture, Run};

/// Runs a kernel: its name, shape and parameters; gives what it printed, or why it failed.
pub type Execute<'a> = &'a mut dyn FnMut(&str, Shape, &mut [Parameter]) -> Result<String, String>;

/// Every fixture of a folder and of `generated` inside it, in order.
pub fn fixtures(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(folder);
    let list = |folder: PathBuf| {
        std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path())
    };
    let mut files: Vec<PathBuf> = list(root.join("generated")).chain(list(root.into())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "ptx"));
    files.sort();
    files
}

/// One run of a fixture.
pub fn check(fixture: &Fixture, run: &Run, execute: Execute) -> Result<(), String> {
    let mut buffers = buffers(fixture, run);
    let result = {
        let mut views: HashMap<&String, &mut Buffer> = buffers.iter_mut().collect();
        let mut parameters: Vec<Parameter> = run
            .arguments
            .iter()
            .map(|argument| match argument {
                Argument::Number(number) => Parameter::Value(number.to_le_bytes().to_vec()),
                Argument::Buffer(name) => {
                    Parameter::Memory(views.remove(name).expect("each buffer is passed once"))
                }
            })
            .collect();
        execute(&run.kernel, run.shape, &mut parameters)
    };
    run.checks.iter().try_for_each(|check| verdict(check, &result, &buffers))
}

/// The file's data, and outputs as long as what is expected of them.
fn buffers(fixture: &Fixture, run: &Run) -> HashMap<String, Buffer> {
    let mut buffers = HashMap::new();
    for argument in &run.arguments {
        let Argument::Buffer(name) = argument else { continue };
        let expected = run.checks.iter().find_map(|check| match check {
            Check::Memory { buffer, kind, elements, .. } if buffer == name => {
                Some(elements.len() * kind.size())
            }
            _ => None,
        });
        let buffer = match fixture.data.get(name) {
            Some(bytes) => Buffer::of(bytes),
            None => {
                Buffer::zeroed(expected.unwrap_or_else(|| panic!("`{name}` is neither data nor expected")))
            }
        };
        buffers.insert(name.clone(), buffer);
    }
    buffers
}

fn verdict(
    check: &Check,
    result: &Result<String, String>,
    buffers: &HashMap<String, Buffer>,
) -> Result<(), String> {
    match (check, result) {
        (Check::Fault(text), Err(fault)) if fault.contains(text) => Ok(()),
        (Check::Fault(text), other) => Err(format!("expected a fault `{text}`, got {other:?}")),
        (_, Err(fault)) => Err(fault.clone()),
        (Check::Printed(text), Ok(printed)) if text == printed => Ok(()),
        (Check::Printed(text), Ok(printed)) => Err(format!("printed {printed:?}, not {text:?}")),
        (Check::Memory { buffer, kind, elements, bound }, Ok(_)) => {
            let bytes = buffers[buffer].bytes();
            for (index, (element, chunk)) in elements.iter().zip(bytes.chunks(kind.size())).enumerate() {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                let bits = u64::from_le_bytes(word);
                if !element.accepts(bits, *kind, *bound) {
                    return Err(format!("{buffer}[{index}] is {bits:#x}, not {element:x?}"));
                }
            }
            Ok(())
        }
    }
}
