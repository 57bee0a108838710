//! Views as they lie in the journal: the entry in clear, since it holds ids and salted hashes only; all that follows it
//! (which sections, their salts, their bytes) encrypted under the view's own key.
//!
//! ```text
//! entry_len u16 | entry | AES-128-CTR (m | sections)        counter block: number of the key u64 | 0 u64
//! ```
//!
//! Lengths stay, so a body is laid out as it is sent. A key encrypts one string of bytes, once. That bytes are what was
//! written, the frame's checksum tells, and a key's its own.

use std::ops::Range;

use aes::{
    Aes128Enc,
    cipher::{KeyIvInit, StreamCipher},
};
use bytes::Bytes;
use ctr::Ctr64BE;
use icomm_proto::log::{ChunkBody, ChunkBuilder, Hash, InvalidChunkBody, ItemRef};

use super::keys::{Slot, Taken, ViewKey};
use crate::store::merge::item_leaf;

/// How many keys a body needs: one for each view but those of no bytes.
pub(super) fn keys_needed(body: &ChunkBody) -> usize {
    body.item_refs().filter(|item| has_key(*item)).count()
}

/// Whether an item of a body has a key.
pub(super) fn has_key(item: ItemRef<'_>) -> bool {
    matches!(item, ItemRef::Disclosed(view) if !view.is_empty())
}

/// A body as it is written.
pub(super) fn encrypted(body: &Bytes, keys: &Taken) -> Bytes {
    if keys.keys.is_empty() {
        return body.clone();
    }
    let mut bytes = body.to_vec();
    let mut views = Views::default();
    for (number, key) in (keys.first..).zip(&keys.keys) {
        let Some((_, secret)) = views.next(&bytes) else { break };
        apply(key, number, bytes.get_mut(secret));
    }
    bytes.into()
}

/// Why a body can't be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undecipherable {
    /// It is not laid out as a body is, or there are too few keys.
    Layout,
    /// The key of a view changed.
    Key,
}

/// Decrypts a body where it lies; the offsets of the items whose keys are destroyed.
pub(super) fn decrypt(body: &mut [u8], first: u64, slots: &[Slot]) -> Result<Vec<u32>, Undecipherable> {
    let (mut views, mut gone) = (Views::default(), Vec::new());
    for (number, slot) in (first..).zip(slots) {
        let (item, secret) = views.next(body).ok_or(Undecipherable::Layout)?;
        match slot {
            Slot::Key(key) => apply(key, number, body.get_mut(secret)),
            Slot::Destroyed => gone.push(item),
            Slot::Damaged => return Err(Undecipherable::Key),
        }
    }
    match views.next(body) {
        None => Ok(gone),
        Some(_) => Err(Undecipherable::Layout),
    }
}

/// A body with the bare hashes of the items that are gone.
pub(super) fn without(body: &ChunkBody, gone: &[u32]) -> Result<ChunkBody, InvalidChunkBody> {
    let mut builder = ChunkBuilder::with_capacity(body.bytes().len());
    for (offset, item) in (0..).zip(body.item_refs()) {
        match item {
            ItemRef::Disclosed(view) if gone.binary_search(&offset).is_err() => builder.disclose(view),
            item => builder.withhold(&item_leaf(item).unwrap_or(Hash::from([0; Hash::LEN]))),
        };
    }
    builder.finish()
}

fn apply(key: &ViewKey, number: u64, secret: Option<&mut [u8]>) {
    let mut counter = [0; 16];
    for (place, byte) in counter.iter_mut().zip(number.to_be_bytes()) {
        *place = byte;
    }
    if let Some(secret) = secret {
        Ctr64BE::<Aes128Enc>::new((&**key).into(), &counter.into()).apply_keystream(secret);
    }
}

/// Goes through the views of a body that have keys. What it looks at is never encrypted.
#[derive(Default)]
struct Views {
    at: usize,
    item: u32,
}

impl Views {
    /// The offset of the next such item, and where its encrypted bytes are.
    fn next(&mut self, body: &[u8]) -> Option<(u32, Range<usize>)> {
        loop {
            let item = self.item;
            let rest = body.get(self.at..)?;
            let (tag, rest) = rest.split_first()?;
            self.item += 1;
            if *tag == 0 {
                self.at += 1 + Hash::LEN;
                continue;
            }
            let (len, rest) = rest.split_first_chunk::<4>()?;
            let (start, len) = (self.at + 5, u32::from_be_bytes(*len) as usize);
            self.at = start + len;
            if len > 0 {
                let entry = usize::from(u16::from_be_bytes(*rest.first_chunk::<2>()?));
                return Some((item, start + (2 + entry).min(len)..self.at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use icomm_proto::log::ChunkBuilder;
    use zeroize::Zeroizing;

    use super::{Slot, Taken, Undecipherable, decrypt, encrypted, keys_needed, without};

    fn keys(count: u8) -> Taken {
        Taken {
            first: 7,
            keys: (0..count).map(|number| Zeroizing::new([number; 16])).collect(),
        }
    }

    fn slots(count: u8) -> Vec<Slot> {
        keys(count).keys.into_iter().map(Slot::Key).collect()
    }

    #[test]
    fn entries_stay_in_clear_and_the_rest_comes_back_with_its_key_only() {
        let view = |text: &str| [&[0, 5], b"entry".as_slice(), text.as_bytes()].concat();
        let mut builder = ChunkBuilder::default();
        builder
            .disclose(&view("secret one"))
            .withhold(&[3; 32].into())
            .disclose(b"");
        builder.disclose(&view("secret two")).disclose(&view(""));
        let body = builder.finish().unwrap();
        assert_eq!(keys_needed(&body), 3);
        let hidden = encrypted(body.bytes(), &keys(3));
        let finds = |bytes: &[u8], text: &str| {
            bytes
                .windows(text.len())
                .filter(|window| *window == text.as_bytes())
                .count()
        };
        assert_eq!(
            (hidden.len(), finds(&hidden, "entry"), finds(&hidden, "secret")),
            (body.bytes().len(), 3, 0)
        );
        assert_eq!((finds(body.bytes(), "entry"), finds(body.bytes(), "secret")), (3, 2));

        let mut again = hidden.to_vec();
        assert_eq!(decrypt(&mut again, 7, &slots(3)), Ok(Vec::new()));
        assert_eq!(again, body.bytes().as_ref());
        let mut other = hidden.to_vec();
        assert_eq!(decrypt(&mut other, 8, &slots(3)), Ok(Vec::new()));
        assert_eq!(finds(&other, "secret"), 0, "the number of the key counts too");

        let mut partly = slots(3);
        partly[1] = Slot::Destroyed;
        let mut some = hidden.to_vec();
        assert_eq!(decrypt(&mut some, 7, &partly), Ok(vec![3]));
        assert_eq!((finds(&some, "secret one"), finds(&some, "secret two")), (1, 0));
        let left = without(&icomm_proto::log::ChunkBody::parse(some.into(), 5).unwrap(), &[3]).unwrap();
        assert_eq!(keys_needed(&left), 2);

        partly[0] = Slot::Damaged;
        assert_eq!(decrypt(&mut hidden.to_vec(), 7, &partly), Err(Undecipherable::Key));
        for count in [2, 4] {
            assert_eq!(
                decrypt(&mut hidden.to_vec(), 7, &slots(count)),
                Err(Undecipherable::Layout)
            );
        }
    }
}
