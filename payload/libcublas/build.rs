//! Names that nobody implements answer `CUBLAS_STATUS_NOT_SUPPORTED`.

fn main() {
    export_list::write(&["cublas"]);
}
