//! Targets: the fields of a draft, by the names that mappings use.
//!
//! The names leave sections out (`persons[0].role` is open, `persons[0].family_name` nominal): which section a field belongs
//! to is the model's business, and lists that span sections are joined by position here. An index in brackets is the place
//! in a list, from 0: `goods[1].kind`.

use icomm_proto::draft::{self, Draft};

/// The highest index that a mapping may use, plus one.
pub(super) const INDEX_MAX: usize = u32::BITS as usize;

/// Up to two places in lists: `persons[0].papers[1].number`.
pub(super) type At = [u8; 2];

/// A field of a draft at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Index into [`TARGETS`].
    field: u8,
    list: Option<List>,
    /// Where in its lists.
    pub(super) at: At,
}

/// How a field is reached and what it holds.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    Text(for<'d, 'a> fn(&'d mut Draft<'a>, At) -> &'d mut draft::Text<'a>),
    Texts(for<'d, 'a> fn(&'d mut Draft<'a>, At) -> &'d mut Vec<draft::Text<'a>>),
    Count(for<'d, 'a> fn(&'d mut Draft<'a>, At) -> &'d mut u32),
    Flag(for<'d, 'a> fn(&'d mut Draft<'a>, At) -> &'d mut bool),
    Kind,
}

/// The lists of a draft whose elements stand in several sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Goods,
    Legs,
    Persons,
    Companies,
}

impl List {
    pub(super) const ALL: [Self; 4] = [Self::Goods, Self::Legs, Self::Persons, Self::Companies];

    fn prefix(self) -> &'static str {
        match self {
            Self::Goods => "goods[]",
            Self::Legs => "legs[]",
            Self::Persons => "persons[]",
            Self::Companies => "companies[]",
        }
    }
}

impl Target {
    /// Reads a name with its places; `None` where there is no such field.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut name = String::with_capacity(text.len());
        let mut at = [0; 2];
        let mut places = at.iter_mut();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('[') {
            let (index, after) = after.split_once(']')?;
            let index: u8 = index.parse().ok().filter(|index| usize::from(*index) < INDEX_MAX)?;
            *places.next()? = index;
            name.push_str(before);
            name.push_str("[]");
            rest = after;
        }
        name.push_str(rest);
        let field = TARGETS.iter().position(|(known, _)| *known == name)?;
        let field = u8::try_from(field).ok()?;
        let list = List::ALL.into_iter().find(|list| name.starts_with(list.prefix()));
        Some(Self { field, list, at })
    }

    /// The name with `[]` for its places.
    pub(super) fn name(self) -> &'static str {
        TARGETS.get(usize::from(self.field)).map_or("", |(name, _)| name)
    }

    pub(super) fn slot(self) -> Option<Slot> {
        TARGETS.get(usize::from(self.field)).map(|(_, slot)| *slot)
    }

    /// The list that the field is in, if any.
    pub(super) fn list(self) -> Option<List> {
        self.list
    }

    /// Whether its text may have several lines.
    pub(super) fn is_prose(self) -> bool {
        matches!(
            self.name(),
            "narrative" | "goods_description" | "concealment_description" | "handling_conditions"
        )
    }

    /// The same field with its first place moved.
    pub(super) fn moved_to(self, first: u8) -> Self {
        let [_, second] = self.at;
        Self {
            at: [first, second],
            ..self
        }
    }
}

/// All names that a mapping may use.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TARGETS.iter().map(|(name, _)| *name)
}

use Slot::{Count, Flag, Kind, Text, Texts};

/// Every field that a row can fill. Those that the node sets itself (month, bands, originator…) are absent, and so are
/// images, which don't come in rows.
const TARGETS: &[(&str, Slot)] = &[
    ("kind", Kind),
    ("report_type", Text(|draft, _| &mut class(draft).report_type)),
    ("handling_code", Text(|draft, _| &mut class(draft).handling_code)),
    ("seizure_country", Text(|draft, _| &mut class(draft).seizure_country)),
    ("operation_id", Text(|draft, _| &mut class(draft).operation_id)),
    ("validation_status", Text(|draft, _| &mut case(draft).validation_status)),
    ("location_type", Text(|draft, _| &mut case(draft).location_type)),
    ("direction", Text(|draft, _| &mut case(draft).direction)),
    ("detection_method", Text(|draft, _| &mut case(draft).detection_method)),
    ("source_evaluation", Text(|draft, _| &mut case(draft).source_evaluation)),
    (
        "information_evaluation",
        Text(|draft, _| &mut case(draft).information_evaluation),
    ),
    ("outcome", Text(|draft, _| &mut case(draft).outcome)),
    ("conveyance_type", Text(|draft, _| &mut case(draft).conveyance_type)),
    ("conveyance_flag", Text(|draft, _| &mut case(draft).conveyance_flag)),
    ("concealment", Text(|draft, _| &mut case(draft).concealment)),
    ("related_records", Texts(|draft, _| &mut case(draft).related_records)),
    ("short_form", Flag(|draft, _| &mut case(draft).short_form)),
    ("goods[].category", Text(|draft, at| &mut goods(draft, at).category)),
    ("goods[].kind", Text(|draft, at| &mut goods(draft, at).kind)),
    ("goods[].hs_code", Text(|draft, at| &mut goods(draft, at).hs_code)),
    (
        "goods[].package_type",
        Text(|draft, at| &mut goods(draft, at).package_type),
    ),
    (
        "goods[].package_count",
        Count(|draft, at| &mut goods(draft, at).package_count),
    ),
    ("goods[].currency", Text(|draft, at| &mut goods(draft, at).currency)),
    ("goods[].species", Text(|draft, at| &mut goods(draft, at).species)),
    (
        "goods[].cites_appendix",
        Text(|draft, at| &mut goods(draft, at).cites_appendix),
    ),
    (
        "goods[].producing_country",
        Text(|draft, at| &mut goods(draft, at).producing_country),
    ),
    (
        "goods[].quantity",
        Text(|draft, at| &mut goods_exact(draft, at).quantity),
    ),
    ("goods[].unit", Text(|draft, at| &mut goods_exact(draft, at).unit)),
    ("goods[].value", Text(|draft, at| &mut goods_exact(draft, at).value)),
    ("goods[].brand", Text(|draft, at| &mut goods_exact(draft, at).brand)),
    ("legs[].role", Text(|draft, at| &mut leg(draft, at).role)),
    ("legs[].country", Text(|draft, at| &mut leg(draft, at).country)),
    (
        "legs[].place",
        Text(|draft, [first, _]| &mut item(&mut exact(draft).legs, first).place),
    ),
    ("seizure_date", Text(|draft, _| &mut exact(draft).seizure_date)),
    ("admin_division", Text(|draft, _| &mut exact(draft).admin_division)),
    ("place", Text(|draft, _| &mut exact(draft).place)),
    ("customs_office", Text(|draft, _| &mut exact(draft).customs_office)),
    ("vessel_name", Text(|draft, _| &mut exact(draft).vessel_name)),
    ("vessel_imo", Text(|draft, _| &mut exact(draft).vessel_imo)),
    ("vessel_mmsi", Text(|draft, _| &mut exact(draft).vessel_mmsi)),
    ("vessel_call_sign", Text(|draft, _| &mut exact(draft).vessel_call_sign)),
    (
        "aircraft_registration",
        Text(|draft, _| &mut exact(draft).aircraft_registration),
    ),
    ("flight_number", Text(|draft, _| &mut exact(draft).flight_number)),
    (
        "container_numbers",
        Texts(|draft, _| &mut exact(draft).container_numbers),
    ),
    (
        "national_reference",
        Text(|draft, _| &mut references(draft).national_reference),
    ),
    ("seals", Texts(|draft, _| &mut references(draft).seals)),
    (
        "bills_of_lading",
        Texts(|draft, _| &mut references(draft).bills_of_lading),
    ),
    ("air_waybills", Texts(|draft, _| &mut references(draft).air_waybills)),
    (
        "parcel_numbers",
        Texts(|draft, _| &mut references(draft).parcel_numbers),
    ),
    (
        "vehicle_registrations",
        Texts(|draft, _| &mut references(draft).vehicle_registrations),
    ),
    ("persons[].role", Text(|draft, at| &mut profile(draft, at).role)),
    ("persons[].sex", Text(|draft, at| &mut profile(draft, at).sex)),
    (
        "persons[].nationality",
        Text(|draft, at| &mut profile(draft, at).nationality),
    ),
    (
        "persons[].family_name",
        Text(|draft, at| &mut person(draft, at).family_name),
    ),
    (
        "persons[].given_names",
        Text(|draft, at| &mut person(draft, at).given_names),
    ),
    ("persons[].aliases", Texts(|draft, at| &mut person(draft, at).aliases)),
    (
        "persons[].birth_date",
        Text(|draft, at| &mut person(draft, at).birth_date),
    ),
    (
        "persons[].birth_place",
        Text(|draft, at| &mut person(draft, at).birth_place),
    ),
    (
        "persons[].papers[].type",
        Text(|draft, at| &mut paper(draft, at).r#type),
    ),
    (
        "persons[].papers[].number",
        Text(|draft, at| &mut paper(draft, at).number),
    ),
    (
        "persons[].papers[].issuing_country",
        Text(|draft, at| &mut paper(draft, at).issuing_country),
    ),
    (
        "persons[].addresses[].lines",
        Text(|draft, at| &mut home(draft, at).lines),
    ),
    (
        "persons[].addresses[].postcode",
        Text(|draft, at| &mut home(draft, at).postcode),
    ),
    (
        "persons[].addresses[].city",
        Text(|draft, at| &mut home(draft, at).city),
    ),
    (
        "persons[].addresses[].country",
        Text(|draft, at| &mut home(draft, at).country),
    ),
    ("persons[].phones", Texts(|draft, at| &mut person(draft, at).phones)),
    (
        "persons[].occupation",
        Text(|draft, at| &mut person(draft, at).occupation),
    ),
    (
        "persons[].physical_characteristics",
        Text(|draft, at| &mut person(draft, at).physical_characteristics),
    ),
    (
        "persons[].entry_reason",
        Text(|draft, at| &mut person(draft, at).entry_reason),
    ),
    (
        "persons[].suggested_action",
        Text(|draft, at| &mut person(draft, at).suggested_action),
    ),
    ("persons[].warnings", Texts(|draft, at| &mut person(draft, at).warnings)),
    (
        "companies[].role",
        Text(|draft, [first, _]| &mut item(&mut case(draft).companies, first).role),
    ),
    (
        "companies[].country",
        Text(|draft, [first, _]| &mut item(&mut case(draft).companies, first).country),
    ),
    ("companies[].name", Text(|draft, at| &mut company(draft, at).name)),
    (
        "companies[].registration_number",
        Text(|draft, at| &mut company(draft, at).registration_number),
    ),
    (
        "companies[].vat_number",
        Text(|draft, at| &mut company(draft, at).vat_number),
    ),
    (
        "companies[].addresses[].lines",
        Text(|draft, at| &mut seat(draft, at).lines),
    ),
    (
        "companies[].addresses[].postcode",
        Text(|draft, at| &mut seat(draft, at).postcode),
    ),
    (
        "companies[].addresses[].city",
        Text(|draft, at| &mut seat(draft, at).city),
    ),
    (
        "companies[].addresses[].country",
        Text(|draft, at| &mut seat(draft, at).country),
    ),
    ("narrative", Text(|draft, _| &mut narrative(draft).narrative)),
    (
        "goods_description",
        Text(|draft, _| &mut narrative(draft).goods_description),
    ),
    (
        "concealment_description",
        Text(|draft, _| &mut narrative(draft).concealment_description),
    ),
    (
        "handling_conditions",
        Text(|draft, _| &mut narrative(draft).handling_conditions),
    ),
];

fn case<'d, 'a>(draft: &'d mut Draft<'a>) -> &'d mut draft::Case<'a> {
    draft.case.get_or_insert_default()
}

fn class<'d, 'a>(draft: &'d mut Draft<'a>) -> &'d mut draft::Class<'a> {
    case(draft).class.get_or_insert_default()
}

fn exact<'d, 'a>(draft: &'d mut Draft<'a>) -> &'d mut draft::Exact<'a> {
    draft.exact.get_or_insert_default()
}

fn references<'d, 'a>(draft: &'d mut Draft<'a>) -> &'d mut draft::References<'a> {
    draft.references.get_or_insert_default()
}

fn narrative<'d, 'a>(draft: &'d mut Draft<'a>) -> &'d mut draft::Narrative<'a> {
    draft.narrative.get_or_insert_default()
}

fn goods<'d, 'a>(draft: &'d mut Draft<'a>, [first, _]: At) -> &'d mut draft::Goods<'a> {
    item(&mut case(draft).goods, first)
}

fn goods_exact<'d, 'a>(draft: &'d mut Draft<'a>, [first, _]: At) -> &'d mut draft::GoodsExact<'a> {
    item(&mut exact(draft).goods, first)
}

fn leg<'d, 'a>(draft: &'d mut Draft<'a>, [first, _]: At) -> &'d mut draft::Leg<'a> {
    item(&mut case(draft).legs, first)
}

fn profile<'d, 'a>(draft: &'d mut Draft<'a>, [first, _]: At) -> &'d mut draft::PersonProfile<'a> {
    item(&mut case(draft).persons, first)
}

fn person<'d, 'a>(draft: &'d mut Draft<'a>, [first, _]: At) -> &'d mut draft::Person<'a> {
    item(&mut draft.persons.get_or_insert_default().persons, first)
}

fn paper<'d, 'a>(draft: &'d mut Draft<'a>, at: At) -> &'d mut draft::IdentityPaper<'a> {
    let [_, second] = at;
    item(&mut person(draft, at).papers, second)
}

fn home<'d, 'a>(draft: &'d mut Draft<'a>, at: At) -> &'d mut draft::Address<'a> {
    let [_, second] = at;
    item(&mut person(draft, at).addresses, second)
}

fn company<'d, 'a>(draft: &'d mut Draft<'a>, [first, _]: At) -> &'d mut draft::Company<'a> {
    item(&mut draft.companies.get_or_insert_default().companies, first)
}

fn seat<'d, 'a>(draft: &'d mut Draft<'a>, at: At) -> &'d mut draft::Address<'a> {
    let [_, second] = at;
    item(&mut company(draft, at).addresses, second)
}

/// The element at `index`, after as many empty ones as it takes. Indices come from a mapping and are below [`INDEX_MAX`].
#[expect(
    clippy::indexing_slicing,
    reason = "the list was made long enough in the line before"
)]
fn item<T: Default>(list: &mut Vec<T>, index: u8) -> &mut T {
    let index = usize::from(index);
    if list.len() <= index {
        list.resize_with(index + 1, T::default);
    }
    &mut list[index]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_is_unique_and_reaches_a_field_of_its_own() {
        let names: HashSet<&str> = names().collect();
        assert_eq!(names.len(), TARGETS.len());
        assert!(TARGETS.len() <= usize::from(u8::MAX));
        let mut drafts = Vec::new();
        for (name, slot) in TARGETS {
            let target = Target::parse(&name.replace("[]", "[0]")).unwrap();
            assert_eq!(target.name(), *name);
            let mut draft = Draft::default();
            match slot {
                Text(reach) => *reach(&mut draft, target.at) = "x".into(),
                Texts(reach) => reach(&mut draft, target.at).push("x".into()),
                Count(reach) => *reach(&mut draft, target.at) = 1,
                Flag(reach) => *reach(&mut draft, target.at) = true,
                Kind => draft.kind = 1,
            }
            assert!(!drafts.contains(&draft), "{name} reaches another's field");
            drafts.push(draft);
        }
    }

    #[test]
    fn places() {
        let target = Target::parse("persons[2].papers[1].number").unwrap();
        assert_eq!((target.at, target.list()), ([2, 1], Some(List::Persons)));
        assert_eq!(Target::parse("place").unwrap().list(), None);
        for bad in [
            "goods.kind",
            "goods[].kind",
            "goods[32].kind",
            "goods[-1].kind",
            "goods[0]kind",
            "place[0]",
            "goods[0",
            "",
            "images[0].kind",
        ] {
            assert_eq!(Target::parse(bad), None, "{bad}");
        }
    }
}
