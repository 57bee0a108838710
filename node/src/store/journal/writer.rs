//! The one thread that writes: it gathers the batches that are waiting, appends them in one write, syncs once, and tells
//! everybody.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, mpsc::Receiver},
    time::Duration,
};

use super::{
    Options, Shared,
    active::Active,
    erasing,
    frame::{BATCH_HEAD, BatchHead, SEGMENT_HEAD, SegmentHead, chain_after},
    is_full,
    part::{self, EncodedBatch, Meta},
    photos,
    recovery::journal_folder,
    sealer::{self, Sealer},
    segment_path,
    watermark::{Watermark, WatermarkFile},
};
use crate::store::{Batch, Done, StoreError, disk::DiskFile};

/// The most bytes gathered for one write.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Batches that nobody waits for are kept by themselves when so many of them are there, or nothing came for a while.
const RIDING_MAX: usize = 32;
const RIDE_MAX: Duration = Duration::from_millis(100);

/// A batch on its way to the disk.
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) done: Done,
    pub(crate) pace: Pace,
}

/// What is to be written.
pub(crate) enum Work {
    Encoded(EncodedBatch),
    /// What that will be depends on what is held when its turn comes.
    Erasing(Batch),
}

impl Work {
    fn len(&self) -> usize {
        match self {
            Self::Encoded(batch) => batch.len(),
            Self::Erasing(_) => 0,
        }
    }
}

/// A batch that can be written, and who waits for it.
struct Ready {
    batch: EncodedBatch,
    done: Done,
}

/// When a batch has to be kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    AtOnce,
    WithTheNext,
}

/// What the writing thread owns.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) folder: PathBuf,
    pub(crate) options: Options,
    pub(crate) active: Active,
    pub(crate) watermark: WatermarkFile,
    pub(crate) sealer: Sealer,
    /// Why nothing can be written any more.
    pub(crate) failed: Option<Arc<io::Error>>,
}

impl Writer {
    /// Writes what comes until nobody can send any more, then closes.
    pub(crate) fn run(mut self, queue: &Receiver<Job>) {
        while let Some(group) = gather(queue) {
            self.write(group);
        }
        self.close();
    }

    fn close(mut self) {
        // What is not cut off now is at the next opening.
        let clean = self.failed.is_none() && self.active.cut().is_ok() && self.watermark.sync().is_ok();
        self.sealer.close(clean);
    }

    /// Writes a group. A batch that erases is by itself, after what came before it can be read.
    fn write(&mut self, group: Vec<Job>) {
        let mut ready = Vec::with_capacity(group.len());
        for Job { work, done, .. } in group {
            match work {
                Work::Encoded(batch) => ready.push(Ready { batch, done }),
                Work::Erasing(batch) => {
                    self.write_ready(std::mem::take(&mut ready));
                    self.erase(batch, done);
                }
            }
        }
        self.write_ready(ready);
    }

    fn erase(&mut self, batch: Batch, done: Done) {
        let contents = match &self.failed {
            Some(error) => Err(StoreError::Failed(error.clone())),
            None => erasing::contents(&self.shared, batch),
        };
        match contents {
            Ok((contents, albums)) => match photos::ending(&self.shared, albums, done) {
                Ok(done) => {
                    let batch = part::encode(contents);
                    self.write_ready(vec![Ready { batch, done }]);
                }
                Err((error, done)) => done(Err(error)),
            },
            Err(error) => {
                // What comes after it must not be kept either.
                if let StoreError::Failed(reason) = &error {
                    self.failed = Some(reason.clone());
                    self.shared.health().failed = Some(reason.to_string());
                }
                done(Err(error));
            }
        }
    }

    /// Writes a group and tells each of its batches what became of it.
    fn write_ready(&mut self, group: Vec<Ready>) {
        let mut group = self.admit(group);
        if group.is_empty() {
            return;
        }
        match self.append(&mut group) {
            Ok(()) => self.publish(group),
            Err(error) => {
                self.shared.health().full = matches!(error, StoreError::Full);
                for job in group {
                    (job.done)(Err(error.clone()));
                }
            }
        }
    }

    /// Turns away batches that don't fit to what is held.
    fn admit(&self, group: Vec<Ready>) -> Vec<Ready> {
        let catalog = self.shared.catalog();
        let mut sizes = HashMap::new();
        let mut refused = Vec::new();
        let mut admitted = Vec::with_capacity(group.len());
        for job in group {
            let mut tentative = sizes.clone();
            let fits = job.batch.parts.iter().try_for_each(|part| match &part.meta {
                Meta::Chunk(chunk) => catalog.admit(chunk, &mut tentative),
                Meta::State { .. } | Meta::Note(_) => Ok(()),
            });
            match fits {
                Ok(()) => {
                    sizes = tentative;
                    admitted.push(job);
                }
                Err(error) => refused.push((job.done, error)),
            }
        }
        drop(catalog);
        for (done, error) in refused {
            done(Err(error));
        }
        admitted
    }

    /// Appends a group durably, or not at all.
    fn append(&mut self, group: &mut [Ready]) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(StoreError::Failed(error.clone()));
        }
        if self.active.offset >= self.options.segment_bytes.max(SEGMENT_HEAD as u64 + 1)
            || self.shared.segments.is_full()
        {
            self.roll()?;
        }
        let (end, sequence, chain) = self.place(group);
        let pieces: Vec<&[u8]> = group.iter().flat_map(|job| job.batch.pieces()).collect();
        if let Err(error) = self.active.write(&pieces, &self.options) {
            return Err(self.take_back(error));
        }
        if let Err(error) = self.active.file.sync() {
            // What the disk holds now is unknown, and a second sync would not tell: the kernel may have dropped the
            // pages and forgotten the error.
            return Err(self.fail(error));
        }
        let mark = Watermark {
            segment: self.active.number,
            offset: end,
            sequence,
        };
        if let Err(error) = self.watermark.write(&mark) {
            return Err(self.fail(error));
        }
        (self.active.offset, self.active.sequence, self.active.chain) = (end, sequence, chain);
        Ok(())
    }

    /// Gives each batch its head and each part its position; the offset, sequence number and chain value after the group.
    fn place(&self, group: &mut [Ready]) -> (u64, u64, u32) {
        let Active {
            number,
            offset: start,
            mut sequence,
            mut chain,
            salt,
            ..
        } = self.active;
        let mut offset = start;
        for job in group {
            let batch = &mut job.batch;
            let len = batch.len();
            let head = BatchHead {
                // Batches are bounded far below 4 GiB.
                len: u32::try_from(len - BATCH_HEAD).unwrap_or(u32::MAX),
                sequence,
                durable: start,
                parts: u32::try_from(batch.parts.len()).unwrap_or(u32::MAX),
                parts_crc: batch.parts_crc,
                chain,
            };
            let head = head.encode(salt);
            if let Some(place) = batch.head_mut() {
                *place = head;
            }
            for part in &mut batch.parts {
                part.at.segment = number;
                part.at.offset += offset;
            }
            offset += len as u64;
            sequence += 1;
            chain = chain_after(&head);
        }
        (offset, sequence, chain)
    }

    /// After a write that failed: removes what was written of it. A full disk is not the end of the store.
    fn take_back(&mut self, error: io::Error) -> StoreError {
        if is_full(&error) && self.active.file.set_len(self.active.offset).is_ok() {
            self.active.len = self.active.offset;
            return StoreError::Full;
        }
        self.fail(error)
    }

    fn fail(&mut self, error: io::Error) -> StoreError {
        let error = Arc::new(error);
        self.shared.health().failed = Some(error.to_string());
        self.failed = Some(error.clone());
        StoreError::Failed(error)
    }

    /// Begins a new segment and hands the one before over to be indexed.
    fn roll(&mut self) -> Result<(), StoreError> {
        let (sealed, chain, bytes) = (self.active.number, self.active.chain, self.active.offset);
        let number = sealed + 1;
        // Durable before there is a segment after it: of a sealed segment every byte counts.
        if self.active.len > self.active.offset
            && let Err(error) = self.active.cut().and_then(|()| self.active.file.sync())
        {
            return Err(self.fail(error));
        }
        let head = SegmentHead {
            number,
            sequence: self.active.sequence,
            chain,
            salt: self.active.salt,
        };
        let file = self.create_segment(&head).map_err(|error| match is_full(&error) {
            true => StoreError::Full,
            false => self.fail(error),
        })?;
        self.active = Active {
            file,
            number,
            offset: SEGMENT_HEAD as u64,
            len: SEGMENT_HEAD as u64,
            ..self.active.clone()
        };
        self.shared.health().bytes += SEGMENT_HEAD as u64;
        let table = self.shared.segments.seal(number);
        self.sealer.seal(sealer::Job {
            segment: sealed,
            chain,
            sequence: self.active.sequence,
            bytes,
            table,
        });
        Ok(())
    }

    fn create_segment(&self, head: &SegmentHead) -> io::Result<Arc<dyn DiskFile>> {
        let (disk, folder) = (self.shared.disk.as_ref(), journal_folder(&self.folder));
        let unfinished = folder.join(format!("{:08}.new", head.number));
        let file = disk.create(&unfinished)?;
        file.write_all_at(&head.encode(), 0)?;
        file.sync()?;
        disk.rename(&unfinished, &segment_path(&folder, head.number))?;
        disk.sync_folder(&folder)?;
        Ok(file)
    }

    /// Makes a durable group readable, destroys the keys of what it erases, then tells.
    fn publish(&mut self, group: Vec<Ready>) {
        {
            let parts = || group.iter().flat_map(|job| &job.batch.parts);
            let mut catalog = self.shared.catalog_mut();
            // The segment under the same lock: who sees an entry can find its record.
            self.shared.segments.add(parts());
            parts().for_each(|part| catalog.apply(part));
            catalog.end = Watermark {
                segment: self.active.number,
                offset: self.active.offset,
                sequence: self.active.sequence,
            };
        }
        {
            let mut health = self.shared.health();
            health.full = false;
            health.syncs += 1;
            health.batches += group.len() as u64;
            health.bytes += group.iter().map(|job| job.batch.len() as u64).sum::<u64>();
        }
        let destroyed = erasing::destroyed(group.iter().flat_map(|job| &job.batch.parts));
        let result = match destroyed.is_empty() {
            true => Ok(()),
            false => self.destroy(&destroyed),
        };
        for job in group {
            (job.done)(result.clone());
        }
    }

    /// Until it succeeds, here or at the next opening, no segment is sealed.
    fn destroy(&mut self, keys: &[u64]) -> Result<(), StoreError> {
        let destroyed = self.shared.keys.destroy(keys);
        self.shared.reader.forget();
        destroyed.map_err(|error| self.fail(error))
    }
}

/// The batches that are kept together next; none when nobody can send any more.
fn gather(queue: &Receiver<Job>) -> Option<Vec<Job>> {
    let first = queue.recv().ok()?;
    let (mut bytes, mut urgent) = (first.work.len(), first.pace == Pace::AtOnce);
    let mut group = vec![first];
    while bytes < GROUP_BYTES_MAX {
        let next = match urgent || group.len() >= RIDING_MAX {
            true => queue.try_recv().ok(),
            false => queue.recv_timeout(RIDE_MAX).ok(),
        };
        let Some(next) = next else { break };
        bytes += next.work.len();
        urgent |= next.pace == Pace::AtOnce;
        group.push(next);
    }
    Some(group)
}
