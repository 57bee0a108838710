//! Where PostgreSQL is installed on this machine, and as whom its servers run.

use std::{
    env, fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

/// The version that the comparison is about, where several are installed.
const PREFERRED: u32 = 15;

/// Column lists and row filters of publications came with this version.
const OLDEST: u32 = 15;

/// Where Debian puts a folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The package that brings it.
const PACKAGE: &str = "`apt-get install postgresql-15` brings it";

/// The account that Debian's package makes: PostgreSQL refuses to run as root.
const ACCOUNT: &str = "postgres";

/// The programs of one version.
#[derive(Debug, Clone)]
pub(super) struct Installation {
    programs: PathBuf,
    version: String,
    /// As whom servers run; `None`: as ourselves.
    account: Option<Account>,
}

#[derive(Debug, Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

impl Installation {
    /// The one that is used. The error says why there is none, and what would bring it.
    pub(super) fn find() -> Result<Self, String> {
        let mut found: Vec<(u32, String, PathBuf)> = folders()
            .into_iter()
            .filter_map(|folder| {
                let version = version(&folder)?;
                Some((major(&version)?, version, folder))
            })
            .collect();
        // The preferred one, or else the newest; of equals the first, which is Debian's.
        found.sort_by_key(|(major, _, _)| (*major != PREFERRED, std::cmp::Reverse(*major)));
        let Some((major, version, programs)) = found.into_iter().next() else {
            return Err(format!("PostgreSQL is not installed; {PACKAGE}"));
        };
        if major < OLDEST {
            return Err(format!(
                "PostgreSQL {version} has no row filters and column lists; {PACKAGE}"
            ));
        }
        let account = if is_root() {
            let Some(account) = account() else {
                return Err(format!(
                    "PostgreSQL refuses to run as root, and there is no user `{ACCOUNT}`; {PACKAGE}"
                ));
            };
            Some(account)
        } else {
            None
        };
        Ok(Self {
            programs,
            version,
            account,
        })
    }

    /// Its version, such as `15.14`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// One of its programs, to be run as ourselves.
    pub(super) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        isolate(&mut command);
        command
    }

    /// One of its programs, to be run as whom servers run, in a folder of theirs.
    pub(super) fn server(&self, program: &str, folder: &Path) -> Command {
        let mut command = self.client(program);
        self.lower(&mut command, folder);
        command
    }

    /// Completes the command of a shell that becomes one of its programs and runs as whom servers run, in a folder of theirs.
    pub(super) fn complete(&self, command: &mut Command, program: &str, folder: &Path) {
        isolate(command);
        self.lower(command, folder);
        command.arg(self.programs.join(program));
    }

    /// Hands a file or folder to whom servers run as.
    pub(super) fn hand_over(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(Account { user, group }) = self.account {
            chown(path, Some(user), Some(group)).with_context(|| format!("`{}`", path.display()))?;
        }
        Ok(())
    }

    /// Whether servers run as somebody else, who must be let through to their folders.
    pub(super) fn is_somebody_else(&self) -> bool {
        self.account.is_some()
    }

    fn lower(&self, command: &mut Command, folder: &Path) {
        command.current_dir(folder);
        if let Some(Account { user, group }) = self.account {
            command.uid(user).gid(group);
        }
    }
}

/// Keeps settings of the user who runs us away: `PGHOST` and the like.
fn isolate(command: &mut Command) {
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    command.env_clear().env("PATH", path).env("LC_ALL", "C");
}

/// Folders that hold the programs: Debian's, then those of the search path, whose `postgres` may be a wrapper of somebody's.
fn folders() -> Vec<PathBuf> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let all = debian.chain(env::split_paths(&path));
    all.filter(|folder| {
        ["postgres", "initdb", "psql"]
            .iter()
            .all(|program| folder.join(program).is_file())
    })
    .collect()
}

/// What a server's program says: `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn version(folder: &Path) -> Option<String> {
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (_, rest) = text.split_once("(PostgreSQL) ")?;
    rest.split_ascii_whitespace().next().map(str::to_owned)
}

fn major(version: &str) -> Option<u32> {
    let digits = version.split(|digit: char| !digit.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn is_root() -> bool {
    // A process's folder there belongs to its effective user.
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn account() -> Option<Account> {
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    let line = accounts.lines().find(|line| line.split(':').next() == Some(ACCOUNT))?;
    let mut numbers = line.split(':').skip(2).map(|number| number.parse().ok());
    Some(Account {
        user: numbers.next()??,
        group: numbers.next()??,
    })
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("15.14"), Some(15));
        assert_eq!(major("18beta2"), Some(18));
        assert_eq!(major("devel"), None);
    }
}
