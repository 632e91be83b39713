//! cudaGraph…

use std::ffi::c_char;

use crate::door::*;
use crate::driver::call_in_context;
use crate::streams::Stream;

/// `cudaGraphExecUpdateResultInfo`
#[repr(C)]
pub struct UpdateInfo {
    result: u32,
    node: usize,
    from: usize,
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
