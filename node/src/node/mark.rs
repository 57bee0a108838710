//! The mark: how much of the own log was signed, in a file beside the node's keys. A store that was put back by itself, by
//! whatever means, ends before it.
//!
//! ```text
//! icomm-signed/1 KE/main 00000000000000001234 9f86d0…0a08 6d2d5e5a      log, entries, root, CRC-32 of all before
//! ```
//!
//! It is written about once a second, after what it speaks of is durable, so it is never ahead of the store that it lies
//! beside. A whole machine that was put back takes it along: then the partners know more.

use std::{
    fs,
    path::{Path, PathBuf},
};

use icomm_proto::{Origin, log::Hash};

const TAG: &str = "icomm-signed/1";

/// What a mark says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) origin: Origin,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

impl Mark {
    /// Where the mark lies, beside the store key.
    pub(crate) fn path(store_key: &Path) -> PathBuf {
        store_key.with_file_name("signed")
    }

    /// What the file says of this log; none if it says nothing that can be read.
    pub(crate) fn read(path: &Path, origin: &Origin) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mark = Self::parse(text.trim_end());
        if mark.is_none() {
            tracing::warn!(path = %path.display(), "the mark of what was signed can't be read; the partners will tell");
        }
        mark.filter(|mark| mark.origin == *origin)
    }

    /// Writes it. Whoever reads it sees this one or the one before.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let unfinished = path.with_extension("new");
        fs::write(&unfinished, self.text())?;
        fs::rename(unfinished, path)
    }

    fn text(&self) -> String {
        let said = format!("{TAG} {} {:020} {}", self.origin, self.size, self.root);
        format!("{said} {:08x}\n", crc32fast::hash(said.as_bytes()))
    }

    fn parse(text: &str) -> Option<Self> {
        let (said, crc) = text.rsplit_once(' ')?;
        (u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(said.as_bytes())).then_some(())?;
        let mut words = said.split(' ');
        (words.next()? == TAG).then_some(())?;
        let mark = Self {
            origin: words.next()?.parse().ok()?,
            size: words.next()?.parse().ok()?,
            root: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hash, Mark};

    #[test]
    fn a_mark_is_read_as_it_was_written_and_not_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = Mark::path(&folder.path().join("store-key"));
        let mark = Mark {
            origin: "KE/main".parse().unwrap(),
            size: 1234,
            root: Hash::from([7; 32]),
        };
        assert_eq!(Mark::read(&path, &mark.origin), None);
        mark.write(&path).unwrap();
        assert_eq!(Mark::read(&path, &mark.origin), Some(mark.clone()));
        assert_eq!(Mark::read(&path, &"KE/special".parse().unwrap()), None);
        let text = std::fs::read_to_string(&path).unwrap();
        for at in 0..text.len() - 1 {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
            std::fs::write(&path, changed).unwrap();
            assert_eq!(Mark::read(&path, &mark.origin), None, "byte {at}");
        }
    }
}
