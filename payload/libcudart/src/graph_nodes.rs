//! cudaGraphAdd…Node, cudaGraph…NodeSetParams, cudaGraphExec…NodeSetParams: nodes made by hand.
//!
//! The runtime's descriptions of fills and host functions are laid out like the driver's; kernels are named by their host-side
//! addresses, copies by `cudaMemcpy3DParms`.

use std::ffi::c_void;

use api::structs::{HostNodeParams, KernelNodeParams, MemsetNodeParams};

use crate::copies::{Copy3D, row_order};
use crate::door::*;
use crate::driver::{call, call_in_context};
use crate::graphs::{EdgeData, plain_edges};
use crate::registration::{Dim3, function, host_address, variable};

/// `cudaKernelNodeParams`; what CUDA 12 and 13 append is not looked at.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KernelNode {
    host: *const c_void,
    grid: Dim3,
    block: Dim3,
    shared: u32,
    parameters: *mut *mut c_void,
    extra: *mut *mut c_void,
}

call_trace::fields! { KernelNode { host, grid, block, shared, parameters, extra } }

impl KernelNode {
    fn order(&self) -> Runtime<KernelNodeParams> {
        Ok(KernelNodeParams {
            function: function(self.host)?,
            grid: self.grid.extents(),
            block: self.block.extents(),
            shared: self.shared,
            parameters: self.parameters,
            extra: self.extra,
            kernel: 0,
            context: 0,
        })
    }
}

/// `cudaGraphNodeType`s whose descriptions are the runtime's own.
const KERNEL: u32 = 0;
const COPY: u32 = 1;

/// `cudaGraphNodeParams`: a type, then what belongs to it.
#[repr(C)]
pub struct NodeDescription {
    kind: u32,
    reserved: [u32; 3],
    /// As long as the longest of them.
    content: [u64; 30],
}

call_trace::fields! { NodeDescription { kind } }

impl NodeDescription {
    /// # Safety
    /// `T` must be what nodes of this kind are described by.
    unsafe fn content<T: Copy>(&self) -> T {
        const { assert!(size_of::<T>() <= 30 * 8) };
        // SAFETY: the caller's promise; the content has that many bytes.
        unsafe { self.content.as_ptr().cast::<T>().read() }
    }
}

/// The nodes that a new one comes after.
type Before = (*const usize, usize);

/// # Safety
/// As the C functions: every address is the caller's.
unsafe fn add_kernel(made: *mut usize, graph: usize, (nodes, count): Before, node: &KernelNode) -> Runtime {
    let order = node.order()?;
    // SAFETY: the caller's promise.
    unsafe { call_in_context!(graph_add_kernel(made, graph, nodes, count, &order)) }
}

/// # Safety
/// As above.
unsafe fn add_copy(
    made: *mut usize,
    graph: usize,
    (nodes, count): Before,
    order: api::structs::Memcpy3D,
) -> Runtime {
    // SAFETY: the caller's promise.
    unsafe { call_in_context!(graph_add_copy(made, graph, nodes, count, &order, 0)) }
}

/// A copy's description begins with flags and a context.
type CopyNode = ([u64; 2], Copy3D);

/// `cudaGraphAddNode`, in every form. Where nothing is named by its host-side address, the driver's descriptions are the same.
///
/// # Safety
/// As above.
unsafe fn add(made: *mut usize, graph: usize, before: Before, place: *mut NodeDescription) -> Runtime {
    let (nodes, count) = before;
    // SAFETY: the caller's promise; kernels and copies are described by what is read here.
    unsafe {
        let node = input(place)?;
        match node.kind {
            KERNEL => add_kernel(made, graph, before, &node.content()),
            COPY => add_copy(made, graph, before, node.content::<CopyNode>().1.order()?),
            _ => call_in_context!(graph_add_any(made, graph, nodes, count, place.cast())),
        }
    }
}

/// `cudaGraphNodeSetParams` (no executable) and `cudaGraphExecNodeSetParams`.
///
/// # Safety
/// As above.
unsafe fn set(executable: Option<usize>, node: usize, place: *mut NodeDescription) -> Runtime {
    // SAFETY: as `add`.
    unsafe {
        let description = input(place)?;
        match (description.kind, executable) {
            (KERNEL, None) => call!(graph_set_kernel(node, &description.content::<KernelNode>().order()?)),
            (KERNEL, Some(graph)) => {
                call!(graph_exec_kernel(graph, node, &description.content::<KernelNode>().order()?))
            }
            (COPY, None) => call!(graph_set_copy(node, &description.content::<CopyNode>().1.order()?)),
            (COPY, Some(graph)) => {
                call!(graph_exec_copy(graph, node, &description.content::<CopyNode>().1.order()?, 0))
            }
            (_, None) => call!(graph_set_any(node, place.cast())),
            (_, Some(graph)) => call!(graph_exec_any(graph, node, place.cast())),
        }
    }
}

exports! {
    fn cudaGraphAddKernelNode(made: *mut usize, graph: usize, nodes: *const usize, count: usize, node: *const KernelNode) {
        add_kernel(made, graph, (nodes, count), input(node)?)
    }

    fn cudaGraphAddMemcpyNode(made: *mut usize, graph: usize, nodes: *const usize, count: usize, copy: *const Copy3D) {
        add_copy(made, graph, (nodes, count), input(copy)?.order()?)
    }

    fn cudaGraphAddMemcpyNode1D(
        made: *mut usize,
        graph: usize,
        nodes: *const usize,
        count: usize,
        target: u64,
        source: u64,
        bytes: usize,
        _kind: u32,
    ) {
        add_copy(made, graph, (nodes, count), row_order(target, source, bytes)?)
    }

    fn cudaGraphAddMemcpyNodeToSymbol(
        made: *mut usize,
        graph: usize,
        nodes: *const usize,
        count: usize,
        symbol: *const c_void,
        source: u64,
        bytes: usize,
        offset: usize,
        _kind: u32,
    ) {
        add_copy(made, graph, (nodes, count), row_order(variable(symbol)?.0 + offset as u64, source, bytes)?)
    }

    fn cudaGraphAddMemcpyNodeFromSymbol(
        made: *mut usize,
        graph: usize,
        nodes: *const usize,
        count: usize,
        target: u64,
        symbol: *const c_void,
        bytes: usize,
        offset: usize,
        _kind: u32,
    ) {
        add_copy(made, graph, (nodes, count), row_order(target, variable(symbol)?.0 + offset as u64, bytes)?)
    }

    fn cudaGraphAddMemsetNode(made: *mut usize, graph: usize, nodes: *const usize, count: usize, fill: *const MemsetNodeParams) {
        call_in_context!(graph_add_fill(made, graph, nodes, count, fill, 0))
    }

    fn cudaGraphAddHostNode(made: *mut usize, graph: usize, nodes: *const usize, count: usize, host: *const HostNodeParams) {
        call_in_context!(graph_add_host(made, graph, nodes, count, host))
    }

    fn cudaGraphAddEmptyNode(made: *mut usize, graph: usize, nodes: *const usize, count: usize) {
        call_in_context!(graph_add_empty(made, graph, nodes, count))
    }

    fn cudaGraphAddChildGraphNode(made: *mut usize, graph: usize, nodes: *const usize, count: usize, child: usize) {
        call_in_context!(graph_add_child(made, graph, nodes, count, child))
    }

    fn cudaGraphAddEventRecordNode(made: *mut usize, graph: usize, nodes: *const usize, count: usize, event: usize) {
        call_in_context!(graph_add_record(made, graph, nodes, count, event))
    }

    fn cudaGraphAddEventWaitNode(made: *mut usize, graph: usize, nodes: *const usize, count: usize, event: usize) {
        call_in_context!(graph_add_wait(made, graph, nodes, count, event))
    }

    fn abi12_cudaGraphAddNode(made: *mut usize, graph: usize, nodes: *const usize, count: usize, node: *mut NodeDescription) {
        add(made, graph, (nodes, count), node)
    }

    fn cudaGraphAddNode_v2(
        made: *mut usize,
        graph: usize,
        nodes: *const usize,
        edges: *const EdgeData,
        count: usize,
        node: *mut NodeDescription,
    ) {
        plain_edges(edges, count)?;
        add(made, graph, (nodes, count), node)
    }

    fn abi13_cudaGraphAddNode(
        made: *mut usize,
        graph: usize,
        nodes: *const usize,
        edges: *const EdgeData,
        count: usize,
        node: *mut NodeDescription,
    ) {
        plain_edges(edges, count)?;
        add(made, graph, (nodes, count), node)
    }

    fn cudaGraphNodeSetParams(node: usize, description: *mut NodeDescription) {
        set(None, node, description)
    }

    fn cudaGraphExecNodeSetParams(executable: usize, node: usize, description: *mut NodeDescription) {
        set(Some(executable), node, description)
    }

    fn cudaGraphKernelNodeGetParams(node: usize, target: *mut KernelNode) {
        let mut order = KernelNodeParams {
            function: 0,
            grid: [0; 3],
            block: [0; 3],
            shared: 0,
            parameters: std::ptr::null_mut(),
            extra: std::ptr::null_mut(),
            kernel: 0,
            context: 0,
        };
        call!(graph_kernel(node, &mut order))?;
        *out(target)? = KernelNode {
            host: host_address(order.function).unwrap_or(order.function) as *const c_void,
            grid: Dim3::from(order.grid),
            block: Dim3::from(order.block),
            shared: order.shared,
            parameters: order.parameters,
            extra: order.extra,
        };
        Ok(())
    }

    fn cudaGraphMemcpyNodeGetParams(node: usize, target: *mut Copy3D) {
        let mut order = row_order(0, 0, 0)?;
        call!(graph_copy(node, &mut order))?;
        *out(target)? = Copy3D::from(order);
        Ok(())
    }

    fn cudaGraphMemsetNodeGetParams(node: usize, target: *mut MemsetNodeParams) {
        call!(graph_fill(node, target))
    }

    fn cudaGraphHostNodeGetParams(node: usize, target: *mut HostNodeParams) {
        call!(graph_host(node, target))
    }

    fn cudaGraphKernelNodeGetAttribute(node: usize, attribute: u32, value: *mut [u8; 64]) {
        call!(graph_attribute(node, attribute, value))
    }

    fn cudaGraphKernelNodeSetAttribute(node: usize, attribute: u32, value: *const [u8; 64]) {
        call!(graph_set_attribute(node, attribute, value))
    }

    // Headers before CUDA 13 name these two the other way round; 13's correct that without a new symbol.
    fn cudaGraphKernelNodeCopyAttributes(target: usize, source: usize) {
        call!(graph_copy_attributes(target, source))
    }

    fn cudaGraphAddMemAllocNode(made: *mut usize, graph: usize, nodes: *const usize, count: usize, parameters: *mut c_void) {
        call_in_context!(graph_add_allocation(made, graph, nodes, count, parameters))
    }

    fn cudaGraphAddMemFreeNode(made: *mut usize, graph: usize, nodes: *const usize, count: usize, pointer: u64) {
        call_in_context!(graph_add_free(made, graph, nodes, count, pointer))
    }

    fn cudaGraphMemAllocNodeGetParams(node: usize, parameters: *mut c_void) {
        call!(graph_allocation(node, parameters))
    }

    fn cudaGraphMemFreeNodeGetParams(node: usize, pointer: *mut u64) {
        call!(graph_free(node, pointer))
    }

    fn cudaGraphChildGraphNodeGetGraph(node: usize, graph: *mut usize) {
        call!(graph_child(node, graph))
    }

    fn cudaGraphExecChildGraphNodeSetParams(executable: usize, node: usize, child: usize) {
        call!(graph_exec_child(executable, node, child))
    }

    fn cudaGraphEventRecordNodeGetEvent(node: usize, event: *mut usize) {
        call!(graph_recorded(node, event))
    }

    fn cudaGraphEventRecordNodeSetEvent(node: usize, event: usize) {
        call!(graph_set_recorded(node, event))
    }

    fn cudaGraphExecEventRecordNodeSetEvent(executable: usize, node: usize, event: usize) {
        call!(graph_exec_recorded(executable, node, event))
    }

    fn cudaGraphEventWaitNodeGetEvent(node: usize, event: *mut usize) {
        call!(graph_awaited(node, event))
    }

    fn cudaGraphEventWaitNodeSetEvent(node: usize, event: usize) {
        call!(graph_set_awaited(node, event))
    }

    fn cudaGraphExecEventWaitNodeSetEvent(executable: usize, node: usize, event: usize) {
        call!(graph_exec_awaited(executable, node, event))
    }

    fn cudaGraphNodeSetEnabled(executable: usize, node: usize, enabled: u32) {
        call!(graph_enable(executable, node, enabled))
    }

    fn cudaGraphNodeGetEnabled(executable: usize, node: usize, enabled: *mut u32) {
        call!(graph_enabled(executable, node, enabled))
    }

    fn cudaGraphMemcpyNodeSetParamsToSymbol(node: usize, symbol: *const c_void, source: u64, bytes: usize, offset: usize, _kind: u32) {
        call!(graph_set_copy(node, &row_order(variable(symbol)?.0 + offset as u64, source, bytes)?))
    }

    fn cudaGraphMemcpyNodeSetParamsFromSymbol(node: usize, target: u64, symbol: *const c_void, bytes: usize, offset: usize, _kind: u32) {
        call!(graph_set_copy(node, &row_order(target, variable(symbol)?.0 + offset as u64, bytes)?))
    }

    fn cudaGraphExecMemcpyNodeSetParamsToSymbol(
        executable: usize,
        node: usize,
        symbol: *const c_void,
        source: u64,
        bytes: usize,
        offset: usize,
        _kind: u32,
    ) {
        let order = row_order(variable(symbol)?.0 + offset as u64, source, bytes)?;
        call!(graph_exec_copy(executable, node, &order, 0))
    }

    fn cudaGraphExecMemcpyNodeSetParamsFromSymbol(
        executable: usize,
        node: usize,
        target: u64,
        symbol: *const c_void,
        bytes: usize,
        offset: usize,
        _kind: u32,
    ) {
        let order = row_order(target, variable(symbol)?.0 + offset as u64, bytes)?;
        call!(graph_exec_copy(executable, node, &order, 0))
    }

    fn cudaGraphKernelNodeSetParams(node: usize, parameters: *const KernelNode) {
        call!(graph_set_kernel(node, &input(parameters)?.order()?))
    }

    fn cudaGraphMemcpyNodeSetParams(node: usize, copy: *const Copy3D) {
        call!(graph_set_copy(node, &input(copy)?.order()?))
    }

    fn cudaGraphMemcpyNodeSetParams1D(node: usize, target: u64, source: u64, bytes: usize, _kind: u32) {
        call!(graph_set_copy(node, &row_order(target, source, bytes)?))
    }

    fn cudaGraphMemsetNodeSetParams(node: usize, fill: *const MemsetNodeParams) {
        call!(graph_set_fill(node, fill))
    }

    fn cudaGraphHostNodeSetParams(node: usize, host: *const HostNodeParams) {
        call!(graph_set_host(node, host))
    }

    fn cudaGraphExecKernelNodeSetParams(executable: usize, node: usize, parameters: *const KernelNode) {
        call!(graph_exec_kernel(executable, node, &input(parameters)?.order()?))
    }

    fn cudaGraphExecMemcpyNodeSetParams(executable: usize, node: usize, copy: *const Copy3D) {
        call!(graph_exec_copy(executable, node, &input(copy)?.order()?, 0))
    }

    fn cudaGraphExecMemcpyNodeSetParams1D(executable: usize, node: usize, target: u64, source: u64, bytes: usize, _kind: u32) {
        call!(graph_exec_copy(executable, node, &row_order(target, source, bytes)?, 0))
    }

    fn cudaGraphExecMemsetNodeSetParams(executable: usize, node: usize, fill: *const MemsetNodeParams) {
        call!(graph_exec_fill(executable, node, fill, 0))
    }

    fn cudaGraphExecHostNodeSetParams(executable: usize, node: usize, host: *const HostNodeParams) {
        call!(graph_exec_host(executable, node, host))
    }
}
