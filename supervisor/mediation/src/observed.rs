//! Calls that are only looked at: the kernel executes them as if we were not there.
//!
//! What a call was answered is not seen, only what it says.

use nvidia_abi::{Abi, Form, Row};
use recording::Ioctl;

use crate::Caller;
use crate::calls::name;
use crate::node::Node;
use crate::numbers::{ALLOCATE, CONTROL, MOST_PARAMETERS};

/// A call as its client put it.
pub struct Observed {
    /// Without what comes of it: its status is left out.
    pub ioctl: Ioctl,
    /// What the tables do not have, in words.
    pub unknown: Option<String>,
}

/// Looks at a call.
pub fn look(abi: &Abi, node: Node, request: u32, argument: u64, caller: &mut dyn Caller) -> Observed {
    let mut observed = Observed { ioctl: Ioctl::default(), unknown: None };
    let row = match node {
        Node::UnifiedMemory => abi.uvm(request),
        Node::Other => None,
        Node::Control | Node::Gpu(_) => abi.escape_of_size(request & 0xff, size_of(request)),
    };
    let Some(row) = row else {
        observed.unknown = Some(format!("request {request:#x} of {}", node.path()));
        return observed;
    };
    let size = if row.many { size_of(request) } else { row.size };
    let outer = bytes(caller, argument, size);
    observed.parameters(abi, (row, &outer), (node, request), caller);
    let status = row.fields().iter().find(|field| field.form == Form::Status);
    let seen = status.map_or(outer.len(), |field| field.offset.min(outer.len()));
    observed.ioctl.outer_after = outer[..seen].to_vec();
    observed.ioctl.outer_before = outer;
    observed
}

impl Observed {
    fn parameters(
        &mut self,
        abi: &Abi,
        (row, outer): (&Row, &[u8]),
        (node, request): (Node, u32),
        caller: &mut dyn Caller,
    ) {
        let said = |name| row.read(outer, name).unwrap_or(0);
        let (number, address, size, row) = match request & 0xff {
            _ if node == Node::UnifiedMemory => return,
            CONTROL => {
                let number = said("cmd");
                (number, said("params"), said("paramsSize") as usize, abi.control(number as u32))
            }
            ALLOCATE => {
                let (number, class) = (said("hClass"), abi.class(said("hClass") as u32));
                (number, said("pAllocParms"), class.map_or(0, |class| class.size), class)
            }
            _ => return,
        };
        if row.is_none() {
            self.unknown = Some(format!("{number:#x}, which a control or an allocation asks for"));
        }
        if address != 0 {
            self.ioctl.parameters_before = bytes(caller, address, size.min(MOST_PARAMETERS));
            self.ioctl.parameters_after.clone_from(&self.ioctl.parameters_before);
        }
        tracing::debug!("looks at {}", row.map_or_else(|| format!("{number:#x}"), name));
    }
}

/// That the request says its argument has.
fn size_of(request: u32) -> usize {
    (request >> 16 & 0x3fff) as usize
}

/// What the client has there; nothing if it has no memory there.
fn bytes(caller: &mut dyn Caller, address: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    match caller.read(address, &mut bytes) {
        true => bytes,
        false => Vec::new(),
    }
}
