//! What must hold of an agreement's terms, whoever wrote them. Every fault is reported, not only the first.

use std::collections::BTreeSet;
use std::fmt;

use thiserror::Error;

use icomm_pki::MemberId;
use icomm_proto::{SectionKind, SectionSet, Sensitivity};

use super::terms::{Grant, Onward, OnwardRule, Party, Terms};
use super::words::{Categories, Day, Side, is_kebab, shortened};
use crate::cedar::condition::{Condition, InvalidCondition};

/// The most parties an agreement may have: all members of the WCO and its offices, with room.
pub const PARTIES_MAX: usize = 512;
/// The most grants an agreement may have.
pub const GRANTS_MAX: usize = 128;
/// The most characters of a title, name or reference.
pub const TEXT_CHARS_MAX: usize = 500;
/// The most articles that a party may accept or a grant may rest on.
pub const ARTICLES_MAX: usize = 128;
/// The most categories, or members of an onward list, that a grant may name.
pub const LIST_MAX: usize = 512;
/// The longest retention, in days: a hundred years.
pub const RETENTION_DAYS_MAX: u32 = 36_525;

/// One thing that is wrong with an agreement, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct Fault {
    /// The key, as a path: `grants[1].to`. Lists count from 0.
    pub place: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with an agreement's terms.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// A list or text that must not be empty is.
    #[error("is empty; it needs at least one")]
    Empty,
    /// Version 0.
    #[error("is 0; versions count from 1")]
    VersionZero,
    /// More than its named limit.
    #[error("has {count}, more than the {max} allowed")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// An agreement with oneself.
    #[error("names one party; an agreement needs two or more")]
    OneParty,
    /// A member named twice.
    #[error("`{0}` is a party already")]
    PartyTwice(MemberId),
    /// A member that is not among the parties.
    #[error("`{member}` is not a party; the parties are {parties}")]
    NotParty {
        /// The member.
        member: MemberId,
        /// The parties, with commas.
        parties: String,
    },
    /// A grant from a member to itself.
    #[error("`{0}` is on both sides; a grant goes from one party to another")]
    ToItself(MemberId),
    /// Two days in the wrong order.
    #[error("{day} is before `{other_place}`, {other}")]
    Before {
        /// The day that is too early.
        day: Day,
        /// The key that it is compared with.
        other_place: &'static str,
        /// That key's day.
        other: Day,
    },
    /// A grant without the open section.
    #[error("leaves out `case`, without which no record can be understood; add it")]
    WithoutCase,
    /// A code of no list, or not a code at all.
    #[error("`{code}` is not a code of the list `commodity-category`{hint}")]
    UnknownCategory {
        /// The code.
        code: String,
        /// What may have been meant, or nothing.
        hint: String,
    },
    /// An article that a side has not accepted.
    #[error("`{article}` is not among the articles that `{member}` accepts; what binds is what both sides accepted")]
    NotAccepted {
        /// The article.
        article: String,
        /// Who has not accepted it.
        member: MemberId,
    },
    /// A retention of no time or of more than a hundred years.
    #[error("is {0} days; it must be between 1 and {RETENTION_DAYS_MAX}")]
    Retention(u32),
    /// A key that the onward rule has no use for.
    #[error("has no meaning under the onward rule `{0}`; take it out or choose another rule")]
    NotUnderRule(&'static str),
    /// A key that the onward rule needs.
    #[error("is missing; the onward rule `{0}` needs it")]
    NeededByRule(&'static str),
    /// More goes onward than was given.
    #[error("lets `{0}` go onward, which the grant itself does not give")]
    OnwardBeyondGrant(SectionSet),
    /// Something identifying goes onward.
    #[error("lets `{0}` go onward; what may identify somebody goes onward only by consent, record by record")]
    OnwardIdentifies(SectionSet),
    /// A handling code above the grant's.
    #[error("is more than the grant's own handling code")]
    OnwardHandling,
    /// Characters that a reader can't see or that change the order of what is read.
    #[error("holds the character U+{0:04X}, which a reader can't see; take it out")]
    Invisible(u32),
    /// The condition is not a valid Cedar expression over the schema.
    #[error("{0}")]
    Condition(#[source] InvalidCondition),
}

/// All that is wrong with an agreement, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Collects faults while walking down the document.
struct Findings(Vec<Fault>);

impl Findings {
    fn add(&mut self, place: impl Into<String>, problem: Problem) {
        self.0.push(Fault {
            place: place.into(),
            problem,
        });
    }

    fn text(&mut self, place: impl Into<String>, text: &str) {
        let place = place.into();
        let count = text.chars().count();
        if text.trim().is_empty() {
            self.add(place, Problem::Empty);
        } else if count > TEXT_CHARS_MAX {
            self.add(
                place,
                Problem::TooMany {
                    count,
                    max: TEXT_CHARS_MAX,
                },
            );
        } else if let Some(c) = text.chars().find(|c| is_invisible(*c)) {
            self.add(place, Problem::Invisible(u32::from(c)));
        }
    }

    fn count(&mut self, place: impl Into<String>, count: usize, max: usize) {
        match count {
            0 => self.add(place, Problem::Empty),
            _ if count > max => self.add(place, Problem::TooMany { count, max }),
            _ => {}
        }
    }
}

/// Control characters, and those that reorder or hide text: what is signed must be what is read.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
        )
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
        || matches!(c, '\u{E0000}'..='\u{E007F}')
}

/// Every fault of `terms`; none when they can be signed.
pub(super) fn faults(terms: &Terms) -> Vec<Fault> {
    // Full destructuring: a new key must be thought about here.
    let Terms {
        format: _,
        id: _,
        version,
        title,
        signed_on,
        in_force_from,
        in_force_until,
        afterwards,
        reply_within_days: _,
        instrument,
        parties,
        grants,
    } = terms;
    let mut found = Findings(Vec::new());
    if *version == 0 {
        found.add("version", Problem::VersionZero);
    }
    found.text("title", title);
    if let Some(signed) = signed_on.filter(|signed| in_force_from < signed) {
        found.add(
            "in_force_from",
            Problem::Before {
                day: *in_force_from,
                other_place: "signed_on",
                other: signed,
            },
        );
    }
    if let Some(last) = in_force_until.filter(|last| last < in_force_from) {
        let other_place = "in_force_from";
        found.add(
            "in_force_until",
            Problem::Before {
                day: last,
                other_place,
                other: *in_force_from,
            },
        );
    }
    if let Some(text) = afterwards {
        found.text("afterwards", text);
    }
    found.text("instrument.name", &instrument.name);
    if let Some(text) = &instrument.reference {
        found.text("instrument.reference", text);
    }
    check_parties(parties, &mut found);
    found.count("grants", grants.len(), GRANTS_MAX);
    for (i, grant) in grants.iter().enumerate().take(GRANTS_MAX) {
        check_grant(grant, parties, &format!("grants[{i}]"), &mut found);
    }
    found.0
}

fn check_parties(parties: &[Party], found: &mut Findings) {
    match parties.len() {
        0 => found.add("parties", Problem::Empty),
        1 => found.add("parties", Problem::OneParty),
        count if count > PARTIES_MAX => found.add(
            "parties",
            Problem::TooMany {
                count,
                max: PARTIES_MAX,
            },
        ),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for (
        i,
        Party {
            member,
            name,
            authority,
            accepts,
        },
    ) in parties.iter().enumerate().take(PARTIES_MAX)
    {
        if !seen.insert(member) {
            found.add(format!("parties[{i}].member"), Problem::PartyTwice(member.clone()));
        }
        found.text(format!("parties[{i}].name"), name);
        found.text(format!("parties[{i}].authority"), authority);
        check_articles(accepts, &format!("parties[{i}].accepts"), found);
    }
}

fn check_articles(articles: &BTreeSet<String>, place: &str, found: &mut Findings) {
    if articles.len() > ARTICLES_MAX {
        found.add(
            place,
            Problem::TooMany {
                count: articles.len(),
                max: ARTICLES_MAX,
            },
        );
    }
    for article in articles.iter().take(ARTICLES_MAX) {
        found.text(place, article);
    }
}

fn check_grant(grant: &Grant, parties: &[Party], place: &str, found: &mut Findings) {
    let Grant {
        from,
        to,
        under,
        kinds,
        categories,
        sections,
        purposes,
        use_in_court: _,
        handling: _,
        retention,
        onward,
        upstream: _,
        condition,
    } = grant;
    for (key, side) in [("from", from), ("to", to)] {
        if let Side::Member(member) = side
            && !parties.iter().any(|party| party.member == *member)
        {
            let problem = Problem::NotParty {
                member: member.clone(),
                parties: names(parties),
            };
            found.add(format!("{place}.{key}"), problem);
        }
    }
    if let (Side::Member(from), Side::Member(to)) = (from, to)
        && from == to
    {
        found.add(format!("{place}.to"), Problem::ToItself(to.clone()));
    }
    check_articles(under, &format!("{place}.under"), found);
    check_acceptance(grant, parties, place, found);
    found.count(format!("{place}.kinds"), kinds.len(), LIST_MAX);
    if let Categories::Only(codes) = categories {
        found.count(format!("{place}.categories"), codes.len(), LIST_MAX);
        for code in codes.iter().filter(|code| !is_kebab(code) || code.len() > 64) {
            let problem = Problem::UnknownCategory {
                code: shortened(code),
                hint: String::new(),
            };
            found.add(format!("{place}.categories"), problem);
        }
    }
    if sections.is_empty() {
        found.add(format!("{place}.sections"), Problem::Empty);
    } else if !sections.contains(SectionKind::Case) {
        found.add(format!("{place}.sections"), Problem::WithoutCase);
    }
    found.count(format!("{place}.purposes"), purposes.len(), LIST_MAX);
    if !(1..=RETENTION_DAYS_MAX).contains(&retention.days) {
        found.add(format!("{place}.retention.days"), Problem::Retention(retention.days));
    }
    check_onward(onward, grant, &format!("{place}.onward"), found);
    if let Some(text) = condition
        && let Err(invalid) = Condition::parse(text)
    {
        found.add(format!("{place}.condition"), Problem::Condition(invalid));
    }
}

/// What binds is what both sides accepted, as with the annexes of a convention.
fn check_acceptance(grant: &Grant, parties: &[Party], place: &str, found: &mut Findings) {
    let concerned = |party: &&Party| {
        [&grant.from, &grant.to].into_iter().any(|side| match side {
            Side::Parties => true,
            Side::Member(member) => *member == party.member,
        })
    };
    for article in grant.under.iter().take(ARTICLES_MAX) {
        for party in parties
            .iter()
            .filter(concerned)
            .filter(|party| !party.accepts.contains(article))
        {
            let problem = Problem::NotAccepted {
                article: shortened(article),
                member: party.member.clone(),
            };
            found.add(format!("{place}.under"), problem);
        }
    }
}

fn check_onward(onward: &Onward, grant: &Grant, place: &str, found: &mut Findings) {
    let Onward {
        rule,
        members,
        sections,
        handling,
    } = onward;
    let (name, passes_on) = match rule {
        OnwardRule::None => ("none", false),
        OnwardRule::WithConsent => ("with-consent", false),
        OnwardRule::Listed => ("listed", true),
        OnwardRule::Region => ("region", true),
    };
    let mut expect = |key: &str, wanted: bool, given: bool| match (wanted, given) {
        (true, false) => found.add(format!("{place}.{key}"), Problem::NeededByRule(name)),
        (false, true) => found.add(format!("{place}.{key}"), Problem::NotUnderRule(name)),
        _ => {}
    };
    expect("members", *rule == OnwardRule::Listed, !members.is_empty());
    expect("sections", passes_on, !sections.is_empty());
    expect("handling", passes_on, handling.is_some());
    if members.len() > LIST_MAX {
        found.add(
            format!("{place}.members"),
            Problem::TooMany {
                count: members.len(),
                max: LIST_MAX,
            },
        );
    }
    if sections.is_empty() {
        return;
    }
    let place_of_sections = format!("{place}.sections");
    if !sections.contains(SectionKind::Case) {
        found.add(&place_of_sections, Problem::WithoutCase);
    }
    let beyond = sections.difference(grant.sections);
    if !beyond.is_empty() {
        found.add(&place_of_sections, Problem::OnwardBeyondGrant(beyond));
    }
    let identifying = sections.difference(passable());
    if !identifying.is_empty() {
        found.add(&place_of_sections, Problem::OnwardIdentifies(identifying));
    }
    if handling.is_some_and(|handling| handling > grant.handling) {
        found.add(format!("{place}.handling"), Problem::OnwardHandling);
    }
}

/// The sections that may go onward at all: those that identify nobody by themselves.
pub(crate) fn passable() -> SectionSet {
    SectionKind::ALL
        .into_iter()
        .filter(|kind| match kind.sensitivity() {
            Sensitivity::Open | Sensitivity::Exact => true,
            Sensitivity::Nominal | Sensitivity::Narrative | Sensitivity::Image => false,
        })
        .collect()
}

fn names(parties: &[Party]) -> String {
    const NAMED_MAX: usize = 12;
    let mut names: Vec<String> = parties
        .iter()
        .take(NAMED_MAX)
        .map(|party| format!("`{}`", party.member))
        .collect();
    if parties.len() > NAMED_MAX {
        names.push(format!("{} more", parties.len() - NAMED_MAX));
    }
    names.join(", ")
}
