//! Photos: what of a file is taken and what is not, where it goes, and that nothing is left of it when its record is recalled.

use std::{fs, path::Path};

use serde_json::Value;

use crate::place::{Place, json_lines, until};

/// What no node may store or send.
const PLANTED: &[u8] = b"GPS 1.2921 S 36.8219 E, camera of Synth-Mwangi";

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker][..], &len, content].concat()
}

/// A JPEG of a grey square, as a telephone would write it: with EXIF that says where, a comment, and bytes after the end.
fn telling_jpeg() -> Vec<u8> {
    let exif = [
        &b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"[..],
        b"\x25\x88\x04\0\x01\0\0\0\x26\0\0\0\0\0\0\0",
        PLANTED,
    ];
    let huffman = |class: u8| [&[class, 1][..], &[0; 15], &[0]].concat();
    let parts = [
        vec![0xff, 0xd8],
        segment(0xe1, &exif.concat()),
        segment(0xfe, PLANTED),
        segment(0xdb, &[&[0][..], &[1; 64]].concat()),
        segment(0xc0, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]),
        segment(0xc4, &huffman(0)),
        segment(0xc4, &huffman(0x10)),
        segment(0xda, &[1, 1, 0, 0, 63, 0]),
        vec![0x3f, 0xff, 0xd9],
        PLANTED.to_vec(),
    ];
    parts.concat()
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}

/// The checksum of PNG, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    });
    !crc
}

fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).unwrap().to_be_bytes();
    let checked = [&kind[..], content].concat();
    [&len[..], &checked, &crc32(&checked).to_be_bytes()].concat()
}

/// A grey PNG of noise, whose rows are as many bytes as its width; about `width * height` bytes, since noise does not shrink.
pub(crate) fn noisy_png(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut noise = seed;
    let mut rows = Vec::new();
    for _ in 0..height {
        rows.push(0);
        rows.extend((0..width).map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        }));
    }
    // Stored as it is.
    let mut data = vec![0x78, 0x01];
    let blocks = rows.chunks(65_535);
    let last = blocks.len() - 1;
    for (number, block) in blocks.enumerate() {
        let len = u16::try_from(block.len()).unwrap();
        data.push(u8::from(number == last));
        data.extend(len.to_le_bytes());
        data.extend((!len).to_le_bytes());
        data.extend(block);
    }
    data.extend(adler32(&rows).to_be_bytes());
    let sizes = [width.to_be_bytes(), height.to_be_bytes()].concat();
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &[&sizes[..], &[8, 0, 0, 0, 0]].concat()),
        chunk(b"tEXt", &[&b"Author\0"[..], PLANTED].concat()),
        chunk(b"IDAT", &data),
        chunk(b"IEND", &[]),
    ]
    .concat()
}

/// Whether some bytes are in any file of a folder, or in the name of one.
fn finds(folder: &Path, what: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => finds(&path, what),
            false => {
                // A socket has no bytes.
                let bytes = fs::read(&path).unwrap_or_default();
                bytes.windows(what.len()).any(|window| window == what)
            }
        }
    })
}

fn photos(place: &Place, record: &str, home: &str) -> Vec<Value> {
    json_lines(&place.does(&format!("record photos {record} --json --home {home}")))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn of_a_file_the_picture_is_taken_and_of_a_recalled_record_nothing_stays() {
    let place = Place::new();
    place.set_up();
    let running = place.runs("ke");
    fs::write(place.path("case.json"), place.does("record example")).unwrap();
    fs::write(place.path("bag.jpg"), telling_jpeg()).unwrap();
    let scan = noisy_png(900, 700, 1);
    fs::write(place.path("scan"), &scan).unwrap();
    fs::write(place.path("paper.jpg"), b"%PDF-1.7\n").unwrap();
    fs::write(place.path("half.jpg"), &telling_jpeg()[..80]).unwrap();
    fs::write(place.path("big.png"), noisy_png(4200, 4200, 2)).unwrap();

    // What is no picture from end to end is not taken, whatever it is called; nothing is issued then.
    for (file, what) in [
        ("paper.jpg", "PDF"),
        ("half.jpg", "no JPEG file"),
        ("case.json", "type"),
        ("big.png", "the most allowed is 16777216"),
    ] {
        let refused = place.ends(
            1,
            &format!("record submit case.json --attach bag.jpg --attach {file} --home ke"),
        );
        assert!(refused.contains(what) && refused.contains(file), "{refused}");
    }
    place.ends(1, "record submit case.json --attach no-such-file --home ke");
    let naming = place.does("record example").replace(
        "\"exact\"",
        "\"images\": { \"images\": [{ \"sha256\": \"AAAA\", \"kind\": \"photo\" }] }, \"exact\"",
    );
    fs::write(place.path("naming.json"), naming).unwrap();
    let rejected = place.ends_saying(3, "record submit naming.json --home ke");
    assert!(rejected.contains("not handed in"), "{rejected}");
    assert_eq!(place.does("record list --json --home ke"), "");

    let attached = json(&place.does("record submit case.json --attach bag.jpg --attach x-ray=scan --json --home ke"));
    let id = attached["outcome"]["record_id"].as_str().unwrap().to_owned();
    assert_eq!(attached["photos"][1]["media_type"], "image/png");
    let removed = attached["stripped"][0]["removed"].as_array().unwrap();
    assert!(
        removed.contains(&"exif".into()) && removed.contains(&"comment".into()),
        "{attached}"
    );

    // Another version keeps them, and has one more.
    let again = place.does(&format!("record attach {id} document=scan --home ke"));
    assert!(again.contains("left out: text"), "{again}");
    let held = photos(&place, &id, "ke");
    let kinds: Vec<_> = held
        .iter()
        .map(|photo| photo["image"]["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["photo", "x-ray", "document"]);
    assert!(
        held.iter()
            .all(|photo| photo["version"] == 2 && photo["held"] == photo["image"]["size"])
    );

    // What comes out is the picture, and nothing else of the file.
    place.does(&format!("record photo get {id} 1 --out out.jpg --home ke"));
    place.does(&format!("record photo get {id} 2 --out out.png --home ke"));
    place.ends(1, &format!("record photo get {id} 2 --out out.png --home ke"));
    place.ends(1, &format!("record photo get {id} 4 --out more.png --home ke"));
    let (jpeg, png) = (
        fs::read(place.path("out.jpg")).unwrap(),
        fs::read(place.path("out.png")).unwrap(),
    );
    assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]));
    let data = |png: &[u8]| {
        let at = png.windows(4).position(|window| window == b"IDAT").unwrap();
        png[at..].to_vec()
    };
    assert_eq!(data(&png), data(&scan));
    for bytes in [&jpeg, &png] {
        assert!(
            !bytes
                .windows(12)
                .any(|window| PLANTED.windows(12).any(|planted| planted == window))
        );
    }
    let pixels = scan[scan.len() / 2..][..40].to_vec();
    assert!(!finds(&place.path("ke"), PLANTED) && !finds(&place.path("ke"), &pixels));

    // Also after it was killed in the middle of whatever it did, what was issued is whole.
    drop(running);
    let _running = place.runs("ke");
    assert_eq!(photos(&place, &id, "ke"), held);
    let albums = || fs::read_dir(place.path("ke/store/photos")).unwrap().count();
    assert_eq!(albums(), 1, "the first version's are gone");
    place.does(&format!("record recall {id} --reason cleared --home ke"));
    assert_eq!((photos(&place, &id, "ke"), albums()), (Vec::new(), 0));
    place.ends(1, &format!("record photo get {id} 1 --out gone.jpg --home ke"));
}

/// Kenya and Uganda exchange photos, the office gets none, and the WCO the open section.
fn agree(place: &Place) {
    place.does("agreement draft esa --region RILO-ESA --members KE UG --from 2026-01-01 --out esa.toml");
    place.agreed("esa", &["esa", "ke", "ug"]);
    place.does("agreement draft ke-wco --contribution KE WCO --from 2026-01-01 --out ke-wco.toml");
    place.agreed("ke-wco", &["ke", "wco"]);
    place.does("agreement draft ke-ug --between KE UG --from 2026-01-01 --out plain.toml");
    let plain = fs::read_to_string(place.path("plain.toml")).unwrap();
    let with_images = plain.replace("\"persons\", \"companies\"]", "\"persons\", \"companies\", \"images\"]");
    assert_ne!(plain, with_images);
    fs::write(place.path("ke-ug.toml"), with_images).unwrap();
    place.agreed("ke-ug", &["ke", "ug"]);
}

/// How many photos of a record a node knows of, and whether all of them are whole.
fn whole(place: &Place, id: &str, home: &str) -> (usize, bool) {
    let photos = photos(place, id, home);
    let is_whole = photos.iter().all(|photo| photo["held"] == photo["image"]["size"]);
    (photos.len(), is_whole)
}

fn knows(place: &Place, id: &str, home: &str) -> bool {
    let listed = json_lines(&place.does(&format!("record list KE/main --json --home {home}")));
    listed.iter().any(|entry| entry["record_id"] == id)
}

#[test]
fn photos_go_where_the_section_goes_one_that_is_cleared_to_the_root_and_none_outlives_its_record() {
    let place = Place::new();
    let [_wco, _esa, _ke, ug] = place.found();
    agree(&place);
    let case = place.does("record example").replace("\"H1\"", "\"H0\"");
    fs::write(place.path("case.json"), case).unwrap();
    fs::write(place.path("bag.jpg"), telling_jpeg()).unwrap();
    let scan = noisy_png(1500, 1000, 1);
    fs::write(place.path("scan.png"), &scan).unwrap();
    let attached = place.does("record submit case.json --attach bag.jpg --attach x-ray=scan.png --json --home ke");
    let id = json(&attached)["outcome"]["record_id"].as_str().unwrap().to_owned();

    until("UG does not get the photos", || whole(&place, &id, "ug") == (2, true));
    for home in ["ke", "ug"] {
        for number in [1, 2] {
            place.does(&format!(
                "record photo get {id} {number} --out {home}-{number} --home {home}"
            ));
        }
    }
    let read = |name: &str| fs::read(place.path(name)).unwrap();
    assert_eq!((read("ke-1"), read("ke-2")), (read("ug-1"), read("ug-2")));
    // Who is not given the section gets none, and knows of none.
    for home in ["esa", "wco"] {
        until(&format!("{home} does not get the record"), || knows(&place, &id, home));
        assert_eq!(photos(&place, &id, home), Vec::<Value>::new(), "{home}");
        place.ends(1, &format!("record photo get {id} 1 --out no --home {home}"));
        assert!(!place.path(&format!("{home}/store/photos")).exists(), "{home}");
    }
    let noted = place.does("audit disclosures --to UG --json --home ke");
    let photos_noted = json_lines(&noted)
        .iter()
        .filter(|line| line.to_string().contains("\"images\""))
        .count();
    assert!(photos_noted >= 2, "{noted}");

    // One is cleared, by its originator only, and goes to the root; the other does not.
    let refused = place.ends(1, &format!("record clear {id} 2 --home ug"));
    assert!(refused.contains("only the originator"), "{refused}");
    place.ends(1, &format!("record clear {id} 3 --home ke"));
    place.does(&format!("record clear {id} 2 --home ke"));
    let again = place.does(&format!("record clear {id} 2 --home ke"));
    assert!(again.contains("cleared before"), "{again}");
    until("WCO does not get the cleared photo", || {
        whole(&place, &id, "wco") == (1, true)
    });
    place.does(&format!("record photo get {id} 1 --out wco-1 --home wco"));
    assert_eq!(read("wco-1"), read("ke-2"));
    let root = json(&place.does(&format!("record get {id} --json --home wco")));
    assert_eq!(
        (&root["kind"], &root["sections"]),
        (&"issue".into(), &Value::from(vec!["case"]))
    );
    until("UG does not hear of it", || {
        photos(&place, &id, "ug")[1]["cleared"] == true
    });
    assert_eq!(
        (
            photos(&place, &id, "ug")[0]["cleared"].clone(),
            whole(&place, &id, "esa")
        ),
        (false.into(), (0, true))
    );

    // A holder that is killed in the middle goes on where it was.
    let mut big = Vec::new();
    for number in 2..6_u32 {
        fs::write(place.path(&format!("big{number}.png")), noisy_png(3500, 3500, number)).unwrap();
        big.push(format!("--attach big{number}.png"));
    }
    let attached = place.does(&format!("record submit case.json {} --json --home ke", big.join(" ")));
    let large = json(&attached)["outcome"]["record_id"].as_str().unwrap().to_owned();
    let held = || {
        photos(&place, &large, "ug")
            .iter()
            .map(|photo| photo["held"].as_u64().unwrap())
            .sum::<u64>()
    };
    until("nothing of it comes", || held() > 0);
    drop(ug);
    let _ug = place.runs("ug");
    until("UG does not get the rest", || whole(&place, &large, "ug") == (4, true));
    place.does(&format!("record photo get {large} 4 --out ug-large --home ug"));
    place.does(&format!("record photo get {large} 4 --out ke-large --home ke"));
    assert_eq!(read("ug-large"), read("ke-large"));

    // Nothing that a file told, nor a pixel in clear, is in any file of any node; and after the recall nothing at all.
    let pixels = &scan[scan.len() / 2..][..40];
    for home in ["ke", "ug", "esa", "wco"] {
        assert!(
            !finds(&place.path(home), PLANTED) && !finds(&place.path(home), pixels),
            "{home}"
        );
    }
    for record in [&id, &large] {
        place.does(&format!("record recall {record} --reason cleared --home ke"));
    }
    for home in ["ke", "ug", "wco"] {
        let albums = || {
            fs::read_dir(place.path(&format!("{home}/store/photos")))
                .unwrap()
                .count()
        };
        until(&format!("{home} keeps photos"), || albums() == 0);
        assert_eq!(photos(&place, &id, home), Vec::<Value>::new());
    }
}
