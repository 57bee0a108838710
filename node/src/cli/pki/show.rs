//! `icomm pki show`: what is in a file of the identity kind.

use std::path::{Path, PathBuf};

use clap::Args;
use data_encoding::BASE64;
use icomm_pki::{
    AuthorityRequest, CertificateDer, Enrolment, EnrolmentRequest, Fingerprint, Revocation, RevocationList, TrustBundle,
};
use serde_json::{Value, json};

use super::folder::Public;
use crate::cli::{Context, Exit, Failure, files, output::moment};

/// Tell what a request, enrolment, revocation list, bundle or authority's folder says
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is verified here: it tells what stands in the file.

Example:
  icomm pki show ke-request.pem
  icomm pki show bundle.json
  icomm pki show root-ca")]
pub(in crate::cli) struct Show {
    /// The file, or an authority's folder
    file: PathBuf,
}

impl Show {
    pub(in crate::cli) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let facts = if self.file.is_dir() {
            folder(&self.file)?
        } else {
            document(&self.file)?
        };
        context.output.answer(&facts, || text_of(&facts))?;
        Ok(Exit::Ok)
    }
}

/// One PEM block of a certificate, 64 characters a line.
pub(super) fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    let base64 = BASE64.encode(certificate);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for (position, character) in base64.chars().enumerate() {
        if position > 0 && position % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str("\n-----END CERTIFICATE-----\n");
    text
}

fn folder(path: &Path) -> Result<Value, Failure> {
    let public = Public::open(path)?;
    let revoked = public.revoked()?;
    let issued: Vec<Value> = public
        .all_issued()?
        .iter()
        .map(|issued| enrolment(&issued.enrolment))
        .collect();
    Ok(json!({ "issued": issued, "revoked": list(&revoked) }))
}

fn document(path: &Path) -> Result<Value, Failure> {
    let text = files::read_text(path)?;
    if let Ok(bundle) = TrustBundle::from_signed(text.as_bytes()) {
        return Ok(self::bundle(&bundle));
    }
    if let Ok(request) = EnrolmentRequest::from_pem(&text) {
        return Ok(json!({
            "request": format!("{}/{}", request.member(), request.node()),
            "trust_domain": request.trust_domain().as_str(),
            "peer_id": request.peer_id().to_string(),
            "fingerprint": request.fingerprint().to_string(),
        }));
    }
    if let Ok(request) = AuthorityRequest::from_pem(&text) {
        return Ok(json!({
            "authority_request": request.member().as_str(),
            "trust_domain": request.trust_domain().as_str(),
            "fingerprint": request.fingerprint().to_string(),
        }));
    }
    if let Ok(found) = Enrolment::from_pem(&text) {
        return Ok(enrolment(&found));
    }
    if let Ok(found) = RevocationList::from_pem(&text) {
        return Ok(list(&found));
    }
    Err(Failure::new(format_args!(
        "`{}` is no enrolment request, enrolment, revocation list or trust bundle",
        path.display()
    )))
}

fn enrolment(enrolment: &Enrolment) -> Value {
    let certificate = enrolment.node_certificate();
    json!({
        "enrolment": format!("{}/{}", enrolment.member(), enrolment.node_name()),
        "role": enrolment.role().as_str(),
        "peer_id": enrolment.peer_id().to_string(),
        "member_serial": enrolment.member_certificate().serial().to_string(),
        "node_serial": certificate.serial().to_string(),
        "not_after": moment(certificate.validity().not_after()),
        "root_fingerprint": Fingerprint::of_certificate(enrolment.root_certificate().der()).to_string(),
    })
}

fn list(list: &RevocationList) -> Value {
    let revoked = list.revoked().iter().map(|Revocation { serial, at, reason }| {
        json!({ "serial": serial.to_string(), "at": moment(*at), "reason": reason.as_str() })
    });
    json!({
        "revocation_list": list.number(),
        "not_after": moment(list.validity().not_after()),
        "certificates": revoked.collect::<Vec<_>>(),
    })
}

fn bundle(bundle: &TrustBundle) -> Value {
    let members = bundle.members.iter().map(|listing| {
        let nodes = listing.nodes.iter().map(|node| {
            json!({ "node": node.name.as_str(), "peer_id": node.peer_id.to_string(), "addresses": node.addresses })
        });
        json!({
            "member": listing.id.as_str(),
            "role": listing.role.as_str(),
            "regions": listing.regions.iter().map(|region| region.as_str()).collect::<Vec<_>>(),
            "nodes": nodes.collect::<Vec<_>>(),
        })
    });
    json!({
        "bundle": bundle.version,
        "trust_domain": bundle.trust_domain.as_str(),
        "issued": moment(bundle.issued),
        "expires": moment(bundle.expires),
        "quorum": bundle.quorum.map_or_else(|| "a majority of the witnesses".to_owned(), |quorum| quorum.to_string()),
        "root_fingerprint": Fingerprint::of_certificate(&bundle.root).to_string(),
        "members": members.collect::<Vec<_>>(),
    })
}

/// Facts as a person reads them: indented `name: value` lines.
fn text_of(facts: &Value) -> String {
    fn write(value: &Value, indent: usize, text: &mut String) {
        use std::fmt::Write as _;
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let _ = write!(text, "\n{:indent$}{}:", "", name.replace('_', " "));
                    write(value, indent + 2, text);
                }
            }
            Value::Array(items) if items.is_empty() => text.push_str(" none"),
            Value::Array(items) => {
                for item in items {
                    match item {
                        Value::Object(_) => {
                            let _ = write!(text, "\n{:indent$}-", "");
                            write(item, indent + 2, text);
                        }
                        plain => write(plain, indent, text),
                    }
                }
            }
            Value::String(value) => {
                let _ = write!(text, " {value}");
            }
            other => {
                let _ = write!(text, " {other}");
            }
        }
    }
    let mut text = String::new();
    write(facts, 0, &mut text);
    text.trim_start().to_owned()
}
