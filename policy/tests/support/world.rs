//! A small world for the tests: members with keys, agreements that they sign, records with a name planted in every section.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test")]
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use icomm_pki::{MemberId, MemberKey, MemberPublicKey, Role};
use icomm_policy::agreement::{
    Categories, Expiry, Format, Grant, HandlingCode, Instrument, InstrumentKind, Onward, OnwardRule, Party, Purpose,
    Retention, Side, Signed, Statement, Terms, UseInCourt,
};
use icomm_policy::{
    Agreement, Book, Change, DocumentKind, KeyDirectory, Overlay, Policy, Receiver, Refusal, SignedAgreement,
    Suspension,
};
use icomm_proto::{EntryHead, EntryKind, RecordId, RecordKind, SectionKind, SectionSet, View, v1};

/// Noon of the first day on which the agreements of the tests are in force.
pub(crate) const NOON: u64 = 1_796_126_400;
pub(crate) const DAY: u64 = 86_400;

pub(crate) fn member(id: &str) -> MemberId {
    id.parse().unwrap()
}

#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) key: MemberKey,
    pub(crate) role: Role,
    pub(crate) regions: Vec<MemberId>,
}

pub(crate) struct World(pub(crate) BTreeMap<MemberId, Person>);

/// KE, UG, TZ under RILO-ESA; ES under RILO-EUR; WCO; INTERPOL.
pub(crate) fn world() -> Arc<World> {
    let members = [
        ("KE", Role::National, vec!["RILO-ESA"]),
        ("UG", Role::National, vec!["RILO-ESA"]),
        ("TZ", Role::National, vec!["RILO-ESA"]),
        ("ES", Role::National, vec!["RILO-EUR"]),
        ("RILO-ESA", Role::Regional, vec![]),
        ("RILO-EUR", Role::Regional, vec![]),
        ("WCO", Role::Global, vec![]),
        ("INTERPOL", Role::Partner, vec![]),
    ];
    let person = |(i, (id, role, regions)): (usize, (&str, Role, Vec<&str>))| {
        let seed = [u8::try_from(i + 1).unwrap(); 32];
        let regions = regions.into_iter().map(member).collect();
        (
            member(id),
            Person {
                key: MemberKey::from_seed(&seed),
                role,
                regions,
            },
        )
    };
    Arc::new(World(members.into_iter().enumerate().map(person).collect()))
}

impl KeyDirectory for World {
    fn key(&self, member: &MemberId) -> Option<MemberPublicKey> {
        self.0.get(member).map(|person| person.key.public())
    }

    fn role(&self, member: &MemberId) -> Option<Role> {
        self.0.get(member).map(|person| person.role)
    }

    fn regions(&self, member: &MemberId) -> Vec<MemberId> {
        self.0
            .get(member)
            .map(|person| person.regions.clone())
            .unwrap_or_default()
    }
}

impl World {
    pub(crate) fn receiver(&self, id: &str) -> Receiver {
        Receiver {
            member: member(id),
            role: self.role(&member(id)).unwrap(),
        }
    }

    /// The agreement, signed by all.
    pub(crate) fn signed(&self, terms: &Terms) -> Vec<u8> {
        let agreement = Agreement::new(terms.clone()).unwrap_or_else(|error| panic!("{error}"));
        let mut signed = SignedAgreement::unsigned(agreement.clone());
        for party in agreement.parties() {
            signed.sign(party, &self.0[party].key).unwrap();
        }
        signed.to_bytes()
    }

    pub(crate) fn statement<T: Statement>(&self, statement: T) -> Vec<u8> {
        let key = &self.0[statement.by()].key;
        Signed::sign(statement, key).unwrap().to_bytes()
    }

    pub(crate) fn suspension(&self, id: &str, version: u32, by: &str) -> Vec<u8> {
        self.statement(Suspension::new(id.parse().unwrap(), version, member(by), NOON, "test"))
    }
}

/// A policy of `owner` with these agreements adopted long before they were in force.
pub(crate) fn policy(world: &Arc<World>, owner: &str, agreements: &[Terms], overlays: Vec<Overlay>) -> Policy {
    let policy = Policy::new(Book::new(member(owner)), world.clone(), overlays);
    for terms in agreements {
        adopt(&policy, world, terms).unwrap();
    }
    policy
}

pub(crate) fn adopt(policy: &Policy, world: &World, terms: &Terms) -> Result<Change, Refusal> {
    policy.receive(DocumentKind::Agreement, &world.signed(terms), 0)
}

/// An agreement between `parties`, in force from the day of [`NOON`], without an end.
pub(crate) fn terms(id: &str, parties: &[&str], grants: Vec<Grant>) -> Terms {
    let party = |id: &&str| Party {
        member: member(id),
        name: (*id).to_owned(),
        authority: "Director General".to_owned(),
        accepts: [].into(),
    };
    Terms {
        format: Format::V1,
        id: id.parse().unwrap(),
        version: 1,
        title: "Test".to_owned(),
        signed_on: None,
        in_force_from: "2026-12-01".parse().unwrap(),
        in_force_until: None,
        afterwards: None,
        reply_within_days: None,
        instrument: Instrument {
            kind: InstrumentKind::Bilateral,
            name: "Treaty".to_owned(),
            reference: None,
        },
        parties: parties.iter().map(party).collect(),
        grants,
    }
}

/// A grant of everything: all kinds, categories, sections, purposes, handling codes; nothing onward.
pub(crate) fn grant(from: &str, to: &str) -> Grant {
    Grant {
        from: from.parse().unwrap(),
        to: to.parse::<Side>().unwrap(),
        under: [].into(),
        kinds: RecordKind::ALL.into(),
        categories: Categories::All,
        sections: SectionSet::ALL,
        purposes: Purpose::ALL.into(),
        use_in_court: UseInCourt::Yes,
        handling: HandlingCode::H3,
        retention: Retention {
            days: 100,
            then: Expiry::Erase,
        },
        onward: Onward::none(),
        upstream: false,
        condition: None,
    }
}

pub(crate) fn set(kinds: &[SectionKind]) -> SectionSet {
    kinds.iter().copied().collect()
}

pub(crate) fn passing_on(rule: OnwardRule, members: &[&str], sections: SectionSet, handling: HandlingCode) -> Onward {
    Onward {
        rule,
        members: members.iter().map(|id| member(id)).collect(),
        sections,
        handling: Some(handling),
    }
}

/// The class of an ordinary seizure of drugs, H0, by `origin`.
pub(crate) fn class(origin: &str) -> v1::Class {
    v1::Class {
        kind: v1::RecordKind::Seizure.into(),
        originator: origin.to_owned(),
        report_type: "seizure".to_owned(),
        handling_code: "H0".to_owned(),
        categories: vec!["drugs".to_owned()],
        seizure_country: "KE".to_owned(),
        operation_id: String::new(),
    }
}

/// What is planted in `section`: a name that occurs nowhere else.
pub(crate) fn planted(section: SectionKind) -> String {
    format!("Zaphod-{}-Beeblebrox", section.name())
}

/// A record of this class with all seven sections, a planted name in each.
pub(crate) fn view(class: &v1::Class) -> View {
    view_of(class, SectionSet::ALL)
}

pub(crate) fn view_of(class: &v1::Class, held: SectionSet) -> View {
    let case = v1::Case {
        class: Some(class.clone()),
        outcome: planted(SectionKind::Case),
        ..Default::default()
    };
    let sections: Vec<(SectionKind, Vec<u8>)> = SectionKind::ALL
        .into_iter()
        .filter(|kind| held.contains(*kind))
        .map(|kind| match kind {
            SectionKind::Case => (kind, case.encode_to_vec()),
            _ => (kind, planted(kind).into_bytes()),
        })
        .collect();
    let sections: Vec<(SectionKind, &[u8])> = sections.iter().map(|(kind, bytes)| (*kind, bytes.as_slice())).collect();
    let head = EntryHead {
        kind: EntryKind::Issue,
        record_kind: RecordKind::Seizure,
        record_id: RecordId::new(NOON * 1000, [7; 10]),
        version: 1,
    };
    icomm_proto::seal::seal(&head, &sections, &mut SmallRng::seed_from_u64(1)).unwrap()
}
