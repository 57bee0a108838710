//! Reading parts by their position: every one is checked before it is handed out, and the last few are kept.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use icomm_proto::{Origin, log::ChunkBody};

use super::{
    files::Files,
    frame::{PART_HEAD, PartHead},
    part::{ChunkMeta, Meta, Placed, Position},
    segment_path,
    table::ChunkAt,
};
use crate::store::{Boundary, Damage, StoreError, disk::DiskFile};

/// Chunks kept in memory.
const CACHE_CHUNKS_MAX: usize = 64;
/// Bytes of chunks kept in memory: enough for links that read the same log at about the same time.
const CACHE_BYTES_MAX: usize = 8 << 20;

/// Buffers kept for the next chunks.
const SPARE_MAX: usize = 4;

/// Reads parts of the journal.
pub(crate) struct Reader {
    files: Arc<Files>,
    folder: PathBuf,
    cache: Mutex<Cache>,
}

/// A chunk as it was kept.
#[derive(Debug)]
pub(crate) struct DecodedChunk {
    pub(crate) body: ChunkBody,
    pub(crate) end: Option<Boundary>,
    /// It takes the place of what was held before.
    pub(crate) replaces: bool,
    /// The buffer that the body lies in.
    whole: Bytes,
}

/// The last chunks that were read, the latest at the end.
#[derive(Default)]
struct Cache {
    chunks: Vec<(Position, Arc<DecodedChunk>)>,
    bytes: usize,
    /// Buffers of chunks that are not kept any more. A new one would have to be cleared, page by page, to be read into.
    spare: Vec<BytesMut>,
}

impl Reader {
    /// A reader of the segments in a folder.
    pub(crate) fn new(files: Arc<Files>, folder: PathBuf) -> Self {
        Self {
            files,
            folder,
            cache: Mutex::default(),
        }
    }

    /// The files that it reads from, among others.
    pub(crate) fn files(&self) -> &Arc<Files> {
        &self.files
    }

    fn file(&self, segment: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.files.open(&segment_path(&self.folder, segment))
    }

    /// The bytes from a part's head on, as many as asked for, in that buffer.
    fn bytes(&self, at: &Position, len: usize, mut bytes: BytesMut) -> Result<BytesMut, StoreError> {
        bytes.resize(len, 0);
        let read = self
            .file(at.segment)
            .and_then(|file| file.read_exact_at(&mut bytes, at.offset));
        match read {
            Ok(()) => Ok(bytes),
            Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound) => {
                Err(damage(at, "bytes are missing"))
            }
            Err(error) => Err(StoreError::io("read the journal")(error)),
        }
    }

    /// The head and meta at the front of a part's bytes, checked.
    fn meta_of(at: &Position, bytes: &[u8]) -> Result<(PartHead, Meta), StoreError> {
        let head = bytes.first_chunk::<PART_HEAD>().and_then(PartHead::decode);
        let head = head.filter(|head| (head.meta_len, head.body_len) == (at.meta_len, at.body_len));
        let head = head.ok_or_else(|| damage(at, "the head of a part"))?;
        let meta = bytes
            .get(PART_HEAD..)
            .and_then(|bytes| bytes.get(..at.meta_len as usize));
        let meta = meta.filter(|meta| crc32fast::hash(meta) == head.meta_crc);
        let meta = meta.and_then(|meta| Meta::decode(head.kind, meta));
        Ok((head, meta.ok_or_else(|| damage(at, "the meta of a part"))?))
    }

    /// A part's meta alone.
    pub(crate) fn meta(&self, at: &Position) -> Result<Meta, StoreError> {
        let bytes = self.bytes(at, PART_HEAD + at.meta_len as usize, BytesMut::new())?;
        Ok(Self::meta_of(at, &bytes)?.1)
    }

    /// A whole part.
    pub(crate) fn part(&self, at: &Position) -> Result<(Meta, Bytes), StoreError> {
        let (meta, body, _) = self.whole_part(at, BytesMut::new())?;
        Ok((meta, body))
    }

    /// A whole part, and the buffer that its body lies in.
    fn whole_part(&self, at: &Position, buffer: BytesMut) -> Result<(Meta, Bytes, Bytes), StoreError> {
        let bytes = self.bytes(at, at.len(), buffer)?.freeze();
        let (head, meta) = Self::meta_of(at, &bytes)?;
        let body = bytes.slice(PART_HEAD + at.meta_len as usize..);
        if crc32fast::hash(&body) != head.body_crc {
            return Err(damage(at, "the body of a part"));
        }
        Ok((meta, body, bytes))
    }

    /// A chunk, which must be the one that the catalog says is there.
    pub(crate) fn chunk(&self, origin: &Origin, chunk: &ChunkAt) -> Result<Arc<DecodedChunk>, StoreError> {
        if let Some(decoded) = self.cached(&chunk.at) {
            return Ok(decoded);
        }
        let buffer = self.cache().buffer(chunk.at.len());
        let (meta, body, whole) = self.whole_part(&chunk.at, buffer)?;
        let Meta::Chunk(ChunkMeta {
            origin: found,
            from,
            count,
            placed,
            ..
        }) = meta
        else {
            return Err(damage(&chunk.at, "another part than a chunk"));
        };
        if (&found, from, count) != (origin, chunk.from, chunk.count) {
            return Err(damage(&chunk.at, "another chunk"));
        }
        let body = ChunkBody::parse(body, count).map_err(|_| damage(&chunk.at, "the items of a chunk"))?;
        let decoded = Arc::new(DecodedChunk {
            body,
            replaces: placed == Placed::Replaces,
            end: placed.into_end(),
            whole,
        });
        self.cache().keep(chunk.at, decoded.clone());
        Ok(decoded)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached(&self, at: &Position) -> Option<Arc<DecodedChunk>> {
        let mut cache = self.cache();
        let found = cache.chunks.iter().rposition(|(key, _)| key == at)?;
        let entry = cache.chunks.remove(found);
        let decoded = entry.1.clone();
        cache.chunks.push(entry);
        Some(decoded)
    }
}

impl Cache {
    fn keep(&mut self, at: Position, chunk: Arc<DecodedChunk>) {
        self.bytes += chunk.body.bytes().len();
        self.chunks.push((at, chunk));
        while self.chunks.len() > CACHE_CHUNKS_MAX || (self.bytes > CACHE_BYTES_MAX && self.chunks.len() > 1) {
            let (_, oldest) = self.chunks.remove(0);
            self.bytes -= oldest.body.bytes().len();
            self.spare(oldest);
        }
    }

    /// A buffer for a chunk of so many bytes: one that is there, unless much of it would stay unused.
    fn buffer(&mut self, len: usize) -> BytesMut {
        let fits = |spare: &BytesMut| spare.capacity() / 4 * 3 <= len;
        let found = self.spare.iter().rposition(fits);
        found.map_or_else(BytesMut::new, |found| self.spare.swap_remove(found))
    }

    /// Keeps the buffer of a chunk that nobody holds any more.
    fn spare(&mut self, chunk: Arc<DecodedChunk>) {
        if self.spare.len() < SPARE_MAX
            && let Some(DecodedChunk { body, whole, .. }) = Arc::into_inner(chunk)
        {
            drop(body);
            self.spare.extend(whole.try_into_mut());
        }
    }
}

pub(crate) fn damage(at: &Position, what: &'static str) -> StoreError {
    Damage {
        segment: at.segment,
        offset: at.offset,
        what,
    }
    .into()
}
