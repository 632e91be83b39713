//! Names that nobody implements answer `cudaErrorNotSupported`.

fn main() {
    export_list::write(&["cuda", "__cuda"]);
}
