//! What the fuzz target `nodes` has found, and what it can't reach in a short time.

mod common;

use common::{AROUND, OUTER, Session, VERSION};
use nvidia_abi::{class, escape, status, uvm};
use resource_manager::{CallerMemory, Errno, Held, Node};

#[test]
fn copy_engine_beyond_all_numbers_is_an_invalid_argument() {
    let mut session = Session::new();
    let (client, device) = session.device();
    let space = session.alloc([client, device], class::FERMI_VASPACE_A, &[]).expect("an address space");
    let group = [("hVASpace", space.into()), ("engineType", 9)];
    let group = session.alloc([client, device], class::KEPLER_CHANNEL_GROUP_A, &group).expect("a group");
    let channel = session.alloc([client, group], class::HOPPER_CHANNEL_GPFIFO_A, &[]).expect("a channel");
    for number in [u64::from(u32::MAX), u64::from(u32::MAX) - 7, 1000] {
        let copy = session.alloc([client, channel], class::HOPPER_DMA_COPY_A, &[("engineType", number)]);
        assert_eq!(copy, Err(status::NV_ERR_INVALID_ARGUMENT), "{number:#x}");
    }
    assert!(session.alloc([client, channel], class::HOPPER_DMA_COPY_A, &[("engineType", 1)]).is_ok());
}

#[test]
fn mapping_of_all_memory_there_is_has_a_name() {
    let mut session = Session::new();
    let (client, device) = session.device();
    let (answer, _) = session.escape(1, escape::NV_ESC_REGISTER_FD, &[("ctl_fd", 0)]);
    assert_eq!(answer, Ok(()));
    let described = [
        ("params.hRoot", client.into()),
        ("params.hObjectParent", device.into()),
        ("params.hObjectNew", 7),
        ("params.hClass", class::NV01_MEMORY_SYSTEM_OS_DESCRIPTOR.into()),
        ("params.limit", u64::MAX),
    ];
    let (answer, outer) = session.escape(1, escape::NV_ESC_RM_ALLOC_MEMORY, &described);
    assert_eq!(answer, Ok(()));
    assert_eq!(session.field(escape::NV_ESC_RM_ALLOC_MEMORY, &outer, "params.status"), 0);
    for _ in 0..3 {
        let mapping = [("params.hClient", client.into()), ("params.hMemory", 7), ("params.length", u64::MAX)];
        let (answer, outer) = session.escape(0, escape::NV_ESC_RM_MAP_MEMORY, &mapping);
        assert_eq!(answer, Ok(()));
        assert_eq!(session.field(escape::NV_ESC_RM_MAP_MEMORY, &outer, "params.status"), 0);
    }
}

#[test]
fn escape_inside_another_is_answered_as_if_it_came_alone() {
    let mut session = Session::new();
    let fields =
        |number: u32, size: u64, place: u64| [("cmd", number.into()), ("size", size), ("ptr", place)];
    let version = session.abi.escape(escape::NV_ESC_CHECK_VERSION_STR).expect("a row").size as u64;
    let inside = fields(escape::NV_ESC_CHECK_VERSION_STR, version, AROUND);
    // Any version.
    assert!(session.process.write(AROUND, &u32::from(b'2').to_le_bytes()));
    let (answer, _) = session.escape(0, escape::NV_ESC_IOCTL_XFER_CMD, &inside);
    assert_eq!(answer, Ok(()));
    let mut text = [0; VERSION.len()];
    assert!(session.process.read(AROUND + 8, &mut text));
    assert_eq!(text, VERSION.as_bytes());

    let xfer = escape::NV_ESC_IOCTL_XFER_CMD;
    for (fields, error) in [
        (fields(xfer, 16, OUTER), Errno::Invalid),
        (fields(escape::NV_ESC_CHECK_VERSION_STR, version - 1, AROUND), Errno::Invalid),
        (fields(escape::NV_ESC_CHECK_VERSION_STR | 0x100, version, AROUND), Errno::Invalid),
        (fields(escape::NV_ESC_CARD_INFO, 16385, AROUND), Errno::Invalid),
        (fields(escape::NV_ESC_CARD_INFO, u64::from(u32::MAX), AROUND), Errno::Invalid),
        (fields(escape::NV_ESC_CHECK_VERSION_STR, version, 0), Errno::Fault),
        (fields(escape::NV_ESC_CHECK_VERSION_STR, version, u64::MAX - 8), Errno::Fault),
    ] {
        assert_eq!(session.escape(0, xfer, &fields).0, Err(error), "{fields:x?}");
    }
}

#[test]
fn closed_files_leave_nothing() {
    let mut session = Session::new();
    let (client, device) = session.device();
    let memory = [("size", 3 << 20)];
    session.alloc([client, device], class::NV01_MEMORY_LOCAL_USER, &memory).expect("memory");
    let event = [("hClient", u64::from(client)), ("fd", 5)];
    assert_eq!(session.escape(1, escape::NV_ESC_ALLOC_OS_EVENT, &event).0, Ok(()));
    assert_eq!(session.escape(0, escape::NV_ESC_SYS_PARAMS, &[("memblock_size", 0x1234)]).0, Ok(()));
    let held = session.manager.held();
    assert_eq!((held.files, held.clients, held.objects, held.video_memory), (2, 1, 4, 4 << 20));

    let unified = session.manager.open(Node::UnifiedMemory);
    for request in [uvm::UVM_INITIALIZE, uvm::UVM_CREATE_RANGE_GROUP] {
        let answer = session.manager.ioctl(unified, request, AROUND, &mut session.process);
        assert_eq!(answer, Ok(()));
        session.process.memory.fill(0);
    }
    assert_eq!(session.manager.held().unified_memory, 1);
    let files = session.process.files;
    [files[0], unified, files[1]].into_iter().for_each(|file| session.manager.close(file));
    assert_eq!(session.manager.held(), Held::default());

    // What the first program said for all is forgotten with the last one.
    session.process.files = [Node::Control, Node::Gpu(0)].map(|node| session.manager.open(node));
    assert_eq!(session.escape(0, escape::NV_ESC_SYS_PARAMS, &[("memblock_size", 1)]).0, Ok(()));
    assert_eq!(session.escape(0, escape::NV_ESC_SYS_PARAMS, &[("memblock_size", 2)]).0, Err(Errno::Busy));
}
