//! A proof of a record for outsiders: one file, checked off-line with nothing but the root certificate.
//!
//! ```text
//!   root certificate (the reader's own)
//!     └ signs ─ region's authority ─ signs ─ member's certificate ─ key ─ signs ─▶ checkpoint: size, root
//!                                                                                      ▲ hashes of the proof
//!   disclosed sections + salts ─ SHA-256 ─▶ section hashes in the entry ─ SHA-256 ─▶ leaf ┘
//! ```
//!
//! The file is a C2SP `tlog-proof` ([`TlogProof`]), so that any verifier of that format can check checkpoint,
//! cosignatures and inclusion; its `extra` is `icomm.v1.Evidence`, with the entry and the certificates. Sections that are
//! left out leave their hash in the entry and change nothing.

use bytes::Bytes;
use icomm_pki::{
    AuthorityCertificate, CertificateDer, InvalidMemberPath, MemberCertificate, MemberId, MemberPath, MemberPublicKey,
    TrustDomain, moment_at,
};
use prost::Message;
use thiserror::Error;

use crate::log::{
    InclusionProof, InvalidCheckpoint, InvalidNote, InvalidProof, InvalidTlogProof, NOTE_SIGNATURES_MAX, SignedNote,
    TlogProof,
};
use crate::{InvalidOrigin, InvalidView, Origin, Tampered, VerifiedView, View, v1};

/// A proof of one record's entry. Nothing is verified until [`verify`](Self::verify).
#[derive(Debug, Clone, PartialEq)]
pub struct RecordProof {
    proof: TlogProof,
    view: View,
    originator: MemberPath,
    witnesses: Vec<(String, MemberPath)>,
}

/// What a proof proves, all of it checked up to the root certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Proven {
    /// The log.
    pub origin: Origin,
    /// The entry's index in it.
    pub index: u64,
    /// The log's size when it was signed.
    pub size: u64,
    /// The entry and its disclosed sections.
    pub view: VerifiedView,
    /// Who published the record.
    pub originator: MemberCertificate,
    /// Who saw the log at this size, in the order of the file.
    pub witnesses: Vec<Witnessed>,
}

/// A witness's cosignature.
#[derive(Debug, Clone, PartialEq)]
pub struct Witnessed {
    /// Who.
    pub member: MemberId,
    /// With which key.
    pub key: MemberPublicKey,
    /// When, by its clock, in seconds since 1970.
    pub time: u64,
    /// Whether its certificates, and the originator's, counted then.
    pub in_time: bool,
}

/// Why a file proves nothing. Whoever made or changed it is at fault; nobody is accused by it.
#[derive(Debug, Error)]
pub enum InvalidRecordProof {
    /// Not a C2SP `tlog-proof`.
    #[error(transparent)]
    File(#[from] InvalidTlogProof),
    /// Its `extra` is not our evidence.
    #[error("the proof's `extra` is not evidence of a record: {0}")]
    Evidence(#[from] prost::DecodeError),
    /// The entry or a section of it is malformed.
    #[error("the proof's record is malformed: {0}")]
    View(#[from] InvalidView),
    /// More witnesses than a checkpoint has lines.
    #[error("the proof names {0} witnesses, more than a checkpoint can have")]
    Witnesses(usize),
    /// A certificate does not lead to the root.
    #[error(transparent)]
    Path(#[from] InvalidMemberPath),
    /// The checkpoint is of no log of this network.
    #[error("the checkpoint is of no log of the root's network: {0}")]
    Origin(#[from] InvalidOrigin),
    /// The certificate is another member's.
    #[error("the log is of `{log}`, the certificate of `{certificate}`")]
    Originator {
        /// Whose log.
        log: MemberId,
        /// Whose certificate.
        certificate: MemberId,
    },
    /// The originator's signature on the checkpoint, or what the checkpoint says.
    #[error(transparent)]
    Checkpoint(#[from] InvalidCheckpoint),
    /// A section is not what the entry commits to.
    #[error(transparent)]
    Tampered(#[from] Tampered),
    /// The entry does not stand in the log at that place.
    #[error("the entry is not proved to be in the log: {0}")]
    Inclusion(#[from] InvalidProof),
    /// A witness's line is missing, wrong or another's.
    #[error("the cosignature of `{name}` does not count")]
    Witness {
        /// Under which name.
        name: String,
        /// What is wrong, if the line itself is.
        source: Option<InvalidNote>,
    },
}

impl From<InvalidNote> for InvalidRecordProof {
    fn from(invalid: InvalidNote) -> Self {
        Self::Checkpoint(invalid.into())
    }
}

/// The name under which a member cosigns: a schema-less URL, as C2SP asks.
#[must_use]
pub fn witness_name(member: &MemberId, domain: &TrustDomain) -> String {
    format!("{domain}/{member}")
}

impl RecordProof {
    /// The proof that `view`'s entry stands where `inclusion` says in the log of the checkpoint `note`. Of the witnesses
    /// only those count whose lines are on the note.
    #[must_use]
    pub fn new(
        note: SignedNote,
        inclusion: InclusionProof,
        view: View,
        originator: MemberPath,
        witnesses: Vec<(String, MemberPath)>,
    ) -> Self {
        let evidence = v1::Evidence {
            view: view.bytes().clone(),
            originator: ders(&originator),
            witnesses: witnesses
                .iter()
                .map(|(name, path)| v1::Witness {
                    name: name.clone(),
                    certificates: ders(path),
                })
                .collect(),
        };
        let extra = Bytes::from(evidence.encode_to_vec());
        let proof = TlogProof { extra, inclusion, note };
        Self {
            proof,
            view,
            originator,
            witnesses,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is no such proof.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidRecordProof> {
        let proof = TlogProof::parse(bytes)?;
        let evidence = v1::Evidence::decode(proof.extra.clone())?;
        if evidence.witnesses.len() > NOTE_SIGNATURES_MAX {
            return Err(InvalidRecordProof::Witnesses(evidence.witnesses.len()));
        }
        let witnesses = evidence.witnesses.into_iter().map(|witness| {
            let path = path(witness.certificates)?;
            Ok((witness.name, path))
        });
        Ok(Self {
            view: View::parse(evidence.view)?,
            originator: path(evidence.originator)?,
            witnesses: witnesses.collect::<Result<_, InvalidRecordProof>>()?,
            proof,
        })
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proof.to_bytes()
    }

    /// Checks every signature and every hash, from the disclosed sections up to `root`.
    ///
    /// # Errors
    /// With the first thing that does not hold.
    pub fn verify(&self, root: &AuthorityCertificate) -> Result<Proven, InvalidRecordProof> {
        let originator = self.originator.verify(root)?;
        let checkpoint = self.proof.checkpoint()?;
        let origin = Origin::from_line(&checkpoint.origin, root.trust_domain())?;
        if origin.member != *originator.member() {
            let (log, certificate) = (origin.member, originator.member().clone());
            return Err(InvalidRecordProof::Originator { log, certificate });
        }
        self.proof.note.verify(&checkpoint.origin, &originator.key())?;
        let view = self.view.clone().verify()?;
        checkpoint.verify_inclusion(&self.proof.inclusion, &self.view.leaf_hash())?;
        let witnesses = self
            .witnesses
            .iter()
            .map(|(name, path)| self.witnessed(name, path, root));
        Ok(Proven {
            witnesses: witnesses.collect::<Result<_, _>>()?,
            index: self.proof.inclusion.index,
            size: checkpoint.size,
            originator: originator.clone(),
            origin,
            view,
        })
    }

    fn witnessed(
        &self,
        name: &str,
        path: &MemberPath,
        root: &AuthorityCertificate,
    ) -> Result<Witnessed, InvalidRecordProof> {
        let certificate = path.verify(root)?;
        let refused = |source| InvalidRecordProof::Witness {
            name: name.to_owned(),
            source,
        };
        if name != witness_name(certificate.member(), root.trust_domain()) {
            return Err(refused(None));
        }
        let time = match self.proof.note.cosigned(name, &certificate.key()) {
            Ok(Some(time)) => time,
            Ok(None) => return Err(refused(None)),
            Err(invalid) => return Err(refused(Some(invalid))),
        };
        let in_time = moment_at(time).is_some_and(|moment| path.counts_at(moment) && self.originator.counts_at(moment));
        Ok(Witnessed {
            member: certificate.member().clone(),
            key: certificate.key(),
            time,
            in_time,
        })
    }
}

fn path(certificates: Vec<Bytes>) -> Result<MemberPath, InvalidMemberPath> {
    let ders = certificates
        .into_iter()
        .map(|der| CertificateDer::from(der.to_vec()))
        .collect();
    MemberPath::parse(ders)
}

fn ders(path: &MemberPath) -> Vec<Bytes> {
    path.certificates().map(|der| Bytes::copy_from_slice(der)).collect()
}

#[cfg(test)]
pub(crate) mod tests;
