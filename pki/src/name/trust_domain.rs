//! Trust domains: the DNS name under which one network's identities live.

use std::{str::FromStr, sync::Arc};

use libp2p_identity::PeerId;

use super::{InvalidName, MemberId, NodeName, Role, is_dns_label, peer, text_traits};

/// The DNS name of a network, such as `demo.icomm.example`. Identities of different trust domains never mix.
///
/// It is the authority of every SPIFFE id, the parent of every DNS name in a certificate and the first part of every
/// log's origin line. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

text_traits!(TrustDomain);

impl TrustDomain {
    /// The longest trust domain, in bytes: what X.520 allows an organisation name, in which certificates carry it.
    pub const LENGTH_MAX: usize = 64;

    /// The DNS name of a member: `ke.demo.icomm.example`.
    pub fn member_dns(&self, member: &MemberId) -> String {
        format!("{}.{self}", member.dns_label())
    }

    /// The DNS name of a node: `node1.ke.demo.icomm.example`.
    pub fn node_dns(&self, member: &MemberId, node: &NodeName) -> String {
        format!("{node}.{}.{self}", member.dns_label())
    }

    /// The SPIFFE id of a member: `spiffe://demo.icomm.example/member/KE/role/national`.
    pub fn member_spiffe(&self, member: &MemberId, role: Role) -> String {
        format!("spiffe://{self}/member/{member}/role/{role}")
    }

    /// The SPIFFE id of a node: `spiffe://demo.icomm.example/member/KE/node/node1/role/national`.
    pub fn node_spiffe(&self, member: &MemberId, node: &NodeName, role: Role) -> String {
        format!("spiffe://{self}/member/{member}/node/{node}/role/{role}")
    }

    /// The DNS name that binds a libp2p identity into a node's certificate: `k51qzi….peer.ke.demo.icomm.example`.
    ///
    /// A DNS name and no second URI, because a SPIFFE certificate has exactly one URI, and because permitted subtrees
    /// then hold for it too. `None` for a peer id that is not of an Ed25519 key.
    pub(crate) fn peer_dns(&self, member: &MemberId, peer_id: &PeerId) -> Option<String> {
        Some(format!(
            "{}.peer.{}.{self}",
            peer::dns_label(peer_id)?,
            member.dns_label()
        ))
    }
}

impl FromStr for TrustDomain {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let labels = text.split('.');
        let valid = text.len() <= Self::LENGTH_MAX && text.contains('.') && labels.clone().all(is_dns_label)
            // A last label of digits alone would make the name look like an IP address to a URI or TLS parser.
            && labels.clone().next_back().is_some_and(|label| label.bytes().any(|b| !b.is_ascii_digit()));
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName::TrustDomain(super::shortened(text)))
        }
    }
}
