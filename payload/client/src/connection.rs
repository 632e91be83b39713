//! The open descriptor of `/dev/nvidiactl` and the control calls on it.

use std::ffi::CString;
use std::fmt;

use bytemuck::Zeroable;
use wire::PROTOCOL;
use wire::control::{
    self, COOKIE, Call, Caller, NEAR_INPUT, NODE, NoteKind, Operation, REQUEST, REQUEST_IN_REGISTERS,
    Registers, Status,
};

/// No supervisor answers in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The node can't be opened; holds the `errno`.
    Open(i32),
    /// What was opened is no `vgpu-run` supervisor (perhaps a real driver's node); holds the `errno` of the call.
    Foreign(i32),
    /// The supervisor is of another version than this payload.
    Protocol(u32),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Unavailable::Open(errno) => write!(formatter, "can't open {NODE}: errno {errno}"),
            Unavailable::Foreign(errno) => {
                write!(formatter, "{NODE} is not answered by vgpu-run: errno {errno}")
            }
            Unavailable::Protocol(theirs) => {
                write!(formatter, "the supervisor speaks protocol {theirs}, this payload {PROTOCOL}")
            }
        }
    }
}

/// A connection to the supervisor. Closed when dropped.
#[derive(Debug)]
pub struct Connection {
    descriptor: i32,
    caller: Caller,
    welcome: control::Welcome,
}

impl Connection {
    /// Opens the rendezvous node and says who we are.
    pub fn open(caller: Caller) -> Result<Connection, Unavailable> {
        let mut connection = Connection::open_node(caller)?;
        let hello = control::Hello { caller: caller as u32, reserved: 0 };
        let mut call = Connection::prepare(&hello, &[]);
        let mut welcome = control::Welcome::default();
        call.block.output = &mut welcome as *mut control::Welcome as u64;
        call.block.output_capacity = size_of::<control::Welcome>() as u32;
        if let Err(errno) = connection.execute(&mut call) {
            return Err(Unavailable::Foreign(errno));
        }
        if welcome.protocol != PROTOCOL {
            return Err(Unavailable::Protocol(welcome.protocol));
        }
        connection.welcome = welcome;
        Ok(connection)
    }

    /// A connection over which nothing has been said: who says [`control::Hello`] makes the supervisor choose the card.
    pub(crate) fn open_node(caller: Caller) -> Result<Connection, Unavailable> {
        let node = CString::new(NODE).expect("a constant without NUL");
        // SAFETY: the path is NUL-terminated.
        let descriptor = unsafe { libc::open(node.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
        if descriptor < 0 {
            return Err(Unavailable::Open(errno()));
        }
        Ok(Connection { descriptor, caller, welcome: Zeroable::zeroed() })
    }

    /// What the supervisor announced.
    pub fn welcome(&self) -> &control::Welcome {
        &self.welcome
    }

    /// A control call without variable parts.
    pub fn call<O: Operation>(&self, operation: &O) -> Result<O::Output, Status> {
        match Registers::of(operation) {
            Some(call) => {
                let output = self.execute_in_registers(call)?;
                Ok(bytemuck::pod_read_unaligned(&output.to_ne_bytes()[..size_of::<O::Output>()]))
            }
            None => self.call_with(operation, &[], &mut []).map(|(output, _)| output),
        }
    }

    /// A control call with bytes behind its input and room for bytes behind its output; tells how many came.
    pub fn call_with<O: Operation>(
        &self,
        operation: &O,
        input_tail: &[u8],
        output_tail: &mut [u8],
    ) -> Result<(O::Output, usize), Status> {
        let mut call = Connection::prepare(operation, input_tail);
        let fixed = size_of::<O::Output>();
        let mut output = vec![0u8; fixed + output_tail.len()];
        call.block.output = output.as_mut_ptr() as u64;
        call.block.output_capacity = output.len() as u32;
        self.execute(&mut call).map_err(|_| Status::NotFound)?;
        match Status::from_number(call.block.status) {
            Status::Success => {}
            status => return Err(status),
        }
        let length = (call.block.output_length as usize).min(output.len());
        if length < fixed {
            return Err(Status::Invalid);
        }
        output_tail[..length - fixed].copy_from_slice(&output[fixed..length]);
        Ok((bytemuck::pod_read_unaligned(&output[..fixed]), length - fixed))
    }

    /// Tells the report something. Never fails: a report that can't be written must not change the program's way.
    pub fn note(&self, kind: NoteKind, value: i64, text: &str) {
        let note = control::Note { kind: kind as u32, caller: self.caller as u32, value };
        let mut cut = text.len().min(4000);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let _ = self.call_with(&note, &text.as_bytes()[..cut], &mut []);
    }

    fn prepare<O: Operation>(operation: &O, tail: &[u8]) -> Prepared {
        let head = bytemuck::bytes_of(operation);
        let length = head.len() + tail.len();
        let block = Call {
            cookie: COOKIE,
            protocol: PROTOCOL,
            operation: O::NUMBER,
            input_length: length as u32,
            status: Status::NotFound as u32,
            ..Call::default()
        };
        let mut call = Prepared { block, near: [0; NEAR_INPUT], far: Vec::new() };
        match call.near.get_mut(..length) {
            Some(input) => {
                input[..head.len()].copy_from_slice(head);
                input[head.len()..].copy_from_slice(tail);
            }
            None => call.far = [head, tail].concat(),
        }
        call
    }

    /// The trapped `ioctl` of a call that needs no memory.
    fn execute_in_registers(&self, call: Registers) -> Result<i64, Status> {
        let [cookie, head, first, second] = call.pack();
        loop {
            // SAFETY: nobody takes these numbers for addresses: the supervisor doesn't, and no driver in the kernel has this request.
            let result = unsafe {
                let request = REQUEST_IN_REGISTERS as libc::c_ulong;
                libc::syscall(libc::SYS_ioctl, self.descriptor, request, cookie, head, first, second)
            };
            match result {
                -1 if errno() == libc::EINTR => continue,
                -1 => return Err(Status::from_errno(errno()).unwrap_or(Status::NotFound)),
                output => return Ok(output),
            }
        }
    }

    /// The trapped `ioctl`. `Err` holds the `errno` of a call that nobody answered.
    fn execute(&self, call: &mut Prepared) -> Result<(), i32> {
        // Not before: it may have been moved.
        call.block.input = call.input() as u64;
        loop {
            // SAFETY: what is passed begins with the 64 bytes that the request number tells of; the buffers that these point to live
            // until the call returns.
            let result =
                unsafe { libc::ioctl(self.descriptor, REQUEST as libc::c_ulong, call as *mut Prepared) };
            match result {
                0 => return Ok(()),
                _ if errno() == libc::EINTR => continue,
                _ => return Err(errno()),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and not used after this.
        unsafe { libc::close(self.descriptor) };
    }
}

/// A call block and its input: right behind it, where that is read along with the block, or elsewhere if it is long.
#[repr(C)]
struct Prepared {
    block: Call,
    near: [u8; NEAR_INPUT],
    far: Vec<u8>,
}

impl Prepared {
    fn input(&self) -> *const u8 {
        if self.far.is_empty() { self.near.as_ptr() } else { self.far.as_ptr() }
    }
}

pub(crate) fn errno() -> i32 {
    // SAFETY: reads this thread's own variable.
    unsafe { *libc::__errno_location() }
}
