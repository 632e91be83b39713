//! Which file does a loader get? Every way in which programs load the driver and the runtime.

use std::fs;
use std::process::Command;

use overlay_tests::{Stage, has_program, succeed};

/// Loads each argument and prints what its `cuInit` or `cudaFree` returns, or the loader's complaint.
const LOAD: &str = r#"
    #include <dlfcn.h>
    #include <stdio.h>
    int main(int count, char **names) {
        for (int i = 1; i < count; i++) {
            void *library = dlopen(names[i], RTLD_NOW);
            if (!library) { printf("%s\n", dlerror()); continue; }
            int (*function)(long) = dlsym(library, "cuInit");
            if (!function) function = dlsym(library, "cudaFree");
            printf("%d\n", function ? function(0) : -1);
        }
        return 0;
    }"#;

#[test]
fn dlopen_gets_the_payload_by_name_and_by_path() {
    let stage = Stage::new();
    let load = stage.compile("load", LOAD, &[]);
    let names =
        ["libcuda.so.1", "libcuda.so", "/opt/nowhere/libcuda.so.1", "./libcuda.so.1", "libcudart.so.12"];
    assert_eq!(succeed(stage.run(&[], load).args(names)), "42\n".repeat(names.len()));
}

#[test]
fn other_libraries_are_the_system_s() {
    let stage = Stage::new();
    let load = stage.compile("load", LOAD, &[]);
    let text = succeed(stage.run(&[], load).args(["libm.so.6", "libdoes-not-exist.so"]));
    assert!(text.starts_with("-1\nlibdoes-not-exist.so: cannot open shared object file"), "{text}");
}

#[test]
fn all_names_lead_to_one_object() {
    let stage = Stage::new();
    let source = r#"
        #include <dlfcn.h>
        int main(void) {
            void *first = dlopen("libcuda.so.1", RTLD_NOW);
            return first && dlopen("/opt/nowhere/libcuda.so.1", RTLD_NOW) == first
                && dlopen("libcuda.so", RTLD_NOW) == first ? 0 : 1;
        }"#;
    let program = stage.compile("program", source, &[]);
    succeed(&mut stage.run(&[], program));
}

#[test]
fn needed_library_is_found() {
    let stage = Stage::new();
    let source = "int cuInit(unsigned); int main(void) { return cuInit(0) == 42 ? 0 : 1; }";
    let program = stage.compile("program", source, &["payload/libcuda.so.1"]);
    assert!(!Command::new(&program).status().unwrap().success(), "the machine has a libcuda of its own");
    succeed(&mut stage.run(&[], program));
}

#[test]
fn library_has_a_real_path() {
    let stage = Stage::new();
    let source = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stdio.h>
        #include <unistd.h>
        int main(void) {
            Dl_info info;
            void *library = dlopen("libcuda.so.1", RTLD_NOW);
            if (!library || !dladdr(dlsym(library, "cuInit"), &info)) return 1;
            puts(info.dli_fname);
            return access(info.dli_fname, R_OK);
        }"#;
    let program = stage.compile("program", source, &[]);
    let path = succeed(&mut stage.run(&[], program));
    let cache = stage.path("cache/vgpu-run").into_os_string().into_string().unwrap();
    assert!(path.starts_with(&cache), "{path}");
}

#[test]
fn thousand_cycles_leave_nothing_behind() {
    let stage = Stage::new();
    let source = r#"
        #include <dirent.h>
        #include <dlfcn.h>
        static int descriptors(void) {
            DIR *directory = opendir("/proc/self/fd");
            int count = 0;
            while (readdir(directory)) count++;
            closedir(directory);
            return count;
        }
        int main(void) {
            int before = descriptors();
            for (int i = 0; i < 1000; i++) {
                void *library = dlopen("libcuda.so.1", RTLD_NOW);
                if (!library || ((int (*)(void))dlsym(library, "cuCount"))() != 1) return 1;
                dlclose(library);
            }
            return dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD) ? 2 : descriptors() == before ? 0 : 3;
        }"#;
    let program = stage.compile("program", source, &[]);
    succeed(&mut stage.run(&[], program));
}

#[test]
fn thirty_two_threads_load_at_once() {
    let stage = Stage::new();
    let source = r#"
        #include <dlfcn.h>
        #include <fcntl.h>
        #include <pthread.h>
        #include <string.h>
        #include <unistd.h>
        static void *load(void *unused) {
            for (long i = 0; i < 50; i++) {
                void *library = dlopen(i % 2 ? "libcuda.so.1" : "/opt/nowhere/libcuda.so.1", RTLD_NOW);
                if (!library || ((int (*)(unsigned))dlsym(library, "cuInit"))(0) != 42) return (void *)1;
                dlclose(library);
                /* Two readers of one open description would share its offset. */
                char header[4];
                int file = open("/opt/nowhere/libcuda.so.1", O_RDONLY | O_CLOEXEC);
                if (read(file, header, 4) != 4 || memcmp(header, "\177ELF", 4)) return (void *)1;
                close(file);
            }
            return 0;
        }
        int main(void) {
            pthread_t threads[32];
            long failed = 0;
            for (int i = 0; i < 32; i++) pthread_create(&threads[i], 0, load, 0);
            for (int i = 0; i < 32; i++) { void *result; pthread_join(threads[i], &result); failed |= (long)result; }
            return failed;
        }"#;
    let program = stage.compile("program", source, &["-pthread"]);
    succeed(&mut stage.run(&[], program));
}

#[test]
fn program_s_own_runtime_is_replaced_also_under_a_hashed_name() {
    let stage = Stage::new();
    let own = "int cudaFree(void *p) { return 1; }";
    for name in ["libcudart.so.12", "libcudart-16e8815a.so.12"] {
        stage.library(name, Some("libcudart.so.12"), own, &[]);
        let source = "int cudaFree(void *); int main(void) { return cudaFree(0); }";
        let program = stage.compile("program", source, &[name, "-Wl,-rpath,$ORIGIN"]);
        assert_eq!(
            Command::new(&program).status().unwrap().code(),
            Some(1),
            "{name}: the program's own, without us"
        );
        assert_eq!(stage.run(&[], program).status().unwrap().code(), Some(42), "{name}: ours");
    }
}

#[test]
fn children_with_a_scrubbed_environment_get_it_too() {
    let stage = Stage::new();
    let load = stage.compile("load", LOAD, &[]);
    let source = r#"
        #include <stdlib.h>
        #include <sys/wait.h>
        #include <unistd.h>
        int main(int count, char **arguments) {
            char *none[] = {0};
            int status;
            if (!fork()) execve(arguments[1], arguments + 1, none);
            wait(&status);
            return WEXITSTATUS(status);
        }"#;
    let parent = stage.compile("parent", source, &["-static"]);
    assert_eq!(succeed(stage.run(&[], parent).arg(load).arg("libcuda.so.1")), "42\n");
}

#[test]
fn root_directory_of_its_own_changes_nothing() {
    // SAFETY: has no precondition.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: chroot needs root");
        return;
    }
    let stage = Stage::new();
    let load = stage.compile("load", LOAD, &[]);
    let ldd = succeed(Command::new("ldd").arg(&load));
    for path in ldd.split_whitespace().filter(|word| word.starts_with('/')) {
        let inside = stage.path("root").join(path.trim_start_matches('/'));
        fs::create_dir_all(inside.parent().unwrap()).unwrap();
        fs::copy(path, inside).unwrap();
    }
    fs::copy(load, stage.path("root/load")).unwrap();
    let arguments = ["root", "/load", "libcuda.so.1", "/opt/libcuda.so.1"];
    assert_eq!(succeed(stage.run(&[], "chroot").args(arguments)), "42\n42\n");
}

#[test]
fn python_finds_and_loads_it() {
    if !has_program("python3") {
        return;
    }
    let stage = Stage::new();
    let script = "import ctypes, ctypes.util
print(ctypes.CDLL('libcuda.so.1').cuInit(0), ctypes.CDLL('libnvidia-ml.so.1').nvmlInit_v2())
print(ctypes.util.find_library('cuda'), ctypes.util.find_library('nvidia-ml'))";
    let text = succeed(stage.run(&[], "python3").args(["-c", script]));
    assert_eq!(text, "42 42\nlibcuda.so.1 libnvidia-ml.so.1\n");
}

#[test]
fn ldconfig_lists_it() {
    let stage = Stage::new();
    let program =
        ["/usr/sbin/ldconfig", "/sbin/ldconfig"].into_iter().find(|path| fs::exists(path).is_ok_and(|is| is));
    let Some(program) = program else {
        eprintln!("skipped: no ldconfig");
        return;
    };
    let listing = succeed(stage.run(&[], program).arg("-p"));
    let line = listing.lines().find(|line| line.contains("libcuda.so.1 ")).expect("a line for libcuda.so.1");
    let path = line.split(" => ").nth(1).expect("a path");
    assert!(fs::metadata(path).is_ok(), "{line}");
    assert!(listing.contains("libc.so.6"), "{listing}");
}

#[test]
fn without_a_cache_directory_memory_serves() {
    let stage = Stage::new();
    let load = stage.compile("load", LOAD, &[]);
    let mut command = stage.run(&[], load);
    command.env("XDG_CACHE_HOME", "/dev/null/none").args([
        "libcuda.so.1",
        "libcuda.so",
        "/x/libcudart.so.12",
    ]);
    assert_eq!(succeed(&mut command), "42\n42\n42\n");
}

#[test]
fn altered_cache_is_not_believed() {
    let stage = Stage::new();
    let load = stage.compile("load", LOAD, &[]);
    succeed(stage.run(&[], &load).arg("libcuda.so.1"));
    for version in fs::read_dir(stage.path("cache/vgpu-run")).unwrap().flatten() {
        let installed = version.path().join("libcuda.so.1");
        fs::remove_file(&installed).unwrap();
        fs::write(&installed, "no library at all").unwrap();
    }
    assert_eq!(succeed(stage.run(&[], load).arg("libcuda.so.1")), "42\n");
}

#[test]
fn driver_says_its_version() {
    let stage = Stage::new();
    let text = succeed(stage.run(&[], "cat").arg("/proc/driver/nvidia/version"));
    assert!(text.starts_with("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580."), "{text}");
}

#[test]
fn node_without_emulation_is_refused_and_named() {
    let stage = Stage::new();
    let output = stage.run(&[], "cat").arg("/dev/nvidia0").output().unwrap();
    let text = overlay_tests::both(&output);
    assert!(!output.status.success() && text.contains("No such device or address"), "{text}");
    assert!(text.contains("`/dev/nvidia0` was opened and refused"), "{text}");
}
