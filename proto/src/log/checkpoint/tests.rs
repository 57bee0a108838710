//! The example of C2SP `tlog-checkpoint`, a real checkpoint of sum.golang.org, and named bad ones.

use super::*;
use crate::log::{hash::leaf_hash, note, proof::inclusion_proof};

const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
const ORIGIN: &str = "demo.icomm.example/KE/main";

const SUMDB: &str = "go.sum database tree\n65664258\nWVVNVD2qx+fTq31zkj6UAqxT5X6HvGphGM+o8Thnbsg=\n\n\
    — sum.golang.org Az3grligJmgX7KGyGPKybykNTh3VgsbLvUuvOwrM5zLVlulmFp2wdvbxOw74/gcNxURShXEpb7RXcs3+BYflYN+w0gQ=\n";
const SUMDB_KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

fn leaves(count: u32) -> Vec<Hash> {
    (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

fn signed(count: u32, key: &MemberKey) -> SignedCheckpoint {
    let frontier = leaves(count).into_iter().collect();
    Checkpoint::of(ORIGIN, &frontier).sign(key).unwrap()
}

#[test]
fn the_example_of_the_specification_parses() {
    let checkpoint = Checkpoint::parse(EXAMPLE).unwrap();
    assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
    assert_eq!(checkpoint.size, 20_852_163);
    assert_eq!(
        checkpoint.root.to_string(),
        "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"
    );
    assert_eq!(checkpoint.text(), EXAMPLE);
}

#[test]
fn a_checkpoint_of_the_go_checksum_database_verifies() {
    let (name, key) = note::tests::verifier(SUMDB_KEY);
    let note = SignedNote::parse(SUMDB.as_bytes()).unwrap();
    assert_eq!(note.verify(name, &key), Ok(()));
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    assert_eq!(
        (checkpoint.origin.as_str(), checkpoint.size),
        ("go.sum database tree", 65_664_258)
    );
}

#[test]
fn a_signed_checkpoint_verifies_for_its_origin_and_key_only() {
    let (key, other) = (MemberKey::generate().unwrap(), MemberKey::generate().unwrap());
    let signed = signed(5, &key);
    let verify =
        |origin: &str, key: &MemberKey| VerifiedCheckpoint::verify(signed.note().clone(), origin, &key.public());

    let verified = verify(ORIGIN, &key).unwrap();
    assert_eq!(verified.checkpoint(), signed.checkpoint());
    assert_eq!((verified.size(), verified.note()), (5, signed.note()));
    assert_eq!(
        verify(ORIGIN, &other),
        Err(InvalidNote::NotSignedBy(ORIGIN.to_owned()).into())
    );
    let (expected, found) = ("demo.icomm.example/UG/main".to_owned(), ORIGIN.to_owned());
    assert_eq!(
        verify(&expected, &key),
        Err(InvalidCheckpoint::Origin {
            expected: expected.clone(),
            found
        })
    );
}

#[test]
fn every_flipped_bit_of_a_signed_checkpoint_is_noticed() {
    let key = MemberKey::generate().unwrap();
    let signed = signed(9, &key);
    for bit in 0..8 * signed.note().len() {
        let mut bytes = signed.note().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let refused = VerifiedCheckpoint::verify(bytes.into(), ORIGIN, &key.public());
        assert!(refused.is_err(), "bit {bit}");
    }
}

#[test]
fn malformed_checkpoints_are_refused() {
    let [origin, size, root] = ["KE/main", "5", "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="];
    let lines = |lines: &[&str]| Checkpoint::parse(&format!("{}\n", lines.join("\n")));
    assert!(lines(&[origin, size, root]).is_ok());
    assert!(lines(&[origin, size, root, "an extension", "and another"]).is_ok());
    assert_eq!(lines(&[origin, "0", root]).unwrap().size, 0);
    for bad in [
        &[origin, size][..],
        &["", size, root],
        &[origin, size, root, ""],
        &[origin, size, root, "", "x"],
        &[],
    ] {
        assert_eq!(lines(bad), Err(InvalidCheckpoint::Lines), "{bad:?}");
    }
    assert_eq!(
        Checkpoint::parse(&[origin, size, root].join("\n")),
        Err(InvalidCheckpoint::Lines)
    );
    for bad in [
        "",
        "05",
        "00",
        "+5",
        "-5",
        "5 ",
        "5.0",
        "0x5",
        "٥",
        "281474976710657",
        "18446744073709551616",
    ] {
        assert_eq!(
            lines(&[origin, bad, root]),
            Err(InvalidCheckpoint::Size(bad.to_owned()))
        );
    }
    for bad in [
        "",
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I",
        "CsUYapGGPo4dkMgIAUqom_Xajj7h2fB2MPA3j2jxq2I=",
        "AAAA",
    ] {
        assert_eq!(lines(&[origin, size, bad]), Err(InvalidCheckpoint::Root), "{bad}");
    }
    // Trailing bits that decode to nothing would give one root two spellings.
    assert_eq!(
        lines(&[origin, size, &root.replace("2I=", "2J=")]),
        Err(InvalidCheckpoint::Root)
    );
}

#[test]
fn inclusion_is_bound_to_the_checkpoints_size() {
    let leaves = leaves(8);
    let checkpoint = Checkpoint::of(ORIGIN, &leaves.iter().copied().collect());
    let proof = inclusion_proof(leaves.as_slice(), 0, 8).unwrap();
    assert_eq!(checkpoint.verify_inclusion(&proof, &leaves[0]), Ok(()));
    // The same path from index 0 leads to the same root in a log said to have 7 entries: the root alone can't tell.
    let resized = InclusionProof { size: 7, ..proof };
    assert_eq!(resized.verify(&leaves[0], &checkpoint.root), Ok(()));
    let refused = checkpoint.verify_inclusion(&resized, &leaves[0]);
    assert_eq!(
        refused,
        Err(InvalidProof::Size {
            proof: 7,
            checkpoint: 8
        })
    );
}

/// `KE` as a bundle lists it: the second key signs; the first one does up to its end in `main`, or still signs.
fn keys(first: &MemberKey, second: &MemberKey, end: Option<(u64, Hash)>) -> std::sync::Arc<MemberKeys> {
    use icomm_pki::{FormerListing, Handover, LogEnd};
    let end = end.map(|(size, root)| LogEnd {
        size,
        root: (*root.as_bytes()).into(),
    });
    let handover = end.map(|end| Handover {
        ends: [("main".to_owned(), end)].into(),
        ..Handover::default()
    });
    crate::proof::tests::keys_of_kenya(&[first, second], |certificate| FormerListing { certificate, handover })
}

#[test]
fn a_former_key_counts_up_to_its_end_and_the_next_one_beyond() {
    let (first, second) = (MemberKey::from_seed(&[1; 32]), MemberKey::from_seed(&[2; 32]));
    let root = |count| leaves(count).into_iter().collect::<Frontier>().root();
    let verify = |keys: &MemberKeys, count: u32, key: &MemberKey| {
        VerifiedCheckpoint::verify_by(signed(count, key).note().clone(), ORIGIN, keys).map(|verified| verified.size())
    };
    let (open, closed) = (keys(&first, &second, None), keys(&first, &second, Some((5, root(5)))));
    for count in [1, 5, 9] {
        assert_eq!(verify(&open, count, &first), Ok(count.into()));
        for keys in [&open, &closed] {
            assert_eq!(verify(keys, count, &second), Ok(count.into()));
        }
    }
    assert_eq!((verify(&closed, 4, &first), verify(&closed, 5, &first)), (Ok(4), Ok(5)));
    let beyond = |size, end| {
        let origin = ORIGIN.to_owned();
        Err(InvalidCheckpoint::RetiredKey { origin, size, end })
    };
    assert_eq!(verify(&closed, 6, &first), beyond(6, 5));
    let elsewhere = keys(&first, &second, Some((5, root(4))));
    assert_eq!(
        verify(&elsewhere, 5, &first),
        beyond(5, 5),
        "of as many entries with another root"
    );
    let stranger = MemberKey::from_seed(&[3; 32]);
    assert_eq!(
        verify(&closed, 5, &stranger),
        Err(InvalidNote::NotSignedBy(ORIGIN.to_owned()).into())
    );
    // Both lines on one note: what the old key says beyond its end takes nothing from the new one's word.
    let mut both = SignedNote::parse(signed(6, &first).note()).unwrap();
    both.merge(SignedNote::parse(signed(6, &second).note()).unwrap())
        .unwrap();
    let verified = VerifiedCheckpoint::verify_by(both.to_bytes().into(), ORIGIN, &closed).unwrap();
    assert_eq!(verified.keys_of(&closed).collect::<Vec<_>>(), [second.public()]);
    // A line that says it is the new key's and is not makes the note worthless, as before.
    let mut forged = signed(5, &second).note().to_vec();
    let at = forged.len() - 10;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    assert!(VerifiedCheckpoint::verify_by(forged.into(), ORIGIN, &closed).is_err());
}
