//! Two nodes that no network joins exchange by parcels, under the checks of any link.

use std::fs;

use serde_json::Value;

use crate::place::{CASES, Place, json_lines};

/// Nobody dials anybody.
fn cut_off(place: &Place, home: &str) {
    let path = place.path(&format!("{home}/icomm.toml"));
    let settings = fs::read_to_string(&path).unwrap();
    assert!(settings.contains("[links]"), "{settings}");
    fs::write(&path, settings.replace("[links]", "[links]\ndial_bundle = false")).unwrap();
}

struct Post<'a>(&'a Place);

impl Post<'_> {
    fn export(&self, home: &str, to: &str, parcel: &str) -> Value {
        let line = format!("link export {to} --out {parcel} --json --home {home}");
        serde_json::from_str(&self.0.does(&line)).unwrap()
    }

    fn import(&self, home: &str, parcel: &str) -> Value {
        serde_json::from_str(&self.0.does(&format!("link import {parcel} --json --home {home}"))).unwrap()
    }

    fn entries(&self, home: &str) -> u64 {
        let logs = json_lines(&self.0.does(&format!("log list --json --home {home}")));
        let log = logs.iter().find(|log| log["origin"] == "KE/main");
        log.map_or(0, |log| log["entries"].as_u64().unwrap())
    }
}

#[test]
fn parcels_carry_what_a_link_would_and_nothing_else() {
    let place = Place::new();
    place.set_up();
    let _nodes = ["ke", "ug"].map(|home| {
        cut_off(&place, home);
        place.runs(home)
    });
    fs::write(place.path("cases.csv"), CASES).unwrap();
    place.ends(
        3,
        "record import cases.csv --mapping icomm-template --others UG --home ke",
    );
    // Both sign, and Kenya alone adopts: the parcels take the agreement along.
    place.does("agreement draft ke-ug --between KE UG --from 2026-01-01 --out draft.toml");
    place.does("agreement sign draft.toml --out half.json --home ke");
    place.does("agreement sign half.json --out both.json --home ug");
    place.does("agreement accept both.json --home ke");

    let post = Post(&place);
    let first = post.export("ke", "UG", "1.parcel");
    assert_eq!(
        (&first["answers"], &first["entries"]),
        (&false.into(), &0.into()),
        "{first}"
    );
    post.import("ug", "1.parcel");
    let second = post.export("ug", "KE", "2.parcel");
    assert_eq!(
        (&second["answers"], &second["wants"]),
        (&true.into(), &1.into()),
        "{second}"
    );
    post.import("ke", "2.parcel");
    let third = post.export("ke", "UG", "3.parcel");
    assert_eq!(
        (&third["documents"], &third["entries"], &third["complete"]),
        (&1.into(), &2.into(), &true.into()),
        "{third}"
    );

    // Only its addressee can take it in, and only as it left.
    let parcel = fs::read(place.path("3.parcel")).unwrap();
    let holds_name = |bytes: &[u8]| bytes.windows(12).any(|window| window == b"Synth-Mwangi");
    assert!(!holds_name(&parcel), "a name is readable in the parcel");
    let refused = place.ends(1, "link import 3.parcel --home ke");
    assert!(refused.contains("is for node `gw1` of `UG`"), "{refused}");
    let mut bent = parcel.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    fs::write(place.path("bent.parcel"), &bent).unwrap();
    let refused = place.ends(1, "link import bent.parcel --home ug");
    assert!(refused.contains("changed on the way"), "{refused}");
    fs::write(place.path("short.parcel"), &parcel[..middle]).unwrap();
    let refused = place.ends(1, "link import short.parcel --home ug");
    assert!(refused.contains("cut short"), "{refused}");
    assert_eq!(post.entries("ug"), 0, "nothing of a refused parcel counts");
    for (line, why) in [
        ("link export XX --out x.parcel --home ke", "no other member"),
        ("link export KE --out x.parcel --home ke", "no other member"),
        ("link export UG --node gw9 --out x.parcel --home ke", "no node `gw9`"),
        ("link export UG --out 3.parcel --home ke", "exists already"),
        ("link import nothing.parcel --home ke", "can't read"),
    ] {
        let refused = place.ends(1, line);
        assert!(refused.contains(why), "{line}: {refused}");
    }
    assert!(!place.path("x.parcel").exists());

    // As it left, it is in; twice changes nothing.
    for _ in 0..2 {
        let taken = post.import("ug", "3.parcel");
        assert_eq!(
            (&taken["documents"], &taken["entries"]),
            (&1.into(), &2.into()),
            "{taken}"
        );
        assert_eq!(post.entries("ug"), 2);
    }
    place.does("log verify KE/main --home ug");
    let records = json_lines(&place.does("record list KE/main --json --home ug"));
    let record = records[1]["record_id"].as_str().unwrap();
    let shown = place.does(&format!("record get {record} --home ug"));
    assert!(shown.contains("Synth-Mwangi"), "{shown}");

    // The receipt goes back, and the next parcel begins where it ends.
    let back = post.export("ug", "KE", "4.parcel");
    assert_eq!(back["receipts"], 1, "{back}");
    assert_eq!(post.import("ke", "4.parcel")["receipts"], 1);
    let more = CASES.replace("Synth-Mwangi", "Synth-Wanjiru");
    fs::write(place.path("more.csv"), more).unwrap();
    place.ends(
        3,
        "record import more.csv --mapping icomm-template --others UG --home ke",
    );
    let fifth = post.export("ke", "UG", "5.parcel");
    assert_eq!(fifth["entries"], 2, "{fifth}");
    post.import("ug", "5.parcel");
    assert_eq!(post.entries("ug"), 4);

    // What leaves by parcel is noted as what leaves by link is.
    let noted = json_lines(&place.does("audit disclosures --to UG --json --home ke"));
    let counts: Vec<_> = noted.iter().map(|note| note["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [2, 2], "{noted:?}");

    // A recall goes the same way, and so does the receipt for the erasure.
    place.does(&format!("record recall {record} --reason error --home ke"));
    let seventh = post.export("ke", "UG", "7.parcel");
    assert_eq!(seventh["recalls"], 1, "{seventh}");
    assert_eq!(post.import("ug", "7.parcel")["recalls"], 1);
    let gone = place.does(&format!("record get {record} --home ug"));
    assert!(!gone.contains("Synth-Mwangi"), "{gone}");
    let waiting = place.ends_saying(3, &format!("audit who {record} --json --home ke"));
    assert!(waiting.contains("\"UG\""), "{waiting}");
    assert_eq!(post.export("ug", "KE", "8.parcel")["erasures"], 1);
    post.import("ke", "8.parcel");
    place.does(&format!("audit who {record} --home ke"));

    // An agreement that is suspended lets nothing more through, and the partner hears of it.
    place.does("agreement suspend ke-ug --reason treaty-lapsed --home ke");
    let sixth = post.export("ke", "UG", "6.parcel");
    assert_eq!(sixth["entries"], 0, "{sixth}");
    assert_eq!(sixth["refusals"][0]["code"], "no-agreement", "{sixth}");
    place.ends(3, "link import 6.parcel --home ug");
    let held = json_lines(&place.does("agreement list --json --home ug"));
    assert_eq!(held[0]["state"], "suspended", "{held:?}");
}
