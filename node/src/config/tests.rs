//! What settings are accepted, refused and defaulted to.

use std::path::Path;

use super::{Config, ConfigError, FILE, InvalidConfig, LogFormat, TEMPLATE};

fn parse(text: &str) -> Result<Config, InvalidConfig> {
    Config::parse(text, Path::new("/srv/ke"))
}

#[test]
fn an_empty_file_listens_nowhere_but_on_the_socket() {
    let config = parse("").unwrap();
    assert!(config.links.tls.is_empty() && config.links.p2p.is_empty());
    assert_eq!((config.api.listen, config.http.listen), (None, None));
    assert_eq!(config.api.socket, Path::new("/srv/ke/icomm.sock"));
    assert_eq!(config.identity.member_key, Path::new("/srv/ke/identity/member-key.pem"));
    assert_eq!(config.home, Path::new("/srv/ke"));
}

#[test]
fn absolute_paths_stay() {
    let config = parse("[store]\nfolder = \"/data/icomm\"").unwrap();
    assert_eq!(config.store.folder, Path::new("/data/icomm"));
}

#[test]
fn every_section_is_read() {
    let config = parse(
        r#"
        drain_seconds_max = 3
        [links]
        tls = ["0.0.0.0:7443"]
        p2p = ["/ip4/0.0.0.0/udp/7443/quic-v1"]
        external = ["/dns/gw.example/udp/7443/quic-v1"]
        relay = true
        relays = ["RILO-ESA"]
        [[links.peer]]
        member = "PT"
        addresses = ["tls://gw.example:7443"]
        [[links.peer]]
        member = "UG"
        [api]
        listen = "127.0.0.1:7445"
        [http]
        listen = "127.0.0.1:7480"
        [log]
        format = "json"
        "#,
    )
    .unwrap();
    assert_eq!(config.links.peer.first().unwrap().member, "PT");
    assert!(config.links.peer.last().unwrap().addresses.is_empty(), "never dialled");
    assert_eq!(config.links.external, ["/dns/gw.example/udp/7443/quic-v1"]);
    assert_eq!(config.links.relays, ["RILO-ESA"]);
    assert!(config.links.relay);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.drain().as_secs(), 3);
}

#[test]
fn an_unknown_key_names_its_line_and_the_keys_that_exist() {
    let error = parse("[api]\nstreams_max = 3\nsoket = \"a\"\n").unwrap_err();
    let InvalidConfig::Text { line, column, what } = &error else {
        panic!("{error}")
    };
    assert_eq!((*line, *column), (3, 1));
    assert_eq!(
        what,
        "unknown key `soket`; did you mean `socket`? the keys here are `socket`, `listen`, `message_bytes_max`, \
         `streams_max`, `connections_max`"
    );
    let error = parse("[telemetry]\n").unwrap_err().to_string();
    assert!(
        error.starts_with("line 1, column 2: unknown key `telemetry`; the keys here are `drain_seconds_max`"),
        "{error}"
    );
    let error = parse("[[links.peer]]\nmember = \"PT\"\nadress = []")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("line 3, column 1: unknown key `adress`; did you mean `addresses`?"),
        "{error}"
    );
}

#[test]
fn wrong_values_name_their_line() {
    for (text, line, part) in [
        ("[api]\nlisten = \"nowhere\"", 2, "socket address"),
        ("[links]\nrelay = \"yes\"", 2, "expected a boolean"),
        ("\n\n[log]\nformat = \"xml\"", 4, "`text`"),
        ("[api\n", 1, ""),
        ("[[links.peer]]\naddresses = []", 1, "missing field `member`"),
    ] {
        let error = parse(text).unwrap_err();
        let InvalidConfig::Text { line: at, what, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*at, line, "{text:?}: {error}");
        assert!(what.contains(part), "{text:?}: {what}");
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let error = parse("[api]\nmessage_bytes_max = 1").unwrap_err().to_string();
    assert_eq!(
        error,
        "`api.message_bytes_max` is 1, which is outside 65536 to 268435456"
    );
    assert!(parse("[api]\nstreams_max = 0").is_err());
    assert!(parse("[api]\nstreams_max = -1").is_err());
    assert!(parse("drain_seconds_max = 601").is_err());
}

#[test]
fn the_template_with_every_comment_taken_away_is_the_default() {
    let filled = TEMPLATE
        .replace("{tls}", "tls = []")
        .replace("{p2p}", "p2p = []")
        .replace("{http}", "")
        .replace("{token}", "");
    assert_eq!(parse(&filled).unwrap(), parse("").unwrap());
    // Each commented key, once taken into use, is a key that exists and holds its default.
    let keys: String = filled
        .lines()
        .map(|line| {
            if line.contains("peer]]") || line.contains("\"PT\"") || line.contains("gw.example") {
                ""
            } else {
                line
            }
        })
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) && rest.contains(" = ") => rest,
            _ => line,
        })
        .filter(|line| !line.starts_with("listen = "))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(keys.contains("\nstreams_max = 64\n"));
    assert_eq!(parse(&keys).unwrap(), parse("").unwrap());
}

#[test]
fn a_folder_without_a_node_says_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let error = Config::load(folder.path()).unwrap_err();
    assert!(matches!(error, ConfigError::Missing { .. }));
    assert!(error.to_string().contains("`icomm init` makes one"), "{error}");
    std::fs::write(folder.path().join(FILE), "a = 1").unwrap();
    let error = Config::load(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("icomm.toml`: line 1, column 1: unknown key `a`"),
        "{error}"
    );
}
