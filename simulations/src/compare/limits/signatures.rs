//! What verification would cost with a signature for every view instead of one for a chunk of them.

use std::hint::black_box;

use futures::future::BoxFuture;
use icomm_pki::MemberKey;
use tokio::{task::block_in_place, time::Instant};

use crate::compare::{
    series::Sample,
    workload::{Contestant, Kind},
};

/// The most signatures that are made and verified in a round.
const SIGNATURES_MAX: u64 = 2_000;
/// About as long as a checkpoint's text.
const TEXT: &[u8; 96] = &[b'a'; 96];

/// Ed25519 alone, ready to run.
pub struct Signatures(u64);

/// One Ed25519 signature for every view, of at most that many views.
pub fn signatures(views: u64) -> Signatures {
    Signatures(views.clamp(1, SIGNATURES_MAX))
}

impl Signatures {
    fn measure(&self) -> anyhow::Result<Sample> {
        let key = MemberKey::from_seed(&[7; 32]);
        let public = key.public();
        let begun = Instant::now();
        for _ in 0..self.0 {
            black_box(key.sign_raw(black_box(TEXT))?);
        }
        let sign_us = begun.elapsed().as_secs_f64() * 1e6 / self.0 as f64;
        let signature = key.sign_raw(TEXT)?;
        let begun = Instant::now();
        for _ in 0..self.0 {
            public.verify_raw(black_box(TEXT), &signature)?;
        }
        let verify_us = begun.elapsed().as_secs_f64() * 1e6 / self.0 as f64;
        Ok(Sample::of(verify_us)
            .with("ed25519_sign_us", sign_us)
            .with("ed25519_verify_us", verify_us))
    }
}

impl Contestant for Signatures {
    fn name(&self) -> &'static str {
        "signature-each"
    }

    fn kind(&self) -> Kind {
        Kind::Limit
    }

    fn remark(&self) -> String {
        "one Ed25519 signature verified by the strict rules for each view, and nothing else".to_owned()
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(async { block_in_place(|| self.measure()) })
    }
}
