//! Names that nobody implements answer `CUDA_ERROR_NOT_SUPPORTED`.

fn main() {
    export_list::write(&["cu", "cudbg"]);
}
