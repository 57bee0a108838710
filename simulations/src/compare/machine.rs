//! What the figures were taken on, in a line: ratios hold elsewhere, rates don't.
//!
//! A debug build is said here too: no picture or table of its figures should pass for more.

use std::{fs, thread};

/// Processor, how many of it, memory, kernel; what the system does not tell is left out.
pub fn describe() -> String {
    let processor = field("/proc/cpuinfo", "model name");
    let cores = thread::available_parallelism().ok().map(|cores| match cores.get() {
        1 => "1 core".to_owned(),
        cores => format!("{cores} cores"),
    });
    let memory = field("/proc/meminfo", "MemTotal").and_then(|text| {
        let kibibytes: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
        Some(format!("{:.0} GiB of memory", kibibytes / (1024.0 * 1024.0)))
    });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|release| {
        // The rest says how and for whom it was built.
        let version: Vec<&str> = release.split(['.', '-']).take(2).collect();
        format!("Linux {}", version.join("."))
    });
    let debug = cfg!(debug_assertions).then(|| "a debug build, whose figures mean nothing".to_owned());
    let told: Vec<String> = [processor, cores, memory, kernel, debug]
        .into_iter()
        .flatten()
        .collect();
    told.join(", ")
}

/// What stands behind a name and a colon in a file of `/proc`, the first time.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{describe, field};

    #[test]
    fn a_machine_has_cores() {
        assert!(describe().contains("core"), "{}", describe());
        assert!(field("/proc/meminfo", "MemTotal").is_some());
        assert!(field("/proc/meminfo", "NoSuchThing").is_none());
    }
}
