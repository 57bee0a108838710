//! The agreements that a network on one machine runs under. They read like real ones: every term that a real agreement needs
//! is there, and what is not granted is not sent.

use std::collections::BTreeSet;

use icomm_pki::MemberId;
use icomm_policy::agreement::{
    Agreement, Categories, Day, Expiry, Format, Grant, HandlingCode, Instrument, InstrumentKind, InvalidAgreement,
    Onward, OnwardRule, Party, Purpose, Retention, Side, Terms, UseInCourt,
};
use icomm_proto::{RecordKind, SectionKind, SectionSet};

use super::NetworkError;

/// What one side of a bilateral agreement gives the other.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The sections, always with `case`.
    pub sections: SectionSet,
    /// The commodity categories.
    pub categories: Categories,
    /// The most restricted handling code that is still sent.
    pub handling: HandlingCode,
}

impl Exchange {
    /// All goods, and all that identifies somebody but the narrative and the images, up to handling code H1.
    pub fn nominal() -> Self {
        Self {
            sections: [
                SectionKind::Case,
                SectionKind::Exact,
                SectionKind::References,
                SectionKind::Persons,
                SectionKind::Companies,
            ]
            .into_iter()
            .collect(),
            categories: Categories::All,
            handling: HandlingCode::H1,
        }
    }

    /// The de-nominalised case of these goods, whatever its handling code: what may go to the global node.
    pub fn denominalised(categories: Categories) -> Self {
        Self {
            sections: SectionSet::open(),
            categories,
            handling: HandlingCode::H3,
        }
    }
}

/// Between two administrations: `gives` goes from `a` to `b`, `takes` from `b` to `a`. Nothing goes any further.
///
/// # Errors
/// The terms contradict themselves.
pub fn bilateral(
    a: &MemberId,
    b: &MemberId,
    gives: Exchange,
    takes: Exchange,
    since: Day,
) -> Result<Agreement, NetworkError> {
    let grant = |from: &MemberId, to: &MemberId, exchange: Exchange| Grant {
        sections: exchange.sections,
        categories: exchange.categories,
        handling: exchange.handling,
        purposes: [Purpose::CustomsControl, Purpose::RiskAnalysis, Purpose::Investigation].into(),
        ..plain(Side::Member(from.clone()), Side::Member(to.clone()))
    };
    agreement(
        &format!("{a}-{b}"),
        format!("Agreement on customs information between {a} and {b}"),
        InstrumentKind::Bilateral,
        [a, b],
        vec![grant(a, b, gives), grant(b, a, takes)],
        since,
    )
}

/// In a region: the members give their office the case and its exact values; the office shows the region what identifies
/// nobody, up to handling code H1, and passes the de-nominalised case on to the global node.
///
/// # Errors
/// The terms contradict themselves.
pub fn regional(office: &MemberId, members: &[MemberId], since: Day) -> Result<Agreement, NetworkError> {
    let open = SectionSet::open();
    let to_the_office = Grant {
        sections: open.with(SectionKind::Exact),
        handling: HandlingCode::H3,
        onward: Onward {
            rule: OnwardRule::Region,
            members: BTreeSet::new(),
            sections: open,
            handling: Some(HandlingCode::H1),
        },
        upstream: true,
        ..plain(Side::Parties, Side::Member(office.clone()))
    };
    let from_the_office = plain(Side::Member(office.clone()), Side::Parties);
    agreement(
        office.as_str(),
        format!("Arrangement on customs information in the region of {office}"),
        InstrumentKind::Regional,
        std::iter::once(office).chain(members),
        vec![to_the_office, from_the_office],
        since,
    )
}

/// From an office, or from an administration without one, to the global node: the open section of all goods and nothing
/// else.
///
/// # Errors
/// The terms contradict themselves.
pub fn upstream(from: &MemberId, root: &MemberId, since: Day) -> Result<Agreement, NetworkError> {
    one_way(from, root, Exchange::denominalised(Categories::All), since)
}

/// To the global node, in one direction: what `gives` says, for analysis, and no further.
///
/// # Errors
/// The terms contradict themselves.
pub fn one_way(from: &MemberId, root: &MemberId, gives: Exchange, since: Day) -> Result<Agreement, NetworkError> {
    let grant = Grant {
        sections: gives.sections,
        categories: gives.categories,
        handling: gives.handling,
        ..plain(Side::Member(from.clone()), Side::Member(root.clone()))
    };
    agreement(
        &format!("{from}-{root}"),
        format!("Arrangement between {from} and {root} on de-nominalised cases"),
        InstrumentKind::Memorandum,
        [from, root],
        vec![grant],
        since,
    )
}

/// The least that a grant can be: the open section of every kind of record, for analysis, no further.
fn plain(from: Side, to: Side) -> Grant {
    Grant {
        from,
        to,
        under: BTreeSet::new(),
        kinds: RecordKind::ALL.into(),
        categories: Categories::All,
        sections: SectionSet::open(),
        purposes: [Purpose::RiskAnalysis, Purpose::Statistics].into(),
        use_in_court: UseInCourt::No,
        handling: HandlingCode::H1,
        retention: Retention {
            days: 5 * 365,
            then: Expiry::Erase,
        },
        onward: Onward::none(),
        upstream: false,
        condition: None,
    }
}

fn agreement<'a>(
    id: &str,
    title: String,
    kind: InstrumentKind,
    parties: impl IntoIterator<Item = &'a MemberId>,
    grants: Vec<Grant>,
    since: Day,
) -> Result<Agreement, NetworkError> {
    let id = id.to_ascii_lowercase();
    let wrong = |source| NetworkError::Agreement {
        id: id.clone(),
        source: Box::new(source),
    };
    let party = |member: &MemberId| Party {
        member: member.clone(),
        name: format!("{member} (on this machine only)"),
        authority: "Director General".to_owned(),
        accepts: BTreeSet::new(),
    };
    let terms = Terms {
        format: Format::V1,
        id: id.parse().map_err(|word| wrong(InvalidTerms::Word(word)))?,
        version: 1,
        title: title.clone(),
        signed_on: Some(since),
        in_force_from: since,
        in_force_until: None,
        afterwards: None,
        reply_within_days: Some(30),
        instrument: Instrument {
            kind,
            name: title,
            reference: None,
        },
        parties: parties.into_iter().map(party).collect(),
        grants,
    };
    Agreement::new(terms).map_err(|invalid| wrong(InvalidTerms::Agreement(invalid)))
}

/// Why terms made here are none.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTerms {
    /// A member's id makes no agreement's name.
    #[error(transparent)]
    Word(#[from] icomm_policy::agreement::InvalidWord),
    /// The terms contradict themselves.
    #[error(transparent)]
    Agreement(#[from] InvalidAgreement),
}

#[cfg(test)]
mod tests {
    use icomm_proto::{SectionKind, SectionSet};

    use super::{Categories, Exchange, Side, bilateral, one_way, regional, upstream};

    #[test]
    fn the_agreements_say_what_they_should() {
        let since = "2026-01-01".parse().unwrap();
        let [es, pt, office, wco] = ["ES", "PT", "RILO-WE", "WCO"].map(|id| id.parse().unwrap());
        let both = bilateral(&es, &pt, Exchange::nominal(), Exchange::nominal(), since).unwrap();
        assert_eq!(both.id().as_str(), "es-pt");
        assert!(
            both.terms()
                .grants
                .iter()
                .all(|grant| grant.sections.contains(SectionKind::Persons))
        );
        assert!(
            both.terms()
                .grants
                .iter()
                .all(|grant| !grant.sections.contains(SectionKind::Narrative))
        );

        let region = regional(&office, &[es.clone(), pt], since).unwrap();
        assert_eq!(region.parties().count(), 3);
        let [to, from] = region.terms().grants.as_slice() else {
            panic!("two grants")
        };
        assert_eq!(to.to, Side::Member(office.clone()));
        assert!(to.upstream && to.onward.sections == SectionSet::open());
        assert_eq!(from.sections, SectionSet::open());

        let drugs = Exchange::denominalised(Categories::Only(["drugs".to_owned()].into()));
        let one = one_way(&es, &wco, drugs.clone(), since).unwrap();
        let [grant] = one.terms().grants.as_slice() else {
            panic!("one grant")
        };
        assert_eq!(
            (&grant.categories, grant.sections),
            (&drugs.categories, SectionSet::open())
        );

        for member in [es, office] {
            let up = upstream(&member, &wco, since).unwrap();
            assert!(
                up.terms()
                    .grants
                    .iter()
                    .all(|grant| grant.sections == SectionSet::open())
            );
        }
    }
}
