//! What everybody needs who measures a network of real nodes: names, a folder with keys and settings, waiting, and a clean
//! start.

use std::time::Duration;

use icomm_node::{
    api::client::{Address, backups},
    environment::Environment,
    network::{Folder, Member, Network, Node, Plan, Reach},
};
use icomm_pki::{MemberId, Role};
use icomm_policy::agreement::{Agreement, SignedAgreement};
use icomm_proto::v1;
use tokio::time::{Instant, sleep};

use super::{icomm::seed::Log, rows::MEMBER, workload::Bench};

/// The administration of a network of two.
pub const NATIONAL: &str = MEMBER;

/// The global node's member.
pub const ROOT: &str = "WCO";

/// The name of every network that is measured.
pub const DOMAIN: &str = "compare.icomm.example";

/// Since when agreements of measured networks are in force.
pub const SINCE: &str = "2026-01-01";

/// How long a node may take until it serves.
pub const READY_WITHIN: Duration = Duration::from_secs(300);

/// How long a node may take to stop.
pub const STOP_WITHIN: Duration = Duration::from_secs(60);

/// How long everything may take to arrive before the round has failed.
pub const ARRIVE_WITHIN: Duration = Duration::from_secs(900);

/// How often is asked for what is not measured, or not in milliseconds.
pub const POLL: Duration = Duration::from_millis(20);

/// How often a starting node is asked whether it serves.
const START_POLL: Duration = Duration::from_millis(2);

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

/// Makes keys, certificates and settings in a folder of the network's own. Nothing runs yet.
///
/// # Errors
/// A file can't be written.
pub fn prepare(bench: &Bench, name: &str, members: Vec<Member>, agreements: Vec<Agreement>) -> anyhow::Result<Network> {
    let plan = Plan {
        trust_domain: DOMAIN.parse()?,
        members,
        agreements,
    };
    let folder = Folder::kept(&bench.fresh_folder(name)?)?;
    Ok(Network::prepare(plan, &bench.program, folder, Environment::system())?)
}

/// Asks a node for its status until `reads` has got out of it what is waited for; what is missing until then stands in the
/// error when the time is over.
///
/// # Errors
/// The time is over, or the node does not answer.
pub async fn until<T>(
    node: &Node,
    within: Duration,
    poll: Duration,
    mut reads: impl FnMut(v1::StatusReply) -> Result<T, String>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match reads(node.status().await?) {
            Ok(found) => return Ok(found),
            Err(missing) => anyhow::ensure!(Instant::now() < deadline, "{missing} within {within:?}"),
        }
        sleep(poll).await;
    }
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
        sleep(START_POLL).await;
    }
}

/// Waits until a node that has just started issues: before, it asks its partners how much of its own log they hold, for some
/// seconds where nobody is there.
///
/// # Errors
/// It does not in time, or can't be reached.
pub async fn sure(node: &Node) -> anyhow::Result<()> {
    let address = Address::Socket(node.config().api.socket.clone());
    let mut keeper = backups(&address, node.config()).await?;
    let begin = Instant::now();
    loop {
        let request = v1::RecoveryStatusRequest::default();
        let status = keeper.recovery_status(request).await?.into_inner();
        if !status.asking && !status.recovering {
            return Ok(());
        }
        anyhow::ensure!(
            begin.elapsed() < READY_WITHIN,
            "the node does not issue: {}",
            status.why
        );
        sleep(START_POLL).await;
    }
}

/// Waits until so many peers are linked with a node.
///
/// # Errors
/// They are not in time.
pub async fn linked(node: &Node, peers: usize) -> anyhow::Result<()> {
    until(node, READY_WITHIN, POLL, |status| {
        let up = status.links.iter().filter(|link| link.state == "connected").count();
        match up >= peers {
            true => Ok(()),
            false => Err(format!("of {peers} peers {up} were linked with `{}`", node.member().id)),
        }
    })
    .await
}

/// Waits until a node holds so many entries of a member's log.
///
/// # Errors
/// It does not in time, or holds more: how many it holds is said.
pub async fn holds(node: &Node, of: &MemberId, entries: u64) -> anyhow::Result<()> {
    let held = until(node, ARRIVE_WITHIN, POLL, |status| {
        let owned = |log: &&v1::LogStatus| log.origin.split('/').next() == Some(of.as_str());
        match status.logs.iter().find(owned).map_or(0, |log| log.entries) {
            held if held >= entries => Ok(held),
            held => Err(format!("of {entries} entries {held} arrived")),
        }
    })
    .await?;
    anyhow::ensure!(
        held == entries,
        "`{of}` issued {entries} entries, {held} of them arrived"
    );
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
