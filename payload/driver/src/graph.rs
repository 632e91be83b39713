//! Graphs: operations with dependencies, made by hand or by capturing streams.
//!
//! Nodes are kept in the order in which they were made, and a dependency always points backwards, so that order is a
//! topological one: a replay appends them to the launching stream one by one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::handle::Handles;
use crate::operation::Operation;
use crate::stream::{self, Stream};
use crate::{CuResult, Cuda, get, lock};

/// A node of a graph.
#[derive(Clone)]
pub struct Node {
    /// Its handle: unique in the process.
    pub handle: usize,
    /// What it does.
    pub work: NodeWork,
    /// Handles of the nodes before it.
    pub dependencies: Vec<usize>,
    /// Disabled nodes do nothing.
    pub enabled: bool,
}

/// What a node does.
#[derive(Clone)]
pub enum NodeWork {
    /// One operation.
    Operation(Operation),
    /// Another graph, as it was when the node was made.
    Child(Vec<Node>),
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
    pub const BATCH_MEM_OP: u32 = 12;
}

impl Node {
    /// Its `CUgraphNodeType`. A routine of our cuBLAS counts as the kernel that it stands for.
    pub fn kind(&self) -> u32 {
        match &self.work {
            NodeWork::Child(_) => node_type::GRAPH,
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

    fn replay(&self, stream: &Stream) -> Cuda {
        match &self.work {
            _ if !self.enabled => Ok(()),
            NodeWork::Operation(operation) => operation.perform(stream),
            NodeWork::Child(nodes) => nodes.iter().try_for_each(|node| node.replay(stream)),
        }
    }
}

/// A graph, or an executable one.
#[derive(Default)]
pub struct Graph {
    nodes: Mutex<Vec<Node>>,
}

static GRAPHS: Handles<Graph> = Handles::new();
static EXECUTABLES: Handles<Graph> = Handles::new();
/// Which graph a node is in.
static OWNERS: Mutex<Option<HashMap<usize, usize>>> = Mutex::new(None);
static NODE_HANDLES: AtomicUsize = AtomicUsize::new(0x1000);

impl Graph {
    /// A copy of the nodes.
    pub fn nodes(&self) -> Vec<Node> {
        lock(&self.nodes).clone()
    }

    fn add(&self, work: NodeWork, dependencies: Vec<usize>) -> usize {
        let handle = NODE_HANDLES.fetch_add(0x10, Ordering::Relaxed);
        lock(&self.nodes).push(Node { handle, work, dependencies, enabled: true });
        handle
    }
}

/// `cuGraphCreate`
pub fn create() -> Cuda<usize> {
    get()?;
    Ok(GRAPHS.insert(Arc::new(Graph::default())))
}

/// `cuGraphDestroy`
pub fn destroy(handle: usize) -> Cuda {
    get()?;
    let graph = GRAPHS.remove(handle)?;
    if let Some(owners) = lock(&OWNERS).as_mut() {
        for node in lock(&graph.nodes).iter() {
            owners.remove(&node.handle);
        }
    }
    Ok(())
}

/// The graph of a handle.
pub fn by_handle(handle: usize) -> Cuda<Arc<Graph>> {
    get()?;
    GRAPHS.get(handle)
}

/// `cuGraphAdd…Node`
pub fn add_node(graph: usize, dependencies: &[usize], work: NodeWork) -> Cuda<usize> {
    let target = by_handle(graph)?;
    let known = target.nodes();
    if dependencies.iter().any(|dependency| !known.iter().any(|node| node.handle == *dependency)) {
        return Err(CuResult::INVALID_VALUE);
    }
    let handle = target.add(work, dependencies.to_vec());
    lock(&OWNERS).get_or_insert_with(HashMap::new).insert(handle, graph);
    Ok(handle)
}

/// The node of a handle, in whichever graph it is.
pub fn node(handle: usize) -> Cuda<Node> {
    let owner = lock(&OWNERS).as_ref().and_then(|owners| owners.get(&handle).copied());
    let graph = by_handle(owner.ok_or(CuResult::INVALID_VALUE)?)?;
    graph.nodes().into_iter().find(|node| node.handle == handle).ok_or(CuResult::INVALID_VALUE)
}

/// `cuGraph…NodeSetParams`
pub fn set_node(handle: usize, work: NodeWork) -> Cuda {
    let owner = lock(&OWNERS).as_ref().and_then(|owners| owners.get(&handle).copied());
    let graph = by_handle(owner.ok_or(CuResult::INVALID_VALUE)?)?;
    replace(&graph, handle, work)
}

/// `cuGraphExec…NodeSetParams`
pub fn set_executable_node(executable: usize, handle: usize, work: NodeWork) -> Cuda {
    get()?;
    replace(&*EXECUTABLES.get(executable)?, handle, work)
}

fn replace(graph: &Graph, handle: usize, work: NodeWork) -> Cuda {
    let mut nodes = lock(&graph.nodes);
    let node = nodes.iter_mut().find(|node| node.handle == handle).ok_or(CuResult::INVALID_VALUE)?;
    node.work = work;
    Ok(())
}

/// `cuGraphClone`
pub fn clone(handle: usize) -> Cuda<usize> {
    let nodes = by_handle(handle)?.nodes();
    let graph = Arc::new(Graph { nodes: Mutex::new(nodes) });
    Ok(GRAPHS.insert(graph))
}

/// `cuGraphInstantiate`
pub fn instantiate(handle: usize) -> Cuda<usize> {
    let nodes = by_handle(handle)?.nodes();
    Ok(EXECUTABLES.insert(Arc::new(Graph { nodes: Mutex::new(nodes) })))
}

/// `cuGraphExecUpdate`: `Err` with `GRAPH_EXEC_UPDATE_FAILURE` where the shapes differ.
pub fn update(executable: usize, graph: usize) -> Cuda {
    get()?;
    let (executable, fresh) = (EXECUTABLES.get(executable)?, by_handle(graph)?.nodes());
    let mut nodes = lock(&executable.nodes);
    let same =
        nodes.len() == fresh.len() && nodes.iter().zip(&fresh).all(|(old, new)| old.kind() == new.kind());
    if !same {
        return Err(CuResult::GRAPH_EXEC_UPDATE_FAILURE);
    }
    for (old, new) in nodes.iter_mut().zip(fresh) {
        old.work = new.work;
    }
    Ok(())
}

/// `cuGraphLaunch`
pub fn launch(executable: usize, stream: usize) -> Cuda {
    get()?;
    let (executable, stream) = (EXECUTABLES.get(executable)?, stream::by_handle(stream)?);
    let nodes = executable.nodes();
    if let Some(capture) = lock(&stream.capture).as_mut() {
        return capture.record_work(NodeWork::Child(nodes));
    }
    crate::context::check(&stream.engine)?;
    nodes.iter().try_for_each(|node| node.replay(&stream))
}

/// `cuGraphExecDestroy`
pub fn destroy_executable(handle: usize) -> Cuda {
    get()?;
    EXECUTABLES.remove(handle).map(drop)
}

/// Whether there is such an executable graph.
pub fn check_executable(handle: usize) -> Cuda {
    get()?;
    EXECUTABLES.get(handle).map(drop)
}

// ----- capture

/// `CU_STREAM_CAPTURE_MODE_GLOBAL`
const GLOBAL: u32 = 0;
static GLOBAL_CAPTURES: AtomicUsize = AtomicUsize::new(0);
static CAPTURE_IDS: AtomicU64 = AtomicU64::new(1);

/// What the streams of one capture have in common.
struct Session {
    id: u64,
    mode: u32,
    graph: usize,
    /// Slot of the stream that began it.
    origin: u32,
    /// Nodes that no later node of the capture depends on yet, by the streams that joined.
    joined: Mutex<HashMap<u32, Vec<usize>>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.mode == GLOBAL {
            GLOBAL_CAPTURES.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// A stream's part in a capture.
pub struct Capture {
    session: Arc<Session>,
    slot: u32,
    /// What the stream's next operation depends on.
    dependencies: Vec<usize>,
}

/// A place in a capture, held by an event.
#[derive(Clone)]
pub struct CapturedPoint {
    session: Arc<Session>,
    dependencies: Vec<usize>,
}

/// Whether a capture of the global mode is under way.
pub fn any_global_capture() -> bool {
    GLOBAL_CAPTURES.load(Ordering::SeqCst) > 0
}

impl Capture {
    /// Makes a node of an operation.
    pub fn record(&mut self, operation: Operation) -> Cuda {
        self.record_work(NodeWork::Operation(operation))
    }

    fn record_work(&mut self, work: NodeWork) -> Cuda {
        let node = add_node(self.session.graph, &self.dependencies, work)?;
        self.dependencies = vec![node];
        lock(&self.session.joined).insert(self.slot, self.dependencies.clone());
        Ok(())
    }

    /// The place that the stream has got to.
    pub fn point(&self) -> CapturedPoint {
        CapturedPoint { session: self.session.clone(), dependencies: self.dependencies.clone() }
    }

    /// Id, graph and dependencies, for `cuStreamGetCaptureInfo`.
    pub fn info(&self) -> (u64, usize, Vec<usize>) {
        (self.session.id, self.session.graph, self.dependencies.clone())
    }

    /// `cuStreamUpdateCaptureDependencies`
    pub fn set_dependencies(&mut self, dependencies: &[usize], add: bool) {
        if !add {
            self.dependencies.clear();
        }
        self.dependencies.extend_from_slice(dependencies);
    }
}

impl CapturedPoint {
    /// A stream waits for this place: it takes part in the capture from now on.
    pub fn join(&self, stream: &Arc<Stream>) -> Cuda {
        let mut capture = lock(&stream.capture);
        match capture.as_mut() {
            Some(capture) if Arc::ptr_eq(&capture.session, &self.session) => {
                for node in &self.dependencies {
                    if !capture.dependencies.contains(node) {
                        capture.dependencies.push(*node);
                    }
                }
            }
            Some(_) => return Err(CuResult::STREAM_CAPTURE_MERGE),
            None => {
                *capture = Some(Capture {
                    session: self.session.clone(),
                    slot: stream.slot,
                    dependencies: self.dependencies.clone(),
                });
            }
        }
        Ok(())
    }
}

/// `cuStreamBeginCapture`
pub fn begin_capture(stream: usize, mode: u32) -> Cuda {
    let graph = create()?;
    begin_capture_to(stream, graph, &[], mode)
}

/// `cuStreamBeginCaptureToGraph`
pub fn begin_capture_to(stream: usize, graph: usize, dependencies: &[usize], mode: u32) -> Cuda {
    let stream = stream::by_handle(stream)?;
    if stream.slot == 0 || mode > 2 {
        // The legacy stream would tie every other stream into the capture.
        return Err(if mode > 2 { CuResult::INVALID_VALUE } else { CuResult::STREAM_CAPTURE_UNSUPPORTED });
    }
    let mut capture = lock(&stream.capture);
    if capture.is_some() {
        return Err(CuResult::ILLEGAL_STATE);
    }
    if mode == GLOBAL {
        GLOBAL_CAPTURES.fetch_add(1, Ordering::SeqCst);
    }
    let id = CAPTURE_IDS.fetch_add(1, Ordering::Relaxed);
    let session = Arc::new(Session { id, mode, graph, origin: stream.slot, joined: Mutex::default() });
    *capture = Some(Capture { session, slot: stream.slot, dependencies: dependencies.to_vec() });
    Ok(())
}

/// `cuStreamEndCapture`: the graph.
pub fn end_capture(stream: usize) -> Cuda<usize> {
    let stream = stream::by_handle(stream)?;
    let capture = lock(&stream.capture).take().ok_or(CuResult::ILLEGAL_STATE)?;
    if capture.session.origin != stream.slot {
        *lock(&stream.capture) = Some(capture);
        return Err(CuResult::STREAM_CAPTURE_UNMATCHED);
    }
    stream::leave_capture(capture.session.id);
    Ok(capture.session.graph)
}

/// Whether a stream's capture has this id.
pub fn is_of(capture: &Option<Capture>, id: u64) -> bool {
    capture.as_ref().is_some_and(|capture| capture.session.id == id)
}
