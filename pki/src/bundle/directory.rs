//! The member directory of a verified bundle.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    ADDRESS_BYTES_MAX, ADDRESSES_MAX, FORMER_KEYS_MAX, Listing, MEMBERS_MAX, MemberKeys, NODES_MAX, REGIONS_MAX,
    keys::{FormerKey, check_former},
};
use crate::{MemberCertificate, MemberId, MemberPublicKey, NodeName, PeerId, Role, name::peer};

/// How a directory contradicts itself or exceeds its limits.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidDirectory {
    /// More members, nodes, addresses, regions or code lists than allowed, or too long an address.
    #[error("too many or too long: {what}, more than {max}")]
    TooMany {
        /// Of what.
        what: Cow<'static, str>,
        /// How many are allowed.
        max: usize,
    },
    /// One id twice.
    #[error("`{0}` is listed twice")]
    RepeatedMember(MemberId),
    /// One node name twice at one member.
    #[error("`{member}` has two nodes named `{node}`")]
    RepeatedNode {
        /// Whose.
        member: MemberId,
        /// Which name.
        node: NodeName,
    },
    /// One libp2p identity at two nodes.
    #[error("the libp2p identity `{0}` is listed twice")]
    RepeatedPeer(PeerId),
    /// A libp2p identity that is not of an Ed25519 key.
    #[error("the libp2p identity `{0}` is not of an Ed25519 key")]
    ForeignPeer(PeerId),
    /// The certificate names another member, role or network than the listing.
    #[error("the certificate of `{0}` names another member, role or trust domain than the directory")]
    OtherCertificate(MemberId),
    /// A region that is no regional member.
    #[error("`{member}` is said to be of the region of `{region}`, which is no regional member of the directory")]
    UnknownRegion {
        /// Who.
        member: MemberId,
        /// Of which region.
        region: MemberId,
    },
    /// Two members sign with one key.
    #[error("`{0}` and `{1}` have the same key")]
    SharedKey(MemberId, MemberId),
    /// One member's key twice, as the current and a former one say.
    #[error("a key of `{0}` is listed twice")]
    RepeatedKey(MemberId),
}

/// A node in the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeEntry {
    /// Its name.
    pub name: NodeName,
    /// Its libp2p identity.
    #[serde(with = "peer_id_text")]
    pub peer_id: PeerId,
    /// Where it can be reached, most preferred first: `tls://host:port` or multiaddresses. May be empty.
    pub addresses: Vec<String>,
}

mod peer_id_text {
    use super::*;

    pub(super) fn serialize<S: serde::Serializer>(peer_id: &PeerId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(peer_id)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<PeerId, D::Error> {
        Cow::<str>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A member in the directory of a verified bundle, whose certificate counted when the bundle was verified.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DirectoryEntry {
    /// Who.
    pub id: MemberId,
    /// In which role.
    pub role: Role,
    /// The key that was certified last.
    pub key: MemberPublicKey,
    /// That key and those before it, with what counts of them.
    pub keys: Arc<MemberKeys>,
    /// The regional offices whose regions the member belongs to.
    pub regions: Vec<MemberId>,
    /// The member's nodes.
    pub nodes: Vec<NodeEntry>,
    /// The certificate that says so.
    pub certificate: MemberCertificate,
}

impl DirectoryEntry {
    /// The node of this name.
    pub fn node(&self, name: &NodeName) -> Option<&NodeEntry> {
        self.nodes.iter().find(|node| node.name == *name)
    }

    pub(super) fn new(listing: Listing, certificate: MemberCertificate, former: Vec<FormerKey>) -> Self {
        let Listing {
            id,
            role,
            certificate: _,
            regions,
            nodes,
            former: _,
        } = listing;
        Self {
            id,
            role,
            key: certificate.key(),
            keys: Arc::new(MemberKeys::new(certificate.key(), former)),
            regions,
            nodes,
            certificate,
        }
    }
}

/// Checks the counts and lengths of the listings.
pub(super) fn check_limits(members: &[Listing]) -> Result<(), InvalidDirectory> {
    let limit = |what: &'static str, count: usize, max: usize| {
        if count > max {
            Err(InvalidDirectory::TooMany { what: what.into(), max })
        } else {
            Ok(())
        }
    };
    limit("members", members.len(), MEMBERS_MAX)?;
    for member in members {
        limit("former keys of a member", member.former.len(), FORMER_KEYS_MAX)?;
        limit("nodes of a member", member.nodes.len(), NODES_MAX)?;
        limit("regions of a member", member.regions.len(), REGIONS_MAX)?;
        for node in &member.nodes {
            limit("addresses of a node", node.addresses.len(), ADDRESSES_MAX)?;
            for address in &node.addresses {
                limit("bytes of an address", address.len(), ADDRESS_BYTES_MAX)?;
            }
        }
    }
    Ok(())
}

/// Checks that the listings fit each other and their certificates.
pub(super) fn check_listings(
    listings: &[Listing],
    certificates: &[(MemberCertificate, Vec<FormerKey>)],
) -> Result<(), InvalidDirectory> {
    let mut roles = BTreeMap::new();
    let mut keys = HashMap::new();
    for (listing, (certificate, former)) in listings.iter().zip(certificates) {
        let id = &listing.id;
        if roles.insert(id, listing.role).is_some() {
            return Err(InvalidDirectory::RepeatedMember(id.clone()));
        }
        if (certificate.member(), certificate.role()) != (id, listing.role) {
            return Err(InvalidDirectory::OtherCertificate(id.clone()));
        }
        check_former(id, certificate, former)?;
        for key in former.iter().map(FormerKey::key).chain([certificate.key()]) {
            if let Some(other) = keys.insert(key, id) {
                return Err(InvalidDirectory::SharedKey(other.clone(), id.clone()));
            }
        }
    }
    let mut peers = BTreeSet::new();
    for listing in listings {
        let mut names = BTreeSet::new();
        for node in &listing.nodes {
            if !names.insert(&node.name) {
                let (member, node) = (listing.id.clone(), node.name.clone());
                return Err(InvalidDirectory::RepeatedNode { member, node });
            }
            if peer::dns_label(&node.peer_id).is_none() {
                return Err(InvalidDirectory::ForeignPeer(node.peer_id));
            }
            if !peers.insert(node.peer_id) {
                return Err(InvalidDirectory::RepeatedPeer(node.peer_id));
            }
        }
        if let Some(region) = listing
            .regions
            .iter()
            .find(|region| roles.get(region) != Some(&Role::Regional))
        {
            let (member, region) = (listing.id.clone(), region.clone());
            return Err(InvalidDirectory::UnknownRegion { member, region });
        }
    }
    Ok(())
}
