//! One link as a state machine. Symmetric: whoever dialled, both sides say hello, ask for logs, send chunks and answer
//! with receipts.
//!
//! ```text
//!   hello ─▶ ◀─ hello          who I am, my bundle, our agreements, the logs I can serve you
//!   held ─▶ ◀─ held            how much I hold of your own logs
//!   document ─▶                what your hello lacked (bundle, agreement, suspension)
//!   recalls ─▶                 what you had from me and is void, before anything else
//!   ◀─ erasures                signed, once nothing of it is left with you
//!   ◀─ want(origin, from)      one log each, from a cursor
//!   chunk ─▶                   entries as views or hashes, up to a signed checkpoint
//!   ◀─ receipt                 signed, once the chunk is durable
//!   head ─▶                    a log that I can serve you from now on
//!   cosigned ─▶                what witnesses say of a log
//!   piece ─▶                   of a photo that was asked for, when nothing else is to be sent (`photos`)
//!   doubt ─▶ ◀─ beginning      what I was shown does not fit what I hold: how does it begin?
//!   expiries ─▶ ◀─ expiries    the time for some entries is over; taken
//!   refusal                    of one log, or of the whole session
//! ```
//!
//! INVARIANT: nothing is sent of a log that the policy does not cover now; it is asked anew for every chunk.
//! INVARIANT: a chunk leaves only after the note of its disclosure is durable, a receipt only after the chunk is.

use std::collections::BTreeSet;

use bytes::Bytes;
use icomm_pki::{MemberId, NodeName, Role};
use icomm_proto::v1::{self, frame::Body};
use icomm_proto::{Origin, log::Hash};

use super::feed::{Prepared, Ticket, feeds::Feeds, refill::Looked};
use super::photo::{PhotoName, PreparedPiece};
use super::recall::RecallKey;

mod carried;
mod expiries;
mod photos;
mod recalls;
mod receiving;
mod refilling;
mod testimony;

pub use photos::PHOTO_WANTS_MAX;
pub use testimony::Testimony;
use testimony::tell_cosigned;

/// The protocol version that this program speaks.
pub const PROTOCOL: u32 = 1;
/// Logs that one session serves or asks for at most.
pub const LOGS_MAX: usize = 1024;
/// Wants that a peer may send in one session: each costs a read and, if something goes, a note.
pub const WANTS_MAX: usize = 4 * LOGS_MAX;
/// Agreements that a hello may list.
pub const AGREEMENTS_MAX: usize = 4096;
/// Doubts that a peer may utter in one session: each costs reading the hashes of a log.
pub const DOUBTS_MAX: usize = 64;
/// Bytes of one document at most.
pub const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Who is at the other end, as its certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The member.
    pub member: MemberId,
    /// Its node.
    pub node: NodeName,
    /// Its role.
    pub role: Role,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The carrier is up.
    Opened,
    /// A frame arrived.
    Frame(v1::Frame),
    /// The routes say: ask the peer for this log from this index on, or stop asking.
    Ask {
        /// The log.
        origin: Origin,
        /// The cursor.
        from: u64,
        /// Under which revisions of the peer's policy what is held below the cursor came.
        under: v1::Revisions,
        /// Start or stop.
        start: bool,
    },
    /// An agreement or the bundle changed, or there is a log that was not there: look again at what can be served.
    Changed,
    /// A log that is followed grew.
    Grew {
        /// The log.
        origin: Origin,
    },
    /// The answer to [`Action::Read`]: a chunk made under the policy as it stands, with the note of it.
    Prepared {
        /// The log.
        origin: Origin,
        /// `None`: nothing was left to read, the basis lapsed meanwhile, or it can't be made. The next change tries again.
        prepared: Option<Prepared>,
    },
    /// The answer to [`Action::Look`].
    Looked {
        /// The log.
        origin: Origin,
        /// From [`Action::Look`].
        ticket: Ticket,
        /// `None`: the basis lapsed meanwhile, or the log can't be read. The next change tries again.
        looked: Option<Looked>,
    },
    /// A refill from the peer is durable, and so is how far it came.
    Refilled(v1::Refilled),
    /// The note with this ticket is durable: its chunk may go.
    Noted {
        /// The log.
        origin: Origin,
        /// From [`Action::Note`].
        ticket: Ticket,
    },
    /// A frame that was sent is carried off without a connection: no answer to it will come by this session, and none is
    /// waited for.
    Carried(v1::Frame),
    /// The peer's chunk is durable.
    Stored {
        /// The log.
        origin: Origin,
        /// Its size now.
        size: u64,
        /// Its root at that size.
        root: Hash,
    },
    /// A receipt that had to wait for the key.
    Signed(v1::Receipt),
    /// The peer's chunk was refused.
    Faulty {
        /// The log.
        origin: Origin,
        /// Stable code for the refusal.
        code: &'static str,
        /// What to tell the peer.
        message: String,
    },
    /// All that was to be sent is with the carrier: a piece of a photo may go. Due while [`Session::awaits_spare`].
    Spare,
    /// The answer to [`Action::ReadPiece`]: or why there is none, as a stable code.
    PieceRead {
        /// The photo.
        photo: PhotoName,
        /// What may go.
        read: Result<PreparedPiece, &'static str>,
    },
    /// There are photos that are not here yet.
    Lacking,
    /// Ask the peer for a photo.
    Fetch {
        /// Which.
        photo: PhotoName,
        /// From which piece on.
        from: u32,
    },
    /// A piece from the peer is durable, or not needed any more.
    PieceKept {
        /// Of which photo.
        photo: PhotoName,
        /// Nothing more of it is needed.
        is_whole: bool,
    },
    /// A piece from the peer is not what the photo's record commits to.
    PieceFaulty,
    /// A photo that the peer asked for is here now.
    PhotoArrived(PhotoName),
    /// Hand this document to the peer.
    Tell(v1::Document),
    /// Say this of a log to the peer.
    Testify(Testimony),
    /// Tell the peer of these recalls now; they are owed to it.
    Recall(Vec<v1::Recall>),
    /// Answers to recalls that the peer told of.
    Answer(v1::Erasures),
    /// Say to the peer that time was over, or that its word of that is taken.
    Expiries(v1::Expiries),
    /// Call this back from the peer; it is owed to it.
    CallBack(v1::CallBack),
    /// The answer to the peer's call.
    CalledBack(v1::CalledBack),
    /// Say to the peer that a document of its does not count.
    Refuse(v1::DocumentRefused),
    /// The node is stopping, or the peer lost its standing.
    Stop {
        /// Stable code for the refusal.
        code: &'static str,
        /// What to tell the peer.
        message: String,
    },
}

impl Event {
    /// Something of the peer's could not be made durable: it is to come again by another session.
    pub fn cant_store() -> Self {
        Self::Stop {
            code: "store",
            message: "can't store now; try again later".into(),
        }
    }
}

/// What the shell must do, in order.
#[derive(Debug)]
pub enum Action {
    /// Queue a frame to the peer.
    Send(v1::Frame),
    /// Tell when this log grows, with [`Event::Grew`]; the first time at once.
    Follow {
        /// The log.
        origin: Origin,
    },
    /// Tell no more when this log grows.
    Unfollow {
        /// The log.
        origin: Origin,
    },
    /// Read on in a log, disclose under the policy, answer with [`Event::Prepared`].
    Read {
        /// The log.
        origin: Origin,
        /// First index.
        from: u64,
        /// How many entries there are from there on; not all of them need be read.
        entries: u64,
    },
    /// Look among entries that went before for what the policy gives more of now, answer with [`Event::Looked`].
    Look {
        /// The log.
        origin: Origin,
        /// Names the look in the answer.
        ticket: Ticket,
        /// First index.
        from: u64,
        /// Up to which index, if one look comes so far.
        until: u64,
        /// The revision under which they went; empty if it is not known.
        before: String,
    },
    /// Make the disclosure note durable, answer with [`Event::Noted`].
    Note {
        /// The log.
        origin: Origin,
        /// Names the note in the answer.
        ticket: Ticket,
        /// The encoded note.
        note: Bytes,
    },
    /// Verify and store, answer with [`Event::Stored`] or [`Event::Faulty`].
    Accept(v1::Chunk),
    /// Verify and store what a refill brings and how far it comes, answer with [`Event::Refilled`] or [`Event::Faulty`].
    Refill(v1::Refill),
    /// Read a piece of a photo if the policy gives it to the peer, answer with [`Event::PieceRead`].
    ReadPiece {
        /// The photo.
        photo: PhotoName,
        /// Which piece.
        piece: u32,
        /// Whether the hashes of all pieces go with it.
        with_hashes: bool,
    },
    /// Verify and keep a piece of a photo, answer with [`Event::PieceKept`] or [`Event::PieceFaulty`].
    KeepPiece {
        /// The photo.
        photo: PhotoName,
        /// The piece.
        piece: v1::PhotoPiece,
    },
    /// Answer with [`Event::Fetch`] if there is a photo to ask the peer for.
    Seek,
    /// The peer does not send a photo that was asked for.
    Absent(PhotoName),
    /// The peer has a photo now that it did not have.
    Here(PhotoName),
    /// The peer can serve this log.
    Offered {
        /// The log.
        origin: Origin,
        /// The signed checkpoint with which it was offered.
        checkpoint: Bytes,
    },
    /// The peer will not serve this log (any more).
    Withdrawn {
        /// The log.
        origin: Origin,
        /// Why, as the peer's stable code.
        code: String,
    },
    /// No basis lets the peer send this log, although it was asked for; asked again when there is one.
    Declined {
        /// The log.
        origin: Origin,
    },
    /// A basis lets the peer send this log again.
    Resumed {
        /// The log.
        origin: Origin,
    },
    /// A document from the peer: adopt it if it is valid and newer.
    Adopt(v1::Document),
    /// What the peer says of the history of a log: verify it, and answer if it is a question.
    Consider(Testimony),
    /// The peer does not take a document of ours.
    Refused(v1::DocumentRefused),
    /// A receipt from the peer: verify and keep it.
    Acknowledged(v1::Receipt),
    /// The peer has recalls for this node: serve nothing of its member's logs until they are taken.
    Await,
    /// The peer has no recalls for this node.
    CaughtUp,
    /// Recalls from the peer: erase, answer with [`Event::Answer`].
    Recalled(v1::Recalls),
    /// Answers to recalls from the peer: verify, keep and pass on.
    Erased(v1::Erasures),
    /// Words of the peer that time was over, and what it took of ours: verify, keep, pass on; answer with
    /// [`Event::Expiries`].
    Expiries(v1::Expiries),
    /// The peer calls something back: erase it, answer with [`Event::CalledBack`].
    CallBack(v1::CallBack),
    /// The peer's answer to a call: verify and keep it, and go on with [`Event::CallBack`] if another is owed.
    CalledBack(v1::CalledBack),
    /// End the session.
    Close(Closed),
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Stable code, kebab-case.
    pub code: String,
    /// In words.
    pub message: String,
    /// Whether the peer broke the protocol.
    pub peers_fault: bool,
}

/// What a session asks of its surroundings, answered at once and without I/O.
pub trait World {
    /// The hello of this node to this peer, heads of servable logs included.
    fn hello(&self) -> v1::Hello;
    /// Logs that may be served to the peer now, with the latest durable checkpoint and its size.
    fn servable(&self) -> Vec<(Origin, Bytes, u64)>;
    /// The size of a log if it may be served to the peer now.
    fn servable_size(&self, origin: &Origin) -> Option<u64>;
    /// The same, in answer to [`Event::Grew`]: of growth from here on the session is told anew.
    fn grown(&self, origin: &Origin) -> Option<u64>;
    /// Why a log is not served to the peer (any more): a stable code, and in words.
    fn unserved(&self, origin: &Origin) -> (&'static str, String);
    /// The revision of the policy towards the peer for a log, while anything of it may be served.
    fn revision(&self, origin: &Origin) -> Option<String>;
    /// Whether the peer may hear this: of a log that may not be served to it nothing is said.
    fn may_hear(&self, testimony: &Testimony) -> bool;
    /// What witnesses said of a log, as far as the peer may hear it.
    fn cosigned(&self, origin: &Origin) -> Vec<v1::Cosigned>;
    /// Whether any basis lets the peer send this log here now.
    fn may_take(&self, origin: &Origin) -> bool;
    /// The version of the trust bundle in force.
    fn bundle_version(&self) -> u64 {
        u64::MAX
    }
    /// What the peer lacks according to its hello.
    fn documents_for(&self, hello: &v1::Hello) -> Vec<v1::Document>;
    /// In which generation a log is read now; none while entries of it are being erased.
    fn generation(&self, origin: &Origin) -> Option<u64>;
    /// A frame's worth of the recalls that the peer has not answered, those after the one named; and which was the last.
    fn recalls(&self, after: Option<&RecallKey>) -> (v1::Recalls, Option<RecallKey>);
    /// What is called back from the peer first; none where nothing is.
    fn call_back(&self) -> Option<v1::CallBack> {
        None
    }
    /// What is kept here of the peer's ledger; none where none is kept.
    fn ledger_kept(&self) -> Option<v1::LedgerKept> {
        None
    }
    /// The words that time was over which the peer has not taken, a frame's worth; none if there are none.
    fn expiries(&self) -> Option<v1::Expiries> {
        None
    }
    /// What is held here of the logs of the peer's member.
    fn held(&self) -> Option<v1::Held> {
        None
    }
    /// The recalls of a log that is the peer's own, as they are known here, whose entries stand at this index or after it; none
    /// of any other.
    fn own_recalls(&self, _origin: &Origin, _from: u64) -> Vec<v1::Recalls> {
        Vec::new()
    }
    /// Whether it is this node's own log.
    fn is_own(&self, _origin: &Origin) -> bool {
        false
    }
    /// Signs that a log is durable here; none while the key is busy or away, [`Event::Signed`] follows then.
    fn receipt(&self, origin: &Origin, size: u64, root: Hash) -> Option<v1::Receipt>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    AwaitHello,
    Open,
    Closed,
}

/// The machine of one link.
#[derive(Debug)]
pub struct Session {
    peer: Peer,
    phase: Phase,
    feeds: Feeds,
    asked: BTreeSet<Origin>,
    // Asked for until the basis lapsed.
    declined: BTreeSet<Origin>,
    offered: BTreeSet<Origin>,
    ticket: Ticket,
    wants: usize,
    doubts: usize,
    photos: photos::Photos,
    // The peer has a newer trust bundle, which comes first: it may list the keys that these are signed with.
    awaits_bundle: bool,
    unlooked: Vec<v1::Head>,
    // The hello said that recalls follow.
    announced_recalls: bool,
    // The last of the recalls offered after the hello; none when all are.
    offered_recalls: Option<RecallKey>,
    sent_entries: u64,
    received_entries: u64,
}

impl Session {
    /// A session with an authenticated peer; nothing has been said yet.
    pub fn new(peer: Peer) -> Self {
        Self {
            peer,
            phase: Phase::AwaitHello,
            feeds: Feeds::default(),
            asked: BTreeSet::new(),
            declined: BTreeSet::new(),
            offered: BTreeSet::new(),
            ticket: Ticket::default(),
            wants: 0,
            doubts: 0,
            photos: photos::Photos::default(),
            awaits_bundle: false,
            unlooked: Vec::new(),
            announced_recalls: false,
            offered_recalls: None,
            sent_entries: 0,
            received_entries: 0,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Entries sent and received as chunks so far.
    pub fn entries(&self) -> (u64, u64) {
        (self.sent_entries, self.received_entries)
    }

    /// Takes one event and appends what follows from it to `actions`.
    pub fn handle(&mut self, event: Event, world: &impl World, actions: &mut Vec<Action>) {
        if self.phase == Phase::Closed {
            return;
        }
        match event {
            Event::Opened => {
                let hello = world.hello();
                self.offered = hello.heads.iter().filter_map(|head| head.origin.parse().ok()).collect();
                self.announced_recalls = hello.recalls > 0;
                actions.push(send(Body::Hello(hello)));
            }
            Event::Frame(frame) => self.on_frame(frame, world, actions),
            Event::Ask {
                origin,
                from,
                under,
                start,
            } => self.on_ask(origin, from, under, start, actions),
            Event::Changed => self.on_changed(world, actions),
            Event::Grew { origin } => self.on_grew(&origin, world, actions),
            Event::Prepared { origin, prepared } => self.on_prepared(&origin, prepared, world, actions),
            Event::Noted { origin, ticket } => self.on_noted(&origin, ticket, world, actions),
            Event::Looked { origin, ticket, looked } => self.on_looked(&origin, ticket, looked, world, actions),
            Event::Refilled(refilled) => actions.push(send(Body::Refilled(refilled))),
            Event::Spare => self.on_spare(world, actions),
            Event::PieceRead { photo, read } => self.on_piece_read(&photo, read, world, actions),
            Event::Lacking => {
                if self.phase == Phase::Open {
                    actions.push(Action::Seek);
                }
            }
            Event::Fetch { photo, from } => self.on_fetch(photo, from, actions),
            Event::PieceKept { photo, is_whole } => self.on_piece_kept(&photo, is_whole),
            Event::PieceFaulty => self.fail(
                "bad-piece",
                "a piece of a photo is not what its record commits to",
                actions,
            ),
            Event::PhotoArrived(photo) => self.on_photo_arrived(&photo, world, actions),
            Event::Carried(frame) => self.on_carried(frame, world, actions),
            Event::Stored { origin, size, root } => {
                let receipt = world.receipt(&origin, size, root);
                actions.extend(receipt.map(|receipt| send(Body::Receipt(receipt))));
            }
            Event::Signed(receipt) => actions.push(send(Body::Receipt(receipt))),
            Event::Faulty { origin, code, message } => {
                self.asked.remove(&origin);
                actions.push(refuse(code, &message, Some(&origin)));
                actions.push(Action::Withdrawn {
                    origin,
                    code: code.to_owned(),
                });
            }
            Event::Tell(document) => self.say(Body::Document(document), actions),
            Event::Testify(testimony) => {
                if self.phase == Phase::Open && world.may_hear(&testimony) {
                    actions.push(send(testimony.into()));
                }
            }
            Event::Recall(recalls) => self.on_recall(recalls, actions),
            Event::Answer(erasures) => self.say(Body::Erasures(erasures), actions),
            Event::CallBack(call) => self.say(Body::CallBack(call), actions),
            Event::CalledBack(answer) => self.say(Body::CalledBack(answer), actions),
            Event::Expiries(expiries) => self.tell_expiries(expiries, actions),
            Event::Refuse(refused) => actions.push(send(Body::DocumentRefused(refused))),
            Event::Stop { code, message } => {
                actions.push(refuse(code, &message, None));
                self.close(code, &message, false, actions);
            }
        }
        // Whatever happened may have made room.
        self.feeds.advance_line(|origin| world.servable_size(origin), actions);
    }

    /// Before the hellos are over nothing need be said: what is owed is looked up then.
    fn say(&self, body: Body, actions: &mut Vec<Action>) {
        if self.phase == Phase::Open {
            actions.push(send(body));
        }
    }

    fn on_frame(&mut self, frame: v1::Frame, world: &impl World, actions: &mut Vec<Action>) {
        let Some(body) = frame.body else {
            return self.fail("empty-frame", "a frame without a body", actions);
        };
        match (self.phase, body) {
            (Phase::AwaitHello, Body::Hello(hello)) => self.on_hello(&hello, world, actions),
            (_, Body::Refusal(refusal)) => self.on_refusal(refusal, actions),
            (Phase::AwaitHello, _) => self.fail("no-hello", "the first frame was not a hello", actions),
            (_, Body::Hello(_)) => self.fail("second-hello", "a second hello", actions),
            (_, Body::Want(want)) => self.on_want(want, world, actions),
            (_, Body::Chunk(chunk)) => self.on_chunk(chunk, world, actions),
            (_, Body::Receipt(receipt)) => self.on_receipt(receipt, world, actions),
            (_, Body::Head(head)) if self.awaits_bundle && self.unlooked.len() < LOGS_MAX => self.unlooked.push(head),
            (_, Body::Head(head)) => {
                let origin = head.origin.parse();
                self.on_head(head, actions);
                if let Ok(origin) = origin {
                    tell_cosigned(&origin, world, actions);
                }
            }
            (_, Body::Refill(refill)) => self.on_refill(refill, world, actions),
            (_, Body::DocumentRefused(refused)) => actions.push(Action::Refused(refused)),
            (_, Body::Refilled(refilled)) => self.on_refilled(&refilled, world, actions),
            (_, Body::Recalls(recalls)) => self.on_recalls(recalls, actions),
            (_, Body::CallBack(call)) => actions.push(Action::CallBack(call)),
            (_, Body::CalledBack(answer)) => actions.push(Action::CalledBack(answer)),
            (_, Body::Erasures(erasures)) => self.on_erasures(erasures, world, actions),
            (_, Body::Document(document)) if document.document.len() > DOCUMENT_BYTES_MAX => {
                self.fail("document-too-large", "a document larger than the limit", actions)
            }
            (_, Body::Document(document)) => self.on_document(document, actions),
            (_, Body::Cosigned(cosigned)) => self.on_testimony(Testimony::Cosigned(cosigned), actions),
            (_, Body::Doubt(doubt)) => self.on_testimony(Testimony::Doubt(doubt), actions),
            (_, Body::Beginning(beginning)) => self.on_testimony(Testimony::Beginning(beginning), actions),
            (_, Body::PhotoWant(want)) => self.on_photo_want(&want, actions),
            (_, Body::PhotoPiece(piece)) => self.on_photo_piece(piece, world, actions),
            (_, Body::PhotoAbsent(absent)) => self.on_photo_absent(&absent, actions),
            (_, Body::PhotoHere(here)) => self.on_photo_here(&here, actions),
            (_, Body::LedgerKept(kept)) => actions.push(Action::Consider(Testimony::LedgerKept(kept))),
            (_, Body::LedgerGrowth(growth)) => actions.push(Action::Consider(Testimony::LedgerGrowth(growth))),
            (_, Body::Expiries(expiries)) => self.on_expiries(expiries, actions),
            (_, Body::Held(held)) => actions.push(Action::Consider(Testimony::Held(held))),
            (_, Body::OwnRecalls(recalls)) => actions.push(Action::Consider(Testimony::OwnRecalls(recalls))),
        }
    }

    fn on_hello(&mut self, hello: &v1::Hello, world: &impl World, actions: &mut Vec<Action>) {
        if hello.protocol != PROTOCOL {
            let message = format!("protocol {} is not spoken here, {PROTOCOL} is", hello.protocol);
            return self.fail("protocol", &message, actions);
        }
        if hello.member != self.peer.member.as_str() || hello.node != self.peer.node.as_str() {
            return self.fail(
                "identity-mismatch",
                "the hello names another member or node than the certificate",
                actions,
            );
        }
        if hello.heads.len() > LOGS_MAX || hello.agreements.len() > AGREEMENTS_MAX {
            return self.fail(
                "hello-too-large",
                "a hello with more logs or agreements than the limit",
                actions,
            );
        }
        self.phase = Phase::Open;
        actions.extend(
            world
                .documents_for(hello)
                .into_iter()
                .map(|document| send(Body::Document(document))),
        );
        self.begin_recalls(hello, world, actions);
        if let Some(held) = world.held() {
            actions.push(send(Body::Held(held)));
        }
        if let Some(call) = world.call_back() {
            actions.push(send(Body::CallBack(call)));
        }
        if let Some(kept) = world.ledger_kept() {
            actions.push(send(Body::LedgerKept(kept)));
        }
        if let Some(expiries) = world.expiries() {
            self.tell_expiries(expiries, actions);
        }
        self.awaits_bundle = hello.bundle_version > world.bundle_version();
        match self.awaits_bundle {
            true => self.unlooked.extend_from_slice(&hello.heads),
            false => hello.heads.iter().for_each(|head| self.on_head(head.clone(), actions)),
        }
        let shown = hello.heads.iter().filter_map(|head| head.origin.parse().ok());
        for origin in shown.chain(self.offered.iter().cloned()).collect::<BTreeSet<Origin>>() {
            tell_cosigned(&origin, world, actions);
        }
    }

    fn on_document(&mut self, document: v1::Document, actions: &mut Vec<Action>) {
        let is_bundle = document.kind() == v1::document::Kind::Bundle;
        actions.push(Action::Adopt(document));
        // Adopted or not: the peer has said what it has.
        if is_bundle && std::mem::take(&mut self.awaits_bundle) {
            for head in std::mem::take(&mut self.unlooked) {
                self.on_head(head, actions);
            }
        }
    }

    fn on_head(&mut self, head: v1::Head, actions: &mut Vec<Action>) {
        match head.origin.parse() {
            Ok(origin) => actions.push(Action::Offered {
                origin,
                checkpoint: head.checkpoint,
            }),
            Err(_) => self.fail("origin", "a head of something that is not a log", actions),
        }
    }

    fn on_want(&mut self, want: v1::Want, world: &impl World, actions: &mut Vec<Action>) {
        let Ok(origin) = want.origin.parse::<Origin>() else {
            return self.fail("origin", "a want of something that is not a log", actions);
        };
        self.wants += 1;
        if self.wants > WANTS_MAX {
            return self.fail("too-many-wants", "more wants than one session may have", actions);
        }
        if want.stop {
            self.stop_feeding(&origin, actions);
            return;
        }
        let Some(size) = world.servable_size(&origin) else {
            let (code, message) = world.unserved(&origin);
            return actions.push(refuse(code, &message, Some(&origin)));
        };
        // Of the own log the peer may hold more than is here: then it comes back, and goes on from there.
        if want.from > size && !world.is_own(&origin) {
            let message = format!("`{origin}` has {size} entries, fewer than the cursor {}", want.from);
            return actions.push(refuse("cursor-beyond-log", &message, Some(&origin)));
        }
        if self.feeds.count() >= LOGS_MAX {
            return actions.push(refuse(
                "too-many-logs",
                "more logs asked for than one session serves",
                Some(&origin),
            ));
        }
        if !self.feeds.contains(&origin) {
            actions.push(Action::Follow { origin: origin.clone() });
        }
        // Its own log goes back to it: first what it recalled, so that it erases that again.
        let own = world.own_recalls(&origin, want.from).into_iter();
        actions.extend(own.map(|recalls| send(Body::OwnRecalls(recalls))));
        self.feeds.entry(&origin).restart(want.from);
        self.feeds.advance(&origin, size, actions);
        self.begin_refill(&origin, want.under, world, actions);
    }

    fn on_receipt(&mut self, receipt: v1::Receipt, world: &impl World, actions: &mut Vec<Action>) {
        let Ok(origin) = receipt.origin.parse::<Origin>() else {
            return self.fail("origin", "a receipt for something that is not a log", actions);
        };
        self.on_taken(&origin, receipt.size, world, actions);
        actions.push(Action::Acknowledged(receipt));
    }

    /// What was sent of a log up to `size` takes no more room in its window.
    fn on_taken(&mut self, origin: &Origin, size: u64, world: &impl World, actions: &mut Vec<Action>) {
        if let Some(feed) = self.feeds.get_mut(origin) {
            feed.received(size);
            if let Some(size) = world.servable_size(origin) {
                self.feeds.advance(origin, size, actions);
            }
        }
    }

    fn on_refusal(&mut self, refusal: v1::Refusal, actions: &mut Vec<Action>) {
        if refusal.origin.is_empty() {
            return self.close(&refusal.code, &refusal.message, false, actions);
        }
        let Ok(origin) = refusal.origin.parse::<Origin>() else {
            return self.fail("origin", "a refusal of something that is not a log", actions);
        };
        // It may refuse to send (we asked) or refuse to take (we feed): either way this log is over on this link.
        self.stop_feeding(&origin, actions);
        self.asked.remove(&origin);
        self.declined.remove(&origin);
        actions.push(Action::Withdrawn {
            origin,
            code: refusal.code,
        });
    }

    fn on_ask(&mut self, origin: Origin, from: u64, under: v1::Revisions, start: bool, actions: &mut Vec<Action>) {
        let changed = if start {
            self.asked.len() < LOGS_MAX && self.asked.insert(origin.clone())
        } else {
            self.asked.remove(&origin)
        };
        if changed {
            actions.push(send(Body::Want(v1::Want {
                origin: origin.to_string(),
                from,
                stop: !start,
                under: start.then_some(under),
            })));
        }
    }

    fn on_changed(&mut self, world: &impl World, actions: &mut Vec<Action>) {
        if self.phase != Phase::Open {
            return;
        }
        let servable = world.servable();
        for (origin, checkpoint, size) in &servable {
            if let Some(feed) = self.feeds.get_mut(origin) {
                feed.retry();
                self.feeds.advance(origin, *size, actions);
            }
            if self.offered.insert(origin.clone()) {
                actions.push(send(Body::Head(v1::Head {
                    origin: origin.to_string(),
                    checkpoint: checkpoint.clone(),
                })));
                tell_cosigned(origin, world, actions);
            }
        }
        let lapsed: Vec<Origin> = self
            .offered
            .iter()
            .filter(|origin| !servable.iter().any(|(held, ..)| held == *origin))
            .cloned()
            .collect();
        for origin in lapsed {
            self.withdraw(&origin, world, actions);
        }
        self.revise(world, actions);
        self.review_sources(world, actions);
    }

    fn on_grew(&mut self, origin: &Origin, world: &impl World, actions: &mut Vec<Action>) {
        let Some(size) = world.grown(origin) else {
            return self.withdraw(origin, world, actions);
        };
        if let Some(feed) = self.feeds.get_mut(origin) {
            feed.retry();
            self.feeds.advance(origin, size, actions);
        }
    }

    fn on_prepared(
        &mut self,
        origin: &Origin,
        prepared: Option<Prepared>,
        world: &impl World,
        actions: &mut Vec<Action>,
    ) {
        let Some(size) = world.servable_size(origin) else {
            return self.withdraw(origin, world, actions);
        };
        if let Some(feed) = self.feeds.get_mut(origin) {
            feed.made_under(prepared.as_ref());
            self.ticket.0 += 1;
            if let Some(note) = feed.prepared(self.ticket, prepared) {
                actions.push(Action::Note {
                    origin: origin.clone(),
                    ticket: self.ticket,
                    note,
                });
            }
            self.feeds.advance(origin, size, actions);
            self.go_on_refilling(origin, actions);
        }
    }

    fn on_noted(&mut self, origin: &Origin, ticket: Ticket, world: &impl World, actions: &mut Vec<Action>) {
        if self.photo_noted(ticket, world, actions) {
            return;
        }
        // The basis may have lapsed while the note was being synced, or an entry was recalled: the note then says more than
        // was sent, never less.
        let Some(size) = world.servable_size(origin) else {
            return self.withdraw(origin, world, actions);
        };
        let generation = world.generation(origin);
        let Some(feed) = self.feeds.get_mut(origin) else { return };
        if let Some(chunk) = feed.noted(ticket, generation) {
            self.sent_entries += u64::from(chunk.count);
            actions.push(send(Body::Chunk(chunk)));
        } else if let Some(refill) = feed.refill_noted(origin, ticket, generation) {
            self.sent_entries += refill.chunk.as_ref().map_or(0, |chunk| u64::from(chunk.count));
            actions.push(send(Body::Refill(refill)));
        } else {
            self.feeds.advance(origin, size, actions);
        }
    }

    fn stop_feeding(&mut self, origin: &Origin, actions: &mut Vec<Action>) -> bool {
        let fed = self.feeds.remove(origin);
        if fed {
            actions.push(Action::Unfollow { origin: origin.clone() });
        }
        fed
    }

    fn withdraw(&mut self, origin: &Origin, world: &impl World, actions: &mut Vec<Action>) {
        let offered = self.offered.remove(origin);
        let fed = self.stop_feeding(origin, actions);
        if offered || fed {
            let (code, message) = world.unserved(origin);
            actions.push(refuse(code, &message, Some(origin)));
        }
    }

    fn fail(&mut self, code: &str, message: &str, actions: &mut Vec<Action>) {
        actions.push(refuse(code, message, None));
        self.close(code, message, true, actions);
    }

    fn close(&mut self, code: &str, message: &str, peers_fault: bool, actions: &mut Vec<Action>) {
        self.phase = Phase::Closed;
        self.feeds.clear();
        self.asked.clear();
        actions.push(Action::Close(Closed {
            code: code.to_owned(),
            message: message.to_owned(),
            peers_fault,
        }));
    }
}

fn send(body: Body) -> Action {
    Action::Send(v1::Frame { body: Some(body) })
}

fn refuse(code: &str, message: &str, origin: Option<&Origin>) -> Action {
    send(Body::Refusal(v1::Refusal {
        code: code.to_owned(),
        message: message.to_owned(),
        origin: origin.map(ToString::to_string).unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests;
