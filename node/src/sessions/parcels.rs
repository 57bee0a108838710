//! Sessions without a connection: what a parcel brought goes into a session as its frames would from a link, and what a
//! session says goes into the next parcel.
//!
//! ```text
//!  parcel in:   hello, documents, receipts, chunks ─▶ session ─▶ stored, adopted, kept; its hello and wants remembered
//!  parcel out:  the remembered hello and wants ─▶ session ─▶ hello, documents, wants, receipts, chunks
//! ```
//!
//! So two nodes need three parcels to begin: who I am; who I am and what I want; what you wanted. From then on each parcel
//! answers the last. A lost one is made again by the next, which begins where the last receipt ends.

use std::collections::VecDeque;
use std::time::Duration;

use icomm_proto::v1::{self, Frame, frame::Body};
use prost::Message;
use thiserror::Error;
use tokio::sync::mpsc;

use super::{Registered, Sessions};
use crate::core::session::{Action, Closed, Event, Peer, Session};
use crate::store::{Batch, STATE_VALUE_BYTES_MAX, StoreError};

/// How long the store may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// What is in a parcel, or came of it.
#[derive(Debug, Default)]
pub struct Posted {
    /// Agreements, statements about them, and bundles.
    pub documents: u32,
    /// Receipts.
    pub receipts: u32,
    /// Recalls and corrections of records.
    pub recalls: u32,
    /// Signed answers to such.
    pub erasures: u32,
    /// Logs asked for.
    pub wants: u32,
    /// Entries in chunks, held already or not.
    pub entries: u64,
    /// What was refused, by whichever side, and why.
    pub refusals: Vec<v1::Refusal>,
}

impl Posted {
    fn count(&mut self, frame: &Frame) {
        match &frame.body {
            Some(Body::Document(_)) => self.documents += 1,
            Some(Body::Receipt(_)) => self.receipts += 1,
            Some(Body::Recalls(recalls)) => self.recalls += counted(recalls.recalls.len()),
            Some(Body::Erasures(erasures)) => self.erasures += counted(erasures.erased.len()),
            Some(Body::Want(_)) => self.wants += 1,
            Some(Body::Refusal(refusal)) => self.refusals.push(refusal.clone()),
            _ => {}
        }
    }
}

fn counted(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What went into a parcel.
#[derive(Debug, Default)]
pub struct Composed {
    /// Its contents.
    pub posted: Posted,
    /// Nothing that was asked for is left for the next.
    pub complete: bool,
    /// The peer's last parcel is known, and this one answers it; else it says only who this node is.
    pub answers: bool,
}

/// Why a session by parcel ended before the parcel did.
#[derive(Debug, Error)]
pub enum PostError<E: std::error::Error + 'static> {
    /// The parcel can't be read or written on.
    #[error(transparent)]
    Parcel(E),
    /// One side ended the session; what came before counts.
    #[error("the session ended: {message}")]
    Closed {
        /// Stable code, kebab-case.
        code: String,
        /// Why.
        message: String,
    },
    /// What the peer asks for can't be kept or read.
    #[error("what the peer asks for can't be remembered: {0}")]
    Store(#[from] StoreError),
}

impl<E: std::error::Error> From<Closed> for PostError<E> {
    fn from(Closed { code, message, .. }: Closed) -> Self {
        Self::Closed { code, message }
    }
}

impl Sessions {
    /// Takes in the frames of a parcel, which `next` gives. Blocks on the disk.
    ///
    /// # Errors
    /// A frame can't be read or breaks the protocol. What came before it counts.
    pub fn take_in<E: std::error::Error>(
        &self,
        peer: Peer,
        mut next: impl FnMut() -> Result<Option<Frame>, E>,
    ) -> Result<Posted, PostError<E>> {
        let mut posted = Posted::default();
        let mut last = v1::Correspondence::default();
        let key = correspondence_key(&peer);
        let mut session = ByPost::open(self, peer, Says::Now);
        session.handle(Event::Opened)?;
        while let Some(frame) = next().map_err(PostError::Parcel)? {
            posted.count(&frame);
            match &frame.body {
                Some(Body::Hello(hello)) => {
                    // The recalls that it announces are in the same parcel: once that was taken in, none is waited for.
                    last.hello = Some(v1::Hello {
                        recalls: 0,
                        ..hello.clone()
                    });
                }
                Some(Body::Want(want)) => {
                    // For the next parcel that goes the other way.
                    last.wants.push(want.clone());
                    continue;
                }
                Some(Body::PhotoWant(want)) => {
                    last.photos.push(want.clone());
                    continue;
                }
                _ => {}
            }
            session.handle(Event::Frame(frame))?;
            session.settle()?;
            // The rest of what the session answers, the next parcel will say anew.
            for answer in session.outbox.drain(..) {
                match answer.body {
                    Some(Body::Refusal(refusal)) => posted.refusals.push(refusal),
                    Some(Body::Erasures(erasures)) => last.erasures.push(erasures),
                    _ => {}
                }
            }
        }
        posted.entries = session.session.entries().1;
        // What has no room is asked for again.
        while last.encoded_len() > STATE_VALUE_BYTES_MAX {
            if last.photos.pop().is_none() && last.erasures.pop().is_none() && last.wants.pop().is_none() {
                last.hello = None;
            }
        }
        self.exchange
            .store()
            .append(Batch::new().set(key, last.encode_to_vec()))?;
        Ok(posted)
    }

    /// Gives `put` what the peer may have of what its last parcel asked for. `put` says whether there is room for more; up to
    /// a window of chunks follows nevertheless. Blocks on the disk.
    ///
    /// # Errors
    /// The parcel can't be written on, or the peer's last one breaks the protocol.
    pub fn compose<E: std::error::Error>(
        &self,
        peer: Peer,
        mut put: impl FnMut(&Frame) -> Result<bool, E>,
    ) -> Result<Composed, PostError<E>> {
        let last = self.exchange.store().state(&correspondence_key(&peer))?;
        let last = last.and_then(|bytes| v1::Correspondence::decode(bytes).ok());
        let mut composed = Composed {
            answers: last.is_some(),
            complete: true,
            ..Composed::default()
        };
        let mut session = ByPost::open(self, peer, Says::Before);
        let receipts = self.exchange.owed_receipts(&session.registered.link)?;
        let mut events = vec![Event::Opened];
        let (mut wants, mut erasures, mut photos) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(last) = last {
            events.push(Event::Frame(body(Body::Hello(last.hello.unwrap_or_default()))));
            (wants, erasures, photos) = (last.wants, last.erasures, last.photos);
        }
        for event in events {
            session.handle(event)?;
            session.settle()?;
        }
        session
            .outbox
            .extend(receipts.into_iter().map(|receipt| body(Body::Receipt(receipt))));
        session
            .outbox
            .extend(erasures.into_iter().map(|erasures| body(Body::Erasures(erasures))));
        for want in wants {
            session.handle(Event::Frame(body(Body::Want(want))))?;
            session.settle()?;
        }
        let mut photos = photos.into_iter();
        loop {
            while let Some(frame) = session.outbox.pop_front() {
                composed.posted.count(&frame);
                let room = put(&frame).map_err(PostError::Parcel)?;
                if let Some(Body::Chunk(_) | Body::Refill(_) | Body::Recalls(_) | Body::PhotoPiece(_)) = &frame.body {
                    composed.complete &= room;
                }
                if room {
                    session.handle(Event::Carried(frame))?;
                    session.settle()?;
                }
            }
            // Photos when there is nothing else, one after the other.
            let event = match (session.session.awaits_spare(), composed.complete) {
                (true, true) => Event::Spare,
                (true, false) => break,
                (false, room) => match photos.next() {
                    Some(want) if room => Event::Frame(body(Body::PhotoWant(want))),
                    Some(_) => {
                        composed.complete = false;
                        break;
                    }
                    None => break,
                },
            };
            session.handle(event)?;
            session.settle()?;
        }
        composed.posted.entries = session.session.entries().0;
        Ok(composed)
    }
}

/// Whether an action hands something to the disk and is answered once it is there.
fn is_answered_later(action: &Action) -> bool {
    match action {
        Action::Accept(_) | Action::Note { .. } | Action::KeepPiece { .. } => true,
        Action::Refill(refill) => refill.chunk.is_some(),
        _ => false,
    }
}

/// What is remembered of the last parcel from a node.
fn correspondence_key(peer: &Peer) -> String {
    format!("parcel/{}/{}", peer.member, peer.node)
}

fn body(body: Body) -> Frame {
    Frame { body: Some(body) }
}

/// Whether the peer's hello is in the parcel at hand, or is what is remembered of its last: only the former tells anything new.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Now,
    Before,
}

/// A session whose frames come from a parcel and go into one: it is driven step by step, each to its end.
struct ByPost {
    session: Session,
    says: Says,
    registered: Registered,
    events: mpsc::UnboundedReceiver<Event>,
    // What was handed to the disk and not yet told to be there.
    under_way: usize,
    outbox: VecDeque<Frame>,
}

impl ByPost {
    fn open(sessions: &Sessions, peer: Peer, says: Says) -> Self {
        let (registered, events) = sessions.register(sessions.exchange.opened_by_post(peer.clone()));
        Self {
            session: Session::new(peer),
            says,
            registered,
            events,
            under_way: 0,
            outbox: VecDeque::new(),
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), Closed> {
        let Registered { link, exchange, .. } = &self.registered;
        let mut actions = Vec::new();
        self.session.handle(event, &exchange.world(link), &mut actions);
        for action in actions {
            match action {
                Action::Send(frame) => self.outbox.push_back(frame),
                Action::Close(closed) => return Err(closed),
                Action::CaughtUp if self.says == Says::Before => {}
                action => {
                    self.under_way += usize::from(is_answered_later(&action));
                    exchange.perform(link, action);
                }
            }
        }
        Ok(())
    }

    /// What the disk answers, or whatever happens before.
    fn answer(&mut self) -> Result<Event, Closed> {
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.events.recv());
        let answer = tokio::runtime::Handle::current().block_on(answer);
        answer.ok().flatten().ok_or_else(|| Closed {
            code: "store".to_owned(),
            message: format!("the store does not answer within {} seconds", ANSWER_WITHIN.as_secs()),
            peers_fault: false,
        })
    }

    /// Handles what follows, until nothing does.
    fn settle(&mut self) -> Result<(), Closed> {
        loop {
            let event = match self.under_way {
                0 => self.events.try_recv().ok(),
                _ => Some(self.answer()?),
            };
            let Some(event) = event else { return Ok(()) };
            if super::is_answer_of_storing(&event) || matches!(event, Event::Noted { .. }) {
                self.under_way = self.under_way.saturating_sub(1);
            }
            self.handle(event)?;
        }
    }
}
