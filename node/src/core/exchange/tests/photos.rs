//! Photos between nodes: who is given one, what is kept of one, and everything that is refused.

use icomm_proto::photo::{PIECE_BYTES, clearing};
use icomm_proto::{EntryKind, MediaType, Photo, PieceHashes, SectionSet, View};
use prost::Message as _;
use rand::{SeedableRng, rngs::StdRng};

use super::*;
use crate::core::fixture::{contribution, sealed};
use crate::store::{Album, Place};

struct Picture {
    bytes: Vec<u8>,
    photo: Photo,
    hashes: PieceHashes,
}

impl Picture {
    fn new(number: u8, len: usize) -> Self {
        let bytes: Vec<u8> = (0..len).map(|at| (at % 253) as u8 ^ number).collect();
        let (photo, hashes) = Photo::of(&bytes, MediaType::Png, "photo").unwrap();
        Self { bytes, photo, hashes }
    }

    fn piece(&self, index: u64, number: u32, piece: u32) -> v1::PhotoPiece {
        let from = Photo::offset(piece) as usize;
        let to = from + self.photo.piece_len(piece);
        v1::PhotoPiece {
            origin: "KE/main".into(),
            index,
            number,
            piece,
            hashes: self.hashes.as_bytes().to_vec().into(),
            data: self.bytes[from..to].to_vec().into(),
        }
    }
}

/// A record of `KE` that names these photos.
fn pictured(serial: u64, pictures: &[&Picture]) -> View {
    let plain = record("KE", serial, "Planted Name");
    let images = v1::Images {
        images: pictures.iter().map(|picture| (&picture.photo).into()).collect(),
    };
    let mut sections: Vec<_> = plain
        .sections()
        .iter()
        .map(|kind| (kind, plain.section(kind).unwrap().to_vec()))
        .collect();
    sections.push((SectionKind::Images, images.encode_to_vec()));
    sealed(serial, &sections)
}

fn want_photo(index: u64, number: u32, from: u32) -> Body {
    Body::PhotoWant(v1::PhotoWant {
        origin: "KE/main".into(),
        index,
        number,
        from,
    })
}

fn wanted(did: &Did, link: LinkId) -> Vec<(u64, u32, u32)> {
    let frames = did.to(link).filter_map(|body| match body {
        Body::PhotoWant(want) => Some((want.index, want.number, want.from)),
        _ => None,
    });
    frames.collect()
}

fn pieces(did: &Did, link: LinkId) -> Vec<v1::PhotoPiece> {
    let frames = did.to(link).filter_map(|body| match body {
        Body::PhotoPiece(piece) => Some(piece.clone()),
        _ => None,
    });
    frames.collect()
}

fn absent(did: &Did, link: LinkId) -> Vec<String> {
    let frames = did.to(link).filter_map(|body| match body {
        Body::PhotoAbsent(absent) => Some(absent.code.clone()),
        _ => None,
    });
    frames.collect()
}

/// The template of an agreement that gives photos as well.
fn with_images(a: &str, b: &str) -> String {
    let text = bilateral(a, b);
    let all = text.replace("\"persons\", \"companies\"]", "\"persons\", \"companies\", \"images\"]");
    assert_ne!(text, all);
    all
}

fn keep_own(node: &TestNode, view: &View, pictures: &[&Picture]) {
    let album = Album::of(&"KE/main".parse().unwrap(), view);
    for picture in pictures {
        let photos = node.store.photos();
        photos
            .stage(&album, &picture.photo, &picture.hashes, &picture.bytes)
            .unwrap();
    }
    node.store.photos().settle(&album).unwrap();
}

/// `KE` holds a record with two photos, the second of which it has cleared; `UG` may have photos, `ES` may not.
fn photographer() -> (Network, TestNode, Originator, [Picture; 2]) {
    let network = Network::new();
    let mut node = network.node("KE");
    let pictures = [Picture::new(1, 2 * PIECE_BYTES + 9), Picture::new(2, 30)];
    let view = pictured(1, &[&pictures[0], &pictures[1]]);
    let mut log = Originator::new("KE/main");
    log.commit([view.clone()]);
    log.commit([clearing(&view, 1, &mut StdRng::seed_from_u64(4)).unwrap()]);
    node.holds(&log);
    keep_own(&node, &view, &[&pictures[0], &pictures[1]]);
    node.adopt(&agreement(&with_images("KE", "UG"), &["KE", "UG"]));
    node.adopt(&agreement(&bilateral("KE", "ES"), &["KE", "ES"]));
    node.adopt(&agreement(&contribution("KE", "WCO"), &["KE", "WCO"]));
    (network, node, log, pictures)
}

#[test]
fn who_is_given_the_section_is_given_its_photos_and_it_is_noted_first() {
    let (network, mut node, _, pictures) = photographer();
    let (link, _) = node.link(network.peer("UG"), &[]);
    let did = node.frame(link, want_photo(0, 0, 0));
    let sent = pieces(&did, link);
    assert_eq!(sent.len(), 3);
    for (piece, number) in sent.iter().zip(0..) {
        let mut expected = pictures[0].piece(0, 0, number);
        if number > 0 {
            expected.hashes = Bytes::new();
        }
        assert_eq!(*piece, expected);
    }
    let notes = || node_notes(&*node.store);
    let [note] = &notes()[..] else { panic!("{:?}", notes()) };
    assert_eq!(
        (note.to.as_str(), note.from, note.count, note.photo),
        ("UG", 0, 1, Some(0))
    );
    assert_eq!(note.terms[0].sections, "images");
    assert!(note.terms[0].bases[0].contains("`ke-ug` version 1"), "{note:?}");
    // The rest of one that broke off is not noted again, another photo is.
    let did = node.frame(link, want_photo(0, 0, 2));
    let [last] = &pieces(&did, link)[..] else {
        panic!("{did:?}")
    };
    assert_eq!((last.piece, last.hashes.len()), (2, 96));
    assert_eq!(node_notes(&*node.store).len(), 1);
    assert_eq!(pieces(&node.frame(link, want_photo(0, 1, 0)), link).len(), 1);
    assert_eq!(node_notes(&*node.store).len(), 2);
}

fn node_notes(store: &dyn Store) -> Vec<Note> {
    let notes = store.notes(&NoteLog::disclosures(), 0, 99).unwrap();
    notes.iter().map(|(_, note)| Note::decode(note).unwrap()).collect()
}

#[test]
fn nobody_else_is_given_a_piece() {
    let (network, mut node, _, _) = photographer();
    let (partner, _) = node.link(network.peer("ES"), &[]);
    let (stranger, _) = node.link(network.peer("RILO-ESA"), &[]);
    let (global, _) = node.link(network.peer("WCO"), &[]);
    for (link, number) in [(partner, 0), (stranger, 0), (global, 0), (global, 1)] {
        let did = node.frame(link, want_photo(0, number, 0));
        assert_eq!(
            (absent(&did, link), pieces(&did, link)),
            (vec!["not-given".to_owned()], Vec::new())
        );
    }
    // What does not exist is answered alike.
    let (link, _) = node.link(network.peer("UG"), &[]);
    for (index, number) in [(0, 2), (7, 0)] {
        assert_eq!(
            absent(&node.frame(link, want_photo(index, number, 0)), link),
            ["not-given"]
        );
    }
    assert_eq!(
        absent(&node.frame(link, want_photo(0, 0, 3)), link),
        ["not-here"],
        "beyond the last"
    );
    assert!(node_notes(&*node.store).is_empty());
}

#[test]
fn the_global_node_is_given_the_photo_that_is_cleared_and_no_other() {
    let (network, mut node, log, pictures) = photographer();
    let (global, _) = node.link(network.peer("WCO"), &[]);
    let did = node.frame(global, want(&log, 0));
    let [chunk] = did.chunks(global)[..] else {
        panic!("{did:?}")
    };
    let sent = chunk.clone();
    let sent_pieces = pieces(&node.frame(global, want_photo(1, 0, 0)), global);
    assert_eq!(sent_pieces, [pictures[1].piece(1, 0, 0)]);
    assert_eq!(absent(&node.frame(global, want_photo(1, 1, 0)), global), ["not-given"]);
    let noted: Vec<_> = node_notes(&*node.store)
        .into_iter()
        .filter(|note| note.photo.is_some())
        .collect();
    assert_eq!((noted.len(), noted[0].to.as_str(), noted[0].from), (1, "WCO", 1));

    // There it is taken, and asked for.
    let mut root = network.node("WCO");
    let (link, _) = root.link(network.peer("KE"), &[&log]);
    let did = root.chunk(link, sent);
    assert_eq!(
        (did.receipts(link), wanted(&did, link)),
        (vec![("KE/main", 2)], vec![(1, 0, 0)])
    );
    root.frame(link, Body::PhotoPiece(sent_pieces[0].clone()));
    let album = Album::of(&log.origin, &log.views[1]);
    assert_eq!(root.store.photos().held(&album, &pictures[1].photo).unwrap(), 1);
    // The record's own section is not, nor an entry that clears more.
    let did = network_root(
        &network,
        &log,
        log.chunk(0, 2, |index| match index {
            0 => SectionSet::open().with(SectionKind::Images),
            _ => SectionSet::open(),
        }),
    );
    assert_eq!(did, ["not-denominalised"]);
    let both = View::parse(log.views[0].bytes().clone()).unwrap();
    let head = icomm_proto::EntryHead {
        kind: EntryKind::Clear,
        ..both.head()
    };
    let sections = [SectionKind::Case, SectionKind::Images].map(|kind| (kind, both.section(kind).unwrap()));
    let clears_both = icomm_proto::seal::seal(&head, &sections, &mut StdRng::seed_from_u64(8)).unwrap();
    let mut other = Originator::new("KE/main");
    other.commit([clears_both]);
    assert_eq!(network_root(&network, &other, other.whole(0, 1)), ["not-denominalised"]);
}

/// The codes with which a new global node refuses a chunk.
fn network_root(network: &Network, log: &Originator, chunk: v1::Chunk) -> Vec<String> {
    let mut root = network.node("WCO");
    let (link, _) = root.link(network.peer("KE"), &[log]);
    let did = root.chunk(link, chunk);
    did.refusals(link).iter().map(|(code, _)| (*code).to_owned()).collect()
}

#[test]
fn what_is_recalled_while_it_is_sent_goes_no_further() {
    let (network, mut node, mut log, _) = photographer();
    let (link, _) = node.link(network.peer("UG"), &[]);
    assert_eq!(pieces(&node.frame(link, want_photo(0, 0, 0)), link).len(), 3);
    let recall = log.void(0, EntryKind::Recall);
    let batch = node.exchange.voiding(&log.origin, &log.views[2], recall).unwrap();
    assert_eq!(
        absent(&node.frame(link, want_photo(0, 0, 0)), link),
        ["not-here"],
        "while it is erased"
    );
    node.store.append(batch).unwrap();
    node.exchange.voided(&log.origin);
    assert_eq!(absent(&node.frame(link, want_photo(0, 0, 0)), link), ["not-given"]);
}

#[test]
fn a_holder_fetches_piece_by_piece_and_goes_on_where_it_was() {
    let network = Network::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut node = network.node_over("UG", store.clone());
    let (one, two) = (Picture::new(1, 3 * PIECE_BYTES), Picture::new(2, 30));
    let mut log = Originator::new("KE/main");
    log.commit([
        record("KE", 1, "Planted Name"),
        pictured(2, &[&one, &two]),
        pictured(3, &[&two]),
    ]);
    let (link, _) = node.link(network.peer("KE"), &[&log]);
    let did = node.chunk(link, log.whole(0, 3));
    assert_eq!(wanted(&did, link), [(1, 0, 0)], "one at a time");
    for piece in [0, 0, 1] {
        let did = node.frame(link, Body::PhotoPiece(one.piece(1, 0, piece)));
        assert!(did.frames.is_empty() && did.closed.is_empty());
    }
    // Another process over the same store, on another link.
    let mut node = network.node_over("UG", store);
    let (link, did) = node.link(network.peer("KE"), &[&log]);
    assert_eq!(wanted(&did, link), [(1, 0, 2)]);
    let did = node.frame(link, Body::PhotoPiece(one.piece(1, 0, 2)));
    assert_eq!(wanted(&did, link), [(1, 1, 0)]);
    // The peer does not have it; the next one then, and that again once it has.
    let gone = v1::PhotoAbsent {
        origin: "KE/main".into(),
        index: 1,
        number: 1,
        code: "not-here".into(),
    };
    let did = node.frame(link, Body::PhotoAbsent(gone.clone()));
    assert_eq!(wanted(&did, link), [(2, 0, 0)]);
    let did = node.frame(link, Body::PhotoPiece(two.piece(2, 0, 0)));
    assert!(wanted(&did, link).is_empty());
    let here = v1::PhotoHere {
        origin: "KE/main".into(),
        index: 1,
        number: 1,
    };
    let did = node.frame(link, Body::PhotoHere(here));
    assert_eq!(wanted(&did, link), [(1, 1, 0)]);
    node.frame(link, Body::PhotoPiece(two.piece(1, 1, 0)));
    for (index, picture) in [(1, &one), (1, &two), (2, &two)] {
        let album = Album::of(&log.origin, &log.views[index]);
        let held = node.store.photos().held(&album, &picture.photo).unwrap();
        assert_eq!(held, picture.photo.piece_count());
    }
    assert!(
        node.store.scan_state("photos/").unwrap().is_empty(),
        "nothing is left to fetch"
    );
    // Nothing is asked for again.
    let (link, did) = node.link(network.peer("KE"), &[&log]);
    assert!(wanted(&did, link).is_empty());
}

#[test]
fn a_wrong_piece_ends_the_session_and_nothing_of_it_is_kept() {
    let one = Picture::new(1, PIECE_BYTES + 5);
    let wrong: [fn(&mut v1::PhotoPiece); 5] = [
        |piece| {
            let mut bytes = piece.data.to_vec();
            bytes[77] ^= 1;
            piece.data = bytes.into();
        },
        |piece| piece.data = piece.data.slice(1..),
        |piece| piece.hashes = vec![7; 64].into(),
        |piece| piece.hashes = Bytes::new(),
        |piece| piece.piece = 1,
    ];
    for change in wrong {
        let network = Network::new();
        let mut node = network.node("UG");
        let mut log = Originator::new("KE/main");
        log.commit([pictured(1, &[&one])]);
        let (link, _) = node.link(network.peer("KE"), &[&log]);
        node.chunk(link, log.whole(0, 1));
        let mut piece = one.piece(0, 0, 0);
        change(&mut piece);
        let did = node.frame(link, Body::PhotoPiece(piece));
        assert_eq!(
            (did.closed[0].1.code.as_str(), did.closed[0].1.peers_fault),
            ("bad-piece", true)
        );
        let album = Album::of(&log.origin, &log.views[0]);
        assert_eq!(node.store.photos().held(&album, &one.photo).unwrap(), 0);
    }
}

#[test]
fn what_was_not_asked_for_or_is_recalled_is_not_kept() {
    let network = Network::new();
    let mut node = network.node("UG");
    let one = Picture::new(1, 30);
    let mut log = Originator::new("KE/main");
    log.commit([pictured(1, &[&one])]);
    let (link, _) = node.link(network.peer("KE"), &[&log]);
    // Before the entry is here, nobody can say what it names.
    let did = node.frame(link, Body::PhotoPiece(one.piece(0, 0, 0)));
    assert!(did.closed.is_empty());
    node.chunk(link, log.whole(0, 1));
    let recall = log.void(0, EntryKind::Recall);
    node.frame(
        link,
        Body::Recalls(v1::Recalls {
            recalls: vec![recall],
            more: false,
        }),
    );
    let did = node.frame(link, Body::PhotoPiece(one.piece(0, 0, 0)));
    assert!(did.closed.is_empty());
    let album = Album::of(&log.origin, &log.views[0]);
    assert_eq!(node.store.photos().held(&album, &one.photo).unwrap(), 0);
    let place = Place {
        origin: log.origin.clone(),
        index: 0,
    };
    assert!(node.store.entry(&place.origin, place.index).unwrap().is_some());
}

#[test]
fn an_office_passes_a_cleared_photo_on_when_it_has_it_and_no_other() {
    let network = Network::new();
    let mut node = network.node("RILO-ESA");
    let (one, two) = (Picture::new(1, 30), Picture::new(2, 40));
    let view = pictured(1, &[&one, &two]);
    let clear = clearing(&view, 1, &mut StdRng::seed_from_u64(4)).unwrap();
    let mut log = Originator::new("KE/main");
    log.commit([view, clear]);
    let passes = with_images("KE", "RILO-ESA").replace("upstream = false", "upstream = true");
    node.adopt(&agreement(&passes, &["KE", "RILO-ESA"]));
    let (from, _) = node.link(network.peer("KE"), &[&log]);
    let did = node.chunk(from, log.whole(0, 2));
    assert_eq!(wanted(&did, from), [(0, 0, 0)]);
    node.frame(from, Body::PhotoPiece(one.piece(0, 0, 0)));
    let (to, _) = node.link(network.peer("WCO"), &[]);
    assert_eq!(absent(&node.frame(to, want_photo(0, 0, 0)), to), ["not-given"]);
    assert_eq!(absent(&node.frame(to, want_photo(1, 0, 0)), to), ["not-here"]);
    let did = node.frame(from, Body::PhotoPiece(two.piece(0, 1, 0)));
    // The entry that clears it names the same photo of the same version: it is here at once.
    assert!(wanted(&did, from).is_empty(), "{did:?}");
    let told = did
        .to(to)
        .filter(|body| matches!(body, Body::PhotoHere(here) if here.index == 1));
    assert_eq!(told.count(), 1, "{did:?}");
    assert_eq!(pieces(&node.frame(to, want_photo(1, 0, 0)), to), [two.piece(1, 0, 0)]);
}

#[test]
fn a_peer_that_asks_for_too_much_at_once_is_cut_off() {
    let (network, mut node, _, _) = photographer();
    let (link, _) = node.link(network.peer("UG"), &[]);
    node.hold_spare(true);
    let mut closed = Vec::new();
    for _ in 0..=crate::core::session::PHOTO_WANTS_MAX {
        closed.extend(node.frame(link, want_photo(0, 0, 0)).closed);
    }
    assert_eq!((closed.len(), closed[0].1.code.as_str()), (1, "too-many-photos"));
}

#[test]
fn what_is_called_back_goes_with_its_photos() {
    let network = Network::new();
    let mut node = network.node("UG");
    let (one, two) = (Picture::new(1, 2 * PIECE_BYTES), Picture::new(2, 30));
    let mut log = Originator::new("KE/main");
    log.commit([pictured(1, &[&two]), pictured(2, &[&two]), pictured(3, &[&one])]);
    let (link, _) = node.link(network.peer("KE"), &[&log]);
    node.chunk(link, log.whole(0, 3));
    node.frame(link, Body::PhotoPiece(two.piece(0, 0, 0)));
    let did = node.frame(link, Body::PhotoPiece(two.piece(1, 0, 0)));
    assert_eq!(wanted(&did, link), [(2, 0, 0)]);
    node.frame(link, Body::PhotoPiece(one.piece(2, 0, 0)));
    let held = |node: &TestNode, index: usize, picture: &Picture| {
        let album = Album::of(&log.origin, &log.views[index]);
        node.store.photos().held(&album, &picture.photo).unwrap()
    };
    assert_eq!(
        [held(&node, 0, &two), held(&node, 1, &two), held(&node, 2, &one)],
        [1, 1, 1]
    );
    let call = callbacks::call(&log, &[(0, "case+images"), (1, "case+exact"), (2, "none")]);
    node.frame(link, callbacks::asks(&call));
    assert_eq!(
        [held(&node, 0, &two), held(&node, 1, &two), held(&node, 2, &one)],
        [1, 0, 0]
    );
    // The piece that was under way finds nothing that names it, and nothing more is asked for.
    let did = node.frame(link, Body::PhotoPiece(one.piece(2, 0, 1)));
    assert!(did.closed.is_empty() && wanted(&did, link).is_empty());
    assert_eq!(held(&node, 2, &one), 0);
}
