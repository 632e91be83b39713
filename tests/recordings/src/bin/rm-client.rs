//! Calls the resource manager without NVIDIA's libraries and prints what it answers.
//!
//! ```text
//! rm-client errors        what is right once and what is wrong in every way
//! rm-client page [TIMES]  the page of class 0xde that the driver shares with a client, mapped and printed, beside what controls say
//! rm-client sweep FILE    every control that FILE lists, with zeros for parameters, and each index of those that take indices
//! rm-client wait SECONDS  waits for an error of the card (an Xid) on a descriptor of its node, and says what it is told
//! ```

use anyhow::{Context, Result, bail};
use nvidia_abi::escape;
use recordings::mark::mark;
use recordings::rm::{Mapping, Node, get, put};
use recordings::tree::{
    CLASS_DEVICE, CLASS_ROOT, CLASS_SUBDEVICE, CONTROL_NODE, DEVICE, GPU_NODE, SUBDEVICE, Tree, root,
};
use std::io::Write;

const UVM_NODE: &str = "/dev/nvidia-uvm";

const CLASS_EVENT: u32 = 0x79;
const CLASS_SHARED_DATA: u32 = 0xde;

const EVENT: u32 = 0x5c00_0003;
const SHARED_DATA: u32 = 0x5c00_0004;
const NOWHERE: u32 = 0x5c00_dead;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["errors"] => errors(),
        ["page"] => page(3),
        ["page", times] => page(times.parse().context("TIMES is a number")?),
        ["sweep", file] => sweep(file),
        ["wait", seconds] => wait(seconds.parse().context("SECONDS is a number")?),
        _ => bail!("rm-client errors | page [TIMES] | sweep FILE | wait SECONDS"),
    }
}

fn errors() -> Result<()> {
    let control = Node::open(CONTROL_NODE).context(CONTROL_NODE)?;
    let version = versions(&control)?;
    println!("driver {version}");
    escapes(&control);
    before_the_gpu_is_open(&control)?;
    let tree = Tree::new()?;
    controls(&tree);
    objects(&tree)?;
    event_objects(&tree);
    two_clients(&tree)?;
    gpu_node(&tree);
    uvm()?;
    frees(&tree);
    Ok(())
}

/// `NV_ESC_CHECK_VERSION_STR`: command, reply, 64 characters.
fn versions(control: &Node) -> Result<String> {
    let mut query = [0; 72];
    put(&mut query, 0, u32::from(b'2'));
    step("version: query", || control.escape(escape::NV_ESC_CHECK_VERSION_STR, &mut query));
    let text = String::from_utf8_lossy(&query[8..]).trim_end_matches('\0').to_owned();
    for (command, version) in [
        (0, text.as_str()),
        (0, "1.2.3"),
        (u32::from(b'1'), text.as_str()),
        (u32::from(b'1'), "1.2.3"),
        (7, text.as_str()),
        (0, ""),
    ] {
        let mut request = [0; 72];
        put(&mut request, 0, command);
        request[8..8 + version.len()].copy_from_slice(version.as_bytes());
        step(&format!("version: command {command} with {version:?}"), || {
            control.escape(escape::NV_ESC_CHECK_VERSION_STR, &mut request)
        });
        println!(
            "  reply {} {:?}",
            get(&request, 4),
            String::from_utf8_lossy(&request[8..]).trim_end_matches('\0')
        );
    }
    Ok(text)
}

fn escapes(control: &Node) {
    let mut parameters = [0; 8];
    parameters[..8].copy_from_slice(&0x4000_0000_u64.to_le_bytes());
    step("SYS_PARAMS", || control.escape(escape::NV_ESC_SYS_PARAMS, &mut parameters));
    for cards in [1, 2, 32, 64] {
        step(&format!("CARD_INFO of {cards}"), || {
            control.escape(escape::NV_ESC_CARD_INFO, &mut vec![0; cards * 72])
        });
    }
    for size in [0, 1, 71, 73, 2305] {
        step(&format!("CARD_INFO, {size} bytes"), || {
            control.escape(escape::NV_ESC_CARD_INFO, &mut vec![0; size])
        });
    }
    for number in [0, 1, 0x20, 0x26, 0x30, 0x36, 0x40, 0x5b, 0x60, 0x7f, 202, 203, 208, 219, 230, 255] {
        step(&format!("escape {number:#x}, which does not exist"), || control.escape(number, &mut [0; 16]));
    }
    for (number, size) in [
        (0x29, 15),
        (0x29, 17),
        (0x2a, 31),
        (0x2a, 40),
        (0x2b, 31),
        (0x2b, 33),
        (0x2b, 47),
        (0x2b, 56),
        (0xd2, 71),
        (0xd6, 4),
    ] {
        step(&format!("escape {number:#x} with {size} bytes"), || control.escape(number, &mut vec![0; size]));
    }
    for number in [escape::NV_ESC_REGISTER_FD, escape::NV_ESC_NUMA_INFO, escape::NV_ESC_WAIT_OPEN_COMPLETE] {
        let size = if number == escape::NV_ESC_NUMA_INFO {
            560
        } else {
            4 + 4 * usize::from(number == escape::NV_ESC_WAIT_OPEN_COMPLETE)
        };
        step(&format!("escape {number}, which is a GPU node's, on the control node"), || {
            control.escape(number, &mut vec![0; size])
        });
    }
    step("another type byte", || {
        control.raw(3 << 30 | 8 << 16 | u32::from(b'x') << 8 | escape::NV_ESC_SYS_PARAMS, &mut parameters)
    });
    step("another direction", || {
        control.raw(8 << 16 | u32::from(b'F') << 8 | escape::NV_ESC_SYS_PARAMS, &mut parameters)
    });
}

fn before_the_gpu_is_open(control: &Node) -> Result<()> {
    for class in [0, 1, CLASS_ROOT] {
        let answer = step(&format!("root by class {class:#x}"), || control.alloc(0, 0, 0, class, &mut []));
        step("  freed", || control.free(answer.2, answer.2, answer.2));
    }
    step("root with a handle of one's own", || {
        control.alloc(0xc1d0_5c05, 0xc1d0_5c05, 0xc1d0_5c05, CLASS_ROOT, &mut [])
    });
    step("root with a small handle", || control.alloc(0, 0, 0x1234, CLASS_ROOT, &mut []));
    step("root of 120 bytes of parameters", || control.alloc(0, 0, 0, CLASS_ROOT, &mut [0; 120]));
    step("class that does not exist, no client", || control.alloc(0, 0, 0, 0xdead, &mut []));
    let client = root(control)?;
    for command in [0x214, 0x201, 0x215, 0x201] {
        let mut parameters = vec![
            0;
            if command == 0x215 {
                132
            } else if command == 0x214 {
                384
            } else {
                128
            }
        ];
        if command == 0x215 {
            put(&mut parameters, 0, 0xffff);
        }
        step(&format!("control {command:#x}"), || control.control(client, client, command, &mut parameters));
    }
    step("device before its node is open", || {
        control.alloc(client, client, DEVICE, CLASS_DEVICE, &mut [0; 56])
    });
    let mut ids = [0; 132];
    put(&mut ids, 0, 0x1234);
    put(&mut ids, 4, 0xffff_ffff);
    step("attach an id that no card has", || control.control(client, client, 0x215, &mut ids));
    step("detach an id that no card has", || control.control(client, client, 0x216, &mut ids[..128]));
    step("client freed", || control.free(client, client, client));
    Ok(())
}

fn controls(tree: &Tree) {
    let (control, client) = (&tree.control, tree.client);
    let mut big = [0; 4096];
    const NAME: u32 = 0x2080_0110;
    step("control: as it should be", || control.control(client, SUBDEVICE, NAME, &mut big[..132]));
    for size in [0, 1, 131, 133, 4096] {
        step(&format!("control: {size} bytes for 132"), || {
            control.control(client, SUBDEVICE, NAME, &mut big[..size])
        });
    }
    step("control: no parameters, size right", || control.control_at(client, SUBDEVICE, NAME, 0, 132));
    step("control: parameters nowhere", || control.control_at(client, SUBDEVICE, NAME, 0x10, 132));
    step("control: more than a megabyte", || {
        control.control_at(client, SUBDEVICE, NAME, big.as_ptr() as u64, (1 << 20) + 1)
    });
    for command in [0x2080_ffff, 0x2080_01ff, 0x2080_3f01, 0x0000_dead, 0x0080_0299, 0xffff_ffff, 0] {
        step(&format!("control {command:#x}, which does not exist"), || {
            control.control(client, SUBDEVICE, command, &mut big[..16])
        });
    }
    step("control of a subdevice on the client", || control.control(client, client, NAME, &mut big[..132]));
    step("control of a subdevice on the device", || control.control(client, DEVICE, NAME, &mut big[..132]));
    step("control of a client on the subdevice", || {
        control.control(client, SUBDEVICE, 0x201, &mut big[..128])
    });
    step("control on a handle that no object has", || {
        control.control(client, NOWHERE, NAME, &mut big[..132])
    });
    step("control by a client that does not exist", || {
        control.control(0xc1d0_ffff, SUBDEVICE, NAME, &mut big[..132])
    });
    step("control by client 0", || control.control(0, 0, NAME, &mut big[..132]));
    for (name, command, size) in [
        ("privileged: GPU_SET_COMPUTE_MODE_RULES to what it is", 0x2080_0130, 4),
        ("kernel's own: GPU_GET_… internal", 0x2080_0a01, 16),
    ] {
        step(name, || control.control(client, SUBDEVICE, command, &mut big[..size]));
    }
    for (index, count) in [(0x16, 1), (0xffff, 1), (0x16, 0), (0x16, 0x7fff_ffff)] {
        let mut list = [0; 4 + 8 * 64];
        put(&mut list, 0, count);
        put(&mut list, 4, index);
        step(&format!("FB_GET_INFO_V2 of {count}, index {index:#x}"), || {
            control.control(client, SUBDEVICE, 0x2080_1303, &mut list)
        });
    }
}

fn objects(tree: &Tree) -> Result<()> {
    let (control, client) = (&tree.control, tree.client);
    step("device again, same handle", || control.alloc(client, client, DEVICE, CLASS_DEVICE, &mut [0; 56]));
    step("device again, another handle", || {
        control.alloc(client, client, 0x5c00_0010, CLASS_DEVICE, &mut [0; 56])
    });
    let mut other = [0; 56];
    put(&mut other, 0, 31);
    step("device 31", || control.alloc(client, client, 0x5c00_0011, CLASS_DEVICE, &mut other));
    step("device below a subdevice", || {
        control.alloc(client, SUBDEVICE, 0x5c00_0012, CLASS_DEVICE, &mut [0; 56])
    });
    step("device without parameters", || control.alloc(client, client, 0x5c00_0013, CLASS_DEVICE, &mut []));
    step("device with handle 0", || control.alloc(client, client, 0, CLASS_DEVICE, &mut [0; 56]));
    step("subdevice 1", || control.alloc(client, DEVICE, 0x5c00_0014, CLASS_SUBDEVICE, &mut [1, 0, 0, 0]));
    step("subdevice below the client", || {
        control.alloc(client, client, 0x5c00_0015, CLASS_SUBDEVICE, &mut [0; 4])
    });
    step("subdevice without parameters", || {
        control.alloc(client, DEVICE, 0x5c00_0016, CLASS_SUBDEVICE, &mut [])
    });
    step("subdevice below nothing", || {
        control.alloc(client, NOWHERE, 0x5c00_0017, CLASS_SUBDEVICE, &mut [0; 4])
    });
    step("second subdevice", || control.alloc(client, DEVICE, 0x5c00_0018, CLASS_SUBDEVICE, &mut [0; 4]));
    step("class that does not exist", || control.alloc(client, DEVICE, 0x5c00_0019, 0xdead, &mut [0; 64]));
    step("class of an older card", || control.alloc(client, DEVICE, 0x5c00_001a, 0x906f, &mut [0; 512]));
    step("32-byte form", || {
        let mut outer = [0; 32];
        for (at, value) in [(0, client), (4, DEVICE), (8, 0x5c00_001b), (12, CLASS_SUBDEVICE)] {
            put(&mut outer, at, value);
        }
        (control.escape(escape::NV_ESC_RM_ALLOC, &mut outer), get(&outer, 28), get(&outer, 8))
    });
    let mut classes = [0; 804];
    step("GPU_GET_CLASSLIST_V2", || control.control(client, DEVICE, 0x0080_0292, &mut classes));
    let count = (get(&classes, 0) as usize).min(200);
    println!(
        "  {} classes: {:x?}",
        count,
        (0..count).map(|at| get(&classes, 4 + 4 * at)).collect::<Vec<_>>()
    );
    std::io::stdout().flush()?;
    Ok(())
}

/// NV0005_ALLOC_PARAMETERS: parent's client, source, class, index of the notification, descriptor.
fn event_objects(tree: &Tree) {
    let (control, client) = (&tree.control, tree.client);
    let fd = control.fd() as u32;
    let os_event = |number, fd: u32| {
        let mut outer = [0; 16];
        for (at, value) in [(0, client), (4, DEVICE), (8, fd)] {
            put(&mut outer, at, value);
        }
        (control.escape(number, &mut outer), get(&outer, 12))
    };
    step("free an event of the system that was not made", || os_event(escape::NV_ESC_FREE_OS_EVENT, fd));
    step("event of the system", || os_event(escape::NV_ESC_ALLOC_OS_EVENT, fd));
    step("event of the system again", || os_event(escape::NV_ESC_ALLOC_OS_EVENT, fd));
    step("event of the system with a descriptor that is not open", || {
        os_event(escape::NV_ESC_ALLOC_OS_EVENT, 999)
    });
    let event = |handle, index: u32, fd: u32| {
        let mut parameters = [0; 24];
        for (at, value) in [(0, client), (4, SUBDEVICE), (8, CLASS_EVENT), (12, index), (16, fd)] {
            put(&mut parameters, at, value);
        }
        control.alloc(client, SUBDEVICE, handle, CLASS_EVENT, &mut parameters)
    };
    step("event object", || event(EVENT, 21, fd));
    step("event object, same handle", || event(EVENT, 21, fd));
    step("event object, index that does not exist", || event(0x5c00_0020, 9999, fd));
    step("event object, descriptor not open", || event(0x5c00_0021, 22, 998));
    for action in [0, 1, 2, 3] {
        let mut parameters = [0; 24];
        put(&mut parameters, 0, 21);
        put(&mut parameters, 4, action);
        step(&format!("EVENT_SET_NOTIFICATION {action}"), || {
            control.control(client, SUBDEVICE, 0x2080_0301, &mut parameters[..12])
        });
    }
    step("nothing has happened: poll", || {
        let mut wait = libc::pollfd { fd: control.fd(), events: libc::POLLIN | libc::POLLPRI, revents: 0 };
        // SAFETY: one entry that lives until the return.
        (unsafe { libc::poll(&raw mut wait, 1, 20) }, wait.revents)
    });
    step("event data when there is none", || {
        let mut data = [0_u8; 64];
        let mut outer = [0; 16];
        outer[..8].copy_from_slice(&(data.as_mut_ptr() as u64).to_le_bytes());
        (control.escape(0x52, &mut outer), get(&outer, 8), get(&outer, 12))
    });
    step("event object freed", || control.free(client, SUBDEVICE, EVENT));
    step("event of the system freed", || os_event(escape::NV_ESC_FREE_OS_EVENT, fd));
    step("event of the system freed again", || os_event(escape::NV_ESC_FREE_OS_EVENT, fd));
}

/// NVOS55: client, parent, new handle, source client, source, flags, status.
fn two_clients(tree: &Tree) -> Result<()> {
    let (control, client) = (&tree.control, tree.client);
    let second = Node::open(CONTROL_NODE)?;
    step("a client of another open file", || second.control(client, SUBDEVICE, 0x2080_0110, &mut [0; 132]));
    let other = step("second client", || second.alloc(0, 0, 0, CLASS_ROOT, &mut [])).2;
    let dup = |node: &Node, words: [u32; 6]| {
        let mut outer = [0; 28];
        for (at, word) in words.into_iter().enumerate() {
            put(&mut outer, 4 * at, word);
        }
        (node.escape(escape::NV_ESC_RM_DUP_OBJECT, &mut outer), get(&outer, 8), get(&outer, 24))
    };
    step("device of the second", || second.alloc(other, other, DEVICE, CLASS_DEVICE, &mut [0; 56]));
    step("dup of a subdevice", || dup(&second, [other, DEVICE, 0x5c00_0030, client, SUBDEVICE, 0]));
    step("dup of a device", || dup(&second, [other, other, 0x5c00_0031, client, DEVICE, 0]));
    step("dup of nothing", || dup(&second, [other, DEVICE, 0x5c00_0032, client, NOWHERE, 0]));
    step("dup by the wrong file", || dup(control, [other, DEVICE, 0x5c00_0033, client, SUBDEVICE, 0]));
    step("share", || {
        let mut outer = [0; 24];
        for (at, word) in [client, SUBDEVICE, 0, 1].into_iter().enumerate() {
            put(&mut outer, 4 * at, word);
        }
        (control.escape(escape::NV_ESC_RM_SHARE, &mut outer), get(&outer, 20))
    });
    step("free another's client", || control.free(other, other, other));
    step("free one's own client", || second.free(other, other, other));
    Ok(())
}

fn gpu_node(tree: &Tree) {
    let (gpu, client) = (&tree.gpu, tree.client);
    step("NUMA_INFO", || gpu.escape(escape::NV_ESC_NUMA_INFO, &mut [0; 560]));
    step("WAIT_OPEN_COMPLETE", || gpu.escape(escape::NV_ESC_WAIT_OPEN_COMPLETE, &mut [0; 8]));
    step("REGISTER_FD again", || {
        gpu.escape(escape::NV_ESC_REGISTER_FD, &mut tree.control.fd().to_le_bytes())
    });
    step("REGISTER_FD of itself", || gpu.escape(escape::NV_ESC_REGISTER_FD, &mut gpu.fd().to_le_bytes()));
    step("REGISTER_FD of nothing", || gpu.escape(escape::NV_ESC_REGISTER_FD, &mut 999_i32.to_le_bytes()));
    step("CARD_INFO on a GPU's node", || gpu.escape(escape::NV_ESC_CARD_INFO, &mut [0; 72]));
    step("control on a GPU's node", || gpu.control(client, SUBDEVICE, 0x2080_0110, &mut [0; 132]));
    step("alloc on a GPU's node", || gpu.alloc(0, 0, 0, CLASS_ROOT, &mut []));
    step("free on a GPU's node", || gpu.free(client, client, client));
}

fn uvm() -> Result<()> {
    let Ok(uvm) = Node::open(UVM_NODE) else {
        println!("no {UVM_NODE}");
        return Ok(());
    };
    let command = |name: &str, request: u32, size: usize, words: &[u32]| {
        let mut structure = vec![0; 16 << 10];
        for (at, &word) in words.iter().enumerate() {
            put(&mut structure, 4 * at, word);
        }
        step(name, || uvm.raw(request, &mut structure));
        println!("  [{}]", hex::encode(&structure[..size]));
    };
    command("UVM: before INITIALIZE", 39, 8, &[]);
    command("UVM: a flag that does not exist", 0x3000_0001, 16, &[0x80]);
    command("UVM_INITIALIZE", 0x3000_0001, 16, &[2]);
    command("UVM_INITIALIZE again", 0x3000_0001, 16, &[2]);
    command("UVM_PAGEABLE_MEM_ACCESS", 39, 8, &[]);
    command("UVM_MM_INITIALIZE with its own descriptor", 75, 8, &[uvm.fd() as u32]);
    command("UVM_REGISTER_GPU of an id that no card has", 37, 40, &[1, 2, 3, 4, 0, 0, u32::MAX]);
    command("UVM_UNREGISTER_GPU", 38, 20, &[1, 2, 3, 4]);
    command("UVM_CREATE_RANGE_GROUP", 23, 16, &[]);
    command("UVM_DESTROY_RANGE_GROUP of none", 24, 16, &[77]);
    command("UVM_FREE of nothing", 34, 24, &[0x1000_0000]);
    command("UVM_VALIDATE_VA_RANGE of nothing", 72, 24, &[0x1000_0000, 0, 0x1000]);
    for number in [0, 1, 22, 200, 0x3000_0003] {
        command(&format!("UVM: {number:#x}, which does not exist"), number, 16, &[]);
    }
    command("UVM_DEINITIALIZE", 0x3000_0002, 8, &[]);
    Ok(())
}

fn frees(tree: &Tree) {
    let (control, client) = (&tree.control, tree.client);
    step("free of nothing", || control.free(client, client, NOWHERE));
    step("free by the wrong parent", || control.free(client, client, SUBDEVICE));
    step("free by a parent that does not exist", || control.free(client, NOWHERE, SUBDEVICE));
    step("free again", || control.free(client, DEVICE, SUBDEVICE));
    step("second subdevice of the freed device", || control.free(client, client, DEVICE));
    step("control on what went with its parent", || {
        control.control(client, 0x5c00_0018, 0x2080_0110, &mut [0; 132])
    });
    step("client freed", || control.free(client, client, client));
    step("client freed again", || control.free(client, client, client));
    step("control by a freed client", || control.control(client, client, 0x201, &mut [0; 128]));
}

/// Events of `NV2080_NOTIFIERS_RC_ERROR`, as NVML waits for them: through an open file of the card's node that is for nothing else.
fn wait(seconds: i32) -> Result<()> {
    const ERROR: u32 = 37;
    let tree = Tree::new()?;
    let (client, gpu) = (tree.client, Node::open(GPU_NODE)?);
    gpu.escape(escape::NV_ESC_WAIT_OPEN_COMPLETE, &mut [0; 8]);
    step("REGISTER_FD", || gpu.escape(escape::NV_ESC_REGISTER_FD, &mut tree.control.fd().to_le_bytes()));
    step("event of the system", || {
        let mut outer = [0; 16];
        for (at, value) in [(0, client), (4, DEVICE), (8, gpu.fd() as u32)] {
            put(&mut outer, at, value);
        }
        (gpu.escape(escape::NV_ESC_ALLOC_OS_EVENT, &mut outer), get(&outer, 12))
    });
    let mut parameters = [0; 24];
    for (at, value) in [(0, client), (8, CLASS_EVENT), (12, ERROR), (16, gpu.fd() as u32)] {
        put(&mut parameters, at, value);
    }
    step("event object", || gpu.alloc(client, SUBDEVICE, EVENT, CLASS_EVENT, &mut parameters));
    let mut notification = [0; 20];
    put(&mut notification, 0, ERROR);
    put(&mut notification, 4, 2);
    step("EVENT_SET_NOTIFICATION", || {
        tree.control.control(client, SUBDEVICE, 0x2080_0301, &mut notification)
    });
    let poll = |milliseconds| {
        let mut wait = libc::pollfd { fd: gpu.fd(), events: libc::POLLIN | libc::POLLPRI, revents: 0 };
        // SAFETY: one entry that lives until the return.
        (unsafe { libc::poll(&raw mut wait, 1, milliseconds) }, wait.revents)
    };
    println!("waits");
    std::io::stdout().flush()?;
    step("poll", || poll(seconds * 1000));
    step("poll again", || poll(0));
    for node in [&gpu, &tree.control, &gpu, &gpu] {
        let mut data = [0_u8; 16];
        let mut outer = [0; 16];
        outer[..8].copy_from_slice(&(data.as_mut_ptr() as u64).to_le_bytes());
        step("event data", || (node.escape(0x52, &mut outer), get(&outer, 8), get(&outer, 12)));
        println!("  [{}]", hex::encode(data));
    }
    step("poll after that", || poll(0));
    step("freed", || tree.control.free(client, SUBDEVICE, EVENT));
    Ok(())
}

/// The page of class 0xde: what each group of figures adds to it, and then all of it, beside what controls say.
fn page(times: u32) -> Result<()> {
    let tree = Tree::new()?;
    for (at, mask) in std::iter::once(0).chain((0..7).map(|bit| 1 << bit)).enumerate() {
        let handle = SHARED_DATA + at as u32;
        if let Some(page) = shared_page(&tree, handle, mask)? {
            println!("page [{}]", hex::encode(page.bytes()));
        }
        step("free", || tree.control.free(tree.client, SUBDEVICE, handle));
    }
    let Some(page) = shared_page(&tree, SHARED_DATA + 0x10, u64::MAX)? else { return Ok(()) };
    for _ in 0..times {
        times_and_controls(&tree);
        println!("page [{}]", hex::encode(page.bytes()));
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    Ok(())
}

/// An object of class 0xde, mapped. A moment later, so that the driver has filled it.
fn shared_page(tree: &Tree, handle: u32, mask: u64) -> Result<Option<Mapping>> {
    /// All of it: a mapping of more is refused.
    const LENGTH: usize = 2608;
    let mut parameters = mask.to_le_bytes();
    let made = step(&format!("class 0xde, mask {mask:#x}"), || {
        tree.control.alloc(tree.client, SUBDEVICE, handle, CLASS_SHARED_DATA, &mut parameters)
    });
    if (made.0, made.1) != (0, 0) {
        return Ok(None);
    }
    let node = Node::open(CONTROL_NODE)?;
    step("RM_MAP_MEMORY", || tree.control.map_memory(tree.client, SUBDEVICE, handle, LENGTH as u64, &node));
    match Mapping::of(&node, LENGTH) {
        Ok(mapping) => {
            std::thread::sleep(std::time::Duration::from_millis(400));
            Ok(Some(mapping))
        }
        Err(error) => {
            println!("mmap: {error}");
            Ok(None)
        }
    }
}

/// What the same figures are by other ways.
fn times_and_controls(tree: &Tree) {
    for (name, clock) in [("realtime", libc::CLOCK_REALTIME), ("monotonic", libc::CLOCK_MONOTONIC)] {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a structure to fill.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        println!("{name} {}", time.tv_sec * 1_000_000_000 + time.tv_nsec);
    }
    let memory = [0x5, 0x7, 0x8, 0x9, 0xa, 0x12, 0x16, 0x1d, 0x20, 0x27];
    let lists: [(&str, u32, usize, &[u32]); 2] = [
        ("FB_GET_INFO_V2", 0x2080_1303, 1028, &memory),
        ("BUS_GET_INFO_V2", 0x2080_1823, 420, &[0x14, 0x19, 0x1a, 0x1c, 0x1d, 0x1e, 0x1f, 0x20]),
    ];
    for (name, command, size, indices) in lists {
        let mut parameters = vec![0; size];
        put(&mut parameters, 0, indices.len() as u32);
        for (at, &index) in indices.iter().enumerate() {
            put(&mut parameters, 4 + 8 * at, index);
        }
        step(name, || tree.control.control(tree.client, SUBDEVICE, command, &mut parameters));
        let values = |at: usize| format!("{:#x}={:#x}", indices[at], get(&parameters, 8 + 8 * at));
        println!("  {}", (0..indices.len()).map(values).collect::<Vec<_>>().join(" "));
    }
    for (name, command, size) in [
        ("TIMER_GET_TIME", 0x2080_0403, 8),
        ("PERF_GET_CURRENT_PSTATE", 0x2080_2068, 4),
        ("FB_GET_ROW_REMAPPER_HISTOGRAM", 0x2080_1347, 20),
        ("ECC_GET_CLIENT_EXPOSED_COUNTERS", 0x2080_3400, 96),
        ("ECC_GET_VOLATILE_COUNTS", 0x2080_3401, 40),
        ("RUSD_GET_SUPPORTED_FEATURES", 0x2080_81ea, 4),
    ] {
        let mut parameters = vec![0; size];
        step(name, || tree.control.control(tree.client, SUBDEVICE, command, &mut parameters));
        println!("  [{}]", hex::encode(parameters));
    }
}

/// Lines: number, size, name, how many indices.
fn sweep(file: &str) -> Result<()> {
    let tree = Tree::new()?;
    let list = std::fs::read_to_string(file).context(file.to_owned())?;
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(command), Some(size), Some(name)) = (words.next(), words.next(), words.next()) else {
            bail!("{line}: not three words")
        };
        let command = u32::from_str_radix(command, 16)?;
        let size: usize = size.parse()?;
        let indices: Option<u32> = words.next().map(str::parse).transpose()?;
        let object = match command >> 16 {
            0 => tree.client,
            0x80 => DEVICE,
            0x2080 => SUBDEVICE,
            _ => bail!("{line}: a control of what?"),
        };
        mark(name);
        let ask = |parameters: &mut [u8]| tree.control.control(tree.client, object, command, parameters);
        println!("{name}: {:x?}", ask(&mut vec![0; size]));
        for index in 0..indices.unwrap_or(0) {
            let mut parameters = vec![0; size];
            put(&mut parameters, 0, 1);
            put(&mut parameters, 4, index);
            let answer = ask(&mut parameters);
            println!("  index {index:#x}: {answer:x?} {:#x}", get(&parameters, 8));
        }
    }
    Ok(())
}

fn step<T: std::fmt::Debug>(name: &str, call: impl FnOnce() -> T) -> T {
    mark(name);
    let answer = call();
    println!("{name}: {answer:x?}");
    answer
}
