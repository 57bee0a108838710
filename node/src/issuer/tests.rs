//! Many callers, equal keys, failing disks: each record is issued once or not at all, and its caller knows which.

use std::sync::{Condvar, Mutex};

use bytes::Bytes;
use icomm_pki::MemberKey;
use icomm_proto::log::{Hash, Item, VerifiedCheckpoint};
use icomm_proto::{RecordId, View};

use super::*;
use crate::core::fixture::{Network, Stick, domain, key, record};
use crate::store::{Batch, Boundary, Done, Health, IntakeKey, MemoryStore, NoteLog, ReadLimit, Stretch, Widths};

/// A store that can be told to wait or to fail.
#[derive(Default)]
struct Unsteady {
    kept: MemoryStore,
    mood: Mutex<Mood>,
    changed: Condvar,
}

#[derive(Default)]
struct Mood {
    held_up: bool,
    appends_fail: bool,
    reads_fail: bool,
    waiting: usize,
    /// Batches whose submitters went on, while this is some.
    under_way: Option<Vec<(Batch, Done)>>,
}

impl Unsteady {
    fn set(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.mood.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits until an append is held up.
    fn somebody_waits(&self) {
        let mood = self.mood.lock().unwrap();
        drop(self.changed.wait_while(mood, |mood| mood.waiting == 0).unwrap());
    }
}

/// A store whose batches are under way until the test says what becomes of them.
impl Unsteady {
    fn slow() -> Arc<Self> {
        let store = Arc::new(Self::default());
        store.set(|mood| mood.under_way = Some(Vec::new()));
        store
    }

    /// Waits until so many batches are under way.
    async fn under_way(self: &Arc<Self>, count: usize) {
        let store = self.clone();
        let waits = move || {
            let mood = store.mood.lock().unwrap();
            let fewer = |mood: &mut Mood| mood.under_way.as_ref().is_some_and(|batches| batches.len() < count);
            drop(store.changed.wait_while(mood, fewer).unwrap());
        };
        tokio::task::spawn_blocking(waits).await.unwrap();
        assert_eq!(self.mood.lock().unwrap().under_way.as_ref().unwrap().len(), count);
    }

    /// The first batch under way becomes durable, or fails.
    fn finish(&self, fails: bool) {
        let (batch, done) = self.mood.lock().unwrap().under_way.as_mut().unwrap().remove(0);
        if fails {
            done(Err(StoreError::Full));
        } else {
            self.kept.submit(batch, done);
        }
    }
}

impl Store for Unsteady {
    fn submit(&self, batch: Batch, done: Done) {
        let mut mood = self.mood.lock().unwrap();
        mood.waiting += 1;
        self.changed.notify_all();
        let mut mood = self.changed.wait_while(mood, |mood| mood.held_up).unwrap();
        mood.waiting -= 1;
        if let Some(under_way) = &mut mood.under_way {
            under_way.push((batch, done));
            self.changed.notify_all();
        } else if mood.appends_fail {
            done(Err(StoreError::Full));
        } else {
            self.kept.submit(batch, done);
        }
    }
    fn boundary(&self, origin: &Origin, size: u64) -> Result<Option<Boundary>, StoreError> {
        if self.mood.lock().unwrap().reads_fail {
            return Err(StoreError::Closed);
        }
        self.kept.boundary(origin, size)
    }
    fn origins(&self) -> Vec<Origin> {
        self.kept.origins()
    }
    fn widths(&self, origin: &Origin) -> Result<Widths, StoreError> {
        self.kept.widths(origin)
    }
    fn read(&self, origin: &Origin, from: u64, limit: ReadLimit) -> Result<Option<Stretch>, StoreError> {
        self.kept.read(origin, from, limit)
    }
    fn entry(&self, origin: &Origin, index: u64) -> Result<Option<Item>, StoreError> {
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
    fn find(&self, id: &RecordId) -> Result<Vec<Place>, StoreError> {
        self.kept.find(id)
    }
    fn issued(&self, key: &IntakeKey) -> Result<Option<Place>, StoreError> {
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
    fn health(&self) -> Health {
        self.kept.health()
    }
}

fn start(network: &Network, store: &Arc<Unsteady>) -> Issuer {
    start_signing(network, store, key("KE"))
}

fn start_signing(network: &Network, store: &Arc<Unsteady>, key: MemberKey) -> Issuer {
    let node = network.node_over("KE", store.clone());
    let origin = origin();
    let log = OwnLog::new(origin.clone(), origin.line(&domain()));
    Issuer::start(log, key, store.clone(), node.exchange.clone()).unwrap()
}

fn origin() -> Origin {
    "KE/main".parse().unwrap()
}

fn sealed(serial: u64, key: Option<u8>) -> Sealed {
    Sealed {
        view: record("KE", serial, "Planted Name"),
        key: key.map(|key| IntakeKey::from([key; 16])),
    }
}

fn index(placed: &Placed) -> u64 {
    let (Placed::Issued(place) | Placed::Duplicate(place)) = placed;
    place.index
}

/// Every entry up to the head, checked against every checkpoint on the way; and how many checkpoints there are.
fn entries(store: &Unsteady) -> (Vec<View>, usize) {
    let (mut views, mut commits) = (Vec::new(), 0);
    let mut frontier = icomm_proto::log::Frontier::new();
    let limit = ReadLimit {
        entries_max: 1,
        bytes_max: 1,
    };
    while let Some(stretch) = store.read(&origin(), views.len() as u64, limit).unwrap() {
        for item in stretch.shared_items() {
            let Item::Disclosed(bytes) = item else {
                panic!("withheld")
            };
            let view = View::parse(bytes).unwrap().verify().unwrap().into_view();
            frontier.push(view.leaf_hash());
            views.push(view);
        }
        let line = origin().line(&domain());
        let signed = VerifiedCheckpoint::verify(stretch.end.checkpoint, &line, &key("KE").public()).unwrap();
        assert_eq!((signed.size(), signed.root()), (frontier.size(), &frontier.root()));
        commits += 1;
    }
    (views, commits)
}

#[tokio::test]
async fn callers_that_come_together_share_a_commit() {
    let (network, store) = (Network::new(), Arc::new(Unsteady::default()));
    let issuer = start(&network, &store);
    store.set(|mood| mood.held_up = true);
    let issue = |serial| {
        let issuer = issuer.clone();
        tokio::spawn(async move { issuer.issue(vec![sealed(serial, None), sealed(serial + 1, None)]).await })
    };
    let mut callers = vec![issue_elsewhere(&issuer, vec![sealed(0, None), sealed(1, None)])];
    let waits = store.clone();
    tokio::task::spawn_blocking(move || waits.somebody_waits())
        .await
        .unwrap();
    callers.extend((1..100).map(|caller| issue(2 * caller)));
    // On this one thread every caller has queued its request once it has been polled.
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    store.set(|mood| mood.held_up = false);
    let mut places = Vec::new();
    for caller in callers {
        let placed = caller.await.unwrap().unwrap();
        assert_eq!(index(&placed[1]), index(&placed[0]) + 1, "a request stays together");
        places.extend(placed.iter().map(index));
    }
    places.sort_unstable();
    assert_eq!(places, (0..200).collect::<Vec<_>>());
    let (views, commits) = entries(&store);
    assert_eq!(
        (views.len(), commits),
        (200, 2),
        "one commit for the first, one for all that waited"
    );
}

#[tokio::test]
async fn equal_keys_are_issued_once_in_a_request_across_requests_and_across_a_restart() {
    let (network, store) = (Network::new(), Arc::new(Unsteady::default()));
    let issuer = start(&network, &store);
    let records = vec![
        sealed(0, Some(1)),
        sealed(1, Some(2)),
        sealed(2, Some(1)),
        sealed(3, None),
    ];
    let placed = issuer.issue(records).await.unwrap();
    assert!(matches!(
        &placed[..],
        [
            Placed::Issued(_),
            Placed::Issued(_),
            Placed::Duplicate(_),
            Placed::Issued(_)
        ]
    ));
    assert_eq!(placed.iter().map(index).collect::<Vec<_>>(), [0, 1, 0, 2]);
    // Ten callers at once, the same two keys, one of them new.
    let callers = (0..10).map(|caller| {
        let issuer = issuer.clone();
        let records = vec![sealed(10 + 2 * caller, Some(2)), sealed(11 + 2 * caller, Some(3))];
        tokio::spawn(async move { issuer.issue(records).await.unwrap() })
    });
    let mut new = 0;
    for caller in callers.collect::<Vec<_>>() {
        let placed = caller.await.unwrap();
        assert_eq!(placed.iter().map(index).collect::<Vec<_>>(), [1, 3]);
        assert!(matches!(placed[0], Placed::Duplicate(_)));
        new += usize::from(matches!(placed[1], Placed::Issued(_)));
    }
    assert_eq!(new, 1);
    let again = start(&network, &store);
    let placed = again
        .issue(vec![sealed(50, Some(3)), sealed(51, Some(4))])
        .await
        .unwrap();
    assert!(matches!(&placed[..], [Placed::Duplicate(_), Placed::Issued(_)]));
    assert_eq!(placed.iter().map(index).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(entries(&store).0.len(), 5);
}

fn issue(issuer: &Issuer, records: Vec<Sealed>) -> tokio::task::JoinHandle<Result<Vec<Placed>, IssueError>> {
    let issuer = issuer.clone();
    tokio::spawn(async move { issuer.issue(records).await })
}

/// Issues on another thread: what is little is handed to the store by its caller, whom a store may hold up.
fn issue_elsewhere(issuer: &Issuer, records: Vec<Sealed>) -> tokio::task::JoinHandle<Result<Vec<Placed>, IssueError>> {
    let (issuer, runtime) = (issuer.clone(), tokio::runtime::Handle::current());
    tokio::task::spawn_blocking(move || runtime.block_on(issuer.issue(records)))
}

fn many(serial: u64, count: u64) -> Vec<Sealed> {
    (serial..serial + count).map(|serial| sealed(serial, None)).collect()
}

#[tokio::test]
async fn little_that_finds_nothing_under_way_goes_without_another_thread() {
    let (network, store) = (Network::new(), Unsteady::slow());
    let issuer = start(&network, &store);
    let mut first = std::pin::pin!(issuer.issue(many(0, 2)));
    let mut second = std::pin::pin!(issuer.issue(many(2, 2)));
    assert!(futures::poll!(&mut first).is_pending());
    assert_eq!(store.mood.lock().unwrap().under_way.as_ref().unwrap().len(), 1);
    assert!(futures::poll!(&mut second).is_pending());
    store.finish(false);
    assert_eq!(first.await.unwrap().iter().map(index).collect::<Vec<_>>(), [0, 1]);
    store.under_way(1).await;
    store.finish(false);
    assert_eq!(second.await.unwrap().iter().map(index).collect::<Vec<_>>(), [2, 3]);
}

#[tokio::test]
async fn little_waits_for_the_commit_under_way_and_much_does_not() {
    let (network, store) = (Network::new(), Unsteady::slow());
    let issuer = start(&network, &store);
    let mut callers = vec![issue(&issuer, many(0, 1))];
    store.under_way(1).await;
    callers.push(issue(&issuer, many(1, 1)));
    callers.push(issue(&issuer, many(2, 1)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.under_way(1).await;
    callers.push(issue(&issuer, many(3, 100)));
    store.under_way(2).await;
    callers.push(issue(&issuer, many(103, 1)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.under_way(2).await;
    store.finish(false);
    store.finish(false);
    store.under_way(1).await;
    store.finish(false);
    let mut places = Vec::new();
    for caller in callers {
        places.extend(caller.await.unwrap().unwrap().iter().map(index));
    }
    assert_eq!(places, (0..104).collect::<Vec<_>>());
    assert_eq!(entries(&store).1, 3, "one, then 102 together, then one");
}

#[tokio::test]
async fn what_follows_a_failed_commit_fails_and_the_log_goes_on_from_what_is_held() {
    let (network, store) = (Network::new(), Unsteady::slow());
    let issuer = start(&network, &store);
    let first = issue(&issuer, many(0, 1));
    store.under_way(1).await;
    store.finish(false);
    first.await.unwrap().unwrap();

    let fails = issue(&issuer, many(1, 100));
    store.under_way(1).await;
    let follows = issue(&issuer, many(101, 100));
    store.under_way(2).await;
    let later = issue(&issuer, many(201, 100));
    store.under_way(3).await;
    store.finish(true);
    assert!(fails.await.unwrap().is_err());
    let after = issue(&issuer, many(301, 100));
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.under_way(2).await;
    // They don't continue what is held.
    store.finish(false);
    store.finish(false);
    assert!(follows.await.unwrap().is_err() && later.await.unwrap().is_err());
    store.under_way(1).await;
    store.finish(false);
    assert_eq!(after.await.unwrap().unwrap().iter().map(index).next(), Some(1));
    assert_eq!(entries(&store).0.len(), 101);
}

#[tokio::test]
async fn a_key_under_way_is_known_to_be_issued_only_when_it_is() {
    for fails in [false, true] {
        let (network, store) = (Network::new(), Unsteady::slow());
        let issuer = start(&network, &store);
        let first = issue(&issuer, vec![sealed(0, Some(1))]);
        store.under_way(1).await;
        let mut records = many(1, 100);
        records.push(sealed(101, Some(1)));
        let second = issue(&issuer, records);
        tokio::time::sleep(Duration::from_millis(50)).await;
        store.under_way(1).await;
        store.finish(fails);
        store.under_way(1).await;
        store.finish(false);
        assert_eq!(first.await.unwrap().is_err(), fails);
        let placed = second.await.unwrap().unwrap();
        assert_eq!(matches!(placed[100], Placed::Duplicate(_)), !fails);
        assert_eq!(index(&placed[100]), if fails { 100 } else { 0 });
        assert_eq!(entries_len(&store), 101);
    }
}

#[tokio::test]
async fn a_store_that_fails_issues_nothing_and_the_next_append_works() {
    let (network, store) = (Network::new(), Arc::new(Unsteady::default()));
    let issuer = start(&network, &store);
    issuer.issue(vec![sealed(0, Some(1))]).await.unwrap();
    store.set(|mood| mood.appends_fail = true);
    let failed = issuer
        .issue(vec![sealed(1, Some(2)), sealed(2, Some(1))])
        .await
        .unwrap_err();
    assert!(matches!(failed, IssueError::Store(StoreError::Full)));
    assert!(failed.to_string().starts_with("nothing was issued: "), "{failed}");
    assert_eq!(entries(&store).0.len(), 1);
    // Neither can it be read how far the log goes: still nothing is issued beyond a hole.
    store.set(|mood| mood.reads_fail = true);
    assert!(issuer.issue(vec![sealed(3, None)]).await.is_err());
    store.set(|mood| *mood = Mood::default());
    let mut placed = issuer.issue(vec![sealed(4, Some(2))]).await;
    if placed.is_err() {
        placed = issuer.issue(vec![sealed(4, Some(2))]).await;
    }
    assert_eq!(placed.unwrap().iter().map(index).collect::<Vec<_>>(), [1]);
    assert_eq!(entries(&store).0.len(), 2);
}

#[tokio::test]
async fn what_is_durable_is_said_to_be_issued_whatever_fails_then() {
    let (network, store) = (Network::new(), Arc::new(Unsteady::default()));
    let issuer = start(&network, &store);
    store.set(|mood| mood.reads_fail = true);
    let placed = issuer.issue(vec![sealed(0, None)]).await;
    assert_eq!(entries_len(&store), 1);
    assert!(placed.is_ok(), "its caller would issue it again: {placed:?}");
}

fn entries_len(store: &Unsteady) -> u64 {
    store.kept.head(&origin()).unwrap().map_or(0, |head| head.size())
}

/// A record of about 900 KiB: nine of them are more than a chunk.
fn large(serial: u64) -> Sealed {
    Sealed {
        view: record("KE", serial, &"x".repeat(900 << 10)),
        key: None,
    }
}

#[tokio::test]
async fn records_that_are_more_than_a_chunk_become_several_and_stay_together() {
    let (network, store) = (Network::new(), Arc::new(Unsteady::default()));
    let issuer = start(&network, &store);
    let records: Vec<Sealed> = (0..12).map(large).collect();
    let views: Vec<View> = records.iter().map(|record| record.view.clone()).collect();
    let before = store.health().batches;
    let placed = issuer.issue(records).await.unwrap();
    assert_eq!(
        placed.iter().map(index).collect::<Vec<_>>(),
        (0..12).collect::<Vec<_>>()
    );
    assert_eq!(entries(&store), (views, 2));
    assert_eq!(store.health().batches, before + 1, "all durable or none");
}

#[tokio::test]
async fn a_request_too_large_to_be_atomic_fails_alone() {
    let (network, store) = (Network::new(), Arc::new(Unsteady::default()));
    let issuer = start(&network, &store);
    store.set(|mood| mood.held_up = true);
    let issue = |records: Vec<Sealed>| {
        let issuer = issuer.clone();
        tokio::spawn(async move { issuer.issue(records).await })
    };
    let first = issue_elsewhere(&issuer, vec![sealed(0, None)]);
    let waits = store.clone();
    tokio::task::spawn_blocking(move || waits.somebody_waits())
        .await
        .unwrap();
    let one = large(1);
    let greedy = issue(vec![one.clone(); 75]);
    let modest = [
        issue(vec![sealed(2, None)]),
        issue(vec![one.clone(); 40]),
        issue(vec![one; 40]),
    ];
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    store.set(|mood| mood.held_up = false);
    first.await.unwrap().unwrap();
    assert!(matches!(greedy.await.unwrap(), Err(IssueError::TooMuch { .. })));
    for caller in modest {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(entries_len(&store), 1 + 1 + 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_away_refuses_and_nothing_is_lost_or_issued_twice() {
    let (network, store) = (Network::new(), Arc::new(Unsteady::default()));
    let (stick, token) = Stick::with_key_of("KE");
    let issuer = start_signing(&network, &store, token);
    issuer.issue(vec![sealed(1, Some(1))]).await.unwrap();
    stick.plug(false);
    for _ in 0..3 {
        let refused = issuer.issue(vec![sealed(2, Some(2))]).await.unwrap_err();
        assert!(
            matches!(&refused, IssueError::Key(fault) if fault.code() == "key-absent"),
            "{refused}"
        );
    }
    let voided = issuer.void(sealed(3, None), Reason::Error).await.unwrap_err();
    assert!(matches!(voided, IssueError::Key(_)));
    assert_eq!(store.head(&origin()).unwrap().unwrap().size(), 1);
    assert_eq!(store.issued(&IntakeKey::from([2; 16])).unwrap(), None);

    stick.plug(true);
    let placed = issuer
        .issue(vec![sealed(2, Some(2)), sealed(1, Some(1))])
        .await
        .unwrap();
    assert!(
        matches!(&placed[..], [Placed::Issued(place), Placed::Duplicate(_)] if place.index == 1),
        "{placed:?}"
    );
    let head = store.head(&origin()).unwrap().unwrap();
    let signed = VerifiedCheckpoint::verify(head.checkpoint, &origin().line(&domain()), &key("KE").public()).unwrap();
    assert_eq!(signed.size(), 2);
}
