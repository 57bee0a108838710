//! Trust domains: the DNS name under which one network's identities live.

use std::{str::FromStr, sync::Arc};

use super::{InvalidName, MemberId, NodeName, is_dns_label, text_traits};

/// The DNS name of a network, such as `demo.icomm.example`. Identities of different trust domains never mix.
///
/// It is the authority of every SPIFFE id, the parent of every DNS name in a certificate and the first part of every
/// log's origin line. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

text_traits!(TrustDomain);

impl TrustDomain {
    /// The longest trust domain, in bytes. With the longest node name and member id it still is a DNS name.
    pub const LENGTH_MAX: usize = 128;

    /// The DNS name of a member: `ke.demo.icomm.example`.
    pub fn member_dns(&self, member: &MemberId) -> String {
        format!("{}.{self}", member.dns_label())
    }

    /// The DNS name of a node: `node1.ke.demo.icomm.example`.
    pub fn node_dns(&self, member: &MemberId, node: &NodeName) -> String {
        format!("{node}.{}.{self}", member.dns_label())
    }

    /// The SPIFFE id of a member: `spiffe://demo.icomm.example/member/KE`.
    pub fn member_spiffe(&self, member: &MemberId) -> String {
        format!("spiffe://{self}/member/{member}")
    }

    /// The SPIFFE id of a node: `spiffe://demo.icomm.example/member/KE/node/node1`.
    pub fn node_spiffe(&self, member: &MemberId, node: &NodeName) -> String {
        format!("spiffe://{self}/member/{member}/node/{node}")
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
