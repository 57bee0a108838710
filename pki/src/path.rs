//! From a member's certificate up to the root, for those who have nothing but the root: a court with a file.
//!
//! A node checks its peers against the trust bundle of the day ([`VerifiedBundle`]), revocation included. Here neither
//! bundle nor revocation list is at hand, and the day may be long past: what is checked is who certified whom, for what
//! and from when to when. Whether something was revoked since, the file can't say.

use rustls_pki_types::CertificateDer;
use thiserror::Error;
use time::OffsetDateTime;

use crate::{
    AuthorityCertificate, AuthorityKind, FormerKey, InvalidCertificate, InvalidPath, MemberCertificate, MemberId,
    MemberPublicKey, Validity, VerifiedBundle, authority::may_certify,
};

/// A member's certificate, and that of the regional authority that issued it, if the root did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPath {
    member: MemberCertificate,
    intermediate: Option<AuthorityCertificate>,
}

/// Why certificates are not a member's path to the root. The fault of whoever put them together, or forged one.
#[derive(Debug, Error)]
pub enum InvalidMemberPath {
    /// Not a member's certificate and at most one authority's.
    #[error("a path has the member's certificate and at most one authority's, not {0} certificates")]
    Length(usize),
    /// One of them has not the profile that it must have.
    #[error("certificate {0} of the path, the member's being 0, can't be used")]
    Certificate(usize, #[source] InvalidCertificate),
    /// It ends elsewhere than at the root that is trusted.
    #[error("the path of `{member}` does not end at the trusted root")]
    Root {
        /// Whose path.
        member: MemberId,
        /// Where it breaks.
        source: InvalidPath,
    },
}

impl MemberPath {
    /// The path of a member in the directory of a bundle; `None` if it is not there.
    pub fn of(member: &MemberId, bundle: &VerifiedBundle) -> Option<Self> {
        Some(Self::above(bundle.member(member)?.certificate.clone(), bundle))
    }

    /// The path of one of a member's keys, the current or a former one; `None` if the member is not in the directory or the
    /// key is none of its.
    pub fn of_key(member: &MemberId, key: &MemberPublicKey, bundle: &VerifiedBundle) -> Option<Self> {
        let entry = bundle.member(member)?;
        let former = entry.keys.former().iter().map(FormerKey::certificate);
        let mut certificates = std::iter::once(&entry.certificate).chain(former);
        let certificate = certificates.find(|certificate| certificate.key() == *key)?;
        Some(Self::above(certificate.clone(), bundle))
    }

    fn above(member: MemberCertificate, bundle: &VerifiedBundle) -> Self {
        let intermediate = bundle
            .intermediates()
            .iter()
            .find(|authority| authority.issued(member.der(), member.issuer()))
            .cloned();
        Self { member, intermediate }
    }

    /// Reads the certificates of a path, the member's first. Nothing is verified yet.
    ///
    /// # Errors
    /// They are too few or too many, or one has not the profile of its place.
    pub fn parse(certificates: Vec<CertificateDer<'static>>) -> Result<Self, InvalidMemberPath> {
        let length = certificates.len();
        let mut certificates = certificates.into_iter();
        let (Some(member), intermediate, None) = (certificates.next(), certificates.next(), certificates.next()) else {
            return Err(InvalidMemberPath::Length(length));
        };
        let member = MemberCertificate::parse(member).map_err(|error| InvalidMemberPath::Certificate(0, error))?;
        let intermediate = intermediate
            .map(AuthorityCertificate::parse)
            .transpose()
            .map_err(|error| InvalidMemberPath::Certificate(1, error))?;
        Ok(Self { member, intermediate })
    }

    /// The certificates, the member's first; the root's is not among them.
    pub fn certificates(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        let intermediate = self.intermediate.iter().map(AuthorityCertificate::der);
        std::iter::once(self.member.der()).chain(intermediate)
    }

    /// Verifies every signature up to `root`, and that each authority may certify what it did. Gives the member's
    /// certificate, which then says whose key it is.
    ///
    /// Dates are for the caller to compare with the moment in question: see [`validities`](Self::validities).
    ///
    /// # Errors
    /// The path does not lead to `root`.
    pub fn verify(&self, root: &AuthorityCertificate) -> Result<&MemberCertificate, InvalidMemberPath> {
        let refused = |source| InvalidMemberPath::Root {
            member: self.member.member().clone(),
            source,
        };
        let issuer = match &self.intermediate {
            None => root,
            Some(intermediate) => {
                if intermediate.kind() != AuthorityKind::Intermediate
                    || intermediate.trust_domain() != root.trust_domain()
                    || !intermediate.is_issued_by(root)
                {
                    return Err(refused(InvalidPath::UnknownIssuer));
                }
                intermediate
            }
        };
        if root.kind() != AuthorityKind::Root || self.member.trust_domain() != root.trust_domain() {
            return Err(refused(InvalidPath::UnknownIssuer));
        }
        if !issuer.issued(self.member.der(), self.member.issuer()) {
            return Err(refused(InvalidPath::Signature));
        }
        let (member, role) = (self.member.member(), self.member.role());
        if !issuer.permits(member) {
            let (authority, member) = (issuer.member().clone(), member.clone());
            return Err(refused(InvalidPath::OutsideRegion { authority, member }));
        }
        if !may_certify(issuer.kind(), role) {
            return Err(refused(InvalidPath::RoleNeedsRoot { role }));
        }
        Ok(&self.member)
    }

    /// From when to when each certificate of the path counts, the member's first.
    pub fn validities(&self) -> impl Iterator<Item = Validity> {
        let intermediate = self.intermediate.iter().map(AuthorityCertificate::validity);
        std::iter::once(self.member.validity()).chain(intermediate)
    }

    /// Whether all certificates of the path count at `moment`.
    pub fn counts_at(&self, moment: OffsetDateTime) -> bool {
        self.validities().all(|validity| validity.contains(moment))
    }
}
