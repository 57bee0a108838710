//! Goods: their codes, and the bands and normal unit that stand for exact numbers.

use std::borrow::Cow;

use super::numbers::{quantity_band, value_band};
use super::{Check, ITEMS_MAX, trimmed};
use crate::codes::List;
use crate::draft::{Goods, GoodsExact};
use crate::field::{Path, Reason};
use crate::record::Form;

/// Checks the goods of a record and generalises them; `exact` gets as many items as `goods`, or none.
pub(crate) fn goods<'a>(
    check: &mut Check<'a>,
    form: Form,
    goods: &mut Vec<Goods<'a>>,
    exact: &mut Vec<GoodsExact<'a>>,
) {
    let path = Path::top("goods");
    check.bounded(path, goods, ITEMS_MAX);
    check.bounded(path, exact, ITEMS_MAX);
    if form.is_seizure() && goods.is_empty() {
        check.refuse(path, "", Reason::Missing("a seizure has goods"));
    }
    check.joined(path, exact, goods.len());
    let mut none = Vec::new();
    let exact_items = if exact.is_empty() {
        none.resize(goods.len(), GoodsExact::default());
        &mut none
    } else {
        &mut *exact
    };
    for (index, (general, exact)) in goods.iter_mut().zip(exact_items).enumerate() {
        item(check, form, path.at(index), general, exact);
    }
    check.joined(path, exact, goods.len());
}

fn item<'a>(check: &mut Check<'a>, form: Form, path: Path<'_>, general: &mut Goods<'a>, exact: &mut GoodsExact<'a>) {
    // Destructured in full: a new field breaks the build until somebody decides what its rules are.
    let Goods {
        category,
        kind,
        hs_code,
        quantity_band: _,
        unit: _,
        package_type,
        package_count: _,
        value_band: _,
        currency,
        species,
        cites_appendix,
        producing_country,
    } = general;
    check.require(path.field("category"), category, Form::MINIMUM);
    if check.code(path.field("category"), category, List::CommodityCategory)
        && let Some(kinds) = List::of_kinds(category)
    {
        check.code(path.field("kind"), kind, kinds);
    }
    if form.is_long_seizure() {
        check.require(path.field("kind"), kind, Form::LONG);
    }
    check.hs(path.field("hs_code"), hs_code);
    check.code(path.field("package_type"), package_type, List::PackageType);
    check.code(path.field("currency"), currency, List::Currency);
    check.text(path.field("species"), species);
    check.code(path.field("cites_appendix"), cites_appendix, List::CitesAppendix);
    check.code(path.field("producing_country"), producing_country, List::Country);

    let GoodsExact {
        quantity: _,
        unit: _,
        value: _,
        brand,
    } = exact;
    check.text(path.field("brand"), brand);
    quantity(check, form, path, general, exact);
    value(check, path, general, exact);
}

/// The exact quantity decides the band and the normal unit; without one, the band may be given.
fn quantity<'a>(
    check: &mut Check<'a>,
    form: Form,
    path: Path<'_>,
    general: &mut Goods<'a>,
    exact: &mut GoodsExact<'a>,
) {
    let (quantity_path, unit_path, band_path) =
        (path.field("quantity"), path.field("unit"), path.field("quantity_band"));
    let number = check.decimal(quantity_path, &mut exact.quantity);
    check.code(band_path, &mut general.quantity_band, List::QuantityBand);
    if exact.quantity.is_empty() {
        check.code(unit_path, &mut general.unit, List::Unit);
        if !trimmed(&exact.unit).is_empty() {
            check.require(quantity_path, "", "it is given a unit");
        } else if form.is_seizure() {
            check.require(quantity_path, &general.quantity_band, Form::MINIMUM);
        }
        if !general.quantity_band.is_empty() {
            check.require(unit_path, &general.unit, "a quantity has a unit");
        }
        return;
    }
    // A draft may say the unit in either place.
    if trimmed(&exact.unit).is_empty() {
        exact.unit.clone_from(&general.unit);
    }
    check.require(unit_path, trimmed(&exact.unit), "a quantity has a unit");
    if !check.code(unit_path, &mut exact.unit, List::Unit) {
        return;
    }
    let Some(number) = number else { return };
    let (unit, normal) = match check.lists.conversion(&exact.unit) {
        Some(conversion) => (
            Cow::Borrowed(conversion.unit.as_str()),
            number.saturating_mul(conversion.factor),
        ),
        None => (exact.unit.clone(), number),
    };
    let band = quantity_band(normal);
    if !general.quantity_band.is_empty() && general.quantity_band != band {
        let expected = band.to_owned();
        check.refuse(
            band_path,
            &general.quantity_band,
            Reason::Contradicts {
                field: "the exact quantity",
                expected,
            },
        );
    }
    if !general.unit.is_empty() && general.unit != unit && general.unit != exact.unit {
        let expected = unit.to_string();
        check.refuse(
            unit_path,
            &general.unit,
            Reason::Contradicts {
                field: "the unit of the exact quantity",
                expected,
            },
        );
    }
    general.unit = unit;
    general.quantity_band = Cow::Borrowed(band);
}

fn value(check: &mut Check<'_>, path: Path<'_>, general: &mut Goods<'_>, exact: &mut GoodsExact<'_>) {
    let band_path = path.field("value_band");
    check.code(band_path, &mut general.value_band, List::ValueBand);
    if let Some(number) = check.decimal(path.field("value"), &mut exact.value) {
        let band = value_band(number);
        if !general.value_band.is_empty() && general.value_band != band {
            let expected = band.to_owned();
            check.refuse(
                band_path,
                &general.value_band,
                Reason::Contradicts {
                    field: "the exact value",
                    expected,
                },
            );
        }
        general.value_band = Cow::Borrowed(band);
    }
    if !general.value_band.is_empty() {
        check.require(path.field("currency"), &general.currency, "a value has a currency");
    }
}
