//! Real TLS handshakes in memory: who gets a session, and why others don't.

use std::sync::Arc;

use icomm_pki::*;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection,
    time_provider::TimeProvider,
};
use time::{Duration, OffsetDateTime};

use crate::network::{NOW, Network, id};

#[derive(Debug)]
struct FixedTime(OffsetDateTime);

impl TimeProvider for FixedTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = self.0.unix_timestamp().try_into().unwrap();
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

fn at(now: OffsetDateTime) -> Arc<dyn TimeProvider> {
    Arc::new(FixedTime(now))
}

/// Carries bytes between both sides until nobody has any left. The error is of the side that failed first.
fn shake(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), rustls::Error> {
    let mut result = Ok(());
    while client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut reader = &bytes[..];
        while !reader.is_empty() && server.read_tls(&mut reader).unwrap() > 0 {
            result = result.and(server.process_new_packets().map(drop));
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut reader = &bytes[..];
        while !reader.is_empty() && client.read_tls(&mut reader).unwrap() > 0 {
            result = result.and(client.process_new_packets().map(drop));
        }
    }
    result
}

struct Pair {
    client: ClientConnection,
    server: ServerConnection,
}

fn connect(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> (Pair, Result<(), rustls::Error>) {
    let name = name.to_owned().try_into().unwrap();
    let mut pair = Pair {
        client: ClientConnection::new(client.clone(), name).unwrap(),
        server: ServerConnection::new(server.clone()).unwrap(),
    };
    let result = shake(&mut pair.client, &mut pair.server);
    (pair, result)
}

const HUB: &str = "node1.rilo-esa.demo.icomm.example";

fn refusal(result: Result<(), rustls::Error>) -> InvalidPeer {
    let error = result.unwrap_err();
    tls::refusal(&error).unwrap_or_else(|| panic!("{error}")).clone()
}

#[test]
fn members_meet() {
    let network = Network::new();
    let bundle = Arc::new(network.verified());
    let server = tls::server_config(&network.hub, bundle.clone(), at(NOW)).unwrap();
    let client = tls::client_config(&network.ke, bundle.clone(), at(NOW)).unwrap();
    let name = tls::server_name(&bundle, &id("RILO-ESA"), network.hub.node_name()).unwrap();
    assert_eq!(name.to_str(), HUB);
    // Twice, since a second handshake would be the one to resume.
    for _ in 0..2 {
        let (pair, result) = connect(&client, &server, HUB);
        result.unwrap();
        assert_eq!(pair.server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(pair.server.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(pair.server.handshake_kind(), Some(HandshakeKind::Full));
        let peer = authenticate(pair.server.peer_certificates().unwrap(), &bundle, NOW).unwrap();
        assert_eq!(peer.member(), &id("KE"));
        let peer = authenticate(pair.client.peer_certificates().unwrap(), &bundle, NOW).unwrap();
        assert_eq!((peer.member(), peer.role()), (&id("RILO-ESA"), Role::Regional));
    }
}

#[test]
fn a_revoked_client_and_a_revoked_server() {
    let network = Network::new();
    let good = Arc::new(network.verified());
    let (ke, hub) = (&network.ke, &network.hub);
    let serials = [ke, hub].map(|node| node.enrolment().node_certificate().serial());
    let revoking = network.bundle_revoking(&[serials[1]], &[serials[0]]);
    let revoking = Arc::new(network.verify(&network.sign(&revoking)).unwrap());

    let server = tls::server_config(hub, revoking.clone(), at(NOW)).unwrap();
    let client = tls::client_config(ke, good.clone(), at(NOW)).unwrap();
    let reason = refusal(connect(&client, &server, HUB).1);
    assert!(
        matches!(
            reason,
            InvalidPeer::Path {
                source: InvalidPath::Revoked,
                ..
            }
        ),
        "{reason}"
    );

    let server = tls::server_config(hub, good, at(NOW)).unwrap();
    let client = tls::client_config(ke, revoking, at(NOW)).unwrap();
    let reason = refusal(connect(&client, &server, HUB).1);
    assert!(
        matches!(
            reason,
            InvalidPeer::Path {
                source: InvalidPath::Revoked,
                ..
            }
        ),
        "{reason}"
    );
}

#[test]
fn a_foreign_client_and_a_foreign_server() {
    let (network, foreign) = (Network::new(), Network::new());
    let (ours, theirs) = (Arc::new(network.verified()), Arc::new(foreign.verified()));
    let server = tls::server_config(&network.hub, ours.clone(), at(NOW)).unwrap();
    // A server of ours that the stranger believes in: take away his check of us, keep ours of him.
    let stranger = NodeCredentials::new(
        foreign.ke.enrolment().clone(),
        foreign.ke.member_key().clone(),
        foreign.ke.node_key().clone(),
    );
    let client = tls::client_config(&stranger.unwrap(), ours.clone(), at(NOW)).unwrap();
    let reason = refusal(connect(&client, &server, HUB).1);
    assert!(
        matches!(
            reason,
            InvalidPeer::Path {
                source: InvalidPath::UnknownIssuer,
                ..
            }
        ),
        "{reason}"
    );

    let server = tls::server_config(&foreign.hub, theirs, at(NOW)).unwrap();
    let client = tls::client_config(&network.ke, ours, at(NOW)).unwrap();
    let reason = refusal(connect(&client, &server, HUB).1);
    assert!(
        matches!(
            reason,
            InvalidPeer::Path {
                source: InvalidPath::UnknownIssuer,
                ..
            }
        ),
        "{reason}"
    );
}

#[test]
fn another_node_answers() {
    let network = Network::new();
    let bundle = Arc::new(network.verified());
    let server = tls::server_config(&network.es, bundle.clone(), at(NOW)).unwrap();
    let client = tls::client_config(&network.ke, bundle, at(NOW)).unwrap();
    let reason = refusal(connect(&client, &server, HUB).1);
    let answered = "node1.es.demo.icomm.example".to_owned();
    assert_eq!(
        reason,
        InvalidPeer::OtherNode {
            dialled: HUB.to_owned(),
            answered
        }
    );
}

#[test]
fn the_injected_clock_decides() {
    let network = Network::new();
    let bundle = Arc::new(network.verified());
    let late = NOW + Duration::days(31);
    let server = tls::server_config(&network.hub, bundle.clone(), at(late)).unwrap();
    let client = tls::client_config(&network.ke, bundle.clone(), at(NOW)).unwrap();
    let reason = refusal(connect(&client, &server, HUB).1);
    assert_eq!(reason, InvalidPeer::BundleExpired(bundle.expires()));
}

#[test]
fn no_client_certificate_no_http_1_and_no_tls_1_2() {
    let network = Network::new();
    let bundle = Arc::new(network.verified());
    let server = tls::server_config(&network.hub, bundle.clone(), at(NOW)).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(network.root.certificate().der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let anonymous = ClientConfig::builder_with_details(provider, at(NOW))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // An ordinary client with the root alone trusts our server: the DNS name is in the certificate.
    let (_, result) = connect(&Arc::new(anonymous), &server, HUB);
    assert!(
        matches!(result, Err(rustls::Error::NoCertificatesPresented)),
        "{result:?}"
    );

    let mut http1 = ClientConfig::clone(&tls::client_config(&network.ke, bundle.clone(), at(NOW)).unwrap());
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (_, result) = connect(&Arc::new(http1), &server, HUB);
    assert!(
        matches!(result, Err(rustls::Error::NoApplicationProtocol)),
        "{result:?}"
    );

    // The record of a TLS 1.2 ClientHello without supported_versions.
    let mut connection = ServerConnection::new(server).unwrap();
    let hello = tls12_client_hello();
    connection.read_tls(&mut &hello[..]).unwrap();
    let error = connection.process_new_packets().unwrap_err();
    assert!(matches!(error, rustls::Error::PeerIncompatible(_)), "{error}");
}

/// A minimal ClientHello of TLS 1.2: one cipher suite, no compression, groups, point formats and signature schemes.
fn tls12_client_hello() -> Vec<u8> {
    let extensions = [
        &b"\x00\x0a\x00\x04\x00\x02\x00\x17"[..], // supported_groups: secp256r1
        b"\x00\x0b\x00\x02\x01\x00",              // ec_point_formats: uncompressed
        b"\x00\x0d\x00\x04\x00\x02\x04\x03",      // signature_algorithms: ecdsa_secp256r1_sha256
    ]
    .concat();
    let mut body = b"\x03\x03".to_vec();
    body.extend([7; 32]); // random
    body.extend(b"\x00\x00\x02\xc0\x2b\x01\x00"); // no session, ECDHE_ECDSA_AES_128_GCM, no compression
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let length = (body.len() as u32).to_be_bytes();
    let handshake = [&[1][..], &length[1..], &body].concat();
    [
        &b"\x16\x03\x01"[..],
        &(handshake.len() as u16).to_be_bytes(),
        &handshake,
    ]
    .concat()
}
