//! Sealed segments get their runs, and the index hears of them, on a thread of its own: commits go on meanwhile.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::{Shared, index::Index, recovery::runs_folder, run::Run, segments::Sealed, table::Table};

/// Sealed segments that may wait. Then the journal waits too, so that memory stays bounded.
const WAITING_MAX: usize = 1;

/// A segment that was sealed.
pub(crate) struct Job {
    pub(crate) segment: u32,
    /// The chain value after its last batch.
    pub(crate) chain: u32,
    /// The sequence number after its last batch.
    pub(crate) sequence: u64,
    /// Its length.
    pub(crate) bytes: u64,
    pub(crate) table: Arc<Table>,
}

/// What is done with sealed segments.
pub(crate) struct Sealing {
    pub(crate) shared: Arc<Shared>,
    pub(crate) folder: PathBuf,
    pub(crate) index: Option<Index>,
    /// The sequence number after the last segment that was sealed.
    pub(crate) sequence: u64,
}

/// Where sealed segments are handed over.
pub(crate) enum Sealer {
    /// To a thread.
    Thread {
        queue: SyncSender<Job>,
        thread: JoinHandle<Sealing>,
    },
    /// Done at once, where everything shall happen in order.
    AtOnce(Sealing),
}

impl Sealing {
    fn seal(&mut self, job: &Job) {
        let Job {
            segment,
            chain,
            sequence,
            bytes,
            table,
        } = job;
        let summary = table.summary(*segment, *chain, *bytes);
        let runs = runs_folder(&self.folder);
        // Where no run can be written the table stays in memory, and the next opening tries again.
        if Run::write(self.shared.disk.as_ref(), &runs, &summary, table).is_ok()
            && let Some(run) = Run::open(self.shared.reader.files(), &runs, *segment, *chain)
        {
            let run = Sealed::Run(Arc::new(run));
            self.shared.segments.replace(*segment, run, &[]);
        }
        if let Some(index) = &mut self.index {
            index.put(&table.states);
        }
        self.sequence = *sequence;
    }

    fn seal_all(mut self, jobs: &Receiver<Job>) -> Self {
        while let Ok(job) = jobs.recv() {
            self.seal(&job);
        }
        self
    }
}

impl Sealer {
    /// Starts the thread.
    pub(crate) fn start(sealing: Sealing) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(WAITING_MAX);
        let thread = thread::Builder::new()
            .name("sealer".to_owned())
            .spawn(move || sealing.seal_all(&jobs))?;
        Ok(Self::Thread { queue, thread })
    }

    /// Hands a segment over.
    pub(crate) fn seal(&mut self, job: Job) {
        match self {
            // Fails only when the thread is gone; the table then stays in memory.
            Self::Thread { queue, .. } => drop(queue.send(job)),
            Self::AtOnce(sealing) => sealing.seal(&job),
        }
    }

    /// Waits until all is done, and leaves the mark of a clean close if it is one.
    pub(crate) fn close(self, clean: bool) {
        let sealing = match self {
            Self::Thread { queue, thread } => {
                drop(queue);
                thread.join().ok()
            }
            Self::AtOnce(sealing) => Some(sealing),
        };
        if let Some(Sealing { index, sequence, .. }) = sealing
            && let Some(index) = index.filter(|_| clean)
        {
            index.close(sequence);
        }
    }
}
