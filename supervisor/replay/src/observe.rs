//! A call on a node as somebody beside the resource manager sees it: what it read and wrote, made into a line of a recording.
//!
//! Nothing of the process but what the call itself looked at comes into the recording.

use nvidia_abi::escape;
use recording::{Indirect, Ioctl};
use resource_manager::{Accounted, Caller, CallerMemory, Errno, FileId, Node, Order};

use crate::bytes::{pointer, word};
use crate::files::path;

/// A piece of the process's memory, before and after.
struct Piece {
    address: u64,
    before: Vec<u8>,
    after: Vec<u8>,
}

/// A caller, with a note of all that is read and written.
pub struct Observed<'a> {
    caller: &'a mut dyn Caller,
    /// In the order in which they were first touched.
    pieces: Vec<Piece>,
}

impl<'a> Observed<'a> {
    /// Nothing has been read yet.
    pub fn new(caller: &'a mut dyn Caller) -> Self {
        Self { caller, pieces: Vec::new() }
    }

    /// The call as a recording has it. `process` and `descriptor` say whose it was, on what.
    pub fn finish(
        self,
        (process, descriptor): (u32, i32),
        node: Node,
        request: u32,
        result: Result<(), Errno>,
    ) -> Ioctl {
        let mut pieces = self.pieces;
        let request = unwrap_transfer(node, request, &mut pieces);
        let errno = result.err().map_or(0, Errno::number);
        let mut ioctl = Ioctl {
            process,
            fd: descriptor,
            dev: path(node),
            cmd: format!("{request:08x}"),
            nr: request & 0xff,
            rc: if errno == 0 { 0 } else { -1 },
            errno,
            ..Ioctl::default()
        };
        if pieces.is_empty() {
            return ioctl;
        }
        let outer = pieces.remove(0);
        (ioctl.outer_before, ioctl.outer_after) = (outer.before, outer.after);
        let parameters = parameters_address(node, &ioctl);
        if let Some(at) = pieces.iter().position(|piece| Some(piece.address) == parameters) {
            let piece = pieces.remove(at);
            (ioctl.parameters_before, ioctl.parameters_after) = (piece.before, piece.after);
        }
        ioctl.indirect = behind(&ioctl, pieces);
        ioctl
    }
}

/// An escape that came inside another one is recorded as if it came alone.
fn unwrap_transfer(node: Node, request: u32, pieces: &mut Vec<Piece>) -> u32 {
    if node == Node::UnifiedMemory || request & 0xff != escape::NV_ESC_IOCTL_XFER_CMD || pieces.len() < 2 {
        return request;
    }
    let around = pieces.remove(0).before;
    request & 0xc000_ff00 | (word(&around, 4) & 0x3fff) << 16 | word(&around, 0) & 0xff
}

fn parameters_address(node: Node, ioctl: &Ioctl) -> Option<u64> {
    let is_about_more = matches!(ioctl.nr, escape::NV_ESC_RM_CONTROL | escape::NV_ESC_RM_ALLOC);
    (is_about_more && node != Node::UnifiedMemory).then(|| pointer(&ioctl.outer_before, 16))
}

/// What the parameters point to: pieces at addresses that are found in them.
fn behind(ioctl: &Ioctl, pieces: Vec<Piece>) -> Vec<Indirect> {
    let parameters = &ioctl.parameters_before;
    let place = |address: u64| {
        (0..parameters.len()).step_by(8).find(|at| pointer(parameters, *at) == address && address != 0)
    };
    let indirect =
        |piece: Piece| Some(Indirect { at: place(piece.address)?, before: piece.before, after: piece.after });
    pieces.into_iter().filter_map(indirect).collect()
}

impl Piece {
    /// Where in it that piece of memory lies.
    fn holds(&self, address: u64, length: usize) -> Option<usize> {
        let at = usize::try_from(address.checked_sub(self.address)?).ok()?;
        (at.checked_add(length)? <= self.before.len()).then_some(at)
    }
}

impl CallerMemory for Observed<'_> {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        let is_read = self.caller.read(address, bytes);
        if is_read && !bytes.is_empty() {
            self.pieces.push(Piece { address, before: bytes.to_vec(), after: bytes.to_vec() });
        }
        is_read
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        if self.pieces.iter().all(|piece| piece.holds(address, bytes.len()).is_none()) {
            // What was there before is told as well, as for what was read.
            let mut before = vec![0; bytes.len()];
            if self.caller.read(address, &mut before) {
                self.pieces.push(Piece { address, after: before.clone(), before });
            }
        }
        let is_written = self.caller.write(address, bytes);
        for piece in self.pieces.iter_mut().filter(|_| is_written) {
            if let Some(at) = piece.holds(address, bytes.len()) {
                piece.after[at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
        is_written
    }
}

impl Caller for Observed<'_> {
    fn file(&mut self, descriptor: i32) -> Option<FileId> {
        self.caller.file(descriptor)
    }

    fn has_open(&mut self, card: usize) -> bool {
        self.caller.has_open(card)
    }

    fn show(&mut self, descriptor: i32, card: usize) -> bool {
        self.caller.show(descriptor, card)
    }

    fn order(&mut self, card: usize, order: Order) -> Result<(), u32> {
        self.caller.order(card, order)
    }

    fn accounts(&mut self, card: usize) -> Vec<Accounted> {
        self.caller.accounts(card)
    }

    fn process(&self) -> u32 {
        self.caller.process()
    }

    fn is_administrator(&self) -> bool {
        self.caller.is_administrator()
    }
}
