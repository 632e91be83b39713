//! Graphs: operations with dependencies, made by hand or by capturing streams.
//!
//! ```text
//!   Graph: nodes and edges ──instantiate──▶ Executable: steps in an order that respects the edges ──launch──▶ stream
//!     ▲ capture: streams draw nodes               ▲ update: the same shape with other work
//! ```
//!
//! Handles of nodes grow with their age and never come again; a graph keeps its nodes in that order.

mod allocation;
mod capture;
mod executable;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

pub use allocation::{GraphMemory, memory_attribute, set_memory_attribute};
pub(crate) use allocation::{freed_by_client, graph_memory};
pub(crate) use capture::any_global_capture;
pub use capture::{Capture, CapturedPoint, begin_capture, begin_capture_to, end_capture, is_of};
pub use executable::{
    Executable, Mismatch, check_executable, destroy_executable, executable, instantiate, launch,
    set_executable_child, set_executable_node, update,
};

use crate::handle::Handles;
use crate::operation::Operation;
use crate::user_object::Reference;
use crate::{CuResult, Cuda, get, lock};

/// A node of a graph.
#[derive(Clone)]
pub struct Node {
    /// Its handle: unique in the process.
    pub handle: usize,
    /// The node that it was cloned from, or 0.
    pub original: usize,
    /// What it does.
    pub work: NodeWork,
    /// Handles of the nodes before it.
    pub dependencies: Vec<usize>,
    /// Launch attributes as `cuGraphKernelNodeSetAttribute` gave them, by their number.
    pub attributes: BTreeMap<u32, [u8; 64]>,
}

/// What a node does.
#[derive(Clone)]
pub enum NodeWork {
    /// One operation.
    Operation(Operation),
    /// Operations on memory words, one after another.
    Batch(Vec<Operation>),
    /// Another graph: a copy that belongs to the node.
    Child(Arc<Graph>),
    /// Memory begins to be the client's.
    Allocate(Arc<GraphMemory>),
    /// And ends, by its address.
    Free(u64),
}

/// `CUgraphNodeType`
pub mod node_type {
    #![allow(missing_docs)]
    pub const KERNEL: u32 = 0;
    pub const MEMCPY: u32 = 1;
    pub const MEMSET: u32 = 2;
    pub const HOST: u32 = 3;
    pub const GRAPH: u32 = 4;
    pub const EMPTY: u32 = 5;
    pub const WAIT_EVENT: u32 = 6;
    pub const EVENT_RECORD: u32 = 7;
    pub const MEM_ALLOC: u32 = 10;
    pub const MEM_FREE: u32 = 11;
    pub const BATCH_MEM_OP: u32 = 12;
    pub const CONDITIONAL: u32 = 13;
}

impl NodeWork {
    /// Its `CUgraphNodeType`. A routine of our cuBLAS counts as the kernel that it stands for.
    pub fn kind(&self) -> u32 {
        match self {
            NodeWork::Child(_) => node_type::GRAPH,
            NodeWork::Batch(_) => node_type::BATCH_MEM_OP,
            NodeWork::Allocate(_) => node_type::MEM_ALLOC,
            NodeWork::Free(_) => node_type::MEM_FREE,
            NodeWork::Operation(operation) => match operation {
                Operation::Launch(_) | Operation::Blas(_) | Operation::Matmul(_) => node_type::KERNEL,
                Operation::Copy { .. } | Operation::CopyRectangle(_) => node_type::MEMCPY,
                Operation::Fill(_) => node_type::MEMSET,
                Operation::RecordEvent(_) => node_type::EVENT_RECORD,
                Operation::WaitEvent(_) => node_type::WAIT_EVENT,
                Operation::Host(_) => node_type::HOST,
                Operation::WriteValue(_) | Operation::WaitValue(_) => node_type::BATCH_MEM_OP,
                Operation::Nothing => node_type::EMPTY,
            },
        }
    }

    fn is_memory(&self) -> bool {
        matches!(self, NodeWork::Allocate(_) | NodeWork::Free(_))
    }
}

/// A graph.
#[derive(Default)]
pub struct Graph {
    nodes: Mutex<Vec<Node>>,
    /// It belongs to a node of another graph, and ends with that one.
    owned: bool,
    /// What has to live as long as it does.
    objects: Mutex<Vec<Reference>>,
}

static GRAPHS: Handles<Graph> = Handles::new();
/// Which graph a node is in.
static OWNERS: LazyLock<Mutex<HashMap<usize, usize>>> = LazyLock::new(Mutex::default);
static NODE_HANDLES: AtomicUsize = AtomicUsize::new(0x1000);

fn position(nodes: &[Node], handle: usize) -> Cuda<usize> {
    nodes.binary_search_by_key(&handle, |node| node.handle).map_err(|_| CuResult::INVALID_VALUE)
}

impl Graph {
    /// A copy of the nodes, oldest first.
    pub fn nodes(&self) -> Vec<Node> {
        lock(&self.nodes).clone()
    }

    /// Its handle.
    pub fn handle(self: &Arc<Self>) -> usize {
        Handles::of(self)
    }

    fn add(self: &Arc<Self>, work: NodeWork, dependencies: &[usize]) -> Cuda<usize> {
        let mut nodes = lock(&self.nodes);
        let mut unique = BTreeSet::new();
        for dependency in dependencies {
            position(&nodes, *dependency)?;
            if !unique.insert(*dependency) {
                return Err(CuResult::INVALID_VALUE);
            }
        }
        // Under the lock: the order of the list is the order of handles.
        let handle = NODE_HANDLES.fetch_add(0x10, Ordering::Relaxed);
        let (original, attributes) = (0, BTreeMap::new());
        nodes.push(Node { handle, original, work, dependencies: dependencies.to_vec(), attributes });
        lock(&OWNERS).insert(handle, self.handle());
        Ok(handle)
    }

    /// Every edge: from, to.
    pub fn edges(&self) -> Vec<(usize, usize)> {
        let nodes = lock(&self.nodes);
        nodes.iter().flat_map(|node| node.dependencies.iter().map(|from| (*from, node.handle))).collect()
    }

    /// Nodes that depend on this one.
    pub fn dependents(&self, handle: usize) -> Vec<usize> {
        let nodes = lock(&self.nodes);
        nodes.iter().filter(|node| node.dependencies.contains(&handle)).map(|node| node.handle).collect()
    }

    /// Keeps what a reference stands for until the graph ends.
    pub fn retain(&self, reference: Reference) {
        lock(&self.objects).push(reference);
    }

    /// Gives back so many references to an object.
    pub fn release(&self, object: usize, count: u32) -> Cuda {
        let mut objects = lock(&self.objects);
        let held = objects.iter().filter(|reference| reference.handle() == object).count();
        if held < count as usize {
            return Err(CuResult::INVALID_VALUE);
        }
        for _ in 0..count {
            let index = objects.iter().position(|reference| reference.handle() == object);
            index.map(|index| objects.swap_remove(index));
        }
        Ok(())
    }

    fn has_memory_nodes(&self) -> bool {
        lock(&self.nodes).iter().any(|node| match &node.work {
            NodeWork::Child(child) => child.has_memory_nodes(),
            work => work.is_memory(),
        })
    }

    /// Its handle and those of its nodes are stale from now on, those of its children too.
    fn forget(&self) {
        let nodes = self.nodes();
        for node in &nodes {
            lock(&OWNERS).remove(&node.handle);
            forget_child(&node.work);
        }
    }
}

fn forget_child(work: &NodeWork) {
    if let NodeWork::Child(child) = work
        && let Ok(child) = GRAPHS.remove(child.handle())
    {
        child.forget();
    }
}

/// `cuGraphCreate`
pub fn create() -> Cuda<usize> {
    get()?;
    Ok(GRAPHS.insert(Arc::default()))
}

/// `cuGraphDestroy`
pub fn destroy(handle: usize) -> Cuda {
    if by_handle(handle)?.owned {
        return Err(CuResult::INVALID_VALUE);
    }
    GRAPHS.remove(handle)?.forget();
    Ok(())
}

/// The graph of a handle.
pub fn by_handle(handle: usize) -> Cuda<Arc<Graph>> {
    get()?;
    GRAPHS.get(handle)
}

/// `cuGraphAdd…Node`
pub fn add_node(graph: usize, dependencies: &[usize], work: NodeWork) -> Cuda<usize> {
    by_handle(graph)?.add(work, dependencies)
}

/// A copy of a graph, to be a node of another.
pub fn child(handle: usize) -> Cuda<NodeWork> {
    let original = by_handle(handle)?;
    if original.has_memory_nodes() {
        return Err(CuResult::NOT_SUPPORTED);
    }
    Ok(NodeWork::Child(copy(&original.nodes(), &original.objects, true)))
}

/// The graph that a node is in.
pub fn owner(handle: usize) -> Cuda<Arc<Graph>> {
    let owner = lock(&OWNERS).get(&handle).copied();
    by_handle(owner.ok_or(CuResult::INVALID_VALUE)?)
}

/// The node of a handle, in whichever graph it is.
pub fn node(handle: usize) -> Cuda<Node> {
    let graph = owner(handle)?;
    let nodes = lock(&graph.nodes);
    Ok(nodes[position(&nodes, handle)?].clone())
}

fn change<T>(handle: usize, action: impl FnOnce(&mut Node) -> Cuda<T>) -> Cuda<T> {
    let graph = owner(handle)?;
    let mut nodes = lock(&graph.nodes);
    let index = position(&nodes, handle)?;
    action(&mut nodes[index])
}

/// `cuGraph…NodeSetParams`: work of the kind that it was.
pub fn set_node(handle: usize, work: NodeWork) -> Cuda {
    change(handle, |node| {
        if node.work.kind() != work.kind() {
            return Err(CuResult::INVALID_VALUE);
        }
        node.work = work;
        Ok(())
    })
}

/// `cuGraphKernelNodeSetAttribute`
pub fn set_attribute(handle: usize, number: u32, value: [u8; 64]) -> Cuda {
    change(handle, |node| {
        node.attributes.insert(number, value);
        Ok(())
    })
}

/// `cuGraphAddDependencies`: nothing, or all of the edges.
pub fn add_dependencies(graph: usize, edges: &[(usize, usize)]) -> Cuda {
    let graph = by_handle(graph)?;
    let mut nodes = lock(&graph.nodes);
    for (index, (from, to)) in edges.iter().enumerate() {
        position(&nodes, *from)?;
        let target = &nodes[position(&nodes, *to)?];
        if from == to || target.dependencies.contains(from) || edges[..index].contains(&(*from, *to)) {
            return Err(CuResult::INVALID_VALUE);
        }
    }
    for (from, to) in edges {
        let index = position(&nodes, *to)?;
        nodes[index].dependencies.push(*from);
    }
    Ok(())
}

/// `cuGraphRemoveDependencies`: nothing, or all of the edges.
pub fn remove_dependencies(graph: usize, edges: &[(usize, usize)]) -> Cuda {
    let graph = by_handle(graph)?;
    if !edges.is_empty() && graph.has_memory_nodes() {
        return Err(CuResult::NOT_SUPPORTED);
    }
    let mut nodes = lock(&graph.nodes);
    for (from, to) in edges {
        if !nodes[position(&nodes, *to)?].dependencies.contains(from) {
            return Err(CuResult::INVALID_VALUE);
        }
    }
    for (from, to) in edges {
        let index = position(&nodes, *to)?;
        nodes[index].dependencies.retain(|dependency| dependency != from);
    }
    Ok(())
}

/// `cuGraphDestroyNode`
pub fn destroy_node(handle: usize) -> Cuda {
    let graph = owner(handle)?;
    if node(handle)?.work.is_memory() {
        return Err(CuResult::NOT_SUPPORTED);
    }
    let mut nodes = lock(&graph.nodes);
    let index = position(&nodes, handle)?;
    let node = nodes.remove(index);
    nodes.iter_mut().for_each(|other| other.dependencies.retain(|dependency| *dependency != handle));
    lock(&OWNERS).remove(&handle);
    drop(nodes);
    forget_child(&node.work);
    Ok(())
}

/// `cuGraphClone`
pub fn clone(handle: usize) -> Cuda<usize> {
    let original = by_handle(handle)?;
    if original.has_memory_nodes() {
        return Err(CuResult::NOT_SUPPORTED);
    }
    Ok(copy(&original.nodes(), &original.objects, false).handle())
}

/// `cuGraphNodeFindInClone`
pub fn find_in_clone(original: usize, clone: usize) -> Cuda<usize> {
    let clone = by_handle(clone)?;
    let nodes = lock(&clone.nodes);
    nodes.iter().find(|node| node.original == original).map(|node| node.handle).ok_or(CuResult::INVALID_VALUE)
}

/// A graph of the same nodes, under handles of their own.
fn copy(nodes: &[Node], objects: &Mutex<Vec<Reference>>, owned: bool) -> Arc<Graph> {
    let objects = Mutex::new(lock(objects).clone());
    let graph = Arc::new(Graph { nodes: Mutex::default(), owned, objects });
    let owner = GRAPHS.insert(graph.clone());
    let first = NODE_HANDLES.fetch_add(0x10 * nodes.len(), Ordering::Relaxed);
    let fresh = |index: usize| first + 0x10 * index;
    let places: HashMap<usize, usize> =
        nodes.iter().enumerate().map(|(index, node)| (node.handle, fresh(index))).collect();
    let copies = nodes.iter().map(|node| Node {
        handle: places[&node.handle],
        original: node.handle,
        work: match &node.work {
            NodeWork::Child(child) => NodeWork::Child(copy(&child.nodes(), &child.objects, true)),
            work => work.clone(),
        },
        dependencies: node.dependencies.iter().filter_map(|before| places.get(before).copied()).collect(),
        attributes: node.attributes.clone(),
    });
    let copies: Vec<Node> = copies.collect();
    lock(&OWNERS).extend(copies.iter().map(|node| (node.handle, owner)));
    *lock(&graph.nodes) = copies;
    graph
}

/// The nodes in an order that respects the edges, older ones first where that is free; fails on a cycle.
fn in_order(nodes: Vec<Node>) -> Cuda<Vec<Node>> {
    // Without later edges every dependency is older than its node.
    if nodes.iter().all(|node| node.dependencies.iter().all(|before| *before < node.handle)) {
        return Ok(nodes);
    }
    let mut waiting: HashMap<usize, usize> =
        nodes.iter().map(|node| (node.handle, node.dependencies.len())).collect();
    let mut ready: BTreeSet<usize> =
        nodes.iter().filter(|node| node.dependencies.is_empty()).map(|node| node.handle).collect();
    let mut behind: HashMap<usize, Vec<usize>> = HashMap::new();
    for node in &nodes {
        for before in &node.dependencies {
            behind.entry(*before).or_default().push(node.handle);
        }
    }
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(handle) = ready.pop_first() {
        order.push(nodes[position(&nodes, handle)?].clone());
        for next in behind.get(&handle).into_iter().flatten() {
            let left = waiting.entry(*next).or_default();
            *left -= 1;
            if *left == 0 {
                ready.insert(*next);
            }
        }
    }
    if order.len() == nodes.len() { Ok(order) } else { Err(CuResult::INVALID_VALUE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(handle: usize, dependencies: &[usize]) -> Node {
        let work = NodeWork::Operation(Operation::Nothing);
        Node { handle, original: 0, work, dependencies: dependencies.to_vec(), attributes: BTreeMap::new() }
    }

    fn check(nodes: &[(usize, &[usize])], expected: Option<&[usize]>) {
        let nodes = nodes.iter().map(|(handle, dependencies)| node(*handle, dependencies)).collect();
        let order = in_order(nodes).map(|order| order.iter().map(|node| node.handle).collect::<Vec<_>>());
        assert_eq!(order.ok().as_deref(), expected);
    }

    #[test]
    fn order_respects_edges_and_age() {
        check(&[(1, &[]), (2, &[1]), (3, &[1, 2])], Some(&[1, 2, 3]));
        check(&[(1, &[3]), (2, &[]), (3, &[2])], Some(&[2, 3, 1]));
        check(&[(1, &[]), (2, &[4]), (3, &[]), (4, &[3])], Some(&[1, 3, 4, 2]));
    }

    #[test]
    fn a_cycle_is_an_error() {
        check(&[(1, &[2]), (2, &[1])], None);
        check(&[(1, &[]), (2, &[1, 3]), (3, &[2])], None);
    }

    #[test]
    fn copies_have_handles_of_their_own_and_edges_among_themselves() {
        let graph = Arc::new(Graph::default());
        let first = graph.add(NodeWork::Operation(Operation::Nothing), &[]).unwrap();
        let second = graph.add(NodeWork::Operation(Operation::Nothing), &[first]).unwrap();
        let clone = copy(&graph.nodes(), &graph.objects, false);
        let [a, b] = clone.nodes().try_into().map_err(|_| "two nodes").unwrap();
        assert_eq!((a.original, b.original), (first, second));
        assert_eq!(b.dependencies, [a.handle]);
        assert!(a.handle != first && clone.dependents(a.handle) == [b.handle]);
        assert_eq!(
            graph.add(NodeWork::Operation(Operation::Nothing), &[first, first]),
            Err(CuResult::INVALID_VALUE)
        );
    }
}
