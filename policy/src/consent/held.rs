//! The answers that a node's policy knows, and which of them count on a lane.
//!
//! Each was given a *number* by its node when it was taken in, ascending. A lane's [revision](crate::Revision) names the
//! highest of those that count, so that what an earlier revision gave can be told: what was taken in up to that number.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use icomm_pki::{MemberId, Role};
use icomm_proto::log::Hash;
use icomm_proto::{RecordId, SectionSet, ViewRef};

use super::{Consent, ConsentFormat, ConsentRefusal, ConsentRequest, Officer, Reason, Subject, Thread, Verdict};
use crate::agreement::{AgreementId, Digest, Verified};
use crate::class::Class;
use crate::decision::complete;
use crate::forbidden::Forbidden;
use crate::lane::{Lane, Route, Sources, Window, consent_grounds};
use crate::policy::Policy;

/// An answer that was verified, under the number that its node gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldConsent {
    pub(crate) terms: Consent,
    /// Of the signed bytes.
    pub(crate) digest: Digest,
    number: u64,
}

/// The latest answer of each thread in which the policy's owner is the holder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consents(HashMap<(MemberId, MemberId), BTreeMap<Thread, Arc<HeldConsent>>>);

/// Which answers count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counting {
    /// Those that count at this second, since 1970.
    At(u64),
    /// Those up to this number, whether their time is over or not; none up to none.
    UpTo(Option<u64>),
    /// All, whether they still let anything go or never did: for what went, of which notes tell that one was cited.
    Ever,
}

/// The answers that count on one lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// The highest number among them; none if none counts.
    pub(crate) number: Option<u64>,
    records: HashMap<RecordId, Vec<Arc<HeldConsent>>>,
    operations: BTreeMap<String, Arc<HeldConsent>>,
}

impl HeldConsent {
    /// The same for other sections.
    pub(crate) fn with_sections(&self, sections: SectionSet) -> Self {
        let mut other = self.clone();
        other.terms.sections = sections;
        other
    }
}

impl Consents {
    /// What taking in an answer of `owner`'s thread would do: whether it is new.
    fn judge(&self, owner: &MemberId, consent: &Verified<Consent>) -> Result<bool, ConsentRefusal> {
        let terms = consent.statement();
        terms.check()?;
        if terms.holder != *owner {
            return Err(ConsentRefusal::Misdirected {
                wanted: terms.holder.clone(),
                owner: owner.clone(),
            });
        }
        let Some(known) = self.thread(terms) else {
            return Ok(true);
        };
        let (version, digest) = (known.terms.version, Digest::of(&consent.signed().to_bytes()));
        match terms.version {
            older if older < version => Err(ConsentRefusal::Older {
                version: older,
                known: version,
            }),
            same if same == version && digest == known.digest => Ok(false),
            same if same == version => Err(ConsentRefusal::OtherAnswer(same)),
            _ => Ok(true),
        }
    }

    fn thread(&self, terms: &Consent) -> Option<&Arc<HeldConsent>> {
        let pair = (terms.subject.owner().clone(), terms.to.clone());
        self.0.get(&pair)?.get(&terms.thread())
    }

    fn put(&mut self, held: HeldConsent) {
        let pair = (held.terms.subject.owner().clone(), held.terms.to.clone());
        let thread = held.terms.thread();
        self.0.entry(pair).or_default().insert(thread, held.into());
    }

    /// As if `request` were approved for a second: for questions that make no permit.
    fn suppose(&mut self, request: &ConsentRequest, now: u64) {
        let ConsentRequest {
            format: _,
            subject,
            sections,
            to,
            purpose,
            agreement,
            after: _,
            by,
            at: _,
            reason: _,
        } = request.clone();
        let terms = Consent {
            format: ConsentFormat::V1,
            request: Digest::of(&[]),
            by: subject.owner().clone(),
            subject,
            sections,
            holder: by,
            to,
            purpose,
            agreement,
            version: 1,
            verdict: Verdict::Approved,
            until: now + 1,
            officer: Officer::nobody(),
            at: now,
            reason: Reason::default(),
        };
        let (digest, number) = (Digest::of(&[]), 0);
        self.put(HeldConsent { terms, digest, number });
    }

    /// Those that count on the lane of `route`; cuts `window` where that changes. On most lanes none can.
    pub(crate) fn on(&self, route: Route<'_>, counting: Counting, window: &mut Window) -> Held {
        let mut held = Held::default();
        if route.origin == route.holder && route.role != Role::Global {
            return held;
        }
        let pair = (route.origin.clone(), route.receiver.clone());
        for consent in self.0.get(&pair).into_iter().flat_map(BTreeMap::values) {
            let approved = consent.terms.verdict == Verdict::Approved;
            let counts = match counting {
                Counting::At(now) if approved => {
                    window.cut(consent.terms.until, now);
                    consent.terms.counts(now)
                }
                Counting::UpTo(number) if approved => number.is_some_and(|number| consent.number <= number),
                Counting::Ever => true,
                _ => false,
            };
            if counts {
                held.add(consent);
            }
        }
        if let Counting::UpTo(number) = counting {
            held.number = number;
        }
        held
    }
}

impl Held {
    fn add(&mut self, consent: &Arc<HeldConsent>) {
        self.number = self.number.max(Some(consent.number));
        match &consent.terms.subject {
            Subject::Record { record, .. } => self.records.entry(*record).or_default().push(consent.clone()),
            Subject::Operation { operation, .. } => {
                self.operations.insert(operation.as_str().to_owned(), consent.clone());
            }
        }
    }

    /// Whether any of them is for one record only.
    pub(crate) fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// The one for the entry that `view` is of, and the entry's leaf hash, which is computed only where the record has one.
    pub(crate) fn of_view(&self, view: &ViewRef<'_>) -> Option<(&Arc<HeldConsent>, Hash)> {
        let entry = view.entry();
        let consents = self.records.get(&entry.head().record_id)?;
        let leaf = entry.leaf_hash();
        of_leaf(consents, &leaf).map(|consent| (consent, leaf))
    }

    /// The one for an entry of a record.
    pub(crate) fn of_entry(&self, record: &RecordId, leaf: &Hash) -> Option<&Arc<HeldConsent>> {
        of_leaf(self.records.get(record)?, leaf)
    }

    /// The one for the operation of a class.
    pub(crate) fn of_operation(&self, class: &Class) -> Option<&Arc<HeldConsent>> {
        self.operations.get(&class.operation_id)
    }
}

fn of_leaf<'a>(consents: &'a [Arc<HeldConsent>], leaf: &Hash) -> Option<&'a Arc<HeldConsent>> {
    let is =
        |consent: &&Arc<HeldConsent>| matches!(&consent.terms.subject, Subject::Record { leaf: of, .. } if of == leaf);
    consents.iter().find(is)
}

impl Policy {
    /// Whether an answer is new to the policy, whose owner must be its holder; changes nothing. A node asks this, stores the
    /// answer, and then calls [`Self::take_consent`].
    ///
    /// # Errors
    /// It is for another holder, or a later one is known.
    pub fn examine_consent(&self, consent: &Verified<Consent>) -> Result<bool, ConsentRefusal> {
        let snapshot = self.snapshot();
        snapshot.consents.judge(snapshot.book.owner(), consent)
    }

    /// Takes an answer in under `number`, which is higher than any before: an approval lets go what it is about from now on,
    /// everything else nothing any more.
    ///
    /// # Errors
    /// As [`Self::examine_consent`]. The policy is then as before.
    pub fn take_consent(&self, consent: &Verified<Consent>, number: u64) -> Result<(), ConsentRefusal> {
        let changing = self.changing();
        if !self.examine_consent(consent)? {
            return Ok(());
        }
        let held = HeldConsent {
            terms: consent.statement().clone(),
            digest: Digest::of(&consent.signed().to_bytes()),
            number,
        };
        self.replace(&changing, |snapshot| Arc::make_mut(&mut snapshot.consents).put(held));
        Ok(())
    }

    /// The agreements that let the owner ask for consent to send records of `origin` to `receiver` at `now` (seconds since
    /// 1970), in order.
    ///
    /// # Errors
    /// With the rule that stops it.
    pub fn consent_grounds(
        &self,
        origin: &MemberId,
        holder: &MemberId,
        receiver: &MemberId,
        now: u64,
    ) -> Result<Vec<AgreementId>, Forbidden> {
        consent_grounds(&self.snapshot(), (origin, holder, receiver), now)
    }

    /// What would go of a record of `class` if its originator consented to just this, at `now` (seconds since 1970). Makes
    /// no permit.
    ///
    /// # Errors
    /// With the rule that stops it even then.
    pub fn with_consent(&self, request: &ConsentRequest, class: &[u8], now: u64) -> Result<SectionSet, Forbidden> {
        let snapshot = self.snapshot();
        let (origin, receiver) = (request.subject.owner(), &request.to);
        let role = snapshot.directory.role(receiver);
        let route = Route {
            origin,
            holder: &request.by,
            receiver,
            role: role.ok_or_else(|| Forbidden::UnknownMember(receiver.clone()))?,
            purpose: None,
        };
        let mut consents = Consents::default();
        consents.suppose(request, now);
        let sources = Sources {
            consents: &consents,
            ..snapshot.sources()
        };
        let lane = Lane::open(route, sources, now).answer?;
        let class = Class::parse(class, origin)?;
        let entry = match &request.subject {
            Subject::Record { record, leaf, .. } => Some((*record, *leaf)),
            Subject::Operation { .. } => None,
        };
        let consent = lane.consent_to(entry).map(|(consent, _)| consent);
        let weighed = complete(lane.weigh(&class, consent)?, &lane, &class)?;
        let given = weighed.bases.iter().filter(|basis| basis.consent.is_some());
        Ok(given.fold(SectionSet::EMPTY, |all, basis| all.union(basis.sections)))
    }
}
