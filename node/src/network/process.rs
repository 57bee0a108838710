//! One node as an operating-system process: `icomm run --home DIR`, its log in a file of its folder.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio::time::Instant;

/// The file in the node's folder that its standard output and error go to.
pub const LOG_FILE: &str = "node.log";

/// How often a process is asked whether it has ended.
const POLL: Duration = Duration::from_millis(20);

/// How many of its log's last lines tell why a node ended.
const LAST_LINES_MAX: usize = 8;

/// A running node. Dropping it kills the process and waits until it is gone.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the node of the folder `home`. Its log is appended to, so that a restart keeps what the first run said.
    pub(super) fn start(program: &Path, home: &Path) -> io::Result<Self> {
        let log = home.join(LOG_FILE);
        let out = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(program)
            .arg("run")
            .arg("--home")
            .arg(home)
            // The node stops when this end of the pipe closes: also when we are killed before we can stop it.
            .arg("--stop-with-stdin")
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            // A group of its own: Ctrl-C on the terminal is for us, and we stop the nodes in order.
            .process_group(0)
            .spawn()?;
        Ok(Self { child, log })
    }

    /// The process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks it to stop.
    pub(super) fn begin_stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Asks it to stop and waits until it has; a process that takes longer than `within` is killed.
    pub(super) async fn stop(&mut self, within: Duration) -> io::Result<ExitStatus> {
        self.begin_stop();
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
        self.kill()
    }

    /// Kills it on the spot, as a power cut would, and waits until it is gone.
    pub(super) fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// The end of its log, for the message about a node that failed.
    pub(super) fn last_words(&self) -> String {
        last_lines(&fs::read(&self.log).unwrap_or_default(), LAST_LINES_MAX)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill and only the wait counts.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last `max` lines of a text.
fn last_lines(text: &[u8], max: usize) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(max)..)
        .unwrap_or_default()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_last_lines_of_a_log() {
        assert_eq!(last_lines(b"", 2), "");
        assert_eq!(last_lines(b"a\n", 2), "a");
        assert_eq!(last_lines(b"a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines(b"a\nb\xff", 1), "b\u{fffd}");
    }
}
