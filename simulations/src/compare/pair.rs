//! The smallest network there is: an administration with a filled log, and the global node that takes the de-nominalised
//! views of it. The administration dials; nobody dials it.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use icomm_node::{
    environment::Environment,
    network::{Folder, Member, Network, Node, Plan, Reach, terms},
};
use icomm_pki::{MemberId, Role};
use icomm_policy::agreement::SignedAgreement;
use icomm_proto::v1;
use prost::Message as _;
use tokio::time::Instant;

use super::{
    icomm::seed::{self, Log, Seeded},
    rows::{self, MEMBER},
    workload::Bench,
};

/// The administration.
pub const NATIONAL: &str = MEMBER;

/// The global node's member.
pub const ROOT: &str = "WCO";

/// The name of every network that is measured.
pub const DOMAIN: &str = "compare.icomm.example";

/// Since when agreements of measured networks are in force.
pub const SINCE: &str = "2026-01-01";

/// How long a node may take until it serves.
pub const READY_WITHIN: Duration = Duration::from_secs(300);

/// How long everything may take to arrive.
pub const ARRIVE_WITHIN: Duration = Duration::from_secs(900);

/// How often is asked whether it has.
const POLL: Duration = Duration::from_millis(20);

/// How often a starting node is asked whether it serves.
const START_POLL: Duration = Duration::from_millis(2);

/// Rows in the file that logs are filled from; a longer log repeats them as new entries.
pub const ROWS_MAX: u64 = 50_000;

/// A member with a node.
///
/// # Errors
/// Its name is none.
pub fn member(id: &str, role: Role, reach: Reach) -> anyhow::Result<Member> {
    Ok(Member {
        id: id.parse()?,
        role,
        regions: Vec::new(),
        reach,
    })
}

/// A network of the two in a folder of its own; the administration's log has so many entries. Nothing runs yet.
///
/// # Errors
/// A file can't be written, or the disk is full.
pub fn prepare(bench: &Bench, name: &str, entries: u64) -> anyhow::Result<(Network, Seeded)> {
    let (national, root) = (NATIONAL.parse()?, ROOT.parse()?);
    let plan = Plan {
        trust_domain: DOMAIN.parse()?,
        members: vec![
            member(NATIONAL, Role::National, Reach::Nowhere)?,
            member(ROOT, Role::Global, Reach::Tls)?,
        ],
        agreements: vec![terms::upstream(&national, &root, SINCE.parse()?)?],
    };
    let folder = Folder::kept(&bench.fresh_folder(name)?)?;
    let network = Network::prepare(plan, &bench.program, folder, Environment::system())?;
    let rows = rows::file(bench, entries.clamp(1, ROWS_MAX))?;
    let seeded = seed::own_log(network.node(&national)?, &network.plan().trust_domain, &rows, entries)?;
    Ok((network, seeded))
}

/// Starts both, the administration dialling the global node at `via` where one is given, and has them sign their agreement.
///
/// # Errors
/// A node does not come into service, or refuses.
pub async fn start(network: &mut Network, via: Option<SocketAddr>) -> anyhow::Result<()> {
    let root = network.node_mut(&ROOT.parse()?)?;
    root.start()?;
    root.ready(READY_WITHIN).await?;
    let national = network.node_mut(&NATIONAL.parse()?)?;
    let dialled = |settings: String| match via {
        Some(address) => {
            format!("{settings}\n[[links.peer]]\nmember = \"{ROOT}\"\naddresses = [\"tls://{address}\"]\n")
        }
        None => settings,
    };
    national.reconfigure(dialled, READY_WITHIN).await?;
    network.ratify().await?;
    Ok(())
}

/// Starts a node that is not running, and tells how long it took until it served.
///
/// # Errors
/// It ends, or does not come into service.
pub async fn started(node: &mut Node) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    node.start()?;
    loop {
        node.alive()?;
        if node.status().await.is_ok_and(|status| status.serving) {
            return Ok(begin.elapsed());
        }
        anyhow::ensure!(begin.elapsed() < READY_WITHIN, "the node does not come into service");
        tokio::time::sleep(START_POLL).await;
    }
}

/// Waits until so many peers are linked with a node.
///
/// # Errors
/// They are not in time.
pub async fn linked(node: &Node, peers: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    let up = |link: &&v1::Link| link.state == "connected";
    while node.status().await?.links.iter().filter(up).count() < peers {
        let member = &node.member().id;
        anyhow::ensure!(
            Instant::now() < deadline,
            "not all of {peers} peers are linked with `{member}`"
        );
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The plan's agreements, each signed by every party: no node need run for that.
///
/// # Errors
/// A party takes no part, or its key can't be read.
pub fn signed_agreements(network: &Network) -> anyhow::Result<Vec<Vec<u8>>> {
    let plan = network.plan();
    let signed = plan.agreements.iter().map(|agreement| {
        let mut signed = SignedAgreement::unsigned(agreement.clone());
        for party in agreement.parties() {
            let log = Log::of(network.node(party)?, &plan.trust_domain)?;
            signed.sign(party, &log.key)?;
        }
        Ok(signed.to_bytes())
    });
    signed.collect()
}

/// Where a node listens for TLS.
///
/// # Errors
/// Nowhere.
pub fn tls_address(node: &Node) -> anyhow::Result<SocketAddr> {
    let listening = node.config().links.tls.first();
    listening.copied().context("the node listens for no TLS")
}

/// Waits until a node holds so many entries of a member's log.
///
/// # Errors
/// It does not in time: how many it holds is said.
pub async fn holds(node: &Node, of: &MemberId, entries: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + ARRIVE_WITHIN;
    loop {
        let status = node.status().await?;
        let log = status.logs.iter().find(|log| {
            let owner = log.origin.split('/').next();
            owner == Some(of.as_str())
        });
        let held = log.map_or(0, |log| log.entries);
        if held >= entries {
            anyhow::ensure!(
                held == entries,
                "`{of}` issued {entries} entries, {held} of them arrived"
            );
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "of {entries} entries {held} arrived within {ARRIVE_WITHIN:?}"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Has the administration issue one more case.
///
/// # Errors
/// It refuses.
pub async fn issue_one(bench: &Bench, network: &Network) -> anyhow::Result<()> {
    let mut draft = None;
    rows::file(bench, 1)?.drafts(1, |case| draft = Some(case.encode_to_vec().into()))?;
    let request = v1::SubmitRequest {
        draft,
        key: bytes::Bytes::new(),
    };
    let reply = network
        .node(&NATIONAL.parse()?)?
        .client()
        .await?
        .submit(request)
        .await?;
    let outcome = reply.into_inner().outcome.context("the node gave no outcome")?;
    anyhow::ensure!(
        outcome.result() == v1::outcome::Result::Issued,
        "a case was not issued: {outcome:?}"
    );
    Ok(())
}
