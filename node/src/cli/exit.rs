//! How a command ends: the exit codes that scripts rely on, and the failure a person reads.

use std::{error::Error, fmt, io, process::ExitCode};

use tonic::{Code, Status};

use crate::{api::client::ConnectError, causes::chain};

/// The exit codes. They are part of the interface: a number never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Not done; the message says why.
    Failed = 1,
    /// The command line is wrong, as clap reports it too.
    Usage = 2,
    /// Done in part: some rows were rejected, or some checks failed.
    Partly = 3,
    /// The node does not answer on its API.
    Unreachable = 4,
    /// A dry run found that something would change.
    WouldChange = 5,
    /// Stopped by Ctrl-C; the same command goes on from here.
    Interrupted = 130,
}

/// What `--help` says about exit codes.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  not done; the message says why and what to do
  2  the command line is wrong
  3  done in part: some rows were rejected, or some checks failed
  4  the node does not answer; is `icomm run` running?
  5  a dry run found that something would change
  130  stopped by Ctrl-C";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command was not done: what happened, and what the user can do.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    what: String,
    advice: Option<String>,
}

impl Failure {
    /// A failure that says `what` happened and whose fault it is.
    pub fn new(what: impl fmt::Display) -> Self {
        Self {
            exit: Exit::Failed,
            what: what.to_string(),
            advice: None,
        }
    }

    /// A failure with the whole chain of an error's causes.
    pub fn because(error: &dyn Error) -> Self {
        Self::new(chain(error))
    }

    /// The same, ending with another exit code.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn advice(mut self, advice: impl fmt::Display) -> Self {
        self.advice = Some(advice.to_string());
        self
    }

    /// What happened, without the advice.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The exit code to end with.
    pub fn exit_code(&self) -> Exit {
        self.exit
    }

    /// As `--json` prints it.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "error": { "exit": self.exit as u8, "message": self.what, "advice": self.advice } })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        match &self.advice {
            Some(advice) => write!(f, "\n  what to do: {advice}"),
            None => Ok(()),
        }
    }
}

/// A command ends with an error's message and its causes, and with what we know to advise.
macro_rules! plain {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::because(&error)
            }
        })*
    };
}

plain!(
    io::Error,
    serde_json::Error,
    prost::DecodeError,
    crate::config::ConfigError,
    crate::intake::InvalidMapping,
    crate::intake::synthetic::SyntheticError,
    crate::network::NetworkError,
    icomm_policy::agreement::InvalidWord,
    crate::observe::ObserveError,
    super::json::InvalidJson,
    toml::ser::Error,
    icomm_pki::BundleError,
    icomm_pki::InvalidAuthorityRequest,
    icomm_pki::InvalidKey,
    icomm_pki::InvalidName,
    icomm_pki::InvalidRequest,
    icomm_pki::SigningError,
    icomm_pki::InvalidValidity,
    icomm_pki::IssueError,
);

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let failure = Self::because(&error).exit(Exit::Unreachable);
        match error {
            ConnectError::NotRunning { .. } => {
                failure.advice("start it with `icomm run`, or name its folder with `--home`")
            }
            ConnectError::NotAllowed { .. } => failure.advice("run this as the user who runs the node"),
            ConnectError::Identity { .. } => failure
                .exit(Exit::Failed)
                .advice("`icomm doctor` checks the identity's files"),
            ConnectError::Transport { .. } => failure,
        }
    }
}

/// What the node answered: its message says whose fault it is and what to do.
impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        match status.code() {
            // Cancelled: the node closed the connection, as it does to whom it does not let in.
            Code::Unavailable | Code::Cancelled => {
                Self::new(format_args!("the node does not answer: {}", status.message())).exit(Exit::Unreachable)
            }
            Code::Unimplemented => Self::new("the node is of another version and does not know this call"),
            // Without a message from the node the code is all there is.
            code if status.message().is_empty() => Self::new(code.description()),
            _ => Self::new(status.message()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::{Exit, Failure};
    use crate::config::{Config, ConfigError};

    #[test]
    fn causes_are_said_once() {
        let source = Config::parse("a = 1", Path::new("")).unwrap_err();
        let failure = Failure::from(ConfigError::Invalid {
            path: "x.toml".into(),
            source,
        });
        assert_eq!(failure.to_string().matches("unknown key").count(), 1, "{failure}");
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        let failure = Failure::from(ConfigError::Unreadable {
            path: "x.toml".into(),
            source,
        })
        .advice("look");
        assert_eq!(
            failure.to_string(),
            "error: can't read `x.toml`: permission denied\n  what to do: look"
        );
        assert_eq!(failure.exit_code(), Exit::Failed);
    }
}
