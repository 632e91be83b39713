//! Control calls of a hostile client: blocks, inputs and addresses of any kind, in sequences, at a broker that has no engine to start.
//! What is looked for: a panic, memory that is asked for by the client's word, a write outside of what the client named.

#![no_main]

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use broker::{Announcement, Broker, Caller, CallerFd, Config, Fault, Order};
use libfuzzer_sys::fuzz_target;
use nix::errno::Errno;
use wire::control::{COOKIE, Call, Registers};

/// Where the client's memory lies.
const BASE: u64 = 0x10000;
const BYTES: usize = 64 << 10;
const BLOCK: usize = size_of::<Call>();

/// A client that has some memory, and one descriptor for every number.
struct Client {
    memory: RefCell<Vec<u8>>,
    file: OwnedFd,
}

impl Client {
    fn range(&self, address: u64, length: usize) -> Result<std::ops::Range<usize>, Errno> {
        let start =
            address.checked_sub(BASE).and_then(|start| usize::try_from(start).ok()).ok_or(Errno::EFAULT)?;
        let end = start.checked_add(length).filter(|end| *end <= BYTES).ok_or(Errno::EFAULT)?;
        Ok(start..end)
    }
}

impl Caller for Client {
    fn process(&self) -> u32 {
        std::process::id()
    }

    fn identity(&self) -> (u32, u32) {
        (1000, 1000)
    }

    fn is_root(&self) -> bool {
        // Or it could set nothing.
        true
    }

    fn read(&self, address: u64, target: &mut [u8]) -> Result<(), Errno> {
        let range = self.range(address, target.len())?;
        target.copy_from_slice(&self.memory.borrow()[range]);
        Ok(())
    }

    fn read_some(&self, address: u64, target: &mut [u8]) -> Result<usize, Errno> {
        let start = self.range(address, 0)?.start;
        let length = target.len().min(BYTES - start);
        if length == 0 && !target.is_empty() {
            return Err(Errno::EFAULT);
        }
        self.read(address, &mut target[..length])?;
        Ok(length)
    }

    fn write(&self, parts: [(u64, &[u8]); 2]) -> Result<(), Errno> {
        for (address, source) in parts {
            let range = self.range(address, source.len())?;
            self.memory.borrow_mut()[range].copy_from_slice(source);
        }
        Ok(())
    }

    fn install(&self, _: BorrowedFd) -> Result<CallerFd, Errno> {
        Ok(7)
    }

    fn descriptor(&self, number: CallerFd) -> Result<OwnedFd, Errno> {
        if number < 0 {
            Err(Errno::EBADF)
        } else {
            self.file.as_fd().try_clone_to_owned().map_err(|_| Errno::EMFILE)
        }
    }

    fn is_waiting(&self) -> bool {
        true
    }
}

fn broker() -> Broker {
    let announce = || {
        let host = device::Host { usable_memory: 8 << 30, cores: 2 };
        let request = device::Request { count: 2, memory: None, few_multiprocessors: true };
        let profile = device::by_name("gtx1080").expect("embedded");
        Announcement {
            devices: device::announce(profile, &request, &host),
            cuda_version: 13000,
            driver_version: device::DRIVER_VERSION.to_owned(),
        }
    };
    let engine = || Err("no engine here".to_owned());
    Broker::new(Config {
        announce: Box::new(announce),
        engine: Box::new(engine),
        checks: false,
        tracer: None,
    })
    .expect("a broker")
}

// The input: blocks of a call, each with the bytes of its input behind it, as many as the block says (at most 255).
fuzz_target!(|data: &[u8]| {
    let file = nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_RDWR, nix::sys::stat::Mode::empty());
    let client = Client { memory: RefCell::new(vec![0; BYTES]), file: file.expect("a descriptor") };
    let mut broker = broker();
    let mut rest = data;
    while let Some((&choice, behind)) = rest.split_first() {
        if behind.len() < BLOCK {
            break;
        }
        let (block, behind) = behind.split_at(BLOCK);
        let mut call: Call = bytemuck::pod_read_unaligned(block);
        // Mostly what a client of ours would say, or nothing behind these two would ever be reached.
        if choice & 1 == 0 {
            (call.cookie, call.protocol) = (COOKIE, wire::PROTOCOL);
        }
        if choice & 2 == 0 {
            call.operation %= 64;
        }
        if choice & 16 != 0 {
            let faults = [Fault::Lost, Fault::Clear, Fault::Xid(31), Fault::Thermal(None)];
            let order = Order { fault: faults[choice as usize >> 5 & 3], card: Some(u32::from(choice >> 7)) };
            let _ = broker.inject(order);
        }
        let length = (call.input_length as usize & 0xff).min(behind.len());
        let (input, next) = behind.split_at(length);
        if choice & 4 == 0 {
            (call.input, call.input_length) = (BASE + BLOCK as u64, length as u32);
        }
        if choice & 8 == 0 {
            (call.output, call.output_capacity) = (BASE + 4096, call.output_capacity.min(4096));
        }
        {
            let mut memory = client.memory.borrow_mut();
            memory[..BLOCK].copy_from_slice(bytemuck::bytes_of(&call));
            memory[BLOCK..BLOCK + length].copy_from_slice(input);
        }
        let _ = broker.handle(&client, BASE);
        let registers = Registers { protocol: call.protocol, operation: call.operation, input: call.reserved };
        let _ = broker.handle_registers(&client, registers.pack());
        broker.process_events();
        let _ = broker.take_events();
        rest = next;
    }
});
