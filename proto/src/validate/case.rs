//! The case itself, its route and conveyance, references and images.

use time::Date;

use super::dates::month_of;
use super::{Check, ITEMS_MAX, PARTS_MAX};
use crate::codes::List;
use crate::draft::{Case, Class, Exact, Image, Leg, LegExact, References, Text};
use crate::field::{Path, Reason};
use crate::id::RecordId;
use crate::photo::PHOTO_BYTES_MAX;
use crate::record::Form;

/// Longest id of an operation, in bytes.
const OPERATION_ID_BYTES_MAX: usize = 64;
/// Bytes of a SHA-256.
const HASH_BYTES: usize = 32;

impl Check<'_> {
    /// The class but for kind, originator and categories, which `Record::validate` sets.
    pub(crate) fn class(&mut self, form: Form, class: &mut Class<'_>) {
        let Class {
            kind: _,
            originator: _,
            report_type,
            handling_code,
            categories: _,
            seizure_country,
            operation_id,
        } = class;
        self.require(Path::top("report_type"), report_type, Form::MINIMUM);
        self.code(Path::top("report_type"), report_type, List::ReportType);
        self.require(Path::top("handling_code"), handling_code, Form::MINIMUM);
        self.code(Path::top("handling_code"), handling_code, List::HandlingCode);
        if form.is_seizure() {
            self.require(Path::top("seizure_country"), seizure_country, Form::MINIMUM);
        }
        self.code(Path::top("seizure_country"), seizure_country, List::Country);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if operation_id.len() > OPERATION_ID_BYTES_MAX || !operation_id.bytes().all(allowed) {
            let form = "an operation's id: up to 64 letters, digits, `.`, `_` and `-`";
            self.refuse(Path::top("operation_id"), operation_id, Reason::Form(form));
        }
    }

    /// What is left of the case without its class, goods, persons and companies. Gives the date of the seizure.
    pub(crate) fn case<'a>(&mut self, form: Form, case: &mut Case<'a>, exact: &mut Exact<'a>) -> Option<Date> {
        let Case {
            class: _,
            validation_status,
            seizure_month,
            location_type,
            direction,
            detection_method,
            source_evaluation,
            information_evaluation,
            outcome,
            goods: _,
            legs,
            conveyance_type,
            conveyance_flag,
            concealment,
            persons: _,
            companies: _,
            related_records,
            short_form: _,
        } = case;
        // Which forms need a field, and how they say so.
        let minimum = form.is_seizure().then_some(Form::MINIMUM);
        let (long, long_seizure) = (
            form.is_long().then_some(Form::LONG),
            form.is_long_seizure().then_some(Form::LONG),
        );
        let coded: [(&'static str, &mut Text<'_>, List, Option<&'static str>); 10] = [
            ("validation_status", validation_status, List::ValidationStatus, long),
            ("location_type", location_type, List::LocationType, long_seizure),
            ("direction", direction, List::Direction, long_seizure),
            (
                "detection_method",
                detection_method,
                List::DetectionMethod,
                long_seizure,
            ),
            ("concealment", concealment, List::Concealment, long_seizure),
            ("conveyance_type", conveyance_type, List::ConveyanceType, minimum),
            ("conveyance_flag", conveyance_flag, List::Country, None),
            ("source_evaluation", source_evaluation, List::SourceEvaluation, None),
            (
                "information_evaluation",
                information_evaluation,
                List::InformationEvaluation,
                None,
            ),
            ("outcome", outcome, List::Outcome, None),
        ];
        for (name, value, list, mandatory) in coded {
            if let Some(why) = mandatory {
                self.require(Path::top(name), value, why);
            }
            self.code(Path::top(name), value, list);
        }
        self.related(related_records);
        self.legs(form, legs, &mut exact.legs);
        self.date(form, seizure_month, &mut exact.seizure_date)
    }

    fn related(&mut self, related: &mut Vec<Text<'_>>) {
        let path = Path::top("related_records");
        self.bounded(path, related, ITEMS_MAX);
        for (index, id) in related.iter().enumerate() {
            if id.parse::<RecordId>().is_err() {
                self.refuse(path.at(index), id, Reason::Form("a record id"));
            }
        }
    }

    fn legs(&mut self, form: Form, legs: &mut Vec<Leg<'_>>, exact: &mut Vec<LegExact<'_>>) {
        let path = Path::top("legs");
        self.bounded(path, legs, ITEMS_MAX);
        self.bounded(path, exact, ITEMS_MAX);
        if form.is_long_seizure() && legs.is_empty() {
            self.refuse(path, "", Reason::Missing(Form::LONG));
        }
        for (index, leg) in legs.iter_mut().enumerate() {
            let path = path.at(index);
            let Leg { role, country } = leg;
            self.require(path.field("role"), role, "a leg has a role");
            self.code(path.field("role"), role, List::LegRole);
            self.code(path.field("country"), country, List::Country);
        }
        for (index, leg) in exact.iter_mut().enumerate() {
            let LegExact { place } = leg;
            self.place(path.at(index).field("place"), place);
        }
        self.joined(path, exact, legs.len());
    }

    /// The exact date decides the month; without one, the short form may give the month alone.
    fn date<'a>(&mut self, form: Form, month: &mut Text<'a>, exact: &mut Text<'a>) -> Option<Date> {
        let (date_path, month_path) = (Path::top("seizure_date"), Path::top("seizure_month"));
        let date = self.seizure_date(date_path, exact);
        if exact.is_empty() {
            match &**month {
                "" if form.is_seizure() => self.require(date_path, "", Form::MINIMUM),
                "" => {}
                _ if form.is_long_seizure() => self.require(date_path, "", Form::LONG),
                _ => self.month(month_path, month),
            }
        }
        if date.is_some() {
            let expected = month_of(exact);
            if !month.is_empty() && *month != expected {
                let expected = expected.to_string();
                self.refuse(
                    month_path,
                    month,
                    Reason::Contradicts {
                        field: "seizure_date",
                        expected,
                    },
                );
            }
            *month = expected;
        }
        date
    }
}

/// What is left of the exact section without date, goods and legs.
pub(crate) fn exact(check: &mut Check<'_>, exact: &mut Exact<'_>) {
    let Exact {
        seizure_date: _,
        admin_division,
        place,
        customs_office,
        goods: _,
        legs: _,
        vessel_name,
        vessel_imo,
        vessel_mmsi,
        vessel_call_sign,
        aircraft_registration,
        flight_number,
        container_numbers,
    } = exact;
    check.text(Path::top("admin_division"), admin_division);
    check.place(Path::top("place"), place);
    check.text(Path::top("customs_office"), customs_office);
    check.text(Path::top("vessel_name"), vessel_name);
    check.imo(Path::top("vessel_imo"), vessel_imo);
    check.mmsi(Path::top("vessel_mmsi"), vessel_mmsi);
    check.mark(Path::top("vessel_call_sign"), vessel_call_sign, 10);
    check.mark(Path::top("aircraft_registration"), aircraft_registration, 12);
    check.mark(Path::top("flight_number"), flight_number, 8);
    let path = Path::top("container_numbers");
    check.bounded(path, container_numbers, ITEMS_MAX);
    for (index, container) in container_numbers.iter_mut().enumerate() {
        check.container(path.at(index), container);
    }
    container_numbers.retain(|container| !container.is_empty());
}

/// References to one consignment.
pub(crate) fn references(check: &mut Check<'_>, form: Form, references: &mut References<'_>) {
    let References {
        national_reference,
        seals,
        bills_of_lading,
        air_waybills,
        parcel_numbers,
        vehicle_registrations,
    } = references;
    if form.is_long() {
        check.require(Path::top("national_reference"), national_reference, Form::LONG);
    }
    check.text(Path::top("national_reference"), national_reference);
    check.texts(Path::top("seals"), seals, ITEMS_MAX);
    check.texts(Path::top("bills_of_lading"), bills_of_lading, ITEMS_MAX);
    check.texts(Path::top("air_waybills"), air_waybills, ITEMS_MAX);
    check.texts(Path::top("parcel_numbers"), parcel_numbers, ITEMS_MAX);
    check.texts(Path::top("vehicle_registrations"), vehicle_registrations, PARTS_MAX);
}

/// Photos: their hashes, sizes and types.
pub(crate) fn images(check: &mut Check<'_>, images: &mut Vec<Image<'_>>) {
    let path = Path::top("images");
    check.bounded(path, images, ITEMS_MAX);
    for (index, image) in images.iter_mut().enumerate() {
        let path = path.at(index);
        let Image {
            sha256,
            media_type,
            size,
            kind,
            pieces,
        } = image;
        if sha256.len() != HASH_BYTES {
            check.refuse(path.field("sha256"), "", Reason::Form("a SHA-256 of 32 bytes"));
        }
        if pieces.len() != HASH_BYTES {
            check.refuse(path.field("pieces"), "", Reason::Form("a SHA-256 of 32 bytes"));
        }
        if *size == 0 || *size > PHOTO_BYTES_MAX {
            let why = "an image has one byte or more, and 32 MiB at most";
            check.refuse(path.field("size"), &size.to_string(), Reason::Range(why));
        }
        check.require(path.field("media_type"), media_type, "an image has a media type");
        check.code(path.field("media_type"), media_type, List::MediaType);
        check.require(path.field("kind"), kind, "an image has a kind");
        check.code(path.field("kind"), kind, List::ImageKind);
    }
}
