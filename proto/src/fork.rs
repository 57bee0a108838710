//! A fork proved to anybody: two checkpoints of one log, both signed by its originator, that no single history has.
//!
//! ```text
//! icomm/fork@v1
//! certificate MIIBxT…                        the originator's, then its region's authority's if there is one (base64 of DER)
//! successor MIIBxT…                          if the larger checkpoint is signed with another key of the originator: the same
//!                                            for that one
//! begins 6hZ6Xf…                             if the sizes differ: the root over as many entries of the larger log as the
//! hash Tju7H3…                               smaller has, and the hashes that prove it (RFC 9162, 2.1.4)
//!                                            an empty line
//! demo.icomm.example/KE/main                 the checkpoint of fewer entries, as a signed note
//! 5
//! …
//!                                            an empty line
//! demo.icomm.example/KE/main                 the checkpoint of more entries, or of as many
//! 7
//! …
//! ```
//!
//! Of the same size, two roots contradict each other by themselves. Of different sizes, the larger log does not begin with
//! the smaller: the proof shows what it begins with. Nobody but the holder of the originator's key can make such a file,
//! and whoever has the root certificate can check it, off-line.

use std::fmt;

use data_encoding::BASE64;
use icomm_pki::{AuthorityCertificate, CertificateDer, InvalidMemberPath, MemberCertificate, MemberId, MemberPath};
use thiserror::Error;

use crate::log::{
    Checkpoint, ConsistencyProof, Hash, InvalidCheckpoint, InvalidNote, InvalidProof, SignedNote, TLOG_PROOF_HASHES_MAX,
};
use crate::{InvalidOrigin, Origin};

/// The first line.
pub const FORK_HEADER: &str = "icomm/fork@v1";

/// The longest proof of a fork accepted, in bytes.
pub const FORK_BYTES_MAX: usize = 64 << 10;

/// How a line with a certificate begins.
const CERTIFICATE: &str = "certificate ";

/// The same for the key that signed the larger checkpoint, where that is another.
const SUCCESSOR: &str = "successor ";

/// How the larger log begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The root over as many of its entries as the smaller checkpoint counts.
    pub root: Hash,
    /// The nodes that lead from there to the larger root.
    pub path: Vec<Hash>,
}

/// Two checkpoints that are said to contradict each other. Nothing is verified until [`verify`](Self::verify).
#[derive(Clone, Debug, PartialEq)]
pub struct ForkProof {
    originator: MemberPath,
    successor: Option<MemberPath>,
    smaller: SignedNote,
    larger: SignedNote,
    beginning: Option<Beginning>,
}

/// A fork, proved up to the root certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    /// The log.
    pub origin: Origin,
    /// Whose key signed both, or the smaller one.
    pub originator: MemberCertificate,
    /// Whose signed the larger one, where the member has used two keys.
    pub successor: Option<MemberCertificate>,
    /// What was signed over fewer entries, or over as many.
    pub smaller: Checkpoint,
    /// What was signed over more.
    pub larger: Checkpoint,
    /// What the root of `smaller` would have to be, had `larger` the same history.
    pub expected: Hash,
}

/// Why a file proves no fork. Whoever made or changed it is at fault; the originator is accused of nothing by it.
#[derive(Debug, Error)]
pub enum InvalidFork {
    /// Beyond [`FORK_BYTES_MAX`].
    #[error("a proof of a fork of {0} bytes is longer than {FORK_BYTES_MAX}")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("the proof of a fork is not UTF-8")]
    NotUtf8,
    /// It does not begin with the line of the format.
    #[error("the proof of a fork does not begin with `{FORK_HEADER}`")]
    Header,
    /// A line before the checkpoints is not what stands there.
    #[error("line {0} of the proof of a fork is not as the format has it")]
    Line(usize),
    /// Not two notes after the head.
    #[error("the proof of a fork does not have two checkpoints")]
    Checkpoints,
    /// A certificate does not lead to the root.
    #[error(transparent)]
    Path(#[from] InvalidMemberPath),
    /// A checkpoint is none, or is not signed by the originator.
    #[error(transparent)]
    Checkpoint(#[from] InvalidCheckpoint),
    /// The checkpoints are of no log of this network.
    #[error("the checkpoints are of no log of the root's network: {0}")]
    Origin(#[from] InvalidOrigin),
    /// The certificate is another member's.
    #[error("the log is of `{log}`, the certificate of `{certificate}`")]
    Originator {
        /// Whose log.
        log: MemberId,
        /// Whose certificate.
        certificate: MemberId,
    },
    /// The checkpoints are of two logs.
    #[error("the checkpoints are of two logs, `{0}` and `{1}`")]
    TwoLogs(String, String),
    /// The first is of more entries than the second, or the sizes don't fit what else is there.
    #[error("the checkpoints of {0} and {1} entries don't fit what is said about them")]
    Sizes(u64, u64),
    /// The hashes don't show how the larger log begins.
    #[error("how the larger log begins is not proved: {0}")]
    Beginning(#[from] InvalidProof),
    /// One history has both.
    #[error("the two checkpoints don't contradict each other")]
    NoContradiction,
}

impl From<InvalidNote> for InvalidFork {
    fn from(invalid: InvalidNote) -> Self {
        Self::Checkpoint(invalid.into())
    }
}

impl ForkProof {
    /// The proof that the member of `originator` signed both notes. `beginning` is needed where they are of different sizes.
    #[must_use]
    pub fn new(originator: MemberPath, smaller: SignedNote, larger: SignedNote, beginning: Option<Beginning>) -> Self {
        Self {
            originator,
            successor: None,
            smaller,
            larger,
            beginning,
        }
    }

    /// Where the member signed the larger one with another key: that key's path.
    #[must_use]
    pub fn with_successor(self, successor: Option<MemberPath>) -> Self {
        Self { successor, ..self }
    }

    /// The two signed checkpoints, that of fewer entries first.
    pub fn notes(&self) -> [&SignedNote; 2] {
        [&self.smaller, &self.larger]
    }

    /// Reads a file strictly.
    ///
    /// # Errors
    /// It is no such proof.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidFork> {
        if bytes.len() > FORK_BYTES_MAX {
            return Err(InvalidFork::TooLong(bytes.len()));
        }
        let text = str::from_utf8(bytes).map_err(|_| InvalidFork::NotUtf8)?;
        // No paragraph of a checkpoint has an empty line in it, so these are all there are.
        let mut parts = text.split("\n\n");
        let head = parts.next().unwrap_or_default();
        let mut note = |last: bool| {
            let (text, lines) = (parts.next()?, parts.next()?);
            // The split took the last newline of the first note; the second one has its own.
            Some(format!("{text}\n\n{lines}{}", if last { "" } else { "\n" }))
        };
        let notes = note(false).zip(note(true));
        let (smaller, larger) = notes.ok_or(InvalidFork::Checkpoints)?;
        if parts.next().is_some() {
            return Err(InvalidFork::Checkpoints);
        }
        let Head {
            originator,
            successor,
            beginning,
        } = read_head(head)?;
        Ok(Self {
            originator,
            successor,
            smaller: SignedNote::parse(smaller.as_bytes())?,
            larger: SignedNote::parse(larger.as_bytes())?,
            beginning,
        })
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// Checks every signature and every hash up to `root`, and that one history can't have both checkpoints. Whether the
    /// certificates still count is left open: a checkpoint states no time.
    ///
    /// # Errors
    /// With the first thing that does not hold.
    pub fn verify(&self, root: &AuthorityCertificate) -> Result<Fork, InvalidFork> {
        let originator = self.originator.verify(root)?;
        let [smaller, larger] = [&self.smaller, &self.larger].map(|note| Checkpoint::parse(note.text()));
        let (smaller, larger) = (smaller?, larger?);
        if smaller.origin != larger.origin {
            return Err(InvalidFork::TwoLogs(smaller.origin, larger.origin));
        }
        let origin = Origin::from_line(&smaller.origin, root.trust_domain())?;
        let successor = match &self.successor {
            Some(path) => Some(path.verify(root)?),
            None => None,
        };
        for certificate in std::iter::once(originator).chain(successor) {
            if origin.member != *certificate.member() {
                let (log, certificate) = (origin.member, certificate.member().clone());
                return Err(InvalidFork::Originator { log, certificate });
            }
        }
        self.smaller.verify(&smaller.origin, &originator.key())?;
        self.larger
            .verify(&smaller.origin, &successor.unwrap_or(originator).key())?;
        let expected = match &self.beginning {
            None if smaller.size == larger.size => larger.root,
            Some(Beginning { root, path }) if smaller.size < larger.size => {
                let proof = ConsistencyProof {
                    old_size: smaller.size,
                    new_size: larger.size,
                    path: path.clone(),
                };
                proof.verify(root, &larger.root)?;
                *root
            }
            _ => return Err(InvalidFork::Sizes(smaller.size, larger.size)),
        };
        if expected == smaller.root {
            return Err(InvalidFork::NoContradiction);
        }
        Ok(Fork {
            originator: originator.clone(),
            successor: successor.cloned(),
            origin,
            smaller,
            larger,
            expected,
        })
    }
}

/// What stands before the checkpoints.
struct Head {
    originator: MemberPath,
    successor: Option<MemberPath>,
    beginning: Option<Beginning>,
}

/// The lines before the checkpoints.
fn read_head(head: &str) -> Result<Head, InvalidFork> {
    let mut lines = head.split('\n').zip(1..).peekable();
    if lines.next().map(|(line, _)| line) != Some(FORK_HEADER) {
        return Err(InvalidFork::Header);
    }
    let mut certificates = |word: &str| {
        let mut certificates = Vec::new();
        while let Some((line, at)) = lines.next_if(|(line, _)| line.starts_with(word)) {
            let base64 = line.strip_prefix(word).unwrap_or_default();
            let der = BASE64.decode(base64.as_bytes()).map_err(|_| InvalidFork::Line(at))?;
            certificates.push(CertificateDer::from(der));
        }
        Ok::<_, InvalidFork>(certificates)
    };
    let (originator, successor) = (certificates(CERTIFICATE)?, certificates(SUCCESSOR)?);
    let hash = |line: &str, word: &str, at| {
        let base64 = line.strip_prefix(word).ok_or(InvalidFork::Line(at))?;
        Hash::from_base64(base64).map_err(|_| InvalidFork::Line(at))
    };
    let mut beginning = None;
    for (line, at) in lines {
        match &mut beginning {
            None => {
                let root = hash(line, "begins ", at)?;
                beginning = Some(Beginning { root, path: Vec::new() });
            }
            Some(Beginning { path, .. }) if path.len() < TLOG_PROOF_HASHES_MAX => path.push(hash(line, "hash ", at)?),
            Some(_) => return Err(InvalidFork::Line(at)),
        }
    }
    let successor = (!successor.is_empty()).then(|| MemberPath::parse(successor));
    Ok(Head {
        originator: MemberPath::parse(originator)?,
        successor: successor.transpose()?,
        beginning,
    })
}

impl fmt::Display for ForkProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORK_HEADER}")?;
        for der in self.originator.certificates() {
            writeln!(f, "{CERTIFICATE}{}", BASE64.encode(der))?;
        }
        for der in self.successor.iter().flat_map(MemberPath::certificates) {
            writeln!(f, "{SUCCESSOR}{}", BASE64.encode(der))?;
        }
        if let Some(Beginning { root, path }) = &self.beginning {
            writeln!(f, "begins {}", root.to_base64())?;
            for hash in path {
                writeln!(f, "hash {}", hash.to_base64())?;
            }
        }
        write!(f, "\n{}\n{}", self.smaller, self.larger)
    }
}

#[cfg(test)]
mod tests;
