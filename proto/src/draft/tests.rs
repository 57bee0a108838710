//! That borrowing messages say what the owning ones say, byte for byte, and that no bytes are too bad.

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::record::tests::complete;

#[test]
fn a_full_draft_is_encoded_as_prost_does_it() {
    let owned = complete();
    let draft = Draft::from(&owned);
    let bytes = owned.encode_to_vec();
    assert_eq!(draft.to_bytes(), bytes);
    assert_eq!(draft.encoded_len(), bytes.len());
    assert_eq!(Draft::parse(&bytes).unwrap(), draft);
    assert_eq!(v1::Draft::decode(bytes.as_slice()).unwrap(), owned);
}

#[test]
fn texts_are_not_copied() {
    let bytes = complete().encode_to_vec();
    let draft = Draft::parse(&bytes).unwrap();
    let name = &draft.persons.as_ref().unwrap().persons[0].family_name;
    assert!(matches!(name, Cow::Borrowed("Muster")));
    assert!(bytes.as_ptr_range().contains(&name.as_ptr()));
}

#[test]
fn messages_that_stand_twice_are_merged_and_unknown_fields_left_out() {
    let owned = v1::Draft {
        kind: 1,
        exact: Some(v1::Exact {
            place: "KEMBA".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let more = v1::Draft {
        exact: Some(v1::Exact {
            customs_office: "Dock Road".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    // Field 60 as a text, field 61 as a number, field 62 in eight bytes.
    let unknown = b"\xe2\x03\x01x\xe8\x03\x05\xf1\x03\0\0\0\0\0\0\0\0";
    let bytes = [owned.encode_to_vec(), unknown.to_vec(), more.encode_to_vec()].concat();
    let expected = v1::Draft::decode(bytes.as_slice()).unwrap();
    assert_eq!(expected.exact.as_ref().unwrap().customs_office, "Dock Road");
    assert_eq!(Draft::parse(&bytes).unwrap(), Draft::from(&expected));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "\\PC{0,6}", "[a-z]{120,140}"]
}

fn draft() -> impl Strategy<Value = v1::Draft> {
    let goods = (text(), text(), any::<u32>()).prop_map(|(kind, unit, package_count)| v1::Goods {
        kind,
        unit,
        package_count,
        ..Default::default()
    });
    let case = (text(), any::<bool>(), prop::collection::vec(goods, 0..4), any::<i32>()).prop_map(
        |(outcome, short_form, goods, kind)| v1::Case {
            class: (kind != 0).then(|| v1::Class {
                kind,
                categories: vec![outcome.clone(); kind.unsigned_abs() as usize % 4],
                ..Default::default()
            }),
            outcome,
            goods,
            short_form,
            ..Default::default()
        },
    );
    let image =
        (prop::collection::vec(any::<u8>(), 0..40), any::<u64>(), text()).prop_map(|(sha256, size, kind)| v1::Image {
            sha256: sha256.into(),
            size,
            kind,
            ..Default::default()
        });
    let images = prop::collection::vec(image, 0..3).prop_map(|images| v1::Images { images });
    let references =
        (text(), prop::collection::vec(text(), 0..5)).prop_map(|(national_reference, seals)| v1::References {
            national_reference,
            seals,
            ..Default::default()
        });
    let sections = (
        prop::option::of(case),
        prop::option::of(images),
        prop::option::of(references),
    );
    (any::<i32>(), sections).prop_map(|(kind, (case, images, references))| v1::Draft {
        kind,
        case,
        images,
        references,
        ..Default::default()
    })
}

proptest! {
    #[test]
    fn both_forms_read_and_write_the_same(owned in draft()) {
        let draft = Draft::from(&owned);
        let bytes = owned.encode_to_vec();
        prop_assert_eq!(draft.to_bytes(), bytes.as_slice());
        prop_assert_eq!(draft.encoded_len(), bytes.len());
        prop_assert_eq!(&Draft::parse(&bytes).unwrap(), &draft);
        prop_assert_eq!(v1::Draft::from(draft), owned);
    }

    #[test]
    fn bytes_are_read_as_prost_reads_them_or_refused_as_it_refuses_them(
        owned in draft(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = owned.encode_to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let expected = v1::Draft::decode(bytes.as_slice());
        let draft = Draft::parse(&bytes);
        prop_assert_eq!(draft.is_ok(), expected.is_ok(), "{:?}", expected);
        if let (Ok(draft), Ok(expected)) = (draft, expected) {
            prop_assert_eq!(draft, Draft::from(&expected));
        }
    }
}
