//! Looks for planted words in files and bytes, in every form in which they could have got there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// A planted word and all its disguises.
pub(crate) struct Canary {
    pub(crate) word: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Canary {
    pub(crate) fn new(word: &str) -> Self {
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
        Self {
            word: word.to_owned(),
            forms,
        }
    }

    /// In which form it stands in the bytes, if it does.
    pub(crate) fn found_in(&self, bytes: &[u8]) -> Option<&'static str> {
        self.forms
            .iter()
            .find(|(_, form)| contains(bytes, form))
            .map(|(name, _)| *name)
    }
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

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some(first) = wanted.first() else { return false };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(wanted) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// Every canary that stands in any file of a folder: `word, form, file`.
pub(crate) fn found_below(folder: &Path, canaries: &[Canary]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files_below(folder) {
        // A file may go while it is looked at: an index that is compacted.
        let Ok(bytes) = fs::read(&file) else { continue };
        for canary in canaries {
            if let Some(form) = canary.found_in(&bytes) {
                found.push(format!("`{}` {form} in {}", canary.word, file.display()));
            }
        }
    }
    found
}

/// The same in one piece of bytes.
pub(crate) fn found_in(what: &str, bytes: &[u8], canaries: &[Canary]) -> Vec<String> {
    let found = canaries
        .iter()
        .filter_map(|canary| Some((canary, canary.found_in(bytes)?)));
    found
        .map(|(canary, form)| format!("`{}` {form} in {what}", canary.word))
        .collect()
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
    let canary = Canary::new(word);
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
            assert!(canary.found_in(&bytes).is_some(), "{place}: {bytes:?}");
        }
    }
    assert_eq!(canary.found_in(b"Quantelsdorf7731 Qu\xc3\xa4ntelsdorf7732"), None);
}
