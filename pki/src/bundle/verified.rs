//! A bundle that was checked: what everything else in a node asks about members.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use super::{
    BUNDLE_BYTES_MAX, CODE_LISTS_MAX, DirectoryEntry, FormerKey, InvalidBundle, InvalidDirectory, Listing, NodeEntry,
    Quorum, SignatureLine, TrustBundle,
    directory::{check_limits, check_listings},
};
use crate::{
    AuthorityCertificate, CLOCK_SKEW_MAX, Domain, Expiring, Expiry, MemberCertificate, MemberId, NodeCertificate,
    PeerId, Role, TrustDomain,
    revocation::RevocationList,
    trust::{InvalidPath, Trust},
};

/// A trust bundle whose signature, authorities, revocation lists and directory have all been checked.
pub struct VerifiedBundle {
    bytes: Vec<u8>,
    version: u64,
    issued: OffsetDateTime,
    expires: OffsetDateTime,
    publisher: MemberId,
    trust: Trust,
    members: BTreeMap<MemberId, DirectoryEntry>,
    /// Members whose certificate did not count when the bundle was verified.
    unusable: BTreeMap<MemberId, InvalidPath>,
    /// Which member and which of its nodes has this libp2p identity.
    peers: HashMap<PeerId, (MemberId, usize)>,
    code_lists: BTreeMap<String, String>,
    quorum: Option<Quorum>,
}

impl VerifiedBundle {
    /// Checks the bytes of a signed bundle against the root that the operator pinned, at a time, and against the
    /// highest version that the node has ever adopted (0 at first).
    pub fn verify(
        bytes: &[u8],
        pinned_root: &CertificateDer<'_>,
        now: OffsetDateTime,
        at_least_version: u64,
    ) -> Result<Self, InvalidBundle> {
        let (document, line) = split(bytes)?;
        let bundle = TrustBundle::parse(document)?;
        if bundle.root != *pinned_root {
            return Err(InvalidBundle::OtherRoot);
        }
        let trust = trust_of(&bundle)?;
        // The signature comes before all that costs more, so that a forger gets nothing computed for him.
        let publisher = check_signature(&bundle, &trust, document, line, now)?;
        check_times(&bundle, now)?;
        if bundle.version < at_least_version {
            return Err(InvalidBundle::Older {
                version: bundle.version,
                at_least: at_least_version,
            });
        }
        check_limits(&bundle.members)?;
        if bundle.code_lists.len() > CODE_LISTS_MAX {
            return Err(InvalidDirectory::TooMany {
                what: "code lists".into(),
                max: CODE_LISTS_MAX,
            }
            .into());
        }
        check_quorum(&bundle)?;
        Self::of_checked(bytes, bundle, trust, publisher, now)
    }

    /// Checks a bundle that came after this one. `None` when it is the same; an error when it is older, or has the
    /// same version but says something else.
    pub fn replaced_by(&self, bytes: &[u8], now: OffsetDateTime) -> Result<Option<Self>, InvalidBundle> {
        if bytes == self.bytes {
            return Ok(None);
        }
        let other = Self::verify(bytes, self.trust.root().der(), now, self.version)?;
        let same_version = other.version == self.version;
        match (same_version, split(bytes)?.0 == split(&self.bytes)?.0) {
            (true, false) => Err(InvalidBundle::Fork { version: other.version }),
            // Only the signature line differs: another global member signed the same document.
            (true, true) => Ok(None),
            (false, _) => Ok(Some(other)),
        }
    }

    fn of_checked(
        bytes: &[u8],
        bundle: TrustBundle,
        trust: Trust,
        publisher: MemberId,
        now: OffsetDateTime,
    ) -> Result<Self, InvalidBundle> {
        let certificates = bundle
            .members
            .iter()
            .map(|listing| Ok((member_certificate(&bundle, listing)?, former_keys(listing)?)));
        let certificates = certificates.collect::<Result<Vec<_>, InvalidBundle>>()?;
        check_listings(&bundle.members, &certificates)?;

        let (mut members, mut unusable, mut peers) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
        for (listing, (certificate, former)) in bundle.members.into_iter().zip(certificates) {
            // One member's expired or revoked certificate must not take the others' bundle away.
            if let Err(reason) = trust.check_member(&certificate, now) {
                unusable.insert(listing.id, reason);
                continue;
            }
            peers.extend(
                listing
                    .nodes
                    .iter()
                    .enumerate()
                    .map(|(at, node)| (node.peer_id, (listing.id.clone(), at))),
            );
            members.insert(listing.id.clone(), DirectoryEntry::new(listing, certificate, former));
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            version: bundle.version,
            issued: bundle.issued,
            expires: bundle.expires,
            publisher,
            trust,
            members,
            unusable,
            peers,
            code_lists: bundle.code_lists,
            quorum: bundle.quorum,
        })
    }

    /// The signed bytes, for keeping and for relaying.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The version, which never goes back.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it was made.
    pub fn issued(&self) -> OffsetDateTime {
        self.issued
    }

    /// After this moment it authenticates nobody.
    pub fn expires(&self) -> OffsetDateTime {
        self.expires
    }

    /// Whether it still counts, and its root does.
    pub fn is_live(&self, now: OffsetDateTime) -> bool {
        now <= self.expires && self.trust.root().validity().contains(now)
    }

    /// The global member that signed it.
    pub fn publisher(&self) -> &MemberId {
        &self.publisher
    }

    /// The network.
    pub fn trust_domain(&self) -> &TrustDomain {
        self.trust.root().trust_domain()
    }

    /// The root's certificate.
    pub fn root(&self) -> &AuthorityCertificate {
        self.trust.root()
    }

    /// The regional authorities' certificates.
    pub fn intermediates(&self) -> &[AuthorityCertificate] {
        self.trust.intermediates()
    }

    /// The revocation lists of root and intermediates.
    pub fn revocation_lists(&self) -> &[RevocationList] {
        self.trust.lists()
    }

    /// A member, if it is in the directory and its certificate counted when the bundle was verified.
    pub fn member(&self, id: &MemberId) -> Option<&DirectoryEntry> {
        self.members.get(id)
    }

    /// All members whose certificate counted, by id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &DirectoryEntry> {
        self.members.values()
    }

    /// The members that cosign the logs of others: regional and global ones.
    pub fn witnesses(&self) -> impl Iterator<Item = &DirectoryEntry> {
        self.members.values().filter(|entry| entry.role.is_witness())
    }

    /// How many of them settle a log of `originator`: as the bundle says, else more than half of those that may witness it.
    pub fn quorum_for(&self, originator: &MemberId) -> Quorum {
        let others = self.witnesses().filter(|entry| entry.id != *originator);
        self.quorum.unwrap_or_else(|| Quorum::majority_of(others.count()))
    }

    /// Members in the directory whose certificate did not count when the bundle was verified, and why.
    pub fn unusable(&self) -> impl ExactSizeIterator<Item = (&MemberId, &InvalidPath)> {
        self.unusable.iter()
    }

    /// Why this member is not usable, if it is listed and is not.
    pub(crate) fn unusable_because(&self, id: &MemberId) -> Option<&InvalidPath> {
        self.unusable.get(id)
    }

    /// Whose node has this libp2p identity.
    pub fn by_peer_id(&self, peer_id: &PeerId) -> Option<(&DirectoryEntry, &NodeEntry)> {
        let (member, at) = self.peers.get(peer_id)?;
        let entry = self.members.get(member)?;
        Some((entry, entry.nodes.get(*at)?))
    }

    /// The members of a regional office's region, by id; the office itself is not one of them.
    pub fn members_of_region<'a>(&'a self, office: &MemberId) -> impl Iterator<Item = &'a DirectoryEntry> + use<'a> {
        let office = office.clone();
        self.members
            .values()
            .filter(move |entry| entry.regions.contains(&office))
    }

    /// The version of a code list that the network uses.
    pub fn code_list(&self, name: &str) -> Option<&str> {
        self.code_lists.get(name).map(String::as_str)
    }

    /// When what expires, the earliest first: the bundle, its authorities, lists and members' certificates.
    pub fn expiries(&self) -> Vec<Expiry> {
        let root = self.trust.root();
        let mut expiries = vec![
            Expiry {
                at: self.expires,
                what: Expiring::Bundle,
            },
            Expiry {
                at: root.validity().not_after(),
                what: Expiring::Root,
            },
        ];
        for authority in self.trust.intermediates() {
            let what = Expiring::Intermediate(authority.member().clone());
            expiries.push(Expiry {
                at: authority.validity().not_after(),
                what,
            });
        }
        for list in self.trust.lists() {
            let authority = std::iter::once(root)
                .chain(self.trust.intermediates())
                .find(|a| list.is_of(a));
            let what = Expiring::RevocationList(authority.unwrap_or(root).member().clone());
            expiries.push(Expiry {
                at: list.validity().not_after(),
                what,
            });
        }
        for entry in self.members.values() {
            let what = Expiring::Member(entry.id.clone());
            expiries.push(Expiry {
                at: entry.certificate.validity().not_after(),
                what,
            });
        }
        expiries.sort();
        expiries
    }

    /// Checks a node's certificate against authorities and lists.
    pub(crate) fn check_node(&self, node: &NodeCertificate, now: OffsetDateTime) -> Result<(), InvalidPath> {
        self.trust.check_node(node, now)
    }
}

/// The document's line and the signature's, without their line ends.
pub(super) fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), InvalidBundle> {
    if bytes.len() > BUNDLE_BYTES_MAX {
        return Err(InvalidBundle::TooLarge { bytes: bytes.len() });
    }
    let mut lines = bytes
        .strip_suffix(b"\n")
        .ok_or(InvalidBundle::Encoding(None))?
        .split(|byte| *byte == b'\n');
    match (lines.next(), lines.next(), lines.next()) {
        (Some(document), Some(line), None) => Ok((document, line)),
        _ => Err(InvalidBundle::Encoding(None)),
    }
}

/// A quorum that all witnesses together don't reach would settle nothing, ever.
fn check_quorum(bundle: &TrustBundle) -> Result<(), InvalidBundle> {
    let roles = || {
        bundle
            .members
            .iter()
            .map(|listing| listing.role)
            .filter(|role| role.is_witness())
    };
    match bundle.quorum {
        Some(quorum) if quorum.witnesses == 0 || !quorum.is_reached_by(roles()) => Err(InvalidBundle::Quorum {
            asked: quorum,
            listed: roles().count(),
        }),
        _ => Ok(()),
    }
}

fn trust_of(bundle: &TrustBundle) -> Result<Trust, InvalidBundle> {
    let parse = |place: &str, der: &CertificateDer<'static>| {
        let wrong = |source| InvalidBundle::Certificate {
            place: place.to_owned(),
            source,
        };
        AuthorityCertificate::parse(der.clone()).map_err(wrong)
    };
    let root = parse("root", &bundle.root)?;
    if *root.trust_domain() != bundle.trust_domain {
        return Err(InvalidBundle::TrustDomain);
    }
    let intermediates = bundle.intermediates.iter().map(|der| parse("intermediate", der));
    Ok(Trust::new(
        root,
        intermediates.collect::<Result<_, _>>()?,
        bundle.revocation_lists.clone(),
    )?)
}

fn member_certificate(bundle: &TrustBundle, listing: &Listing) -> Result<MemberCertificate, InvalidBundle> {
    let wrong = |source| InvalidBundle::Certificate {
        place: listing.id.to_string(),
        source,
    };
    let certificate = MemberCertificate::parse(listing.certificate.clone()).map_err(wrong)?;
    if *certificate.trust_domain() != bundle.trust_domain {
        return Err(InvalidDirectory::OtherCertificate(listing.id.clone()).into());
    }
    Ok(certificate)
}

/// The keys that a member signed with before. Their certificates may have expired or been revoked since: that they were the
/// member's is the publisher's word, as is up to where they count.
fn former_keys(listing: &Listing) -> Result<Vec<FormerKey>, InvalidBundle> {
    let wrong = |source| InvalidBundle::Certificate {
        place: listing.id.to_string(),
        source,
    };
    let former = listing.former.iter().map(|former| {
        let certificate = MemberCertificate::parse(former.certificate.clone()).map_err(wrong)?;
        Ok(FormerKey::new(certificate, former.handover.clone()))
    });
    former.collect()
}

/// Checks that a global member of the directory signed the document. Gives who.
fn check_signature(
    bundle: &TrustBundle,
    trust: &Trust,
    document: &[u8],
    line: &[u8],
    now: OffsetDateTime,
) -> Result<MemberId, InvalidBundle> {
    let SignatureLine { member, signature } =
        serde_json::from_slice(line).map_err(|error| InvalidBundle::Encoding(Some(error)))?;
    let listing = bundle.members.iter().find(|listing| listing.id == member);
    let listing = listing.ok_or_else(|| InvalidBundle::UnknownSigner(member.clone()))?;
    let certificate = member_certificate(bundle, listing)?;
    // The certificate's word counts here: who forges a directory can write any role into it.
    let (named, role) = (certificate.member(), certificate.role());
    if *named != member || role != Role::Global {
        return Err(InvalidBundle::SignerNotGlobal { member, role });
    }
    trust
        .check_member(&certificate, now)
        .map_err(InvalidBundle::SignerPath)?;
    let verdict = certificate.key().verify(Domain::Bundle, document, &signature);
    verdict.map_err(|_| InvalidBundle::Signature)?;
    Ok(member)
}

fn check_times(bundle: &TrustBundle, now: OffsetDateTime) -> Result<(), InvalidBundle> {
    if bundle.expires < now || bundle.expires <= bundle.issued {
        return Err(InvalidBundle::Expired {
            expired: bundle.expires,
        });
    }
    if bundle.issued > now.saturating_add(CLOCK_SKEW_MAX) {
        return Err(InvalidBundle::NotYetIssued { issued: bundle.issued });
    }
    Ok(())
}

impl fmt::Debug for VerifiedBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = f.debug_struct("VerifiedBundle");
        printed
            .field("trust_domain", self.trust_domain())
            .field("version", &self.version);
        printed
            .field("expires", &self.expires)
            .field("members", &self.members.len())
            .finish_non_exhaustive()
    }
}
