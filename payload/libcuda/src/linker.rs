//! cuLink…: PTX in, PTX out. The "linked image" of one PTX module is that module, of several their joined text.

use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::device_runtime;
use crate::door::*;
use crate::modules::CONTAINER;
use driver::handle::Handles;
use driver::{CuResult, Cuda, context};

/// `CU_JIT_INPUT_PTX`, `CU_JIT_INPUT_FATBINARY`, `CU_JIT_INPUT_LIBRARY`
const INPUT_PTX: u32 = 1;
const INPUT_FATBINARY: u32 = 2;
const INPUT_LIBRARY: u32 = 4;
/// `CU_JIT_MAX_REGISTERS`
const MAX_REGISTERS: u32 = 0;

#[derive(Default)]
struct Link {
    /// PTX and fat binaries that have been added, NUL-terminated.
    inputs: Mutex<Vec<Vec<u8>>>,
    /// An archive was added. Its members are machine code; what the device runtime's would do, [`device_runtime`] does.
    has_library: AtomicBool,
    max_registers: Option<u32>,
    /// What was made of the inputs. It lives as long as the link.
    linked: OnceLock<Vec<u8>>,
}

static LINKS: Handles<Link> = Handles::new();

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn add(handle: usize, kind: u32, data: &[u8], name: &str) -> Cuda {
    let link = LINKS.get(handle)?;
    match kind {
        INPUT_PTX | INPUT_FATBINARY => {
            let mut input = data.to_vec();
            input.push(0);
            lock(&link.inputs).push(input);
            Ok(())
        }
        INPUT_LIBRARY => {
            link.has_library.store(true, Ordering::Relaxed);
            Ok(())
        }
        _ => {
            driver::note::unsupported(&format!(
                "cuLinkAddData of input kind {kind} (`{name}`): only PTX can be linked"
            ));
            Err(CuResult::NO_BINARY_FOR_GPU)
        }
    }
}

fn as_text(input: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(input).ok()?.trim_end_matches('\0');
    text.contains(".version").then_some(text)
}

fn complete(link: &Link) -> Cuda<Vec<u8>> {
    let inputs = lock(&link.inputs);
    let refuse = |why: String| {
        driver::note::unsupported(&format!("cuLinkComplete of {} modules: {why}", inputs.len()));
        Err(CuResult::NOT_SUPPORTED)
    };
    let Some(texts) = inputs.iter().map(|input| as_text(input)).collect::<Option<Vec<&str>>>() else {
        return match inputs.as_slice() {
            [only] => Ok(only.clone()),
            // The engine takes the PTX out of fat binaries, and links it.
            several if several.iter().all(|input| input.starts_with(&CONTAINER.to_le_bytes())) => {
                Ok(several.concat())
            }
            _ => refuse("only PTX as text, or fat binaries, can be linked".to_owned()),
        };
    };
    let all = texts.join("\n");
    let has_library = link.has_library.load(Ordering::Relaxed);
    let library = has_library.then(|| device_runtime::module(&ptx_join::undefined(&all))).flatten();
    let parts: Vec<&str> = texts.into_iter().chain(library.as_deref()).collect();
    let joined = match parts.as_slice() {
        [] => return refuse("there is nothing to link".to_owned()),
        [only] => [only.as_bytes(), b"\0"].concat(),
        several => match ptx_join::join(several) {
            Ok(joined) => joined,
            Err(name) => return refuse(format!("two of them define `{name}`")),
        },
    };
    match (link.max_registers, std::str::from_utf8(&joined)) {
        (Some(most), Ok(text)) => Ok(ptx_join::limit_registers(text, most).into_bytes()),
        _ => Ok(joined),
    }
}

exports! {
    fn cuLinkCreate_v2(count: u32, options: *const u32, values: *const *mut c_void, state: *mut usize) {
        context::current()?;
        let (options, values) = (list(options, count as usize), list(values, count as usize));
        let place = options.iter().position(|option| *option == MAX_REGISTERS);
        let max_registers = place.and_then(|place| values.get(place)).map(|value| *value as usize as u32);
        let max_registers = max_registers.filter(|most| *most > 0);
        *out(state)? = LINKS.insert(Arc::new(Link { max_registers, ..Link::default() }));
        Ok(())
    }

    fn cuLinkAddData_v2(
        state: usize,
        kind: u32,
        data: *const u8,
        size: usize,
        name: *const c_char,
        _count: u32,
        _options: *mut u32,
        _values: *mut *mut c_void,
    ) {
        add(state, kind, list(data, size), text(name).unwrap_or("unnamed"))
    }

    fn cuLinkAddFile_v2(
        state: usize,
        kind: u32,
        path: *const c_char,
        _count: u32,
        _options: *mut u32,
        _values: *mut *mut c_void,
    ) {
        let path = text(path)?;
        add(state, kind, &std::fs::read(path).map_err(|_| CuResult::FILE_NOT_FOUND)?, path)
    }

    fn cuLinkComplete(state: usize, image: *mut *const c_void, size: *mut usize) {
        let link = LINKS.get(state)?;
        if link.linked.get().is_none() {
            let linked = complete(&link)?;
            let _ = link.linked.set(linked);
        }
        let linked = link.linked.get().ok_or(CuResult::UNKNOWN)?;
        *out(image)? = linked.as_ptr().cast();
        maybe(size, linked.len());
        Ok(())
    }

    fn cuLinkDestroy(state: usize) {
        LINKS.remove(state).map(drop)
    }
}
