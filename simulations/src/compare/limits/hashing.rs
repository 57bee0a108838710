//! The hashing in verification alone: the very same bytes in as many calls.

use std::hint::black_box;

use anyhow::Context as _;
use futures::future::BoxFuture;
use icomm_proto::View;
use sha2::{Digest, Sha256};
use tokio::{task::block_in_place, time::Instant};

use crate::compare::{
    series::Sample,
    workload::{Contestant, Kind},
};

/// What stands before a section's salt when it is hashed: a text of 17 bytes and the section's number.
const SECTION_PREFIX_BYTES: usize = 17 + 1;
/// What stands before an entry when it is hashed.
const LEAF_PREFIX_BYTES: usize = 1;
/// An inner node: a byte and two hashes.
const NODE_BYTES: usize = 1 + 2 * 32;
/// How often a KiB is hashed to say what one costs.
const KIBIBYTES: u64 = 20_000;

/// SHA-256 over what verification hashes, ready to run.
pub struct Hashing {
    views: u64,
    /// Everything that is hashed, one after the other.
    bytes: Vec<u8>,
    /// How long each piece is.
    pieces: Vec<u32>,
}

/// The hashes in verifying these views: of every disclosed section and every entry, and one inner node for each.
///
/// # Errors
/// A view is longer than a view can be.
pub fn hashing(views: &[View]) -> anyhow::Result<Hashing> {
    let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
    let mut piece = |parts: &[&[u8]]| -> anyhow::Result<()> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        pieces.push(u32::try_from(len)?);
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        Ok(())
    };
    for view in views {
        let entry = view.entry().bytes();
        for kind in view.sections().iter() {
            let salted = view.section(kind).context("a disclosed section is missing")?;
            // Some bytes in the salt's place: whichever they are, they cost the same.
            let salt = entry.first_chunk::<16>().context("an entry is longer than a salt")?;
            piece(&[&[0; SECTION_PREFIX_BYTES], salt, salted])?;
        }
        piece(&[&[0; LEAF_PREFIX_BYTES], entry])?;
        // A tree of n leaves has n - 1 inner nodes.
        piece(&[&[1; NODE_BYTES]])?;
    }
    Ok(Hashing {
        views: views.len() as u64,
        bytes,
        pieces,
    })
}

impl Hashing {
    fn run(&self) -> anyhow::Result<()> {
        let mut rest = self.bytes.as_slice();
        for len in &self.pieces {
            let (piece, after) = rest
                .split_at_checked(*len as usize)
                .context("the pieces are the bytes")?;
            black_box(Sha256::digest(piece));
            rest = after;
        }
        Ok(())
    }

    fn measure(&self) -> anyhow::Result<Sample> {
        let begun = Instant::now();
        self.run()?;
        let view_us = begun.elapsed().as_secs_f64() * 1e6 / self.views as f64;
        let kibibyte = [7; 1024];
        let begun = Instant::now();
        for _ in 0..KIBIBYTES {
            black_box(Sha256::digest(black_box(&kibibyte)));
        }
        let sha256_1k_us = begun.elapsed().as_secs_f64() * 1e6 / KIBIBYTES as f64;
        Ok(Sample::of(view_us)
            .with("sha256_1k_us", sha256_1k_us)
            .with("hashed_bytes_per_view", self.bytes.len() as f64 / self.views as f64))
    }
}

impl Contestant for Hashing {
    fn name(&self) -> &'static str {
        "hashing"
    }

    fn kind(&self) -> Kind {
        Kind::Limit
    }

    fn remark(&self) -> String {
        "SHA-256 over exactly what verification hashes, in as many calls: the salted section, the entry, an inner node for \
         each view; the preimages lie ready in memory, and nothing is compared"
            .to_owned()
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(async { block_in_place(|| self.measure()) })
    }
}
