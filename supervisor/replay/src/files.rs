//! Which open file a recorded descriptor stands for.

use std::collections::HashMap;

use resource_manager::{FileId, Node, ResourceManager};

/// The node of that name.
pub fn node(name: &str) -> Option<Node> {
    match name.strip_prefix("/dev/nvidia")? {
        "ctl" => Some(Node::Control),
        "-uvm" => Some(Node::UnifiedMemory),
        number => number.parse().ok().map(Node::Gpu),
    }
}

/// Its name.
pub fn path(node: Node) -> String {
    match node {
        Node::Control => "/dev/nvidiactl".into(),
        Node::UnifiedMemory => "/dev/nvidia-uvm".into(),
        Node::Gpu(minor) => format!("/dev/nvidia{minor}"),
    }
}

/// The nodes that recorded processes have open.
#[derive(Default)]
pub(crate) struct Files {
    open: HashMap<(u32, i32), (FileId, Node)>,
    /// Of an older recording, which names nodes only: one file each.
    by_node: HashMap<Node, FileId>,
}

impl Files {
    /// A process opened a node as that descriptor.
    pub(crate) fn opened(
        &mut self,
        manager: &mut ResourceManager,
        process: u32,
        descriptor: i32,
        node: Node,
    ) {
        self.closed(manager, process, descriptor);
        self.open.insert((process, descriptor), (manager.open(node), node));
    }

    /// It closed it.
    pub(crate) fn closed(&mut self, manager: &mut ResourceManager, process: u32, descriptor: i32) {
        if let Some((file, _)) = self.open.remove(&(process, descriptor)) {
            manager.close(file);
        }
    }

    /// The file that a call was made on. A descriptor of unknown origin was inherited, or the recorder began too late. `is_new`: of
    /// an older recording, a call that is the first on its file.
    pub(crate) fn of_call(
        &mut self,
        manager: &mut ResourceManager,
        process: u32,
        descriptor: i32,
        node: Node,
        is_new: bool,
    ) -> FileId {
        if is_new {
            self.by_node.insert(node, manager.open(node));
        }
        if descriptor < 0 {
            return *self.by_node.entry(node).or_insert_with(|| manager.open(node));
        }
        match self.open.get(&(process, descriptor)) {
            Some((file, known)) if *known == node => *file,
            _ => {
                self.opened(manager, process, descriptor, node);
                self.open[&(process, descriptor)].0
            }
        }
    }

    /// The file that a parameter names. Older recordings do not say which descriptor is which: there it is the file of the node
    /// that such a parameter must be of.
    pub(crate) fn of_parameter(&self, process: u32, descriptor: i32, expected: Node) -> Option<FileId> {
        if process == 0 {
            return (descriptor >= 0).then(|| self.by_node.get(&expected).copied()).flatten();
        }
        self.open.get(&(process, descriptor)).map(|(file, _)| *file)
    }

    /// Whether a process has the node open.
    pub(crate) fn has_open(&self, process: u32, node: Node) -> bool {
        self.by_node.contains_key(&node)
            || self.open.iter().any(|((of, _), (_, open))| *of == process && *open == node)
    }
}
