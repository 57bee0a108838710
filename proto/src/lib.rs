//! The protocol of icomm: everything that two nodes must agree on byte for byte. No I/O, no clock, no random source.
//!
//! A [`record::Record`] is a validated case. Sealing it makes an [`entry::Entry`] (what goes into the member's log, with one
//! salted hash a section) and a [`view::View`] (the entry with the sections that somebody may see). A view of fewer
//! sections is the same bytes with some left out, and still verifies.

#![warn(missing_docs)]

pub mod codes;
pub mod denominalised;
pub mod draft;
pub mod entry;
mod field;
pub mod fork;
pub mod id;
pub mod kind;
pub mod log;
pub mod origin;
pub mod photo;
pub mod proof;
pub mod record;
pub mod render;
pub mod seal;
pub mod section;
mod sha256;
mod text;
pub mod v1;
pub mod validate;
pub mod view;

pub use codes::{CodeList, CodeLists, InvalidCodeList, List};
pub use denominalised::{Denominalised, NotDenominalised};
pub use entry::{Entry, EntryHead, EntryKind, InvalidEntry};
pub use fork::{Fork, ForkProof, InvalidFork};
pub use id::{InvalidRecordId, RecordId};
pub use kind::{RecordKind, UnknownRecordKind};
pub use origin::{InvalidOrigin, LogName, Origin};
pub use photo::{InvalidPhoto, MediaType, Photo, PieceHashes};
pub use proof::{InvalidRecordProof, Proven, RecordProof, Witnessed};
pub use record::{FieldError, Reason, Record};
pub use render::{view_json, view_text};
pub use section::{SectionKind, SectionSet, Sensitivity, UnknownSection};
pub use view::{ForeignField, InvalidSection, InvalidView, Tampered, VerifiedView, View, ViewRef};

#[cfg(test)]
#[path = "../build/sections.rs"]
mod sections_check;
#[cfg(test)]
mod sections_check_tests;
