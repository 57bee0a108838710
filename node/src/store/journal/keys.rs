//! Keys of views: each view that is kept has a key of its own, in a file beside the journal. Overwriting the key erases the
//! view, wherever the view lies.
//!
//! ```text
//! keys   head 28 | slot | slot | …
//! head   "icommky1" | check 16 | crc u32                check: what the store key makes of a fixed block
//! slot   wrapped key 16 | crc u32 (number u64, wrapped key)              destroyed: zeros
//! ```
//!
//! A wrapped key is random; unwrapped by AES-256 with the store key it is the AES-128 key of one view. Slots are written and
//! synced ahead of their use, so that a commit costs no second sync. A slot is used once: those that a store took and did not
//! use are passed over, and those after the last used one are random anew when it is opened.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io,
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use aes::{
    Aes256,
    cipher::{BlockDecrypt, BlockEncrypt, KeyInit},
};
use zeroize::Zeroizing;

use super::{
    frame::{checked, sealed},
    is_full,
};
use crate::{
    environment::Entropy,
    store::{
        StoreError, StoreKey,
        disk::{Disk, DiskFile},
    },
};

/// The name of the file.
pub(crate) const NAME: &str = "keys";
const MAGIC: [u8; 8] = *b"icommky1";
const HEAD: usize = 28;
const SLOT: usize = 20;
const CHECKED_BLOCK: [u8; 16] = *b"icomm store key\0";

/// The key of one view.
pub(crate) type ViewKey = Zeroizing<[u8; 16]>;

/// Keys for the views of one chunk, in order.
#[derive(Clone, Default)]
pub(crate) struct Taken {
    /// The number of the first.
    pub(crate) first: u64,
    pub(crate) keys: Vec<ViewKey>,
}

impl Taken {
    /// The numbers of all.
    pub(crate) fn numbers(&self) -> Range<u64> {
        self.first..self.first + self.keys.len() as u64
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Taken({:?})", self.numbers())
    }
}

/// What is in a slot.
pub(crate) enum Slot {
    Key(ViewKey),
    Destroyed,
    Damaged,
}

/// The file of keys.
pub(crate) struct Keys {
    slots: Arc<Slots>,
    /// Writes slots ahead. None on a simulated disk, where they are written when they are needed.
    filler: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

struct Slots {
    file: Arc<dyn DiskFile>,
    wrapping: Aes256,
    entropy: Arc<dyn Entropy>,
    /// How many slots are written at once.
    ahead: u64,
    pool: Mutex<Pool>,
    /// The number after the last slot that is written. Locked while more are.
    end: Mutex<u64>,
    /// While the file is copied: the slots that were destroyed since then, as they were. Held while slots are destroyed.
    before: Mutex<Option<BTreeMap<u64, [u8; SLOT]>>>,
}

/// Slots that are durable and unused.
struct Pool {
    next: u64,
    wrapped: VecDeque<[u8; 16]>,
    /// Why there will be no more.
    failed: Option<Arc<io::Error>>,
}

impl Keys {
    /// Opens the file of keys in a store's folder, of which the first `used` belong to views, or makes a new one for a store
    /// that has no views.
    pub(crate) fn open(
        disk: &dyn Disk,
        folder: &Path,
        key: &StoreKey,
        entropy: Arc<dyn Entropy>,
        ahead: u64,
        used: u64,
    ) -> Result<Self, StoreError> {
        let read = StoreError::io("read the store's keys");
        let wrapping = Aes256::new(key.bytes().into());
        let names = disk.list(folder).map_err(&read)?.unwrap_or_default();
        let file = match names.iter().any(|name| name == NAME) {
            true => {
                let file = disk.open(&folder.join(NAME)).map_err(&read)?;
                if file.len().map_err(&read)? < offset(used) {
                    return Err(StoreError::Keys("is cut short"));
                }
                let mut head = [0; HEAD];
                file.read_exact_at(&mut head, 0).map_err(&read)?;
                if check_of(&head).ok_or(StoreError::Keys("is damaged at its head"))? != check(&wrapping) {
                    return Err(StoreError::WrongKey);
                }
                file
            }
            false if used > 0 => return Err(StoreError::Keys("is missing")),
            false => create(disk, folder, &wrapping).map_err(StoreError::io("make the store's keys"))?,
        };
        let pool = Pool {
            next: used,
            wrapped: VecDeque::new(),
            failed: None,
        };
        let slots = Slots {
            file,
            wrapping,
            entropy,
            ahead: ahead.max(1),
            pool: Mutex::new(pool),
            end: Mutex::new(used),
            before: Mutex::default(),
        };
        Ok(Self {
            slots: Arc::new(slots),
            filler: Mutex::new(None),
        })
    }

    /// Has slots written ahead by a thread from now on.
    pub(crate) fn write_ahead(&self) -> io::Result<()> {
        let (wanted, wishes) = sync_channel(1);
        let slots = self.slots.clone();
        let first = wanted.try_send(());
        debug_assert!(first.is_ok(), "there is room for one");
        let thread = thread::Builder::new().name("keys".to_owned()).spawn(move || {
            while wishes.recv().is_ok() {
                // A failure is told to whoever needs a key.
                drop(slots.fill(slots.low()));
            }
        })?;
        *lock(&self.filler) = Some((wanted, thread));
        Ok(())
    }

    /// Ends the thread: nothing is written ahead any more.
    pub(crate) fn close(&self) {
        let filler = lock(&self.filler).take();
        if let Some((wanted, thread)) = filler {
            drop(wanted);
            drop(thread.join());
        }
    }

    /// Fails once keys can't be written any more.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match &lock(&self.slots.pool).failed {
            Some(error) => Err(StoreError::Failed(error.clone())),
            None => Ok(()),
        }
    }

    /// Keys that no view ever had, durable.
    pub(crate) fn take(&self, count: usize) -> Result<Taken, StoreError> {
        if count == 0 {
            return Ok(Taken::default());
        }
        let slots = &*self.slots;
        let (first, wrapped, left) = loop {
            {
                let mut pool = lock(&slots.pool);
                if let Some(error) = &pool.failed {
                    return Err(StoreError::Failed(error.clone()));
                }
                if pool.wrapped.len() >= count {
                    let first = pool.next;
                    pool.next += count as u64;
                    let wrapped: Vec<_> = pool.wrapped.drain(..count).collect();
                    break (first, wrapped, pool.wrapped.len());
                }
            }
            slots.fill(count)?;
        };
        if left < slots.low()
            && let Some((wanted, _)) = &*lock(&self.filler)
        {
            // Full: it has been asked already.
            let (Ok(()) | Err(_)) = wanted.try_send(());
        }
        let keys = wrapped.into_iter().map(|wrapped| slots.unwrap(wrapped)).collect();
        Ok(Taken { first, keys })
    }

    /// What is in some slots.
    pub(crate) fn read(&self, numbers: Range<u64>) -> io::Result<Vec<Slot>> {
        let count = usize::try_from(numbers.end.saturating_sub(numbers.start)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; count.saturating_mul(SLOT)];
        self.slots.file.read_exact_at(&mut bytes, offset(numbers.start))?;
        let (slots, _) = bytes.as_chunks::<SLOT>();
        Ok(numbers
            .zip(slots)
            .map(|(number, slot)| self.slots.decode(number, slot))
            .collect())
    }

    /// Destroys keys, durably.
    pub(crate) fn destroy(&self, numbers: &[u64]) -> io::Result<()> {
        if numbers.is_empty() {
            return Ok(());
        }
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        let mut before = lock(&self.slots.before);
        if let Some(before) = &mut *before {
            for number in numbers
                .iter()
                .filter(|number| !before.contains_key(number))
                .copied()
                .collect::<Vec<_>>()
            {
                let mut slot = [0; SLOT];
                self.slots.file.read_exact_at(&mut slot, offset(number))?;
                before.insert(number, slot);
            }
        }
        for run in numbers.chunk_by(|one, next| one + 1 == *next) {
            let first = run.first().copied().unwrap_or_default();
            self.slots
                .file
                .write_all_at(&vec![0; run.len() * SLOT], offset(first))?;
        }
        self.slots.file.sync()
    }

    /// How long the file is with the first `used` slots.
    pub(crate) fn len_of(used: u64) -> u64 {
        offset(used)
    }

    /// From now on until [`end_copy`](Self::end_copy) what is destroyed is remembered, so that a copy is of one moment. One
    /// copy is made at a time.
    pub(crate) fn begin_copy(&self) {
        *lock(&self.slots.before) = Some(BTreeMap::new());
    }

    /// Forgets what was destroyed meanwhile.
    pub(crate) fn end_copy(&self) {
        *lock(&self.slots.before) = None;
    }

    /// A piece of the file as it was when the copy began.
    pub(crate) fn copy(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let before = lock(&self.slots.before);
        self.slots.file.read_exact_at(buffer, at)?;
        let end = at + buffer.len() as u64;
        for (number, slot) in before.iter().flatten() {
            // A slot may lie across the edges of a piece.
            for (byte, place) in slot.iter().zip(offset(*number)..) {
                let place = place.checked_sub(at).filter(|_| place < end);
                let place = place.and_then(|place| buffer.get_mut(usize::try_from(place).ok()?));
                if let Some(place) = place {
                    *place = *byte;
                }
            }
        }
        Ok(())
    }

    /// Whether keys are destroyed.
    pub(crate) fn are_destroyed(&self, numbers: &[u64]) -> io::Result<bool> {
        for number in numbers {
            if !matches!(self.read(*number..number + 1)?.as_slice(), [Slot::Destroyed]) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Slots {
    /// With fewer slots than these left, more are written.
    fn low(&self) -> usize {
        usize::try_from(self.ahead.div_ceil(2)).unwrap_or(usize::MAX)
    }

    /// Writes slots until there are so many at least.
    fn fill(&self, least: usize) -> Result<(), StoreError> {
        let mut end = lock(&self.end);
        if lock(&self.pool).wrapped.len() >= least {
            return Ok(());
        }
        let count = least.max(usize::try_from(self.ahead).unwrap_or(usize::MAX));
        let mut random = vec![0; count * 16];
        self.entropy.fill(&mut random);
        let (wrapped, _) = random.as_chunks::<16>();
        let mut bytes = Vec::with_capacity(count * SLOT);
        for (number, wrapped) in (*end..).zip(wrapped) {
            bytes.extend_from_slice(wrapped);
            bytes.extend_from_slice(&crc(number, wrapped).to_be_bytes());
        }
        let written = self
            .file
            .write_all_at(&bytes, offset(*end))
            .and_then(|()| self.file.sync());
        match written {
            Ok(()) => {
                *end += count as u64;
                lock(&self.pool).wrapped.extend(wrapped);
                Ok(())
            }
            Err(error) if is_full(&error) => Err(StoreError::Full),
            Err(error) => {
                // What the disk holds now is unknown; no key of it is given to a view.
                let error = Arc::new(error);
                lock(&self.pool).failed = Some(error.clone());
                Err(StoreError::Failed(error))
            }
        }
    }

    fn decode(&self, number: u64, slot: &[u8; SLOT]) -> Slot {
        if *slot == [0; SLOT] {
            return Slot::Destroyed;
        }
        match (slot.first_chunk::<16>(), slot.last_chunk::<4>()) {
            (Some(wrapped), Some(found)) if u32::from_be_bytes(*found) == crc(number, wrapped) => {
                Slot::Key(self.unwrap(*wrapped))
            }
            _ => Slot::Damaged,
        }
    }

    fn unwrap(&self, wrapped: [u8; 16]) -> ViewKey {
        let mut key = Zeroizing::new(wrapped);
        self.wrapping.decrypt_block((&mut *key).into());
        key
    }
}

fn create(disk: &dyn Disk, folder: &Path, wrapping: &Aes256) -> io::Result<Arc<dyn DiskFile>> {
    let unfinished = folder.join(format!("{NAME}.new"));
    let file = disk.create(&unfinished)?;
    let head: [u8; HEAD] = sealed(&[&MAGIC, &check(wrapping)], 0);
    file.write_all_at(&head, 0)?;
    file.sync()?;
    disk.rename(&unfinished, &folder.join(NAME))?;
    disk.sync_folder(folder)?;
    Ok(file)
}

fn check(wrapping: &Aes256) -> [u8; 16] {
    let mut block = CHECKED_BLOCK;
    wrapping.encrypt_block((&mut block).into());
    block
}

fn check_of(head: &[u8; HEAD]) -> Option<[u8; 16]> {
    let (mut fields, _) = checked(head, 0)?;
    (fields.take()? == MAGIC).then_some(())?;
    fields.take()
}

fn crc(number: u64, wrapped: &[u8; 16]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&number.to_be_bytes());
    crc.update(wrapped);
    crc.finalize()
}

fn offset(number: u64) -> u64 {
    HEAD as u64 + number * SLOT as u64
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, path::Path, time::Duration};

    use super::{Keys, Slot, StoreKey};
    use crate::{
        environment::Environment,
        store::disk::{RealDisk, simulated::SimulatedDisk},
    };

    const AHEAD: u64 = 10;

    fn open(disk: &SimulatedDisk, key: &StoreKey, used: u64) -> Keys {
        Keys::open(disk, Path::new("/"), key, Environment::system().entropy, AHEAD, used).unwrap()
    }

    /// The keys in some slots; panics where one is destroyed.
    fn held(keys: &Keys, numbers: std::ops::Range<u64>) -> Vec<[u8; 16]> {
        let key = |slot| match slot {
            Slot::Key(key) => *key,
            Slot::Destroyed | Slot::Damaged => panic!("no key"),
        };
        keys.read(numbers).unwrap().into_iter().map(key).collect()
    }

    #[test]
    fn no_two_views_get_one_key_also_after_a_restart() {
        let (disk, key) = (
            SimulatedDisk::new(),
            StoreKey::generate(&*Environment::system().entropy),
        );
        let mut given = HashSet::new();
        let keys = open(&disk, &key, 0);
        for (count, first) in [(3, 0), (1, 3), (25, 4), (2, 29)] {
            let taken = keys.take(count).unwrap();
            assert_eq!((taken.first, taken.keys.len()), (first, count));
            let of_views: Vec<[u8; 16]> = taken.keys.iter().map(|key| **key).collect();
            assert_eq!(
                held(&keys, taken.numbers()),
                of_views,
                "they are on disk before they are given"
            );
            given.extend(of_views);
        }
        assert_eq!(given.len(), 31);
        // Of the journal's views only the first twenty were kept: the other keys may have encrypted what was cut off.
        let again = open(&disk, &key, 20);
        let taken = again.take(40).unwrap();
        assert_eq!(taken.first, 20);
        assert!(taken.keys.iter().all(|key| given.insert(**key)));
        assert!(
            held(&again, 0..20).iter().all(|key| given.contains(key)),
            "those in use stay"
        );
    }

    #[test]
    fn destroyed_keys_are_zeros_and_their_neighbours_stay() {
        let (disk, key) = (
            SimulatedDisk::new(),
            StoreKey::generate(&*Environment::system().entropy),
        );
        let keys = open(&disk, &key, 0);
        let taken = keys.take(8).unwrap();
        keys.destroy(&[5, 2, 3, 5]).unwrap();
        assert!(keys.are_destroyed(&[2, 3, 5]).unwrap() && !keys.are_destroyed(&[2, 4]).unwrap());
        // Durable when it returns.
        let keys = open(&disk.after_power_cut(1), &key, 8);
        for number in 0..8 {
            match (&keys.read(number..number + 1).unwrap()[0], number) {
                (Slot::Destroyed, 2 | 3 | 5) => {}
                (Slot::Key(key), 0 | 1 | 4 | 6 | 7) => assert_eq!(*key, taken.keys[number as usize]),
                _ => panic!("key {number}"),
            }
        }
    }

    #[test]
    fn slots_are_written_ahead_by_a_thread() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = Environment::system().entropy;
        let key = StoreKey::generate(&*entropy);
        let keys = Keys::open(&RealDisk, folder.path(), &key, entropy, AHEAD, 0).unwrap();
        keys.write_ahead().unwrap();
        let ready = || super::lock(&keys.slots.pool).wrapped.len();
        for _ in 0..20 {
            for _ in 0..500 {
                if ready() < 5 {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            assert!(ready() >= 5, "nobody asked for more");
            keys.take(4).unwrap();
        }
        keys.close();
        assert_eq!(
            keys.take(30).unwrap().keys.len(),
            30,
            "without the thread they are written when they are needed"
        );
    }
}
