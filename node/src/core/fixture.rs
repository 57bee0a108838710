//! What the core's tests stand on: certified members with real keys, signed agreements, originators whose logs are real,
//! and whole nodes over a store in memory, linked by hand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use icomm_pki::{
    Authority, AuthorityCertificate, AuthorityKey, CLOCK_SKEW_MAX, EnrolmentRequest, FormerListing, Handover, Listing,
    MemberId, MemberKey, NodeCredentials, NodeKey, Role, Signature, SigningError, Token, TrustBundle, TrustDomain,
    Validity, VerifiedBundle,
};
use icomm_policy::{Agreement, SignedAgreement};
use icomm_proto::log::{Checkpoint, ChunkBuilder, Frontier, Hash};
use icomm_proto::seal::seal;
use icomm_proto::{EntryHead, EntryKind, Origin, RecordId, RecordKind, SectionKind, SectionSet, View, v1};
use prost::Message;
use rand::{SeedableRng, rngs::StdRng};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::exchange::{Exchange, Link, Local, Mailbox};
use super::law::Law;
use super::recall::{Appended, Order, Reason};
use super::replica::{Admission, Held, HeldError, History, Replica};
use super::routes::LinkId;
use super::session::{Action, Closed, Event, Peer, Session};
use crate::environment::{Clock, Entropy, Environment};
use crate::store::{Batch, MemoryStore, Store};

/// When everything happens.
pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);
/// The same in seconds since 1970.
pub(crate) const UNIX_NOW: u64 = 1_795_435_200;

const MEMBERS: &[(&str, Role, &[&str])] = &[
    ("WCO", Role::Global, &[]),
    ("RILO-ESA", Role::Regional, &[]),
    ("KE", Role::National, &["RILO-ESA"]),
    ("UG", Role::National, &["RILO-ESA"]),
    ("ES", Role::National, &[]),
];

pub(crate) fn domain() -> TrustDomain {
    "test.icomm.example".parse().unwrap()
}

/// A member's key: of its name, so that every test knows it.
pub(crate) fn key(member: &str) -> MemberKey {
    let mut seed = [7; 32];
    seed[..member.len()].copy_from_slice(member.as_bytes());
    MemberKey::from_seed(&seed)
}

/// A sealed record with an open section that policies can read, an exact one, and a person with the given name.
pub(crate) fn record(originator: &str, serial: u64, person: &str) -> View {
    let case = v1::Case {
        class: Some(v1::Class {
            kind: v1::RecordKind::Seizure.into(),
            originator: originator.into(),
            report_type: "seizure".into(),
            categories: vec!["drugs".into()],
            handling_code: "H0".into(),
            seizure_country: "KE".into(),
            ..Default::default()
        }),
        conveyance_type: "unknown".into(),
        ..Default::default()
    };
    let exact = v1::Exact {
        seizure_date: "2026-05-31".into(),
        ..Default::default()
    };
    let sections = [
        (SectionKind::Case, case.encode_to_vec()),
        (SectionKind::Exact, exact.encode_to_vec()),
        (SectionKind::Persons, person.as_bytes().to_vec()),
    ];
    sealed(serial, &sections)
}

/// A sealed record of these sections.
pub(crate) fn sealed(serial: u64, sections: &[(SectionKind, Vec<u8>)]) -> View {
    let mut bits = [0; 10];
    bits[2..].copy_from_slice(&serial.to_be_bytes());
    let head = EntryHead {
        kind: EntryKind::Issue,
        record_kind: RecordKind::Seizure,
        record_id: RecordId::new(1_795_435_200_000, bits),
        version: 1,
    };
    let sections: Vec<(SectionKind, &[u8])> = sections.iter().map(|(kind, bytes)| (*kind, bytes.as_slice())).collect();
    seal(&head, &sections, &mut StdRng::seed_from_u64(serial)).unwrap()
}

/// A member's real log, kept by the test: whatever chunks it needs can be made of it.
pub(crate) struct Originator {
    pub(crate) origin: Origin,
    pub(crate) line: String,
    pub(crate) key: MemberKey,
    pub(crate) views: Vec<View>,
    frontier: Frontier,
    checkpoints: BTreeMap<u64, Bytes>,
}

impl Originator {
    /// An empty log.
    pub(crate) fn new(origin: &str) -> Self {
        let origin: Origin = origin.parse().unwrap();
        Self {
            line: origin.line(&domain()),
            key: key(origin.member.as_str()),
            origin,
            views: Vec::new(),
            frontier: Frontier::new(),
            checkpoints: BTreeMap::new(),
        }
    }

    /// One commit of these records.
    pub(crate) fn commit(&mut self, views: impl IntoIterator<Item = View>) -> &mut Self {
        for view in views {
            self.frontier.push(view.leaf_hash());
            self.views.push(view);
        }
        let checkpoint = Checkpoint::of(&self.line, &self.frontier).sign(&self.key).unwrap();
        self.checkpoints.insert(self.frontier.size(), checkpoint.note().clone());
        self
    }

    /// Commits of so many records each. `salt` tells logs of the same shape apart.
    pub(crate) fn commits(&mut self, sizes: &[u64], salt: u64) -> &mut Self {
        for size in sizes {
            let from = self.size();
            let member = self.origin.member.to_string();
            self.commit((from..from + size).map(|index| record(&member, salt * 1_000_000 + index, "Planted Name")));
        }
        self
    }

    /// Amends the record at `index` or recalls it: the entry, in a commit of its own, and the order of it.
    pub(crate) fn void(&mut self, index: u64, kind: EntryKind) -> v1::Recall {
        let before = self.frontier.clone();
        let first = &self.views[usize::try_from(index).unwrap()];
        let versions = self
            .views
            .iter()
            .filter(|view| view.head().record_id == first.head().record_id);
        let version = versions.count() as u32 + 1;
        let head = EntryHead {
            kind,
            version,
            ..first.head()
        };
        let all: Vec<(SectionKind, &[u8])> = match kind {
            EntryKind::Recall => Vec::new(),
            _ => first
                .sections()
                .iter()
                .map(|kind| (kind, first.section(kind).unwrap()))
                .collect(),
        };
        let view = seal(&head, &all, &mut StdRng::seed_from_u64(before.size())).unwrap();
        self.commit([view.clone()]);
        let appended = Appended {
            origin: &self.origin,
            view: &view,
            before: &before,
            checkpoint: self.checkpoint(self.size()),
        };
        let reason = match kind {
            EntryKind::Recall => Reason::Error,
            _ => Reason::Amended,
        };
        Order::issue(&appended, reason, UNIX_NOW, &self.key).unwrap()
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The sizes at which a checkpoint was signed.
    pub(crate) fn boundaries(&self) -> Vec<u64> {
        self.checkpoints.keys().copied().collect()
    }

    /// The checkpoint at a size where there is one.
    pub(crate) fn checkpoint(&self, size: u64) -> Bytes {
        self.checkpoints[&size].clone()
    }

    /// The entries `from..to` as far as `disclose` says; none of an entry's sections means its hash alone.
    pub(crate) fn chunk(&self, from: u64, to: u64, disclose: impl Fn(u64) -> SectionSet) -> v1::Chunk {
        let mut body = ChunkBuilder::default();
        for index in from..to {
            let view = &self.views[usize::try_from(index).unwrap()];
            let sections = disclose(index);
            if sections.is_empty() {
                body.withhold(&view.leaf_hash());
            } else {
                body.disclose(view.redact(sections).bytes());
            }
        }
        self.chunk_of(from, body, self.checkpoint(to))
    }

    /// A chunk with everything disclosed.
    pub(crate) fn whole(&self, from: u64, to: u64) -> v1::Chunk {
        self.chunk(from, to, |_| SectionSet::ALL)
    }

    /// A chunk of a body made by hand.
    pub(crate) fn chunk_of(&self, from: u64, body: ChunkBuilder, checkpoint: Bytes) -> v1::Chunk {
        let body = body.finish().unwrap();
        v1::Chunk {
            origin: self.origin.to_string(),
            from,
            count: body.count(),
            checkpoint,
            body: body.bytes().clone(),
            keep: None,
        }
    }
}

/// The certified members, their keys and what they sign together.
pub(crate) struct Network {
    root: Authority,
    credentials: BTreeMap<MemberId, NodeCredentials>,
    listings: Vec<Listing>,
}

impl Network {
    pub(crate) fn new() -> Self {
        let days = |days| Validity::days(NOW, days).unwrap();
        let name = "WCO".parse().unwrap();
        let root = Authority::root(&domain(), &name, AuthorityKey::generate().unwrap(), days(3650)).unwrap();
        let mut credentials = BTreeMap::new();
        let mut listings = Vec::new();
        for (member, role, regions) in MEMBERS {
            let id: MemberId = member.parse().unwrap();
            let (member_key, node_key) = (key(member), NodeKey::generate().unwrap());
            let node = "n1".parse().unwrap();
            let request = EnrolmentRequest::new(&domain(), &id, &node, &member_key, &node_key).unwrap();
            let enrolment = root.issue(&request, *role, days(365)).unwrap();
            let regions = regions.iter().map(|region| region.parse().unwrap()).collect();
            listings.push(Listing::new(&enrolment, regions, Vec::new()));
            credentials.insert(id, NodeCredentials::new(enrolment, member_key, node_key).unwrap());
        }
        Self {
            root,
            credentials,
            listings,
        }
    }

    /// The signed bundle in some version, valid for so many days.
    pub(crate) fn bundle(&self, version: u64, days: i64) -> Vec<u8> {
        let root = self.root.certificate();
        let mut bundle = TrustBundle::new(version, domain(), root.der().clone(), NOW, NOW + Duration::days(days));
        bundle.members = self.listings.clone();
        let validity = Validity::new(NOW - CLOCK_SKEW_MAX, root.validity().not_after()).unwrap();
        bundle.revocation_lists = vec![self.root.revocation_list(None, &[], validity).unwrap()];
        bundle.sign(&"WCO".parse().unwrap(), &key("WCO")).unwrap()
    }

    /// From the next bundle on a member signs with `key`, and the key that it was enrolled with is a former one.
    pub(crate) fn succeed(&mut self, member: &str, key: &MemberKey, handover: Option<Handover>) {
        let credentials = &self.credentials[member];
        let (id, node) = (credentials.member(), credentials.node_name());
        let request = EnrolmentRequest::new(&domain(), id, node, key, credentials.node_key()).unwrap();
        let validity = Validity::days(NOW, 365).unwrap();
        let enrolment = self.root.issue(&request, credentials.role(), validity).unwrap();
        let listing = self.listings.iter_mut().find(|listing| listing.id == *id).unwrap();
        listing.certificate = enrolment.member_certificate().der().clone();
        listing.former = vec![FormerListing {
            certificate: credentials.enrolment().member_certificate().der().clone(),
            handover,
        }];
    }

    /// The root's certificate.
    pub(crate) fn root(&self) -> AuthorityCertificate {
        self.root.certificate().clone()
    }

    fn verified(&self) -> VerifiedBundle {
        VerifiedBundle::verify(&self.bundle(5, 30), self.root.certificate().der(), NOW, 0).unwrap()
    }

    /// The law of one member over a store.
    fn law(&self, member: &str, store: Arc<dyn Store>, key: MemberKey) -> Law {
        Law::open(member.parse().unwrap(), key, self.verified(), Vec::new(), store).unwrap()
    }

    /// What the session knows of a member at the other end.
    pub(crate) fn peer(&self, member: &str) -> Peer {
        let credentials = &self.credentials[member];
        Peer {
            member: credentials.member().clone(),
            node: credentials.node_name().clone(),
            role: credentials.role(),
        }
    }

    /// A node of a member over a store.
    pub(crate) fn node_over(&self, member: &str, store: Arc<dyn Store>) -> TestNode {
        self.node_on(0, member, store)
    }

    /// The same, so many days later.
    pub(crate) fn node_on(&self, day: i64, member: &str, store: Arc<dyn Store>) -> TestNode {
        self.node_signing_on(day, member, store, key(member))
    }

    /// A node of a member that signs with this key.
    pub(crate) fn node_signing(&self, member: &str, store: Arc<dyn Store>, key: MemberKey) -> TestNode {
        self.node_signing_on(0, member, store, key)
    }

    fn node_signing_on(&self, day: i64, member: &str, store: Arc<dyn Store>, key: MemberKey) -> TestNode {
        let Peer { member, node, role } = self.peer(member);
        let law = self.law(member.as_str(), store.clone(), key.clone());
        let local = Local {
            key: key.into(),
            member,
            node,
            role,
        };
        let mailbox = Arc::new(Letters::default());
        let environment = Environment {
            clock: Arc::new(Later(day)),
            entropy: Arc::new(Still),
        };
        let exchange = Exchange::new(local, environment, store.clone(), mailbox.clone(), law).unwrap();
        TestNode {
            exchange: Arc::new(exchange),
            store,
            mailbox,
            sessions: BTreeMap::new(),
            is_busy: false,
        }
    }

    /// A node of a member over a store in memory.
    pub(crate) fn node(&self, member: &str) -> TestNode {
        self.node_over(member, Arc::new(MemoryStore::new()))
    }
}

/// An agreement from its text, signed by those named.
pub(crate) fn agreement(text: &str, signers: &[&str]) -> v1::Document {
    let mut signed = SignedAgreement::unsigned(Agreement::read(text).unwrap());
    for signer in signers {
        signed.sign(&signer.parse().unwrap(), &key(signer)).unwrap();
    }
    document(v1::document::Kind::Agreement, signed.to_bytes())
}

pub(crate) fn document(kind: v1::document::Kind, bytes: Vec<u8>) -> v1::Document {
    v1::Document {
        kind: kind.into(),
        document: bytes.into(),
    }
}

/// The template of a bilateral agreement, in force.
pub(crate) fn bilateral(a: &str, b: &str) -> String {
    icomm_policy::agreement::bilateral(
        &format!("{a}-{b}").to_lowercase().parse().unwrap(),
        &a.parse().unwrap(),
        &b.parse().unwrap(),
        "2026-11-01".parse().unwrap(),
    )
}

/// The same, with leave to pass records on in the receiver's region.
pub(crate) fn onward(a: &str, b: &str) -> String {
    let (no, region) = (
        r#"onward = { rule = "none" }"#,
        r#"onward = { rule = "region", sections = ["case"], handling = "H1" }"#,
    );
    let text = bilateral(a, b);
    assert!(text.contains(no), "{text}");
    text.replace(no, region)
}

/// The template of what a member gives the global node, in force.
pub(crate) fn contribution(member: &str, global: &str) -> String {
    icomm_policy::agreement::contribution(
        &format!("{member}-{global}").to_lowercase().parse().unwrap(),
        &member.parse().unwrap(),
        &global.parse().unwrap(),
        "2026-11-01".parse().unwrap(),
    )
}

/// A token that a test plugs in and pulls out.
#[derive(Clone, Default)]
pub(crate) struct Stick(Arc<AtomicBool>);

impl Stick {
    /// The key of a member in a token that is there.
    pub(crate) fn with_key_of(member: &str) -> (Self, MemberKey) {
        let stick = Self::default();
        stick.plug(true);
        let token = Holding(key(member), stick.clone());
        (stick, MemberKey::in_token(key(member).public(), token))
    }

    pub(crate) fn plug(&self, there: bool) {
        self.0.store(there, Ordering::Relaxed);
    }
}

struct Holding(MemberKey, Stick);

impl Token for Holding {
    fn sign(&self, message: &[u8]) -> Result<Signature, SigningError> {
        match self.1.0.load(Ordering::Relaxed) {
            true => self.0.sign_raw(message),
            false => Err(SigningError::Absent(Arc::new(std::fmt::Error))),
        }
    }
}

/// A node without a network: the test hands it frames and sees what it would send.
pub(crate) struct TestNode {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) store: Arc<dyn Store>,
    mailbox: Arc<Letters>,
    sessions: BTreeMap<LinkId, (Session, Link)>,
    // Something else is always to be sent, so that no photo is.
    is_busy: bool,
}

/// What a node did.
#[derive(Debug, Default)]
pub(crate) struct Did {
    pub(crate) frames: Vec<(LinkId, v1::frame::Body)>,
    pub(crate) closed: Vec<(LinkId, Closed)>,
}

impl Did {
    /// The frames for one link.
    pub(crate) fn to(&self, link: LinkId) -> impl Iterator<Item = &v1::frame::Body> {
        self.frames
            .iter()
            .filter_map(move |(to, body)| (*to == link).then_some(body))
    }

    pub(crate) fn chunks(&self, link: LinkId) -> Vec<&v1::Chunk> {
        self.to(link)
            .filter_map(|body| match body {
                v1::frame::Body::Chunk(chunk) => Some(chunk),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn refusals(&self, link: LinkId) -> Vec<(&str, &str)> {
        self.to(link)
            .filter_map(|body| match body {
                v1::frame::Body::Refusal(refusal) => Some((refusal.code.as_str(), refusal.origin.as_str())),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn recalls(&self, link: LinkId) -> Vec<&v1::Recall> {
        self.to(link)
            .filter_map(|body| match body {
                v1::frame::Body::Recalls(recalls) => Some(&recalls.recalls),
                _ => None,
            })
            .flatten()
            .collect()
    }

    pub(crate) fn erasures(&self, link: LinkId) -> Vec<&v1::Erased> {
        self.to(link)
            .filter_map(|body| match body {
                v1::frame::Body::Erasures(erasures) => Some(&erasures.erased),
                _ => None,
            })
            .flatten()
            .collect()
    }

    pub(crate) fn wants(&self, link: LinkId) -> Vec<(&str, u64)> {
        self.to(link)
            .filter_map(|body| match body {
                v1::frame::Body::Want(want) if !want.stop => Some((want.origin.as_str(), want.from)),
                _ => None,
            })
            .collect()
    }

    /// The proofs of forks for one link.
    pub(crate) fn proofs(&self, link: LinkId) -> Vec<&Bytes> {
        self.to(link)
            .filter_map(|body| match body {
                v1::frame::Body::Document(sent) if sent.kind() == v1::document::Kind::Fork => Some(&sent.document),
                _ => None,
            })
            .collect()
    }

    /// The doubts for one link: log, size held, size shown.
    pub(crate) fn doubts(&self, link: LinkId) -> Vec<(&str, u64, u64)> {
        self.to(link)
            .filter_map(|body| match body {
                v1::frame::Body::Doubt(doubt) => Some((doubt.origin.as_str(), doubt.size, doubt.of)),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn receipts(&self, link: LinkId) -> Vec<(&str, u64)> {
        self.to(link)
            .filter_map(|body| match body {
                v1::frame::Body::Receipt(receipt) => Some((receipt.origin.as_str(), receipt.size)),
                _ => None,
            })
            .collect()
    }
}

/// Events that a node may cause itself before a test calls it a livelock.
const STEPS_MAX: usize = 20_000;

impl TestNode {
    /// A link to `peer`, past the hellos, over which it offers these logs; with an agreement under which they may come.
    pub(crate) fn link(&mut self, peer: Peer, offers: &[&Originator]) -> (LinkId, Did) {
        self.link_with(peer, offers, 0)
    }

    /// The same; the peer says that so many recalls follow.
    pub(crate) fn link_with(&mut self, peer: Peer, offers: &[&Originator], recalls: u64) -> (LinkId, Did) {
        if !offers.is_empty() {
            self.agree_with(&peer);
        }
        let link = self.exchange.opened(peer.clone());
        let id = link.id();
        self.sessions.insert(id, (Session::new(peer.clone()), link));
        self.handle(id, Event::Opened);
        let hello = v1::Hello {
            protocol: super::session::PROTOCOL,
            member: peer.member.to_string(),
            node: peer.node.to_string(),
            bundle_version: 5,
            agreements: self.exchange.law().shared_with(&peer.member),
            heads: offers
                .iter()
                .map(|log| v1::Head {
                    origin: log.origin.to_string(),
                    checkpoint: log.checkpoint(log.size()),
                })
                .collect(),
            recalls,
        };
        let did = self.frame(id, v1::frame::Body::Hello(hello));
        (id, did)
    }

    /// Sees to it that the peer may send its records here.
    fn agree_with(&self, peer: &Peer) {
        let (law, local) = (self.exchange.law(), self.exchange.local());
        let (here, there) = (local.member.as_str(), peer.member.as_str());
        if law.policy().receives(&peer.member, &peer.member, UNIX_NOW).is_ok() {
            return;
        }
        let text = match local.role {
            Role::Global => contribution(there, here),
            _ => bilateral(there, here),
        };
        law.adopt(&agreement(&text, &[there, here]), UNIX_NOW).unwrap();
    }

    /// A frame arrives.
    pub(crate) fn frame(&mut self, link: LinkId, body: v1::frame::Body) -> Did {
        self.handle(link, Event::Frame(v1::Frame { body: Some(body) }))
    }

    /// A chunk arrives.
    pub(crate) fn chunk(&mut self, link: LinkId, chunk: v1::Chunk) -> Did {
        self.frame(link, v1::frame::Body::Chunk(chunk))
    }

    /// Everything that follows from an event, until the node rests.
    pub(crate) fn handle(&mut self, link: LinkId, event: Event) -> Did {
        let mut waiting = VecDeque::from([(link, event)]);
        let mut did = Did::default();
        for _ in 0..STEPS_MAX {
            let Some((id, event)) = waiting.pop_front().or_else(|| self.spare()) else {
                return did;
            };
            if let Some((session, link)) = self.sessions.get_mut(&id) {
                let mut actions = Vec::new();
                session.handle(event, &self.exchange.world(link), &mut actions);
                for action in actions {
                    match action {
                        Action::Send(frame) => did.frames.push((id, frame.body.unwrap())),
                        Action::Close(closed) => did.closed.push((id, closed)),
                        action => self.exchange.perform(link, action),
                    }
                }
            }
            let mut letters = self.mailbox.0.lock().unwrap();
            waiting.extend(letters.0.drain(..));
            if std::mem::take(&mut letters.1) {
                waiting.extend(self.sessions.keys().map(|id| (*id, Event::Changed)));
            }
        }
        panic!("a livelock: {:?}", waiting.front());
    }

    /// A link that has nothing else to send than photos.
    fn spare(&self) -> Option<(LinkId, Event)> {
        let mut sessions = self.sessions.iter().filter(|_| !self.is_busy);
        let (link, _) = sessions.find(|(_, (session, _))| session.awaits_spare())?;
        Some((*link, Event::Spare))
    }

    /// From now on something else is always to be sent, or not.
    pub(crate) fn hold_spare(&mut self, is_busy: bool) {
        self.is_busy = is_busy;
    }

    /// The shell's second has passed; what follows.
    pub(crate) fn second(&mut self) -> Did {
        self.exchange.every_second();
        self.exchange.call_back_narrowed().unwrap();
        self.sign_owed().unwrap()
    }

    /// The shell has what is owed signed; what follows.
    pub(crate) fn sign_owed(&mut self) -> Result<Did, SigningError> {
        let signed = self.exchange.sign_owed();
        let did = self.handle(LinkId(u64::MAX), Event::Changed);
        signed.map(|()| did)
    }

    /// The node adopts a document as from its operator; what follows.
    pub(crate) fn adopt(&mut self, document: &v1::Document) -> Did {
        let adopted = self.exchange.law().adopt(document, UNIX_NOW).unwrap();
        self.exchange.publish(&adopted.documents, None);
        self.handle(LinkId(u64::MAX), Event::Changed)
    }

    /// Puts a whole log into the store, as if the node had it from elsewhere.
    pub(crate) fn holds(&self, log: &Originator) {
        let mut replica = Replica::new(log.origin.clone(), log.line.clone(), log.key.public().into());
        let held = self.store.head(&log.origin).unwrap();
        let mut from = held.as_ref().map_or(0, |held| held.size());
        replica.resume(held);
        for to in log.boundaries().into_iter().filter(|to| *to > from).collect::<Vec<_>>() {
            let accepted = replica
                .accept(log.whole(from, to), Admission::AnySection, &Nothing)
                .unwrap();
            for chunk in accepted.chunks {
                self.store.append(Batch::new().chunk(chunk)).unwrap();
            }
            from = to;
        }
        if let Some(head) = self.store.head(&log.origin).unwrap() {
            self.exchange.grew(&log.origin, &head);
        }
    }
}

struct Nothing;

impl Held for Nothing {
    fn held(&self, _: &Origin, _: u64, _: u64) -> Result<Vec<(Hash, Option<SectionSet>)>, HeldError> {
        Ok(Vec::new())
    }

    fn history(&self, _: &Origin, _: u64) -> Result<Option<History>, HeldError> {
        Ok(None)
    }
}

/// Events for sessions, and whether all of them should look again.
#[derive(Default)]
struct Letters(Mutex<(VecDeque<(LinkId, Event)>, bool)>);

impl Mailbox for Letters {
    fn post(&self, link: LinkId, event: Event) {
        self.0.lock().unwrap().0.push_back((link, event));
    }

    fn changed(&self) {
        self.0.lock().unwrap().1 = true;
    }
}

/// Time stands still and nothing is random.
pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> OffsetDateTime {
        NOW
    }
}

/// Time stands still, so many days later.
struct Later(i64);

impl Clock for Later {
    fn now(&self) -> OffsetDateTime {
        NOW + Duration::days(self.0)
    }
}

impl Entropy for Still {
    fn fill(&self, out: &mut [u8]) {
        out.fill(0);
    }
}
