//! A running node: identity, law, store, links and the own log, put together.
//!
//! ```text
//!  open:  identity ─▶ store ─▶ bundle, agreements ─▶ exchange ─▶ own log ─▶ listeners bound (nothing served before)
//!  run:   links serve and dial · bundles reach them · checkpoints are gossiped · until told to stop
//! ```
//!
//! [`Node`] is what the local API, the command line and the demo speak to; cloning it is cheap.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use icomm_pki::{NodeCredentials, VerifiedBundle};
use icomm_proto::Origin;
use icomm_proto::codes::CodeLists;
use tokio::sync::broadcast;

use crate::config::Config;
use crate::core::exchange::{Exchange, Local};
use crate::core::law::Law;
use crate::core::own::OwnLog;
use crate::core::seat::Seat;
use crate::environment::Environment;
use crate::issuer::Issuer;
use crate::link::Links;
use crate::sessions::{Post, Sessions};
use crate::store::{Journal, Restricting, Store};

mod agreements;
mod backups;
pub(crate) mod checks;
mod consents;
mod correct;
mod disclosures;
mod holdings;
mod ledger;
pub(crate) mod mark;
mod parcels;
mod photos;
mod preview;
mod proof;
mod recovery;
mod retention;
mod run;
mod signing;
pub(crate) mod start;
mod submit;
pub(crate) mod succession;
mod who;

pub use agreements::{AgreementError, AgreementStatus, SuspensionState, sign};
pub use checks::{Check, Health, Level, Status};
pub use consents::{About, ConsentError, Decided, ID_CHARS_MIN, Question};
pub use correct::{CorrectError, Recalled};
pub use disclosures::{Disclosed, DisclosuresError, DisclosuresPage, RecordEntry, Wanted};
pub use holdings::{Forked, HeldEntry, HoldingsError, LogStatus, State};
pub use ledger::LedgerStatus;
pub use parcels::{ExportParcelError, ImportParcelError, ParcelRequest, Received, Sent};
pub use photos::{AttachError, Attached, Cleared, FILES_BYTES_MAX, HeldPhoto, PhotoFile, Target};
pub use preview::{Counted, Preview, PreviewedChange, Supposed};
pub use proof::{ProofError, ProofFile, ProofRequest, RECIPIENT_CHARS_MAX};
pub use retention::{RestrictedError, RetentionError};
pub use run::{LinkStatus, RunError};
pub use start::{StartError, open_store};
pub use submit::{BATCH_MAX, Outcome, Submission, SubmitError};
pub use who::{CalledBack, Expired, Handover, Holder, Who};

pub use crate::sessions::{Change, LogChange};

/// A node of a member.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    config: Config,
    environment: Environment,
    credentials: ArcSwap<NodeCredentials>,
    // Why new keys that are there are not taken up yet.
    unsucceeded: Mutex<Option<String>>,
    codes: CodeLists,
    journal: Arc<Journal>,
    store: Arc<dyn Store>,
    exchange: Arc<Exchange>,
    sessions: Arc<Sessions>,
    post: Arc<Post>,
    issuer: Issuer,
    // What the last look at what is due found.
    retention: retention::Due,
    // Corrections and recalls are made one at a time.
    correcting: tokio::sync::Mutex<()>,
    // Taken by the shutdown.
    links: tokio::sync::RwLock<Option<Links>>,
}

impl Node {
    /// Loads identity, law and store and binds every listener. Nothing is served yet.
    ///
    /// # Errors
    /// What the operator must mend: a missing or unreadable key, a store in use, an expired bundle, a port taken.
    pub async fn open(config: Config, environment: Environment) -> Result<Self, StartError> {
        let next = succession::next::Next::of(&config);
        next.finish(&config).map_err(succession::SuccessionError::from)?;
        let credentials = start::credentials(&config)?;
        let overlays = start::overlays(&config)?;
        let codes = start::codes(&config)?;
        let journal = Arc::new(open_store(&config, &environment)?);
        // Everything reads without what is shut away.
        let store: Arc<dyn Store> = Arc::new(Restricting::open(journal.clone())?);
        let bundle = start::bundle(&config, &*store, environment.clock.now())?;
        let now = environment.clock.now();
        let credentials = start::succeed(&config, credentials, &bundle, now, &store)?;
        let credentials = Arc::new(credentials);
        let key = Seat::from(credentials.member_key().clone());
        let member = credentials.member().clone();

        let law = Law::open(member.clone(), key.clone(), bundle, overlays, store.clone())?;
        let (links_config, bundle) = (start::links(&config)?, law.bundle());
        let origin = start::own_origin(&config, &member)?;
        let line = origin.line(bundle.trust_domain());
        let local = Local {
            member,
            node: credentials.node_name().clone(),
            role: credentials.role(),
            key: key.clone(),
        };
        let post = Post::new();
        let exchange = Arc::new(Exchange::new(
            local,
            environment.clone(),
            store.clone(),
            post.clone(),
            law,
        )?);
        recovery::guard(&config, &store, &exchange, &origin)?;
        let issuer = Issuer::start(OwnLog::new(origin, line), key, store.clone(), exchange.clone())?;
        let sessions = Arc::new(Sessions::new(exchange.clone(), post.clone(), environment.clone()));
        let links = Links::bind(
            links_config,
            credentials.clone(),
            bundle,
            environment.clone(),
            sessions.clone(),
        )
        .await?;
        Ok(Self(Arc::new(Inner {
            config,
            environment,
            credentials: ArcSwap::new(credentials),
            unsucceeded: Mutex::default(),
            codes,
            journal,
            store,
            exchange,
            sessions,
            post,
            issuer,
            retention: retention::Due::default(),
            correcting: tokio::sync::Mutex::default(),
            links: tokio::sync::RwLock::new(Some(links)),
        })))
    }

    /// The settings it runs with.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Its certificates and keys.
    pub fn credentials(&self) -> Arc<NodeCredentials> {
        self.0.credentials.load_full()
    }

    /// The trust bundle that it goes by now.
    pub fn bundle(&self) -> Arc<VerifiedBundle> {
        self.0.exchange.law().bundle()
    }

    /// Its code lists.
    pub fn codes(&self) -> &CodeLists {
        &self.0.codes
    }

    /// The name of its own log.
    pub fn own_origin(&self) -> &Origin {
        self.0.issuer.origin()
    }

    /// Growth of any log from now on, and wider views of what it has. A subscriber that lags reads on from its cursor.
    pub fn subscribe(&self) -> broadcast::Receiver<LogChange> {
        self.0.post.growth()
    }
}
