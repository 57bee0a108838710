//! Photos of records: handed in with them, added to them, listed and read.

use std::collections::BTreeSet;

use bytes::Bytes;
use icomm_proto::draft::{Draft, InvalidDraft};
use icomm_proto::photo::{cleared, clearing};
use icomm_proto::record::Record;
use icomm_proto::{EntryKind, FieldError, Photo, PieceHashes, RecordId, View, v1};
use prost::Message as _;
use rand::Rng as _;
use thiserror::Error;

use super::{CorrectError, HeldEntry, HoldingsError, Node, Outcome, State, SubmitError};
use crate::core::own::Sealed;
use crate::intake::{PhotoRefused, Photograph, photograph};
use crate::issuer::{IssueError, Placed};
use crate::store::{Album, IntakeKey, Place, StoreError};

/// Bytes of all files that are handed in together at most: they are held in memory until they are stored.
pub const FILES_BYTES_MAX: u64 = 128 << 20;

/// A file handed in as a photo.
#[derive(Debug, Clone)]
pub struct PhotoFile {
    /// Its name, for messages; it is kept nowhere.
    pub name: String,
    /// A code of list `image-kind`.
    pub kind: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// What photos are handed in for.
#[derive(Debug, Clone)]
pub enum Target {
    /// A new record.
    New {
        /// An encoded [`Draft`], which names no photos itself.
        draft: Bytes,
        /// Under the same key nothing is issued twice.
        key: Option<IntakeKey>,
    },
    /// An own record: it gets a new version.
    Record(RecordId),
}

/// What became of photos that were handed in.
#[derive(Debug)]
pub struct Attached {
    /// What became of the record.
    pub outcome: Outcome,
    /// The photos, without their bytes.
    pub photos: Vec<Photograph>,
}

/// Why photos were not taken. Nothing was issued.
#[derive(Debug, Error)]
pub enum AttachError {
    /// A file is no photo. The caller's fault.
    #[error("`{name}` is not taken: {refused}")]
    Refused {
        /// The file's name.
        name: String,
        /// Why not.
        #[source]
        refused: PhotoRefused,
    },
    /// The draft can't be read. The caller's fault.
    #[error(transparent)]
    Draft(#[from] InvalidDraft),
    /// The photos can't be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record can't be issued.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The record can't get a new version.
    #[error(transparent)]
    Correct(#[from] CorrectError),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

impl From<IssueError> for AttachError {
    fn from(error: IssueError) -> Self {
        Self::Submit(error.into())
    }
}

impl From<HoldingsError> for AttachError {
    fn from(error: HoldingsError) -> Self {
        Self::Submit(error.into())
    }
}

/// A photo of a record, as far as this node knows of it.
#[derive(Debug, Clone)]
pub struct HeldPhoto {
    /// The entry that names it.
    pub place: Place,
    /// Where its pieces are.
    pub album: Album,
    /// What it is.
    pub photo: Photo,
    /// How many of its pieces are here.
    pub pieces: u32,
    /// Whether its originator has cleared it for the global node.
    pub cleared: bool,
}

impl HeldPhoto {
    /// How many of its bytes are here.
    pub fn bytes(&self) -> u64 {
        Photo::offset(self.pieces).min(self.photo.size())
    }
}

impl Node {
    /// Strips photos of all but their pictures and issues their record. All of it is durable when this returns.
    ///
    /// # Errors
    /// Nothing was issued.
    pub async fn attach(&self, target: Target, files: Vec<PhotoFile>) -> Result<Attached, AttachError> {
        let node = self.clone();
        // To the end, even if the caller goes away: what was staged is settled.
        let done = tokio::spawn(async move { node.attach_whole(target, files).await });
        done.await.map_err(|_| AttachError::Stopped)?
    }

    async fn attach_whole(&self, target: Target, files: Vec<PhotoFile>) -> Result<Attached, AttachError> {
        let bytes_max = self.0.config.intake.photo_bytes_max;
        let photographs = in_background(move || photographs(&files, bytes_max)).await?;
        let (outcome, mut photos) = match target {
            Target::New { draft, key } => self.issue_with(draft, key, photographs).await?,
            Target::Record(record) => {
                let outcome = self.revise(record, None, &photographs).await?;
                (outcome, photographs)
            }
        };
        for photo in &mut photos {
            photo.bytes = Vec::new();
        }
        Ok(Attached { outcome, photos })
    }

    async fn issue_with(
        &self,
        draft: Bytes,
        key: Option<IntakeKey>,
        photographs: Vec<Photograph>,
    ) -> Result<(Outcome, Vec<Photograph>), AttachError> {
        if let Some(key) = &key
            && let Some(place) = self.0.store.issued(key)?
        {
            return Ok((self.duplicate(place)?, photographs));
        }
        let node = self.clone();
        let staged = in_background(move || {
            let view = match node.sealed_with(&draft, &photographs)? {
                Ok(view) => view,
                Err(errors) => return Ok((Err(errors), photographs)),
            };
            let album = Album::of(node.own_origin(), &view);
            node.stage(&album, &photographs)?;
            Ok::<_, AttachError>((Ok((view, album)), photographs))
        });
        let (staged, photographs) = staged.await?;
        let (view, album) = match staged {
            Ok(staged) => staged,
            Err(errors) => return Ok((Outcome::Rejected(errors), photographs)),
        };
        let id = view.head().record_id;
        let issued = self.0.issuer.issue(vec![Sealed { view, key }]).await;
        let settled = self.settle(album).await;
        let outcome = match issued?.into_iter().next().ok_or(IssueError::Stopped)? {
            Placed::Issued(place) => Outcome::Issued { id, place },
            Placed::Duplicate(place) => self.duplicate(place)?,
        };
        settled?;
        metrics::counter!("icomm_issued_records_total").increment(1);
        Ok((outcome, photographs))
    }

    /// A new record with these photos, or what is wrong with it.
    fn sealed_with(
        &self,
        draft: &[u8],
        photographs: &[Photograph],
    ) -> Result<Result<View, Vec<FieldError>>, AttachError> {
        let inner = &self.0;
        let images = images(photographs);
        let mut draft = Draft::parse(draft)?;
        let named = &mut draft.images.get_or_insert_default().images;
        if let Some(last) = named.len().checked_sub(1) {
            return Ok(Err((0..=last).map(FieldError::without_photo).collect()));
        }
        named.extend(images.iter().map(Into::into));
        Ok(
            Record::validate(draft, &inner.codes, &inner.exchange.local().member).map(|record| {
                let mut random = self.random();
                let mut bits = [0; 10];
                random.fill_bytes(&mut bits);
                let now_ms = u64::try_from(inner.environment.clock.now().unix_timestamp_nanos() / 1_000_000);
                record.seal(RecordId::new(now_ms.unwrap_or(0), bits), 1, &mut random)
            }),
        )
    }

    pub(super) fn stage(&self, album: &Album, photographs: &[Photograph]) -> Result<(), StoreError> {
        let photos = self.0.store.photos();
        let staged = photographs.iter().try_for_each(|photograph| {
            let Photograph {
                photo, hashes, bytes, ..
            } = photograph;
            photos.stage(album, photo, hashes, bytes)
        });
        if staged.is_err() {
            // The record is not issued.
            let (Ok(()) | Err(_)) = photos.settle(album);
        }
        staged
    }

    pub(super) async fn settle(&self, album: Album) -> Result<(), StoreError> {
        let store = self.0.store.clone();
        let settled = tokio::task::spawn_blocking(move || store.photos().settle(&album)).await;
        settled.unwrap_or(Err(StoreError::Closed))
    }

    /// The photos of an own version that another one keeps, with their bytes, for its album.
    pub(super) fn carried(&self, album: &Album, photos: &[Photo]) -> Result<Vec<Photograph>, StoreError> {
        let carried = photos.iter().map(|photo| {
            let mut bytes = Vec::with_capacity(usize::try_from(photo.size()).unwrap_or(0));
            for piece in 0..photo.piece_count() {
                let piece = self.0.store.photos().piece(album, photo, piece)?;
                bytes.extend_from_slice(&piece.ok_or(StoreError::Photo("a photo of the version before"))?);
            }
            let hashes: Option<PieceHashes> = self.0.store.photos().hashes(album, photo)?;
            Ok(Photograph {
                photo: photo.clone(),
                hashes: hashes.ok_or(StoreError::Photo("a photo of the version before"))?,
                file_bytes: photo.size(),
                removed: Vec::new(),
                bytes,
            })
        });
        carried.collect()
    }

    /// The photos of a record that this node may know of, log by log, in the record's order.
    ///
    /// # Errors
    /// The store can't read them.
    pub fn photos_of(&self, record: &RecordId) -> Result<Vec<HeldPhoto>, HoldingsError> {
        let mut photos: Vec<HeldPhoto> = Vec::new();
        let mut cleared = BTreeSet::new();
        for entry in self.find(record)?.into_iter().rev() {
            let Some(view) = entry.view.filter(|_| entry.state == State::Current) else {
                continue;
            };
            let Ok(named) = Photo::all_of(&view.borrowed()) else {
                continue;
            };
            let is_clear = view.head().kind == EntryKind::Clear;
            let place = Place {
                origin: entry.origin,
                index: entry.index,
            };
            let album = Album::of(&place.origin, &view);
            for photo in named.into_iter().rev() {
                let key = (place.origin.clone(), *photo.sha256());
                if is_clear {
                    cleared.insert(key.clone());
                }
                let cleared = cleared.contains(&key);
                let held = HeldPhoto {
                    pieces: self.0.store.photos().held(&album, &photo)?,
                    place: place.clone(),
                    album: album.clone(),
                    cleared,
                    photo,
                };
                // The entry that clears a photo names it again: the record's own comes first in its log.
                photos.retain(|known| (&known.album, &known.photo) != (&held.album, &held.photo));
                photos.push(held);
            }
        }
        photos.reverse();
        Ok(photos)
    }

    /// A piece of a photo, checked; none if it is not here.
    ///
    /// # Errors
    /// The disk fails, or the piece is not what it was.
    pub fn piece_of(&self, held: &HeldPhoto, piece: u32) -> Result<Option<Bytes>, StoreError> {
        self.0.store.photos().piece(&held.album, &held.photo, piece)
    }
}

/// A photo that is cleared for the global node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    /// The entry that clears it.
    pub place: Place,
    /// It was cleared before; nothing was done.
    pub before: bool,
}

impl Node {
    /// Clears a photo of an own record, from 0 in its latest version, for the global node. Only a correction or a recall of
    /// the record takes that back.
    ///
    /// # Errors
    /// Nothing was done.
    pub async fn clear_photo(&self, record: RecordId, number: u32) -> Result<Cleared, CorrectError> {
        let node = self.clone();
        let done = tokio::spawn(async move { node.clear_whole(record, number).await });
        done.await.map_err(|_| CorrectError::Stopped)?
    }

    async fn clear_whole(&self, record: RecordId, number: u32) -> Result<Cleared, CorrectError> {
        // While the record is corrected nothing of it is cleared.
        let _one = self.0.correcting.lock().await;
        let latest = self.latest_own(record)?;
        if latest.view.head().kind == EntryKind::Recall {
            return Err(CorrectError::Recalled(record));
        }
        let missing = |_| CorrectError::NoPhoto { record, number };
        let photo = Photo::nth(&latest.view.borrowed(), number).map_err(missing)?;
        for entry in self.find(&record)? {
            let is_own = entry.origin == *self.own_origin() && entry.index > latest.place.index;
            let clears = entry.view.as_ref().and_then(|view| cleared(&view.borrowed()));
            if is_own && clears.as_ref() == Some(&photo) {
                let HeldEntry { origin, index, .. } = entry;
                let place = Place { origin, index };
                return Ok(Cleared { place, before: true });
            }
        }
        let view = clearing(&latest.view, number, &mut self.random()).map_err(missing)?;
        let placed = self.0.issuer.issue(vec![Sealed { view, key: None }]).await?;
        let (Placed::Issued(place) | Placed::Duplicate(place)) =
            placed.into_iter().next().ok_or(IssueError::Stopped)?;
        Ok(Cleared { place, before: false })
    }
}

/// What a record says of photos.
pub(super) fn images(photographs: &[Photograph]) -> Vec<v1::Image> {
    photographs
        .iter()
        .map(|photograph| (&photograph.photo).into())
        .collect()
}

/// The images that a draft names, of a version whose photos are `held`: each as that says it, or what is wrong.
pub(super) fn kept_images(draft: &Draft<'_>, held: &[Photo]) -> Result<Vec<Photo>, Vec<FieldError>> {
    let named = draft.images.iter().flat_map(|section| &section.images);
    let (mut kept, mut errors) = (Vec::new(), Vec::new());
    for (at, image) in named.enumerate() {
        match held.iter().find(|photo| photo.sha256()[..] == image.sha256[..]) {
            Some(photo) => kept.push(photo.clone()),
            None => errors.push(FieldError::without_photo(at)),
        }
    }
    if errors.is_empty() { Ok(kept) } else { Err(errors) }
}

/// The draft that a view was made of.
pub(super) fn draft_of(view: &View) -> Result<Bytes, HoldingsError> {
    let draft = view
        .decode()
        .map_err(|_| StoreError::Photo("a section of the record"))?;
    Ok(draft.encode_to_vec().into())
}

fn photographs(files: &[PhotoFile], bytes_max: u64) -> Result<Vec<Photograph>, AttachError> {
    let taken = files.iter().map(|PhotoFile { name, kind, bytes }| {
        photograph(bytes, kind, bytes_max).map_err(|refused| AttachError::Refused {
            name: name.clone(),
            refused,
        })
    });
    taken.collect()
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AttachError> + Send + 'static,
) -> Result<T, AttachError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| AttachError::Stopped)?
}
