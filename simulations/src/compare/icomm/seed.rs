//! Fills the store of a node that is not running, so that a workload may begin with a log of any size: every entry is a
//! case of the rows' file, validated, sealed with salts of its own and committed to in signed commits, as the node itself
//! would have issued it.
//!
//! ```text
//!  file ─ reader ─┬─▶ worker: map, validate, seal ─┬─▶ here: append, sign once a commit ─▶ journal
//!                 └─▶ worker …                    ─┘   in the order of the file
//! ```

use std::{
    ops::ControlFlow,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use anyhow::Context as _;
use icomm_node::{
    config::Config,
    core::own::{OwnLog, Sealed},
    environment::Environment,
    intake::{IntakeKey, Mapping, rows::Row},
    network::Node,
    node::open_store,
    store::{Batch, Journal, Store, StoreError},
};
use icomm_pki::{MemberId, MemberKey, TrustDomain};
use icomm_proto::{
    CodeLists, Origin, Record, RecordId,
    draft::{Draft, Text},
    v1,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::compare::rows::{self, Rows};

/// Entries in one commit: one signature and one chunk of the store each.
const COMMIT_ENTRIES: usize = 1000;

/// Commits that wait between two steps.
const WAITING_COMMITS_MAX: usize = 2;

/// A log to fill: whose it is, and the key that signs it.
pub struct Log {
    /// Its name.
    pub origin: Origin,
    /// The network, which stands in the log's checkpoints.
    pub domain: TrustDomain,
    /// The member's key.
    pub key: MemberKey,
}

/// What was put into a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeded {
    /// Entries.
    pub entries: u64,
    /// Those among them that the partner is granted ([`rows::CATEGORIES`]).
    pub covered: u64,
}

impl Log {
    /// The own log of a member, with the key in its node's folder.
    ///
    /// # Errors
    /// The folder has no key.
    pub fn of(node: &Node, domain: &TrustDomain) -> anyhow::Result<Self> {
        Self::in_folder(&node.member().id, node.config(), domain)
    }

    /// The same of a node that is known by its settings alone.
    ///
    /// # Errors
    /// The folder has no key.
    pub fn in_folder(member: &MemberId, config: &Config, domain: &TrustDomain) -> anyhow::Result<Self> {
        let path = &config.identity.member_key;
        let text = std::fs::read_to_string(path).with_context(|| format!("`{}` can't be read", path.display()))?;
        Ok(Self {
            origin: Origin::new(member.clone(), config.identity.log.parse()?),
            domain: domain.clone(),
            key: MemberKey::from_pkcs8_pem(&text)?,
        })
    }
}

/// Fills the own log of a node that is stopped with so many cases of the file. A shorter file is read again from its
/// beginning; its cases are new entries then.
///
/// # Errors
/// The node runs, a file can't be read, or the disk is full.
pub fn own_log(node: &Node, domain: &TrustDomain, rows: &Rows, entries: u64) -> anyhow::Result<Seeded> {
    let log = Log::of(node, domain)?;
    let store = open(node.config())?;
    fill(&store, &log, rows, entries)
}

/// Opens the store of a node that is stopped, to fill several logs in it.
///
/// # Errors
/// The node runs, or the folder can't be made.
pub fn open(config: &Config) -> anyhow::Result<Journal> {
    let folder = config.store.folder.display();
    open_store(config, &Environment::system()).with_context(|| format!("the store `{folder}` can't be filled"))
}

/// Continues a log in an open store, own or another member's, with all sections disclosed. The cases become those of the
/// log's member.
///
/// # Errors
/// The file can't be read, holds a row that is no valid case, or the store fails.
pub fn fill(store: &dyn Store, log: &Log, rows: &Rows, entries: u64) -> anyhow::Result<Seeded> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let sealer = Sealer::new(log.origin.member.clone())?;
    let mut seeded = Seeded { entries: 0, covered: 0 };
    let mut appender = Appender::new(store, log)?;
    thread::scope(|scope| {
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for _ in 0..workers {
            let (input, given) = sync_channel::<Vec<Row>>(WAITING_COMMITS_MAX);
            let (done, output) = sync_channel(WAITING_COMMITS_MAX);
            let sealer = &sealer;
            scope.spawn(move || sealer.work(&given, &done));
            inputs.push(input);
            outputs.push(output);
        }
        let reader = scope.spawn(move || read(rows, entries, &inputs));
        // Commits went to the workers in turn and come back in turn; a worker without an answer was given nothing more.
        for output in outputs.iter().cycle() {
            let Ok(commit) = output.recv() else { break };
            let Commit { sealed, covered } = commit?;
            seeded.entries += sealed.len() as u64;
            seeded.covered += covered;
            appender.append(&sealed)?;
        }
        drop(outputs);
        reader
            .join()
            .map_err(|_| anyhow::anyhow!("reading broke down; this is a fault of icomm"))?
    })?;
    appender.finish()?;
    anyhow::ensure!(
        seeded.entries == entries,
        "{} of {entries} entries were made",
        seeded.entries
    );
    Ok(seeded)
}

/// Hands the file's rows out in commits, to each worker in turn.
fn read(rows: &Rows, entries: u64, workers: &[SyncSender<Vec<Row>>]) -> anyhow::Result<()> {
    let mut workers = workers.iter().cycle();
    let mut left = entries;
    let mut commit = Vec::with_capacity(COMMIT_ENTRIES);
    while left > 0 {
        let before = left;
        let mut gone = false;
        rows.each(|row| {
            commit.push(row);
            left -= 1;
            if commit.len() == COMMIT_ENTRIES || left == 0 {
                let full = std::mem::replace(&mut commit, Vec::with_capacity(COMMIT_ENTRIES));
                gone = workers.next().is_none_or(|worker| worker.send(full).is_err());
            }
            match gone || left == 0 {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        anyhow::ensure!(left < before, "`{}` holds no rows", rows.file.display());
        if gone {
            // Whoever failed says why.
            return Ok(());
        }
    }
    Ok(())
}

/// Records of one commit, sealed.
struct Commit {
    sealed: Vec<Sealed>,
    covered: u64,
}

/// Makes sealed records of rows.
struct Sealer {
    originator: MemberId,
    mapping: Mapping,
    codes: CodeLists,
    environment: Environment,
}

impl Sealer {
    fn new(originator: MemberId) -> anyhow::Result<Self> {
        Ok(Self {
            originator,
            mapping: rows::mapping()?,
            codes: CodeLists::built_in(),
            environment: Environment::system(),
        })
    }

    fn work(&self, commits: &Receiver<Vec<Row>>, done: &SyncSender<anyhow::Result<Commit>>) {
        let mut seed = [0; 32];
        self.environment.entropy.fill(&mut seed);
        let mut random = StdRng::from_seed(seed);
        while let Ok(commit) = commits.recv() {
            if done.send(self.seal_all(&commit, &mut random)).is_err() {
                return;
            }
        }
    }

    fn seal_all(&self, rows: &[Row], random: &mut StdRng) -> anyhow::Result<Commit> {
        let now_ms = self.environment.unix_now() * 1000;
        let mut commit = Commit {
            sealed: Vec::with_capacity(rows.len()),
            covered: 0,
        };
        for row in rows {
            let draft = rows::draft(&self.mapping, row)?;
            commit.covered += u64::from(rows::covers(&draft));
            let record = self.validate(&draft).with_context(|| format!("line {}", row.line()))?;
            let (mut bits, mut key) = ([0; 10], [0; 16]);
            random.fill_bytes(&mut bits);
            random.fill_bytes(&mut key);
            commit.sealed.push(Sealed {
                view: record.seal(RecordId::new(now_ms, bits), 1, random),
                // As an import leaves it, where every row has a key of its own.
                key: Some(IntakeKey::from(key)),
            });
        }
        Ok(commit)
    }

    fn validate<'a>(&'a self, draft: &'a v1::Draft) -> anyhow::Result<Record<'a>> {
        let mut draft = Draft::from(draft);
        // The file's cases are of one member; here they may become another's.
        if let Some(class) = draft.case.as_mut().and_then(|case| case.class.as_mut()) {
            class.originator = Text::default();
        }
        Record::validate(draft, &self.codes, &self.originator).map_err(|errors| {
            let why: Vec<String> = errors.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("not a valid case: {}", why.join("; "))
        })
    }
}

/// Appends commits to a log without waiting for each to be durable.
struct Appender<'a> {
    store: &'a dyn Store,
    own: OwnLog,
    key: &'a MemberKey,
    told: SyncSender<Result<(), StoreError>>,
    answers: Receiver<Result<(), StoreError>>,
    waiting: usize,
}

impl<'a> Appender<'a> {
    /// Commits that may be on their way to the disk.
    const WAITING_MAX: usize = 8;

    fn new(store: &'a dyn Store, log: &'a Log) -> anyhow::Result<Self> {
        let mut own = OwnLog::new(log.origin.clone(), log.origin.line(&log.domain));
        own.resume(store.head(&log.origin)?);
        let (told, answers) = sync_channel(Self::WAITING_MAX);
        Ok(Self {
            store,
            own,
            key: &log.key,
            told,
            answers,
            waiting: 0,
        })
    }

    fn append(&mut self, records: &[Sealed]) -> anyhow::Result<()> {
        let chunk = self.own.append(records, self.key)?;
        if self.waiting == Self::WAITING_MAX {
            self.answer()?;
        }
        let told = self.told.clone();
        self.waiting += 1;
        let done = Box::new(move |result| drop(told.send(result)));
        self.store.submit(Batch::new().chunk(chunk), done);
        Ok(())
    }

    fn answer(&mut self) -> anyhow::Result<()> {
        self.waiting -= 1;
        Ok(self.answers.recv()??)
    }

    fn finish(mut self) -> anyhow::Result<()> {
        while self.waiting > 0 {
            self.answer()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use icomm_node::{core::tally::Tally, environment::Environment, network::Folder, store::MemoryStore};
    use icomm_pki::MemberKey;

    use super::{Log, fill};
    use crate::compare::{rows, workload::Bench};

    #[test]
    fn a_seeded_log_verifies_and_goes_on_where_it_ended() {
        let folder = Folder::temporary(&Environment::system()).unwrap();
        let bench = Bench::of_test(folder.path(), 0);
        let rows = rows::file(&bench, 700).unwrap();
        // Another member than the one whose cases are in the file.
        let log = Log {
            origin: "PT/main".parse().unwrap(),
            domain: "compare.icomm.example".parse().unwrap(),
            key: MemberKey::from_seed(&[7; 32]),
        };
        let store = MemoryStore::new();
        let mut entries = 0;
        let mut covered = 0;
        for more in [1, 2345] {
            let seeded = fill(&store, &log, &rows, more).unwrap();
            assert_eq!(seeded.entries, more);
            (entries, covered) = (entries + seeded.entries, covered + seeded.covered);
        }
        let mut tally = Tally::default();
        let line = log.origin.line(&log.domain);
        tally
            .advance(&store, &log.origin, &line, &log.key.public().into())
            .unwrap();
        assert!(tally.verified);
        assert_eq!((tally.entries(), tally.withheld), (2346, 0));

        // The first row alone, the whole file three times, and its beginning once more.
        let upto = |end: u64| {
            let mut covered = 0;
            rows.drafts(end, |draft| covered += u64::from(rows::covers(&draft)))
                .unwrap();
            covered
        };
        let expected = upto(1) + 3 * rows.covered().unwrap() + upto(245);
        assert_eq!((entries, covered), (2346, expected));
    }
}
