//! Looks for planted words in files and bytes, in every form in which they could have got there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// Planted words with all their disguises.
pub(crate) struct Canaries {
    forms: Vec<Form>,
    /// Which forms begin with these two bytes: megabytes are looked through, byte by byte, by a debug build.
    by_start: Vec<Vec<usize>>,
}

struct Form {
    word: String,
    disguise: &'static str,
    bytes: Vec<u8>,
}

impl Canaries {
    pub(crate) fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let forms: Vec<Form> = words.into_iter().flat_map(forms).collect();
        let mut by_start = vec![Vec::new(); 1 << 16];
        for (place, form) in forms.iter().enumerate() {
            by_start[start(&form.bytes, 0)].push(place);
        }
        Self { forms, by_start }
    }

    /// Every word that stands in the bytes, and in which disguise.
    pub(crate) fn found_in(&self, bytes: &[u8]) -> BTreeSet<(&str, &'static str)> {
        let mut found = BTreeSet::new();
        for at in 0..bytes.len().saturating_sub(1) {
            for place in &self.by_start[start(bytes, at)] {
                let form = &self.forms[*place];
                if bytes[at..].starts_with(&form.bytes) {
                    found.insert((form.word.as_str(), form.disguise));
                }
            }
        }
        found
    }

    /// Every word that stands in any file of a folder: `word`, disguise, file.
    pub(crate) fn found_below(&self, folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for file in files_below(folder) {
            // A file may go while it is looked at: an index that is compacted.
            let Ok(bytes) = fs::read(&file) else { continue };
            for (word, disguise) in self.found_in(&bytes) {
                found.push(format!("`{word}` {disguise} in {}", file.display()));
            }
        }
        found
    }
}

fn start(bytes: &[u8], at: usize) -> usize {
    usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])
}

fn forms(word: &str) -> Vec<Form> {
    let bytes = word.as_bytes();
    let mut forms = vec![
        ("plain", bytes.to_vec()),
        ("in capitals", word.to_uppercase().into_bytes()),
        ("in small letters", word.to_lowercase().into_bytes()),
        ("in hexadecimal", HEXLOWER.encode(bytes).into_bytes()),
        ("in hexadecimal capitals", HEXUPPER.encode(bytes).into_bytes()),
        (
            "in UTF-16, little end first",
            word.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        ),
        (
            "in UTF-16, big end first",
            word.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        ),
        ("backwards", word.chars().rev().collect::<String>().into_bytes()),
    ];
    // Where a text starts within the groups of a base encoding decides its digits: one form for each start.
    for start in 0..3 {
        forms.push((
            "in base64",
            inner(start, bytes, 3, 4, |padded| BASE64_NOPAD.encode(padded)),
        ));
        forms.push((
            "in base64url",
            inner(start, bytes, 3, 4, |padded| BASE64URL_NOPAD.encode(padded)),
        ));
    }
    for start in 0..5 {
        forms.push((
            "in base32",
            inner(start, bytes, 5, 8, |padded| BASE32_NOPAD.encode(padded)),
        ));
    }
    let form = |(disguise, bytes): (&'static str, Vec<u8>)| {
        assert!(
            bytes.len() > 5,
            "`{word}` is too short to be told from chance {disguise}"
        );
        Form {
            word: word.to_owned(),
            disguise,
            bytes,
        }
    };
    forms.into_iter().map(form).collect()
}

/// The digits that depend on the word alone when it starts `start` bytes into a group of `group` bytes.
fn inner(start: usize, word: &[u8], group: usize, digits: usize, encode: impl Fn(&[u8]) -> String) -> Vec<u8> {
    let padded = [&vec![0; start][..], word].concat();
    let whole = padded.len() / group * digits;
    // A digit that holds bits of the padding does not count.
    let first = (start * digits).div_ceil(group);
    let text = encode(&padded).into_bytes();
    text[first..whole].to_vec()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files
}

#[test]
fn a_planted_word_is_found_in_every_disguise() {
    let word = "Quäntelsdorf7731";
    let canaries = Canaries::new([word]);
    let places = ["", "x", "xy", "xyz", "wxyz"].map(|before| format!("{before}{word} and more"));
    for place in &places {
        let utf16 = |bytes: fn(u16) -> [u8; 2]| place.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let disguised = [
            place.as_bytes().to_vec(),
            place.to_uppercase().into_bytes(),
            place.to_lowercase().into_bytes(),
            BASE64_NOPAD.encode(place.as_bytes()).into_bytes(),
            BASE64URL_NOPAD.encode(place.as_bytes()).into_bytes(),
            BASE32_NOPAD.encode(place.as_bytes()).into_bytes(),
            HEXLOWER.encode(place.as_bytes()).into_bytes(),
            HEXUPPER.encode(place.as_bytes()).into_bytes(),
            utf16(u16::to_le_bytes),
            utf16(u16::to_be_bytes),
            place.chars().rev().collect::<String>().into_bytes(),
        ];
        for bytes in disguised {
            assert!(!canaries.found_in(&bytes).is_empty(), "{place}: {bytes:?}");
        }
    }
    let other = b"Quantelsdorf7731 Qu\xc3\xa4ntelsdorf7732";
    assert_eq!(canaries.found_in(other), BTreeSet::new());
}
