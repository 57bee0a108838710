//! What one link decides by: the policy towards one receiver, with a memory.
//!
//! Catch-up moves millions of records of a few hundred classes. The first record of a class is decided by Cedar (tens of µs);
//! for the rest the memory is asked: one comparison with the class before, else one hash lookup, no allocation.
//!
//! INVARIANT: nothing is answered from memory after the policy's generation changed or the answer's time was over.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use icomm_pki::MemberId;
use icomm_proto::log::Hash;
use icomm_proto::{NotDenominalised, SectionSet, ViewRef};

use crate::agreement::Purpose;
use crate::class::CLASS_BYTES_MAX;
use crate::decision::{Decision, Receiver, decide};
use crate::forbidden::Forbidden;
use crate::lane::{Held, Lane, Route};
use crate::permit::{Disclosed, Permit, Upstream};
use crate::policy::Policy;
use crate::revision::Revision;

/// The most classes that a session remembers for one originator; then it forgets them all and begins again. A hostile
/// originator can make up classes without end.
pub const REMEMBERED_CLASSES_MAX: usize = 4096;

/// What a link decides by.
#[derive(Debug)]
pub enum SessionPolicy {
    /// Towards any member but the global one.
    Peer(PeerSession),
    /// Towards the global node: de-nominalised views only.
    Upstream(UpstreamSession),
}

impl SessionPolicy {
    /// The generation that the session's answers are of; compare with [`Policy::generation`].
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.peer().generation()
    }

    /// Whether anything of `origin` could go to the receiver at `now` (seconds since 1970). When not, the log itself is not
    /// served, not even its hashes.
    ///
    /// # Errors
    /// With the rule that stops it.
    pub fn basis(&mut self, origin: &MemberId, now: u64) -> Result<(), Forbidden> {
        match self {
            Self::Peer(session) => session.basis(origin, now),
            Self::Upstream(session) => session.basis(origin, now),
        }
    }

    /// Under which revision the receiver is given records of `origin` at `now` (seconds since 1970).
    ///
    /// # Errors
    /// With the rule that stops it.
    pub fn revision(&mut self, origin: &MemberId, now: u64) -> Result<&Revision, Forbidden> {
        let session = match self {
            Self::Peer(session) => session,
            Self::Upstream(session) => &mut session.0,
        };
        session.revision(origin, now)
    }

    /// Who is at the other end.
    #[must_use]
    pub fn receiver(&self) -> &Receiver {
        self.peer().receiver()
    }

    /// The sections of `view`, a record of `origin`, that go to the receiver at `now` (seconds since 1970).
    pub fn gives(&mut self, origin: &MemberId, view: &ViewRef<'_>, now: u64) -> SectionSet {
        let decision = match self {
            Self::Peer(session) => session.decide(origin, view, now),
            Self::Upstream(session) => session.decide(origin, view, now),
        };
        let sections = decision.permit().map(Permit::sections).unwrap_or_default();
        sections.intersection(view.sections())
    }

    fn peer(&self) -> &PeerSession {
        match self {
            Self::Peer(session) => session,
            Self::Upstream(session) => &session.0,
        }
    }
}

/// The policy towards one member.
pub struct PeerSession {
    policy: Policy,
    /// INVARIANT: every memory is of this generation or a later one. The policy's snapshot itself is not kept: as long as
    /// nobody holds one, changing the book copies nothing.
    generation: u64,
    receiver: Receiver,
    purpose: Option<Purpose>,
    /// About the originator that was asked for last: a log comes chunk by chunk.
    current: Option<(MemberId, Memory)>,
    others: HashMap<MemberId, Memory>,
    /// Of the receiver's own records, which need no permit to go back to it.
    returned: Revision,
}

/// What was decided about one originator's records.
struct Memory {
    lane: Held<Result<Lane, Forbidden>>,
    /// The answers so far, each with its class, and where each class stands among them.
    answers: Vec<(Arc<[u8]>, Decision)>,
    places: HashMap<Arc<[u8]>, usize>,
    /// The place of the answer before: neighbours in a log are often alike.
    last: usize,
    /// The answers about entries that a consent is for, by leaf hash.
    /// INVARIANT: no more of them than the lane has consents.
    consented: HashMap<Hash, Decision>,
    /// The answer to what is not remembered: entries without a class, or with an enormous one.
    passing: Decision,
}

impl PeerSession {
    pub(crate) fn new(policy: Policy, receiver: Receiver, purpose: Option<Purpose>) -> Self {
        Self {
            generation: policy.generation(),
            policy,
            receiver,
            purpose,
            current: None,
            others: HashMap::new(),
            returned: Revision::returned(),
        }
    }

    /// The generation that the session's answers are of; compare with [`Policy::generation`].
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Who is at the other end.
    #[must_use]
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// See [`SessionPolicy::basis`].
    ///
    /// # Errors
    /// With the rule that stops it.
    pub fn basis(&mut self, origin: &MemberId, now: u64) -> Result<(), Forbidden> {
        self.memory(origin, now)
            .0
            .lane
            .answer
            .as_ref()
            .map(|_| ())
            .map_err(Clone::clone)
    }

    fn revision(&mut self, origin: &MemberId, now: u64) -> Result<&Revision, Forbidden> {
        if *origin == self.receiver.member {
            return Ok(&self.returned);
        }
        let lane = self.memory(origin, now).0.lane.answer.as_ref();
        lane.map(Lane::revision).map_err(Clone::clone)
    }

    /// What the policy says of `view`, a record of `origin`, at `now` (seconds since 1970).
    pub fn decide(&mut self, origin: &MemberId, view: &ViewRef<'_>, now: u64) -> &Decision {
        let (memory, receiver) = self.memory(origin, now);
        memory.decide(origin, receiver, view)
    }

    /// What of `view`, a record of `origin`, goes to the receiver at `now` (seconds since 1970). To its originator all that is
    /// held goes back.
    pub fn disclose<'a>(&'a mut self, origin: &MemberId, view: &ViewRef<'a>, now: u64) -> Disclosed<'a> {
        if *origin == self.receiver.member {
            return Disclosed::returned(view);
        }
        match self.decide(origin, view, now) {
            Decision::Permit(permit) => permit.disclose(view, now),
            Decision::Forbid(_) => Disclosed::withheld(view),
        }
    }

    /// The memory about `origin`, as far as it still holds, and who asks.
    fn memory(&mut self, origin: &MemberId, now: u64) -> (&mut Memory, &MemberId) {
        let generation = self.policy.generation();
        if generation != self.generation {
            self.current = None;
            self.others.clear();
            self.generation = generation;
        }
        let Self {
            policy,
            receiver,
            purpose,
            current,
            others,
            ..
        } = self;
        let open = || {
            let snapshot = policy.snapshot();
            let holder = snapshot.book.owner();
            let route = Route {
                origin,
                holder,
                receiver: &receiver.member,
                role: receiver.role,
                purpose: *purpose,
            };
            Memory::new(Lane::open(route, snapshot.sources(), now))
        };
        if let Some((before, memory)) = current.take_if(|(before, _)| before != origin) {
            others.insert(before, memory);
        }
        let memory = || (origin.clone(), others.remove(origin).unwrap_or_else(open));
        let (_, memory) = current.get_or_insert_with(memory);
        if !memory.lane.window.contains(now) {
            *memory = open();
        }
        (memory, &receiver.member)
    }
}

impl Memory {
    fn new(lane: Held<Result<Lane, Forbidden>>) -> Self {
        let passing = Decision::Forbid(Forbidden::NoClass);
        Self {
            lane,
            answers: Vec::new(),
            places: HashMap::new(),
            last: 0,
            consented: HashMap::new(),
            passing,
        }
    }

    fn decide(&mut self, origin: &MemberId, receiver: &MemberId, view: &ViewRef<'_>) -> &Decision {
        if self.lane.answer.as_ref().is_ok_and(Lane::has_consents)
            && let Some(leaf) = self.decide_consented(origin, receiver, view)
        {
            return self.consented.get(&leaf).unwrap_or(&self.passing);
        }
        let class = match view.class_bytes() {
            Some(class) if class.len() <= CLASS_BYTES_MAX => class,
            other => {
                self.passing = decide(&self.lane, origin, receiver, other, None);
                return &self.passing;
            }
        };
        let place = match self.answers.get(self.last) {
            Some((known, _)) if **known == *class => self.last,
            _ => match self.places.get(class) {
                Some(place) => *place,
                None => self.learn(class, decide(&self.lane, origin, receiver, Some(class), None)),
            },
        };
        self.last = place;
        // INVARIANT: every place in `places` is that of an answer; were it not, nothing would go.
        self.answers.get(place).map_or(&self.passing, |(_, decision)| decision)
    }

    /// Remembers the answer about an entry that a consent is for; gives its leaf hash.
    fn decide_consented(&mut self, origin: &MemberId, receiver: &MemberId, view: &ViewRef<'_>) -> Option<Hash> {
        let (consent, leaf) = self.lane.answer.as_ref().ok()?.consent_of(view)?;
        if !self.consented.contains_key(&leaf) {
            let entry = Some((consent, leaf));
            let decision = decide(&self.lane, origin, receiver, view.class_bytes(), entry);
            self.consented.insert(leaf, decision);
        }
        Some(leaf)
    }

    fn learn(&mut self, class: &[u8], decision: Decision) -> usize {
        if self.answers.len() >= REMEMBERED_CLASSES_MAX {
            self.answers.clear();
            self.places.clear();
        }
        let (place, class) = (self.answers.len(), Arc::<[u8]>::from(class));
        self.places.insert(class.clone(), place);
        self.answers.push((class, decision));
        place
    }
}

impl fmt::Debug for PeerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PeerSession(to {}, generation {})",
            self.receiver.member,
            self.generation()
        )
    }
}

/// The policy towards the global node.
#[derive(Debug)]
pub struct UpstreamSession(PeerSession);

impl UpstreamSession {
    pub(crate) const fn new(session: PeerSession) -> Self {
        Self(session)
    }

    /// See [`SessionPolicy::generation`].
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation()
    }

    /// Who is at the other end.
    #[must_use]
    pub fn receiver(&self) -> &Receiver {
        self.0.receiver()
    }

    /// See [`SessionPolicy::basis`].
    ///
    /// # Errors
    /// With the rule that stops it.
    pub fn basis(&mut self, origin: &MemberId, now: u64) -> Result<(), Forbidden> {
        self.0.basis(origin, now)
    }

    /// See [`PeerSession::decide`].
    pub fn decide(&mut self, origin: &MemberId, view: &ViewRef<'_>, now: u64) -> &Decision {
        self.0.decide(origin, view, now)
    }

    /// What of `view`, a record of `origin`, goes to the global node at `now` (seconds since 1970).
    ///
    /// # Errors
    /// When the open section is not what the originator committed to: the holder's store is damaged.
    pub fn disclose<'a>(
        &'a mut self,
        origin: &MemberId,
        view: &ViewRef<'a>,
        now: u64,
    ) -> Result<Upstream<'a>, NotDenominalised> {
        match self.0.decide(origin, view, now) {
            Decision::Permit(permit) => Upstream::of(view, permit, now),
            Decision::Forbid(_) => Ok(Upstream::withheld(view)),
        }
    }
}
