//! Names that nobody implements answer `NVML_ERROR_NOT_SUPPORTED`.

fn main() {
    export_list::write(&["nvml"]);
}
