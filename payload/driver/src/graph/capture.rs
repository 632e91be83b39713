//! Captures: streams draw nodes instead of working.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{GRAPHS, GraphMemory, NodeWork, add_node, by_handle, create, graph_memory};
use crate::operation::Operation;
use crate::stream::{self, Stream};
use crate::{CuResult, Cuda, lock};

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
    /// The newest nodes of each stream that takes part, by its slot: all must lead to where the capture ends.
    joined: Mutex<HashMap<u32, Vec<usize>>>,
    /// It has ended; events that were recorded in it know it still.
    ended: AtomicBool,
}

impl Session {
    fn end(&self) {
        if !self.ended.swap(true, Ordering::SeqCst) && self.mode == GLOBAL {
            GLOBAL_CAPTURES.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
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

    /// Makes a node.
    pub(crate) fn record_work(&mut self, work: NodeWork) -> Cuda {
        let node = add_node(self.session.graph, &self.dependencies, work)?;
        self.dependencies = vec![node];
        lock(&self.session.joined).insert(self.slot, self.dependencies.clone());
        Ok(())
    }

    /// Makes an allocation node; the memory's address is known at once.
    pub(crate) fn record_allocation(&mut self, bytes: u64) -> Cuda<u64> {
        let memory = GraphMemory::take(bytes)?;
        let address = memory.address;
        self.record_work(NodeWork::Allocate(memory))?;
        Ok(address)
    }

    /// Makes a free node, for memory of an allocation node.
    pub(crate) fn record_free(&mut self, address: u64) -> Cuda {
        graph_memory(address).ok_or(CuResult::INVALID_VALUE)?;
        self.record_work(NodeWork::Free(address))
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
        for node in dependencies {
            if !self.dependencies.contains(node) {
                self.dependencies.push(*node);
            }
        }
        lock(&self.session.joined).insert(self.slot, self.dependencies.clone());
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
    let (joined, ended) = (Mutex::default(), AtomicBool::new(false));
    let session = Arc::new(Session { id, mode, graph, origin: stream.slot, joined, ended });
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
    capture.session.end();
    let graph = capture.session.graph;
    if is_joined(&capture)? {
        return Ok(graph);
    }
    GRAPHS.remove(graph)?.forget();
    Err(CuResult::STREAM_CAPTURE_UNJOINED)
}

/// Whether what every stream of the capture drew last leads to where it ends.
fn is_joined(capture: &Capture) -> Cuda<bool> {
    let nodes = by_handle(capture.session.graph)?.nodes();
    let before: HashMap<usize, &[usize]> =
        nodes.iter().map(|node| (node.handle, node.dependencies.as_slice())).collect();
    let mut reached = BTreeSet::new();
    let mut open = capture.dependencies.clone();
    while let Some(node) = open.pop() {
        if reached.insert(node) {
            open.extend_from_slice(before.get(&node).copied().unwrap_or_default());
        }
    }
    Ok(lock(&capture.session.joined).values().flatten().all(|node| reached.contains(node)))
}

/// Whether a stream's capture has this id.
pub fn is_of(capture: &Option<Capture>, id: u64) -> bool {
    capture.as_ref().is_some_and(|capture| capture.session.id == id)
}
