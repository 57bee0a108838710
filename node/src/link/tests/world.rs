//! A network for tests: its authority, its members, and the bundles that it publishes as it changes.

use std::{collections::BTreeMap, sync::Arc};

use icomm_pki::{
    Authority, AuthorityKey, EnrolmentRequest, Listing, MemberId, MemberKey, NodeCredentials, NodeKey, Revocation,
    RevocationList, RevocationReason, Role, TrustBundle, TrustDomain, Validity, VerifiedBundle,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;

use crate::environment::Environment;
use crate::link::{Address, trust::Trust};

pub(in crate::link) struct World {
    domain: TrustDomain,
    root: Authority,
    wco: NodeCredentials,
    listed: BTreeMap<MemberId, Listing>,
    issued: BTreeMap<MemberId, Arc<NodeCredentials>>,
    revoked: RevocationList,
    version: u64,
}

fn days(days: u16) -> Validity {
    Validity::days(OffsetDateTime::now_utc(), days).unwrap()
}

fn role(member: &MemberId) -> Role {
    match member.as_str() {
        "WCO" => Role::Global,
        office if office.starts_with("RILO") => Role::Regional,
        _ => Role::National,
    }
}

fn enrol(root: &Authority, domain: &TrustDomain, member: &MemberId, validity: Validity) -> NodeCredentials {
    let (member_key, node_key) = (MemberKey::generate().unwrap(), NodeKey::generate().unwrap());
    let node = "node-1".parse().unwrap();
    let request = EnrolmentRequest::new(domain, member, &node, &member_key, &node_key).unwrap();
    let enrolment = root.issue(&request, role(member), validity).unwrap();
    NodeCredentials::new(enrolment, member_key, node_key).unwrap()
}

impl World {
    pub(in crate::link) fn new() -> Self {
        let domain: TrustDomain = "test.icomm.example".parse().unwrap();
        let wco_id: MemberId = "WCO".parse().unwrap();
        let root = Authority::root(&domain, &wco_id, AuthorityKey::generate().unwrap(), days(3_650)).unwrap();
        let wco = enrol(&root, &domain, &wco_id, days(365));
        let revoked = root.revocation_list(None, &[], days(365)).unwrap();
        let listed = BTreeMap::from([(wco_id, Listing::new(wco.enrolment(), Vec::new(), Vec::new()))]);
        Self {
            domain,
            root,
            wco,
            listed,
            issued: BTreeMap::new(),
            revoked,
            version: 0,
        }
    }

    /// A member with a node, in the directory.
    pub(in crate::link) fn enrol(&mut self, member: &str) -> Arc<NodeCredentials> {
        self.enrol_for(member, 300)
    }

    /// The same with certificates that hold for so many days.
    pub(in crate::link) fn enrol_for(&mut self, member: &str, validity: u16) -> Arc<NodeCredentials> {
        let member: MemberId = member.parse().unwrap();
        let credentials = Arc::new(enrol(&self.root, &self.domain, &member, days(validity)));
        self.listed.insert(
            member.clone(),
            Listing::new(credentials.enrolment(), Vec::new(), Vec::new()),
        );
        self.issued.insert(member, Arc::clone(&credentials));
        credentials
    }

    /// Publishes `addresses` in the directory from the next bundle on.
    pub(in crate::link) fn set_addresses(&mut self, member: &str, addresses: &[Address]) {
        let listing = self.listed.get_mut(&member.parse::<MemberId>().unwrap()).unwrap();
        listing.nodes[0].addresses = addresses.iter().map(Address::to_string).collect();
    }

    /// Takes a member out of the directory from the next bundle on.
    pub(in crate::link) fn unlist(&mut self, member: &str) {
        self.listed.remove(&member.parse::<MemberId>().unwrap()).unwrap();
    }

    /// Revokes a member's node certificate from the next bundle on.
    pub(in crate::link) fn revoke(&mut self, member: &str) {
        let credentials = &self.issued[&member.parse::<MemberId>().unwrap()];
        let revocation = Revocation {
            serial: credentials.enrolment().node_certificate().serial().clone(),
            at: OffsetDateTime::now_utc().replace_nanosecond(0).unwrap(),
            reason: RevocationReason::KeyCompromise,
        };
        self.revoked = self
            .root
            .revocation_list(Some(&self.revoked), &[revocation], days(365))
            .unwrap();
    }

    /// The next version of the bundle.
    pub(in crate::link) fn bundle(&mut self) -> Arc<VerifiedBundle> {
        self.version += 1;
        let now = OffsetDateTime::now_utc();
        let root = self.root.certificate().der().clone();
        let expires = now + time::Duration::days(30);
        let mut bundle = TrustBundle::new(self.version, self.domain.clone(), root.clone(), now, expires);
        bundle.revocation_lists.push(self.revoked.clone());
        bundle.members = self.listed.values().cloned().collect();
        let signed = bundle.sign(self.wco.member(), self.wco.member_key()).unwrap();
        Arc::new(VerifiedBundle::verify(&signed, &root, now, 0).unwrap())
    }

    /// A TLS client with these credentials that takes any server for good.
    pub(in crate::link) fn credulous_client(&mut self, credentials: &Arc<NodeCredentials>) -> Arc<ClientConfig> {
        let trust = Trust::new(Arc::clone(credentials), self.bundle(), Environment::system()).unwrap();
        let mut config = ClientConfig::clone(&trust.client_config());
        config.dangerous().set_certificate_verifier(Arc::new(Credulous));
        Arc::new(config)
    }
}

#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
