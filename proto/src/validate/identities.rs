//! Persons and companies: the profile that may be known to all, and the identity that belongs to it by position.

use std::borrow::Cow;

use time::Date;

use super::dates::{age, age_band, month};
use super::{Check, ITEMS_MAX, PARTS_MAX};
use crate::codes::List;
use crate::draft::{Address, Company, CompanyProfile, IdentityPaper, Person, PersonProfile};
use crate::field::{Path, Reason};

/// Checks profiles and identities of persons and sets age bands; `seized` is the date that ages are counted at.
pub(crate) fn persons(
    check: &mut Check<'_>,
    seized: Option<Date>,
    profiles: &mut Vec<PersonProfile<'_>>,
    identities: &mut Vec<Person<'_>>,
) {
    let path = Path::top("persons");
    check.bounded(path, profiles, ITEMS_MAX);
    check.bounded(path, identities, ITEMS_MAX);
    check.joined(path, identities, profiles.len());
    for (index, profile) in profiles.iter_mut().enumerate() {
        let path = path.at(index);
        let PersonProfile {
            role,
            sex,
            nationality,
            age_band,
        } = profile;
        check.require(
            path.field("role"),
            role,
            "a person has a role; `unknown` if it is not known",
        );
        check.code(path.field("role"), role, List::PersonRole);
        check.code(path.field("sex"), sex, List::Sex);
        check.code(path.field("nationality"), nationality, List::Country);
        check.code(path.field("age_band"), age_band, List::AgeBand);
    }
    for (index, (identity, profile)) in identities.iter_mut().zip(profiles.iter_mut()).enumerate() {
        person(check, path.at(index), seized, identity, profile);
    }
    check.joined(path, identities, profiles.len());
}

fn person(
    check: &mut Check<'_>,
    path: Path<'_>,
    seized: Option<Date>,
    person: &mut Person<'_>,
    profile: &mut PersonProfile<'_>,
) {
    let Person {
        family_name,
        given_names,
        aliases,
        birth_date,
        birth_place,
        papers,
        addresses,
        phones,
        occupation,
        physical_characteristics,
        entry_reason,
        suggested_action,
        warnings,
    } = person;
    check.text(path.field("family_name"), family_name);
    check.text(path.field("given_names"), given_names);
    check.texts(path.field("aliases"), aliases, PARTS_MAX);
    check.text(path.field("birth_place"), birth_place);
    check.bounded(path.field("papers"), papers, PARTS_MAX);
    for (index, paper) in papers.iter_mut().enumerate() {
        let path = path.field("papers").at(index);
        let IdentityPaper {
            r#type,
            number,
            issuing_country,
        } = paper;
        check.require(path.field("type"), r#type, "a paper has a type");
        check.code(path.field("type"), r#type, List::IdentityPaper);
        check.text(path.field("number"), number);
        check.code(path.field("issuing_country"), issuing_country, List::Country);
    }
    check.addresses(path, addresses);
    check.texts(path.field("phones"), phones, PARTS_MAX);
    check.text(path.field("occupation"), occupation);
    check.text(path.field("physical_characteristics"), physical_characteristics);
    check.text(path.field("entry_reason"), entry_reason);
    check.code(path.field("suggested_action"), suggested_action, List::SuggestedAction);
    check.bounded(path.field("warnings"), warnings, PARTS_MAX);
    for (index, warning) in warnings.iter_mut().enumerate() {
        check.code(path.field("warnings").at(index), warning, List::Warning);
    }
    let birth = check.birth_date(path.field("birth_date"), birth_date);
    let (Some(birth), Some(seized)) = (birth, seized) else {
        return;
    };
    let Some(age) = age(birth, seized) else {
        let expected = month(seized);
        return check.refuse(
            path.field("birth_date"),
            birth_date,
            Reason::Contradicts {
                field: "seizure_date",
                expected,
            },
        );
    };
    let band = age_band(age);
    if !profile.age_band.is_empty() && profile.age_band != band {
        let expected = band.to_owned();
        check.refuse(
            path.field("age_band"),
            &profile.age_band,
            Reason::Contradicts {
                field: "birth_date",
                expected,
            },
        );
    }
    profile.age_band = Cow::Borrowed(band);
}

/// Checks profiles and identities of companies.
pub(crate) fn companies(
    check: &mut Check<'_>,
    profiles: &mut Vec<CompanyProfile<'_>>,
    identities: &mut Vec<Company<'_>>,
) {
    let path = Path::top("companies");
    check.bounded(path, profiles, ITEMS_MAX);
    check.bounded(path, identities, ITEMS_MAX);
    check.joined(path, identities, profiles.len());
    for (index, profile) in profiles.iter_mut().enumerate() {
        let path = path.at(index);
        let CompanyProfile { role, country } = profile;
        check.require(
            path.field("role"),
            role,
            "a company has a role; `unknown` if it is not known",
        );
        check.code(path.field("role"), role, List::CompanyRole);
        check.code(path.field("country"), country, List::Country);
    }
    for (index, company) in identities.iter_mut().enumerate() {
        let path = path.at(index);
        let Company {
            name,
            registration_number,
            vat_number,
            addresses,
        } = company;
        check.text(path.field("name"), name);
        check.text(path.field("registration_number"), registration_number);
        check.text(path.field("vat_number"), vat_number);
        check.addresses(path, addresses);
    }
    check.joined(path, identities, profiles.len());
}

impl Check<'_> {
    fn addresses(&mut self, parent: Path<'_>, addresses: &mut Vec<Address<'_>>) {
        self.bounded(parent.field("addresses"), addresses, PARTS_MAX);
        for (index, address) in addresses.iter_mut().enumerate() {
            let path = parent.field("addresses").at(index);
            let Address {
                lines,
                postcode,
                city,
                country,
            } = address;
            self.lines(path.field("lines"), lines, super::TEXT_BYTES_MAX);
            self.text(path.field("postcode"), postcode);
            self.text(path.field("city"), city);
            self.code(path.field("country"), country, List::Country);
        }
    }
}
