//! How each kind of certificate and the revocation list are made. All names and dates are set here; nothing but keys
//! is taken over from a request.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, NameConstraints,
    PublicKeyData, SanType,
};

use super::{AuthorityRequest, IssueError};
use crate::{
    MemberId, Role, TrustDomain, Validity,
    certificate::{
        AuthorityCertificate, AuthorityKind, Fingerprint, InvalidCertificate, MemberCertificate, NodeCertificate,
        Serial,
    },
    enrolment::EnrolmentRequest,
    key::TlsKey,
    revocation::{Revocation, RevocationList},
};

pub(super) fn root(
    trust_domain: &TrustDomain,
    member: &MemberId,
    key: &TlsKey,
    validity: Validity,
) -> Result<AuthorityCertificate, IssueError> {
    let mut params = authority_params(AuthorityKind::Root, trust_domain, member, key, validity);
    params.serial_number = Some(serial(key, key, &params));
    Ok(AuthorityCertificate::parse(params.self_signed(key)?.into())?)
}

pub(super) fn intermediate(
    authority: &AuthorityCertificate,
    key: &TlsKey,
    request: &AuthorityRequest,
    region: &[MemberId],
    validity: Validity,
) -> Result<AuthorityCertificate, IssueError> {
    let domain = request.trust_domain();
    let mut params = authority_params(
        AuthorityKind::Intermediate,
        domain,
        request.member(),
        request.key(),
        validity,
    );
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: region
            .iter()
            .map(|member| GeneralSubtree::DnsName(domain.member_dns(member)))
            .collect(),
        excluded_subtrees: Vec::new(),
    });
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(serial(key, request.key(), &params));
    Ok(AuthorityCertificate::parse(
        params.signed_by(request.key(), &issuer(authority, key)?)?.into(),
    )?)
}

pub(super) fn member(
    authority: &AuthorityCertificate,
    key: &TlsKey,
    request: &EnrolmentRequest,
    role: Role,
    validity: Validity,
) -> Result<MemberCertificate, IssueError> {
    let (domain, member) = (request.trust_domain(), request.member());
    let mut params = leaf_params(domain, member, member.as_str(), validity);
    params.subject_alt_names = vec![
        dns(&domain.member_dns(member))?,
        uri(&domain.member_spiffe(member, role))?,
    ];
    params.serial_number = Some(serial(key, request.member_spki(), &params));
    let certificate = params.signed_by(request.member_spki(), &issuer(authority, key)?)?;
    Ok(MemberCertificate::parse(certificate.into())?)
}

pub(super) fn node(
    authority: &AuthorityCertificate,
    key: &TlsKey,
    request: &EnrolmentRequest,
    role: Role,
    validity: Validity,
) -> Result<NodeCertificate, IssueError> {
    let (domain, member, node) = (request.trust_domain(), request.member(), request.node());
    let mut params = leaf_params(domain, member, node.as_str(), validity);
    let no_peer = InvalidCertificate::Names("the libp2p identity is not of an Ed25519 key");
    let peer_dns = domain.peer_dns(member, &request.peer_id()).ok_or(no_peer)?;
    params.subject_alt_names = vec![
        dns(&domain.node_dns(member, node))?,
        dns(&peer_dns)?,
        uri(&domain.node_spiffe(member, node, role))?,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(serial(key, request.node_spki(), &params));
    let certificate = params.signed_by(request.node_spki(), &issuer(authority, key)?)?;
    Ok(NodeCertificate::parse(certificate.into())?)
}

pub(super) fn revocation_list(
    authority: &AuthorityCertificate,
    key: &TlsKey,
    number: u64,
    revoked: &[Revocation],
    validity: Validity,
) -> Result<RevocationList, IssueError> {
    let params = CertificateRevocationListParams {
        this_update: validity.not_before(),
        next_update: validity.not_after(),
        crl_number: number.into(),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(Revocation::to_rcgen).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(RevocationList::parse(
        params.signed_by(&issuer(authority, key)?)?.into(),
    )?)
}

fn issuer<'a>(authority: &AuthorityCertificate, key: &'a TlsKey) -> Result<Issuer<'static, &'a TlsKey>, rcgen::Error> {
    Issuer::from_ca_cert_der(authority.der(), key)
}

fn authority_params(
    kind: AuthorityKind,
    trust_domain: &TrustDomain,
    member: &MemberId,
    key: &impl PublicKeyData,
    validity: Validity,
) -> CertificateParams {
    let mut params = dated(validity);
    // The key's id stands in the name, because revocation lists find their authority by name only: two keys of one
    // authority that overlap while one is replaced must not share it.
    let fingerprint = Fingerprint::of(key.der_bytes());
    let id: String = fingerprint
        .as_bytes()
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    params.distinguished_name = subject(trust_domain, member, &format!("icomm {} {id}", kind.as_str()));
    let path_length = match kind {
        AuthorityKind::Root => 1,
        AuthorityKind::Intermediate => 0,
    };
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf_params(trust_domain: &TrustDomain, member: &MemberId, name: &str, validity: Validity) -> CertificateParams {
    let mut params = dated(validity);
    params.distinguished_name = subject(trust_domain, member, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

/// Parameters whose dates are set; rcgen's own run from 1975 to 4096.
fn dated(validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = validity.not_before();
    params.not_after = validity.not_after();
    params
}

pub(super) fn subject(trust_domain: &TrustDomain, member: &MemberId, name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, trust_domain.as_str());
    subject.push(DnType::OrganizationalUnitName, member.as_str());
    subject.push(DnType::CommonName, name);
    subject
}

pub(crate) fn dns(name: &str) -> Result<SanType, rcgen::Error> {
    Ok(SanType::DnsName(name.try_into()?))
}

fn uri(name: &str) -> Result<SanType, rcgen::Error> {
    Ok(SanType::URI(name.try_into()?))
}

/// A serial number out of all that makes the certificate differ from others.
fn serial(authority: &TlsKey, subject: &impl PublicKeyData, params: &CertificateParams) -> rcgen::SerialNumber {
    let dates = [params.not_before.unix_timestamp(), params.not_after.unix_timestamp()]
        .map(i64::to_be_bytes)
        .concat();
    // The parameters' text form has no promise of stability; here it only has to differ where the content does.
    let content = format!(
        "{:?}",
        (&params.subject_alt_names, &params.name_constraints, &params.is_ca)
    );
    Serial::of_content(&[authority.der_bytes(), subject.der_bytes(), &dates, content.as_bytes()])
        .as_be_bytes()
        .to_vec()
        .into()
}
