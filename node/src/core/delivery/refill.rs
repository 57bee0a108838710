//! What of earlier entries goes to a peer again, because it may have more of them now.

use icomm_policy::{Earlier, SessionPolicy};
use icomm_proto::log::ItemRef;
use icomm_proto::{Origin, ViewRef};

use super::{DeliveryError, Making, READ_LIMIT};
use crate::core::callback::Stretches;
use crate::core::disclosure::Note;
use crate::core::feed::refill::Looked;
use crate::core::session::Peer;
use crate::store::{Store, Stretch};

/// Entries that one look goes over at most, a stretch more or less: a few milliseconds' work, between which the link does
/// everything else.
pub const LOOK_ENTRIES_MAX: u64 = 4096;

/// The entries of a log to be looked at.
pub struct Look<'a> {
    /// The log.
    pub origin: &'a Origin,
    /// What was taken back of what went.
    pub called_back: &'a Stretches,
    /// First index.
    pub from: u64,
    /// Up to which index.
    pub until: u64,
    /// Seconds since 1970.
    pub now: u64,
}

/// Finds the first entries that `policy` gives more of than `earlier` did, and makes a chunk of the stretches that hold any:
/// the wider views, of the rest the hash. `None` when nothing of the log may go.
pub fn look(
    store: &dyn Store,
    policy: &mut SessionPolicy,
    earlier: &mut Earlier,
    peer: &Peer,
    look: &Look<'_>,
) -> Result<Option<Looked>, DeliveryError> {
    let Look { origin, until, now, .. } = *look;
    let Ok(revision) = policy.revision(&origin.member, now).map(ToString::to_string) else {
        return Ok(None);
    };
    let mut making: Option<Making> = None;
    let (mut next, mut checkpoint) = (look.from, None);
    while next < until && next - look.from < LOOK_ENTRIES_MAX {
        let Some(stretch) = store.read(origin, next, READ_LIMIT)? else {
            // The log ends here, so nothing beyond can be wider.
            next = until;
            break;
        };
        let wider = wider(policy, earlier, look, next, &stretch)?;
        let any = wider.contains(&true);
        match &mut making {
            None if !any => {
                next = stretch.end.size();
                continue;
            }
            None => {
                let note = Note::new(now, peer.member.as_str(), peer.node.as_str(), origin, next);
                making = Some(Making::new(note));
            }
            Some(making) if !any || making.is_enough() || !making.has_room(&stretch) => break,
            Some(_) => {}
        }
        if let Some(making) = &mut making {
            for (item, wider) in stretch.items().zip(wider) {
                match (item, wider) {
                    (item, true) => making.add_item(policy, origin, item, now)?,
                    (item, false) => making.withhold(item)?,
                }
            }
        }
        next = stretch.end.size();
        checkpoint = Some(stretch.end.checkpoint);
    }
    let prepared = match (making, checkpoint) {
        (Some(making), Some(checkpoint)) => Some(making.finish(origin, checkpoint)?.under(revision.clone())),
        _ => None,
    };
    Ok(Some(Looked {
        revision,
        through: next,
        prepared,
    }))
}

/// For each entry of a stretch, whose first is `from`, whether the peer may have more of it than it was given.
fn wider(
    policy: &mut SessionPolicy,
    earlier: &mut Earlier,
    look: &Look<'_>,
    from: u64,
    stretch: &Stretch,
) -> Result<Vec<bool>, DeliveryError> {
    let of = |(item, index): (ItemRef<'_>, u64)| {
        let ItemRef::Disclosed(bytes) = item else {
            return Ok(false);
        };
        let view = ViewRef::parse(bytes)?;
        let given = policy.gives(&look.origin.member, &view, look.now);
        let has = earlier.gave(&view).intersection(look.called_back.of(index));
        Ok(!given.is_subset(has))
    };
    stretch.items().zip(from..).map(of).collect()
}
