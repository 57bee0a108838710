//! What comes back from a backup, and everything that is none.

use std::{fs, io::Cursor, path::Path};

use icomm_pki::{BackupKey, NodeKey};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::{
    InvalidBackup, Manifest, ManifestFile, RestoreError, RestoredMark, Unpacking, format::Packing, restore, verify,
};
use crate::{
    core::exchange::RESTORED_KEY,
    environment::Environment,
    store::{Batch, Journal, NoteLog, Store, StoreKey},
};

const PLANTED: &str = "Synth-Mwangi";

fn manifest(node: &NodeKey, files: &[(&str, &[u8])]) -> Manifest {
    let file = |(name, content): &(&str, &[u8])| ManifestFile {
        name: (*name).to_owned(),
        len: content.len() as u64,
    };
    Manifest {
        id: "0123".to_owned(),
        member: "KE".to_owned(),
        node: "gw1".to_owned(),
        peer_id: node.peer_id().to_string(),
        program: "0.1.0".to_owned(),
        time: 1_795_428_000,
        origin: "KE/main".to_owned(),
        entries: 7,
        with_identity: false,
        files: files.iter().map(file).collect(),
    }
}

fn sealed(keys: &[&BackupKey], signer: &NodeKey, manifest: &Manifest, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let recipients: Vec<_> = keys.iter().map(|key| key.recipient()).collect();
    let mut packing = Packing::begin(&mut out, &recipients, &serde_json::to_vec(manifest).unwrap()).unwrap();
    packing.add(content).unwrap();
    let bytes = packing.finish(signer).unwrap();
    assert_eq!(bytes, out.len() as u64);
    out
}

fn opened(backup: &[u8], key: &BackupKey) -> Result<(Manifest, Vec<u8>), InvalidBackup> {
    let mut backup = Unpacking::open(Cursor::new(backup), key)?;
    let mut content = Vec::new();
    while let Some(piece) = backup.read()? {
        content.extend(piece);
    }
    Ok((backup.manifest().clone(), content))
}

struct Keys {
    node: NodeKey,
    key: BackupKey,
    other: BackupKey,
}

fn keys() -> Keys {
    Keys {
        node: NodeKey::generate().unwrap(),
        key: BackupKey::generate().unwrap(),
        other: BackupKey::generate().unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_sealed_comes_back_to_every_recipient(
        lens in prop::collection::vec(0usize..3_000_000, 0..4),
        fill in any::<u8>(),
    ) {
        let Keys { node, key, other } = keys();
        let contents: Vec<Vec<u8>> = lens.iter().map(|len| (0..*len).map(|at| fill ^ at as u8).collect()).collect();
        let names: Vec<String> = (0..lens.len()).map(|number| format!("store/{number}")).collect();
        let files: Vec<(&str, &[u8])> =
            names.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)).collect();
        let manifest = manifest(&node, &files);
        let backup = sealed(&[&key, &other], &node, &manifest, &contents.concat());
        for key in [&key, &other] {
            let (said, content) = opened(&backup, key).unwrap();
            prop_assert_eq!(&said, &manifest);
            prop_assert!(content == contents.concat());
        }
    }
}

#[test]
fn nobody_else_opens_it_and_no_byte_of_it_can_be_changed() {
    let Keys { node, key, other } = keys();
    let content = PLANTED.repeat(10);
    let manifest = manifest(&node, &[("icomm.toml", content.as_bytes())]);
    let backup = sealed(&[&key], &node, &manifest, content.as_bytes());
    for planted in [PLANTED, "KE/main", "gw1", "icomm.toml"] {
        let found = backup.windows(planted.len()).any(|window| window == planted.as_bytes());
        assert!(!found, "`{planted}` can be read");
    }
    let Err(InvalidBackup::Recipient(named)) = opened(&backup, &other) else {
        panic!("opened with another key")
    };
    assert_eq!(named, key.recipient().to_string());
    for at in 0..backup.len() {
        let mut changed = backup.clone();
        changed[at] ^= 1;
        assert!(opened(&changed, &key).is_err(), "byte {at}");
    }
    for len in 0..backup.len() {
        let error = opened(&backup[..len], &key).unwrap_err();
        assert!(
            matches!(error, InvalidBackup::Short | InvalidBackup::Tag),
            "{len}: {error}"
        );
    }
    let longer = [backup.as_slice(), b"x"].concat();
    assert!(matches!(opened(&longer, &key), Err(InvalidBackup::Trailing)));
    assert!(matches!(
        opened(b"PK\x03\x04 something else", &key),
        Err(InvalidBackup::Tag)
    ));
}

#[test]
fn a_backup_that_contradicts_itself_is_none() {
    let Keys { node, key, other: _ } = keys();
    let stranger = NodeKey::generate().unwrap();
    let two = manifest(&node, &[("a", b"12"), ("b", b"34")]);
    for (signer, content, says) in [
        (&node, &b"123"[..], "fewer bytes"),
        (&node, b"12345", "more bytes"),
        (&stranger, b"1234", "signature"),
    ] {
        let error = opened(&sealed(&[&key], signer, &two, content), &key)
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
    }
    for name in ["../out", "/etc/passwd", "store/../../out", "", "store/", "a\0b", "./.."] {
        let manifest = manifest(&node, &[(name, b"1")]);
        let error = opened(&sealed(&[&key], &node, &manifest, b"1"), &key)
            .unwrap_err()
            .to_string();
        assert!(error.contains("leads out"), "{name}: {error}");
    }
    let twice = manifest(&node, &[("a", b"1"), ("a", b"2")]);
    assert!(opened(&sealed(&[&key], &node, &twice, b"12"), &key).is_err());
}

/// A store with a note in it, as a backup.
fn of_store(home: &Path, keys: &Keys) -> Vec<u8> {
    let entropy = Environment::system().entropy;
    let store_key = StoreKey::generate(&*entropy);
    let journal = Journal::open(&home.join("before"), &store_key, entropy).unwrap();
    let note = Batch::new().note(NoteLog::disclosures(), PLANTED).set("cursor/x", "1");
    journal.append(note).unwrap();
    let text: Zeroizing<String> = store_key.to_text();
    let snapshot = journal.snapshot().unwrap();
    // Of the moment before.
    journal.append(Batch::new().set("cursor/x", "2")).unwrap();
    let mut content = text.as_bytes().to_vec();
    let mut manifest = manifest(&keys.node, &[("identity/store-key", text.as_bytes())]);
    for (name, len) in snapshot.files() {
        let name = format!("store/{name}");
        manifest.files.push(ManifestFile { name, len });
    }
    snapshot
        .copy(|piece| {
            content.extend_from_slice(piece);
            Ok::<_, crate::store::StoreError>(())
        })
        .unwrap();
    sealed(&[&keys.key], &keys.node, &manifest, &content)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_store_comes_back_as_it_was_and_says_that_it_was_restored() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys();
    let backup = of_store(folder.path(), &keys);
    let (to, environment) = (folder.path().join("after"), Environment::system());
    let mut seen = (0, 0);
    let restored = restore(
        Cursor::new(&backup),
        &keys.key,
        &to,
        &environment,
        &mut |done, total| {
            seen = (done, total);
            true
        },
    )
    .unwrap();
    assert_eq!(seen, (restored.manifest.bytes(), restored.manifest.bytes()));
    assert_eq!(names(folder.path()), ["after", "before"], "nothing is left beside it");

    let key: StoreKey = fs::read_to_string(to.join("identity/store-key"))
        .unwrap()
        .parse()
        .unwrap();
    let journal = Journal::open(&to.join("store"), &key, environment.entropy.clone()).unwrap();
    assert_eq!(journal.state("cursor/x").unwrap().unwrap(), "1");
    assert_eq!(journal.notes(&NoteLog::disclosures(), 0, 9).unwrap()[0].1, PLANTED);
    let mark = journal.state(RESTORED_KEY).unwrap().unwrap();
    let mark: RestoredMark = serde_json::from_slice(&mark).unwrap();
    assert_eq!((mark.backup.as_str(), mark.taken), ("0123", 1_795_428_000));
    assert!(journal.health().is_good());
    drop(journal);

    let again = |to: &Path| restore(Cursor::new(&backup), &keys.key, to, &environment, &mut |_, _| true);
    assert!(matches!(again(&to), Err(RestoreError::NotEmpty(_))));
    fs::create_dir(folder.path().join("empty")).unwrap();
    again(&folder.path().join("empty")).unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    assert!(matches!(
        again(&folder.path().join("file")),
        Err(RestoreError::NotEmpty(_))
    ));
}

#[test]
fn whatever_goes_wrong_leaves_nothing_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys();
    let backup = of_store(folder.path(), &keys);
    let (to, environment) = (folder.path().join("after"), Environment::system());
    let fails = |backup: &[u8], key: &BackupKey, goes_on: bool| {
        let error = restore(Cursor::new(backup), key, &to, &environment, &mut |_, _| goes_on).unwrap_err();
        assert_eq!(names(folder.path()), ["before"], "{error}");
        error.to_string()
    };
    assert!(fails(&backup, &keys.other, true).contains("not sealed to this key"));
    assert!(fails(&backup, &keys.key, false).contains("nothing was put in place"));
    assert!(fails(&backup[..backup.len() - 1], &keys.key, true).contains("cut short"));
    let mut changed = backup.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(fails(&changed, &keys.key, true).contains("was changed"));
    assert_eq!(
        verify(Cursor::new(&backup), &keys.key, &mut |_, _| true)
            .unwrap()
            .member,
        "KE"
    );
    assert!(matches!(
        verify(Cursor::new(&backup), &keys.key, &mut |_, _| false),
        Err(RestoreError::Stopped)
    ));

    // Well sealed and signed, and yet no store: bytes of it that were changed before.
    let (said, mut content) = opened(&backup, &keys.key).unwrap();
    let at = content.windows(7).position(|window| window == b"icommsg").unwrap();
    content[at + 50] ^= 1;
    let bent = sealed(&[&keys.key], &keys.node, &said, &content);
    let error = fails(&bent, &keys.key, true);
    assert!(
        error.contains("does not open") || error.contains("is damaged"),
        "{error}"
    );
}
