//! What makes a row the same row when its file is imported again.
//!
//! The key of a row is a hash of what it says and of how many equal rows stood before it in the file. So importing a file
//! again, or a longer version of it, issues nothing twice, while equal rows of one file remain separate cases (the real
//! sample has many). The other side of it: equal cases must not be spread over several files, or the second file's are
//! taken for the first's; a mapping whose files carry a reference column doesn't have the question.
//!
//! ```text
//! row  = SHA-256("icomm/v1 intake row\0" ‖ for each key column that isn't blank, by name: len u32 ‖ name ‖ len u32 ‖ text)
//! key  = SHA-256("icomm/v1 intake key\0" ‖ row ‖ k u32) [..16]          k: equal rows before this one; numbers big-endian
//! ```

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use sha2::{Digest, Sha256};

use super::mapping::Columns;
use super::rows::Row;
use crate::store::IntakeKey;

const ROW_DOMAIN: &[u8] = b"icomm/v1 intake row\0";
const KEY_DOMAIN: &[u8] = b"icomm/v1 intake key\0";

/// Gives out keys in the order of a file's rows.
///
/// It remembers eight bytes of each different row's hash: about 16 bytes of memory a row, 16 MB for a million. Two
/// different rows that share them (one chance in a million with five million rows) merely count each other as copies,
/// which is harmless as long as their order stays.
#[derive(Debug, Default)]
pub struct Keys {
    once: HashSet<u64, BuildHasherDefault<AlreadyHashed>>,
    again: HashMap<u64, u32, BuildHasherDefault<AlreadyHashed>>,
    /// What the row at hand says.
    content: Vec<u8>,
}

impl Keys {
    /// The key of the file's next row.
    pub fn next(&mut self, columns: &mut Columns<'_>, row: &Row) -> IntakeKey {
        self.content.clear();
        self.content.extend_from_slice(ROW_DOMAIN);
        columns.write_content(row, &mut self.content);
        let content: [u8; 32] = Sha256::digest(&self.content).into();
        let copies = self.count(&content);
        let mut hash = Sha256::new();
        hash.update(KEY_DOMAIN);
        hash.update(content);
        hash.update(copies.to_be_bytes());
        let whole: [u8; 32] = hash.finalize().into();
        let mut key = [0; 16];
        key.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        IntakeKey::from(key)
    }

    /// How many rows of this content came before.
    fn count(&mut self, content: &[u8; 32]) -> u32 {
        let short = content
            .iter()
            .take(8)
            .fold(0u64, |short, byte| short << 8 | u64::from(*byte));
        if self.once.insert(short) {
            return 0;
        }
        let count = self.again.entry(short).or_insert(0);
        *count = count.saturating_add(1);
        *count
    }
}

/// The bytes are of a cryptographic hash already.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
