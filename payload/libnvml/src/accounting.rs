//! What processes used of a card: accounts that the broker keeps while somebody has switched accounting on.

use crate::door::*;
use crate::figures::{fixed, kept};
use crate::session::{self, Session};
use wire::control::{ACCOUNTS, Accounted, ClearAccounted, ListAccounted};
use wire::device::feature;
use wire::settings::Setting;

/// `nvmlAccountingStats_t`
#[repr(C)]
pub struct Stats {
    gpu_utilization: u32,
    memory_utilization: u32,
    most_memory: u64,
    /// ms.
    time: u64,
    /// us.
    start: u64,
    is_running: u32,
    reserved: [u32; 5],
}

call_trace::fields! { Stats { gpu_utilization, memory_utilization, most_memory, time, start, is_running } }

impl From<&Accounted> for Stats {
    fn from(account: &Accounted) -> Self {
        Self {
            gpu_utilization: account.utilisation,
            memory_utilization: account.memory_utilisation,
            most_memory: account.peak,
            time: account.time,
            start: account.began,
            is_running: account.is_running,
            reserved: [0; 5],
        }
    }
}

/// All accounts of a card, oldest first.
fn accounts(session: &Session, handle: usize) -> Nvml<Vec<Accounted>> {
    let (index, device) = session.device(handle)?;
    with_feature(device, feature::ACCOUNTING)?;
    session.list(&ListAccounted { index, reserved: 0 }, ACCOUNTS)
}

exports! {
    fn nvmlDeviceGetAccountingMode(handle: usize, target: *mut u32) {
        kept(target, handle, |device, settings| {
            with_feature(device, feature::ACCOUNTING)?;
            Ok(settings.value(Setting::AccountingMode).unwrap_or(0))
        })
    }

    fn nvmlDeviceGetAccountingBufferSize(handle: usize, target: *mut u32) {
        fixed(target, handle, |device| with_feature(device, feature::ACCOUNTING).map(|()| ACCOUNTS as u32))
    }

    fn nvmlDeviceGetAccountingPids(handle: usize, count: *mut u32, list: *mut u32) {
        let accounts = session::with(|session| accounts(session, handle))?;
        let room = std::mem::replace(out(count)?, accounts.len() as u32) as usize;
        if accounts.len() > room || list.is_null() && !accounts.is_empty() {
            return Err(Error::INSUFFICIENT_SIZE);
        }
        for (place, account) in accounts.iter().enumerate() {
            list.add(place).write(account.pid);
        }
        Ok(())
    }

    fn nvmlDeviceGetAccountingStats(handle: usize, pid: u32, target: *mut Stats) {
        let accounts = session::with(|session| accounts(session, handle))?;
        // A number that was given out again is that of the newest.
        let account = accounts.iter().rev().find(|account| account.pid == pid).ok_or(Error::NOT_FOUND)?;
        *out(target)? = account.into();
        Ok(())
    }

    fn nvmlDeviceClearAccountingPids(handle: usize) {
        session::with(|session| {
            let (index, _) = session.device(handle)?;
            session.ask(&ClearAccounted { index, reserved: 0 }).map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_c_interface() {
        assert_eq!(size_of::<Stats>(), 56);
    }
}
