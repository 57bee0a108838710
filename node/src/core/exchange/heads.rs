//! The durable ends of all logs held, and which links follow which log: what grew is told to those alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use icomm_proto::Origin;

use super::{Head, Mailbox, lock};
use crate::core::routes::LinkId;
use crate::core::session::Event;

/// Shared by links and by what the store calls when something is durable.
pub(super) struct Heads {
    mailbox: Arc<dyn Mailbox>,
    heads: RwLock<BTreeMap<Origin, Head>>,
    followers: Mutex<BTreeMap<Origin, BTreeMap<LinkId, Told>>>,
}

/// Whether a link has been told of growth that it has not looked at yet. Then it is not told again, so that what waits
/// for a link is bounded by the logs that it follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    No,
    Yes,
}

impl Heads {
    /// The ends as the store holds them.
    pub(super) fn new(heads: BTreeMap<Origin, Head>, mailbox: Arc<dyn Mailbox>) -> Self {
        Self {
            mailbox,
            heads: RwLock::new(heads),
            followers: Mutex::default(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Origin, Head>> {
        self.heads.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every end.
    pub(super) fn all(&self) -> BTreeMap<Origin, Head> {
        self.read().clone()
    }

    /// The logs.
    pub(super) fn origins(&self) -> Vec<Origin> {
        self.read().keys().cloned().collect()
    }

    /// The end of one log.
    pub(super) fn of(&self, origin: &Origin) -> Option<Head> {
        self.read().get(origin).cloned()
    }

    /// The size of one log.
    pub(super) fn size(&self, origin: &Origin) -> Option<u64> {
        self.read().get(origin).map(|head| head.size)
    }

    /// A log grew durably. Completions arrive in order per log, but a replica and its own growth may race: the larger
    /// head stands.
    pub(super) fn raise(&self, origin: &Origin, head: Head) {
        let size = head.size;
        let before = {
            let mut heads = self.heads.write().unwrap_or_else(PoisonError::into_inner);
            match heads.get_mut(origin) {
                Some(known) if known.size >= size => return,
                Some(known) => Some(std::mem::replace(known, head)),
                None => heads.insert(origin.clone(), head),
            }
        };
        if before.is_none() {
            // Nobody follows a log that was not there; anybody may be offered it now.
            self.mailbox.changed();
        }
        self.mailbox.grew(origin, size);
        if let Some(followers) = lock(&self.followers).get_mut(origin) {
            for (link, told) in followers {
                if std::mem::replace(told, Told::Yes) == Told::No {
                    let origin = origin.clone();
                    self.mailbox.post(*link, Event::Grew { origin });
                }
            }
        }
    }

    /// From now on `link` is told when the log grows; and once at once, lest growth of just now goes by.
    pub(super) fn follow(&self, link: LinkId, origin: Origin) {
        let mut followers = lock(&self.followers);
        followers.entry(origin.clone()).or_default().insert(link, Told::Yes);
        self.mailbox.post(link, Event::Grew { origin });
    }

    /// `link` is not told any more.
    pub(super) fn unfollow(&self, link: LinkId, origin: &Origin) {
        let mut all = lock(&self.followers);
        if let Some(followers) = all.get_mut(origin) {
            followers.remove(&link);
            if followers.is_empty() {
                all.remove(origin);
            }
        }
    }

    /// `link` is gone.
    pub(super) fn closed(&self, link: LinkId) {
        lock(&self.followers).retain(|_, followers| {
            followers.remove(&link);
            !followers.is_empty()
        });
    }

    /// `link` looks at the log now: it is told of what grows from here on.
    pub(super) fn looked(&self, link: LinkId, origin: &Origin) {
        if let Some(told) = lock(&self.followers)
            .get_mut(origin)
            .and_then(|links| links.get_mut(&link))
        {
            *told = Told::No;
        }
    }
}
