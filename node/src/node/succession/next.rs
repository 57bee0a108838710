//! The folder of what comes next: new keys of a node, the request for them and the authority's answer, until the node takes
//! them up.
//!
//! ```text
//! identity/next/request.pem        for the authority: `icomm key rotate` wrote it, or the node, well before a certificate ends
//!               member-key.pem     a new member key, if it is to change     0600
//!               node-key.pem       new transport keys, if they are          0600
//!               enrolment.pem      the authority's answer: `icomm key install` put it here
//! identity/taking/                 the same, from the moment that it counts until every file is in its place
//! identity/handover-….json         for the authority, after a new member key was taken up: up to where the one before counts
//! ```
//!
//! Taking up is one rename; what a crash leaves undone after it is done at the next start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use icomm_pki::{InvalidCredentials, MemberPublicKey, NodeCredentials};

use crate::config::Config;
use crate::token;

/// A node's folder of what comes next.
pub(crate) struct Next {
    identity: PathBuf,
}

const MEMBER_KEY: &str = "member-key.pem";
const NODE_KEY: &str = "node-key.pem";
const ENROLMENT: &str = "enrolment.pem";
const REQUEST: &str = "request.pem";

impl Next {
    /// Of the node with these settings.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            identity: config.home.join("identity"),
        }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.identity.join("next")
    }

    fn taking(&self) -> PathBuf {
        self.identity.join("taking")
    }

    /// The request that waits for an answer.
    pub(crate) fn request(&self) -> PathBuf {
        self.folder().join(REQUEST)
    }

    /// Where the authority's answer goes.
    pub(crate) fn enrolment(&self) -> PathBuf {
        self.folder().join(ENROLMENT)
    }

    /// A new member key.
    pub(crate) fn member_key(&self) -> PathBuf {
        self.folder().join(MEMBER_KEY)
    }

    /// New transport keys.
    pub(crate) fn node_key(&self) -> PathBuf {
        self.folder().join(NODE_KEY)
    }

    /// Where the hand-over of a former key goes.
    pub(crate) fn handover(&self, former: &MemberPublicKey) -> PathBuf {
        let id = data_encoding::HEXLOWER.encode(former.as_bytes().get(..4).unwrap_or_default());
        self.identity.join(format!("handover-{id}.json"))
    }

    /// What would be taken up; `None` before the authority answered. Keys that don't change are those in use.
    pub(crate) fn credentials(
        &self,
        config: &Config,
    ) -> io::Result<Option<Result<NodeCredentials, InvalidCredentials>>> {
        if !self.enrolment().exists() {
            return Ok(None);
        }
        let text = |new: PathBuf, used: &Path| fs::read_to_string(if new.exists() { new } else { used.to_owned() });
        let identity = &config.identity;
        let node_key = zeroize::Zeroizing::new(text(self.node_key(), &identity.node_key)?);
        let enrolment = fs::read_to_string(self.enrolment())?;
        if let Some(token) = &identity.token {
            // A new key of the member is in the token beside the one in use.
            let member_key = |public| token::member_key(token, public);
            return Ok(Some(NodeCredentials::with_token(&enrolment, member_key, &node_key)));
        }
        let member_key = zeroize::Zeroizing::new(text(self.member_key(), &identity.member_key)?);
        Ok(Some(NodeCredentials::from_pem(&enrolment, &member_key, &node_key)))
    }

    /// From here on it counts, whatever happens.
    pub(crate) fn commit(&self) -> io::Result<()> {
        fs::rename(self.folder(), self.taking())?;
        File::open(&self.identity)?.sync_all()
    }

    /// Puts in place what counts, over the keys and certificates in use. Nothing is done if nothing is left to do.
    pub(crate) fn finish(&self, config: &Config) -> io::Result<()> {
        let taking = self.taking();
        if !taking.exists() {
            return Ok(());
        }
        let identity = &config.identity;
        let files = [
            (MEMBER_KEY, &identity.member_key, 0o600),
            (NODE_KEY, &identity.node_key, 0o600),
            (ENROLMENT, &identity.enrolment, 0o644),
        ];
        for (name, place, mode) in files {
            let from = taking.join(name);
            if from.exists() {
                let content = zeroize::Zeroizing::new(fs::read(&from)?);
                replace(place, &content, mode)?;
            }
        }
        let request = taking.join(REQUEST);
        if request.exists() {
            replace(&self.identity.join(REQUEST), &fs::read(&request)?, 0o644)?;
        }
        fs::remove_dir_all(&taking)?;
        File::open(&self.identity)?.sync_all()
    }

    /// Writes the request for new certificates of the keys in use.
    pub(crate) fn ask(&self, request: &str) -> io::Result<()> {
        fs::create_dir_all(self.folder())?;
        replace(&self.request(), request.as_bytes(), 0o644)
    }
}

/// Writes a file beside its place, syncs it and renames it.
pub(crate) fn replace(place: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = place.with_extension("unfinished");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, place)?;
    place.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &Path) -> (Config, Next) {
        let home = folder.to_owned();
        fs::create_dir_all(home.join("identity/next")).unwrap();
        let mut config = Config {
            home: home.clone(),
            ..Config::default()
        };
        config.identity.member_key = home.join("identity/member-key.pem");
        config.identity.node_key = home.join("identity/node-key.pem");
        config.identity.enrolment = home.join("identity/enrolment.pem");
        for name in [MEMBER_KEY, NODE_KEY, ENROLMENT] {
            fs::write(home.join("identity").join(name), "old").unwrap();
        }
        let next = Next::of(&config);
        (config, next)
    }

    fn content(config: &Config) -> [String; 3] {
        let Config { identity, .. } = config;
        [&identity.member_key, &identity.node_key, &identity.enrolment].map(|path| fs::read_to_string(path).unwrap())
    }

    #[test]
    fn nothing_counts_before_the_rename_and_all_of_it_after() {
        let folder = tempfile::tempdir().unwrap();
        let (config, next) = place(folder.path());
        fs::write(next.member_key(), "new").unwrap();
        fs::write(next.enrolment(), "new").unwrap();
        next.finish(&config).unwrap();
        assert_eq!(content(&config), ["old", "old", "old"], "it was not committed");

        next.commit().unwrap();
        // A crash after the first file: the rest is done at the next start, as often as it takes.
        fs::write(&config.identity.member_key, "new").unwrap();
        for _ in 0..2 {
            next.finish(&config).unwrap();
            assert_eq!(content(&config), ["new", "old", "new"]);
        }
        assert!(!next.folder().exists() && !next.taking().exists());
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&config.identity.member_key).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
}
