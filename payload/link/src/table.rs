//! Which crate becomes which libraries.

use std::collections::BTreeSet;

/// One library to make.
#[derive(Debug)]
pub struct Library {
    /// File name and SONAME.
    pub soname: &'static str,
    /// The static library of the crate that it is made from.
    pub archive: &'static str,
    /// Major version: picks the `abiNN_` symbols.
    pub major: u32,
    /// Version node of its symbols. NVIDIA's driver libraries and NCCL have none; the toolkit's are named like the SONAME.
    pub node: Option<&'static str>,
    /// Exported are the symbols that begin with one of these, and nothing else.
    pub prefixes: &'static [&'static str],
    /// Except those that begin with one of these.
    pub except: &'static [&'static str],
    /// The crate's `symbols.txt`, where its lines say which major versions export a name: exactly these are exported.
    pub list: Option<&'static str>,
}

/// A library without symbol versions.
const fn plain(soname: &'static str, archive: &'static str, prefixes: &'static [&'static str]) -> Library {
    Library { soname, archive, major: 1, node: None, prefixes, except: &[], list: None }
}

const fn cudart(soname: &'static str, major: u32) -> Library {
    let prefixes = &["cuda", "__cuda"];
    let list = Some(include_str!("../../libcudart/symbols.txt"));
    Library { soname, archive: "liblibcudart.a", major, node: Some(soname), prefixes, except: &[], list }
}

const fn cublas(soname: &'static str, major: u32) -> Library {
    let (prefixes, except) = (&["cublas"], &["cublasLt"]);
    let list = Some(include_str!("../../libcublas/symbols.txt"));
    Library { soname, archive: "liblibcublas.a", major, node: Some(soname), prefixes, except, list }
}

const fn cublaslt(soname: &'static str, major: u32) -> Library {
    let prefixes = &["cublasLt"];
    let list = Some(include_str!("../../libcublaslt/symbols.txt"));
    Library { soname, archive: "liblibcublaslt.a", major, node: Some(soname), prefixes, except: &[], list }
}

/// Every library of the payload: one file per SONAME, as loaders recognise a library by its inode.
pub const LIBRARIES: &[Library] = &[
    plain("libcuda.so.1", "liblibcuda.a", &["cu"]),
    plain("libnvidia-ml.so.1", "liblibnvml.a", &["nvml"]),
    cudart("libcudart.so.11.0", 11),
    cudart("libcudart.so.12", 12),
    cudart("libcudart.so.13", 13),
    cublas("libcublas.so.11", 11),
    cublas("libcublas.so.12", 12),
    cublas("libcublas.so.13", 13),
    cublaslt("libcublasLt.so.11", 11),
    cublaslt("libcublasLt.so.12", 12),
    cublaslt("libcublasLt.so.13", 13),
    plain("libnccl.so.2", "liblibnccl.a", &["nccl", "pnccl"]),
];

/// Programs of the payload: what the driver's packages bring besides libraries.
pub const PROGRAMS: &[&str] = &["nvidia-smi"];

impl Library {
    /// Whether a symbol of this name is one of the library's.
    pub fn exports(&self, name: &str) -> bool {
        self.prefixes.iter().any(|prefix| name.starts_with(prefix))
            && !self.except.iter().any(|prefix| name.starts_with(prefix))
            && self.listed().is_none_or(|listed| listed.contains(name))
    }

    /// What the library has to export, if there is a list.
    pub fn listed(&self) -> Option<BTreeSet<&'static str>> {
        let of_version = |line: &'static str| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            words.any(|major| major.parse() == Ok(self.major)).then_some(name)
        };
        Some(self.list?.lines().filter_map(of_version).collect())
    }

    /// The major version from which on a symbol is the form of a name, and the name; `None` for a symbol without version or
    /// of a later one.
    pub fn versioned<'a>(&self, symbol: &'a str) -> Option<(u32, &'a str)> {
        let (major, name) = symbol.strip_prefix("abi")?.split_once('_')?;
        let major = major.parse().ok()?;
        (major <= self.major).then_some((major, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(soname: &str) -> &'static Library {
        LIBRARIES.iter().find(|library| library.soname == soname).unwrap()
    }

    #[test]
    fn prefixes_keep_families_apart() {
        assert!(library("libcuda.so.1").exports("cuInit"));
        assert!(!library("libcuda.so.1").exports("memcpy"));
        assert!(library("libcudart.so.12").exports("__cudaRegisterFatBinary"));
        assert!(!library("libcudart.so.12").exports("cudaNoSuchFunction"));
        assert!(library("libcublas.so.12").exports("cublasCreate_v2"));
        assert!(!library("libcublas.so.12").exports("cublasLtMatmul"));
        assert!(library("libcublasLt.so.12").exports("cublasLtMatmul"));
    }

    #[test]
    fn versioned_symbols_serve_their_version_and_later_ones() {
        let symbol = "abi12_cudaGetDeviceProperties";
        for (soname, form) in [("11.0", None), ("12", Some(12)), ("13", Some(12))] {
            let library = library(&format!("libcudart.so.{soname}"));
            assert_eq!(library.versioned(symbol).map(|(major, _)| major), form, "{soname}");
            assert_eq!(library.versioned("cudaMalloc"), None);
        }
    }

    #[test]
    fn lists_say_what_each_version_exports() {
        for (name, versions) in
            [("cudaThreadExit", [true, true, false]), ("cudaGetKernel", [false, true, true])]
        {
            let sonames = ["libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13"];
            assert_eq!(sonames.map(|soname| library(soname).exports(name)), versions, "{name}");
        }
    }
}
