//! `controls.txt` says of each control what the tables of the driver's ioctls say.

use nvidia_abi::{Abi, Access};

#[test]
fn the_controls_are_those_of_the_tables() {
    let abi = Abi::of("580.159.04").unwrap();
    let text = std::fs::read_to_string("controls.txt").unwrap();
    let mut known = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<_> = line.split(' ').collect();
        let row = abi.control(u32::from_str_radix(words[0], 16).unwrap()).unwrap_or_else(|| panic!("{line}"));
        assert_eq!((row.size.to_string().as_str(), row.name), (words[1], Some(words[2])), "{line}");
        assert_eq!((row.access, row.pointers().count()), (Some(Access::User), 0), "{line}");
        known += 1;
    }
    assert!(known > 200, "{known}");
}
