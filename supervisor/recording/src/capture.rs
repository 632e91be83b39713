//! What an ioctl points to, read out of the traced process before and after the call.

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use nvidia_abi::{escape, uvm};
use std::io::IoSliceMut;

use crate::event::{Indirect, Ioctl};

/// RM ignores the size that comes with an allocation, and programs leave it 0: more than any class takes is read.
const UNSTATED_PARAMETERS: usize = 512;
/// As much of a buffer behind the parameters as is compared.
const INDIRECT: usize = 16 << 10;
/// UVM requests do not carry their size; all but the last two structures are smaller than this.
const UVM_OUTER: usize = 256;

/// A call on its way, as it was when it came in.
pub(crate) struct Entered {
    ioctl: Ioctl,
    /// Where the process's arguments begin, and its environment behind them: what is there belongs to nobody's recording. A
    /// program that states too large a size points beyond its own frames.
    arguments: usize,
    outer: usize,
    parameters: usize,
    /// Where in the parameters a pointer lies, and what it points to.
    behind: Vec<(usize, usize, Vec<u8>)>,
}

/// As many of `length` bytes at `address` as can be read.
pub(crate) fn read(process: Pid, address: usize, length: usize) -> Vec<u8> {
    const PAGE: usize = 4096;
    let mut bytes = vec![0; length];
    let mut done = 0;
    // By pages: a call that crosses into an unmapped one reads nothing of the mapped one before it.
    while done < length {
        let at = address + done;
        let piece = (PAGE - at % PAGE).min(length - done);
        let local = &mut [IoSliceMut::new(&mut bytes[done..done + piece])];
        match process_vm_readv(process, local, &[RemoteIoVec { base: at, len: piece }]) {
            Ok(read) if read > 0 => done += read,
            _ => break,
        }
    }
    bytes.truncate(done);
    bytes
}

/// Where the arguments of a process begin; the end of all memory if that can't be found out.
fn arguments(process: Pid) -> usize {
    /// Of `/proc/PID/stat`, counted behind the program's name.
    const ARG_START: usize = 45;
    let begin = |stat: String| stat.rsplit_once(") ")?.1.split(' ').nth(ARG_START)?.parse().ok();
    procfs::read_to_string(&format!("{process}/stat")).ok().and_then(begin).unwrap_or(usize::MAX)
}

impl Entered {
    /// Reads what `request` with `argument` points to.
    pub(crate) fn capture(process: Pid, ioctl: Ioctl, request: u32, argument: usize) -> Self {
        let raw_numbers = ioctl.dev.contains("uvm");
        let outer_length = if raw_numbers { uvm_size(request) } else { (request >> 16 & 0x3fff) as usize };
        let arguments = arguments(process);
        let mut entered = Self { ioctl, arguments, outer: argument, parameters: 0, behind: Vec::new() };
        entered.ioctl.outer_before = entered.read(process, argument, outer_length);
        if !raw_numbers {
            entered.capture_parameters(process);
        }
        entered
    }

    fn read(&self, process: Pid, address: usize, length: usize) -> Vec<u8> {
        read(process, address, length.min(self.arguments.saturating_sub(address)))
    }

    fn capture_parameters(&mut self, process: Pid) {
        let outer = &self.ioctl.outer_before;
        let (address, length) = match (self.ioctl.nr, outer.len()) {
            (escape::NV_ESC_RM_CONTROL, 32) => (word(outer, 16), half(outer, 24)),
            (escape::NV_ESC_RM_ALLOC, 48) => (word(outer, 16), half(outer, 32)),
            (escape::NV_ESC_RM_ALLOC, 32) => (word(outer, 16), 0),
            _ => return,
        };
        if address == 0 {
            return;
        }
        let length = if self.ioctl.nr == escape::NV_ESC_RM_ALLOC && length == 0 {
            UNSTATED_PARAMETERS
        } else {
            length.min(1 << 20)
        };
        self.parameters = address;
        self.ioctl.parameters_before = self.read(process, address, length);
        let parameters = &self.ioctl.parameters_before;
        for at in (0..parameters.len().saturating_sub(7).min(512)).step_by(8) {
            let pointer = word(parameters, at);
            if (0x1_0000..0x7fff_ffff_f000).contains(&pointer) {
                let bytes = self.read(process, pointer, INDIRECT);
                if !bytes.is_empty() {
                    self.behind.push((at, pointer, bytes));
                }
            }
        }
    }

    /// Reads the same places again.
    pub(crate) fn finish(mut self, process: Pid, result: i64) -> Ioctl {
        let ioctl = &mut self.ioctl;
        ioctl.rc = result.max(-1);
        ioctl.errno = (-result).clamp(0, 4095) as i32;
        ioctl.outer_after = read(process, self.outer, ioctl.outer_before.len());
        ioctl.parameters_after = read(process, self.parameters, ioctl.parameters_before.len());
        for (at, address, mut before) in self.behind {
            let mut after = read(process, address, before.len());
            // The parameters often lie in the same stack frame as the buffer: their own change is told already.
            let until = if address < self.parameters { self.parameters - address } else { before.len() };
            if (self.parameters..self.parameters + ioctl.parameters_before.len()).contains(&address) {
                continue;
            }
            before.truncate(until);
            after.truncate(until);
            let Some(last) = before.iter().zip(&after).rposition(|(before, after)| before != after) else {
                continue;
            };
            before.truncate(last + 1);
            after.truncate(last + 1);
            ioctl.indirect.push(Indirect { at, before, after });
        }
        self.ioctl
    }
}

fn uvm_size(request: u32) -> usize {
    match request {
        uvm::UVM_MAP_EXTERNAL_ALLOCATION => 9264,
        uvm::UVM_ALLOC_SEMAPHORE_POOL => 9248,
        _ => UVM_OUTER,
    }
}

fn word(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 8).map_or(0, |word| usize::from_le_bytes(word.try_into().expect("8 bytes")))
}

fn half(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).map_or(0, |half| u32::from_le_bytes(half.try_into().expect("4 bytes")) as usize)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn memory_is_read_up_to_the_arguments() {
        let (own, begin) = (Pid::this(), arguments(Pid::this()));
        let program = std::env::args_os().next().expect("a program");
        assert_eq!(read(own, begin, program.len()), program.as_bytes());
        let ioctl = Ioctl { dev: "/dev/nvidiactl".into(), ..Ioctl::default() };
        let entered = Entered::capture(own, ioctl, 64 << 16, begin - 16);
        assert_eq!(entered.ioctl.outer_before.len(), 16);
    }
}
