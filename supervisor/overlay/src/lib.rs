//! What the tree sees of a driver installation.
