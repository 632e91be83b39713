//! What happened in the tree and why.
