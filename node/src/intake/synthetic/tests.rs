//! Synthetic files: the same for the same seed, counted right, readable by our own template.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::ops::ControlFlow;

use super::*;
use crate::intake::mapping::{Owner, test_lists};
use crate::intake::rows::{ReadOptions, Source};

fn synthetic(rows: u64, seed: u64) -> Synthetic {
    Synthetic {
        form: Form::Short,
        members: ["KE", "UG", "TZ"].map(|id| id.parse().unwrap()).to_vec(),
        rows,
        seed,
        other_goods_per_mille: OTHER_GOODS_PER_MILLE,
        bad_per_mille: 40,
        foreign_per_mille: 20,
    }
}

fn template() -> Mapping {
    Mapping::builtin("icomm-template", &test_lists()).unwrap()
}

fn written(synthetic: &Synthetic) -> (Vec<u8>, Made) {
    let mut file = Vec::new();
    let made = synthetic.write(&mut file, &template()).unwrap();
    (file, made)
}

#[test]
fn a_seed_makes_one_file() {
    let (first, made) = written(&synthetic(500, 7));
    assert_eq!(written(&synthetic(500, 7)), (first.clone(), made));
    assert_ne!(written(&synthetic(500, 8)).0, first);
    // A longer file begins with the shorter one.
    assert!(written(&synthetic(600, 7)).0.starts_with(&first));
}

#[test]
fn everybody_gets_rows_and_nobody_a_real_name() {
    let (file, made) = written(&synthetic(4_000, 1));
    let all: u64 = made.good.values().chain(made.bad.values()).sum();
    assert_eq!(made.rows, all + made.unattributed + made.foreign);
    assert!(
        made.repeated > 10 && made.foreign > 10 && made.unattributed > 2,
        "{made:?}"
    );
    let rows: Vec<u64> = made.good.values().copied().collect();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|rows| *rows > 300), "{made:?}");
    let text = String::from_utf8(file).unwrap();
    assert!(text.contains("Synth-") && text.contains("Synthetic case") && text.contains("(synthetic)"));
}

#[test]
fn the_template_reads_what_was_made() {
    let mapping = template();
    let (file, made) = written(&synthetic(3_000, 3));
    let (mut rows, mut good, mut unattributed, mut foreign) = (0, 0, 0, 0);
    Source::from_bytes(Cursor::new(file), ReadOptions::default())
        .unwrap()
        .read(&mut |reading| {
            rows += 1;
            let Ok(row) = reading else {
                unattributed += 1;
                return ControlFlow::Continue(());
            };
            match mapping.owner(row) {
                Ok(Owner::Member(member)) if made.good.contains_key(&member) => {
                    good += u64::from(mapping.draft(row).is_ok());
                }
                Ok(_) => foreign += 1,
                Err(_) => unattributed += 1,
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(
        (rows, foreign, unattributed),
        (made.rows, made.foreign, made.unattributed)
    );
    // Some bad rows are good drafts: that a ship's number is wrong is for validation to find.
    let bad: u64 = made.bad.values().sum();
    let really_good: u64 = made.good.values().sum();
    assert!((really_good..really_good + bad).contains(&good), "{good} {made:?}");
}

/// The columns of a file that are filled in any row of it, and how many cells of a row are on average.
fn filled(file: &[u8]) -> (BTreeSet<String>, f64) {
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().unwrap().clone();
    let (mut columns, mut cells, mut rows) = (BTreeSet::new(), 0, 0);
    for row in reader.records() {
        let row = row.unwrap();
        let filled = header.iter().zip(&row).filter(|(_, text)| !text.is_empty());
        cells += filled.clone().count();
        rows += 1;
        columns.extend(filled.map(|(name, _)| name.to_owned()));
    }
    (columns, cells as f64 / f64::from(rows))
}

#[test]
fn the_long_form_fills_the_template() {
    let good = |form| Synthetic {
        form,
        bad_per_mille: 0,
        ..synthetic(3_000, 9)
    };
    let (short, _) = written(&good(Form::Short));
    let (long, made) = written(&good(Form::Long));
    assert_eq!(made.bad.len(), 0);
    let blank = |file: &[u8]| {
        let (columns, cells) = filled(file);
        let template = template();
        let blank = template.template().into_iter().filter(|name| !columns.contains(*name));
        (blank.map(str::to_owned).collect::<Vec<_>>(), cells)
    };
    let (never, cells) = blank(&long);
    // What the rows are of, which is a seizure where nothing is said; the simplified form; and operations, whose data would
    // wait for an approval.
    assert_eq!(never, ["record_kind", "short_form", "operation_id"]);
    let (_, usually) = blank(&short);
    assert!(cells > 80.0 && usually < 30.0, "{cells} cells, {usually} usually");
}

#[test]
fn goods_of_one_consignment_are_of_one_category() {
    let (file, _) = written(&Synthetic {
        form: Form::Long,
        bad_per_mille: 0,
        other_goods_per_mille: 500,
        ..synthetic(2_000, 4)
    });
    let mut reader = csv::Reader::from_reader(file.as_slice());
    let header = reader.headers().unwrap().clone();
    let category = |number| {
        let name = format!("goods_{number}_category");
        header.iter().position(|column| column == name).unwrap()
    };
    let [first, second, third] = [1, 2, 3].map(category);
    let mut several = 0;
    for row in reader.records() {
        let row = row.unwrap();
        for further in [second, third]
            .map(|at| &row[at])
            .into_iter()
            .filter(|text| !text.is_empty())
        {
            assert_eq!(further, &row[first]);
            several += 1;
        }
    }
    assert!(several > 2_000, "{several} further goods");
}
