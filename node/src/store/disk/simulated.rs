//! A disk in memory that fails as asked: full after so many bytes, an error at a sync, the power gone at any operation.
//!
//! What was not synced may survive a power cut or not, sector by sector and in any order; a file's new length may be
//! there without its bytes. Names in a folder survive in the order in which they were changed, up to any point.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

use super::{Disk, DiskFile};

const SECTOR: usize = 512;

/// The simulated disk. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// The disk is full after so many bytes more.
    pub(crate) room: Option<u64>,
    /// The sync with this number fails (from 1, counted from the start).
    pub(crate) failing_sync: Option<u64>,
    /// The power goes at this operation (from 1, counted from the start); everything fails from then on.
    pub(crate) power_cut: Option<u64>,
    /// How long a sync takes.
    pub(crate) sync_time: Duration,
}

#[derive(Default)]
struct State {
    nodes: Vec<Node>,
    /// The folder of the whole disk is node 0.
    faults: Faults,
    operations: u64,
    syncs: u64,
}

#[derive(Clone)]
enum Node {
    Folder {
        names: BTreeMap<String, usize>,
        durable: BTreeMap<String, usize>,
        unsynced: Vec<Rename>,
    },
    File {
        bytes: Vec<u8>,
        durable: Vec<u8>,
        unsynced: Vec<Change>,
    },
}

/// Names that change together: None takes the name away.
type Rename = Vec<(String, Option<usize>)>;

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

struct SimulatedFile {
    disk: SimulatedDisk,
    node: usize,
}

impl Node {
    fn folder() -> Self {
        Self::Folder {
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            unsynced: Vec::new(),
        }
    }
}

impl State {
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.faults.power_cut {
            Some(cut) if self.operations >= cut => Err(io::Error::other("the power is gone")),
            _ => Ok(()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        path.components()
            .filter_map(|part| part.as_os_str().to_str())
            .filter(|part| *part != "/")
            .try_fold(0, |node, name| match &self.nodes[node] {
                Node::Folder { names, .. } => names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into()),
                Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
            })
    }

    fn rename(&mut self, folder: &Path, change: Rename) -> io::Result<()> {
        let folder = self.find(folder)?;
        let Node::Folder { names, unsynced, .. } = &mut self.nodes[folder] else {
            panic!("a file as a folder")
        };
        for (name, node) in &change {
            match node {
                Some(node) => names.insert(name.clone(), *node),
                None => names.remove(name),
            };
        }
        unsynced.push(change);
        Ok(())
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<usize> {
        self.nodes.push(node);
        let node = self.nodes.len() - 1;
        self.rename(parent(path), vec![(name(path), Some(node))])?;
        Ok(node)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

impl SimulatedDisk {
    pub(crate) fn new() -> Self {
        let state = State {
            nodes: vec![Node::folder()],
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The disk as the next start finds it after the power went: of what was not synced, what chance leaves.
    pub(crate) fn after_power_cut(&self, seed: u64) -> Self {
        let mut chance = SmallRng::seed_from_u64(seed);
        let survival = [0.0, 0.1, 0.5, 0.9, 1.0][chance.random_range(0..5)];
        let nodes = self
            .state()
            .nodes
            .iter()
            .map(|node| survivor(node, survival, &mut chance))
            .collect();
        Self(Arc::new(Mutex::new(State {
            nodes,
            ..State::default()
        })))
    }

    /// The disk as the next start finds it after the process was killed: all that was written.
    pub(crate) fn after_kill(&self) -> Self {
        let nodes = self.state().nodes.clone();
        Self(Arc::new(Mutex::new(State {
            nodes,
            ..State::default()
        })))
    }

    /// Every file with its bytes.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(state: &State, node: usize, path: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
            match &state.nodes[node] {
                Node::Folder { names, .. } => {
                    names
                        .iter()
                        .for_each(|(name, node)| walk(state, *node, &path.join(name), files));
                }
                Node::File { bytes, .. } => files.push((path.to_owned(), bytes.clone())),
            }
        }
        let mut files = Vec::new();
        walk(&self.state(), 0, Path::new("/"), &mut files);
        files
    }

    /// Puts other bytes into a file, durably.
    pub(crate) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let node = state.find(path).unwrap();
        state.nodes[node] = Node::File {
            durable: bytes.clone(),
            bytes,
            unsynced: Vec::new(),
        };
    }

    /// Takes a name away, durably.
    pub(crate) fn unlink(&self, path: &Path) {
        let mut state = self.state();
        state.rename(parent(path), vec![(name(path), None)]).unwrap();
    }
}

fn survivor(node: &Node, survival: f64, chance: &mut impl Rng) -> Node {
    match node {
        Node::Folder { durable, unsynced, .. } => {
            let mut names = durable.clone();
            let kept = chance.random_range(0..=unsynced.len());
            for (name, node) in unsynced.iter().take(kept).flatten() {
                match node {
                    Some(node) => names.insert(name.clone(), *node),
                    None => names.remove(name),
                };
            }
            Node::Folder {
                durable: names.clone(),
                names,
                unsynced: Vec::new(),
            }
        }
        Node::File {
            bytes,
            durable,
            unsynced,
        } => {
            let mut survived = durable.clone();
            for change in unsynced {
                match change {
                    Change::Length(len) if chance.random_bool(survival) => survived.resize(*len, 0),
                    Change::Length(_) => {}
                    Change::Write { offset, bytes } => {
                        for (sector, start) in bytes.chunks(SECTOR).zip((*offset..).step_by(SECTOR)) {
                            if chance.random_bool(survival) {
                                let end = start + sector.len();
                                survived.resize(survived.len().max(end), 0);
                                survived[start..end].copy_from_slice(sector);
                            }
                        }
                    }
                }
            }
            if bytes.len() > survived.len() && chance.random_bool(0.3) {
                survived.resize(bytes.len(), 0);
            }
            Node::File {
                durable: survived.clone(),
                bytes: survived,
                unsynced: Vec::new(),
            }
        }
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let node = self.state().find(path)?;
        Ok(Arc::new(SimulatedFile {
            disk: self.clone(),
            node,
        }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.operate()?;
        let file = Node::File {
            bytes: Vec::new(),
            durable: Vec::new(),
            unsynced: Vec::new(),
        };
        let node = state.add(path, file)?;
        Ok(Arc::new(SimulatedFile {
            disk: self.clone(),
            node,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        assert_eq!(parent(from), parent(to), "between folders nothing is renamed");
        let mut state = self.state();
        state.operate()?;
        let node = state.find(from)?;
        state.rename(parent(from), vec![(name(from), None), (name(to), Some(node))])
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.rename(parent(path), vec![(name(path), None)])
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let above: Vec<&Path> = path.ancestors().collect();
        for folder in above.into_iter().rev().filter(|folder| folder.parent().is_some()) {
            if state.find(folder).is_err() {
                state.add(folder, Node::folder())?;
            }
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Option<Vec<String>>> {
        let state = self.state();
        let Ok(node) = state.find(path) else { return Ok(None) };
        match &state.nodes[node] {
            Node::Folder { names, .. } => Ok(Some(names.keys().cloned().collect())),
            Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let node = state.find(path)?;
        if let Node::Folder {
            names,
            durable,
            unsynced,
        } = &mut state.nodes[node]
        {
            *durable = names.clone();
            unsynced.clear();
        }
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state();
        let Node::File { bytes, .. } = &state.nodes[self.node] else {
            panic!("a folder as a file")
        };
        let start = (offset as usize).min(bytes.len());
        let read = bytes[start..].get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(read);
        Ok(())
    }

    fn write_all_at(&self, written: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let cut = state.operate();
        let offset = offset as usize;
        let Node::File { bytes, .. } = &state.nodes[self.node] else {
            panic!("a folder as a file")
        };
        // Only what makes the file longer needs room.
        let overwritten = bytes.len().saturating_sub(offset).min(written.len());
        let room = state.faults.room.map_or(usize::MAX, |room| room as usize);
        let kept = written.len().min(overwritten.saturating_add(room));
        if let Some(room) = &mut state.faults.room {
            *room -= (kept - overwritten) as u64;
        }
        let Node::File { bytes, unsynced, .. } = &mut state.nodes[self.node] else {
            panic!("a folder as a file")
        };
        bytes.resize(bytes.len().max(offset + kept), 0);
        bytes[offset..offset + kept].copy_from_slice(&written[..kept]);
        unsynced.push(Change::Write {
            offset,
            bytes: written[..kept].to_vec(),
        });
        // The write under which the power goes may have reached the disk in part.
        cut?;
        if kept < written.len() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn sync(&self) -> io::Result<()> {
        let time = self.disk.state().faults.sync_time;
        if !time.is_zero() {
            std::thread::sleep(time);
        }
        let mut state = self.disk.state();
        state.operate()?;
        state.syncs += 1;
        if state.faults.failing_sync == Some(state.syncs) {
            return Err(io::Error::other("the disk does not answer"));
        }
        if let Node::File {
            bytes,
            durable,
            unsynced,
        } = &mut state.nodes[self.node]
        {
            *durable = bytes.clone();
            unsynced.clear();
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        if let Node::File { bytes, unsynced, .. } = &mut state.nodes[self.node] {
            bytes.resize(len as usize, 0);
            unsynced.push(Change::Length(len as usize));
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        match &self.disk.state().nodes[self.node] {
            Node::File { bytes, .. } => Ok(bytes.len() as u64),
            Node::Folder { .. } => panic!("a folder as a file"),
        }
    }
}
