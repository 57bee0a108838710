//! Photos on links: which one is meant, a piece that may go, and what is still to be fetched.

use bytes::Bytes;
use icomm_policy::DisclosedPhoto;
use icomm_proto::{Origin, v1};

use super::disclosure::{Note, Terms};
use super::session::Peer;
use crate::store::Place;

mod fetching;

pub use fetching::{Fetching, PENDING_MAX};

/// A photo by the entry that names it and its number there, from 0: the only way in which links speak of photos. Its hash is
/// nobody's business who was not given the section.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PhotoName {
    /// The log.
    pub origin: Origin,
    /// The entry's index.
    pub index: u64,
    /// Which of the photos that it names.
    pub number: u32,
}

impl PhotoName {
    /// The entry that names it.
    pub fn place(&self) -> Place {
        Place {
            origin: self.origin.clone(),
            index: self.index,
        }
    }

    /// Reads it from a frame.
    pub fn read(origin: &str, index: u64, number: u32) -> Option<Self> {
        let origin = origin.parse().ok()?;
        Some(Self { origin, index, number })
    }

    /// Please send it, from this piece on.
    pub fn wanted(&self, from: u32) -> v1::PhotoWant {
        v1::PhotoWant {
            origin: self.origin.to_string(),
            index: self.index,
            number: self.number,
            from,
        }
    }

    /// It does not come, and why.
    pub fn absent(&self, code: &str) -> v1::PhotoAbsent {
        v1::PhotoAbsent {
            origin: self.origin.to_string(),
            index: self.index,
            number: self.number,
            code: code.to_owned(),
        }
    }

    /// What was asked for and not here, is here now.
    pub fn here(&self) -> v1::PhotoHere {
        v1::PhotoHere {
            origin: self.origin.to_string(),
            index: self.index,
            number: self.number,
        }
    }
}

/// A piece that the policy lets go, with the note of the photo's disclosure.
#[derive(Clone, Debug, PartialEq)]
pub struct PreparedPiece {
    /// As it travels.
    pub piece: v1::PhotoPiece,
    /// The encoded note, durable before the first piece goes.
    pub note: Bytes,
    /// Whether it is the last.
    pub is_last: bool,
    /// In which generation the log was read.
    pub as_of: u64,
}

/// The note that a photo goes to a peer.
pub(crate) fn note(
    peer: &Peer,
    name: &PhotoName,
    photo: &DisclosedPhoto<'_>,
    now: u64,
) -> Result<Bytes, serde_json::Error> {
    let mut note = Note::new(now, peer.member.as_str(), peer.node.as_str(), &name.origin, name.index);
    let terms = note.which(Terms {
        bases: photo.bases().map(ToString::to_string).collect(),
        sections: "images".to_owned(),
    });
    note.push(Some(terms));
    note.photo = Some(name.number);
    note.encode()
}
