//! Making views and verifying them, per core, beside what the cryptography in it costs alone.

use std::hint::black_box;

use anyhow::{Context as _, ensure};
use futures::future::BoxFuture;
use icomm_node::core::replica::{Admission, Held, HeldError, History, Replica};
use icomm_pki::MemberKey;
use icomm_proto::{
    CodeLists, Denominalised, Origin, Record, RecordId, SectionSet, View, ViewRef,
    log::{Checkpoint, ChunkBody, ChunkBuilder, Frontier, Hash, VerifiedCheckpoint, verify_chunk},
    v1,
};
use rand::{SeedableRng as _, rngs::SmallRng};
use tokio::{task::block_in_place, time::Instant};

use crate::compare::{
    icomm::NAME,
    limits, rows,
    scale::Sizes,
    sealed,
    series::Sample,
    workload::{Bench, Better, Contestant, Field, Growth, Kind, Workload},
};

/// Views made and verified on one core.
pub const WORKLOAD: Workload = Workload {
    name: "verify",
    what: "de-nominalised views are verified in chunks, each against one signed checkpoint, on one core",
    unit: "µs per view",
    better: Better::Lower,
    sizes: Sizes {
        tiny: 2_048,
        quick: 51_200,
        full: 204_800,
    },
    counts: "views",
    growth: Growth::Flat,
    field: |bench| Box::pin(async { block_in_place(|| field(bench)) }),
};

/// Views in a chunk, as catch-up gathers them.
const CHUNK_VIEWS: usize = 1024;
/// Views that are made anew in a round, to see what making them costs.
const MADE: usize = 4096;
/// The origin line of the log.
const LINE: &str = "bench.icomm.example/ES/main";

fn field(bench: &Bench) -> anyhow::Result<Field> {
    let (mut whole, mut open) = (Vec::new(), Vec::new());
    sealed::each(&rows::file(bench, bench.size)?, |view| {
        open.push(view.redact(SectionSet::open()));
        if whole.len() < MADE {
            whole.push(view);
        }
        Ok(())
    })?;
    let hashing = limits::hashing(&open)?;
    let field = Field::default().with(Verifying::new(&whole, &open)?);
    Ok(field.with(hashing).with(limits::signatures(bench.size)))
}

struct Verifying {
    key: MemberKey,
    origin: Origin,
    chunks: Vec<v1::Chunk>,
    /// The log before each chunk.
    before: Vec<Frontier>,
    /// Records with all their sections, and what they are made from.
    whole: Vec<View>,
    drafts: Vec<v1::Draft>,
    lists: CodeLists,
}

impl Verifying {
    fn new(whole: &[View], open: &[View]) -> anyhow::Result<Self> {
        let key = MemberKey::from_seed(&[7; 32]);
        let origin = Origin::main(rows::MEMBER.parse()?);
        let mut log = Frontier::new();
        let (mut chunks, mut before) = (Vec::new(), Vec::new());
        for views in open.chunks(CHUNK_VIEWS) {
            before.push(log.clone());
            let mut body = ChunkBuilder::default();
            for view in views {
                log.push(view.leaf_hash());
                body.disclose(view.bytes());
            }
            let body = body.finish()?;
            chunks.push(v1::Chunk {
                origin: origin.to_string(),
                from: log.size() - u64::from(body.count()),
                count: body.count(),
                checkpoint: Checkpoint::of(LINE, &log).sign(&key)?.note().clone(),
                body: body.bytes().clone(),
                keep: None,
            });
        }
        Ok(Self {
            drafts: whole.iter().map(View::decode).collect::<Result<_, _>>()?,
            lists: CodeLists::built_in(),
            whole: whole.to_vec(),
            key,
            origin,
            chunks,
            before,
        })
    }

    /// Body, checkpoint and entries of every chunk, as whoever holds a log's beginning can check them.
    fn verify(&self) -> anyhow::Result<()> {
        let key = self.key.public();
        for (chunk, before) in self.chunks.iter().zip(&self.before) {
            let v1::Chunk {
                count,
                checkpoint,
                body,
                ..
            } = chunk;
            let body = ChunkBody::parse(body.clone(), *count)?;
            let checkpoint = VerifiedCheckpoint::verify(checkpoint.clone(), LINE, &key)?;
            let verified = verify_chunk(before, checkpoint, body)?;
            ensure!(verified.disclosed() == *count, "a view is missing");
            black_box(verified);
        }
        Ok(())
    }

    /// The same as the global node takes them in: it also walks over the fields of every section.
    fn accept(&self) -> anyhow::Result<()> {
        let mut replica = Replica::new(self.origin.clone(), LINE.to_owned(), self.key.public().into());
        for chunk in &self.chunks {
            let accepted = replica.accept(chunk.clone(), Admission::OpenOnly, &Nothing)?;
            ensure!(accepted.chunks.len() == 1, "a chunk was not taken in");
            black_box(accepted);
        }
        Ok(())
    }

    fn seal(records: &[Record<'_>]) {
        let mut entropy = SmallRng::seed_from_u64(2);
        for record in records {
            black_box(record.seal(RecordId::new(0, [0; 10]), 1, &mut entropy));
        }
    }

    fn denominalise(&self) -> anyhow::Result<()> {
        let mut body = ChunkBuilder::with_capacity(self.whole.len() * 512);
        for view in &self.whole {
            let open = Denominalised::of(&ViewRef::parse(view.bytes())?)?;
            body.disclose_with(|out| open.write(out));
        }
        black_box(body);
        Ok(())
    }

    fn measure(&self) -> anyhow::Result<Sample> {
        let views: u64 = self.chunks.iter().map(|chunk| u64::from(chunk.count)).sum();
        let made = self.whole.len() as u64;
        let record = |draft| {
            let record = Record::validate(draft, &self.lists, &self.origin.member);
            record.ok().context("a record that was sealed is not valid")
        };
        let records = self.drafts.iter().map(record).collect::<Result<Vec<_>, _>>()?;
        Ok(Sample::of(each_us(views, || self.verify())?)
            .with("global_node_us", each_us(views, || self.accept())?)
            .with("denominalise_us", each_us(made, || self.denominalise())?)
            .with(
                "seal_us",
                each_us(made, || {
                    Self::seal(&records);
                    Ok(())
                })?,
            ))
    }
}

/// What each of `count` took, in µs.
fn each_us(count: u64, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64() * 1e6 / count as f64)
}

/// Nothing is held yet of the log that a replica takes in.
struct Nothing;

impl Held for Nothing {
    fn held(&self, _: &Origin, _: u64, _: u64) -> Result<Vec<(Hash, Option<SectionSet>)>, HeldError> {
        Ok(Vec::new())
    }

    fn history(&self, _: &Origin, _: u64) -> Result<Option<History>, HeldError> {
        Ok(None)
    }
}

impl Contestant for Verifying {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Icomm
    }

    fn remark(&self) -> String {
        format!(
            "in chunks of {CHUNK_VIEWS}: framing and views parsed, the section's and the leaf's hash, the Merkle tree, the checkpoint's \
             signature; `global_node` is all that the global node checks, a walk over every field included; `denominalise` parses \
             a whole view, verifies its open section and writes the de-nominalised view into a chunk; `seal` encodes a record and \
             hashes all its sections"
        )
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(async { block_in_place(|| self.measure()) })
    }
}
