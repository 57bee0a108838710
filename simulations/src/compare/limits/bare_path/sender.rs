//! The sender's end.

use std::{fs::File, io::Write as _, path::Path};

use anyhow::Context as _;
use icomm_pki::MemberKey;
use icomm_proto::log::{Frontier, leaf_hash};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    task::block_in_place,
};

use super::{
    CHUNK_ENTRIES, CHUNK_HEAD_BYTES, DISCLOSED, WITHHELD,
    input::{Frames, Input},
};

/// Bytes of the note of a chunk's disclosure, about as many as icomm's has.
pub(in super::super) const NOTE_BYTES: usize = 200;
/// Room for a chunk's items, so that its buffer grows once at most.
const CHUNK_BYTES: usize = 2 << 20;
/// Bytes of a section before its content: number, salt, length.
const SECTION_HEAD_BYTES: usize = 1 + 16 + 4;

/// Sends everything, chunk by chunk: a chunk leaves when the note of its disclosure is synced.
pub(super) async fn send(
    input: &Input,
    key: &MemberKey,
    notes: &Path,
    stream: &mut (impl AsyncWrite + Unpin),
) -> anyhow::Result<()> {
    let mut frames = input.frames()?;
    let mut notes = File::create(notes)?;
    let mut log = Frontier::new();
    while log.size() < input.records {
        let chunk = block_in_place(|| -> anyhow::Result<Vec<u8>> {
            let chunk = gather(input, &mut frames, &mut log, key)?;
            let mut note = [0; NOTE_BYTES];
            if let Some(size) = note.first_chunk_mut() {
                *size = log.size().to_be_bytes();
            }
            notes.write_all(&note)?;
            notes.sync_data()?;
            Ok(chunk)
        })?;
        stream.write_all(&chunk).await?;
    }
    stream.flush().await?;
    Ok(())
}

/// The next chunk of the input, signed.
fn gather(input: &Input, frames: &mut Frames, log: &mut Frontier, key: &MemberKey) -> anyhow::Result<Vec<u8>> {
    let count = CHUNK_ENTRIES.min(input.records - log.size());
    let mut chunk = Chunk::with_capacity(CHUNK_BYTES);
    for _ in 0..count {
        chunk.push(frames.next()?, input, log)?;
    }
    chunk.sign(log, key)
}

/// A chunk on its way: its items, and at its end a signature over the log up to there.
pub(in super::super) struct Chunk {
    bytes: Vec<u8>,
    count: u32,
}

impl Chunk {
    pub(in super::super) fn with_capacity(bytes: usize) -> Self {
        let mut chunk = Vec::with_capacity(bytes);
        chunk.extend_from_slice(&[0; CHUNK_HEAD_BYTES]);
        Self { bytes: chunk, count: 0 }
    }

    /// Appends what goes of a view, and its leaf to the log.
    pub(in super::super) fn push(&mut self, view: &[u8], input: &Input, log: &mut Frontier) -> anyhow::Result<()> {
        let Slice { entry, open, class } = Slice::of(view).context("a record of the input can't be read")?;
        let leaf = leaf_hash(entry.get(2..).unwrap_or_default());
        log.push(leaf);
        if input.decisions.get(class) == Some(&true) {
            let len = u32::try_from(entry.len() + 1 + open.len())?;
            self.bytes.push(DISCLOSED);
            self.bytes.extend_from_slice(&len.to_be_bytes());
            self.bytes.extend_from_slice(entry);
            self.bytes.push(1);
            self.bytes.extend_from_slice(open);
        } else {
            self.bytes.push(WITHHELD);
            self.bytes.extend_from_slice(leaf.as_bytes());
        }
        self.count += 1;
        Ok(())
    }

    /// The chunk as it goes.
    pub(in super::super) fn sign(self, log: &Frontier, key: &MemberKey) -> anyhow::Result<Vec<u8>> {
        let Self {
            bytes: mut chunk,
            count,
        } = self;
        let signed = [log.size().to_be_bytes().as_slice(), log.root().as_bytes()].concat();
        chunk.extend_from_slice(&signed);
        chunk.extend_from_slice(key.sign_raw(&signed)?.as_bytes());
        let len = u32::try_from(chunk.len() - CHUNK_HEAD_BYTES)?;
        if let Some(head) = chunk.first_chunk_mut::<CHUNK_HEAD_BYTES>() {
            *head = ((u64::from(len) << 32) | u64::from(count)).to_be_bytes();
        }
        Ok(chunk)
    }
}

/// What goes of a view, found in its bytes.
struct Slice<'a> {
    /// With its length before it.
    entry: &'a [u8],
    /// Number, salt, length and content.
    open: &'a [u8],
    class: &'a [u8],
}

impl<'a> Slice<'a> {
    /// The open section is the first of a view, the class the first field of it, shorter than 128 bytes.
    fn of(view: &'a [u8]) -> Option<Self> {
        let len = usize::from(u16::from_be_bytes(*view.first_chunk()?));
        let (entry, rest) = view.split_at_checked(2 + len)?;
        let (_count, sections) = rest.split_first()?;
        let &[_, .., a, b, c, d] = sections.first_chunk::<SECTION_HEAD_BYTES>()?;
        let open = sections.get(..SECTION_HEAD_BYTES + u32::from_be_bytes([a, b, c, d]) as usize)?;
        let &[_tag, len, ref content @ ..] = open.get(SECTION_HEAD_BYTES..)? else {
            return None;
        };
        let class = content.get(..usize::from(len))?;
        Some(Self { entry, open, class })
    }
}
