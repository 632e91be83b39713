//! `vgpu-run cache`: compiled code that engines of this user have kept.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use code_cache::{Cache, Entry};

use crate::cli;
use crate::failure::{Doing, Failure};

/// Our directory in the user's cache directory, in which the code cache is.
pub fn home() -> Result<PathBuf, Failure> {
    installation::default_cache().ok_or("neither XDG_CACHE_HOME nor HOME is set").doing("find the code cache")
}

/// Lists, measures or empties the code cache.
pub fn cache(what: cli::Cache) -> Result<ExitCode, Failure> {
    let home = home()?;
    let cache = Cache::open(&home).doing("open the code cache")?;
    match what {
        cli::Cache::List => {
            for entry in cache.entries().doing("list the code cache")? {
                println!("{}", line(&entry));
            }
        }
        cli::Cache::Size => {
            let size = cache.size().doing("measure the code cache")?;
            let entries = cache.entries().doing("list the code cache")?;
            println!("{} KiB of at most {} MiB", size.div_ceil(1 << 10), code_cache::LIMIT >> 20);
            println!("{} kernels in `{}`", entries.len(), home.display());
        }
        cli::Cache::Clear => cache.clear().doing("empty the code cache")?,
    }
    Ok(ExitCode::SUCCESS)
}

fn line(entry: &Entry) -> String {
    let hours = SystemTime::now().duration_since(entry.last_use).map_or(0, |age| age.as_secs() / 3600);
    let age = if hours < 48 { format!("{hours} h") } else { format!("{} d", hours / 24) };
    format!("{:>6} KiB  {age:>5} ago  {}", entry.size.div_ceil(1 << 10), entry.label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn line_says_size_age_and_label() {
        let used = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3600 + 1);
        let entry = |hours: u64| Entry { label: "saxpy 256x1x1".into(), size: 1025, last_use: used(hours) };
        assert_eq!(line(&entry(0)), "     2 KiB    0 h ago  saxpy 256x1x1");
        assert_eq!(line(&entry(72)), "     2 KiB    3 d ago  saxpy 256x1x1");
    }
}
