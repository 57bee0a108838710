//! The bare path keeps what it promises; otherwise it would be no limit but a shortcut.

use std::{fs, os::unix::fs::FileExt as _};

use icomm_node::{environment::Environment, network::Folder};

use super::*;

const RECORDS: u64 = 3000;

fn bench(folder: &Folder) -> Bench {
    Bench::of_test(folder.path(), RECORDS)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_as_it_was_read() {
    let folder = Folder::temporary(&Environment::system()).unwrap();
    let mut path = bare_path(&bench(&folder)).unwrap();
    let delivered = path.0.input.disclosed;
    assert!(
        delivered > RECORDS / 2 && delivered < RECORDS,
        "{delivered} are disclosed"
    );
    for _ in 0..2 {
        path.round().await.unwrap();
    }
    let notes = fs::metadata(path.0.folder.join("notes")).unwrap().len();
    assert_eq!(notes, 2 * 200, "one note a chunk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_input_is_not_sent() {
    let folder = Folder::temporary(&Environment::system()).unwrap();
    let mut path = bare_path(&bench(&folder)).unwrap();
    let input = fs::File::options()
        .write(true)
        .open(path.0.folder.join("input"))
        .unwrap();
    input.write_all_at(b"?", 2000).unwrap();
    assert!(path.round().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_other_entries_is_refused() {
    let folder = Folder::temporary(&Environment::system()).unwrap();
    let path = bare_path(&bench(&folder)).unwrap();
    let mut sent = Vec::new();
    sender::send(&path.0.input, &path.0.key, &path.0.folder.join("notes"), &mut sent)
        .await
        .unwrap();
    let output = path.0.folder.join("output");
    let receive = async |sent: &[u8]| {
        let mut sent = sent;
        receiver::receive(&mut sent, &output, RECORDS, &path.0.key.public(), |_| ()).await
    };
    assert_eq!(receive(&sent).await.unwrap().root, path.0.input.root);
    // An entry, a section, a root, a signature: wherever a byte changes, nothing of that chunk counts.
    for place in (CHUNK_HEAD_BYTES..sent.len()).step_by(sent.len() / 60) {
        let mut altered = sent.clone();
        altered[place] ^= 1;
        assert!(receive(&altered).await.is_err(), "byte {place}");
    }
}
