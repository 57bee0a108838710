//! Hostile peers on a node's links: what they do is refused, counted under their name, and felt on no other link.

use icomm_proto::log::ChunkBuilder;
use icomm_proto::v1::{document::Kind, frame::Body};
use icomm_proto::{SectionKind, fork::ForkProof};
use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;
use crate::core::disclosure::Note;
use crate::core::feed::WINDOW_CHUNKS;
use crate::core::fixture::{Did, Network, Originator, TestNode, UNIX_NOW, agreement, bilateral, document, key, record};
use crate::store::{MemoryStore, StoreError};

mod callbacks;
mod consents;
mod cosigned;
mod documents;
mod floods;
mod forks;
mod ledgers;
mod photos;
mod recalls;
mod refilling;
mod retention;
mod returning;
mod succession;
mod unsigned;

/// What `work` counted, in Prometheus' words.
fn counted(work: impl FnOnce()) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, work);
    recorder.handle().render()
}

/// A log of so many commits of one record each.
fn log(origin: &str, commits: usize) -> Originator {
    let mut log = Originator::new(origin);
    log.commits(&vec![1; commits], 1);
    log
}

fn want(log: &Originator, from: u64) -> Body {
    Body::Want(v1::Want {
        origin: log.origin.to_string(),
        from,
        stop: false,
        under: Some(v1::Revisions {
            settled: true,
            ..Default::default()
        }),
    })
}

fn tampered(chunk: &v1::Chunk) -> v1::Chunk {
    let mut body = chunk.body.to_vec();
    *body.last_mut().unwrap() ^= 1;
    v1::Chunk {
        body: body.into(),
        ..chunk.clone()
    }
}

fn size(node: &TestNode, log: &Originator) -> u64 {
    node.exchange.head(&log.origin).map_or(0, |head| head.size)
}

/// `KE` holds a log of its own and serves it to `UG` and `ES`.
fn serving(commits: usize) -> (Network, TestNode, Originator) {
    let network = Network::new();
    let mut node = network.node("KE");
    let own = log("KE/main", commits);
    node.holds(&own);
    for partner in ["UG", "ES"] {
        node.adopt(&agreement(&bilateral("KE", partner), &["KE", partner]));
    }
    (network, node, own)
}

#[test]
fn a_refused_chunk_is_counted_under_the_peers_name_and_ends_its_log_only() {
    let network = Network::new();
    let mut node = network.node("UG");
    let (ke, es) = (log("KE/main", 3), log("ES/main", 3));
    let (hub, did) = node.link(network.peer("RILO-ESA"), &[&ke, &es]);
    assert_eq!(did.wants(hub), [("KE/main", 0), ("ES/main", 0)]);
    let metrics = counted(|| {
        let did = node.chunk(hub, tampered(&ke.whole(0, 1)));
        assert_eq!(did.refusals(hub), [("tampered-chunk", "KE/main")]);
        assert!(did.closed.is_empty());
    });
    let expected = r#"icomm_refused_chunks_total{peer="RILO-ESA",code="tampered-chunk"} 1"#;
    assert!(metrics.contains(expected), "{metrics}");
    // No more of that log here, not even the truth, until it is offered anew.
    assert!(node.chunk(hub, ke.whole(0, 1)).frames.is_empty());
    assert_eq!(size(&node, &ke), 0);
    assert!(node.store.origins().is_empty());
    // The other log goes on.
    let did = node.chunk(hub, es.whole(0, 3));
    assert_eq!(did.receipts(hub), [("ES/main", 3)]);
    assert_eq!(size(&node, &es), 3);
    // And the log spoilt here is had from its originator.
    let (originator, did) = node.link(network.peer("KE"), &[&ke]);
    assert_eq!(did.wants(originator), [("KE/main", 0)]);
    assert_eq!(
        node.chunk(originator, ke.whole(0, 3)).receipts(originator),
        [("KE/main", 3)]
    );
}

#[test]
fn a_hub_that_spoils_a_log_is_replaced_by_another_route() {
    let network = Network::new();
    let mut node = network.node("UG");
    let ke = log("KE/main", 2);
    let (first, did) = node.link(network.peer("RILO-ESA"), &[&ke]);
    assert_eq!(did.wants(first), [("KE/main", 0)]);
    let (second, did) = node.link(network.peer("ES"), &[&ke]);
    assert!(did.wants(second).is_empty());
    let did = node.chunk(first, tampered(&ke.whole(0, 1)));
    assert_eq!(did.wants(second), [("KE/main", 0)]);
    assert_eq!(node.chunk(second, ke.whole(0, 2)).receipts(second), [("KE/main", 2)]);
}

#[test]
fn a_replay_is_acknowledged_again_and_changes_nothing() {
    let network = Network::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut node = network.node_over("UG", store.clone());
    let ke = log("KE/main", 3);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    for (from, to, writes) in [(0, 2, 1), (0, 2, 0), (1, 2, 0), (2, 3, 1), (0, 3, 0)] {
        let before = store.health().batches;
        let did = node.chunk(link, ke.whole(from, to));
        assert_eq!(did.receipts(link), [("KE/main", to.max(size(&node, &ke)))]);
        assert!(did.refusals(link).is_empty());
        assert_eq!(store.health().batches - before, writes);
    }
    assert_eq!(size(&node, &ke), 3);
}

#[test]
fn a_fork_freezes_the_log_keeps_the_evidence_and_outlives_a_restart() {
    let network = Network::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut node = network.node_over("UG", store.clone());
    let (ke, es) = (log("KE/main", 3), log("ES/main", 1));
    let mut other = Originator::new("KE/main");
    other.commits(&[1, 1, 1], 2);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 3));
    // The hub shows what the originator told it.
    let metrics = counted(|| {
        let (hub, did) = node.link(network.peer("RILO-ESA"), &[&other, &es]);
        assert_eq!(did.refusals(hub), [("forked-log", "KE/main")]);
        assert_eq!(did.wants(hub), [("ES/main", 0)]);
        assert_eq!(node.chunk(hub, es.whole(0, 1)).receipts(hub), [("ES/main", 1)]);
    });
    assert!(
        metrics.contains(r#"icomm_forked_logs_total{origin="KE/main"} 1"#),
        "{metrics}"
    );
    let evidence = store.state("fork/KE/main").unwrap().unwrap();
    let proof = ForkProof::parse(&evidence).unwrap();
    let fork = proof.verify(&network.root()).unwrap();
    assert_eq!((&fork.origin, fork.smaller.size, fork.larger.size), (&ke.origin, 3, 3));
    let notes = proof.notes().map(|note| Bytes::from(note.to_bytes()));
    assert_eq!(notes, [ke.checkpoint(3), other.checkpoint(3)]);
    // Nothing more of it, from nobody, neither now nor after a restart.
    let longer = log("KE/main", 4);
    assert!(
        node.chunk(link, longer.whole(3, 4)).frames.is_empty(),
        "it is not asked for any more"
    );
    let mut node = network.node_over("UG", store);
    let (link, did) = node.link(network.peer("KE"), &[&longer]);
    assert_eq!(did.refusals(link), [("forked-log", "KE/main")]);
    assert!(did.wants(link).is_empty());
    assert!(node.chunk(link, longer.whole(3, 4)).frames.is_empty());
    assert_eq!(size(&node, &ke), 3);
}

#[test]
fn the_global_node_takes_no_nominal_section_from_anybody() {
    let network = Network::new();
    let mut node = network.node("WCO");
    let ke = log("KE/main", 2);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    let metrics = counted(|| {
        let did = node.chunk(link, ke.whole(0, 2));
        assert_eq!(did.refusals(link), [("not-denominalised", "KE/main")]);
    });
    assert!(
        metrics.contains(r#"{peer="KE",code="not-denominalised"} 1"#),
        "{metrics}"
    );
    assert!(node.store.origins().is_empty());
}

#[test]
fn a_log_of_nobody_is_not_asked_for() {
    let network = Network::new();
    let mut node = network.node("UG");
    let stranger = log("FR/main", 1);
    let (link, did) = node.link(network.peer("RILO-ESA"), &[&stranger]);
    assert_eq!(did.refusals(link), [("unknown-member", "FR/main")]);
    assert!(did.wants(link).is_empty());
    assert!(node.chunk(link, stranger.whole(0, 1)).frames.is_empty());
    assert!(node.store.origins().is_empty());
}

#[test]
fn what_no_basis_covers_is_not_served_whoever_asks() {
    let (network, mut node, own) = serving(3);
    let es = log("ES/main", 2);
    node.holds(&es);
    let (partner, _) = node.link(network.peer("UG"), &[]);
    let (stranger, did) = node.link(network.peer("RILO-ESA"), &[]);
    assert!(!did.to(stranger).any(|body| matches!(body, Body::Head(_))));
    assert_eq!(
        node.frame(stranger, want(&own, 0)).refusals(stranger),
        [("no-agreement", "KE/main")]
    );
    // Nor another's log, to a partner of one's own.
    let did = node.frame(partner, want(&es, 0));
    assert_eq!(did.refusals(partner), [("no-agreement", "ES/main")]);
    assert!(did.chunks(partner).is_empty());
    assert_eq!(node.store.notes_len(&NoteLog::disclosures()).unwrap(), 0);
    // The refusals cost the partner nothing that it may have.
    assert_eq!(node.frame(partner, want(&own, 0)).chunks(partner).len(), 1);
}

#[test]
fn a_note_says_what_left_and_is_there_first() {
    let (network, mut node, own) = serving(3);
    let (link, _) = node.link(network.peer("UG"), &[]);
    let did = node.frame(link, want(&own, 1));
    let [chunk] = did.chunks(link)[..] else {
        panic!("{did:?}")
    };
    let notes = node.store.notes(&NoteLog::disclosures(), 0, 9).unwrap();
    let [(0, note)] = &notes[..] else { panic!("{notes:?}") };
    let note = Note::decode(note).unwrap();
    assert_eq!((note.from, note.count), (chunk.from, chunk.count));
    assert_eq!(
        (note.to.as_str(), note.origin.as_str(), note.time),
        ("UG", "KE/main", UNIX_NOW)
    );
    assert_eq!(note.runs, [(2, Some(0))]);
}

#[test]
fn a_store_that_fails_stops_the_link_and_loses_nothing() {
    let network = Network::new();
    let store = Arc::new(Failing::default());
    let mut node = network.node_over("UG", store.clone());
    let ke = log("KE/main", 3);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 1));
    store.fail(true);
    let did = node.chunk(link, ke.whole(1, 2));
    assert_eq!(did.closed[0].1.code, "store");
    assert!(!did.closed[0].1.peers_fault);
    assert!(
        did.receipts(link).is_empty(),
        "nothing is acknowledged that is not durable"
    );
    assert_eq!(size(&node, &ke), 1);
    store.fail(false);
    node.exchange.closed(link);
    let (link, did) = node.link(network.peer("KE"), &[&ke]);
    assert_eq!(did.wants(link), [("KE/main", 1)]);
    assert_eq!(node.chunk(link, ke.whole(1, 3)).receipts(link), [("KE/main", 3)]);
}

#[test]
fn without_its_note_no_chunk_leaves() {
    let network = Network::new();
    let store = Arc::new(Failing::default());
    let mut node = network.node_over("KE", store.clone());
    let own = log("KE/main", 3);
    node.holds(&own);
    node.adopt(&agreement(&bilateral("KE", "UG"), &["KE", "UG"]));
    let (link, _) = node.link(network.peer("UG"), &[]);
    store.fail(true);
    let did = node.frame(link, want(&own, 0));
    assert!(did.chunks(link).is_empty());
    assert_eq!(did.closed[0].1.code, "store");
}

#[test]
fn commits_go_in_one_chunk_up_to_where_the_store_is_damaged() {
    let network = Network::new();
    let store = Arc::new(Failing::default());
    let mut node = network.node_over("KE", store.clone());
    let own = log("KE/main", 4);
    node.holds(&own);
    node.adopt(&agreement(&bilateral("KE", "UG"), &["KE", "UG"]));
    let (link, _) = node.link(network.peer("UG"), &[]);
    store.damage(3);
    let did = node.frame(link, want(&own, 0));
    let [chunk] = did.chunks(link)[..] else {
        panic!("not one chunk: {did:?}")
    };
    assert_eq!((chunk.from, chunk.count), (0, 3));
    assert_eq!(chunk.checkpoint, own.checkpoint(3));
}

/// A store that refuses to append while it is told to, and to read what is damaged.
#[derive(Default)]
pub(super) struct Failing {
    kept: MemoryStore,
    fails: AtomicBool,
    /// The index from which on entries are damaged, if it is not zero.
    damaged: AtomicU64,
}

impl Failing {
    fn damage(&self, from: u64) {
        self.damaged.store(from, Ordering::SeqCst);
    }

    fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }
}

impl Store for Failing {
    fn submit(&self, batch: Batch, done: crate::store::Done) {
        if self.fails.load(Ordering::SeqCst) {
            done(Err(StoreError::Full));
        } else {
            self.kept.submit(batch, done);
        }
    }
    fn origins(&self) -> Vec<Origin> {
        self.kept.origins()
    }
    fn widths(&self, origin: &Origin) -> Result<crate::store::Widths, StoreError> {
        self.kept.widths(origin)
    }
    fn boundary(&self, origin: &Origin, size: u64) -> Result<Option<Boundary>, StoreError> {
        self.kept.boundary(origin, size)
    }
    fn read(
        &self,
        origin: &Origin,
        from: u64,
        limit: crate::store::ReadLimit,
    ) -> Result<Option<crate::store::Stretch>, StoreError> {
        let damaged = self.damaged.load(Ordering::SeqCst);
        if damaged == 0 {
            return self.kept.read(origin, from, limit);
        }
        if from >= damaged {
            let (segment, offset, what) = (1, 0, "the body of a part");
            return Err(crate::store::Damage { segment, offset, what }.into());
        }
        // Commit by commit, as from a disk where each is long.
        let (entries_max, bytes_max) = (1, 1);
        let limit = crate::store::ReadLimit { entries_max, bytes_max };
        self.kept.read(origin, from, limit)
    }
    fn entry(&self, origin: &Origin, index: u64) -> Result<Option<icomm_proto::log::Item>, StoreError> {
        self.kept.entry(origin, index)
    }
    fn leaf_hashes(
        &self,
        origin: &Origin,
        range: std::ops::Range<u64>,
        each: &mut dyn FnMut(Hash),
    ) -> Result<(), StoreError> {
        self.kept.leaf_hashes(origin, range, each)
    }
    fn find(&self, id: &icomm_proto::RecordId) -> Result<Vec<crate::store::Place>, StoreError> {
        self.kept.find(id)
    }
    fn issued(&self, key: &crate::store::IntakeKey) -> Result<Option<crate::store::Place>, StoreError> {
        self.kept.issued(key)
    }
    fn state(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.kept.state(key)
    }
    fn scan_state(&self, prefix: &str) -> Result<Vec<(String, Bytes)>, StoreError> {
        self.kept.scan_state(prefix)
    }
    fn notes_len(&self, log: &NoteLog) -> Result<u64, StoreError> {
        self.kept.notes_len(log)
    }
    fn notes(&self, log: &NoteLog, from: u64, max: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        self.kept.notes(log, from, max)
    }
    fn photos(&self) -> &dyn crate::store::Photos {
        self.kept.photos()
    }
    fn health(&self) -> crate::store::Health {
        self.kept.health()
    }
}
