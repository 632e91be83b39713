//! cudaGraphAdd…Node, cudaGraph…NodeSetParams, cudaGraphExec…NodeSetParams: nodes made by hand.
//!
//! The runtime's descriptions of fills and host functions are laid out like the driver's; kernels are named by their host-side
//! addresses, copies by `cudaMemcpy3DParms`.

use std::ffi::c_void;

use api::structs::{HostNodeParams, KernelNodeParams, MemsetNodeParams};

use crate::copies::{Copy3D, row_order};
use crate::door::*;
use crate::driver::{call, call_in_context, note_unsupported};
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

/// `cudaGraphNodeParams`: a type, then what belongs to it.
#[repr(C)]
pub struct NodeDescription {
    kind: u32,
    reserved: [u32; 3],
    /// 240 bytes, of which the first ones are meant here.
    content: [u64; 22],
}

impl NodeDescription {
    /// # Safety
    /// `T` must be what nodes of this kind are described by.
    unsafe fn content<T: Copy>(&self) -> T {
        const { assert!(size_of::<T>() <= 22 * 8) };
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

/// `cudaGraphAddNode`, in every form.
///
/// # Safety
/// As above.
unsafe fn add(made: *mut usize, graph: usize, before: Before, node: *const NodeDescription) -> Runtime {
    /// A copy's description begins with flags and a context.
    type CopyNode = ([u64; 2], Copy3D);
    let (nodes, count) = before;
    // SAFETY: the caller's promise; each type of node is described by what is read here.
    unsafe {
        let node = input(node)?;
        match node.kind {
            0 => add_kernel(made, graph, before, &node.content()),
            1 => add_copy(made, graph, before, node.content::<CopyNode>().1.order()?),
            2 => call_in_context!(graph_add_fill(made, graph, nodes, count, &node.content(), 0)),
            3 => call_in_context!(graph_add_host(made, graph, nodes, count, &node.content())),
            4 => call_in_context!(graph_add_child(made, graph, nodes, count, node.content())),
            5 => call_in_context!(graph_add_empty(made, graph, nodes, count)),
            6 => call_in_context!(graph_add_wait(made, graph, nodes, count, node.content())),
            7 => call_in_context!(graph_add_record(made, graph, nodes, count, node.content())),
            _ => {
                note_unsupported(
                    "cudaGraphAddNode of another type than kernel, copy, fill, host, graph, empty, event\0",
                );
                Err(Error::NOT_SUPPORTED)
            }
        }
    }
}

/// `cudaGraphNodeSetParams` (no executable) and `cudaGraphExecNodeSetParams`.
///
/// # Safety
/// As above.
unsafe fn set(executable: Option<usize>, node: usize, description: *const NodeDescription) -> Runtime {
    type CopyNode = ([u64; 2], Copy3D);
    // SAFETY: the caller's promise; each type of node is described by what is read here.
    unsafe {
        let description = input(description)?;
        match (description.kind, executable) {
            (0, None) => call!(graph_set_kernel(node, &description.content::<KernelNode>().order()?)),
            (0, Some(graph)) => {
                call!(graph_exec_kernel(graph, node, &description.content::<KernelNode>().order()?))
            }
            (1, None) => call!(graph_set_copy(node, &description.content::<CopyNode>().1.order()?)),
            (1, Some(graph)) => {
                call!(graph_exec_copy(graph, node, &description.content::<CopyNode>().1.order()?, 0))
            }
            (2, None) => call!(graph_set_fill(node, &description.content())),
            (2, Some(graph)) => call!(graph_exec_fill(graph, node, &description.content(), 0)),
            (3, None) => call!(graph_set_host(node, &description.content())),
            (3, Some(graph)) => call!(graph_exec_host(graph, node, &description.content())),
            _ => {
                note_unsupported("cudaGraphNodeSetParams of another type than kernel, copy, fill, host\0");
                Err(Error::NOT_SUPPORTED)
            }
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

    fn abi12_cudaGraphAddNode(made: *mut usize, graph: usize, nodes: *const usize, count: usize, node: *const NodeDescription) {
        add(made, graph, (nodes, count), node)
    }

    fn cudaGraphAddNode_v2(
        made: *mut usize,
        graph: usize,
        nodes: *const usize,
        edges: *const EdgeData,
        count: usize,
        node: *const NodeDescription,
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
        node: *const NodeDescription,
    ) {
        plain_edges(edges, count)?;
        add(made, graph, (nodes, count), node)
    }

    fn cudaGraphNodeSetParams(node: usize, description: *const NodeDescription) {
        set(None, node, description)
    }

    fn cudaGraphExecNodeSetParams(executable: usize, node: usize, description: *const NodeDescription) {
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
