//! An authority's folder.
//!
//! ```text
//! AUTHORITY/                      0700
//!   secret/authority.pem          0600  the key and the certificate chain
//!   public/                             may be copied and sent as a whole; the root needs it for the bundle
//!     revoked.pem                       the latest revocation list
//!     issued/KE.gw1.4f2a….pem           an enrolment, as sent to the member; named by the node certificate's serial
//!     issued/KE.gw1.4f2a….toml          what the directory should say of that node: regions, addresses
//!     handed/KE.4f2a….json              up to where a member's former key counts, as its node wrote it
//!     bundle.json                       the latest trust bundle (root only)
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use icomm_pki::{Authority, Enrolment, HandoverStatement, MemberId, NodeName, RevocationList, Validity};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::cli::{Failure, files};

/// How long a revocation list counts. Each new bundle carries the latest; an off-line root renews twice a year.
pub(super) const REVOCATION_LIST_DAYS: u16 = 180;

/// The folder of an authority.
pub(super) struct Folder {
    path: PathBuf,
}

/// The part of a folder that holds no secret: the authority's own, or a copy that another authority sent.
pub(super) struct Public {
    path: PathBuf,
}

/// An enrolment and what the directory should say of its node.
pub(super) struct Issued {
    pub(super) enrolment: Enrolment,
    pub(super) listing: ListingFile,
}

/// The file beside an enrolment.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListingFile {
    /// The regional offices whose regions the member belongs to.
    pub(super) regions: Vec<MemberId>,
    /// Where the node can be reached.
    pub(super) addresses: Vec<String>,
}

impl Folder {
    /// A folder that holds, or will hold, an authority.
    pub(super) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes the folder for an authority that is not there yet.
    pub(super) fn create(&self) -> Result<(), Failure> {
        if self.path.exists() && fs::read_dir(&self.path)?.next().is_some() {
            let what = format_args!("`{}` is not empty; nothing was changed", self.path.display()).to_string();
            return Err(Failure::new(what).advice("name a new folder with `--authority`"));
        }
        files::create_private_folder(&self.path.join("secret"))?;
        files::create_private_folder(&self.public().issued())
    }

    /// The file of the key and the chain.
    pub(super) fn secret_file(&self) -> PathBuf {
        self.path.join("secret/authority.pem")
    }

    /// The file of the key alone, while a regional authority waits for its certificate.
    pub(super) fn waiting_file(&self) -> PathBuf {
        self.path.join("secret/waiting-key.pem")
    }

    /// The part without secrets.
    pub(super) fn public(&self) -> Public {
        Public {
            path: self.path.join("public"),
        }
    }

    /// The authority itself.
    pub(super) fn authority(&self) -> Result<Authority, Failure> {
        let file = self.secret_file();
        if !file.exists() {
            let failure = Failure::new(format_args!("there is no authority in `{}`", self.path.display()));
            return Err(if self.waiting_file().exists() {
                failure.advice("it waits for its certificate: `icomm pki region --chain FILE` with the root's answer")
            } else {
                failure.advice("`icomm pki root` or `icomm pki region` makes one; `--authority` names its folder")
            });
        }
        Authority::from_pem(&files::read_text(&file)?).map_err(|error| in_file(&file, &error))
    }

    /// Puts the authority and its first, empty revocation list in place.
    pub(super) fn establish(&self, authority: &Authority, now: OffsetDateTime) -> Result<(), Failure> {
        let list = authority.revocation_list(None, &[], Validity::days(now, REVOCATION_LIST_DAYS)?)?;
        files::create_public(&self.public().revoked_file(), list.to_pem().as_bytes())?;
        files::create_private(&self.secret_file(), authority.to_pem().as_bytes())
    }
}

impl Public {
    /// A public part at this path; a whole authority's folder is understood as well.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let inner = path.join("public");
        let path = if inner.is_dir() { inner } else { path.to_owned() };
        let public = Self { path };
        if public.issued().is_dir() {
            Ok(public)
        } else {
            Err(public.not_one())
        }
    }

    fn not_one(&self) -> Failure {
        Failure::new(format_args!(
            "`{}` is not the public part of an authority's folder",
            self.path.display()
        ))
        .advice("it has `revoked.pem` and a folder `issued` in it")
    }

    pub(super) fn issued(&self) -> PathBuf {
        self.path.join("issued")
    }

    pub(super) fn revoked_file(&self) -> PathBuf {
        self.path.join("revoked.pem")
    }

    pub(super) fn request_file(&self) -> PathBuf {
        self.path.join("request.pem")
    }

    pub(super) fn bundle_file(&self) -> PathBuf {
        self.path.join("bundle.json")
    }

    /// The latest revocation list.
    pub(super) fn revoked(&self) -> Result<RevocationList, Failure> {
        let file = self.revoked_file();
        RevocationList::from_pem(&files::read_text(&file)?).map_err(|error| in_file(&file, &error))
    }

    /// Keeps an enrolment.
    pub(super) fn keep(&self, issued: &Issued) -> Result<PathBuf, Failure> {
        let Issued { enrolment, listing } = issued;
        let (member, node) = (enrolment.member(), enrolment.node_name());
        let name = format!("{member}.{node}.{}", enrolment.node_certificate().serial());
        let file = self.issued().join(format!("{name}.pem"));
        files::create_public(
            &self.issued().join(format!("{name}.toml")),
            toml::to_string(listing)?.as_bytes(),
        )?;
        files::create_public(&file, enrolment.to_pem().as_bytes())?;
        Ok(file)
    }

    /// Keeps up to where a former key counts. A later word about the same key and logs takes the place of the earlier.
    pub(super) fn retire(&self, statement: &HandoverStatement) -> Result<PathBuf, Failure> {
        let mut logs = Sha256::new();
        statement
            .handover()
            .ends
            .keys()
            .for_each(|log| logs.update(format!("{log}\n")));
        let (key, logs) = (statement.former(), logs.finalize());
        let short = |bytes: &[u8]| HEXLOWER.encode(bytes.get(..8).unwrap_or_default());
        let name = format!("{}.{}.{}.json", statement.member(), short(key.as_bytes()), short(&logs));
        let folder = self.path.join("handed");
        files::create_private_folder(&folder)?;
        let file = folder.join(name);
        files::replace(&file, &statement.to_bytes(), 0o644)?;
        Ok(file)
    }

    /// Every hand-over that was kept.
    pub(super) fn handovers(&self) -> Result<Vec<HandoverStatement>, Failure> {
        let folder = self.path.join("handed");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for entry in fs::read_dir(folder)? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "json") {
                let statement =
                    HandoverStatement::parse(&files::read(&file)?).map_err(|error| in_file(&file, &error))?;
                all.push(statement);
            }
        }
        Ok(all)
    }

    /// Everything ever issued, the oldest first.
    pub(super) fn all_issued(&self) -> Result<Vec<Issued>, Failure> {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.issued())? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "pem") {
                let enrolment =
                    Enrolment::from_pem(&files::read_text(&file)?).map_err(|error| in_file(&file, &error))?;
                let about = file.with_extension("toml");
                let listing = if about.exists() {
                    toml::from_str(&files::read_text(&about)?).map_err(|error| in_file(&about, &error))?
                } else {
                    ListingFile::default()
                };
                all.push(Issued { enrolment, listing });
            }
        }
        let order = |issued: &Issued| {
            let certificate = issued.enrolment.node_certificate();
            let names = (issued.enrolment.member().clone(), issued.enrolment.node_name().clone());
            (
                certificate.validity().not_before(),
                certificate.validity().not_after(),
                names,
            )
        };
        all.sort_by_key(order);
        Ok(all)
    }

    /// What the directory last said of a node; nothing if it is new.
    pub(super) fn last_listing(&self, member: &MemberId, node: &NodeName) -> Result<ListingFile, Failure> {
        let of_node = |issued: &Issued| issued.enrolment.member() == member && issued.enrolment.node_name() == node;
        let last = self.all_issued()?.into_iter().rfind(of_node);
        Ok(last.map(|issued| issued.listing).unwrap_or_default())
    }

    /// Everything issued to a member, or to one of its nodes.
    pub(super) fn issued_to(&self, member: &MemberId, node: Option<&NodeName>) -> Result<Vec<Enrolment>, Failure> {
        let mut all: Vec<Enrolment> = self.all_issued()?.into_iter().map(|issued| issued.enrolment).collect();
        all.retain(|enrolment| enrolment.member() == member && node.is_none_or(|node| enrolment.node_name() == node));
        Ok(all)
    }
}

/// An error with the file that it is about.
pub(in crate::cli) fn in_file(file: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::new(format_args!("`{}`: {}", file.display(), crate::causes::chain(error)))
}
