//! Names that exist and are refused: what `symbols.txt` has and no module implements.

use crate::accounting::*;
use crate::board::*;
use crate::devices::*;
use crate::events::*;
use crate::fabric::*;
use crate::fans::*;
use crate::fields::*;
use crate::figures::*;
use crate::instances::*;
use crate::library::*;
use crate::modes::*;
use crate::performance::*;
use crate::processes::*;
use crate::refusals::*;
use crate::reliability::*;
use crate::samples::*;
use crate::sets::*;
use crate::telemetry::*;
use crate::virtual_cards::*;

/// The address of an exported function.
pub struct Function(#[allow(dead_code, reason = "kept so that the linker keeps the function")] pub *const ());

// SAFETY: the address of a function never changes.
unsafe impl Sync for Function {}

include!(concat!(env!("OUT_DIR"), "/symbols.rs"));
