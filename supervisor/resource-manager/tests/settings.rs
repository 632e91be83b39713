//! What can be set on a card through its nodes: who may, what the session is told, and what is told of it afterwards.

mod common;

use common::{Session, card, control};
use nvidia_abi::{control as number, status};
use resource_manager::{Accounted, Load, Order};
use wire::condition::Counter;
use wire::device::mode;
use wire::settings::{Setting, compute};

/// Tell and set the clocks of applications; no header names them.
const APPLICATION_CLOCKS: u32 = 0x2080_a0a6;
const SET_APPLICATION_CLOCKS: u32 = 0x2080_e0a6;
/// Tells the power limit.
const POWER_LIMIT: u32 = 0x2080_a61d;

fn administrator() -> Session {
    let mut session = Session::new();
    session.process.is_administrator = true;
    session
}

/// A control, what it is given to, fields of its parameters, and what it orders.
type Set = (u32, u32, Vec<(&'static str, u64)>, Order);

/// Every control that sets something of the card's.
fn sets([client, device, subdevice]: [u32; 3], id: u64) -> [Set; 10] {
    let set = |setting, value| Order::Set(setting, Some([value, 0]));
    [
        (
            number::NV2080_CTRL_CMD_GPU_SET_COMPUTE_MODE_RULES,
            subdevice,
            vec![("rules", 3)],
            set(Setting::ComputeMode, compute::EXCLUSIVE_PROCESS),
        ),
        (
            number::NV0080_CTRL_CMD_GPU_MODIFY_SW_STATE_PERSISTENCE,
            device,
            vec![("newState", 1)],
            set(Setting::PersistenceMode, 0),
        ),
        (
            number::NV2080_CTRL_CMD_GPU_SET_ECC_CONFIGURATION,
            subdevice,
            vec![("newConfiguration", 0)],
            set(Setting::EccMode, 0),
        ),
        (
            number::NV2080_CTRL_CMD_GPU_SET_PARTITIONING_MODE,
            subdevice,
            vec![("partitioningMode", 2)],
            set(Setting::MigMode, 1),
        ),
        (
            number::NV2080_CTRL_CMD_GPU_SET_PARTITIONING_MODE,
            subdevice,
            vec![("partitioningMode", 0)],
            set(Setting::MigMode, 0),
        ),
        (
            number::NV0000_CTRL_CMD_GPU_MODIFY_DRAIN_STATE,
            client,
            vec![("gpuId", id), ("newState", 1)],
            set(Setting::DrainState, 1),
        ),
        (
            number::NV0000_CTRL_CMD_GPUACCT_SET_ACCOUNTING_STATE,
            client,
            vec![("gpuId", id), ("newState", 0)],
            set(Setting::AccountingMode, 1),
        ),
        (
            number::NV0000_CTRL_CMD_GPUACCT_CLEAR_ACCOUNTING_DATA,
            client,
            vec![("gpuId", id)],
            Order::ClearAccounts,
        ),
        (
            number::NV2080_CTRL_CMD_GPU_RESET_ECC_ERROR_STATUS,
            subdevice,
            vec![("statuses", 1)],
            Order::ClearErrors(Counter::Volatile),
        ),
        (SET_APPLICATION_CLOCKS, subdevice, vec![], Order::Set(Setting::ApplicationClocks, Some([0, 0]))),
    ]
}

fn id(session: &Session) -> u64 {
    session.manager.card(0).expect("a card").id().into()
}

#[test]
fn an_administrators_sets_reach_the_session() {
    let mut session = administrator();
    let objects = card(&mut session);
    for (control, object, fields, order) in sets(objects, id(&session)) {
        let (answer, _) = common::control(&mut session, [objects[0], object], control, &fields);
        assert_eq!((answer, session.process.orders.pop()), (status::NV_OK, Some(order)), "{control:#x}");
    }
}

#[test]
fn others_are_refused_and_the_session_hears_nothing() {
    let mut session = Session::new();
    let objects = card(&mut session);
    for (control, object, fields, _) in sets(objects, id(&session)) {
        let (answer, _) = common::control(&mut session, [objects[0], object], control, &fields);
        assert_eq!(answer, status::NV_ERR_INSUFFICIENT_PERMISSIONS, "{control:#x}");
    }
    assert_eq!(session.process.orders, []);
}

#[test]
fn what_the_session_refuses_is_refused() {
    let mut session = administrator();
    let objects = card(&mut session);
    session.process.answer = Err(status::NV_ERR_INVALID_ARGUMENT);
    for (control, object, fields, _) in sets(objects, id(&session)) {
        let (answer, _) = common::control(&mut session, [objects[0], object], control, &fields);
        assert_eq!(answer, status::NV_ERR_INVALID_ARGUMENT, "{control:#x}");
    }
}

#[test]
fn values_that_no_card_has_are_refused_here() {
    let mut session = administrator();
    let [client, device, subdevice] = card(&mut session);
    let id = id(&session);
    for (object, control, fields) in [
        (device, number::NV0080_CTRL_CMD_GPU_MODIFY_SW_STATE_PERSISTENCE, vec![("newState", 2)]),
        (subdevice, number::NV2080_CTRL_CMD_GPU_SET_PARTITIONING_MODE, vec![("partitioningMode", 3)]),
        (client, number::NV0000_CTRL_CMD_GPUACCT_SET_ACCOUNTING_STATE, vec![("gpuId", id), ("newState", 2)]),
        (client, number::NV0000_CTRL_CMD_GPUACCT_SET_ACCOUNTING_STATE, vec![("gpuId", id + 1)]),
        (client, number::NV0000_CTRL_CMD_GPUACCT_CLEAR_ACCOUNTING_DATA, vec![("gpuId", id + 1)]),
    ] {
        let (answer, _) = common::control(&mut session, [client, object], control, &fields);
        assert_eq!(answer, status::NV_ERR_INVALID_ARGUMENT, "{control:#x}");
    }
    assert_eq!(session.process.orders, []);
}

#[test]
fn a_reset_is_an_administrators_and_no_card_is_taken_away() {
    const RESET: u32 = 0x80_0102;
    let mut session = administrator();
    let [client, device, _] = card(&mut session);
    let id = id(&session);
    let reset = |session: &mut Session, yes: u32| {
        common::command(session, [client, device], RESET, yes.to_le_bytes().to_vec()).0
    };
    assert_eq!((reset(&mut session, 1), session.process.orders.pop()), (status::NV_OK, Some(Order::Reset)));
    assert_eq!(reset(&mut session, 0), status::NV_ERR_NOT_SUPPORTED);
    let drain = number::NV0000_CTRL_CMD_GPU_MODIFY_DRAIN_STATE;
    let away = [("gpuId", id), ("newState", 1), ("flags", 1)];
    let (answer, _) = common::control(&mut session, [client, client], drain, &away);
    assert_eq!(answer, status::NV_ERR_NOT_SUPPORTED);
    session.process.is_administrator = false;
    assert_eq!(reset(&mut session, 1), status::NV_ERR_INSUFFICIENT_PERMISSIONS);
    assert_eq!(session.process.orders, []);
}

/// A field of what a control answers.
fn told(session: &mut Session, [client, object]: [u32; 2], number: u32, field: &str) -> u64 {
    let (answer, parameters) = control(session, [client, object], number, &[]);
    assert_eq!(answer, status::NV_OK, "{number:#x}");
    session.abi.control(number).and_then(|row| row.read(&parameters, field)).expect("a field")
}

/// A word of what a control without a name answers.
fn word(session: &mut Session, [client, object]: [u32; 2], number: u32, at: usize) -> u32 {
    let (answer, parameters) = control(session, [client, object], number, &[]);
    assert_eq!(answer, status::NV_OK, "{number:#x}");
    u32::from_le_bytes(parameters[at..at + 4].try_into().expect("4 bytes"))
}

/// `NV2080_CTRL_GPU_INFO_INDEX_GPU_SMC_MODE`
fn mig_mode(session: &mut Session, client: u32, subdevice: u32) -> u64 {
    const GPU_SMC_MODE: u64 = 0x2a;
    let asked = [("gpuInfoListSize", 1), ("gpuInfoList.index", GPU_SMC_MODE)];
    let control = number::NV2080_CTRL_CMD_GPU_GET_INFO_V2;
    let (answer, parameters) = common::control(session, [client, subdevice], control, &asked);
    assert_eq!(answer, status::NV_OK);
    session.abi.control(control).and_then(|row| row.read(&parameters, "gpuInfoList.data")).expect("a field")
}

/// Compute mode, persistence, ECC, MIG, power limit, memory and graphics clocks of applications.
fn all(session: &mut Session, [client, device, subdevice]: [u32; 3]) -> [u64; 7] {
    let on_subdevice = [client, subdevice];
    let memory_clock = word(session, on_subdevice, APPLICATION_CLOCKS, 54) & 0xffff;
    let graphics_clock = word(session, on_subdevice, APPLICATION_CLOCKS, 46) & 0xffff;
    [
        told(session, on_subdevice, number::NV2080_CTRL_CMD_GPU_QUERY_COMPUTE_MODE_RULES, "rules"),
        told(
            session,
            [client, device],
            number::NV0080_CTRL_CMD_GPU_QUERY_SW_STATE_PERSISTENCE,
            "swStatePersistence",
        ),
        told(
            session,
            on_subdevice,
            number::NV2080_CTRL_CMD_GPU_QUERY_ECC_CONFIGURATION,
            "currentConfiguration",
        ),
        mig_mode(session, client, subdevice),
        word(session, on_subdevice, POWER_LIMIT, 4).into(),
        memory_clock.into(),
        graphics_clock.into(),
    ]
}

#[test]
fn what_is_set_is_told() {
    let mut session = Session::new();
    let objects = card(&mut session);
    assert_eq!(all(&mut session, objects), [0, 0, 1, 2, 700_000, 2619, 1980], "as the card comes");
    let mut load = Load { pending_ecc: Some(false), pending_mig: Some(true), ..Load::default() };
    load.usage.compute_mode = compute::PROHIBITED;
    load.usage.modes = mode::NOT_PERSISTENT;
    load.usage.power_limit = 300_000;
    load.usage.application_clocks = [1593, 1200];
    session.manager.set_load(0, load);
    assert_eq!(all(&mut session, objects), [2, 1, 0, 3, 300_000, 1593, 1200]);
}

#[test]
fn accounts_are_told_by_process() {
    let mut session = Session::new();
    let [client, ..] = card(&mut session);
    let id = id(&session);
    let ended =
        Accounted { pid: 7, utilisation: 50, peak: 1 << 30, time: 2, began: 1000, ..Accounted::default() };
    let running = Accounted { pid: 8, is_running: 1, time: 0, ..ended };
    session.process.accounts = vec![ended, running];
    let list = number::NV0000_CTRL_CMD_GPUACCT_GET_ACCOUNTING_PIDS;
    let (answer, parameters) = control(&mut session, [client, client], list, &[("gpuId", id)]);
    let row = session.abi.control(list).expect("a row");
    let told: Vec<_> =
        (0..3).map(|at| row.field("pidTbl").and_then(|field| field.read(&parameters, at))).collect();
    assert_eq!((answer, row.read(&parameters, "pidCount")), (status::NV_OK, Some(2)));
    assert_eq!(told, [Some(7), Some(8), Some(0)]);
    let of = number::NV0000_CTRL_CMD_GPUACCT_GET_PROC_ACCOUNTING_INFO;
    for (process, end) in [(7, 3000), (8, 0)] {
        let (answer, parameters) =
            control(&mut session, [client, client], of, &[("gpuId", id), ("pid", process)]);
        let row = session.abi.control(of).expect("a row");
        let told =
            ["gpuUtil", "maxFbUsage", "startTime", "endTime"].map(|field| row.read(&parameters, field));
        assert_eq!((answer, told), (status::NV_OK, [50, 1 << 30, 1000, end].map(Some)));
    }
    let (answer, _) = control(&mut session, [client, client], of, &[("gpuId", id), ("pid", 9)]);
    assert_eq!(answer, status::NV_ERR_OBJECT_NOT_FOUND);
}
