//! Both kinds of store keep photos alike; the journal's also through crashes.

use std::path::Path;

use icomm_proto::{
    EntryHead, EntryKind, MediaType, Origin, Photo, PieceHashes, RecordId, RecordKind, SectionKind, SectionSet, View,
    log::{ChunkBuilder, Frontier},
    photo::PIECE_BYTES,
    seal::seal,
    v1,
};
use prost::Message;
use rand::{SeedableRng, rngs::StdRng};

use super::{Album, PieceKept};
use crate::{
    environment::Environment,
    store::{
        Batch, Journal, MemoryStore, Place, Remains, Store, StoreKey, StoredChunk,
        disk::simulated::{Faults, SimulatedDisk},
        journal::{Options, Secrets},
    },
};

/// What no file may hold.
const PLANTED: &[u8] = b"planted in the picture";

fn origin() -> Origin {
    "KE/main".parse().unwrap()
}

fn photo(number: u8, len: usize) -> (Vec<u8>, Photo, PieceHashes) {
    let mut bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8 ^ number).collect();
    for at in (0..len.saturating_sub(PLANTED.len())).step_by(50_000) {
        bytes[at..at + PLANTED.len()].copy_from_slice(PLANTED);
    }
    let (photo, hashes) = Photo::of(&bytes, MediaType::Jpeg, "photo").unwrap();
    (bytes, photo, hashes)
}

fn record(number: u8) -> RecordId {
    RecordId::new(1_795_000_000_000, [number; 10])
}

fn view(number: u8, version: u32, photos: &[&Photo]) -> View {
    let head = EntryHead {
        kind: if version == 1 {
            EntryKind::Issue
        } else {
            EntryKind::Amend
        },
        record_kind: RecordKind::Seizure,
        record_id: record(number),
        version,
    };
    let images = v1::Images {
        images: photos.iter().map(|photo| v1::Image::from(*photo)).collect(),
    };
    let images = images.encode_to_vec();
    let case = v1::Case::default().encode_to_vec();
    let sections = [(SectionKind::Case, &case[..]), (SectionKind::Images, &images[..])];
    seal(&head, &sections, &mut StdRng::seed_from_u64(number.into())).unwrap()
}

/// The next entry of the log.
fn issued(store: &dyn Store, view: &View) -> Batch {
    let mut frontier = store
        .head(&origin())
        .unwrap()
        .map_or_else(Frontier::new, |head| head.frontier);
    let from = frontier.size();
    frontier.push(view.leaf_hash());
    let mut body = ChunkBuilder::default();
    body.disclose(view.bytes());
    Batch::new().chunk(StoredChunk::extending(
        origin(),
        from,
        body.finish().unwrap(),
        frontier,
        b"checkpoint".to_vec().into(),
    ))
}

fn place(index: u64) -> Place {
    Place {
        origin: origin(),
        index,
    }
}

fn album(number: u8, version: u32) -> Album {
    Album {
        origin: origin(),
        record: record(number),
        version,
    }
}

fn erased(index: u64) -> Batch {
    Batch::new().erase(origin(), index, Remains::Sections(SectionSet::open()))
}

fn open(disk: &SimulatedDisk, key: &StoreKey) -> Journal {
    let options = Options {
        segment_bytes: 1 << 20,
        ahead_bytes: 4096,
        ahead_keys: 16,
        salt: 7,
    };
    let entropy = Environment::system().entropy;
    let disk = std::sync::Arc::new(disk.clone());
    Journal::open_on(disk, Path::new("/store"), options, Secrets { key, entropy }).unwrap()
}

fn key() -> StoreKey {
    StoreKey::generate(&*Environment::system().entropy)
}

/// All of a photo, if all of it is held.
fn whole(store: &dyn Store, album: &Album, photo: &Photo) -> Option<Vec<u8>> {
    let photos = store.photos();
    let pieces = (0..photo.piece_count()).map(|piece| photos.piece(album, photo, piece).unwrap());
    pieces
        .collect::<Option<Vec<_>>>()
        .map(|pieces| pieces.iter().flat_map(|piece| piece.to_vec()).collect())
}

fn stage(store: &dyn Store, album: &Album, of: &(Vec<u8>, Photo, PieceHashes)) {
    store.photos().stage(album, &of.1, &of.2, &of.0).unwrap();
}

/// Every step of a photo's life, on any store.
fn lives(store: &dyn Store) {
    let (first, second) = (photo(1, 3 * PIECE_BYTES + 5), photo(2, 100));
    // Staged for a record that is issued, and for one that is not.
    for number in [1, 2] {
        stage(store, &album(number, 1), &first);
        stage(store, &album(number, 1), &second);
    }
    store
        .append(issued(store, &view(1, 1, &[&first.1, &second.1])))
        .unwrap();
    store.photos().settle(&album(1, 1)).unwrap();
    store.photos().settle(&album(2, 1)).unwrap();
    assert_eq!(whole(store, &album(1, 1), &first.1), Some(first.0.clone()));
    assert_eq!(whole(store, &album(1, 1), &second.1), Some(second.0.clone()));
    assert_eq!(whole(store, &album(2, 1), &first.1), None, "never issued");

    // Piece by piece, in order, and nothing that is not what the entry names.
    store
        .append(issued(store, &view(3, 1, &[&second.1, &first.1])))
        .unwrap();
    let (bytes, of, hashes) = &first;
    let pieces: Vec<&[u8]> = bytes.chunks(PIECE_BYTES).collect();
    let keep = |number, piece: u32, bytes: &[u8]| store.photos().keep(&place(1), number, hashes, piece, bytes).unwrap();
    assert_eq!(keep(1, 1, pieces[1]), PieceKept::Held(0), "the first comes first");
    assert_eq!(keep(1, 0, pieces[0]), PieceKept::Held(1));
    assert_eq!(keep(1, 0, pieces[0]), PieceKept::Held(1), "again");
    assert_eq!(keep(1, 1, pieces[2]), PieceKept::Held(1), "another piece");
    assert_eq!(keep(2, 0, pieces[0]), PieceKept::Unnamed);
    assert_eq!(
        store.photos().keep(&place(9), 0, hashes, 0, pieces[0]).unwrap(),
        PieceKept::Unnamed
    );
    assert_eq!(keep(1, 1, pieces[1]), PieceKept::Held(2));
    assert_eq!(store.photos().held(&album(3, 1), of).unwrap(), 2);
    assert_eq!(store.photos().hashes(&album(3, 1), of).unwrap().as_ref(), Some(hashes));
    assert_eq!(whole(store, &album(3, 1), of), None, "not all of it is here");
    keep(1, 2, pieces[2]);
    assert_eq!(keep(1, 3, pieces[3]), PieceKept::Held(4));
    assert_eq!(whole(store, &album(3, 1), of).as_ref(), Some(bytes));

    // The section goes, and so do they, of this record only.
    store.append(erased(1)).unwrap();
    assert_eq!(whole(store, &album(3, 1), of), None);
    assert_eq!(store.photos().held(&album(3, 1), of).unwrap(), 0);
    assert_eq!(keep(1, 0, pieces[0]), PieceKept::Unnamed, "nothing brings it back");
    assert_eq!(whole(store, &album(1, 1), of).as_ref(), Some(bytes));
    let hash_alone = Batch::new().erase(origin(), 0, Remains::Hash);
    store.append(hash_alone).unwrap();
    assert_eq!(whole(store, &album(1, 1), of), None);
    assert_eq!(whole(store, &album(1, 1), &second.1), None);
}

#[test]
fn photos_live_as_long_as_the_section_that_names_them() {
    lives(&MemoryStore::new());
    lives(&open(&SimulatedDisk::new(), &key()));
    let folder = tempfile::tempdir().unwrap();
    let store = Journal::open(folder.path(), &key(), Environment::system().entropy).unwrap();
    lives(&store);
    let left = std::fs::read_dir(folder.path().join("photos")).unwrap().count();
    assert_eq!(left, 0, "not even a name of what was erased");
}

#[test]
fn a_narrower_view_that_keeps_the_section_keeps_the_photos() {
    for store in [&MemoryStore::new() as &dyn Store, &open(&SimulatedDisk::new(), &key())] {
        let one = photo(1, 100);
        stage(store, &album(1, 1), &one);
        store.append(issued(store, &view(1, 1, &[&one.1]))).unwrap();
        store.photos().settle(&album(1, 1)).unwrap();
        let keeps = Remains::Sections(SectionKind::Images.into());
        store.append(Batch::new().erase(origin(), 0, keeps)).unwrap();
        assert_eq!(whole(store, &album(1, 1), &one.1), Some(one.0));
    }
}

#[test]
fn nothing_in_the_files_can_be_read_without_the_store_key() {
    let folder = tempfile::tempdir().unwrap();
    let key = key();
    let one = photo(1, 2 * PIECE_BYTES);
    let everything = || {
        let mut all = Vec::new();
        let mut folders = vec![folder.path().to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                all.extend(path.to_str().unwrap().as_bytes());
                match path.is_dir() {
                    true => folders.push(path),
                    false => all.extend(std::fs::read(path).unwrap()),
                }
            }
        }
        all
    };
    let finds = |what: &[u8]| everything().windows(what.len()).any(|window| window == what);
    {
        let store = Journal::open(folder.path(), &key, Environment::system().entropy).unwrap();
        stage(&store, &album(1, 1), &one);
        assert!(finds(b"KE+main+") && !finds(PLANTED));
        store.append(issued(&store, &view(1, 1, &[&one.1]))).unwrap();
        store.photos().settle(&album(1, 1)).unwrap();
    }
    assert!(!finds(PLANTED) && !finds(&one.0[PIECE_BYTES..PIECE_BYTES + 32]));
    let digits = data_encoding::HEXLOWER.encode(one.1.sha256());
    assert!(
        !finds(one.1.sha256()) && !finds(&digits.as_bytes()[..16]),
        "nor which photo it is"
    );
    let store = Journal::open(folder.path(), &key, Environment::system().entropy).unwrap();
    assert_eq!(whole(&store, &album(1, 1), &one.1), Some(one.0));
}

#[test]
fn bytes_that_changed_on_disk_are_never_given() {
    let folder = tempfile::tempdir().unwrap();
    let one = photo(1, PIECE_BYTES + 77);
    let store = Journal::open(folder.path(), &key(), Environment::system().entropy).unwrap();
    stage(&store, &album(1, 1), &one);
    store.append(issued(&store, &view(1, 1, &[&one.1]))).unwrap();
    store.photos().settle(&album(1, 1)).unwrap();
    let album_folder = std::fs::read_dir(folder.path().join("photos"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let file = std::fs::read_dir(album_folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let right = std::fs::read(&file).unwrap();
    // In the head (key, length, checksum), the hashes, each piece.
    for at in [0, 9, 30, 33, 36, 99, 100, 120 + PIECE_BYTES, right.len() - 1] {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        std::fs::write(&file, wrong).unwrap();
        let piece = if at < 100 + PIECE_BYTES { 0 } else { 1 };
        store
            .photos()
            .piece(&album(1, 1), &one.1, piece)
            .expect_err(&format!("byte {at}"));
    }
    std::fs::write(&file, right).unwrap();
    assert_eq!(whole(&store, &album(1, 1), &one.1), Some(one.0));
}

/// The power goes at every operation of staging, issuing, fetching and erasing: a photo is there if and only if its section
/// is, and never with other bytes.
#[test]
fn a_power_cut_leaves_no_photo_without_its_section_and_no_wrong_byte() {
    let own = photo(1, 300);
    let fetched = photo(2, PIECE_BYTES + 9);
    let key = key();
    let run = |disk: &SimulatedDisk| {
        let store = open(disk, &key);
        if store.health().failed.is_some() {
            return;
        }
        let append = |batch| store.append(batch).is_ok();
        let staged = store.photos().stage(&album(1, 1), &own.1, &own.2, &own.0);
        if staged.is_err()
            || !append(issued(&store, &view(1, 1, &[&own.1])))
            || store.photos().settle(&album(1, 1)).is_err()
            || !append(issued(&store, &view(2, 1, &[&fetched.1])))
        {
            return;
        }
        for (piece, bytes) in (0..).zip(fetched.0.chunks(PIECE_BYTES)) {
            if store.photos().keep(&place(1), 0, &fetched.2, piece, bytes).is_err() {
                return;
            }
        }
        let _ = append(erased(0)) && append(erased(1));
    };
    let mut cut = 1;
    let (mut restored, mut erased_again) = (0, 0);
    loop {
        let disk = SimulatedDisk::new();
        drop(open(&disk, &key));
        let start = disk.operations();
        disk.set_faults(Faults {
            power_cut: Some(start + cut),
            ..Faults::default()
        });
        // The cut may hit the opening itself.
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&disk)));
        let whole_run = disk.operations() < start + cut;
        assert!(opened.is_ok() || !whole_run);
        let disk = disk.after_power_cut(cut);
        let store = open(&disk, &key);
        let mended = store.health().mended;
        for (index, number, of) in [(0, 1, &own), (1, 2, &fetched)] {
            let named = super::is_named(&store, &album(number, 1)).unwrap();
            let held = store.photos().held(&album(number, 1), &of.1).unwrap();
            assert!(named || held == 0, "cut {cut}: a photo without its section");
            assert!(
                !named || index == 1 || held == of.1.piece_count(),
                "cut {cut}: an own photo is gone"
            );
            for piece in 0..held {
                let bytes = store.photos().piece(&album(number, 1), &of.1, piece).unwrap().unwrap();
                assert_eq!(bytes, of.0[Photo::offset(piece) as usize..][..bytes.len()]);
            }
            let doubted = mended.iter().filter(|line| line.contains("photos")).count();
            (restored, erased_again) = match named {
                true => (restored + doubted, erased_again),
                false => (restored, erased_again + doubted),
            };
        }
        if whole_run {
            break;
        }
        cut += 1;
    }
    assert!(
        cut > 30 && restored > 0 && erased_again > 0,
        "{cut} cuts, {restored}, {erased_again}"
    );
}
