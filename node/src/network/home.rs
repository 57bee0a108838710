//! A node's folder, as `icomm init` and the authority's answer leave it: settings, keys, certificates, trust bundle.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use data_encoding::BASE64;
use icomm_pki::{Authority, Role};

use super::{
    NetworkError,
    identities::Identity,
    plan::{Member, Reach},
    ports::{DatagramPort, StreamPort},
};
use crate::config::{self, Config};

/// Where a node listens.
#[derive(Debug)]
pub(super) struct Ports {
    /// For partners, by TLS or libp2p's TCP.
    stream: Option<StreamPort>,
    /// For partners, by QUIC.
    datagram: Option<DatagramPort>,
    /// For metrics and health.
    http: StreamPort,
}

impl Ports {
    pub(super) fn reserve(reach: Reach) -> io::Result<Self> {
        let stream = matches!(reach, Reach::Tls | Reach::Noise)
            .then(StreamPort::reserve)
            .transpose()?;
        let datagram = matches!(reach, Reach::Quic).then(DatagramPort::reserve).transpose()?;
        let http = StreamPort::reserve()?;
        Ok(Self { stream, datagram, http })
    }

    /// How partners dial the node, as the trust bundle lists it.
    pub(super) fn addresses(&self, reach: Reach) -> Vec<String> {
        let stream = self.stream.iter().map(|port| match reach {
            Reach::Noise => multiaddress("tcp", port.address(), ""),
            _ => format!("tls://{}", port.address()),
        });
        let datagram = self
            .datagram
            .iter()
            .map(|port| multiaddress("udp", port.address(), "/quic-v1"));
        stream.chain(datagram).collect()
    }

    /// Lets go of what the node can't share with us.
    pub(super) fn release(&mut self) {
        if let Some(port) = &mut self.datagram {
            port.release();
        }
    }
}

fn multiaddress(transport: &str, address: SocketAddr, rest: &str) -> String {
    format!("/ip4/{}/{transport}/{}{rest}", address.ip(), address.port())
}

/// The text of `icomm.toml`.
fn settings(member: &Member, ports: &Ports) -> String {
    let list = |addresses: Vec<String>| {
        let quoted: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
        format!("[{}]", quoted.join(", "))
    };
    let addresses = ports.addresses(member.reach);
    let (tls, p2p): (Vec<String>, Vec<String>) =
        addresses.into_iter().partition(|address| address.starts_with("tls://"));
    let tls = tls.into_iter().map(|address| address.replace("tls://", "")).collect();
    let mut text = config::TEMPLATE
        .replace("{tls}", &format!("tls = {}", list(tls)))
        .replace("{p2p}", &format!("p2p = {}", list(p2p)))
        .replace("{http}", &format!("listen = \"{}\"", ports.http.address()))
        .replace("{token}", "");
    if member.role == Role::Regional {
        text = text.replace("#relay = false", "relay = true");
    }
    text
}

/// Writes the folder and reads its settings back, as the node will.
pub(super) fn write(
    home: &Path,
    member: &Member,
    ports: &Ports,
    identity: &Identity,
    authority: Option<&Authority>,
    bundle: &[u8],
) -> Result<Config, NetworkError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| NetworkError::folder(&path, source)
    };
    let folder = |path: PathBuf| {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(failed(&path))
    };
    let file = |name: &str, content: &[u8]| {
        let path = home.join(name);
        private_file(&path, content).map_err(failed(&path))
    };
    folder(home.join("identity"))?;
    if let Some(key) = identity.member_key.to_pkcs8_pem() {
        file("identity/member-key.pem", key.as_bytes())?;
    }
    file("identity/node-key.pem", identity.node_key.to_pem().as_bytes())?;
    file("identity/request.pem", identity.request.to_pem().as_bytes())?;
    file("identity/enrolment.pem", identity.enrolment.to_pem().as_bytes())?;
    file(
        "identity/root.pem",
        certificate_pem(identity.enrolment.root_certificate().der()).as_bytes(),
    )?;
    file("identity/bundle.json", bundle)?;
    if let Some(authority) = authority {
        file("identity/authority.pem", authority.to_pem().as_bytes())?;
    }
    file(config::FILE, settings(member, ports).as_bytes())?;
    Ok(Config::load(home)?)
}

/// One `CERTIFICATE` block.
fn certificate_pem(der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for (position, letter) in base64.chars().enumerate() {
        if position > 0 && position % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text.push_str("\n-----END CERTIFICATE-----\n");
    text
}

/// Replaces the text of the settings, for a node that is stopped.
pub(super) fn change_settings(home: &Path, change: impl FnOnce(String) -> String) -> Result<Config, NetworkError> {
    let path = home.join(config::FILE);
    let failed = |source| NetworkError::folder(&path, source);
    let text = fs::read_to_string(&path).map_err(failed)?;
    fs::write(&path, change(text)).map_err(failed)?;
    Ok(Config::load(home)?)
}

fn private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Member, Ports, Reach, Role, settings};
    use crate::config::Config;

    fn parsed(role: Role, reach: Reach) -> (Config, Vec<String>) {
        let member = Member {
            id: "ES".parse().unwrap(),
            role,
            regions: Vec::new(),
            reach,
        };
        let ports = Ports::reserve(reach).unwrap();
        let config = Config::parse(&settings(&member, &ports), Path::new("/x")).unwrap();
        (config, ports.addresses(reach))
    }

    #[test]
    fn the_settings_say_where_to_listen() {
        let (config, addresses) = parsed(Role::National, Reach::Tls);
        assert_eq!(addresses, [format!("tls://{}", config.links.tls[0])]);
        assert!(config.links.p2p.is_empty() && !config.links.relay && config.http.listen.is_some());

        let (config, addresses) = parsed(Role::Regional, Reach::Quic);
        assert_eq!(config.links.p2p, addresses);
        assert!(addresses[0].ends_with("/quic-v1") && config.links.tls.is_empty() && config.links.relay);

        let (config, addresses) = parsed(Role::National, Reach::Noise);
        assert_eq!(config.links.p2p, addresses);

        let (config, addresses) = parsed(Role::National, Reach::Nowhere);
        assert!(addresses.is_empty() && config.links.tls.is_empty() && config.links.p2p.is_empty());
    }
}
