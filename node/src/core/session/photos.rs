//! Photos on a link: asked for by whoever was given the section that names them, sent piece by piece when nothing else is to
//! be sent.
//!
//! ```text
//!   want(photo, from piece) ─▶          ◀─ piece, piece, …       each decided anew, each verified before it is kept
//!                                       ◀─ absent                not here, or not to be had; the log goes on
//!                                       ◀─ here                  what was absent can be asked for now
//! ```
//!
//! One piece is read when all that was to be sent is with the carrier, so photos never hold up entries, a slow peer costs one
//! piece of memory, and no piece goes that was read long before.

use std::collections::{BTreeSet, VecDeque};

use icomm_proto::v1::{self, frame::Body};

use super::{Action, Phase, Session, Ticket, World, send};
use crate::core::photo::{PhotoName, PreparedPiece};

/// Photos that a peer may ask for at once.
pub const PHOTO_WANTS_MAX: usize = 8;
/// Photos of which a session remembers that their disclosure is noted. Of more, some are noted again.
const NOTED_MAX: usize = 1024;

/// What a session sends of photos, and what it asked for.
#[derive(Debug, Default)]
pub(super) struct Photos {
    wants: VecDeque<Wanted>,
    stage: Stage,
    noted: BTreeSet<PhotoName>,
    asked: Option<PhotoName>,
}

#[derive(Debug)]
struct Wanted {
    name: PhotoName,
    next: u32,
    /// Whether the peer still needs the hashes of the pieces.
    is_first: bool,
}

/// What goes on with the first of the wants.
#[derive(Debug, Default)]
enum Stage {
    /// It waits until nothing else is to be sent.
    #[default]
    Waiting,
    Reading,
    Noting(Ticket, Box<PreparedPiece>),
}

impl Session {
    /// Whether a piece may be read once nothing else is to be sent: then [`super::Event::Spare`] is due.
    pub fn awaits_spare(&self) -> bool {
        self.phase == Phase::Open && !self.photos.wants.is_empty() && matches!(self.photos.stage, Stage::Waiting)
    }

    pub(super) fn on_photo_want(&mut self, want: &v1::PhotoWant, actions: &mut Vec<Action>) {
        let Some(name) = PhotoName::read(&want.origin, want.index, want.number) else {
            return self.fail("origin", "a photo of something that is not a log", actions);
        };
        if self.photos.wants.len() >= PHOTO_WANTS_MAX {
            return self.fail(
                "too-many-photos",
                "more photos asked for at once than the limit",
                actions,
            );
        }
        self.photos.wants.push_back(Wanted {
            name,
            next: want.from,
            is_first: true,
        });
    }

    /// Nothing else is to be sent.
    pub(super) fn on_spare(&mut self, world: &impl World, actions: &mut Vec<Action>) {
        if !self.awaits_spare() {
            return;
        }
        let Some(Wanted { name, next, is_first }) = self.photos.wants.front() else {
            return;
        };
        // As for a log: without a basis nothing is said of it.
        if world.servable_size(&name.origin).is_none_or(|size| name.index >= size) {
            return self.photo_over(Some("not-given"), actions);
        }
        actions.push(Action::ReadPiece {
            photo: name.clone(),
            piece: *next,
            with_hashes: *is_first,
        });
        self.photos.stage = Stage::Reading;
    }

    pub(super) fn on_piece_read(
        &mut self,
        photo: &PhotoName,
        read: Result<PreparedPiece, &'static str>,
        world: &impl World,
        actions: &mut Vec<Action>,
    ) {
        let is_of = self.photos.wants.front().is_some_and(|want| want.name == *photo);
        if !is_of || !matches!(self.photos.stage, Stage::Reading) {
            return;
        }
        match read {
            Err(code) => self.photo_over(Some(code), actions),
            Ok(prepared) if self.photos.noted.contains(photo) => self.send_piece(prepared, world, actions),
            Ok(prepared) => {
                self.ticket.0 += 1;
                actions.push(Action::Note {
                    origin: photo.origin.clone(),
                    ticket: self.ticket,
                    note: prepared.note.clone(),
                });
                self.photos.stage = Stage::Noting(self.ticket, Box::new(prepared));
            }
        }
    }

    /// Whether the note with this ticket was a photo's.
    pub(super) fn photo_noted(&mut self, ticket: Ticket, world: &impl World, actions: &mut Vec<Action>) -> bool {
        match std::mem::take(&mut self.photos.stage) {
            Stage::Noting(noted, prepared) if noted == ticket => {
                if self.photos.noted.len() >= NOTED_MAX {
                    self.photos.noted.clear();
                }
                let photo = self.photos.wants.front().map(|want| want.name.clone());
                self.photos.noted.extend(photo);
                self.send_piece(*prepared, world, actions);
                true
            }
            other => {
                self.photos.stage = other;
                false
            }
        }
    }

    fn send_piece(&mut self, prepared: PreparedPiece, world: &impl World, actions: &mut Vec<Action>) {
        self.photos.stage = Stage::Waiting;
        let Some(want) = self.photos.wants.front_mut() else {
            return;
        };
        // The basis may have lapsed since it was read, or the record been recalled: then it is read again, which will tell.
        let stands = world.servable_size(&want.name.origin).is_some()
            && world.generation(&want.name.origin) == Some(prepared.as_of);
        if !stands {
            return;
        }
        want.next += 1;
        want.is_first = false;
        actions.push(send(Body::PhotoPiece(prepared.piece)));
        if prepared.is_last {
            self.photo_over(None, actions);
        }
    }

    /// No more of the first photo that is wanted goes now.
    fn photo_over(&mut self, absent: Option<&str>, actions: &mut Vec<Action>) {
        self.photos.stage = Stage::Waiting;
        if let (Some(want), Some(code)) = (self.photos.wants.pop_front(), absent) {
            actions.push(send(Body::PhotoAbsent(want.name.absent(code))));
        }
    }

    /// The node lacks this photo from this piece on.
    pub(super) fn on_fetch(&mut self, photo: PhotoName, from: u32, actions: &mut Vec<Action>) {
        if self.phase == Phase::Open {
            actions.push(send(Body::PhotoWant(photo.wanted(from))));
            self.photos.asked = Some(photo);
        }
    }

    pub(super) fn on_photo_piece(&mut self, piece: v1::PhotoPiece, world: &impl World, actions: &mut Vec<Action>) {
        let Some(photo) = PhotoName::read(&piece.origin, piece.index, piece.number) else {
            return self.fail("origin", "a photo of something that is not a log", actions);
        };
        // What was on its way when we stopped asking is no fault, and not needed.
        let is_asked = self.photos.asked.as_ref() == Some(&photo);
        if !is_asked && !self.asked.contains(&photo.origin) {
            return;
        }
        // As for entries: what no agreement lets the peer send is not taken.
        if world.may_take(&photo.origin) {
            actions.push(Action::KeepPiece { photo, piece });
        } else if is_asked {
            self.photos.asked = None;
            actions.push(Action::Absent(photo));
        }
    }

    pub(super) fn on_piece_kept(&mut self, photo: &PhotoName, is_whole: bool) {
        if is_whole && self.photos.asked.as_ref() == Some(photo) {
            self.photos.asked = None;
        }
    }

    pub(super) fn on_photo_absent(&mut self, absent: &v1::PhotoAbsent, actions: &mut Vec<Action>) {
        let photo = PhotoName::read(&absent.origin, absent.index, absent.number);
        // Whatever was not asked for need not be there.
        if photo.is_some() && self.photos.asked == photo {
            self.photos.asked = None;
            actions.extend(photo.map(Action::Absent));
        }
    }

    pub(super) fn on_photo_here(&mut self, here: &v1::PhotoHere, actions: &mut Vec<Action>) {
        actions.extend(PhotoName::read(&here.origin, here.index, here.number).map(Action::Here));
    }

    /// What the peer asked for and was not here, is here now.
    pub(super) fn on_photo_arrived(&mut self, photo: &PhotoName, world: &impl World, actions: &mut Vec<Action>) {
        if self.phase == Phase::Open && world.servable_size(&photo.origin).is_some() {
            actions.push(send(Body::PhotoHere(photo.here())));
        }
    }

    /// A want went into a file: its answer comes with another, if it comes.
    pub(super) fn on_carried_want(&mut self, want: &v1::PhotoWant, actions: &mut Vec<Action>) {
        let photo = PhotoName::read(&want.origin, want.index, want.number);
        if photo.is_some() && self.photos.asked == photo {
            self.photos.asked = None;
            actions.extend(photo.map(Action::Absent));
        }
    }
}
