//! Makes an exported function of each line of `routines.txt`, and refuses the names that are left.

mod rows;

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=routines.txt");
    println!("cargo::rerun-if-changed=build");
    let list = fs::read_to_string("symbols.txt").expect("symbols.txt");
    let listed: BTreeSet<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let mut code = String::new();
    for row in rows::parse(&fs::read_to_string("routines.txt").expect("routines.txt")) {
        for function in row.functions() {
            assert!(listed.contains(function.name.as_str()), "`{}` is not in symbols.txt", function.name);
            code += &function.code("i32");
            let wide = function.wide();
            if listed.contains(wide.name.as_str()) {
                code += &wide.code("i64");
            }
        }
    }
    let target = Path::new(&env::var_os("OUT_DIR").expect("set by cargo")).join("routines.rs");
    fs::write(target, &code).expect("the build directory is writable");
    export_list::write_beside(&["cublas"], &code);
}
