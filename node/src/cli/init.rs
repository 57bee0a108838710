//! `icomm init`: a new node's folder: keys, a certificate request, settings.
//!
//! ```text
//! HOME/                       0700
//!   icomm.toml                settings, every key explained
//!   identity/                 0700
//!     member-key.pem          0600  Ed25519, signs what the member says; not there if it is in a token
//!     node-key.pem            0600  P-256 for TLS, Ed25519 for libp2p
//!     store-key               0600  wraps the keys of what the store holds
//!     request.pem                   for the authority; holds no secret
//!     enrolment.pem root.pem bundle.json    from `icomm pki install`
//! ```

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use icomm_pki::{Domain, EnrolmentRequest, MemberId, MemberKey, NodeKey, NodeName, TrustDomain};
use serde_json::json;

use super::{Context, Exit, Failure, files};
use crate::{
    config::{self, FILE, TEMPLATE},
    environment::Environment,
    store::StoreKey,
    token,
};

/// Make a new node's folder: keys, a certificate request for the authority, settings
#[derive(Debug, Args)]
#[command(after_help = "\
Private keys are made here and never leave the folder. With --token the member's key is in a PKCS#11 token instead: the one
with that label, or a new one if there is none. Send `identity/request.pem` to your authority, read it the
fingerprint by telephone, and put its answer in place with `icomm pki install`. Nothing is ever overwritten.

Examples:
  icomm init --member KE --node gw1 --trust-domain demo.icomm.example
  icomm --home /srv/icomm init --member KE --node gw1 --trust-domain demo.icomm.example --tls 0.0.0.0:7443
  icomm init --member KE --node gw1 --trust-domain demo.icomm.example --token customs-ke \\
    --token-module /usr/lib/softhsm/libsofthsm2.so --token-pin-file /etc/icomm/pin")]
pub(super) struct Init {
    /// The member's id, as the network's directory lists it: KE, RILO-ESA, WCO
    #[arg(long)]
    member: MemberId,
    /// This node's name, unique within the member: small letters, digits, hyphens
    #[arg(long)]
    node: NodeName,
    /// The network's trust domain
    #[arg(long, value_name = "DNS NAME")]
    trust_domain: TrustDomain,
    /// For a member's second node: the member key of the first, copied by hand
    #[arg(long, value_name = "FILE")]
    member_key: Option<PathBuf>,
    /// The label of the PKCS#11 token that the member's key is in, or is made in
    #[arg(long, value_name = "LABEL", requires = "token_module", conflicts_with = "member_key")]
    token: Option<String>,
    /// The token's PKCS#11 module, a shared library
    #[arg(long, value_name = "FILE", requires = "token")]
    token_module: Option<PathBuf>,
    /// The label of the member's key in the token
    #[arg(long, value_name = "LABEL", requires = "token", default_value = "icomm-member")]
    token_key: String,
    /// A file with the token's PIN, which only this user can read [default: the PIN is in ICOMM_TOKEN_PIN]
    #[arg(long, value_name = "FILE", requires = "token")]
    token_pin_file: Option<PathBuf>,
    /// Where partners may reach this node by TLS: put into the settings
    #[arg(long, value_name = "ADDRESS:PORT")]
    tls: Option<SocketAddr>,
    /// Where partners may reach this node by libp2p, such as /ip4/0.0.0.0/udp/7443/quic-v1: put into the settings
    #[arg(long, value_name = "MULTIADDR")]
    p2p: Vec<libp2p::Multiaddr>,
    /// Where to serve metrics and health in clear: put into the settings
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Option<SocketAddr>,
}

impl Init {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let home = &context.home;
        refuse_to_overwrite(home)?;
        let place = self.place()?;
        let member_key = match (&self.member_key, &place) {
            (_, Some(place)) => in_token(place)?,
            (Some(path), None) => MemberKey::from_pkcs8_pem(&files::read_text(path)?)?,
            (None, None) => MemberKey::generate()?,
        };
        let node_key = NodeKey::generate()?;
        let request = EnrolmentRequest::new(&self.trust_domain, &self.member, &self.node, &member_key, &node_key)?;

        // Made beside its place and renamed, so that an init that is cut short leaves no half node.
        let name = home.file_name().unwrap_or_default().to_string_lossy();
        let new = home.with_file_name(format!(".{name}.{}.new", std::process::id()));
        let settings = self.settings(place.as_ref());
        let made = write(&new, &member_key, &node_key, &request, &settings).and_then(|()| {
            fs::rename(&new, home)
                .map_err(|error| Failure::new(format_args!("can't make `{}`: {error}", home.display())))
        });
        if let Err(failure) = made {
            drop(fs::remove_dir_all(&new));
            return Err(failure);
        }
        self.tell(context, &request)
    }

    /// The token, with paths that hold wherever the program is started.
    fn place(&self) -> Result<Option<config::Token>, Failure> {
        let (Some(token), Some(module)) = (&self.token, &self.token_module) else {
            return Ok(None);
        };
        let pin_file = self.token_pin_file.as_ref().map(std::path::absolute);
        Ok(Some(config::Token {
            module: std::path::absolute(module)?,
            token: token.clone(),
            key: self.token_key.clone(),
            pin_file: pin_file.transpose()?,
        }))
    }

    fn settings(&self, place: Option<&config::Token>) -> String {
        let list = |key: &str, example: &str, values: Vec<String>| match values.as_slice() {
            [] => format!("#{key} = [\"{example}\"]"),
            values => format!("{key} = {values:?}"),
        };
        let http = match self.http {
            Some(address) => format!("listen = \"{address}\""),
            None => "#listen = \"127.0.0.1:7480\"".to_owned(),
        };
        TEMPLATE
            .replace(
                "{tls}",
                &list(
                    "tls",
                    "0.0.0.0:7443",
                    self.tls.iter().map(ToString::to_string).collect(),
                ),
            )
            .replace(
                "{p2p}",
                &list(
                    "p2p",
                    "/ip4/0.0.0.0/udp/7443/quic-v1",
                    self.p2p.iter().map(ToString::to_string).collect(),
                ),
            )
            .replace("{http}", &http)
            .replace("{token}", &token_settings(place))
    }

    fn tell(&self, context: &Context, request: &EnrolmentRequest) -> Result<Exit, Failure> {
        let path = context.home.join("identity/request.pem");
        let fingerprint = request.fingerprint().to_string();
        let json = json!({
            "home": context.home,
            "member": self.member.as_str(),
            "node": self.node.as_str(),
            "request": path,
            "fingerprint": fingerprint,
            "peer_id": request.peer_id().to_string(),
        });
        context.output.answer(&json, || {
            format!(
                "made node {}/{} in `{}`\nnext: send `{}` to your authority and read it this fingerprint:\n  {fingerprint}\n\
                 then: `icomm pki install ENROLMENT BUNDLE` with its answer",
                self.member,
                self.node,
                context.home.display(),
                path.display(),
            )
        })?;
        Ok(Exit::Ok)
    }
}

fn write(
    new: &Path,
    member: &MemberKey,
    node: &NodeKey,
    request: &EnrolmentRequest,
    settings: &str,
) -> Result<(), Failure> {
    let identity = new.join("identity");
    files::create_private_folder(&identity)?;
    if let Some(key) = member.to_pkcs8_pem() {
        files::create_private(&identity.join("member-key.pem"), key.as_bytes())?;
    }
    files::create_private(&identity.join("node-key.pem"), node.to_pem().as_bytes())?;
    let store_key = StoreKey::generate(&*Environment::system().entropy);
    files::create_private(&identity.join("store-key"), store_key.to_text().as_bytes())?;
    files::create_public(&identity.join("request.pem"), request.to_pem().as_bytes())?;
    files::create_public(&new.join(FILE), settings.as_bytes())?;
    files::sync_folder(&identity)?;
    Ok(files::sync_folder(new)?)
}

/// The key in the token under that label, a new one if there is none.
fn in_token(place: &config::Token) -> Result<MemberKey, Failure> {
    let public = match token::keys(place)?.as_slice() {
        [] => token::generate(place)?,
        [only] => *only,
        several => {
            return Err(Failure::new(format_args!(
                "the token `{}` has {} keys `{}`",
                place.token,
                several.len(),
                place.key
            ))
            .advice("name another label with --token-key"));
        }
    };
    let key = token::member_key(place, public);
    // Says in plain words what keeps the token from signing.
    key.sign(Domain::Test, b"")?;
    Ok(key)
}

/// `[identity.token]`, in comments where there is none.
fn token_settings(place: Option<&config::Token>) -> String {
    let Some(place) = place else {
        return "# The member key in a PKCS#11 token instead of a file (`icomm init --token`); the PIN is in a file or in ICOMM_TOKEN_PIN:\n\
                # [identity.token] with module, token, key and pin_file.\n"
            .to_owned();
    };
    let config::Token {
        module,
        token,
        key,
        pin_file,
    } = place;
    let pin_file = match pin_file {
        Some(path) => format!("pin_file = {:?}", path.display().to_string()),
        None => "#pin_file = \"pin\"                       # without it the PIN is in ICOMM_TOKEN_PIN".to_owned(),
    };
    let module = module.display().to_string();
    format!(
        "\n# The member key is in a PKCS#11 token. Of several keys with this label that one signs which is certified.\n\
         [identity.token]\nmodule = {module:?}\ntoken = {token:?}\nkey = {key:?}\n{pin_file}\n"
    )
}

/// An empty folder is fine; anything in it is somebody's.
fn refuse_to_overwrite(home: &Path) -> Result<(), Failure> {
    if home.file_name().is_none() {
        return Err(Failure::new(format_args!(
            "`{}` can't be a node's folder; name one",
            home.display()
        )));
    }
    let Ok(mut content) = fs::read_dir(home) else {
        return Ok(());
    };
    match content.next() {
        None => Ok(()),
        Some(_) if home.join(FILE).exists() => Err(Failure::new(format_args!(
            "there is a node in `{}` already; nothing was changed",
            home.display()
        ))
        .advice("name another folder with `--home`; to replace the node, move its folder away first")),
        Some(_) => Err(
            Failure::new(format_args!("`{}` is not empty; nothing was changed", home.display()))
                .advice("name a new folder with `--home`"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use clap::Parser;
    use icomm_pki::EnrolmentRequest;

    use super::Init;
    use crate::{cli::Context, config::Config};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        init: Init,
    }

    fn init(options: &str) -> Init {
        let line = format!("init --member KE --node gw1 --trust-domain demo.icomm.example {options}");
        Line::try_parse_from(line.split_whitespace()).unwrap().init
    }

    #[test]
    fn a_new_folder_is_private_complete_and_never_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        let context = Context::for_test(&folder.path().join("a/ke"));
        init("--tls 127.0.0.1:7443 --p2p /ip4/127.0.0.1/udp/7443/quic-v1 --http 127.0.0.1:7480")
            .run(&context)
            .unwrap();

        let config = Config::load(&context.home).unwrap();
        assert_eq!(config.links.tls, ["127.0.0.1:7443".parse().unwrap()]);
        assert_eq!(config.links.p2p, ["/ip4/127.0.0.1/udp/7443/quic-v1"]);
        assert_eq!(config.http.listen, Some("127.0.0.1:7480".parse().unwrap()));
        for (path, mode) in [
            (&context.home, 0o700),
            (&config.identity.member_key, 0o600),
            (&config.identity.node_key, 0o600),
            (&config.store.key, 0o600),
        ] {
            assert_eq!(
                fs::metadata(path).unwrap().permissions().mode() & 0o777,
                mode,
                "{}",
                path.display()
            );
        }
        let request = fs::read_to_string(context.home.join("identity/request.pem")).unwrap();
        assert!(!request.contains("PRIVATE"));
        assert_eq!(EnrolmentRequest::from_pem(&request).unwrap().member().as_str(), "KE");

        let key = fs::read(&config.identity.member_key).unwrap();
        let error = init("").run(&context).unwrap_err().to_string();
        assert!(
            error.contains("there is a node in") && error.contains("nothing was changed"),
            "{error}"
        );
        assert_eq!(fs::read(&config.identity.member_key).unwrap(), key);
        assert_eq!(
            fs::read_dir(folder.path().join("a")).unwrap().count(),
            1,
            "nothing temporary stays"
        );
    }

    #[test]
    fn without_addresses_the_settings_listen_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let context = Context::for_test(folder.path());
        init("").run(&context).unwrap();
        let config = Config::load(&context.home).unwrap();
        assert!(config.links.tls.is_empty() && config.links.p2p.is_empty() && config.http.listen.is_none());
    }

    #[test]
    fn a_second_node_takes_the_member_key_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = Context::for_test(&folder.path().join("one"));
        init("").run(&first).unwrap();
        let key = first.home.join("identity/member-key.pem");
        let second = Context::for_test(&folder.path().join("two"));
        init(&format!("--member-key {}", key.display())).run(&second).unwrap();
        let keys = [first, second].map(|context| fs::read(context.home.join("identity/member-key.pem")).unwrap());
        assert_eq!(keys[0], keys[1]);
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
        let error = init("").run(&Context::for_test(folder.path())).unwrap_err().to_string();
        assert!(error.contains("is not empty"), "{error}");
    }
}
