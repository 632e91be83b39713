//! Graphs that can be launched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{Graph, Node, NodeWork, by_handle, copy, in_order};
use crate::event::Event;
use crate::handle::Handles;
use crate::stream::{self, Stream};
use crate::user_object::Reference;
use crate::{CuResult, Cuda, context, get, lock, note};

/// `CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH`
const AUTO_FREE_ON_LAUNCH: u64 = 1;
/// `CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH`
const DEVICE_LAUNCH: u64 = 4;
/// All flags that exist.
const KNOWN_FLAGS: u64 = 15;

/// A graph that can be launched: a copy, so that its graph may change or end.
pub struct Executable {
    steps: Mutex<Vec<Step>>,
    /// As it was instantiated.
    pub flags: u64,
    /// The stream that it was launched to last, and an event behind that launch: launches of one executable don't overlap.
    last: Mutex<Option<(u32, Arc<Event>)>>,
    objects: Mutex<Vec<Reference>>,
}

/// A node in its place.
#[derive(Clone)]
struct Step {
    node: Node,
    /// Disabled nodes do nothing.
    enabled: bool,
    /// Steps of a child graph.
    children: Vec<Step>,
}

/// Why an executable could not take another graph's work.
pub struct Mismatch {
    /// `CUgraphExecUpdateResult`
    pub reason: u32,
    /// The node of the new graph at which it shows, or 0.
    pub node: usize,
}

impl Mismatch {
    const ERROR: u32 = 1;
    const TOPOLOGY_CHANGED: u32 = 2;
    const NODE_TYPE_CHANGED: u32 = 3;
    const PARAMETERS_CHANGED: u32 = 5;
}

static EXECUTABLES: Handles<Executable> = Handles::new();

fn steps(nodes: Vec<Node>) -> Cuda<Vec<Step>> {
    let step = |node: Node| {
        let children = match &node.work {
            NodeWork::Child(child) => steps(child.nodes())?,
            _ => Vec::new(),
        };
        Ok(Step { node, enabled: true, children })
    };
    in_order(nodes)?.into_iter().map(step).collect()
}

impl Step {
    fn replay(&self, stream: &Stream, auto_free: bool) -> Cuda {
        if !self.enabled {
            return Ok(());
        }
        match &self.node.work {
            NodeWork::Operation(operation) => operation.perform(stream),
            NodeWork::Batch(operations) => {
                operations.iter().try_for_each(|operation| operation.perform(stream))
            }
            NodeWork::Child(_) => self.children.iter().try_for_each(|step| step.replay(stream, auto_free)),
            NodeWork::Allocate(memory) => memory.begin(auto_free),
            NodeWork::Free(address) => super::graph_memory(*address).ok_or(CuResult::INVALID_VALUE)?.end(),
        }
    }
}

/// The step of a node, also in child graphs.
fn find(steps: &mut [Step], handle: usize) -> Option<&mut Step> {
    for step in steps {
        if step.node.handle == handle {
            return Some(step);
        }
        if let Some(found) = find(&mut step.children, handle) {
            return Some(found);
        }
    }
    None
}

/// `cuGraphInstantiate`
pub fn instantiate(handle: usize, flags: u64) -> Cuda<usize> {
    let graph = by_handle(handle)?;
    if flags & !KNOWN_FLAGS != 0 {
        return Err(CuResult::INVALID_VALUE);
    }
    if flags & DEVICE_LAUNCH != 0 {
        note::unsupported("cuGraphInstantiate for launches by kernels");
        return Err(CuResult::NOT_SUPPORTED);
    }
    let steps = Mutex::new(steps(graph.nodes())?);
    let objects = Mutex::new(lock(&graph.objects).clone());
    Ok(EXECUTABLES.insert(Arc::new(Executable { steps, flags, last: Mutex::default(), objects })))
}

/// The executable of a handle.
pub fn executable(handle: usize) -> Cuda<Arc<Executable>> {
    get()?;
    EXECUTABLES.get(handle)
}

/// Whether there is such an executable graph.
pub fn check_executable(handle: usize) -> Cuda {
    executable(handle).map(drop)
}

/// `cuGraphExecDestroy`
pub fn destroy_executable(handle: usize) -> Cuda {
    get()?;
    EXECUTABLES.remove(handle).map(drop)
}

impl Executable {
    fn change<T>(&self, handle: usize, action: impl FnOnce(&mut Step) -> Cuda<T>) -> Cuda<T> {
        action(find(&mut lock(&self.steps), handle).ok_or(CuResult::INVALID_VALUE)?)
    }

    /// `cuGraphNodeSetEnabled`
    pub fn set_enabled(&self, handle: usize, enabled: bool) -> Cuda {
        use super::node_type::*;
        self.change(handle, |step| {
            if !matches!(step.node.work.kind(), KERNEL | MEMCPY | MEMSET) {
                return Err(CuResult::INVALID_VALUE);
            }
            step.enabled = enabled;
            Ok(())
        })
    }

    /// `cuGraphNodeGetEnabled`
    pub fn is_enabled(&self, handle: usize) -> Cuda<bool> {
        self.change(handle, |step| Ok(step.enabled))
    }

    fn launch(&self, stream: &Stream) -> Cuda {
        let mut last = lock(&self.last);
        if let Some((slot, event)) = last.as_ref()
            && *slot != stream.slot
        {
            event.submit_wait(stream)?;
        }
        let auto_free = self.flags & AUTO_FREE_ON_LAUNCH != 0;
        lock(&self.steps).iter().try_for_each(|step| step.replay(stream, auto_free))?;
        let event = match last.take() {
            Some((_, event)) => event,
            None => Event::untimed(&stream.engine)?,
        };
        event.submit_record(stream)?;
        *last = Some((stream.slot, event));
        Ok(())
    }
}

/// `cuGraphExec…NodeSetParams`: work of the kind that it was.
pub fn set_executable_node(handle: usize, node: usize, work: NodeWork) -> Cuda {
    executable(handle)?.change(node, |step| {
        if step.node.work.kind() != work.kind() {
            return Err(CuResult::INVALID_VALUE);
        }
        step.node.work = work;
        Ok(())
    })
}

/// `cuGraphExecChildGraphNodeSetParams`: a graph of the same shape.
pub fn set_executable_child(handle: usize, node: usize, graph: usize) -> Cuda {
    let fresh = steps(by_handle(graph)?.nodes())?;
    executable(handle)?.change(node, |step| {
        if !matches!(step.node.work, NodeWork::Child(_)) {
            return Err(CuResult::INVALID_VALUE);
        }
        compare(&step.children, &fresh).map_err(|_| CuResult::INVALID_VALUE)?;
        take_over(&mut step.children, fresh);
        Ok(())
    })
}

/// `cuGraphExecUpdate`
pub fn update(handle: usize, graph: usize) -> Result<(), (CuResult, Mismatch)> {
    let unable = |error: CuResult| (error, Mismatch { reason: Mismatch::ERROR, node: 0 });
    let executable = executable(handle).map_err(unable)?;
    let graph = by_handle(graph).map_err(unable)?;
    let fresh = steps(graph.nodes()).map_err(unable)?;
    let mut steps = lock(&executable.steps);
    compare(&steps, &fresh).map_err(|mismatch| (CuResult::GRAPH_EXEC_UPDATE_FAILURE, mismatch))?;
    take_over(&mut steps, fresh);
    *lock(&executable.objects) = lock(&graph.objects).clone();
    Ok(())
}

/// Dependencies as places in the order: equal for graphs of the same shape.
fn shape(steps: &[Step]) -> Vec<Vec<usize>> {
    let places: HashMap<usize, usize> =
        steps.iter().enumerate().map(|(place, step)| (step.node.handle, place)).collect();
    let before = |step: &Step| {
        let mut places: Vec<usize> =
            step.node.dependencies.iter().filter_map(|handle| places.get(handle).copied()).collect();
        places.sort_unstable();
        places
    };
    steps.iter().map(before).collect()
}

fn compare(old: &[Step], new: &[Step]) -> Result<(), Mismatch> {
    if old.len() != new.len() {
        return Err(Mismatch { reason: Mismatch::TOPOLOGY_CHANGED, node: 0 });
    }
    for (((old, new), old_shape), new_shape) in old.iter().zip(new).zip(shape(old)).zip(shape(new)) {
        let node = new.node.handle;
        if old.node.work.kind() != new.node.work.kind() {
            return Err(Mismatch { reason: Mismatch::NODE_TYPE_CHANGED, node });
        }
        if old_shape != new_shape {
            return Err(Mismatch { reason: Mismatch::TOPOLOGY_CHANGED, node });
        }
        if let (NodeWork::Allocate(mine), NodeWork::Allocate(other)) = (&old.node.work, &new.node.work)
            && (mine.bytes, mine.device) != (other.bytes, other.device)
        {
            return Err(Mismatch { reason: Mismatch::PARAMETERS_CHANGED, node });
        }
        compare(&old.children, &new.children)?;
    }
    Ok(())
}

/// The steps keep the handles by which their owner knows them, and get the new work.
fn take_over(steps: &mut [Step], fresh: Vec<Step>) {
    for (step, fresh) in steps.iter_mut().zip(fresh) {
        step.node.work = fresh.node.work;
        take_over(&mut step.children, fresh.children);
    }
}

/// What a capture of a launch keeps.
fn as_child(steps: &[Step], objects: &Mutex<Vec<Reference>>) -> Arc<Graph> {
    let nodes: Vec<Node> = steps.iter().map(|step| step.node.clone()).collect();
    copy(&nodes, objects, true)
}

/// `cuGraphLaunch`
pub fn launch(handle: usize, stream: usize) -> Cuda {
    let (executable, stream) = (executable(handle)?, stream::by_handle(stream)?);
    if let Some(capture) = lock(&stream.capture).as_mut() {
        let child = as_child(&lock(&executable.steps), &executable.objects);
        return capture.record_work(NodeWork::Child(child)).map(drop);
    }
    context::check(&stream.engine)?;
    executable.launch(&stream)
}
