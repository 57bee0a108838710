//! What consents add to a lane: the one for an entry, the approval for an operation, and who may ask for either.

use std::collections::BTreeSet;

use icomm_pki::{MemberId, Role};
use icomm_proto::log::Hash;
use icomm_proto::{RecordId, SectionSet, ViewRef};

use super::{Lane, Window, asks_consent, grants_in_force};
use crate::AgreementId;
use crate::class::Class;
use crate::consent::HeldConsent;
use crate::forbidden::Forbidden;
use crate::policy::Snapshot;

impl Lane {
    /// Whether records are to be looked at one by one, because some have a consent of their own.
    pub(crate) fn has_consents(&self) -> bool {
        self.consents.has_records()
    }

    /// The consent for the entry of `view`, and its leaf hash.
    pub(crate) fn consent_of(&self, view: &ViewRef<'_>) -> Option<(&HeldConsent, Hash)> {
        let (consent, leaf) = self.consents.of_view(view)?;
        Some((consent, leaf))
    }

    /// The consent for an entry, if one is named.
    pub(crate) fn consent_to(&self, entry: Option<(RecordId, Hash)>) -> Option<(&HeldConsent, Hash)> {
        let (record, leaf) = entry?;
        let consent = self.consents.of_entry(&record, &leaf)?;
        Some((consent, leaf))
    }

    /// What lets a record of `class` go to the global node: nothing is needed, unless it belongs to an operation.
    pub(super) fn approval<'a>(
        &'a self,
        class: &Class,
        consent: Option<&'a HeldConsent>,
    ) -> Result<Option<&'a HeldConsent>, Forbidden> {
        if class.operation_id.is_empty() {
            return Ok(None);
        }
        let of_operation = || self.consents.of_operation(class).map(AsRef::as_ref);
        consent
            .or_else(of_operation)
            .map(Some)
            .ok_or_else(|| Forbidden::ApprovalNeeded {
                origin: class.originator.clone(),
                operation: class.operation_id.clone(),
                receiver: self.receiver.member.clone(),
            })
    }
}

/// The agreements under which `holder` may ask for consent to send records of `origin` to `receiver`, in order: on the way
/// to the global node every grant that goes there, else every grant whose onward rule asks for consent.
pub(crate) fn consent_grounds(
    snapshot: &Snapshot,
    (origin, holder, receiver): (&MemberId, &MemberId, &MemberId),
    now: u64,
) -> Result<Vec<AgreementId>, Forbidden> {
    let global = snapshot.directory.role(receiver) == Some(Role::Global);
    let to = if origin == holder { receiver } else { holder };
    let granted = grants_in_force(&snapshot.book, origin, to, now, &mut Window::ALWAYS.clone())?;
    let asks = granted.iter().filter(|grant| match (global, origin == holder) {
        (true, true) => SectionSet::open().is_subset(grant.terms.sections),
        (true, false) => grant.terms.upstream,
        (false, true) => false,
        (false, false) => asks_consent(grant),
    });
    let ids: BTreeSet<AgreementId> = asks.map(|grant| grant.reference.agreement.clone()).collect();
    match ids.is_empty() {
        false => Ok(ids.into_iter().collect()),
        true => Err(Forbidden::NotOnward {
            origin: origin.clone(),
            holder: holder.clone(),
            receiver: receiver.clone(),
        }),
    }
}
