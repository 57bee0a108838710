//! The journal against [`MemoryStore`](crate::store::MemoryStore), and against everything that can happen to a disk.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{Journal, OpenError, Options, recovery::Secrets};
use crate::{
    environment::{Entropy, Environment},
    store::{StoreError, StoreKey, disk::simulated::SimulatedDisk},
};

mod ahead;
mod damage;
mod erasing;
pub(super) mod fixture;
mod index;
mod kill;
mod model;
mod power;
mod secrecy;
mod sharing;
mod shortage;
mod snapshot;

/// Segments so short that there are many.
const OPTIONS: Options = Options {
    segment_bytes: 3000,
    ahead_bytes: 700,
    ahead_keys: 50,
    salt: 42,
};

/// All in one segment.
const ONE_SEGMENT: Options = Options {
    segment_bytes: u64::MAX,
    ahead_bytes: 700,
    ahead_keys: 600,
    salt: 42,
};

fn folder() -> &'static Path {
    Path::new("/store")
}

fn key(number: u8) -> StoreKey {
    format!("icomm-store-key/v1 {}\n", data_encoding::HEXLOWER.encode(&[number; 32]))
        .parse()
        .unwrap()
}

/// The same bytes in each store, so that files can be compared.
struct Seeded(Mutex<SmallRng>);

impl Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) {
        self.0.lock().unwrap().fill_bytes(out);
    }
}

fn open(disk: &SimulatedDisk, options: Options) -> Result<Journal, StoreError> {
    open_with_key(disk, options, &key(1))
}

fn open_with_key(disk: &SimulatedDisk, options: Options, key: &StoreKey) -> Result<Journal, StoreError> {
    let entropy = Arc::new(Seeded(Mutex::new(SmallRng::seed_from_u64(3))));
    Journal::open_on(Arc::new(disk.clone()), folder(), options, Secrets { key, entropy })
}

/// On the real disk, with an index.
fn open_in(folder: &Path, options: Options) -> Result<Journal, OpenError> {
    let (key, entropy) = (&key(1), Environment::system().entropy);
    Journal::open_with(folder, options, Secrets { key, entropy })
}
