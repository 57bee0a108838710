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
        let mut named = [0; KEY_DOMAIN.len() + 32 + 4];
        let parts = KEY_DOMAIN.iter().chain(&content).copied().chain(copies.to_be_bytes());
        named.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        let whole: [u8; 32] = Sha256::digest(named).into();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::intake::mapping::{Mapping, test_lists};
    use crate::intake::rows::Header;

    /// The keys of rows under the template, read from columns in this order.
    fn keys(columns: &[&str], rows: &[&[&str]]) -> Vec<IntakeKey> {
        let mapping = Mapping::builtin("icomm-template", &test_lists()).unwrap();
        let header = Arc::new(Header::new(columns.iter().copied()).unwrap());
        let mut columns = mapping.over(&header);
        let mut keys = Keys::default();
        let rows = (2..).zip(rows).map(|(line, cells)| {
            let cells: Vec<String> = cells.iter().map(|cell| (*cell).to_owned()).collect();
            Row::new(line, Arc::clone(&header), &cells)
        });
        rows.map(|row| keys.next(&mut columns, &row)).collect()
    }

    /// As the picture above says it, by other means.
    fn expected(cells: &[(&str, &str)], copies: u32) -> IntakeKey {
        let mut row = Sha256::new_with_prefix(b"icomm/v1 intake row\0");
        for (name, text) in cells {
            for part in [name, text] {
                row.update((part.len() as u32).to_be_bytes());
                row.update(part);
            }
        }
        let mut key = Sha256::new_with_prefix(b"icomm/v1 intake key\0");
        key.update(row.finalize());
        key.update(copies.to_be_bytes());
        let key: [u8; 32] = key.finalize().into();
        IntakeKey::from(*key.first_chunk().unwrap())
    }

    #[test]
    fn a_key_is_made_of_what_the_filled_cells_say_in_the_order_of_their_names() {
        let cells = [
            ("goods_1_quantity", "255"),
            ("national_reference", "ES-1"),
            ("place", "Puerto de Algeciras"),
        ];
        // Another order, other spaces, another spelling of the number; a line break makes the row anything but plain.
        for (place, quantity) in [
            ("Puerto de Algeciras", "255"),
            ("  Puerto  de Algeciras ", "255.0"),
            ("Puerto de\nAlgeciras", "255.00"),
        ] {
            let row = [place, "", quantity, "ES-1"];
            let found = keys(
                &["Place", "seizure_date", "goods_1_quantity", "National_Reference"],
                &[&row, &row, &row],
            );
            let expected: Vec<IntakeKey> = (0..3).map(|copies| expected(&cells, copies)).collect();
            assert_eq!(found, expected, "{place:?} {quantity}");
        }
    }
}
