//! Planted names: what goes out is searched for what may not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test")]

use std::collections::BTreeMap;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use proptest::prelude::*;

use icomm_policy::SessionPolicy;
use icomm_policy::agreement::{HandlingCode, OnwardRule};
use icomm_proto::log::ChunkBuilder;
use icomm_proto::{SectionKind, SectionSet};

#[path = "support/world.rs"]
mod world;

use world::{NOON, class, grant, member, passing_on, planted, policy, terms, view, world};

/// The planted name of a section in every form in which it could hide.
fn forms(section: SectionKind) -> Vec<Vec<u8>> {
    let name = planted(section);
    let bytes = name.as_bytes();
    let utf16: Vec<u16> = name.encode_utf16().collect();
    let mut forms = vec![
        bytes.to_vec(),
        HEXLOWER.encode(bytes).into_bytes(),
        HEXUPPER.encode(bytes).into_bytes(),
        utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
        utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
        bytes.iter().rev().copied().collect(),
    ];
    // Base64 of a text depends on where it begins; what does not depend on its neighbours is searched.
    for offset in 0..3 {
        let padded = [&vec![b'.'; offset][..], bytes].concat();
        for encoding in [BASE64, BASE64URL_NOPAD] {
            let encoded = encoding.encode(&padded);
            forms.push(encoded.as_bytes()[4..encoded.len() - 4].to_vec());
        }
    }
    forms
}

fn holds(haystack: &[u8], section: SectionKind) -> bool {
    forms(section)
        .iter()
        .any(|form| haystack.windows(form.len()).any(|window| window == form.as_slice()))
}

/// The bytes of a chunk with this record on a link from `holder`.
fn sent(session: &mut SessionPolicy, origin: &str) -> Vec<u8> {
    let (record, origin) = (view(&class(origin)), member(origin));
    let mut chunk = ChunkBuilder::with_capacity(64);
    match session {
        SessionPolicy::Peer(session) => session.disclose(&origin, &record.borrowed(), NOON).write(&mut chunk),
        SessionPolicy::Upstream(session) => session
            .disclose(&origin, &record.borrowed(), NOON)
            .unwrap()
            .write(&mut chunk),
    }
    chunk.finish().unwrap().bytes().to_vec()
}

#[test]
fn the_search_finds_what_is_planted() {
    let record = view(&class("KE"));
    for section in SectionKind::ALL {
        assert!(holds(record.bytes(), section), "{section}");
        assert!(
            !holds(record.redact(SectionSet::ALL.without(section)).bytes(), section),
            "{section}"
        );
        let encoded = BASE64.encode(record.bytes());
        assert!(holds(encoded.as_bytes(), section), "{section} in base64");
        assert!(
            holds(HEXLOWER.encode(record.bytes()).as_bytes(), section),
            "{section} in hex"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_goes_out_that_no_grant_gives(
        given in proptest::sample::subsequence(SectionKind::ALL[1..].to_vec(), 0..=6),
        onward in proptest::sample::subsequence(SectionKind::ALL[1..].to_vec(), 0..=6),
        upstream: bool,
    ) {
        let world = world();
        let sections: SectionSet = given.into_iter().chain([SectionKind::Case]).collect();
        let passed = SectionSet::EMPTY.with(SectionKind::Case).with(SectionKind::Exact).intersection(sections);
        let mut to_hub = grant("KE", "RILO-ESA");
        to_hub.sections = sections;
        to_hub.upstream = upstream;
        to_hub.onward = passing_on(OnwardRule::Region, &[], passed, HandlingCode::H3);
        let mut from_hub = grant("RILO-ESA", "parties");
        from_hub.sections = onward.into_iter().chain([SectionKind::Case]).collect();
        let both = from_hub.sections.intersection(passed);
        let agreement = terms("esa", &["RILO-ESA", "KE", "UG"], vec![to_hub, from_hub]);

        let agreements = [agreement];
        let build = |owner| (owner, policy(&world, owner, &agreements, vec![]));
        let policies: BTreeMap<&str, _> = ["KE", "RILO-ESA"].into_iter().map(build).collect();
        for (holder, receiver, allowed) in [
            ("KE", "RILO-ESA", sections),
            ("KE", "UG", SectionSet::EMPTY),
            ("KE", "WCO", SectionSet::EMPTY),
            ("RILO-ESA", "UG", both),
            ("RILO-ESA", "TZ", SectionSet::EMPTY),
            ("RILO-ESA", "WCO", if upstream { SectionSet::open() } else { SectionSet::EMPTY }),
        ] {
            let bytes = sent(&mut policies[holder].session(world.receiver(receiver)), "KE");
            for section in SectionKind::ALL {
                prop_assert_eq!(holds(&bytes, section), allowed.contains(section), "{} {} {}", holder, receiver, section);
            }
        }
    }
}
