//! cuGraphAdd…Node, cuGraph…NodeGetParams, cuGraph…NodeSetParams.

use api::structs::{HostNodeParams, KernelNodeParams, Memcpy3D, MemsetNodeParams};

use crate::door::*;
use crate::kernels::{Order, prepare};
use driver::graph::{self, NodeWork};
use driver::operation::{HostFunction, Operation};
use driver::{CuResult, Cuda, event};
use wire::command;

unsafe fn kernel(parameters: *const KernelNodeParams) -> Cuda<NodeWork> {
    // SAFETY: the caller passes a structure of version 1 at least, whose fields are these.
    let order = unsafe {
        let start = parameters.cast::<u8>();
        if start.is_null() {
            return Err(CuResult::INVALID_VALUE);
        }
        Order {
            function: (&raw const (*parameters).function).read(),
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
    Ok(NodeWork::Operation(Operation::Launch(std::sync::Arc::new(launch))))
}

unsafe fn memset(parameters: *const MemsetNodeParams) -> Cuda<NodeWork> {
    // SAFETY: the caller's structure.
    let order = unsafe { input(parameters) }?;
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

exports! {
    fn cuGraphAddKernelNode_v2(made: *mut usize, graph: usize, before: *const usize, count: usize, parameters: *const KernelNodeParams) {
        add(made, graph, before, count, kernel(parameters)?)
    }

    fn cuGraphAddKernelNode(made: *mut usize, graph: usize, before: *const usize, count: usize, parameters: *const KernelNodeParams) {
        add(made, graph, before, count, kernel(parameters)?)
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
        add(made, graph, before, count, NodeWork::Child(graph::by_handle(child)?.nodes()))
    }

    fn cuGraphAddEventRecordNode(made: *mut usize, graph: usize, before: *const usize, count: usize, recorded: usize) {
        add(made, graph, before, count, NodeWork::Operation(Operation::RecordEvent(event::by_handle(recorded)?)))
    }

    fn cuGraphAddEventWaitNode(made: *mut usize, graph: usize, before: *const usize, count: usize, awaited: usize) {
        add(made, graph, before, count, NodeWork::Operation(Operation::WaitEvent(event::by_handle(awaited)?)))
    }

    fn cuGraphKernelNodeGetParams_v2(node: usize, parameters: *mut KernelNodeParams) {
        let NodeWork::Operation(Operation::Launch(launch)) = graph::node(node)?.work else {
            return Err(CuResult::INVALID_VALUE);
        };
        let target = out(parameters)?;
        *target = KernelNodeParams {
            function: launch.function_handle,
            grid: launch.grid,
            block: launch.block,
            shared: launch.shared,
            parameters: std::ptr::null_mut(),
            extra: std::ptr::null_mut(),
            kernel: launch.function_handle,
            context: 0,
        };
        Ok(())
    }

    fn cuGraphKernelNodeSetParams_v2(node: usize, parameters: *const KernelNodeParams) {
        graph::set_node(node, kernel(parameters)?)
    }

    fn cuGraphKernelNodeSetParams(node: usize, parameters: *const KernelNodeParams) {
        graph::set_node(node, kernel(parameters)?)
    }

    fn cuGraphExecKernelNodeSetParams_v2(executable: usize, node: usize, parameters: *const KernelNodeParams) {
        graph::set_executable_node(executable, node, kernel(parameters)?)
    }

    fn cuGraphExecKernelNodeSetParams(executable: usize, node: usize, parameters: *const KernelNodeParams) {
        graph::set_executable_node(executable, node, kernel(parameters)?)
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

    fn cuGraphMemsetNodeSetParams(node: usize, parameters: *const MemsetNodeParams) {
        graph::set_node(node, memset(parameters)?)
    }

    fn cuGraphMemcpyNodeSetParams(node: usize, parameters: *const Memcpy3D) {
        graph::set_node(node, memcpy(parameters)?)
    }

    fn cuGraphHostNodeSetParams(node: usize, parameters: *const HostNodeParams) {
        graph::set_node(node, host(parameters)?)
    }
}
