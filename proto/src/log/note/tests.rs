//! Published notes: the example of C2SP `signed-note`, those of Go's `sumdb/note` tests, and a real one of
//! sum.golang.org.

use data_encoding::{BASE64, HEXLOWER};

use super::*;

const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH: &str =
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";
const PETER_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SECRET: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const ENOCH_KEY: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";

/// A verifier key as Go's tools write it: name, key id, type and key.
pub(crate) fn verifier(text: &str) -> (&str, MemberPublicKey) {
    let mut parts = text.splitn(3, '+');
    let (name, id, key) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let bytes: [u8; 33] = BASE64.decode(key.as_bytes()).unwrap().try_into().unwrap();
    let (kind, key) = bytes.split_first_chunk::<1>().unwrap();
    let key: [u8; 32] = key.try_into().unwrap();
    assert_eq!(*kind, [ED25519]);
    assert_eq!(HEXLOWER.encode(&key_id(name, &key)), id);
    (name, MemberPublicKey::from_bytes(&key).unwrap())
}

fn parse(text: &str) -> Result<SignedNote, InvalidNote> {
    SignedNote::parse(text.as_bytes())
}

fn peter_signs() -> MemberKey {
    let secret = BASE64
        .decode(PETER_SECRET.rsplit_once("a3+").unwrap().1.as_bytes())
        .unwrap();
    MemberKey::from_seed(secret[1..].try_into().unwrap())
}

#[test]
fn signing_gives_the_published_bytes() {
    let note = SignedNote::sign(TEXT.to_owned(), "PeterNeumann", &peter_signs()).unwrap();
    assert_eq!(note.to_string(), format!("{TEXT}\n{PETER}"));
    assert_eq!(SignedNote::parse(&note.to_bytes()), Ok(note));
}

#[test]
fn known_lines_verify_and_unknown_ones_are_ignored() {
    let (peter, peter_key) = verifier(PETER_KEY);
    let (enoch, enoch_key) = verifier(ENOCH_KEY);
    let both = parse(&format!("{TEXT}\n{PETER}{ENOCH}")).unwrap();
    assert_eq!(both.text(), TEXT);
    assert_eq!(both.verify(peter, &peter_key), Ok(()));
    assert_eq!(both.verify(enoch, &enoch_key), Ok(()));

    let one = parse(&format!("{TEXT}\n{PETER}")).unwrap();
    assert_eq!(
        one.verify(enoch, &enoch_key),
        Err(InvalidNote::NotSignedBy(enoch.to_owned()))
    );
    // The right key under another name, and another key under the right name, are other keys.
    assert_eq!(
        one.verify(enoch, &peter_key),
        Err(InvalidNote::NotSignedBy(enoch.to_owned()))
    );
    assert_eq!(
        one.verify(peter, &enoch_key),
        Err(InvalidNote::NotSignedBy(peter.to_owned()))
    );
}

#[test]
fn one_wrong_line_of_the_known_key_spoils_the_note() {
    let (peter, key) = verifier(PETER_KEY);
    let wrong = Err(InvalidNote::WrongSignature(peter.to_owned()));
    let other_text = parse(&format!("{}\n{PETER}", TEXT.replace("answer", "problem"))).unwrap();
    assert_eq!(other_text.verify(peter, &key), wrong);

    let longer = format!("{}ABCD{}", &PETER[..60], &PETER[60..]);
    assert_eq!(parse(&format!("{TEXT}\n{longer}")).unwrap().verify(peter, &key), wrong);
    assert_eq!(
        parse(&format!("{TEXT}\n{PETER}{longer}")).unwrap().verify(peter, &key),
        wrong
    );
    assert_eq!(
        parse(&format!("{TEXT}\n{longer}{PETER}")).unwrap().verify(peter, &key),
        wrong
    );
}

#[test]
fn the_example_of_the_specification_parses() {
    let note = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
         — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    let parsed = parse(note).unwrap();
    assert!(parsed.text().ends_with("\n\ned è subito sera.\n"));
    assert_eq!(parsed.signatures().len(), 1);
    assert_eq!(parsed.signatures()[0].name(), "quasimodo.example/salvatore");
    assert_eq!(parsed.signatures()[0].key_id(), [0x36, 0x7b, 0xa0, 0x4b]);
    assert_eq!(parsed.to_string(), note);
}

#[test]
fn malformed_notes_are_refused() {
    let line = |text: &str| InvalidNote::SignatureLine(text.to_owned());
    let cases = [
        (TEXT.to_owned(), InvalidNote::NoSignature),
        (format!("{TEXT}\n"), InvalidNote::Unfinished),
        (format!("{TEXT}\n{}", PETER.trim_end()), InvalidNote::Unfinished),
        (format!("\u{1}{TEXT}\n{PETER}"), InvalidNote::ControlCharacter),
        (
            format!("{}\n{PETER}", TEXT.replace('\n', "\r\n")),
            InvalidNote::ControlCharacter,
        ),
        (format!("{TEXT}\n{PETER}Unexpected line.\n"), line("Unexpected line.")),
        (format!("{TEXT}\n— A AAAA\n"), line("— A AAAA")),
        (
            format!("{TEXT}\n— A AAAAAAAA\n").replace("— A", "- A"),
            line("- A AAAAAAAA"),
        ),
        (format!("{TEXT}\n— A+B AAAAAAAA\n"), line("— A+B AAAAAAAA")),
        (format!("{TEXT}\n—  AAAAAAAA\n"), line("—  AAAAAAAA")),
        (format!("{TEXT}\n— A AAAAAAAB=\n"), line("— A AAAAAAAB=")),
        (format!("{TEXT}\n— A AAAAAAA_\n"), line("— A AAAAAAA_")),
        (format!("{TEXT}\n— A AAAAAB==\n"), line("— A AAAAAB==")),
        (format!("{TEXT}\n— A\u{a0}B AAAAAAAA\n"), line("— A\u{a0}B AAAAAAAA")),
        (format!("{TEXT}\n{PETER}\n"), InvalidNote::Unfinished),
    ];
    for (note, why) in cases {
        assert_eq!(parse(&note), Err(why), "{note}");
    }
    assert_eq!(SignedNote::parse(b"\xff\n\n"), Err(InvalidNote::NotUtf8));
}

#[test]
fn sizes_are_bounded() {
    let hundred = format!("{TEXT}\n{}", ENOCH.repeat(100));
    assert_eq!(parse(&hundred).unwrap().signatures().len(), 100);
    assert_eq!(parse(&format!("{hundred}{ENOCH}")), Err(InvalidNote::TooManySignatures));
    let long = format!("{}\n\n{PETER}", "x".repeat(NOTE_BYTES_MAX));
    assert_eq!(parse(&long), Err(InvalidNote::TooLong(long.len())));
}

#[test]
fn signing_checks_text_and_name() {
    let key = peter_signs();
    let sign = |text: &str, name: &str| match SignedNote::sign(text.to_owned(), name, &key) {
        Err(NotSigned::Note(invalid)) => Err(invalid),
        signed => Ok(signed.unwrap()),
    };
    assert_eq!(sign("no newline", "A"), Err(InvalidNote::Unfinished));
    assert_eq!(sign("tab\t\n", "A"), Err(InvalidNote::ControlCharacter));
    for name in ["", "a b", "a+b", "a\u{3000}b", "a\nb"] {
        assert_eq!(sign("text\n", name), Err(InvalidNote::Name(name.to_owned())));
    }
}

#[test]
fn notes_over_one_text_merge() {
    let mut note = parse(&format!("{TEXT}\n{PETER}")).unwrap();
    note.merge(parse(&format!("{TEXT}\n{PETER}{ENOCH}")).unwrap()).unwrap();
    assert_eq!(note.to_string(), format!("{TEXT}\n{PETER}{ENOCH}"));
    let other = parse(&format!("other\n\n{ENOCH}")).unwrap();
    assert_eq!(note.merge(other), Err(InvalidNote::OtherText));
}
