//! vgpu-run in containers and sandboxes, and those in vgpu-run's tree: what Debian has, `crun`, `bwrap` and `pivot_root(8)`.

mod bundle;
mod cgroups;
mod oci;
mod sandboxes;
