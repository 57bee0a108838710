//! What processes cost: CPU time and memory, read from `/proc`.

use std::{collections::BTreeMap, fs, io};

/// Clock ticks a second in `/proc/*/stat`: fixed at 100 for user space on Linux (`man 5 proc`, `sysconf(_SC_CLK_TCK)`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A process as `/proc` tells it.
struct Process {
    parent: u32,
    /// User and system time of its own.
    own: u64,
    /// The same of its children that have ended.
    ended_children: u64,
}

/// CPU seconds so far, user and system, of processes and all that descends from them, ended children included.
///
/// # Errors
/// `/proc` can't be read.
pub fn cpu_seconds(roots: &[u32]) -> io::Result<f64> {
    let mut processes = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // One that ended meanwhile is no fault.
        if let Some(process) = fs::read_to_string(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|stat| parse(&stat))
        {
            processes.insert(pid, process);
        }
    }
    let mut ticks = 0;
    let mut left: Vec<u32> = roots.to_vec();
    while let Some(pid) = left.pop() {
        let Some(process) = processes.get(&pid) else { continue };
        ticks += process.own + process.ended_children;
        left.extend(
            processes
                .iter()
                .filter(|(_, child)| child.parent == pid)
                .map(|(pid, _)| *pid),
        );
    }
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// CPU seconds of everything that this process started, what has ended included.
///
/// # Errors
/// `/proc` can't be read.
pub fn children_cpu_seconds() -> io::Result<f64> {
    Ok(cpu_seconds(&[std::process::id()])? - own_cpu_seconds()?)
}

fn parse(stat: &str) -> Option<Process> {
    // The name stands in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    Some(Process {
        parent: u32::try_from(number(1)?).ok()?,
        own: number(11)? + number(12)?,
        ended_children: number(13)? + number(14)?,
    })
}

/// CPU seconds of this process so far.
///
/// # Errors
/// `/proc` can't be read.
pub fn own_cpu_seconds() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let process = parse(&stat).ok_or_else(|| io::Error::other("`/proc/self/stat` has another form"))?;
    Ok(process.own as f64 / TICKS_PER_SECOND)
}

/// Resident memory of a process in bytes: now, and the most so far.
///
/// # Errors
/// It is not there.
pub fn memory(pid: u32) -> io::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line
            .trim_start_matches(':')
            .split_ascii_whitespace()
            .next()?
            .parse()
            .ok()?;
        Some(kibibytes * 1024)
    };
    let missing = || io::Error::other("`/proc` does not tell a process's memory");
    Ok(Memory {
        now: field("VmRSS").ok_or_else(missing)?,
        peak: field("VmHWM").ok_or_else(missing)?,
    })
}

/// Resident memory in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// The most so far.
    pub peak: u64,
}

/// Bytes that a folder's files take on the disk.
///
/// # Errors
/// It can't be read.
pub fn disk_bytes(folder: &std::path::Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            metadata.blocks() * 512
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{cpu_seconds, memory, own_cpu_seconds, parse};

    #[test]
    fn a_name_with_parentheses_is_read_over() {
        let stat = "7 (a) b (c)) S 3 1 1 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 1 1 1";
        let process = parse(stat).unwrap();
        assert_eq!((process.parent, process.own, process.ended_children), (3, 30, 70));
        assert!(parse("nothing").is_none());
    }

    #[test]
    fn this_process_has_cost_something() {
        let own = std::process::id();
        let tree = cpu_seconds(&[own]).unwrap();
        assert!(tree >= 0.0 && own_cpu_seconds().unwrap() >= tree - 0.5);
        let memory = memory(own).unwrap();
        assert!(memory.now > 0 && memory.peak >= memory.now);
    }
}
