//! A record: a case that was validated and generalised, ready to be sealed and issued.
//!
//! What an officer or a program hands in is a [`Draft`]. [`Record::validate`] checks all of it against the code lists
//! and rules, and sets what is derived: the class that policies decide on, and the general form of each
//! quasi-identifying value.
//!
//! | exact, section `exact` or `persons` | general, section `case` |
//! |---|---|
//! | seizure date | month |
//! | quantity and unit | band of the quantity in the normal unit, and that unit |
//! | value | band |
//! | birth date | age band at the date of the seizure |
//! | goods' categories | the sorted set in `case.class` |

use icomm_pki::MemberId;
use rand::Rng;

use crate::codes::CodeLists;
use crate::draft::{self, Draft, Encode, Text};
use crate::entry::{EntryHead, EntryKind};
use crate::field::Path;
use crate::id::RecordId;
use crate::kind::RecordKind;
use crate::seal::Sealer;
use crate::section::SectionKind;
use crate::v1;
use crate::validate::{
    Check, NARRATIVE_BYTES_MAX, RECORD_BYTES_MAX, companies, exact, goods, images, persons, references,
};
use crate::view::View;

pub use crate::field::{FieldError, Reason};

/// A valid record. All mandatory fields are there, all codes are known, derived fields are set, empty sections are absent.
#[derive(Clone, PartialEq)]
pub struct Record<'a> {
    kind: RecordKind,
    draft: Draft<'a>,
}

/// Which fields are mandatory: what the record is about, and whether it is in the simplified form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    kind: RecordKind,
    short: bool,
}

impl Form {
    pub(crate) fn is_seizure(self) -> bool {
        self.kind == RecordKind::Seizure
    }

    pub(crate) const fn is_long(self) -> bool {
        !self.short
    }

    pub(crate) fn is_long_seizure(self) -> bool {
        self.is_long() && self.is_seizure()
    }

    /// Why a field that both forms have is mandatory.
    pub(crate) const MINIMUM: &'static str = "every record of this kind has it, in the short form too";

    /// Why a field of the long form is mandatory.
    pub(crate) const LONG: &'static str = "the long form has it; set `short_form` for the simplified one";
}

impl<'a> Record<'a> {
    /// Checks and generalises a draft that `originator` is about to issue. On failure gives everything that is wrong, in
    /// the order of the fields.
    pub fn validate(
        draft: impl Into<Draft<'a>>,
        lists: &'a CodeLists,
        originator: &'a MemberId,
    ) -> Result<Self, Vec<FieldError>> {
        let mut check = Check {
            lists,
            errors: Vec::new(),
        };
        // Changed where it is: its messages are large, and moving them to and fro costs as much as checking them.
        let mut draft = draft.into();
        let Some(kind) = v1::RecordKind::try_from(draft.kind)
            .ok()
            .and_then(|kind| RecordKind::try_from(kind).ok())
        else {
            let why = "it is `seizure`, `suspect` or `company`";
            return Err(vec![FieldError::new(Path::top("kind"), "", Reason::Missing(why))]);
        };
        draft.kind = v1::RecordKind::from(kind).into();
        check.draft(kind, originator, &mut draft);
        let record = Self { kind, draft };
        let bytes = record.encoded_len();
        if bytes > RECORD_BYTES_MAX {
            let reason = Reason::RecordTooLarge {
                bytes,
                max: RECORD_BYTES_MAX,
            };
            check.refuse(Path::top("record"), "", reason);
        }
        if check.errors.is_empty() {
            Ok(record)
        } else {
            Err(check.errors)
        }
    }

    /// What the record is about.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        self.kind
    }

    /// The validated contents. Sections without contents are None.
    #[must_use]
    pub const fn draft(&self) -> &Draft<'a> {
        &self.draft
    }

    /// Commits to the record and gives the view with all its sections: version 1 is an `ISSUE`, a later one an `AMEND`.
    /// `entropy` must be a cryptographic source.
    #[must_use]
    pub fn seal<R: Rng + ?Sized>(&self, id: RecordId, version: u32, entropy: &mut R) -> View {
        let mut sealer = Sealer::with_capacity(self.encoded_len());
        sealer.seal(self, id, version, entropy);
        #[expect(clippy::expect_used, reason = "one was sealed")]
        sealer.finish().next().expect("as many views as records were sealed")
    }

    /// What its entry says of it.
    pub(crate) const fn head(&self, id: RecordId, version: u32) -> EntryHead {
        EntryHead {
            kind: if version <= 1 {
                EntryKind::Issue
            } else {
                EntryKind::Amend
            },
            record_kind: self.kind,
            record_id: id,
            version,
        }
    }

    /// A section, if anything is set in it.
    pub(crate) fn section(&self, kind: SectionKind) -> Option<&dyn Encode> {
        fn encoded<E: Encode>(section: &Option<E>) -> Option<&dyn Encode> {
            section.as_ref().map(|section| section as &dyn Encode)
        }
        let draft = &self.draft;
        match kind {
            SectionKind::Case => encoded(&draft.case),
            SectionKind::Exact => encoded(&draft.exact),
            SectionKind::References => encoded(&draft.references),
            SectionKind::Persons => encoded(&draft.persons),
            SectionKind::Companies => encoded(&draft.companies),
            SectionKind::Narrative => encoded(&draft.narrative),
            SectionKind::Images => encoded(&draft.images),
        }
    }

    /// How many bytes its sections have, encoded.
    fn encoded_len(&self) -> usize {
        let sections = SectionKind::ALL.into_iter().filter_map(|kind| self.section(kind));
        sections.map(Encode::encoded_len).sum()
    }
}

impl std::fmt::Debug for Record<'_> {
    /// Never the contents.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl<'a> Check<'a> {
    fn draft(&mut self, kind: RecordKind, originator: &'a MemberId, draft: &mut Draft<'a>) {
        let Draft {
            kind: _,
            case,
            exact: exact_section,
            references: reference_section,
            persons: person_section,
            companies: company_section,
            narrative,
            images: image_section,
        } = draft;
        let case = case.get_or_insert_default();
        let exact_message = exact_section.get_or_insert_default();
        let form = Form {
            kind,
            short: case.short_form,
        };

        self.class(form, case.class.get_or_insert_default());
        let date = self.case(form, case, exact_message);
        goods(self, form, &mut case.goods, &mut exact_message.goods);
        exact(self, exact_message);
        drop_empty(exact_section);

        references(self, form, reference_section.get_or_insert_default());
        drop_empty(reference_section);

        let draft::Persons { persons: identities } = person_section.get_or_insert_default();
        persons(self, date, &mut case.persons, identities);
        drop_empty(person_section);

        let draft::Companies { companies: identities } = company_section.get_or_insert_default();
        companies(self, &mut case.companies, identities);
        drop_empty(company_section);
        match kind {
            RecordKind::Suspect if case.persons.is_empty() => {
                self.refuse(
                    Path::top("persons"),
                    "",
                    Reason::Missing("a suspect record has a person"),
                );
            }
            RecordKind::Company if case.companies.is_empty() => {
                self.refuse(
                    Path::top("companies"),
                    "",
                    Reason::Missing("a company record has a company"),
                );
            }
            _ => {}
        }

        self.narrative(narrative.get_or_insert_default());
        drop_empty(narrative);

        let draft::Images { images: items } = image_section.get_or_insert_default();
        images(self, items);
        drop_empty(image_section);

        self.derive_class(kind, originator, case);
    }

    fn narrative(&mut self, narrative: &mut draft::Narrative<'_>) {
        let draft::Narrative {
            narrative,
            goods_description,
            concealment_description,
            handling_conditions,
        } = narrative;
        self.lines(Path::top("narrative"), narrative, NARRATIVE_BYTES_MAX);
        self.lines(Path::top("goods_description"), goods_description, NARRATIVE_BYTES_MAX);
        self.lines(
            Path::top("concealment_description"),
            concealment_description,
            NARRATIVE_BYTES_MAX,
        );
        self.lines(
            Path::top("handling_conditions"),
            handling_conditions,
            NARRATIVE_BYTES_MAX,
        );
    }

    /// Sets what the node knows better than the draft; refuses a draft that says otherwise.
    fn derive_class(&mut self, kind: RecordKind, originator: &'a MemberId, case: &mut draft::Case<'a>) {
        let mut categories: Vec<Text<'a>> = case.goods.iter().map(|goods| goods.category.clone()).collect();
        categories.sort();
        categories.dedup();
        let class = case.class.get_or_insert_default();
        let mut given = std::mem::replace(&mut class.categories, categories);
        given.sort();
        given.dedup();
        if !given.is_empty() && given != class.categories {
            let expected = class.categories.join(", ");
            self.refuse(
                Path::top("categories"),
                &given.join(", "),
                Reason::Contradicts {
                    field: "goods",
                    expected,
                },
            );
        }
        let expected = i32::from(v1::RecordKind::from(kind));
        if class.kind != 0 && class.kind != expected {
            let reason = Reason::Contradicts {
                field: "the record's kind",
                expected: kind.to_string(),
            };
            self.refuse(Path::top("class").field("kind"), &class.kind.to_string(), reason);
        }
        class.kind = expected;
        if !class.originator.is_empty() && class.originator != originator.as_str() {
            let reason = Reason::Contradicts {
                field: "the node's identity",
                expected: originator.to_string(),
            };
            self.refuse(Path::top("originator"), &class.originator, reason);
        }
        class.originator = originator.as_str().into();
    }
}

/// A message in which nothing is set goes: an empty section is not committed to.
fn drop_empty<M: Default + PartialEq>(section: &mut Option<M>) {
    if section.as_ref().is_some_and(|message| *message == M::default()) {
        *section = None;
    }
}

#[cfg(test)]
pub(crate) mod tests;
