//! `icomm link test`: what happens at each address of a peer, tried anew and all at once, beside any link there is.

use icomm_pki::{MemberId, NodeName};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    Address, Carrier, ConnectError, Peer, client,
    dialer::{Dialing, Route},
};

/// What came of testing a peer.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The peer.
    pub member: MemberId,
    /// Address by address, in the order in which they are dialled.
    pub probes: Vec<Probe>,
    /// Why there was nothing to try, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Report {
    /// Whether some address works.
    pub fn is_reachable(&self) -> bool {
        self.probes
            .iter()
            .any(|probe| matches!(probe.outcome, Outcome::Reached { .. }))
    }
}

/// What happened at one address.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    /// The node expected there.
    pub node: NodeName,
    /// The address.
    pub address: Address,
    /// What happened.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Success or failure at one address.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The node answered there, authenticated, over HTTP/2.
    Reached {
        /// What carries it.
        carrier: Carrier,
        /// Connecting and authenticating, microseconds.
        setup_us: u64,
        /// The quickest of three round trips to the peer's service, microseconds.
        round_trip_us: u64,
    },
    /// It didn't.
    Failed {
        /// The stable name of the kind of failure.
        reason: &'static str,
        /// A sentence for the operator.
        error: String,
    },
}

/// Tries every address of `peer`.
pub(super) async fn run(dialing: &Dialing, peer: &Peer) -> Report {
    let (routes, error) = match dialing.routes(peer) {
        Ok(routes) if routes.is_empty() => (routes, Some(ConnectError::NoAddress(peer.member.clone()))),
        Ok(routes) => (routes, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let probes = routes.into_iter().map(|route| probe(dialing, &peer.member, route));
    Report {
        member: peer.member.clone(),
        probes: futures::future::join_all(probes).await,
        error: error.map(|error| error.to_string()),
    }
}

async fn probe(dialing: &Dialing, member: &MemberId, route: Route) -> Probe {
    let start = Instant::now();
    let tried = async {
        let io = dialing.connect(member, &route, true).await?;
        let (carrier, setup) = (io.connection().carrier(), start.elapsed());
        let round_trip = client::probe(io, dialing.gate.limits()).await?;
        Ok::<_, ConnectError>((carrier, setup, round_trip))
    };
    let micros = |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let outcome = match tried.await {
        Ok((carrier, setup, round_trip)) => Outcome::Reached {
            carrier,
            setup_us: micros(setup),
            round_trip_us: micros(round_trip),
        },
        Err(error) => Outcome::Failed {
            reason: error.label(),
            error: error.to_string(),
        },
    };
    Probe {
        node: route.node,
        address: route.address,
        outcome,
    }
}
