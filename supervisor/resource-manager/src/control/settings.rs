//! What can be set on a card, and what is set: controls that have public names. Those without are rows (`set`) of a card's facts.
//!
//! Who may not is refused before (a row's access is `admin`); the session refuses what the card has not, and values that it cannot
//! have, as it does for NVML.

use nvidia_abi::{control, status};
use wire::condition::Counter;
use wire::control::Accounted;
use wire::device::mode;
use wire::settings::Setting;

use super::{Command, Handler};
use crate::Order;

pub(super) const HANDLERS: &[(u32, Handler)] = &[
    (control::NV2080_CTRL_CMD_GPU_SET_COMPUTE_MODE_RULES, set_compute_mode),
    (control::NV2080_CTRL_CMD_GPU_QUERY_COMPUTE_MODE_RULES, compute_mode),
    (control::NV0080_CTRL_CMD_GPU_MODIFY_SW_STATE_PERSISTENCE, set_persistence),
    (control::NV0080_CTRL_CMD_GPU_QUERY_SW_STATE_PERSISTENCE, persistence),
    (control::NV2080_CTRL_CMD_GPU_SET_ECC_CONFIGURATION, set_ecc),
    (control::NV2080_CTRL_CMD_GPU_RESET_ECC_ERROR_STATUS, clear_errors),
    (control::NV2080_CTRL_CMD_GPU_SET_PARTITIONING_MODE, set_partitioning),
    (control::NV0000_CTRL_CMD_GPU_MODIFY_DRAIN_STATE, set_drain),
    (control::NV0000_CTRL_CMD_GPU_QUERY_DRAIN_STATE, drain),
    (control::NV0000_CTRL_CMD_GPUACCT_SET_ACCOUNTING_STATE, set_accounting),
    (control::NV0000_CTRL_CMD_GPUACCT_GET_ACCOUNTING_STATE, accounting),
    (control::NV0000_CTRL_CMD_GPUACCT_CLEAR_ACCOUNTING_DATA, clear_accounts),
    (control::NV0000_CTRL_CMD_GPUACCT_GET_ACCOUNTING_PIDS, accounted),
    (control::NV0000_CTRL_CMD_GPUACCT_GET_PROC_ACCOUNTING_INFO, account),
];

/// `NV0080_CTRL_GPU_SW_STATE_PERSISTENCE_…`, `NV0000_CTRL_GPU_ACCOUNTING_STATE_…`
const ENABLED: u32 = 0;
const DISABLED: u32 = 1;

/// Sets something of the card that the object belongs to.
fn set(command: &mut Command, setting: Setting, values: [u32; 2]) -> Result<(), u32> {
    order(command, Order::Set(setting, Some(values)))
}

/// Gives an order for the card that the object belongs to.
fn order(command: &mut Command, order: Order) -> Result<(), u32> {
    let card = command.object.card.ok_or(status::NV_ERR_INVALID_OBJECT)?;
    command.caller.order(card, order)
}

/// Of a field that is 0 for on and 1 for off: what a setting is set to.
fn switch(command: &Command, field: &str) -> Result<[u32; 2], u32> {
    match command.parameters.word(field) {
        ENABLED => Ok([1, 0]),
        DISABLED => Ok([0, 0]),
        _ => Err(status::NV_ERR_INVALID_ARGUMENT),
    }
}

fn set_compute_mode(command: &mut Command) -> Result<(), u32> {
    // `NV2080_CTRL_GPU_COMPUTE_MODE_RULES_…` count as NVML does.
    let mode = command.parameters.word("rules");
    set(command, Setting::ComputeMode, [mode, 0])
}

fn compute_mode(command: &mut Command) -> Result<(), u32> {
    let mode = command.card()?.load.usage.compute_mode;
    command.parameters.set("rules", mode);
    Ok(())
}

fn set_persistence(command: &mut Command) -> Result<(), u32> {
    let values = switch(command, "newState")?;
    set(command, Setting::PersistenceMode, values)
}

fn persistence(command: &mut Command) -> Result<(), u32> {
    let card = command.card()?;
    let is_persistent = card.unit.persistence && card.load.usage.modes & mode::NOT_PERSISTENT == 0;
    command.parameters.set("swStatePersistence", if is_persistent { ENABLED } else { DISABLED });
    Ok(())
}

/// What is to be after the next start. A row of facts tells it: the number that the InfoROM holds.
fn set_ecc(command: &mut Command) -> Result<(), u32> {
    let configuration = command.parameters.word("newConfiguration");
    set(command, Setting::EccMode, [configuration, 0])
}

fn clear_errors(command: &mut Command) -> Result<(), u32> {
    /// NV2080_CTRL_GPU_ECC_ERROR_STATUS_…: bits.
    const COUNTERS: [(u32, Counter); 2] = [(1, Counter::Volatile), (2, Counter::Aggregate)];
    let asked = command.parameters.word("statuses");
    for (bit, counter) in COUNTERS {
        if asked & bit != 0 {
            order(command, Order::ClearErrors(counter))?;
        }
    }
    Ok(())
}

/// Parted in whichever of the ways, or not.
fn set_partitioning(command: &mut Command) -> Result<(), u32> {
    /// NV2080_CTRL_GPU_SET_PARTITIONING_MODE_REPARTITIONING: two bits.
    const WAY: u32 = 3;
    const LEGACY: u32 = 0;
    let way = command.parameters.word("partitioningMode") & WAY;
    if way == WAY {
        return Err(status::NV_ERR_INVALID_ARGUMENT);
    }
    set(command, Setting::MigMode, [u32::from(way != LEGACY), 0])
}

/// Whether nobody new gets in. Taken away at once no card of ours is.
fn set_drain(command: &mut Command) -> Result<(), u32> {
    /// `NV0000_CTRL_GPU_DRAIN_STATE_FLAG_REMOVE_DEVICE`
    const REMOVE: u32 = 1;
    if command.parameters.word("flags") & REMOVE != 0 {
        return Err(status::NV_ERR_NOT_SUPPORTED);
    }
    let (card, _) = command.card_of("gpuId")?;
    let values = [command.parameters.word("newState"), 0];
    command.caller.order(card, Order::Set(Setting::DrainState, Some(values)))
}

fn drain(command: &mut Command) -> Result<(), u32> {
    let (_, card) = command.card_of("gpuId").map_err(|_| status::NV_ERR_OBJECT_NOT_FOUND)?;
    let is_drained = card.load.usage.modes & mode::DRAINING != 0;
    command.parameters.set("drainState", u64::from(is_drained));
    command.parameters.set("flags", 0_u64);
    Ok(())
}

fn set_accounting(command: &mut Command) -> Result<(), u32> {
    let (card, _) = command.card_of("gpuId")?;
    let values = switch(command, "newState")?;
    command.caller.order(card, Order::Set(Setting::AccountingMode, Some(values)))
}

fn accounting(command: &mut Command) -> Result<(), u32> {
    let modes = command.card_of("gpuId")?.1.load.usage.modes;
    command.parameters.set("state", if modes & mode::ACCOUNTING != 0 { ENABLED } else { DISABLED });
    Ok(())
}

fn clear_accounts(command: &mut Command) -> Result<(), u32> {
    let (card, _) = command.card_of("gpuId")?;
    command.caller.order(card, Order::ClearAccounts)
}

fn accounts(command: &mut Command) -> Result<Vec<Accounted>, u32> {
    let (card, _) = command.card_of("gpuId")?;
    Ok(command.caller.accounts(card))
}

fn accounted(command: &mut Command) -> Result<(), u32> {
    let mut accounts = accounts(command)?;
    accounts.truncate(command.parameters.len("pidTbl"));
    command.parameters.set("pidCount", accounts.len() as u64);
    for (at, account) in accounts.iter().enumerate() {
        command.parameters.set_element("pidTbl", at, account.pid);
    }
    Ok(())
}

/// What a process used. Times are microseconds; one that runs has no end.
fn account(command: &mut Command) -> Result<(), u32> {
    let process = command.parameters.word("pid");
    let accounts = accounts(command)?;
    // A number that has been used again: the last one's.
    let account = accounts.iter().rev().find(|account| account.pid == process);
    let account = account.ok_or(status::NV_ERR_OBJECT_NOT_FOUND)?;
    let end = if account.is_running != 0 { 0 } else { account.began + account.time * 1000 };
    for (field, value) in [
        ("gpuUtil", account.utilisation.into()),
        ("fbUtil", account.memory_utilisation.into()),
        ("maxFbUsage", account.peak),
        ("startTime", account.began),
        ("endTime", end),
    ] {
        command.parameters.set(field, value);
    }
    Ok(())
}
