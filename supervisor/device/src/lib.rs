//! The device model: profiles and the ledger.
