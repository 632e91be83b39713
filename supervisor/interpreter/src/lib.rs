//! Tier 0: a warp interpreter.
