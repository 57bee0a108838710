//! What a member sends to its authority: two PKCS#10 requests, and a statement that ties them together.
//!
//! ```text
//! CERTIFICATE REQUEST         signed by the Ed25519 member key; DNS <member>.<td>
//! CERTIFICATE REQUEST         signed by the P-256 TLS key; DNS <node>.<member>.<td>
//! ICOMM ENROLMENT STATEMENT   0x01 | libp2p public key 32 | libp2p signature 64 | member signature 64
//!
//! both signatures are over    "icomm-signature/v1 enrolment" 0x00
//!                             | SHA-256(member request) | SHA-256(node request) | libp2p public key 32
//! ```
//!
//! The statement proves who holds the libp2p key, and that the member itself wants this node: without it somebody could
//! pair a member's published request with a node of his own.

use std::fmt;

use rcgen::{CertificateParams, SubjectPublicKeyInfo};
use rustls_pki_types::pem::{self as pem_format, PemObject, SectionKind};
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

use crate::{
    Domain, MemberId, MemberKey, MemberPublicKey, NodeKey, NodeName, PeerId, Signature, SigningError, TrustDomain,
    certificate::{Fingerprint, ed25519_bytes, p256_point},
    pem,
};

/// The largest request file that is read, in bytes. Ours have about 1,200.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;

const STATEMENT_LABEL: &str = "ICOMM ENROLMENT STATEMENT";
const STATEMENT_TAG: u8 = 1;
const STATEMENT_LENGTH: usize = 1 + 32 + 64 + 64;

/// Why a request is refused.
#[derive(Debug, Error)]
pub enum InvalidRequest {
    /// More than [`REQUEST_BYTES_MAX`].
    #[error("the request has {bytes} bytes, more than {REQUEST_BYTES_MAX}")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// The PEM text is broken.
    #[error("the request is not readable as PEM")]
    Pem(#[source] pem_format::Error),
    /// Not two requests and a statement, in this order and nothing else.
    #[error(
        "not two `CERTIFICATE REQUEST` blocks and an `{STATEMENT_LABEL}`; is this the file that `icomm init` wrote?"
    )]
    Blocks,
    /// A request is not readable as PKCS#10.
    #[error("the {part} request is not readable as PKCS#10")]
    Encoding {
        /// `member` or `node`.
        part: &'static str,
    },
    /// A request is not signed by the key that it carries.
    #[error("the {part} request is not signed by its own key")]
    Signature {
        /// `member` or `node`.
        part: &'static str,
    },
    /// A key is not of the kind that it must be.
    #[error("the {part} request's key is not {expected}")]
    Key {
        /// `member` or `node`.
        part: &'static str,
        /// The kind of key.
        expected: &'static str,
    },
    /// The names don't fit together.
    #[error("the requests don't name one member and one node of it, by one DNS name each")]
    Names,
    /// The statement is not by the libp2p key that it names.
    #[error("the statement is not signed by the libp2p key that it names")]
    PeerSignature,
    /// The statement is not by the member key: somebody else may have paired the two requests.
    #[error("the statement is not signed by the member's key; the requests don't belong together")]
    MemberSignature,
    /// Encoding or signing failed: our fault.
    #[error("the request could not be encoded or signed; this is a fault of icomm")]
    Issue(#[source] rcgen::Error),
    /// The member's key does not sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// A checked request: all three keys have signed. Who sent it has to be made sure of by its fingerprint.
pub struct EnrolmentRequest {
    trust_domain: TrustDomain,
    member: MemberId,
    node: NodeName,
    member_key: MemberPublicKey,
    peer_id: PeerId,
    member_spki: SubjectPublicKeyInfo,
    node_spki: SubjectPublicKeyInfo,
    member_request: Vec<u8>,
    node_request: Vec<u8>,
    statement: [u8; STATEMENT_LENGTH],
}

impl EnrolmentRequest {
    /// Makes the request of a member for itself and one node.
    pub fn new(
        trust_domain: &TrustDomain,
        member: &MemberId,
        node: &NodeName,
        member_key: &MemberKey,
        node_key: &NodeKey,
    ) -> Result<Self, InvalidRequest> {
        let member_request = pkcs10(&trust_domain.member_dns(member), member_key);
        let member_request = member_request.map_err(|error| match member_key.fault() {
            Some(fault) => InvalidRequest::Signing(fault),
            None => InvalidRequest::Issue(error),
        })?;
        let node_dns = trust_domain.node_dns(member, node);
        let node_request = pkcs10(&node_dns, node_key.tls()).map_err(InvalidRequest::Issue)?;

        let no_peer = InvalidRequest::Issue(rcgen::Error::RemoteKeyError);
        let Ok(peer_key) = node_key.libp2p().public().try_into_ed25519() else {
            return Err(no_peer);
        };
        let peer_key = peer_key.to_bytes();
        let message = statement_message(&member_request, &node_request, &peer_key);
        let peer_signature = node_key.sign(Domain::Enrolment, &message);
        let member_signature = member_key.sign(Domain::Enrolment, &message)?;
        let statement = [
            &[STATEMENT_TAG][..],
            &peer_key,
            peer_signature.as_bytes(),
            member_signature.as_bytes(),
        ]
        .concat();
        Self::parse(member_request, node_request, &statement)
    }

    /// Reads and checks a request file.
    pub fn from_pem(text: &str) -> Result<Self, InvalidRequest> {
        if text.len() > REQUEST_BYTES_MAX {
            return Err(InvalidRequest::TooLarge { bytes: text.len() });
        }
        let requests: Result<Vec<_>, _> = <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()).collect();
        let requests = requests.map_err(InvalidRequest::Pem)?;
        let [(SectionKind::Csr, member), (SectionKind::Csr, node)] = requests.as_slice() else {
            return Err(InvalidRequest::Blocks);
        };
        let statement = pem::only_block(STATEMENT_LABEL, text).ok_or(InvalidRequest::Blocks)?;
        Self::parse(member.clone(), node.clone(), &statement)
    }

    fn parse(member_request: Vec<u8>, node_request: Vec<u8>, statement: &[u8]) -> Result<Self, InvalidRequest> {
        let (member_spki, member_dns) = read_pkcs10("member", &member_request)?;
        let (node_spki, node_dns) = read_pkcs10("node", &node_request)?;
        let (trust_domain, member, node) = names(&member_dns, &node_dns).ok_or(InvalidRequest::Names)?;
        let member_key = key_of("member", "Ed25519", &member_spki, ed25519_bytes)?;
        let wrong = InvalidRequest::Key {
            part: "member",
            expected: "Ed25519",
        };
        let member_key = MemberPublicKey::from_bytes(&member_key).map_err(|_| wrong)?;
        key_of("node", "on P-256", &node_spki, p256_point)?;

        let statement: [u8; STATEMENT_LENGTH] = statement.try_into().map_err(|_| InvalidRequest::Blocks)?;
        let (peer_key, peer_signature, member_signature) = split_statement(&statement).ok_or(InvalidRequest::Blocks)?;
        let message = statement_message(&member_request, &node_request, &peer_key);
        let peer = MemberPublicKey::from_bytes(&peer_key).map_err(|_| InvalidRequest::PeerSignature)?;
        let by_peer = peer.verify(Domain::Enrolment, &message, &peer_signature);
        by_peer.map_err(|_| InvalidRequest::PeerSignature)?;
        let by_member = member_key.verify(Domain::Enrolment, &message, &member_signature);
        by_member.map_err(|_| InvalidRequest::MemberSignature)?;

        let peer = libp2p_identity::ed25519::PublicKey::try_from_bytes(&peer_key);
        let peer: libp2p_identity::PublicKey = peer.map_err(|_| InvalidRequest::PeerSignature)?.into();
        let wrong = |part| move |_| InvalidRequest::Encoding { part };
        Ok(Self {
            trust_domain,
            member,
            node,
            member_key,
            peer_id: peer.to_peer_id(),
            member_spki: SubjectPublicKeyInfo::from_der(&member_spki).map_err(wrong("member"))?,
            node_spki: SubjectPublicKeyInfo::from_der(&node_spki).map_err(wrong("node"))?,
            member_request,
            node_request,
            statement,
        })
    }

    /// The request as three PEM blocks.
    pub fn to_pem(&self) -> String {
        [
            pem::block("CERTIFICATE REQUEST", &self.member_request),
            pem::block("CERTIFICATE REQUEST", &self.node_request),
            pem::block(STATEMENT_LABEL, &self.statement),
        ]
        .concat()
    }

    /// What both sides compare, over another channel than the request came by, before it is granted.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&[&self.member_request[..], &self.node_request, &self.statement].concat())
    }

    /// The network that it asks to join.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The member that asks.
    pub fn member(&self) -> &MemberId {
        &self.member
    }

    /// The node that the member asks for.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// The key that the member will sign with.
    pub fn member_key(&self) -> MemberPublicKey {
        self.member_key
    }

    /// The libp2p identity of the node.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    pub(crate) fn member_spki(&self) -> &SubjectPublicKeyInfo {
        &self.member_spki
    }

    pub(crate) fn node_spki(&self) -> &SubjectPublicKeyInfo {
        &self.node_spki
    }
}

impl fmt::Debug for EnrolmentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = f.debug_struct("EnrolmentRequest");
        printed
            .field("trust_domain", &self.trust_domain)
            .field("member", &self.member)
            .field("node", &self.node);
        printed.finish_non_exhaustive()
    }
}

/// What the statement's two signatures are over.
fn statement_message(member_request: &[u8], node_request: &[u8], peer_key: &[u8; 32]) -> Vec<u8> {
    [
        &Sha256::digest(member_request)[..],
        &Sha256::digest(node_request),
        peer_key,
    ]
    .concat()
}

fn split_statement(statement: &[u8; STATEMENT_LENGTH]) -> Option<([u8; 32], Signature, Signature)> {
    let rest = statement.strip_prefix(&[STATEMENT_TAG])?;
    let (peer_key, rest) = rest.split_first_chunk::<32>()?;
    let (peer_signature, rest) = rest.split_first_chunk::<64>()?;
    let (member_signature, _) = rest.split_first_chunk::<64>()?;
    Some((
        *peer_key,
        Signature::from_bytes(*peer_signature),
        Signature::from_bytes(*member_signature),
    ))
}

/// A PKCS#10 request for one DNS name.
fn pkcs10(name: &str, key: &impl rcgen::SigningKey) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.subject_alt_names = vec![crate::authority::dns(name)?];
    Ok(params.serialize_request(key)?.der().to_vec())
}

/// The key (as SubjectPublicKeyInfo) and the one DNS name of a request that its own key has signed.
fn read_pkcs10(part: &'static str, der: &[u8]) -> Result<(Vec<u8>, String), InvalidRequest> {
    let Ok(([], request)) = X509CertificationRequest::from_der(der) else {
        return Err(InvalidRequest::Encoding { part });
    };
    request
        .verify_signature()
        .map_err(|_| InvalidRequest::Signature { part })?;
    let mut extensions = request.requested_extensions().into_iter().flatten();
    let (Some(ParsedExtension::SubjectAlternativeName(names)), None) = (extensions.next(), extensions.next()) else {
        return Err(InvalidRequest::Names);
    };
    let [GeneralName::DNSName(name)] = names.general_names.as_slice() else {
        return Err(InvalidRequest::Names);
    };
    Ok((
        request.certification_request_info.subject_pki.raw.to_vec(),
        (*name).to_owned(),
    ))
}

fn key_of<const N: usize>(
    part: &'static str,
    expected: &'static str,
    spki: &[u8],
    read: impl Fn(&x509_parser::x509::SubjectPublicKeyInfo<'_>) -> Option<[u8; N]>,
) -> Result<[u8; N], InvalidRequest> {
    let spki =
        x509_parser::x509::SubjectPublicKeyInfo::from_der(spki).map_err(|_| InvalidRequest::Encoding { part })?;
    read(&spki.1).ok_or(InvalidRequest::Key { part, expected })
}

/// Trust domain, member and node out of `<member>.<td>` and `<node>.<member>.<td>`.
fn names(member_dns: &str, node_dns: &str) -> Option<(TrustDomain, MemberId, NodeName)> {
    let (node, rest) = node_dns.split_once('.')?;
    let (member, trust_domain) = member_dns.split_once('.')?;
    let id: MemberId = member.to_ascii_uppercase().parse().ok()?;
    // Capital letters would come back as another member's small ones.
    (rest == member_dns && id.dns_label() == member).then_some(())?;
    Some((trust_domain.parse().ok()?, id, node.parse().ok()?))
}
