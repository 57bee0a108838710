//! Reading parts by their position: every one is checked before it is handed out, and the last few are kept.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use icomm_proto::{
    Origin,
    log::{ChunkBody, Item},
};

use super::{
    files::Files,
    frame::{PART_HEAD, PartHead},
    part::{ChunkMeta, Meta, Position},
    segment_path,
    table::ChunkAt,
};
use crate::store::{Boundary, Damage, StoreError, disk::DiskFile};

/// Chunks kept in memory.
const CACHE_CHUNKS_MAX: usize = 64;
/// Bytes of chunks kept in memory.
const CACHE_BYTES_MAX: usize = 32 << 20;

/// Reads parts of the journal.
pub(crate) struct Reader {
    files: Arc<Files>,
    folder: PathBuf,
    cache: Mutex<Cache>,
}

/// A chunk taken apart. Its items share one buffer.
#[derive(Debug)]
pub(crate) struct DecodedChunk {
    pub(crate) items: Vec<Item>,
    pub(crate) end: Option<Boundary>,
    bytes: usize,
}

/// The last chunks that were read, the latest at the end.
#[derive(Default)]
struct Cache {
    chunks: Vec<(Position, Arc<DecodedChunk>)>,
    bytes: usize,
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

    /// The bytes from a part's head on, as many as asked for.
    fn bytes(&self, at: &Position, len: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; len];
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
        let bytes = self.bytes(at, PART_HEAD + at.meta_len as usize)?;
        Ok(Self::meta_of(at, &bytes)?.1)
    }

    /// A whole part.
    pub(crate) fn part(&self, at: &Position) -> Result<(Meta, Bytes), StoreError> {
        let bytes = Bytes::from(self.bytes(at, at.len())?);
        let (head, meta) = Self::meta_of(at, &bytes)?;
        let body = bytes.slice(PART_HEAD + at.meta_len as usize..);
        if crc32fast::hash(&body) != head.body_crc {
            return Err(damage(at, "the body of a part"));
        }
        Ok((meta, body))
    }

    /// A chunk, which must be the one that the catalog says is there.
    pub(crate) fn chunk(&self, origin: &Origin, chunk: &ChunkAt) -> Result<Arc<DecodedChunk>, StoreError> {
        if let Some(decoded) = self.cached(&chunk.at) {
            return Ok(decoded);
        }
        let (meta, body) = self.part(&chunk.at)?;
        let Meta::Chunk(ChunkMeta {
            origin: found,
            from,
            count,
            end,
            ..
        }) = meta
        else {
            return Err(damage(&chunk.at, "another part than a chunk"));
        };
        if (&found, from, count) != (origin, chunk.from, chunk.count) {
            return Err(damage(&chunk.at, "another chunk"));
        }
        let bytes = body.len();
        let body = ChunkBody::parse(body, count).map_err(|_| damage(&chunk.at, "the items of a chunk"))?;
        let decoded = Arc::new(DecodedChunk {
            items: body.items().collect(),
            end,
            bytes,
        });
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keep(chunk.at, decoded.clone());
        Ok(decoded)
    }

    fn cached(&self, at: &Position) -> Option<Arc<DecodedChunk>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let found = cache.chunks.iter().rposition(|(key, _)| key == at)?;
        let entry = cache.chunks.remove(found);
        let decoded = entry.1.clone();
        cache.chunks.push(entry);
        Some(decoded)
    }
}

impl Cache {
    fn keep(&mut self, at: Position, chunk: Arc<DecodedChunk>) {
        self.bytes += chunk.bytes;
        self.chunks.push((at, chunk));
        while self.chunks.len() > CACHE_CHUNKS_MAX || (self.bytes > CACHE_BYTES_MAX && self.chunks.len() > 1) {
            let (_, oldest) = self.chunks.remove(0);
            self.bytes -= oldest.bytes;
        }
    }
}

fn damage(at: &Position, what: &'static str) -> StoreError {
    Damage {
        segment: at.segment,
        offset: at.offset,
        what,
    }
    .into()
}
