//! The receiver's end.

use std::{fs::File, io::Write as _, path::Path};

use anyhow::{Context as _, ensure};
use icomm_pki::{MemberPublicKey, Signature};
use icomm_proto::{
    SectionKind,
    entry::{SALT_BYTES, section_hash},
    log::{Frontier, Hash, leaf_hash},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    task::block_in_place,
};

use super::{CHUNK_HEAD_BYTES, DISCLOSED, SIGNATURE_BYTES, SIGNED_BYTES, WITHHELD};

/// What arrived, verified and synced.
pub(in super::super) struct Received {
    pub(in super::super) disclosed: Views,
    pub(in super::super) root: Hash,
}

/// Views that verified.
#[derive(Default)]
pub(in super::super) struct Views {
    pub(in super::super) count: u64,
    /// Of all of them.
    pub(in super::super) bytes: u64,
}

/// Receives `records` entries into a file: a chunk is appended when all of it verified, and synced before the next one.
/// `stored` is told the log's size whenever that has happened.
pub(in super::super) async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    output: &Path,
    records: u64,
    key: &MemberPublicKey,
    mut stored: impl FnMut(u64),
) -> anyhow::Result<Received> {
    let mut output = File::create(output)?;
    let mut log = Frontier::new();
    let mut disclosed = Views::default();
    while log.size() < records {
        let mut head = [0; CHUNK_HEAD_BYTES];
        stream.read_exact(&mut head).await?;
        let head = u64::from_be_bytes(head);
        // Its upper and lower half.
        let (len, count) = ((head >> 32) as usize, head as u32);
        let mut chunk = vec![0; len];
        stream.read_exact(&mut chunk).await?;
        block_in_place(|| -> anyhow::Result<()> {
            verify(&chunk, count, &mut log, key, &mut disclosed)?;
            output.write_all(&crc32fast::hash(&chunk).to_be_bytes())?;
            output.write_all(&chunk)?;
            output.sync_data()?;
            Ok(())
        })?;
        stored(log.size());
    }
    Ok(Received {
        disclosed,
        root: log.root(),
    })
}

/// Checks every section and leaf of a chunk and the signature at its end, and counts its views.
fn verify(
    chunk: &[u8],
    count: u32,
    log: &mut Frontier,
    key: &MemberPublicKey,
    disclosed: &mut Views,
) -> anyhow::Result<()> {
    let mut rest = chunk;
    for _ in 0..count {
        let leaf = item(&mut rest, disclosed).context("an item can't be read or was altered")?;
        log.push(leaf);
    }
    let (signed, signature) = rest
        .split_at_checked(SIGNED_BYTES)
        .filter(|(_, signature)| signature.len() == SIGNATURE_BYTES)
        .context("a chunk does not end with its signature")?;
    let expected = [log.size().to_be_bytes().as_slice(), log.root().as_bytes()].concat();
    ensure!(signed == expected, "a chunk's entries are not those that were signed");
    key.verify_raw(signed, &Signature::try_from(signature)?)?;
    Ok(())
}

/// The leaf hash of the next item; a view's section must be what its entry commits to.
fn item(rest: &mut &[u8], disclosed: &mut Views) -> Option<Hash> {
    /// Where an entry has the hash of its first section: after the head and the section's number.
    const FIRST_HASH_AT: usize = 40 + 1;
    let (tag, after) = rest.split_first()?;
    match *tag {
        WITHHELD => {
            let (leaf, after) = after.split_first_chunk::<{ Hash::LEN }>()?;
            *rest = after;
            Some(Hash::from(*leaf))
        }
        DISCLOSED => {
            let (len, after) = after.split_first_chunk()?;
            let (view, after) = after.split_at_checked(u32::from_be_bytes(*len) as usize)?;
            *rest = after;
            disclosed.count += 1;
            disclosed.bytes += view.len() as u64;
            let (len, view) = view.split_first_chunk()?;
            let (entry, section) = view.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            // Count and number of the section before its salt, its length after.
            let (salt, section) = section
                .strip_prefix(&[1, SectionKind::Case.number()])?
                .split_first_chunk::<SALT_BYTES>()?;
            let (len, content) = section.split_first_chunk()?;
            let hash = section_hash(SectionKind::Case, salt, content);
            let committed = entry.get(FIRST_HASH_AT..)?.first_chunk()?;
            let whole = u32::from_be_bytes(*len) as usize == content.len();
            (whole && hash == *committed).then(|| leaf_hash(entry))
        }
        _ => None,
    }
}
