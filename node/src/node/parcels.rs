//! Links without a network: parcels written for a partner's node and taken in from one.

use std::io::{self, Read, Seek, Write};

use icomm_pki::{MemberId, NodeName, PeerId};
use icomm_proto::v1;
use thiserror::Error;

use super::Node;
use crate::core::session::Peer;
use crate::link::InvalidParcel;
use crate::link::parcel::{Addressee, Packing, Parcel};
use crate::sessions::{Composed, PostError, Posted};

/// For whom a parcel is to be made.
#[derive(Debug, Clone)]
pub struct ParcelRequest {
    /// The partner.
    pub member: MemberId,
    /// Its node; the only one that the trust bundle lists where none is named.
    pub node: Option<NodeName>,
    /// When so much is in it, nothing more is begun.
    pub bytes_max: u64,
}

/// Why no parcel was made.
#[derive(Debug, Error)]
pub enum ExportParcelError {
    /// Nobody of that name is in the trust bundle, or it is this member.
    #[error("`{0}` is no other member in the trust bundle")]
    UnknownMember(MemberId),
    /// It has no such node.
    #[error("`{member}` has no node `{node}` in the trust bundle")]
    UnknownNode {
        /// Whose.
        member: MemberId,
        /// Which name.
        node: NodeName,
    },
    /// It has none, or more than one and the caller must say which.
    #[error("the trust bundle lists {count} nodes of `{member}`; name the one that the parcel is for")]
    WhichNode {
        /// Whose.
        member: MemberId,
        /// How many.
        count: usize,
    },
    /// An expired bundle says nothing about anybody.
    #[error("this node's trust bundle has expired: nothing leaves before there is a newer one")]
    BundleExpired,
    /// It could not be written, or the disk or the partner's last parcel is at fault.
    #[error(transparent)]
    Post(#[from] PostError<io::Error>),
}

/// Why a parcel was not taken in.
#[derive(Debug, Error)]
pub enum ImportParcelError {
    /// It is not one, or not for this node, or not from whom it says.
    #[error(transparent)]
    Invalid(#[from] InvalidParcel),
    /// It is one, but not all of it could be taken in.
    #[error(transparent)]
    Post(#[from] PostError<InvalidParcel>),
}

/// What came in.
#[derive(Debug)]
pub struct Received {
    /// From whom.
    pub from: Peer,
    /// When it was made, by the sender's clock, in seconds since 1970.
    pub time: u64,
    /// What it brought.
    pub posted: Posted,
}

/// What went out.
#[derive(Debug)]
pub struct Sent {
    /// For whom.
    pub to: Peer,
    /// When, in seconds since 1970.
    pub time: u64,
    /// The length of the parcel.
    pub bytes: u64,
    /// What is in it.
    pub composed: Composed,
}

impl Node {
    /// Writes a parcel for a partner's node. What it discloses is noted before it is written. Blocks.
    ///
    /// # Errors
    /// Whatever was written is no parcel and must not be handed on.
    pub fn export_parcel(&self, request: &ParcelRequest, out: impl Write) -> Result<Sent, ExportParcelError> {
        let (to, peer_id) = self.addressee(request)?;
        let inner = &self.0;
        let (local, time) = (inner.exchange.local(), inner.environment.unix_now());
        let head = v1::ParcelHead {
            from_member: local.member.to_string(),
            from_node: local.node.to_string(),
            to_member: to.member.to_string(),
            to_node: to.node.to_string(),
            time,
            chain: inner
                .credentials
                .load()
                .node_chain()
                .iter()
                .map(|der| der.to_vec().into())
                .collect(),
        };
        let mut packing = Packing::begin(out, &head, &peer_id).map_err(PostError::Parcel)?;
        let composed = inner.sessions.compose(to.clone(), |frame| {
            packing.add(frame)?;
            Ok(packing.bytes() < request.bytes_max)
        })?;
        let bytes = packing
            .finish(inner.credentials.load().node_key())
            .map_err(PostError::Parcel)?;
        tracing::info!(peer = %to.member, node = %to.node, entries = composed.posted.entries, bytes, "parcel written");
        Ok(Sent {
            to,
            time,
            bytes,
            composed,
        })
    }

    /// Takes in a parcel, after all of it was checked. Blocks.
    ///
    /// # Errors
    /// The parcel is refused, or the session that it is ended; what came before counts.
    pub fn import_parcel(&self, input: impl Read + Seek) -> Result<Received, ImportParcelError> {
        let inner = &self.0;
        let (local, credentials) = (inner.exchange.local(), self.credentials());
        let addressee = Addressee {
            member: local.member.as_str(),
            node: local.node.as_str(),
            key: credentials.node_key(),
        };
        let mut parcel = Parcel::verify(input, &addressee, &self.bundle(), inner.environment.now())?;
        let from = Peer {
            member: parcel.sender().member().clone(),
            node: parcel.sender().node().clone(),
            role: parcel.sender().role(),
        };
        let time = parcel.time();
        let posted = inner.sessions.take_in(from.clone(), || parcel.next())?;
        tracing::info!(peer = %from.member, node = %from.node, entries = posted.entries, "parcel taken in");
        Ok(Received { from, time, posted })
    }

    fn addressee(&self, request: &ParcelRequest) -> Result<(Peer, PeerId), ExportParcelError> {
        let ParcelRequest { member, node, .. } = request;
        let bundle = self.bundle();
        if !bundle.is_live(self.0.environment.now()) {
            return Err(ExportParcelError::BundleExpired);
        }
        let unknown = || ExportParcelError::UnknownMember(member.clone());
        let entry = bundle.member(member).ok_or_else(unknown)?;
        if *member == self.0.exchange.local().member {
            return Err(unknown());
        }
        let listed = match (node, entry.nodes.as_slice()) {
            (Some(name), _) => entry.node(name).ok_or_else(|| ExportParcelError::UnknownNode {
                member: member.clone(),
                node: name.clone(),
            })?,
            (None, [only]) => only,
            (None, nodes) => {
                return Err(ExportParcelError::WhichNode {
                    member: member.clone(),
                    count: nodes.len(),
                });
            }
        };
        let peer = Peer {
            member: member.clone(),
            node: listed.name.clone(),
            role: entry.role,
        };
        Ok((peer, listed.peer_id))
    }
}
