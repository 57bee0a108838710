//! Forks proved with real certificates, and every accusation that must come to nothing.

use icomm_pki::MemberKey;

use super::*;
use crate::log::{Frontier, consistency_proof, leaf_hash};
use crate::proof::tests::{Network, another, network};

const LINE: &str = "demo.icomm.example/KE/main";

/// The leaf hashes of a log; those of different salt have no entry in common.
fn leaves(salt: u8, size: u64) -> Vec<Hash> {
    (0..size)
        .map(|index| leaf_hash(&[&[salt], &index.to_be_bytes()[..]].concat()))
        .collect()
}

fn signed(line: &str, leaves: &[Hash], key: &MemberKey) -> SignedNote {
    let frontier: Frontier = leaves.iter().copied().collect();
    let signed = Checkpoint::of(line, &frontier).sign(key).unwrap();
    SignedNote::parse(signed.note()).unwrap()
}

fn beginning(leaves: &[Hash], size: u64) -> Beginning {
    let frontier: Frontier = leaves.iter().take(size as usize).copied().collect();
    let proof = consistency_proof(leaves, size, leaves.len() as u64).unwrap();
    Beginning {
        root: frontier.root(),
        path: proof.path,
    }
}

/// `small` entries of one history, `large` of another.
fn forked(network: &Network, small: u64, large: u64) -> ForkProof {
    let (one, other) = (leaves(1, small), leaves(2, large));
    ForkProof::new(
        network.path("KE"),
        signed(LINE, &one, &network.kenya),
        signed(LINE, &other, &network.kenya),
        (small < large).then(|| beginning(&other, small)),
    )
}

#[test]
fn two_histories_are_proved_with_the_root_alone_whatever_their_sizes() {
    let network = network();
    for large in 1..=17 {
        for small in 1..=large {
            let proof = forked(&network, small, large);
            let read = ForkProof::parse(&proof.to_bytes()).unwrap();
            assert_eq!(read, proof);
            let fork = read.verify(network.root.certificate()).unwrap();
            assert_eq!(fork.origin.to_string(), "KE/main");
            assert_eq!(fork.originator.member().as_str(), "KE");
            assert_eq!((fork.smaller.size, fork.larger.size), (small, large));
            assert_ne!(fork.expected, fork.smaller.root);
        }
    }
}

#[test]
fn a_log_that_went_on_is_no_fork() {
    let network = network();
    let log = leaves(1, 7);
    for small in 1..=7 {
        let proof = ForkProof::new(
            network.path("KE"),
            signed(LINE, &log[..small], &network.kenya),
            signed(LINE, &log, &network.kenya),
            (small < 7).then(|| beginning(&log, small as u64)),
        );
        let refused = proof.verify(network.root.certificate()).unwrap_err();
        assert!(matches!(refused, InvalidFork::NoContradiction), "{small}: {refused}");
    }
}

#[test]
fn how_a_log_begins_can_t_be_made_up() {
    let network = network();
    let log = leaves(1, 7);
    let accuse = |beginning: Beginning| {
        let (small, large) = (
            signed(LINE, &log[..5], &network.kenya),
            signed(LINE, &log, &network.kenya),
        );
        let proof = ForkProof::new(network.path("KE"), small, large, Some(beginning));
        proof.verify(network.root.certificate()).unwrap_err()
    };
    let honest = beginning(&log, 5);
    let false_root = Beginning {
        root: leaf_hash(b"made up"),
        ..honest.clone()
    };
    assert!(matches!(accuse(false_root), InvalidFork::Beginning(_)));
    for at in 0..honest.path.len() {
        let mut bent = honest.clone();
        bent.path[at] = leaf_hash(b"made up");
        assert!(matches!(accuse(bent), InvalidFork::Beginning(_)), "{at}");
    }
    // The beginning of another size of the same log.
    assert!(matches!(accuse(beginning(&log, 4)), InvalidFork::Beginning(_)));
}

#[test]
fn nobody_is_accused_of_what_others_signed() {
    let network = network();
    let root = network.root.certificate();
    let good = forked(&network, 3, 3);
    let with = |change: &dyn Fn(&mut ForkProof)| {
        let mut proof = good.clone();
        change(&mut proof);
        let read = ForkProof::parse(&proof.to_bytes()).unwrap();
        read.verify(root).unwrap_err()
    };
    let forged = with(&|proof| proof.larger = signed(LINE, &leaves(2, 3), &network.office));
    assert!(matches!(forged, InvalidFork::Checkpoint(_)), "{forged}");
    let forged = with(&|proof| proof.smaller = signed(LINE, &leaves(2, 3), &MemberKey::from_seed(&[9; 32])));
    assert!(matches!(forged, InvalidFork::Checkpoint(_)), "{forged}");
    let another_s = with(&|proof| proof.originator = network.path("RILO-ESA"));
    assert!(matches!(another_s, InvalidFork::Originator { .. }), "{another_s}");
    let line = "demo.icomm.example/KE/second";
    let two_logs = with(&|proof| proof.larger = signed(line, &leaves(2, 3), &network.kenya));
    assert!(matches!(two_logs, InvalidFork::TwoLogs(..)), "{two_logs}");
    let line = "other.example/KE/main";
    let elsewhere = with(&|proof| {
        proof.smaller = signed(line, &leaves(1, 3), &network.kenya);
        proof.larger = signed(line, &leaves(2, 3), &network.kenya);
    });
    assert!(matches!(elsewhere, InvalidFork::Origin(_)), "{elsewhere}");
    assert!(matches!(
        good.verify(another().root.certificate()),
        Err(InvalidFork::Path(_))
    ));

    let unproved = with(&|proof| proof.larger = signed(LINE, &leaves(2, 4), &network.kenya));
    assert!(matches!(unproved, InvalidFork::Sizes(3, 4)), "{unproved}");
    let turned = with(&|proof| {
        proof.smaller = signed(LINE, &leaves(2, 4), &network.kenya);
        proof.beginning = Some(beginning(&leaves(2, 4), 3));
    });
    assert!(matches!(turned, InvalidFork::Sizes(4, 3)), "{turned}");
}

#[test]
fn what_is_no_proof_of_a_fork_is_said() {
    let text = forked(&network(), 3, 5).to_string();
    let refused = |text: &str| ForkProof::parse(text.as_bytes()).unwrap_err();
    assert!(matches!(refused(""), InvalidFork::Checkpoints));
    assert!(matches!(refused(&text.replacen("@v1", "@v2", 1)), InvalidFork::Header));
    assert!(matches!(
        refused(&text.replacen("begins ", "begin ", 1)),
        InvalidFork::Line(4)
    ));
    assert!(matches!(
        refused(&text.replacen("hash ", "hash  ", 1)),
        InvalidFork::Line(5)
    ));
    assert!(matches!(
        refused(&text.replacen("certificate ", "certificate .", 1)),
        InvalidFork::Line(2)
    ));
    assert!(matches!(refused(text.trim_end()), InvalidFork::Checkpoint(_)));
    assert!(matches!(refused(&format!("{text}\n\nmore")), InvalidFork::Checkpoints));
    assert!(matches!(refused(&format!("{text}\n")), InvalidFork::Checkpoints));
    let (cut, _) = text.rsplit_once("\n\n").unwrap();
    assert!(matches!(refused(cut), InvalidFork::Checkpoints));
    let without = text
        .lines()
        .filter(|line| !line.starts_with("certificate"))
        .collect::<Vec<_>>()
        .join("\n");
    assert!(matches!(
        refused(&(without + "\n")),
        InvalidFork::Path(InvalidMemberPath::Length(0))
    ));
    let long = text.replacen("hash ", &format!("hash {}", "A".repeat(FORK_BYTES_MAX)), 1);
    assert!(matches!(refused(&long), InvalidFork::TooLong(_)));
    let hashes = format!("\nhash {}", leaf_hash(b"").to_base64()).repeat(TLOG_PROOF_HASHES_MAX + 1);
    let (head, rest) = text.split_once("\n\n").unwrap();
    assert!(matches!(
        refused(&format!("{head}{hashes}\n\n{rest}")),
        InvalidFork::Line(_)
    ));
}

#[test]
fn two_keys_of_one_member_prove_a_fork_as_one_does() {
    let network = network();
    let (later, path) = network.successor_of_kenya();
    let (one, two) = (leaves(1, 3), leaves(2, 5));
    let proof = ForkProof::new(
        network.path("KE"),
        signed(LINE, &one, &network.kenya),
        signed(LINE, &two, &later),
        Some(beginning(&two, 3)),
    );
    let root = network.root.certificate();
    let refused = proof.clone().verify(root).unwrap_err();
    assert!(
        matches!(refused, InvalidFork::Checkpoint(_)),
        "without the other certificate: {refused}"
    );
    let proof = proof.with_successor(Some(path));
    let read = ForkProof::parse(&proof.to_bytes()).unwrap();
    assert_eq!(read, proof);
    let fork = read.verify(root).unwrap();
    assert_eq!(fork.originator.key(), network.kenya.public());
    assert_eq!(fork.successor.unwrap().key(), later.public());
    // Another member's key is no successor.
    let other = proof.with_successor(Some(network.path("RILO-ESA")));
    assert!(matches!(other.verify(root), Err(InvalidFork::Originator { .. })));
}
