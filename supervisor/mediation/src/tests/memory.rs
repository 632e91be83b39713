//! Memory that is told of by another way than calls: the driver's shared page.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::*;

const GIB: u64 = 1 << 30;
const SHARED_PAGE: u32 = 0xde;
const MAP_MEMORY: u32 = 0xc038_464e;

/// A file of this test's. Workers find it by the same name, as they share the directory.
fn path(name: &str) -> PathBuf {
    let directory = std::env::current_exe().expect("this program").with_extension("files");
    fs::create_dir_all(&directory).expect("a directory");
    directory.join(name)
}

/// A driver that says yes to all. Its control node is a file with a page of sizes.
fn mediator(limit: u64) -> Mediator {
    let open = |_: &std::ffi::CStr| {
        use std::os::fd::IntoRawFd;
        Ok(File::open(path("page"))?.into_raw_fd())
    };
    let kernel = Kernel { ioctl: |_| Ok(0), open };
    let driver =
        StandIn { version: VERSION, nodes: vec![(NULL, Node::Control)], kernel }.driver().expect("known");
    Mediator::begin(driver, Some(limit)).expect("processes")
}

#[test]
fn a_client_maps_a_page_with_the_limit_in_the_place_of_the_drivers() {
    alone("memory::a_client_maps_a_page_with_the_limit_in_the_place_of_the_drivers", || {
        let mut page = [0u64; 512];
        page[2..5].copy_from_slice(&[0xff << 56, 80 * GIB, 70 * GIB]);
        fs::write(path("page"), page.map(u64::to_ne_bytes).as_flattened()).expect("written");
        let mut mediator = mediator(10 * GIB);
        for (class, parent, handle) in [(0x80, 1, 2), (0x2080, 2, 3), (SHARED_PAGE, 3, 4), (0x3e, 2, 5)] {
            let mut parameters = [0u32; 64];
            let address = parameters.as_mut_ptr().expose_provenance() as u64;
            let mut words =
                [1, parent, handle, class, address as u32, (address >> 32) as u32, 0, 0, 0, 0, 0, 0];
            assert!(matches!(ask(&mut mediator, ALLOC, &mut words), Answer::Return(0)), "{class:#x}");
        }
        let mut caller = own();
        let number = caller.file.as_raw_fd();
        let mut map = |object: u32, file: i32| {
            let mut words = [1, 2, object, 0, 0, 0, 4096, 0, 0, 0, 0, 0, file as u32, 0];
            let address = words.as_mut_ptr().expose_provenance() as u64;
            let answer = mediator.ioctl(number, MAP_MEMORY, address, &mut caller);
            let answer = wait_until_settled(&mut mediator, &mut caller, answer).expect("a process");
            (answer, words[12] as i32, caller.replaced.take())
        };
        let (answer, named, given) = map(4, number);
        assert!(matches!(answer, Answer::Return(0)) && named == number, "{answer:?}, {named}");
        let (replaced, file) = given.expect("another file");
        let mut sizes = [0; 16];
        File::from(file).read_exact_at(&mut sizes, 24).expect("a page");
        assert_eq!(replaced, number);
        assert_eq!(sizes, *[10 * GIB, 10 * GIB].map(u64::to_ne_bytes).as_flattened());
        // Other memory is mapped as it is, and no other file becomes one of ours.
        let (answer, _, given) = map(5, number);
        assert!(matches!(answer, Answer::Return(0)) && given.is_none());
        let (answer, _, given) = map(4, number + 99);
        assert!(matches!(answer, Answer::Errno(libc::EINVAL)) && given.is_none(), "{answer:?}");
    });
}
