//! The members of a simulated network, with real certificates, a real bundle and real agreements.

use std::collections::BTreeMap;

use icomm_pki::{
    Authority, AuthorityKey, CLOCK_SKEW_MAX, EnrolmentRequest, Listing, MemberId, MemberKey, NodeCredentials, NodeKey,
    Role, TrustBundle, TrustDomain, Validity, VerifiedBundle,
};
use icomm_policy::agreement;
use icomm_policy::{Agreement, SignedAgreement};
use icomm_proto::v1;
use time::{Duration, OffsetDateTime, macros::datetime};

/// When every simulation begins.
pub const START: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

/// A member to be: name, role and the offices whose regions it belongs to.
pub type Entrant<'a> = (&'a str, Role, &'a [&'a str]);

/// Certified members and the bundle that lists them.
pub struct Members {
    credentials: BTreeMap<MemberId, NodeCredentials>,
    bundle: Vec<u8>,
    root: Authority,
}

impl Members {
    /// Certifies them all under one root. Member keys are made of the position, so that runs can be compared.
    pub fn certify(entrants: &[Entrant<'_>]) -> Self {
        let domain: TrustDomain = name("sim.icomm.example");
        let days = |days| sure(Validity::days(START, days));
        let key = sure(AuthorityKey::generate());
        let root = sure(Authority::root(&domain, &name("WCO"), key, days(3650)));
        let mut credentials = BTreeMap::new();
        let mut listings = Vec::new();
        for (position, (member, role, regions)) in (1..).zip(entrants) {
            let (member_key, node_key) = (MemberKey::from_seed(&[position; 32]), sure(NodeKey::generate()));
            let id: MemberId = name(member);
            let request = sure(EnrolmentRequest::new(&domain, &id, &name("n1"), &member_key, &node_key));
            let enrolment = sure(root.issue(&request, *role, days(365)));
            let regions = regions.iter().map(|region| name(region)).collect();
            listings.push(Listing::new(&enrolment, regions, Vec::new()));
            credentials.insert(id, sure(NodeCredentials::new(enrolment, member_key, node_key)));
        }
        let mut bundle = TrustBundle::new(
            1,
            domain,
            root.certificate().der().clone(),
            START,
            START + Duration::days(30),
        );
        bundle.members = listings;
        let validity = sure(Validity::new(
            START - CLOCK_SKEW_MAX,
            root.certificate().validity().not_after(),
        ));
        bundle.revocation_lists = vec![sure(root.revocation_list(None, &[], validity))];
        let publisher = sure(
            credentials
                .get(&name::<MemberId>("WCO"))
                .ok_or("a network needs the WCO"),
        );
        let bundle = sure(bundle.sign(publisher.member(), publisher.member_key()));
        Self {
            credentials,
            bundle,
            root,
        }
    }

    /// Two administrations, their office and the WCO: what most scenarios need.
    pub fn of_one_region() -> Self {
        Members::certify(&[
            ("WCO", Role::Global, &[]),
            ("RILO-ESA", Role::Regional, &[]),
            ("KE", Role::National, &["RILO-ESA"]),
            ("UG", Role::National, &["RILO-ESA"]),
        ])
    }

    /// Keys and certificates of a member.
    pub fn credentials(&self, member: &MemberId) -> &NodeCredentials {
        sure(self.credentials.get(member).ok_or("not a member of the network"))
    }

    /// All of them.
    pub fn ids(&self) -> impl Iterator<Item = &MemberId> {
        self.credentials.keys()
    }

    /// The bundle, verified.
    pub fn bundle(&self) -> VerifiedBundle {
        sure(VerifiedBundle::verify(
            &self.bundle,
            self.root.certificate().der(),
            START,
            0,
        ))
    }

    /// A bilateral agreement after the template, signed by both.
    pub fn bilateral(&self, a: &str, b: &str) -> v1::Document {
        let text = agreement::bilateral(
            &name(&format!("{a}-{b}").to_lowercase()),
            &name(a),
            &name(b),
            name("2026-11-01"),
        );
        self.signed(&text)
    }

    /// A member's contribution to the global node after the template, signed by both.
    pub fn contribution(&self, member: &str) -> v1::Document {
        let id = name(&format!("{member}-wco").to_lowercase());
        self.signed(&agreement::contribution(
            &id,
            &name(member),
            &name("WCO"),
            name("2026-11-01"),
        ))
    }

    /// A regional agreement after the template, signed by all.
    pub fn regional(&self, office: &str, members: &[&str]) -> v1::Document {
        let members: Vec<MemberId> = members.iter().map(|member| name(member)).collect();
        self.signed(&agreement::regional(
            &name(&format!("{office}-region").to_lowercase()),
            &name(office),
            &members,
            name("2026-11-01"),
        ))
    }

    /// An agreement from its text, signed by all its parties.
    pub fn signed(&self, text: &str) -> v1::Document {
        let agreement = sure(Agreement::read(text));
        let parties: Vec<MemberId> = agreement.parties().cloned().collect();
        let mut signed = SignedAgreement::unsigned(agreement);
        for party in parties {
            sure(signed.sign(&party, self.credentials(&party).member_key()));
        }
        v1::Document {
            kind: v1::document::Kind::Agreement.into(),
            document: signed.to_bytes().into(),
        }
    }
}

/// A name that is known to be one.
pub fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Display,
{
    sure(text.parse())
}

/// A simulation sets itself up from what it knows to be right; anything else is a fault of the simulation.
#[expect(clippy::panic, reason = "a simulation that can't be set up has no result")]
pub(crate) fn sure<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("the simulation is set up wrongly: {error}"))
}
