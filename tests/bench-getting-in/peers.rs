//! Other ways of seeing every open of a program and of what it starts; and the least that ours can cost: a supervisor that looks at
//! each call and lets it through.

use std::process::Command;

use tests::{has_program, workshop};

/// One of them.
pub struct Peer {
    /// Its column.
    pub name: &'static str,
    before: Vec<String>,
    preload: Option<String>,
}

/// Those that this machine has.
pub fn found() -> Vec<Peer> {
    let shim = workshop::target("open_shim").expect("a C compiler").display().to_string();
    let least = workshop::target("least_notifier").expect("a C compiler").display().to_string();
    let mut peers = vec![
        Peer { name: "least", before: vec![least], preload: None },
        Peer { name: "preload", before: vec![], preload: Some(shim) },
    ];
    if has_program("strace") {
        let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=open,openat,execve,ioctl"];
        peers.push(Peer { name: "strace", before: words.map(str::to_owned).into(), preload: None });
    }
    peers
}

impl Peer {
    /// These words under it.
    pub fn command(&self, words: &[String]) -> Command {
        let mut words = self.before.iter().chain(words);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).env_remove("LD_LIBRARY_PATH");
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        command
    }
}
