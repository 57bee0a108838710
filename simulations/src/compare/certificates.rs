//! Certificates for the links of peers: an authority of this run alone, and an identity for each end.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// How long a certificate counts: longer than any run.
const LIFETIME: Duration = Duration::days(7);

/// Signs the certificates of one run. ECDSA on P-256, as for icomm's own links.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

/// A certificate for `localhost` and 127.0.0.1, good for a server and for a client, with its key.
pub struct Identity {
    certificate: Certificate,
    key: KeyPair,
}

/// Where the files of an identity are, as a server's settings name them.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PKCS#8 PEM, readable by the owner alone.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// The cryptographic library fails.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = dated("comparison authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let issuer = Issuer::new(params, key);
        Ok(Self { issuer, certificate })
    }

    /// A new identity with that common name.
    ///
    /// # Errors
    /// The cryptographic library fails.
    pub fn issue(&self, name: &str) -> anyhow::Result<Identity> {
        let mut params = dated(name);
        params.subject_alt_names = vec![
            rcgen::SanType::DnsName("localhost".try_into()?),
            rcgen::SanType::IpAddress([127, 0, 0, 1].into()),
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate, key })
    }

    /// Its certificate, which both ends of a link trust.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Writes its certificate to `<folder>/authority.crt`.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let path = folder.join("authority.crt");
        fs::write(&path, self.certificate.pem()).with_context(|| format!("`{}` can't be written", path.display()))?;
        Ok(path)
    }
}

impl Identity {
    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The key.
    pub fn key(&self) -> &KeyPair {
        &self.key
    }

    /// Writes both to `<folder>/<name>.crt` and `.key`.
    ///
    /// # Errors
    /// They can't be written.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<Files> {
        let files = Files {
            certificate: folder.join(format!("{name}.crt")),
            key: folder.join(format!("{name}.key")),
        };
        let written = fs::write(&files.certificate, self.certificate.pem()).and_then(|()| self.write_key(&files.key));
        written.with_context(|| format!("`{}` can't be written", folder.display()))?;
        Ok(files)
    }

    fn write_key(&self, path: &Path) -> io::Result<()> {
        // Servers refuse a key that others can read.
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(self.key.serialize_pem().as_bytes())
    }
}

/// Parameters whose dates are set; rcgen's own run from 1975 to 4096.
fn dated(name: &str) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + LIFETIME;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::Authority;

    #[test]
    fn the_files_are_pem_and_the_key_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new().unwrap();
        let files = authority.issue("x").unwrap().write(folder.path(), "server").unwrap();
        let text = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
        assert!(text(&authority.write(folder.path()).unwrap()).starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(text(&files.certificate).starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(text(&files.key).starts_with("-----BEGIN PRIVATE KEY-----"));
        let mode = files.key.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
