//! The terms of an agreement as its document states them: plain data, nothing checked yet.
//!
//! The order of the fields below is the order of the canonical JSON, and so part of what the parties sign.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use icomm_pki::MemberId;
use icomm_proto::{RecordKind, SectionSet};

use super::words::{AgreementId, Categories, Day, HandlingCode, Purpose, Side, section_list};

/// Which layout of document this is; the first key of every document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// The layout of this file.
    #[serde(rename = "icomm-agreement/v1")]
    V1,
}

/// A whole agreement. [`super::Agreement`] is the same after it was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The layout of the document.
    pub format: Format,
    /// The agreement's name, the same in all versions.
    pub id: AgreementId,
    /// 1, 2, 3 …; a later version takes the place of the earlier ones when it enters into force.
    pub version: u32,
    /// What people call it.
    pub title: String,
    /// The day of signature, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_on: Option<Day>,
    /// The first day in force.
    pub in_force_from: Day,
    /// The last day in force; none: until it is suspended or a later version ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force_until: Option<Day>,
    /// Duties that outlive the agreement, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub afterwards: Option<String>,
    /// Days within which a party answers another's question about records it received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_within_days: Option<u16>,
    /// The legal text that it rests on.
    pub instrument: Instrument,
    /// Who signs.
    pub parties: Vec<Party>,
    /// What may go from whom to whom.
    pub grants: Vec<Grant>,
}

/// The treaty, convention or memorandum under which the parties exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instrument {
    /// What kind of text it is.
    #[serde(rename = "type")]
    pub kind: InstrumentKind,
    /// Its name.
    pub name: String,
    /// Where it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// The kinds of legal text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstrumentKind {
    /// Between two states or administrations.
    Bilateral,
    /// Between the members of a region and their liaison office.
    Regional,
    /// Open to many, with articles or annexes that each party accepts or not.
    Convention,
    /// Between administrations, below the rank of a treaty.
    Memorandum,
}

/// A party to the agreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// The member that signs.
    pub member: MemberId,
    /// Its name.
    pub name: String,
    /// The authority competent for the agreement.
    pub authority: String,
    /// The articles or annexes that it has accepted. A grant may rest only on what both its sides accepted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accepts: BTreeSet<String>,
}

/// One direction of an agreement: who, to whom, which records, for what, how long, how far onward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Who may send.
    pub from: Side,
    /// Who may receive.
    pub to: Side,
    /// The articles or annexes that the grant rests on.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub under: BTreeSet<String>,
    /// The kinds of record.
    pub kinds: BTreeSet<RecordKind>,
    /// The commodity categories.
    pub categories: Categories,
    /// The sections; always with `case`, without which a record can't be understood.
    #[serde(with = "section_list")]
    pub sections: SectionSet,
    /// What the receiver may use them for.
    pub purposes: BTreeSet<Purpose>,
    /// Whether the receiver may use them in court.
    pub use_in_court: UseInCourt,
    /// The most restricted handling code that is still covered.
    pub handling: HandlingCode,
    /// How long the receiver may keep them.
    pub retention: Retention,
    /// Whether the receiver may pass them on.
    pub onward: Onward,
    /// Whether the receiver may pass the open section on to the global node (de-nominalised, nothing else).
    pub upstream: bool,
    /// A further condition, a Cedar expression over `principal`, `resource` and `context`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// Whether records may be used in court.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UseInCourt {
    /// Never.
    No,
    /// When the originator agrees.
    WithConsent,
    /// Yes.
    Yes,
}

/// How long the receiver keeps what a record says beyond its open section, counted from its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Days.
    pub days: u32,
    /// What happens then.
    pub then: Expiry,
}

impl Retention {
    /// The shorter time and the stricter end: of two grants in a row both bind.
    #[must_use]
    pub fn bound_by(self, other: Self) -> Self {
        Self {
            days: self.days.min(other.days),
            then: self.then.min(other.then),
        }
    }
}

/// What happens to a record when its time is over. The stricter comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expiry {
    /// It is erased.
    Erase,
    /// It is kept for proceedings already begun, and shown to nobody else.
    Restrict,
}

/// Whether and what the receiver may pass on to other members than the global one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Onward {
    /// To whom.
    pub rule: OnwardRule,
    /// The members, for the rule `listed`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub members: BTreeSet<MemberId>,
    /// The sections, for the rules `listed` and `region`; never one that identifies anybody.
    #[serde(default, with = "section_list", skip_serializing_if = "no_sections")]
    pub sections: SectionSet,
    /// The most restricted handling code that may still be passed on, for the rules `listed` and `region`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handling: Option<HandlingCode>,
}

fn no_sections(sections: &SectionSet) -> bool {
    sections.is_empty()
}

impl Onward {
    /// Nothing is passed on.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            rule: OnwardRule::None,
            members: BTreeSet::new(),
            sections: SectionSet::EMPTY,
            handling: None,
        }
    }
}

/// To whom the receiver may pass records on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnwardRule {
    /// To nobody.
    None,
    /// Record by record, when the originator consents: [`crate::consent`].
    WithConsent,
    /// To the members listed.
    Listed,
    /// To the members of the receiver's region, as the trust bundle's directory names them.
    Region,
}
