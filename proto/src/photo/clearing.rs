//! Clearing: the entry by which an originator lets one photo go to the global node.
//!
//! ```text
//! CLEAR   section `case`     the record's class, nothing else: policies decide on it as on the record
//!         section `images`   the one photo, as the record names it
//! ```
//!
//! Both have salts of their own, so who is given this entry learns of the record's other photos neither their hashes nor
//! their number.

use prost::Message as _;
use rand::Rng;

use super::{InvalidPhoto, Photo};
use crate::entry::{EntryHead, EntryKind};
use crate::seal::seal;
use crate::section::{SectionKind, SectionSet};
use crate::v1;
use crate::view::{View, ViewRef};

/// The entry that clears one of the photos, from 0, that a version of a record names. `entropy` must be a cryptographic
/// source.
///
/// # Errors
/// The version names no such photo here, or has no class.
pub fn clearing<R: Rng + ?Sized>(version: &View, number: u32, entropy: &mut R) -> Result<View, InvalidPhoto> {
    let photo = Photo::nth(&version.borrowed(), number)?;
    let case = version.section(SectionKind::Case).ok_or(InvalidPhoto::NoSection)?;
    let class = v1::Case::decode(case).ok().and_then(|case| case.class);
    let case = v1::Case {
        class: Some(class.ok_or(InvalidPhoto::NoSection)?),
        ..v1::Case::default()
    };
    let images = v1::Images {
        images: vec![(&photo).into()],
    };
    let head = EntryHead {
        kind: EntryKind::Clear,
        ..version.head()
    };
    let (case, images) = (case.encode_to_vec(), images.encode_to_vec());
    let sections = [(SectionKind::Case, &case[..]), (SectionKind::Images, &images[..])];
    seal(&head, &sections, entropy).map_err(|_| InvalidPhoto::NoSection)
}

/// The photo that a view clears for the global node: of an entry that clears, which names one photo and shows nothing but its
/// class and that.
#[must_use]
pub fn cleared(view: &ViewRef<'_>) -> Option<Photo> {
    let shown = SectionSet::open().with(SectionKind::Images);
    if view.entry().head().kind != EntryKind::Clear || !view.sections().is_subset(shown) {
        return None;
    }
    let mut photos = Photo::all_of(view).ok()?.into_iter();
    photos.next().filter(|_| photos.next().is_none())
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::{cleared, clearing};
    use crate::record::tests::sealed_with_images;
    use crate::{Denominalised, EntryKind, InvalidPhoto, Photo, SectionKind, SectionSet, View};

    fn upstream(view: &View) -> View {
        let mut bytes = Vec::new();
        Denominalised::of(&view.borrowed()).unwrap().write(&mut bytes);
        View::parse(bytes.into()).unwrap()
    }

    #[test]
    fn what_is_cleared_goes_upstream_and_nothing_else_does() {
        let version = sealed_with_images(3);
        let mut random = StdRng::seed_from_u64(1);
        let second = Photo::nth(&version.borrowed(), 1).unwrap();
        let clear = clearing(&version, 1, &mut random).unwrap();
        assert_eq!(
            (clear.head().kind, clear.head().record_id, clear.head().version),
            (EntryKind::Clear, version.head().record_id, version.head().version)
        );
        assert_eq!(clear.class_bytes(), version.class_bytes());
        assert_eq!(clearing(&version, 3, &mut random), Err(InvalidPhoto::Number(3)));
        let narrow = version.redact(SectionSet::open());
        assert_eq!(clearing(&narrow, 0, &mut random), Err(InvalidPhoto::NoSection));

        // The record itself goes without its photos, what clears one with that one.
        assert_eq!(upstream(&version).sections(), SectionSet::open());
        let up = upstream(&clear);
        assert_eq!(Photo::all_of(&up.borrowed()), Ok(vec![second.clone()]));
        assert_eq!(cleared(&up.borrowed()), Some(second));
        assert_eq!(up.leaf_hash(), clear.leaf_hash());
        assert!(up.verify().is_ok());
        assert_eq!(cleared(&version.borrowed()), None, "a record clears nothing");
        assert_eq!(
            upstream(&clear.redact(SectionSet::open())).sections(),
            SectionSet::open()
        );
    }

    #[test]
    fn an_entry_that_clears_more_than_one_photo_clears_none() {
        let version = sealed_with_images(2);
        let images = version.section(SectionKind::Images).unwrap();
        let head = crate::EntryHead {
            kind: EntryKind::Clear,
            ..version.head()
        };
        let case = version.section(SectionKind::Case).unwrap();
        let sections = [(SectionKind::Case, case), (SectionKind::Images, images)];
        let both = crate::seal::seal(&head, &sections, &mut StdRng::seed_from_u64(2)).unwrap();
        assert_eq!(cleared(&both.borrowed()), None);
        assert_eq!(upstream(&both).sections(), SectionSet::open());
    }
}
