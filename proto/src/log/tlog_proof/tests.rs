//! Proof files: round trip, the layout as published, and named bad inputs.

use icomm_pki::MemberKey;
use proptest::prelude::*;

use super::super::{Frontier, InvalidNote, inclusion_proof, leaf_hash};
use super::*;

const LOG: &str = "demo.icomm.example/KE/main";

fn leaves(count: u8) -> Vec<Hash> {
    (0..count).map(|k| leaf_hash(&[k])).collect()
}

fn proof(count: u8, index: u8, extra: &'static [u8]) -> TlogProof {
    let leaves = leaves(count);
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    let signed = Checkpoint::of(LOG, &frontier)
        .sign(&MemberKey::from_seed(&[1; 32]))
        .unwrap();
    TlogProof {
        extra: Bytes::from_static(extra),
        inclusion: inclusion_proof(leaves.as_slice(), index.into(), count.into()).unwrap(),
        note: SignedNote::parse(signed.note()).unwrap(),
    }
}

#[test]
fn layout_is_as_published() {
    let proof = proof(2, 1, b"more");
    let sibling = BASE64.encode(leaf_hash(&[0]).as_bytes());
    let head = format!("c2sp.org/tlog-proof@v1\nextra bW9yZQ==\nindex 1\n{sibling}\n\n{LOG}\n2\n");
    assert!(proof.to_string().starts_with(&head), "{proof}");
    assert!(proof.to_string().ends_with('\n'));
}

#[test]
fn a_log_of_one_entry_needs_no_hash() {
    let proof = proof(1, 0, b"");
    assert!(
        proof
            .to_string()
            .starts_with(&format!("c2sp.org/tlog-proof@v1\nindex 0\n\n{LOG}\n1\n"))
    );
    assert_eq!(TlogProof::parse(&proof.to_bytes()), Ok(proof));
}

#[test]
fn named_bad_inputs_are_refused() {
    let good = proof(5, 3, b"more").to_string();
    let parse = |text: &str| TlogProof::parse(text.as_bytes()).unwrap_err();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        parse(&good.replacen(from, to, 1))
    };
    assert_eq!(with("@v1", "@v2"), InvalidTlogProof::Header);
    assert_eq!(with("extra bW9yZQ==", "extra bW9yZQ="), InvalidTlogProof::Extra);
    assert_eq!(with("index 3", "index 03"), InvalidTlogProof::Index);
    assert_eq!(with("index 3", "index +3"), InvalidTlogProof::Index);
    assert_eq!(with("index 3", "index"), InvalidTlogProof::Index);
    assert_eq!(with("index 3\n", ""), InvalidTlogProof::Index);
    assert_eq!(
        with("index 3\n", "index 3\nextra bW9yZQ==\n"),
        InvalidTlogProof::Hash(0)
    );
    assert_eq!(with("index 3\n", "index 3\nbW9yZQ==\n"), InvalidTlogProof::Hash(0));
    // Then the origin line stands where a hash should.
    assert!(matches!(with("\n\n", "\n"), InvalidTlogProof::Hash(_)));
    assert_eq!(
        with("\n5\n", "\nfive\n"),
        InvalidTlogProof::Checkpoint(InvalidCheckpoint::Size("five".into()))
    );
    assert_eq!(
        parse(good.trim_end()),
        InvalidTlogProof::Checkpoint(InvalidNote::Unfinished.into())
    );
    assert_eq!(
        parse(&format!("{good}\n")),
        InvalidTlogProof::Checkpoint(InvalidNote::Unfinished.into())
    );
    assert_eq!(parse("c2sp.org/tlog-proof@v1\n"), InvalidTlogProof::NoCheckpoint);
    assert_eq!(parse(""), InvalidTlogProof::NoCheckpoint);
    assert_eq!(TlogProof::parse(b"\xff"), Err(InvalidTlogProof::NotUtf8));
    let long = vec![b' '; TLOG_PROOF_BYTES_MAX + 1];
    assert_eq!(TlogProof::parse(&long), Err(InvalidTlogProof::TooLong(long.len())));
    let hash = format!("{}\n", BASE64.encode(&[7; 32]));
    let many = hash.repeat(TLOG_PROOF_HASHES_MAX + 1);
    assert_eq!(
        with("index 3\n", &format!("index 3\n{many}")),
        InvalidTlogProof::TooManyHashes
    );
}

proptest! {
    #[test]
    fn proofs_round_trip_and_prove(count in 1_u8..=200, at: prop::sample::Index, extra in prop::collection::vec(any::<u8>(), 0..90)) {
        let index = u8::try_from(at.index(count.into())).unwrap();
        let made = TlogProof { extra: extra.into(), ..proof(count, index, b"") };
        let read = TlogProof::parse(&made.to_bytes()).unwrap();
        prop_assert_eq!(&read, &made);
        let checkpoint = read.checkpoint().unwrap();
        prop_assert!(checkpoint.verify_inclusion(&read.inclusion, &leaf_hash(&[index])).is_ok());
        prop_assert!(checkpoint.verify_inclusion(&read.inclusion, &leaf_hash(&[index, 0])).is_err());
    }

    #[test]
    fn arbitrary_text_never_panics(text in "(c2sp.org/tlog-proof@v1\n)?(extra .{0,9}\n)?(index [0-9]{0,22}\n)?\\PC{0,200}") {
        let _ = TlogProof::parse(text.as_bytes());
    }
}
