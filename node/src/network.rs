//! A whole network on this machine: real certificates, one folder and one process a node, agreements signed by every party,
//! files imported through the nodes' own API, and the picture of who holds what in the end.
//!
//! ```text
//!   Plan ──▶ Network::prepare   authorities, keys, certificates, bundle, a folder a node
//!        ──▶ start              `icomm run` for each, until every one serves
//!        ──▶ ratify             each party's node signs, each party's node accepts
//!        ──▶ import             each member takes its own rows of a file
//!        ──▶ settle             until everybody holds what the agreements say, or a clear message what is missing
//!        ──▶ picture            counted and verified by every node
//! ```
//!
//! The demo and the end-to-end tests use it alike. It talks to the nodes as any other program does, through their API, and
//! knows nothing else of them.

mod expectation;
mod folder;
mod home;
mod identities;
mod import;
mod node;
mod picture;
mod plan;
mod ports;
mod process;
pub mod terms;

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use icomm_pki::MemberId;
use icomm_proto::v1;
use tokio::time::Instant;

pub use self::{
    expectation::{Counts, Missing},
    folder::Folder,
    identities::IdentityError,
    import::{Imported, Tally},
    node::Node,
    picture::{Discrepancy, NodePicture, Picture, Replica},
    plan::{Basis, MEMBERS_MAX, Member, Plan, Reach, Region},
    ports::StreamPort,
    process::LOG_FILE,
};
use self::{home::Ports, identities::Identities};
use crate::{
    api::client::ConnectError,
    config::ConfigError,
    environment::Environment,
    intake::{FileError, InvalidMapping},
};

/// How long a trust bundle of such a network counts.
const BUNDLE_LIFETIME: time::Duration = time::Duration::days(14);

/// How long a node may take until it serves. A debug build on a busy machine takes seconds.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long a node may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// How often a node is asked whether it is there yet.
const POLL: Duration = Duration::from_millis(100);

/// Why a network could not be made, started or filled.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The plan contradicts itself.
    #[error("the network can't be like this: {0}")]
    Plan(String),
    /// An agreement's terms contradict themselves.
    #[error("the agreement `{id}` can't be drawn up")]
    Agreement {
        /// Its id.
        id: String,
        /// Why.
        #[source]
        source: Box<terms::InvalidTerms>,
    },
    /// A folder or file.
    #[error("`{}`", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No free port.
    #[error("no free port on loopback")]
    Port(#[source] io::Error),
    /// Keys or certificates.
    #[error("the identities could not be made")]
    Identity(#[from] IdentityError),
    /// A node's settings.
    #[error("a node's settings are wrong; this is a fault of icomm")]
    Config(#[from] ConfigError),
    /// There is no such member in the plan.
    #[error("`{0}` takes no part in this network")]
    Unknown(MemberId),
    /// A process could not be started or waited for.
    #[error("the node of `{member}` could not be started as `{}`", program.display())]
    Process {
        /// Whose node.
        member: MemberId,
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A node ended though nobody stopped it.
    #[error("the node of `{member}` ended with {status}; the end of its log:\n{last_words}")]
    Ended {
        /// Whose node.
        member: MemberId,
        /// How.
        status: ExitStatus,
        /// The end of its log.
        last_words: String,
    },
    /// A node does not come into service.
    #[error("the node of `{member}` does not serve after {} s: {why}", READY_WITHIN.as_secs())]
    NotReady {
        /// Whose node.
        member: MemberId,
        /// What it says, or that it says nothing.
        why: String,
    },
    /// A node's API can't be reached.
    #[error("the node of `{member}` can't be reached")]
    Connect {
        /// Whose node.
        member: MemberId,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// A node refused a call.
    #[error("the node of `{member}` refused `{call}`: {}", status.message())]
    Call {
        /// Whose node.
        member: MemberId,
        /// The call.
        call: &'static str,
        /// Its answer.
        status: Box<tonic::Status>,
    },
    /// A mapping can't be used.
    #[error("the mapping `{name}` can't be used")]
    Mapping {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Box<InvalidMapping>,
    },
    /// A file to import can't be opened.
    #[error("`{}` can't be imported", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<FileError>,
    },
    /// An import did not come to its end.
    #[error("the import at `{member}` broke off: {why}")]
    Import {
        /// Whose.
        member: MemberId,
        /// Why.
        why: String,
    },
    /// Not everything arrived in time.
    #[error("after {} s this is missing:\n{}", within.as_secs(), lines(missing))]
    Unsettled {
        /// How long was waited.
        within: Duration,
        /// What is missing.
        missing: Vec<Missing>,
    },
}

impl NetworkError {
    fn folder(path: &Path, source: io::Error) -> Self {
        Self::Folder {
            path: path.to_owned(),
            source,
        }
    }
}

fn lines(missing: &[Missing]) -> String {
    let lines: Vec<String> = missing.iter().map(|missing| format!("  {missing}")).collect();
    lines.join("\n")
}

/// A network on this machine. Dropping it kills every process; the folder goes unless it is to be kept.
pub struct Network {
    plan: Plan,
    environment: Environment,
    identities: Identities,
    // INVARIANT: in the order of the plan's members.
    nodes: Vec<Node>,
    // Dropped last, when no node writes into it any more.
    folder: Folder,
}

impl Network {
    /// Makes everything that the nodes start from: authorities, keys, certificates, trust bundle, a folder for each.
    ///
    /// # Errors
    /// The plan is wrong, or a file can't be written.
    pub fn prepare(plan: Plan, program: &Path, folder: Folder, environment: Environment) -> Result<Self, NetworkError> {
        plan.check()?;
        let now = environment.clock.now();
        let mut identities = Identities::new(&plan, now)?;
        let mut ports = Vec::with_capacity(plan.members.len());
        for member in &plan.members {
            let reserved = Ports::reserve(member.reach).map_err(NetworkError::Port)?;
            identities.enrol(member, reserved.addresses(member.reach), now)?;
            ports.push(reserved);
        }
        let bundle = identities.publish(now, BUNDLE_LIFETIME)?;
        let mut nodes = Vec::with_capacity(plan.members.len());
        for (member, ports) in plan.members.iter().zip(ports) {
            let home = folder.path().join(member.id.as_str());
            let authority = identities.authority_of(&member.id);
            let config = home::write(&home, member, &ports, identities.of(&member.id)?, authority, &bundle)?;
            nodes.push(Node::new(member.clone(), program.to_owned(), config, ports));
        }
        Ok(Self {
            plan,
            environment,
            identities,
            nodes,
            folder,
        })
    }

    /// What was planned.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The folder with the nodes' folders.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Every node, in the order of the plan.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A member's node.
    ///
    /// # Errors
    /// It takes no part.
    pub fn node(&self, member: &MemberId) -> Result<&Node, NetworkError> {
        let found = self.nodes.iter().find(|node| node.member().id == *member);
        found.ok_or_else(|| NetworkError::Unknown(member.clone()))
    }

    /// A member's node, to stop, kill or start it.
    ///
    /// # Errors
    /// It takes no part.
    pub fn node_mut(&mut self, member: &MemberId) -> Result<&mut Node, NetworkError> {
        let found = self.nodes.iter_mut().find(|node| node.member().id == *member);
        found.ok_or_else(|| NetworkError::Unknown(member.clone()))
    }

    /// Starts every node and waits until all of them serve.
    ///
    /// # Errors
    /// A process does not start, ends, or does not come into service in time.
    pub async fn start(&mut self) -> Result<(), NetworkError> {
        for node in &mut self.nodes {
            node.start()?;
        }
        for node in &mut self.nodes {
            node.ready(READY_WITHIN).await?;
        }
        Ok(())
    }

    /// Has every party's node sign every agreement of the plan, and accept it when all have signed.
    ///
    /// # Errors
    /// A node refuses.
    pub async fn ratify(&self) -> Result<(), NetworkError> {
        for agreement in &self.plan.agreements {
            // What is not signed yet is handed in as the text that people write.
            let mut document: bytes::Bytes = agreement.canonical().to_vec().into();
            for party in agreement.parties() {
                document = self.node(party)?.sign_agreement(document).await?;
            }
            for party in agreement.parties() {
                self.node(party)?.accept_agreement(document.clone()).await?;
            }
        }
        Ok(())
    }

    /// Waits until every node holds what the agreements give it of every log, as the senders themselves explain it.
    ///
    /// # Errors
    /// Something is missing when the time is over: the error says what, and where.
    pub async fn settle(&self, within: Duration) -> Result<(), NetworkError> {
        let deadline = Instant::now() + within;
        loop {
            let missing = expectation::missing(self).await?;
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(NetworkError::Unsettled { within, missing });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Who holds what now, as the nodes count it; nothing is read again to verify it.
    ///
    /// # Errors
    /// A node does not answer.
    pub async fn glance(&self) -> Result<Picture, NetworkError> {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let logs = node.status().await?.logs;
            nodes.push(picture_of(node, None, logs));
        }
        Ok(Picture { nodes })
    }

    /// Who holds what, after every node has read and verified all that it holds. `tally` says what was issued.
    ///
    /// # Errors
    /// A node does not answer, or finds its store damaged.
    pub async fn picture(&self, tally: &Tally) -> Result<Picture, NetworkError> {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let mut logs = Vec::new();
            for log in node.status().await?.logs {
                let verified = node.verify_log(&log.origin).await?;
                // What only the status knows is kept: under which agreements the log comes.
                let agreements = log.agreements;
                logs.push(v1::LogStatus { agreements, ..verified });
            }
            nodes.push(picture_of(node, Some(tally.issued_by(&node.member().id)), logs));
        }
        Ok(Picture { nodes })
    }

    /// Revokes a member, publishes a new bundle and hands it to the node of the root, from where it spreads.
    ///
    /// # Errors
    /// The member takes no part, or the root's node refuses the bundle.
    pub async fn revoke(&mut self, member: &MemberId) -> Result<(), NetworkError> {
        let now = self.environment.clock.now();
        let revoked = self
            .plan
            .member(member)
            .ok_or_else(|| NetworkError::Unknown(member.clone()))?;
        self.identities.revoke(revoked, now)?;
        self.publish(BUNDLE_LIFETIME).await
    }

    /// Publishes a new bundle that counts for `lifetime`, through the node of the root.
    ///
    /// # Errors
    /// The root's node refuses it.
    pub async fn publish(&mut self, lifetime: time::Duration) -> Result<(), NetworkError> {
        let bundle = self.identities.publish(self.environment.clock.now(), lifetime)?;
        let root = self.plan.root().map(|root| root.id.clone());
        let root = root.ok_or(IdentityError::NoRoot)?;
        self.node(&root)?.update_bundle(bundle.into()).await
    }

    /// Stops every node and waits for all of them.
    ///
    /// # Errors
    /// A process can't be waited for.
    pub async fn stop(&mut self) -> Result<(), NetworkError> {
        // Told all at once, so that nobody spends his time redialling those who went before him.
        for node in &mut self.nodes {
            node.begin_stop();
        }
        for node in &mut self.nodes {
            node.stop(STOP_WITHIN).await?;
        }
        Ok(())
    }
}

fn picture_of(node: &Node, issued: Option<u64>, logs: Vec<v1::LogStatus>) -> NodePicture {
    let own = logs.iter().filter(|log| log.own).map(|log| log.entries).sum();
    let member = node.member();
    NodePicture::new(member.id.clone(), member.role, issued.unwrap_or(own), logs)
}
