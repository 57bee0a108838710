//! The network's real public key infrastructure: a root authority at the global member, an intermediate at each office, and
//! every member enrolled by request. Only requests and certificates cross from one side to the other, as text.

use std::collections::BTreeMap;

use icomm_pki::{
    Authority, AuthorityKey, AuthorityRequest, BundleError, Enrolment, EnrolmentRequest, InvalidAuthority,
    InvalidAuthorityRequest, InvalidEnrolment, InvalidKey, InvalidRequest, InvalidValidity, IssueError, Listing,
    MemberId, MemberKey, NodeKey, NodeName, Revocation, RevocationList, RevocationReason, Role, TrustBundle,
    TrustDomain, Validity,
};
use thiserror::Error;
use time::{Duration, OffsetDateTime};

use super::plan::{Member, Plan};

/// How long the authorities of a network on one machine count.
const AUTHORITY_DAYS: u16 = 90;

/// How long everything that they issue counts.
const ISSUED_DAYS: u16 = 30;

/// The name of every member's one node.
const NODE_NAME: &str = "node1";

/// What went wrong while keys and certificates were made: all of them are our own doing.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The plan lists no global member; it was not checked.
    #[error("there is no global member to run the root authority")]
    NoRoot,
    /// There is no such member.
    #[error("`{0}` was not enrolled here")]
    Unknown(MemberId),
    /// A key.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// A name.
    #[error(transparent)]
    Name(#[from] icomm_pki::InvalidName),
    /// A validity.
    #[error(transparent)]
    Validity(#[from] InvalidValidity),
    /// An office's request.
    #[error(transparent)]
    AuthorityRequest(#[from] InvalidAuthorityRequest),
    /// An office's authority.
    #[error(transparent)]
    Authority(#[from] InvalidAuthority),
    /// A member's request.
    #[error(transparent)]
    Request(#[from] InvalidRequest),
    /// An enrolment.
    #[error(transparent)]
    Enrolment(#[from] InvalidEnrolment),
    /// A certificate or revocation list.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The trust bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// One member's keys and what the authority made of its request.
pub(super) struct Identity {
    pub(super) member_key: MemberKey,
    pub(super) node_key: NodeKey,
    pub(super) request: EnrolmentRequest,
    pub(super) enrolment: Enrolment,
    regions: Vec<MemberId>,
    addresses: Vec<String>,
}

/// An authority and its last revocation list.
struct Issuing {
    authority: Authority,
    list: RevocationList,
}

/// All authorities and identities of a network.
pub(super) struct Identities {
    trust_domain: TrustDomain,
    root: MemberId,
    authorities: BTreeMap<MemberId, Issuing>,
    members: BTreeMap<MemberId, Identity>,
    /// The version of the bundle that was signed last.
    version: u64,
}

impl Identities {
    /// Makes the authorities of a checked plan; members are enrolled one by one then.
    pub(super) fn new(plan: &Plan, now: OffsetDateTime) -> Result<Self, IdentityError> {
        let (domain, validity) = (&plan.trust_domain, Validity::days(now, AUTHORITY_DAYS)?);
        let root_member = &plan.root().ok_or(IdentityError::NoRoot)?.id;
        let root = Authority::root(domain, root_member, AuthorityKey::generate()?, validity)?;
        let mut authorities = BTreeMap::new();
        for office in plan.members.iter().filter(|member| member.role == Role::Regional) {
            let region: Vec<MemberId> = plan.region(&office.id).map(|member| member.id.clone()).collect();
            if region.is_empty() {
                continue;
            }
            let key = AuthorityKey::generate()?;
            let request = AuthorityRequest::new(&key, domain, &office.id)?.to_pem();
            let chain = root.certify(&AuthorityRequest::from_pem(&request)?, &region, validity)?;
            authorities.insert(office.id.clone(), Issuing::new(Authority::new(key, chain)?, now)?);
        }
        authorities.insert(root_member.clone(), Issuing::new(root, now)?);
        Ok(Self {
            trust_domain: domain.clone(),
            root: root_member.clone(),
            authorities,
            members: BTreeMap::new(),
            version: 0,
        })
    }

    /// Enrols a member: keys of its own, a request, the certificates that its authority issues.
    pub(super) fn enrol(
        &mut self,
        member: &Member,
        addresses: Vec<String>,
        now: OffsetDateTime,
    ) -> Result<(), IdentityError> {
        let (member_key, node_key) = (MemberKey::generate()?, NodeKey::generate()?);
        let name: NodeName = NODE_NAME.parse()?;
        let request = EnrolmentRequest::new(&self.trust_domain, &member.id, &name, &member_key, &node_key)?;
        let received = EnrolmentRequest::from_pem(&request.to_pem())?;
        let validity = Validity::days(now, ISSUED_DAYS)?;
        let issued = self
            .issuing(member)?
            .authority
            .issue(&received, member.role, validity)?;
        let identity = Identity {
            member_key,
            node_key,
            request,
            enrolment: Enrolment::from_pem(&issued.to_pem())?,
            regions: member.regions.iter().map(|region| region.office.clone()).collect(),
            addresses,
        };
        self.members.insert(member.id.clone(), identity);
        Ok(())
    }

    /// One member's identity.
    pub(super) fn of(&self, member: &MemberId) -> Result<&Identity, IdentityError> {
        self.members
            .get(member)
            .ok_or_else(|| IdentityError::Unknown(member.clone()))
    }

    /// The authority that a member runs, as PEM with its secret key.
    pub(super) fn authority_of(&self, member: &MemberId) -> Option<&Authority> {
        self.authorities.get(member).map(|issuing| &issuing.authority)
    }

    /// Revokes a member's node and member certificates; the next bundle says so.
    pub(super) fn revoke(&mut self, member: &Member, now: OffsetDateTime) -> Result<(), IdentityError> {
        let enrolment = &self.of(&member.id)?.enrolment;
        let serials = [
            enrolment.node_certificate().serial().clone(),
            enrolment.member_certificate().serial().clone(),
        ];
        let revocations = serials.map(|serial| Revocation {
            serial,
            at: now,
            reason: RevocationReason::KeyCompromise,
        });
        let issuer = self.issuer_of(member);
        let issuing = self
            .authorities
            .get_mut(&issuer)
            .ok_or(IdentityError::Unknown(issuer))?;
        issuing.list =
            issuing
                .authority
                .revocation_list(Some(&issuing.list), &revocations, Validity::days(now, ISSUED_DAYS)?)?;
        Ok(())
    }

    /// Signs the next version of the trust bundle, which counts for `lifetime`.
    pub(super) fn publish(&mut self, now: OffsetDateTime, lifetime: Duration) -> Result<Vec<u8>, IdentityError> {
        let root = self.authorities.get(&self.root).ok_or(IdentityError::NoRoot)?;
        let root_certificate = root.authority.certificate().der().clone();
        self.version += 1;
        let domain = self.trust_domain.clone();
        let mut bundle = TrustBundle::new(self.version, domain, root_certificate.clone(), now, now + lifetime);
        for issuing in self.authorities.values() {
            let certificate = issuing.authority.certificate().der();
            if *certificate != root_certificate {
                bundle.intermediates.push(certificate.clone());
            }
            bundle.revocation_lists.push(issuing.list.clone());
        }
        bundle.members = self.members.values().map(Identity::listing).collect();
        Ok(bundle.sign(&self.root, &self.of(&self.root)?.member_key)?)
    }

    /// The member whose authority certifies this one.
    fn issuer_of(&self, member: &Member) -> MemberId {
        let office = member.regions.first().map(|region| &region.office);
        office
            .filter(|office| self.authorities.contains_key(*office))
            .unwrap_or(&self.root)
            .clone()
    }

    fn issuing(&self, member: &Member) -> Result<&Issuing, IdentityError> {
        self.authorities
            .get(&self.issuer_of(member))
            .ok_or(IdentityError::NoRoot)
    }
}

impl Identity {
    fn listing(&self) -> Listing {
        Listing::new(&self.enrolment, self.regions.clone(), self.addresses.clone())
    }
}

impl Issuing {
    fn new(authority: Authority, now: OffsetDateTime) -> Result<Self, IdentityError> {
        let list = authority.revocation_list(None, &[], Validity::days(now, ISSUED_DAYS)?)?;
        Ok(Self { authority, list })
    }
}

#[cfg(test)]
mod tests {
    use icomm_pki::{MemberId, Role, VerifiedBundle};
    use time::{Duration, OffsetDateTime};

    use super::{Identities, Member, Plan};
    use crate::network::plan::{Basis, Reach, Region};

    fn member(id: &str, role: Role, office: Option<&str>) -> Member {
        let region = |office: &str| Region {
            office: office.parse().unwrap(),
            basis: Basis::Listed,
        };
        Member {
            id: id.parse().unwrap(),
            role,
            regions: office.map(region).into_iter().collect(),
            reach: Reach::Tls,
        }
    }

    #[test]
    fn everybody_is_in_the_bundle_until_revoked() {
        let now = OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap();
        let plan = Plan {
            trust_domain: "demo.icomm.example".parse().unwrap(),
            members: vec![
                member("ES", Role::National, Some("RILO-WE")),
                member("NG", Role::National, None),
                member("RILO-WE", Role::Regional, None),
                member("WCO", Role::Global, None),
            ],
            agreements: Vec::new(),
        };
        let mut identities = Identities::new(&plan, now).unwrap();
        for member in &plan.members {
            identities
                .enrol(member, vec!["tls://127.0.0.1:1".to_owned()], now)
                .unwrap();
        }
        let bytes = identities.publish(now, Duration::days(1)).unwrap();
        let wco: MemberId = "WCO".parse().unwrap();
        let root = identities.authority_of(&wco).unwrap().certificate().der().clone();
        let bundle = VerifiedBundle::verify(&bytes, &root, now, 0).unwrap();
        assert_eq!(bundle.members().len(), 4);
        assert_eq!(bundle.intermediates().len(), 1);
        assert_eq!(bundle.revocation_lists().len(), 2);
        let spain: MemberId = "ES".parse().unwrap();
        assert_eq!(
            bundle.member(&spain).unwrap().regions,
            ["RILO-WE".parse::<MemberId>().unwrap()]
        );

        identities.revoke(&plan.members[0], now).unwrap();
        let bytes = identities.publish(now, Duration::days(1)).unwrap();
        let bundle = VerifiedBundle::verify(&bytes, &root, now, 2).unwrap();
        assert!(bundle.member(&spain).is_none());
        assert_eq!(bundle.unusable().map(|(id, _)| id.clone()).collect::<Vec<_>>(), [spain]);
    }
}
