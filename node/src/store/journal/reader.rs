//! Reading parts by their position: every one is checked before it is handed out, and the last few are kept.

use std::{
    io,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use icomm_proto::{Origin, log::ChunkBody};

use super::{
    files::Files,
    frame::{PART_HEAD, PartHead},
    keys::Keys,
    part::{ChunkMeta, Meta, Placed, Position},
    secrecy::{Undecipherable, decrypt, has_key, without},
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
    keys: Arc<Keys>,
    cache: Mutex<Cache>,
}

/// A chunk as it was kept.
#[derive(Debug)]
pub(crate) struct DecodedChunk {
    pub(crate) body: ChunkBody,
    pub(crate) end: Option<Boundary>,
    /// It takes the place of what was held before.
    pub(crate) replaces: bool,
    /// The number of its first view's key.
    first_key: u64,
    /// The offsets of the items whose keys are destroyed; of these it has the bare hash.
    gone: Vec<u32>,
    /// The buffer that the body lies in.
    whole: Bytes,
}

/// The last chunks that were read, the latest at the end.
#[derive(Default)]
struct Cache {
    chunks: Vec<(Position, Arc<DecodedChunk>)>,
    bytes: usize,
    /// How often all of it was forgotten.
    forgotten: u64,
    /// Buffers of chunks that are not kept any more. A new one would have to be cleared, page by page, to be read into.
    spare: Vec<BytesMut>,
}

impl Reader {
    /// A reader of the segments in a folder.
    pub(crate) fn new(files: Arc<Files>, folder: PathBuf, keys: Arc<Keys>) -> Self {
        Self {
            files,
            folder,
            keys,
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
        let (meta, bytes) = self.whole_part(at, BytesMut::new())?;
        Ok((meta, bytes.freeze().slice(body_at(at)..)))
    }

    /// The meta of a part, and all of its bytes, in that buffer.
    fn whole_part(&self, at: &Position, buffer: BytesMut) -> Result<(Meta, BytesMut), StoreError> {
        let bytes = self.bytes(at, at.len(), buffer)?;
        let (head, meta) = Self::meta_of(at, &bytes)?;
        let body = bytes.get(body_at(at)..).unwrap_or_default();
        if crc32fast::hash(body) != head.body_crc {
            return Err(damage(at, "the body of a part"));
        }
        Ok((meta, bytes))
    }

    /// Decrypts the body at the end of a part's bytes; the offsets of the items whose keys are destroyed.
    fn decrypt(&self, at: &Position, bytes: &mut BytesMut, keys: Range<u64>) -> Result<Vec<u32>, StoreError> {
        let first = keys.start;
        let slots = self.keys.read(keys).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damage(at, "the keys of its views are missing"),
            _ => StoreError::io("read the store's keys")(error),
        })?;
        let body = bytes.get_mut(body_at(at)..).unwrap_or_default();
        decrypt(body, first, &slots).map_err(|reason| match reason {
            Undecipherable::Layout => damage(at, "the items of a chunk"),
            Undecipherable::Key => damage(at, "the key of a view"),
        })
    }

    /// A chunk, which must be the one that the catalog says is there.
    pub(crate) fn chunk(&self, origin: &Origin, chunk: &ChunkAt) -> Result<Arc<DecodedChunk>, StoreError> {
        if let Some(decoded) = self.cached(&chunk.at) {
            return Ok(decoded);
        }
        let (buffer, forgotten) = {
            let mut cache = self.cache();
            (cache.buffer(chunk.at.len()), cache.forgotten)
        };
        let (meta, mut bytes) = self.whole_part(&chunk.at, buffer)?;
        let Meta::Chunk(ChunkMeta {
            origin: found,
            from,
            count,
            placed,
            keys,
            ..
        }) = meta
        else {
            return Err(damage(&chunk.at, "another part than a chunk"));
        };
        if (&found, from, count) != (origin, chunk.from, chunk.count) {
            return Err(damage(&chunk.at, "another chunk"));
        }
        let first_key = keys.start;
        let gone = self.decrypt(&chunk.at, &mut bytes, keys)?;
        let whole = bytes.freeze();
        let parsed = ChunkBody::parse(whole.slice(body_at(&chunk.at)..), count);
        let parsed = parsed.and_then(|body| match gone.is_empty() {
            true => Ok(body),
            false => without(&body, &gone),
        });
        let body = parsed.map_err(|_| damage(&chunk.at, "the items of a chunk"))?;
        let decoded = Arc::new(DecodedChunk {
            body,
            replaces: matches!(placed, Placed::Replaces { .. }),
            first_key,
            gone,
            end: placed.into_end(),
            whole,
        });
        let mut cache = self.cache();
        // What was read before something was erased stays with its reader.
        if cache.forgotten == forgotten {
            cache.keep(chunk.at, decoded.clone());
        }
        drop(cache);
        Ok(decoded)
    }

    /// Forgets all chunks that it keeps: something in them was erased.
    pub(crate) fn forget(&self) {
        let mut cache = self.cache();
        *cache = Cache {
            forgotten: cache.forgotten + 1,
            ..Cache::default()
        };
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

impl DecodedChunk {
    /// The indices in a range of the items whose keys are destroyed.
    pub(crate) fn gone_in(&self, chunk: &ChunkAt, range: &Range<u64>) -> impl Iterator<Item = u64> {
        let indices = self.gone.iter().map(move |offset| chunk.from + u64::from(*offset));
        indices.filter(|index| range.contains(index))
    }

    /// The number of the key of an item, if it is a view and the key is not destroyed.
    pub(crate) fn key_of(&self, offset: u32) -> Option<u64> {
        let at = usize::try_from(offset).ok()?;
        let mut items = self.body.item_refs();
        let before = items.by_ref().take(at).filter(|item| has_key(*item)).count();
        // Items whose key is destroyed have one too.
        let gone = self.gone.partition_point(|gone| *gone < offset);
        let number = self.first_key + (before + gone) as u64;
        items.next().is_some_and(has_key).then_some(number)
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

/// Where the body of a part begins in its bytes.
fn body_at(at: &Position) -> usize {
    PART_HEAD + at.meta_len as usize
}

pub(crate) fn damage(at: &Position, what: &'static str) -> StoreError {
    Damage {
        segment: at.segment,
        offset: at.offset,
        what,
    }
    .into()
}
