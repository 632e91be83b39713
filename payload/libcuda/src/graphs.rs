//! cuGraph…: graphs as wholes.

use std::ffi::{c_char, c_void};

use crate::door::*;
use driver::{CuResult, Cuda, graph};

/// `CUgraphExecUpdateResultInfo`: result, error node, error-from node.
#[repr(C)]
pub struct UpdateInfo {
    result: u32,
    node: usize,
    from: usize,
}

fn update(executable: usize, fresh: usize) -> (u32, Cuda) {
    const TOPOLOGY_CHANGED: u32 = 2;
    let outcome = graph::update(executable, fresh);
    (if outcome.is_ok() { 0 } else { TOPOLOGY_CHANGED }, outcome)
}

/// # Safety
/// As the lists of nodes that `cuGraphGetNodes` and its kin fill.
unsafe fn tell_nodes(nodes: *mut usize, count: *mut usize, found: &[usize]) -> Cuda {
    // SAFETY: the caller's promise.
    unsafe {
        let count = out(count)?;
        if !nodes.is_null() {
            for index in 0..*count {
                *nodes.add(index) = found.get(index).copied().unwrap_or(0);
            }
        }
        *count = found.len();
    }
    Ok(())
}

exports! {
    fn cuGraphCreate(created: *mut usize, flags: u32) {
        if flags != 0 {
            return Err(CuResult::INVALID_VALUE);
        }
        *out(created)? = graph::create()?;
        Ok(())
    }

    fn cuGraphDestroy(handle: usize) {
        graph::destroy(handle)
    }

    fn cuGraphClone(copy: *mut usize, original: usize) {
        *out(copy)? = graph::clone(original)?;
        Ok(())
    }

    fn cuGraphInstantiateWithFlags(executable: *mut usize, handle: usize, _flags: u64) {
        *out(executable)? = graph::instantiate(handle)?;
        Ok(())
    }

    fn cuGraphInstantiate(executable: *mut usize, handle: usize, _node: *mut usize, _log: *mut c_char, _size: usize) {
        *out(executable)? = graph::instantiate(handle)?;
        Ok(())
    }

    fn cuGraphInstantiate_v2(executable: *mut usize, handle: usize, _node: *mut usize, _log: *mut c_char, _size: usize) {
        *out(executable)? = graph::instantiate(handle)?;
        Ok(())
    }

    fn cuGraphInstantiateWithParams |cuGraphInstantiateWithParams_ptsz as _per_thread (
        executable: *mut usize,
        handle: usize,
        _parameters: *mut c_void,
    ) {
        *out(executable)? = graph::instantiate(handle)?;
        Ok(())
    }

    fn cuGraphUpload |cuGraphUpload_ptsz with stream (executable: usize, stream: *mut c_void) {
        driver::stream::by_handle(stream as usize)?;
        graph::check_executable(executable)
    }

    fn cuGraphLaunch |cuGraphLaunch_ptsz with stream (executable: usize, stream: *mut c_void) {
        graph::launch(executable, stream as usize)
    }

    fn cuGraphExecDestroy(executable: usize) {
        graph::destroy_executable(executable)
    }

    fn cuGraphExecGetFlags(executable: usize, flags: *mut u64) {
        graph::check_executable(executable)?;
        *out(flags)? = 0;
        Ok(())
    }

    fn cuGraphExecUpdate(executable: usize, fresh: usize, node: *mut usize, result: *mut u32) {
        let (number, outcome) = update(executable, fresh);
        maybe(node, 0);
        *out(result)? = number;
        outcome
    }

    fn cuGraphExecUpdate_v2(executable: usize, fresh: usize, info: *mut UpdateInfo) {
        let (result, outcome) = update(executable, fresh);
        *out(info)? = UpdateInfo { result, node: 0, from: 0 };
        outcome
    }

    fn cuGraphGetNodes(handle: usize, nodes: *mut usize, count: *mut usize) {
        let found: Vec<usize> = graph::by_handle(handle)?.nodes().iter().map(|node| node.handle).collect();
        tell_nodes(nodes, count, &found)
    }

    fn cuGraphGetRootNodes(handle: usize, nodes: *mut usize, count: *mut usize) {
        let all = graph::by_handle(handle)?.nodes();
        let roots: Vec<usize> = all.iter().filter(|node| node.dependencies.is_empty()).map(|node| node.handle).collect();
        tell_nodes(nodes, count, &roots)
    }

    fn cuGraphNodeGetDependencies(node: usize, nodes: *mut usize, count: *mut usize) {
        tell_nodes(nodes, count, &graph::node(node)?.dependencies)
    }

    fn cuGraphNodeGetType(node: usize, kind: *mut u32) {
        *out(kind)? = graph::node(node)?.kind();
        Ok(())
    }
}
