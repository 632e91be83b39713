//! Names that exist and are refused: what `symbols.txt` has and no module implements.

use crate::arrays::*;
use crate::copies::*;
use crate::devices::*;
use crate::errors::*;
use crate::events::*;
use crate::functions::*;
use crate::graph_nodes::*;
use crate::graphs::*;
use crate::launches::*;
use crate::libraries::*;
use crate::memory::*;
use crate::pools::*;
use crate::properties::*;
use crate::registration::*;
use crate::streams::*;
use crate::texture_references::*;
use crate::textures::*;

/// The address of an exported function.
pub struct Function(#[allow(dead_code, reason = "kept so that the linker keeps the function")] pub *const ());

// SAFETY: the address of a function never changes.
unsafe impl Sync for Function {}

include!(concat!(env!("OUT_DIR"), "/symbols.rs"));
