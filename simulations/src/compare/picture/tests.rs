//! A picture of figures as a large run could have them. The tables are tested on the same.

use std::collections::BTreeMap;

use quick_xml::{Reader, events::Event};

use super::{canvas, draw};
use crate::compare::{
    outcome::{Outcome, Standing},
    rows::Form,
    series::{Series, Spread},
    workload::{Absent, Kind},
    workloads,
};

fn spread(median: f64) -> Spread {
    Spread {
        median,
        low: median * 0.9,
        high: median * 1.1,
    }
}

fn standing(name: &'static str, kind: Kind, value: f64, cpu: Option<f64>, figures: &[(&str, f64)]) -> Standing {
    Standing {
        name,
        kind,
        remark: if name == "postgresql" {
            "with settings".to_owned()
        } else {
            String::new()
        },
        series: Series {
            value: spread(value),
            cpu_us_per_record: cpu.map(spread),
            figures: figures
                .iter()
                .map(|(name, value)| ((*name).to_owned(), spread(*value)))
                .collect::<BTreeMap<_, _>>(),
            rounds: 5,
        },
    }
}

fn outcome(name: &str, standings: Vec<Standing>, absent: Vec<Absent>) -> Outcome {
    let workload = *workloads::ALL.iter().find(|workload| workload.name == name).unwrap();
    Outcome {
        workload,
        size: workload.sizes.full,
        form: Form::Long,
        standings,
        absent,
    }
}

pub(in crate::compare) fn outcomes() -> Vec<Outcome> {
    use Kind::{Icomm, Limit, Peer};
    let absent = Absent {
        name: "nats",
        why: "there is no `nats-server` & <nothing> like it; Debian has it in the package `nats-server`".to_owned(),
    };
    vec![
        outcome(
            "import",
            vec![
                standing("icomm", Icomm, 61_400.0, Some(21.3), &[]),
                standing("postgresql", Peer, 143_000.0, Some(7.9), &[]),
                standing("parse-hash-write", Limit, 190_000.0, Some(4.2), &[]),
            ],
            vec![],
        ),
        outcome(
            "catch-up",
            vec![
                standing("icomm", Icomm, 312_000.0, Some(4.1), &[]),
                standing("postgresql", Peer, 78_400.0, Some(14.2), &[]),
                standing("nats", Peer, 221_000.0, Some(9.8), &[]),
                standing("bare-path", Limit, 398_000.0, Some(3.6), &[]),
            ],
            vec![],
        ),
        outcome(
            "single-commits",
            vec![
                standing("icomm", Icomm, 9_800.0, Some(140.0), &[]),
                standing("postgresql", Peer, 120.0, Some(811.0), &[]),
            ],
            vec![absent],
        ),
        outcome(
            "latency",
            vec![
                standing("icomm", Icomm, 9.3, None, &[]),
                standing("postgresql", Peer, 7.1, None, &[]),
            ],
            vec![],
        ),
        outcome(
            "reconnect",
            vec![standing(
                "icomm",
                Icomm,
                3.1,
                None,
                &[("round_trips", 2.0), ("wire_kb", 11.3)],
            )],
            vec![],
        ),
        outcome(
            "footprint",
            vec![standing("icomm", Icomm, 512.0, None, &[("national_memory_mb", 81.0)])],
            vec![],
        ),
    ]
}

/// The elements of a well-formed picture: each one's name, class, attributes and text.
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
}

fn elements(svg: &str) -> Vec<Element> {
    let mut reader = Reader::from_str(svg);
    let mut elements: Vec<Element> = Vec::new();
    loop {
        // An end that does not fit its start, an entity that there is not and the like are errors.
        match reader.read_event().unwrap() {
            Event::Eof => return elements,
            Event::Start(start) | Event::Empty(start) => {
                let attributes = start.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    (attribute.key.as_ref().to_owned(), attribute.value.into_owned())
                });
                elements.push(Element {
                    name: start.name().as_ref().to_owned(),
                    attributes: attributes.collect(),
                    text: String::new(),
                });
            }
            Event::Text(text) => elements.last_mut().unwrap().text += &text,
            Event::GeneralRef(_) => elements.last_mut().unwrap().text.push('?'),
            _ => {}
        }
    }
}

#[test]
fn nothing_is_cut_off_and_nothing_is_left_out() {
    let svg = draw(&outcomes());
    let elements = elements(&svg);
    let high: f64 = elements[0].attributes["height"].parse().unwrap();
    let texts: Vec<&Element> = elements.iter().filter(|element| element.name == "text").collect();
    for text in &texts {
        let number = |name: &str| -> f64 { text.attributes[name].parse().unwrap() };
        let ink = match text.attributes["class"].as_str() {
            "title" => canvas::Ink::Title,
            "strong" => canvas::Ink::Strong,
            "small" => canvas::Ink::Small,
            _ => canvas::Ink::Plain,
        };
        let width = canvas::width(&text.text, ink);
        let left = match text.attributes["text-anchor"].as_str() {
            "start" => number("x"),
            "middle" => number("x") - width / 2.0,
            _ => number("x") - width,
        };
        assert!(
            left >= 0.0 && left + width <= canvas::WIDTH,
            "`{}` is cut off",
            text.text
        );
        assert!((12.0..high).contains(&number("y")), "`{}` is out of sight", text.text);
    }
    let says = |what: &str| texts.iter().any(|text| text.text.contains(what));
    for what in [
        "parse-hash-write",
        "312,000 : 78,400",
        "3.98×",
        "1/2.33",
        "absent",
        "5 rounds",
        "core",
        "no-change reconnect, kB",
        "icomm : the other",
    ] {
        assert!(says(what), "`{what}` is missing");
    }
    // One in the legend, and one on each bar that has a goal.
    assert_eq!(
        elements
            .iter()
            .filter(|element| element.attributes.get("class").is_some_and(|class| class == "goal"))
            .count(),
        8
    );
    let met = |class: &str| {
        elements
            .iter()
            .filter(|element| element.attributes.get("class").is_some_and(|is| is == class))
            .count()
    };
    assert!(
        met("met") > 5 && met("unmet") > 5 && met("untold") == 0,
        "{} {}",
        met("met"),
        met("unmet")
    );
}

#[test]
fn a_picture_of_nothing_is_a_picture() {
    assert_eq!(elements(&draw(&[]))[0].name, "svg");
    let alone = outcomes().pop().unwrap();
    assert!(elements(&draw(&[alone])).len() > 5);
}
