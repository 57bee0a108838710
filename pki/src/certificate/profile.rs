//! The rules that all kinds of certificates share, on top of what webpki checks.
//!
//! webpki accepts an authority's revocation list without cRLSign, a leaf with keyCertSign, a missing extended key
//! usage or `any`. These rules do not: each certificate has exactly the extensions of its kind.

use rustls_pki_types::CertificateDer;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{BasicConstraints, ExtendedKeyUsage, GeneralName, NameConstraints, ParsedExtension},
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ED25519},
    prelude::FromDer,
    x509::{SubjectPublicKeyInfo, X509Version},
};

use super::{CERTIFICATE_BYTES_MAX, InvalidCertificate, Serial};
use crate::Validity;

/// The bits of a key usage as x509-parser numbers them.
pub(super) const DIGITAL_SIGNATURE: u16 = 1;
pub(super) const CERT_AND_CRL_SIGN: u16 = 1 << 5 | 1 << 6;

/// Reads DER that must be one whole certificate.
pub(super) fn read<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, InvalidCertificate> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(InvalidCertificate::TooLarge { bytes: der.len() });
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(InvalidCertificate::Encoding),
    }
}

/// What every kind of certificate has, checked.
pub(super) struct Common<'a> {
    pub(super) serial: Serial,
    pub(super) validity: Validity,
    pub(super) ca: Option<&'a BasicConstraints>,
    pub(super) extended_key_usage: Option<&'a ExtendedKeyUsage<'a>>,
    pub(super) names: &'a [GeneralName<'a>],
    pub(super) constraints: Option<&'a NameConstraints<'a>>,
    key_usage: u16,
    subject_key_id: Option<()>,
    authority_key_id: Option<()>,
}

impl<'a> Common<'a> {
    pub(super) fn check(certificate: &'a X509Certificate<'a>) -> Result<Self, InvalidCertificate> {
        let tbs = &certificate.tbs_certificate;
        if tbs.version != X509Version::V3 {
            return Err(InvalidCertificate::Version);
        }
        let algorithms = [&certificate.signature_algorithm, &tbs.signature];
        if algorithms
            .iter()
            .any(|a| a.algorithm != OID_SIG_ECDSA_WITH_SHA256 || a.parameters.is_some())
        {
            return Err(InvalidCertificate::SignatureAlgorithm);
        }
        let (not_before, not_after) = (
            tbs.validity.not_before.to_datetime(),
            tbs.validity.not_after.to_datetime(),
        );
        let mut common = Self {
            serial: Serial::from_be_bytes(tbs.raw_serial())?,
            validity: Validity::new(not_before, not_after).map_err(|_| InvalidCertificate::Validity)?,
            ca: None,
            extended_key_usage: None,
            names: &[],
            constraints: None,
            key_usage: 0,
            subject_key_id: None,
            authority_key_id: None,
        };
        common.read_extensions(certificate)?;
        Ok(common)
    }

    fn read_extensions(&mut self, certificate: &'a X509Certificate<'a>) -> Result<(), InvalidCertificate> {
        let (mut basic, mut usage, mut names, mut misplaced) = (None, None, None, None);
        for extension in certificate.extensions() {
            let mut must_be = |critical: bool, name| {
                if extension.critical != critical {
                    misplaced.get_or_insert(name);
                }
                name
            };
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(value) => once(&mut basic, value, must_be(true, "basicConstraints")),
                ParsedExtension::KeyUsage(value) => once(&mut usage, value.flags, must_be(true, "keyUsage")),
                ParsedExtension::NameConstraints(value) => {
                    once(&mut self.constraints, value, must_be(true, "nameConstraints"))
                }
                ParsedExtension::SubjectKeyIdentifier(_) => {
                    once(&mut self.subject_key_id, (), must_be(false, "subjectKeyIdentifier"))
                }
                ParsedExtension::AuthorityKeyIdentifier(_) => {
                    once(&mut self.authority_key_id, (), must_be(false, "authorityKeyIdentifier"))
                }
                ParsedExtension::ExtendedKeyUsage(value) => once(&mut self.extended_key_usage, value, "extKeyUsage"),
                ParsedExtension::SubjectAlternativeName(value) => once(&mut names, value, "subjectAltName"),
                ParsedExtension::ParseError { .. } => Err(InvalidCertificate::Encoding),
                _ => Err(InvalidCertificate::UnknownExtension {
                    oid: extension.oid.to_id_string(),
                }),
            }?;
        }
        if let Some(name) = misplaced {
            return Err(InvalidCertificate::Criticality(name));
        }
        let missing = InvalidCertificate::MissingExtension;
        self.ca = Some(basic.ok_or(missing("basicConstraints"))?).filter(|basic| basic.ca);
        self.key_usage = usage.ok_or(missing("keyUsage"))?;
        self.subject_key_id.ok_or(missing("subjectKeyIdentifier"))?;
        // Only who signs his own certificate needs not say whose key that is.
        if certificate.subject() != certificate.issuer() {
            self.authority_key_id.ok_or(missing("authorityKeyIdentifier"))?;
        }
        self.names = names.map(|names| names.general_names.as_slice()).unwrap_or_default();
        Ok(())
    }

    /// The key usage must be these bits and no other.
    pub(super) fn key_usage_is(&self, bits: u16, expected: &'static str) -> Result<(), InvalidCertificate> {
        if self.key_usage == bits {
            Ok(())
        } else {
            Err(InvalidCertificate::KeyUsage { expected })
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T, name: &'static str) -> Result<(), InvalidCertificate> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(InvalidCertificate::RepeatedExtension(name)),
    }
}

/// The uncompressed point of a P-256 key: 0x04, x, y.
pub(crate) fn p256_point(key: &SubjectPublicKeyInfo<'_>) -> Option<[u8; 65]> {
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let is_p256 = key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == OID_EC_P256;
    let point: [u8; 65] = key.subject_public_key.data.as_ref().try_into().ok()?;
    (is_p256 && key.subject_public_key.unused_bits == 0 && point.starts_with(&[4])).then_some(point)
}

/// The bytes of an Ed25519 key.
pub(crate) fn ed25519_bytes(key: &SubjectPublicKeyInfo<'_>) -> Option<[u8; 32]> {
    let is_ed25519 = key.algorithm.algorithm == OID_SIG_ED25519 && key.algorithm.parameters.is_none();
    let bytes: [u8; 32] = key.subject_public_key.data.as_ref().try_into().ok()?;
    (is_ed25519 && key.subject_public_key.unused_bits == 0).then_some(bytes)
}
