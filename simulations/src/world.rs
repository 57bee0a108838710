//! The event loop: nodes, wires between them, simulated time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use icomm_node::core::exchange::{Exchange, Link, Local, Mailbox};
use icomm_node::core::law::Law;
use icomm_node::core::own::{OwnLog, Sealed};
use icomm_node::core::recall::{Appended, Order, Reason};
use icomm_node::core::routes::LinkId;
use icomm_node::core::session::{Action, Event, Peer, Session};
use icomm_node::core::tally::Tally;
use icomm_node::environment::{Clock, Entropy, Environment};
use icomm_node::store::{Batch, MemoryStore, Placement, Store};
use icomm_pki::{MemberId, NodeName};
use icomm_proto::codes::CodeLists;
use icomm_proto::log::Item;
use icomm_proto::record::Record;
use icomm_proto::seal::seal;
use icomm_proto::{EntryHead, EntryKind, Origin, RecordId, View, v1};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::members::{Members, START, sure};

/// Longest way of a frame, in simulated milliseconds.
const LATENCY_MS_MAX: u64 = 80;
/// Longest wait for the disk.
const DISK_MS_MAX: u64 = 8;
/// Pause before a cut wire is dialled again.
const REDIAL_MS: u64 = 500;

/// How often a node's shell does what it does every second.
const SECOND_MS: u64 = 1000;

/// One end of a wire.
type End = (MemberId, LinkId);

/// What happens at some moment.
enum Happening {
    Frame {
        wire: u64,
        to: End,
        frame: v1::Frame,
    },
    Event {
        to: End,
        event: Event,
    },
    Dial(MemberId, MemberId),
    /// What a node's shell does every second.
    Second,
}

struct Wire {
    ends: [End; 2],
    /// When the last frame of each direction arrives: the next one can't overtake it.
    arrivals: [u64; 2],
}

struct Running {
    exchange: Arc<Exchange>,
    mailbox: Arc<Letters>,
    own: OwnLog,
    sessions: BTreeMap<LinkId, (Session, Link, u64)>,
}

struct SimNode {
    store: Arc<MemoryStore>,
    running: Option<Running>,
    /// The disk answers in order.
    disk_free_at: u64,
}

/// A network of nodes, its wires and its time.
pub struct World {
    members: Members,
    clock: Arc<SimClock>,
    random: StdRng,
    codes: CodeLists,
    nodes: BTreeMap<MemberId, SimNode>,
    wires: BTreeMap<u64, Wire>,
    happenings: BTreeMap<(u64, u64), Happening>,
    serial: u64,
    trace: Sha256,
    frames: u64,
    closed: Vec<(MemberId, String)>,
    corrupt: BTreeMap<MemberId, Corruption>,
    /// Second nodes of members, each over a store of its own, and whose they are.
    twins: BTreeMap<MemberId, MemberId>,
}

/// What a hostile node puts on the wire in place of a frame that an honest one would send.
type Corruption = Box<dyn FnMut(v1::Frame) -> Vec<v1::Frame>>;

impl World {
    /// Starts a node for every member; nobody is linked yet.
    pub fn new(members: Members, seed: u64) -> Self {
        let ids: Vec<MemberId> = members.ids().cloned().collect();
        let mut world = Self {
            members,
            clock: Arc::default(),
            random: StdRng::seed_from_u64(seed),
            codes: CodeLists::built_in(),
            nodes: BTreeMap::new(),
            wires: BTreeMap::new(),
            happenings: BTreeMap::new(),
            serial: 0,
            trace: Sha256::new(),
            frames: 0,
            closed: Vec::new(),
            corrupt: BTreeMap::new(),
            twins: BTreeMap::new(),
        };
        world.later(SECOND_MS, Happening::Second);
        for id in ids {
            world.add(id);
        }
        world
    }

    fn add(&mut self, id: MemberId) {
        self.nodes.insert(
            id.clone(),
            SimNode {
                store: Arc::new(MemoryStore::new()),
                running: None,
                disk_free_at: 0,
            },
        );
        self.start(&id);
    }

    /// Starts a second node with a member's keys over an empty store. `name` stands for it wherever a member does here;
    /// everybody else takes it for the member.
    pub fn twin(&mut self, member: &MemberId, name: &MemberId) {
        self.twins.insert(name.clone(), member.clone());
        self.add(name.clone());
    }

    /// Whose node this is.
    fn member_of<'a>(&'a self, node: &'a MemberId) -> &'a MemberId {
        self.twins.get(node).unwrap_or(node)
    }

    /// The certified members.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// A digest over every frame that arrived, when and where: equal for equal runs.
    pub fn trace(&self) -> [u8; 32] {
        self.trace.clone().finalize().into()
    }

    /// Simulated time so far, all nodes live through it at once.
    pub fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.clock.ms())
    }

    /// Frames that arrived.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Sessions that one side ended with a reason.
    pub fn closed(&self) -> &[(MemberId, String)] {
        &self.closed
    }

    /// The exchange of a running node.
    pub fn exchange(&self, member: &MemberId) -> Option<Arc<Exchange>> {
        Some(self.nodes.get(member)?.running.as_ref()?.exchange.clone())
    }

    /// Starts a node that is down, from what its store holds.
    pub fn start(&mut self, member: &MemberId) {
        let credentials = self.members.credentials(self.member_of(member));
        let node = member;
        let member = credentials.member().clone();
        let Some(node) = self.nodes.get_mut(node) else { return };
        let store: Arc<dyn Store> = node.store.clone();
        let key = credentials.member_key().clone();
        let local = Local {
            member: member.clone(),
            node: credentials.node_name().clone(),
            role: credentials.role(),
            key: key.clone().into(),
        };
        let law = sure(Law::open(
            member.clone(),
            key,
            self.members.bundle(),
            Vec::new(),
            store.clone(),
        ));
        let origin = Origin::main(member.clone());
        let mut own = OwnLog::new(origin.clone(), origin.line(&law.trust_domain()));
        own.resume(sure(store.head(&origin)));
        let environment = Environment {
            clock: self.clock.clone(),
            entropy: Arc::new(NoEntropy),
        };
        let mailbox = Arc::new(Letters::default());
        let exchange = Arc::new(sure(Exchange::new(local, environment, store, mailbox.clone(), law)));
        node.running = Some(Running {
            exchange,
            mailbox,
            own,
            sessions: BTreeMap::new(),
        });
    }

    /// From now on `instead` decides what goes out in place of each frame that the member's node sends.
    pub fn corrupt(&mut self, member: &MemberId, instead: impl FnMut(v1::Frame) -> Vec<v1::Frame> + 'static) {
        self.corrupt.insert(member.clone(), Box::new(instead));
    }

    /// Kills a node: whatever is not in its store is gone.
    pub fn crash(&mut self, member: &MemberId) {
        let wires: Vec<u64> = self
            .wires
            .iter()
            .filter(|(_, wire)| wire.ends.iter().any(|(end, _)| end == member))
            .map(|(&id, _)| id)
            .collect();
        wires.into_iter().for_each(|wire| self.cut(wire));
        if let Some(node) = self.nodes.get_mut(member) {
            node.running = None;
        }
        self.happenings
            .retain(|_, happening| !matches!(happening, Happening::Event { to, .. } if to.0 == *member));
    }

    /// Hands a document to a node, as an operator would.
    pub fn adopt(&mut self, member: &MemberId, document: &v1::Document) {
        let Some(exchange) = self.exchange(member) else { return };
        let adopted = sure(exchange.law().adopt(document, self.unix_now()));
        exchange.publish(&adopted.documents, None);
        self.collect();
    }

    /// Suspends an agreement in a member's name.
    pub fn suspend(&mut self, member: &MemberId, agreement: &str) {
        let Some(exchange) = self.exchange(member) else { return };
        let id = crate::members::name(agreement);
        let adopted = sure(exchange.law().suspend(&id, "simulated", self.unix_now()));
        exchange.publish(&adopted.documents, None);
        self.collect();
    }

    /// Issues `count` small seizure records as one commit.
    pub fn issue(&mut self, member: &MemberId, count: usize) {
        self.issue_as(member, count, "H0");
    }

    /// The same under a handling code.
    pub fn issue_as(&mut self, member: &MemberId, count: usize, handling: &str) {
        let records: Vec<Sealed> = (0..count)
            .map(|_| Sealed {
                view: self.sealed(member, handling, None),
                key: None,
            })
            .collect();
        let key = self.members.credentials(self.member_of(member)).member_key().clone();
        let Some(node) = self.nodes.get_mut(member) else { return };
        let Some(running) = &mut node.running else { return };
        let chunk = sure(running.own.append(&records, &key));
        sure(node.store.append(Batch::new().chunk(chunk)));
        let origin = running.own.origin().clone();
        if let Some(head) = sure(node.store.head(&origin)) {
            running.exchange.grew(&origin, &head);
        }
        self.collect();
    }

    /// Corrects the record that a member issued at `index`, or recalls it, as its issuer does: a commit of its own, with the
    /// end of what it voids in the same batch. Gives where its entry stands; none if the node is down or the record is
    /// recalled already.
    pub fn void(&mut self, member: &MemberId, index: u64, kind: EntryKind) -> Option<u64> {
        let origin = Origin::main(member.clone());
        let store = self.store(member)?;
        let exchange = self.exchange(member)?;
        let first = match sure(store.entry(&origin, index))? {
            Item::Disclosed(bytes) => sure(View::parse(bytes)).head(),
            Item::Withheld(_) => return None,
        };
        let id = first.record_id;
        if exchange
            .void(&origin, &id)
            .is_some_and(|void| void.kind == EntryKind::Recall)
        {
            return None;
        }
        let version = u32::try_from(sure(store.find(&id)).len()).unwrap_or(u32::MAX) + 1;
        let (view, reason) = match kind {
            EntryKind::Recall => {
                let head = EntryHead { kind, version, ..first };
                (sure(seal(&head, &[], &mut self.random)), Reason::Error)
            }
            _ => (self.sealed(member, "H0", Some((id, version))), Reason::Amended),
        };
        let key = self.members.credentials(self.member_of(member)).member_key().clone();
        let running = self.nodes.get_mut(member)?.running.as_mut()?;
        let before = running.own.frontier().clone();
        let sealed = Sealed {
            view: view.clone(),
            key: None,
        };
        let chunk = sure(running.own.append(&[sealed], &key));
        let Placement::Extends { checkpoint, .. } = &chunk.placement else {
            return None;
        };
        let appended = Appended {
            origin: &origin,
            view: &view,
            before: &before,
            checkpoint: checkpoint.clone(),
        };
        let order = sure(Order::issue(&appended, reason, exchange.now(), &key));
        let batch = sure(exchange.voiding(&origin, &view, order));
        sure(store.append(batch.chunk(chunk)));
        exchange.voided(&origin);
        if let Some(head) = sure(store.head(&origin)) {
            exchange.grew(&origin, &head);
        }
        sure(exchange.trace(&[(origin, id)]));
        self.collect();
        Some(before.size())
    }

    fn sealed(&mut self, member: &MemberId, handling: &str, of: Option<(RecordId, u32)>) -> View {
        let draft = v1::Draft {
            kind: v1::RecordKind::Seizure.into(),
            case: Some(v1::Case {
                class: Some(v1::Class {
                    report_type: "seizure".into(),
                    handling_code: handling.into(),
                    seizure_country: "KE".into(),
                    ..Default::default()
                }),
                conveyance_type: "unknown".into(),
                goods: vec![v1::Goods {
                    category: "drugs".into(),
                    ..Default::default()
                }],
                short_form: true,
                ..Default::default()
            }),
            exact: Some(v1::Exact {
                seizure_date: "2026-05-31".into(),
                goods: vec![v1::GoodsExact {
                    quantity: "3".into(),
                    unit: "KGM".into(),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            references: Some(v1::References {
                national_reference: "SIM-PLANTED".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let member = self.member_of(member).clone();
        let record = Record::validate(&draft, &self.codes, &member).map_err(|errors| format!("{errors:?}"));
        let (id, version) = of.unwrap_or_else(|| {
            let mut bits = [0; 10];
            self.random.fill_bytes(&mut bits);
            (RecordId::new(self.clock.ms() + 1, bits), 1)
        });
        sure(record).seal(id, version, &mut self.random)
    }

    /// Links two nodes, and links them again after every break.
    pub fn dial(&mut self, a: &MemberId, b: &MemberId) {
        self.later(0, Happening::Dial(a.clone(), b.clone()));
    }

    /// Cuts every wire between two nodes; what is under way is lost. They are dialled again.
    pub fn cut_between(&mut self, a: &MemberId, b: &MemberId) {
        let between = |wire: &Wire| {
            let [(x, _), (y, _)] = &wire.ends;
            (x, y) == (a, b) || (x, y) == (b, a)
        };
        let wires: Vec<u64> = self
            .wires
            .iter()
            .filter(|(_, wire)| between(wire))
            .map(|(&id, _)| id)
            .collect();
        wires.into_iter().for_each(|wire| self.cut(wire));
    }

    fn cut(&mut self, wire: u64) {
        let Some(Wire { ends, .. }) = self.wires.remove(&wire) else {
            return;
        };
        for (member, link) in &ends {
            if let Some(running) = self.nodes.get_mut(member).and_then(|node| node.running.as_mut()) {
                running.sessions.remove(link);
                running.exchange.closed(*link);
            }
        }
        let [(a, _), (b, _)] = ends;
        self.later(REDIAL_MS, Happening::Dial(a, b));
        self.collect();
    }

    /// Runs for so long, or until nothing happens any more. At most a million happenings, lest a livelock runs for ever.
    pub fn run(&mut self, ms: u64) {
        let until = self.clock.ms() + ms;
        for _ in 0..1_000_000 {
            let Some(entry) = self.happenings.first_entry() else {
                break;
            };
            if entry.key().0 > until {
                break;
            }
            let ((at, _), happening) = entry.remove_entry();
            self.clock.0.store(at, Ordering::Relaxed);
            match happening {
                Happening::Dial(a, b) => self.connect(a, b),
                Happening::Event { to, event } => self.handle(&to, event),
                Happening::Second => self.second(),
                Happening::Frame { wire, to, frame } => {
                    if self.wires.contains_key(&wire) {
                        self.frames += 1;
                        self.trace.update(at.to_be_bytes());
                        self.trace.update(to.0.as_str());
                        self.trace.update(traced(&frame));
                        self.handle(&to, Event::Frame(frame));
                    }
                }
            }
        }
        self.clock.0.store(until, Ordering::Relaxed);
    }

    fn second(&mut self) {
        for node in self.nodes.values() {
            if let Some(running) = &node.running {
                running.exchange.every_second();
                sure(running.exchange.call_back_narrowed());
                sure(running.exchange.sign_owed());
                sure(running.exchange.ledger().sign());
                running.exchange.hand_out(false);
                // Whatever happens to links and nodes, nobody tampers with their disclosure logs here.
                assert!(running.exchange.ledger().fault().is_none());
                assert_eq!(sure(running.exchange.conflicts()), []);
            }
        }
        self.later(SECOND_MS, Happening::Second);
        self.collect();
    }

    /// What a node holds of a log, counted and verified; `None` while it is down.
    pub fn tally(&self, holder: &MemberId, origin: &MemberId) -> Option<Tally> {
        let node = self.nodes.get(holder)?;
        let law = node.running.as_ref()?.exchange.law();
        let origin = Origin::main(origin.clone());
        let keys = law.member_keys(&origin.member)?;
        let mut tally = Tally::default();
        sure(tally.advance(&*node.store, &origin, &origin.line(&law.trust_domain()), &keys));
        Some(tally)
    }

    /// A node's store.
    pub fn store(&self, member: &MemberId) -> Option<Arc<MemoryStore>> {
        Some(self.nodes.get(member)?.store.clone())
    }

    fn connect(&mut self, a: MemberId, b: MemberId) {
        let up = |member| {
            self.nodes
                .get(member)
                .is_some_and(|node: &SimNode| node.running.is_some())
        };
        if !up(&a) || !up(&b) {
            return self.later(REDIAL_MS, Happening::Dial(a, b));
        }
        self.serial += 1;
        let wire = self.serial;
        let ends = [(&a, &b), (&b, &a)].map(|(here, there)| (here.clone(), self.open(here, there, wire)));
        for end in &ends {
            self.later(
                0,
                Happening::Event {
                    to: end.clone(),
                    event: Event::Opened,
                },
            );
        }
        self.wires.insert(wire, Wire { ends, arrivals: [0; 2] });
    }

    fn open(&mut self, here: &MemberId, there: &MemberId, wire: u64) -> LinkId {
        let node: NodeName = crate::members::name("n1");
        let credentials = self.members.credentials(self.member_of(there));
        let peer = Peer {
            member: credentials.member().clone(),
            node,
            role: credentials.role(),
        };
        let running = self.nodes.get_mut(here).and_then(|node| node.running.as_mut());
        let running = sure(running.ok_or("a node that is down opens no link"));
        let link = running.exchange.opened(peer.clone());
        let id = link.id();
        running.sessions.insert(id, (Session::new(peer), link, wire));
        id
    }

    fn handle(&mut self, end: &End, event: Event) {
        let (member, id) = end;
        let Some(running) = self.nodes.get_mut(member).and_then(|node| node.running.as_mut()) else {
            return;
        };
        let Some((session, link, wire)) = running.sessions.get_mut(id) else {
            return;
        };
        let wire = *wire;
        let mut actions = Vec::new();
        session.handle(event, &running.exchange.world(link), &mut actions);
        let mut frames = VecDeque::new();
        let mut over = None;
        for action in actions {
            match action {
                Action::Send(frame) => frames.push_back(frame),
                Action::Close(closed) => over = Some(closed.code),
                action => running.exchange.perform(link, action),
            }
        }
        for frame in frames {
            let instead = match self.corrupt.get_mut(member) {
                Some(instead) => instead(frame),
                None => vec![frame],
            };
            for frame in instead {
                self.send(wire, end, frame);
            }
        }
        if let Some(code) = over {
            self.closed.push((member.clone(), code));
            self.cut(wire);
        }
        self.collect();
    }

    fn send(&mut self, wire: u64, from: &End, frame: v1::Frame) {
        let latency = self.random.random_range(1..=LATENCY_MS_MAX);
        let now = self.clock.ms();
        let Some(Wire { ends, arrivals }) = self.wires.get_mut(&wire) else {
            return;
        };
        let [first, second] = ends;
        let [there, back] = arrivals;
        let (to, arrival) = if first == from {
            (second.clone(), there)
        } else {
            (first.clone(), back)
        };
        *arrival = (now + latency).max(*arrival);
        let at = *arrival;
        self.at(at, Happening::Frame { wire, to, frame });
    }

    /// Gives what exchanges have posted to their sessions, after the disk's latency.
    fn collect(&mut self) {
        let mut posted = Vec::new();
        for (member, node) in &mut self.nodes {
            let Some(running) = &node.running else { continue };
            let mut letters = running.mailbox.0.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::take(&mut letters.changed) {
                let sessions = running.sessions.keys();
                posted.extend(sessions.map(|link| (member.clone(), *link, Event::Changed)));
            }
            posted.extend(
                letters
                    .events
                    .drain(..)
                    .map(|(link, event)| (member.clone(), link, event)),
            );
        }
        for (member, link, event) in posted {
            let wait = self.random.random_range(0..=DISK_MS_MAX);
            let now = self.clock.ms();
            let Some(node) = self.nodes.get_mut(&member) else {
                continue;
            };
            node.disk_free_at = node.disk_free_at.max(now + wait);
            let at = node.disk_free_at;
            self.at(
                at,
                Happening::Event {
                    to: (member, link),
                    event,
                },
            );
        }
    }

    fn later(&mut self, ms: u64, happening: Happening) {
        self.at(self.clock.ms() + ms, happening);
    }

    fn at(&mut self, ms: u64, happening: Happening) {
        self.serial += 1;
        self.happenings.insert((ms, self.serial), happening);
    }

    fn unix_now(&self) -> u64 {
        u64::try_from(self.clock.now().unix_timestamp()).unwrap_or(0)
    }
}

/// A frame as the trace has it: without certificates, whose keys are other ones in every run.
fn traced(frame: &v1::Frame) -> Vec<u8> {
    match &frame.body {
        Some(v1::frame::Body::Document(document)) if document.kind() == v1::document::Kind::Fork => {
            let lines = document.document.split_inclusive(|byte| *byte == b'\n');
            lines
                .filter(|line| !line.starts_with(b"certificate "))
                .flatten()
                .copied()
                .collect()
        }
        _ => frame.encode_to_vec(),
    }
}

/// Simulated milliseconds since [`START`].
#[derive(Default)]
struct SimClock(AtomicU64);

impl SimClock {
    fn ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock for SimClock {
    fn now(&self) -> OffsetDateTime {
        START + std::time::Duration::from_millis(self.ms())
    }
}

/// The core asks for no randomness; the world makes what records need.
struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, out: &mut [u8]) {
        out.fill(0);
    }
}

#[derive(Default)]
struct Letters(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    events: VecDeque<(LinkId, Event)>,
    changed: bool,
}

impl Mailbox for Letters {
    fn post(&self, link: LinkId, event: Event) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .events
            .push_back((link, event));
    }

    fn changed(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).changed = true;
    }
}
