//! Proofs of records for outsiders: a file for a court, an expert, or an authority without a node.
//!
//! A proof leaves the network, so it is a disclosure like any other: of another member's record only what its grant allows
//! in court, of every record only the sections that were asked for by name, and the note of it is durable before the file
//! is handed out.

use icomm_pki::{MemberId, MemberPath, MemberPublicKey};
use icomm_policy::agreement::UseInCourt;
use icomm_policy::{Decision, Receiver, Request};
use icomm_proto::log::{
    Checkpoint, InvalidCheckpoint, InvalidNote, ProofError as InclusionError, SignedNote, inclusion_proof,
};
use icomm_proto::proof::witness_name;
use icomm_proto::{Origin, RecordId, RecordProof, SectionSet, View};
use thiserror::Error;

use super::{HoldingsError, Node};
use crate::core::disclosure::{Note, Terms, seal};
use crate::store::{Batch, NoteLog, StoreError, StoredLog};

/// The longest description of a recipient, in characters.
pub const RECIPIENT_CHARS_MAX: usize = 200;

/// What is to be proved, and for whom.
#[derive(Debug, Clone)]
pub struct ProofRequest {
    /// Which record.
    pub record: RecordId,
    /// Which version of it; none: the latest that is held.
    pub version: Option<u32>,
    /// The sections to disclose; what is not held of them is left out.
    pub sections: SectionSet,
    /// Who will have the file, in words: it goes into the note.
    pub recipient: String,
}

/// A proof, ready to be handed out.
#[derive(Debug, Clone)]
pub struct ProofFile {
    /// C2SP `tlog-proof`.
    pub bytes: Vec<u8>,
    /// The log.
    pub origin: Origin,
    /// The entry's index in it.
    pub index: u64,
    /// The record's version.
    pub version: u32,
    /// The log's size under the checkpoint.
    pub size: u64,
    /// The sections that the file discloses.
    pub sections: SectionSet,
    /// Who cosigned the checkpoint.
    pub witnesses: Vec<MemberId>,
}

/// Why no proof is handed out.
#[derive(Debug, Error)]
pub enum ProofError {
    /// Nobody is named.
    #[error(
        "a proof needs a recipient of 1 to {RECIPIENT_CHARS_MAX} printable characters: it goes into the disclosure log"
    )]
    Recipient,
    /// Nothing of it is here but hashes.
    #[error("nothing of the record `{0}` is held here, or not this version of it")]
    UnknownRecord(RecordId),
    /// A record of the log was recalled or corrected meanwhile.
    #[error("a record of `{0}` was recalled or corrected just now; ask again")]
    Recalling(Origin),
    /// It may have been recalled while this node was away.
    #[error(
        "this node was away, and `{unheard}` from whom it has `{origin}` was not heard since: has it recalled any? try again later"
    )]
    HeldBack {
        /// The log.
        origin: Origin,
        /// Who has to be heard first.
        unheard: String,
    },
    /// Another member's record, and its terms don't let it be shown in court.
    #[error("the records of `{origin}` may not be shown outside: {reason}")]
    NotAllowed {
        /// Whose record.
        origin: MemberId,
        /// Which rule stops it.
        reason: String,
    },
    /// Sections beyond what the terms let be shown.
    #[error("of this record of `{origin}` only `{allowed}` may be shown outside, not `{asked}`")]
    Sections {
        /// Whose record.
        origin: MemberId,
        /// What may be.
        allowed: SectionSet,
        /// What was asked for beyond it.
        asked: SectionSet,
    },
    /// Its originator left the network.
    #[error("`{0}` is not a member in the trust bundle, so its certificate can't go with the proof")]
    UnknownMember(MemberId),
    /// What is held can't be read.
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
    /// The proof can't be made of what is held.
    #[error("the log can't be proved: {0}")]
    Inclusion(#[from] InclusionError<StoreError>),
    /// The stored checkpoint is none.
    #[error("the stored checkpoint can't be read: {0}")]
    Checkpoint(#[from] InvalidCheckpoint),
    /// The note can't be written down, so nothing is handed out.
    #[error("the note of the disclosure can't be kept: {0}")]
    Note(#[from] StoreError),
    /// The same.
    #[error("the note of the disclosure can't be encoded: {0}")]
    Encoding(#[from] serde_json::Error),
}

impl From<InvalidNote> for ProofError {
    fn from(invalid: InvalidNote) -> Self {
        Self::Checkpoint(invalid.into())
    }
}

impl Node {
    /// Makes a file that proves a record to somebody outside, and notes that it was made. Blocks on the disk: the hashes of
    /// the whole log are read.
    ///
    /// # Errors
    /// The record is not here, its terms don't allow it, or the note can't be kept.
    pub fn prove(&self, request: &ProofRequest) -> Result<ProofFile, ProofError> {
        check_recipient(&request.recipient)?;
        let (origin, index, view) = self.entry_to_prove(request)?;
        let unheard = self.0.exchange.waits_for(&origin);
        if !unheard.is_empty() {
            let unheard = unheard.iter().map(MemberId::as_str).collect::<Vec<_>>().join("`, `");
            return Err(ProofError::HeldBack { origin, unheard });
        }
        let as_of = self.0.exchange.generation(&origin);
        let (allowed, terms) = self.outside(&origin, &view)?;
        let asked = request.sections.intersection(view.sections());
        if !asked.is_subset(allowed) {
            let asked = asked.difference(allowed);
            let origin = origin.member;
            return Err(ProofError::Sections { origin, allowed, asked });
        }
        let view = view.redact(asked);

        let inner = &self.0;
        let unknown_log = || HoldingsError::UnknownLog(origin.clone());
        let head = inner.exchange.head(&origin).ok_or_else(unknown_log)?;
        // A checkpoint that witnesses have seen, if one covers the entry.
        let note = match inner.exchange.cosigned_over(&origin, index) {
            Some(note) => note,
            None => SignedNote::parse(&head.checkpoint)?,
        };
        let size = Checkpoint::parse(note.text())?.size;
        let log = StoredLog {
            store: &*inner.store,
            origin: &origin,
        };
        let inclusion = inclusion_proof(&log, index, size)?;

        let bundle = self.bundle();
        // Of the keys that a member has used, the one that signed.
        let path = |member: &MemberId, signed: &dyn Fn(&MemberPublicKey) -> bool| {
            let key = bundle.member(member)?.keys.all().find(signed)?;
            MemberPath::of_key(member, &key, &bundle)
        };
        let line = origin.line(bundle.trust_domain());
        let originator = path(&origin.member, &|key| note.verify(&line, key).is_ok());
        let originator = originator.ok_or_else(|| ProofError::UnknownMember(origin.member.clone()))?;
        let (mut witnesses, mut paths) = (Vec::new(), Vec::new());
        for entry in bundle.witnesses() {
            let name = witness_name(&entry.id, bundle.trust_domain());
            let signed = |key: &MemberPublicKey| matches!(note.cosigned(&name, key), Ok(Some(_)));
            if let Some(path) = path(&entry.id, &signed) {
                witnesses.push(entry.id.clone());
                paths.push((name, path));
            }
        }
        let (version, sections) = (view.head().version, view.sections());
        let proof = RecordProof::new(note, inclusion, view, originator, paths);

        self.note_proof(
            &request.recipient,
            &origin,
            index,
            Terms {
                bases: terms,
                sections: sections.to_string(),
            },
        )?;
        // Whoever looks for holders after a recall finds the note only if it was there before.
        if as_of.is_none() || self.0.exchange.generation(&origin) != as_of {
            return Err(ProofError::Recalling(origin));
        }
        Ok(ProofFile {
            bytes: proof.to_bytes(),
            origin,
            index,
            version,
            size,
            sections,
            witnesses,
        })
    }

    /// The latest entry of the record that is held, or the one with the version asked for.
    fn entry_to_prove(&self, request: &ProofRequest) -> Result<(Origin, u64, View), ProofError> {
        let held = self.find(&request.record)?;
        held.into_iter()
            .filter_map(|entry| Some((entry.origin, entry.index, entry.view?)))
            .filter(|(_, _, view)| request.version.is_none_or(|version| view.head().version == version))
            .max_by_key(|(_, _, view)| view.head().version)
            .ok_or(ProofError::UnknownRecord(request.record))
    }

    /// Which sections may be shown outside, and on which bases: all of an own record; of another member's, those that it
    /// or an office of its region grants to this member with use in court.
    fn outside(&self, origin: &Origin, view: &View) -> Result<(SectionSet, Vec<String>), ProofError> {
        let local = self.0.exchange.local();
        if origin.member == local.member {
            return Ok((view.sections(), vec!["own record".to_owned()]));
        }
        let law = self.0.exchange.law();
        let bundle = law.bundle();
        let regions = bundle.member(&origin.member).map(|entry| entry.regions.clone());
        let receiver = Receiver {
            member: local.member.clone(),
            role: local.role,
        };
        let (mut allowed, mut terms) = (SectionSet::EMPTY, Vec::new());
        let mut reason = "its agreement with this member does not allow use in court".to_owned();
        for holder in std::iter::once(origin.member.clone()).chain(regions.unwrap_or_default()) {
            let decision = law.policy().decide(&Request {
                origin: &origin.member,
                holder: &holder,
                receiver: &receiver,
                purpose: None,
                class: view.class_bytes(),
                // Who consented to what is known to the holder, not to who was given it.
                entry: None,
                now: self.0.environment.unix_now(),
            });
            match decision {
                Decision::Permit(permit) => {
                    for basis in permit.bases() {
                        if basis.use_in_court == UseInCourt::Yes {
                            allowed = allowed.union(basis.sections);
                            terms.push(basis.to_string());
                        }
                    }
                }
                Decision::Forbid(forbidden) if holder == origin.member => reason = forbidden.to_string(),
                Decision::Forbid(_) => {}
            }
        }
        if terms.is_empty() {
            let origin = origin.member.clone();
            return Err(ProofError::NotAllowed { origin, reason });
        }
        Ok((allowed, terms))
    }

    fn note_proof(&self, recipient: &str, origin: &Origin, index: u64, terms: Terms) -> Result<(), ProofError> {
        let mut note = Note::of_file(self.0.environment.unix_now(), recipient, origin, index);
        let which = note.which(terms);
        note.push(Some(which));
        let note = seal(&note.encode()?, &*self.0.environment.entropy);
        let batch = Batch::new().note(NoteLog::disclosures(), note);
        Ok(self.0.store.append(batch)?)
    }
}

/// Whether a note can say so who has something.
pub(super) fn is_recipient(recipient: &str) -> bool {
    let printable = !recipient.trim().is_empty() && !recipient.chars().any(char::is_control);
    printable && recipient.chars().count() <= RECIPIENT_CHARS_MAX
}

fn check_recipient(recipient: &str) -> Result<(), ProofError> {
    if is_recipient(recipient) {
        Ok(())
    } else {
        Err(ProofError::Recipient)
    }
}
