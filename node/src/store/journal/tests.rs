//! The journal against [`MemoryStore`](crate::store::MemoryStore), and against everything that can happen to a disk.

use std::{path::Path, sync::Arc};

use super::{Journal, Options};
use crate::store::{StoreError, disk::simulated::SimulatedDisk};

mod ahead;
mod damage;
mod erasing;
pub(super) mod fixture;
mod index;
mod kill;
mod model;
mod power;
mod sharing;
mod shortage;

/// Segments so short that there are many.
const OPTIONS: Options = Options {
    segment_bytes: 3000,
    ahead_bytes: 700,
    salt: 42,
};

/// All in one segment.
const ONE_SEGMENT: Options = Options {
    segment_bytes: u64::MAX,
    ahead_bytes: 700,
    salt: 42,
};

fn folder() -> &'static Path {
    Path::new("/store")
}

fn open(disk: &SimulatedDisk, options: Options) -> Result<Journal, StoreError> {
    Journal::open_on(Arc::new(disk.clone()), folder(), options)
}
