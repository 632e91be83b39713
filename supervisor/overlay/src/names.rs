//! Which file names are ours, as a table.
//!
//! A name is `STEM[-HASH].so[.VERSION]`: wheels that bundle a library put a hash into its name
//! (`libcudart-16e8815a.so.12`), and a full version may follow (`libcudart.so.12.4.127`).

/// How a library of the table is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Part of the driver: given wherever it is looked for.
    Driver,
    /// Part of the toolkit: given in the place of the program's own.
    Replaced,
}

/// One library family.
#[derive(Debug)]
pub struct Row {
    /// File name up to `.so`.
    pub stem: &'static str,
    /// How it is treated.
    pub role: Role,
    /// First component of the version, and the SONAME that serves it.
    pub versions: &'static [(&'static str, &'static str)],
}

/// Every library that the payload can stand in for. SONAMEs as in NVIDIA's releases 11 to 13.
pub const TABLE: &[Row] = &[
    Row { stem: "libcuda", role: Role::Driver, versions: &[("1", "libcuda.so.1"), ("580", "libcuda.so.1")] },
    Row {
        stem: "libnvidia-ml",
        role: Role::Driver,
        versions: &[("1", "libnvidia-ml.so.1"), ("580", "libnvidia-ml.so.1")],
    },
    Row {
        stem: "libcudart",
        role: Role::Replaced,
        versions: &[("11", "libcudart.so.11.0"), ("12", "libcudart.so.12"), ("13", "libcudart.so.13")],
    },
    Row {
        stem: "libcublas",
        role: Role::Replaced,
        versions: &[("11", "libcublas.so.11"), ("12", "libcublas.so.12"), ("13", "libcublas.so.13")],
    },
    Row {
        stem: "libcublasLt",
        role: Role::Replaced,
        versions: &[("11", "libcublasLt.so.11"), ("12", "libcublasLt.so.12"), ("13", "libcublasLt.so.13")],
    },
    Row { stem: "libnccl", role: Role::Replaced, versions: &[("2", "libnccl.so.2")] },
];

/// A file name that the table knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    row: usize,
    version: Option<&'static str>,
    /// How the library is treated.
    pub role: Role,
    /// Ours is given only where such a file lies: nobody looks for this spelling unless it was installed.
    pub only_if_present: bool,
}

impl Named {
    /// The SONAME that serves this name. An unversioned toolkit library is whatever its link points to.
    pub fn library(&self, link_name: impl FnOnce() -> Option<Vec<u8>>) -> Option<&'static str> {
        match (self.version, self.role) {
            (Some(soname), _) => Some(soname),
            (None, Role::Driver) => TABLE[self.row].versions.first().map(|(_, soname)| *soname),
            (None, Role::Replaced) => lookup(&link_name()?)?.version,
        }
    }
}

/// Looks a file name up; `None` if it is not ours.
pub fn lookup(name: &[u8]) -> Option<Named> {
    let name = std::str::from_utf8(name).ok().filter(|name| name.starts_with("lib"))?;
    let (base, version) = match name.strip_suffix(".so") {
        Some(base) => (base, None),
        None => name.split_once(".so.").map(|(base, version)| (base, Some(version)))?,
    };
    let (row, hashed) = TABLE.iter().enumerate().find_map(|(index, row)| {
        let rest = base.strip_prefix(row.stem)?;
        (rest.is_empty() || is_hash(rest)).then_some((index, !rest.is_empty()))
    })?;
    let Row { role, versions, .. } = TABLE[row];
    if hashed && role == Role::Driver {
        return None;
    }
    let soname = match version {
        None => None,
        Some(version) if version.split('.').all(is_number) => {
            let major = version.split('.').next()?;
            Some(versions.iter().find(|(known, _)| *known == major)?.1)
        }
        Some(_) => return None,
    };
    let canonical = soname == Some(name) || (role == Role::Driver && soname.is_none());
    Some(Named { row, version: soname, role, only_if_present: !canonical })
}

/// The loader probes `glibc-hwcaps` directories first. A library given there would be known by that odd path for ever, so
/// these probes fail and the next one, in the plain directory, is answered.
pub fn is_hardware_probe(path: &[u8]) -> bool {
    path.windows(14).any(|part| part == b"/glibc-hwcaps/")
}

/// Directories that loaders before glibc 2.37 try below each search directory. `x86_64` may be a search directory itself,
/// so a file that does exist there is treated like any other.
pub fn is_legacy_hardware_probe(path: &[u8]) -> bool {
    const LEGACY: [&[u8]; 5] = [b"tls", b"haswell", b"xeon_phi", b"avx512_1", b"x86_64"];
    path.rsplit(|&byte| byte == b'/').nth(1).is_some_and(|directory| LEGACY.contains(&directory))
}

fn is_hash(rest: &str) -> bool {
    rest.strip_prefix('-')
        .is_some_and(|hash| hash.len() >= 6 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soname(name: &str) -> Option<&'static str> {
        lookup(name.as_bytes())?.library(|| None)
    }

    #[test]
    fn spellings_of_one_library_lead_to_its_soname() {
        for (name, expected) in [
            ("libcuda.so", Some("libcuda.so.1")),
            ("libcuda.so.1", Some("libcuda.so.1")),
            ("libcuda.so.580.159.04", Some("libcuda.so.1")),
            ("libnvidia-ml.so", Some("libnvidia-ml.so.1")),
            ("libcudart.so.11.0", Some("libcudart.so.11.0")),
            ("libcudart.so.11.8.89", Some("libcudart.so.11.0")),
            ("libcudart.so.12", Some("libcudart.so.12")),
            ("libcudart-16e8815a.so.12", Some("libcudart.so.12")),
            ("libcudart-d0da41ae.so.11.0", Some("libcudart.so.11.0")),
            ("libcublasLt.so.13.0.0.19", Some("libcublasLt.so.13")),
            ("libcublas-b1e7aa6b.so.12.4.5.8", Some("libcublas.so.12")),
            ("libnccl.so.2.27.7", Some("libnccl.so.2")),
            ("libnccl-0a1b2c3d.so.2", Some("libnccl.so.2")),
        ] {
            assert_eq!(soname(name), expected, "{name}");
        }
    }

    #[test]
    fn other_names_are_left_alone() {
        for name in [
            "libc.so.6",
            "libcuda.so.2",
            "libcudart.so.10.2",
            "libcudart.so.12.bak",
            "libcudart_static.a",
            "libcudadebugger.so.1",
            "libcuda-16e8815a.so.1",
            "libcublasLtx.so.12",
            "libcudart-nothash.so.12",
            "libcudnn.so.9",
        ] {
            assert_eq!(lookup(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn only_canonical_names_are_given_where_no_file_is() {
        let only_if_present = |name: &str| lookup(name.as_bytes()).unwrap().only_if_present;
        assert!(!only_if_present("libcuda.so") && !only_if_present("libcudart.so.12"));
        assert!(only_if_present("libcudart.so") && only_if_present("libcudart-16e8815a.so.12"));
        assert!(only_if_present("libcudart.so.12.4.127") && only_if_present("libcuda.so.580.159.04"));
    }

    #[test]
    fn unversioned_toolkit_library_follows_its_link() {
        let named = lookup(b"libcudart.so").unwrap();
        assert_eq!(named.library(|| Some(b"libcudart.so.12.9.79".to_vec())), Some("libcudart.so.12"));
        assert_eq!(named.library(|| Some(b"libcudart.so.10.2".to_vec())), None);
        assert_eq!(named.library(|| None), None);
    }

    #[test]
    fn hardware_probes_are_recognised() {
        assert!(is_hardware_probe(b"/lib/glibc-hwcaps/x86-64-v3/libcuda.so.1"));
        assert!(!is_hardware_probe(b"/lib/libcuda.so.1"));
        assert!(is_legacy_hardware_probe(b"/lib/tls/libcuda.so.1"));
        assert!(
            !is_legacy_hardware_probe(b"/usr/lib/libcuda.so.1") && !is_legacy_hardware_probe(b"libcuda.so.1")
        );
    }
}
