//! cuLink…: PTX in, PTX out. The "linked image" of one PTX module is that module, of several their joined text.

use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, OnceLock};

use crate::door::*;
use driver::handle::Handles;
use driver::{CuResult, Cuda, context};

/// `CU_JIT_INPUT_PTX`, `CU_JIT_INPUT_FATBINARY`
const INPUT_PTX: u32 = 1;
const INPUT_FATBINARY: u32 = 2;

#[derive(Default)]
struct Link {
    /// What has been added, NUL-terminated.
    inputs: Mutex<Vec<Vec<u8>>>,
    /// What was made of several inputs. It lives as long as the link.
    joined: OnceLock<Vec<u8>>,
}

static LINKS: Handles<Link> = Handles::new();

fn add(handle: usize, kind: u32, data: &[u8], name: &str) -> Cuda {
    let link = LINKS.get(handle)?;
    if kind != INPUT_PTX && kind != INPUT_FATBINARY {
        driver::note::unsupported(&format!(
            "cuLinkAddData of input kind {kind} (`{name}`): only PTX can be linked"
        ));
        return Err(CuResult::NO_BINARY_FOR_GPU);
    }
    let mut input = data.to_vec();
    input.push(0);
    link.inputs.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(input);
    Ok(())
}

fn join(inputs: &[Vec<u8>]) -> Cuda<Vec<u8>> {
    let refuse = |why: String| {
        driver::note::unsupported(&format!("cuLinkComplete of {} modules: {why}", inputs.len()));
        Err(CuResult::NOT_SUPPORTED)
    };
    let text = |input: &'_ Vec<u8>| {
        let text = std::str::from_utf8(input).ok()?.trim_end_matches('\0');
        text.contains(".version").then(|| text.to_owned())
    };
    let Some(texts) = inputs.iter().map(text).collect::<Option<Vec<String>>>().filter(|it| !it.is_empty())
    else {
        return refuse("only PTX as text can be linked".to_owned());
    };
    let parts: Vec<&str> = texts.iter().map(String::as_str).collect();
    crate::join::join(&parts).or_else(|name| refuse(format!("two of them define `{name}`")))
}

exports! {
    fn cuLinkCreate_v2(_count: u32, _options: *mut u32, _values: *mut *mut c_void, state: *mut usize) {
        context::current()?;
        *out(state)? = LINKS.insert(Arc::new(Link::default()));
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
        let inputs = link.inputs.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let linked = match inputs.as_slice() {
            [only] => only,
            several => {
                let joined = join(several)?;
                link.joined.get_or_init(|| joined)
            }
        };
        *out(image)? = linked.as_ptr().cast();
        maybe(size, linked.len());
        Ok(())
    }

    fn cuLinkDestroy(state: usize) {
        LINKS.remove(state).map(drop)
    }
}
