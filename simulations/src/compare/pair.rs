//! The smallest network there is: an administration with a filled log, and the global node that takes the de-nominalised
//! views of it. The administration dials; nobody dials it.

use std::net::SocketAddr;

use anyhow::Context as _;
use icomm_node::network::{Network, Node, Reach, terms};
use icomm_pki::Role;
use icomm_proto::v1;
use prost::Message as _;

use super::{
    icomm::seed::{self, Seeded},
    network::{self, NATIONAL, READY_WITHIN, ROOT, SINCE},
    rows,
    workload::Bench,
};

/// Rows in the file that logs are filled from; a longer log repeats them as new entries.
const ROWS_MAX: u64 = 50_000;

/// A network of the two in a folder of its own; the administration's log has so many entries. Nothing runs yet.
///
/// # Errors
/// A file can't be written, or the disk is full.
pub fn prepare(bench: &Bench, name: &str, entries: u64) -> anyhow::Result<(Network, Seeded)> {
    let (national, root) = (NATIONAL.parse()?, ROOT.parse()?);
    let members = vec![
        network::member(NATIONAL, Role::National, Reach::Nowhere)?,
        network::member(ROOT, Role::Global, Reach::Tls)?,
    ];
    let agreements = vec![terms::upstream(&national, &root, SINCE.parse()?)?];
    let network = network::prepare(bench, name, members, agreements)?;
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

/// Where a node listens for TLS.
///
/// # Errors
/// Nowhere.
pub fn tls_address(node: &Node) -> anyhow::Result<SocketAddr> {
    let listening = node.config().links.tls.first();
    listening.copied().context("the node listens for no TLS")
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
