//! Photos as they come in and go out: what is lacking is fetched, what a peer may have is read, both by way of the store, which
//! keeps no photo without the section that names it.

use icomm_policy::{DisclosedPhoto, SessionPolicy};
use icomm_proto::log::Item;
use icomm_proto::{Photo, View, ViewRef, v1};

use super::{Exchange, Link, lock};
use crate::core::photo::{PhotoName, PreparedPiece, note};
use crate::core::routes::LinkId;
use crate::core::session::Event;
use crate::store::{Album, Batch, PieceKept, Place, StoreError};

/// Not here, or not yet.
const NOT_HERE: &str = "not-here";
/// Not for this peer, whether it is here or not.
const NOT_GIVEN: &str = "not-given";

/// What of an entry is not here.
enum Lacking {
    /// This photo, from this piece on.
    Photo(PhotoName, u32),
    /// Only what the peer does not have.
    Absent,
    /// Nothing, or it names no photos here any more.
    Nothing,
}

impl Exchange {
    /// Has whoever is idle look for what is lacking.
    pub(super) fn fetch_anywhere(&self) {
        let idle = lock(&self.fetching).idle();
        idle.into_iter()
            .for_each(|link| self.mailbox.post(link, Event::Lacking));
    }

    /// Has a link that fetches nothing fetch what is next for it.
    pub(super) fn fetch(&self, link: LinkId) {
        loop {
            let Some(place) = lock(&self.fetching).next(link) else {
                return;
            };
            match self.lacking(link, &place) {
                Ok(Lacking::Photo(photo, from)) => {
                    lock(&self.fetching).begin(link, photo.clone());
                    return self.mailbox.post(link, Event::Fetch { photo, from });
                }
                Ok(Lacking::Absent) => lock(&self.fetching).skip(link, place),
                Ok(Lacking::Nothing) => {
                    let waiting = lock(&self.fetching).arrived_at(&place);
                    for (link, photo) in waiting {
                        self.mailbox.post(link, Event::PhotoArrived(photo));
                    }
                    if let Some(key) = lock(&self.fetching).done(&place) {
                        self.store.ride(Batch::new().forget(key));
                    }
                }
                Err(error) => {
                    tracing::error!(origin = %place.origin, index = place.index, %error, "can't see which photos are here");
                    return;
                }
            }
        }
    }

    fn lacking(&self, link: LinkId, place: &Place) -> Result<Lacking, StoreError> {
        let Some(view) = self.held_view(place)? else {
            return Ok(Lacking::Nothing);
        };
        let album = Album::of(&place.origin, &view);
        let photos = Photo::all_of(&view.borrowed()).unwrap_or_default();
        let mut lacking = Lacking::Nothing;
        for (number, photo) in (0..).zip(&photos) {
            let held = self.store.photos().held(&album, photo)?;
            if held >= photo.piece_count() {
                continue;
            }
            let Place { origin, index } = place.clone();
            let name = PhotoName { origin, index, number };
            if !lock(&self.fetching).is_absent(link, &name) {
                return Ok(Lacking::Photo(name, held));
            }
            lacking = Lacking::Absent;
        }
        Ok(lacking)
    }

    fn held_view(&self, place: &Place) -> Result<Option<View>, StoreError> {
        Ok(match self.store.entry(&place.origin, place.index)? {
            Some(Item::Disclosed(bytes)) => View::parse(bytes).ok(),
            Some(Item::Withheld(_)) | None => None,
        })
    }

    /// A piece came in.
    pub(super) fn keep_piece(&self, link: LinkId, photo: PhotoName, piece: &v1::PhotoPiece) {
        let event = match self.try_keep(&photo, piece) {
            Ok(Some(is_whole)) => {
                if is_whole {
                    self.photo_arrived(link, &photo);
                }
                Event::PieceKept { photo, is_whole }
            }
            Ok(None) => {
                let Place { origin, index } = photo.place();
                tracing::warn!(%origin, index, "a piece of a photo is not what its record commits to");
                Event::PieceFaulty
            }
            Err(error) => {
                tracing::error!(origin = %photo.origin, index = photo.index, %error, "a photo could not be stored");
                Event::cant_store()
            }
        };
        self.mailbox.post(link, event);
    }

    /// Whether the photo is whole now; none if the piece is wrong.
    fn try_keep(&self, name: &PhotoName, piece: &v1::PhotoPiece) -> Result<Option<bool>, StoreError> {
        let place = name.place();
        let photos = self.store.photos();
        let view = self.held_view(&place)?;
        let Some((album, photo)) = view.and_then(|view| {
            let photo = Photo::nth(&view.borrowed(), name.number).ok()?;
            Some((Album::of(&place.origin, &view), photo))
        }) else {
            // Recalled since it was asked for: nothing is kept, and nothing more comes.
            return Ok(Some(true));
        };
        let hashes = match piece.hashes.is_empty() {
            false => photo.hashes(&piece.hashes).ok(),
            true => photos.hashes(&album, &photo)?,
        };
        let Some(hashes) = hashes.filter(|hashes| photo.verify(hashes, piece.piece, &piece.data).is_ok()) else {
            return Ok(None);
        };
        let kept = photos.keep(&place, name.number, &hashes, piece.piece, &piece.data)?;
        Ok(Some(match kept {
            PieceKept::Held(held) => held >= photo.piece_count(),
            PieceKept::Unnamed => true,
        }))
    }

    fn photo_arrived(&self, link: LinkId, photo: &PhotoName) {
        let waiting = {
            let mut fetching = lock(&self.fetching);
            fetching.end(link);
            fetching.arrived(photo)
        };
        metrics::counter!("icomm_received_photos_total").increment(1);
        for link in waiting {
            self.mailbox.post(link, Event::PhotoArrived(photo.clone()));
        }
        self.fetch(link);
    }

    /// The peer does not have a photo, or does not give it.
    pub(super) fn photo_absent(&self, link: LinkId, photo: &PhotoName) {
        lock(&self.fetching).absent(link, photo.clone());
        self.fetch(link);
    }

    /// The peer has a photo that it did not have.
    pub(super) fn photo_here(&self, link: LinkId, photo: &PhotoName) {
        lock(&self.fetching).here(link, photo);
        self.fetch(link);
    }

    /// Reads a piece for a peer, if the policy gives it the section that names the photo, now.
    pub(super) fn read_piece(&self, link: &Link, photo: PhotoName, piece: u32, with_hashes: bool) {
        let read = self.try_read(link, &photo, piece, with_hashes);
        let read = read.unwrap_or_else(|error| {
            tracing::error!(origin = %photo.origin, index = photo.index, %error, "can't serve a photo");
            Err(NOT_HERE)
        });
        if read == Err(NOT_HERE) {
            lock(&self.fetching).wait(link.id, photo.clone());
        }
        self.mailbox.post(link.id, Event::PieceRead { photo, read });
    }

    fn try_read(
        &self,
        link: &Link,
        name: &PhotoName,
        piece: u32,
        with_hashes: bool,
    ) -> Result<Result<PreparedPiece, &'static str>, StoreError> {
        let Some(as_of) = self.generation_for(&name.origin, &link.peer) else {
            return Ok(Err(NOT_HERE));
        };
        let Some(view) = self.held_view(&name.place())? else {
            return Ok(Err(NOT_GIVEN));
        };
        let now = self.now();
        let mut policy = lock(&link.policy);
        let Some(disclosed) = disclosed(&mut policy, name, &view.borrowed(), now) else {
            return Ok(Err(NOT_GIVEN));
        };
        let (album, photo) = (Album::of(&name.origin, &view), disclosed.photo());
        let photos = self.store.photos();
        let (Some(hashes), Some(bytes)) = (photos.hashes(&album, photo)?, photos.piece(&album, photo, piece)?) else {
            return Ok(Err(NOT_HERE));
        };
        let (Ok(going), Ok(note)) = (
            disclosed.piece(&hashes, piece, bytes),
            note(&link.peer, name, &disclosed, now),
        ) else {
            return Ok(Err(NOT_HERE));
        };
        let piece = v1::PhotoPiece {
            origin: name.origin.to_string(),
            index: name.index,
            number: name.number,
            piece: going.number(),
            hashes: match with_hashes {
                true => hashes.as_bytes().to_vec().into(),
                false => bytes::Bytes::new(),
            },
            data: going.into_bytes(),
        };
        Ok(Ok(PreparedPiece {
            is_last: piece.piece + 1 >= photo.piece_count(),
            piece,
            note,
            as_of,
        }))
    }
}

/// A photo as the policy gives it to the peer of a link.
fn disclosed<'a>(
    policy: &'a mut SessionPolicy,
    name: &PhotoName,
    view: &ViewRef<'a>,
    now: u64,
) -> Option<DisclosedPhoto<'a>> {
    match policy {
        SessionPolicy::Peer(session) => {
            let disclosed = session.disclose(&name.origin.member, view, now);
            disclosed.photo(name.number)
        }
        SessionPolicy::Upstream(session) => {
            let upstream = session.disclose(&name.origin.member, view, now).ok()?;
            upstream.photo(name.number)
        }
    }
}
