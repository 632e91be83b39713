//! What moves on a card: its page of figures, events, memory that others have, and what becomes of a lost one.

mod common;

use common::{OUTER, Session, card, control};
use nvidia_abi::{class, control, escape, status};
use resource_manager::{CallerMemory, Happening, Load};

/// Stamps of groups that are not polled begin here.
const COUNTED: u64 = 0xff << 56;

/// A field of the card's page at that time.
fn figure(session: &mut Session, now: u64, field: &str) -> u64 {
    let page = session.manager.shared_data(0, now).expect("a card").to_vec();
    session.abi.page(class::RM_USER_SHARED_DATA).and_then(|row| row.read(&page, field)).expect("a field")
}

fn used(bytes: u64) -> Load {
    let mut load = Load::default();
    (load.usage.used, load.usage.utilisation) = (bytes, 50);
    load
}

#[test]
fn groups_are_kept_up_while_somebody_asks() {
    let mut session = Session::new();
    let [client, _, subdevice] = card(&mut session);
    let clocks = "clkPublicDomainInfos.lastModifiedTimestamp";
    assert_eq!((figure(&mut session, 1, clocks), session.manager.shows_figures()), (0, false));
    let asked = [("polledDataMask", 1_u64)];
    let page = session.alloc([client, subdevice], class::RM_USER_SHARED_DATA, &asked).expect("a page");
    assert_eq!(figure(&mut session, 2, clocks), 2);
    let power = "powerLimitGpu.lastModifiedTimestamp";
    assert_eq!(figure(&mut session, 2, power), 0);
    let poll = control::NV00DE_CTRL_CMD_REQUEST_DATA_POLL;
    assert_eq!(control(&mut session, [client, page], poll, &[("polledDataMask", 8)]).0, status::NV_OK);
    assert_eq!((figure(&mut session, 3, clocks), figure(&mut session, 3, power)), (0, 3));
    assert!(session.manager.shows_figures());
    let files = session.process.files;
    files.into_iter().for_each(|file| session.manager.close(file));
    assert_eq!((figure(&mut session, 4, power), session.manager.shows_figures()), (0, false));
    assert_eq!(figure(&mut session, 4, "powerLimitGpu.info.enforcedmW"), 700_000, "what was there stays");
}

#[test]
fn a_stamp_that_counts_tells_a_change() {
    let mut session = Session::new();
    let memory = |session: &mut Session| {
        ["lastModifiedTimestamp", "freePmaMemory"]
            .map(|field| figure(session, 1, &format!("pmaMemoryInfo.{field}")))
    };
    let [first, all] = memory(&mut session);
    assert_eq!((first, memory(&mut session)[0]), (COUNTED, COUNTED));
    session.manager.set_load(0, used(1 << 30));
    assert_eq!(memory(&mut session), [COUNTED + 2, all - (1 << 30)]);
}

#[test]
fn what_others_have_of_memory_is_not_granted_again() {
    let mut session = Session::new();
    let (client, device) = session.device();
    session.manager.set_load(0, used(79 << 30));
    let mut grant =
        |size: u64| session.alloc([client, device], class::NV01_MEMORY_LOCAL_USER, &[("size", size)]);
    assert_eq!(grant(1 << 30), Err(status::NV_ERR_NO_MEMORY));
    assert!(grant(1 << 20).is_ok());
}

#[test]
fn files_hear_of_what_their_clients_asked_for() {
    let mut session = Session::new();
    let [client, _, subdevice] = card(&mut session);
    let event = [("hClient", u64::from(client)), ("fd", 1)];
    assert_eq!(session.escape(1, escape::NV_ESC_ALLOC_OS_EVENT, &event).0, Ok(()));
    let listener = [("data", 1), ("notifyIndex", 37)];
    let object = session.alloc([client, subdevice], class::NV01_EVENT_OS_EVENT, &listener).expect("an event");
    let gpu = session.process.files[1];
    assert!(session.manager.happened(0, Happening::Xid(13)).is_empty(), "nobody wants to be told yet");
    let once = [("event", 37), ("action", 1)];
    let notify = control::NV2080_CTRL_CMD_EVENT_SET_NOTIFICATION;
    assert_eq!(control(&mut session, [client, subdevice], notify, &once).0, status::NV_OK);
    assert!(session.manager.happened(0, Happening::Corrected).is_empty(), "another kind");
    assert_eq!(session.manager.happened(0, Happening::Xid(31)), [gpu]);
    assert!(session.manager.happened(0, Happening::Xid(31)).is_empty(), "once was asked for");
    assert!(session.manager.has_events(gpu));
    let mut fetch = |file| {
        let (_, outer) = session.escape(file, escape::NV_ESC_RM_GET_EVENT_DATA, &[("pEvent", OUTER + 0x100)]);
        let mut told = [0; 16];
        assert!(session.process.read(OUTER + 0x100, &mut told));
        let status = session.field(escape::NV_ESC_RM_GET_EVENT_DATA, &outer, "status") as u32;
        (status, told.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect::<Vec<_>>())
    };
    assert_eq!(fetch(0).0, status::NV_ERR_OPERATING_SYSTEM, "another file");
    assert_eq!(fetch(1), (status::NV_OK, vec![object, 37, 31, 0]));
    assert_eq!(fetch(1).0, status::NV_ERR_OPERATING_SYSTEM);
}

#[test]
fn a_lost_card_answers_nothing() {
    let mut session = Session::new();
    let [client, device, subdevice] = card(&mut session);
    session.manager.set_load(0, Load { is_lost: true, ..Load::default() });
    let name = control::NV2080_CTRL_CMD_GPU_GET_NAME_STRING;
    assert_eq!(control(&mut session, [client, subdevice], name, &[]).0, status::NV_ERR_GPU_IS_LOST);
    let memory = session.alloc([client, device], class::NV01_MEMORY_LOCAL_USER, &[("size", 1 << 20)]);
    assert_eq!(memory, Err(status::NV_ERR_GPU_IS_LOST));
}
