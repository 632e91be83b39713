//! cudaGraph…

use std::ffi::{c_char, c_void};

use crate::door::*;
use crate::driver::{call, call_in_context};
use crate::streams::Stream;

/// `cudaGraphExecUpdateResultInfo`
#[repr(C)]
pub struct UpdateInfo {
    result: u32,
    node: usize,
    from: usize,
}

call_trace::fields! { UpdateInfo { result, node, from } }

/// `cudaGraphInstantiateParams`
#[repr(C)]
pub struct InstantiateParams {
    flags: u64,
    upload: Stream,
    error_node: usize,
    result: u32,
}

call_trace::fields! { InstantiateParams { flags, upload, error_node, result } }

/// `cudaGraphEdgeData`: ports and kind of a dependency.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EdgeData([u8; 8]);

call_trace::opaque! { EdgeData }

/// Refuses dependencies other than "after the whole node": no node here has ports.
///
/// # Safety
/// `edges` must be null or a list of `count`.
pub unsafe fn plain_edges(edges: *const EdgeData, count: usize) -> Runtime {
    // SAFETY: the caller's promise.
    let special = !edges.is_null() && (0..count).any(|index| unsafe { *edges.add(index) }.0 != [0; 8]);
    if special {
        crate::driver::note_unsupported("graph dependencies with ports\0");
        return Err(Error::NOT_SUPPORTED);
    }
    Ok(())
}

/// # Safety
/// As `cudaGraphNodeGetDependencies`: `edges` has room for what `count` said before.
unsafe fn tell_edges(edges: *mut EdgeData, count: *const usize) {
    if !edges.is_null() && !count.is_null() {
        // SAFETY: the caller's promise.
        (0..unsafe { *count }).for_each(|index| unsafe { *edges.add(index) = EdgeData([0; 8]) });
    }
}

exports! {
    fn cudaGraphCreate(graph: *mut usize, flags: u32) {
        call_in_context!(graph_create(graph, flags))
    }

    fn cudaGraphDestroy(graph: usize) {
        call_in_context!(graph_destroy(graph))
    }

    fn cudaGraphClone(copy: *mut usize, graph: usize) {
        call_in_context!(graph_clone(copy, graph))
    }

    fn abi11_cudaGraphInstantiate(executable: *mut usize, graph: usize, _node: *mut usize, _log: *mut c_char, _size: usize) {
        call_in_context!(graph_instantiate(executable, graph, 0))
    }

    fn abi12_cudaGraphInstantiate(executable: *mut usize, graph: usize, flags: u64) {
        call_in_context!(graph_instantiate(executable, graph, flags))
    }

    fn cudaGraphInstantiateWithFlags(executable: *mut usize, graph: usize, flags: u64) {
        call_in_context!(graph_instantiate(executable, graph, flags))
    }

    fn abi11_cudaGraphExecUpdate(executable: usize, graph: usize, node: *mut usize, result: *mut u32) {
        call_in_context!(graph_update(executable, graph, node, result))
    }

    fn abi12_cudaGraphExecUpdate(executable: usize, graph: usize, info: *mut UpdateInfo) {
        let (mut node, mut result) = (0, 0);
        let outcome = call_in_context!(graph_update(executable, graph, &mut node, &mut result));
        *out(info)? = UpdateInfo { result, node, from: 0 };
        outcome
    }

    fn cudaGraphInstantiateWithParams |cudaGraphInstantiateWithParams_ptsz as _stream (
        executable: *mut usize,
        graph: usize,
        parameters: *mut InstantiateParams,
    ) {
        let parameters = out(parameters)?;
        call_in_context!(graph_instantiate(executable, graph, parameters.flags))?;
        (parameters.error_node, parameters.result) = (0, 0);
        Ok(())
    }

    fn cudaGraphExecGetFlags(executable: usize, flags: *mut u64) {
        call!(graph_exec_flags(executable, flags))
    }

    fn abi11_cudaGraphNodeGetDependencies(node: usize, nodes: *mut usize, count: *mut usize) {
        call!(graph_dependencies(node, nodes, count))
    }

    fn cudaGraphNodeGetDependencies_v2(node: usize, nodes: *mut usize, edges: *mut EdgeData, count: *mut usize) {
        call!(graph_dependencies(node, nodes, count))?;
        tell_edges(edges, count);
        Ok(())
    }

    fn abi13_cudaGraphNodeGetDependencies(node: usize, nodes: *mut usize, edges: *mut EdgeData, count: *mut usize) {
        call!(graph_dependencies(node, nodes, count))?;
        tell_edges(edges, count);
        Ok(())
    }

    fn abi11_cudaGraphAddDependencies(graph: usize, from: *const usize, to: *const usize, count: usize) {
        call!(graph_depend(graph, from, to, count))
    }

    fn cudaGraphAddDependencies_v2(graph: usize, from: *const usize, to: *const usize, edges: *const EdgeData, count: usize) {
        plain_edges(edges, count)?;
        call!(graph_depend(graph, from, to, count))
    }

    fn abi13_cudaGraphAddDependencies(graph: usize, from: *const usize, to: *const usize, edges: *const EdgeData, count: usize) {
        plain_edges(edges, count)?;
        call!(graph_depend(graph, from, to, count))
    }

    fn abi11_cudaGraphRemoveDependencies(graph: usize, from: *const usize, to: *const usize, count: usize) {
        call!(graph_separate(graph, from, to, count))
    }

    fn cudaGraphRemoveDependencies_v2(graph: usize, from: *const usize, to: *const usize, edges: *const EdgeData, count: usize) {
        plain_edges(edges, count)?;
        call!(graph_separate(graph, from, to, count))
    }

    fn abi13_cudaGraphRemoveDependencies(graph: usize, from: *const usize, to: *const usize, edges: *const EdgeData, count: usize) {
        plain_edges(edges, count)?;
        call!(graph_separate(graph, from, to, count))
    }

    fn abi11_cudaGraphGetEdges(graph: usize, from: *mut usize, to: *mut usize, count: *mut usize) {
        call!(graph_edges(graph, from, to, count))
    }

    fn abi11_cudaGraphNodeGetDependentNodes(node: usize, nodes: *mut usize, count: *mut usize) {
        call!(graph_dependents(node, nodes, count))
    }

    fn cudaGraphGetEdges_v2(graph: usize, from: *mut usize, to: *mut usize, edges: *mut EdgeData, count: *mut usize) {
        call!(graph_edges(graph, from, to, count))?;
        tell_edges(edges, count);
        Ok(())
    }

    fn abi13_cudaGraphGetEdges(graph: usize, from: *mut usize, to: *mut usize, edges: *mut EdgeData, count: *mut usize) {
        call!(graph_edges(graph, from, to, count))?;
        tell_edges(edges, count);
        Ok(())
    }

    fn cudaGraphNodeGetDependentNodes_v2(node: usize, nodes: *mut usize, edges: *mut EdgeData, count: *mut usize) {
        call!(graph_dependents(node, nodes, count))?;
        tell_edges(edges, count);
        Ok(())
    }

    fn abi13_cudaGraphNodeGetDependentNodes(node: usize, nodes: *mut usize, edges: *mut EdgeData, count: *mut usize) {
        call!(graph_dependents(node, nodes, count))?;
        tell_edges(edges, count);
        Ok(())
    }

    fn cudaGraphDestroyNode(node: usize) {
        call!(graph_destroy_node(node))
    }

    fn cudaGraphNodeFindInClone(found: *mut usize, original: usize, clone: usize) {
        call!(graph_find(found, original, clone))
    }

    fn cudaGraphDebugDotPrint(graph: usize, path: *const c_char, flags: u32) {
        call!(graph_print(graph, path, flags))
    }

    fn cudaUserObjectCreate(
        object: *mut usize,
        data: *mut c_void,
        destroy: Option<unsafe extern "C" fn(*mut c_void)>,
        count: u32,
        flags: u32,
    ) {
        call!(object_create(object, data, destroy, count, flags))
    }

    fn cudaUserObjectRetain(object: usize, count: u32) {
        call!(object_retain(object, count))
    }

    fn cudaUserObjectRelease(object: usize, count: u32) {
        call!(object_release(object, count))
    }

    fn cudaGraphRetainUserObject(graph: usize, object: usize, count: u32, flags: u32) {
        call!(graph_retain_object(graph, object, count, flags))
    }

    fn cudaGraphReleaseUserObject(graph: usize, object: usize, count: u32) {
        call!(graph_release_object(graph, object, count))
    }

    fn cudaGraphLaunch |cudaGraphLaunch_ptsz with stream (executable: usize, stream: Stream) {
        call_in_context!(graph_launch(executable, stream))
    }

    fn cudaGraphUpload |cudaGraphUpload_ptsz with stream (executable: usize, stream: Stream) {
        call_in_context!(graph_upload(executable, stream))
    }

    fn cudaGraphExecDestroy(executable: usize) {
        call_in_context!(graph_exec_destroy(executable))
    }

    fn cudaGraphGetNodes(graph: usize, nodes: *mut usize, count: *mut usize) {
        call_in_context!(graph_nodes(graph, nodes, count))
    }

    fn cudaGraphGetRootNodes(graph: usize, nodes: *mut usize, count: *mut usize) {
        call_in_context!(graph_roots(graph, nodes, count))
    }

    fn cudaGraphNodeGetType(node: usize, kind: *mut u32) {
        call_in_context!(graph_node_type(node, kind))
    }
}
