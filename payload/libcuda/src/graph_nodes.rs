//! cuGraphAdd…Node, cuGraph…NodeGetParams, cuGraph…NodeSetParams.

use std::sync::Arc;

use api::structs::{
    BatchMemOpNodeParams, GraphNodeParams, HostNodeParams, KernelNodeParams, MemAllocNodeParams,
    MemPoolProps, Memcpy3D, MemcpyNodeParams, MemsetNodeParams, StreamMemOp, memory_type,
};

use crate::door::*;
use crate::graphs::{EdgeData, check_edge_data};
use crate::kernels::{ATTRIBUTE_CLUSTER, ATTRIBUTE_COOPERATIVE, Order, prepare};
use crate::streams::batch;
use driver::graph::{self, GraphMemory, NodeWork, node_type};
use driver::launch::Launch;
use driver::operation::{HostFunction, Operation};
use driver::{CuResult, Cuda, context, event, memory};
use wire::command;
use wire::control::MemoryKind;

/// # Safety
/// Null, or a structure of version 1 at least; `newer` says that it has the fields of version 2.
unsafe fn kernel(parameters: *const KernelNodeParams, newer: bool) -> Cuda<NodeWork> {
    if parameters.is_null() {
        return Err(CuResult::INVALID_VALUE);
    }
    // SAFETY: the caller's promise; fields are read one by one because version 1 is shorter.
    let order = unsafe {
        let function = (&raw const (*parameters).function).read();
        let kernel = if newer { (&raw const (*parameters).kernel).read() } else { 0 };
        Order {
            function: if function == 0 { kernel } else { function },
            grid: (&raw const (*parameters).grid).read(),
            block: (&raw const (*parameters).block).read(),
            shared: (&raw const (*parameters).shared).read(),
            parameters: (&raw const (*parameters).parameters).read(),
            extra: (&raw const (*parameters).extra).read(),
            cooperative: false,
        }
    };
    // SAFETY: as `cuLaunchKernel`.
    let launch = unsafe { prepare(&order) }?;
    Ok(NodeWork::Operation(Operation::Launch(Arc::new(launch))))
}

unsafe fn memset(parameters: *const MemsetNodeParams) -> Cuda<NodeWork> {
    // SAFETY: the caller's structure.
    let order = unsafe { input(parameters) }?;
    if !matches!(order.element, 1 | 2 | 4) || !order.target.is_multiple_of(u64::from(order.element)) {
        return Err(CuResult::INVALID_VALUE);
    }
    Ok(NodeWork::Operation(Operation::Fill(command::Fill {
        target: order.target,
        pitch: order.pitch as u64,
        width: order.width as u64,
        height: order.height as u64,
        value: order.value,
        element: order.element,
    })))
}

unsafe fn host(parameters: *const HostNodeParams) -> Cuda<NodeWork> {
    // SAFETY: the caller's structure.
    let order = unsafe { input(parameters) }?;
    let function = order.function.ok_or(CuResult::INVALID_VALUE)?;
    Ok(NodeWork::Operation(Operation::Host(HostFunction { function, data: order.data })))
}

unsafe fn memcpy(parameters: *const Memcpy3D) -> Cuda<NodeWork> {
    // SAFETY: the caller's structure.
    let order = crate::copies::rectangle_3d(unsafe { input(parameters) }?)?;
    Ok(NodeWork::Operation(Operation::CopyRectangle(order)))
}

unsafe fn memory_words(parameters: *const BatchMemOpNodeParams) -> Cuda<NodeWork> {
    // SAFETY: the caller's structure and list.
    unsafe {
        let order = input(parameters)?;
        Ok(NodeWork::Batch(batch(list(order.operations, order.count as usize))?))
    }
}

unsafe fn allocation(parameters: *mut MemAllocNodeParams) -> Cuda<NodeWork> {
    // SAFETY: the caller's structure; the address is an answer.
    let order = unsafe { out(parameters) }?;
    driver::get()?.device(order.pool.location)?;
    if order.bytes == 0 || order.pool.handle_types != 0 {
        return Err(CuResult::INVALID_VALUE);
    }
    let memory = GraphMemory::take(order.bytes as u64)?;
    order.address = memory.address;
    Ok(NodeWork::Allocate(memory))
}

fn release(address: u64) -> Cuda<NodeWork> {
    memory::find(address).ok_or(CuResult::INVALID_VALUE)?;
    Ok(NodeWork::Free(address))
}

fn record(handle: usize) -> Cuda<NodeWork> {
    Ok(NodeWork::Operation(Operation::RecordEvent(event::by_handle(handle)?)))
}

fn wait(handle: usize) -> Cuda<NodeWork> {
    Ok(NodeWork::Operation(Operation::WaitEvent(event::by_handle(handle)?)))
}

/// A node of any kind.
///
/// # Safety
/// As `cuGraphAddNode`.
unsafe fn any(parameters: *mut GraphNodeParams) -> Cuda<NodeWork> {
    // SAFETY: the caller's structure; its kind says what the body is.
    unsafe {
        let order = out(parameters)?;
        let [first, ..] = order.body;
        let body = order.body.as_mut_ptr();
        match order.kind {
            node_type::KERNEL => kernel(body.cast(), true),
            node_type::MEMCPY => memcpy(&(*body.cast::<MemcpyNodeParams>()).copy),
            node_type::MEMSET => memset(body.cast()),
            node_type::HOST => host(body.cast()),
            node_type::GRAPH => graph::child(first as usize),
            node_type::EMPTY => Ok(NodeWork::Operation(Operation::Nothing)),
            node_type::WAIT_EVENT => wait(first as usize),
            node_type::EVENT_RECORD => record(first as usize),
            node_type::MEM_ALLOC => allocation(body.cast()),
            node_type::MEM_FREE => release(first),
            node_type::BATCH_MEM_OP => memory_words(body.cast()),
            node_type::CONDITIONAL => Err(conditional()),
            _ => Err(CuResult::NOT_SUPPORTED),
        }
    }
}

fn conditional() -> CuResult {
    driver::note::unsupported("conditional graph nodes (a kernel decides what runs next)");
    CuResult::NOT_SUPPORTED
}

unsafe fn add(
    made: *mut usize,
    graph: usize,
    dependencies: *const usize,
    count: usize,
    work: NodeWork,
) -> Cuda {
    // SAFETY: the caller's lists.
    unsafe { *out(made)? = graph::add_node(graph, list(dependencies, count), work)? };
    Ok(())
}

fn operation(node: usize) -> Cuda<Operation> {
    match graph::node(node)?.work {
        NodeWork::Operation(operation) => Ok(operation),
        _ => Err(CuResult::INVALID_VALUE),
    }
}

fn launch(node: usize) -> Cuda<Arc<Launch>> {
    match operation(node)? {
        Operation::Launch(launch) => Ok(launch),
        _ => Err(CuResult::INVALID_VALUE),
    }
}

/// The copy of a node as the structure that would make it again.
fn copy_of(node: usize) -> Cuda<Memcpy3D> {
    let order = match operation(node)? {
        Operation::CopyRectangle(order) => order,
        Operation::Copy { target, source, length } => command::CopyRectangle {
            target,
            source,
            row_pitch: [length; 2],
            slice_pitch: [length; 2],
            extent: [length, 1, 1],
        },
        _ => return Err(CuResult::INVALID_VALUE),
    };
    let host = |address| memory::find(address).is_none_or(|(_, found)| found.kind == MemoryKind::Host);
    let kind = |address| if host(address) { memory_type::HOST } else { memory_type::DEVICE };
    let rows = |side: usize| order.slice_pitch[side].checked_div(order.row_pitch[side]).unwrap_or(0) as usize;
    // Both places name the address; the kind says which of them counts.
    Ok(Memcpy3D {
        src_x: 0,
        src_y: 0,
        src_z: 0,
        src_lod: 0,
        src_type: kind(order.source),
        src_host: if host(order.source) { order.source as *const _ } else { std::ptr::null() },
        src_device: if host(order.source) { 0 } else { order.source },
        src_array: std::ptr::null_mut(),
        src_reserved: std::ptr::null_mut(),
        src_pitch: order.row_pitch[1] as usize,
        src_height: rows(1),
        dst_x: 0,
        dst_y: 0,
        dst_z: 0,
        dst_lod: 0,
        dst_type: kind(order.target),
        dst_host: if host(order.target) { order.target as *mut _ } else { std::ptr::null_mut() },
        dst_device: if host(order.target) { 0 } else { order.target },
        dst_array: std::ptr::null_mut(),
        dst_reserved: std::ptr::null_mut(),
        dst_pitch: order.row_pitch[0] as usize,
        dst_height: rows(0),
        width: order.extent[0] as usize,
        height: order.extent[1] as usize,
        depth: order.extent[2] as usize,
    })
}

fn words_of(node: usize) -> Cuda<Vec<StreamMemOp>> {
    let operations = match graph::node(node)?.work {
        NodeWork::Batch(operations) => operations,
        NodeWork::Operation(operation @ (Operation::WriteValue(_) | Operation::WaitValue(_))) => {
            vec![operation]
        }
        _ => return Err(CuResult::INVALID_VALUE),
    };
    Ok(operations.iter().filter_map(crate::streams::memory_word).collect())
}

thread_local! {
    /// Operations told by the newest cuGraphBatchMemOpNodeGetParams: the caller gets their address.
    static WORDS: std::cell::RefCell<Vec<StreamMemOp>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn launch_params(launch: &Launch) -> KernelNodeParams {
    KernelNodeParams {
        function: launch.function_handle,
        grid: launch.grid,
        block: launch.block,
        shared: launch.shared,
        parameters: launch.addresses(),
        extra: std::ptr::null_mut(),
        kernel: launch.function_handle,
        context: context::get_current().unwrap_or(0),
    }
}

/// A value of `CUlaunchAttributeValue` that begins with this number.
fn number(value: u32) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..4].copy_from_slice(&value.to_ne_bytes());
    bytes
}

fn set_attribute(node: usize, attribute: u32, value: [u8; 64]) -> Cuda {
    let first = u32::from_ne_bytes([value[0], value[1], value[2], value[3]]);
    let launch = launch(node)?;
    match attribute {
        ATTRIBUTE_COOPERATIVE => {
            let Launch { function_handle, grid, block, shared, .. } = *launch;
            let parameters = launch.parameters.clone();
            let changed = Launch::new(function_handle, grid, block, shared, parameters, first != 0)?;
            graph::set_node(node, NodeWork::Operation(Operation::Launch(Arc::new(changed))))
        }
        ATTRIBUTE_CLUSTER if first > 1 => {
            driver::note::unsupported("graph kernel nodes with thread-block clusters");
            Err(CuResult::NOT_SUPPORTED)
        }
        _ => graph::set_attribute(node, attribute, value),
    }
}

exports! {
    fn cuGraphAddKernelNode_v2(made: *mut usize, graph: usize, before: *const usize, count: usize, parameters: *const KernelNodeParams) {
        add(made, graph, before, count, kernel(parameters, true)?)
    }

    fn cuGraphAddKernelNode(made: *mut usize, graph: usize, before: *const usize, count: usize, parameters: *const KernelNodeParams) {
        add(made, graph, before, count, kernel(parameters, false)?)
    }

    fn cuGraphAddMemcpyNode(made: *mut usize, graph: usize, before: *const usize, count: usize, parameters: *const Memcpy3D, _context: usize) {
        add(made, graph, before, count, memcpy(parameters)?)
    }

    fn cuGraphAddMemsetNode(made: *mut usize, graph: usize, before: *const usize, count: usize, parameters: *const MemsetNodeParams, _context: usize) {
        add(made, graph, before, count, memset(parameters)?)
    }

    fn cuGraphAddHostNode(made: *mut usize, graph: usize, before: *const usize, count: usize, parameters: *const HostNodeParams) {
        add(made, graph, before, count, host(parameters)?)
    }

    fn cuGraphAddEmptyNode(made: *mut usize, graph: usize, before: *const usize, count: usize) {
        add(made, graph, before, count, NodeWork::Operation(Operation::Nothing))
    }

    fn cuGraphAddChildGraphNode(made: *mut usize, graph: usize, before: *const usize, count: usize, child: usize) {
        add(made, graph, before, count, graph::child(child)?)
    }

    fn cuGraphAddEventRecordNode(made: *mut usize, graph: usize, before: *const usize, count: usize, recorded: usize) {
        add(made, graph, before, count, record(recorded)?)
    }

    fn cuGraphAddEventWaitNode(made: *mut usize, graph: usize, before: *const usize, count: usize, awaited: usize) {
        add(made, graph, before, count, wait(awaited)?)
    }

    fn cuGraphAddMemAllocNode(made: *mut usize, graph: usize, before: *const usize, count: usize, parameters: *mut MemAllocNodeParams) {
        add(made, graph, before, count, allocation(parameters)?)
    }

    fn cuGraphAddMemFreeNode(made: *mut usize, graph: usize, before: *const usize, count: usize, address: u64) {
        add(made, graph, before, count, release(address)?)
    }

    fn cuGraphAddBatchMemOpNode(made: *mut usize, graph: usize, before: *const usize, count: usize, parameters: *const BatchMemOpNodeParams) {
        add(made, graph, before, count, memory_words(parameters)?)
    }

    fn cuGraphAddNode(made: *mut usize, graph: usize, before: *const usize, count: usize, parameters: *mut GraphNodeParams) {
        add(made, graph, before, count, any(parameters)?)
    }

    fn cuGraphAddNode_v2(
        made: *mut usize,
        graph: usize,
        before: *const usize,
        edges: *const EdgeData,
        count: usize,
        parameters: *mut GraphNodeParams,
    ) {
        check_edge_data(edges, count)?;
        add(made, graph, before, count, any(parameters)?)
    }

    fn cuGraphConditionalHandleCreate(_handle: *mut u64, graph: usize, _context: usize, _default: u32, _flags: u32) {
        graph::by_handle(graph)?;
        Err(conditional())
    }

    fn cuGraphKernelNodeGetParams(node: usize, parameters: *mut KernelNodeParams) {
        // Version 1 ends before `kernel`.
        let (target, told) = (parameters.cast::<[u8; 56]>(), launch_params(&*launch(node)?));
        *out(target)? = (&raw const told).cast::<[u8; 56]>().read();
        Ok(())
    }

    fn cuGraphKernelNodeGetParams_v2(node: usize, parameters: *mut KernelNodeParams) {
        *out(parameters)? = launch_params(&*launch(node)?);
        Ok(())
    }

    fn cuGraphMemcpyNodeGetParams(node: usize, parameters: *mut Memcpy3D) {
        *out(parameters)? = copy_of(node)?;
        Ok(())
    }

    fn cuGraphMemsetNodeGetParams(node: usize, parameters: *mut MemsetNodeParams) {
        let Operation::Fill(order) = operation(node)? else { return Err(CuResult::INVALID_VALUE) };
        *out(parameters)? = MemsetNodeParams {
            target: order.target,
            pitch: order.pitch as usize,
            value: order.value,
            element: order.element,
            width: order.width as usize,
            height: order.height as usize,
        };
        Ok(())
    }

    fn cuGraphHostNodeGetParams(node: usize, parameters: *mut HostNodeParams) {
        let Operation::Host(HostFunction { function, data }) = operation(node)? else {
            return Err(CuResult::INVALID_VALUE);
        };
        *out(parameters)? = HostNodeParams { function: Some(function), data };
        Ok(())
    }

    fn cuGraphChildGraphNodeGetGraph(node: usize, child: *mut usize) {
        let NodeWork::Child(graph) = graph::node(node)?.work else { return Err(CuResult::INVALID_VALUE) };
        *out(child)? = graph.handle();
        Ok(())
    }

    fn cuGraphEventRecordNodeGetEvent(node: usize, recorded: *mut usize) {
        let Operation::RecordEvent(event) = operation(node)? else { return Err(CuResult::INVALID_VALUE) };
        *out(recorded)? = event.handle();
        Ok(())
    }

    fn cuGraphEventWaitNodeGetEvent(node: usize, awaited: *mut usize) {
        let Operation::WaitEvent(event) = operation(node)? else { return Err(CuResult::INVALID_VALUE) };
        *out(awaited)? = event.handle();
        Ok(())
    }

    fn cuGraphMemAllocNodeGetParams(node: usize, parameters: *mut MemAllocNodeParams) {
        const PINNED: u32 = 1;
        const ON_DEVICE: u32 = 1;
        let NodeWork::Allocate(memory) = graph::node(node)?.work else { return Err(CuResult::INVALID_VALUE) };
        *out(parameters)? = MemAllocNodeParams {
            pool: MemPoolProps {
                allocation_type: PINNED,
                handle_types: 0,
                location_type: ON_DEVICE,
                location: memory.device,
                security: std::ptr::null_mut(),
                max_size: 0,
                usage: 0,
                reserved: [0; 54],
            },
            access: std::ptr::null(),
            access_count: 0,
            bytes: memory.bytes as usize,
            address: memory.address,
        };
        Ok(())
    }

    fn cuGraphMemFreeNodeGetParams(node: usize, address: *mut u64) {
        let NodeWork::Free(freed) = graph::node(node)?.work else { return Err(CuResult::INVALID_VALUE) };
        *out(address)? = freed;
        Ok(())
    }

    fn cuGraphBatchMemOpNodeGetParams(node: usize, parameters: *mut BatchMemOpNodeParams) {
        let words = words_of(node)?;
        let target = out(parameters)?;
        WORDS.with_borrow_mut(|kept| {
            *kept = words;
            let (count, operations) = (kept.len() as u32, kept.as_mut_ptr());
            *target = BatchMemOpNodeParams { context: 0, count, operations, flags: 0 };
        });
        Ok(())
    }

    fn cuGraphKernelNodeGetAttribute(node: usize, attribute: u32, value: *mut [u8; 64]) {
        let set = graph::node(node)?.attributes.get(&attribute).copied();
        let cooperative = number(launch(node)?.cooperative.into());
        *out(value)? = if attribute == ATTRIBUTE_COOPERATIVE { cooperative } else { set.unwrap_or([0; 64]) };
        Ok(())
    }

    fn cuGraphKernelNodeSetAttribute(node: usize, attribute: u32, value: *const [u8; 64]) {
        set_attribute(node, attribute, *input(value)?)
    }

    fn cuGraphKernelNodeCopyAttributes(target: usize, source: usize) {
        let cooperative = number(launch(source)?.cooperative.into());
        set_attribute(target, ATTRIBUTE_COOPERATIVE, cooperative)?;
        let attributes = graph::node(source)?.attributes;
        attributes.into_iter().try_for_each(|(number, value)| graph::set_attribute(target, number, value))
    }

    fn cuGraphNodeSetParams(node: usize, parameters: *mut GraphNodeParams) {
        graph::set_node(node, any(parameters)?)
    }

    fn cuGraphKernelNodeSetParams_v2(node: usize, parameters: *const KernelNodeParams) {
        graph::set_node(node, kernel(parameters, true)?)
    }

    fn cuGraphKernelNodeSetParams(node: usize, parameters: *const KernelNodeParams) {
        graph::set_node(node, kernel(parameters, false)?)
    }

    fn cuGraphMemsetNodeSetParams(node: usize, parameters: *const MemsetNodeParams) {
        graph::set_node(node, memset(parameters)?)
    }

    fn cuGraphMemcpyNodeSetParams(node: usize, parameters: *const Memcpy3D) {
        graph::set_node(node, memcpy(parameters)?)
    }

    fn cuGraphHostNodeSetParams(node: usize, parameters: *const HostNodeParams) {
        graph::set_node(node, host(parameters)?)
    }

    fn cuGraphEventRecordNodeSetEvent(node: usize, recorded: usize) {
        graph::set_node(node, record(recorded)?)
    }

    fn cuGraphEventWaitNodeSetEvent(node: usize, awaited: usize) {
        graph::set_node(node, wait(awaited)?)
    }

    fn cuGraphBatchMemOpNodeSetParams(node: usize, parameters: *const BatchMemOpNodeParams) {
        graph::set_node(node, memory_words(parameters)?)
    }

    fn cuGraphExecNodeSetParams(executable: usize, node: usize, parameters: *mut GraphNodeParams) {
        let order = out(parameters)?;
        if order.kind == node_type::GRAPH {
            return graph::set_executable_child(executable, node, order.body[0] as usize);
        }
        graph::set_executable_node(executable, node, any(parameters)?)
    }

    fn cuGraphExecKernelNodeSetParams_v2(executable: usize, node: usize, parameters: *const KernelNodeParams) {
        graph::set_executable_node(executable, node, kernel(parameters, true)?)
    }

    fn cuGraphExecKernelNodeSetParams(executable: usize, node: usize, parameters: *const KernelNodeParams) {
        graph::set_executable_node(executable, node, kernel(parameters, false)?)
    }

    fn cuGraphExecMemcpyNodeSetParams(executable: usize, node: usize, parameters: *const Memcpy3D, _context: usize) {
        graph::set_executable_node(executable, node, memcpy(parameters)?)
    }

    fn cuGraphExecMemsetNodeSetParams(executable: usize, node: usize, parameters: *const MemsetNodeParams, _context: usize) {
        graph::set_executable_node(executable, node, memset(parameters)?)
    }

    fn cuGraphExecHostNodeSetParams(executable: usize, node: usize, parameters: *const HostNodeParams) {
        graph::set_executable_node(executable, node, host(parameters)?)
    }

    fn cuGraphExecChildGraphNodeSetParams(executable: usize, node: usize, child: usize) {
        graph::set_executable_child(executable, node, child)
    }

    fn cuGraphExecEventRecordNodeSetEvent(executable: usize, node: usize, recorded: usize) {
        graph::set_executable_node(executable, node, record(recorded)?)
    }

    fn cuGraphExecEventWaitNodeSetEvent(executable: usize, node: usize, awaited: usize) {
        graph::set_executable_node(executable, node, wait(awaited)?)
    }

    fn cuGraphExecBatchMemOpNodeSetParams(executable: usize, node: usize, parameters: *const BatchMemOpNodeParams) {
        graph::set_executable_node(executable, node, memory_words(parameters)?)
    }
}
