//! Correcting and recalling what this member issued.

use bytes::Bytes;
use icomm_proto::draft::{self, Draft, InvalidDraft};
use icomm_proto::record::Record;
use icomm_proto::seal::seal;
use icomm_proto::{EntryHead, EntryKind, Origin, Photo, RecordId, SectionKind, View, v1};
use rand::SeedableRng;
use rand::rngs::StdRng;
use thiserror::Error;

use super::photos::{draft_of, images, kept_images};
use super::{HoldingsError, Node, Outcome};
use crate::core::own::Sealed;
use crate::core::recall::{Kept, Reason, RecallKey, has_file};
use crate::intake::Photograph;
use crate::issuer::IssueError;
use crate::store::{Album, Place, StoreError};

/// A record that was recalled.
#[derive(Debug, Clone)]
pub struct Recalled {
    /// The log.
    pub origin: Origin,
    /// The recall.
    pub kept: Kept,
    /// The members that have to erase it, as far as this node knows them.
    pub holders: Vec<String>,
    /// Whether it was recalled before; then nothing was done.
    pub before: bool,
}

/// Why a record was neither corrected nor recalled.
#[derive(Debug, Error)]
pub enum CorrectError {
    /// It is not in the own log.
    #[error("this member has not issued a record `{0}`; only the originator corrects and recalls")]
    NotOwn(RecordId),
    /// It is over.
    #[error("the record `{0}` is recalled; issue a new one")]
    Recalled(RecordId),
    /// No more versions can be counted.
    #[error("the record `{0}` has as many versions as a record can have")]
    Versions(RecordId),
    /// The new version is another kind of record.
    #[error("the record `{record}` is a {was}; a version of it can't be a {is}")]
    Kind {
        /// Which.
        record: RecordId,
        /// What it is.
        was: icomm_proto::RecordKind,
        /// What the draft is.
        is: icomm_proto::RecordKind,
    },
    /// It has no such photo. The caller's fault.
    #[error("the record `{record}` has no photo number {}", number.saturating_add(1))]
    NoPhoto {
        /// Which record.
        record: RecordId,
        /// Which photo, from 0.
        number: u32,
    },
    /// The new version can't be read. The caller's fault.
    #[error(transparent)]
    Draft(#[from] InvalidDraft),
    /// What is held can't be read.
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
    /// The log can't be written.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// It is in the log and erased here; who must be told is found out at the next start.
    #[error("it is done here, but the holders could not be looked up: {0}; restart the node")]
    Trace(#[source] StoreError),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

impl From<StoreError> for CorrectError {
    fn from(error: StoreError) -> Self {
        Self::Holdings(error.into())
    }
}

/// The last entry of an own record.
pub(super) struct Latest {
    pub(super) view: View,
    pub(super) place: Place,
}

impl Node {
    /// Replaces a record by a new version. The earlier ones are erased, here at once and wherever they went. Nothing is issued
    /// if the latest version says the same.
    ///
    /// # Errors
    /// Nothing was issued, unless it says so.
    pub async fn amend(&self, record: RecordId, draft: Bytes) -> Result<Outcome, CorrectError> {
        let node = self.clone();
        // To the end, even if the caller goes away.
        let done = tokio::spawn(async move { node.revise(record, Some(draft), &[]).await });
        done.await.map_err(|_| CorrectError::Stopped)?
    }

    /// A new version of a record: another draft, or the one it has; with more photos. Photos that the draft names are carried
    /// over from the version before.
    pub(super) async fn revise(
        &self,
        record: RecordId,
        draft: Option<Bytes>,
        added: &[Photograph],
    ) -> Result<Outcome, CorrectError> {
        let inner = &self.0;
        // One at a time: versions are counted.
        let _one = inner.correcting.lock().await;
        let latest = self.latest_own(record)?;
        if latest.view.head().kind == EntryKind::Recall {
            return Err(CorrectError::Recalled(record));
        }
        let version = next_version(&latest)?;
        let before = Album::of(self.own_origin(), &latest.view);
        let bytes = match draft {
            Some(draft) => draft,
            None => draft_of(&latest.view)?,
        };
        let (sealed, album) = {
            let mut draft = Draft::parse(&bytes)?;
            let held = Photo::all_of(&latest.view.borrowed()).unwrap_or_default();
            let kept = match kept_images(&draft, &held) {
                Ok(kept) => kept,
                Err(errors) => return Ok(Outcome::Rejected(errors)),
            };
            let images: Vec<v1::Image> = kept.iter().map(Into::into).chain(images(added)).collect();
            draft.images = Some(draft::Images {
                images: images.iter().map(Into::into).collect(),
            });
            let validated = match Record::validate(draft, &inner.codes, &inner.exchange.local().member) {
                Ok(validated) => validated,
                Err(errors) => return Ok(Outcome::Rejected(errors)),
            };
            let is = validated.kind();
            let was = latest.view.head().record_kind;
            if is != was {
                return Err(CorrectError::Kind { record, was, is });
            }
            let view = validated.seal(record, version, &mut self.random());
            if says_the_same(&view, &latest.view) {
                let place = latest.place;
                return Ok(Outcome::Duplicate { id: record, place });
            }
            let album = Album::of(self.own_origin(), &view);
            tokio::task::block_in_place(|| {
                self.stage(&album, &self.carried(&before, &kept)?)?;
                self.stage(&album, added)
            })?;
            (Sealed { view, key: None }, album)
        };
        let issued = inner.issuer.void(sealed, Reason::Amended).await;
        let settled = self.settle(album).await;
        let place = issued?;
        settled?;
        self.trace_own(record).await?;
        Ok(Outcome::Issued { id: record, place })
    }

    /// Withdraws a record: nothing of it is left here when this returns, and everybody who was given any of it is told. Of a
    /// record that is recalled it says since when.
    ///
    /// # Errors
    /// Nothing was done, unless it says so.
    pub async fn recall(&self, record: RecordId, reason: Reason) -> Result<Recalled, CorrectError> {
        let node = self.clone();
        // To the end, even if the caller goes away.
        let done = tokio::spawn(async move { node.recall_whole(record, reason).await });
        done.await.map_err(|_| CorrectError::Stopped)?
    }

    async fn recall_whole(&self, record: RecordId, reason: Reason) -> Result<Recalled, CorrectError> {
        let inner = &self.0;
        let _one = inner.correcting.lock().await;
        let latest = self.latest_own(record)?;
        let before = latest.view.head().kind == EntryKind::Recall;
        if !before {
            let head = EntryHead {
                kind: EntryKind::Recall,
                version: next_version(&latest)?,
                ..latest.view.head()
            };
            #[expect(clippy::expect_used, reason = "a RECALL has no sections that could be wrong")]
            let view = seal(&head, &[], &mut self.random()).expect("an entry without sections can be sealed");
            inner.issuer.void(Sealed { view, key: None }, reason).await?;
            self.trace_own(record).await?;
        }
        let kept = self.recall_of(record)?.ok_or(CorrectError::NotOwn(record))?;
        let members = kept.holders.iter().filter(|holder| !has_file(holder));
        let mut holders: Vec<String> = members.map(|holder| holder.member.clone()).collect();
        holders.sort_unstable();
        holders.dedup();
        let origin = self.own_origin().clone();
        Ok(Recalled {
            origin,
            kept,
            holders,
            before,
        })
    }

    /// The recall, or the latest correction, of an own record.
    fn recall_of(&self, record: RecordId) -> Result<Option<Kept>, StoreError> {
        Kept::of(&*self.0.store, &self.own_key(record))
    }

    fn own_key(&self, record: RecordId) -> RecallKey {
        (self.own_origin().clone(), record)
    }

    async fn trace_own(&self, record: RecordId) -> Result<(), CorrectError> {
        let (exchange, key) = (self.0.exchange.clone(), self.own_key(record));
        let traced = tokio::task::spawn_blocking(move || exchange.trace(&[key])).await;
        traced.map_err(|_| CorrectError::Stopped)?.map_err(CorrectError::Trace)
    }

    pub(super) fn latest_own(&self, record: RecordId) -> Result<Latest, CorrectError> {
        let own = self.own_origin();
        let mut places = self.0.store.find(&record)?;
        places.retain(|place| place.origin == *own);
        places.sort_by_key(|place| std::cmp::Reverse(place.index));
        for place in places {
            let view = self.view_at(&place)?;
            let view = view.ok_or_else(|| HoldingsError::Missing(place.clone()))?;
            // What clears a photo is no version.
            if view.head().kind != EntryKind::Clear {
                return Ok(Latest { view, place });
            }
        }
        Err(CorrectError::NotOwn(record))
    }

    pub(super) fn random(&self) -> StdRng {
        let mut seed = [0; 32];
        self.0.environment.entropy.fill(&mut seed);
        StdRng::from_seed(seed)
    }
}

fn next_version(latest: &Latest) -> Result<u32, CorrectError> {
    let head = latest.view.head();
    head.version
        .checked_add(1)
        .ok_or(CorrectError::Versions(head.record_id))
}

fn says_the_same(a: &View, b: &View) -> bool {
    SectionKind::ALL
        .into_iter()
        .all(|kind| a.section(kind) == b.section(kind))
}
