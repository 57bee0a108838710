//! Published vectors, every proof of every size up to 64, and every small change to each of them.

use super::*;
use crate::log::hash::{leaf_hash, vectors};

const SIZE_MAX: u64 = 64;

fn leaves() -> Vec<Hash> {
    (0..SIZE_MAX).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

fn root(leaves: &[Hash], size: u64) -> Hash {
    leaves.iter().take(size as usize).copied().collect::<Frontier>().root()
}

fn include(leaves: &[Hash], index: u64, size: u64) -> InclusionProof {
    inclusion_proof(leaves, index, size).unwrap()
}

fn consist(leaves: &[Hash], old: u64, new: u64) -> ConsistencyProof {
    consistency_proof(leaves, old, new).unwrap()
}

/// Every list that differs from `path` by one flipped bit in one hash, one hash left out, doubled, added, or two
/// swapped.
fn mutations(path: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    for i in 0..path.len() {
        let mut flipped = path.to_vec();
        let mut bytes = flipped[i].to_bytes();
        bytes[i % 32] ^= 1 << (i % 8);
        flipped[i] = bytes.into();
        all.push(flipped);

        let mut shorter = path.to_vec();
        shorter.remove(i);
        all.push(shorter);

        let mut doubled = path.to_vec();
        doubled.insert(i, path[i]);
        all.push(doubled);

        for j in 0..i {
            if path[i] != path[j] {
                let mut swapped = path.to_vec();
                swapped.swap(i, j);
                all.push(swapped);
            }
        }
    }
    for extra in [Hash::default(), empty_root()] {
        all.push([path, &[extra]].concat());
        all.push([&[extra], path].concat());
    }
    all
}

#[test]
fn inclusion_vectors_of_certificate_transparency() {
    let leaves = vectors::leaves();
    let expect = |index, size, path: &[&str]| {
        let proof = include(&leaves, index, size);
        assert_eq!(
            proof.path,
            path.iter().map(|hash| vectors::hash(hash)).collect::<Vec<_>>()
        );
        assert_eq!(
            proof.verify(&leaves[index as usize], &vectors::root(size as usize)),
            Ok(())
        );
    };
    expect(0, 1, &[]);
    expect(
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    );
    expect(
        5,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    );
    expect(
        2,
        3,
        &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    );
}

#[test]
fn consistency_vectors_of_certificate_transparency() {
    let leaves = vectors::leaves();
    let expect = |old, new, path: &[&str]| {
        let proof = consist(&leaves, old, new);
        assert_eq!(
            proof.path,
            path.iter().map(|hash| vectors::hash(hash)).collect::<Vec<_>>()
        );
        assert_eq!(
            proof.verify(&vectors::root(old as usize), &vectors::root(new as usize)),
            Ok(())
        );
    };
    expect(1, 1, &[]);
    expect(
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    );
    expect(
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    );
    expect(
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    );
}

#[test]
fn every_inclusion_proof_verifies_and_no_mutation_of_it() {
    let leaves = leaves();
    for size in 1..=SIZE_MAX {
        let root = root(&leaves, size);
        for index in 0..size {
            let leaf = &leaves[index as usize];
            let proof = include(&leaves, index, size);
            assert_eq!(proof.verify(leaf, &root), Ok(()), "index {index} of {size}");

            for path in mutations(&proof.path) {
                assert!(InclusionProof { path, ..proof.clone() }.verify(leaf, &root).is_err());
            }
            for wrong in (0..=size).filter(|wrong| *wrong != index) {
                let moved = InclusionProof {
                    index: wrong,
                    ..proof.clone()
                };
                assert!(moved.verify(leaf, &root).is_err(), "{index} moved to {wrong} of {size}");
            }
            assert_eq!(proof.verify(leaf, &empty_root()), Err(InvalidProof::Root));
            assert_eq!(proof.verify(&empty_root(), &root), Err(InvalidProof::Root));
        }
    }
}

#[test]
fn every_consistency_proof_verifies_and_no_mutation_of_it() {
    let leaves = leaves();
    for new in 0..=SIZE_MAX {
        let new_root = root(&leaves, new);
        for old in 0..=new {
            let old_root = root(&leaves, old);
            let proof = consist(&leaves, old, new);
            assert_eq!(proof.verify(&old_root, &new_root), Ok(()), "{old} to {new}");

            for path in mutations(&proof.path) {
                let changed = ConsistencyProof { path, ..proof.clone() };
                assert!(changed.verify(&old_root, &new_root).is_err(), "{old} to {new}");
            }
            let other = leaf_hash(b"another log");
            assert!(proof.verify(&other, &new_root).is_err());
            if old > 0 {
                assert!(proof.verify(&old_root, &other).is_err());
            }
        }
    }
}

#[test]
fn nothing_is_proved_beyond_the_log() {
    let leaves = leaves();
    assert_eq!(
        inclusion_proof(leaves.as_slice(), 5, 5),
        Err(ProofError::OutOfRange(OutOfRange { from: 5, size: 5 }))
    );
    assert_eq!(
        consistency_proof(leaves.as_slice(), 6, 5),
        Err(ProofError::OutOfRange(OutOfRange { from: 6, size: 5 }))
    );
    let backwards = ConsistencyProof {
        old_size: 6,
        new_size: 5,
        path: Vec::new(),
    };
    let refused = backwards.verify(&root(&leaves, 6), &root(&leaves, 5));
    assert_eq!(refused, Err(InvalidProof::OutOfRange(OutOfRange { from: 6, size: 5 })));
}
