//! Which crate becomes which libraries.

/// One library to make.
#[derive(Debug)]
pub struct Library {
    /// File name and SONAME.
    pub soname: &'static str,
    /// The static library of the crate that it is made from.
    pub archive: &'static str,
    /// Major version: picks the `abiNN_` symbols.
    pub major: u32,
    /// Version node of its symbols. NVIDIA's driver libraries have none; the toolkit's are named like the SONAME.
    pub node: Option<&'static str>,
    /// Exported are the symbols that begin with one of these, and nothing else.
    pub prefixes: &'static [&'static str],
    /// Except those that begin with one of these.
    pub except: &'static [&'static str],
}

const fn driver(soname: &'static str, archive: &'static str, prefixes: &'static [&'static str]) -> Library {
    Library { soname, archive, major: 1, node: None, prefixes, except: &[] }
}

const fn cudart(soname: &'static str, major: u32) -> Library {
    let prefixes = &["cuda", "__cuda"];
    Library { soname, archive: "liblibcudart.a", major, node: Some(soname), prefixes, except: &[] }
}

const fn cublas(soname: &'static str, major: u32) -> Library {
    let (prefixes, except) = (&["cublas"], &["cublasLt"]);
    Library { soname, archive: "liblibcublas.a", major, node: Some(soname), prefixes, except }
}

const fn cublaslt(soname: &'static str, major: u32) -> Library {
    let prefixes = &["cublasLt"];
    Library { soname, archive: "liblibcublaslt.a", major, node: Some(soname), prefixes, except: &[] }
}

/// Every library of the payload: one file per SONAME, as loaders recognise a library by its inode.
pub const LIBRARIES: &[Library] = &[
    driver("libcuda.so.1", "liblibcuda.a", &["cu"]),
    driver("libnvidia-ml.so.1", "liblibnvml.a", &["nvml"]),
    cudart("libcudart.so.11.0", 11),
    cudart("libcudart.so.12", 12),
    cublas("libcublas.so.11", 11),
    cublas("libcublas.so.12", 12),
    cublaslt("libcublasLt.so.11", 11),
    cublaslt("libcublasLt.so.12", 12),
];

impl Library {
    /// Whether a symbol of this name is one of the library's.
    pub fn exports(&self, name: &str) -> bool {
        self.prefixes.iter().any(|prefix| name.starts_with(prefix))
            && !self.except.iter().any(|prefix| name.starts_with(prefix))
    }

    /// The name that a versioned symbol gets in this library, if it is for this library.
    pub fn versioned<'a>(&self, symbol: &'a str) -> Option<&'a str> {
        let (major, name) = symbol.strip_prefix("abi")?.split_once('_')?;
        (major.parse() == Ok(self.major)).then_some(name)
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
        assert!(library("libcublas.so.12").exports("cublasCreate_v2"));
        assert!(!library("libcublas.so.12").exports("cublasLtMatmul"));
        assert!(library("libcublasLt.so.12").exports("cublasLtMatmul"));
    }

    #[test]
    fn versioned_symbols_go_to_their_library_only() {
        let symbol = "abi12_cudaGetDeviceProperties";
        assert_eq!(library("libcudart.so.12").versioned(symbol), Some("cudaGetDeviceProperties"));
        assert_eq!(library("libcudart.so.11.0").versioned(symbol), None);
        assert_eq!(library("libcudart.so.11.0").versioned("cudaMalloc"), None);
    }
}
