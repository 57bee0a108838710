//! The authorities of a network and their revocation lists: is this certificate, at this time, theirs?
//!
//! webpki checks signatures, dates, names against permitted subtrees, and revocation along the whole path. What it
//! accepts and we must not is refused by types ([`AuthorityCertificate`], [`RevocationList`]) and here: an expired
//! root, an intermediate that the bundle does not name, a role that an intermediate may not give.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, RootCertStore,
    crypto::aws_lc_rs,
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};
use thiserror::Error;
use time::OffsetDateTime;

use crate::{
    MemberId, Role,
    authority::may_certify,
    certificate::{AuthorityCertificate, AuthorityKind, MemberCertificate, NodeCertificate},
    revocation::{InvalidRevocationList, RevocationList},
};

/// The most intermediate authorities that a network may have.
pub const INTERMEDIATES_MAX: usize = 64;

/// Why a certificate is not, at this time, one of the network's.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum InvalidPath {
    /// No authority of the bundle has the issuer's name.
    #[error("it is issued by an authority that the trust bundle does not name")]
    UnknownIssuer,
    /// The root's own certificate does not count at this time.
    #[error("the root certificate does not count at this time")]
    RootDates,
    /// The issuer may not certify this member.
    #[error("the authority of `{authority}` may not certify `{member}`: not in its region")]
    OutsideRegion {
        /// Who runs the authority.
        authority: MemberId,
        /// Who is certified.
        member: MemberId,
    },
    /// The issuer may not give this role.
    #[error("only the root certifies a member as `{role}`")]
    RoleNeedsRoot {
        /// The role.
        role: Role,
    },
    /// It, or its issuer's certificate, has expired.
    #[error("it or its authority's certificate has expired")]
    Expired,
    /// It, or its issuer's certificate, does not count yet.
    #[error("it or its authority's certificate does not count yet")]
    NotYetValid,
    /// It, or its issuer's certificate, was revoked.
    #[error("it or its authority's certificate was revoked")]
    Revoked,
    /// An authority's revocation list has expired, so that nobody knows.
    #[error("its authority's revocation list has expired; the authority must publish a new one")]
    RevocationListExpired,
    /// A signature in the path does not fit.
    #[error("it is not signed by the authority that it names")]
    Signature,
    /// Something else that webpki refuses.
    #[error("its path is refused: {0}")]
    Refused(CertificateError),
}

impl From<rustls::Error> for InvalidPath {
    fn from(error: rustls::Error) -> Self {
        use CertificateError as E;
        match error {
            rustls::Error::InvalidCertificate(error) => match error {
                E::Expired | E::ExpiredContext { .. } => Self::Expired,
                E::NotValidYet | E::NotValidYetContext { .. } => Self::NotYetValid,
                E::Revoked => Self::Revoked,
                E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => Self::RevocationListExpired,
                E::UnknownIssuer => Self::UnknownIssuer,
                E::BadSignature => Self::Signature,
                other => Self::Refused(other),
            },
            _ => Self::Refused(E::ApplicationVerificationFailure),
        }
    }
}

/// Why authorities and revocation lists don't make a trust.
#[derive(Debug, Error)]
pub enum InvalidTrust {
    /// The root is none, or an intermediate is none, or of another network.
    #[error("the authority of `{0}` is not what its place demands: one root, then its intermediates, of one network")]
    Place(MemberId),
    /// More than [`INTERMEDIATES_MAX`].
    #[error("{0} intermediate authorities, more than {INTERMEDIATES_MAX}")]
    TooMany(usize),
    /// The root did not issue the intermediate.
    #[error("the intermediate authority of `{0}` is not issued by the root")]
    NotIssuedByRoot(MemberId),
    /// Two authorities with one name, or two lists of one authority.
    #[error("the authority of `{0}` or its revocation list is named twice")]
    Twice(MemberId),
    /// An authority without a revocation list.
    #[error("there is no revocation list of the authority of `{0}`")]
    NoList(MemberId),
    /// A list that no named authority issued.
    #[error("revocation list number {number} is of no authority that the trust bundle names")]
    ForeignList {
        /// The list's number.
        number: u64,
    },
    /// A list that its authority did not sign.
    #[error("the revocation list of the authority of `{authority}` can't be used")]
    List {
        /// Whose list.
        authority: MemberId,
        /// What is wrong with it.
        source: InvalidRevocationList,
    },
    /// webpki does not take the root or a list.
    #[error("the root or a revocation list is refused")]
    Webpki(#[from] VerifierBuilderError),
    /// webpki does not take the root.
    #[error("the root is refused")]
    Root(#[from] rustls::Error),
}

/// A root, its intermediates, and a revocation list of each.
pub(crate) struct Trust {
    root: AuthorityCertificate,
    intermediates: Vec<AuthorityCertificate>,
    lists: Vec<RevocationList>,
    intermediate_ders: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// What of a member's or node's certificate the path depends on.
struct Leaf<'a> {
    der: &'a CertificateDer<'static>,
    issuer: &'a [u8],
    member: &'a MemberId,
    role: Role,
}

impl Trust {
    pub(crate) fn new(
        root: AuthorityCertificate,
        intermediates: Vec<AuthorityCertificate>,
        lists: Vec<RevocationList>,
    ) -> Result<Self, InvalidTrust> {
        if intermediates.len() > INTERMEDIATES_MAX {
            return Err(InvalidTrust::TooMany(intermediates.len()));
        }
        if root.kind() != AuthorityKind::Root {
            return Err(InvalidTrust::Place(root.member().clone()));
        }
        for (at, intermediate) in intermediates.iter().enumerate() {
            let member = || intermediate.member().clone();
            let in_place = intermediate.kind() == AuthorityKind::Intermediate
                && intermediate.trust_domain() == root.trust_domain();
            if !in_place {
                return Err(InvalidTrust::Place(member()));
            }
            if !intermediate.is_issued_by(&root) {
                return Err(InvalidTrust::NotIssuedByRoot(member()));
            }
            if intermediates
                .iter()
                .take(at)
                .any(|other| other.subject() == intermediate.subject())
            {
                return Err(InvalidTrust::Twice(member()));
            }
        }
        check_lists(&root, &intermediates, &lists)?;

        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone())?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        // By default the whole path is checked, and an unknown status is refused; an expired list only with this.
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(lists.iter().map(|list| list.der().clone()))
            .enforce_revocation_expiration()
            .build()?;
        let intermediate_ders = intermediates
            .iter()
            .map(|intermediate| intermediate.der().clone())
            .collect();
        Ok(Self {
            root,
            intermediates,
            lists,
            intermediate_ders,
            verifier,
        })
    }

    pub(crate) fn root(&self) -> &AuthorityCertificate {
        &self.root
    }

    pub(crate) fn intermediates(&self) -> &[AuthorityCertificate] {
        &self.intermediates
    }

    pub(crate) fn lists(&self) -> &[RevocationList] {
        &self.lists
    }

    /// Checks a member's certificate.
    pub(crate) fn check_member(&self, member: &MemberCertificate, now: OffsetDateTime) -> Result<(), InvalidPath> {
        let (der, issuer, role) = (member.der(), member.issuer(), member.role());
        self.check(
            &Leaf {
                der,
                issuer,
                member: member.member(),
                role,
            },
            now,
        )
    }

    /// Checks a node's certificate.
    pub(crate) fn check_node(&self, node: &NodeCertificate, now: OffsetDateTime) -> Result<(), InvalidPath> {
        let (der, issuer, role) = (node.der(), node.issuer(), node.role());
        self.check(
            &Leaf {
                der,
                issuer,
                member: node.member(),
                role,
            },
            now,
        )
    }

    fn check(&self, leaf: &Leaf<'_>, now: OffsetDateTime) -> Result<(), InvalidPath> {
        // webpki takes the root for a bare key and never looks at its dates.
        if !self.root.validity().contains(now) {
            return Err(InvalidPath::RootDates);
        }
        let issuer = self.authorities().find(|authority| authority.subject() == leaf.issuer);
        let issuer = issuer.ok_or(InvalidPath::UnknownIssuer)?;
        if !issuer.permits(leaf.member) {
            let (authority, member) = (issuer.member().clone(), leaf.member.clone());
            return Err(InvalidPath::OutsideRegion { authority, member });
        }
        if !may_certify(issuer.kind(), leaf.role) {
            return Err(InvalidPath::RoleNeedsRoot { role: leaf.role });
        }
        // Only intermediates that the bundle names count, whatever else a peer sent along.
        self.verifier
            .verify_client_cert(leaf.der, &self.intermediate_ders, unix_time(now))?;
        Ok(())
    }

    fn authorities(&self) -> impl Iterator<Item = &AuthorityCertificate> {
        std::iter::once(&self.root).chain(&self.intermediates)
    }
}

/// Each authority has exactly one list, and has signed it.
fn check_lists(
    root: &AuthorityCertificate,
    intermediates: &[AuthorityCertificate],
    lists: &[RevocationList],
) -> Result<(), InvalidTrust> {
    for authority in std::iter::once(root).chain(intermediates) {
        let member = || authority.member().clone();
        let mut own = lists.iter().filter(|list| list.is_of(authority));
        let list = own.next().ok_or_else(|| InvalidTrust::NoList(member()))?;
        if own.next().is_some() {
            return Err(InvalidTrust::Twice(member()));
        }
        list.verify(authority).map_err(|source| InvalidTrust::List {
            authority: member(),
            source,
        })?;
    }
    let known = |list: &&RevocationList| std::iter::once(root).chain(intermediates).any(|a| list.is_of(a));
    match lists.iter().find(|list| !known(list)) {
        Some(foreign) => Err(InvalidTrust::ForeignList {
            number: foreign.number(),
        }),
        None => Ok(()),
    }
}

/// The moment as rustls counts it; what lies before 1970 is 1970.
fn unix_time(moment: OffsetDateTime) -> UnixTime {
    let seconds = u64::try_from(moment.unix_timestamp()).unwrap_or_default();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = f.debug_struct("Trust");
        printed
            .field("root", &self.root)
            .field("intermediates", &self.intermediates)
            .field("lists", &self.lists);
        printed.finish_non_exhaustive()
    }
}
