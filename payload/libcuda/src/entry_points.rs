//! cuGetProcAddress: which of a name's forms a caller means, and the table of all names.

#![allow(unused_doc_comments)]

use std::ffi::{c_char, c_void};

use crate::door::*;
use driver::note;
use driver::{CuResult, Cuda};
use wire::control::NoteKind;

use crate::arrays::*;
use crate::contexts::*;
use crate::copies::*;
use crate::devices::*;
use crate::errors::*;
use crate::events::*;
use crate::fills::*;
use crate::functions::*;
use crate::graph_nodes::*;
use crate::graphs::*;
use crate::initialise::*;
use crate::kernels::*;
use crate::linker::*;
use crate::modules::*;
use crate::pointers::*;
use crate::pools::*;
use crate::private::*;
use crate::staged_launches::*;
use crate::storage::*;
use crate::streams::*;
use crate::texture_references::*;
use crate::textures::*;
use crate::virtual_memory::*;

/// The address of an exported function.
#[derive(Clone, Copy)]
pub struct Function(pub *const ());

// SAFETY: the address of a function never changes.
unsafe impl Sync for Function {}

include!(concat!(env!("OUT_DIR"), "/symbols.rs"));

/// From which CUDA version on a name means a later form, where that is not 3.2 ("_v2" of the first driver API).
/// Source: the version argument in `cudaTypedefs.h`, names only.
const FORMS: &[(&str, &[(u32, &str)])] = &[
    ("cuCtxCreate", &[(3020, "cuCtxCreate_v2"), (11040, "cuCtxCreate_v3"), (12050, "cuCtxCreate_v4")]),
    ("cuCtxGetDevice", &[(2000, "cuCtxGetDevice"), (13000, "cuCtxGetDevice_v2")]),
    ("cuCtxSynchronize", &[(2000, "cuCtxSynchronize"), (13000, "cuCtxSynchronize_v2")]),
    ("cuDeviceGetUuid", &[(9020, "cuDeviceGetUuid"), (11040, "cuDeviceGetUuid_v2")]),
    (
        "cuDevicePrimaryCtxRelease",
        &[(7000, "cuDevicePrimaryCtxRelease"), (11000, "cuDevicePrimaryCtxRelease_v2")],
    ),
    ("cuDevicePrimaryCtxReset", &[(7000, "cuDevicePrimaryCtxReset"), (11000, "cuDevicePrimaryCtxReset_v2")]),
    (
        "cuDevicePrimaryCtxSetFlags",
        &[(7000, "cuDevicePrimaryCtxSetFlags"), (11000, "cuDevicePrimaryCtxSetFlags_v2")],
    ),
    ("cuEventElapsedTime", &[(2000, "cuEventElapsedTime"), (12080, "cuEventElapsedTime_v2")]),
    ("cuGetProcAddress", &[(11030, "cuGetProcAddress"), (12000, "cuGetProcAddress_v2")]),
    ("cuGraphAddDependencies", &[(10000, "cuGraphAddDependencies"), (12030, "cuGraphAddDependencies_v2")]),
    ("cuGraphAddKernelNode", &[(10000, "cuGraphAddKernelNode"), (12000, "cuGraphAddKernelNode_v2")]),
    ("cuGraphAddNode", &[(12020, "cuGraphAddNode"), (12030, "cuGraphAddNode_v2")]),
    (
        "cuGraphExecKernelNodeSetParams",
        &[(10010, "cuGraphExecKernelNodeSetParams"), (12000, "cuGraphExecKernelNodeSetParams_v2")],
    ),
    ("cuGraphExecUpdate", &[(10020, "cuGraphExecUpdate"), (12000, "cuGraphExecUpdate_v2")]),
    ("cuGraphGetEdges", &[(10000, "cuGraphGetEdges"), (12030, "cuGraphGetEdges_v2")]),
    (
        "cuGraphInstantiate",
        &[
            (10000, "cuGraphInstantiate"),
            (11000, "cuGraphInstantiate_v2"),
            (12000, "cuGraphInstantiateWithFlags"),
        ],
    ),
    (
        "cuGraphKernelNodeGetParams",
        &[(10000, "cuGraphKernelNodeGetParams"), (12000, "cuGraphKernelNodeGetParams_v2")],
    ),
    (
        "cuGraphKernelNodeSetParams",
        &[(10000, "cuGraphKernelNodeSetParams"), (12000, "cuGraphKernelNodeSetParams_v2")],
    ),
    (
        "cuGraphNodeGetDependencies",
        &[(10000, "cuGraphNodeGetDependencies"), (12030, "cuGraphNodeGetDependencies_v2")],
    ),
    (
        "cuGraphNodeGetDependentNodes",
        &[(10000, "cuGraphNodeGetDependentNodes"), (12030, "cuGraphNodeGetDependentNodes_v2")],
    ),
    (
        "cuGraphRemoveDependencies",
        &[(10000, "cuGraphRemoveDependencies"), (12030, "cuGraphRemoveDependencies_v2")],
    ),
    ("cuIpcOpenMemHandle", &[(4010, "cuIpcOpenMemHandle"), (11000, "cuIpcOpenMemHandle_v2")]),
    ("cuLinkAddData", &[(5050, "cuLinkAddData"), (6050, "cuLinkAddData_v2")]),
    ("cuLinkAddFile", &[(5050, "cuLinkAddFile"), (6050, "cuLinkAddFile_v2")]),
    ("cuLinkCreate", &[(5050, "cuLinkCreate"), (6050, "cuLinkCreate_v2")]),
    ("cuMemAdvise", &[(8000, "cuMemAdvise"), (12020, "cuMemAdvise_v2")]),
    ("cuMemHostRegister", &[(4000, "cuMemHostRegister"), (6050, "cuMemHostRegister_v2")]),
    ("cuMemPrefetchAsync", &[(8000, "cuMemPrefetchAsync"), (12020, "cuMemPrefetchAsync_v2")]),
    ("cuMemcpyBatchAsync", &[(12080, "cuMemcpyBatchAsync"), (13000, "cuMemcpyBatchAsync_v2")]),
    ("cuMemcpy3DBatchAsync", &[(12080, "cuMemcpy3DBatchAsync"), (13000, "cuMemcpy3DBatchAsync_v2")]),
    ("cuStreamBatchMemOp", &[(8000, "cuStreamBatchMemOp"), (11070, "cuStreamBatchMemOp_v2")]),
    ("cuStreamBeginCapture", &[(10000, "cuStreamBeginCapture"), (10010, "cuStreamBeginCapture_v2")]),
    (
        "cuStreamGetCaptureInfo",
        &[
            (10010, "cuStreamGetCaptureInfo"),
            (11030, "cuStreamGetCaptureInfo_v2"),
            (12030, "cuStreamGetCaptureInfo_v3"),
        ],
    ),
    ("cuStreamGetCtx", &[(9020, "cuStreamGetCtx"), (12050, "cuStreamGetCtx_v2")]),
    (
        "cuStreamUpdateCaptureDependencies",
        &[(11030, "cuStreamUpdateCaptureDependencies"), (12030, "cuStreamUpdateCaptureDependencies_v2")],
    ),
    ("cuStreamWaitValue32", &[(8000, "cuStreamWaitValue32"), (11070, "cuStreamWaitValue32_v2")]),
    ("cuStreamWaitValue64", &[(9000, "cuStreamWaitValue64"), (11070, "cuStreamWaitValue64_v2")]),
    ("cuStreamWriteValue32", &[(8000, "cuStreamWriteValue32"), (11070, "cuStreamWriteValue32_v2")]),
    ("cuStreamWriteValue64", &[(9000, "cuStreamWriteValue64"), (11070, "cuStreamWriteValue64_v2")]),
];

/// `CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM`
const PER_THREAD: u64 = 2;

fn lookup(name: &str) -> Option<*const ()> {
    let index = SYMBOLS.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    Some(SYMBOLS[index].1.0)
}

/// The exported name that a caller means by a name and a version.
fn resolve(name: &str, version: u32) -> Option<String> {
    if let Some((_, forms)) = FORMS.iter().find(|(base, _)| *base == name) {
        let (_, form) = forms.iter().rev().find(|(since, _)| version >= *since)?;
        return Some((*form).to_owned());
    }
    let second = format!("{name}_v2");
    if version >= 3020 && lookup(&second).is_some() {
        return Some(second);
    }
    lookup(name).map(|_| name.to_owned())
}

fn find(name: &str, version: u32, flags: u64) -> Option<*const ()> {
    let form = resolve(name, version)?;
    if flags & PER_THREAD != 0 {
        let twin = ["_ptsz", "_ptds"].iter().find_map(|suffix| lookup(&format!("{form}{suffix}")));
        if twin.is_some() {
            return twin;
        }
    }
    lookup(&form)
}

unsafe fn tell(name: *const c_char, function: *mut *const c_void, version: i32, flags: u64) -> Cuda<bool> {
    // SAFETY: the exported functions' callers promise a string and a place.
    let (name, target) = unsafe { (text(name)?, out(function)?) };
    *target = std::ptr::null();
    // NVIDIA's runtime asks for "" first, to see whether the function works at all.
    if name.is_empty() {
        *target = cuGetProcAddress_v2 as *const c_void;
        return Ok(true);
    }
    match find(name, version.max(0) as u32, flags) {
        Some(address) => *target = address.cast(),
        None => note::once(NoteKind::UnknownName, i64::from(version), name),
    }
    Ok(!target.is_null())
}

exports! {
    fn cuGetProcAddress(name: *const c_char, function: *mut *const c_void, version: i32, flags: u64) {
        if tell(name, function, version, flags)? { Ok(()) } else { Err(CuResult::NOT_FOUND) }
    }

    fn cuGetProcAddress_v2(
        name: *const c_char,
        function: *mut *const c_void,
        version: i32,
        flags: u64,
        status: *mut u32,
    ) {
        const SUCCESS: u32 = 0;
        const SYMBOL_NOT_FOUND: u32 = 1;
        let found = tell(name, function, version, flags)?;
        maybe(status, if found { SUCCESS } else { SYMBOL_NOT_FOUND });
        if found { Ok(()) } else { Err(CuResult::NOT_FOUND) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, version: u32, expected: Option<&str>) {
        assert_eq!(resolve(name, version).as_deref(), expected, "{name} at {version}");
    }

    #[test]
    fn version_picks_the_form() {
        check("cuMemAlloc", 12000, Some("cuMemAlloc_v2"));
        check("cuMemAlloc", 3000, Some("cuMemAlloc"));
        check("cuGetProcAddress", 11030, Some("cuGetProcAddress"));
        check("cuGetProcAddress", 12090, Some("cuGetProcAddress_v2"));
        check("cuCtxCreate", 13000, Some("cuCtxCreate_v4"));
        check("cuGraphInstantiate", 12000, Some("cuGraphInstantiateWithFlags"));
        check("cuInit", 2000, Some("cuInit"));
        check("cuNothing", 12000, None);
    }

    #[test]
    fn every_form_is_exported_and_the_table_is_sorted() {
        assert!(SYMBOLS.is_sorted_by_key(|(name, _)| *name));
        for (_, forms) in FORMS {
            for (_, form) in *forms {
                assert!(lookup(form).is_some(), "{form} is not exported");
            }
        }
    }

    #[test]
    fn per_thread_flag_gives_the_twin() {
        assert_eq!(find("cuLaunchKernel", 12000, PER_THREAD), lookup("cuLaunchKernel_ptsz"));
        assert_eq!(find("cuMemcpyHtoD", 12000, PER_THREAD), lookup("cuMemcpyHtoD_v2_ptds"));
        assert_eq!(find("cuCtxSynchronize", 12000, PER_THREAD), lookup("cuCtxSynchronize"));
    }
}
