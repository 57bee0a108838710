//! A peer's server as a process that goes away however we end.
//!
//! Servers know nothing of who started them and would outlive us if we were killed. So each is started by a shell that leaves
//! a guard behind before it becomes the server: the guard reads from a pipe whose other end only we hold, and when that
//! closes, because we dropped it or because we are gone, it ends the server.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// The shell's part; its first argument is the signal. In a background job standard input is `/dev/null`, so the pipe moves
/// to descriptor 3 first.
const GUARD: &str =
    r#"signal=$1; shift; exec 3<&0; { read -r _ <&3; kill -"$signal" $$; } & exec "$@" 3<&- </dev/null"#;

/// How a server is made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is killed.
    Kill,
    /// It is told to end at once, by SIGQUIT: for one that would leave shared memory behind if it were killed.
    Quit,
}

impl End {
    fn signal(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Quit => "QUIT",
        }
    }

    /// How long it may take before we kill the server ourselves.
    fn within(self) -> Duration {
        match self {
            Self::Kill => Duration::from_secs(1),
            Self::Quit => Duration::from_secs(15),
        }
    }
}

/// How often it is looked whether the server is gone.
const POLL: Duration = Duration::from_millis(5);

/// How many of its log's last lines tell why a server ended.
const LAST_LINES_MAX: usize = 8;

/// A running server. Dropping it ends it and waits until it is gone: what it wrote is thrown away anyway.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    end: End,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `program` with its arguments; what it prints goes into `<folder>/<name>.log`.
    ///
    /// # Errors
    /// The log can't be written, or there is no shell.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        folder: &Path,
    ) -> io::Result<Self> {
        Self::start_as(name, End::Kill, folder, |command| {
            command.arg(program).args(arguments);
        })
    }

    /// The same for a server with further wishes: `complete` gets the command as far as the server's program, and adds that,
    /// its arguments, its environment and as whom it runs.
    ///
    /// # Errors
    /// The log can't be written, or there is no shell, or nobody like that.
    pub fn start_as(name: &str, end: End, folder: &Path, complete: impl FnOnce(&mut Command)) -> io::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log)?;
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "guard", end.signal()]);
        complete(&mut command);
        let child = command
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            // A group of its own: Ctrl-C on the terminal is for us.
            .process_group(0)
            .spawn()?;
        let name = name.to_owned();
        Ok(Self { name, end, child, log })
    }

    /// The server's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has printed.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn printed(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    /// Checks that it still runs.
    ///
    /// # Errors
    /// It has ended: the error quotes its last words.
    pub fn running(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let printed = self.printed().unwrap_or_default();
            let mut lines: Vec<&str> = printed.lines().rev().take(LAST_LINES_MAX).collect();
            lines.reverse();
            anyhow::bail!("{} ended with {status}; it said:\n{}", self.name, lines.join("\n"));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The guard ends the server by its number, so the number must stay the server's until the guard has done so: first
        // let go of the pipe, then wait. Should somebody have killed the guard, we are the ones who kill.
        drop(self.child.stdin.take());
        let polls = self.end.within().as_millis() / POLL.as_millis();
        for _ in 0..polls {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a program is, among the folders that the system searches and those where servers are installed: a user's search path
/// often leaves out the latter.
pub fn installed(program: &str) -> Option<PathBuf> {
    let searched = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&searched).chain(["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command, thread, time::Duration};

    use super::{Daemon, installed};

    fn gone(pid: u32) -> bool {
        (0..400).any(|_| {
            thread::sleep(Duration::from_millis(5));
            !Path::new(&format!("/proc/{pid}")).exists()
        })
    }

    #[test]
    fn a_dropped_daemon_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start("sleeper", Path::new("sleep"), ["600"], folder.path()).unwrap();
        let pid = daemon.id();
        daemon.running().unwrap();
        drop(daemon);
        assert!(gone(pid));
    }

    #[test]
    fn a_daemon_ends_when_its_starter_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start("sleeper", Path::new("sleep"), ["600"], folder.path()).unwrap();
        let pid = daemon.id();
        // Being killed closes the pipe and runs nothing of ours; so does forgetting all of the value but the pipe.
        let mut daemon = std::mem::ManuallyDrop::new(daemon);
        drop(daemon.child.stdin.take());
        assert!(daemon.child.wait().is_ok() && gone(pid));
    }

    #[test]
    fn who_kills_the_guard_does_not_save_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start("sleeper", Path::new("sleep"), ["600"], folder.path()).unwrap();
        let pid = daemon.id();
        let guard = Command::new("pkill").args(["-KILL", "-P", &pid.to_string()]).status();
        drop(daemon);
        assert!(gone(pid), "the guard was killed with {guard:?}");
    }

    #[test]
    fn what_a_daemon_says_at_its_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let script = ["-c", "echo no such port; exit 3"];
        let mut daemon = Daemon::start("liar", Path::new("sh"), script, folder.path()).unwrap();
        let told = (0..400).find_map(|_| {
            thread::sleep(Duration::from_millis(5));
            daemon.running().err()
        });
        let told = told.unwrap().to_string();
        assert!(told.contains("liar ended") && told.contains("no such port"), "{told}");
    }

    #[test]
    fn a_program_is_found_or_not() {
        assert!(installed("sh").is_some());
        assert!(installed("no-such-program-of-icomm").is_none());
    }
}
