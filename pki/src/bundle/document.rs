//! The bundle as its publisher writes it: plain data, unchecked until it is signed and verified.

use std::{borrow::Cow, collections::BTreeMap};

use data_encoding::BASE64;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use time::OffsetDateTime;

use super::{BundleError, FORMAT, Handover, InvalidBundle, NodeEntry, Quorum, SignatureLine, VerifiedBundle};
use crate::{
    Domain, Enrolment, MemberId, MemberKey, Role, TrustDomain, revocation::RevocationList, validity::whole_seconds,
};

/// All that a trust bundle says. Its canonical form is compact JSON in the order of these fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustBundle {
    format: Cow<'static, str>,
    /// Grows by one or more with every bundle; nodes refuse to go back.
    pub version: u64,
    /// When it was made, in whole seconds.
    #[serde(with = "time::serde::rfc3339")]
    pub issued: OffsetDateTime,
    /// After this moment nodes authenticate nobody with it, in whole seconds.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// The network.
    pub trust_domain: TrustDomain,
    /// The root's certificate.
    #[serde(with = "base64_certificate")]
    pub root: CertificateDer<'static>,
    /// The certificates of the regional authorities.
    #[serde(with = "base64_certificates")]
    pub intermediates: Vec<CertificateDer<'static>>,
    /// The latest revocation list of the root and of each intermediate.
    #[serde(with = "base64_lists")]
    pub revocation_lists: Vec<RevocationList>,
    /// The directory.
    pub members: Vec<Listing>,
    /// Which version of which code list is in use: name to version.
    pub code_lists: BTreeMap<String, String>,
    /// How many witnesses settle a log; a majority of them where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
}

/// A member in the directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Who.
    pub id: MemberId,
    /// In which role; the member's certificate must say the same.
    pub role: Role,
    /// The member's certificate.
    #[serde(with = "base64_certificate")]
    pub certificate: CertificateDer<'static>,
    /// The regional offices whose regions the member belongs to.
    pub regions: Vec<MemberId>,
    /// The member's nodes.
    pub nodes: Vec<NodeEntry>,
    /// The keys that it signed with before this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<FormerListing>,
}

/// A key that a member signed with before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormerListing {
    /// The certificate that said whose it is; it may have expired or been revoked.
    #[serde(with = "base64_certificate")]
    pub certificate: CertificateDer<'static>,
    /// Up to where it counts; absent while the member still signs with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
}

impl Listing {
    /// The listing of an enrolled member with its one node. More nodes of the member are pushed onto `nodes`, its former
    /// keys onto `former`.
    pub fn new(enrolment: &Enrolment, regions: Vec<MemberId>, addresses: Vec<String>) -> Self {
        let (name, peer_id) = (enrolment.node_name().clone(), enrolment.peer_id());
        Self {
            id: enrolment.member().clone(),
            role: enrolment.role(),
            certificate: enrolment.member_certificate().der().clone(),
            regions,
            nodes: vec![NodeEntry {
                name,
                peer_id,
                addresses,
            }],
            former: Vec::new(),
        }
    }
}

impl TrustBundle {
    /// A bundle of the root alone: no intermediates, lists, members or code lists yet.
    pub fn new(
        version: u64,
        trust_domain: TrustDomain,
        root: CertificateDer<'static>,
        issued: OffsetDateTime,
        expires: OffsetDateTime,
    ) -> Self {
        Self {
            format: FORMAT.into(),
            version,
            issued: whole_seconds(issued),
            expires: whole_seconds(expires),
            trust_domain,
            root,
            intermediates: Vec::new(),
            revocation_lists: Vec::new(),
            members: Vec::new(),
            code_lists: BTreeMap::new(),
            quorum: None,
        }
    }

    /// Signs the bundle as `member`, who must be a global member of its directory, and checks it as every node will.
    /// Gives the signed bytes.
    pub fn sign(&self, member: &MemberId, key: &MemberKey) -> Result<Vec<u8>, BundleError> {
        let bytes = self.sign_unchecked(member, key)?;
        VerifiedBundle::verify(&bytes, &self.root, self.issued, self.version)?;
        Ok(bytes)
    }

    /// Signs without looking.
    fn sign_unchecked(&self, member: &MemberId, key: &MemberKey) -> Result<Vec<u8>, BundleError> {
        let document = serde_json::to_vec(self).map_err(BundleError::Encoding)?;
        let signature = key.sign(Domain::Bundle, &document)?;
        let line = serde_json::to_vec(&SignatureLine {
            member: member.clone(),
            signature,
        });
        Ok([&document[..], b"\n", &line.map_err(BundleError::Encoding)?, b"\n"].concat())
    }

    /// Reads the document of a signed bundle, for the publisher to make the next one from. Nothing is verified.
    pub fn from_signed(bytes: &[u8]) -> Result<Self, InvalidBundle> {
        let (document, _) = super::verified::split(bytes)?;
        Self::parse(document)
    }

    /// Reads a document in its one spelling.
    pub(super) fn parse(document: &[u8]) -> Result<Self, InvalidBundle> {
        let bundle: Self = serde_json::from_slice(document).map_err(|error| InvalidBundle::Encoding(Some(error)))?;
        if bundle.format != FORMAT {
            return Err(InvalidBundle::Format(bundle.format.chars().take(32).collect()));
        }
        let again = serde_json::to_vec(&bundle).map_err(|error| InvalidBundle::Encoding(Some(error)))?;
        if again == document {
            Ok(bundle)
        } else {
            Err(InvalidBundle::NotCanonical)
        }
    }
}

fn from_base64<'de, D: Deserializer<'de>>(text: &str) -> Result<Vec<u8>, D::Error> {
    BASE64
        .decode(text.as_bytes())
        .map_err(|_| D::Error::custom("not base64"))
}

mod base64_certificate {
    use super::*;

    pub(super) fn serialize<S: Serializer>(der: &CertificateDer<'_>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(der))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<CertificateDer<'static>, D::Error> {
        from_base64::<D>(&Cow::<str>::deserialize(de)?).map(Into::into)
    }
}

mod base64_certificates {
    use super::*;

    pub(super) fn serialize<S: Serializer>(ders: &[CertificateDer<'_>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ders.iter().map(|der| BASE64.encode(der)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<Vec<CertificateDer<'static>>, D::Error> {
        let texts = Vec::<Cow<'_, str>>::deserialize(de)?;
        texts
            .iter()
            .map(|text| from_base64::<D>(text).map(Into::into))
            .collect()
    }
}

mod base64_lists {
    use super::*;

    pub(super) fn serialize<S: Serializer>(lists: &[RevocationList], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(lists.iter().map(|list| BASE64.encode(list.der())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<Vec<RevocationList>, D::Error> {
        let texts = Vec::<Cow<'_, str>>::deserialize(de)?;
        let list =
            |text: &Cow<'_, str>| RevocationList::parse(from_base64::<D>(text)?.into()).map_err(D::Error::custom);
        texts.iter().map(list).collect()
    }
}
