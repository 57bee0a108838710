//! Revocation lists: which certificates of an authority count no more.
//!
//! A list is complete (no deltas, no partitions), signed by the authority itself, and expires. The authority's next
//! list is made from its last one, so the list file is all the state that an authority keeps beside its key.

use std::{fmt, str::FromStr};

use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject};
use thiserror::Error;
use time::OffsetDateTime;
use x509_parser::{
    extensions::ParsedExtension,
    oid_registry::OID_SIG_ECDSA_WITH_SHA256,
    prelude::FromDer,
    revocation_list::CertificateRevocationList,
    x509::{ReasonCode, SubjectPublicKeyInfo},
};

use crate::{
    Validity,
    certificate::{AuthorityCertificate, Serial},
    pem,
};

/// The largest revocation list that is read, in bytes: some 20,000 revocations.
pub const REVOCATION_LIST_BYTES_MAX: usize = 1024 * 1024;

/// Why a revocation list is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidRevocationList {
    /// More than [`REVOCATION_LIST_BYTES_MAX`].
    #[error("the revocation list has {bytes} bytes, more than {REVOCATION_LIST_BYTES_MAX}")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// Not one `X509 CRL` block, or not DER of a list.
    #[error("the revocation list is not readable as an X.509 CRL")]
    Encoding,
    /// Signed otherwise than with ECDSA on P-256 and SHA-256.
    #[error("the revocation list is not signed with ECDSA P-256 and SHA-256")]
    SignatureAlgorithm,
    /// No number or no date of the next list, or dates in the wrong order.
    #[error("the revocation list lacks a number, or an end of its validity after its start")]
    Incomplete,
    /// A partial list, or one with an extension that we don't know or that must not be critical.
    #[error("the revocation list has an extension `{oid}` that the profile does not know, or not as critical")]
    UnknownExtension {
        /// The object identifier.
        oid: String,
    },
    /// An entry's serial number is none.
    #[error("the revocation list has an entry that is no serial number")]
    Entry,
    /// It names another issuer than the authority.
    #[error("the revocation list is not issued by this authority")]
    Issuer,
    /// The authority's key did not sign it.
    #[error("the revocation list is not signed by its authority's key")]
    Signature,
}

/// Why a certificate counts no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RevocationReason {
    /// No reason given.
    Unspecified,
    /// The key is, or may be, in foreign hands.
    KeyCompromise,
    /// The certified facts have changed.
    AffiliationChanged,
    /// A newer certificate stands in its place.
    Superseded,
    /// The node or member is no more.
    CessationOfOperation,
    /// The right was withdrawn.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// The reason as a word, such as `key-compromise`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    fn from_code(code: ReasonCode) -> Self {
        match code {
            ReasonCode::KeyCompromise => Self::KeyCompromise,
            ReasonCode::AffiliationChanged => Self::AffiliationChanged,
            ReasonCode::Superseded => Self::Superseded,
            ReasonCode::CessationOfOperation => Self::CessationOfOperation,
            ReasonCode::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
            _ => Self::Unspecified,
        }
    }

    fn to_rcgen(self) -> rcgen::RevocationReason {
        match self {
            Self::Unspecified => rcgen::RevocationReason::Unspecified,
            Self::KeyCompromise => rcgen::RevocationReason::KeyCompromise,
            Self::AffiliationChanged => rcgen::RevocationReason::AffiliationChanged,
            Self::Superseded => rcgen::RevocationReason::Superseded,
            Self::CessationOfOperation => rcgen::RevocationReason::CessationOfOperation,
            Self::PrivilegeWithdrawn => rcgen::RevocationReason::PrivilegeWithdrawn,
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is none of the [`RevocationReason`]s' words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "not a reason: unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation or \
     privilege-withdrawn"
)]
pub struct InvalidReason;

impl FromStr for RevocationReason {
    type Err = InvalidReason;

    fn from_str(text: &str) -> Result<Self, InvalidReason> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or(InvalidReason)
    }
}

/// One certificate that counts no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Which certificate.
    pub serial: Serial,
    /// When the authority revoked it, in whole seconds.
    pub at: OffsetDateTime,
    /// Why.
    pub reason: RevocationReason,
}

impl Revocation {
    pub(crate) fn to_rcgen(&self) -> rcgen::RevokedCertParams {
        rcgen::RevokedCertParams {
            serial_number: self.serial.as_be_bytes().to_vec().into(),
            revocation_time: self.at,
            reason_code: Some(self.reason.to_rcgen()),
            invalidity_date: None,
        }
    }
}

/// A revocation list that has the profile. Whether its authority signed it is checked by
/// [`verify`](Self::verify), and by every trust bundle that carries it.
#[derive(Clone, PartialEq, Eq)]
pub struct RevocationList {
    der: CertificateRevocationListDer<'static>,
    issuer: Vec<u8>,
    number: u64,
    validity: Validity,
    revoked: Vec<Revocation>,
}

impl RevocationList {
    /// Reads a list's DER.
    pub fn parse(der: CertificateRevocationListDer<'static>) -> Result<Self, InvalidRevocationList> {
        if der.len() > REVOCATION_LIST_BYTES_MAX {
            return Err(InvalidRevocationList::TooLarge { bytes: der.len() });
        }
        let Ok(([], list)) = CertificateRevocationList::from_der(&der) else {
            return Err(InvalidRevocationList::Encoding);
        };
        let algorithms = [&list.signature_algorithm, &list.tbs_cert_list.signature];
        if algorithms
            .iter()
            .any(|a| a.algorithm != OID_SIG_ECDSA_WITH_SHA256 || a.parameters.is_some())
        {
            return Err(InvalidRevocationList::SignatureAlgorithm);
        }
        for extension in list.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(_) | ParsedExtension::CRLNumber(_) if !extension.critical => {}
                // A list for some certificates or some reasons only would leave the others unchecked.
                _ => {
                    return Err(InvalidRevocationList::UnknownExtension {
                        oid: extension.oid.to_id_string(),
                    });
                }
            }
        }
        let number = list.crl_number().and_then(|number| number.try_into().ok());
        let number = number.ok_or(InvalidRevocationList::Incomplete)?;
        let next_update = list.next_update().ok_or(InvalidRevocationList::Incomplete)?;
        let validity = Validity::new(list.last_update().to_datetime(), next_update.to_datetime());
        let validity = validity.map_err(|_| InvalidRevocationList::Incomplete)?;
        let revoked = list.iter_revoked_certificates().map(|entry| {
            Ok(Revocation {
                serial: Serial::from_be_bytes(entry.raw_serial()).map_err(|_| InvalidRevocationList::Entry)?,
                at: entry.revocation_date.to_datetime(),
                reason: entry.reason_code().map_or(RevocationReason::Unspecified, |(_, code)| {
                    RevocationReason::from_code(code)
                }),
            })
        });
        let revoked = revoked.collect::<Result<_, _>>()?;
        let issuer = list.issuer().as_raw().to_vec();
        drop(list);
        Ok(Self {
            der,
            issuer,
            number,
            validity,
            revoked,
        })
    }

    /// Reads the one `X509 CRL` block of a PEM text.
    pub fn from_pem(text: &str) -> Result<Self, InvalidRevocationList> {
        let der = CertificateRevocationListDer::from_pem_slice(text.as_bytes());
        Self::parse(der.map_err(|_| InvalidRevocationList::Encoding)?)
    }

    /// One `X509 CRL` block.
    pub fn to_pem(&self) -> String {
        pem::block("X509 CRL", &self.der)
    }

    /// Checks that `authority` issued and signed the list. Dates are checked when the list is used.
    pub fn verify(&self, authority: &AuthorityCertificate) -> Result<(), InvalidRevocationList> {
        // That the authority may sign lists (cRLSign) is part of its certificate's type.
        if !self.is_of(authority) {
            return Err(InvalidRevocationList::Issuer);
        }
        let spki = rcgen::PublicKeyData::subject_public_key_info(authority);
        let (_, spki) = SubjectPublicKeyInfo::from_der(&spki).map_err(|_| InvalidRevocationList::Encoding)?;
        let (_, list) = CertificateRevocationList::from_der(&self.der).map_err(|_| InvalidRevocationList::Encoding)?;
        list.verify_signature(&spki)
            .map_err(|_| InvalidRevocationList::Signature)
    }

    /// Whether the list names this authority as its issuer.
    pub(crate) fn is_of(&self, authority: &AuthorityCertificate) -> bool {
        self.issuer == authority.subject()
    }

    /// The list's bytes.
    pub fn der(&self) -> &CertificateRevocationListDer<'static> {
        &self.der
    }

    /// The list's number, one more than that of the authority's list before.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// From when to when it counts.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The revoked certificates, in the order in which they were revoked.
    pub fn revoked(&self) -> &[Revocation] {
        &self.revoked
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = f.debug_struct("RevocationList");
        printed
            .field("number", &self.number)
            .field("validity", &self.validity)
            .field("revoked", &self.revoked);
        printed.finish_non_exhaustive()
    }
}
