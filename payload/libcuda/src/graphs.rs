//! cuGraph…: graphs as wholes, their edges, executables; cuUserObject…

use std::ffi::{c_char, c_void};
use std::fmt::Write;

use crate::door::*;
use driver::graph::{self, Graph};
use driver::user_object::{self, Reference};
use driver::{CuResult, Cuda};

/// `CUgraphExecUpdateResultInfo`: result, error node, error-from node.
#[repr(C)]
pub struct UpdateInfo {
    result: u32,
    node: usize,
    from: usize,
}

call_trace::fields! { UpdateInfo { result, node, from } }

/// `CUDA_GRAPH_INSTANTIATE_PARAMS`
#[repr(C)]
pub struct InstantiateParams {
    flags: u64,
    upload_stream: *mut c_void,
    error_node: usize,
    result: u32,
}

call_trace::fields! { InstantiateParams { flags, upload_stream, error_node, result } }

/// `CUgraphEdgeData`: ports and type of an edge, all zero for a full dependency.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EdgeData([u8; 8]);

call_trace::opaque! { EdgeData }

/// `CU_GRAPH_USER_OBJECT_MOVE`
const MOVE_REFERENCES: u32 = 1;
/// `CU_USER_OBJECT_NO_DESTRUCTOR_SYNC`
const NO_DESTRUCTOR_SYNC: u32 = 1;

fn update(executable: usize, fresh: usize) -> (u32, usize, Cuda) {
    match graph::update(executable, fresh) {
        Ok(()) => (0, 0, Ok(())),
        Err((error, mismatch)) => (mismatch.reason, mismatch.node, Err(error)),
    }
}

/// # Safety
/// As the lists that `cuGraphGetNodes` and its kin fill: room for as many as `count` says, or null.
unsafe fn tell<T: Copy>(place: *mut T, room: usize, found: &[T], rest: T) {
    if place.is_null() {
        return;
    }
    for index in 0..room {
        // SAFETY: the caller's promise.
        unsafe { *place.add(index) = found.get(index).copied().unwrap_or(rest) };
    }
}

/// # Safety
/// As `tell`.
unsafe fn tell_nodes(nodes: *mut usize, count: *mut usize, found: &[usize]) -> Cuda {
    // SAFETY: the caller's promise.
    unsafe {
        let count = out(count)?;
        tell(nodes, *count, found, 0);
        *count = if nodes.is_null() { found.len() } else { found.len().min(*count) };
    }
    Ok(())
}

/// # Safety
/// As `tell`.
unsafe fn tell_nodes_and_data(
    nodes: *mut usize,
    data: *mut EdgeData,
    count: *mut usize,
    found: &[usize],
) -> Cuda {
    // SAFETY: the caller's promise.
    unsafe {
        tell(data, *out(count)?, &[], EdgeData([0; 8]));
        tell_nodes(nodes, count, found)
    }
}

/// # Safety
/// As `tell`.
unsafe fn tell_edges(
    handle: usize,
    from: *mut usize,
    to: *mut usize,
    data: *mut EdgeData,
    count: *mut usize,
) -> Cuda {
    let edges = graph::by_handle(handle)?.edges();
    let (sources, targets): (Vec<usize>, Vec<usize>) = edges.into_iter().unzip();
    // SAFETY: the caller's promise.
    unsafe {
        let room = *out(count)?;
        tell(from, room, &sources, 0);
        tell(data, room, &[], EdgeData([0; 8]));
        tell_nodes(to, count, &targets)
    }
}

/// # Safety
/// `from` and `to` lists of `count` nodes, `data` null or as long.
unsafe fn edges(
    from: *const usize,
    to: *const usize,
    data: *const EdgeData,
    count: usize,
) -> Cuda<Vec<(usize, usize)>> {
    // SAFETY: the caller's promise.
    let (from, to) = unsafe {
        check_edge_data(data, count)?;
        (list(from, count), list(to, count))
    };
    if from.len() != count || to.len() != count {
        return Err(CuResult::INVALID_VALUE);
    }
    Ok(from.iter().copied().zip(to.iter().copied()).collect())
}

/// Only full dependencies exist here: the others belong to cards of capability 9.0.
///
/// # Safety
/// `data` null or of `count` elements.
pub unsafe fn check_edge_data(data: *const EdgeData, count: usize) -> Cuda {
    // SAFETY: the caller's promise.
    if unsafe { list(data, count) }.iter().any(|data| data.0 != [0; 8]) {
        driver::note::unsupported("graph edges with ports or programmatic launch");
        return Err(CuResult::NOT_SUPPORTED);
    }
    Ok(())
}

fn dot(graph: &Graph, name: &str, text: &mut String) {
    use graph::node_type::*;
    for node in graph.nodes() {
        let kind = match node.work.kind() {
            KERNEL => "KERNEL",
            MEMCPY => "MEMCPY",
            MEMSET => "MEMSET",
            HOST => "HOST",
            GRAPH => "CHILD GRAPH",
            WAIT_EVENT => "EVENT WAIT",
            EVENT_RECORD => "EVENT RECORD",
            MEM_ALLOC => "MEM ALLOC",
            MEM_FREE => "MEM FREE",
            BATCH_MEM_OP => "BATCH MEM OP",
            _ => "EMPTY",
        };
        let _ = writeln!(text, "\"{name}_node_{}\" [label=\"{kind}\"];", node.handle);
        for before in &node.dependencies {
            let _ = writeln!(text, "\"{name}_node_{before}\" -> \"{name}_node_{}\";", node.handle);
        }
        if let graph::NodeWork::Child(child) = &node.work {
            let _ = writeln!(text, "subgraph \"cluster_{}\" {{", node.handle);
            dot(child, &format!("{name}_{}", node.handle), text);
            let _ = writeln!(text, "}}");
        }
    }
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

    fn cuGraphInstantiateWithFlags(executable: *mut usize, handle: usize, flags: u64) {
        *out(executable)? = graph::instantiate(handle, flags)?;
        Ok(())
    }

    fn cuGraphInstantiate(executable: *mut usize, handle: usize, _node: *mut usize, _log: *mut c_char, _size: usize) {
        *out(executable)? = graph::instantiate(handle, 0)?;
        Ok(())
    }

    fn cuGraphInstantiate_v2(executable: *mut usize, handle: usize, _node: *mut usize, _log: *mut c_char, _size: usize) {
        *out(executable)? = graph::instantiate(handle, 0)?;
        Ok(())
    }

    fn cuGraphInstantiateWithParams |cuGraphInstantiateWithParams_ptsz as _per_thread (
        executable: *mut usize,
        handle: usize,
        parameters: *mut InstantiateParams,
    ) {
        const ERROR: u32 = 1;
        let (target, parameters) = (out(executable)?, out(parameters)?);
        let made = graph::instantiate(handle, parameters.flags);
        parameters.error_node = 0;
        parameters.result = if made.is_ok() { 0 } else { ERROR };
        *target = made?;
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
        *out(flags)? = graph::executable(executable)?.flags;
        Ok(())
    }

    fn cuGraphExecUpdate(executable: usize, fresh: usize, node: *mut usize, result: *mut u32) {
        let (number, at, outcome) = update(executable, fresh);
        maybe(node, at);
        *out(result)? = number;
        outcome
    }

    fn cuGraphExecUpdate_v2(executable: usize, fresh: usize, info: *mut UpdateInfo) {
        let (result, node, outcome) = update(executable, fresh);
        *out(info)? = UpdateInfo { result, node, from: 0 };
        outcome
    }

    fn cuGraphNodeSetEnabled(executable: usize, node: usize, enabled: u32) {
        graph::executable(executable)?.set_enabled(node, enabled != 0)
    }

    fn cuGraphNodeGetEnabled(executable: usize, node: usize, enabled: *mut u32) {
        *out(enabled)? = graph::executable(executable)?.is_enabled(node)?.into();
        Ok(())
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

    fn cuGraphNodeGetDependencies_v2(node: usize, nodes: *mut usize, data: *mut EdgeData, count: *mut usize) {
        tell_nodes_and_data(nodes, data, count, &graph::node(node)?.dependencies)
    }

    fn cuGraphNodeGetDependentNodes(node: usize, nodes: *mut usize, count: *mut usize) {
        tell_nodes(nodes, count, &graph::owner(node)?.dependents(node))
    }

    fn cuGraphNodeGetDependentNodes_v2(node: usize, nodes: *mut usize, data: *mut EdgeData, count: *mut usize) {
        tell_nodes_and_data(nodes, data, count, &graph::owner(node)?.dependents(node))
    }

    fn cuGraphGetEdges(handle: usize, from: *mut usize, to: *mut usize, count: *mut usize) {
        tell_edges(handle, from, to, std::ptr::null_mut(), count)
    }

    fn cuGraphGetEdges_v2(handle: usize, from: *mut usize, to: *mut usize, data: *mut EdgeData, count: *mut usize) {
        tell_edges(handle, from, to, data, count)
    }

    fn cuGraphAddDependencies(handle: usize, from: *const usize, to: *const usize, count: usize) {
        graph::add_dependencies(handle, &edges(from, to, std::ptr::null(), count)?)
    }

    fn cuGraphAddDependencies_v2(
        handle: usize,
        from: *const usize,
        to: *const usize,
        data: *const EdgeData,
        count: usize,
    ) {
        graph::add_dependencies(handle, &edges(from, to, data, count)?)
    }

    fn cuGraphRemoveDependencies(handle: usize, from: *const usize, to: *const usize, count: usize) {
        graph::remove_dependencies(handle, &edges(from, to, std::ptr::null(), count)?)
    }

    fn cuGraphRemoveDependencies_v2(
        handle: usize,
        from: *const usize,
        to: *const usize,
        data: *const EdgeData,
        count: usize,
    ) {
        graph::remove_dependencies(handle, &edges(from, to, data, count)?)
    }

    fn cuGraphDestroyNode(node: usize) {
        graph::destroy_node(node)
    }

    fn cuGraphNodeFindInClone(found: *mut usize, original: usize, clone: usize) {
        *out(found)? = graph::find_in_clone(original, clone)?;
        Ok(())
    }

    fn cuGraphNodeGetType(node: usize, kind: *mut u32) {
        *out(kind)? = graph::node(node)?.work.kind();
        Ok(())
    }

    fn cuGraphDebugDotPrint(handle: usize, path: *const c_char, _flags: u32) {
        let mut drawing = "digraph dot {\n".to_owned();
        dot(&*graph::by_handle(handle)?, "graph", &mut drawing);
        drawing += "}\n";
        std::fs::write(text(path)?, drawing).map_err(|_| CuResult::OPERATING_SYSTEM)
    }

    fn cuDeviceGetGraphMemAttribute(device: i32, number: u32, value: *mut u64) {
        driver::get()?.device(device)?;
        *out(value)? = graph::memory_attribute(device, number)?;
        Ok(())
    }

    fn cuDeviceSetGraphMemAttribute(device: i32, number: u32, value: *const u64) {
        driver::get()?.device(device)?;
        graph::set_memory_attribute(device, number, *input(value)?)
    }

    fn cuDeviceGraphMemTrim(device: i32) {
        // A graph's memory is its own until it ends; nothing is cached.
        driver::get()?.device(device).map(drop)
    }

    fn cuUserObjectCreate(
        made: *mut usize,
        data: *mut c_void,
        destroy: Option<unsafe extern "C" fn(*mut c_void)>,
        count: u32,
        flags: u32,
    ) {
        let destroy = destroy.filter(|_| flags == NO_DESTRUCTOR_SYNC).ok_or(CuResult::INVALID_VALUE)?;
        *out(made)? = user_object::create(data, destroy, count)?;
        Ok(())
    }

    fn cuUserObjectRetain(object: usize, count: u32) {
        user_object::retain(object, count)
    }

    fn cuUserObjectRelease(object: usize, count: u32) {
        user_object::release(object, count)
    }

    fn cuGraphRetainUserObject(handle: usize, object: usize, count: u32, flags: u32) {
        let graph = graph::by_handle(handle)?;
        if count == 0 || flags & !MOVE_REFERENCES != 0 {
            return Err(CuResult::INVALID_VALUE);
        }
        for _ in 0..count {
            let moved = flags == MOVE_REFERENCES;
            graph.retain(if moved { Reference::take_over(object)? } else { Reference::retain(object)? });
        }
        Ok(())
    }

    fn cuGraphReleaseUserObject(handle: usize, object: usize, count: u32) {
        graph::by_handle(handle)?.release(object, count)
    }
}
