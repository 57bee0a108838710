//! What a record commits to of a photo: read back, and refused.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{InvalidPhoto, MediaType, PHOTO_BYTES_MAX, PIECE_BYTES, Photo};
use crate::v1;

fn photo(len: usize) -> (Vec<u8>, Photo, super::PieceHashes) {
    let bytes: Vec<u8> = (0..len).map(|at| (at * 31 % 251) as u8).collect();
    let (photo, hashes) = Photo::of(&bytes, MediaType::Png, "x-ray").unwrap();
    (bytes, photo, hashes)
}

#[test]
fn the_hashes_are_laid_out_as_drawn() {
    let (bytes, photo, hashes) = photo(PIECE_BYTES + 3);
    let piece = |number: u32, bytes: &[u8]| -> [u8; 32] {
        Sha256::digest([b"icomm/v1 piece\0", &number.to_be_bytes()[..], bytes].concat()).into()
    };
    let list = [piece(0, &bytes[..PIECE_BYTES]), piece(1, &bytes[PIECE_BYTES..])].concat();
    assert_eq!(hashes.as_bytes(), list);
    let size = (PIECE_BYTES as u64 + 3).to_be_bytes();
    let root: [u8; 32] = Sha256::digest([b"icomm/v1 pieces\0", &size[..], &list].concat()).into();
    let image = v1::Image::from(&photo);
    assert_eq!((image.pieces.as_ref(), image.size), (&root[..], PIECE_BYTES as u64 + 3));
    assert_eq!(image.sha256.as_ref(), Sha256::digest(&bytes).as_slice());
    assert_eq!(Photo::try_from(&image), Ok(photo));
}

#[test]
fn each_piece_verifies_by_itself_and_no_other_bytes_do() {
    for len in [1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
        let (bytes, photo, hashes) = photo(len);
        assert_eq!(photo.piece_count() as usize, len.div_ceil(PIECE_BYTES));
        let again = photo.hashes(hashes.as_bytes()).unwrap();
        for (number, piece) in (0..).zip(bytes.chunks(PIECE_BYTES)) {
            assert_eq!(photo.piece_len(number), piece.len());
            assert_eq!(photo.verify(&again, number, piece), Ok(()));
            let wrong = Err(InvalidPhoto::Piece(number));
            let mut changed = piece.to_vec();
            changed[piece.len() / 2] ^= 1;
            assert_eq!(photo.verify(&again, number, &changed), wrong);
            assert_eq!(photo.verify(&again, number, &piece[1..]), wrong);
            assert_eq!(
                photo.verify(&again, number + 1, piece),
                Err(InvalidPhoto::Piece(number + 1)),
                "another place"
            );
        }
        assert_eq!(photo.piece_len(photo.piece_count()), 0);
        assert!(photo.verify(&again, photo.piece_count(), &[]).is_err());
    }
}

#[test]
fn what_names_no_photo_is_refused() {
    let image = v1::Image::from(&photo(100).1);
    let refused = |change: fn(&mut v1::Image)| {
        let mut image = image.clone();
        change(&mut image);
        Photo::try_from(&image).unwrap_err()
    };
    assert_eq!(refused(|image| image.size = 0), InvalidPhoto::Size(0));
    assert_eq!(
        refused(|image| image.size = PHOTO_BYTES_MAX + 1),
        InvalidPhoto::Size(PHOTO_BYTES_MAX + 1)
    );
    assert_eq!(
        refused(|image| image.sha256 = vec![1; 31].into()),
        InvalidPhoto::Hash(31)
    );
    assert_eq!(refused(|image| image.pieces = vec![].into()), InvalidPhoto::Hash(0));
    assert_eq!(
        refused(|image| image.media_type = "application/pdf".into()),
        InvalidPhoto::MediaType
    );
    assert_eq!(Photo::of(&[], MediaType::Jpeg, "photo"), Err(InvalidPhoto::Size(0)));
}

proptest! {
    #[test]
    fn a_list_that_differs_anywhere_is_refused(len in 1..4 * PIECE_BYTES, at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let (_, photo, hashes) = photo(len);
        let mut list = hashes.as_bytes().to_vec();
        prop_assert!(photo.hashes(&list).is_ok());
        prop_assert_eq!(photo.hashes(&list[..list.len() - 32]), Err(InvalidPhoto::Hashes));
        prop_assert_eq!(photo.hashes(&[&list[..], &[0; 32]].concat()), Err(InvalidPhoto::Hashes));
        let at = at.index(list.len());
        list[at] ^= 1 << bit;
        prop_assert_eq!(photo.hashes(&list), Err(InvalidPhoto::Hashes));
    }
}
