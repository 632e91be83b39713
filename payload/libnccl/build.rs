//! Names that nobody implements answer `ncclInvalidUsage`.

fn main() {
    export_list::write(&["nccl", "pnccl"]);
}
