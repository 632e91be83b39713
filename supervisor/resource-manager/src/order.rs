//! Changes of a card that outlive the call: what can be set is the session's, and NVML sets the same (`wire::settings`).

use wire::condition::Counter;
use wire::settings::Setting;

/// A change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Sets something; without values, to what the card comes with. The session knows what the card has and which values it can have.
    Set(Setting, Option<[u32; 2]>),
    /// Lets a counter of the memory's errors begin anew.
    ClearErrors(Counter),
    /// Forgets the accounts of processes that have ended.
    ClearAccounts,
    /// Resets the card, if nobody uses it.
    Reset,
}
