//! A small network (WCO, RILO-ESA with KE and UG, ES directly under the root), and a forger who has its keys.

use icomm_pki::*;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType,
};
use time::{Duration, OffsetDateTime, macros::datetime};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

pub(crate) fn id(text: &str) -> MemberId {
    text.parse().unwrap()
}

pub(crate) fn days(days: u16) -> Validity {
    Validity::days(NOW, days).unwrap()
}

pub(crate) struct Network {
    pub(crate) domain: TrustDomain,
    pub(crate) root: Authority,
    pub(crate) regional: Authority,
    pub(crate) wco: NodeCredentials,
    pub(crate) hub: NodeCredentials,
    pub(crate) ke: NodeCredentials,
    pub(crate) ug: NodeCredentials,
    pub(crate) es: NodeCredentials,
    /// The same keys as rcgen takes them, for certificates that our own code would never issue.
    pub(crate) root_key: KeyPair,
    pub(crate) regional_key: KeyPair,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self::with_root_days(3650)
    }

    pub(crate) fn with_root_days(root_days: u16) -> Self {
        let domain: TrustDomain = "demo.icomm.example".parse().unwrap();
        let (root_key, regional_key) = (AuthorityKey::generate().unwrap(), AuthorityKey::generate().unwrap());
        let root = Authority::root(&domain, &id("WCO"), root_key.clone(), days(root_days)).unwrap();
        let request = AuthorityRequest::new(&regional_key, &domain, &id("RILO-ESA")).unwrap();
        let chain = root
            .certify(&request, &[id("KE"), id("UG")], days(root_days.min(1825)))
            .unwrap();
        let regional = Authority::new(regional_key.clone(), chain).unwrap();
        let year = root_days.min(365);
        let enrol = |authority: &Authority, member: &str, role| {
            let (member_key, node_key) = (MemberKey::generate().unwrap(), NodeKey::generate().unwrap());
            let node = "node1".parse().unwrap();
            let request = EnrolmentRequest::new(&domain, &id(member), &node, &member_key, &node_key).unwrap();
            let enrolment = authority.issue(&request, role, days(year)).unwrap();
            NodeCredentials::new(enrolment, member_key, node_key).unwrap()
        };
        Self {
            wco: enrol(&root, "WCO", Role::Global),
            hub: enrol(&root, "RILO-ESA", Role::Regional),
            ke: enrol(&regional, "KE", Role::National),
            ug: enrol(&regional, "UG", Role::National),
            es: enrol(&root, "ES", Role::National),
            root_key: KeyPair::from_pem(&root_key.to_pem()).unwrap(),
            regional_key: KeyPair::from_pem(&regional_key.to_pem()).unwrap(),
            domain,
            root,
            regional,
        }
    }

    /// A bundle without revocation lists.
    pub(crate) fn bare_bundle(&self) -> TrustBundle {
        let root = self.root.certificate().der().clone();
        let mut bundle = TrustBundle::new(1, self.domain.clone(), root, NOW, NOW + Duration::days(30));
        bundle.intermediates.push(self.regional.certificate().der().clone());
        let office = vec![id("RILO-ESA")];
        let listings = [
            (&self.wco, &[][..]),
            (&self.hub, &[]),
            (&self.ke, &office),
            (&self.ug, &office),
            (&self.es, &[]),
        ];
        bundle.members = listings
            .map(|(c, regions)| Listing::new(c.enrolment(), regions.to_vec(), vec![]))
            .to_vec();
        bundle.code_lists.insert("hs".into(), "2022".into());
        bundle
    }

    pub(crate) fn bundle(&self) -> TrustBundle {
        self.bundle_revoking(&[], &[])
    }

    /// A bundle in which root and regional authority have revoked certificates.
    pub(crate) fn bundle_revoking(&self, by_root: &[&Serial], by_regional: &[&Serial]) -> TrustBundle {
        let list = |authority: &Authority, serials: &[&Serial]| {
            let revoked = serials.iter().map(|serial| Revocation {
                serial: (*serial).clone(),
                at: NOW,
                reason: RevocationReason::KeyCompromise,
            });
            let ends = authority.certificate().validity().not_after();
            let validity = Validity::new(NOW - CLOCK_SKEW_MAX, ends).unwrap();
            authority
                .revocation_list(None, &revoked.collect::<Vec<_>>(), validity)
                .unwrap()
        };
        let mut bundle = self.bare_bundle();
        bundle.revocation_lists = vec![list(&self.root, by_root), list(&self.regional, by_regional)];
        bundle
    }

    pub(crate) fn sign(&self, bundle: &TrustBundle) -> Vec<u8> {
        bundle.sign(&id("WCO"), self.wco.member_key()).unwrap()
    }

    pub(crate) fn verify(&self, bytes: &[u8]) -> Result<VerifiedBundle, InvalidBundle> {
        VerifiedBundle::verify(bytes, self.root.certificate().der(), NOW, 0)
    }

    pub(crate) fn verified(&self) -> VerifiedBundle {
        self.verify(&self.sign(&self.bundle())).unwrap()
    }

    /// A certificate for the public key `of`, signed with the regional authority's key.
    pub(crate) fn forge(&self, of: &impl PublicKeyData, params: &CertificateParams) -> CertificateDer<'static> {
        forge(self.regional.certificate(), &self.regional_key, of, params)
    }

    /// The same, signed with the root's key.
    pub(crate) fn forge_by_root(&self, of: &impl PublicKeyData, params: &CertificateParams) -> CertificateDer<'static> {
        forge(self.root.certificate(), &self.root_key, of, params)
    }

    /// The parameters of KE's node certificate, as the regional authority sets them.
    pub(crate) fn node_params(&self) -> CertificateParams {
        let label = self.peer_label(&self.ke);
        let mut params = leaf_params(&[
            "node1.ke.demo.icomm.example",
            &format!("{label}.peer.ke.demo.icomm.example"),
        ]);
        params
            .subject_alt_names
            .push(uri("spiffe://demo.icomm.example/member/KE/node/node1/role/national"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params
    }

    /// The DNS label of a node's libp2p identity, read from its real certificate.
    pub(crate) fn peer_label(&self, node: &NodeCredentials) -> String {
        let der = node.enrolment().node_certificate().der();
        let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        let label = names.value.general_names.iter().find_map(|name| match name {
            x509_parser::extensions::GeneralName::DNSName(name) => name.split_once(".peer.").map(|(label, _)| label),
            _ => None,
        });
        label.unwrap().to_owned()
    }

    /// The P-256 key pair of a node.
    pub(crate) fn tls_key(&self, node: &NodeCredentials) -> KeyPair {
        // The first of the two PEM blocks.
        KeyPair::from_pem(&node.node_key().to_pem()).unwrap()
    }
}

pub(crate) fn forge(
    authority: &AuthorityCertificate,
    key: &KeyPair,
    of: &impl PublicKeyData,
    params: &CertificateParams,
) -> CertificateDer<'static> {
    let issuer = Issuer::from_ca_cert_der(authority.der(), key).unwrap();
    params.signed_by(of, &issuer).unwrap().into()
}

pub(crate) fn leaf_params(dns_names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "forged");
    (params.not_before, params.not_after) = (NOW - Duration::MINUTE, NOW + Duration::days(100));
    params.serial_number = Some(vec![0x11; 16].into());
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = dns_names.iter().map(|name| dns(name)).collect();
    params
}

pub(crate) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

pub(crate) fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}
