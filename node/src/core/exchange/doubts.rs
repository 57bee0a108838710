//! How does that log begin? Asked when somebody shows more of a log than is held and it does not follow from that; answered
//! with a few hashes that settle whether the originator signed two histories or the peer spoilt what it passed on.

use bytes::Bytes;
use icomm_proto::fork::Beginning;
use icomm_proto::log::{ConsistencyProof, Hash, InvalidProof, TLOG_PROOF_HASHES_MAX, consistency_proof};
use icomm_proto::{Origin, v1};
use thiserror::Error;

use super::{Exchange, Link};
use crate::core::replica::{ChunkFault, History};
use crate::core::routes::LinkId;
use crate::core::session::{Event, Testimony, World};
use crate::store::{StoreError, StoredLog};

/// Why the answer to a doubt is worth nothing. The peer's fault, but for the store.
#[derive(Debug, Error)]
enum Unanswered {
    /// Not the name of a log.
    #[error("it is of `{0}`, which is not a log")]
    Origin(String),
    /// The checkpoint does not count.
    #[error(transparent)]
    Checkpoint(#[from] ChunkFault),
    /// Something in it is not a hash, or there are too many.
    #[error("its hashes are malformed")]
    Hashes,
    /// The hashes don't lead to the checkpoint.
    #[error(transparent)]
    Proof(#[from] InvalidProof),
    /// What is held can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Exchange {
    /// Asks the peer how the log begins of which it showed a checkpoint over `of` entries, more than are held here.
    pub(super) fn doubt(&self, link: LinkId, origin: &Origin, of: u64) {
        let Some(size) = self.heads.size(origin).filter(|held| *held < of) else {
            return;
        };
        let origin = origin.to_string();
        let doubt = Testimony::Doubt(v1::Doubt { origin, size, of });
        self.mailbox.post(link, Event::Testify(doubt));
    }

    /// What a peer says of the history of a log.
    pub(super) fn consider(&self, link: &Link, testimony: Testimony) {
        let peer = &link.peer.member;
        match testimony {
            Testimony::Cosigned(said) => self.heard(link, &said),
            Testimony::Doubt(doubt) => match self.answer(link, &doubt) {
                Ok(Some(answer)) => self.mailbox.post(link.id, Event::Testify(Testimony::Beginning(answer))),
                Ok(None) => tracing::debug!(%peer, origin = doubt.origin, "a doubt that can't be answered here"),
                Err(error) => tracing::error!(%peer, origin = doubt.origin, %error, "a doubt could not be answered"),
            },
            Testimony::LedgerKept(kept) => self.kept(link, kept.checkpoint),
            Testimony::LedgerGrowth(growth) => self.keep(link, &growth),
            Testimony::Held(held) => self.held_there(link, &held),
            Testimony::OwnRecalls(recalls) => self.recalled_before(link, recalls),
            Testimony::Beginning(beginning) => {
                if let Err(error) = self.answered(&beginning) {
                    tracing::warn!(%peer, origin = beginning.origin, %error, "the answer to a doubt was refused");
                }
            }
        }
    }

    /// How a log begins, for a peer that it may be served to.
    fn answer(&self, link: &Link, doubt: &v1::Doubt) -> Result<Option<v1::Beginning>, StoreError> {
        let v1::Doubt { origin, size, of } = doubt;
        let Ok(origin) = origin.parse::<Origin>() else {
            return Ok(None);
        };
        let servable = self.world(link).servable_size(&origin);
        if servable.is_none_or(|held| held < *of) || size >= of {
            return Ok(None);
        }
        let end = self.store.boundary(&origin, *of)?.filter(|end| end.size() == *of);
        let (Some(end), Some(start)) = (end, History::of(&*self.store, &origin, *size)?) else {
            return Ok(None);
        };
        let log = StoredLog {
            store: &*self.store,
            origin: &origin,
        };
        let Ok(proof) = consistency_proof(&log, *size, *of) else {
            return Ok(None);
        };
        Ok(Some(v1::Beginning {
            origin: origin.to_string(),
            size: *size,
            checkpoint: end.checkpoint,
            root: bytes_of(&start.root),
            path: proof.path.iter().map(bytes_of).collect(),
        }))
    }

    /// A log that begins otherwise than the one held here is a fork, if the originator signed both.
    fn answered(&self, answer: &v1::Beginning) -> Result<(), Unanswered> {
        let v1::Beginning {
            origin,
            size,
            checkpoint,
            root,
            path,
        } = answer;
        let origin: Origin = origin.parse().map_err(|_| Unanswered::Origin(origin.clone()))?;
        if path.len() > TLOG_PROOF_HASHES_MAX {
            return Err(Unanswered::Hashes);
        }
        let hash = |bytes: &Bytes| Hash::try_from(bytes.as_ref()).map_err(|_| Unanswered::Hashes);
        let begins = Beginning {
            root: hash(root)?,
            path: path.iter().map(hash).collect::<Result<_, _>>()?,
        };
        // Only at a size that the originator signed here can it be held against it.
        let ours = self.store.boundary(&origin, *size)?;
        let Some(ours) = ours.filter(|ours| ours.size() == *size && ours.frontier.root() != begins.root) else {
            return Ok(());
        };
        let signed = self.signed(&origin, checkpoint.clone())?;
        let proof = ConsistencyProof {
            old_size: *size,
            new_size: signed.size(),
            path: begins.path.clone(),
        };
        proof.verify(&begins.root, signed.root())?;
        self.convict(&origin, &ours.checkpoint, checkpoint, Some(begins));
        Ok(())
    }
}

fn bytes_of(hash: &Hash) -> Bytes {
    Bytes::copy_from_slice(hash.as_bytes())
}
